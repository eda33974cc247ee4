# SPDX-License-Identifier: MIT
"""Power cuts of an update that brings a boot loader, on an emulated eMMC: every write of both boot partitions and of the user area, and the
commands that set PARTITION_CONFIG among them.

The chip that QEMU emulates has no cache: what a command has written is durable when it ends, sector by sector. So a cut leaves all that came
before it, and nothing of what came later."""

import random
from dataclasses import dataclass
from pathlib import Path

from emulated_board import build, emmc, inspect_disk, machine, powercut, scenario, writelog


@dataclass(frozen=True)
class Set:
    """A command that has set which boot partition is read."""

    partition: int


def entries(recording):
    """Writes with their place in the user area (below 0: in the boot partitions), each durable by itself, and what was set between them."""
    settings = list(emmc.switches(recording.switches))
    found = []
    for number, write in enumerate(
        entry for entry in writelog.read(recording.writes) if isinstance(entry, writelog.Write)
    ):
        while settings and settings[0][0] <= number:
            found.append(Set(settings.pop(0)[1]))
        found += [writelog.Write(write.offset - emmc.USER_OFFSET, write.length, write.position), writelog.Flush()]
    return found + [Set(partition) for _, partition in settings]


def boots_of(disk):
    """Where both boot partitions are, beside a copy of the user area: disks side by side have names that differ at their end only."""
    return Path(f"{disk}.boots")


class Replay(writelog.Replay):
    def __init__(self, disk, recording):
        super().__init__(disk, recording.writes)
        self.entries = entries(recording)
        self._boots = open(boots_of(disk), "r+b", buffering=0)

    def _put(self, offset, data):
        if offset >= 0:
            return super()._put(offset, data)
        self._boots.seek(offset + emmc.USER_OFFSET)
        return self._boots.write(data)

    def _get(self, offset, length):
        if offset >= 0:
            return super()._get(offset, length)
        return self.boot_bytes(offset + emmc.USER_OFFSET, length)

    def boot_bytes(self, offset, length):
        self._boots.seek(offset)
        return self._boots.read(length)

    def advance(self, cut):
        self.cut_after = cut
        return super().advance(cut)

    def boot_partition(self):
        """The one that the ROM reads after this cut."""
        known = [entry.partition for entry in self.entries[: self.cut_after] if isinstance(entry, Set)]
        return known[-1] if known else 0

    def close(self):
        super().close()
        self._boots.close()


class Judge(powercut.Judge):
    def __init__(self, disk, recording, replay):
        super().__init__(disk, recording)
        self._replay, self._boot_loaders = replay, recording.boot_loaders

    def verdict(self, states):
        wrong, next_boot = super().verdict(states)
        used = self._replay.boot_partition()
        expected = self._boot_loaders[used]
        if self._replay.boot_bytes(used * emmc.BOOT_BYTES, len(expected)) != expected:
            return ("brick", f"the ROM reads boot{used}, which is not a whole boot loader"), next_boot
        if used == 1 and not wrong and inspect_disk.environment(self._disk).get("ota_slot") != "b":
            return ("wrong slot", "the boot loader of the update is in use, and the update is not committed"), next_boot
        return wrong, next_boot


@dataclass(frozen=True)
class Recording(powercut.Recording):
    """A real run of the board with an eMMC."""

    switches: Path = None
    boot_loaders: tuple = ()  # what each boot partition begins with when it is in use
    emulator: tuple = ()

    def replay(self, disk):
        disk.unlink(missing_ok=True)
        card = emmc.Card(self.base, self.emulator)
        card.user_area(disk)
        boots_of(disk).write_bytes(card.boot_loader(0) + card.boot_loader(1))
        return Replay(disk, self)

    def judge(self, replay, disk):
        return Judge(disk, self, replay)

    def cuts(self, count, seed):
        """After every write of a boot partition and around every setting; of what is left half near the environment, half anywhere."""
        all_of_them, generator = entries(self), random.Random(seed)
        wanted = set()
        for index, entry in enumerate(all_of_them):
            if isinstance(entry, Set):
                wanted.update(range(max(index - 20, 0), min(index + 20, len(all_of_them)) + 1))
            elif isinstance(entry, writelog.Write) and entry.offset < 0:
                # Before it, and when it has ended: the flush that follows belongs to it.
                wanted.update((index, index + 2))
        special = [
            index
            for index, entry in enumerate(all_of_them)
            if isinstance(entry, writelog.Write) and any(entry.offset in place for place in powercut.ENVIRONMENT)
        ]
        while len(wanted) < count:
            near = generator.random() < 0.5
            index = (
                generator.choice(special) + generator.randrange(-6, 7)
                if near
                else generator.randrange(len(all_of_them) + 1)
            )
            wanted.add(min(max(index, 0), len(all_of_them)))
        return [(cut, number) for number, cut in enumerate(sorted(wanted))]

    def boot(self, replay, disk, slot):
        card = emmc.Card(f"{disk}.card", self.emulator)
        card.assemble(disk, boots_of(disk), replay.boot_partition())
        log = Path(f"{disk}.console")
        log.unlink(missing_ok=True)
        try:
            with machine.Machine(card.image, log, network=True, skip_autoboot_delay=True, cpus=1, card=card) as board:
                found = board.wait(scenario.BOOTED, scenario.BOOT)
        except machine.Timeout as timeout:
            return str(timeout)
        finally:
            card.image.unlink()
        if (found[1], found[2]) != (slot, powercut.VERSIONS[slot]):
            return f"expected slot {slot}, booted slot {found[1]} version {found[2]}"
        return None


def record(screen, reuse, kind):
    """An update that brings a boot loader, its commit, the switch, and one more start."""
    disk = build.BUILD / "disk-good-emmc.img"
    board, boot_loaders, parts = powercut.record_special(emmc.Scenario, disk, screen, reuse, kind, "boot-loader")
    return Recording(
        *parts,
        disk_mib=emmc.USER_BYTES // build.MIB,
        switches=disk.with_suffix(".switches"),
        boot_loaders=boot_loaders,
        emulator=board.emulator(),
    )
