# SPDX-License-Identifier: MIT
"""The configuration fragments of the layer in U-Boot's own Kconfig: for real boards, with one source of U-Boot, as its recipe does it."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bitbake import ROOT, BuildError

sys.path.insert(0, str(ROOT / "lib"))

from otamgr import uboot  # noqa: E402

FILES = ROOT / "recipes-ota/u-boot"


@dataclass(frozen=True)
class Board:
    """A board with the settings that its owner would write, or one that must be refused with these words."""

    defconfig: str
    machine: str = "some-board"
    settings: dict = field(default_factory=dict)
    refused: str = ""


def _emmc(number, mmc=None, **more):
    return {"OTA_ENV_DEVICE": f"/dev/mmcblk{number}", **({"OTA_ENV_MMC": str(mmc)} if mmc is not None else {}), **more}


# The machines that the layer names first; then one of each family, on defaults where they fit.
BOARDS = (
    Board("am335x_evm_defconfig", "beaglebone-yocto"),
    Board("sama5d2_xplained_emmc_defconfig", "sama5d2-xplained-emmc"),
    Board("qemu-x86_64_defconfig", "qemux86-64"),
    Board("rock-pi-4-rk3399_defconfig", settings=_emmc(0)),
    Board("rock64-rk3328_defconfig", settings=_emmc(0)),
    Board("rock5b-rk3588_defconfig", settings=_emmc(0)),
    Board(
        "rock64-rk3328_defconfig",
        settings=_emmc(0, OTA_ENV_OFFSET="0x400000", OTA_ENV_OFFSET_REDUND="0x800000"),
        refused="the copy at 0x800000 lies in 0x800000 to 0x1000000, which is Rockchip: U-Boot and TF-A, loaded by SPL",
    ),
    Board("pine64_plus_defconfig", settings=_emmc(0, OTA_PARTITION_TABLE="msdos")),
    Board("imx8mm_evk_defconfig", settings=_emmc(2)),
    Board("verdin-imx8mp_defconfig", settings=_emmc(2)),
    Board("wandboard_defconfig", settings=_emmc(2, 0, OTA_PARTITION_TABLE="msdos")),
    Board("stm32mp15_defconfig", settings=_emmc(1)),
    Board("stm32mp15_basic_defconfig", settings=_emmc(0), refused="SPL loads U-Boot from partition 3"),
    Board("stm32mp15_basic_defconfig", settings=_emmc(0, OTA_SLOT_A_PART="5", OTA_SLOT_B_PART="6")),
    Board("am62x_evm_a53_defconfig", settings=_emmc(0)),
    Board("xilinx_zynqmp_virt_defconfig", settings=_emmc(0)),
    Board("xilinx_zynq_virt_defconfig", settings=_emmc(0)),
    Board("rpi_arm64_defconfig", settings=_emmc(0, OTA_PARTITION_TABLE="msdos")),
    Board("libretech-cc_defconfig", settings=_emmc(0, OTA_PARTITION_TABLE="msdos")),
    Board("clearfog_defconfig", settings=_emmc(0)),
    Board("ls1043ardb_tfa_defconfig", settings=_emmc(0), refused="Layerscape: headers and firmware"),
    Board("ls1043ardb_tfa_defconfig", settings=_emmc(0, OTA_ENV_OFFSET="0x500000")),
)


class _Settings(dict):
    def getVar(self, name):  # noqa: N802 (BitBake's name)
        return self.get(name, "")


def settings_of(board):
    """The OTA_ settings of ota-env.inc, as they are for a machine, with the board's own."""
    settings = _Settings()
    for name, override, value in re.findall(
        r'^(OTA_\w+)(?::([\w-]+))? \?= "(.*)"$', (FILES / "ota-env.inc").read_text(), re.M
    ):
        if override in ("", board.machine) or override == "qemuall" and board.machine.startswith("qemu"):
            settings[name] = value
    return _Settings(settings | board.settings)


def version_of(source):
    """2026.01, as the Makefile of a source says."""
    values = dict(re.findall(r"^(VERSION|PATCHLEVEL|EXTRAVERSION) = ?(.*)$", (source / "Makefile").read_text(), re.M))
    return f"{values['VERSION']}.{values['PATCHLEVEL']}{values['EXTRAVERSION']}"


def _run(words, source):
    done = subprocess.run([str(w) for w in words], cwd=source, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(map(str, words))}: {done.stderr.strip()[-400:]}")


def configuration(source, board, out):
    """(.config, fragments) of U-Boot for a board with the layer's fragments."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    settings, boot = settings_of(board), FILES / "files/ota-boot.cfg"
    environment = out / "ota-env.cfg"
    environment.write_text(uboot.fragment(settings, uboot.symbols_of((source / "env/Kconfig").read_text())))
    make = ["make", "-s", "-C", source, f"O={out}"]
    for words in (
        [*make, board.defconfig],
        [source / "scripts/kconfig/merge_config.sh", "-m", "-O", out, out / ".config", boot, environment],
        [*make, "olddefconfig"],
    ):
        _run(words, source)
    return (out / ".config").read_text(), [boot.read_text(), environment.read_text()]


# Of Debian's compilers, the one for a configuration.
_COMPILERS = (
    ("ARM64", "aarch64-linux-gnu-"),
    ("ARM", "arm-linux-gnueabihf-"),
    ("RISCV", "riscv64-linux-gnu-"),
    ("X86", ""),
)


def _spl_built(source, out, compiler):
    """What the linker says when SPL does not fit, or nothing when it was built."""
    done = subprocess.run(
        ["make", "-s", "-C", source, f"O={out}", f"CROSS_COMPILE={compiler}", f"-j{os.cpu_count()}", "spl/u-boot-spl"],
        cwd=source,
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return ""
    sizes = re.findall(r"(region \S+ overflowed by \d+ bytes)", done.stderr)
    return (
        sizes[0].replace("`", "").replace("'", "")
        if sizes
        else (done.stderr.strip().splitlines() or ["make failed without a word"])[-1][-160:]
    )


def linked(source, board, folder):
    """Whether SPL links with the layer's fragments; if it does not, whether it would without them."""
    config = uboot.Config(configuration(source, board, folder)[0])
    if not config.on("SPL"):
        return "no SPL"
    compiler = next((prefix for symbol, prefix in _COMPILERS if config.on(symbol)), "")
    if not shutil.which(f"{compiler}gcc"):
        return f"SKIPPED: no {compiler}gcc"
    if not (said := _spl_built(source, folder, compiler)):
        return "links"
    plain = folder.with_name(f"{folder.name}-plain")
    shutil.rmtree(plain, ignore_errors=True)
    plain.mkdir()
    _run(["make", "-s", "-C", source, f"O={plain}", f"CROSS_COMPILE={compiler}", board.defconfig], source)
    without = _spl_built(source, plain, compiler)
    if without:
        return f"does not link with this compiler, nor would it without the layer ({without}): the board's own U-Boot is too large for it"
    return f"DOES NOT LINK with the layer's fragments: {said}"


def link_table(source, folder):
    """Prints for every board whether SPL links; raises BuildError for one that links only without the layer."""
    problems = []
    for number, board in enumerate(BOARDS):
        if board.refused or not (source / "configs" / board.defconfig).exists():
            continue
        said = linked(source, board, folder / f"link-{number}")
        print(f"{board.defconfig.removesuffix('_defconfig'):<22} {said}", flush=True)
        if said.startswith("DOES NOT"):
            problems.append(f"{board.defconfig}: {said}")
    if problems:
        raise BuildError("\n  ".join([f"U-Boot {version_of(source)}:", *problems]))
    return f"U-Boot {version_of(source)}: no SPL is too large because of the layer"


def judge(source, board, folder):
    """(board, row of the table, problems): what U-Boot's Kconfig made of the fragments."""
    if not (source / "configs" / board.defconfig).exists():
        return board, None, []
    text, fragments = configuration(source, board, folder)
    settings, config = settings_of(board), uboot.Config(text)
    found = uboot.problems(settings, text, fragments)
    family = ", ".join(family.name for family in uboot.families(config)) or "-"
    place = "boot script"
    if settings.getVar("OTA_ENV_STORE") == "native":
        (_, device), (_, part) = config.first(uboot.DEVICE), config.first(uboot.HARDWARE_PARTITION)
        place = f"mmc {device}:{part or 0} {config.number('ENV_OFFSET'):#x}, {config.number('ENV_OFFSET_REDUND'):#x}"
    spl = (
        config.number("SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR")
        if config.on("SYS_MMCSD_RAW_MODE_U_BOOT_USE_SECTOR") and config.on("SPL")
        else None
    )
    partition = (
        config.number("SYS_MMCSD_RAW_MODE_U_BOOT_PARTITION")
        if config.on("SYS_MMCSD_RAW_MODE_U_BOOT_USE_PARTITION") and config.on("SPL")
        else None
    )
    loads = f"sector {spl:#x}" if spl is not None else f"partition {partition}" if partition is not None else "-"
    if board.refused:
        verdict = (
            "refused, as it must be"
            if any(board.refused in sentence for sentence in found)
            else f"NOT REFUSED for {board.refused}"
        )
        found = [] if verdict.startswith("refused") else [verdict]
    else:
        verdict = "fits" if not found else "DOES NOT FIT"
    return board, (board.defconfig.removesuffix("_defconfig"), family, place, loads, verdict), found


def table(source, folder):
    """(rows, problems) of every board that this source has."""
    rows, problems = [("defconfig", "family", "environment", "SPL loads", "verdict")], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for board, row, found in pool.map(
            lambda numbered: judge(source, numbered[1], folder / str(numbered[0])), enumerate(BOARDS)
        ):
            if row:
                rows.append(row)
            problems += [f"{board.defconfig}: {sentence}" for sentence in found]
    return rows, problems


def check(source, folder):
    """Configures U-Boot for every board as its recipe does; raises BuildError for a line that Kconfig does not take and for a place that is not free."""
    rows, problems = table(source, folder)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip())
    if problems:
        raise BuildError("\n  ".join([f"U-Boot {version_of(source)}:", *problems]))
    return f"U-Boot {version_of(source)}: {len(rows) - 1} boards as they must be"
