# SPDX-License-Identifier: MIT
"""What a board must do in one update cycle, told from outside: which image was offered, what happened to it, what the disk says.

Nothing here comes from the scripts, the daemon or the boot script: it is the promise of the README, as functions. A power cut at a random
moment can leave more than one legal state; which one it left is read from the raw environment, and from there on only one end is legal.
"""

import binascii
from dataclasses import dataclass

# What the journal of the device says about one update, event by event, if nothing disturbs it. TRIAL stands for one boot of the trial.
TRIAL = "trial"


@dataclass(frozen=True)
class Kind:
    """A kind of image: how its update ends when no fault comes from outside."""

    about: str
    events: tuple
    trial: tuple = ("trial-boot",)  # what one boot of its trial writes
    commits: bool = False
    code: int = 0  # of sysupgrade, when it refuses
    why: str = ""  # a regular expression that the last line of the journal must fit
    loader_says: str = ""  # ota_failed_why afterwards


# sysupgrade wrote the slot; whether it is a system shows only then.
WRITTEN = ("update-started", "slot-written")
_ARMED = (*WRITTEN, "armed")
_BACK = (*_ARMED, TRIAL, "rolled-back")

GOOD = "good"
KINDS = {
    GOOD: Kind("a good image", (*_ARMED, TRIAL, "committed"), commits=True, why="slot="),
    "cut-off": Kind("an image that ends in the middle", ("update-failed",), code=5, why="does not decompress"),
    "flipped": Kind("an image with one bit flipped", ("update-failed",), code=5, why="does not decompress"),
    "no-image": Kind(
        "a file that is no image", ("update-failed",), code=4, why="neither an ext4 file system nor a tar archive"
    ),
    "too-large": Kind("an image larger than the slot", ("update-failed",), code=8, why="the slot has"),
    "foreign": Kind(
        "a file system that is no system", (*WRITTEN, "update-failed"), code=7, why="the new system has no /etc"
    ),
    "no-kernel": Kind(
        "a system without a kernel that starts", _BACK, trial=(), why="u-boot=load-failed", loader_says="load-failed"
    ),
    "resets": Kind(
        "a system that ends at its first step",
        _BACK,
        trial=(),
        why="boots=0 .*never got as far",
        loader_says="tries-used-up",
    ),
    "no-otamgr": Kind(
        "a system whose JVM cannot start",
        _BACK,
        trial=("trial-boot", "deadline-passed"),
        why="not committed before the deadline",
        loader_says="tries-used-up",
    ),
    "unhealthy": Kind(
        "a system whose health check fails",
        _BACK,
        trial=("trial-boot", "health-failed"),
        why="not committed before the deadline",
        loader_says="tries-used-up",
    ),
    "offline": Kind(
        "a system whose hubby gets no connection",
        _BACK,
        trial=("trial-boot", "health-failed"),
        why="not committed before the deadline",
        loader_says="tries-used-up",
    ),
}


@dataclass(frozen=True)
class System:
    """What runs and is committed: the whole memory of the model from one cycle to the next."""

    slot: str
    version: str
    header: str  # SHA-256 of /etc/ota_type_5.hdr, or "none"
    tries: int  # boots that it grants to the trial of the next update
    environment: tuple  # sorted (name, value) of the ota_ variables


def other(slot):
    return {"a": "b", "b": "a"}[slot]


def journal_of(kind, tries):
    """The events of an undisturbed update."""
    return [
        event
        for word in KINDS[kind].events
        for event in (KINDS[kind].trial * (1 if KINDS[kind].commits else tries) if word == TRIAL else (word,))
    ]


def boots_of(kind, tries):
    """How often the board starts while an undisturbed update runs its course."""
    return 0 if KINDS[kind].code else 1 if KINDS[kind].commits else tries + 1


def environment_after(before, kind, txn):
    """The ota_ variables at the end of an update, from those before it."""
    variables = dict(before.environment)
    if KINDS[kind].code:
        return variables
    variables.pop("ota_failed", None)
    variables.pop("ota_failed_why", None)
    variables["ota_txn"] = txn
    if KINDS[kind].commits:
        variables["ota_slot"] = other(before.slot)
    else:
        variables |= {"ota_failed": txn, "ota_failed_why": KINDS[kind].loader_says}
    return variables


# ---- the raw environment -------------------------------------------------------------------------------------------------


def newest_environment(copies):
    """The variables of the newer good copy: checksum (4, little endian), generation (1, wraps), data; or None."""
    good = [copy for copy in copies if binascii.crc32(copy[5:]) == int.from_bytes(copy[:4], "little")]
    if not good:
        return None
    newest = good[0]
    if len(good) == 2 and (good[1][4] - good[0][4]) % 256 == 1:
        newest = good[1]
    return dict(text.split("=", 1) for text in newest[5:].split(b"\0\0", 1)[0].decode().split("\0") if "=" in text)


# ---- power cuts ----------------------------------------------------------------------------------------------------------

OLD, PENDING, COMMITTED, FAILED = "old", "pending", "committed", "failed"


@dataclass(frozen=True)
class Cut:
    """The state that a power cut left."""

    state: str
    tries: int = 0  # of a pending trial
    txn: str = ""


def state_after_cut(before, variables):
    """Which state the environment tells, or None when no update of a good image ever leads there."""
    if variables is None:
        return None
    if tuple(sorted(variables.items())) == before.environment:
        return Cut(OLD)
    txn = variables.get("ota_txn", "")
    if txn == dict(before.environment).get("ota_txn"):
        return None
    rest = {
        name: value
        for name, value in variables.items()
        if name not in ("ota_slot", "ota_trial", "ota_tries", "ota_txn", "ota_bootargs")
    }
    if variables.get("ota_trial"):
        if (
            variables["ota_trial"] != other(before.slot)
            or variables.get("ota_slot") != before.slot
            or rest
            or "ota_tries" not in variables
        ):
            return None
        return Cut(PENDING, int(variables["ota_tries"]), txn)
    if variables.get("ota_slot") == other(before.slot):
        return None if rest else Cut(COMMITTED, txn=txn)
    if rest == {"ota_failed": txn, "ota_failed_why": "tries-used-up"}:
        return Cut(FAILED, txn=txn)
    return None


def may_follow(before, offered, earlier, later):
    """Whether a running board can get from one state to the other."""
    if later is None:
        return False
    if earlier.state == OLD:
        return later.state == OLD or offered and (later.state != PENDING or later.tries <= before.tries)
    if earlier.state == PENDING:
        if later.state == FAILED:
            return later.txn == earlier.txn
        return later.txn == earlier.txn and (
            later.state == COMMITTED and earlier.tries >= 0 or later.state == PENDING and later.tries <= earlier.tries
        )
    return later == earlier


def end_after_cut(offered, cut):
    """How the cycle ends when the power stays on from now: OLD, COMMITTED or FAILED."""
    if cut.state == OLD:
        return COMMITTED if offered else OLD
    if cut.state == PENDING:
        return COMMITTED if cut.tries >= 1 else FAILED
    return cut.state


def is_part_of(events, whole):
    """Whether the events happened in the order of the whole, some perhaps not at all."""
    rest = iter(whole)
    return all(event in rest for event in events)
