# SPDX-License-Identifier: MIT
"""What all promises have in common: how one is asked for by its words, and a line for each in TAP, which scripts/evidence reads."""

import itertools
import re

import pytest


def promise_of(nodeid):
    return nodeid.partition("::")[2].replace("::", ".")


def pytest_addoption(parser):
    parser.addoption("--promise", metavar="REGEX", default="", help="only promises with these words")


def pytest_collection_modifyitems(config, items):
    def is_asked_for(item):
        name = promise_of(item.nodeid)
        return any(re.search(config.option.promise, words) for words in (name, name.replace("_", " ")))

    config.hook.pytest_deselected(items=[item for item in items if not is_asked_for(item)])
    items[:] = filter(is_asked_for, items)


def pytest_configure(config):
    # Workers report to the process that started them.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Lines(config))


class Lines:
    def __init__(self, config):
        self.config, self.numbers, self.broken = config, itertools.count(1), set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report):
        # Newer pytests report each part of a promise (subTest), and its whole as passed whatever they said.
        if hasattr(report, "context"):
            return None
        if report.nodeid in self.broken:
            return "", "", ""
        # No dots and letters: pytest_runtest_logreport has a line for each.
        if report.when == "call" or not report.passed:
            return "error" if report.failed and report.when != "call" else report.outcome, "", ""
        return None

    def pytest_runtest_logreport(self, report):
        if hasattr(report, "context"):
            if report.failed:
                self.broken.add(report.nodeid)
            return
        # What comes before and after a promise is only worth a line where it fails.
        if report.when != "call" and report.passed:
            return
        why = f"SKIP {report.longrepr[2]}" if report.skipped else f"{report.duration:.1f} s"
        verdict = "not ok" if report.failed or report.nodeid in self.broken else "ok"
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        terminal.write_line(f"{verdict} {next(self.numbers)} - {promise_of(report.nodeid)} # {why}")

    def pytest_terminal_summary(self, terminalreporter):
        passed, skipped = (len(terminalreporter.getreports(what)) for what in ("passed", "skipped"))
        failed = {report.nodeid for what in ("failed", "error") for report in terminalreporter.getreports(what)}
        skips = f", {skipped} skipped" if skipped else ""
        terminalreporter.write_line(f"{passed} passed, {len(failed)} failed{skips}")
