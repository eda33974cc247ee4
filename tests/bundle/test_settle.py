#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lib/otamgr/settle.py: the content stays, places depend on names, and the next release has nearly all of it at the same place."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "lib"))
sys.dont_write_bytecode = True
from otamgr import settle  # noqa: E402

MIB = 1 << 20
UUID = "6f7a2c1e-58d4-4b3a-9d10-2f6c1d4e7a90"
NAMED = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,sparse_super,large_file,huge_file,uninit_bg,dir_nlink,"
    "extra_isize"
)
# What mke2fs can be told, as far as it changes where things lie and what has a checksum.
FEATURES = (
    NAMED,
    "metadata_csum,64bit",
    "metadata_csum,^64bit",
    "^metadata_csum,uninit_bg",
    "^flex_bg,^resize_inode",
    "metadata_csum_seed,^has_journal",
)
PROGRAMS = f"/usr/sbin:/sbin:{os.environ['PATH']}"


def made(tree, path, features=NAMED, mib=64, *options):
    path.unlink(missing_ok=True)
    environment = {**os.environ, "E2FSPROGS_FAKE_TIME": "1000000000", "PATH": PROGRAMS}
    words = (
        "mke2fs",
        "-q",
        "-F",
        "-t",
        "ext4",
        "-b",
        "4096",
        "-U",
        UUID,
        "-O",
        features,
        "-E",
        f"lazy_itable_init=0,hash_seed={UUID}",
    )
    subprocess.run([*words, *options, "-d", tree, path, f"{mib}M"], check=True, env=environment, capture_output=True)
    return path


def debugfs(image, request):
    return subprocess.run(
        ["debugfs", "-R", request, image], env={"PATH": PROGRAMS}, capture_output=True, text=True, check=True
    ).stdout


def described(image):
    """Every name with inode, mode, owner, size, links, times of modification, link targets and content, as e2fsprogs read them."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["debugfs", "-R", f"rdump / {folder}", image], env={"PATH": PROGRAMS}, capture_output=True, check=True
        )
        files = {}
        for path in sorted(Path(folder).rglob("*")):
            name = str(path.relative_to(folder))
            info = path.lstat()
            content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            # debugfs does not give links their times.
            time = 0 if path.is_symlink() else info.st_mtime
            files[name] = hashlib.sha256(
                repr((info.st_mode, info.st_uid, info.st_gid, info.st_size, time, content)).encode()
            ).hexdigest()
    return files


def different(one, other):
    """How many blocks of 4 KiB differ."""
    first, second = one.read_bytes(), other.read_bytes()
    return sum(first[at : at + 4096] != second[at : at + 4096] for at in range(0, len(first), 4096))


class Settle(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.tree = self.folder / "tree"
        luck = random.Random(1)
        for number in range(900):
            path = self.tree / f"usr/lib/{number % 30}/file{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(luck.randbytes(int(luck.paretovariate(0.9) * 3000) % 400000))
        (self.tree / "boot").mkdir()
        (self.tree / "boot/Image").write_bytes(luck.randbytes(6 * MIB))
        (self.tree / "etc").mkdir()
        (self.tree / "etc/empty").touch()
        os.link(self.tree / "boot/Image", self.tree / "etc/second")
        (self.tree / "etc/short").symlink_to("../boot/Image")
        (self.tree / "etc/long").symlink_to("/" + "x" * 200)
        with open(self.tree / "etc/sparse", "wb") as f:
            for at in (0, 5 * MIB, 9 * MIB + 1):
                f.seek(at)
                f.write(b"here")
        for number in range(600):
            (self.tree / f"many/{'n' * 120}{number}").parent.mkdir(exist_ok=True)
            (self.tree / f"many/{'n' * 120}{number}").touch()
        for path in [self.tree, *self.tree.rglob("*")]:
            os.utime(path, (1e9, 1e9 - 77), follow_symlinks=False)

    def sound(self, image):
        done = subprocess.run(
            ["e2fsck", "-fn", image], env={"PATH": PROGRAMS}, capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_nothing_but_places_changes(self):
        for features in FEATURES:
            with self.subTest(features):
                image = made(self.tree, self.folder / "image", features)
                # Directories with an index, as OpenEmbedded leaves them.
                subprocess.run(["e2fsck", "-fyD", image], env={"PATH": PROGRAMS}, capture_output=True, check=False)
                before, size = described(image), image.stat().st_size
                unsettled = image.read_bytes()
                settle.settle(image)
                self.assertNotEqual(image.read_bytes(), unsettled)
                self.sound(image)
                self.assertEqual(described(image), before)
                self.assertEqual(image.stat().st_size, size)

    def test_it_is_the_same_each_time_and_settling_again_changes_nothing(self):
        first = made(self.tree, self.folder / "first")
        second = made(self.tree, self.folder / "second")
        for image in (first, second):
            settle.settle(image)
        self.assertEqual(first.read_bytes(), second.read_bytes())
        settle.settle(second)
        self.assertEqual(first.read_bytes(), second.read_bytes())

    def test_what_grows_and_what_is_new_moves_little_else(self):
        old, unsettled = made(self.tree, self.folder / "old"), made(self.tree, self.folder / "unsettled")
        settle.settle(old)
        for number in range(0, 900, 100):
            with open(self.tree / f"usr/lib/{number % 30}/file{number}", "ab") as f:
                f.write(b"more" * 1500)
        (self.tree / "boot/a-new-one").write_bytes(random.Random(2).randbytes(300000))
        new, unsettled_new = made(self.tree, self.folder / "new"), made(self.tree, self.folder / "unsettled-new")
        settle.settle(new)
        blocks = 64 * MIB // 4096
        self.assertGreater(different(unsettled, unsettled_new), 0.2 * blocks)
        self.assertLess(different(old, new), 0.03 * blocks)

    def test_times_that_a_build_does_not_repeat_become_those_of_the_modification(self):
        image = made(self.tree, self.folder / "image")
        settle.settle(image)
        said = debugfs(image, "stat /boot/Image")
        times = [line.split(" -- ")[1] for line in said.splitlines() if "time: " in line]
        self.assertEqual(len(times), 4, said)
        self.assertEqual(len(set(times)), 1, said)

    def test_a_full_image_has_pieces_rather_than_no_place(self):
        used = sum(-(-path.stat().st_size // 4096) * 4096 for path in self.tree.rglob("*") if path.is_file()) // MIB
        image = self.folder / "image"
        for mib in range(used, used + 40):
            try:
                made(self.tree, image, "^has_journal", mib)
                break
            except subprocess.CalledProcessError:
                continue
        before = described(image)
        try:
            settle.settle(image)
        except settle.Unsettled as e:
            self.assertIn("too little room", str(e))
        self.sound(image)
        self.assertEqual(described(image), before)

    def test_what_cannot_be_settled_stays_as_it_is_and_says_why(self):
        for words, *options in (
            ("its blocks have 1024 bytes", NAMED, 64, "-b", "1024"),
            ("inline_data", "inline_data", 64),
            ("has no extents", "^extent,^64bit", 64),
        ):
            with self.subTest(words):
                image = made(self.tree, self.folder / "image", *options)
                before = image.read_bytes()
                with self.assertRaisesRegex(settle.Unsettled, words):
                    settle.settle(image)
                self.assertEqual(image.read_bytes(), before)
                self.assertEqual(settle.main([str(image)]), 0)
        text = self.folder / "text"
        text.write_bytes(b"no file system\n" * 1000)
        with self.assertRaisesRegex(settle.Unsettled, "no ext4"):
            settle.settle(text)
        self.assertEqual(settle.main([str(self.folder / "none")]), 1)
        self.assertEqual(settle.main([]), 2)

    def test_what_e2fsck_does_not_like_never_takes_the_place_of_the_image(self):
        image = made(self.tree, self.folder / "image")
        before = image.read_bytes()
        with unittest.mock.patch.object(settle.FileSystem, "allocated", lambda *_: ()):
            with self.assertRaisesRegex(settle.Unsettled, "e2fsck does not like"):
                settle.settle(image)
        self.assertEqual(image.read_bytes(), before)
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name.startswith("image")], ["image"])
        self.assertIsNotNone(shutil.which("e2fsck", path=PROGRAMS))


if __name__ == "__main__":
    unittest.main()
