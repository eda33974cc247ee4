#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ota-content hold, check, write, verify and probe: file systems, plain and compressed, from an image whose owner may change it."""

import gzip
import io
import json
import lzma
import os
import random
import shutil
import struct
import subprocess
import tarfile
import tempfile
import threading
import time
import unittest
import zlib
from pathlib import Path

import content
from otamgr import bundle

# In memory where that can be: the tests sync a lot, and test programs, not disks.
if shutil.disk_usage("/dev/shm").free > 1 << 30:
    tempfile.tempdir = "/dev/shm"

KIB, MIB = 1024, 1024 * 1024
BLOCK = 4 * KIB
IMAGE_BYTES, SLOT_BYTES = 9 * MIB, 12 * MIB
# What a compressor needs to be told.
COMPRESSORS = {
    "ext4": None,
    "ext4.gz": ["gzip", "-c"],
    "ext4.zst": ["zstd", "-q", "-c"],
    "ext4.xz": ["xz", "-0", "-c"],
}


def signed(folder, data, key):
    """A bundle of format 1."""
    image = folder / "to-sign.ext4"
    image.write_bytes(data)
    values = {"format": "otamgr-bundle-1", "compatible": "test", "version": "1.0", **bundle.describe_image(image)}
    (folder / "manifest").write_text(bundle.manifest_text(values))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        signature = bundle.sign(folder / "manifest", key)
        for name, inside in (
            ("manifest", (folder / "manifest").read_bytes()),
            ("manifest.sig", signature),
            (image.name, data),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(inside)
            archive.addfile(member, io.BytesIO(inside))
    return out.getvalue()


def packed(data, *command):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def file_system(folder, name="image.ext4", size=IMAGE_BYTES, *options, filling=3 * MIB, seed=1):
    """An ext4 with a file of bytes that do not compress, one of zeros and one of text."""
    root = folder / f"{name}-root"
    (root / "boot").mkdir(parents=True)
    (root / "boot/Image").write_bytes(random.Random(seed).randbytes(filling))
    (root / "text").write_bytes(b"what is signed is what is written\n" * 9000)
    (root / "zeros").write_bytes(bytes(300 * KIB))
    path = folder / name
    path.unlink(missing_ok=True)
    subprocess.run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", *options, "-d", root, path, f"{size // KIB}k"],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(root)
    return path


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = Path(tempfile.mkdtemp(prefix="content-tests."))
        cls.addClassCleanup(shutil.rmtree, cls.shared)
        cls.image = file_system(cls.shared)
        cls.data = cls.image.read_bytes()
        cls.images = {}
        for kind, command in COMPRESSORS.items():
            cls.images[kind] = cls.data if command is None else packed(cls.data, *command)
        cls.key = cls.shared / "key"
        bundle.make_key(cls.key)
        for kind in ("ext4", "ext4.zst"):
            cls.images[f"{kind} in a bundle"] = signed(cls.shared, cls.images[kind], cls.key)

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="content-test."))
        self.addCleanup(shutil.rmtree, self.folder)
        self.private = self.folder / "private"
        self.private.mkdir(mode=0o700)
        self.slot = self.folder / "slot"
        self.old = random.Random(2).randbytes(SLOT_BYTES)
        self.slot.write_bytes(self.old)
        (self.folder / "keys").mkdir()
        bundle.write_public_key(self.key, self.folder / "keys/key.pem")

    def deliver(self, data, name="image"):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def step(self, name, image, code=0, words=(), **options):
        result = content.run(name, "--folder", self.private, "--slot", self.slot, *words, image=image, **options)
        self.assertEqual(result.returncode, code, f"{name}: {result.stderr}{result.stdout}")
        if code:
            self.assertEqual(result.stderr.count("\n"), 1, f"the reason is one line: {result.stderr}")
            return result.stderr.strip()
        return content.facts(result.stdout)

    def opened(self, image):
        result = content.run("open", "--keys", self.folder / "keys", self.private, image=image)
        self.assertEqual(result.returncode, 0, result.stderr)

    def checked(self, image, code=0, **options):
        self.opened(image)
        before = self.slot.read_bytes() if self.slot.is_file() and self.slot.stat().st_size < 64 * MIB else None
        answer = self.step("check", image, code, **options)
        if before is not None:
            self.assertEqual(self.slot.read_bytes(), before, "a check touches nothing")
        return answer

    def updated(self, image):
        """check, write and verify; returns what write counted."""
        self.checked(image)
        counted = {key: int(value) for key, value in self.step("write", image).items()}
        self.step("verify", image)
        return counted


class Updates(Case):
    def test_every_compression_ends_with_the_same_slot(self):
        for kind, data in self.images.items():
            with self.subTest(kind):
                self.slot.write_bytes(self.old)
                image = self.deliver(data)
                facts = self.checked(image)
                suffix = kind.split()[0].split(".")[-1]
                self.assertEqual(
                    (facts["format"], facts["compression"]),
                    ("ext4", {"ext4": "none", "gz": "gzip", "zst": "zstd", "xz": "xz"}[suffix]),
                )
                self.assertEqual(
                    [int(facts[key]) for key in ("image_bytes", "filesystem_bytes", "growth")],
                    [IMAGE_BYTES, IMAGE_BYTES, SLOT_BYTES - IMAGE_BYTES],
                )
                counted = {key: int(value) for key, value in self.step("write", image).items()}
                self.assertEqual(counted, {"compared": IMAGE_BYTES, "skipped": 0, "copied": 0, "written": IMAGE_BYTES})
                self.step("verify", image)
                self.assertEqual(self.slot.read_bytes(), self.data + self.old[IMAGE_BYTES:])

    def test_what_the_slot_holds_already_is_not_written(self):
        for kind, data in self.images.items():
            with self.subTest(kind):
                self.slot.write_bytes(self.data + bytes(SLOT_BYTES - IMAGE_BYTES))
                counted = self.updated(self.deliver(data))
                self.assertEqual((counted["written"], counted["skipped"]), (BLOCK, IMAGE_BYTES - BLOCK))
                self.assertEqual(self.slot.read_bytes()[:IMAGE_BYTES], self.data)

    def test_a_slot_whose_superblock_was_taken_away_needs_only_that(self):
        self.slot.write_bytes(bytes(BLOCK) + self.data[BLOCK:] + bytes(SLOT_BYTES - IMAGE_BYTES))
        counted = self.updated(self.deliver(self.images["ext4.zst"]))
        self.assertEqual((counted["written"], counted["skipped"]), (BLOCK, IMAGE_BYTES - BLOCK))
        self.assertEqual(self.slot.read_bytes()[:IMAGE_BYTES], self.data)

    def test_only_blocks_that_differ_are_written(self):
        draw = random.Random(3)
        for changed in (1, 5, 40, 400):
            with self.subTest(changed):
                old = bytearray(self.data + bytes(SLOT_BYTES - IMAGE_BYTES))
                for number in draw.sample(range(1, IMAGE_BYTES // BLOCK), changed):
                    old[number * BLOCK + draw.randrange(BLOCK)] ^= 1 << draw.randrange(8)
                self.slot.write_bytes(old)
                counted = self.updated(self.deliver(self.images["ext4.zst"]))
                self.assertEqual(self.slot.read_bytes()[:IMAGE_BYTES], self.data)
                self.assertEqual(counted["written"] + counted["skipped"], IMAGE_BYTES)
                # Up to two equal blocks between two that differ go with them.
                self.assertLessEqual(counted["written"], (3 * changed + 1) * BLOCK)
                self.assertGreaterEqual(counted["written"], (changed + 1) * BLOCK)

    def test_an_equal_end_is_found_behind_a_different_beginning(self):
        half = IMAGE_BYTES // 2
        self.slot.write_bytes(self.old[:half] + self.data[half:] + self.old[IMAGE_BYTES:])
        counted = self.updated(self.deliver(self.images["ext4.gz"]))
        self.assertEqual(self.slot.read_bytes()[:IMAGE_BYTES], self.data)
        self.assertGreater(counted["skipped"], half - MIB)

    def test_odd_sizes(self):
        for extra in (1, 511, 512, 5000):
            with self.subTest(extra):
                data = self.data + b"x" * extra
                self.slot.write_bytes(self.old + bytes(512))
                image = self.deliver(packed(data, "zstd", "-q", "-c"))
                facts = self.checked(image)
                self.assertEqual(
                    (facts["follows"], facts["growth"], facts["image_bytes"]), ("yes", "0", str(len(data)))
                )
                self.step("write", image)
                self.step("verify", image)
                self.assertEqual(self.slot.read_bytes(), data + self.old[len(data) :] + bytes(512))

    def test_zeros_behind_the_file_system_do_not_keep_it_from_growing(self):
        facts = self.checked(self.deliver(self.data + bytes(100000)))
        self.assertEqual((facts["follows"], facts["growth"]), ("no", str(SLOT_BYTES - IMAGE_BYTES)))

    @unittest.skipUnless(os.geteuid() == 0, "loop devices need root")
    def test_block_devices_are_written_past_the_page_cache(self):
        loop = subprocess.run(
            ["losetup", "--find", "--show", self.slot], capture_output=True, check=True, text=True
        ).stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "-d", loop], check=True)
        self.slot = Path(loop)
        for kind, data in self.images.items():
            with self.subTest(kind):
                counted = self.updated(self.deliver(data))
                self.assertEqual(counted["written"], IMAGE_BYTES if kind == "ext4" else BLOCK)
                self.assertEqual((self.folder / "slot").read_bytes()[:IMAGE_BYTES], self.data)
        place = self.folder / "mounted"
        place.mkdir()
        subprocess.run(["mount", "-o", "ro", loop, place], check=True)
        try:
            self.assertIn("in use", self.step("write", self.deliver(self.data), 11))
        finally:
            subprocess.run(["umount", place], check=True)

    def test_more_than_4_gib(self):
        size = 4100 * MIB
        image = self.folder / "large.ext4"
        root = self.folder / "root"
        root.mkdir()
        (root / "file").write_bytes(b"x" * 100000)
        subprocess.run(
            ["mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1", "-d", root, image, f"{size // KIB}k"],
            check=True,
            capture_output=True,
        )
        with open(image, "r+b") as target:
            target.seek(size - BLOCK)
            target.write(b"the last block".ljust(BLOCK))
        delivered = self.folder / "large.zst"
        subprocess.run(["zstd", "-q", "-1", image, "-o", delivered], check=True)
        self.slot.unlink()
        self.slot.touch()
        os.truncate(self.slot, size + MIB)
        facts = self.checked(delivered)
        self.assertEqual((facts["image_bytes"], facts["filesystem_bytes"]), (str(size), str(size)))
        counted = {key: int(value) for key, value in self.step("write", delivered).items()}
        self.assertEqual(counted["compared"], size)
        self.assertLess(counted["written"], 100 * MIB)
        self.step("verify", delivered)
        subprocess.run(["cmp", "-n", str(size), image, self.slot], check=True)

    def test_progress(self):
        read, write = os.pipe()
        os.set_inheritable(write, True)
        image = self.deliver(self.images["ext4.zst"])
        self.opened(image)
        for step in ("check", "write", "verify"):
            self.step(step, image, words=("--progress-fd", write))
        os.close(write)
        with open(read, encoding="ascii") as lines:
            said = [json.loads(line) for line in lines]
        self.assertEqual([line["phase"] for line in said if line["percent"] == 100], ["check", "write", "verify"])
        self.assertEqual(said[-2]["bytes"] if said[-1]["percent"] == 0 else said[-1]["bytes"], IMAGE_BYTES)

    def test_a_reader_of_progress_that_does_not_read_stops_nothing(self):
        read, write = os.pipe()
        os.set_inheritable(write, True)
        os.set_blocking(write, False)
        try:
            while True:
                os.write(write, bytes(4096))
        except BlockingIOError:
            os.set_blocking(write, True)
        image = self.deliver(self.images["ext4.zst"])
        self.opened(image)
        for step in ("check", "write", "verify"):
            self.step(step, image, words=("--progress-fd", write), timeout=20)
        os.close(read)
        os.close(write)


class Refused(Case):
    def test_damaged(self):
        draw = random.Random(4)
        for kind, data in self.images.items():
            if kind == "ext4" or "bundle" in kind:
                continue
            for place in [len(data) // 2, len(data) - 6, *(draw.randrange(20, len(data)) for _ in range(12))]:
                with self.subTest(kind, place=place):
                    damaged = bytearray(data)
                    damaged[place] ^= 1 << draw.randrange(8)
                    self.assertIn("does not decompress", self.checked(self.deliver(damaged), 5))

    def test_a_bundle_whose_image_is_another_one(self):
        for kind in ("ext4 in a bundle", "ext4.zst in a bundle"):
            data = bytearray(self.images[kind])
            data[-9000] ^= 1
            self.assertIn("not the one that was signed", self.checked(self.deliver(data), 5))

    def test_signed_images_need_no_checksum_of_their_own(self):
        for command in (["zstd", "-q", "-c", "--no-check"], ["xz", "-0", "-c", "--check=none"]):
            with self.subTest(command[0]):
                self.slot.write_bytes(self.old)
                self.updated(self.deliver(signed(self.folder, packed(self.data, *command), self.key)))
                self.assertEqual(self.slot.read_bytes()[:IMAGE_BYTES], self.data)

    def test_a_signed_hash_of_another_root_file_system(self):
        data = signed(self.folder, self.images["ext4.zst"], self.key)
        manifest = (self.folder / "manifest").read_text()
        (place,) = [line for line in manifest.splitlines() if line.startswith("rootfs-sha256=")]
        (self.folder / "manifest").write_text(manifest.replace(place, "rootfs-sha256=" + "0" * 64))
        signature = bundle.sign(self.folder / "manifest", self.key)
        wrong = bytearray(data)
        wrong[512 : 512 + len(manifest)] = (self.folder / "manifest").read_bytes()
        at = 512 + (len(manifest) + 511) // 512 * 512 + 512
        wrong[at : at + len(signature)] = signature
        self.assertIn(f"the manifest says {IMAGE_BYTES} and 0000", self.checked(self.deliver(wrong), 5))

    def test_cut_off_and_followed(self):
        for kind, data in self.images.items():
            if "bundle" in kind:
                continue
            for cut in (1, 8, len(data) // 2):
                with self.subTest(kind, cut=cut):
                    self.checked(self.deliver(data[:-cut]), 5)
            if kind != "ext4":
                with self.subTest(kind):
                    # liblzma does not tell what follows from what is damaged.
                    said = "does not decompress" if kind == "ext4.xz" else "something follows"
                    self.assertIn(said, self.checked(self.deliver(data + b"garbage" * 3), 5))
        self.assertIn("cut off", self.checked(self.deliver(self.data[: BLOCK - 1]), 5))

    def test_without_a_checksum(self):
        for command in (["zstd", "-q", "-c", "--no-check"], ["xz", "-0", "-c", "--check=none"]):
            with self.subTest(command[0]):
                self.assertIn("carries no checksum", self.checked(self.deliver(packed(self.data, *command)), 5))
        half = len(self.data) // 2
        frames = packed(self.data[:half], "zstd", "-q", "-c") + packed(
            self.data[half:], "zstd", "-q", "-c", "--no-check"
        )
        self.assertIn("carries no checksum", self.checked(self.deliver(frames), 5))

    def test_taken_in_several_parts(self):
        half = len(self.data) // 2
        skippable = b"\x5a\x2a\x4d\x18\x05\0\0\0abcde"
        parts = {
            "frames": packed(self.data[:half], "zstd", "-q", "-c")
            + skippable
            + packed(self.data[half:], "zstd", "-q", "-c"),
            "pzstd": skippable + packed(self.data, "zstd", "-q", "-c") + skippable,
            "members": gzip.compress(self.data[:half]) + gzip.compress(self.data[half:]) + bytes(512),
            "streams": lzma.compress(self.data[:half])
            + bytes(8)
            + packed(self.data[half:], "xz", "-0", "-c", "--check=sha256"),
        }
        if shutil.which("pzstd"):
            parts["real pzstd"] = packed(self.data, "pzstd", "-q", "-c", "-p", "2")
        for name, data in parts.items():
            with self.subTest(name):
                self.slot.write_bytes(self.old)
                self.updated(self.deliver(data))
                self.assertEqual(self.slot.read_bytes()[:IMAGE_BYTES], self.data)

    def test_too_large_a_window(self):
        data = packed(self.data, "zstd", "-q", "-c", "--long=28")
        reason = self.checked(self.deliver(data), 4)
        self.assertIn("window of 268435456 bytes", reason)
        self.assertIn("--long=27", reason)
        single = b"\x28\xb5\x2f\xfd\xe4" + struct.pack("<Q", 1 << 40) + data[10:]
        self.assertIn("window of 1099511627776 bytes", self.checked(self.deliver(single), 4))
        huge = packed(self.data, "xz", "-c", "--lzma2=dict=256MiB")
        self.assertIn("bytes of memory to unpack", self.checked(self.deliver(huge), 4))

    def test_other_formats_get_a_sentence_of_their_own(self):
        table = b"\x80\0\0\0\x83" + bytes(59) + b"\x55\xaa"
        for name, data, said in (
            ("bzip2", packed(self.data, "bzip2", "-c") if shutil.which("bzip2") else b"BZh91AY" + bytes(5000), "bzip2"),
            ("lz4", b"\x04\x22\x4d\x18" + bytes(5000), "lz4"),
            ("zip", b"PK\3\4" + bytes(5000), "zip"),
            ("sparse", b"\x3a\xff\x26\xed" + bytes(5000), "simg2img"),
            ("page", b"\xef\xbb\xbf \n<!DOCTYPE HTML><html>", "web page"),
            ("swu", b"070702" + bytes(5000), "SWUpdate"),
            ("wic", bytes(446) + table + bytes(5000), "partition table"),
            ("gpt", bytes(512) + b"EFI PART" + bytes(5000), "partition table"),
            ("squashfs", b"hsqs" + bytes(5000), "signed bundle"),
            ("erofs", bytes(1024) + b"\xe2\xe1\xf5\xe0" + bytes(5000), "signed bundle"),
            ("twice", gzip.compress(self.images["ext4.zst"]), "twice"),
            ("text", b"hello" * 2000, "neither an ext4"),
            ("packed text", gzip.compress(b"hello"), "ends after 5 bytes"),
            ("packed nothing", gzip.compress(b""), "holds nothing"),
            ("page in gzip", gzip.compress(b"<html>".ljust(5000)), "web page"),
        ):
            with self.subTest(name):
                code = 5 if name in ("packed text", "packed nothing") else 4
                self.assertIn(said, self.checked(self.deliver(data), code))

    def test_too_large(self):
        self.slot.write_bytes(self.old[: 8 * MIB])
        for kind, data in self.images.items():
            with self.subTest(kind):
                self.assertIn(f"the slot has {8 * MIB}", self.checked(self.deliver(data), 8))
        self.slot.write_bytes(self.old[:IMAGE_BYTES])
        self.assertIn(f"the slot has {IMAGE_BYTES}", self.checked(self.deliver(gzip.compress(self.data + bytes(1))), 8))

    def test_features(self):
        for feature, system in (
            ("inline_data", "U-Boot"),
            ("meta_bg,^resize_inode", "U-Boot"),
            ("encrypt", None),
            ("casefold", None),
            ("bigalloc", None),
            ("64bit,metadata_csum", None),
            ("orphan_file", None),
            ("none,extent,filetype", None),
        ):
            with self.subTest(feature):
                image = file_system(self.folder, "featured", IMAGE_BYTES, "-O", feature)
                if system:
                    reason = self.checked(image, 4)
                    self.assertIn(system, reason)
                    self.assertIn(feature.split(",")[0], reason)
                else:
                    self.updated(image)
        for name in ("FEATURE_I20", "FEATURE_R25"):
            with self.subTest(name):
                image = file_system(self.folder, "unknown")
                subprocess.run(["debugfs", "-w", "-R", f"feature {name}", image], check=True, capture_output=True)
                self.assertIn("neither Linux nor U-Boot", self.checked(image, 4))

    def test_a_damaged_superblock(self):
        data = bytearray(self.data)
        data[1024 + 4] ^= 1
        self.assertIn("superblock is damaged", self.checked(self.deliver(data), 5))
        without = file_system(self.folder, "old", IMAGE_BYTES, "-O", "none,extent,filetype")
        data = bytearray(without.read_bytes())
        data[1024 + 0x18] = 9
        self.assertIn("superblock is damaged", self.checked(self.deliver(data), 5))

    def test_numbers_with_which_nothing_is_mounted(self):
        without = file_system(self.folder, "old", IMAGE_BYTES, "-O", "none,has_journal,extent,filetype", "-b", "4096")
        for at, form, value, code, words in (
            (0x00, "<I", 17, 5, "number of inodes"),
            (0x14, "<I", 1, 5, "first block"),
            (0x20, "<I", 0, 5, "blocks in a group"),
            (0x20, "<I", 32769, 5, "blocks in a group"),
            (0x28, "<I", 0, 5, "inodes in a group"),
            (0x4C, "<I", 2, 5, "revision"),
            (0x58, "<H", 0, 5, "size of its inodes"),
            (0x58, "<H", 8192, 5, "size of its inodes"),
            (0x3A, "<H", 3, 4, "errors"),
            (0xE0, "<I", 0, 4, "journal on another device"),
        ):
            with self.subTest(at=at, value=value):
                data = bytearray(without.read_bytes())
                struct.pack_into(form, data, 1024 + at, value)
                self.assertIn(words, self.checked(self.deliver(data), code))
        wide = bytearray(file_system(self.folder, "wide", IMAGE_BYTES, "-O", "none,extent,filetype,64bit").read_bytes())
        struct.pack_into("<H", wide, 1024 + 0xFE, 32)
        self.assertIn("descriptors", self.checked(self.deliver(wide), 5))
        large = file_system(self.folder, "large", IMAGE_BYTES, "-b", str(2 * os.sysconf("SC_PAGESIZE")))
        self.assertIn("larger than a page", self.checked(large, 4))

    def test_steps_without_the_one_before(self):
        image = self.deliver(self.data)
        self.assertIn("opened", self.step("check", image, 1))
        for step in ("write", "verify"):
            self.assertIn("facts", self.step(step, image, 1))
        self.checked(image)
        self.checked(self.deliver(b"damaged", "damaged"), 4)
        self.step("write", image, 1)
        self.assertEqual(self.slot.read_bytes(), self.old)


class Attacks(Case):
    """The image belongs to somebody who changes it whenever he likes. What reaches the slot was judged, byte by byte."""

    def nothing_foreign(self, message):
        now = self.slot.read_bytes()
        for at in range(0, SLOT_BYTES, BLOCK):
            block = now[at : at + BLOCK]
            if block not in (self.data[at : at + BLOCK], self.old[at : at + BLOCK], bytes(BLOCK) if at == 0 else None):
                self.fail(
                    f"{message}: block {at // BLOCK} of the slot is neither the old one nor the one that was checked"
                )
        return now

    def test_changed_between_check_and_write(self):
        draw = random.Random(5)
        for kind, data in self.images.items():
            # Head and end of a bundle are not the payload.
            head, end = (5000, 10240) if "bundle" in kind else (0, 1)
            places = [head, len(data) - end, *(draw.randrange(head, len(data) - end) for _ in range(10))]
            for place in places:
                with self.subTest(kind, place=place):
                    self.slot.write_bytes(self.old)
                    image = self.deliver(data)
                    self.checked(image)
                    evil = bytearray(data)
                    evil[place] ^= 1 << draw.randrange(8)
                    image.write_bytes(evil)
                    self.assertIn("changed after it was checked", self.step("write", image, 5))
                    now = self.nothing_foreign(f"{kind} at {place}")
                    self.assertEqual(now[:BLOCK], bytes(BLOCK), "the slot cannot be mounted")

    def test_exchanged_or_cut_between_check_and_write(self):
        other = file_system(self.folder, "other", seed=9).read_bytes()
        for kind, data in self.images.items():
            command = COMPRESSORS[kind.split()[0]]
            for name, evil in (
                ("another image", other if command is None else packed(other, *command)),
                ("cut", data[: len(data) // 3]),
                ("empty", b""),
                ("a tar", b"usr/lib/init".ljust(257, b"\0") + b"ustar" + bytes(9000)),
            ):
                with self.subTest(kind, evil=name):
                    self.slot.write_bytes(self.old)
                    image = self.deliver(data)
                    self.checked(image)
                    image.write_bytes(evil)
                    self.step("write", image, 5)
                    self.nothing_foreign(f"{kind}, {name}")

    def test_grown_between_check_and_write_changes_nothing(self):
        image = self.deliver(self.images["ext4.zst"])
        self.checked(image)
        with open(image, "ab") as grown:
            grown.write(self.images["ext4.zst"])
        self.step("write", image)
        self.step("verify", image)
        self.assertEqual(self.slot.read_bytes()[:IMAGE_BYTES], self.data)

    def test_changed_at_any_time(self):
        """Somebody changes bytes and puts them back while all steps run: a good slot, or a refusal."""
        random.Random(6)
        good = refused = 0
        attempts = int(os.environ.get("ATTACKS", "12"))
        for kind, data in self.images.items():
            for attempt in range(attempts):
                self.slot.write_bytes(self.old)
                image = self.deliver(data)
                self.opened(image)
                head = 0 if "bundle" not in kind else 5000
                ended = threading.Event()

                def attack(path=image, data=data, seed=attempt, ended=ended, head=head):
                    own = random.Random(seed)
                    with open(path, "r+b", buffering=0) as target:
                        while not ended.is_set():
                            place, length = own.randrange(head, len(data)), own.randrange(1, 5000)
                            time.sleep(own.random() * 0.03)
                            os.pwrite(target.fileno(), own.randbytes(min(length, len(data) - place)), place)
                            time.sleep(own.random() * 0.01)
                            os.pwrite(target.fileno(), data[place : place + length], place)
                            if own.random() < 0.2:
                                os.ftruncate(target.fileno(), place)
                                os.pwrite(target.fileno(), data[place:], place)

                attacker = threading.Thread(target=attack)
                attacker.start()
                codes = []
                try:
                    for step in ("check", "write", "verify"):
                        result = content.run(step, "--folder", self.private, "--slot", self.slot, image=image)
                        codes.append(result.returncode)
                        if result.returncode:
                            break
                finally:
                    ended.set()
                    attacker.join()
                self.assertIn(codes[-1], (0, 3, 4, 5), f"{kind}: {codes} {result.stderr}")
                if kind == "ext4":
                    # Nothing tells a plain image from another one, apart from its first pass.
                    continue
                now = self.nothing_foreign(f"{kind}: {codes}")
                if codes == [0, 0, 0]:
                    good += 1
                    self.assertEqual(now[:IMAGE_BYTES], self.data)
                else:
                    refused += 1
                    self.assertNotEqual(now[:BLOCK], self.data[:BLOCK])
        self.assertGreater(refused, 0, "no attack was ever noticed")
        print(f"# {good} good systems, {refused} refusals", flush=True)

    def test_the_medium_is_read_back(self):
        image = self.deliver(self.images["ext4.zst"])
        self.updated(image)
        draw = random.Random(7)
        for place in [0, 1025, IMAGE_BYTES - 1, *(draw.randrange(IMAGE_BYTES) for _ in range(5))]:
            with self.subTest(place=place):
                with open(self.slot, "r+b") as slot:
                    os.pwrite(slot.fileno(), bytes([self.data[place] ^ 1]), place)
                    self.assertIn("reads back differently", self.step("verify", image, 14))
                    os.pwrite(slot.fileno(), bytes([self.data[place]]), place)
        self.step("verify", image)


class Held(Case):
    def held(self, *words, code=0):
        show = (
            'echo "held=$OTA_HELD me=$$ image=${OTA_IMAGE_REFUSED:-} header=${OTA_HEADER_REFUSED:-}"; '
            'for fd in 7 8; do [ -e /proc/self/fd/$fd ] && echo "$fd=$(cat /proc/self/fd/$fd)"; done; exit 0'
        )
        result = content.run("hold", *words, "--", "sh", "-c", show)
        self.assertEqual(result.returncode, code, result.stderr)
        first, *rest = result.stdout.splitlines()
        return first, dict(line.split("=", 1) for line in rest)

    def test_image_and_header_are_at_their_places(self):
        first, files = self.held("--image", self.deliver(b"image"), "--header", self.deliver(b"header", "hdr"))
        self.assertEqual(files, {"7": "header", "8": "image"})
        words = dict(word.split("=", 1) for word in first.split(" "))
        self.assertEqual(words["held"], words["me"])

    def test_what_is_refused(self):
        (self.folder / "link").symlink_to(self.deliver(b"image"))
        os.mkfifo(self.folder / "pipe")
        (self.folder / "empty").touch()
        for name, said in (
            ("link", "symbolic link"),
            ("pipe", "not a regular file"),
            ("empty", "is empty"),
            ("missing", "does not exist"),
            ("missing/below", "does not exist"),
            ("", "not a regular file"),
        ):
            with self.subTest(name):
                first, files = self.held("--image", self.folder / name, "--header", self.folder / name)
                self.assertEqual(files, {})
                self.assertEqual(first.count(said), 2, first)

    def test_usage(self):
        for words in ((), ("--image",), ("--image", "x")):
            self.assertEqual(content.run("hold", *words).returncode, 2)
        self.assertEqual(content.run("hold", "--", "/does/not/exist").returncode, 1)


class Placed(Case):
    """header, same and head: what sysupgrade does with a header, with what it placed, and with the first block of the slot."""

    def header(self, size, copy):
        header = self.deliver((bytes(range(256)) * 4097)[:size], "header")
        return content.run("hold", "--header", header, "--", content.engine(), "header", copy, "x.hdr")

    def test_a_header_is_copied_once_and_has_a_limit(self):
        for number, (size, code) in enumerate(((1, 0), (MIB, 0), (0, 18), (MIB + 1, 18))):
            with self.subTest(size=size):
                copy = self.folder / f"copy{number}"
                done = self.header(size, copy)
                self.assertEqual((done.returncode, copy.exists()), (code, code == 0), done.stderr)
                if code == 0:
                    self.assertEqual((copy.stat().st_size, copy.stat().st_mode & 0o777), (size, 0o600))
                else:
                    self.assertIn("header x.hdr", done.stderr)
        self.assertEqual(self.header(1, self.folder / "copy0").returncode, 21)

    def test_what_was_placed_is_compared(self):
        meant = self.deliver(os.urandom(20000), "meant")
        for what, placed, code in (
            ("the same", meant.read_bytes(), 0),
            ("longer", meant.read_bytes() + b"x", 15),
            ("shorter", meant.read_bytes()[:-1], 15),
            ("one byte", meant.read_bytes()[:-1] + bytes([meant.read_bytes()[-1] ^ 1]), 15),
            ("empty", b"", 15),
        ):
            with self.subTest(what):
                self.assertEqual(content.run("same", meant, self.deliver(placed, "placed")).returncode, code)
        (self.folder / "link").symlink_to(meant)
        self.assertEqual(content.run("same", meant, self.folder / "link").returncode, 15)
        self.assertEqual(content.run("same", meant, self.folder / "missing").returncode, 15)
        self.assertEqual(content.run("same", meant).returncode, 2)

    def test_the_first_block_is_noted_judged_and_cleared(self):
        (self.folder / "facts").write_text("format=ext4\n")
        slot = self.deliver(os.urandom(2 * BLOCK), "slot")
        before = slot.read_bytes()

        def head(task):
            done = content.run("head", task, "--folder", self.folder, "--slot", slot)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout, slot.read_bytes()

        self.assertEqual(head("note"), ("", before))
        self.assertEqual(head("judge"), ("touched=no\n", before))
        slot.write_bytes(bytes([before[0] ^ 1]) + before[1:])
        cleared = bytes(BLOCK) + before[BLOCK:]
        self.assertEqual(head("judge"), ("touched=yes\n", cleared))
        slot.write_bytes(before)
        (self.folder / "head").unlink()
        self.assertEqual(head("judge"), ("touched=yes\n", cleared))
        slot.write_bytes(before)
        self.assertEqual(head("clear"), ("touched=yes\n", cleared))
        self.assertEqual(content.run("head", "look", "--folder", self.folder, "--slot", slot).returncode, 2)
        self.assertEqual(
            content.run("head", "note", "--folder", self.folder, "--slot", self.folder / "no").returncode, 14
        )


class Probes(Case):
    def test_environment(self):
        variables = b"ota_slot=a\0bootcmd=run x\0\0".ljust(4091, b"\0")
        copy = struct.pack("<I", zlib.crc32(variables)) + b"\x07" + variables
        path = self.deliver(copy + bytes([copy[0] ^ 1]) + copy[1:4] + b"\x08" + variables)
        said = content.facts(content.run("probe", "env", path, 0, 4096, path, 4096, 4096).stdout)
        self.assertEqual(
            said,
            {
                "copy1_crc": "good",
                "copy1_flag": "7",
                "copy1_used": "25",
                "copy2_crc": "bad",
                "copy2_flag": "8",
                "copy2_used": "25",
            },
        )
        single = self.deliver(struct.pack("<I", zlib.crc32(variables)) + variables, "single")
        self.assertEqual(content.facts(content.run("probe", "env", single, 0, 4095).stdout)["copy1_crc"], "good")
        self.assertEqual(content.run("probe", "env", single, 4000, 4096).returncode, 3)
        self.assertEqual(content.run("probe", "env", single, 0).returncode, 2)

    def copy_of(self, size, header=5, generation=7):
        variables = b"ota_slot=a\0text=two\nlines\0\0".ljust(size - header, b"\0")
        return struct.pack("<I", zlib.crc32(variables)) + bytes([generation])[: header - 4] + variables

    def test_one_copy_and_what_it_is_instead(self):
        good = self.copy_of(8192)
        shown = self.folder / "variables"
        for what, there, expected in (
            ("good", good, {"state": "good", "generation": "7", "size": "8192"}),
            ("one byte differs", good[:99] + b"x" + good[100:], {"state": "bad", "size": "8192"}),
            ("without redundancy", self.copy_of(8192, header=4), {"state": "single", "size": "8192"}),
            ("smaller", self.copy_of(4096), {"state": "other-size", "size": "4096"}),
            ("larger", self.copy_of(16384), {"state": "other-size", "size": "16384"}),
            ("zeros", bytes(8192), {"state": "blank", "size": "8192"}),
            ("erased", b"\xff" * 8192, {"state": "blank", "size": "8192"}),
        ):
            with self.subTest(what):
                path = self.deliver(b"before.." * 64 + there.ljust(16384, b"\0"))
                done = content.run("probe", "env-copy", path, 512, 8192, shown)
                self.assertEqual((done.returncode, content.facts(done.stdout)), (0, expected), done.stderr)
        self.assertEqual(shown.read_bytes(), b"ota_slot=a\ntext=two\nlines\n")
        self.assertEqual(content.run("probe", "env-copy", path, 16384, 8192, shown).returncode, 3)
        self.assertEqual(content.run("probe", "env-copy", path, 0, 4, shown).returncode, 2)

    def test_file_system(self):
        said = content.facts(content.run("probe", "ext4", self.image).stdout)
        self.assertEqual((said["filesystem_bytes"], said["bootable"], said["clean"]), (str(IMAGE_BYTES), "yes", "yes"))
        blank = content.run("probe", "ext4", self.deliver(bytes(BLOCK)))
        self.assertEqual((blank.returncode, blank.stdout), (5, "blank=yes\n"))
        self.assertEqual(content.run("probe", "ext4", self.folder / "missing").returncode, 3)


if __name__ == "__main__":
    unittest.main()
