# SPDX-License-Identifier: MIT
"""The version is that of the file VERSION, wherever it is said."""

import re
import unittest

from metadata import ROOT

VERSION = (ROOT / "VERSION").read_text(encoding="utf-8").strip()


class Version(unittest.TestCase):
    def test_it_is_three_numbers(self):
        self.assertRegex(VERSION, r"^\d+\.\d+\.\d+$")

    def test_the_recipes_have_it(self):
        names = [path.name for path in ROOT.glob("recipes-ota/*/*_*.bb")]
        self.assertGreaterEqual(len(names), 11)
        for name in names:
            with self.subTest(recipe=name):
                self.assertEqual(VERSION, name.removesuffix(".bb").rsplit("_", 1)[1])

    def test_the_java_modules_have_it_from_one_property(self):
        parent = (ROOT / "otamgr-src/pom.xml").read_text(encoding="utf-8")
        self.assertEqual([VERSION], re.findall("<revision>(.*)</revision>", parent))
        poms = sorted(ROOT.glob("otamgr-src/*/*/pom.xml"))
        self.assertGreaterEqual(len(poms), 15)
        for pom in poms:
            with self.subTest(pom=pom):
                own = re.search(
                    r"<artifactId>otamgr-parent</artifactId>\s*<version>(.*?)</version>",
                    pom.read_text(encoding="utf-8"),
                )
                self.assertEqual("${revision}", own[1])

    def test_the_engine_has_it(self):
        source = (ROOT / "recipes-ota/ota-content/files/src/main.c").read_text(encoding="utf-8")
        self.assertEqual([VERSION], re.findall('#define VERSION "(.*)"', source))

    def test_the_change_log_begins_with_it_and_says_how_to_migrate(self):
        text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        sections = re.split(r"^## ", text, flags=re.M)[1:]
        self.assertRegex(sections[0], rf"^{re.escape(VERSION)}[,\s]")
        self.assertIn("### Migration", sections[0])

    def test_fixes_are_promised_for_it(self):
        self.assertIn(f"| {VERSION.rpartition('.')[0]} | yes |", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
