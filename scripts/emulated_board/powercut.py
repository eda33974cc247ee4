# SPDX-License-Identifier: MIT
"""scripts/powercut: the power fails at any write of a real update, a real commit, a real rollback."""

import functools
import hashlib
import multiprocessing
import queue
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from emulated_board import agent_board, build, inspect_disk, machine, scenario, show, streaming, writelog
from otamgr import options

WORKERS = 2
VERSIONS = {"a": "1.0", "b": "2.0"}


@dataclass
class Count:
    cases: int = 0
    booted: int = 0
    bricks: int = 0
    wrong_slots: int = 0
    false_headers: int = 0
    wrong_images: int = 0
    problems: list = field(default_factory=list)

    def add(self, kind, text, case):
        self.bricks += kind == "brick"
        self.wrong_slots += kind == "wrong slot"
        self.false_headers += kind == "false header"
        self.wrong_images += kind == "wrong image"
        self.problems.append(f"{case}: {kind}: {text}")

    def merge(self, other):
        self.cases += other.cases
        self.booted += other.booted
        self.bricks += other.bricks
        self.wrong_slots += other.wrong_slots
        self.false_headers += other.false_headers
        self.wrong_images += other.wrong_images
        self.problems += other.problems


def _range(partition, partitions=build.PARTITIONS, disk_mib=build.DISK_MIB):
    """Where a partition is on the disk; the last one may have grown."""
    start, size = next((start, size) for name, start, size in partitions if name == partition)
    return range(start * build.MIB, (disk_mib if partition == partitions[-1][0] else start + size) * build.MIB)


# The two copies of the partition table.
TABLES = [
    range(0, 34 * writelog.SECTOR),
    range(build.DISK_MIB * build.MIB - 33 * writelog.SECTOR, build.DISK_MIB * build.MIB),
]


@dataclass(frozen=True)
class Kind:
    """Of which kind both systems are."""

    read_only: str = ""  # the kind of root file system that is never written to
    verified: bool = False

    def scenario(self, screen, fault=None, **options):
        return scenario.Scenario(screen, fault, read_only=self.read_only, verified=self.verified, **options)

    def suffix(self):
        return f"{'-verified' if self.verified else ''}{'-' + self.read_only if self.read_only else ''}"

    def _parts(self):
        return build.verified_boot(build.Cache(lambda text: None))

    def machine(self):
        """The options of its machine."""
        return self._parts().options() if self.verified else scenario.board_for(self.read_only)

    def disk(self):
        """The options of make_disk."""
        return self._parts().disk("") if self.verified else {}


@dataclass(frozen=True)
class Recording:
    """A real run of the board: the disk at power on, every write since, and what the slots must hold."""

    name: str
    base: Path
    writes: Path
    header: bytes | None
    references: dict  # slot: {path: hash}
    b_starts: bool = True  # whether slot b gets to userland; if not, its trials end on slot a
    grows: bool = False  # whether the data partition takes the rest of the disk
    kind: Kind = Kind()  # with a read-only root references are the images
    partitions: tuple = build.PARTITIONS
    disk_mib: int = build.DISK_MIB
    applications: dict | None = (
        None  # slot: the file that its member of the pair must hold; then there is a handler, too
    )

    def replay(self, disk):
        """The disk as it was at power on, made at this path, and what was written to it since."""
        build.run("cp", "--sparse=always", self.base, disk)
        return writelog.Replay(disk, self.writes, fragile=FRAGILE)

    def judge(self, replay, disk):
        return Judge(disk, self)

    def cuts(self, count, seed):
        """(cut, number of the case), sorted."""
        return draw_cuts(writelog.read(self.writes), count, seed)

    def boot(self, replay, disk, slot):
        """Boots a copy of the disk after a cut; what is wrong, or None."""
        return boot(disk, slot, self.grows, lambda image: self.kind.machine())


def file_hashes(image):
    """The SHA-256 of every regular file in an ext4 image, read without mounting it."""
    with tempfile.TemporaryDirectory(dir=inspect_disk.FOLDER) as folder:
        subprocess.run(["debugfs", "-R", f"rdump / {folder}", image], check=True, capture_output=True)
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in Path(folder).rglob("*")
            if path.is_file() and not path.is_symlink()
        }


def boot_state(disk):
    """What is wrong with partition table or environment, or None; the committed slot, and the one that the next boot must start."""
    try:
        inspect_disk.partitions(disk)
        environment = inspect_disk.environment(disk)
    except (RuntimeError, subprocess.CalledProcessError) as problem:
        return str(problem), None, None
    committed, trial = environment.get("ota_slot"), environment.get("ota_trial")
    if committed not in VERSIONS:
        return f"no committed slot: {environment}", None, None
    return None, committed, trial if trial and environment.get("ota_tries", "0") != "0" else committed


class Judge:
    """Looks at a disk after a cut, from outside. What was found for the same bytes of a partition before is remembered."""

    def __init__(self, disk, recording):
        self._disk = disk
        self._read_only = recording.kind.read_only
        self._header = recording.header
        self._references = recording.references
        self._applications = recording.applications
        self._known = {}

    def slot(self, name, *state):
        """What is wrong with a slot that may boot, or None; and the header in its /etc."""
        key = (name, state)
        if key not in self._known:
            self._known[key] = self._look_from_outside(name) if self._read_only else self._look(name)
        return self._known[key]

    def _look_from_outside(self, name):
        try:
            header, overlays = inspect_disk.overlay_header(self._disk, name)
        except RuntimeError as problem:
            return str(problem), None
        if not inspect_disk.holds(self._disk, f"rootfs-{name}", self._references[name]):
            return f"slot {name} is not its image, byte for byte", header
        # That of the flashed system is made by its first start.
        if name == "b" and not any(overlay.startswith("b.") for overlay in overlays):
            return f"slot {name} may boot and has no overlay for /etc, found {overlays}", header
        return None, header

    def _look(self, name):
        try:
            with inspect_disk.FileSystem(self._disk, f"rootfs-{name}") as slot:
                header = slot.read("/etc/ota_type_5.hdr")
                files = file_hashes(slot.image)
        except RuntimeError as problem:
            return str(problem), None
        different = [path for path, digest in self._references[name].items() if files.get(path) != digest]
        problem = (
            f"slot {name}: {len(different)} files differ from the image, first {different[0]}" if different else None
        )
        return problem, header

    def data(self, *state):
        key = ("data", state)
        if key not in self._known:
            try:
                inspect_disk.FileSystem(self._disk, "data").__exit__()
                self._known[key] = None
            except RuntimeError as problem:
                self._known[key] = str(problem)
        return self._known[key]

    def images(self, slot, ends_there, states):
        """What is wrong with the images beside the root file system, for a slot that may boot, or None. ends_there: no other slot can."""
        key = ("images", slot, ends_there, states[f"app-{slot}"], states["data"], states["table"])
        if key not in self._known:
            self._known[key] = self._look_at_images(slot, ends_there)
        return self._known[key]

    def _look_at_images(self, slot, ends_there):
        if not inspect_disk.holds(self._disk, f"app-{slot}", self._applications[slot]):
            return f"app-{slot} is not the application of slot {slot}, byte for byte"
        try:
            with inspect_disk.FileSystem(self._disk, "data") as data:
                firmware, record = data.read("/mcu"), data.read("/otamgr/images/mcu")
        except RuntimeError as problem:
            return str(problem)
        new = firmware == build.image_of("mcu", "2.0")
        if slot == "b":
            return None if new else f"slot b may boot, and the co-processor has {firmware and firmware[:10]}"
        # Made by the first start. What an update has brought is written down, so that it is taken back.
        if firmware is not None and not new and firmware != b"mcu 1.0\n":
            return f"the co-processor has neither firmware, but {firmware[:10]}"
        if ends_there and new and not (record and record.startswith(b"b ") and b" back" not in record):
            return f"the firmware of slot b is there, slot b is not to be started, and nobody knows: {record}"
        return None

    def verdict(self, states):
        """(kind, text) of what is wrong, or None; and the slot that the next boot must start."""
        wrong, committed, next_boot = boot_state(self._disk)
        if wrong:
            return ("brick", wrong), None
        for slot in {committed, next_boot}:
            # What is in /etc of a read-only root is on the data partition.
            etc = (states["data"], states["table"]) if self._read_only else ()
            problem, header = self.slot(slot, states[f"rootfs-{slot}"], *etc)
            if problem:
                return ("brick", problem), next_boot
            if self._applications and (problem := self.images(slot, slot == next_boot == committed, states)):
                return ("wrong image", problem), next_boot
            if slot == "b" and header != self._header:
                return ("wrong slot", "slot b may boot, but its header is not the delivered one"), next_boot
            if slot == "a" and header is not None:
                return ("false header", "a header is in /etc of slot a, which was never updated"), next_boot
        if problem := self.data(states["data"], states["table"]):
            return ("brick", problem), next_boot
        return None, next_boot


class Partitions:
    """Names the bytes of each partition after a cut: what is durable there, and which pending writes arrived."""

    def __init__(self, entries, recording):
        places, size = recording.partitions, recording.disk_mib
        self._ranges = {name: _range(name, places, size) for name, _, _ in places} | {"table": TABLES[0]}
        self._entries = entries
        self._counted = 0
        self._durable = dict.fromkeys(self._ranges, 0)

    def states(self, applied, arrived):
        for entry in self._entries[self._counted : applied]:
            if isinstance(entry, writelog.Write):
                for name, place in self._ranges.items():
                    self._durable[name] += entry.offset in place
        self._counted = max(self._counted, applied)
        return {
            name: (
                self._durable[name],
                tuple((write.position, length) for write, length in arrived if write.offset in place),
            )
            for name, place in self._ranges.items()
        }


ENVIRONMENT = [
    range(int(build.SETTINGS[name], 16), int(build.SETTINGS[name], 16) + int(build.SETTINGS["OTA_ENV_SIZE"], 16))
    for name in ("OTA_ENV_OFFSET", "OTA_ENV_OFFSET_REDUND")
]

# What the disk may tear between sectors, not only between pages.
FRAGILE = [*ENVIRONMENT, *TABLES]


def draw_cuts(entries, count, seed):
    """(cut, number of the case), sorted: half of them anywhere, half near a flush, the environment, the partition table or the superblock of slot b."""
    generator = random.Random(seed)
    special = [
        index
        for index, entry in enumerate(entries)
        if isinstance(entry, writelog.Flush)
        or entry.offset == _range("rootfs-b")[0]
        or any(entry.offset in place for place in FRAGILE)
    ]
    cuts = []
    for number in range(count):
        if generator.random() < 0.5:
            cut = generator.randrange(len(entries) + 1)
        else:
            cut = min(max(generator.choice(special) + generator.randrange(-3, 4), 0), len(entries))
        cuts.append((cut, number))
    return sorted(cuts)


def examine(recording, cuts, to_boot, seed, disk, done):
    """Goes through cuts in order on a disk of its own; boots those that are to be booted. Returns what it counted."""
    count = Count()
    replay = recording.replay(disk)
    judge = recording.judge(replay, disk)
    partitions = Partitions(replay.entries, recording)
    for cut, number in cuts:
        pending = replay.advance(cut)
        arrived = replay.cut(pending, random.Random(f"{seed}/{number}"))
        wrong, next_boot = judge.verdict(partitions.states(replay.applied, arrived))
        count.cases += 1
        case = f"{recording.name}, seed {seed}, case {number} (cut after entry {cut} of {len(replay.entries)})"
        if wrong:
            count.add(*wrong, case)
        elif number in to_boot:
            count.booted += 1
            if problem := recording.boot(replay, disk, next_boot if recording.b_starts else "a"):
                count.add("brick", problem, f"{case}, booted")
        replay.undo()
        with done.get_lock():
            done.value += 1
    replay.close()
    disk.unlink()
    return count


def boot(disk, slot, grows, options):
    """Boots a copy of a disk up to userland, on a machine with these options for that copy; what is wrong, or None."""
    image, log = Path(f"{disk}.boot"), Path(f"{disk}.console")
    log.unlink(missing_ok=True)
    build.run("cp", "--sparse=always", disk, image)
    try:
        with machine.Machine(image, log, network=True, skip_autoboot_delay=True, cpus=1, **options(image)) as board:
            found = board.wait(scenario.BOOTED, 180)
        if grows and (problem := not_grown(image)):
            return problem
    except machine.Timeout as timeout:
        kept = log.rename(f"{log}.{time.time_ns()}")
        return f"{timeout}; console: {kept}"
    finally:
        image.unlink()
    if (found[1], found[2]) != (slot, VERSIONS[slot]):
        return f"expected slot {slot}, booted slot {found[1]} version {found[2]}"
    return None


def not_grown(disk):
    """What is wrong with the size of the data partition or of its file system, or None."""
    with open(disk, "rb") as file:
        ends = {
            sum(table["data"]) if (table := inspect_disk.table(file, block)) else None
            for block in (1, build.DISK_MIB * build.MIB // 512 - 1)
        }
    wanted = TABLES[1].start
    if ends != {wanted}:
        return f"the data partition must end at {wanted} in both partition tables, found {ends}"
    with inspect_disk.FileSystem(disk, "data") as data:
        header = subprocess.run(["dumpe2fs", "-h", data.image], check=True, capture_output=True, text=True).stdout
        blocks, size = (int(re.search(rf"^{name}: +(\d+)", header, re.M)[1]) for name in ("Block count", "Block size"))
        # resize2fs takes whole pages, also where blocks are smaller.
        if data.image.stat().st_size - blocks * size >= writelog.PAGE:
            return f"the file system on the data partition has {blocks * size} bytes of {data.image.stat().st_size}"
    return None


def examine_all(recording, cases, booted, seed, screen):
    """Shares the cases between the processors."""
    cuts = recording.cuts(cases, seed)
    to_boot = set(random.Random(f"{seed} booted").sample(range(cases), min(booted, cases)))
    done = multiprocessing.Value("i", 0)
    results = multiprocessing.Queue()

    def work(share):
        try:
            results.put(
                examine(
                    recording, cuts[share::WORKERS], to_boot, seed, recording.base.with_suffix(f".cut-{share}"), done
                )
            )
        except Exception as problem:  # a worker that dies silently would look like one without findings
            results.put(problem)

    workers = [multiprocessing.Process(target=work, args=(share,)) for share in range(WORKERS)]
    for worker in workers:
        worker.start()
    total, finished = Count(), 0
    while finished < WORKERS:
        try:
            result = results.get(timeout=5)
        except queue.Empty:
            screen.progress(recording.name, 100 * done.value // max(len(cuts), 1))
            continue
        if isinstance(result, Exception):
            raise result
        total.merge(result)
        finished += 1
    for worker in workers:
        worker.join()
    return total


def is_of(stamp, rootfs):
    """Whether a recording was made with these root file systems and the present boot script."""
    return stamp.exists() and stamp.read_text() == scenario.recorded_with(rootfs)


def run_logged(new_scenario, reuse):
    """Runs the scenario that `new_scenario` makes with every write logged, or takes a recording that is of the present files. Returns the
    scenario, its root file systems, and of the recording the disk at power on, the writes and the header."""
    present = new_scenario()
    base, writes, header, stamp = (
        present.disk.with_suffix(end) for end in (".base", ".writes", ".header", ".recorded")
    )
    rootfs = present.rootfs()
    if not (reuse and is_of(stamp, rootfs)):
        result = new_scenario(recorded=True).run()
        if result.problems:
            raise RuntimeError(f"the recorded update itself went wrong: {result.problems}")
    return present, rootfs, (base, writes, header.read_bytes())


def only_plain(kind, name):
    # As a program this module is another than the one that is imported, and so is its class: no comparison of kinds.
    if kind.read_only:
        raise RuntimeError(
            f"expected --of {name} without --read-only and --verified, or the other recordings; found both"
        )


def record_special(special, disk, screen, reuse, kind, name):
    """A run of a board of another kind: its scenario, the boot loaders before and after, and how its recording begins."""
    only_plain(kind, name)
    board, rootfs, parts = run_logged(functools.partial(special, screen), reuse)
    references = references_of(rootfs, disk.with_name(f"hub_update{disk.stem.removeprefix('disk')}.bundle"))
    boot_loaders = tuple(board.boot_loader(new).read_bytes() for new in (False, True))
    return board, boot_loaders, (name.replace("-", " "), *parts, references)


def record(fault, screen, reuse, kind=Kind()):
    """A whole update, good or with a fault."""
    _, rootfs, parts = run_logged(functools.partial(kind.scenario, screen, fault), reuse)
    return Recording(
        "rollback" if fault else "update",
        *parts,
        dict(zip("ab", rootfs if kind.read_only else map(file_hashes, rootfs), strict=False)),
        b_starts=not fault,
        kind=kind,
    )


def record_growth(screen, reuse, kind=Kind()):
    """The first boot of a board whose disk is larger than the image that was flashed."""
    suffix = kind.suffix()
    disk = build.BUILD / f"disk-growth{suffix}.img"
    base, writes, stamp = (disk.with_suffix(suffix) for suffix in (".base", ".writes", ".recorded"))
    rootfs = kind.scenario(screen).rootfs()[0]
    if not (reuse and is_of(stamp, [rootfs])):
        stamp.unlink(missing_ok=True)
        build.make_disk(disk, rootfs, {"ota_slot": "a"}, **kind.disk())
        build.run("cp", "--sparse=always", disk, base)
        log = build.BUILD / "logs" / f"growth{suffix}.console"
        with machine.Machine(
            disk,
            log,
            on_line=functools.partial(scenario.show_line, screen),
            network=True,
            write_log=writes,
            **kind.machine(),
        ) as board:
            board.wait_all([scenario.BOOTED, "now ends at the end of the disk"], 180)
            board.wait("hubby_state", 400)
            board.switch_off()
        if problem := not_grown(disk):
            raise RuntimeError(f"the recorded boot itself went wrong: {problem}")
        stamp.write_text(scenario.recorded_with([rootfs]))
    references = {"a": rootfs if kind.read_only else file_hashes(rootfs)}
    return Recording("growth", base, writes, b"", references, grows=True, kind=kind)


def references_of(rootfs, bundle):
    """What the slots must hold after an update by this bundle."""
    references = dict(zip("ab", map(file_hashes, rootfs), strict=True))
    with build.bundle.open_bundle(bundle) as opened:
        # sysupgrade puts it in the place of the image's own.
        references["b"]["etc/otamgr/manifest"] = hashlib.sha256(opened.manifest).hexdigest()
    return references


def record_stream(screen, reuse, kind=Kind()):
    """An update whose frames go from a stick straight into the slot, by the update agent."""
    only_plain(kind, "stream")
    disk = build.BUILD / "disk-stream.img"
    base, writes, stamp = (disk.with_suffix(suffix) for suffix in (".base", ".writes", ".recorded"))
    systems = agent_board.Systems(screen)
    rootfs = [systems.flashed, systems.new]
    if not (reuse and is_of(stamp, rootfs)):
        stamp.unlink(missing_ok=True)
        streaming.record(screen, systems, disk, writes)
        stamp.write_text(scenario.recorded_with(rootfs))
    references = references_of(rootfs, systems.bundles["good"])
    # A bundle has no header.
    return Recording("stream", base, writes, None, references)


def record_images(screen, reuse, kind=Kind()):
    """An update with an application in a pair of partitions and firmware that a handler takes."""
    only_plain(kind, "images")
    new_scenario = functools.partial(scenario.Scenario, screen, images=True)
    _, rootfs, parts = run_logged(new_scenario, reuse)
    return Recording(
        "images",
        *parts,
        references_of(rootfs, build.BUILD / "hub_update-good-images.bundle"),
        partitions=build.PARTITIONS_WITH_PAIR,
        applications={slot: build.BUILD / f"app-{version}.img" for slot, version in VERSIONS.items()},
    )


def record_boot_loader(*arguments):
    from emulated_board import emmc_cuts  # it builds on this module

    return emmc_cuts.record(*arguments)


def record_boot_places(*arguments):
    from emulated_board import boot_places  # it builds on this module

    return boot_places.record(*arguments)


# name: what is recorded, how, the share of the cases
RECORDINGS = {
    "update": ("an update and its commit", functools.partial(record, None), 5),
    "rollback": ("a rollback", functools.partial(record, "panic"), 2),
    "growth": ("a first boot that grows the data partition", record_growth, 3),
    "stream": ("an update that is streamed, and its commit", record_stream, 4),
    "images": ("an update with images beside the root file system, and its commit", record_images, 2),
    "boot-loader": ("an update that brings a boot loader, on an eMMC", record_boot_loader, 3),
    "boot-places": ("an update that brings a boot loader for two places of the disk", record_boot_places, 3),
}
# Not among those that are taken when nothing is named.
ASKED_FOR = ("boot-loader", "boot-places")


def main():
    parser = options.Parser(
        prog="scripts/powercut",
        description="Records every write of a real update with its commit, of one that is rolled back, of a first boot that grows the data\n"
        "partition, of an update that is streamed, and of one with images beside the root file system, on the emulated board. Then builds disks\n"
        "as a power cut after any write would have left them - unflushed writes lost, kept or torn - and checks each: partition table and\n"
        "environment are readable, every slot that may boot holds exactly its image, and so does its member of a pair of partitions, what a\n"
        "handler took belongs to the slot or is written down, the header is in /etc of slot b when slot b may boot and never in slot a, /data\n"
        "mounts. A sample is booted to userland and must be on the expected slot, with all of the disk in use.",
        epilog="examples:\n  scripts/powercut --reuse --of update --cases 200 --booted 10\n"
        "  scripts/powercut --updater sysupgrade --updater rauc --updater swupdate --cases 2000\n\nexit status: 0 no brick, no wrong slot, no false header; 1 otherwise; 2 usage",
    )
    parser.add_argument(
        "--cases", type=int, default=10000, metavar="N", help="power cuts to look at from outside (default 10000)"
    )
    parser.add_argument(
        "--booted", type=int, default=200, metavar="M", help="how many of them are also booted (default 200)"
    )
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="makes the same cuts again, of the same recording"
    )
    parser.add_argument(
        "--of",
        choices=RECORDINGS,
        action="append",
        help="only cuts of this; may be given again (default: all but boot-loader, for which QEMU 11 is downloaded, and boot-places)",
    )
    parser.add_argument(
        "--reuse",
        action="store_true",
        help="use the recordings of the last run, or of scripts/demo --record, if they are of the present "
        "files; the same seed means the same cuts then",
    )
    parser.add_argument(
        "--read-only",
        choices=scenario.READ_ONLY,
        default="",
        metavar="KIND",
        help="of a board whose systems have a read-only root, an ext4, squashfs or erofs: slots are their images byte for byte, headers are "
        "in the overlays on the data partition",
    )
    parser.add_argument(
        "--verified",
        action="store_true",
        help="of a board with verified boot, whose root is a squashfs if --read-only says nothing else: slots are their signed images byte for byte",
    )
    parser.add_argument(
        "--updater",
        choices=("sysupgrade", "rauc", "swupdate", "pipe"),
        action="append",
        help="cuts the power of an update by this program instead, on a recorded disk without a board (pipe: zstd | dd, then fw_setenv); may be given again",
    )
    parser.add_argument(
        "--again",
        type=int,
        default=50,
        metavar="K",
        help="with --updater: so many of the cut updates are started again and cut again (default 50)",
    )
    arguments = parser.parse_args()
    if arguments.updater:
        from emulated_board import rack  # it needs what boards do not

        screen = show.Show()
        try:
            return rack.rack(arguments.updater, arguments.cases, arguments.again, arguments.seed, screen)
        except RuntimeError as problem:
            screen.line("FAILED", str(problem))
            return 1

    screen, count = show.Show(), Count()
    kind = Kind(arguments.read_only or ("squashfs" if arguments.verified else ""), arguments.verified)
    try:
        chosen = [
            RECORDINGS[name]
            for name in arguments.of or RECORDINGS
            if arguments.of or name not in ASKED_FOR and (name not in ("stream", "images") or kind == Kind())
        ]
        for what, recorded, share in chosen:
            screen.step(f"Record {what}")
            recording = recorded(screen, arguments.reuse, kind)
            cases, booted = (
                number * share // sum(share for _, _, share in chosen) for number in (arguments.cases, arguments.booted)
            )
            screen.step(f"Cut the power {cases} times, boot {booted} of them (seed {arguments.seed})")
            count.merge(examine_all(recording, cases, booted, arguments.seed, screen))
            for problem in count.problems:
                screen.line("PROBLEM", problem)
    except (machine.Timeout, RuntimeError) as problem:
        screen.line("FAILED", str(problem))
        return 1
    screen.table(
        [
            ("wrong slots", count.wrong_slots),
            ("headers without a successful update", count.false_headers),
            ("images that do not belong to the slot", count.wrong_images),
            ("seed", arguments.seed),
            ("took", f"{screen.seconds():.0f} s"),
        ]
    )
    print(f"{count.cases} cases, {count.booted} booted, {count.bricks} bricks")
    return 1 if count.problems else 0


if __name__ == "__main__":
    sys.exit(main())
