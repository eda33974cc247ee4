#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bundles of format 2 in the engine: index, check, write and verify. The slots are files."""

import hashlib
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import content

BLOCK = 4096
# More of both in a run by hand: BLOCKS_CASES=5000 test_blocks.py
CASES = int(os.environ.get("BLOCKS_CASES", "150"))
CUTS = int(os.environ.get("BLOCKS_CUTS", "12"))
CORRUPT, TOO_BIG, DIFFERS = 5, 8, 14
MIB, GIB = 1 << 20, 1 << 30


def head_of(blocks, folder):
    """The first block of an ext4 file system of so many blocks."""
    path = Path(folder) / f"head-{blocks}"
    if not path.exists():
        size = max(blocks * BLOCK, 512 << 10)
        path.touch()
        os.truncate(path, size)
        subprocess.run(
            [
                "mke2fs",
                "-q",
                "-F",
                "-t",
                "ext4",
                "-b",
                "4096",
                "-O",
                "^has_journal,^metadata_csum,^64bit,^orphan_file",
                path,
            ],
            check=True,
            capture_output=True,
        )
        with open(path, "r+b") as f:
            head = bytearray(f.read(BLOCK))
            head[1024 + 4 : 1024 + 8] = struct.pack("<I", blocks)
            head[1024 + 12 : 1024 + 16] = struct.pack("<I", blocks // 2)
            f.seek(0)
            f.write(head)
            f.truncate(BLOCK)
    return path.read_bytes()


class Blocks(unittest.TestCase):
    """A folder that `open` could have left, with the payload beside it."""

    @classmethod
    def setUpClass(cls):
        made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(made.cleanup)
        cls.made = Path(made.name)

    def setUp(self):
        self.place = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.folder = self.place / "private"
        self.folder.mkdir()
        self.slot, self.running, self.payload = self.place / "slot", self.place / "running", self.place / "payload"
        self.random = random.Random(self.id())

    def block(self, kind="text"):
        if kind == "random":
            return self.random.randbytes(BLOCK)
        words = [b"%d" % self.random.randrange(1 << 30) for _ in range(20)]
        return b" ".join(self.random.choice(words) for _ in range(1000))[:BLOCK].ljust(BLOCK, b".")

    def image_of(self, blocks):
        """The bytes of an image with these blocks behind its first."""
        return head_of(len(blocks) + 1, self.made) + b"".join(blocks)

    def make(self, image, *options):
        path = self.place / "image"
        path.write_bytes(image)
        with open(path, "rb") as f:
            made = content.run("index", "--index", self.folder / "index", "--payload", self.payload, *options, stdin=f)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.made_facts = facts = content.facts(made.stdout)
        self.opened(payload_bytes=facts["image_bytes"], **facts)
        return facts

    def opened(self, **facts):
        facts = {
            "bundle": 2,
            "image": "image.ext4.blocks",
            "payload_offset": 0,
            "image_type": "ext4",
            "image_compression": "zstd-blocks",
            **facts,
        }
        (self.folder / "opened").write_text("".join(f"{key}={value}\n" for key, value in facts.items()))

    def engine(self, command, *more, running=False):
        words = [command, "--folder", self.folder, "--slot", self.slot]
        if running and command != "verify":
            words += ["--running", self.running]
        return content.run(*words, *more, image=self.payload)

    def update(self, image, running=False):
        """check, write, verify; returns all facts. The slot holds the image afterwards."""
        found = {}
        for command in ("check", "write", "verify"):
            done = self.engine(command, running=running)
            self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
            found.update(
                {key: int(value) if value.isdigit() else value for key, value in content.facts(done.stdout).items()}
            )
        self.assertEqual(self.slot.read_bytes()[: len(image)], image)
        return found


class Index(Blocks):
    def test_sections_are_as_the_contract_says(self):
        image = self.image_of([self.block(), bytes(BLOCK), bytes(BLOCK), self.block("random"), self.block()])
        facts = self.make(image, "--group-frames", 2, "--prefix-blocks", 2)
        index = (self.folder / "index").read_bytes()
        self.assertEqual(index[:8], b"OTAINDEX")
        self.assertEqual(struct.unpack("<HHIIIIHHHHI", index[8:40]), (1, 128, 0, 4096, 1, 2, 1, 1, 32, 1, 2))
        self.assertEqual(struct.unpack("<QQIIII", index[40:72]), (len(image), self.payload.stat().st_size, 2, 4, 4, 2))
        self.assertEqual(index[72:128], bytes(56))
        self.assertEqual(struct.unpack("<IIII", index[128:144]), (0, 2, 4, 2))
        data = [image[n * BLOCK : (n + 1) * BLOCK] for n in (0, 1, 4, 5)]
        self.assertEqual(index[144:272], b"".join(hashlib.sha256(block).digest() for block in data))
        sizes = [size + 1 for size in struct.unpack("<4H", index[-8:])]
        payload = self.payload.read_bytes()
        self.assertEqual(sum(sizes), len(payload))
        self.assertEqual(sizes[2], BLOCK, "random bytes are kept as they are")
        first = sizes[0] + sizes[1]
        self.assertEqual(
            index[272:336], hashlib.sha256(payload[:first]).digest() + hashlib.sha256(payload[first:]).digest()
        )
        self.assertEqual(len(index), 336 + 4 * 4 + 4 * 2)
        self.assertEqual(facts["rootfs_sha256"], hashlib.sha256(image).hexdigest())
        self.assertEqual(facts["index_sha256"], hashlib.sha256(index).hexdigest())
        self.assertEqual(facts["image_sha256"], hashlib.sha256(payload).hexdigest())

    def test_the_same_image_gives_the_same_bytes_whatever_the_number_of_threads(self):
        image = self.image_of([self.block() for _ in range(200)])
        self.make(image, "--threads", 1, "--group-frames", 64)
        first = (self.folder / "index").read_bytes(), self.payload.read_bytes()
        self.make(image, "--threads", 7, "--group-frames", 64)
        self.assertEqual(first, ((self.folder / "index").read_bytes(), self.payload.read_bytes()))

    def test_every_field_of_the_header_is_judged(self):
        image = self.image_of([self.block() for _ in range(9)] + [bytes(BLOCK)] + [self.block()])
        self.slot.write_bytes(bytes(len(image)))
        facts = self.make(image)
        index = (self.folder / "index").read_bytes()
        for at in range(128):
            changed = bytearray(index)
            changed[at] ^= 0x41
            (self.folder / "index").write_bytes(changed)
            self.opened(
                payload_bytes=facts["image_bytes"], **{**facts, "index_sha256": hashlib.sha256(changed).hexdigest()}
            )
            done = self.engine("check")
            # The one group may be any that is large enough.
            if 36 <= at < 38 and done.returncode == 0:
                continue
            self.assertIn(done.returncode, (4, CORRUPT), f"byte {at}: {done.stdout} {done.stderr}")

    def test_an_index_that_was_not_signed_is_refused(self):
        image = self.image_of([self.block() for _ in range(9)])
        self.slot.write_bytes(bytes(len(image)))
        self.make(image)
        index = bytearray((self.folder / "index").read_bytes())
        index[150] ^= 1
        (self.folder / "index").write_bytes(index)
        done = self.engine("check")
        self.assertEqual(done.returncode, CORRUPT, done.stderr)


class Writing(Blocks):
    def test_a_slot_that_shares_nothing_is_written_whole(self):
        blocks = [self.block(self.random.choice(("text", "random"))) for _ in range(300)]
        for at in (5, 6, 7, 100, 290):
            blocks[at] = bytes(BLOCK)
        image = self.image_of(blocks)
        for options in (
            (),
            ("--frame-blocks", 16, "--prefix-blocks", 0),
            ("--frame-blocks", 3, "--prefix-blocks", 64, "--hash-bytes", 16),
        ):
            self.make(image, *options)
            self.slot.write_bytes(self.random.randbytes(len(image) + 8 * BLOCK))
            found = self.update(image)
            self.assertEqual(found["written"], len(image))
            self.assertEqual(
                found["bundle_bytes_needed"], self.payload.stat().st_size + (self.folder / "index").stat().st_size
            )

    def test_what_is_there_is_not_written_again(self):
        image = self.image_of([self.block() for _ in range(300)])
        self.make(image)
        self.slot.write_bytes(image)
        before = self.slot.stat().st_mtime_ns
        found = self.update(image)
        self.assertEqual((found["written"], found["skipped"]), (0, len(image)))
        self.assertEqual(found["bundle_bytes_needed"], (self.folder / "index").stat().st_size)
        self.assertEqual(self.slot.stat().st_mtime_ns, before)

    def test_a_slot_that_was_written_is_read_back_whole_and_one_that_held_all_is_not_read_twice(self):
        image = self.image_of([self.block() for _ in range(300)])
        for first, whole in ((image, "yes"), (image[:-BLOCK] + self.block(), "no")):
            self.make(image)
            self.slot.write_bytes(first)
            for command in ("check", "write"):
                done = self.engine(command)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual((self.folder / "written").read_text(), f"read_back={whole}\n")
            damaged = bytearray(image)
            damaged[-2 * BLOCK] ^= 1
            self.slot.write_bytes(damaged)
            self.assertEqual(self.engine("verify").returncode, 0 if whole == "yes" else DIFFERS)
            # What an earlier update noted counts for none that follows.
            done = self.engine("check")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertFalse((self.folder / "written").exists())

    def test_zeros_in_the_image_become_zeros_in_the_slot(self):
        blocks = [self.block() for _ in range(600)]
        image = self.image_of(blocks[:100] + [bytes(BLOCK)] * 400 + blocks[500:])
        self.make(image)
        old = bytearray(image)
        old[200 * BLOCK : 200 * BLOCK + 1] = b"x"
        old[300 * BLOCK : 320 * BLOCK] = self.random.randbytes(20 * BLOCK)
        self.slot.write_bytes(old)
        found = self.update(image)
        self.assertEqual(found["written"], (1 + 20 + 1) * BLOCK)
        self.assertEqual(found["bundle_bytes_needed"], (self.folder / "index").stat().st_size)

    def test_images_of_more_than_4_and_8_gib(self):
        """Sparse, with blocks at the ends of what 32 bits can count."""
        for size in (4 * GIB + 100 * MIB, 8 * GIB + 200 * MIB):
            with self.subTest(size=size):
                image = self.place / "image"
                image.write_bytes(head_of(size // BLOCK, self.made))
                os.truncate(image, size)
                places = [
                    at
                    for at in (2 * GIB, 4 * GIB - BLOCK, 4 * GIB, 8 * GIB - BLOCK, 8 * GIB, size - BLOCK)
                    if at < size
                ]
                blocks = {at: self.block() for at in places}
                with open(image, "r+b") as f:
                    for at, block in blocks.items():
                        f.seek(at)
                        f.write(block)
                with open(image, "rb") as f:
                    made = content.run("index", "--index", self.folder / "index", "--payload", self.payload, stdin=f)
                self.assertEqual(made.returncode, 0, made.stderr)
                facts = content.facts(made.stdout)
                self.opened(payload_bytes=facts["image_bytes"], **facts)
                # What is in the way there must go, and one block is there already, far from its place.
                self.slot.write_bytes(b"")
                os.truncate(self.slot, size + MIB)
                with open(self.slot, "r+b") as f:
                    f.seek(size - 3 * BLOCK)
                    f.write(b"x" * BLOCK)
                    f.seek(BLOCK * 7)
                    f.write(blocks[size - BLOCK])
                found = {}
                for command in ("check", "write", "verify"):
                    done = self.engine(command)
                    self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
                    found.update(content.facts(done.stdout))
                self.assertEqual(int(found["compared"]), size)
                self.assertEqual(int(found["copied"]), BLOCK)
                done = subprocess.run(["cmp", "-n", str(size), image, self.slot], capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stdout), (0, ""))
                image.unlink()
                self.slot.unlink()

    def test_blocks_of_the_running_slot_are_copied(self):
        blocks = [self.block() for _ in range(300)]
        new = self.image_of(blocks[:100] + [self.block()] + blocks[100:])
        self.make(new)
        self.running.write_bytes(self.image_of(blocks))
        self.slot.write_bytes(self.random.randbytes(len(new)))
        found = self.update(new, running=True)
        self.assertEqual(found["copied"], 300 * BLOCK)
        self.assertLess(found["bundle_bytes_needed"] - (self.folder / "index").stat().st_size, 2 * BLOCK + 1)

    def test_a_slot_that_shares_nothing_is_only_sampled_whatever_the_running_one_gives(self):
        blocks = [self.block() for _ in range(3000)]
        image = self.image_of(blocks)
        self.make(image)
        self.running.write_bytes(self.image_of(blocks[:1500]))
        self.slot.write_bytes(self.random.randbytes(len(image)))
        found = self.update(image, running=True)
        self.assertEqual((found["compared"], found["copied"]), (0, 1500 * BLOCK))

    def test_zeros_of_a_slot_that_shares_nothing_else_are_not_written(self):
        data = [self.block() for _ in range(1000)]
        image = self.image_of(data + [bytes(BLOCK)] * 2000)
        self.make(image)
        self.slot.write_bytes(bytes(len(image)))
        found = self.update(image)
        self.assertEqual(found["written"], len(image) - 2000 * BLOCK)

    def test_an_image_may_end_within_a_block(self):
        image = self.image_of([self.block() for _ in range(20)]) + b"the end"
        self.make(image)
        for old in (self.random.randbytes(len(image)), image, image[:-1] + b"D", image + b"something behind"):
            self.slot.write_bytes(old)
            self.update(image)
            self.assertEqual(self.slot.read_bytes()[len(image) :], old[len(image) :])

    def test_a_slot_that_is_too_small_is_refused(self):
        image = self.image_of([self.block() for _ in range(20)])
        self.make(image)
        self.slot.write_bytes(image[:-1])
        self.assertEqual(self.engine("check").returncode, TOO_BIG)
        self.assertEqual(self.slot.read_bytes(), image[:-1])

    def test_blocks_move_in_any_order(self):
        """Orders, shifts, rings, copies of one block and blocks that are nowhere, in the slot, the running one and both."""
        for case in range(CASES):
            with self.subTest(case=case):
                self.random = random.Random(case)
                count = self.random.choice((1, 2, 3, 7, 40, 130, 300))
                old = [self.block("random" if self.random.random() < 0.3 else "text") for _ in range(count)]
                for at in range(count):
                    if self.random.random() < 0.1:
                        old[at] = self.random.choice((bytes(BLOCK), old[self.random.randrange(count)]))
                new = list(old)
                kind = self.random.choice(("shuffle", "shift", "swap", "reverse", "rotate", "same", "pieces"))
                if kind == "shuffle":
                    self.random.shuffle(new)
                elif kind == "shift":
                    at = self.random.randrange(count)
                    new[at:at] = [self.block() for _ in range(self.random.randrange(1, 4))]
                elif kind == "swap":
                    new = new[count // 2 :] + new[: count // 2]
                elif kind == "reverse":
                    new.reverse()
                elif kind == "rotate":
                    new = new[-1:] + new[:-1] if self.random.random() < 0.5 else new[1:] + new[:1]
                elif kind == "pieces":
                    cuts = sorted(self.random.randrange(count + 1) for _ in range(4))
                    pieces = [new[a:b] for a, b in zip([0, *cuts], [*cuts, count], strict=False)]
                    self.random.shuffle(pieces)
                    new = [block for piece in pieces for block in piece]
                for at in range(len(new)):
                    if self.random.random() < 0.03:
                        new[at] = self.block()
                    elif self.random.random() < 0.03:
                        new[at] = self.random.choice(old)
                image = self.image_of(new)
                self.make(
                    image,
                    "--threads",
                    1,
                    "--level",
                    1,
                    "--frame-blocks",
                    self.random.choice((1, 1, 2, 5)),
                    "--prefix-blocks",
                    self.random.choice((0, 3, 16)),
                )
                in_slot = self.image_of(old)
                if self.random.random() < 0.5:
                    in_slot = in_slot[BLOCK * self.random.randrange(2) :]
                self.slot.write_bytes(in_slot.ljust(len(image) + self.random.randrange(3) * 1000, b"\1"))
                running = self.random.random() < 0.3
                if running:
                    self.random.shuffle(old)
                    self.running.write_bytes(b"".join(old[self.random.randrange(count) :]))
                self.update(image, running=running)

    def test_what_only_moved_is_not_needed_from_the_bundle(self):
        blocks = [self.block("random") for _ in range(2000)]
        for new in (
            blocks[::-1],
            blocks[3:] + blocks[:3],
            blocks[-3:] + blocks[:-3],
            blocks[1000:] + blocks[:1000],
            self.random.sample(blocks, 2000),
        ):
            image = self.image_of(new)
            self.make(image, "--level", 1)
            self.slot.write_bytes(self.image_of(blocks))
            found = self.update(image)
            # Block 0 is destroyed first, so nothing else can come from there.
            self.assertLess(found["bundle_bytes_needed"] - (self.folder / "index").stat().st_size, 2 * BLOCK)


class Damage(Blocks):
    def prepared(self):
        blocks = [self.block() for _ in range(200)]
        image = self.image_of(blocks)
        self.make(image, "--group-frames", 16)
        self.old = self.random.randbytes(len(image))
        self.slot.write_bytes(self.old)
        return image

    def test_damage_of_what_is_needed_is_found_before_the_slot_is_touched(self):
        self.prepared()
        payload = self.payload.read_bytes()
        for at in [0, len(payload) - 1, *(self.random.randrange(len(payload)) for _ in range(10))]:
            self.payload.write_bytes(
                payload[:at] + bytes([payload[at] ^ 1 << self.random.randrange(8)]) + payload[at + 1 :]
            )
            done = self.engine("check")
            self.assertEqual(done.returncode, CORRUPT, f"byte {at}: {done.stdout}")
        self.payload.write_bytes(payload[:-1])
        self.assertEqual(self.engine("check").returncode, CORRUPT)
        self.assertEqual(self.slot.read_bytes(), self.old)

    def test_a_payload_that_changes_after_the_check_is_never_written(self):
        self.prepared()
        payload = self.payload.read_bytes()
        for _ in range(20):
            self.payload.write_bytes(payload)
            self.slot.write_bytes(self.old)
            self.assertEqual(self.engine("check").returncode, 0)
            at = self.random.randrange(len(payload))
            self.payload.write_bytes(
                payload[:at] + bytes([payload[at] ^ 1 << self.random.randrange(8)]) + payload[at + 1 :]
            )
            done = self.engine("write")
            after = self.slot.read_bytes()
            if done.returncode == 0:
                # A bit that zstd does not look at.
                self.assertEqual(after, (self.place / "image").read_bytes())
            else:
                self.assertEqual(done.returncode, CORRUPT, done.stderr)
                if after != self.old:
                    self.assertEqual(after[:BLOCK], bytes(BLOCK), "the superblock must not be there")

    def test_frames_have_tags_where_the_check_has_read_all_of_them_and_else_their_blocks_are_compared(self):
        image = self.prepared()
        payload, tags = self.payload.read_bytes(), self.folder / "frames"
        changed = (
            payload[: len(payload) // 2] + bytes([payload[len(payload) // 2] ^ 4]) + payload[len(payload) // 2 + 1 :]
        )
        for kept, word in ((True, "changed while it was read"), (False, "")):
            self.slot.write_bytes(self.old)
            self.payload.write_bytes(payload)
            self.assertEqual(self.engine("check").returncode, 0)
            self.assertEqual(tags.stat().st_mode & 0o777, 0o600)
            if not kept:
                tags.unlink()
            self.payload.write_bytes(changed)
            done = self.engine("write")
            self.assertEqual(done.returncode, CORRUPT, done.stderr)
            self.assertIn(word, done.stderr)
            self.assertEqual(self.slot.read_bytes()[:BLOCK], bytes(BLOCK))
        self.payload.write_bytes(payload)
        self.slot.write_bytes(self.old)
        self.update(image)
        # Of a bundle that is read in parts there are none, and none of an earlier check.
        self.slot.write_bytes(image[: 150 * BLOCK] + self.old[150 * BLOCK :])
        self.assertTrue(tags.exists())
        self.update(image)
        self.assertFalse(tags.exists())

    def test_tags_of_frames_that_are_not_those_of_this_bundle_are_refused(self):
        image = self.prepared()
        tags = self.folder / "frames"
        self.assertEqual(self.engine("check").returncode, 0)
        right = tags.read_bytes()
        for wrong in (b"", right[:-1], right + b"x", right[:-16]):
            tags.write_bytes(wrong)
            done = self.engine("write")
            self.assertEqual(done.returncode, 1, done.stderr)
        tags.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
        self.assertEqual(self.engine("write").returncode, CORRUPT)
        self.slot.write_bytes(self.old)
        self.update(image)

    def test_a_block_that_is_not_what_was_unpacked_from_right_frames_is_not_written(self):
        """As if memory had changed it: the signed quick hash of one block is that of another one."""
        self.prepared()
        index = bytearray((self.folder / "index").read_bytes())
        count = struct.unpack_from("<I", index, 60)[0]
        at = len(index) - count * 2 - count * 4 + 4 * 100
        index[at] ^= 1
        (self.folder / "index").write_bytes(index)
        self.opened(
            payload_bytes=self.made_facts["image_bytes"],
            **{**self.made_facts, "index_sha256": hashlib.sha256(index).hexdigest()},
        )
        self.assertEqual(self.engine("check").returncode, 0)
        done = self.engine("write")
        self.assertEqual(done.returncode, CORRUPT, done.stderr)
        self.assertIn("block 100 of the image is not the one that was signed", done.stderr)
        self.assertEqual(self.slot.read_bytes()[:BLOCK], bytes(BLOCK))

    def test_a_slot_that_gives_back_something_else_is_not_verified(self):
        image = self.prepared()
        self.update(image)
        for at in (0, 1024, 5 * BLOCK, len(image) - 1):
            self.slot.write_bytes(image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :])
            done = self.engine("verify")
            self.assertEqual(done.returncode, DIFFERS, done.stderr)
            self.assertIn(f"block {at // BLOCK} ", done.stderr)

    def noted(self):
        """The first block and the number of blocks of each run of which `write` has left a tag, and the bytes of the file."""
        bytes_ = (self.folder / "writes").read_bytes()
        self.assertEqual(bytes_[:8], b"otawrt1\0")
        (count,) = struct.unpack_from("=Q", bytes_, 8)
        self.assertEqual(len(bytes_), 48 + count * 24)
        return [struct.unpack_from("=II", bytes_, 48 + i * 24) for i in range(count)], bytes_

    def test_each_block_that_is_written_has_a_tag_and_no_other(self):
        blocks = [self.block(self.random.choice(("text", "random"))) for _ in range(700)]
        for at in (5, 6, 7, 100, 690):
            blocks[at] = bytes(BLOCK)
        image = self.image_of(blocks)
        there = set(range(200, 260))
        for options in ((), ("--frame-blocks", 3)):
            self.make(image, *options)
            noise = self.random.randbytes(len(image))
            self.slot.write_bytes(noise[: 200 * BLOCK] + image[200 * BLOCK : 260 * BLOCK] + noise[260 * BLOCK :])
            self.update(image)
            self.assertEqual((self.folder / "writes").stat().st_mode & 0o777, 0o600)
            runs, _ = self.noted()
            found = [block for first, count in runs for block in range(first, first + count)]
            # The first block is written when all others are there, and read back by its SHA-256.
            zeros = {at + 1 for at in (5, 6, 7, 100, 690)}
            self.assertEqual(found, sorted(set(range(1, 701)) - zeros - there))
            self.assertTrue(all(first // 128 == (first + count - 1) // 128 for first, count in runs))

    def test_tags_are_a_short_cut_and_decide_nothing(self):
        image = self.prepared()
        self.slot.write_bytes(self.random.randbytes(len(image)))
        self.update(image)
        runs, noted = self.noted()
        path = self.folder / "writes"
        damaged = bytearray(image)
        damaged[9 * BLOCK + 77] ^= 1
        key = noted[:16] + bytes([noted[16] ^ 1]) + noted[17:]
        tags = noted[:48] + b"".join(noted[48 + i * 24 :][:8] + bytes(16) for i in range(len(runs)))
        for name, bytes_ in (("as they are", noted), ("key", key), ("tags", tags), ("none", None)):
            with self.subTest(name):
                path.unlink()
                if bytes_ is not None:
                    path.write_bytes(bytes_)
                for content_, code in ((image, 0), (damaged, DIFFERS)):
                    self.slot.write_bytes(content_)
                    done = self.engine("verify")
                    self.assertEqual(done.returncode, code, done.stderr)
                if bytes_ is None:
                    path.touch()
        moved = image[:BLOCK] + image[2 * BLOCK : 3 * BLOCK] + image[BLOCK : 2 * BLOCK] + image[3 * BLOCK :]
        path.write_bytes(noted)
        self.slot.write_bytes(moved)
        done = self.engine("verify")
        self.assertEqual(done.returncode, DIFFERS, done.stderr)
        overlapping = noted[:52] + struct.pack("=I", 129) + noted[56:]
        for bytes_ in (b"", noted[:-1], noted + b"x", b"x" + noted[1:], overlapping):
            path.write_bytes(bytes_)
            self.slot.write_bytes(image)
            done = self.engine("verify")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("not understood", done.stderr)
        # What an earlier update noted counts for none that follows.
        self.assertEqual(self.engine("check").returncode, 0)
        self.assertFalse(path.exists())

    def test_a_plan_that_is_not_true_any_more_does_no_harm(self):
        image = self.prepared()
        blocks = [image[at : at + BLOCK] for at in range(0, len(image), BLOCK)]
        shifted = b"".join([blocks[0], self.random.randbytes(BLOCK), *blocks[1:-1]])
        self.slot.write_bytes(shifted)
        self.assertEqual(self.engine("check").returncode, 0)
        self.slot.write_bytes(shifted[: 50 * BLOCK] + self.random.randbytes(20 * BLOCK) + shifted[70 * BLOCK :])
        done = self.engine("write")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.engine("verify").returncode, 0)
        self.assertEqual(self.slot.read_bytes(), image)


class Killed(Blocks):
    def test_after_a_kill_the_next_run_does_at_most_256_kib_again(self):
        image = self.image_of([self.block("random") for _ in range(3000)])
        self.make(image, "--level", 1)
        noise = self.random.randbytes(len(image))
        cut = 0
        for _ in range(CUTS):
            self.slot.write_bytes(noise)
            self.assertEqual(self.engine("check").returncode, 0)
            process = content.started("write", "--folder", self.folder, "--slot", self.slot, image=self.payload)
            # In the middle on every machine: as soon as some block has come, and not after a time.
            at = self.random.randrange(1, len(image) // BLOCK // 2) * BLOCK
            with open(self.slot, "rb") as slot:
                while process.poll() is None and os.pread(slot.fileno(), BLOCK, at) != image[at : at + BLOCK]:
                    pass
            process.send_signal(signal.SIGKILL)
            process.wait()
            half = self.slot.read_bytes()
            done = sum(half[at : at + BLOCK] == image[at : at + BLOCK] for at in range(0, len(image), BLOCK))
            cut += 0 < done < len(image) // BLOCK
            found = self.update(image)
            self.assertLessEqual(found["written"], len(image) - done * BLOCK + BLOCK)
        self.assertGreater(cut, 0, "no run was cut while it wrote")


if __name__ == "__main__":
    sys.exit(unittest.main())
