# SPDX-License-Identifier: MIT
"""The emulated board with what users flash: an eMMC, whose two boot partitions hold the boot loader, and whose user area is the disk.

QEMU 11 has such a chip; Debian 12's has none, so Debian 13's backport is unpacked into a folder and started by its own dynamic loader. It forgets
its registers with each reset, which an eMMC does not: PARTITION_CONFIG is carried from one start to the next here, as the trace of QEMU told what it
was set to. And it has no ROM: what that does, to take the boot loader from the boot partition which PARTITION_CONFIG names, is done here."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from emulated_board import build, machine, packages, scenario, writelog

QEMU_PACKAGE = "qemu-system-arm"
BOOT_BYTES = 4 * build.MIB
# Both boot partitions lie before the user area in the image file; the size of that is a power of two.
USER_OFFSET = 2 * BOOT_BYTES
USER_BYTES = 1024 * build.MIB
# Of PARTITION_CONFIG: which boot partition is read.
_ENABLED = 0x38
_PARTITIONS = {0x08: 0, 0x10: 1}
_SET = re.compile(r"sdcard_ext_csd_update index 179: \S+ -> (0x[0-9a-f]{2})$")

KERNEL = "linux-image-arm64"
# Those of the controller; the cloud kernel of the other boards has no eMMC. Some that are modules there are built into this one, and the other way.
BUILT_IN = ("virtio_ring", "virtio")
MODULES = (
    "crc32c_generic",
    *(name for name in build.INITRAMFS_MODULES if name not in BUILT_IN),
    *("crc16", "mbcache", "jbd2", "ext4", "cqhci", "sdhci", "sdhci-pci"),
)

SETTINGS = build.layer.settings(
    OTA_ENV_STORE="native", OTA_ENV_DEVICE="/dev/mmcblk0", OTA_BOOTARGS=build.SETTINGS["OTA_BOOTARGS"]
)


def qemu(cache):
    """The words that start QEMU 11."""
    folder = build.BUILD / "qemu-11"

    def unpack(done):
        architecture = subprocess.run(
            ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
        ).stdout.strip()
        apt = packages.ForeignApt(architecture, build.BUILD / "apt-qemu", suite="trixie", backports=True)
        try:
            apt.update()
            debs = apt.download([QEMU_PACKAGE, *apt.libraries([QEMU_PACKAGE])])
        except subprocess.CalledProcessError as problem:
            raise RuntimeError(
                f"QEMU 11, which has an eMMC, cannot be had: expected {QEMU_PACKAGE} of trixie-backports on the Debian mirror of this machine, "
                f"and {problem.cmd[0]} ended with {problem.returncode} (what it said is above)"
            ) from None
        shutil.rmtree(folder, ignore_errors=True)
        packages.unpack(debs, folder)
        done.touch()

    cache.make("QEMU with an eMMC", build.BUILD / "qemu-11.unpacked", [QEMU_PACKAGE], unpack)
    (libraries,) = (folder / "usr/lib").glob("*-linux-gnu")
    (loader,) = libraries.glob("ld-linux-*.so.*")
    # Modules of the host's QEMU are not for this one.
    words = ("env", "QEMU_MODULE_DIR=/nonexistent", loader, "--library-path", libraries)
    return tuple(str(word) for word in (*words, folder / "usr/bin/qemu-system-aarch64"))


def u_boot(cache):
    """One that keeps the environment itself, and its default variables; takes minutes to build."""
    maker = build.layer.ROOT / "tests/boot/build-u-boot"
    out = cache.make(
        "U-Boot for native",
        build.BUILD / "u-boot-native.bin",
        [
            maker,
            maker.with_name("u-boot-native.cfg"),
            build.layer.RECIPES / "u-boot/files/ota-boot.cfg",
            build.layer.ROOT / "lib/otamgr/layout.py",
            build.layer.RECIPES / "u-boot/ota-env.inc",
        ],
        lambda out: build.run(maker, "native", out),
    )
    variables = Path(f"{out}.env").read_text()
    return out, dict(line.split("=", 1) for line in variables.splitlines() if "=" in line)


def called(boot_loader, name, out):
    """The same boot loader with another name in what it says first."""
    content = boot_loader.read_bytes()
    (said,) = set(re.findall(rb"U-Boot 20\d\d\.\d\d", content))
    out.write_bytes(content.replace(said, f"U-Boot {name}".ljust(len(said)).encode()[: len(said)]))
    return out


def switches(file):
    """Of a recorded run: (how many sectors were written before, the boot partition that was set) for each time that another one was."""
    return [tuple(int(word) for word in line.split()) for line in Path(file).read_text().splitlines()]


class Card:
    """An eMMC with what it keeps without power. The image is made of both boot partitions and the user area."""

    def __init__(self, image, emulator, switches=None):
        """switches: where it is written down, beside a log of all writes, when PARTITION_CONFIG was set."""
        self.image, self._emulator, self._switches = Path(image), emulator, switches
        self._register, self._trace, self._rom = (
            self.image.with_suffix(suffix) for suffix in (".partition-config", ".trace", ".rom")
        )

    def _made(self, partition):
        self._trace.unlink(missing_ok=True)
        self._register.write_text(str(partition))
        if self._switches:
            self._switches.write_text("")
        self.sectors = 0  # that were written, if switches are written down

    def flash(self, user_area, boot_loader):
        """As in the factory: it starts from boot0."""
        self.image.unlink(missing_ok=True)
        with open(self.image, "wb") as out:
            out.truncate(USER_OFFSET + USER_BYTES)
        build.write_at(self.image, boot_loader, 0)
        build.write_at(self.image, user_area, USER_OFFSET)
        self._made(0)

    def assemble(self, user_area, boot_partitions, partition):
        """Of parts that somebody has changed, with the one that is read."""
        self.flash(user_area, boot_partitions)
        self._made(partition)

    def boot_partition(self):
        """0 or 1: the one that the ROM reads, as the last run has left it."""
        used = int(self._register.read_text())
        if not self._trace.exists():
            return used
        for line in self._trace.read_text().splitlines():
            if line.startswith("sdcard_write_block "):
                self.sectors += 1
            elif (found := _SET.match(line)) and _PARTITIONS[int(found[1], 16) & _ENABLED] != used:
                used = _PARTITIONS[int(found[1], 16) & _ENABLED]
                if self._switches:
                    with open(self._switches, "a") as out:
                        out.write(f"{self.sectors} {used}\n")
        self._trace.unlink()
        self._register.write_text(str(used))
        return used

    def boot_loader(self, partition):
        with open(self.image, "rb") as image:
            image.seek(partition * BOOT_BYTES)
            return image.read(BOOT_BYTES)

    def powered(self):
        """The words that start the board: what the ROM decides at each reset is in them."""
        used = self.boot_partition()
        self._rom.write_bytes(self.boot_loader(used))
        (config,) = (value for value, partition in _PARTITIONS.items() if partition == used)
        return (
            *self._emulator,
            *machine.BOARD[1:],
            "-bios",
            str(self._rom),
            "-no-reboot",
            "-device",
            "sdhci-pci",
            "-device",
            f"emmc,drive=disk,boot-partition-size={BOOT_BYTES},boot-config={config}",
            "-trace",
            "sdcard_ext_csd_update",
            *(("-trace", "sdcard_write_block") if self._switches else ()),
            "-D",
            str(self._trace),
        )

    def user_area(self, out):
        """A copy of the disk that Linux sees, for those who look into it from outside."""
        out = Path(out)
        out.unlink(missing_ok=True)
        with open(self.image, "rb") as image, open(out, "wb") as copy:
            copy.truncate(USER_BYTES)
            image.seek(USER_OFFSET)
            while block := image.read(build.MIB):
                copy.seek(len(block), 1) if block.count(0) == len(block) else copy.write(block)
        return out


def kernel(cache):
    """(release, root) of Debian's kernel with drivers for an eMMC."""
    folder = build.BUILD / "root/arm64-mmc"

    def unpack(done):
        apt = packages.ForeignApt("arm64", build.BUILD / "apt")
        apt.update()
        name = apt.dependency(KERNEL, r"linux-image-\S+")
        shutil.rmtree(folder, ignore_errors=True)
        packages.unpack(apt.download([name]), folder)
        done.write_text(name.removeprefix("linux-image-"))

    return cache.make("kernel with an eMMC", build.BUILD / "kernel-mmc-release", [KERNEL], unpack).read_text(), folder


class Builder(scenario.SpecialBuilder):
    """Systems for a board with an eMMC, which take a boot loader with updates."""

    KIND = "emmc"

    def __init__(self, show, as_root=False):
        super().__init__(show, as_root)
        cache = self._cache
        self.emulator = qemu(cache)
        self.u_boot, self.variables = u_boot(cache)
        self.mmc_release, self.mmc_root = kernel(cache)
        self._program = build.boot_loader_program(cache, "ota-boot-partition")
        self._mmc_initramfs = cache.make(
            "initramfs for an eMMC",
            build.BUILD / "initrd-mmc",
            [self.mmc_release, build.HERE / "initramfs-init", MODULES],
            self._make_initramfs,
        )

    def _make_initramfs(self, out):
        # busybox is the board's, the modules are this kernel's.
        shutil.copytree(build.ROOT_ARM64 / "bin", self.mmc_root / "bin", dirs_exist_ok=True, symlinks=True)
        build.build_initramfs(self.mmc_release, out, root=self.mmc_root, modules=MODULES)

    def made_of(self):
        return [Path(__file__), self._program, self._mmc_initramfs]

    def change(self, tree):
        shutil.copy(self.mmc_root / f"boot/vmlinuz-{self.mmc_release}", tree / "boot/Image")
        shutil.copy(self._mmc_initramfs, tree / "boot/initrd")
        shutil.rmtree(tree / "lib/modules")
        build.install_modules(self.mmc_release, build.ROOTFS_MODULES, tree / "lib/modules", self.mmc_root)
        template = build.layer.RECIPES / "u-boot/files/fw_env.config.in"
        (tree / "etc/fw_env.config").write_text(build.layer.fill(template, SETTINGS))
        shutil.copy(self._program, tree / "usr/lib/otamgr/ota-boot-partition")
        (tree / "etc/otamgr/images.d").mkdir()
        (tree / "etc/otamgr/images.d/boot-loader.conf").write_text("BOOT_DEVICE=/dev/mmcblk0\n")


class Scenario(scenario.SpecialScenario):
    """scripts/demo --emmc: the update brings a system and a boot loader."""

    NEW = "2099.02"
    BUILDER = Builder

    def boot_loader(self, is_new):
        """That of the flashed board, or of the update."""
        if not is_new:
            return self._builder.u_boot
        return called(self._builder.u_boot, self.NEW, build.BUILD / "u-boot-new.bin")

    def emulator(self):
        return self._builder.emulator

    def _further_images(self):
        return [("boot-loader", self.boot_loader(True), False)]

    def _flash(self, disk, rootfs, environment, publisher):
        user_area = disk.with_suffix(".user")
        build.make_disk(user_area, rootfs, self._builder.variables | environment, SETTINGS)
        self._card = Card(disk, self._builder.emulator, self._write_log and disk.with_suffix(".switches"))
        self._card.flash(user_area, self._builder.u_boot)
        user_area.unlink()

    def _machine(self, disk):
        return super()._machine(disk, card=self._card)

    def _good(self, board, disk, publisher):
        after = super()._good(board, disk, publisher)
        board.wait(r"image boot-loader: .*mmcblk0boot1", scenario.COMMIT)
        return self._started_by(board, self.NEW, "the ROM reads the other boot partition", after[1])

    def _from_outside(self, disk, updated, result):
        used = self._card.boot_partition()
        old, new = (self.boot_loader(is_new).read_bytes() for is_new in (False, True))
        result.check(used == (1 if updated else 0), f"the ROM reads boot{used}")
        if self._write_log:
            logged = sum(isinstance(entry, writelog.Write) for entry in writelog.read(self._write_log))
            result.check(
                logged == self._card.sectors, f"{self._card.sectors} sectors were written, the log has {logged}"
            )
        result.check(self._card.boot_loader(0).startswith(old), "boot0 is not the boot loader that was flashed")
        if updated:
            result.check(self._card.boot_loader(1).startswith(new), "boot1 is not the boot loader of the update")
        return self._card.user_area(disk.with_suffix(".seen"))


def main():
    """Whether there is a QEMU for these boards: the stage of the tests asks before it begins."""
    try:
        words = qemu(build.Cache(print))
    except RuntimeError as problem:
        print(problem, file=sys.stderr)
        return 1
    return subprocess.run([*words, "--version"]).returncode


if __name__ == "__main__":
    sys.exit(main())
