# SPDX-License-Identifier: MIT
"""What the OTA_ settings mean for a U-Boot: the configuration fragment, and one check of a configuration, for releases 2023.01 to 2026.10.

U-Boot renames its symbols; a configuration ignores those it does not know. So the fragment names what the release at hand has in its
Kconfig, and the check demands that every line of it is in the configuration that came out.
"""

import re

from . import layout

SECTOR, MIB = layout.SECTOR, layout.MIB

# One thing, the newest name first. Each was the only one in some release.
REDUNDANT = ("ENV_REDUNDANT", "SYS_REDUNDAND_ENVIRONMENT")
DEVICE = ("ENV_MMC_DEVICE_INDEX", "SYS_MMC_ENV_DEV")
HARDWARE_PARTITION = ("ENV_MMC_EMMC_HW_PARTITION", "SYS_MMC_ENV_PART")
# Other places for an environment, and what would take the offset from elsewhere.
ELSEWHERE = tuple(
    f"ENV_IS_IN_{place}"
    for place in (
        "EEPROM",
        "FAT",
        "EXT4",
        "FLASH",
        "SPI_FLASH",
        "NAND",
        "UBI",
        "ONENAND",
        "NVRAM",
        "REMOTE",
        "MTD",
        "SCSI",
    )
) + ("ENV_IS_NOWHERE",)
OFFSET_FROM_ELSEWHERE = (
    "ENV_MMC_USE_DT",
    "USE_ENV_MMC_PARTITION",
    "ENV_OFFSET_RELATIVE_END",
    "ENV_OFFSET_REDUND_RELATIVE_END",
)
# What the driver of a file system does not bring itself: that of squashfs knows gzip, and Zstandard where something else asks for it.
# The tests of EFI, which nobody runs on a device, make room for it: the ROM of qemux86-64 is full.
# The command imxtract, which the boot script does not run, does not compile since 2024.10 where there is Zstandard and no gzip, as there.
FORMAT_NEEDS = {
    "squashfs": ("CONFIG_ZSTD=y", "# CONFIG_CMD_BOOTEFI_SELFTEST is not set", "# CONFIG_CMD_XIMG is not set")
}
# What boards of OpenEmbedded-Core need besides. SPL of qemu-x86_64_defconfig gives up without a display, by 2026.01 at the latest.
BOARD_NEEDS = {"qemux86-64": ("# CONFIG_SPL_VIDEO is not set",)}
COMMANDS = ("SETEXPR", "ITEST", "PART", "FS_GENERIC")
SCRIPT_COMMANDS = ("IMPORTENV", "EXPORTENV", "MEMORY")

# SPL of these loads U-Boot from the copy that it was started from itself: it asks the ROM, or reads the ROM's log and the fuses.
SPL_KNOWS_ITS_PLACE = (
    "IMX8MN",
    "IMX8MP",
    "SPL_BOOTROM_SUPPORT",
    "SPL_LOAD_IMX_CONTAINER",
    "SECONDARY_BOOT_RUNTIME_DETECTION",
)

# How much SPL may read from the sector that it is configured for. Larger than the U-Boot of any board that was looked at.
LOADED_BY_SPL = 4 * MIB


class Family:
    """SoCs whose ROM or boot loaders read raw parts of the disk: (what, start, end) in bytes."""

    def __init__(self, name, symbols, *areas, note=""):
        self.name, self.symbols, self.areas, self.note = name, symbols, areas, note


FAMILIES = (
    Family(
        "Rockchip",
        ("ARCH_ROCKCHIP",),
        ("TPL and SPL (idbloader)", 0x8000, 0x3F8000),
        ("U-Boot and TF-A, loaded by SPL", 0x800000, 0x1000000),
    ),
    Family(
        "Allwinner",
        ("ARCH_SUNXI",),
        ("SPL and U-Boot", 0x2000, 0x300000),
        note="its SPL at 8 KiB lies inside a GPT: `msdos`, or SPL at 128 KiB",
    ),
    Family(
        "i.MX6, i.MX7",
        ("ARCH_MX6", "ARCH_MX7"),
        ("SPL and U-Boot", 0x400, 0x200000),
        note="its ROM reads at 1 KiB, inside a GPT: `msdos`",
    ),
    Family(
        "i.MX8, i.MX9",
        ("ARCH_IMX8M", "ARCH_IMX8", "ARCH_IMX8ULP", "ARCH_IMX9"),
        ("boot container, U-Boot", 0x8000, 0x400000),
        ("second boot container", 0x400000, 0x600000),
    ),
    Family(
        "STM32MP",
        ("ARCH_STM32MP",),
        ("FSBL, FIP or U-Boot", 0x4400, 0x484400),
        note="in partitions of the table that come before the slots: `OTA_WKS_BOOTLOADER`",
    ),
    Family("K3 (AM6, J7)", ("ARCH_K3",), ("U-Boot, where it is not on FAT or in boot0", 0, 0x480000)),
    Family(
        "AM335x, OMAP", ("ARCH_OMAP2PLUS", "AM33XX"), ("MLO and U-Boot, where they are not on FAT", 0x20000, 0x200000)
    ),
    Family(
        "Amlogic",
        ("ARCH_MESON",),
        ("U-Boot", 0x200, 0x400000),
        note="its ROM reads at 512 bytes, where a GPT has its header: `msdos`",
    ),
    Family("Armada", ("ARCH_MVEBU",), ("SPL and U-Boot", 0x200, 0x400000)),
    Family("Exynos", ("ARCH_EXYNOS",), ("BL1, SPL, U-Boot", 0x200, 0x200000)),
    Family(
        "Layerscape",
        ("FSL_LSCH2", "FSL_LSCH3", "ARCH_LS1021A"),
        ("RCW and firmware", 0x1000, 0x500000),
        ("headers and firmware", 0x600000, 0x1000000),
        note='`OTA_ENV_OFFSET = "0x500000"`',
    ),
    Family("SAMA5, SAM9", ("ARCH_AT91",)),
    Family("Zynq, ZynqMP, Versal", ("ARCH_ZYNQ", "ARCH_ZYNQMP", "ARCH_VERSAL", "ARCH_VERSAL_NET")),
    Family("Raspberry Pi", ("ARCH_BCM283X",)),
)


def family_table():
    """The lines of the documentation's table of raw areas."""

    def size(value):
        return (
            f"{value // MIB} MiB"
            if value % MIB == 0 and value
            else f"{value // 1024} KiB"
            if value % 1024 == 0 and value
            else f"{value} B"
            if value
            else "0"
        )

    lines = ["| SoC family | What is read at raw places of the disk | |", "|---|---|---|"]
    for family in FAMILIES:
        areas = (
            "; ".join(f"{what}: {size(start)} to {size(end)}" for what, start, end in family.areas)
            or "nothing: all is on a FAT partition, or in another memory"
        )
        lines.append(f"| {family.name} | {areas} | {family.note} |")
    return lines


def symbols_of(kconfig):
    """The symbols that a Kconfig file defines."""
    return set(re.findall(r"^\s*(?:menu)?config (\w+)$", kconfig, re.M))


def _mmc(settings, layout_):
    """U-Boot's number of the disk, or None for one that is no MMC device."""
    said = (settings.getVar("OTA_ENV_MMC") or "").strip()
    if said:
        if not said.isdigit():
            raise layout.SettingError(
                f'OTA_ENV_MMC: expected the number that U-Boot gives to the MMC device, found "{said}"'
            )
        return int(said)
    device = re.fullmatch(r"/dev/mmcblk(\d+)", layout_.device)
    return int(device[1]) if device else None


#: In the device tree of U-Boot, from the recipe ota-boot-key.
KEY_TREE = "ota-boot-key.dtsi"


def signed_bootcommand(settings):
    """bootcmd for verified boot: runs the first copy of the boot script whose signature is good, no other after it, and listens to nobody. Empty for
    disks whose name in U-Boot nobody can tell."""
    try:
        layout_ = layout.Layout(settings)
        kind, number = "mmc", _mmc(settings, layout_)
    except layout.SettingError:
        # Said by problems().
        return ""
    virtio = re.fullmatch(r"/dev/vd([a-z])", layout_.device)
    if virtio:
        kind, number = "virtio", ord(virtio[1]) - ord("a")
    elif number is None:
        return ""
    return (
        f"setenv stdin nulldev; {'virtio scan; ' if virtio else ''}setenv devtype {kind}; setenv devnum {number}; setenv o_ran; "
        f"for o_file in ota-boot.itb ota-boot2.itb; do if test x${{o_ran}} = x; then if load {kind} {number}:1 ${{scriptaddr}} ${{o_file}}; then "
        "source ${scriptaddr}:script; fi; fi; done; if test x${o_ran} = x; then echo OTA: NO SIGNED BOOT SCRIPT; fi"
    )


def fragment(settings, known=None):
    """The configuration fragment that makes U-Boot keep a redundant environment on the MMC device, as fw_env.config says. `known` are the symbols
    of the release, without them every name of a thing is written.

    Without the environment where the boot script keeps it.
    """
    layout_ = layout.Layout(settings)
    lines = ["# Made from the OTA_ENV_ settings."]
    command = (settings.getVar("OTA_UBOOT_BOOTCOMMAND") or "").strip()
    if command:
        if '"' in command or "\\" in command:
            raise layout.SettingError("OTA_UBOOT_BOOTCOMMAND: expected neither quotes nor backslashes, found one")
        lines += ["CONFIG_USE_BOOTCOMMAND=y", f'CONFIG_BOOTCOMMAND="{command}"']
    for word in (settings.getVar("OTA_BOOT_FORMATS") or "").split():
        lines += [f"CONFIG_FS_{word.upper()}=y", *FORMAT_NEEDS.get(word, ())]
    lines += BOARD_NEEDS.get(settings.getVar("MACHINE"), ())
    if layout_.store == "script":
        if layout.verified_boot(settings) == "1":
            # Whatever U-Boot loaded by itself could steer it before anything signed runs.
            lines += ["CONFIG_ENV_IS_NOWHERE=y", "# CONFIG_ENV_IS_IN_MMC is not set"]
            lines += [f"# CONFIG_{name} is not set" for name in ELSEWHERE if name != "ENV_IS_NOWHERE"]
            lines.append(f'CONFIG_DEVICE_TREE_INCLUDES="{KEY_TREE}"')
        return "\n".join([*lines, "# The boot script keeps the environment."]) + "\n"

    def names(alternatives):
        return [name for name in alternatives if known is None or name in known]

    # "env load" is there to see that what was saved is kept.
    lines += ["CONFIG_CMD_SAVEENV=y", "CONFIG_CMD_NVEDIT_LOAD=y", "CONFIG_ENV_IS_IN_MMC=y"]
    lines += [f"# CONFIG_{name} is not set" for name in names([*ELSEWHERE, *OFFSET_FROM_ELSEWHERE])]
    lines += [f"CONFIG_{name}=y" for name in names(REDUNDANT)]
    lines += [
        f"CONFIG_ENV_SIZE={layout_.env_size:#x}",
        f"CONFIG_ENV_OFFSET={layout_.env_offsets[0]:#x}",
        f"CONFIG_ENV_OFFSET_REDUND={layout_.env_offsets[1]:#x}",
    ]
    number = _mmc(settings, layout_)
    if number is not None:
        lines += [f"CONFIG_{name}={number}" for name in names(DEVICE)]
        # The user area of an eMMC, which is where /dev/mmcblkN is.
        lines += [f"CONFIG_{name}=0" for name in names(HARDWARE_PARTITION)]
    return "\n".join(lines) + "\n"


class Config:
    """The .config of a U-Boot."""

    def __init__(self, text):
        self._values = dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.M))

    def text(self, name):
        return self._values.get(name, "")

    def on(self, name):
        return self._values.get(name) == "y"

    def number(self, name):
        try:
            return int(self.text(name), 0)
        except ValueError:
            return None

    def first(self, names):
        """(name, number) of the name that this release knows."""
        return next(((name, self.number(name)) for name in names if name in self._values), (names[0], None))

    def has(self, line):
        """Whether a line of a fragment is as it says."""
        unset = re.fullmatch(r"# CONFIG_(\w+) is not set", line)
        if unset:
            return not self.on(unset[1])
        name, _, value = line.removeprefix("CONFIG_").partition("=")
        return self.text(name) == value or value not in ("y", "n", "m") and _same_number(self.text(name), value)


def _same_number(one, other):
    try:
        return int(one, 0) == int(other, 0)
    except ValueError:
        return False


def families(config):
    """The families of a configuration's SoC."""
    return [family for family in FAMILIES if any(config.on(symbol) for symbol in family.symbols)]


def raw_areas(config):
    """(what, start, end) of the disk's raw parts that ROM and boot loaders of this configuration may read."""
    found = [(f"{family.name}: {what}", start, end) for family in families(config) for what, start, end in family.areas]
    sector = config.number("SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR")
    if config.on("SPL") and sector is not None and config.on("SYS_MMCSD_RAW_MODE_U_BOOT_USE_SECTOR"):
        start = (sector + (config.number("SYS_MMCSD_RAW_MODE_U_BOOT_DATA_PART_OFFSET") or 0)) * SECTOR
        # A family that is known says better how far it goes.
        end = next((end for _, low, end in found if low <= start < end), start + LOADED_BY_SPL)
        found.append((f"what SPL loads (SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR={sector:#x})", start, end))
    return found


def area_problems(settings, config):
    """Copies of the environment, partition table and first partition over raw parts of the disk, as sentences."""
    layout_, found = layout.Layout(settings), []
    for what, start, end in raw_areas(config):
        for name, offset in zip(("OTA_ENV_OFFSET", "OTA_ENV_OFFSET_REDUND"), layout_.env_offsets, strict=False):
            if offset < end and start < offset + layout_.env_size:
                found.append(
                    f"{name}: the copy at {offset:#x} lies in {start:#x} to {end:#x}, which is {what}; saving the environment would destroy it. "
                    'If this board has nothing there, say so with OTA_RAW_AREAS_CHECKED = "1", else choose another place'
                )
        if layout_.boot_start < end:
            found.append(
                f"OTA_BOOT_START: the first partition at {layout_.boot_start:#x} lies in {start:#x} to {end:#x}, which is {what}"
            )
    return found


def place_problems(settings, config):
    """Why a second copy of what the ROM reads would not be a whole boot loader, as sentences."""
    places = layout.boot_places(settings)
    if not places:
        return []
    why = None
    if config.on("ARCH_SUNXI"):
        why = (
            "the second copy of SPL loads U-Boot from 120 KiB behind the place of the first one's, where that one still lies "
            "(spl_mmc_get_uboot_raw_sector of mach-sunxi)"
        )
    elif (
        config.on("SPL")
        and config.on("SYS_MMCSD_RAW_MODE_U_BOOT_USE_SECTOR")
        and not any(config.on(symbol) for symbol in SPL_KNOWS_ITS_PLACE)
    ):
        sector = config.text("SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR")
        why = (
            f"each copy of SPL loads the same U-Boot (SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR={sector}), of which there is one"
        )
    return (
        [
            f"OTA_BOOT_LOADER_PLACES: {why}; a power cut while that is written would leave none, "
            "so such a boot loader is written when the device is flashed, and never by an update"
        ]
        if why
        else []
    )


def problems(settings, config_text, fragments=()):
    """Where the configuration that U-Boot was built with disagrees with the settings, as sentences. Every line of the fragments must be in it."""
    layout_, config = layout.Layout(settings), Config(config_text)
    found, commands = [], list(COMMANDS)
    places = []
    if layout_.store == "script":
        commands += SCRIPT_COMMANDS
    else:
        commands.append("SAVEENV")
        places = [
            ("ENV_SIZE", "OTA_ENV_SIZE", layout_.env_size),
            ("ENV_OFFSET", "OTA_ENV_OFFSET", layout_.env_offsets[0]),
            ("ENV_OFFSET_REDUND", "OTA_ENV_OFFSET_REDUND", layout_.env_offsets[1]),
        ]
        if not config.on("ENV_IS_IN_MMC"):
            found.append(
                "CONFIG_ENV_IS_IN_MMC is not set; U-Boot would not keep its environment where fw_setenv writes it"
            )
        if not any(config.on(name) for name in REDUNDANT):
            found.append(
                f"none of {' and '.join(f'CONFIG_{name}' for name in REDUNDANT)} is set; with one copy a power cut while saving loses the environment"
            )
        found += [
            f"CONFIG_{name} is set; U-Boot would take its environment from there"
            for name in ELSEWHERE
            if config.on(name)
        ]
        found += [
            f"CONFIG_{name} is set; the environment would not be at the offsets of fw_env.config"
            for name in OFFSET_FROM_ELSEWHERE
            if config.on(name)
        ]
        found += _device_problems(settings, layout_, config)
        if (settings.getVar("OTA_RAW_AREAS_CHECKED") or "").strip() != "1":
            found += area_problems(settings, config)
        found += _partition_problems(settings, config)
    found += place_problems(settings, config)
    for symbol, setting, wanted in places:
        if config.number(symbol) != wanted:
            found.append(
                f'CONFIG_{symbol} is "{config.text(symbol)}", but {setting} (and with it fw_env.config) says {wanted:#x}'
            )
    found += [
        f"CONFIG_CMD_{name} is not set; the boot script needs that command"
        for name in commands
        if not config.on(f"CMD_{name}")
    ]
    return found + [
        sentence for sentence in fragment_problems(config_text, fragments) if not _said_already(sentence, found)
    ]


def fragment_problems(config_text, fragments):
    """The lines of fragments that are not in a configuration, as sentences. Where two speak of one symbol, the later one counts."""
    config, wanted = Config(config_text), {}
    for text in fragments:
        for line in text.splitlines():
            if re.match(r"CONFIG_\w+=|# CONFIG_\w+ is not set$", line):
                wanted[re.search(r"CONFIG_\w+", line)[0]] = line
    return [
        f'the line "{line}" of the layer\'s fragment is not in the configuration; U-Boot does not know it or something forbids it'
        for line in wanted.values()
        if not config.has(line)
    ]


def _said_already(line, found):
    name = re.search(r"CONFIG_\w+", line)[0]
    return any(re.search(rf"{name}\b", sentence) for sentence in found)


def _device_problems(settings, layout_, config):
    number, found = _mmc(settings, layout_), []
    if number is None:
        return [
            f"OTA_ENV_DEVICE: U-Boot keeps its environment on an MMC device, found {layout_.device}; say which with OTA_ENV_MMC, or set "
            'OTA_ENV_STORE = "script"'
        ]
    name, value = config.first(DEVICE)
    if value != number:
        found.append(
            f'CONFIG_{name} is "{config.text(name)}", but OTA_ENV_DEVICE (and with it fw_env.config) says {layout_.device}, MMC device {number}; '
            "where U-Boot counts otherwise than Linux set OTA_ENV_MMC"
        )
    name, value = config.first(HARDWARE_PARTITION)
    if value not in (0, None):
        found.append(
            f'CONFIG_{name} is "{config.text(name)}", a boot partition of the eMMC; {layout_.device} is its user area, 0'
        )
    return found


def _partition_problems(settings, config):
    """A U-Boot that SPL takes from a partition by its number must not be taken from one of ours."""
    number = config.number("SYS_MMCSD_RAW_MODE_U_BOOT_PARTITION")
    if not config.on("SPL") or number is None or not config.on("SYS_MMCSD_RAW_MODE_U_BOOT_USE_PARTITION"):
        return []
    ours = {layout.number(settings, name): name for name in ("OTA_SLOT_A_PART", "OTA_SLOT_B_PART")}
    if number in ours:
        return [
            f"SPL loads U-Boot from partition {number} (CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_PARTITION), which is a slot ({ours[number]}); put the boot "
            "loader's partitions before the slots with OTA_WKS_BOOTLOADER and say the slots' numbers"
        ]
    return []


def device_tree_problems(dtb):
    """Whether the device tree that U-Boot was built with takes the environment to another place; `dtb` are its bytes."""
    return [
        f"the device tree of U-Boot has the property {name}, which overrides the offsets of fw_env.config; remove it"
        for name in ("u-boot,mmc-env-offset", "u-boot,mmc-env-partition")
        if f"\0{name}".encode() in dtb
    ]
