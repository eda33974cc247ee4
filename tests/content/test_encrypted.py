#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Encrypted bundles: who can open them, and that everything else is as with those that are not."""

import base64
import os
import random
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

import content
import test_blocks
import test_open
import test_parts
import test_stream
from otamgr import bundle
from test_blocks import BLOCK, CORRUPT, head_of
from test_open import openssl

NO_KEY = 23
# More of them in a run by hand: ENCRYPTED_CASES=1000 test_encrypted.py
CASES = int(os.environ.get("ENCRYPTED_CASES", "24"))


def ciphered(data, key):
    done = subprocess.run([content.engine(), "cipher", str(key)], input=data, capture_output=True, check=True)
    return done.stdout


class Encrypted:
    """The payload that the tests of others make, encrypted; `open` has left the key. Images are theirs: zstd has bits that mean nothing."""

    def setUp(self):
        super().setUp()
        self.random = random.Random(self.id().replace("Encrypted", ""))

    def make(self, image, *options):
        facts = super().make(image, *options)
        key = self.folder / "content-key"
        key.write_bytes(random.Random(len(image)).randbytes(40))
        if hasattr(self, "whole"):
            self.whole = ciphered(self.whole, key)
        else:
            self.payload.write_bytes(ciphered(self.payload.read_bytes(), key))
        return facts

    def opened(self, **facts):
        super().opened(encryption="aes-256-ctr", **facts)


class EncryptedNeeds(Encrypted, test_parts.Needs):
    pass


class EncryptedStreams(Encrypted, test_stream.Streams):
    pass


class EncryptedCuts(Encrypted, test_stream.Cuts):
    pass


class EncryptedDamage(Encrypted, test_stream.Damage):
    pass


class Whole(Encrypted, test_blocks.Blocks):
    def prepared(self, count=120):
        blocks = [self.block(self.random.choice(("random", "text"))) for _ in range(count)]
        self.image = self.image_of(blocks)
        self.make(self.image, "--frame-blocks", self.random.choice((1, 3, 16)))
        self.slot.write_bytes(self.random.randbytes(len(self.image)))

    def test_a_whole_bundle_is_installed(self):
        for _ in range(CASES // 4):
            self.prepared(self.random.randrange(1, 200))
            for command in ("check", "write", "verify"):
                done = self.engine(command)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.slot.read_bytes(), self.image)

    def test_no_16_bytes_are_encrypted_as_others(self):
        self.make(self.image_of([self.block("random")] * 1))
        key = self.folder / "content-key"
        stream = ciphered(bytes(1 << 20), key)
        blocks = [stream[at : at + 16] for at in range(0, len(stream), 16)]
        self.assertEqual(len(set(blocks)), len(blocks))
        # As openssl does it: the counter is nonce and place.
        secret = key.read_bytes()
        words = ["enc", "-aes-256-ctr", "-K", secret[:32].hex(), "-iv", secret[32:].hex() + "0" * 16]
        self.assertEqual(openssl(*words, input=bytes(1 << 20)), stream)

    def test_each_changed_byte_is_found_before_the_slot_is_touched(self):
        self.prepared()
        good, before = self.payload.read_bytes(), self.slot.read_bytes()
        for _ in range(CASES):
            bad = bytearray(good)
            bad[self.random.randrange(len(bad))] ^= self.random.randrange(1, 256)
            self.payload.write_bytes(bad)
            self.assertEqual(self.engine("check").returncode, CORRUPT)
            self.assertEqual(self.slot.read_bytes(), before)

    def test_another_key_is_damage_and_none_is_said(self):
        self.prepared()
        before = self.slot.read_bytes()
        (self.folder / "content-key").write_bytes(self.random.randbytes(40))
        self.assertEqual(self.engine("check").returncode, CORRUPT)
        (self.folder / "content-key").write_bytes(b"short")
        self.assertEqual(self.engine("check").returncode, 3)
        (self.folder / "content-key").unlink()
        done = self.engine("check")
        self.assertEqual((done.returncode, "without a key" in done.stderr), (NO_KEY, True), done.stderr)
        self.assertEqual(self.slot.read_bytes(), before)


class Recipients(test_open.Opening):
    """Who can open a bundle that ota-bundle has encrypted."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        image = cls.made / "x.ext4"
        with tempfile.TemporaryDirectory() as folder:
            image.write_bytes(head_of(41, folder) + os.urandom(40 * BLOCK))
        cls.plain = cls.made / "plain.bundle"
        cls.signer = cls.private("signer")
        with unittest.mock.patch.dict(os.environ, {"OTA_CONTENT": str(content.engine())}):
            bundle.create(cls.plain, image, cls.signer, "board", "1.0", form=2)
            cls.certificates = {}
            for name, key in (
                ("rsa", cls.rsa("rsa-device", 2048)),
                ("ec", cls.p256("ec-device")),
                ("other", cls.p256("other")),
            ):
                cls.certificates[name] = cls.made / f"{name}.crt"
                cls.certificates[name].write_bytes(
                    openssl("req", "-x509", "-new", "-key", key, "-subj", f"/CN={name}", "-days", "1")
                )
            cls.both = cls.made / "both.bundle"
            bundle.encrypt(cls.plain, cls.both, cls.signer, None, [cls.certificates["rsa"], cls.certificates["ec"]])

    def setUp(self):
        super().setUp()
        self.trust(self.public(self.signer))
        self.enterContext(unittest.mock.patch.dict(os.environ, {"OTA_CONTENT": str(content.engine())}))

    def decrypted(self, key, image=None):
        return content.run("open", "--keys", self.keys, "--decrypt", key, self.work, image=image or self.both)

    def test_each_recipient_opens_it_and_nobody_else(self):
        for name in ("rsa-device", "ec-device"):
            done = self.decrypted(self.made / f"{name}.key")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(content.facts(done.stdout)["encryption"], "aes-256-ctr")
            self.assertEqual((self.work / "content-key").stat().st_size, 40)
            self.assertEqual((self.work / "content-key").stat().st_mode & 0o777, 0o600)
        for key, words in (
            (self.p256("other"), "not for this device's key"),
            (self.rsa("other-rsa", 2048), "not for this device's key"),
            (self.private("ed"), "not for this device's key"),
            ("", "names none"),
            (self.made / "none", "cannot be read"),
            (self.certificates["ec"], "cannot be read"),
            (self.keys, "cannot be read"),
        ):
            done = self.decrypted(key)
            self.assertEqual((done.returncode, done.stdout), (NO_KEY, ""), done.stderr)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertFalse((self.work / "content-key").exists())
            self.assertFalse((self.work / "opened").exists())

    def test_a_key_with_a_passphrase_asks_nobody(self):
        locked = self.folder / "locked.key"
        locked.write_bytes(openssl("pkcs8", "-topk8", "-in", self.made / "ec-device.key", "-passout", "pass:secret"))
        self.assertEqual(self.decrypted(locked).returncode, NO_KEY)

    def test_a_token_that_is_not_there_is_no_key(self):
        self.assertEqual(self.decrypted("pkcs11:token=none;object=none").returncode, NO_KEY)

    def test_it_installs_what_was_encrypted(self):
        slot = self.folder / "slot"
        with bundle.open_bundle(self.plain) as opened:
            size = int(opened.values()["rootfs-bytes"])
        slot.write_bytes(os.urandom(size))
        self.assertEqual(self.decrypted(self.made / "ec-device.key").returncode, 0)
        for command in ("check", "write", "verify"):
            done = content.run(command, "--folder", self.work, "--slot", slot, image=self.both)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(slot.read_bytes(), (self.made / "x.ext4").read_bytes())

    def test_the_signature_is_verified_without_any_key(self):
        done = content.run("open", "--keys", self.keys, self.work, image=self.both)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse((self.work / "content-key").exists())
        self.assertEqual(self.on_host(self.both.read_bytes()), str(self.keys / "0.pem"))

    def test_who_is_not_trusted_has_nothing_decrypted(self):
        self.trust(self.public(self.private("stranger")))
        done = self.decrypted(self.made / "ec-device.key")
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertFalse((self.work / "content-key").exists())

    def test_nothing_of_the_image_is_readable_and_no_two_are_alike(self):
        again = self.folder / "again.bundle"
        bundle.encrypt(self.plain, again, self.signer, None, [self.certificates["ec"]])
        with bundle.open_bundle(self.plain) as opened:
            at, size = opened.image_offset, opened.image_bytes
        plain = self.plain.read_bytes()[at : at + size]
        seen = {plain[n : n + 16] for n in range(0, size - 16, 16)}
        for path in (self.both, again):
            with bundle.open_bundle(path) as opened:
                self.assertEqual(opened.image_bytes, size)
                found = path.read_bytes()[opened.image_offset :][:size]
            self.assertEqual(seen & {found[n : n + 16] for n in range(0, size - 16, 16)}, set())
        one, other = (path.read_bytes() for path in (self.both, again))
        self.assertNotEqual(one[-size:], other[-size:])

    def signed_with(self, **changes):
        """The encrypted bundle with another manifest, rightly signed."""
        with bundle.open_bundle(self.both) as opened:
            values = opened.values()
            members = [
                ("index", opened._content(opened._index, 1 << 30)),
                (opened.image, opened._content(opened._image, 1 << 30)),
            ]
        for key, value in changes.items():
            values[key.replace("_", "-")] = value
        text = "".join(f"{key}={value}\n" for key, value in values.items() if value is not None).encode()
        path = self.folder / "changed.bundle"
        path.write_bytes(
            test_open.assembled([("manifest", text), ("manifest.sig", self.signed(text, self.signer)), *members])
        )
        return path

    def test_manifests_with_half_of_it_are_refused_here_and_on_the_host(self):
        for changes in (
            {"encryption_cipher": "aes-128-ctr"},
            {"encryption_cipher": None},
            {"encryption_nonce": "00"},
            {"encryption_nonce": None},
            {"encryption_key_sha256": None},
            {"encryption_recipients": None},
            {"encryption_recipients": "x"},
            {"encryption_recipients": "===="},
            {"encryption_recipients": "A" * 49156},
            {"encryption_mode": "1"},
        ):
            path = self.signed_with(**changes)
            done = self.decrypted(self.made / "ec-device.key", path)
            self.assertEqual((done.returncode, done.stdout), (4, ""), f"{changes} {done.stderr}")
            self.assertEqual(self.on_host(path.read_bytes()), "refused", changes)
        for changes, code in (
            ({"encryption_recipients": "AAAA"}, 4),
            ({"encryption_recipients": base64.b64encode(b"0\x80" * 100).decode()}, 4),
            ({"encryption_key_sha256": "0" * 64}, NO_KEY),
        ):
            self.assertEqual(self.decrypted(self.made / "ec-device.key", self.signed_with(**changes)).returncode, code)

    def test_what_cannot_be_encrypted_is_refused(self):
        out = self.folder / "x.bundle"
        ed = self.folder / "ed.crt"
        ed.write_bytes(openssl("req", "-x509", "-new", "-key", self.private("ed"), "-subj", "/CN=ed", "-days", "1"))
        (self.folder / "format-1.bundle").write_bytes(self.bundle(self.signer))
        for plain, recipients, words in (
            (self.both, [self.certificates["ec"]], "not encrypted"),
            (self.folder / "format-1.bundle", [self.certificates["ec"]], "format 2"),
            (self.plain, [], "at least one"),
            (self.plain, [ed], "RSA or of an elliptic curve"),
            (self.plain, [self.made / "ec-device.key"], "found none"),
        ):
            with self.assertRaisesRegex(bundle.BundleError, words):
                bundle.encrypt(plain, out, self.signer, None, recipients)
            self.assertFalse(out.exists())
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name.startswith(".")], [])


if __name__ == "__main__":
    sys.exit(unittest.main())
