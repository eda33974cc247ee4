# SPDX-License-Identifier: MIT
"""scripts/soak: messages and updates without a pause on one board; memory, descriptors and threads of the daemon must stay as they are."""

import contextlib
import os
import random
import re
import sys
import time
from pathlib import Path

from emulated_board import build, cycle_model, cycles, endurance, machine, scenario, show
from otamgr import options

FOLDER = build.BUILD / "soak"
DAEMON = b"org.metaotamgr.daemon.OtamgrMain"
SAMPLE_SECONDS = 5
WARM_UP = 60
IDLE_SECONDS = 60
IDLE_WAKE_UPS = 1.2
# Of the messages that are asked for, a busy machine may swallow some.
SHARE_OF_MESSAGES = 0.9


class Watch:
    """Looks at the daemon from outside, which costs the board nothing."""

    def __init__(self, board):
        self._board = board

    def daemon(self):
        """The process id of the daemon, or None between two of them."""
        namespace = self._namespace(self._board.init)
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                if (
                    DAEMON in (folder / "cmdline").read_bytes().split(b"\0")
                    and self._namespace(folder.name) == namespace
                ):
                    return int(folder.name)
            except OSError:
                pass  # it has just ended
        return None

    @staticmethod
    def _namespace(pid):
        try:
            return os.readlink(f"/proc/{pid}/ns/pid")
        except OSError:
            return None

    def processes(self):
        namespace = self._namespace(self._board.init)
        return sum(self._namespace(pid) == namespace for pid in os.listdir("/proc") if pid.isdigit())

    def storage_kib(self):
        used = 0
        for place in ("run", "tmp"):
            found = os.statvfs(self._board.inside(place))
            used += (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
        return used

    @staticmethod
    def values(pid):
        """(memory in KiB, descriptors, threads) of a process."""
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]), len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"])

    @staticmethod
    def wake_ups(pid):
        """How often each thread of the process has waited for something up to now. One may end while it is looked at."""
        waits = {}
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = (thread / "status").read_text()
                waits[thread.name] = int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M)[1])
        return waits


class Soak:
    def __init__(self, screen, arguments):
        self._screen, self._arguments = screen, arguments
        self._samples, self._problems = [], []
        self._life, self._pid, self._born = -1, None, 0.0
        self._said = []  # (how often, minutes) of the last report of each hubby
        self._updates = {"committed": 0, "refused": 0}
        self._failed = []
        self._starts = 0

    def _line(self, text):
        if match := re.search(r"said its state (\d+) times in (\d+) minutes", text):
            self._said.append((int(match[1]), int(match[2])))
        elif re.search(r"(WRITE INTO A CLOSED SOCKET|OutOfMemoryError|gone: (?!.*closed)|otamgr_died)", text):
            self._failed.append(text)
        if self._arguments.verbose:
            scenario.show_line(self._screen, text)

    def run(self):
        screen = self._screen
        FOLDER.mkdir(parents=True, exist_ok=True)
        cycles.FOLDER.mkdir(parents=True, exist_ok=True)
        screen.step("Build the board")
        images = cycles.Images(screen, False, self._arguments.root)
        publisher = scenario.Publisher(FOLDER / "publish", host="127.0.0.1")
        runner = cycles.Runner(screen, images, publisher, False, self._arguments.seed, False)
        runner.disk, runner.log = FOLDER / "disk.img", FOLDER / "console"
        runner.listen(self._line)
        runner.flash()
        try:
            runner.switch_on()
            self._board = runner.board
            self._watch = Watch(self._board)
            idle = self._idle()
            self._messages()
            self._soak(images, publisher)
        finally:
            if runner.board:
                runner.board.__exit__()
            publisher.close()
        return self._report(idle)

    # ---- parts ---------------------------------------------------------------------------------------------------

    def _idle(self):
        """Wake-ups a second of a daemon to which nobody says anything."""
        self._screen.step(f"{IDLE_SECONDS} s without a message")
        time.sleep(WARM_UP)
        pid = self._watch.daemon()
        before, started = self._watch.wake_ups(pid), time.monotonic()
        time.sleep(IDLE_SECONDS)
        waits = self._watch.wake_ups(pid)
        return sum(count - before.get(thread, 0) for thread, count in waits.items()) / (time.monotonic() - started)

    def _messages(self):
        """From now on hubby talks, until the next boot: for a trial, a hubby that says its state again may be another one each time."""
        rate = self._arguments.messages
        options = "/data/platform-options"
        status, output = self._board.shell(
            f"echo '--chatter {rate}' >{options} && {cycles.PLATFORM_RESTARTED} && rm {options}"
        )
        if status:
            raise RuntimeError(f"hubby could not be started again: {output}")
        self._board.wait("hubby_state:value=1", cycles.BOOT)

    def _soak(self, images, publisher):
        arguments = self._arguments
        self._screen.step(
            f"{arguments.minutes} minutes: {arguments.messages} messages/s, an update each {arguments.every} s"
        )
        self._started = time.monotonic()
        end = self._started + arguments.minutes * 60
        slot, number = "a", 0
        next_update = self._started + arguments.every
        while time.monotonic() < end:
            if time.monotonic() >= next_update:
                number += 1
                slot = self._update(images, publisher, number, slot)
                next_update = max(next_update + arguments.every, time.monotonic() + SAMPLE_SECONDS)
            self._sample()
            time.sleep(SAMPLE_SECONDS)

    def _update(self, images, publisher, number, slot):
        """One that is refused, after which the same daemon goes on, or one that is committed by the next."""
        good = number % self._arguments.reboot_each == 0
        kind = cycle_model.GOOD if good else "flipped"
        version = f"2.{number:07d}"
        image = images.update(
            kind, version, 2, random.Random(f"{self._arguments.seed}/{number}"), FOLDER / "update.img"
        )
        publisher.publish(version, image)
        if good:
            other = cycle_model.other(slot)
            self._board.wait(
                f"slot_committed:slot={other}", cycles.UPDATE + cycles.BOOT, fail="ota_upgrade_failed|rolled-back "
            )
            slot = other
            self._messages()
            self._updates["committed"] += 1
        else:
            self._board.wait(r"ota_upgrade_failed:.*exit=5,", cycles.UPDATE, fail="ota_upgrade_armed")
            self._updates["refused"] += 1
        publisher.withdraw()
        self._screen.line(f"{number}", f"{version} {'committed, slot ' + slot if good else 'refused, as it must be'}")
        return slot

    def _sample(self):
        pid = self._watch.daemon()
        now = time.monotonic()
        if pid is None:
            return
        if pid != self._pid:
            self._life, self._pid, self._born = self._life + 1, pid, now
        try:
            values = self._watch.values(pid)
            self._samples.append(
                endurance.Sample(
                    round(now - self._started, 1),
                    self._life,
                    round(now - self._born, 1),
                    *values,
                    self._watch.processes(),
                    self._watch.storage_kib(),
                )
            )
        except OSError:
            pass  # the daemon has just ended; the next sample is of another

    # ---- the end -------------------------------------------------------------------------------------------------

    def _report(self, idle):
        arguments, screen = self._arguments, self._screen
        endurance.write_csv(self._samples, FOLDER / "soak.csv")
        endurance.write_svg(self._samples, FOLDER / "soak.svg")
        verdicts = endurance.judge(self._samples, WARM_UP)
        verdicts.append(
            endurance.Verdict("idle wake-ups", idle <= IDLE_WAKE_UPS, f"{idle:.2f}/s (at most {IDLE_WAKE_UPS})")
        )
        if self._said:
            said, minutes = max(self._said, key=lambda report: report[1])
            rate = said / minutes / 60
            verdicts.append(
                endurance.Verdict(
                    "messages",
                    rate >= SHARE_OF_MESSAGES * arguments.messages,
                    f"{rate:.0f}/s (asked: {arguments.messages}/s)",
                )
            )
        else:
            verdicts.append(endurance.Verdict("messages", False, "hubby has not talked for a minute"))
        expected = self._life + 1
        if self._updates["committed"] + 1 != expected:
            verdicts.append(
                endurance.Verdict(
                    "daemons", False, f"expected one for each committed update and the first, found {expected}"
                )
            )
        for line in self._failed:
            verdicts.append(endurance.Verdict("console", False, line))
        print()
        for name, limit in endurance.LIMITS.items():
            values = [getattr(sample, name) for sample in self._samples]
            if values:
                print(f"  {limit.name:<26} {endurance.sparks(values)} {min(values):,} to {max(values):,} {limit.unit}")
        print()
        for verdict in verdicts:
            print(
                f"  {'flat    ' if verdict.flat else 'NOT FLAT'} {verdict.what}: {verdict.text}".replace(
                    "flat     idle", "kept     idle"
                )
            )
        print(f"\n  {FOLDER / 'soak.svg'}, {FOLDER / 'soak.csv'}")
        wrong = sum(not verdict.flat for verdict in verdicts)
        print(
            f"{arguments.minutes} minutes, {self._updates['refused']} updates refused, {self._updates['committed']} committed, "
            f"{len(self._samples)} samples: {wrong} of {len(verdicts)} promises not kept ({screen.seconds():.0f} s)"
        )
        return 1 if wrong else 0


def main():
    parser = options.Parser(
        prog="scripts/soak",
        description="One board, on which hubby talks without a pause and updates come one after the other. Memory, descriptors and threads of the\n"
        "daemon, processes of the board and what is used on /run and /tmp must stay as they are, within one daemon's life and from the first\n"
        "daemon to the last. Before, the wake-ups of a daemon to which nobody says anything are counted. Most updates are damaged, so that the\n"
        "daemon that has refused them lives on; the others are committed by the next daemon.",
        epilog="example:\n  scripts/soak --minutes 6 --every 30\n\nA picture and all samples are left in build/soak.\n\n"
        "exit status: 0 all flat, 1 something grows or fails, 2 usage",
    )
    parser.add_argument("--minutes", type=int, default=60, metavar="N", help="how long (default 60)")
    parser.add_argument("--messages", type=int, default=200, metavar="N", help="messages a second (default 200)")
    parser.add_argument("--every", type=int, default=120, metavar="SECONDS", help="between two updates (default 120)")
    parser.add_argument(
        "--reboot-each", type=int, default=10, metavar="N", help="each N-th update is a good one (default 10)"
    )
    parser.add_argument("--root", action="store_true", help="the daemon is root (OTA_DAEMON_AS_ROOT)")
    parser.add_argument("--seed", type=int, default=1, help="damages the same bits again")
    parser.add_argument("--verbose", action="store_true", help="show what the board says")
    arguments = parser.parse_args()
    for name in ("minutes", "messages", "every", "reboot_each"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: expected 1 or more, found {getattr(arguments, name)}")
    screen = show.Show()
    try:
        return Soak(screen, arguments).run()
    except (machine.Timeout, RuntimeError, cycles.Surprise) as problem:
        screen.line("FAILED", str(problem))
        screen.line("", f"console: {FOLDER / 'console'}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
