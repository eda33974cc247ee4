# SPDX-License-Identifier: MIT
"""What is in an image: the list of packages that the device carries and a bundle's signature covers, and what an update changes in it.

The list is text, gzip'ed: a comment, then NAME, VERSION, RECIPE and LICENCE of each package, with tabs between, sorted by name. Importable
by BitBake; needs Python's standard library only.
"""

import datetime
import gzip
import hashlib
import io
import json
import re
import zlib
from pathlib import Path
from typing import NamedTuple

from . import size

HEADER = "# otamgr-packages 1: name, version, recipe, licence\n"
# Bytes on the device. Some 1,500 packages.
LIMIT = 30_000
# What the manifest of a bundle says of files beside it, and by which option of ota-bundle they are named.
BOUND = {"x-packages-sha256": "packages", "x-sbom-sha256": "sbom", "x-vex-sha256": "vex"}
# A read of a list or report that is larger is a mistake.
READ_LIMIT = 256 << 20


class SbomError(Exception):
    """A list that cannot be made or read; the message says what was expected and what was found."""


class Package(NamedTuple):
    """A package of an image."""

    version: str
    recipe: str
    licence: str


def packages_text(installed, pkgdata):
    """The list from the lines of IMAGE_MANIFEST (name, architecture, version) and BitBake's package data."""
    lines = []
    for line in installed:
        words = line.split()
        if len(words) != 3:
            raise SbomError(f"list of installed packages: expected NAME ARCHITECTURE VERSION, found {line!r}")
        data = size.package_data(pkgdata, words[0])
        lines.append(
            "\t".join((words[0], words[2], data.get("PN", ""), " ".join(data.get("LICENSE", "").split()))) + "\n"
        )
    return HEADER + "".join(sorted(lines))


def packed(text):
    """The same bytes for the same text, whenever and wherever."""
    made = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=made, mtime=0) as stream:
        stream.write(text.encode())
    if len(made.getvalue()) > LIMIT:
        raise SbomError(f"the list of packages has {len(made.getvalue())} bytes, the device keeps at most {LIMIT}")
    return made.getvalue()


def bound_bytes(path, key, expected):
    """The bytes of a file, if they are those that a manifest binds by this key. Read once: what was compared is what is used."""
    with open(path, "rb") as f:
        content = f.read(READ_LIMIT)
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise SbomError(
            f"{path} is not what the manifest binds: {key} is {expected or 'missing'}, the file has {found}"
        )
    return content


def read_packages(content, path):
    """Name → Package of a list, gzip'ed or not. path: for messages."""
    if content[:2] == b"\x1f\x8b":
        try:
            content = zlib.decompressobj(31).decompress(content, 16 << 20)
        except zlib.error as e:
            raise SbomError(f"{path}: expected a list of packages, found what does not decompress: {e}") from None
    text = content.decode(errors="replace")
    if not text.startswith("# otamgr-packages 1"):
        raise SbomError(
            f"{path}: expected a list of packages that begins with {HEADER.split(':')[0]!r}, found another file"
        )
    found = {}
    for line in text.splitlines()[1:]:
        words = line.split("\t")
        if len(words) != 4:
            raise SbomError(f"{path}: expected name, version, recipe and licence with tabs between, found {line!r}")
        found[words[0]] = Package(*words[1:])
    return found


def read_issues(content, path):
    """(recipe, CVE) → Patched, Unpatched or Ignored, from a report of OpenEmbedded's cve-check or vex class."""
    try:
        report = json.loads(content)
        found = {}
        for package in report["package"]:
            for issue in package["issue"]:
                found[str(package["name"]), str(issue["id"])] = str(issue["status"])
        return found
    except (ValueError, KeyError, TypeError) as e:
        raise SbomError(
            f"{path}: expected a report as OpenEmbedded's vex or cve-check class writes it, package[].issue[].status: {e!r}"
        ) from None


# What OpenEmbedded makes of an image while do_rootfs runs, behind the name of its link: create-spdx with SPDX 2.2; vex and cve-check.
MADE_WITH_IMAGE = {"sbom": (".spdx.tar.zst",), "vex": (".vex.json", ".json")}


def made_with_image(folder, link):
    """SBOM and report of vulnerabilities of the image whose files are folder/link.*, by the names of BOUND; without what there is not."""
    found = {}
    for name, endings in MADE_WITH_IMAGE.items():
        for ending in endings:
            path = Path(folder, link + ending)
            if path.is_file():
                found[name] = str(path)
                break
    return found


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def extra_lines(support_until="", security_contact="", **files):
    """Lines for a bundle's manifest: until when the system is supported, who to tell of a weakness, and the hashes of files beside it."""
    found = {}
    if support_until:
        found["x-support-until"] = support_date(support_until)
    if security_contact:
        found["x-security-contact"] = contact(security_contact)
    for key, name in BOUND.items():
        if files.get(name):
            found[key] = sha256(files[name])
    return found


def support_date(text):
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            datetime.date.fromisoformat(text)
            return text
    except ValueError:
        pass
    raise SbomError(f"end of support: expected a date such as 2031-12-31, found {text!r}")


def contact(text):
    if re.fullmatch(r"(mailto:[!-~]+@[!-~]+|https://[!-~]+)", text) and len(text) <= 200:
        return text
    raise SbomError(f"security contact: expected mailto:NAME@HOST or https://..., found {text!r}")


# What becomes of issues and of patches by an update.
ISSUES = ("closed", "opened", "open")
PATCHES = ("patched", "patch gone")


def difference(before, after, issues_before=None, issues_after=None):
    """What an update changes: packages added, removed, changed, and issues that it closes and opens."""
    changed = {
        "added": [{"package": name, "version": after[name].version} for name in sorted(after.keys() - before.keys())],
        "removed": [
            {"package": name, "version": before[name].version} for name in sorted(before.keys() - after.keys())
        ],
        "changed": [
            {"package": name, "from": before[name].version, "to": after[name].version}
            for name in sorted(before.keys() & after.keys())
            if before[name].version != after[name].version
        ],
        "licences": [
            {"package": name, "from": before[name].licence, "to": after[name].licence}
            for name in sorted(before.keys() & after.keys())
            if before[name].licence != after[name].licence
        ],
    }
    if issues_before is not None and issues_after is not None:
        open_before = {issue for issue, status in issues_before.items() if status == "Unpatched"}
        open_after = {issue for issue, status in issues_after.items() if status == "Unpatched"}
        kinds = (open_before - open_after, open_after - open_before, open_before & open_after)
        for word, issues in zip(ISSUES, kinds, strict=True):
            changed[word] = [{"recipe": recipe, "issue": name} for recipe, name in sorted(issues)]
        # The class vex asks no database: its reports name what patches mend, and nothing that is open. Of a recipe that is in both
        # systems a patch that came or went is what such a pair shows.
        patched_before, patched_after = (
            {issue for issue, status in issues.items() if status == "Patched"}
            for issues in (issues_before, issues_after)
        )
        both = {recipe for recipe, _ in issues_before} & {recipe for recipe, _ in issues_after}
        kinds = (patched_after - issues_before.keys(), patched_before - issues_after.keys())
        for word, issues in zip(PATCHES, kinds, strict=True):
            changed[word] = [{"recipe": recipe, "issue": name} for recipe, name in sorted(issues) if recipe in both]
    return changed
