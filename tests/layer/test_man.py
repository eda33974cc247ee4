# SPDX-License-Identifier: MIT
"""Manual pages and completion: made from the help texts, for every command of the device."""

import re
import shutil
import subprocess

from metadata import ROOT, MetadataCase, otamgr

COMMANDS = ("ota-doctor", "ota-slot", "ota-trial-guard", "ota-verify", "ota-why", "sysupgrade")


class Manual(MetadataCase):
    def setUp(self):
        super().setUp()
        recipe, unpacked = "recipes-ota/sysupgrade/sysupgrade_0.2.0.bb", self.folder / "unpacked"
        d = self.parsed(recipe, self.configuration(PV="0.2.0", UNPACKDIR=str(unpacked)))
        # What the recipe does not name is not there when it is built.
        for entry in d.getVar("SRC_URI").split():
            name, _, options = entry.removeprefix("file://").partition(";")
            folder = unpacked / options.removeprefix("subdir=")
            folder.mkdir(parents=True, exist_ok=True)
            source = (ROOT / recipe).parent / "files" / name
            shutil.copy(source if source.exists() else ROOT / name, folder)
        self.run_function("ota_man_install", d)
        self.pages = {path.stem: path for path in (self.folder / "image/usr/share/man/man8").iterdir()}
        self.completions = {
            path.name: path for path in (self.folder / "image/usr/share/bash-completion/completions").iterdir()
        }

    def test_every_command_that_the_recipe_installs_has_both(self):
        text = (ROOT / "recipes-ota/sysupgrade/sysupgrade_0.2.0.bb").read_text()
        installed = re.search(r"install -m 0755 (.*) \$\{D\}\$\{base_sbindir\}", text)[1].replace("${S}/", "").split()
        self.assertEqual(sorted(installed), sorted(self.pages))
        self.assertEqual(sorted(installed), sorted(self.completions))
        self.assertEqual(sorted(COMMANDS), sorted(installed))

    def test_pages_have_the_help_in_the_sections_of_a_manual(self):
        text = self.pages["sysupgrade"].read_text()
        self.assertEqual(
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "NOTES", "EXIT STATUS"],
            re.findall(r"^\.SH (.*)$", text, re.M),
        )
        self.assertIn("sysupgrade \\- writes a system update", text)
        for path in self.pages.values():
            # What begins with a dot is an order to the formatter, and only those are there that a page is made of.
            self.assertLessEqual(
                set(re.findall(r"^\.(\w+)", path.read_text(), re.M)), {"TH", "SH", "nf", "fi"}, path.name
            )

    def test_man_formats_every_page_without_a_warning(self):
        for path in self.pages.values():
            done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z", path], capture_output=True, text=True)
            self.assertEqual("", done.stderr, path.name)

    def test_completion_offers_options_and_commands(self):
        script = f'. {self.completions["ota-slot"]}; _ota_slot ota-slot com; echo "${{COMPREPLY[@]}}"; _ota_slot ota-slot --; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=self.folder / "image")
        self.assertEqual(("commit\n--json\n", ""), (done.stdout, done.stderr))

    def test_a_text_that_looks_like_an_order_to_the_formatter_stays_text(self):
        page = otamgr.man.page("x", 8, "y", "Usage: x\n\n.SH not a section\n'quoted\\n\n", "1")
        self.assertIn("\\&.SH not a section\n\\&'quoted\\en\n", page)
