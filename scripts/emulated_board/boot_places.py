# SPDX-License-Identifier: MIT
"""The emulated board with its boot loader at two places of the disk, and power cuts of an update that brings one.

QEMU has no ROM that looks for a boot loader on a disk. What such a ROM does is done here, and by the least that a ROM knows: it takes the first place
whose first sector is not empty, whatever comes behind it, else the second one. As with some ROMs what lies there is encrypted, and the first sector
says how; so no sector of two boot loaders is the same, and a mixture of both starts nothing."""

import hashlib
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from emulated_board import build, emmc, inspect_disk, machine, powercut, scenario, writelog
from otamgr import layout

FIRST, SECOND, PLACE_BYTES = 1 * build.MIB, 3 * build.MIB, 2 * build.MIB
PLACES = (FIRST, SECOND)


def read(disk, place):
    with open(disk, "rb") as file:
        file.seek(place)
        return file.read(PLACE_BYTES)


def started_from(disk):
    """The place that the ROM takes."""
    return FIRST if any(read(disk, FIRST)[: writelog.SECTOR]) else SECOND


def encrypted(boot_loader, name):
    """As it lies at a place: a first sector that says what it is, and the rest."""
    head = f"{name} {len(boot_loader)}\n".encode().ljust(writelog.SECTOR, b"\xff")
    return head + _mixed(boot_loader, name)


def decrypted(content):
    """What the ROM starts."""
    name, length = content[: writelog.SECTOR].split(b"\n", 1)[0].decode().split()
    return _mixed(content[writelog.SECTOR :][: int(length)], name)


def _mixed(content, name):
    key = hashlib.shake_256(name.encode()).digest(len(content))
    return (int.from_bytes(content, "big") ^ int.from_bytes(key, "big")).to_bytes(len(content), "big")


class Rom:
    """Decides at each reset which boot loader is started, as machine.Machine asks a card."""

    def __init__(self, disk):
        self._disk, self._bios = disk, Path(f"{disk}.bios")

    def powered(self):
        self._bios.write_bytes(decrypted(read(self._disk, started_from(self._disk))))
        return (
            *machine.BOARD,
            "-bios",
            str(self._bios),
            "-no-reboot",
            "-device",
            "virtio-blk-pci,drive=disk",
        )


class Builder(scenario.SpecialBuilder):
    """Systems that take a boot loader with updates, for two places of the disk."""

    KIND = "places"

    def __init__(self, show, as_root=False):
        super().__init__(show, as_root)
        self._program = build.boot_loader_program(self._cache, "ota-boot-place")

    def made_of(self):
        return [Path(__file__), self._program]

    def change(self, tree):
        shutil.copy(self._program, tree / "usr/lib/otamgr/ota-boot-place")
        (tree / "etc/otamgr/images.d").mkdir()
        (tree / "etc/otamgr/images.d/boot-loader.conf").write_text(
            layout.BootPlaces(FIRST, SECOND, PLACE_BYTES).conf("/dev/vda")
        )


class Scenario(scenario.SpecialScenario):
    """scripts/demo --boot-places: the update brings a system and a boot loader."""

    NEW = "2099.03"
    BUILDER = Builder

    def boot_loader(self, is_new):
        """That of the flashed board, or of the update."""
        plain, name = Path(machine.UBOOT), "new" if is_new else "old"
        if is_new:
            plain = emmc.called(plain, self.NEW, build.BUILD / "u-boot-new-place.plain")
        out = build.BUILD / f"u-boot-{name}-place.bin"
        out.write_bytes(encrypted(plain.read_bytes(), name))
        return out

    def _further_images(self):
        return [("boot-loader", self.boot_loader(True), False)]

    def _flash(self, disk, rootfs, environment, publisher):
        super()._flash(disk, rootfs, environment, publisher)
        for place in PLACES:
            build.write_at(disk, self.boot_loader(False), place)

    def _machine(self, disk):
        return super()._machine(disk, card=Rom(disk))

    def _good(self, board, disk, publisher):
        after = super()._good(board, disk, publisher)
        board.wait(rf"image boot-loader: .*/dev/vda at {FIRST}", scenario.COMMIT)
        return self._started_by(board, self.NEW, "the ROM reads the new boot loader at its first place", after[1])

    def _from_outside(self, disk, updated, result):
        old, new = (self.boot_loader(is_new).read_bytes() for is_new in (False, True))
        result.check(read(disk, FIRST).startswith(new if updated else old), "the first place")
        if updated:
            result.check(read(disk, SECOND).startswith(new), "the second place")
        return disk


class Judge(powercut.Judge):
    def __init__(self, disk, recording):
        super().__init__(disk, recording)
        self._old, self._new = recording.boot_loaders

    def verdict(self, states):
        wrong, next_boot = super().verdict(states)
        place = started_from(self._disk)
        started = read(self._disk, place)
        if not started.startswith((self._old, self._new)):
            return ("brick", f"the ROM starts what is at {place}, which is not a whole boot loader"), next_boot
        if started.startswith(self._new) and not wrong and inspect_disk.environment(self._disk).get("ota_slot") != "b":
            return (
                "wrong slot",
                "the boot loader of the update is started, and the update is not committed",
            ), next_boot
        return wrong, next_boot


@dataclass(frozen=True)
class Recording(powercut.Recording):
    """A real run of the board, and what its boot loaders are before and after."""

    boot_loaders: tuple = ()

    def replay(self, disk):
        build.run("cp", "--sparse=always", self.base, disk)
        # Between sectors, too, not only between pages.
        places = [range(place, place + PLACE_BYTES) for place in PLACES]
        return writelog.Replay(disk, self.writes, fragile=[*powercut.FRAGILE, *places])

    def judge(self, replay, disk):
        return Judge(disk, self)

    def cuts(self, count, seed):
        """Before and after every write of a place, around it, and the rest as always."""
        entries = writelog.read(self.writes)
        near = {
            index + step
            for index, entry in enumerate(entries)
            if isinstance(entry, writelog.Write)
            and any(place <= entry.offset < place + PLACE_BYTES for place in PLACES)
            for step in (0, 1, 2)
        }
        near = sorted(min(index, len(entries)) for index in near)
        if len(near) > count // 2:
            near = sorted(random.Random(seed).sample(near, count // 2))
        anywhere = [cut for cut, _ in powercut.draw_cuts(entries, count - len(near), seed)]
        return [(cut, number) for number, cut in enumerate(sorted([*near, *anywhere]))]

    def boot(self, replay, disk, slot):
        return powercut.boot(disk, slot, self.grows, lambda image: {"card": Rom(image)})


def record(screen, reuse, kind):
    """An update that brings a boot loader, its commit, the writing of the first place, and one more start."""
    disk = build.BUILD / "disk-good-places.img"
    _, boot_loaders, parts = powercut.record_special(Scenario, disk, screen, reuse, kind, "boot-places")
    return Recording(*parts, boot_loaders=boot_loaders)
