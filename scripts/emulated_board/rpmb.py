# SPDX-License-Identifier: MIT
"""The emulated board with verified boot and an eMMC that has an RPMB, in which the lowest rollback index is kept that U-Boot starts. QEMU forgets the
key and the counter of the RPMB when it ends, and keeps them over resets."""

import dataclasses
import shutil
from pathlib import Path

from emulated_board import build, emmc, machine

# The smallest there is; it lies before the disk in the file.
BYTES = 128 * 1024
_SOURCES = build.layer.RECIPES / "ota-floor/files"
_RPMB = "/dev/mmcblk0rpmb"


def settings(rollback_index):
    """Of the boot script that such a board is flashed with."""
    return {
        "OTA_ENV_DEVICE": "/dev/mmcblk0",
        "OTA_RPMB_FLOOR": "1",
        "OTA_ROLLBACK_INDEX": str(rollback_index),
    }


def options(cache, parts):
    """For machine.Machine."""
    emulator = (*emmc.qemu(cache), *parts.options()["emulator"][1:])
    return {"emulator": emulator, "mmc": f"emmc,rpmb-partition-size={BYTES}"}


def make_card(disk, out):
    """An eMMC as it comes from the factory, with this disk."""
    with open(out, "wb") as card:
        # The size of its user area is a power of two.
        card.truncate(BYTES + emmc.USER_BYTES)
    build.write_at(out, disk, BYTES)


class Builder(emmc.Builder):
    """Its systems, squashfs of one rollback index or another."""

    def __init__(self, show):
        super().__init__(show)
        kernel = {"root": self.mmc_root, "modules": emmc.MODULES}
        self.parts = dataclasses.replace(
            build.verified_boot(self._cache),
            kernel=self.mmc_root / f"boot/vmlinuz-{self.mmc_release}",
            initramfs=build.verified_initramfs(self._cache, self.mmc_release, "initrd-verified-mmc", **kernel),
        )
        self._ota_rpmb = build.compiled(self._cache, "ota-rpmb", [_SOURCES / "ota-rpmb.c"], build.BUILD / "ota-rpmb")

    def system(self, version, rollback_index, spoil, spoiled_by=()):
        """The image of a slot; `spoil` changes its files, by what `spoiled_by` holds."""

        def change(tree):
            build.install(self._ota_rpmb, tree / "usr/lib/otamgr/ota-rpmb", 0o755)
            build.install(_SOURCES / "ota-floor", tree / "usr/sbin/ota-floor", 0o755)
            (tree / "etc/otamgr/rpmb.conf").write_text(f"RPMB_DEVICE={_RPMB}\n")
            spoil(tree)

        change.__name__ = f"with_floor_{spoil.__name__}"
        return self.rootfs(
            version,
            f"rootfs-{version}-index-{rollback_index}",
            change,
            read_only="squashfs",
            verified=dataclasses.replace(self.parts, rollback_index=rollback_index),
            spoiled_by=[Path(__file__), self._ota_rpmb, *spoiled_by],
        )

    def flash(self, card, system, rollback_index):
        """A board as it leaves the factory, before its eMMC has a key."""
        disk = card.with_suffix(".user")
        given = self.parts.disk("")
        given["settings"] |= settings(rollback_index)
        build.make_disk(disk, system, {"ota_slot": "a"}, **given)
        make_card(disk, card)
        disk.unlink()

    def board(self, card, log, **options_of_board):
        return machine.Board(card, log, **options(self._cache, self.parts), **options_of_board)


def make_stick(files, out):
    """A disk with these files, as a technician brings it."""
    folder = out.with_suffix(".files")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, file in files.items():
        shutil.copy(file, folder / name)
    out.unlink(missing_ok=True)
    build.run("mke2fs", "-q", "-t", "ext4", "-d", folder, out, "256M")
    shutil.rmtree(folder)
