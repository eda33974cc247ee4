# SPDX-License-Identifier: MIT
"""What the tests of the boot script share: a real disk image, real U-Boot in QEMU, the environment through libubootenv.

Each slot holds a kernel of a few hundred bytes that says on the serial line which slot it came from and switches the board off, so that
one decision takes about a second.

On the command line, for a U-Boot built from Debian's source with the layer's configuration fragments:
  --native       one that keeps the environment itself, on an SD card
  --x86          one for a PC, where the kernel is a bzImage
or with Debian's own:
  --arm          32-bit ARM, where the kernel is a zImage
or for any other:
  --u-boot FILE  a u-boot.bin of qemu_arm64_defconfig, with --arm of qemu_arm_defconfig, for example what BitBake made for qemuarm64 or qemuarm;
                 with --native its u-boot-initial-env has to be FILE.env
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from emulated_board import (
    build,  # noqa: E402
    layer,  # noqa: E402
    machine,  # noqa: E402
)
from emulated_board.tinykernel import tiny_bzimage, tiny_kernel, tiny_zimage  # noqa: E402

OFFSETS = [int(build.SETTINGS[n], 16) for n in ("OTA_ENV_OFFSET", "OTA_ENV_OFFSET_REDUND")]
ENV_SIZE = int(build.SETTINGS["OTA_ENV_SIZE"], 16)


# unittest, or the test itself, reads what is left.
_options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
for _option in ("--native", "--x86", "--arm"):
    _options.add_argument(_option, action="store_true")
_options.add_argument("--u-boot", type=lambda path: Path(path).resolve(strict=True))
_asked, sys.argv[1:] = _options.parse_known_args()
NATIVE, X86, ARM, UBOOT = _asked.native, _asked.x86, _asked.arm, _asked.u_boot
HERE = Path(__file__).resolve().parent
# An SD card in QEMU has a power of two bytes.
CARD_MIB = 1024


def built_uboot(board):
    """U-Boot for one of the boards that build-u-boot knows."""
    return build.Cache(print).make(
        f"U-Boot for {board}",
        build.BUILD / f"u-boot-{board}.bin",
        [
            HERE / "build-u-boot",
            HERE / "u-boot-native.cfg",
            layer.RECIPES / "u-boot/files/ota-boot.cfg",
            layer.ROOT / "lib/otamgr/layout.py",
            layer.RECIPES / "u-boot/ota-env.inc",
        ],
        lambda out: subprocess.run([HERE / "build-u-boot", board, out], check=True),
    )


def default_variables(uboot):
    """What this U-Boot has in its environment when there is none on the disk."""
    return dict(line.split("=", 1) for line in Path(f"{uboot}.env").read_text().splitlines() if "=" in line)


class BootCase(unittest.TestCase):
    """A disk with two slots and a board to boot it with; each test starts with slot a committed and both slots complete."""

    watchdog = ""  # U-Boot commands that start one
    origin = 0  # where the disk begins in its file, in bytes
    further_files = ()  # names of files that are in /boot of each slot besides

    @classmethod
    def setUpClass(cls):
        cls.settings = layer.settings(
            OTA_ENV_STORE="native" if NATIVE else "script", OTA_ENV_DEVICE="/dev/vda", OTA_WATCHDOG=cls.watchdog
        )
        cls.defaults = {}
        kernel_name, kernel_of = (
            ("bzImage", tiny_bzimage) if X86 else ("zImage", tiny_zimage) if ARM else ("Image", tiny_kernel)
        )
        if NATIVE:
            uboot = UBOOT or built_uboot("native")
            cls.defaults = default_variables(uboot)
            cls.board = {"emulator": machine.emulator(uboot), "mmc": True}
        elif X86:
            # Without a display: this release hangs in about one start of thirty while the display's ROM runs.
            cls.board = {
                "emulator": machine.emulator(
                    UBOOT or built_uboot("x86"), ("qemu-system-x86_64", "-M", "pc", "-cpu", "max", "-vga", "none")
                )
            }
        elif ARM:
            cls.board = {"emulator": machine.emulator(UBOOT or machine.ARM_UBOOT, machine.ARM_BOARD)}
        else:
            cls.board = {"emulator": machine.emulator(UBOOT or machine.UBOOT)}
        cls.folder = Path(tempfile.mkdtemp(prefix="boot-script-"))
        cls.base = cls.folder / "base.img"
        cls.slots = {}
        for name, kernel in (
            ("a", kernel_of("KERNEL OF SLOT A")),
            ("b", kernel_of("KERNEL OF SLOT B")),
            ("broken", b"not a kernel" * 1000),
            ("hangs", kernel_of("KERNEL THAT HANGS", hangs=True)),
            ("none", None),
        ):
            for marked in (False, True):
                tree = cls.folder / "tree"
                shutil.rmtree(tree, ignore_errors=True)
                (tree / "boot").mkdir(parents=True)
                for further in cls.further_files:
                    (tree / "boot" / further).touch()
                if kernel:
                    (tree / "boot" / kernel_name).write_bytes(kernel)
                cls.prepare(name, tree, marked)
        build.make_disk(cls.base, cls.slots["a", True], cls.defaults | {"ota_slot": "a"}, cls.settings)
        if NATIVE:
            with open(cls.base, "r+b") as disk:
                disk.truncate(CARD_MIB * build.MIB)

    @classmethod
    def prepare(cls, name, tree, marked):
        """A file system that `put` knows by this name."""
        if marked:
            (tree / "boot/ota-slot-valid").write_text("txn=flashed\n")
        image = cls.folder / f"{name}-{marked}.ext4"
        subprocess.run(
            ["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, image, "4M"], check=True, stdout=subprocess.DEVNULL
        )
        cls.slots[name, marked] = image

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def use_disk(self, name):
        """The disk to work on; boards with disks of their own can run side by side."""
        self.disk = self.folder / name
        self.config = self.disk.with_suffix(".fw_env.config")
        self.config.write_text("".join(f"{self.disk} {self.origin + offset:#x} {ENV_SIZE:#x}\n" for offset in OFFSETS))

    def setUp(self):
        if not hasattr(self, "disk"):
            self.use_disk("disk.img")
        subprocess.run(["cp", "--sparse=always", self.base, self.disk], check=True)
        self.put("b", "b", marked=True)

    def start(self, partition):
        """Of the disk's file."""
        return self.origin + build.partition_start(partition)

    def put(self, slot, content, marked):
        """Fills a slot with one of the prepared file systems."""
        with open(self.disk, "r+b") as disk:
            disk.seek(self.start(f"rootfs-{slot}"))
            disk.write(b"\0" * build.MIB if content is None else self.slots[content, marked].read_bytes())

    def half_write(self, slot):
        """What sysupgrade leaves when it is cut off: everything but the first blocks."""
        self.put(slot, slot, marked=True)
        with open(self.disk, "r+b") as disk:
            disk.seek(self.start(f"rootfs-{slot}"))
            disk.write(bytes(4096))

    def setenv(self, **variables):
        subprocess.run(
            ["fw_setenv", "-c", self.config, "-s", "-"],
            check=True,
            input="".join(f"{k}={v}\n" for k, v in variables.items()).encode(),
        )

    def make_environment(self, variables):
        """A copy of the environment, with what U-Boot needs for itself."""
        return build.make_environment(self.defaults | variables)

    def environment(self):
        """The ota_ variables."""
        out = subprocess.run(["fw_printenv", "-c", self.config], check=True, capture_output=True, text=True)
        self.assertNotIn("default", out.stderr)
        return dict(line.split("=", 1) for line in out.stdout.splitlines() if line.startswith("ota_"))

    def copies(self):
        with open(self.disk, "rb") as disk:
            disk.seek(self.origin)
            raw = disk.read(max(OFFSETS) + ENV_SIZE)
        return [raw[offset : offset + ENV_SIZE] for offset in OFFSETS]

    def overwrite_copy(self, index, content, at=0):
        with open(self.disk, "r+b") as disk:
            disk.seek(self.origin + OFFSETS[index] + at)
            disk.write(content)

    def boot(self, expect, **options):
        """Switches the board on and waits for a line; returns every line of the console until then."""
        seen = []

        def listen(line):
            seen.append(line)
            self.heard(line)

        with machine.Machine(
            self.disk,
            self.disk.with_suffix(".console"),
            on_line=listen,
            memory_mib=512,
            cpus=1,
            skip_autoboot_delay=True,
            **self.board,
            **options,
        ) as board:
            self.started(board)
            try:
                found = board.wait(expect, 60)
            except machine.Timeout as timeout:
                self.fail(f"{timeout}\n" + "\n".join(seen))
        # The console may have gone on in the meantime.
        return seen[: seen.index(found.string) + 1]

    def started(self, board):
        """For cases that type something."""

    def heard(self, line):
        """Each line of the console."""
