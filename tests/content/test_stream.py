#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bundles of format 2 that are streamed: check and write ask for frames, and get them on standard input. The slots are files."""

import os
import re
import signal
import sys
import threading
import unittest

import content
import test_parts
from test_blocks import BLOCK, CORRUPT

NEEDS_MORE = 22
KIB = 1024
# More of them in a run by hand: STREAM_CASES=1000 test_stream.py
CASES = int(os.environ.get("STREAM_CASES", "20"))


class Server(threading.Thread):
    """Gives what is asked for, in order: `gives` makes of a range the bytes that come. It has handed on `given` bytes in the end."""

    def __init__(self, gives, ends_after=None, kills_after=None):
        super().__init__()
        self.gives, self.ends_after, self.kills_after = gives, ends_after, kills_after
        self.asked, self.given = [], 0
        self.requests, self.to_engine = os.pipe()
        self.from_us, self.bytes = os.pipe()
        for end in (self.to_engine, self.from_us):
            os.set_inheritable(end, True)
        self.process = None

    def run(self):
        try:
            with os.fdopen(self.requests) as lines, os.fdopen(self.bytes, "wb", buffering=0) as out:
                for line in lines:
                    at, size = map(int, re.fullmatch(r"fetch 0 (\d+) (\d+)\n", line).groups())
                    self.asked.append((at, size))
                    self.hand_on(out, self.gives(at, size))
        except BrokenPipeError:
            pass

    def hand_on(self, out, data):
        for at in range(0, len(data), 1 * KIB):
            if self.kills_after is not None and self.given >= self.kills_after:
                self.process.send_signal(signal.SIGKILL)
                raise BrokenPipeError
            if self.ends_after is not None and self.given >= self.ends_after:
                raise BrokenPipeError
            self.given += out.write(data[at : at + 1 * KIB])


class Stream(test_parts.Parts):
    def server(self, **options):
        return Server(lambda at, size: self.whole[at : at + size], **options)

    def streamed(self, command, server=None, running=False):
        """Runs check or write with a server; returns what it did and the server."""
        server = server or self.server()
        words = [command, "--folder", self.folder, "--slot", self.slot, "--requests-fd", server.to_engine]
        if running:
            words += ["--running", self.running]
        process = content.started_with_input(*words, image=self.payload, stdin=server.from_us)
        server.process = process
        os.close(server.to_engine)
        os.close(server.from_us)
        server.start()
        out, err = process.communicate(timeout=content.patience(120))
        server.join()
        process.out, process.err = out, err
        return process, server

    def update(self, image, running=False, server=None):
        """check, write, verify; returns (offset, bytes) of what was asked for."""
        done, checked = self.streamed("check", running=running)
        self.assertEqual(done.returncode, 0, done.err)
        done, written = self.streamed("write", server, running)
        self.assertEqual(done.returncode, 0, done.err)
        self.assertEqual(content.facts(done.out)["written"].isdigit(), True)
        done = self.engine("verify")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.slot.read_bytes()[: len(image)], image)
        return checked.asked + written.asked

    def prepared(self, count=400):
        """A slot that shares half of the blocks, random ones so that a byte is a byte."""
        blocks = [self.block("random") for _ in range(count)]
        self.image = self.image_of(blocks)
        self.make(self.image)
        self.slot.write_bytes(self.image_of(blocks[: count // 2]).ljust(len(self.image), b"\1"))

    def assert_not_bootable(self):
        self.assertEqual(self.slot.read_bytes()[:BLOCK], bytes(BLOCK), "whoever starts that slot must not get far")


class Streams(Stream):
    def test_nothing_is_stored_but_the_slot_gets_the_image(self):
        self.prepared()
        asked = self.update(self.image)
        self.assertEqual(self.payload.read_bytes(), bytes(len(self.whole)))
        self.assertEqual(asked[0][0], 0, "the first frame is looked at before the slot is touched")
        self.assertLess(sum(size for _, size in asked), 202 * BLOCK)
        self.assertLessEqual(len(asked), 3)
        self.assertLess((self.folder / "first").stat().st_size, BLOCK)

    def test_any_image_and_any_slots(self):
        for case in range(CASES):
            with self.subTest(case=case):
                self.random.seed(case)
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
                frames = self.random.choice((1, 1, 2, 16))
                self.make(
                    image, "--level", 1, "--frame-blocks", frames, "--prefix-blocks", self.random.choice((0, 3, 24, 64))
                )
                self.slot.write_bytes(self.image_of(old).ljust(len(image), b"\1"))
                running = self.random.random() < 0.5
                if running:
                    self.random.shuffle(old)
                    self.running.write_bytes(b"".join(old[self.random.randrange(count) :]))
                self.update(image, running)

    def test_few_ranges_are_asked_for_and_what_lies_between_is_passed_over(self):
        blocks = [self.block("random") for _ in range(5000)]
        self.slot.write_bytes(self.image_of([b"\1" * BLOCK if n % 2 else block for n, block in enumerate(blocks)]))
        image = self.image_of(blocks)
        self.make(image, "--level", 1)
        self.assertLessEqual(len(self.update(image)), 1025)

    def test_a_slot_that_has_everything_costs_the_first_frame(self):
        self.prepared()
        self.slot.write_bytes(self.image)
        self.assertEqual(len(self.update(self.image)), 1)

    def test_a_slot_that_changes_after_the_check_is_no_problem(self):
        self.prepared()
        self.slot.write_bytes(self.image_of([b"\1" * BLOCK]).ljust(10 * BLOCK, b"\1") + self.image)
        done, _ = self.streamed("check")
        self.assertEqual(done.returncode, 0, done.err)
        changed = bytearray(self.slot.read_bytes())
        changed[250 * BLOCK : 251 * BLOCK] = self.random.randbytes(BLOCK)
        self.slot.write_bytes(changed)
        done, _ = self.streamed("write")
        self.assertEqual(done.returncode, 0, done.err)
        self.assertEqual(self.slot.read_bytes()[: len(self.image)], self.image)


class Cuts(Stream):
    def test_a_stream_that_ends_is_gone_on_with_from_the_slot_alone(self):
        self.prepared()
        before = self.slot.read_bytes()
        needed = sum(size for _, size in self.update(self.image))
        for case in range(CASES):
            self.slot.write_bytes(before)
            total, lost = 0, 0
            for cut in range(self.random.randrange(1, 4)):
                done, checked = self.streamed("check")
                self.assertEqual(done.returncode, 0, done.err)
                # Before the last piece, so that there is something to cut off.
                at = self.random.randrange(needed - checked.given - KIB)
                server = self.server(**{self.random.choice(("ends_after", "kills_after")): at})
                done, server = self.streamed("write", server)
                total += checked.given + server.given
                if done.returncode == 0:
                    break
                self.assertIn(done.returncode, (NEEDS_MORE, -signal.SIGKILL), done.err)
                self.assert_not_bootable()
                lost = cut + 1
            with self.subTest(case=case, cuts=lost):
                total += sum(size for _, size in self.update(self.image))
                self.assertLessEqual(total, needed + lost * 256 * KIB)

    def test_a_stream_that_ends_at_once_is_refused_before_the_slot_is_touched(self):
        self.prepared()
        before = self.slot.read_bytes()
        done, _ = self.streamed("check", self.server(ends_after=0))
        self.assertEqual(done.returncode, NEEDS_MORE, done.err)
        self.assertIn("nothing comes any more", done.err)
        self.assertEqual(self.slot.read_bytes(), before)


class Damage(Stream):
    def test_a_byte_that_is_not_as_it_was_signed_ends_it_and_the_slot_cannot_be_started(self):
        self.prepared(120)
        before = self.slot.read_bytes()
        asked = [at for offset, size in self.update(self.image) for at in range(offset, offset + size)]
        for case in range(CASES):
            wrong = self.random.choice(asked)

            def gives(at, size, wrong=wrong):
                data = bytearray(self.whole[at : at + size])
                if at <= wrong < at + size:
                    data[wrong - at] ^= self.random.randrange(1, 256)
                return data

            with self.subTest(case=case, byte=wrong):
                self.slot.write_bytes(before)
                done, _ = self.streamed("check", Server(gives))
                if done.returncode != 0:
                    self.assertEqual(done.returncode, CORRUPT, done.err)
                    self.assertEqual(self.slot.read_bytes(), before)
                    continue
                done, _ = self.streamed("write", Server(gives))
                self.assertEqual(done.returncode, CORRUPT, done.err)
                self.assert_not_bootable()

    def test_zeros_are_no_gaps_but_damage(self):
        self.prepared()
        done, _ = self.streamed("check", Server(lambda at, size: bytes(size)))
        self.assertEqual(done.returncode, CORRUPT, done.err)
        done, _ = self.streamed("check")
        self.assertEqual(done.returncode, 0, done.err)
        done, _ = self.streamed("write", Server(lambda at, size: bytes(size)))
        self.assertEqual(done.returncode, CORRUPT, done.err)
        self.assert_not_bootable()


if __name__ == "__main__":
    sys.exit(unittest.main())
