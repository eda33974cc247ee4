#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lib/otamgr/verified.py and scripts/ota-verified: images of a slot for verified boot, on the build host. What boards do with them is in tests/boot."""

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "lib"))
sys.dont_write_bytecode = True
from otamgr import verified  # noqa: E402

TOOL = REPOSITORY / "scripts/ota-verified"
BLOCK = verified.BLOCK


class Tree(unittest.TestCase):
    def test_the_hash_tree_is_the_one_of_veritysetup(self):
        # One block, a level that is just full, one block more, and three levels.
        for blocks in (1, 2, 128, 129, 128 * 128 + 1):
            with self.subTest(blocks=blocks), tempfile.TemporaryDirectory() as folder:
                data, hashes, salt = Path(folder) / "data", Path(folder) / "hashes", hashlib.sha256(b"salt").digest()
                content = b"".join(hashlib.sha256(b"%d" % n).digest() * 128 for n in range(blocks))
                data.write_bytes(content)
                said = subprocess.run(
                    ["veritysetup", "format", "--no-superblock", f"--salt={salt.hex()}", data, hashes],
                    env={**os.environ, "PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"},
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
                root, tree = verified.tree_of((content[at : at + BLOCK] for at in range(0, len(content), BLOCK)), salt)
                self.assertIn(root.hex(), said)
                self.assertEqual(tree, hashes.read_bytes())


class SlotImage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(made.cleanup)
        cls.shared = Path(made.name)
        (cls.shared / "root/etc").mkdir(parents=True)
        (cls.shared / "root/etc/content").write_bytes(random.Random(1).randbytes(900_000))
        root = cls.shared / "root"
        quiet = {"check": True, "stdout": subprocess.DEVNULL}
        subprocess.run(["mksquashfs", root, cls.shared / "squashfs", "-quiet", "-no-progress"], **quiet)
        subprocess.run(["mkfs.erofs", cls.shared / "erofs", root], **quiet)
        subprocess.run(
            ["/sbin/mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", root, cls.shared / "ext4", "4M"], **quiet
        )
        for name in ("kernel", "initramfs"):
            (cls.shared / name).write_bytes(name.encode() * 10_000)
        cls.key = cls.shared / "boot.key"
        verified.make_key(cls.key, bits=2048)
        subprocess.run(
            ["dtc", "-q", "-I", "dts", "-O", "dtb", "-p", "8192", "-o", cls.shared / "board.dtb"],
            input=b'/dts-v1/; / { #address-cells = <1>; model = "board"; };',
            check=True,
        )
        cls.control = cls.shared / "control.dtb"
        cls.control.write_bytes((cls.shared / "board.dtb").read_bytes())
        (cls.shared / "boot.cmd").write_text("echo started\n")
        verified.make_script_fit(cls.shared / "boot.cmd", cls.key, cls.shared / "boot.itb", control=cls.control)

    def tool_words(self):
        """scripts/ota-verified image, up to the file system."""
        parts = {"kernel": "kernel", "initramfs": "initramfs", "dtb": "board.dtb"}
        options = [word for name, file in parts.items() for word in (f"--{name}", self.shared / file)]
        return [TOOL, "image", "--key", self.key, *options]

    def made(self, kind="squashfs", key=None):
        out = self.shared / f"slot-{kind}"
        facts = verified.make_slot_image(
            self.shared / kind,
            self.shared / "kernel",
            self.shared / "board.dtb",
            self.shared / "initramfs",
            key or self.key,
            out,
        )
        return out, facts

    def test_file_system_signed_image_and_tree_lie_one_behind_the_other(self):
        for kind in ("squashfs", "erofs", "ext4"):
            with self.subTest(kind=kind):
                out, facts = self.made(kind)
                content = out.read_bytes()
                size = facts["file-system-bytes"]
                self.assertEqual((self.shared / kind).read_bytes()[:size], content[:size])
                self.assertEqual(-(-size // BLOCK) * BLOCK, facts["fit-offset"])
                self.assertEqual(b"\xd0\x0d\xfe\xed", content[facts["fit-offset"] :][:4])
                self.assertLessEqual(facts["fit-offset"] + facts["fit-bytes"], facts["tree-offset"])
                subprocess.run(
                    [
                        *("veritysetup", "verify", "--no-superblock", f"--data-blocks={facts['data-blocks']}"),
                        *(f"--hash-offset={facts['tree-offset']}", f"--salt={facts['salt']}", out, out, facts["root"]),
                    ],
                    env={**os.environ, "PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"},
                    check=True,
                )

    def test_the_public_keys_must_have_signed(self):
        for name, required in ((verified.BOOT_KEY, "conf"), (verified.IMAGE_KEY, "image")):
            said = subprocess.run(
                ["fdtget", self.control, f"/signature/key-{name}", "required"],
                check=True,
                capture_output=True,
                text=True,
            )
            self.assertEqual(required, said.stdout.strip())

    def test_the_public_key_becomes_a_part_of_u_boots_device_tree_in_either_way(self):
        alone, whole, included = (self.shared / name for name in ("key.dtb", "whole.dtb", "key.dtsi"))
        words = ("public", "--key", self.key)
        subprocess.run([TOOL, *words, alone], check=True)
        subprocess.run([TOOL, *words, "--base", self.shared / "board.dtb", whole], check=True)
        subprocess.run([TOOL, *words, included], check=True)
        source = self.shared / "u-boot.dts"
        source.write_text(f'/dts-v1/; / {{ model = "board"; }};\n/include/ "{included}"\n')
        compiled = self.shared / "compiled.dtb"
        subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", compiled, source], check=True)
        for tree in (whole, compiled):
            with self.subTest(tree=tree.name):
                said = subprocess.run(["fdtget", tree, "/", "model"], check=True, capture_output=True, text=True)
                self.assertEqual("board", said.stdout.strip())
                self.assertEqual([], verified.key_problems(tree, alone))
        self.assertEqual([], verified.key_problems(self.control, alone))

    def test_a_u_boot_without_the_key_or_with_another_one_is_found(self):
        alone, other = self.shared / "this.dtb", self.shared / "other.dtb"
        verified.make_key_tree(self.key, alone)
        key = verified.development_key(self.shared / "another.key")
        self.assertTrue(verified.is_development(key))
        self.assertEqual(key, verified.development_key(key))
        verified.make_key_tree(key, other)
        self.assertIn("has another key than", verified.key_problems(other, alone)[0])
        self.assertIn("has no key that must have signed", verified.key_problems(self.shared / "board.dtb", alone)[0])

    def test_the_same_salt_makes_the_same_image_twice_and_a_wrong_one_is_refused(self):
        words = self.tool_words()
        made = []
        for name in ("one", "two"):
            out = self.shared / name
            subprocess.run(
                [*words, "--salt", "ab" * 32, self.shared / "squashfs", out],
                check=True,
                capture_output=True,
                env={**os.environ, "SOURCE_DATE_EPOCH": "1"},
            )
            made.append(out.read_bytes())
        self.assertEqual(made[0], made[1])
        refused = subprocess.run(
            [*words, "--salt", "ab", self.shared / "squashfs", self.shared / "three"], capture_output=True, text=True
        )
        self.assertEqual(1, refused.returncode)
        self.assertIn("the salt: expected 64 hexadecimal digits", refused.stderr)

    def test_a_key_is_never_overwritten_and_one_for_development_says_so(self):
        with self.assertRaisesRegex(verified.VerifiedError, "there is such a file already"):
            verified.make_key(self.key)
        said = subprocess.run(
            [TOOL, "keygen", "--development", self.shared / "development.key"],
            check=True,
            capture_output=True,
            text=True,
        )
        self.assertIn("DEVELOPMENT KEY", said.stderr)
        self.assertEqual(0o600, (self.shared / "development.key").stat().st_mode & 0o777)
        said = subprocess.run(
            [TOOL, "script", "--key", self.shared / "development.key", self.shared / "boot.cmd", self.shared / "d.itb"],
            check=True,
            capture_output=True,
            text=True,
        )
        self.assertIn("DEVELOPMENT KEY", said.stderr)
        self.assertFalse(verified.is_development(self.key))

    def test_a_key_that_is_not_there_is_said_with_the_way_to_make_one(self):
        with self.assertRaisesRegex(
            verified.VerifiedError, "none.key: expected a key and its .* see ota-verified keygen"
        ):
            verified.make_key_tree(self.shared / "none.key", self.shared / "none.dtsi")

    def test_a_key_that_u_boot_cannot_verify_is_refused(self):
        key = self.shared / "p256.key"
        subprocess.run(
            ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key],
            check=True,
            capture_output=True,
        )
        key.with_suffix(".crt").touch()
        with self.assertRaisesRegex(verified.VerifiedError, "expected an RSA key"):
            self.made(key=key)

    def test_what_is_no_slot_image_is_refused_with_the_reason(self):
        out, facts = self.made()
        content = out.read_bytes()
        damaged = self.shared / "damaged"
        at = facts["fit-offset"]
        for changed, reason in (
            (bytes(BLOCK) + content[BLOCK:], "neither squashfs nor EROFS nor ext4"),
            (content[:at] + bytes(BLOCK) + content[at + BLOCK :], "expected a FIT behind the file system"),
            (content[:at] + verified.CONDEMNED + content[at + len(verified.CONDEMNED) :], "taken out of use"),
            (content[: at + 5000], "the FIT is cut off"),
        ):
            damaged.write_bytes(changed)
            with self.subTest(reason=reason), self.assertRaisesRegex(verified.VerifiedError, reason):
                verified.describe(damaged)

    def test_the_rollback_index_is_a_part_of_what_is_signed(self):
        out, fit = self.shared / "indexed", self.shared / "indexed.fit"
        words = [*self.tool_words(), "--rollback-index"]
        subprocess.run([*words, "7", self.shared / "squashfs", out], check=True, capture_output=True)
        facts = verified.describe(out)
        fit.write_bytes(out.read_bytes()[facts["fit-offset"] :][: facts["fit-bytes"]])

        def said(kind, node, name):
            words = ["fdtget", "-t", kind, fit, node, name]
            return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()

        self.assertEqual(["7"], said("u", "/configurations/conf-1", verified.INDEX))
        self.assertIn("/configurations/conf-1", said("s", "/configurations/conf-1/signature-1", "hashed-nodes"))
        refused = subprocess.run([*words, "65536", self.shared / "squashfs", out], capture_output=True, text=True)
        self.assertEqual(1, refused.returncode)
        self.assertIn("the rollback index: expected 0 to 65535, found 65536", refused.stderr)

    def test_a_permit_is_a_frame_with_a_code_over_what_it_says(self):
        key, out = self.shared / "device.rpmb", self.shared / "permit"
        subprocess.run([TOOL, "floor-key", key], check=True)
        frame = Path(f"{key}.frame")
        self.assertEqual([0o600] * 2, [file.stat().st_mode & 0o777 for file in (key, frame)])
        self.assertEqual(bytes(196) + key.read_bytes() + bytes(282) + b"\0\1", frame.read_bytes())
        again = subprocess.run([TOOL, "floor-key", key], capture_output=True, text=True)
        self.assertEqual(1, again.returncode)
        self.assertIn("File exists", again.stderr)

        words = [TOOL, "permit", "--key", key]
        subprocess.run([*words, "--counter", "258", "--floor", "7", out], check=True)
        said = out.read_bytes()
        self.assertEqual(512, len(said))
        self.assertEqual(b"OTAF\7\0\0\0", said[228:236])
        self.assertEqual(b"\0\0\1\2" + b"\0\0" + b"\0\1" + b"\0\0" + b"\0\3", said[500:])
        code = subprocess.run(
            ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.read_bytes().hex()}", "-binary"],
            input=said[228:],
            check=True,
            capture_output=True,
        ).stdout
        self.assertEqual(code, said[196:228])
        for counter, floor, reason in (
            ("0", "65536", "the floor: expected 0 to 65535"),
            ("-1", "7", "the counter: expected 0 to"),
        ):
            refused = subprocess.run(
                [*words, f"--counter={counter}", "--floor", floor, out], capture_output=True, text=True
            )
            self.assertEqual(1, refused.returncode)
            self.assertIn(reason, refused.stderr)
        key.write_bytes(b"short")
        refused = subprocess.run([*words, "--counter", "0", "--floor", "7", out], capture_output=True, text=True)
        self.assertIn("expected the key of an RPMB, 32 bytes, found 5", refused.stderr)

    def test_the_tool_says_what_it_made(self):
        words = self.tool_words()
        said = subprocess.run(
            [*words, self.shared / "erofs", self.shared / "by-tool"],
            check=True,
            capture_output=True,
            text=True,
        )
        self.assertEqual(verified.describe(self.shared / "by-tool"), json.loads(said.stdout))
        refused = subprocess.run(
            [*words, self.shared / "kernel", self.shared / "none"],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(1, refused.returncode)
        self.assertIn("neither squashfs nor EROFS nor ext4", refused.stderr)
        self.assertFalse((self.shared / "none").exists())


if __name__ == "__main__":
    unittest.main()
