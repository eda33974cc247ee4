# SPDX-License-Identifier: MIT
"""The layer as a whole: both series from one tree, units and init scripts, what the documentation says of the variables."""

import json
import os
import re
import subprocess
import unittest
from pathlib import Path

import jsonschema
import kas
import yaml

from metadata import ROOT, MetadataCase, bb

LAYER = ROOT / "meta-otamgr"
UNITS = sorted(ROOT.glob("recipes-ota/*/files/*.service"))
INIT_SCRIPTS = sorted(ROOT.glob("recipes-ota/*/files/*.init"))
METADATA = [
    path
    for pattern in ("recipes-*/*/*.bb", "recipes-*/*/*.inc", "recipes-*/*/*.bbappend", "classes/*.bbclass")
    for path in sorted(ROOT.glob(pattern))
]


class Series(MetadataCase):
    def configuration_of(self, folder, series):
        d = bb.data.init()
        d.setVar("LAYERSERIES_CORENAMES", series)
        d.setVar("BBPATH", "")
        d.setVar("LAYERDIR", str(folder))
        d.setVar("TOPDIR", str(self.folder))
        d.setVar("__bbclasstype", "")
        return bb.parse.handle(str(folder / "conf/layer.conf"), d, False, True)

    def test_one_folder_is_the_layer_for_every_series(self):
        for series in ("scarthgap", "wrynose", "wrynose blacksail"):
            d = self.configuration_of(LAYER, series)
            self.assertEqual("otamgr", d.getVar("BBFILE_COLLECTIONS").strip())
            self.assertIn(series.split()[-1], d.getVar("LAYERSERIES_COMPAT_otamgr").split())
            self.assertEqual("core", d.getVar("LAYERDEPENDS_otamgr"))
            self.assertEqual(str(ROOT.resolve()), d.getVar("OTAMGR_REPOSITORY"))

    def test_that_folder_holds_links_to_everything_of_a_layer_but_the_layouts(self):
        for pattern in (
            "recipes-*/*/*.bb*",
            "classes/*",
            "lib/otamgr/*.py",
            "dynamic-layers/*/*/*/*",
            "lib/oeqa/runtime/cases/*.py",
            "conf/*",
        ):
            ours = {path.relative_to(ROOT) for path in ROOT.glob(pattern)}
            self.assertTrue(ours, pattern)
            self.assertEqual(ours, {path.relative_to(LAYER) for path in LAYER.glob(pattern)})
        for path in LAYER.iterdir():
            self.assertTrue(path.is_symlink(), path)
        # OpenEmbedded-Core since wrynose ends the build when a layer has one of them.
        for name in ("wic", "scripts"):
            self.assertFalse((LAYER / name).exists())

    def test_the_daemon_is_not_root_unless_that_is_asked_for_or_another_agent_decides(self):
        for values, expected in (
            ({}, True),
            ({"OTA_DAEMON_AS_ROOT": "1"}, False),
            ({"OTA_AGENT": "otamgr-example-agent"}, False),
            ({"OTA_AGENT": "otamgr-example-agent", "OTA_DAEMON_AS_ROOT": "0"}, True),
        ):
            with self.subTest(**values):
                d = self.parsed(
                    "recipes-ota/packagegroups/packagegroup-otamgr.bb",
                    self.configuration(PN="packagegroup-otamgr", **values),
                )
                installed = d.getVar("RDEPENDS:packagegroup-otamgr").split()
                self.assertEqual(expected, "otamgr-user" in installed)
                self.assertIn(values.get("OTA_AGENT", "otamgr"), installed)

    def test_the_image_finds_the_layouts_wherever_a_series_would_look(self):
        d = self.configuration_of(LAYER, "wrynose")
        found = self.parsed(
            "classes/ota-image.bbclass",
            self.configuration(OTAMGR_REPOSITORY=d.getVar("OTAMGR_REPOSITORY"), WKS_SEARCH_PATH="/elsewhere"),
        )
        path = found.getVar("WKS_SEARCH_PATH").split(":")
        self.assertEqual("/elsewhere", path[0])
        self.assertTrue(any((Path(folder) / "ota-ab-gpt.wks.in").exists() for folder in path))

    def test_the_repository_in_place_of_the_layer_is_a_sentence_where_it_would_not_work(self):
        self.assertEqual(str(ROOT.resolve()), self.configuration_of(ROOT, "scarthgap").getVar("OTAMGR_REPOSITORY"))
        with self.assertRaises(Exception):
            self.configuration_of(ROOT, "wrynose")
        self.assertIn(f"BBLAYERS has {ROOT}: expected {ROOT}/meta-otamgr", "\n".join(text for _, text in self.said))


class PythonOfTheLayer(MetadataCase):
    @staticmethod
    def read(path):
        """The names of what a file inherits or requires, however far away, and the text of it all."""
        names, texts, waiting = set(), [], [path]
        while waiting:
            texts.append(waiting.pop().read_text())
            for word in re.findall(
                r"[\w./-]+", " ".join(re.findall(r"^(?:inherit(?:_defer)?|require) (.*)", texts[-1], re.M))
            ):
                found = [other for other in METADATA if other.name in (f"{word}.bbclass", word.rpartition("/")[2])]
                waiting += [other for other in found if other.name not in names]
                names |= {other.name for other in found}
        return names, "\n".join(texts)

    def test_what_calls_it_is_parsed_anew_when_it_has_changed(self):
        depends = self.parsed("classes/ota-layout.bbclass").getVar("__depends", False)
        self.assertLessEqual({"layout.py", "uboot.py"}, {Path(path).name for path, _ in depends})
        calling = 0
        for path in METADATA:
            names, text = self.read(path)
            if path.suffix != ".inc" and re.search(r"\botamgr\.[a-z]+\.\w+\(", text):
                calling += 1
                self.assertIn("ota-python.bbclass", names, path)
        self.assertGreater(calling, 10)


class RuntimeTests(unittest.TestCase):
    CASES = sorted(ROOT.glob("lib/oeqa/runtime/cases/*.py"))

    def test_no_module_of_the_layer_has_the_name_of_a_test_module(self):
        # testimage imports both from the same search path and refuses a test that is not where it looked.
        modules = {path.stem for path in (ROOT / "lib").iterdir()}
        self.assertEqual(set(), modules & {path.stem for path in self.CASES})

    def test_each_test_waits_for_tests_that_exist(self):
        for path in self.CASES:
            text = path.read_text()
            ours = re.findall(rf'"{path.stem}\.(\w+)\.(\w+)"', text)
            self.assertTrue(ours, path)
            for case, test in ours:
                self.assertRegex(text, rf"class {case}\(")
                self.assertRegex(text, rf"def {test}\(")


class Services(unittest.TestCase):
    def test_systemd_finds_nothing_wrong_with_the_units(self):
        for unit in UNITS:
            with self.subTest(unit=unit.name):
                done = subprocess.run(
                    ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit],
                    capture_output=True,
                    text=True,
                    env={
                        **os.environ,
                        "SYSTEMD_UNIT_PATH": ":".join(
                            str(p) for p in (*{u.parent for u in UNITS}, "/lib/systemd/system")
                        ),
                    },
                )
                # The programs are on the device, not here.
                said = [line for line in done.stderr.splitlines() if "is not executable: No such file" not in line]
                self.assertEqual([], said)

    def test_each_unit_starts_a_program_that_its_recipe_installs(self):
        for unit in UNITS:
            with self.subTest(unit=unit.name):
                program = re.search(r"^ExecStart=(\S+)", unit.read_text(), re.M)[1]
                (recipe,) = unit.parent.parent.glob("*.bb")
                name = program.rsplit("/", 1)[1]
                self.assertRegex(recipe.read_text(), rf"install .*\$\{{S\}}/{name}(\.sh)?\b")

    def test_each_unit_and_each_init_script_is_installed_only_for_its_init_system(self):
        for path, feature in ((p, f) for group, f in ((UNITS, "systemd"), (INIT_SCRIPTS, "sysvinit")) for p in group):
            with self.subTest(file=path.name):
                (recipe,) = path.parent.parent.glob("*.bb")
                blocks = re.findall(
                    r"bb\.utils\.contains\('DISTRO_FEATURES', '(\w+)'.*?\n(.*?)\n    fi", recipe.read_text(), re.S
                )
                installing = [f for f, text in blocks if "${S}/" + path.name in text]
                self.assertEqual([feature], installing)

    def test_no_package_asks_for_an_init_system(self):
        for path in sorted(ROOT.glob("recipes-ota/*/*.bb")):
            for value in re.findall(r"^R(?:DEPENDS|RECOMMENDS)\S* .*?= \"(.*?)\"", path.read_text(), re.M | re.S):
                self.assertNotRegex(value, r"\b(systemd|sysvinit|initscripts)\b", path.name)

    def test_data_is_mounted_before_the_guard_reads_the_journal_and_otamgr_starts_last(self):
        def order(recipe):
            text = (ROOT / "recipes-ota" / recipe).read_text()
            found = re.search(r'INITSCRIPT_PARAMS = "(?:start (\d+) S|defaults (\d+))', text)
            return (0 if found[1] else 1, int(found[1] or found[2]))

        data, guard, daemon = (
            order(recipe)
            for recipe in ("ota-data/ota-data_0.2.0.bb", "sysupgrade/sysupgrade_0.2.0.bb", "otamgr/otamgr_0.2.0.bb")
        )
        self.assertLess(data, guard)
        self.assertLess(guard, daemon)

    def test_sysvinit_finds_the_links_of_all_start_scripts(self):
        # It looks for S[0-9][0-9]* and K[0-9][0-9]*, and the number is taken for the link as it is written.
        for path in sorted(ROOT.glob("recipes-ota/*/*.bb")):
            for words in re.findall(r'^INITSCRIPT_PARAMS\S* = "(.*)"', path.read_text(), re.M):
                first, *numbers = words.split()[:3]
                with self.subTest(recipe=path.name):
                    self.assertRegex(" ".join(numbers[: 2 if first == "defaults" else 1]), r"^\d\d( \d\d)?$")


class Kas(unittest.TestCase):
    def test_every_file_has_the_form_that_kas_asks_for_and_includes_files_that_are_there(self):
        schema = json.loads((Path(kas.__file__).parent / "schema-kas.json").read_text())
        for path in sorted(ROOT.glob("kas/*.yml")):
            with self.subTest(file=path.name):
                content = yaml.safe_load(path.read_text())
                jsonschema.validate(content, schema)
                for included in content["header"].get("includes", ()):
                    self.assertTrue((ROOT / included).exists(), included)

    def test_each_machine_and_each_series_has_a_file_and_all_add_the_same_layer(self):
        for machine in ("qemuarm64", "qemuarm", "qemux86-64", "beaglebone-yocto", "cubieboard"):
            self.assertEqual(machine, yaml.safe_load((ROOT / f"kas/{machine}.yml").read_text())["machine"])
        for series in ("scarthgap", "wrynose", "master"):
            content = yaml.safe_load((ROOT / f"kas/{series}.yml").read_text())
            self.assertEqual(series, content["defaults"]["repos"]["branch"])
        content = yaml.safe_load((ROOT / "kas/common.yml").read_text())
        self.assertEqual(["meta-otamgr"], list(content["repos"]["meta-otamgr"]["layers"]))


class Variables(unittest.TestCase):
    def test_the_documentation_lists_every_setting_with_its_default(self):
        table = dict(
            re.findall(r"^\| `([A-Z][\w-]+)` \| (?:`([^`]*)`|[^|]*) \|", (ROOT / "docs/yocto.md").read_text(), re.M)
        )
        settings = {}
        for path in METADATA:
            for name, value in re.findall(
                r'^((?:OTA|OTAMGR|OPENJDK|VIRTUAL-RUNTIME)_\w[\w-]*|VIRTUAL-RUNTIME_otamgr-java) \?\??= "(.*)"$',
                path.read_text(),
                re.M,
            ):
                # The first one counts; a computed default has words of its own in the table.
                settings.setdefault(name, value)
        self.assertGreater(len(settings), 20)
        for name, value in settings.items():
            with self.subTest(variable=name):
                self.assertIn(name, table)
                if "${" not in value and "\\" not in value:
                    self.assertEqual(value, table[name])

    def test_the_documentation_lists_no_setting_that_is_gone(self):
        text = "\n".join(path.read_text() for path in METADATA)
        for name in re.findall(r"^\| `([A-Z][\w-]+)` \|", (ROOT / "docs/yocto.md").read_text(), re.M):
            self.assertRegex(text, rf"(?m)^{name}\b.* \?{{1,2}}= ", name)
