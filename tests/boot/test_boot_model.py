#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the boot script, run by a real U-Boot, with the model: every state, or a sample of them. --native: in a U-Boot that keeps the
environment itself. --verified: in one that starts nothing unsigned, with signed slots. --floor: and reads a floor from the eMMC's RPMB."""

import argparse
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import boot_model
from boot_case import BootCase
from boot_model import (
    BELOW,
    BOTH,
    BROKEN,
    COMPLETE,
    CONDEMNED,
    EMPTY,
    HALF_WRITTEN,
    LOST,
    ONLY_NEWER,
    ONLY_OLDER,
    UNMARKED,
    UNSIGNED,
)
from test_rpmb_floor import FLASHED, RpmbCase
from verified_case import BLOCK, VerifiedCase, verified

BOARDS = 2


class ModelBoard:
    """One disk that is put into a state, booted and looked at."""

    def runTest(self):
        """A case of its own makes boot_case's assertions usable; the states come through differences()."""

    def arrange(self, state):
        for slot, content in (("a", state.a), ("b", state.b)):
            self.arrange_slot(slot, content)
        for index in (0, 1):
            self.overwrite_copy(index, self.make_environment(boot_model.OLDER))
        self.setenv(**({name: "" for name in boot_model.OLDER} | {"model": "newer"} | state.variables()))
        generations = [copy[4] for copy in self.copies()]
        newer = generations.index(max(generations))
        for index in {BOTH: (), ONLY_NEWER: (1 - newer,), ONLY_OLDER: (newer,), LOST: (0, 1)}[state.environment]:
            self.overwrite_copy(index, b"\x5a", at=64)

    def difference(self, state):
        """What differs from the model, or None."""
        self.arrange(state)
        slot, variables = boot_model.outcome(state, self.contents)
        line = self.boot(f"^KERNEL OF SLOT|{self.nothing_starts}")[-1]
        ran = line[-1].lower() if line.startswith("KERNEL") else None
        found = self.environment()
        if (ran, found) != (slot, variables):
            return f"{state}\n  the model says {slot} {variables}\n  U-Boot did     {ran} {found}"
        if ran is None and any(self.contents[content].starts for content in (state.a, state.b)):
            return f"{state}\n  a slot that starts exists, but none was booted"
        return None


class PlainBoard(ModelBoard, BootCase):
    contents = boot_model.PLAIN
    nothing_starts = "^OTA: NO BOOTABLE SLOT"

    def arrange_slot(self, slot, content):
        if content == HALF_WRITTEN:
            self.half_write(slot)
        else:
            name, marked = {
                COMPLETE: (slot, True),
                UNMARKED: (slot, False),
                BROKEN: ("broken", True),
                EMPTY: (None, False),
            }[content]
            self.put(slot, name, marked)


class ReadOnlyBoard(PlainBoard):
    further_files = ("ota-read-only",)


class VerifiedBoard(ModelBoard, VerifiedCase):
    contents = boot_model.VERIFIED
    # Not the script's last words: its other copy must not do more.
    nothing_starts = "^OTA: END OF BOOTCMD"

    def arrange_slot(self, slot, content):
        image = self.complete(slot)
        behind = self.facts["fit-offset"]
        in_kernel = image.index((self.folder / f"kernel-{slot}").read_bytes()) + 100
        self.fill(
            slot,
            {
                COMPLETE: image,
                BROKEN: image[:in_kernel] + bytes([image[in_kernel] ^ 16]) + image[in_kernel + 1 :],
                CONDEMNED: image[:behind]
                + (verified.CONDEMNED + b"block=7\n").ljust(BLOCK, b"\0")
                + image[behind + BLOCK :],
                UNSIGNED: image[:behind] + bytes(len(image) - behind),
                HALF_WRITTEN: bytes(BLOCK) + image[BLOCK:],
                **self.further(slot),
            }[content],
        )

    def complete(self, slot):
        return self.signed[slot]

    def further(self, slot):
        """Contents that only some boards know."""
        return {}


class FloorBoard(VerifiedBoard, RpmbCase):
    contents = boot_model.FLOOR

    def setUp(self):
        super().setUp()
        # In the RPMB and nowhere else.
        self.has_floor(FLASHED + 1)

    def complete(self, slot):
        return self.indexed(slot, FLASHED + 1)

    def further(self, slot):
        return {BELOW: self.indexed(slot, FLASHED)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="so many states, drawn at random, instead of all")
    parser.add_argument("--read-only", action="store_true", help="a board whose systems have a read-only root")
    parser.add_argument("--verified", action="store_true", help="a board with verified boot; its U-Boot is built first")
    parser.add_argument(
        "--floor", action="store_true", help="one whose eMMC has an RPMB besides; QEMU 11 is downloaded"
    )
    parser.add_argument(
        "--having", metavar="CONTENT", help="only states in which a slot has this, such as 'below the floor'"
    )
    parser.add_argument("--without", metavar="CONTENT", help="only the other states, so that both make all of them")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="makes the same sample again")
    arguments = parser.parse_args()
    kinds = ((arguments.floor, FloorBoard), (arguments.verified, VerifiedBoard), (arguments.read_only, ReadOnlyBoard))
    kind = next((board for asked, board in kinds if asked), PlainBoard)
    states = list(boot_model.states(kind.contents))
    if arguments.having:
        states = [state for state in states if arguments.having in (state.a, state.b)]
    if arguments.without:
        states = [state for state in states if arguments.without not in (state.a, state.b)]
    if arguments.sample:
        states = random.Random(arguments.seed).sample(states, arguments.sample)
        print(f"seed {arguments.seed}")

    kind.setUpClass()
    differences = []

    def work(share, disk):
        board = kind()
        board.use_disk(disk)
        board.setUp()
        for number, state in enumerate(share):
            if number % 100 == 0:
                print(f"{disk}: {number} of {len(share)} states", flush=True)
            if difference := board.difference(state):
                differences.append(difference)
                print(difference, flush=True)

    try:
        with ThreadPoolExecutor(BOARDS) as pool:
            # Neighbours share the slots' contents; each board gets every BOARDS-th state.
            for result in [pool.submit(work, states[n::BOARDS], f"model-{n}.img") for n in range(BOARDS)]:
                result.result()
    finally:
        kind.tearDownClass()
    print(f"{len(states) - len(differences)} passed, {len(differences)} failed")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
