# SPDX-License-Identifier: MIT
"""scripts/powercut: the power fails at any write of a real update, a real commit, a real rollback."""

import argparse
import hashlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import build
import inspect_disk
import machine
import scenario
import show
import writelog

BOARDS = 2
VERSIONS = {"a": "1.0", "b": "2.0"}


@dataclass
class Count:
    cases: int = 0
    booted: int = 0
    bricks: int = 0
    wrong_slots: int = 0
    false_headers: int = 0
    problems: list = field(default_factory=list)


def _range(partition):
    start, size = next((start, size) for name, start, size in build.PARTITIONS if name == partition)
    return range(start * build.MIB, (start + size) * build.MIB)


class Reference:
    """The content of a root file system as it was built: every file's hash."""

    def __init__(self, image):
        self.files = file_hashes(image)


def file_hashes(image):
    """The SHA-256 of every regular file in an ext4 image, read without mounting it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["debugfs", "-R", f"rdump / {folder}", image], check=True, capture_output=True)
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink()}


class Judge:
    """Looks at a disk after a cut, from outside. What was found for the same bytes of a partition before is remembered."""

    def __init__(self, disk, header, references):
        self._disk = disk
        self._header = header
        self._references = references
        self._known = {}

    def slot(self, name, state):
        """What is wrong with a slot that may boot, or None; and whether the delivered header is in its /etc."""
        key = (name, state)
        if key not in self._known:
            self._known[key] = self._look(name)
        return self._known[key]

    def _look(self, name):
        try:
            with inspect_disk.FileSystem(self._disk, f"rootfs-{name}") as slot:
                header = slot.read("/etc/ota_type_5.hdr")
                files = file_hashes(slot.image)
        except RuntimeError as problem:
            return str(problem), None
        different = [path for path, digest in self._references[name].items() if files.get(path) != digest]
        problem = f"slot {name}: {len(different)} files differ from the image, first {different[0]}" if different else None
        return problem, header

    def data(self, state):
        key = ("data", state)
        if key not in self._known:
            try:
                inspect_disk.FileSystem(self._disk, "data").__exit__()
                self._known[key] = None
            except RuntimeError as problem:
                self._known[key] = str(problem)
        return self._known[key]

    def verdict(self, states):
        """(kind, text) of what is wrong, or None; and the slot that the next boot must start."""
        try:
            environment = inspect_disk.environment(self._disk)
        except (RuntimeError, subprocess.CalledProcessError) as problem:
            return ("brick", f"environment: {problem}"), None
        committed, trial = environment.get("ota_slot"), environment.get("ota_trial")
        if committed not in VERSIONS:
            return ("brick", f"no committed slot: {environment}"), None
        next_boot = trial if trial and environment.get("ota_tries", "0") != "0" else committed
        for slot in {committed, next_boot}:
            problem, header = self.slot(slot, states[f"rootfs-{slot}"])
            if problem:
                return ("brick", problem), next_boot
            if slot == "b" and header != self._header:
                return ("wrong slot", "slot b may boot, but its header is not the delivered one"), next_boot
            if slot == "a" and header is not None:
                return ("false header", "a header is in /etc of slot a, which was never updated"), next_boot
        if problem := self.data(states["data"]):
            return ("brick", problem), next_boot
        return None, next_boot


class Partitions:
    """Names the bytes of each partition after a cut: what is durable there, and which pending writes arrived."""

    def __init__(self, entries):
        self._ranges = {name: _range(name) for name, _, _ in build.PARTITIONS}
        self._entries = entries
        self._counted = 0
        self._durable = dict.fromkeys(self._ranges, 0)

    def states(self, applied, arrived):
        for entry in self._entries[self._counted:applied]:
            if isinstance(entry, writelog.Write):
                for name, place in self._ranges.items():
                    self._durable[name] += entry.offset in place
        self._counted = max(self._counted, applied)
        return {name: (self._durable[name], tuple((write.position, length) for write, length in arrived if write.offset in place))
                for name, place in self._ranges.items()}


def interesting(entries):
    """Entries around which an order matters most: everything but the long run of the slot's content."""
    environment = range(int(build.SETTINGS["OTA_ENV_OFFSET"], 16), int(build.SETTINGS["OTA_ENV_OFFSET_REDUND"], 16) + build.MIB)
    return [index for index, entry in enumerate(entries)
            if isinstance(entry, writelog.Flush) or entry.offset in environment or entry.offset == _range("rootfs-b")[0]]


def draw_cuts(entries, count, seed):
    """Sorted (cut, number of the case): half of them anywhere, half near an interesting entry."""
    generator = random.Random(seed)
    special = interesting(entries)
    cuts = []
    for number in range(count):
        if generator.random() < 0.5:
            cut = generator.randrange(len(entries) + 1)
        else:
            cut = min(max(generator.choice(special) + generator.randrange(-3, 4), 0), len(entries))
        cuts.append((cut, number))
    return sorted(cuts)


def examine(recorded, cases, booted, seed, screen, count, only=None):
    """Cuts the power in one recording `cases` times; `booted` of them are kept for a real boot."""
    disk = recorded.disk.with_suffix(".cut")
    build.run("cp", "--sparse=always", recorded.base, disk)
    replay = writelog.Replay(disk, recorded.write_log)
    judge = Judge(disk, recorded.header, recorded.references)
    partitions = Partitions(replay.entries)
    cuts = draw_cuts(replay.entries, cases, seed)
    to_boot = set(random.Random(seed + 1).sample(range(cases), min(booted, cases)))
    kept = []
    for done, (cut, number) in enumerate(cuts):
        if only is not None and number != only:
            continue
        pending = replay.advance(cut)
        arrived = replay.cut(pending, random.Random(f"{seed}/{number}"))
        wrong, next_boot = judge.verdict(partitions.states(replay.applied, arrived))
        count.cases += 1
        if wrong:
            kind, text = wrong
            count.bricks += kind == "brick"
            count.wrong_slots += kind == "wrong slot"
            count.false_headers += kind == "false header"
            count.problems.append(f"{recorded.name}, seed {seed}, case {number} (cut after entry {cut} of {len(replay.entries)}): {kind}: {text}")
            screen.line("PROBLEM", count.problems[-1])
        if number in to_boot and next_boot:
            image = recorded.disk.with_suffix(f".boot-{number}")
            build.run("cp", "--sparse=always", disk, image)
            kept.append((number, image, next_boot))
            if len(kept) == BOARDS:
                boot_all(recorded, kept, seed, screen, count)
                kept = []
        replay.undo()
        if done % 50 == 0 or done == len(cuts) - 1:
            screen.progress(recorded.name, 100 * (done + 1) // len(cuts))
    boot_all(recorded, kept, seed, screen, count)
    replay.close()
    disk.unlink()


def boot_all(recorded, kept, seed, screen, count):
    """Boots disks side by side up to userland."""

    def boot(case):
        number, image, next_boot = case
        log = image.with_suffix(".console")
        log.unlink(missing_ok=True)
        try:
            with machine.Machine(image, log, network=True, skip_autoboot_delay=True) as board:
                found = board.wait(scenario.BOOTED, 180)
            if (found[1], found[2]) != (next_boot, VERSIONS[next_boot]):
                return f"expected slot {next_boot}, booted slot {found[1]} version {found[2]}"
            log.unlink()
            return None
        except machine.Timeout as timeout:
            return f"{timeout}; console: {log}"
        finally:
            image.unlink()

    with ThreadPoolExecutor(BOARDS) as pool:
        for (number, _, _), problem in zip(kept, pool.map(boot, kept), strict=True):
            count.booted += 1
            if problem:
                count.bricks += 1
                count.problems.append(f"{recorded.name}, seed {seed}, case {number}, booted: {problem}")
                screen.line("PROBLEM", count.problems[-1])


def record(name, screen):
    """Runs a scenario with every write logged."""
    recorded = scenario.Scenario(screen, name, record=True)
    result = recorded.run()
    if result.problems:
        raise RuntimeError(f"the recorded update itself went wrong: {result.problems}")
    recorded.name = {None: "update and commit"}.get(name, "rollback")
    recorded.references = {"a": file_hashes(build.BUILD / "rootfs-1.0.ext4"),
                           "b": file_hashes(build.BUILD / (f"rootfs-2.0-{name}.ext4" if name else "rootfs-2.0.ext4"))}
    return recorded


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/powercut", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Records every write of a real update with its commit, and of one that is rolled back, on the emulated board. Then builds\n"
        "disks as a power cut after any write would have left them - unflushed writes lost, kept or torn - and checks each: the\n"
        "environment is readable, every slot that may boot holds exactly its image, the header is in /etc of slot b when slot b may\n"
        "boot and never in slot a, /data mounts. A sample is booted to userland and must be on the expected slot.",
        epilog="exit status: 0 no brick, no wrong slot, no false header; 1 otherwise; 2 usage")
    parser.add_argument("--cases", type=int, default=10000, metavar="N", help="power cuts to look at from outside (default 10000)")
    parser.add_argument("--booted", type=int, default=200, metavar="M", help="how many of them are also booted (default 200)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="makes the same cuts again, of the same recording")
    parser.add_argument("--reuse", action="store_true", help="use the recordings of the last run, for the same seed to mean the same cuts")
    arguments = parser.parse_args()

    screen, count = show.Show(), Count()
    try:
        for name, share in ((None, 3), ("panic", 1)):
            screen.step(f"Record {'a rollback' if name else 'an update and its commit'}")
            recorded = record(name, screen)
            cases, booted = arguments.cases * share // 4, arguments.booted * share // 4
            screen.step(f"Cut the power {cases} times, boot {booted} of them (seed {arguments.seed})")
            examine(recorded, cases, booted, arguments.seed, screen, count)
    except (machine.Timeout, RuntimeError) as problem:
        screen.line("FAILED", str(problem))
        return 1
    screen.table([("wrong slots", count.wrong_slots), ("headers without a successful update", count.false_headers), ("seed", arguments.seed),
                  ("took", f"{screen.seconds():.0f} s")])
    print(f"{count.cases} cases, {count.booted} booted, {count.bricks} bricks")
    return 1 if count.problems else 0


if __name__ == "__main__":
    sys.exit(main())
