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

    def shared(self, name, content=None):
        path = self.folder / name
        path.write_text(content if content is not None else os.urandom(32).hex() + "\n")
        return path

    def test_a_key_that_many_devices_have_opens_it_on_each_and_no_other_does(self):
        fleet, next_one, other = (self.shared(name) for name in ("fleet.key", "next.key", "other.key"))
        image = self.folder / "shared.bundle"
        bundle.encrypt(self.plain, image, self.signer, None, [self.certificates["rsa"]], shared=[fleet, next_one])
        # With another one for the change of keys, and one device's own.
        keys = [
            fleet,
            fleet,
            next_one,
            self.shared("as-swupdate.key", fleet.read_text().strip()),
            self.rsa("rsa-device", 2048),
        ]
        found = set()
        for key in keys:
            done = self.decrypted(key, image)
            self.assertEqual(done.returncode, 0, done.stderr)
            found.add((self.work / "content-key").read_bytes())
        self.assertEqual(len(found), 1)
        for key in (other, self.p256("ec-device")):
            done = self.decrypted(key, image)
            self.assertEqual((done.returncode, done.stdout), (NO_KEY, ""), done.stderr)
            self.assertIn("not for this device's key", done.stderr)
        # And a shared key opens nothing that was not made for it.
        self.assertEqual(self.decrypted(fleet).returncode, NO_KEY)
        self.assertNotIn(bytes.fromhex(fleet.read_text()), image.read_bytes())
        self.assertNotIn(fleet.read_bytes().strip(), image.read_bytes())

    def test_a_bundle_for_a_shared_key_alone_is_installed(self):
        fleet, slot = self.shared("fleet.key"), self.folder / "slot"
        image = self.folder / "shared.bundle"
        bundle.encrypt(self.plain, image, self.signer, None, [], shared=[fleet])
        new = (self.made / "x.ext4").read_bytes()
        slot.write_bytes(os.urandom(len(new)))
        self.assertEqual(self.decrypted(fleet, image).returncode, 0)
        for command in ("check", "write", "verify"):
            done = content.run(command, "--folder", self.work, "--slot", slot, image=image)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(slot.read_bytes(), new)

    def test_what_is_no_shared_key_is_refused_by_both_sides(self):
        for text in (
            "",
            "0" * 63,
            "0" * 65,
            "0" * 64 + "\n\n",
            "G" * 64,
            "A" * 64,
            "0" * 64 + " " + "0" * 32,
            " " + "0" * 64,
        ):
            key = self.shared("bad.key", text)
            done = self.decrypted(key)
            self.assertEqual((done.returncode, done.stdout), (NO_KEY, ""), text)
            self.assertIn("64 hexadecimal digits", done.stderr)
            with self.assertRaisesRegex(bundle.BundleError, "expected a shared key"):
                bundle.encrypt(self.plain, self.folder / "x.bundle", self.signer, None, [], shared=[key])

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
            (self.plain, [], "at least one recipient's certificate or shared key"),
            (self.plain, [ed], "RSA or of an elliptic curve"),
            (self.plain, [self.made / "ec-device.key"], "found none"),
        ):
            with self.assertRaisesRegex(bundle.BundleError, words):
                bundle.encrypt(plain, out, self.signer, None, recipients)
            self.assertFalse(out.exists())
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name.startswith(".")], [])


class Tokens(test_open.Opening):
    """The key of the device lies in a token, the one in software of Debian, by the engine of libp11."""

    MODULE = "/usr/lib/softhsm/libsofthsm2.so"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.made / "tokens").mkdir()
        configuration = cls.made / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {cls.made}/tokens\nobjectstore.backend = file\n")
        named = {"SOFTHSM2_CONF": str(configuration), "PKCS11_MODULE_PATH": cls.MODULE}
        cls.enterClassContext(unittest.mock.patch.dict(os.environ, named | {"OTA_CONTENT": str(content.engine())}))
        (cls.made / "pin").write_text("1234")
        tool = ["pkcs11-tool", "--module", cls.MODULE, "--token-label", "device", "--login", "--pin", "1234"]
        made = ["--keypairgen", "--usage-derive", "--usage-decrypt"]
        for words in (
            ["softhsm2-util", "--init-token", "--free", "--label", "device", "--pin", "1234", "--so-pin", "1234"],
            [*tool, *made, "--key-type", "EC:prime256v1", "--id", "01", "--label", "ec"],
            [*tool, *made, "--key-type", "rsa:2048", "--id", "02", "--label", "rsa"],
            [*tool, *made, "--key-type", "rsa:2048", "--id", "03", "--label", "other"],
        ):
            subprocess.run(words, check=True, capture_output=True)
        image = cls.made / "x.ext4"
        with tempfile.TemporaryDirectory() as folder:
            image.write_bytes(head_of(41, folder) + os.urandom(40 * BLOCK))
        cls.plain, cls.encrypted = cls.made / "plain.bundle", cls.made / "encrypted.bundle"
        cls.signer = cls.private("signer")
        bundle.create(cls.plain, image, cls.signer, "board", "1.0", form=2)
        certificates = []
        for name in ("ec", "rsa"):
            certificates.append(cls.made / f"{name}.crt")
            # The certificate of a token's key is made as anybody makes it.
            certificates[-1].write_bytes(
                openssl(
                    "req",
                    "-x509",
                    "-new",
                    "-engine",
                    "pkcs11",
                    "-keyform",
                    "engine",
                    "-key",
                    cls.uri(name),
                    "-subj",
                    f"/CN={name}",
                    "-days",
                    "1",
                )
            )
        bundle.encrypt(cls.plain, cls.encrypted, cls.signer, None, certificates)

    @classmethod
    def uri(cls, name, pin=None):
        return f"pkcs11:token=device;object={name};type=private?{pin or f'pin-source=file:{cls.made}/pin'}"

    def setUp(self):
        super().setUp()
        self.trust(self.public(self.signer))

    def decrypted(self, key, **environment):
        # What libp11 forgets to give back when it finds no key is not ours.
        environment["ASAN_OPTIONS"] = "exitcode=99:detect_leaks=0"
        return content.run(
            "open", "--keys", self.keys, "--decrypt", key, self.work, image=self.encrypted, environment=environment
        )

    def test_keys_in_a_token_open_it_and_it_is_installed(self):
        for name in ("ec", "rsa"):
            done = self.decrypted(self.uri(name))
            self.assertEqual(done.returncode, 0, done.stderr)
            slot = self.folder / "slot"
            new = (self.made / "x.ext4").read_bytes()
            slot.write_bytes(os.urandom(len(new)))
            for command in ("check", "write", "verify"):
                done = content.run(command, "--folder", self.work, "--slot", slot, image=self.encrypted)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(slot.read_bytes(), new)

    def no_key(self, done, words):
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (NO_KEY, "", 1), done.stderr)
        self.assertIn(words, done.stderr)
        self.assertNotIn("4321", done.stderr)
        self.assertFalse((self.work / "content-key").exists())
        self.assertFalse((self.work / "opened").exists())

    def test_another_key_no_key_a_wrong_pin_and_none_are_said(self):
        for key, words in (
            (self.uri("other"), "not for this device's key pkcs11:token=device;object=other;type=private\n"),
            (self.uri("none"), "object=none;type=private cannot be read; expected a private key in a token"),
            (
                self.uri("ec", "pin-value=4321"),
                "cannot be read; expected a private key in a token that is there, and its PIN",
            ),
            ("pkcs11:token=device;object=ec;type=private", "and its PIN"),
            ("pkcs11:token=none;object=none", "token=none;object=none cannot be read"),
        ):
            self.no_key(self.decrypted(key), words)

    def test_without_a_provider_and_an_engine_it_is_said_in_a_sentence(self):
        # A folder of engines without that of libp11, as on a device that has none.
        (self.folder / "engines").mkdir()
        done = self.decrypted(self.uri("ec"), OPENSSL_ENGINES=str(self.folder / "engines"))
        self.no_key(done, "its engine pkcs11, found neither")


if __name__ == "__main__":
    sys.exit(unittest.main())
