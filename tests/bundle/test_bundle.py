#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lib/otamgr/bundle.py, scripts/ota-bundle and the Python of classes/ota-bundle.bbclass. What devices say is in tests/shell."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import types
import unittest
import unittest.mock
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "lib"))
sys.dont_write_bytecode = True
from otamgr import bundle, sbom  # noqa: E402

TOOL = REPOSITORY / "scripts/ota-bundle"


class Folder(unittest.TestCase):
    """A test with a folder of its own, a key and an image."""

    @classmethod
    def setUpClass(cls):
        cls.made = tempfile.TemporaryDirectory()
        cls.shared = Path(cls.made.name)
        (cls.shared / "root/etc").mkdir(parents=True)
        image = cls.shared / "image.ext4"
        image.touch()
        os.truncate(image, 2 << 20)
        subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", cls.shared / "root", image], check=True)
        subprocess.run(["zstd", "-q", "--check", image, "-o", cls.shared / "image.ext4.zst"], check=True)
        for command, name in ((["gzip", "-nc"], "image.ext4.gz"), (["xz", "-c"], "image.ext4.xz")):
            with open(cls.shared / name, "wb") as out:
                subprocess.run([*command, image], stdout=out, check=True)
        for kind in ("ed25519", "p256"):
            bundle.make_key(cls.shared / f"{kind}.key", kind)
        cls.image = cls.shared / "image.ext4.gz"

    @classmethod
    def tearDownClass(cls):
        cls.made.cleanup()

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.output = self.folder / "out.bundle"

    def create(self, image=None, kind="ed25519", version="1.2", **options):
        return bundle.create(self.output, image or self.image, self.shared / f"{kind}.key", "board", version, **options)

    def tool(self, *words):
        return subprocess.run([TOOL, *map(str, words)], capture_output=True, text=True, check=False)


class Checked(Folder):
    """Of a file system that e2fsck finds whole the manifest says so, and of no other."""

    def test_a_whole_one_however_compressed(self):
        for ending in ("", ".gz", ".xz", ".zst"):
            for form in (1, 2):
                made = self.create(self.shared / f"image.ext4{ending}", form=form)
                self.assertEqual(made.get(bundle.CHECKED), "yes", ending)

    def test_where_its_system_expects_the_environment_as_far_as_a_line_can_say_it(self):
        text = "# two\n/dev/mmcblk0 0x400000 0x20000 \r\n\n/dev/mmcblk0\t0x800000 0x20000\n"
        one_line = "/dev/mmcblk0 0x400000 0x20000;/dev/mmcblk0 0x800000 0x20000"
        for config, settings, expected in (
            (text, "", one_line),
            ("a;b\n", "", None),
            ("x" * 1001, "", None),
            (text, "ENV_DEVICE=/dev/mmcblk1\n", None),
            ("", "", None),
        ):
            self.assertEqual(self.environment_said(config, settings), expected, config)

    def test_a_link_says_nothing_of_the_environment(self):
        text = "/dev/mmcblk0 0x400000 0x20000\n"
        for target in ("short", "long" * 20):
            self.assertIsNone(self.environment_said(Path(target), ""))
            self.assertIsNone(self.environment_said(text, Path(target)))
        self.assertIsNotNone(self.environment_said(text, None))

    def environment_said(self, config, settings):
        """Texts, Paths that links lead to, or None."""
        root = self.folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        (root / "etc/otamgr").mkdir(parents=True)
        for name, content in (("fw_env.config", config), ("otamgr/sysupgrade.conf", settings)):
            if isinstance(content, Path):
                (root / "etc" / name).symlink_to(content)
            elif content is not None:
                (root / "etc" / name).write_text(content)
        image = self.folder / "with.ext4"
        image.unlink(missing_ok=True)
        image.touch()
        os.truncate(image, 2 << 20)
        subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", root, image], check=True)
        return self.create(image).get(bundle.ENVIRONMENT)

    def test_one_with_errors_or_without_e2fsck(self):
        damaged = self.folder / "damaged.ext4"
        shutil.copy(self.shared / "image.ext4", damaged)
        subprocess.run(["/sbin/debugfs", "-w", "-R", "set_inode_field /etc links_count 7", damaged], check=True)
        self.assertNotIn(bundle.CHECKED, self.create(damaged))
        with unittest.mock.patch.object(
            bundle.shutil, "which", lambda name, **_: None if name == "e2fsck" else f"/usr/bin/{name}"
        ):
            self.assertNotIn(bundle.CHECKED, self.create(form=1))


class Further(Folder):
    """Images beside the root file system."""

    def made_with(self, *images, version="1", image=None):
        words = ["--key", self.shared / "ed25519.key", "--compatible", "board", "--version", version]
        named = [word for one in images for word in ("--image", one)]
        return self.tool("create", *words, *named, image or self.image, self.output)

    def file(self, name, data):
        (self.folder / name).write_bytes(data)
        return self.folder / name

    def test_they_are_in_the_manifest_in_their_order_and_are_verified(self):
        app, mcu = self.file("app", os.urandom(5000)), self.file("mcu", b"text\n" * 1000)
        done = self.made_with(f"mcu={mcu},optional", f"app={app}")
        self.assertEqual(done.returncode, 0, done.stderr)
        with bundle.open_bundle(self.output) as opened:
            found = bundle.further_images(opened.values())
        self.assertEqual(
            [(one.name, one.is_compressed, one.is_optional) for one in found],
            [("mcu", True, True), ("app", False, False)],
        )
        self.assertEqual(found[1].sha256, hashlib.sha256(app.read_bytes()).hexdigest())
        again = self.folder / "again.bundle"
        for words in (
            ["verify", "--keys", self.shared / "ed25519.pem", self.output],
            ["sign", "--key", self.shared / "p256.key", self.output, again],
            ["verify", "--keys", self.shared / "p256.pem", again],
        ):
            done = self.tool(*words)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stderr)
        self.assertIn(f"image.app=5000 {found[1].sha256}\n", self.tool("show", again).stdout)

    def test_what_is_no_image_is_refused_by_name(self):
        app = self.file("app", os.urandom(5000))
        empty = self.file("empty", b"")
        for images, words in (
            ([f"App={app}"], "NAME=FILE"),
            (["app"], "NAME=FILE"),
            (["app="], "NAME=FILE"),
            ([f"app={app}", f"app={app}"], "named twice"),
            ([f"app={empty}"], "is empty"),
            ([f"app={app}.not"], "No such file"),
            ([f"a{n}={app}" for n in range(9)], "at most 8"),
        ):
            done = self.made_with(*images)
            self.assertEqual((done.returncode, words in done.stderr), (1, True), f"{images}: {done.stderr}")
            self.assertFalse(self.output.exists())
        tar = self.folder / "x.tar"
        subprocess.run(["tar", "-C", self.shared / "root", "-cf", tar, "."], check=True)
        done = self.made_with(f"app={app}", image=tar)
        self.assertEqual((done.returncode, "format 2" in done.stderr), (1, True), done.stderr)


class Judged(Folder):
    """What devices would refuse is refused, or said, when it is made."""

    def created(self, image, *options, code=0, words="", warns=""):
        done = self.tool(
            "create",
            "--key",
            self.shared / "ed25519.key",
            "--compatible",
            "board",
            "--version",
            "1",
            *options,
            image,
            self.output,
        )
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(words, done.stderr)
        self.assertEqual("warning" in done.stderr, bool(warns), done.stderr)
        self.assertIn(warns, done.stderr)
        self.assertEqual(self.output.exists(), code == 0)
        self.output.unlink(missing_ok=True)

    def archive(self, *words):
        root = self.folder / "root"
        for folder in ("etc", "sbin", "boot"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "sbin/init").write_text("#!/bin/sh\n")
        (root / "sbin/init").chmod(0o755)
        (root / "boot/Image").write_text("kernel")
        with open(root / "etc/sparse", "wb") as file:
            file.truncate(1 << 20)
        path = self.folder / "image.tar"
        subprocess.run(["tar", *words, "-C", root, "-cf", path, "."], check=True)
        return path

    def packed(self, *command):
        path = self.folder / "packed"
        with open(path, "wb") as out:
            subprocess.run([*command, self.shared / "image.ext4"], stdout=out, check=True)
        return path

    def test_what_all_devices_take_is_made_without_a_word(self):
        for image in (
            self.image,
            self.shared / "image.ext4",
            self.shared / "image.ext4.zst",
            self.archive("--format=posix"),
            self.archive("--format=gnu"),
            self.packed("xz", "-c"),
            self.packed("xz", "-c", "--check=none"),
            self.packed("zstd", "-qc", "--no-check"),
        ):
            self.created(image)

    def test_what_some_devices_refuse_is_said(self):
        self.created(
            self.archive("--sparse", "--format=posix"),
            warns="devices without bsdtar will refuse this bundle: pax record GNU.sparse",
        )
        self.created(self.archive("--exclude=init"), warns="no /sbin/init")

    def test_what_all_devices_refuse_is_not_made(self):
        cut = self.folder / "cut.tar"
        cut.write_bytes(self.archive("-b1").read_bytes()[:-1024])
        self.created(cut, code=1, words="end mark")
        image = self.folder / "inline.ext4"
        image.touch()
        os.truncate(image, 2 << 20)
        subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-O", "inline_data", image], check=True)
        for form in (1, 2):
            self.created(image, "--format", form, code=1, words="inline_data")

    def test_a_host_without_the_program_says_so(self):
        done = subprocess.run(
            [
                TOOL,
                "create",
                "--key",
                self.shared / "ed25519.key",
                "--compatible",
                "board",
                "--version",
                "1",
                "--format",
                "1",
                self.image,
                self.output,
            ],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OTA_CONTENT": "/none"},
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("was not judged as devices will do it: the program /none", done.stderr)


class Create(Folder):
    def test_members_are_in_the_order_of_the_contract_and_belong_to_nobody(self):
        self.create(form=1)
        with tarfile.open(self.output) as archive:
            members = archive.getmembers()
        self.assertEqual(["manifest", "manifest.sig", "image.ext4.gz"], [m.name for m in members])
        self.assertEqual(
            [(0, 0, 0, "", "", 0o644)] * 3, [(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members]
        )
        self.assertEqual(b"ustar\x0000", self.output.read_bytes()[257:265])

    def test_the_same_image_and_ed25519_key_give_the_same_bytes(self):
        self.create()
        first = self.output.read_bytes()
        os.utime(self.image, (1, 1))
        self.create()
        self.assertEqual(first, self.output.read_bytes())

    def test_hash_and_size_of_the_file_system_are_those_of_the_uncompressed_image(self):
        plain = self.create(self.shared / "image.ext4", form=1)
        for name in ("image.ext4.gz", "image.ext4.xz", "image.ext4.zst"):
            with self.subTest(name):
                packed = self.create(self.shared / name, form=1)
                self.assertEqual(
                    (plain["image-bytes"], plain["image-sha256"]), (packed["rootfs-bytes"], packed["rootfs-sha256"])
                )
                self.assertEqual(str((self.shared / name).stat().st_size), packed["image-bytes"])

    def test_an_image_may_be_named_by_a_symbolic_link(self):
        link = self.folder / "core-image.ext4.zst"
        link.symlink_to(self.shared / "image.ext4.zst")
        self.assertEqual("core-image.ext4.zst", self.create(link, form=1)["image"])
        self.assertEqual("core-image.ext4.blocks", self.create(link)["image"])

    def test_a_tar_archive_has_no_file_system_in_its_manifest(self):
        archive = self.folder / "root.tar.gz"
        subprocess.run(["tar", "-C", self.shared / "root", "-czf", archive, "."], check=True)
        self.assertNotIn("rootfs-bytes", self.create(archive))

    def test_what_no_device_would_take_is_not_made(self):
        text = self.folder / "text.img"
        text.write_text("hello\n" * 2000)
        empty = self.folder / "empty.img"
        empty.touch()
        cut = self.folder / "cut.ext4.gz"
        cut.write_bytes(self.image.read_bytes()[:-100])
        cut_zstd = self.folder / "cut.ext4.zst"
        cut_zstd.write_bytes((self.shared / "image.ext4.zst").read_bytes()[:-9])
        bad_name = self.folder / "a b.ext4"
        bad_name.symlink_to(self.shared / "image.ext4")
        manifest = self.folder / "manifest.ext4"
        manifest.symlink_to(self.shared / "image.ext4")
        for words, change in (
            ("neither", {"image": text}),
            ("empty", {"image": empty}),
            ("decompress", {"image": cut}),
            ("decompress", {"image": cut_zstd}),
            ("a b.ext4", {"image": bad_name}),
            ("must not begin", {"image": manifest}),
            ("version", {"version": "1.x"}),
            ("version", {"version": ""}),
            ("printable", {"description": "two\nlines"}),
            ("printable", {"description": "é"}),
            ("not known", {"extra": {"restriction": "1"}}),
        ):
            with self.subTest(words), self.assertRaisesRegex(bundle.BundleError, words):
                self.create(**change)
            self.assertEqual(
                [], [p.name for p in self.folder.iterdir() if "bundle" in p.name], "nothing half made is left"
            )

    def test_a_key_of_another_kind_is_refused_with_a_way_out(self):
        for name, options in (
            ("rsa", ["-algorithm", "RSA"]),
            ("p384", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        ):
            subprocess.run(
                ["openssl", "genpkey", *options, "-out", self.folder / "key"], check=True, capture_output=True
            )
            with self.subTest(name), self.assertRaisesRegex(bundle.BundleError, "keygen"):
                bundle.create(self.output, self.image, self.folder / "key", "board", "1")

    def test_a_certificate_of_another_key_is_noticed(self):
        subprocess.run(
            [
                "openssl",
                "req",
                "-new",
                "-x509",
                "-key",
                self.shared / "p256.key",
                "-subj",
                "/CN=x",
                "-out",
                self.folder / "crt",
            ],
            check=True,
        )
        self.create(kind="p256", certificates=self.folder / "crt")
        with self.assertRaisesRegex(bundle.BundleError, "not that of the key"):
            self.create(certificates=self.folder / "crt")


class Format2(Folder):
    """The image as frames and a signed index of its blocks."""

    def test_the_manifest_signs_an_index_that_comes_before_the_payload(self):
        values = self.create(form=2)
        with tarfile.open(self.output) as archive:
            self.assertEqual(archive.getnames(), ["manifest", "manifest.sig", "index", "image.ext4.blocks"])
            index, payload = (archive.extractfile(name).read() for name in ("index", "image.ext4.blocks"))
        image = (self.shared / "image.ext4").read_bytes()
        expected = {
            "format": "otamgr-bundle-2",
            "image": "image.ext4.blocks",
            "image-bytes": str(len(payload)),
            "image-type": "ext4",
            "image-sha256": hashlib.sha256(payload).hexdigest(),
            "image-compression": "zstd-blocks",
            "index-bytes": str(len(index)),
            "index-sha256": hashlib.sha256(index).hexdigest(),
            "rootfs-bytes": str(len(image)),
            "rootfs-sha256": hashlib.sha256(image).hexdigest(),
        }
        self.assertEqual({key: values[key] for key in expected}, expected)

    def test_it_is_the_same_whatever_the_image_was_compressed_with(self):
        made = set()
        for name in ("image.ext4", "image.ext4.gz", "image.ext4.xz", "image.ext4.zst"):
            self.create(self.shared / name, form=2)
            made.add(self.output.read_bytes())
        self.assertEqual(len(made), 1)

    def test_only_file_systems_have_blocks(self):
        archive = self.folder / "image.tar"
        with tarfile.open(archive, "w") as out:
            out.addfile(tarfile.TarInfo("etc"))
        with self.assertRaisesRegex(bundle.BundleError, "hold ext4 file systems; make this one with --format 1"):
            self.create(archive, form=2)

    def test_where_nothing_is_said_a_file_system_has_format_2_and_an_archive_format_1(self):
        archive = self.folder / "image.tar"
        with tarfile.open(archive, "w") as out:
            out.addfile(tarfile.TarInfo("etc"))
        self.assertEqual(self.create(archive)["format"], "otamgr-bundle-1")
        self.assertEqual(self.create()["format"], "otamgr-bundle-2")
        self.assertEqual(self.create(form=1)["format"], "otamgr-bundle-1")

    def test_a_setting_names_the_format_or_leaves_it_open(self):
        self.assertEqual([bundle.form_named(text) for text in (None, "", "1", "2")], [None, None, 1, 2])
        for text in ("3", "two", " 1"):
            with self.subTest(text), self.assertRaisesRegex(bundle.BundleError, "expected 1, 2 or nothing, found"):
                bundle.form_named(text)

    def test_a_cut_off_image_makes_no_bundle(self):
        for name in ("image.ext4.gz", "image.ext4.xz", "image.ext4.zst"):
            cut = self.folder / name
            cut.write_bytes((self.shared / name).read_bytes()[:-9])
            with self.assertRaisesRegex(bundle.BundleError, "does not decompress"):
                self.create(cut, form=2)
        self.assertFalse(self.output.exists())
        self.assertEqual(
            sorted(path.name for path in self.folder.iterdir()), ["image.ext4.gz", "image.ext4.xz", "image.ext4.zst"]
        )

    def test_every_changed_byte_of_index_and_payload_is_noticed(self):
        self.create(form=2)
        good = self.output.read_bytes()
        keys = [self.shared / "ed25519.pem"]
        with tarfile.open(self.output) as archive:
            places = {member.name: (member.offset_data, member.size) for member in archive}
        for name in ("index", "image.ext4.blocks"):
            at, size = places[name]
            for where in (at, at + size // 2, at + size - 1):
                self.output.write_bytes(good[:where] + bytes([good[where] ^ 1]) + good[where + 1 :])
                with (
                    bundle.open_bundle(self.output) as opened,
                    self.assertRaisesRegex(bundle.BundleError, f"{'image' if 'image' in name else 'index'}-sha256"),
                ):
                    opened.signed_by(keys)
                    opened.check_image()

    def test_a_manifest_has_the_keys_of_its_format(self):
        self.create(form=2)
        with bundle.open_bundle(self.output) as opened:
            good = opened.manifest.decode()
        for key in ("image-type", "image-compression", "index-bytes", "index-sha256", "rootfs-bytes", "rootfs-sha256"):
            with self.assertRaisesRegex(bundle.BundleError, f"lacks {key}"):
                bundle.parse_manifest(re.sub(f"{key}=.*\n", "", good).encode())
        with self.assertRaisesRegex(bundle.BundleError, "format 1 has the key image-type of format 2"):
            bundle.parse_manifest(good.replace("bundle-2", "bundle-1").encode())

    def test_without_the_engine_it_says_what_is_missing(self):
        for environment, words in (
            ({"PATH": "/nowhere"}, "cannot be built from .* without make and cc"),
            ({"OTA_CONTENT": "/nowhere/ota-content"}, "ota-content"),
        ):
            with unittest.mock.patch.dict(os.environ, environment), self.assertRaisesRegex(bundle.BundleError, words):
                bundle._indexed(self.shared / "image.ext4", self.folder / "index", self.folder / "payload", None)

    def test_the_tool_makes_either(self):
        words = (
            "create",
            "--json",
            "--key",
            self.shared / "ed25519.key",
            "--compatible",
            "board",
            "--version",
            "1",
            self.image,
            self.output,
        )
        for form in (1, 2):
            done = self.tool(*words, "--format", form, "--level", 3)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout)["manifest"]["format"], f"otamgr-bundle-{form}")
            self.assertEqual(self.tool("verify", "--keys", self.shared / "ed25519.pem", self.output).returncode, 0)

    def test_sizes_that_octal_cannot_say_are_binary(self):
        for size in (5, (8 << 30) - 1, 8 << 30, 15 << 30):
            header = bundle._header("index", size)
            self.assertEqual(tarfile.TarInfo.frombuf(header, "ascii", "strict").size, size)
            self.assertEqual(header[257:265], b"ustar\x0000")


class Verify(Folder):
    def verified(self, *trusted):
        with bundle.open_bundle(self.output) as opened:
            signer = opened.signed_by(trusted)
            opened.check_image()
            return signer

    def test_a_bundle_is_verified_with_one_of_several_keys(self):
        for kind in ("ed25519", "p256"):
            self.create(kind=kind)
            self.assertEqual(str(self.shared / f"{kind}.pem"), self.verified(self.shared))

    def test_a_key_that_is_not_there_is_a_signature_error(self):
        self.create()
        with self.assertRaises(bundle.SignatureError):
            self.verified(self.shared / "p256.pem")

    def test_every_changed_byte_that_means_something_is_noticed(self):
        self.create()
        good = self.output.read_bytes()
        with tarfile.open(self.output) as archive:
            spans = [(m.offset_data, m.size) for m in archive.getmembers()]
        for start, size in spans:
            for at in (start, start + size // 2, start + size - 1):
                bad = bytearray(good)
                bad[at] ^= 1
                self.output.write_bytes(bad)
                with self.subTest(at), self.assertRaises(bundle.BundleError):
                    self.verified(self.shared)

    def test_a_cut_off_bundle_is_noticed_wherever_it_is_cut(self):
        self.create()
        good = self.output.read_bytes()
        for size in (0, 100, 512, 700, 1500, 2048, 4096, len(good) // 2):
            self.output.write_bytes(good[:size])
            with self.subTest(size), self.assertRaises(bundle.BundleError):
                self.verified(self.shared)

    def test_manifests_are_judged_as_on_the_device(self):
        self.create()
        with bundle.open_bundle(self.output) as opened:
            good = opened.manifest
        bundle.parse_manifest(good + b"x-anything=goes = here\n")
        for bad in (
            good[:-1],
            good + b"\n",
            good + b"new-key=1\n",
            good + b"version=1.2\n",
            good.replace(b"otamgr-bundle-2", b"otamgr-bundle-1"),
            good.replace(b"otamgr-bundle-2", b"otamgr-bundle-3"),
            good.replace(b"version=1.2", b"version=1.2.3.4.5.6.7.8.9"),
            good.replace(b"rootfs-bytes", b"x-bytes"),
            good + b"x-a=\xe9\n",
            good.replace(b"compatible=board", b"compatible=a board"),
            b"",
            good + b"x-a=" + b"b" * 65536 + b"\n",
            good + b"x-=\n",
        ):
            with self.subTest(bad[-40:]), self.assertRaises(bundle.BundleError):
                bundle.parse_manifest(bad)

    def test_versions_are_compared_number_by_number(self):
        for older, newer in (("1.9", "1.10"), ("1", "1.0.1"), ("2026.7.31", "2026.08"), ("1.9-zz", "2.0-aa")):
            self.assertLess(bundle.version_key(older), bundle.version_key(newer))
        self.assertEqual(bundle.version_key("1.2-rc1"), bundle.version_key("01.2.0"))


class Token(Folder):
    """A key in a PKCS #11 token, the one in software of Debian, which is on another machine than the build."""

    MODULE = "/usr/lib/softhsm/libsofthsm2.so"

    def setUp(self):
        super().setUp()
        (self.folder / "tokens").mkdir()
        configuration = self.folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {self.folder}/tokens\nobjectstore.backend = file\n")
        named = {"SOFTHSM2_CONF": str(configuration), "PKCS11_MODULE_PATH": self.MODULE}
        self.enterContext(unittest.mock.patch.dict(os.environ, named))
        (self.folder / "pin").write_text("1234")
        tool = ["pkcs11-tool", "--module", self.MODULE, "--token-label", "release", "--login", "--pin", "1234"]
        for words in (
            ["softhsm2-util", "--init-token", "--free", "--label", "release", "--pin", "1234", "--so-pin", "1234"],
            [*tool, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "02", "--label", "ota"],
        ):
            subprocess.run(words, check=True, capture_output=True)
        self.key = f"pkcs11:token=release;object=ota;type=private?pin-source=file:{self.folder}/pin"
        self.public = self.folder / "token.pem"
        bundle.write_public_key(self.key, self.public)

    def test_a_key_in_a_token_signs(self):
        bundle.create(self.output, self.image, self.key, "board", "1.2")
        self.assertEqual(self.tool("verify", "--keys", self.public, self.output).returncode, 0)

    def test_another_machine_puts_its_signature_in_the_place_of_that_of_the_build(self):
        for form in (1, 2):
            self.create(form=form)
            released = self.folder / "released.bundle"
            trusted = ["--keys", self.shared / "ed25519.pem"]
            done = self.tool("sign", *trusted, "--key", self.key, self.output, released)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.tool("verify", *trusted, released).returncode, 6)
            self.assertEqual(self.tool("verify", "--keys", self.public, released).returncode, 0)
            with bundle.open_bundle(released) as one, bundle.open_bundle(self.output) as other:
                self.assertEqual(one.manifest, other.manifest)
            # What the build did not sign is not released.
            done = self.tool(
                "sign", "--keys", self.shared / "p256.pem", "--key", self.key, self.output, self.folder / "x"
            )
            self.assertEqual(done.returncode, 6, done.stderr)
            self.assertFalse((self.folder / "x").exists())

    def test_a_wrong_pin_is_shown_to_nobody(self):
        key = "pkcs11:token=release;object=ota;type=private?pin-value=4321"
        done = self.tool("sign", "--key", key, self.output, self.folder / "x")
        self.assertEqual(done.returncode, 1)
        self.create()
        done = self.tool("sign", "--key", key, self.output, self.folder / "x")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertNotIn("4321", done.stderr)
        self.assertFalse((self.folder / "x").exists())


class Tool(Folder):
    def test_keygen_create_verify_show_with_json(self):
        made = json.loads(self.tool("keygen", "--json", self.folder / "keys/release.key").stdout)
        self.assertEqual(0o600, os.stat(made["private-key"]).st_mode & 0o777)
        created = json.loads(
            self.tool(
                "create",
                "--json",
                "--key",
                made["private-key"],
                "--compatible",
                "board",
                "--version",
                "3.1",
                "--extra",
                "x-a=b",
                self.image,
                self.output,
            ).stdout
        )
        self.assertEqual(("3.1", "b"), (created["manifest"]["version"], created["manifest"]["x-a"]))
        verified = json.loads(self.tool("verify", "--json", "--keys", made["public-key"], self.output).stdout)
        self.assertEqual((made["public-key"], created["manifest"]), (verified["signed-by"], verified["manifest"]))
        shown = self.tool("show", self.output)
        self.assertIn("version=3.1\n", shown.stdout)

    def test_another_machine_adds_its_signature_and_either_key_verifies(self):
        both = self.folder / "both.bundle"
        keys = [self.shared / f"{kind}.pem" for kind in ("ed25519", "p256")]
        for form in (1, 2):
            self.create(form=form)
            words = ["sign", "--add", "--keys", keys[0], "--key", self.shared / "p256.key", self.output, both]
            done = self.tool(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
            for key in keys:
                self.assertEqual(self.tool("verify", "--keys", key, both).returncode, 0)
            with bundle.open_bundle(both) as one, bundle.open_bundle(self.output) as other:
                self.assertEqual((one.manifest, one.signature), (other.manifest, other.signature))
        # As many as a device looks at, and not one more.
        for _ in range(bundle.SIGNERS_LIMIT - 2):
            done = self.tool("sign", "--add", "--key", self.shared / "ed25519.key", both, both)
            self.assertEqual(done.returncode, 0, done.stderr)
        done = self.tool("sign", "--add", "--key", self.shared / "ed25519.key", both, both)
        self.assertEqual((done.returncode, "at most 8 signatures" in done.stderr), (1, True), done.stderr)
        self.assertEqual(self.tool("verify", "--keys", keys[1], both).returncode, 0)

    def test_a_bundle_is_made_with_the_signatures_of_several_keys(self):
        words = ["create", "--compatible", "board", "--version", "1.2", "--key", self.shared / "ed25519.key"]
        done = self.tool(*words, "--also", self.shared / "p256.key", self.image, self.output)
        self.assertEqual(done.returncode, 0, done.stderr)
        for kind in ("ed25519", "p256"):
            self.assertEqual(self.tool("verify", "--keys", self.shared / f"{kind}.pem", self.output).returncode, 0)

    def test_lines_of_fingerprints_make_a_list_that_revokes(self):
        self.create()
        keys = self.folder / "keys.d"
        keys.mkdir()
        shutil.copy(self.shared / "ed25519.pem", keys)
        self.assertEqual(self.tool("verify", "--keys", keys, self.output).returncode, 0)
        done = self.tool("fingerprint", self.shared / "ed25519.pem", self.shared / "p256.pem")
        self.assertEqual(done.stdout.count("\n"), 2, done.stderr)
        (keys / "ours.revoked").write_text(done.stdout)
        done = self.tool("verify", "--keys", keys, self.output)
        self.assertEqual((done.returncode, "trusted no more" in done.stderr), (6, True), done.stderr)
        self.assertEqual(self.tool("fingerprint", self.image).returncode, 1)

    def test_exit_statuses_tell_apart_signature_and_damage(self):
        self.create()
        self.assertEqual(6, self.tool("verify", "--keys", self.shared / "p256.pem", self.output).returncode)
        self.assertEqual(1, self.tool("verify", "--keys", self.folder, self.output).returncode)
        self.assertEqual(1, self.tool("verify", "--keys", self.shared, self.image).returncode)
        self.assertEqual(1, self.tool("show", self.folder / "none").returncode)
        self.assertEqual(2, self.tool("verify", self.output).returncode)
        self.assertEqual(2, self.tool().returncode)

    def test_a_key_is_never_replaced(self):
        before = (self.shared / "ed25519.key").read_bytes()
        result = self.tool("keygen", self.shared / "ed25519.key")
        self.assertEqual((1, before), (result.returncode, (self.shared / "ed25519.key").read_bytes()))
        self.assertIn("exists", result.stderr)


class Packages(Folder):
    """What is in a system, and what an update changes in it."""

    def bundle_of(self, version, packages, issues=None, name=None):
        output = self.folder / f"{version}.bundle"
        listed, report = self.folder / f"{version}.packages.gz", self.folder / f"{version}.vex.json"
        listed.write_bytes(sbom.packed(sbom.HEADER + "".join("\t".join(line) + "\n" for line in packages)))
        words = [
            "--packages",
            listed,
            "--support-until",
            "2031-12-31",
            "--security-contact",
            "https://example.com/security",
        ]
        if issues is not None:
            report.write_text(
                json.dumps(
                    {
                        "version": "1",
                        "package": [
                            {"name": recipe, "issue": [{"id": cve, "status": status}]} for recipe, cve, status in issues
                        ],
                    }
                )
            )
            words += ["--vex", report]
        words += ["--key", self.shared / "ed25519.key", "--compatible", "board", "--version", version]
        done = self.tool("create", *words, self.image, output)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        return output

    def pair(self):
        before = self.bundle_of(
            "1.0",
            [
                ("busybox", "1.36.1", "busybox", "GPL-2.0-only"),
                ("old", "1", "old", "MIT"),
                ("zlib", "1.3", "zlib", "Zlib"),
            ],
            [
                ("zlib", "CVE-2026-1", "Unpatched"),
                ("busybox", "CVE-2026-2", "Unpatched"),
                ("busybox", "CVE-2026-4", "Patched"),
            ],
        )
        after = self.bundle_of(
            "1.1",
            [
                ("busybox", "1.36.1", "busybox", "GPL-2.0-or-later"),
                ("new", "2", "new", "MIT"),
                ("zlib", "1.3.1", "zlib", "Zlib"),
            ],
            [
                ("zlib", "CVE-2026-1", "Patched"),
                ("busybox", "CVE-2026-2", "Unpatched"),
                ("new", "CVE-2026-3", "Unpatched"),
            ],
        )
        return before, after

    def test_diff_shows_packages_and_cves_that_an_update_changes(self):
        done = self.tool("diff", "--keys", self.shared / "ed25519.pem", *self.pair())
        self.assertEqual(
            "1.0 -> 1.1\nsupported until: 2031-12-31\n+ new 2\n- old 1\n  zlib 1.3 -> 1.3.1\n"
            "  busybox: licence GPL-2.0-only -> GPL-2.0-or-later\nclosed: CVE-2026-1 in zlib\nopened: CVE-2026-3 in new\n"
            "open: CVE-2026-2 in busybox\npatch gone: CVE-2026-4 in busybox\n"
            "1 added, 1 removed, 1 changed, 1 CVEs closed, 1 CVEs opened, 1 CVEs open, 1 CVEs patch gone\n",
            done.stdout,
        )
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        done = self.tool("diff", "--json", *self.pair())
        self.assertEqual([{"package": "zlib", "from": "1.3", "to": "1.3.1"}], json.loads(done.stdout)["changed"])

    def test_a_list_or_report_that_the_signature_does_not_cover_is_refused(self):
        before, after = self.pair()
        for path in (self.folder / "1.1.packages.gz", self.folder / "1.0.vex.json"):
            content = path.read_bytes()
            path.write_bytes(content + b" ")
            done = self.tool("diff", before, after)
            self.assertEqual(1, done.returncode)
            self.assertIn("is not what the manifest binds", done.stderr)
            path.write_bytes(content)
        (self.folder / "1.1.packages.gz").unlink()
        self.assertIn("expected its list of packages beside it", self.tool("diff", before, after).stderr)
        other = self.tool("diff", "--keys", self.shared / "p256.pem", before, after)
        self.assertEqual(6, other.returncode)

    def test_reports_of_the_class_vex_which_know_no_open_cves_show_patches_that_came_and_went(self):
        lines = [("busybox", "1.36.1", "busybox", "GPL-2.0-only")]
        ignored = ("glibc", "CVE-2019-1", "Ignored")
        before = self.bundle_of(
            "1.0", lines, [("busybox", "CVE-2026-1", "Patched"), ignored, ("gone", "CVE-1", "Patched")]
        )
        after = self.bundle_of(
            "1.1", lines, [("busybox", "CVE-2026-2", "Patched"), ignored, ("new", "CVE-2", "Patched")]
        )
        done = self.tool("diff", before, after)
        self.assertIn("\npatched: CVE-2026-2 in busybox\npatch gone: CVE-2026-1 in busybox\n", done.stdout)
        self.assertTrue(done.stdout.endswith("0 CVEs open, 1 CVEs patched, 1 CVEs patch gone\n"), done.stdout)

    def test_in_a_deploy_folder_a_link_leads_to_the_list_and_to_the_report_that_is_called_name_json(self):
        before, after = self.pair()
        (self.folder / "1.1.vex.json").rename(self.folder / "1.1.json")
        link = self.folder / "hub_update.bundle"
        link.symlink_to(after.name)
        done = self.tool("diff", before, link)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertIn("closed: CVE-2026-1 in zlib", done.stdout)

    def test_without_reports_of_vulnerabilities_it_says_so(self):
        lines = [("busybox", "1.36.1", "busybox", "GPL-2.0-only")]
        done = self.tool("diff", self.bundle_of("1.0", lines), self.bundle_of("1.1", lines))
        self.assertIn("signatures not verified", done.stdout)
        self.assertIn("CVEs: no NAME.vex.json beside both bundles", done.stdout)

    def test_an_image_of_five_hundred_packages_has_a_list_of_at_most_30_kb_and_the_same_bytes_each_time(self):
        data = self.folder / "pkgdata/runtime-reverse"
        data.mkdir(parents=True)
        installed = []
        for number in range(500):
            name = f"lib{hashlib.sha256(bytes([number % 256, number // 256])).hexdigest()[:12]}-{number}"
            (data / name).write_text(f"PN: recipe-{number}\nLICENSE:{name}: GPL-2.0-only & LGPL-2.1-or-later\n")
            installed.append(f"{name} cortexa57 {number % 7}.{number % 13}.{number}-r0\n")
        text = sbom.packages_text(reversed(installed), self.folder / "pkgdata")
        packed = sbom.packed(text)
        self.assertLessEqual(len(packed), 30_000)
        self.assertEqual(packed, sbom.packed(sbom.packages_text(installed, self.folder / "pkgdata")))
        found = sbom.read_packages(packed, "list")
        self.assertEqual(500, len(found))
        self.assertIn(sbom.Package("1.1.1-r0", "recipe-1", "GPL-2.0-only & LGPL-2.1-or-later"), found.values())
        with self.assertRaisesRegex(sbom.SbomError, "keeps at most 30000"):
            sbom.packed("".join(hashlib.sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(2000)))


class Fatal(Exception):
    pass


class Build(Folder):
    """The Python functions of the class, run with a small stand-in for BitBake's datastore."""

    def setUp(self):
        super().setUp()
        text = (REPOSITORY / "classes/ota-bundle.bbclass").read_text()
        self.values = dict(re.findall(r'^(OTA_\w+) \??= "(.*)"$', text, re.M))
        deploy = self.folder / "deploy"
        deploy.mkdir()
        (deploy / "image-board.ext4.gz").symlink_to(self.image)
        (deploy / "image-board.packages.gz").write_bytes(sbom.packed(sbom.HEADER))
        self.values |= {
            "TOPDIR": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "WORKDIR": str(self.folder / "work"),
            "MACHINE": "board",
            "IMGDEPLOYDIR": str(deploy),
            "IMAGE_LINK_NAME": "image-board",
            "IMAGE_NAME": "image-board-1",
            "OTA_SLOT_TYPE": "ext4.gz",
            "OTA_UPDATE_NAME": "hub_update.bin",
            "IMAGE_BASENAME": "image",
            "DISTRO_NAME": "Distro",
            "DISTRO_VERSION": "5.0",
        }
        self.warnings, self.not_inherited = [], set()
        functions = "".join(
            f"def {name}(d):\n{body}\n"
            for name, body in re.findall(r"^python (\w+) \(\) \{\n(.*?)^\}", text, re.M | re.S)
        )
        functions += "".join(re.findall(r"^def \w+\(d\):\n(?:(?:    .*)?\n)+", text, re.M))
        self.scope = {
            "bb": types.SimpleNamespace(
                warn=self.warnings.append,
                note=lambda text: None,
                fatal=self.fatal,
                data=types.SimpleNamespace(inherits_class=lambda name, d: name not in self.not_inherited),
                utils=types.SimpleNamespace(
                    mkdirhier=lambda p: os.makedirs(p, exist_ok=True), remove=lambda p: Path(p).unlink(missing_ok=True)
                ),
            )
        }
        exec(compile(textwrap.dedent(functions), "ota-bundle.bbclass", "exec"), self.scope)

    @staticmethod
    def fatal(text):
        raise Fatal(text)

    def getVar(self, name):
        value = self.values.get(name)
        if value is None:
            return None
        value = re.sub(r"\$\{@(.*)\}", lambda m: str(eval(m[1], {"d": self})), value)
        return re.sub(r"\$\{(\w+)\}", lambda m: self.getVar(m[1]) or "", value)

    def build(self):
        self.scope["do_ota_trust"](self)
        self.scope["ota_bundle_make"](self)
        return Path(self.getVar("IMGDEPLOYDIR"), self.getVar("OTA_BUNDLE_NAME"))

    def bound(self):
        with bundle.open_bundle(self.build()) as opened:
            return {key: value for key, value in opened.values().items() if key in ("x-sbom-sha256", "x-vex-sha256")}

    def test_sbom_and_report_that_the_build_made_with_the_image_are_bound_by_themselves(self):
        deploy = Path(self.values["IMGDEPLOYDIR"])
        self.assertEqual({}, self.bound())
        hashes = {}
        for ending in (".spdx.tar.zst", ".json", ".mine"):
            (deploy / f"image-board{ending}").write_text(ending)
            hashes[ending] = hashlib.sha256(ending.encode()).hexdigest()
        self.assertEqual({"x-sbom-sha256": hashes[".spdx.tar.zst"], "x-vex-sha256": hashes[".json"]}, self.bound())
        self.values["OTA_BUNDLE_SBOM"] = str(deploy / "image-board.mine")
        self.assertEqual(hashes[".mine"], self.bound()["x-sbom-sha256"])
        # Another class's file.
        self.not_inherited = {"vex", "cve-check"}
        self.assertEqual({"x-sbom-sha256": hashes[".mine"]}, self.bound())

    def test_without_any_setting_a_development_key_signs_and_says_what_it_is(self):
        made = self.build()
        self.assertEqual(("hub_update.bundle", "image-board-1.bundle"), (made.name, os.readlink(made)))
        self.assertIn("DEVELOPMENT KEY", self.warnings[0])
        trust = Path(self.getVar("OTA_TRUST"))
        with bundle.open_bundle(made) as opened:
            opened.signed_by([trust / "keys.d"])
            opened.check_image()
            self.assertEqual(("0", "board"), (opened.values()["version"], opened.values()["compatible"]))
        self.assertEqual(
            ("board\n", "REQUIRE_SIGNATURE=no\n"),
            ((trust / "compatible").read_text(), (trust / "sysupgrade.conf").read_text()),
        )
        key = Path(self.getVar("OTA_BUNDLE_KEY")).read_bytes()
        self.build()
        self.assertEqual(key, Path(self.getVar("OTA_BUNDLE_KEY")).read_bytes(), "the second build uses the same key")

    def test_a_key_of_ones_own_needs_no_warning_and_the_record_gives_the_version(self):
        self.values |= {"OTA_BUNDLE_KEY": str(self.shared / "p256.key"), "OTA_REQUIRE_SIGNATURE": "yes"}
        (self.folder / "tmp").mkdir()
        (self.folder / "tmp/full_ota_record.json").write_text(json.dumps({"version": "1.0.7", "versionNumber": "9"}))
        with bundle.open_bundle(self.build()) as opened:
            self.assertEqual("1.0.7", opened.values()["version"])
        self.assertEqual([], self.warnings)
        self.assertEqual("REQUIRE_SIGNATURE=yes\n", Path(self.getVar("OTA_TRUST"), "sysupgrade.conf").read_text())

    def test_the_manifest_binds_the_list_of_packages_and_says_how_long_the_system_is_supported(self):
        report = self.folder / "vex.json"
        report.write_text('{"version": "1", "package": []}')
        self.values |= {
            "OTA_SUPPORT_UNTIL": "2031-12-31",
            "OTA_SECURITY_CONTACT": "mailto:security@example.com",
            "OTA_BUNDLE_VEX": str(report),
        }
        made = self.build()
        with bundle.open_bundle(made) as opened:
            values = opened.values()
        self.assertEqual("2031-12-31", values["x-support-until"])
        self.assertEqual("mailto:security@example.com", values["x-security-contact"])
        self.assertEqual(sbom.sha256(report), values["x-vex-sha256"])
        listed = Path(self.getVar("IMGDEPLOYDIR"), "image-board.packages.gz")
        self.assertEqual(sbom.sha256(listed), values["x-packages-sha256"])
        for setting, value in (
            ("OTA_SUPPORT_UNTIL", "31.12.2031"),
            ("OTA_SUPPORT_UNTIL", "2031-02-30"),
            ("OTA_SECURITY_CONTACT", "security@example.com"),
        ):
            with self.subTest(value=value), unittest.mock.patch.dict(self.values, {setting: value}):
                self.assertRaisesRegex(Fatal, "expected .*, found", self.build)

    def test_an_image_whose_devices_would_refuse_its_bundle_is_not_built(self):
        self.values |= {
            "OTA_BUNDLE_KEY": str(self.shared / "p256.key"),
            "OTA_BUNDLE_TRUST": str(self.shared / "ed25519.pem"),
        }
        with self.assertRaisesRegex(Fatal, "would refuse its bundle"):
            self.build()

    def test_an_image_whose_list_revokes_its_own_signer_is_not_built(self):
        listed = self.folder / "ours.revoked"
        listed.write_text(bundle.key_fingerprint((self.shared / "ed25519.pem").read_text()) + "\n")
        self.values |= {"OTA_BUNDLE_KEY": str(self.shared / "ed25519.key"), "OTA_BUNDLE_REVOKED": str(listed)}
        with self.assertRaisesRegex(Fatal, "would refuse its bundle.*trusted no more"):
            self.build()
        # With a second signature, by a key that is trusted, it is.
        self.values |= {
            "OTA_BUNDLE_TRUST": f"{self.shared}/ed25519.pem {self.shared}/p256.pem",
            "OTA_BUNDLE_ALSO": str(self.shared / "p256.key"),
        }
        self.build()

    def test_images_beside_the_root_file_system_come_from_the_deploy_folder(self):
        deploy = self.folder / "machine"
        deploy.mkdir()
        (deploy / "app.img").write_bytes(os.urandom(5000))
        self.values["DEPLOY_DIR_IMAGE"] = str(deploy)
        self.values["OTA_BUNDLE_IMAGES"] = f"app=app.img mcu={deploy}/app.img,optional"
        with bundle.open_bundle(self.build()) as opened:
            found = [(one.name, one.bytes, one.is_optional) for one in bundle.further_images(opened.values())]
        self.assertEqual(found, [("app", 5000, False), ("mcu", 5000, True)])

    def test_the_boot_loader_of_the_machine_is_an_image_that_other_devices_pass_over(self):
        deploy = self.folder / "machine"
        deploy.mkdir()
        (deploy / "flash.bin").write_bytes(os.urandom(6000))
        self.values["DEPLOY_DIR_IMAGE"] = str(deploy)
        self.values["OTA_BOOT_LOADER"] = "flash.bin"
        with bundle.open_bundle(self.build()) as opened:
            found = [(one.name, one.bytes, one.is_optional) for one in bundle.further_images(opened.values())]
        self.assertEqual(found, [("boot-loader", 6000, True)])

    def test_the_bundle_of_an_image_can_be_encrypted(self):
        recipient = self.folder / "device.crt"
        words = [
            "openssl",
            "req",
            "-x509",
            "-new",
            "-subj",
            "/CN=device",
            "-days",
            "1",
            "-key",
            self.shared / "p256.key",
        ]
        recipient.write_bytes(subprocess.run(words, check=True, capture_output=True).stdout)
        self.values |= {
            "OTA_BUNDLE_KEY": str(self.shared / "ed25519.key"),
            "OTA_BUNDLE_RECIPIENTS": str(recipient),
            "OTA_DECRYPTION_KEY": "/data/device.key",
        }
        made = self.build()
        with bundle.open_bundle(made) as opened:
            self.assertEqual(opened.values()["encryption-cipher"], "aes-256-ctr")
            opened.check_image()
        shared = self.folder / "fleet.key"
        shared.write_text("5e" * 32 + "\n")
        recipients = self.values.pop("OTA_BUNDLE_RECIPIENTS")
        self.values["OTA_BUNDLE_SHARED_KEYS"] = str(shared)
        with bundle.open_bundle(self.build()) as opened:
            self.assertEqual(opened.values()["encryption-cipher"], "aes-256-ctr")
        self.values["OTA_BUNDLE_RECIPIENTS"] = recipients
        with self.assertRaisesRegex(Fatal, "expected one of them"):
            self.values["OTA_BUNDLE_ALSO"] = str(self.shared / "p256.key")
            self.build()

    def test_wrong_settings_end_the_build_with_their_name(self):
        for words, settings in (
            ("OTA_BUNDLE_KEY", {"OTA_BUNDLE_KEY": "/none.key"}),
            ("OTA_REQUIRE_SIGNATURE", {"OTA_REQUIRE_SIGNATURE": "1"}),
            ("OTA_BUNDLE_TRUST", {"OTA_BUNDLE_TRUST": "/none.pem"}),
            ("OTA_BUNDLE_REVOKED", {"OTA_BUNDLE_REVOKED": "/none.revoked"}),
            ("no fingerprint", {"OTA_BUNDLE_REVOKED": str(self.shared / "p256.pem")}),
            ("private key", {"OTA_BUNDLE_TRUST": str(self.shared / "p256.key")}),
            ("version", {"OTA_BUNDLE_VERSION": "one"}),
        ):
            before = dict(self.values)
            self.values |= settings
            with self.subTest(words), self.assertRaisesRegex(Fatal, words):
                self.build()
            self.values = before


if __name__ == "__main__":
    unittest.main()
