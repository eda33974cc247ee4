# SPDX-License-Identifier: MIT
"""Where the U-Boot environment and the slots are: one set of OTA_ settings, checked, and filled into templates.

Settings are anything with a method getVar(name) that returns text, as BitBake's datastore has.
"""

import hashlib
import re
import struct
import uuid
from typing import NamedTuple

from . import verified

SECTOR = 512
MIB = 1 << 20
# Of all images of this layer.
_IMAGES = uuid.UUID("0f0bb0c5-2f5e-4c5e-9d7c-7d0c9a3b1f5e")


class SettingError(Exception):
    """A setting is no number or no known word; the message names it, what was expected and what was found."""


def _text(settings, name):
    return (settings.getVar(name) or "").strip()


def number(settings, name, base=10):
    found = _text(settings, name)
    try:
        value = int(found, base)
    except ValueError:
        kind = "a hexadecimal number such as 0x400000" if base == 16 else "a whole number"
        raise SettingError(f'{name}: expected {kind}, found "{found}"') from None
    if value < 0:
        raise SettingError(f"{name}: expected no negative number, found {found}")
    return value


def _word(settings, name, words):
    found = _text(settings, name)
    if found not in words:
        raise SettingError(f'{name}: expected one of {", ".join(words)}, found "{found}"')
    return found


class Layout:
    """The settings as numbers, in bytes where not said otherwise."""

    def __init__(self, settings):
        self.store = _word(settings, "OTA_ENV_STORE", ("native", "script"))
        self.table = _word(settings, "OTA_PARTITION_TABLE", ("gpt", "msdos"))
        # GPT: protective MBR, header, 128 entries of 128 bytes.
        self.table_end = 34 * SECTOR if self.table == "gpt" else SECTOR
        self.device = _text(settings, "OTA_ENV_DEVICE")
        self.env_size = number(settings, "OTA_ENV_SIZE", 16)
        self.env_offsets = (number(settings, "OTA_ENV_OFFSET", 16), number(settings, "OTA_ENV_OFFSET_REDUND", 16))
        self.boot_start = number(settings, "OTA_BOOT_START", 10) * MIB
        self.boot_size = number(settings, "OTA_BOOT_SIZE", 10) * MIB
        self.slot_size = number(settings, "OTA_SLOT_SIZE", 10) * MIB
        self.data_size = number(settings, "OTA_DATA_SIZE", 10) * MIB

    def problems(self):
        """What is wrong with these settings, as sentences; nothing when they fit together."""
        found = []
        first, second = self.env_offsets
        if not re.fullmatch(r"/dev/[\w./-]+", self.device):
            found.append(
                f'OTA_ENV_DEVICE: expected the disk as Linux names it, such as /dev/mmcblk0, found "{self.device}"'
            )
        if re.fullmatch(r"/dev/(mmcblk\d+p\d+|[vsh]d[a-z]\d+)", self.device):
            found.append(f"OTA_ENV_DEVICE: expected the whole disk, found the partition {self.device}")
        if self.env_size < 0x1000:
            found.append(f"OTA_ENV_SIZE: expected at least 0x1000 for U-Boot's own variables, found {self.env_size:#x}")
        for name, value in (
            ("OTA_ENV_SIZE", self.env_size),
            ("OTA_ENV_OFFSET", first),
            ("OTA_ENV_OFFSET_REDUND", second),
        ):
            if value % SECTOR:
                found.append(f"{name}: expected a multiple of {SECTOR}, found {value:#x}")
        if abs(first - second) < self.env_size:
            found.append(
                f"OTA_ENV_OFFSET_REDUND: the copies at {first:#x} and {second:#x} overlap, each has {self.env_size:#x} bytes"
            )
        for name, value in (("OTA_ENV_OFFSET", first), ("OTA_ENV_OFFSET_REDUND", second)):
            if value < self.table_end:
                found.append(f"{name}: {value:#x} is inside the partition table, which ends at {self.table_end:#x}")
            if value + self.env_size > self.boot_start:
                found.append(
                    f"{name}: the copy at {value:#x} ends at {value + self.env_size:#x}, behind the start of the first partition "
                    f"(OTA_BOOT_START, {self.boot_start:#x})"
                )
        for name, value in (
            ("OTA_BOOT_SIZE", self.boot_size),
            ("OTA_SLOT_SIZE", self.slot_size),
            ("OTA_DATA_SIZE", self.data_size),
        ):
            if value < MIB:
                found.append(f"{name}: expected at least 1 (MiB)")
        return found


def file_system_uuid(settings):
    """The identifier of the image's file systems: that of its machine and name, the same in each build."""
    return str(uuid.uuid5(_IMAGES, "/".join((_text(settings, "MACHINE"), _text(settings, "IMAGE_BASENAME")))))


def salt(settings):
    """Of the hash trees of the image's slots, as 64 hexadecimal digits: the same in each build."""
    return hashlib.sha256(file_system_uuid(settings).encode()).hexdigest()


def slots_conf(settings):
    """/etc/otamgr/slots.conf of a disk whose partitions have no names; None for one with a GPT, which needs none."""
    if _text(settings, "OTA_PARTITION_TABLE") == "gpt":
        return None
    device = _text(settings, "OTA_ENV_DEVICE")
    # mmcblk0p2, but sda2.
    between = "p" if re.search(r"\d$", device) else ""
    parts = (
        ("SLOT_A_DEVICE", _text(settings, "OTA_SLOT_A_PART")),
        ("SLOT_B_DEVICE", _text(settings, "OTA_SLOT_B_PART")),
        ("DATA_DEVICE", "4"),
    )
    return "# The partitions of this disk have no names.\n" + "".join(
        f"{key}={device}{between}{number}\n" for key, number in parts
    )


def raw_files(settings):
    """(file, offset) of the boot loaders that are at raw places of the disk."""
    found = []
    for word in _text(settings, "OTA_BOOT_RAW").split():
        match = re.fullmatch(r"([^@]+)@(0x[0-9a-fA-F]+)", word)
        if not match or int(match[2], 16) % SECTOR:
            raise SettingError(
                f'OTA_BOOT_RAW: expected words such as u-boot.itb@0x800000, each offset a multiple of {SECTOR}, found "{word}"'
            )
        found.append((match[1], int(match[2], 16)))
    return found


def raw_problems(settings, size_of):
    """Where raw boot loaders, of the sizes that size_of(file) tells, are over anything else, as sentences."""
    layout, found = Layout(settings), []
    files = [(f"{file} (OTA_BOOT_RAW)", offset, offset + size_of(file)) for file, offset in raw_files(settings)]
    # The copies do not overlap one another, and the first partition ends what is raw.
    others = [("the partition table", SECTOR - 2, layout.table_end)]
    others += [("the U-Boot environment", offset, offset + layout.env_size) for offset in layout.env_offsets]
    others += [("the first partition (OTA_BOOT_START)", layout.boot_start, layout.boot_start + layout.boot_size)]
    for i, (what, start, end) in enumerate(files):
        for other, low, high in [*files[i + 1 :], *others]:
            if start < high and low < end:
                found.append(f"{what} at {start:#x} to {end:#x} is over {other} at {low:#x} to {high:#x}")
    return found


class BootPlaces(NamedTuple):
    """Two places of the disk at which the ROM looks for the boot loader, one after the other; in bytes."""

    first: int
    second: int
    bytes: int  # that are free at each

    def conf(self, device):
        """The target of the image boot-loader."""
        return (
            f"PLACE_DEVICE={device}\nPLACE_FIRST={self.first}\nPLACE_SECOND={self.second}\nPLACE_BYTES={self.bytes}\n"
        )


def boot_places(settings):
    """OTA_BOOT_LOADER_PLACES, or None."""
    words = _text(settings, "OTA_BOOT_LOADER_PLACES").split()
    if not words:
        return None
    places = [int(word, 16) if re.fullmatch(r"0x[0-9a-fA-F]{1,10}", word) else 0 for word in words]
    if len(places) != 2 or 0 in places or any(place % SECTOR for place in places) or places[0] == places[1]:
        raise SettingError(
            f"OTA_BOOT_LOADER_PLACES: expected two different offsets such as 0x8000 0x400000, multiples of {SECTOR}, in the order in which "
            f'the ROM tries them, found "{" ".join(words)}"'
        )
    layout = Layout(settings)
    others = (offset for _, offset in raw_files(settings))
    starts = {layout.boot_start, *layout.env_offsets, *others, *places}
    free = [min((start for start in starts if start > place), default=place) - place for place in places]
    return BootPlaces(*places, min(free))


def _place_problems(settings):
    places, file = boot_places(settings), _text(settings, "OTA_BOOT_LOADER")
    if not places:
        return []
    found = []
    if not file:
        found.append("expected the file that lies there in OTA_BOOT_LOADER, found nothing")
    missing = [place for place in places[:2] if (file, place) not in raw_files(settings)]
    if file and missing:
        found.append(
            "a device that is flashed needs the boot loader at both places: expected "
            f"{' and '.join(f'{file}@{place:#x}' for place in missing)} in OTA_BOOT_RAW, too"
        )
    device, disk = _text(settings, "OTA_BOOT_LOADER_DEVICE"), _text(settings, "OTA_ENV_DEVICE")
    if device != disk:
        found.append(f"they are on the disk that is flashed, {disk}; OTA_BOOT_LOADER_DEVICE says {device}")
    return [f"OTA_BOOT_LOADER_PLACES: {problem}" for problem in found]


def problems(settings):
    """What is wrong with the settings, as sentences."""
    try:
        # How large they are is known when they are built.
        return [
            *Layout(settings).problems(),
            *raw_problems(settings, lambda file: 1),
            *_place_problems(settings),
            *_verified_problems(settings),
        ]
    except SettingError as e:
        return [str(e)]


TEMPLATE_SETTINGS = (
    "OTA_ENV_STORE",
    "OTA_ENV_DEVICE",
    "OTA_ENV_OFFSET",
    "OTA_ENV_OFFSET_REDUND",
    "OTA_ENV_SIZE",
    "OTA_SLOT_A_PART",
    "OTA_SLOT_B_PART",
    "OTA_BOOTARGS",
    "OTA_WATCHDOG",
)


def words(settings):
    """The words that templates may contain between at signs, with their values."""
    layout = Layout(settings)
    values = {name: _text(settings, name) for name in TEMPLATE_SETTINGS}
    # U-Boot's commands count in blocks and read hexadecimal numbers without 0x.
    values["OTA_ENV_BLOCK"] = f"{layout.env_offsets[0] // SECTOR:x}"
    values["OTA_ENV_BLOCK_REDUND"] = f"{layout.env_offsets[1] // SECTOR:x}"
    values["OTA_ENV_BLOCKS"] = f"{layout.env_size // SECTOR:x}"
    # A raw copy is checksum (4), generation (1), data; the form that env import and export know is checksum (4), data.
    values["OTA_ENV_DATA_SIZE"] = f"{layout.env_size - 5:x}"
    values["OTA_ENV_PLAIN_SIZE"] = f"{layout.env_size - 1:x}"
    values["OTA_VERIFIED_BOOT"] = verified_boot(settings)
    values["OTA_RPMB_FLOOR"] = rpmb_floor(settings)
    values["OTA_ROLLBACK_INDEX"] = f"{rollback_index(settings):x}"
    values["OTA_VERIFIED_FIT_LIMIT"] = (settings.getVar("OTA_VERIFIED_FIT_LIMIT") or "0x4000000").strip()
    return values


def _verified_problems(settings):
    rollback_index(settings)
    if verified_boot(settings) != "1":
        if rpmb_floor(settings) == "1":
            return ['OTA_RPMB_FLOOR = "1": the rollback index is a part of what is signed: set OTA_VERIFIED_BOOT = "1"']
        return []
    found = []
    if rpmb_floor(settings) == "1" and not re.fullmatch(r"/dev/mmcblk\d+", _text(settings, "OTA_ENV_DEVICE")):
        found.append(
            'OTA_RPMB_FLOOR = "1": only an eMMC has an RPMB: expected /dev/mmcblk0 or another one as OTA_ENV_DEVICE, '
            f'found "{_text(settings, "OTA_ENV_DEVICE")}"'
        )
    if _text(settings, "OTA_ENV_STORE") != "script":
        found.append(
            'OTA_VERIFIED_BOOT = "1": a U-Boot that loads its environment from the disk takes its commands from there, so the boot script '
            'has to keep the few variables that count: set OTA_ENV_STORE = "script"'
        )
    if _text(settings, "OTA_PARTITION_TABLE") != "gpt":
        found.append(
            'OTA_VERIFIED_BOOT = "1": the initramfs finds the slots by their names, which a partition table of the kind msdos has not: set '
            'OTA_PARTITION_TABLE = "gpt"'
        )
    if not (settings.getVar("OTA_UBOOT_BOOTCOMMAND") or "").strip():
        found.append(
            'OTA_VERIFIED_BOOT = "1": no U-Boot loads a signed boot script by itself: set OTA_UBOOT_BOOTCOMMAND '
            "(docs/verified-boot.md, step 3)"
        )
    return found


def _switch(settings, name):
    text = _text(settings, name) or "0"
    if text not in ("0", "1"):
        raise SettingError(f'{name}: expected 0 or 1, found "{text}"')
    return text


def verified_boot(settings):
    """0 or 1."""
    return _switch(settings, "OTA_VERIFIED_BOOT")


def rpmb_floor(settings):
    """0 or 1: whether U-Boot reads from the eMMC's RPMB what it may start."""
    return _switch(settings, "OTA_RPMB_FLOOR")


def rollback_index(settings):
    """That of the images of this build."""
    index = number(settings, "OTA_ROLLBACK_INDEX") if _text(settings, "OTA_ROLLBACK_INDEX") else 0
    if index > verified.HIGHEST_INDEX:
        raise SettingError(f"OTA_ROLLBACK_INDEX: expected 0 to {verified.HIGHEST_INDEX}, found {index}")
    return index


def fill(text, settings):
    """The text with every @OTA_WORD@ replaced. Raises SettingError for a word that has no value."""
    values = words(settings)

    def value(match):
        if match[1] not in values:
            raise SettingError(f"template: expected one of {', '.join(sorted(values))}, found @{match[1]}@")
        return values[match[1]]

    return re.sub(r"@(OTA_\w+)@", value, text)


def wks_environment(settings, file_name):
    """The lines of a wks layout that put raw boot loaders and the first environment on the disk.

    The environment only for a boot script that keeps the variables itself: an environment for U-Boot's own would take the place of U-Boot's
    default variables, bootcmd among them. There both copies stay empty until the first boot writes them.
    """
    layout = Layout(settings)
    parts = [(offset, file, "") for file, offset in raw_files(settings)]
    if layout.store == "script":
        parts += [
            (offset, file_name, f" --fixed-size {max(layout.env_size, 1024) // 1024}K") for offset in layout.env_offsets
        ]
    # wic places them in the order of their lines.
    return "\n".join(
        f'part --source rawcopy --sourceparams="file={file}" --fstype=none --no-table --offset {offset // SECTOR}s{size}'
        for offset, file, size in sorted(parts)
    )


def read_partitions(disk, sector=SECTOR):
    """The partitions of a disk image as (number, name, start, size) in bytes; GPT or MBR. Name is empty for MBR."""
    disk.seek(0)
    mbr = disk.read(sector)
    if mbr[510:512] != b"\x55\xaa":
        raise SettingError("the disk image has no partition table")
    entries = [struct.unpack("<B3sB3sII", mbr[446 + 16 * i : 462 + 16 * i]) for i in range(4)]
    if entries[0][2] != 0xEE:
        return [(i + 1, "", e[4] * sector, e[5] * sector) for i, e in enumerate(entries) if e[2] != 0]
    disk.seek(sector)
    header = disk.read(92)
    if header[:8] != b"EFI PART":
        raise SettingError("the disk image announces a GPT and has none")
    table, count, size = struct.unpack("<QII", header[72:88])
    found = []
    for i in range(count):
        disk.seek(table * sector + i * size)
        entry = disk.read(size)
        if entry[:16] == bytes(16):
            continue
        first, last = struct.unpack("<QQ", entry[32:48])
        found.append(
            (i + 1, entry[56:128].decode("utf-16-le").rstrip("\0"), first * sector, (last - first + 1) * sector)
        )
    return found


def disk_problems(settings, partitions):
    """Where a finished disk image disagrees with the settings, as sentences; partitions as read_partitions returns them."""
    layout = Layout(settings)
    found = []
    by_number = {number: (name, start, size) for number, name, start, size in partitions}
    for start, size in ((s, z) for _, _, s, z in partitions):
        for offset in layout.env_offsets:
            if start < offset + layout.env_size and offset < start + size:
                found.append(f"the partition at {start:#x} covers the U-Boot environment at {offset:#x}")
    slots = []
    for name, setting in (("rootfs-a", "OTA_SLOT_A_PART"), ("rootfs-b", "OTA_SLOT_B_PART")):
        part = number(settings, setting)
        if part not in by_number:
            found.append(f"{setting} is {part}, but the disk image has no such partition")
            continue
        there, _, size = by_number[part]
        if layout.table == "gpt" and there != name:
            found.append(f'partition {part} ({setting}): expected the name {name}, found "{there}"')
        slots.append(size)
    if len(slots) == 2 and slots[0] != slots[1]:
        found.append(
            f"the slots differ in size: {slots[0]} and {slots[1]} bytes; an update that fits one may not fit the other"
        )
    if layout.table == "gpt" and not any(name == "data" for _, name, _, _ in partitions):
        found.append('the disk image has no partition named "data"')
    return found
