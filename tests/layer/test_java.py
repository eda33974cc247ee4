# SPDX-License-Identifier: MIT
"""Java libraries: compiled from the sources of their authors, with no setting, from nothing that is not in the layer or in their repositories."""

import re
import subprocess
import unittest

from metadata import ROOT, MetadataCase

LIBRARIES = [path for path in sorted(ROOT.glob("recipes-java/*/*.bb")) if path.parent.name != "openjdk"]
COMMON = {"COMMON_LICENSE_DIR": "/common-licenses", "TARGET_ARCH": "aarch64", "BUILD_ARCH": "x86_64", "BP": "library-1", "BPN": "library",
          "SRCREV": "INVALID", "DEBIAN_MIRROR": "http://mirror.example.com/pool", "STAGING_DATADIR": "/sysroot/usr/share"}


class Libraries(MetadataCase):
    def recipes(self):
        for path in LIBRARIES:
            name, version = path.stem.rsplit("_", 1)
            yield name, self.parsed(path.relative_to(ROOT), self.configuration(PV=version, **{**COMMON, "BPN": name, "BP": f"{name}-{version}"}))

    def test_the_five_libraries_are_there(self):
        self.assertEqual(["jackson-annotations", "jackson-core", "jackson-databind", "junixsocket", "picocli"], [name for name, _ in self.recipes()])

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
        found = subprocess.run(["git", "grep", "-lE", "OTAMGR_" "MAVEN_MIRROR|ota-maven" "-jar|MAVEN" "_JARS"], cwd=ROOT, capture_output=True, text=True)
        self.assertEqual("", found.stdout)


class Runtime(MetadataCase):
    def test_every_debian_package_that_is_named_has_a_checksum(self):
        for machine, arch in (("qemuarm64", "aarch64"), ("qemuarm", "arm"), ("qemux86-64", "x86_64")):
            for path in sorted(ROOT.glob("recipes-java/openjdk/*.bb")):
                d = self.parsed(path.relative_to(ROOT), self.configuration(machine, PV=path.stem.rsplit("_", 1)[1], **{
                    **COMMON, "TARGET_ARCH": arch, "TUNE_FEATURES": "callconvention-hard", "WORKDIR": "/work"}))
                with self.subTest(recipe=path.name, arch=arch):
                    for address in d.getVar("SRC_URI").split():
                        name = re.search(r";name=([^;]+)", address).group(1)
                        self.assertRegex(d.getVarFlag("SRC_URI", f"{name}.sha256sum") or "", r"^[0-9a-f]{64}$", address)
