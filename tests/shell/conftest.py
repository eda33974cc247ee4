# SPDX-License-Identifier: MIT
"""Makes of each promise an item of pytest, with its sentence for a name. They get the board.Factory of their process, which all
processes have from the first one, so that the template of the boards is made once."""

import fcntl
import importlib
import os
import pickle
import signal
from pathlib import Path

import pytest

import board
import promises

FACTORY, DRAWN = pytest.StashKey(), pytest.StashKey()


class Promise(pytest.Item):
    def __init__(self, *, test, **more):
        super().__init__(**more)
        self.test = test

    def runtest(self):
        factory = self.config.stash[FACTORY]
        factory.transcript.clear()
        try:
            self.test.function(factory)
        finally:
            leftovers = factory.close_boards()
            self.add_report_section("call", "said", "\n".join([*factory.transcript, *leftovers]))
        promises.equal(leftovers, [], "what is left behind")

    def repr_failure(self, excinfo):
        excinfo.traceback = excinfo.traceback.cut(path=__file__)
        return super().repr_failure(excinfo, style="short")

    def reportinfo(self):
        return self.path, None, self.name


class Promises(pytest.File):
    def collect(self):
        tests = self.config.stash[DRAWN]
        if tests is None:
            importlib.import_module(self.path.stem)
            tests = [test for test in promises.ALL if test.module == self.path.stem]
        return [Promise.from_parent(self, name=test.promise, test=test) for test in tests]


def pytest_addoption(parser):
    parser.addoption("--busybox", type=Path)
    parser.addoption("--inject", type=int, default=0)
    parser.addoption("--seed", type=int, default=1)


def pytest_configure(config):
    # A shell that inherits an ignored signal can never trap it: nohup and & would change what is tested.
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        if signal.getsignal(ignored) == signal.SIG_IGN:
            signal.signal(ignored, signal.SIG_DFL)
    if hasattr(config, "workerinput"):
        factory, drawn = pickle.loads(config.workerinput["shared"])
        factory.become_worker(os.getpid())
    else:
        factory, drawn = board.Factory(config.option.busybox, Path(__file__).parents[2]), None
        factory.__enter__()
        config.add_cleanup(lambda: factory.__exit__(None, None, None))
        if config.option.inject:
            injections = importlib.import_module("injections")
            drawn = injections.drawn(factory, config.option.inject, config.option.seed, config.option.promise)
    config.stash[FACTORY], config.stash[DRAWN] = factory, drawn


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["shared"] = pickle.dumps((node.config.stash[FACTORY], node.config.stash[DRAWN]))


def pytest_collect_file(file_path, parent):
    wanted = file_path.name == "injections.py" if parent.config.option.inject else file_path.match("test_*.py")
    return Promises.from_parent(parent, path=file_path) if wanted else None


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.test.alone)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    template = os.open(item.config.stash[FACTORY].running, os.O_RDONLY)
    fcntl.flock(template, fcntl.LOCK_EX if item.test.alone else fcntl.LOCK_SH)
    item.add_marker(pytest.mark.timeout(board.patience(item.test.patience or board.PATIENCE)))
    yield
    os.close(template)
