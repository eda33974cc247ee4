# SPDX-License-Identifier: MIT
"""Looks into a board's disk from outside, with the board switched off: environment, files of a slot, the journal."""

import binascii
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from emulated_board import build

_ZEROS = bytes(build.MIB)
# Copies of partitions are read and thrown away; in memory that costs least. A container may have next to none there.
_MEMORY = Path("/dev/shm")
FOLDER = _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= 1024 * build.MIB else None


def environment(disk):
    """The variables of the newer good copy, read by libubootenv."""
    disk = Path(disk)
    with tempfile.NamedTemporaryFile("w", suffix=".config") as config:
        for name in ("OTA_ENV_OFFSET", "OTA_ENV_OFFSET_REDUND"):
            # Relative, because a path in there cannot have blanks.
            config.write(f"{disk.name} {build.SETTINGS[name]} {build.SETTINGS['OTA_ENV_SIZE']}\n")
        config.flush()
        out = subprocess.run(
            ["fw_printenv", "-c", config.name], check=True, capture_output=True, text=True, cwd=disk.parent
        )
    if out.stderr.strip():
        raise RuntimeError(f"fw_printenv: {out.stderr.strip()}")
    return dict(line.split("=", 1) for line in out.stdout.splitlines() if line)


def table(disk, block):
    """The partitions in the GPT whose header is at a block, or None if header or entries are not whole."""
    disk.seek(block * 512)
    header = disk.read(512)
    size, checksum = struct.unpack_from("<II", header, 12)
    first, count, each, entries_checksum = struct.unpack_from("<QIII", header, 72)
    if header[:8] != b"EFI PART" or size != 92 or binascii.crc32(header[:16] + bytes(4) + header[20:size]) != checksum:
        return None
    disk.seek(first * 512)
    entries = disk.read(count * each)
    if binascii.crc32(entries) != entries_checksum:
        return None
    found = {}
    for entry in (entries[n : n + each] for n in range(0, len(entries), each)):
        start, end = struct.unpack_from("<QQ", entry, 32)
        if start:
            found[entry[56:128].decode("utf-16-le").rstrip("\0")] = (start * 512, (end - start + 1) * 512)
    return found


# Of an MBR's records: where they are, and the type that says that there is a GPT. Their partitions have no names, and the layer's order.
_RECORDS, _PROTECTIVE = 446, 0xEE
_WITHOUT_NAMES = ("boot", "rootfs-a", "rootfs-b", "data")


def _mbr(sector):
    """The partitions of an MBR, or None if it is none or one of a disk with a GPT."""
    records = [sector[at : at + 16] for at in range(_RECORDS, _RECORDS + 64, 16)]
    if sector[510:512] != b"\x55\xaa" or any(record[4] == _PROTECTIVE for record in records):
        return None
    places = [struct.unpack_from("<II", record, 8) for record in records]
    return {name: (start * 512, size * 512) for name, (start, size) in zip(_WITHOUT_NAMES, places, strict=True)}


def partitions(disk):
    """name: (start, size) in bytes, as Linux with `gpt` on its command line and U-Boot find them: the first table, else the last."""
    with open(disk, "rb") as file:
        if found := _mbr(file.read(512)):
            return found
        found = table(file, 1) or table(file, Path(disk).stat().st_size // 512 - 1)
    if found is None:
        raise RuntimeError("neither partition table of the disk is whole")
    return found


class FileSystem:
    """A copy of one partition, its ext4 journal replayed, as the board would find it at the next mount."""

    def __init__(self, disk, partition):
        start, size = partitions(disk)[partition]
        self._folder = tempfile.TemporaryDirectory(dir=FOLDER)
        self.image = Path(self._folder.name) / partition
        with open(disk, "rb") as source, open(self.image, "wb") as copy:
            source.seek(start)
            for place in range(0, size, build.MIB):
                block = source.read(min(build.MIB, size - place))
                if block == _ZEROS[: len(block)]:
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


def journal(disk):
    """The journal of updates as text, empty if there is none."""
    with FileSystem(disk, "data") as data:
        return (data.read("/otamgr/journal") or b"").decode()


def overlay_header(disk, slot):
    """The header in the overlay on /etc of a slot whose root is read-only, or None; and the names of all complete overlays."""
    with FileSystem(disk, "data") as data:
        listing = subprocess.run(
            ["debugfs", "-R", "ls -p /otamgr/etc", data.image], check=True, capture_output=True, text=True
        ).stdout
        names = [line.split("/")[5] for line in listing.splitlines() if line.count("/") > 5]
        overlays = sorted(name for name in names if name[:2] in ("a.", "b."))
        mine = [name for name in overlays if name[0] == slot]
        return data.read(f"/otamgr/etc/{mine[-1]}/upper/ota_type_5.hdr") if mine else None, overlays


def holds(disk, partition, image):
    """Whether a partition begins with exactly this image."""
    start, size = partitions(disk)[partition]
    left = Path(image).stat().st_size
    if left > size:
        return False
    with open(disk, "rb") as source, open(image, "rb") as expected:
        source.seek(start)
        while block := expected.read(build.MIB):
            if source.read(len(block)) != block:
                return False
    return True
