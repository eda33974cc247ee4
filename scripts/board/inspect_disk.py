# SPDX-License-Identifier: MIT
"""Looks into a board's disk from outside, with the board switched off: environment, files of a slot, the journal."""

import subprocess
import tempfile
from pathlib import Path

import build

_ZEROS = bytes(build.MIB)
# Copies of partitions are read and thrown away; in memory that costs least.
FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None


def environment(disk):
    """The variables of the newer good copy, read by libubootenv."""
    with tempfile.NamedTemporaryFile("w", suffix=".config") as config:
        for name in ("OTA_ENV_OFFSET", "OTA_ENV_OFFSET_REDUND"):
            config.write(f"{disk} {build.SETTINGS[name]} {build.SETTINGS['OTA_ENV_SIZE']}\n")
        config.flush()
        out = subprocess.run(["fw_printenv", "-c", config.name], check=True, capture_output=True, text=True)
    if out.stderr.strip():
        raise RuntimeError(f"fw_printenv: {out.stderr.strip()}")
    return dict(line.split("=", 1) for line in out.stdout.splitlines() if line)


class FileSystem:
    """A copy of one partition, its ext4 journal replayed, as the board would find it at the next mount."""

    def __init__(self, disk, partition):
        start, size = next((start, size) for name, start, size in build.PARTITIONS if name == partition)
        self._folder = tempfile.TemporaryDirectory(dir=FOLDER)
        self.image = Path(self._folder.name) / partition
        with open(disk, "rb") as source, open(self.image, "wb") as copy:
            source.seek(start * build.MIB)
            for _ in range(size):
                block = source.read(build.MIB)
                if block == _ZEROS:
                    copy.truncate(copy.tell() + len(block))
                    copy.seek(0, 2)
                else:
                    copy.write(block)
        check = subprocess.run(["e2fsck", "-fp", self.image], capture_output=True, text=True)
        if check.returncode > 1:
            raise RuntimeError(f"{partition}: e2fsck: {check.stdout.strip()}")

    def read(self, path):
        """A file's content, or None."""
        out = subprocess.run(["debugfs", "-R", f"cat {path}", self.image], capture_output=True)
        return None if b"File not found" in out.stderr else out.stdout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._folder.cleanup()
