# SPDX-License-Identifier: MIT
"""The list of tests. A test is a function that takes a board.Factory, named by what it promises."""
from typing import Callable, NamedTuple


class Test(NamedTuple):
    promise: str
    function: Callable


ALL = []


def promise(text, **cases):
    """Registers the function under `text`. With cases=[...], once for each case, formatted into the text."""
    def register(function):
        if "cases" in cases:
            for case in cases["cases"]:
                ALL.append(Test(text.format(case), lambda factory, case=case: function(factory, case)))
        else:
            ALL.append(Test(text, function))
        return function
    return register


def equal(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what}: expected {expected!r}, found {found!r}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)
