# SPDX-License-Identifier: MIT
"""A run of the emulated board whose shell is on its console, and what its handler of messages was told."""

import itertools
import re
import statistics

from emulated_board import machine, scenario

_MESSAGE = re.compile(r"otamgr: callback:message=([a-z-]+)(?:,target=[^,]*)?(?:,result=(.*))?$")


class Session:
    #: So often a command is given to see what it costs, and so many of these count as the first and as later ones.
    _CALLS, _SOME = 41, 5

    def __init__(self, screen, disk, source, log, write_log=None):
        self._screen, self._source = screen, source
        self.lines = []
        self.board = machine.Machine(
            disk, log, on_line=self._on_line, stick=source.stick, network=source.network, write_log=write_log
        )
        self._count = 0

    def _on_line(self, text):
        self.lines.append(text)
        scenario.show_line(self._screen, text)

    def shell(self):
        """Waits for the system, for its daemon, and for its shell."""
        self.board.wait_all([scenario.BOOTED, r"otamgr: control:socket="], 240, fail=scenario.DANGER + "|config_error")
        self.board.type("\n")
        self._source.attach(self)

    def run(self, command, expected=None, seconds=180):
        """Types a command; returns what it printed. The exit status must be the expected one."""
        self._screen.line("console", f"# {command}")
        self._count += 1
        first = len(self.lines)
        # The quotes keep the echo of what is typed from looking like the answer.
        self.board.type(f'{command}; echo "exit""{self._count}=$?"\n')
        status = int(self.board.wait(rf"exit{self._count}=(\d+)", seconds)[1])
        printed = [
            line
            for line in self.lines[first:]
            if not re.search(r"exit\"?\"?\d+=| (otamgr|syslog|sysupgrade|platform)[\[:]", line)
        ]
        for line in printed:
            if line.strip() and not line.endswith(command):
                self._screen.line("", line)
        self._screen.line("", f"exit status {status}")
        if expected is not None and status != expected:
            raise RuntimeError(f"{command}: expected exit status {expected}, found {status}")
        return printed

    def seconds_of(self, command):
        """How long a command takes that succeeds, from the shell's fork on."""
        calls = self.run(f"busybox time {command} 2>&1", 0)
        real = next(re.search(r"real\s+(\d+)m\s*([\d.]+)s", line) for line in calls if "real" in line)
        return int(real[1]) * 60 + float(real[2])

    def processor_of_daemon(self, command):
        """
        Seconds of processor that the daemon uses for a command: (one of the first since it started, the usual one of later).
        The first ones are mostly run by the interpreter; a device that polls for months pays them once after each start.
        """
        self.run(
            f"for i in $(seq {self._CALLS}); do {command} >/dev/null 2>&1; "
            "awk '{ print \"ticks=\" $14 + $15 }' /proc/$(cat /run/otamgr.pid)/stat; done",
            0,
        )
        found = [int(match[1]) for line in self.lines if (match := re.search(r"^ticks=(\d+)", line))][-self._CALLS :]
        # A hundred ticks are a second.
        ticks = [(after - before) / 100 for before, after in itertools.pairwise(found)]
        return tuple(statistics.median(part) for part in (ticks[: self._SOME], ticks[-self._SOME :]))

    def environment(self):
        """What the boot loader knows about slots."""
        return [line for line in self.run("fw_printenv | grep ^ota_ | sort", 0) if line.startswith("ota_")]

    def expect_unchanged(self, before):
        """Expects the environment that was seen before."""
        after = self.environment()
        if before != after:
            raise RuntimeError(f"expected that refused updates change nothing, found {before} and {after}")

    def messages(self, first=0):
        """What the handler was told, as (message, result)."""
        found = []
        for line in self.lines[first:]:
            if match := _MESSAGE.search(line):
                found.append((match[1], (match[2] or "").strip()))
        return found

    def told_of_rollback(self, first, expected):
        """Expects that after these messages each boot on trial says that it is about to be decided, and the old system how it ended."""
        trials = len(self.messages(first)) - len(expected) - 1
        if trials < 1:
            raise RuntimeError(f"rollback: expected install-final-pre, found {self.messages(first)}")
        return self.told(
            "rollback",
            first,
            [*expected, *[("install-final-pre", "")] * trials, ("install-post", "FAILED: rolled back…")],
        )

    def told(self, name, first, expected):
        """Expects that the handler was told this; a result that ends in … may go on."""
        found = self.messages(first)

        def fits(got, wanted):
            return got[0] == wanted[0] and (
                got[1] == wanted[1] or wanted[1].endswith("…") and got[1].startswith(wanted[1][:-1])
            )

        if len(found) != len(expected) or not all(map(fits, found, expected)):
            raise RuntimeError(f"{name}: expected that the handler is told {expected}, found {found}")
        return found


class Running(Session):
    """A session that begins with its shell and ends switched off."""

    def __enter__(self):
        try:
            self.shell()
        except BaseException:
            # Nobody else would switch it off.
            self.board.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.board.__exit__()

    def reboot(self, *loader):
        """Into what the boot loader says in these lines."""
        self.board.type("reboot\n")
        for line in loader:
            self.board.wait(line, 600)
        self.shell()
