#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images beside the root file system in a bundle: what the engine makes of them, plain, encrypted, in parts, and changed."""

import os
import random
import re
import unittest
import unittest.mock

import content
import test_open
from otamgr import bundle
from test_blocks import BLOCK, CORRUPT, head_of
from test_open import openssl

NEEDS_MORE = 22


class SeveralImages(test_open.Opening):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        image, cls.signer = cls.made / "x.ext4", cls.private("signer")
        folder = cls.made / "heads"
        folder.mkdir()
        image.write_bytes(head_of(41, folder) + os.urandom(40 * BLOCK))
        # Sizes that end within a block, a chunk and the cipher's 16 bytes; one that is compressed, and one of a byte.
        cls.images = {"app": random.Random(1).randbytes(300_001), "text": b"hello\n" * 60_000, "one": b"1"}
        named = []
        for name, data in cls.images.items():
            (cls.made / name).write_bytes(data)
            named.append((name, cls.made / name, name == "one"))
        cls.plain, cls.encrypted = cls.made / "plain.bundle", cls.made / "encrypted.bundle"
        certificate = cls.made / "device.crt"
        with unittest.mock.patch.dict(os.environ, {"OTA_CONTENT": str(content.engine())}):
            bundle.create(cls.plain, image, cls.signer, "board", "1.0", form=2, images=named)
            certificate.write_bytes(
                openssl("req", "-x509", "-new", "-key", cls.p256("device"), "-subj", "/CN=d", "-days", "1")
            )
            bundle.encrypt(cls.plain, cls.encrypted, cls.signer, None, [certificate])

    def setUp(self):
        super().setUp()
        self.trust(self.public(self.signer))
        self.slot = self.folder / "slot"

    def opened(self, image):
        done = content.run("open", "--keys", self.keys, "--decrypt", self.made / "device.key", self.work, image=image)
        self.assertEqual(done.returncode, 0, done.stderr)
        return content.facts(done.stdout)

    def step(self, command, name, image, *options):
        words = () if command == "unpack" else ("--slot", self.slot)
        return content.run(command, "--folder", self.work / f"image.{name}", *words, *options, image=image, text=False)

    def good(self, command, name, image):
        done = self.step(command, name, image)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_each_is_written_read_back_and_unpacked_plain_and_encrypted(self):
        for image in (self.plain, self.encrypted):
            self.assertEqual(self.opened(image)["images"], "app text one")
            for name, data in self.images.items():
                self.slot.write_bytes(random.Random(2).randbytes(400_000))
                self.assertIn(b"format=raw\n", self.good("check", name, image))
                self.assertEqual(self.good("unpack", name, image), data)
                if len(data) >= 4096:
                    self.good("write", name, image)
                    self.good("verify", name, image)
                    self.assertEqual(self.slot.read_bytes()[: len(data)], data)
                    self.assertEqual(len(self.slot.read_bytes()), 400_000)
            self.slot.unlink()
            self.slot.write_bytes(bytes(42 * BLOCK))
            for command in ("check", "write", "verify"):
                done = content.run(command, "--folder", self.work, "--slot", self.slot, image=image)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.slot.read_bytes()[: 41 * BLOCK], (self.made / "x.ext4").read_bytes()[: 41 * BLOCK])

    def places(self, image):
        """Name: where it begins in the file, and its bytes there."""
        with bundle.open_bundle(image) as opened:
            found, at = {}, opened.image_offset + opened.image_bytes - bundle.further_bytes(opened.values())
            for one in bundle.further_images(opened.values()):
                found[one.name] = (at, one.bytes)
                at += one.bytes
        return found

    def test_each_changed_byte_is_found_before_and_after_the_check(self):
        drawn = random.Random(3)
        for image in (self.plain, self.encrypted):
            self.opened(image)
            copy = self.folder / "copy"
            for name, (at, size) in self.places(image).items():
                self.slot.write_bytes(bytes(400_000))
                for _ in range(8):
                    changed = bytearray(image.read_bytes())
                    changed[at + drawn.randrange(size)] ^= drawn.randrange(1, 256)
                    copy.write_bytes(changed)
                    self.assertEqual(self.step("check", name, copy).returncode, CORRUPT)
                    self.assertEqual(self.slot.read_bytes(), bytes(400_000))
                    self.good("check", name, image)
                    done = self.step("unpack", name, copy)
                    self.assertEqual(done.returncode, CORRUPT, done.stderr)
                    self.assertTrue(self.images[name].startswith(done.stdout), "other bytes came out")

    def test_one_that_was_not_fetched_is_asked_for(self):
        for image in (self.plain, self.encrypted):
            whole, parts = image.read_bytes(), self.folder / "parts"
            self.slot.write_bytes(bytes(41 * BLOCK))
            with bundle.open_bundle(image) as opened:
                begin = opened.image_offset
            parts.write_bytes(whole[:begin])
            os.truncate(parts, len(whole))
            self.opened(parts)
            self.assertEqual(self.step("check", "app", parts).returncode, NEEDS_MORE)
            needed = self.needs(parts)
            self.assertEqual(needed[-3:], list(self.places(image).values()))
            with open(parts, "r+b") as file:
                for at, size in needed:
                    file.seek(at)
                    file.write(whole[at : at + size])
            self.assertEqual(self.needs(parts), [])
            self.slot.write_bytes(bytes(400_000))
            self.good("check", "app", parts)

    def needs(self, image):
        done = content.run("need", "--folder", self.work, "--slot", self.slot, image=image)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [tuple(map(int, found)) for found in re.findall(r"^range=(\d+) (\d+)$", done.stdout, re.M)]

    def test_one_that_is_too_large_is_refused(self):
        self.opened(self.plain)
        self.slot.write_bytes(bytes(300_000))
        self.assertEqual(self.step("check", "app", self.plain).returncode, 8)
        self.slot.write_bytes(bytes(300_001))
        self.good("check", "app", self.plain)


if __name__ == "__main__":
    unittest.main()
