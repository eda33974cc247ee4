# SPDX-License-Identifier: MIT
"""What devices will say of a bundle: the program that judges it there, ota-content, is asked while it is made."""

import os
import subprocess
import tempfile
from pathlib import Path

from . import bundle

# Larger than any image: how large the devices' slots are, nobody knows here.
SLOT_BYTES = 1 << 46


class Unasked(Exception):
    """Nobody could be asked."""


def _asked(engine, path, *words):
    """The facts that a sub-command prints about a bundle; raises BundleError with its reason."""
    try:
        done = subprocess.run(
            [engine, "hold", "--image", path, "--", engine, *map(str, words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as e:
        raise Unasked(f"the program {engine} cannot be run: {e.strerror}") from None
    if done.returncode:
        raise bundle.BundleError(
            f"devices would refuse this bundle (sysupgrade: exit {done.returncode}): {done.stderr.strip()}"
        )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def as_device(path, key, warn):
    """Judges a bundle as a device that trusts the key would, by signature, manifest and image.

    Raises BundleError for what all devices would refuse; calls warn with a sentence about what some would, or if nobody can be asked.
    """
    try:
        try:
            engine = bundle.content_engine()
        except bundle.BundleError as e:
            raise Unasked(str(e)) from None
        _judged(engine, path, key, warn)
    except Unasked as e:
        warn(f"the bundle was not judged as devices will do it: {e}")


def _judged(engine, path, key, warn):
    with tempfile.TemporaryDirectory() as folder:
        keys, work = Path(folder, "keys"), Path(folder, "work")
        keys.mkdir()
        work.mkdir()
        (keys / "key.pem").write_text(bundle.public_key_of(key))
        # Without a link in its name, which no device follows either.
        path = os.path.realpath(path)
        opened = _asked(engine, path, "open", "--keys", keys, work)
        facts = _asked(engine, path, "check", "--folder", work, "--slot", "/dev/null", "--slot-bytes", SLOT_BYTES)
        for name in opened.get("images", "").split():
            place = work / f"image.{name}"
            _asked(engine, path, "check", "--folder", place, "--slot", "/dev/null", "--slot-bytes", SLOT_BYTES)
    if facts.get("archive_needs"):
        warn(f"devices without bsdtar will refuse this bundle: {facts['archive_needs']}")
    if facts.get("lacks_reason"):
        warn(f"devices will refuse this bundle unless -F is given: {facts['lacks_reason']}")
