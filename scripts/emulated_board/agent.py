# SPDX-License-Identifier: MIT
"""scripts/agent-demo: the update agent on the emulated board, by commands on its console."""

import argparse
import functools
import re
import subprocess
import sys

from emulated_board import agent_board, agent_sources, build, layer, machine, show, streaming
from emulated_board.agent_hubby import HubbyDemo
from emulated_board.agent_session import Running
from otamgr import options

# The whole call, from the shell's fork to the exit status.
LONGEST_CALL_SECONDS = 1.0
# Of the blocks that the board lacks, so much is there when the power fails; at most so much of it is fetched again.
CUT_AT = 4 << 20
LOST_BY_CUT = 256 << 10
# More than what comes before the blocks: manifest and index.
BEFORE_BLOCKS = 1 << 20
# What the daemon uses for a check with nothing new.
MOST_OF_A_CHECK = 0.3
CHECKED = [("check-for-update-pre", ""), ("check-for-update-post", "OK")]


class Demo:
    """What one source delivers, from the first check to a rollback."""

    def __init__(self, source_of, screen, systems):
        self._screen = screen
        self._source = source = source_of(screen, systems)
        self._disk = build.BUILD / f"disk-agent-{source.name}.img"
        build.make_disk(self._disk, systems.flashed, {"ota_slot": "a", "ota_bootargs": f"board.source={source.name}"})
        self._log = build.BUILD / f"logs/agent-{source.name}.console"
        self._log.parent.mkdir(exist_ok=True)
        self._log.unlink(missing_ok=True)
        self.messages = {}
        self.seconds_of_calls = []
        self.processor_of_check = None

    def close(self):
        self._source.close()

    def run(self):
        with self._session() as session:
            self._nothing_pulled(session)
            self._power_cut_in_pull(session)
        with self._session() as session:
            self._good_update(session)
            if self._source.goes_back:
                self._back_and_forth(session)
            self._refusals(session)
            self._failed_install(session)
            self._rollback(session)
            self._source.check_end()

    def _session(self):
        return Running(self._screen, self._disk, self._source, self._log)

    def _nothing_pulled(self, session):
        self._screen.step(f"Version 1.0 in slot a, source {self._source.name}: nothing pulled, nothing installed")
        session.run("otamgr install", 80)
        session.run("otamgr run", 40)
        self._source.offer(session, "good")
        session.run("otamgr check", 16)
        session.run("sed -n '/^VmRSS/p' /proc/$(cat /run/otamgr.pid)/status", 0)
        self.processor_of_check = session.processor_of_daemon("otamgr check")
        for command in ("status", "list", "status --json"):
            self.seconds_of_calls.append(session.seconds_of(f"otamgr {command}"))

    def _power_cut_in_pull(self, session):
        self._screen.step("The power fails in the middle of the pull")
        # What was not fetched yet takes no room.
        session.run(
            "(otamgr pull >/dev/null 2>&1 &) ; "
            f'until [ "$(stat -c %b /data/otamgr-agent/updates/*/update.blocks.part 2>/dev/null || echo 0)" -gt {CUT_AT // 512} ]; do '
            "usleep 20000; done",
            0,
        )
        self._lacked = self._lacking(session.lines)
        session.board.power_cut()

    @staticmethod
    def _lacking(lines):
        """How many bytes a pull lacked when it began with the blocks."""
        found = [
            int(match[1]) for line in lines if (match := re.search(r"pull_in_parts:target=[^,]*,bytes=(\d+)", line))
        ]
        if not found:
            raise RuntimeError("expected a pull of the blocks that the board lacks, found none")
        return found[0]

    def _good_update(self, session):
        self._screen.step("Power on: the pull goes on where it was, then install and reboot")
        first = len(session.lines)
        session.run("otamgr pull 2>&1 | cat; otamgr list", 0, seconds=300)
        lacking = self._lacking(session.lines[first:])
        most = self._lacked - (CUT_AT - BEFORE_BLOCKS - LOST_BY_CUT)
        if lacking > most:
            raise RuntimeError(
                f"expected that the pull goes on with what was there, at most {most} of {self._lacked} bytes, found {lacking}"
            )
        session.run("otamgr install 2>&1 | cat; otamgr run", 100, seconds=600)
        session.run("otamgr install", 100)
        session.reboot()
        session.run("otamgr run", 0, seconds=300)
        self.messages["good update"] = session.told(
            "good update",
            first,
            [
                *CHECKED,
                ("download-pre", ""),
                ("download-post", "OK"),
                ("install-pre", ""),
                ("install-post", "NEEDS_COMPLETION"),
                ("install-final-pre", ""),
                ("install-post", "OK"),
            ],
        )
        session.run("cat /data/otamgr-agent/current-target; otamgr status", 0)

    def _back_and_forth(self, session):
        for slot, version in (("a", "1.0"), ("b", "2.0")):
            self._screen.step(f"Back by command, to version {version} in slot {slot}")
            first = len(session.lines)
            session.run("otamgr rollback", 120)
            session.reboot(f"OTA: trial of slot {slot}")
            session.run("until ota-slot status | grep -q ^state=committed; do sleep 1; done", 0, seconds=120)
            said = session.run("otamgr status", 0)
            if not any(re.search(rf"slot +{slot} runs and is committed", line) for line in said):
                raise RuntimeError(f"expected that slot {slot} runs and is committed, found {said}")
            # It is no update, and nobody is asked whether to go back.
            session.told(f"back to slot {slot}", first, [])

    def _refusals(self, session):
        self._screen.step("Version 2.0 in slot b: what must not be installed is refused, and nothing changes")
        before = session.environment()
        for case, command, status in self._source.refusals:
            self._source.offer(session, case)
            first = len(session.lines)
            session.run(f"otamgr {command}", status)
        self.messages["failed download"] = session.told(
            "failed download", first, [*CHECKED, ("download-pre", ""), ("download-post", "FAILED: …")]
        )
        session.expect_unchanged(before)

    def _failed_install(self, session):
        self._screen.step("An install that fails")
        before = session.environment()
        self._source.offer(session, "empty")
        session.run("otamgr pull", 0)
        first = len(session.lines)
        session.run("otamgr install", 6)
        self.messages["failed install"] = session.told(
            "failed install", first, [("install-pre", ""), ("install-post", "FAILED: …")]
        )
        session.run("otamgr check", self._source.failed_check)
        session.expect_unchanged(before)

    def _rollback(self, session):
        self._screen.step("An update that is never healthy is rolled back")
        self._source.offer(session, "unhealthy")
        session.run("otamgr pull", 0, seconds=300)
        first = len(session.lines)
        session.run("otamgr install", 100, seconds=600)
        session.reboot(r"OTA: trial of slot a", r"OTA: booting slot b")
        session.run("otamgr run", 110, seconds=120)
        self.messages["rollback"] = session.told_of_rollback(
            first, [("install-pre", ""), ("install-post", "NEEDS_COMPLETION")]
        )
        self._screen.step("Back by command: the other slot holds what failed, which is refused")
        session.run("otamgr rollback", 21)
        session.run("otamgr why", 4)


DEMOS = {
    source.name: functools.partial(Demo, source)
    for source in (agent_sources.Stick, agent_sources.Repository, agent_sources.Hawkbit)
}
DEMOS[HubbyDemo.name] = HubbyDemo


def streamed(chosen, screen):
    """--streaming; the exit status."""
    systems, failed = streaming.Systems(screen), False
    for name in chosen:
        started = screen.seconds()
        demo = streaming.Demo(streaming.SOURCES[name], screen, systems)
        try:
            rows, problems = demo.run()
        except (machine.Timeout, RuntimeError) as problem:
            screen.line("FAILED", f"{name}: {problem}")
            return 1
        finally:
            demo.close()
        screen.table([("source", name), *rows, ("demo", f"{screen.seconds() - started:.0f} s")])
        for problem in problems:
            print(f"  NOT AS PROMISED: {problem}")
        failed |= bool(problems)
    return 1 if failed else 0


def main():
    parser = options.Parser(
        formatter_class=argparse.HelpFormatter,
        prog="scripts/agent-demo",
        description="Boots an emulated board and gives commands on its console, for each source of updates: a good update with a power cut in its "
        "pull, updates that must be refused, a download and an install that fail, a rollback; with a handler that hears of everything. hubby needs "
        "no commands.",
        epilog=f"Example: scripts/agent-demo --source repository. Ports of this machine that are used: {agent_board.REPOSITORY_PORT} and {agent_board.HAWKBIT_PORT}. "
        "Exit status: 0 all was as it must be, 1 it was not, 2 usage",
    )
    parser.add_argument("--source", action="append", choices=[*DEMOS], help="only this one; several times")
    parser.add_argument(
        "--hawkbit",
        metavar="URL",
        help="with a hawkBit server that runs there (http://[USER:PASSWORD@]HOST:PORT; scripts/hawkbit-server starts one) in place of the "
        "simulator; its history is compared line by line, and what needs no board is tried afterwards, as scripts/test hawkbit does",
    )
    parser.add_argument(
        "--streaming",
        action="store_true",
        help="instead: an update of 200 MB by a board with 8 MB free on /data and /tmp, straight into the slot, with a connection that breaks and "
        "a power cut; from the repository, the stick and the simulator of hawkBit",
    )
    words = parser.parse_args()
    if words.streaming:
        if words.hawkbit or "hubby" in (words.source or []):
            parser.error(
                "expected --streaming with --source bundle, repository or hawkbit, found another source or --hawkbit"
            )
        screen = show.Show()
        screen.step("Build the board and what it is offered")
        return streamed(words.source or list(streaming.SOURCES), screen)
    chosen = words.source or (["hawkbit"] if words.hawkbit else list(DEMOS))
    if words.hawkbit:
        DEMOS["hawkbit"] = functools.partial(Demo, functools.partial(agent_sources.HawkbitServer, words.hawkbit))
    screen = show.Show()
    failed = False
    screen.step("Build the board and what it is offered")
    systems = agent_board.Systems(screen)
    for name in chosen:
        started = screen.seconds()
        demo = DEMOS[name](screen, systems)
        try:
            demo.run()
        except (machine.Timeout, RuntimeError) as problem:
            screen.line("FAILED", f"{name}: {problem}")
            return 1
        finally:
            demo.close()
        for about, messages in demo.messages.items():
            screen.table([(f"{name}: {about}", "")] + [(f"  {message}", result) for message, result in messages])
        screen.table(
            [
                ("seconds of a command", ", ".join(f"{seconds:.2f}" for seconds in demo.seconds_of_calls)),
                (
                    "seconds of processor of a check with nothing new",
                    "-"
                    if demo.processor_of_check is None
                    else "{:.2f} at first, {:.2f} of a daemon that runs".format(*demo.processor_of_check),
                ),
                (f"demo of {name}", f"{screen.seconds() - started:.0f} s"),
            ]
        )
        if max(demo.seconds_of_calls) >= LONGEST_CALL_SECONDS:
            print(f"  NOT AS PROMISED: expected commands to take less than {LONGEST_CALL_SECONDS} s")
            failed = True
        if demo.processor_of_check and demo.processor_of_check[1] > MOST_OF_A_CHECK:
            print(f"  NOT AS PROMISED: expected a check to take at most {MOST_OF_A_CHECK} s of processor")
            failed = True
    print("  The handler heard all of it.")
    if words.hawkbit:
        done = subprocess.run([layer.ROOT / "scripts/test", "hawkbit", "--server", words.hawkbit], check=False)
        failed |= done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
