# SPDX-License-Identifier: MIT
"""What scripts/check-layer concludes from checkouts and from BitBake's output."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from metadata import ROOT

sys.path.insert(0, str(ROOT / "scripts/layer"))

import bitbake  # noqa: E402
import boot  # noqa: E402


class Check(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.core = Path(folder.name)
        (self.core / "meta/conf").mkdir(parents=True)

    def run_command(self, *words, checkout=ROOT):
        return subprocess.run(
            [checkout / "scripts/check-layer", "--oe-core", self.core, "--bitbake", self.core, *words],
            capture_output=True,
            text=True,
        )

    def checkout(self, name):
        """A copy of what runs, wherever this checkout is."""
        copy = self.core / name
        for folder in ("scripts", "lib"):
            shutil.copytree(ROOT / folder, copy / folder)
        (copy / "recipes-ota").symlink_to(ROOT / "recipes-ota")
        return copy

    def test_the_series_is_what_the_checkout_says(self):
        (self.core / "meta/conf/layer.conf").write_text('BBPATH = "x"\nLAYERSERIES_CORENAMES = "wrynose"\n')
        self.assertEqual("wrynose", bitbake.series_of(self.core))
        (self.core / "meta/conf/layer.conf").write_text('LAYERSERIES_CORENAMES = "wrynose blacksail"\n')
        self.assertEqual("blacksail", bitbake.series_of(self.core))

    def test_a_checkout_of_another_series_is_refused_before_anything_runs(self):
        (self.core / "meta/conf/layer.conf").write_text('LAYERSERIES_CORENAMES = "kirkstone"\n')
        done = self.run_command("--user", "nobody")
        self.assertEqual(2, done.returncode)
        self.assertIn("expected scarthgap or wrynose or blacksail, found kirkstone", done.stderr)

    def test_what_is_no_checkout_is_refused_with_what_was_expected(self):
        (self.core / "meta/conf/layer.conf").write_text("")
        done = self.run_command("--user", "nobody")
        self.assertEqual(2, done.returncode)
        self.assertIn("expected a checkout of OpenEmbedded-Core with LAYERSERIES_CORENAMES", done.stderr)

    def test_a_path_that_bitbake_cannot_read_is_refused_before_anything_runs(self):
        (self.core / "meta/conf/layer.conf").write_text('LAYERSERIES_CORENAMES = "wrynose"\n')
        done = self.run_command("--user", "nobody", checkout=self.checkout("with blanks"))
        self.assertEqual(2, done.returncode)
        self.assertIn("BitBake cannot work with blanks", done.stderr)

    def test_the_table_of_u_boots_needs_no_bitbake_but_a_source(self):
        done = subprocess.run([ROOT / "scripts/check-layer", "--table"], capture_output=True, text=True)
        self.assertEqual(2, done.returncode)
        self.assertIn("name it with --u-boot", done.stderr)

    def test_yocto_check_layer_runs_for_the_machine_that_is_named_with_the_layer_that_has_it(self):
        (self.core / "meta/conf/layer.conf").write_text('LAYERSERIES_CORENAMES = "scarthgap"\n')
        (self.core / "oe-init-build-env").write_text(f"PATH={self.core}:$PATH\n")
        program = self.core / "yocto-check-layer"
        program.write_text("#!/bin/sh\ncat conf/local.conf conf/bblayers.conf\necho Ran 8 tests in 1s\n")
        program.chmod(0o755)
        for name in ("bsp", "other"):
            (self.core / name / "conf/machine").mkdir(parents=True)
        (self.core / "bsp/conf/machine/board.conf").touch()
        layers = [word for name in ("bsp", "other") for word in ("--layer", self.core / name)]
        user = pwd.getpwuid(os.geteuid()).pw_name
        words = ("--user", user, "--build-dir", self.core / "build", "--machine", "board", *layers, "compat")
        done = self.run_command(*words, checkout=self.checkout("plain"))
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertIn("board: PASS, 8 tests", done.stdout)
        read = (self.core / "build/logs/yocto-check-layer-board.log").read_text()
        self.assertIn('MACHINE ??= "board"', read)
        self.assertIn(f'{self.core / "meta"} {self.core / "bsp"}"', read)

    def test_the_board_of_testimage_is_told_to_ask_for_a_network(self):
        asked = re.search(
            r'^TESTIMAGE_CONF = f"""(.*?)"""', (ROOT / "scripts/layer/check.py").read_text(), re.M | re.S
        )[1]
        self.assertIn('OTA_BOOTARGS:append = " board.network"', asked)
        platform = (ROOT / "recipes-ota/otamgr-simulators/files/ota-platform").read_text()
        self.assertIn("\n    board.network) network=1 ;;\n", platform)

    def test_an_unknown_check_is_refused_with_the_names_of_all(self):
        done = self.run_command("--user", "nobody", "compile")
        self.assertEqual(2, done.returncode)
        self.assertIn("no such check: compile; there are parse, compat, build", done.stderr)

    def test_only_warnings_about_recipes_of_this_layer_count(self):
        ours = [
            "WARNING: otamgr-0.1.0-r0 do_package_qa: QA Issue: something [ldflags]",
            "ERROR: ota-record-0.1.0-r0 do_install: full_ota_record.json is missing",
            f"WARNING: {ROOT.resolve()}/recipes-ota/otamgr/otamgr_0.1.0.bb: unknown",
        ]
        others = [
            "WARNING: busybox-1.37.0-r0 do_package_qa: QA Issue: something [ldflags]",
            "NOTE: recipe otamgr-0.1.0-r0: task do_compile: Started",
            "WARNING: otamgrd-1.0-r0 do_compile: not ours",
        ]
        self.assertEqual(ours, bitbake.warnings_of_ours("\n".join([*ours, *others])))

    def test_our_recipes_are_those_of_the_layer(self):
        recipes = bitbake.our_recipes()
        self.assertIn("openjdk-jre-headless", recipes)
        self.assertIn("packagegroup-otamgr", recipes)
        # Some have two versions.
        self.assertEqual(len({path.name.split("_")[0] for path in ROOT.glob("recipes-*/*/*.bb")}), len(recipes))


class Clock(unittest.TestCase):
    """check-layer's --clock: from when the journal of the board must count on."""

    BUILT = "2018-03-09T12:34:56"

    def test_the_time_of_an_image_is_found_beside_it(self):
        with tempfile.TemporaryDirectory() as folder:
            settings = Path(folder) / "image.testdata.json"
            for text, expected in (
                ('{"REPRODUCIBLE_TIMESTAMP_ROOTFS": "1520598896"}', self.BUILT),
                ("{}", "1970-01-01T00:00:00"),
            ):
                settings.write_text(text)
                self.assertEqual(expected, boot.time_of(settings))

    def counts_on(self, clock, *times):
        journal = "".join(f"{time}Z armed txn=T\n" for time in times)
        return boot.scenario.counts_on(journal, boot.begins(clock, self.BUILT, journal))

    def test_a_clock_after_the_build_is_kept(self):
        self.assertTrue(self.counts_on("2038-01-19T03:14:06", "2038-01-19T03:14:50", "2038-01-19T03:30:00"))
        self.assertFalse(self.counts_on("2038-01-19T03:14:06", "2038-01-19T03:14:50", "1901-12-13T20:45:54"))
        self.assertFalse(self.counts_on("2100-03-01T00:00:00", "2018-03-09T12:35:00"))

    def test_one_before_it_is_set_by_the_init_and_counts_on_from_there(self):
        for first, second in (
            ("2018-03-09T12:35:33", "2018-03-09T12:41:04"),
            ("2024-06-01T00:00:10", "2024-06-01T00:05:00"),
        ):
            self.assertTrue(self.counts_on("1970-01-01T00:00:00", first, second))
            self.assertFalse(self.counts_on("1970-01-01T00:00:00", second, first))
        self.assertFalse(self.counts_on("1970-01-01T00:00:00", "1970-01-01T00:00:30"))
        self.assertFalse(self.counts_on("1970-01-01T00:00:00"))


class Broken(unittest.TestCase):
    """The update that check-layer lets fail lacks one file, whatever file system the image type has."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.root = self.folder / "root"
        (self.root / "lib").mkdir(parents=True)
        for name in ("loader", "libc"):
            (self.root / "lib" / name).write_text(name * 1000)
        self.image = self.folder / "image"

    def run_tool(self, *words):
        return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout

    def left(self, *lists):
        """What a program lists of the image, before and after."""
        before = self.run_tool(*lists, self.image)
        boot.without(self.image, ["lib64/loader", "lib/loader"])
        after = self.run_tool(*lists, self.image)
        self.assertIn("loader", before)
        self.assertNotIn("loader", after)
        self.assertIn("libc", after)

    def test_ext4(self):
        self.run_tool("mke2fs", "-q", "-t", "ext4", "-d", self.root, self.image, "4M")
        self.left("debugfs", "-R", "ls -p /lib")

    def test_squashfs_keeps_its_compression(self):
        for compression in ("gzip", "xz", "zstd"):
            self.image.unlink(missing_ok=True)
            self.run_tool("mksquashfs", self.root, self.image, "-quiet", "-no-progress", "-comp", compression)
            self.left("unsquashfs", "-l")
            self.assertIn(f"Compression {compression}", self.run_tool("unsquashfs", "-s", self.image))

    def test_erofs_keeps_its_compression(self):
        for words in ([], ["-zlz4hc"]):
            self.image.unlink(missing_ok=True)
            self.run_tool("mkfs.erofs", *words, self.image, self.root)
            before = self.image.read_bytes()[boot.EROFS_INCOMPATIBLE] & boot.EROFS_LZ4
            self.left("dump.erofs", "--ls", "--path=/lib")
            self.assertEqual(before, self.image.read_bytes()[boot.EROFS_INCOMPATIBLE] & boot.EROFS_LZ4)

    def test_tar(self):
        self.run_tool("tar", "-C", self.root, "-cf", self.image, ".")
        self.left("tar", "-tf")

    def test_a_file_that_merged_folders_show_twice(self):
        (self.root / "lib64").symlink_to("lib")
        self.run_tool("mksquashfs", self.root, self.image, "-quiet", "-no-progress")
        self.left("unsquashfs", "-l")

    def test_an_image_without_the_file_is_no_broken_update(self):
        self.run_tool("tar", "-C", self.root, "-cf", self.image, ".")
        with self.assertRaisesRegex(boot.Failure, "expected one of lib64/loader in the image, found none"):
            boot.without(self.image, ["lib64/loader"])
