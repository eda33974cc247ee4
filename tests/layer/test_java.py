# SPDX-License-Identifier: MIT
"""Java libraries: compiled from the sources of their authors, with no setting, from nothing that is not in the layer or in their repositories."""

import os
import re
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree

from metadata import ROOT, MetadataCase

LIBRARIES = [path for path in sorted(ROOT.glob("recipes-java/*/*.bb")) if path.parent.name != "openjdk"]
COMMON = {
    "COMMON_LICENSE_DIR": "/common-licenses",
    "TARGET_ARCH": "aarch64",
    "BUILD_ARCH": "x86_64",
    "BP": "library-1",
    "BPN": "library",
    "SRCREV": "INVALID",
    "DEBIAN_MIRROR": "http://mirror.example.com/pool",
    "STAGING_DATADIR": "/sysroot/usr/share",
}


class Libraries(MetadataCase):
    def recipes(self):
        for path in LIBRARIES:
            name, version = path.stem.rsplit("_", 1)
            yield (
                name,
                self.parsed(
                    path.relative_to(ROOT),
                    self.configuration(PV=version, **{**COMMON, "BPN": name, "BP": f"{name}-{version}"}),
                ),
            )

    def test_the_five_libraries_are_there(self):
        self.assertEqual(
            ["jackson-annotations", "jackson-core", "jackson-databind", "junixsocket", "picocli"],
            [name for name, _ in self.recipes()],
        )

    def test_each_comes_from_a_public_repository_at_a_commit(self):
        for name, d in self.recipes():
            with self.subTest(recipe=name):
                addresses = [address for address in d.getVar("SRC_URI").split() if not address.startswith("file://")]
                self.assertEqual(1, len(addresses))
                self.assertRegex(addresses[0], r"^git://github\.com/[^;]+\.git;protocol=https;branch=[^;]+;")
                self.assertRegex(d.getVar("SRCREV"), r"^[0-9a-f]{40}$")
                # The folder is the default of S on both series.
                self.assertIn(f";destsuffix={d.getVar('BP')}", addresses[0])

    def test_each_has_licence_texts_of_its_own_sources(self):
        for name, d in self.recipes():
            with self.subTest(recipe=name):
                self.assertTrue(d.getVar("LICENSE"))
                for text in d.getVar("LIC_FILES_CHKSUM").split():
                    self.assertRegex(text, r"^file://(?!/).*;md5=[0-9a-f]{32}$")

    def test_licences_are_written_as_each_series_reads_them(self):
        for series, expected in (
            ("scarthgap", "Apache-2.0 & MIT"),
            ("wrynose", "Apache-2.0 & MIT"),
            ("wrynose blacksail", "Apache-2.0 AND MIT"),
        ):
            d = self.parsed(
                "recipes-java/jackson/jackson-core_2.18.4.1.bb",
                self.configuration(PV="2.18.4.1", **{**COMMON, "BPN": "jackson-core", "LAYERSERIES_CORENAMES": series}),
            )
            self.assertEqual(expected, d.getVar("LICENSE"))

    def test_nothing_asks_for_a_quality_check_to_be_skipped_or_for_a_platform(self):
        for path in LIBRARIES:
            text = path.read_text()
            for word in ("INSANE_SKIP", "COMPATIBLE_HOST", "libc-musl"):
                self.assertNotIn(word, text, path.name)

    def test_patches_say_what_for_and_who_was_told(self):
        for path in sorted(ROOT.glob("recipes-*/**/*.patch")):
            text = path.read_text()
            self.assertRegex(text, r"(?m)^Upstream-Status: ", path.name)
            self.assertRegex(text, r"(?m)^Signed-off-by: ", path.name)


class NoMirror(unittest.TestCase):
    def test_no_document_and_no_recipe_asks_for_a_repository_of_jars(self):
        found = subprocess.run(
            ["git", "grep", "-lE", "OTAMGR_MAVEN_MIRROR|ota-maven-jar|MAVEN_JARS", "--", ":!tests/layer/test_java.py"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        self.assertEqual("", found.stdout)


class Runtime(MetadataCase):
    """The runtime of each architecture, and the JDK that links it."""

    def recipe(self, name, arch, **values):
        (path,) = ROOT.glob(f"recipes-java/openjdk/{name}")
        return self.parsed(
            path.relative_to(ROOT),
            self.configuration(
                PV=path.stem.rsplit("_", 1)[1],
                **{
                    **COMMON,
                    "TARGET_ARCH": arch,
                    "TUNE_FEATURES": "callconvention-hard",
                    "base_libdir": "/lib",
                    "DEBIAN_MIRROR": "http://mirror.example.com/debian/pool",
                    "MIRRORS": "${DEBIAN_MIRROR}\thttp://archive.example.com/archive/debian/20180310T215105Z/pool",
                    **values,
                },
            ),
        )

    def runtimes(self):
        return [
            ("openjdk-jre-headless_17*.bb", "aarch64"),
            ("openjdk-jre-headless_17*.bb", "x86_64"),
            ("openjdk-jre-headless_21*.bb", "arm"),
            ("openjdk-jre-headless_21*.bb", "riscv64"),
            ("openjdk-jre-minimal_17*.bb", "aarch64"),
            ("openjdk-17-jdk-native_*.bb", "aarch64"),
            ("openjdk-21-jdk-native_*.bb", "aarch64"),
        ]

    def test_every_package_comes_from_one_of_debians_pools_and_has_a_checksum(self):
        for name, arch in self.runtimes():
            d = self.recipe(name, arch)
            self.assertTrue(d.getVar("SRC_URI").strip(), name)
            for address in d.getVar("SRC_URI").split():
                with self.subTest(recipe=name, arch=arch, address=address):
                    self.assertRegex(
                        address,
                        r"^http://mirror\.example\.com/debian(-security/pool/updates|/pool)/main/o/openjdk-(17|21)/openjdk-\1?",
                    )
                    kind = re.search(r";name=([^;]+)", address).group(1)
                    self.assertRegex(d.getVarFlag("SRC_URI", f"{kind}.sha256sum") or "", r"^[0-9a-f]{64}$")

    def test_each_architecture_has_exactly_one_runtime(self):
        recipes = {
            path: self.recipe(path.name, "aarch64").getVar("COMPATIBLE_HOST")
            for path in ROOT.glob("recipes-java/openjdk/openjdk-jre-headless_*.bb")
        }
        for arch in ("aarch64", "arm", "x86_64", "riscv64"):
            self.assertEqual(1, sum(1 for hosts in recipes.values() if re.match(hosts, f"{arch}-oe-linux")), arch)

    def test_the_compiled_runtime_is_another_choice_and_never_a_second_one(self):
        d = self.recipe("openjdk-jre-minimal_17*.bb", "aarch64", PN="openjdk-jre-minimal")
        self.assertEqual("openjdk-jre-headless", d.getVar("RCONFLICTS:openjdk-jre-minimal"))
        # Who asks for any Java gets the usual one, unless this one was chosen.
        self.assertEqual("", d.getVar("RPROVIDES:openjdk-jre-minimal"))
        d.setVar("VIRTUAL-RUNTIME_otamgr-java", "openjdk-jre-minimal")
        self.assertEqual("java2-runtime", d.getVar("RPROVIDES:openjdk-jre-minimal"))
        for target, fits in (("aarch64-oe-linux", True), ("aarch64-oe-linux-musl", False), ("x86_64-oe-linux", False)):
            self.assertEqual(fits, bool(re.match(d.getVar("COMPATIBLE_HOST"), target)), target)

    def test_the_compiled_runtime_has_the_version_of_its_sources_and_of_its_name(self):
        d = self.recipe("openjdk-jre-minimal_17*.bb", "aarch64")
        self.assertEqual(d.getVar("PV"), d.getVar("OPENJDK_VERSION").split("+")[0])

    def test_the_compiled_runtime_takes_the_flags_of_the_machine_but_not_their_optimisation(self):
        d = self.recipe(
            "openjdk-jre-minimal_17*.bb",
            "aarch64",
            HOST_CC_ARCH="-mcpu=cortex-a57 -fstack-protector-strong -O2 -D_FORTIFY_SOURCE=2 -Werror=format-security",
            DEBUG_PREFIX_MAP="-ffile-prefix-map=/build=/usr/src",
        )
        self.assertEqual(
            "-ffunction-sections -fdata-sections -mcpu=cortex-a57 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -ffile-prefix-map=/build=/usr/src",
            d.getVar("OPENJDK_CFLAGS"),
        )

    def test_what_the_pools_no_longer_have_is_looked_for_in_the_archive_of_that_time(self):
        d = self.recipe("openjdk-jre-headless_17*.bb", "aarch64")
        time = d.getVar("OPENJDK_PIN_TIME")
        mirrors = d.getVar("MIRRORS").split()
        found = dict(zip(mirrors[2::2], mirrors[3::2], strict=False))
        self.assertEqual(
            {
                "http://mirror.example.com/debian-security/pool/updates": f"http://archive.example.com/archive/debian-security/{time}/pool/updates",
                "http://mirror.example.com/debian/pool": f"http://archive.example.com/archive/debian/{time}/pool",
            },
            found,
        )

    def test_without_an_archive_no_mirror_is_made_up(self):
        self.assertEqual(
            "x http://other.example.com/",
            self.recipe("openjdk-jre-headless_17*.bb", "aarch64", MIRRORS="x http://other.example.com/")
            .getVar("MIRRORS")
            .strip(),
        )

    def test_programs_ask_for_the_loader_where_openembedded_has_it(self):
        for arch, folder, expected in (
            ("aarch64", "/lib", ""),
            ("aarch64", "/lib64", "/lib64/ld-linux-aarch64.so.1"),
            ("aarch64", "/usr/lib", ""),
            ("aarch64", "/usr/lib64", "/lib64/ld-linux-aarch64.so.1"),
            ("x86_64", "/lib", "/lib/ld-linux-x86-64.so.2"),
            ("x86_64", "/lib64", ""),
            ("arm", "/lib", ""),
            ("riscv64", "/lib", ""),
        ):
            with self.subTest(arch=arch, folder=folder):
                name = "openjdk-jre-headless_21*.bb" if arch in ("arm", "riscv64") else "openjdk-jre-headless_17*.bb"
                d = self.recipe(name, arch, base_libdir=folder)
                d.setVar("LOADER", "${@openjdk_loader(d)}")
                self.assertEqual(expected, d.getVar("LOADER"))
                self.assertEqual(bool(expected), "patchelf-native" in d.getVar("DEPENDS").split())

    def test_the_script_that_moves_the_pin_writes_what_is_pinned(self):
        text = (ROOT / "recipes-java/openjdk/openjdk-debian.inc").read_text()
        self.assertIn("scripts/update-jdk-pin", text)
        self.assertTrue(os.access(ROOT / "scripts/update-jdk-pin", os.X_OK))
        self.assertNotRegex(text, r"[0-9]ea-", "an early-access build is pinned")


class Modules(unittest.TestCase):
    """What BitBake compiles is what Maven compiles."""

    POM = {"m": "http://maven.apache.org/POM/4.0.0"}
    SOURCES = ROOT / "otamgr-src"

    def read(self, folder):
        return ElementTree.parse(self.SOURCES / folder / "pom.xml")

    def modules(self):
        """Folder of each module by its name for Maven."""
        folders = [module.text for module in self.read("").findall("m:modules/m:module", self.POM)]
        return {self.read(folder).findtext("m:artifactId", None, self.POM): folder for folder in folders}

    def needs(self, folder, modules):
        """Folders of the modules that this one is compiled with, and what these need."""
        for dependency in self.read(folder).findall("m:dependencies/m:dependency", self.POM):
            name = dependency.findtext("m:artifactId", None, self.POM)
            if name in modules and dependency.findtext("m:scope", None, self.POM) is None:
                yield modules[name]
                yield from self.needs(modules[name], modules)

    def test_a_recipe_has_the_sources_of_every_module_that_its_modules_need(self):
        modules = self.modules()
        recipes = {path.stem.rsplit("_", 1)[0]: path.read_text() for path in sorted(ROOT.glob("recipes-ota/*/*.bb"))}
        named = {
            name: set(re.findall(r"file://otamgr-src/(\S+)/src/main", text))
            for name, text in recipes.items()
            if "file://otamgr-src/" in text
        }
        self.assertEqual({"otamgr", "otamgr-example-agent", "otamgr-simulators", "ota-tools-native"}, set(named))
        for name, folders in named.items():
            there = set(folders)
            for other in re.search(r'^DEPENDS = "(.*)"', recipes[name], re.M)[1].split():
                there |= named.get(other, set())
            for folder in sorted(folders):
                with self.subTest(recipe=name, module=folder):
                    self.assertEqual(set(), set(self.needs(folder, modules)) - there)

    def test_the_drawing_of_the_house_has_all_arrows_and_no_others(self):
        modules = self.modules()
        real, drawn = {}, {}
        for folder in modules.values():
            arrows = set()
            for dependency in self.read(folder).findall("m:dependencies/m:dependency", self.POM):
                name = modules.get(dependency.findtext("m:artifactId", None, self.POM))
                if name:
                    arrows.add((name.split("/")[1], dependency.findtext("m:scope", "compile", self.POM)))
            real[folder] = arrows
        page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
        for folder, outside, inside in re.findall(r"^    (\S+/\S+) +\d+ *([a-z -]*?) *(?:\[(.*)\])?$", page, re.M):
            drawn[folder] = {(name, "compile") for name in outside.split()} | {
                (name, "test") for name in inside.split()
            }
        self.assertEqual(real, drawn)

    def test_nothing_of_a_device_needs_a_build_host_or_test_equipment(self):
        modules = self.modules()
        rooms = {"device": 0, "build-host": 1, "test-equipment": 2}
        for folder in modules.values():
            for needed in self.needs(folder, modules):
                with self.subTest(module=folder, needed=needed):
                    self.assertLessEqual(rooms[needed.split("/")[0]], rooms[folder.split("/")[0]])
