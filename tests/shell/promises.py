# SPDX-License-Identifier: MIT
"""The list of tests. A test is a function that takes a board.Factory, named by what it promises."""

from collections.abc import Callable
from typing import NamedTuple


class Test(NamedTuple):
    promise: str
    function: Callable
    module: str = ""
    alone: bool = False
    patience: int = 0


ALL = []


def promise(text, cases=None, alone=False, patience=0):
    """Registers the function under `text`; with cases, once for each case, formatted into the text.

    alone: not while other tests run, because they drop the page cache of the whole machine.
    patience: seconds after which what does not end has failed, where it does many things.
    """

    def register(function):
        more = (function.__module__, alone, patience)
        if cases is None:
            ALL.append(Test(text, function, *more))
        else:
            for case in cases:
                ALL.append(Test(text.format(case), lambda factory, case=case: function(factory, case), *more))
        return function

    return register


def equal(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what}: expected {expected!r}, found {found!r}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)
