#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ota-content check, unpack and compare for archives of root file systems, as all programs make them. Needs root, for owners and devices."""

import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

import content
from otamgr import bundle

SLOT_BYTES = 64 << 20
KIB = 1024


def run(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, **options).stdout


def system(root):
    """A small root file system with something of everything."""
    for folder in ("etc", "sbin", "boot", "dev", "usr/lib/deep/er", "tmp"):
        (root / folder).mkdir(parents=True)
    (root / "etc/os-release").write_text("ID=us\n")
    (root / "sbin/init").write_text("#!/bin/sh\n")
    (root / "boot/Image").write_bytes(bytes(range(256)) * 300)
    (root / "usr/lib/deep/er/link").symlink_to("../../../../etc/os-release")
    (root / ("usr/lib/" + "l" * 120)).symlink_to("/" + "t" * 130)
    (root / ("usr/lib/" + "n" * 200)).write_text("a long name\n")
    (root / "usr/lib/ä").write_text("not ASCII\n")
    (root / "usr/lib/empty").touch()
    os.link(root / "boot/Image", root / "usr/lib/second")
    os.mkfifo(root / "dev/fifo")
    os.mknod(root / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "dev/disk", stat.S_IFBLK | 0o660, os.makedev(179, 300))
    os.chown(root / "usr/lib/empty", 1234, 5678)
    os.chown(root / "usr/lib/deep/er/link", 1000, 1000, follow_symlinks=False)
    os.chmod(root / "sbin/init", 0o4755)
    os.chmod(root / "tmp", 0o1777)
    os.utime(root / "etc/os-release", (1000000000, 1000000000))


def packed(*members, form=tarfile.PAX_FORMAT, pax=None, **options):
    """Bytes of an archive of (name, type, {fields}) or (name, bytes), by Python."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, pax_headers=pax, **options) as archive:
        for name, *rest in members:
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            data = b""
            for one in rest:
                if isinstance(one, bytes) and len(one) == 1 and one in b"0123456":
                    info.type = one
                elif isinstance(one, bytes):
                    data = one
                else:
                    for key, value in one.items():
                        setattr(info, key, value)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


DIR, FILE, LINK, SYMLINK, CHARACTER = b"5", b"0", b"1", b"2", b"3"
SYSTEM = (("etc", DIR), ("sbin", DIR), ("sbin/init", b"init"), ("boot", DIR), ("boot/Image", b"kernel"))


class Archives(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(made.cleanup)
        cls.made = Path(made.name)
        cls.root = cls.made / "root"
        system(cls.root)

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.work = self.folder / "work"
        self.work.mkdir()

    def archive(self, *words, root=None):
        """The path of an archive of the system, made by GNU tar with these options."""
        path = self.folder / "made.tar"
        run("tar", "--numeric-owner", *words, "-C", root or self.root, "-cf", path, ".")
        return path

    def check(self, archive, slot_bytes=SLOT_BYTES):
        if isinstance(archive, bytes):
            self.image = self.folder / "image"
            self.image.write_bytes(archive)
        else:
            self.image = archive
        opened = content.run("open", "--keys", self.folder / "none", self.work, image=self.image)
        self.assertEqual(opened.returncode, 0, opened.stderr)
        return content.run(
            "check", "--folder", self.work, "--slot", "/none", "--slot-bytes", slot_bytes, image=self.image
        )

    def taken(self, archive, needs="", lacks=""):
        result = self.check(archive)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        found = content.facts(result.stdout)
        self.assertEqual((found["format"], found["lacks"]), ("tar", lacks), found["lacks_reason"])
        if needs:
            self.assertIn(needs, found["archive_needs"])
        else:
            self.assertEqual(found["archive_needs"], "")
        return found

    def refused(self, archive, code, *words):
        result = self.check(archive)
        self.assertEqual((result.returncode, result.stdout), (code, ""), result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertFalse((self.work / "facts").exists())

    def compare(self, tree):
        return content.run("compare", "--folder", self.work, "--root", tree, image=self.image)

    def same(self, tree):
        result = self.compare(tree)
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def different(self, tree, *words):
        result = self.compare(tree)
        self.assertEqual((result.returncode, result.stdout), (14, ""), result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def unpacked(self, *command, name="tree"):
        """The tree that this program makes of what `unpack` gives it."""
        tree = self.folder / name
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir()
        done = content.run("unpack", "--folder", self.work, image=self.image, text=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        run(*command, input=done.stdout, cwd=tree)
        return tree


GNU = ("tar", "--numeric-owner", "-xpf", "-")
BSD = ("bsdtar", "--numeric-owner", "-xpf", "-")
BUSYBOX = ("busybox", "tar", "-xf", "-", "--numeric-owner")


class Taken(Archives):
    def test_what_every_program_makes_is_read_unpacked_and_the_same(self):
        makers = {
            f"GNU {form}": ("tar", "--numeric-owner", f"--format={form}") for form in ("gnu", "oldgnu", "posix", "pax")
        }
        makers |= {
            "bsdtar pax": ("bsdtar", "--format=pax"),
            "bsdtar restricted": ("bsdtar", "--format=paxr"),
            "bsdtar GNU": ("bsdtar", "--format=gnutar"),
            "busybox": ("busybox", "tar"),
        }
        for name, command in makers.items():
            path = self.folder / "made.tar"
            run(*command, "-C", self.root, "-cf", path, ".")
            with self.subTest(maker=name):
                # Device numbers beyond 255, a name of more than 100 bytes: all of them need more than the oldest header has.
                self.taken(path)
                for unpacker in (GNU, BSD, BUSYBOX):
                    with self.subTest(unpacker=unpacker[0]):
                        self.same(self.unpacked(*unpacker))

    def test_the_oldest_form_is_read(self):
        path = self.folder / "made.tar"
        run(
            "tar", "--format=ustar", "--exclude=n*", "--exclude=l*", "-C", self.root, "-cf", path, "etc", "sbin", "boot"
        )
        self.taken(path)
        self.same(self.unpacked(*BUSYBOX))
        self.taken(packed(*SYSTEM, form=tarfile.USTAR_FORMAT))
        self.same(self.unpacked(*BUSYBOX))
        self.taken(packed(*SYSTEM, ("p" * 90 + "/" + "q" * 90, b"with a prefix"), form=tarfile.USTAR_FORMAT))
        self.same(self.unpacked(*BUSYBOX))

    def test_compressed_archives_are_unpacked_to_the_byte(self):
        path = self.archive()
        for command in (("gzip", "-c"), ("zstd", "-q", "-c", "--check"), ("xz", "-c")):
            image = run(*command, path)
            self.assertEqual(self.taken(image)["archive_needs"], "")
            done = content.run("unpack", "--folder", self.work, image=self.image, text=False)
            self.assertEqual((done.returncode, done.stdout), (0, path.read_bytes()))

    def test_names_with_dots_and_slashes_are_what_they_mean(self):
        self.taken(packed(("./", DIR), ("./etc/", DIR), ("/sbin//init", b"x"), (".//boot/./Image", b"x")))
        tree = self.unpacked(*GNU)
        self.same(tree)
        self.assertTrue((tree / "sbin/init").exists())

    def test_the_last_member_of_a_name_counts(self):
        self.taken(
            packed(
                *SYSTEM,
                ("etc/a", b"old"),
                ("etc", DIR, {"mode": 0o700}),
                ("etc/a", b"newer"),
                ("etc/b", SYMLINK, {"linkname": "a"}),
                ("etc/b", b"a file now"),
            )
        )
        for unpacker in (GNU, BSD, BUSYBOX):
            tree = self.unpacked(*unpacker)
            self.same(tree)
        (tree / "etc/a").write_text("newes")
        os.utime(tree / "etc/a", (0, 0))
        self.different(tree, "/etc/a", "content")

    def test_a_global_header_without_meaning_is_passed_over(self):
        self.taken(packed(*SYSTEM, pax={"comment": "0123456789abcdef"}))
        self.same(self.unpacked(*GNU))

    def test_what_is_needed_of_the_slot_is_counted_as_a_file_system_would(self):
        found = self.taken(
            packed(*SYSTEM, ("big", bytes(10 * KIB)), ("again", LINK, {"linkname": "big"}), ("nothing", b""))
        )
        # Seven inodes; three directories with a block of 4 KiB each, files of one, one, three and none.
        least = 4096 * (3 + 1 + 1 + 3) + 7 * 256
        self.assertTrue(least <= int(found["content_bytes"]) <= least + 8 * 40, found["content_bytes"])
        result = self.check(packed(*SYSTEM, ("big", bytes(40 * KIB))), slot_bytes=40 * KIB)
        self.assertEqual(result.returncode, 8)
        self.assertIn("40960", result.stderr)


class Needs(Archives):
    """What the tar of busybox takes for something else: unpacked by bsdtar, and refused where there is none."""

    def needed(self, archive, needs, same=True):
        self.taken(archive, needs=needs)
        tree = self.unpacked("bsdtar", "--numeric-owner", "--xattrs", "--acls", "-xpf", "-")
        self.same(tree)
        bad = self.unpacked(*BUSYBOX, name="bad") if same else None
        if bad is not None:
            self.different(bad)
        return tree

    def sparse(self):
        root = self.folder / "sparse"
        system(root)
        with open(root / "usr/lib/sparse.db", "wb") as file:
            file.seek(100000)
            file.write(b"middle" * 2000)
            file.seek(400000)
            file.write(b"end")
            file.truncate(500000)
        return root

    def test_sparse_files(self):
        root = self.sparse()
        for words, needs in (
            (("--format=gnu",), "type S"),
            (("--format=posix",), "GNU.sparse.major"),
            (("--format=posix", "--sparse-version=0.0"), "GNU.sparse."),
            (("--format=posix", "--sparse-version=0.1"), "GNU.sparse."),
        ):
            with self.subTest(words=words):
                archive = self.archive("--sparse", *words, root=root)
                found = self.taken(archive, needs=needs)
                self.assertIn("usr/lib/sparse.db", found["archive_needs"])
                for unpacker in (GNU, BSD):
                    tree = self.unpacked(*unpacker)
                    self.same(tree)
                    self.assertEqual(
                        (tree / "usr/lib/sparse.db").read_bytes(), (root / "usr/lib/sparse.db").read_bytes()
                    )
                with open(tree / "usr/lib/sparse.db", "r+b") as file:
                    file.seek(50000)
                    file.write(b"x")
                os.utime(tree / "usr/lib/sparse.db", ns=(0, (root / "usr/lib/sparse.db").stat().st_mtime_ns))
                self.different(tree, "sparse.db", "content where the archive has none")
        # Holes take no room.
        self.assertLess(int(found["content_bytes"]), 300000)

    def test_a_sparse_file_of_many_pieces_and_one_without_any(self):
        root = self.folder / "many"
        system(root)
        with open(root / "many", "wb") as file:
            for piece in range(60):
                file.seek(piece * 20000)
                file.write(b"x")
        with open(root / "none", "wb") as file:
            file.truncate(1 << 33)
        for words in (
            ("--format=gnu",),
            ("--format=posix",),
            ("--format=posix", "--sparse-version=0.0"),
            ("--format=posix", "--sparse-version=0.1"),
        ):
            self.taken(self.archive("--sparse", *words, root=root), needs="arse")

    def test_large_numbers(self):
        old = {"mtime": -5}
        self.needed(
            packed(*SYSTEM, ("etc/a", b"x", {"uid": 4000000, "mode": 0o4755})), "pax record uid=4000000 (member etc/a)"
        )
        self.needed(packed(*SYSTEM, ("etc/a", b"x", {"gid": 4000000})), "pax record gid=4000000")
        self.needed(packed(*SYSTEM, ("etc/a", b"x", old)), "pax record mtime=-5")
        # What the header says as well is no matter, nor is a fraction of a second.
        self.taken(packed(*SYSTEM, ("etc/a", b"x", {"mtime": 1000000000.75, "pax_headers": {"uid": "0"}})))
        self.same(self.unpacked(*BUSYBOX))
        # The binary form of GNU is read by all.
        self.taken(packed(*SYSTEM, ("etc/a", b"x", {"uid": 4000000, **old}), form=tarfile.GNU_FORMAT))
        for unpacker in (GNU, BSD, BUSYBOX):
            self.same(self.unpacked(*unpacker))

    def test_attributes_capabilities_and_acls(self):
        root = self.folder / "attributes"
        system(root)
        run("setcap", "cap_net_raw+ep", root / "boot/Image")
        os.setxattr(root / "etc/os-release", "user.color", b"red\0\n\xff")
        run("setfacl", "-m", "u:1234:r,g:77:rwx", root / "usr/lib/empty")
        run("setfacl", "-d", "-m", "u:1234:r", root / "etc")
        for command in (
            ("tar", "--numeric-owner", "--format=posix", "--xattrs", "--xattrs-include=*", "--acls"),
            ("bsdtar", "--format=pax", "--acls", "--xattrs"),
        ):
            path = self.folder / "made.tar"
            run(*command, "-C", root, "-cf", path, ".")
            with self.subTest(maker=command[0]):
                tree = self.needed(path, "pax record ")
                for change, words in (
                    (
                        ("setfattr", "-n", "user.color", "-v", "blue", tree / "etc/os-release"),
                        ("os-release", "user.color"),
                    ),
                    (("setfattr", "-x", "security.capability", tree / "boot/Image"), ("security.capability",)),
                    (("setfacl", "-m", "u:1234:rw", tree / "usr/lib/empty"), ("usr/lib/empty",)),
                    (("setfacl", "-k", tree / "etc"), ("etc", "posix_acl_default")),
                ):
                    shutil.rmtree(self.folder / "kept", ignore_errors=True)
                    run("cp", "-a", tree, self.folder / "kept")
                    run(*change)
                    self.different(tree, *words)
                    shutil.rmtree(tree)
                    run("cp", "-a", self.folder / "kept", tree)


class Refused(Archives):
    def test_what_leaves_the_root_or_is_no_name(self):
        for name in ("../x", "etc/../../x", "..", "etc/..", "/../x"):
            self.refused(packed(*SYSTEM, (name, b"x")), 4, "..")
        self.refused(packed(*SYSTEM, ("etc/a", LINK, {"linkname": "../../etc/shadow"})), 4, "..")
        self.refused(packed(*SYSTEM, ("etc/" + "a" * 256, b"x")), 4, "255 bytes")
        self.refused(packed(*SYSTEM, ("/".join(["a" * 200] * 21), b"x")), 4, "4096 bytes")
        self.refused(packed(*SYSTEM, ("a", b"x", {"pax_headers": {"path": "etc/a\0b"}})), 5, "zero")
        self.refused(packed(*SYSTEM, ("a/", b"x")), 4, "ends with /")

    def test_members_beneath_what_is_no_directory(self):
        self.refused(
            packed(*SYSTEM, ("out", SYMLINK, {"linkname": "/etc"}), ("out/passwd", b"x")),
            4,
            "out/passwd",
            "a symbolic link",
        )
        self.refused(packed(*SYSTEM, ("a/b", b"x"), ("a", SYMLINK, {"linkname": "/etc"})), 4, "twice")
        self.refused(packed(*SYSTEM, ("a", b"x"), ("a/b", b"x")), 4, "no directory")
        self.refused(packed(*SYSTEM, ("a", DIR), ("a", b"x")), 4, "twice")
        self.refused(packed(*SYSTEM, ("a", b"x"), ("a", DIR)), 4, "twice")

    def test_second_names_of_nothing(self):
        self.refused(packed(*SYSTEM, ("a", LINK, {"linkname": "none"})), 5, "not in it before")
        self.refused(packed(*SYSTEM, ("a", LINK, {"linkname": "a"})), 5, "not in it before")
        self.refused(packed(*SYSTEM, ("a", LINK, {"linkname": "etc"})), 5, "cannot have one")
        self.refused(packed(*SYSTEM, ("a", b"one"), ("b", LINK, {"linkname": "a"}), ("a", b"two")), 4, "twice")

    def test_what_is_not_understood(self):
        self.refused(packed(*SYSTEM, ("a", b"x", {"type": b"V"})), 4, "type V")
        self.refused(packed(*SYSTEM, ("a", b"x", {"pax_headers": {"ACME.secret": "1"}})), 4, "ACME.secret", "member")
        self.refused(packed(*SYSTEM, ("a", b"x", {"pax_headers": {"hdrcharset": "KOI8-R"}})), 4, "hdrcharset")
        self.refused(packed(*SYSTEM, ("a", b"x", {"pax_headers": {"uid": "-1"}})), 4, "uid")
        self.refused(packed(*SYSTEM, ("a", b"x", {"pax_headers": {"uid": "4294967295"}})), 4, "uid")
        self.refused(
            packed(
                *SYSTEM,
                (
                    "a",
                    b"x",
                    {"pax_headers": {"SCHILY.acl.access": "user::rwx,user:joe:rwx,group::r-x,mask::rwx,other::r--"}},
                ),
            ),
            4,
            "instead of numbers",
        )
        for key, value in (
            ("size", "5"),
            ("uid", "77"),
            ("path", "x"),
            ("GNU.sparse.major", "1"),
            ("SCHILY.xattr.user.x", "y"),
        ):
            self.refused(packed(*SYSTEM, pax={key: value}), 4, f"{key} for all members")
        good = bytearray(packed(("a", LINK, {"linkname": "b"}), form=tarfile.USTAR_FORMAT))
        good[124:136] = b"00000000005\0"
        good[148:156] = b"%06o\0 " % (sum(good[:512]) - sum(good[148:156]) + 256)
        self.refused(bytes(good), 4, "a size for what is no file")

    def test_damaged_archives(self):
        good = self.archive("--format=gnu").read_bytes()
        end = len(good.rstrip(b"\0"))
        end += -end % 512
        self.taken(good[: end + 1024])
        self.refused(good[: end + 512], 5, "cut off", "end mark")
        self.refused(good[:end], 5, "cut off", "end mark")
        self.refused(good[: end - 5], 5, "cut off")
        self.refused(good[:3000], 5, "cut off")
        self.refused(good[:end] + bytes(512) + b"x" * 512 + bytes(1024), 5, "one block of zeros")
        self.refused(good + b"\0" * 70000 + b"x", 5, "follows its end mark")
        flipped = bytearray(good)
        flipped[end // 2 // 512 * 512 + 5] ^= 1
        result = self.check(bytes(flipped))
        self.assertIn(result.returncode, (0, 5))
        for at, bad in ((124, b"-0000000001\0"), (108, b"0x00000\0"), (100, b"8000000\0"), (136, b"+0000000000\0")):
            data = bytearray(packed(*SYSTEM, form=tarfile.USTAR_FORMAT))
            data[at : at + len(bad)] = bad
            data[148:156] = b"%06o\0 " % (sum(data[:512]) - sum(data[148:156]) + 256)
            result = self.check(bytes(data))
            self.assertIn(result.returncode, (4, 5), bad)

    def test_a_compressed_archive_without_its_end(self):
        good = self.archive().read_bytes()
        end = len(good.rstrip(b"\0"))
        for command in (("gzip", "-c"), ("zstd", "-q", "-c", "--check"), ("xz", "-c")):
            self.refused(run(*command, input=good[: end + -end % 512]), 5, "cut off", "end mark")

    def test_what_grows_without_end_is_bounded(self):
        names = packed(*SYSTEM, *((f"etc/{number}", b"") for number in range(3000)))
        self.taken(names)
        doubled = packed(*SYSTEM, *(("etc/a", b"") for _ in range(258)))
        self.refused(doubled, 4, "later ones replace")
        header = bytearray(packed(("a", b"x", {"pax_headers": {"comment": "y" * (1 << 20)}})))
        self.refused(bytes(header), 4, "1 MiB")


class Systems(Archives):
    def lacking(self, lacks, *members):
        return self.taken(packed(*members), lacks=lacks)["lacks_reason"]

    def test_what_a_system_must_have(self):
        self.assertEqual(self.lacking("etc", *SYSTEM[1:]), "the image has no /etc")
        self.assertEqual(self.lacking("etc", ("etc", b"a file"), *SYSTEM[1:]), "the image has no /etc")
        self.assertEqual(self.lacking("init", *SYSTEM[:2], *SYSTEM[3:]), "the image has no /sbin/init")
        self.assertIn("no kernel in /boot", self.lacking("kernel", *SYSTEM[:-1]))
        self.assertIn("no kernel in /boot", self.lacking("kernel", *SYSTEM[:-1], ("boot/grub.cfg", b"")))
        # Its kernel is in the signed image behind the file system.
        self.taken(packed(*SYSTEM[:-1], ("boot/ota-verified", b"fit=behind")), lacks="")
        for name in ("Image.gz", "vmlinuz"):
            self.assertIn(
                f"/boot/{name} is there, which the boot script does not start",
                self.lacking("kernel", *SYSTEM[:-1], ("boot/" + name, b"kernel")),
            )
        for name in ("zImage", "uImage", "fitImage", "bzImage"):
            self.taken(packed(*SYSTEM[:-1], ("boot/" + name, b"kernel")))
        self.lacking("kernel", *SYSTEM[:-1], ("boot/Image", DIR))
        self.lacking("kernel", *SYSTEM[:-1], ("boot/Image", b""))
        self.lacking("init", *SYSTEM[:2], *SYSTEM[3:], ("sbin/init", b""))
        mode = {"mode": 0o644}
        self.assertIn("may be executed", self.lacking("init", *SYSTEM[:2], *SYSTEM[3:], ("sbin/init", b"x", mode)))
        self.lacking(
            "init", *SYSTEM[:2], *SYSTEM[3:], ("bin/init", b"x", mode), ("sbin/init", LINK, {"linkname": "bin/init"})
        )

    def test_links_are_followed_as_the_new_system_will(self):
        init, boot = SYSTEM[:1], SYSTEM[3:]
        for members in (
            (("usr/bin/init", b"x"), ("sbin", SYMLINK, {"linkname": "usr/bin"}), *boot),
            (
                ("usr/bin/init", b"x"),
                ("usr/sbin", SYMLINK, {"linkname": "bin"}),
                ("sbin", SYMLINK, {"linkname": "/usr/sbin"}),
                *boot,
            ),
            (
                ("lib/systemd/systemd", b"x"),
                ("sbin", DIR),
                ("sbin/init", SYMLINK, {"linkname": "../lib/systemd/systemd"}),
                *boot,
            ),
            (("sbin/other", b"x"), ("sbin/init", LINK, {"linkname": "sbin/other"}), *boot),
            (
                *SYSTEM[1:3],
                ("usr/lib/boot/Image-6.6", b"x"),
                ("boot", SYMLINK, {"linkname": "usr/lib/boot"}),
                ("usr/lib/boot/Image", SYMLINK, {"linkname": "Image-6.6"}),
            ),
            (
                *SYSTEM[1:3],
                ("boot", DIR),
                ("boot/Image-6.6", b"x"),
                ("boot/Image", SYMLINK, {"linkname": "././../boot/Image-6.6"}),
            ),
        ):
            self.taken(packed(*init, *members))
            tree = self.unpacked(*GNU)
            self.assertTrue((tree / "sbin").resolve().is_relative_to(tree) or (tree / "sbin").is_symlink())
        for text in ("/bin/busybox", "../../usr/bin/none", "init", "./init"):
            self.lacking("init", *init, ("sbin", DIR), ("sbin/init", SYMLINK, {"linkname": text}), *boot)
        self.lacking(
            "init", *init, ("sbin", SYMLINK, {"linkname": "bin"}), ("bin", SYMLINK, {"linkname": "sbin"}), *boot
        )
        self.lacking("etc", ("etc", SYMLINK, {"linkname": "none"}), *SYSTEM[1:])
        self.taken(packed(("usr/etc", DIR), ("etc", SYMLINK, {"linkname": "usr/etc"}), *SYSTEM[1:]))


class Compared(Archives):
    def test_every_difference_has_its_name(self):
        self.taken(self.archive())
        whole = self.unpacked(*GNU, name="whole")
        self.same(whole)
        tree = self.folder / "tree"

        def written(path, data):
            times = path.stat()
            path.write_bytes(data)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

        differences = {
            # Not in boot/Image, which has a second name: the first one in the archive is told.
            "a flipped bit": (lambda: written(tree / "etc/os-release", b"ID=ur\n"), "/etc/os-release", "content"),
            "a byte more": (lambda: written(tree / "etc/os-release", b"ID=us\n\n"), "/etc/os-release", "bytes"),
            "a file that is missing": (
                lambda: (tree / "usr/lib/empty").unlink(),
                "/usr/lib/empty",
                "not in the new system",
            ),
            "a folder that is missing": (
                lambda: shutil.rmtree(tree / "usr/lib/deep"),
                "/usr/lib/deep",
                "not in the new system",
            ),
            "a file more": (lambda: (tree / "etc/extra").touch(), "/etc/extra", "not in the archive"),
            "a folder more": (
                lambda: (tree / "usr/lib/deep/er/extra").mkdir(),
                "/usr/lib/deep/er/extra",
                "not in the archive",
            ),
            "an owner": (lambda: os.chown(tree / "usr/lib/empty", 0, 5678), "/usr/lib/empty", "1234:5678", "0:5678"),
            "setuid": (lambda: os.chmod(tree / "sbin/init", 0o755), "/sbin/init", "4755", "0755"),
            "the mode of a folder": (lambda: os.chmod(tree / "tmp", 0o777), "/tmp", "1777"),
            "a time": (lambda: os.utime(tree / "etc/os-release", (5, 5)), "/etc/os-release", "1000000000", "found 5"),
            "a link": (
                lambda: [
                    (tree / "usr/lib/deep/er/link").unlink(),
                    (tree / "usr/lib/deep/er/link").symlink_to("x"),
                    os.chown(tree / "usr/lib/deep/er/link", 1000, 1000, follow_symlinks=False),
                ],
                "deep/er/link",
                "a link to",
            ),
            "a second name": (
                lambda: [
                    (tree / "usr/lib/second").unlink(),
                    run("cp", "-p", tree / "boot/Image", tree / "usr/lib/second"),
                ],
                "another name of",
            ),
            "a device": (
                lambda: [
                    (tree / "dev/null").unlink(),
                    os.mknod(tree / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 5)),
                    os.chmod(tree / "dev/null", (self.root / "dev/null").stat().st_mode & 0o7777),
                ],
                "/dev/null",
                "1:3",
                "1:5",
            ),
            "a file for a device": (
                lambda: [(tree / "dev/null").unlink(), (tree / "dev/null").touch()],
                "/dev/null",
                "a character device",
            ),
            "a file for a folder": (
                lambda: [shutil.rmtree(tree / "usr/lib/deep"), (tree / "usr/lib/deep").touch()],
                "/usr/lib/deep",
                "a directory",
            ),
            "a link for a folder": (
                lambda: [shutil.move(tree / "usr/lib", tree / "usr/moved"), (tree / "usr/lib").symlink_to("moved")],
                "/usr/lib",
            ),
        }
        for name, (change, *words) in differences.items():
            with self.subTest(difference=name):
                shutil.rmtree(tree, ignore_errors=True)
                run("cp", "-a", whole, tree)
                self.same(tree)
                change()
                self.different(tree, *words)
        shutil.rmtree(tree)
        run("cp", "-a", whole, tree)
        (tree / "lost+found").mkdir()
        # What the tar of busybox does not keep.
        os.chown(tree / "usr/lib/deep/er/link", 0, 0, follow_symlinks=False)
        os.utime(tree / "usr/lib/deep/er/link", (5, 5), follow_symlinks=False)
        os.utime(tree / "etc", (5, 5))
        self.same(tree)

    def test_names_that_are_one_file_only_in_the_tree(self):
        self.taken(packed(*SYSTEM, ("a", b"same"), ("b", b"same")))
        tree = self.unpacked(*GNU)
        (tree / "b").unlink()
        os.link(tree / "a", tree / "b")
        self.different(tree, "second names")

    def test_links_of_the_tree_lead_nowhere(self):
        self.taken(self.archive())
        tree = self.unpacked(*GNU)
        elsewhere = self.unpacked(*GNU, name="elsewhere")
        shutil.rmtree(tree / "etc")
        (tree / "etc").symlink_to(elsewhere / "etc")
        self.different(tree, "/etc")

    def test_an_archive_that_changes_after_the_check_is_not_unpacked_and_not_compared(self):
        path = self.archive("--format=gnu")
        self.taken(path)
        tree = self.unpacked(*GNU)
        good = path.read_bytes()
        at = good.index(b"ID=us")
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(b"ID=me")
        done = content.run("unpack", "--folder", self.work, image=path, text=False)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertNotIn(b"ID=me", done.stdout)
        self.assertEqual(self.compare(tree).returncode, 5)
        os.truncate(path, len(good) - 10240)
        self.assertEqual(content.run("unpack", "--folder", self.work, image=path, text=False).returncode, 5)


class Squashed(Archives):
    """A squashfs comes in bundles only, for it has no checksums."""

    def setUp(self):
        super().setUp()
        self.keys = self.folder / "keys"
        self.keys.mkdir()
        bundle.make_key(self.folder / "key.key")
        shutil.copy(self.folder / "key.pem", self.keys)

    def squashed(self, root, *words):
        path = self.folder / "system.squashfs"
        path.unlink(missing_ok=True)
        run("mksquashfs", root, path, "-quiet", "-no-progress", *(words or ("-comp", "gzip")))
        return path

    def judged(self, path, slot_bytes=SLOT_BYTES):
        self.image = self.folder / "made.bundle"
        bundle.create(self.image, path, self.folder / "key.key", "board", "1.0")
        opened = content.run("open", "--keys", self.keys, self.work, image=self.image)
        self.assertEqual(opened.returncode, 0, opened.stderr)
        return content.run(
            "check", "--folder", self.work, "--slot", "/none", "--slot-bytes", slot_bytes, image=self.image
        )

    def system(self, name, *members):
        root = self.folder / name
        root.mkdir()
        run("tar", "-xf", "-", input=packed(*members), cwd=root)
        return root

    def test_it_is_judged_as_an_archive_before_anything_is_written(self):
        init, boot = SYSTEM[:1], SYSTEM[3:]
        cases = (
            ("good", "", SYSTEM),
            ("no etc", "etc", SYSTEM[1:]),
            ("no init", "init", (*SYSTEM[:2], *SYSTEM[3:])),
            ("no kernel", "kernel", SYSTEM[:-1]),
            ("mode of init", "init", (*SYSTEM[:2], *SYSTEM[3:], ("sbin/init", b"x", {"mode": 0o644}))),
            ("empty init", "init", (*SYSTEM[:2], *SYSTEM[3:], ("sbin/init", b""))),
            ("empty kernel", "kernel", (*SYSTEM[:-1], ("boot/Image", b""))),
            (
                "merged",
                "",
                (
                    ("usr/bin/init", b"x"),
                    ("usr/sbin", SYMLINK, {"linkname": "bin"}),
                    ("sbin", SYMLINK, {"linkname": "/usr/sbin"}),
                    *init,
                    *boot,
                ),
            ),
            (
                "boot is a link",
                "",
                (
                    *SYSTEM[:3],
                    ("usr/lib/boot/Image-6", b"x"),
                    ("boot", SYMLINK, {"linkname": "usr/lib/boot"}),
                    ("usr/lib/boot/Image", SYMLINK, {"linkname": "../../lib/boot/./Image-6"}),
                ),
            ),
            ("dangling", "init", (*init, ("sbin/init", SYMLINK, {"linkname": "/bin/busybox"}), *boot)),
            (
                "in a circle",
                "init",
                (*init, ("sbin", SYMLINK, {"linkname": "bin"}), ("bin", SYMLINK, {"linkname": "sbin"}), *boot),
            ),
            (
                "many names",
                "",
                (
                    *SYSTEM,
                    *((f"boot/{number:04}-a-name-that-takes-some-room-in-the-folder", b"") for number in range(3000)),
                ),
            ),
        )
        for name, lacks, members in cases:
            root = self.system(name, *members)
            for words in (
                ("-comp", "gzip"),
                ("-comp", "xz"),
                ("-comp", "zstd"),
                ("-noI", "-noD"),
                ("-comp", "gzip", "-b", "4096"),
            ):
                with self.subTest(system=name, words=words):
                    result = self.judged(self.squashed(root, *words))
                    self.assertEqual((result.returncode, result.stderr), (0, ""))
                    self.assertEqual(content.facts(result.stdout)["lacks"], lacks)
        for words in (("-comp", "lz4"), ("-comp", "lzo")):
            result = self.judged(self.squashed(self.root, *words))
            self.assertEqual((result.returncode, content.facts(result.stdout)["lacks"]), (0, ""), result.stderr)

    def test_what_is_needed_is_counted(self):
        root = self.folder / "large"
        system(root)
        (root / "many").write_bytes(os.urandom(5 << 20))
        run("setfattr", "-n", "user.x", "-v", "y", root / "many")
        result = self.judged(self.squashed(root))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        found = int(content.facts(result.stdout)["content_bytes"])
        self.assertTrue(5 << 20 < found < (5 << 20) + (1 << 18), found)
        self.assertEqual(self.judged(self.squashed(root), slot_bytes=10 << 20).returncode, 8)
        # Nor where only the new file system's own tables have no room.
        both = found + self.squashed(root).stat().st_size
        self.assertEqual(self.judged(self.squashed(root), slot_bytes=both + both // 64).returncode, 8)
        self.assertEqual(self.judged(self.squashed(root), slot_bytes=both + both // 30).returncode, 0)

    def test_damaged_ones_are_refused(self):
        good = self.squashed(self.root).read_bytes()
        inodes, folders = (int.from_bytes(good[at : at + 8], "little") for at in (64, 72))
        for change, code, words in (
            (lambda data: data[:28] + b"\3" + data[29:], 4, "3.0"),
            (lambda data: data[:20] + b"\x63" + data[21:], 4, "number 99"),
            (lambda data: data[:600], 5, "cut off"),
            (lambda data: data[:22] + b"\x30" + data[23:], 5, "damaged"),
            (lambda data: data[:inodes] + b"\xff\x7f" + data[inodes + 2 :], 5, "larger than 8 KiB"),
            (lambda data: data[: inodes + 5] + b"\0" * 9 + data[inodes + 14 :], 5, "does not decompress"),
            (lambda data: data[: folders + 5] + b"\0" * 9 + data[folders + 14 :], 5, "does not decompress"),
            (lambda data: data[:4] + b"\xff\xff" + data[6:], 5, "damaged"),
        ):
            bad = self.folder / "bad.squashfs"
            bad.write_bytes(change(good))
            with self.subTest(words=words):
                result = self.judged(bad)
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertIn(words, result.stderr)

    def test_it_is_copied_into_the_tail_of_the_slot(self):
        image = self.squashed(self.root)
        slot = self.folder / "slot"
        slot.touch()
        os.truncate(slot, 8 << 20)
        before = slot.read_bytes()
        result = self.judged(image)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(content.facts(result.stdout)["format"], "squashfs")
        self.assertEqual(slot.read_bytes(), before)
        result = content.run("stage", "--folder", self.work, "--slot", slot, image=self.image)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        offset, size = (int(content.facts(result.stdout)[key]) for key in ("stage_offset", "stage_bytes"))
        self.assertEqual(slot.read_bytes()[offset : offset + size], image.read_bytes())
        self.assertEqual(slot.read_bytes()[:offset], before[:offset])
        tree = self.folder / "tree"
        run("unsquashfs", "-quiet", "-no-progress", "-offset", offset, "-dest", tree, slot)
        self.assertEqual((tree / "etc/os-release").read_text(), "ID=us\n")
        with open(self.image, "r+b") as file:
            file.seek(self.image.read_bytes().index(b"hsqs") + image.stat().st_size // 2)
            was = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([was[0] ^ 1]))
        self.assertEqual(content.run("stage", "--folder", self.work, "--slot", slot, image=self.image).returncode, 5)

    def read_only(self):
        """The files of a system with a read-only root."""
        root = self.folder / "read-only"
        shutil.rmtree(root, ignore_errors=True)
        run("cp", "-a", self.root, root)
        (root / "boot/ota-read-only").write_text("etc=overlay\n")
        (root / "big").write_bytes(os.urandom(3 << 20))
        return root

    def written(self, slot_bytes=8 << 20):
        """What write and verify leave in a slot that held something else."""
        slot = self.folder / "slot"
        slot.write_bytes(os.urandom(slot_bytes))
        for command in ("write", "verify"):
            result = content.run(command, "--folder", self.work, "--slot", slot, image=self.image)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
        return slot

    def test_one_with_a_read_only_root_is_written_as_it_is(self):
        image = self.squashed(self.read_only())
        result = self.judged(image)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        found = content.facts(result.stdout)
        self.assertEqual((found["format"], found["as_is"], found["lacks"]), ("squashfs", "yes", ""))
        slot = self.written()
        self.assertEqual(slot.read_bytes()[: image.stat().st_size], image.read_bytes())
        self.assertNotEqual(content.run("stage", "--folder", self.work, "--slot", slot, image=self.image).returncode, 0)
        # All of a slot is for it, as nothing is unpacked.
        self.assertEqual(self.judged(image, slot_bytes=image.stat().st_size).returncode, 0)
        self.assertEqual(self.judged(image, slot_bytes=image.stat().st_size - 1).returncode, 8)
        self.assertNotIn("as_is", content.facts(self.judged(self.squashed(self.root)).stdout))

    def test_a_changed_byte_of_one_that_is_written_as_it_is_ends_the_update(self):
        image = self.squashed(self.read_only())
        self.assertEqual(self.judged(image).returncode, 0)
        with open(self.image, "r+b") as file:
            file.seek(self.image.read_bytes().index(b"hsqs") + image.stat().st_size // 2)
            was = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([was[0] ^ 1]))
        slot = self.folder / "slot"
        slot.write_bytes(os.urandom(8 << 20))
        self.assertEqual(content.run("write", "--folder", self.work, "--slot", slot, image=self.image).returncode, 5)
        self.assertEqual(slot.read_bytes()[:4096], bytes(4096))

    def erofs(self, *words):
        path = self.folder / "system.erofs"
        path.unlink(missing_ok=True)
        run("mkfs.erofs", *words, path, self.read_only())
        return path

    def test_an_erofs_is_written_as_it_is(self):
        for words in ((), ("-zlz4hc",), ("-Eztailpacking", "-zlz4")):
            image = self.erofs(*words)
            result = self.judged(image)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            found = content.facts(result.stdout)
            self.assertEqual((found["format"], found["as_is"]), ("erofs", "yes"))
            self.assertEqual(self.written().read_bytes()[: image.stat().st_size], image.read_bytes())
        packed = self.folder / "system.erofs.zst"
        run("zstd", "-q", "-f", image, "-o", packed)
        self.assertEqual(self.judged(packed).returncode, 0)
        self.assertEqual(self.written().read_bytes()[: image.stat().st_size], image.read_bytes())

    def test_an_erofs_that_nobody_could_start_is_refused(self):
        good = self.erofs().read_bytes()
        plain = bytearray(good)
        # Without its checksum, so that what is behind it is reached.
        plain[1024 + 8] &= 0xFE
        for change, code, words in (
            (lambda data: data[: len(data) - 4096], 5, "cut off"),
            (lambda data: data[:3000], 5, "cut off"),
            (lambda data: data[:1040] + b"\x55" + data[1041:], 5, "superblock is damaged (checksum"),
        ):
            bad = self.folder / "bad.erofs"
            bad.write_bytes(change(good))
            with self.subTest(words=words):
                result = self.judged(bad)
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertIn(words, result.stderr)
        for at, value, code, words in (
            (12, 14, 4, "blocks of 2^14 bytes"),
            (80, 8, 4, "device_table"),
            (81, 1, 4, "incompat 0x100"),
            (16, 0, 5, "0 inodes"),
        ):
            bad = self.folder / "bad.erofs"
            changed = bytearray(plain)
            changed[1024 + at] = value
            if at == 16:
                changed[1024 + 16 : 1024 + 24] = bytes(8)
            bad.write_bytes(changed)
            with self.subTest(words=words):
                result = self.judged(bad)
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertIn(words, result.stderr)


if __name__ == "__main__":
    unittest.main()
