# SPDX-License-Identifier: MIT
"""Debian packages of another architecture, unpacked into a folder; nothing is installed into the host."""

import re
import subprocess
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def _mirrors():
    """The (archive, security) addresses this host's own apt uses."""
    text = ""
    for source in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if source.is_file():
            text += source.read_text()
    found = re.findall(r"^(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s*)?)(\S*/debian(?:-security)?)/?(?:\s|$)", text, re.M)
    archive = next((a for a in found if not a.endswith("-security")), None)
    if archive is None:
        raise RuntimeError("no Debian mirror found in /etc/apt: expected a 'deb …/debian' or 'URIs: …/debian' line")
    security = next((a for a in found if a.endswith("-security")), None)
    return archive, security


class ForeignApt:
    """apt with a state of its own, for one architecture of Debian 12, or of another suite; with backports these come first."""

    def __init__(self, architecture, folder, suite="bookworm", sources=False, backports=False):
        self._folder = Path(folder)
        state, cache, config = (self._folder / n for n in ("state", "cache", "config"))
        for made in (state / "lists" / "partial", cache / "archives" / "partial", config, self._folder / "debs"):
            made.mkdir(parents=True, exist_ok=True)
        (state / "status").touch()
        archive, security = _mirrors()
        lines = [f"deb [arch={architecture} signed-by={KEYRING}] {archive} {suite} main"]
        if security:
            lines.append(f"deb [arch={architecture} signed-by={KEYRING}] {security} {suite}-security main")
        if backports:
            lines.append(f"deb [arch={architecture} signed-by={KEYRING}] {archive} {suite}-backports main")
        if sources:
            lines += [line.replace("deb ", "deb-src ", 1) for line in lines]
        (config / "sources.list").write_text("\n".join(lines) + "\n")
        options = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "Dir::State": state,
            "Dir::State::status": state / "status",
            "Dir::Cache": cache,
            "Dir::Etc::SourceList": config / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "APT::Sandbox::User": "root",
            **({"APT::Default-Release": f"{suite}-backports"} if backports else {}),
        }
        self._options = [word for k, v in options.items() for word in ("-o", f"{k}={v}")]

    def update(self):
        subprocess.run(["apt-get", *self._options, "-qq", "update"], check=True)

    def dependency(self, package, pattern):
        """The one dependency of a package whose name matches, for meta packages that name the current kernel."""
        out = subprocess.run(
            ["apt-cache", *self._options, "depends", package], check=True, capture_output=True, text=True
        )
        return re.search(rf"Depends: ({pattern})", out.stdout)[1]

    def try_update(self):
        """As update; False when a list could not be had or is not what its signed index says. What the others say still counts."""
        return subprocess.run(["apt-get", *self._options, "-qq", "update"], check=False).returncode == 0

    def newest(self, package):
        """(path on the mirror, SHA-256) of the newest version of a package, None if there is no such package."""
        out = subprocess.run(
            ["apt-cache", *self._options, "show", "--no-all-versions", package],
            check=False,
            capture_output=True,
            text=True,
        )
        fields = dict(re.findall(r"^(Filename|SHA256): (\S+)$", out.stdout, re.M))
        return (fields["Filename"], fields["SHA256"]) if len(fields) == 2 else None

    def newest_source(self, package):
        """(path on the mirror, SHA-256) of what upstream published for the newest version of a source package, None if there is none."""
        out = subprocess.run(
            ["apt-get", *self._options, "source", "--print-uris", package], check=False, capture_output=True, text=True
        )
        found = re.search(r"^'\S+?/(pool/\S+)/[^/]+' (\S+\.orig\.tar\.\S+) \d+ SHA256:(\S+)$", out.stdout, re.M)
        return (f"{found[1]}/{found[2]}", found[3]) if found else None

    def libraries(self, packages):
        """The packages of libraries that these packages need, and those need in turn. Not those for compilers: the C library of one that
        compiles for the target is its own."""
        found, waiting = set(), list(packages)
        while waiting:
            out = subprocess.run(
                ["apt-cache", *self._options, "depends", "--important", *waiting],
                check=True,
                capture_output=True,
                text=True,
            )
            names = (
                set(re.findall(r"^ [ |](?:Pre)?Depends: (z?lib\S+(?<!-dev)(?<!-bin))$", out.stdout, re.M))
                - found
                - set(packages)
            )
            found |= names
            waiting = sorted(names)
        return sorted(found)

    def download(self, packages):
        """Downloads what is not there yet and returns the .deb files."""
        debs = self._folder / "debs"
        missing = [p for p in packages if not list(debs.glob(f"{p}_*.deb"))]
        if missing:
            subprocess.run(["apt-get", *self._options, "-q", "download", *missing], check=True, cwd=debs)
        return [next(debs.glob(f"{p}_*.deb")) for p in packages]


def unpack(debs, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    for deb in debs:
        subprocess.run(["dpkg", "-x", deb, folder], check=True)
