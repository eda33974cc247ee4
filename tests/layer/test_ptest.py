# SPDX-License-Identifier: MIT
"""Packages for ptest-runner: there where a distribution asks for them, with tests that run without this repository."""

import os
import re
import shutil
import subprocess
import sys

from metadata import ROOT, MetadataCase

ENGINE = "recipes-ota/ota-content/ota-content_0.2.0.bb"
RECIPES = (ENGINE, "recipes-ota/otamgr/otamgr_0.2.0.bb", "recipes-ota/sysupgrade/sysupgrade_0.2.0.bb")


class Ptest(MetadataCase):
    def with_ptest(self, recipe, features="ptest sysvinit"):
        values = {"PV": "0.2.0", "PN": recipe.split("/")[1], "UNPACKDIR": str(self.folder / "unpacked")}
        values["THISDIR"] = str((ROOT / recipe).parent)
        values |= {"PTEST_PATH": "/usr/lib/x/ptest", "OTAMGR_REPOSITORY": str(ROOT), "DISTRO_FEATURES": features}
        return self.parsed(recipe, self.configuration(**values))

    def test_recipes_of_what_runs_on_devices_have_tests_that_can_be_run(self):
        for recipe in RECIPES:
            d = self.with_ptest(recipe)
            self.assertIn("file://run-ptest", d.getVar("SRC_URI").split(), recipe)
            self.assertTrue((ROOT / recipe).parent.joinpath("files/run-ptest").stat().st_mode & 0o111, recipe)
            self.assertTrue(any("/ptest.bbclass" in str(name) for name in d.getVar("__inherit_cache", False)), recipe)

    def test_those_of_the_daemon_stay_root_where_they_give_it_files_of_root(self):
        text = (ROOT / "recipes-ota/otamgr/files/run-ptest").read_text()
        found = re.findall(r"^.*otamgr --config.*$", text, re.M)
        self.assertEqual(2, len(found))
        self.assertEqual([], [line for line in found if "OTAMGR_ROOT=/nonexistent otamgr" not in line])

    def test_those_of_the_engine_are_no_part_of_it_where_nobody_asks(self):
        d = self.with_ptest(ENGINE, "sysvinit")
        self.assertNotIn("tests", d.getVar("SRC_URI"))

    def test_those_of_the_engine_are_where_bitbake_looks_for_changes(self):
        """It unpacks from a path with "..", but takes checksums from the path without: another one in the folder of links."""
        d = self.with_ptest(f"meta-otamgr/{ENGINE}")
        folders = d.getVar("FILESEXTRAPATHS").split(":")
        found = [
            next((path for folder in folders if folder and os.path.exists(path := os.path.join(folder, name))), None)
            for name in (entry.removeprefix("file://") for entry in d.getVar("SRC_URI").split())
        ]
        found = [path for path in found if path]
        self.assertTrue(any("/tests/content/" in path for path in found), found)
        self.assertEqual([], [path for path in found if not os.path.exists(os.path.normpath(path))])

    def test_those_of_the_engine_are_files_also_where_devtool_has_made_links(self):
        d = self.with_ptest(ENGINE)
        (self.folder / "image/usr/lib/x/ptest").mkdir(parents=True)
        for name in ("lib/otamgr/bundle.py", "tests/content/content.py"):
            link = self.folder / "unpacked" / name
            link.parent.mkdir(parents=True)
            link.symlink_to(ROOT / name)
        self.run_function("do_install_ptest", d)
        installed = self.folder / "image/usr/lib/x/ptest/tests/content/content.py"
        self.assertFalse(installed.is_symlink())
        self.assertEqual((ROOT / "tests/content/content.py").read_bytes(), installed.read_bytes())

    def test_those_of_the_engine_load_from_where_they_are_installed(self):
        d = self.with_ptest(ENGINE)
        unpacked = self.folder / "unpacked"
        for entry in d.getVar("SRC_URI").split():
            name = entry.removeprefix("file://")
            if name.startswith(("lib/", "tests/")):
                (unpacked / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, unpacked / name)
        installed = self.folder / "image/usr/lib/x/ptest"
        installed.mkdir(parents=True)
        self.run_function("do_install_ptest", d)
        shutil.copy((ROOT / ENGINE).parent / "files/run-ptest", installed)
        count = (
            "import importlib.machinery, importlib.util, sys, unittest;"
            "loader = importlib.machinery.SourceFileLoader('ptest', sys.argv[1]);"
            "module = importlib.util.module_from_spec(importlib.util.spec_from_loader('ptest', loader));"
            "loader.exec_module(module);"
            "print(*sorted(test.id() for test in module.everything()))"
        )
        done = subprocess.run(
            [sys.executable, "-B", "-I", "-c", count, installed / "run-ptest"],
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
        )
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        names = done.stdout.split()
        self.assertGreater(len(names), 150)
        self.assertEqual([], [name for name in names if "_FailedTest" in name])
