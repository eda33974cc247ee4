#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Promises of the floor in the eMMC's RPMB, kept by a real U-Boot and QEMU's eMMC: nothing whose rollback index is lower is started."""

import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from emulated_board import build, rpmb
from verified_case import BLOCK, VerifiedCase, verified

# That of the boot script, of which the board was flashed.
FLASHED = 3
# Where the factory puts the key, and the block that it writes, in the board's memory.
KEY_AT, BLOCK_AT = 0x50000000, 0x50001000
FACTORY = """\
mmc dev 0
if mmc rpmb counter; then
  echo FACTORY: has its key
else
  setenv stdin serial
  {key}
  {block}
  mmc rpmb key {key_at:x}
  mmc rpmb write {block_at:x} 0 1 {key_at:x}
  setenv stdin nulldev
fi
"""


def words_at(address, content):
    """Commands that write bytes into the memory of U-Boot."""
    numbers = (int.from_bytes(content[at : at + 4], "little") for at in range(0, len(content), 4))
    return "; ".join(f"mw.l {address + 4 * at:x} {number:x}" for at, number in enumerate(numbers))


class RpmbCase(VerifiedCase):
    origin = rpmb.BYTES

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.board = rpmb.options(build.Cache(print), cls.parts)
        disk = cls.base.rename(cls.folder / "user-area.img")
        rpmb.make_card(disk, cls.base)
        cls.settings |= rpmb.settings(FLASHED)
        cls.with_index = {}

    def indexed(self, slot, index):
        """The image of a slot with that rollback index."""
        if (slot, index) not in self.with_index:
            self.with_index[slot, index] = self.image(slot, rollback_index=index)
        return self.with_index[slot, index]

    def setUp(self):
        super().setUp()
        self.has_floor(None)

    def have_indices(self, a, b):
        for slot, index in (("a", a), ("b", b)):
            self.fill(slot, self.indexed(slot, index))

    def has_floor(self, floor, block=None):
        """The RPMB gets a key and this floor, or this block, before the script of the layer runs; with neither it stays as it is delivered."""
        text = self.filled()
        if block is None and floor is not None:
            block = verified.FLOOR_MAGIC + floor.to_bytes(4, "little")
        if block is not None:
            text = (
                FACTORY.format(
                    key=words_at(KEY_AT, bytes(range(32))),
                    block=words_at(BLOCK_AT, block.ljust(256, b"\0")[:16]),
                    key_at=KEY_AT,
                    block_at=BLOCK_AT,
                )
                + text
            )
        for name in build.SIGNED_SCRIPTS:
            self.script(name, self.signed_script(text))

    def boot(self, expect, **options):
        self._asked, self._answered = threading.Event(), threading.Event()
        try:
            # Without anything that wakes it up, the main loop of QEMU 11 oversees now and then for minutes that the guest has reset itself.
            return super().boot(expect, network=True, **options)
        finally:
            self._answered.set()
            self._asked.set()

    def heard(self, line):
        if "only if you are sure" in line:
            self._asked.set()
        elif "MMC RPMB write" in line:
            self._answered.set()

    def started(self, board):
        asked, answered = self._asked, self._answered

        def say_yes():
            # U-Boot forgets what was typed before it asks.
            while asked.wait() and not answered.wait(0.2):
                board.type("y\r")

        threading.Thread(target=say_yes, daemon=True).start()


class RpmbFloor(RpmbCase):
    def test_an_image_at_the_floor_or_above_it_starts_and_nothing_is_written(self):
        self.has_floor(7)
        self.have_indices(9, 7)
        for slot in "ab":
            self.setenv(ota_slot=slot)
            before = self.copies()
            lines = self.boot(f"KERNEL OF SLOT {slot.upper()}")
            self.assertIn("OTA: no image with a rollback index below 0x7 is started (the RPMB)", lines)
            self.assertEqual(before, self.copies())

    def test_a_committed_slot_below_the_floor_is_replaced_by_the_other_one_and_says_why(self):
        self.has_floor(7)
        self.have_indices(7, 6)
        self.setenv(ota_slot="b")
        self.boot("KERNEL OF SLOT A")
        self.assertEqual({"ota_slot": "a", "ota_failed_why": "slot-b-below-floor"}, self.environment())

    def test_a_trial_below_the_floor_never_runs_and_says_why(self):
        self.has_floor(0x100)
        self.have_indices(0x100, 0xFF)
        self.setenv(ota_slot="a", ota_trial="b", ota_tries=2, ota_txn="t1")
        lines = self.boot("KERNEL OF SLOT A")
        self.assertEqual(2, sum("OTA: slot b did not start, reset" in line for line in lines))
        self.assertIn("FACTORY: has its key", lines)
        self.assertEqual("below-floor", self.environment()["ota_failed_why"])

    def test_two_slots_below_the_floor_end_in_the_documented_stop(self):
        self.has_floor(0xFFFF)
        self.have_indices(0xFFFE, 0xFFFE)
        self.boot("OTA: NO BOOTABLE SLOT")

    def test_what_is_not_signed_may_say_any_index(self):
        self.has_floor(7)
        self.have_indices(7, 6)
        image = self.indexed("b", 6)
        higher = self.indexed("b", 8)
        (at,) = [
            at
            for at in range(len(image) - BLOCK)
            if image[at : at + 4] == (6).to_bytes(4, "big") and higher[at : at + 4] == (8).to_bytes(4, "big")
        ]
        changed = image[:at] + higher[at : at + 4] + image[at + 4 :]
        file = self.folder / "checked"
        file.write_bytes(image)
        self.assertEqual(6, verified.check(file, self.parts.control)["rollback-index"])
        file.write_bytes(changed)
        with self.assertRaisesRegex(verified.VerifiedError, "not signed by a key"):
            verified.check(file, self.parts.control)
        self.fill("b", changed)
        self.setenv(ota_slot="b")
        self.boot("KERNEL OF SLOT A")
        self.assertEqual("slot-b-signature-refused", self.environment()["ota_failed_why"])

    def test_an_rpmb_that_says_nothing_leaves_the_index_of_the_boot_script(self):
        for block in (None, b"", b"SOMEBODY ELSE'S"):
            with self.subTest(block=block):
                self.setUp()
                self.has_floor(None, block)
                self.have_indices(FLASHED, FLASHED - 1)
                self.setenv(ota_slot="b")
                lines = self.boot("KERNEL OF SLOT A")
                self.assertIn(
                    f"OTA: no image with a rollback index below 0x{FLASHED:x} is started (the boot script)", lines
                )
                self.assertEqual("slot-b-below-floor", self.environment()["ota_failed_why"])

    def test_a_permit_may_go_below_what_the_board_was_flashed_with(self):
        self.has_floor(FLASHED - 1)
        self.have_indices(FLASHED, FLASHED - 1)
        self.setenv(ota_slot="b")
        self.boot("KERNEL OF SLOT B")


if __name__ == "__main__":
    unittest.main()
