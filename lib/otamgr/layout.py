# SPDX-License-Identifier: MIT
"""Where the U-Boot environment and the slots are: one set of OTA_ settings, checked, and filled into templates.

Settings are anything with a method getVar(name) that returns text, as BitBake's datastore has.
"""

import re
import struct

SECTOR = 512
MIB = 1 << 20

# The newest U-Boot symbol first. Each name was the only one in some release; a configuration ignores those it does not know.
REDUNDANT_SYMBOLS = ("CONFIG_ENV_REDUNDANT", "CONFIG_SYS_REDUNDAND_ENVIRONMENT")


class SettingError(Exception):
    """A setting is no number or no known word; the message names it, what was expected and what was found."""


def _text(settings, name):
    return (settings.getVar(name) or "").strip()


def _number(settings, name, base):
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
        self.device = _text(settings, "OTA_ENV_DEVICE")
        self.env_size = _number(settings, "OTA_ENV_SIZE", 16)
        self.env_offsets = (_number(settings, "OTA_ENV_OFFSET", 16), _number(settings, "OTA_ENV_OFFSET_REDUND", 16))
        self.boot_start = _number(settings, "OTA_BOOT_START", 10) * MIB
        self.boot_size = _number(settings, "OTA_BOOT_SIZE", 10) * MIB
        self.slot_size = _number(settings, "OTA_SLOT_SIZE", 10) * MIB
        self.data_size = _number(settings, "OTA_DATA_SIZE", 10) * MIB

    def problems(self):
        """What is wrong with these settings, as sentences; nothing when they fit together."""
        found = []
        first, second = self.env_offsets
        if not re.fullmatch(r"/dev/[\w./-]+", self.device):
            found.append(f'OTA_ENV_DEVICE: expected the disk as Linux names it, such as /dev/mmcblk0, found "{self.device}"')
        if re.fullmatch(r"/dev/(mmcblk\d+p\d+|[vsh]d[a-z]\d+)", self.device):
            found.append(f"OTA_ENV_DEVICE: expected the whole disk, found the partition {self.device}")
        if self.env_size < 0x1000:
            found.append(f"OTA_ENV_SIZE: expected at least 0x1000 for U-Boot's own variables, found {self.env_size:#x}")
        for name, value in (("OTA_ENV_SIZE", self.env_size), ("OTA_ENV_OFFSET", first), ("OTA_ENV_OFFSET_REDUND", second)):
            if value % SECTOR:
                found.append(f"{name}: expected a multiple of {SECTOR}, found {value:#x}")
        if abs(first - second) < self.env_size:
            found.append(f"OTA_ENV_OFFSET_REDUND: the copies at {first:#x} and {second:#x} overlap, each has {self.env_size:#x} bytes")
        # GPT: protective MBR, header, 128 entries of 128 bytes.
        table_end = 34 * SECTOR if self.table == "gpt" else SECTOR
        for name, value in (("OTA_ENV_OFFSET", first), ("OTA_ENV_OFFSET_REDUND", second)):
            if value < table_end:
                found.append(f"{name}: {value:#x} is inside the partition table, which ends at {table_end:#x}")
            if value + self.env_size > self.boot_start:
                found.append(
                    f"{name}: the copy at {value:#x} ends at {value + self.env_size:#x}, behind the start of the first partition "
                    f"(OTA_BOOT_START, {self.boot_start:#x})")
        for name, value in (("OTA_BOOT_SIZE", self.boot_size), ("OTA_SLOT_SIZE", self.slot_size), ("OTA_DATA_SIZE", self.data_size)):
            if value < MIB:
                found.append(f"{name}: expected at least 1 (MiB)")
        return found


def problems(settings):
    """What is wrong with the settings, as sentences."""
    try:
        return Layout(settings).problems()
    except SettingError as e:
        return [str(e)]


TEMPLATE_SETTINGS = ("OTA_ENV_STORE", "OTA_ENV_DEVICE", "OTA_ENV_OFFSET", "OTA_ENV_OFFSET_REDUND", "OTA_ENV_SIZE", "OTA_SLOT_A_PART",
                     "OTA_SLOT_B_PART", "OTA_BOOTARGS", "OTA_WATCHDOG")


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
    return values


def fill(text, settings):
    """The text with every @OTA_WORD@ replaced. Raises SettingError for a word that has no value."""
    values = words(settings)

    def value(match):
        if match[1] not in values:
            raise SettingError(f"template: expected one of {', '.join(sorted(values))}, found @{match[1]}@")
        return values[match[1]]

    return re.sub(r"@(OTA_\w+)@", value, text)


def wks_environment(settings, file_name):
    """The lines of a wks layout that put the first environment on the disk.

    Only for a boot script that keeps the variables itself: an environment for U-Boot's own would take the place of U-Boot's
    default variables, bootcmd among them. There both copies stay empty until the first boot writes them.
    """
    layout = Layout(settings)
    if layout.store != "script":
        return ""
    return "\n".join(
        f'part --source rawcopy --sourceparams="file={file_name}" --fstype=none --no-table --offset {offset // SECTOR}s --fixed-size {max(layout.env_size, 1024) // 1024}K'
        for offset in sorted(layout.env_offsets))


def uboot_config(settings):
    """The configuration fragment that makes U-Boot keep a redundant environment on the MMC device, as fw_env.config says.

    Empty but for a comment where the boot script keeps the environment.
    """
    layout = Layout(settings)
    lines = ["# Made from the OTA_ENV_ settings."]
    if layout.store == "script":
        return "\n".join([*lines, "# The boot script keeps the environment."]) + "\n"
    # "env load" is there to see that what was saved is kept.
    lines += ["CONFIG_CMD_SAVEENV=y", "CONFIG_CMD_NVEDIT_LOAD=y", "CONFIG_ENV_IS_IN_MMC=y"]
    lines += [f"# CONFIG_ENV_IS_{place} is not set"
              for place in ("NOWHERE", "IN_FAT", "IN_EXT4", "IN_FLASH", "IN_SPI_FLASH", "IN_NAND", "IN_UBI")]
    lines += [f"{name}=y" for name in REDUNDANT_SYMBOLS]
    lines += [
        f"CONFIG_ENV_SIZE={layout.env_size:#x}", f"CONFIG_ENV_OFFSET={layout.env_offsets[0]:#x}",
        f"CONFIG_ENV_OFFSET_REDUND={layout.env_offsets[1]:#x}",
    ]
    device = re.fullmatch(r"/dev/mmcblk(\d+)", layout.device)
    if device:
        lines.append(f"CONFIG_SYS_MMC_ENV_DEV={device[1]}")
    return "\n".join(lines) + "\n"


def uboot_config_problems(settings, config):
    """Where the configuration that U-Boot was built with disagrees with the settings, as sentences."""
    layout = Layout(settings)
    values = dict(re.findall(r"^(CONFIG_\w+)=(.*)$", config, re.M))
    found, commands = [], ["SETEXPR", "ITEST", "PART", "FS_GENERIC"]
    places = []
    if layout.store == "script":
        commands += ["IMPORTENV", "EXPORTENV", "MEMORY"]
    else:
        commands.append("SAVEENV")
        places = [("CONFIG_ENV_SIZE", "OTA_ENV_SIZE", layout.env_size), ("CONFIG_ENV_OFFSET", "OTA_ENV_OFFSET", layout.env_offsets[0]),
                  ("CONFIG_ENV_OFFSET_REDUND", "OTA_ENV_OFFSET_REDUND", layout.env_offsets[1])]
        if values.get("CONFIG_ENV_IS_IN_MMC") != "y":
            found.append("CONFIG_ENV_IS_IN_MMC is not set; U-Boot would not keep its environment where fw_setenv writes it")
        if not any(values.get(name) == "y" for name in REDUNDANT_SYMBOLS):
            found.append(f"none of {' and '.join(REDUNDANT_SYMBOLS)} is set; with one copy a power cut while saving loses the environment")
    for symbol, setting, wanted in places:
        text = values.get(symbol, "")
        try:
            value = int(text, 0)
        except ValueError:
            value = None
        if value != wanted:
            found.append(f'{symbol} is "{text}", but {setting} (and with it fw_env.config) says {wanted:#x}')
    found += [f"CONFIG_CMD_{name} is not set; the boot script needs that command" for name in commands if values.get(f"CONFIG_CMD_{name}") != "y"]
    return found


def read_partitions(disk, sector=SECTOR):
    """The partitions of a disk image as (number, name, start, size) in bytes; GPT or MBR. Name is empty for MBR."""
    disk.seek(0)
    mbr = disk.read(sector)
    if mbr[510:512] != b"\x55\xaa":
        raise SettingError("the disk image has no partition table")
    entries = [struct.unpack("<B3sB3sII", mbr[446 + 16 * i:462 + 16 * i]) for i in range(4)]
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
        found.append((i + 1, entry[56:128].decode("utf-16-le").rstrip("\0"), first * sector, (last - first + 1) * sector))
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
        number = _number(settings, setting, 10)
        if number not in by_number:
            found.append(f"{setting} is {number}, but the disk image has no such partition")
            continue
        there, _, size = by_number[number]
        if layout.table == "gpt" and there != name:
            found.append(f'partition {number} ({setting}): expected the name {name}, found "{there}"')
        slots.append(size)
    if len(slots) == 2 and slots[0] != slots[1]:
        found.append(f"the slots differ in size: {slots[0]} and {slots[1]} bytes; an update that fits one may not fit the other")
    if layout.table == "gpt" and not any(name == "data" for _, name, _, _ in partitions):
        found.append('the disk image has no partition named "data"')
    return found
