#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bundles of format 2 that are fetched in parts: `need` says which, and check and write take what came. The slots are files."""

import os
import random
import re
import struct
import sys
import unittest

import content
import test_blocks
from test_blocks import BLOCK, CORRUPT

NEEDS_MORE = 22


class Parts(test_blocks.Blocks):
    """The bundle on the engine's descriptor is a file of the right length without content; `whole` is what a server has."""

    def make(self, image, *options):
        facts = super().make(image, *options)
        self.whole = self.payload.read_bytes()
        self.emptied()
        return facts

    def emptied(self):
        self.payload.unlink()
        self.payload.touch()
        os.truncate(self.payload, len(self.whole))

    def needed(self, running=False):
        """(offset, bytes) of what is still to be fetched."""
        done = self.engine("need", running=running)
        self.assertEqual(done.returncode, 0, done.stderr)
        ranges = [(int(at), int(size)) for at, size in re.findall(r"^range=(\d+) (\d+)$", done.stdout, re.M)]
        facts = content.facts(re.sub(r"^range=.*\n", "", done.stdout, flags=re.M))
        self.assertEqual((int(facts["missing"]), int(facts["ranges"])), (sum(size for _, size in ranges), len(ranges)))
        self.assertEqual(ranges, sorted(ranges))
        for (at, size), (following, _) in zip(ranges, ranges[1:], strict=False):
            self.assertLess(at + size, following)
        return ranges

    def fetch(self, ranges):
        with open(self.payload, "r+b") as f:
            for at, size in ranges:
                f.seek(at)
                f.write(self.whole[at : at + size])
        return sum(size for _, size in ranges)

    def assert_installs(self, image, running=False):
        self.assertEqual(self.needed(running), [])
        self.update(image, running)


class Needs(Parts):
    def test_only_what_no_slot_has_is_fetched(self):
        blocks = [self.block() for _ in range(400)]
        self.slot.write_bytes(self.image_of(blocks).ljust(500 * BLOCK, b"\1"))
        new = self.image_of([self.block("random"), *blocks[:200], self.block("random"), *blocks[200:]])
        self.make(new)
        ranges = self.needed()
        # Block 0 is always looked at; it is compressed to less than the other two.
        self.assertLess(self.fetch(ranges), 4 * BLOCK)
        self.assertLessEqual(len(ranges), 3)
        self.assert_installs(new)

    def test_two_slots_together(self):
        blocks = [self.block() for _ in range(300)]
        new = self.image_of(blocks)
        self.make(new)
        self.slot.write_bytes(self.image_of(blocks[:150]).ljust(len(new), b"\1"))
        self.running.write_bytes(self.image_of(blocks[150:]))
        self.assertLess(self.fetch(self.needed(running=True)), 2 * BLOCK)
        self.assert_installs(new, running=True)

    def test_a_device_that_shares_nothing_fetches_everything(self):
        new = self.image_of([self.block() for _ in range(100)])
        self.make(new)
        self.slot.write_bytes(self.random.randbytes(len(new)))
        self.assertEqual(self.needed(), [(0, len(self.whole))])
        self.fetch([(0, len(self.whole))])
        self.assert_installs(new)

    def test_places_are_those_in_the_file(self):
        new = self.image_of([self.block() for _ in range(20)])
        facts = self.make(new)
        self.slot.write_bytes(self.random.randbytes(len(new)))
        self.opened(payload_bytes=facts["image_bytes"], payload_offset=1536, **facts)
        os.truncate(self.payload, 1536 + len(self.whole))
        self.assertEqual(self.needed(), [(1536, len(self.whole))])

    def test_the_number_of_ranges_is_bounded(self):
        blocks = [self.block("random") for _ in range(5000)]
        self.slot.write_bytes(self.image_of([b"\1" * BLOCK if n % 2 else block for n, block in enumerate(blocks)]))
        new = self.image_of(blocks)
        self.make(new, "--level", 1)
        ranges = self.needed()
        self.assertLessEqual(len(ranges), 1024)
        self.fetch(ranges)
        self.assert_installs(new)

    def test_an_end_at_any_place_costs_one_frame(self):
        blocks = [self.block() for _ in range(300)]
        new = self.image_of(blocks)
        self.make(new)
        self.slot.write_bytes(self.random.randbytes(len(new)))
        for cut in (1, 100, 5000, len(self.whole) // 2, len(self.whole) - 1):
            self.emptied()
            self.fetch([(0, cut)])
            left = self.needed()
            self.assertGreater(left[0][0], cut - BLOCK)
            self.assertLessEqual(left[0][0], cut)
            self.fetch(left)
            self.assert_installs(new)
            self.slot.write_bytes(self.random.randbytes(len(new)))

    def test_a_bit_that_changed_on_the_way_is_fetched_again(self):
        new = self.image_of([self.block() for _ in range(100)])
        self.make(new)
        self.slot.write_bytes(self.random.randbytes(len(new)))
        self.fetch(self.needed())
        good = self.payload.read_bytes()
        for _ in range(10):
            at = self.random.randrange(len(good))
            self.payload.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            again = self.needed()
            while again:
                self.assertLess(sum(size for _, size in again), 3 * BLOCK)
                self.fetch(again)
                again = self.needed()
            self.assertEqual(self.payload.read_bytes(), good)

    def test_what_only_looks_like_a_block_is_not_taken_for_it(self):
        """A search compares 32 bits first. If a block of the slot has the same 32 bits, the bundle is where the right one is."""
        wanted = self.block("random")
        p1, p2 = 2654435761, 2246822519

        def mixed(lane, value):
            lane = (lane + value * p2) & 0xFFFFFFFF
            return ((lane << 13 | lane >> 19) * p1) & 0xFFFFFFFF

        # XXH32 takes four lanes of words; what one word does to the first lane, the next one undoes.
        first, second = struct.unpack_from("<I", wanted, 0)[0], struct.unpack_from("<I", wanted, 16)[0]
        lane = (p1 + p2) & 0xFFFFFFFF
        other = first ^ 1
        undone = (second + (mixed(lane, first) - mixed(lane, other)) * pow(p2, -1, 1 << 32)) & 0xFFFFFFFF
        twin = struct.pack("<I", other) + wanted[4:16] + struct.pack("<I", undone) + wanted[20:]
        blocks = [self.block() for _ in range(50)]
        new = self.image_of([*blocks, wanted])
        self.make(new)
        self.slot.write_bytes(self.image_of([*blocks[:20], twin, *blocks[20:]]))
        self.fetch(self.needed())
        self.assert_installs(new)

    def test_any_image_and_any_slots(self):
        for case in range(test_blocks.CASES // 3):
            with self.subTest(case=case):
                self.random = random.Random(case)
                count = self.random.choice((1, 3, 40, 130, 300))
                old = [self.block("random" if self.random.random() < 0.3 else "text") for _ in range(count)]
                new = list(old)
                if self.random.random() < 0.5:
                    at = self.random.randrange(count)
                    new = new[at:] + [self.block()] + new[:at]
                for at in range(len(new)):
                    if self.random.random() < 0.1:
                        new[at] = self.random.choice((self.block(), self.random.choice(old), bytes(BLOCK)))
                image = self.image_of(new)
                if self.random.random() < 0.3:
                    image += b"the end"
                frames = self.random.choice((1, 1, 2, 16))
                self.make(
                    image, "--level", 1, "--frame-blocks", frames, "--prefix-blocks", self.random.choice((0, 3, 24, 64))
                )
                self.slot.write_bytes(self.image_of(old).ljust(len(image) + self.random.randrange(3) * 1000, b"\1"))
                running = self.random.random() < 0.5
                if running:
                    self.random.shuffle(old)
                    self.running.write_bytes(b"".join(old[self.random.randrange(count) :]))
                self.fetch(self.needed(running))
                self.assert_installs(image, running)


class Lacking(Parts):
    def prepared(self):
        """A bundle whose parts are those of a device that has all but two blocks, and a slot that has the rest."""
        self.blocks = [self.block() for _ in range(300)]
        self.image = self.image_of(self.blocks)
        self.make(self.image)
        self.slot.write_bytes(self.image_of([*self.blocks[:100], self.block(), *self.blocks[101:]]))
        self.fetch(self.needed())

    def refused(self, command):
        done = self.engine(command)
        self.assertEqual(done.returncode, NEEDS_MORE, done.stderr)
        self.assertIn("pull it again", done.stderr)

    def test_a_slot_that_changed_since_is_refused_before_it_is_touched(self):
        self.prepared()
        changed = bytearray(self.slot.read_bytes())
        changed[200 * BLOCK : 201 * BLOCK] = self.random.randbytes(BLOCK)
        self.slot.write_bytes(changed)
        self.refused("check")
        self.assertEqual(self.slot.read_bytes(), changed)
        self.fetch(self.needed())
        self.assert_installs(self.image)

    def test_a_slot_that_changes_after_the_check_ends_the_writing_and_the_next_run_succeeds(self):
        self.prepared()
        # A block that only moves comes from where the check has seen it.
        self.slot.write_bytes(self.image_of([*self.blocks[:99], b"\1" * BLOCK, *self.blocks[99:]]))
        self.fetch(self.needed())
        self.assertEqual(self.engine("check").returncode, 0)
        changed = bytearray(self.slot.read_bytes())
        changed[250 * BLOCK : 251 * BLOCK] = self.random.randbytes(BLOCK)
        self.slot.write_bytes(changed)
        self.refused("write")
        self.assertEqual(self.slot.read_bytes()[:BLOCK], bytes(BLOCK), "whoever starts that slot must not get far")
        self.fetch(self.needed())
        self.assert_installs(self.image)

    def test_without_its_first_frame_it_is_no_damaged_bundle(self):
        self.prepared()
        self.emptied()
        self.slot.write_bytes(self.random.randbytes(len(self.image)))
        self.refused("check")

    def test_a_whole_bundle_that_is_damaged_stays_damaged(self):
        self.prepared()
        self.slot.write_bytes(self.random.randbytes(len(self.image)))
        at = len(self.whole) // 2
        self.payload.write_bytes(self.whole[:at] + bytes([self.whole[at] ^ 1]) + self.whole[at + 1 :])
        self.assertEqual(self.engine("check").returncode, CORRUPT)

    def test_zeros_that_are_written_are_gaps_as_well(self):
        """On a stick with a file system that has no holes."""
        self.prepared()
        parts = self.payload.read_bytes()
        self.payload.write_bytes(parts)
        self.update(self.image)
        self.slot.write_bytes(self.random.randbytes(len(self.image)))
        self.refused("check")


if __name__ == "__main__":
    sys.exit(unittest.main())
