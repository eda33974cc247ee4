# SPDX-License-Identifier: MIT
"""Update repositories: a folder with signed bundles and a signed list, for any web server. docs/source-repository.md has the format.

The list that is worked on is targets.json; devices never look at it. Signing makes index.json of it, which they do.
"""

import datetime
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from otamgr import bundle

FORMAT = "otamgr-repository-1"
TARGETS, INDEX, SIGNATURE, BUNDLES = "targets.json", "index.json", "index.json.sig", "bundles"
# As on the device: Target.java and Index.java.
NAME = re.compile(r"[A-Za-z0-9_+~:][A-Za-z0-9._+~:-]{0,127}")
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
INDEX_LIMIT = 1 << 20
TARGET_LIMIT = 1000


class RepositoryError(Exception):
    """The repository cannot be read or changed; the message says what was expected and what was found."""


class ExpiredError(RepositoryError):
    """The list is past its date."""


def _replace(path, content):
    """Complete or not at all, also for a web server that reads meanwhile."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with open(new, "wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _digest(path):
    """Size and SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as stream:
        while piece := stream.read(bundle.PIECE):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def _text(value):
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _read(path):
    try:
        value = json.loads(path.read_text())
    except ValueError as e:
        raise RepositoryError(f"{path} is no JSON: {e}") from None
    if not isinstance(value, dict) or value.get("format") != FORMAT or not isinstance(value.get("targets"), list):
        raise RepositoryError(f"{path}: expected the format {FORMAT}, found something else")
    return value


def targets(folder):
    """What is worked on: {"format", "repository", "generation", "targets"}; generation is that of the last list that was signed."""
    path = Path(folder, TARGETS)
    if path.exists():
        return _read(path)
    if Path(folder, INDEX).exists():
        raise RepositoryError(f"{path} is missing although there is a list; without it the next list could get a number that devices "
                              "have seen; bring it back")
    return {"format": FORMAT, "repository": "main", "generation": 0, "targets": []}


def _save(folder, value):
    _replace(Path(folder, TARGETS), _text(value))


def add(folder, path, name=None, minimum=None, repository=None):
    """Copies a bundle into the repository, and notes it for the next list. Returns its entry."""
    folder, path = Path(folder), Path(path)
    if minimum:
        bundle.version_key(minimum)
    with bundle.open_bundle(path) as opened:
        opened.check_image()
        manifest = opened.values()
    name = name or f"{manifest['compatible']}-{manifest['version']}"
    if not NAME.fullmatch(name):
        raise RepositoryError(f"name: expected letters, digits and . _ + ~ : -, at most 128, found '{name}'; choose one with --name")
    folder.mkdir(parents=True, exist_ok=True)
    value = targets(folder)
    if repository:
        if not REPOSITORY.fullmatch(repository) or value["generation"] and repository != value["repository"]:
            raise RepositoryError(f"repository: expected {value['repository']}, as it was signed before, or a name of letters, digits and "
                                  f". _ - for a new one, found '{repository}'")
        value["repository"] = repository
    size, digest = _digest(path)
    entry = {"name": name, "version": manifest["version"], "compatible": manifest["compatible"], "bytes": size, "sha256": digest,
             "bundle": f"{BUNDLES}/{name.replace(':', '_')}.{digest[:12]}.bundle", **({"minimum": minimum} if minimum else {})}
    others = [other for other in value["targets"] if other["name"] != name]
    if len(others) >= TARGET_LIMIT:
        raise RepositoryError(f"expected at most {TARGET_LIMIT} targets; remove some first")
    # A file never changes under its name: devices may be in the middle of it. One that is damaged is of no use to them.
    place = folder / entry["bundle"]
    place.parent.mkdir(exist_ok=True)
    if not place.exists() or _digest(place) != (size, digest):
        new = place.with_name(f"{place.name}.{os.getpid()}.new")
        try:
            shutil.copyfile(path, new)
            new.replace(place)
        finally:
            new.unlink(missing_ok=True)
    value["targets"] = sorted([*others, entry], key=lambda one: (one["compatible"], bundle.version_key(one["version"]), one["name"]))
    _save(folder, value)
    return entry


def remove(folder, name):
    """Takes a target out of the next list. Its file stays, as devices may be in the middle of it."""
    value = targets(folder)
    left = [entry for entry in value["targets"] if entry["name"] != name]
    if len(left) == len(value["targets"]):
        raise RepositoryError(f"expected the name of a target, found '{name}'; see: ota-repository list")
    value["targets"] = left
    _save(folder, value)


def sign(folder, key, days, now=None):
    """Makes and signs the list, with the next number. Returns the list."""
    folder = Path(folder)
    value = targets(folder)
    if not value["targets"]:
        raise RepositoryError(f"{folder} has no targets; add a bundle first")
    now = (now or datetime.datetime.now(datetime.timezone.utc)).replace(microsecond=0)
    # Before the list itself: should this be interrupted, a number is lost, and none is used twice.
    value["generation"] += 1
    _save(folder, value)
    index = {**value, "created": _time(now), "expires": _time(now + datetime.timedelta(days=days))}
    content = _text(index)
    if len(content) > INDEX_LIMIT:
        raise RepositoryError(f"the list has {len(content)} bytes, devices take {INDEX_LIMIT}; remove targets")
    unsigned = folder / f"{INDEX}.{os.getpid()}.unsigned"
    try:
        unsigned.write_bytes(content)
        signature = bundle.sign(unsigned, key)
    finally:
        unsigned.unlink(missing_ok=True)
    # One after the other: a device that comes in between asks once more.
    _replace(folder / SIGNATURE, signature)
    _replace(folder / INDEX, content)
    return index


def _time(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def verify(folder, keys, now=None):
    """Checks all that a device that trusts these keys would check, and that every file is there. Returns (the list, who signed it)."""
    folder = Path(folder)
    signer = bundle.verify_signature(folder / INDEX, (folder / SIGNATURE).read_bytes(), "", keys)
    index = _read(folder / INDEX)
    now = now or datetime.datetime.now(datetime.timezone.utc)
    if _time(now) > index["expires"]:
        raise ExpiredError(f"{folder / INDEX} has expired at {index['expires']}; sign it again")
    for entry in index["targets"]:
        place = folder / entry["bundle"]
        found = _digest(place)
        if found != (entry["bytes"], entry["sha256"]):
            raise RepositoryError(f"{place}: expected {entry['bytes']} bytes with the SHA-256 {entry['sha256']}, found {found[0]} with {found[1]}")
        with bundle.open_bundle(place) as opened:
            opened.signed_by(keys)
            opened.check_image()
            manifest = opened.values()
        for key in ("version", "compatible"):
            if manifest[key] != entry[key]:
                raise RepositoryError(f"{place}: expected {key} {entry[key]} as in the list, found {manifest[key]}")
    return index, signer
