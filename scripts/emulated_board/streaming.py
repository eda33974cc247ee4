# SPDX-License-Identifier: MIT
"""Updates that are streamed into the slot of the emulated board: scripts/agent-demo --streaming, and what scripts/powercut --of stream records."""

import random
import re
import shutil
import threading
import time
from pathlib import Path

from emulated_board import agent_board, agent_hawkbit, agent_session, agent_sources, build, scenario

FOLDER = agent_board.FOLDER
# What no slot has and nothing shortens.
NEW_BYTES = 200_000_000
# Slots for that; nothing is left over for the data partition.
PARTITIONS = (("boot", 20, 16), ("rootfs-a", 36, 416), ("rootfs-b", 452, 416), ("data", 868, 95))
DISK_MIB = 964
# Of /data and of /tmp.
FREE_KIB = 8 << 10
# Where the connection breaks, and where the power fails, of what the board lacks.
BREAK_AT, CUT_AT = 60_000_000, 120_000_000
LOST_BY_CUT = 256 << 10
# Beside the daemon.
MOST_MEMORY_KIB = 32 << 10
# What an update keeps beside manifest and index: its journal, its state, lists of frames in /run.
SMALL_KIB = 2 << 10


def _new(tree):
    agent_board.with_agent(tree, "2.0")
    path = tree / "usr/share/board/new-in-2.0"
    path.parent.mkdir(parents=True)
    with open(path, "wb") as out:
        for part in range(NEW_BYTES // 1_000_000):
            out.write(random.Random(part).randbytes(1_000_000))


class Systems:
    """The system that is flashed, and the bundle."""

    def __init__(self, screen):
        parts = scenario.Builder(screen)
        made_by = [*agent_board.made_by(), Path(__file__)]
        self.flashed = parts.rootfs(
            "1.0", "rootfs-streaming-1.0", spoil=agent_board.old, flashed=True, spoiled_by=made_by
        )
        self.new = parts.rootfs("2.0", "rootfs-streaming-2.0", spoil=_new, spoiled_by=made_by, room_mib=56)
        bundle = parts.bundle("streaming-2.0", self.new, "2.0")
        self.bundles = {"good": bundle}
        with build.bundle.open_bundle(bundle) as opened:
            self.before_frames = opened.image_offset


class Stick(agent_sources.Stick):
    """A stick; nothing lies between it and the board that could break."""

    name = "bundle"

    def __init__(self, screen, systems):
        tree = FOLDER / "stick-streaming"
        shutil.rmtree(tree, ignore_errors=True)
        for case in ("none", "good"):
            (tree / case).mkdir(parents=True)
        shutil.copy(systems.bundles["good"], tree / "good/update.bundle")
        self.stick = FOLDER / "stick-streaming.ext4"
        build.make_filesystem(tree, self.stick, "stick", room_mib=64)
        self._case = "none"
        self.way = None


class Forwarded:
    """A source on a server, with a way in between that can be broken and counted."""

    board_port = None

    def __init__(self, screen, systems):
        super().__init__(screen, systems)
        self.way = agent_hawkbit.Forward(self.board_port, ("127.0.0.1", self.port))

    def close(self):
        super().close()
        self.way.close()


class Repository(Forwarded, agent_sources.Repository):
    board_port = agent_board.REPOSITORY_PORT
    port = board_port + 1


class Hawkbit(Forwarded, agent_sources.Hawkbit):
    board_port = agent_board.HAWKBIT_PORT
    port = board_port + 1


SOURCES = {source.name: source for source in (Repository, Stick, Hawkbit)}


def _broken_at(way, bytes_):
    """Breaks the connections once, as soon as so much came over them."""

    def watch(first=way.sent):
        while way.sent - first < bytes_:
            time.sleep(0.02)
        way.cut()

    threading.Thread(target=watch, daemon=True).start()


def _number(lines, pattern):
    found = [int(match[1]) for line in lines if (match := re.search(pattern, line))]
    if not found:
        raise RuntimeError(f"expected a line like {pattern!r} on the console, found none")
    return found[-1]


class Demo:
    """An update of 200 MB by a board that has no room for it: streamed, with a connection that breaks and a power cut on the way."""

    def __init__(self, source_of, screen, systems):
        self._screen, self._systems = screen, systems
        self._source = source = source_of(screen, systems)
        self._disk = build.BUILD / f"disk-streaming-{source.name}.img"
        build.make_disk(
            self._disk,
            systems.flashed,
            {"ota_slot": "a", "ota_bootargs": f"board.source={source.name}-streamed"},
            partitions=PARTITIONS,
            disk_mib=DISK_MIB,
        )
        self._log = build.BUILD / f"logs/streaming-{source.name}.console"
        self._log.parent.mkdir(exist_ok=True)
        self._log.unlink(missing_ok=True)
        self._most = {}

    def close(self):
        self._source.close()

    def run(self):
        """Rows of a table."""
        with self._session() as session:
            self._screen.step(f"Version 1.0 in slot a, source {self._source.name}; 8 MB are free on /data, /tmp")
            self._narrow(session, fill=True)
            self._source.offer(session, "good")
            session.run("otamgr check", 16, seconds=scenario.UPDATE)
            session.run("otamgr pull 2>&1 | cat; otamgr list", 0, seconds=scenario.UPDATE)
            lacking = sum(
                int(match[1])
                for line in session.run(
                    "sysupgrade --needs -q /data/otamgr-agent/updates/*/update.stream", 0, seconds=scenario.UPDATE
                )
                if (match := re.fullmatch(r"range=\d+ (\d+)", line.strip()))
            )
            self._screen.step(f"Stream it, {lacking} bytes; the connection breaks, the power fails")
            if self._source.way:
                _broken_at(self._source.way, BREAK_AT)
            before = self._handed_on(session)
            self._watched(session)
            # The daemon stands still while it is asked how much it has handed on, so that the answer is right when the power fails.
            session.run(
                "(otamgr install >/dev/null 2>&1 &); until kill -STOP $(cat /run/otamgr.pid); "
                f"[ \"$(awk '/^wchar/ {{ print $2 }}' /proc/$(cat /run/otamgr.pid)/io)\" -gt {before + CUT_AT} ]; do "
                "kill -CONT $(cat /run/otamgr.pid); sleep 1; done",
                0,
                seconds=2 * scenario.UPDATE,
            )
            had = self._handed_on(session) - before
            self._result(session)
            session.board.power_cut()
        with self._session() as session:
            self._screen.step(f"Power on: {had} bytes were handed on, the slot is asked for what came")
            self._narrow(session, fill=False)
            self._watched(session)
            began = time.monotonic()
            session.run("otamgr install 2>&1 | cat; otamgr run", 100, seconds=2 * scenario.UPDATE)
            seconds = time.monotonic() - began
            again = _number(session.lines, r"streamed:target=[^,]*,bytes=\d+,fetched=(\d+)")
            self._result(session)
            self._screen.step("Reboot into the trial, and commit")
            session.reboot()
            session.run("otamgr run", 0, seconds=scenario.UPDATE)
            said = session.run("otamgr status", 0)
            if not any(re.search(r"slot +b runs and is committed", line) for line in said):
                raise RuntimeError(f"expected that slot b runs and is committed, found {said}")
        return self._judged(lacking, had, again, seconds)

    def _session(self):
        return agent_session.Running(self._screen, self._disk, self._source, self._log)

    @staticmethod
    def _narrow(session, fill):
        session.run(f"mount -o remount,size={FREE_KIB}k /tmp", 0)
        if fill:
            session.run(
                f"dd if=/dev/zero of=/data/filler bs=1024 count=$(($(df -k /data | awk 'END {{ print $(NF - 2) }}') - {FREE_KIB})) 2>/dev/null",
                0,
            )
        session.run("sync; df -k /data /tmp /run", 0)

    @staticmethod
    def _handed_on(session):
        """What the daemon has written into pipes and files; and its programs that have ended, so not for afterwards."""
        return _number(session.run("grep wchar /proc/$(cat /run/otamgr.pid)/io", 0), r"wchar: (\d+)")

    def _watched(self, session):
        first = len(session.lines)
        session.run("for i in /data /tmp /run; do df -k $i | awk 'END { print \"used=\" $(NF - 3) }'; done", 0)
        used = [int(match[1]) for line in session.lines[first:] if (match := re.search(r"^used=(\d+)", line))]
        self._before = dict(zip(("data", "tmp", "run"), used, strict=True))
        session.run("(board-watch >/dev/null 2>&1 &); until [ -e /run/watched ]; do usleep 20000; done", 0)

    def _result(self, session):
        first = len(session.lines)
        session.run("rm /run/watched; while ps | grep -q '[b]oard-watch'; do usleep 20000; done", 0)
        for name in ("memory", "data", "tmp", "run", "file"):
            found = _number(session.lines[first:], rf"watched:.* {name}=(\d+)") - self._before.get(name, 0)
            self._most[name] = max(found, self._most.get(name, 0))

    def _judged(self, lacking, had, again, seconds):
        problems, most = [], self._most
        lost = had + again - lacking
        before_frames = self._systems.before_frames

        def holds(true, problem):
            if not true:
                problems.append(problem)

        holds(lacking > 199_000_000, f"expected that the board lacks 200 MB, found {lacking} bytes")
        holds(had > CUT_AT, f"expected a power cut after {CUT_AT} bytes, found it after {had}")
        holds(lost <= LOST_BY_CUT, f"expected that at most {LOST_BY_CUT} bytes are fetched again, found {lost}")
        holds(most["memory"] > 0, "no process of the update was seen")
        holds(
            most["memory"] <= MOST_MEMORY_KIB,
            f"expected at most {MOST_MEMORY_KIB} KiB of memory, found {most['memory']}",
        )
        # What comes before the frames lies on /data, and a copy of it in /run while it is judged.
        holds(
            0 < most["file"] * 512 <= before_frames + 8192,
            f"the file of the bundle takes {most['file'] * 512} bytes, {before_frames} of them come before its frames",
        )
        for place, kept in (("data", SMALL_KIB), ("tmp", 64), ("run", before_frames // 1024 + SMALL_KIB)):
            holds(most[place] <= kept, f"expected at most {kept} KiB more in /{place}, found {most[place]}")
        with build.bundle.open_bundle(self._systems.bundles["good"]) as opened:
            size = opened.image_bytes
        rows = [
            ("bytes of frames in the bundle", size),
            ("bytes that the board lacks", lacking),
            ("handed on before the power cut, and after it", f"{had}, {again}"),
            ("fetched again", lost),
            ("room that the bundle takes on /data", f"{most['file'] * 512} of {before_frames} before the frames"),
            ("more in use on /data, /tmp, /run", ", ".join(f"{most[p]} KiB" for p in ("data", "tmp", "run"))),
            ("memory of the update beside the daemon", f"{most['memory']} KiB"),
            ("install after the cut", f"{seconds:.0f} s"),
        ]
        return rows, problems


def record(screen, systems, disk, write_log):
    """Streams an update from a stick, up to its commit, with every write of the disk logged; the disk as it was at power on stays beside it."""
    source = agent_sources.Stick(screen, systems)
    build.make_disk(disk, systems.flashed, {"ota_slot": "a", "ota_bootargs": f"board.source={source.name}-streamed"})
    build.run("cp", "--sparse=always", disk, write_log.with_suffix(".base"))
    log = build.BUILD / "logs/stream.console"
    log.parent.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    with agent_session.Running(screen, disk, source, log, write_log=write_log) as session:
        source.offer(session, "good")
        session.run("otamgr check", 16, seconds=scenario.UPDATE)
        session.run("otamgr pull 2>&1 | cat; ls /data/otamgr-agent/updates/*/update.stream", 0, seconds=scenario.UPDATE)
        session.run("otamgr install 2>&1 | cat; otamgr run", 100, seconds=scenario.UPDATE)
        session.reboot("OTA: trial of slot b")
        session.run("until ota-slot status | grep -q ^state=committed; do sleep 1; done", 0, seconds=scenario.COMMIT)
        session.board.switch_off()
