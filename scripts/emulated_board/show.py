# SPDX-License-Identifier: MIT
"""What a person sees: time-stamped lines, a progress bar that stays in place on a terminal, a table at the end."""

import os
import sys
import time


class Show:
    def __init__(self):
        self._start = time.monotonic()
        self._bar = None
        # Where nothing can be overwritten, progress is lines.
        self._terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def seconds(self):
        return time.monotonic() - self._start

    def step(self, text):
        self._print(f"== {text}")

    def line(self, source, text):
        self._print(f"   {source:<9} {text}")

    def progress(self, what, percent):
        """A bar; without a terminal one line for each fifth of the way."""
        text = f"   {what:<9} [{'#' * (percent // 4):<25}] {percent:3d} %"
        if self._terminal:
            # A line that is broken cannot be overwritten; in the last column terminals break.
            room = os.get_terminal_size(sys.stdout.fileno()).columns - 1
            print("\r" + f"[{self.seconds():6.1f}s]{text}"[: room if room > 0 else None], end="", flush=True)
            self._bar = what
        elif self._bar != (what, percent // 20):
            self._bar = (what, percent // 20)
            print(f"[{self.seconds():6.1f}s]{text}", flush=True)

    def _print(self, text):
        if self._terminal and self._bar:
            print()
            self._bar = None
        print(f"[{self.seconds():6.1f}s]{text}", flush=True)

    @staticmethod
    def table(rows):
        width = max(len(name) for name, _ in rows)
        print()
        for name, value in rows:
            print(f"  {name:<{width}}  {value}")
        print(flush=True)
