# SPDX-License-Identifier: MIT
"""What the boot script must do, written down a second time and differently: as a function from a state of the disk to its outcome."""

from dataclasses import dataclass
from itertools import product

# Contents of a slot. Only a complete one was written to its end by sysupgrade or the factory; a half-written one has lost its first
# blocks; unmarked is a good system that nothing vouches for. With verified boot a broken one has a changed bit in what was signed, a condemned
# one was found changed by its own initramfs, an unsigned one has nothing behind its file system.
COMPLETE, UNMARKED, BROKEN, HALF_WRITTEN, EMPTY = "complete", "unmarked", "broken", "half-written", "empty"
CONDEMNED, UNSIGNED = "condemned", "unsigned"
# A signed image whose rollback index is below the floor in the eMMC's RPMB.
BELOW = "below the floor"


@dataclass(frozen=True)
class Content:
    """What the boot script makes of a slot."""

    starts: bool
    vouched_for: bool  # taken when nobody knows which slot is good
    replaces: bool  # tried when the committed slot does not start
    why: str = "load-failed"  # of a trial that does not start


PLAIN = {
    COMPLETE: Content(True, True, True),
    UNMARKED: Content(True, False, True),
    BROKEN: Content(False, True, True),
    HALF_WRITTEN: Content(False, False, False),
    EMPTY: Content(False, False, False),
}
VERIFIED = {
    COMPLETE: Content(True, True, True),
    BROKEN: Content(False, True, True, "signature-refused"),
    CONDEMNED: Content(False, True, True, "changed-block"),
    UNSIGNED: Content(False, True, True),
    HALF_WRITTEN: Content(False, False, False),
}
FLOOR = {**VERIFIED, BELOW: Content(False, True, True, "below-floor")}

# Contents of the two copies of the environment: which of them are readable.
BOTH, ONLY_NEWER, ONLY_OLDER, LOST = "both", "only newer", "only older", "lost"


@dataclass(frozen=True)
class State:
    environment: str  # one of the four above
    slot: str
    trial: str
    tries: str
    a: str
    b: str

    def variables(self):
        named = {"ota_slot": self.slot, "ota_trial": self.trial, "ota_tries": self.tries, "ota_txn": "t1"}
        return {name: value for name, value in named.items() if value}


# What the older copy says: the state before the update was armed.
OLDER = {"ota_slot": "a", "ota_txn": "t0"}


def outcome(state, contents=PLAIN):
    """(the slot whose kernel runs or None, the variables afterwards)."""
    content = {"a": contents[state.a], "b": contents[state.b]}
    variables = {BOTH: state.variables(), ONLY_NEWER: state.variables(), ONLY_OLDER: dict(OLDER), LOST: {}}[
        state.environment
    ]
    while True:
        committed, trial, tries = (variables.get(n, "") for n in ("ota_slot", "ota_trial", "ota_tries"))
        if committed not in content:
            marked = [slot for slot in "ab" if content[slot].vouched_for]
            committed = marked[0] if marked else "a"
            variables.pop("ota_trial", None)
            variables.pop("ota_tries", None)
            variables |= {"ota_slot": committed, "ota_failed_why": "environment-lost"}
        elif trial:
            if trial in content and trial != committed and tries in set("123456789"):
                variables["ota_tries"] = str(int(tries) - 1)
                if content[trial].starts:
                    return trial, variables
                variables["ota_failed_why"] = content[trial].why
                continue
            variables.pop("ota_trial")
            variables.pop("ota_tries", None)
            variables["ota_failed"] = variables["ota_txn"]
            variables.setdefault("ota_failed_why", "tries-used-up")
        if content[committed].starts:
            return committed, variables
        other = "b" if committed == "a" else "a"
        if content[other].replaces:
            why = content[committed].why.replace("load-failed", "does-not-load")
            variables |= {"ota_slot": other, "ota_failed_why": f"slot-{committed}-{why}"}
            if content[other].starts:
                return other, variables
        return None, variables


def states(contents=PLAIN):
    """Every combination that can differ, grouped so that the slots' contents change rarely."""
    for a, b in product(contents, contents):
        yield State(LOST, "a", "", "", a, b)
        for environment in (BOTH, ONLY_NEWER):
            for slot, trial, tries in product(("a", "b", ""), ("", "a", "b"), ("", "0", "1", "3")):
                yield State(environment, slot, trial, tries, a, b)
        yield State(ONLY_OLDER, "a", "b", "3", a, b)
        yield State(ONLY_OLDER, "b", "", "", a, b)
