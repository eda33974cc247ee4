# SPDX-License-Identifier: MIT
"""Published jars: where they come from, and what of them ships."""

import hashlib
import zipfile

from metadata import ROOT, Failure, MetadataCase, bb, otamgr


class Jars(MetadataCase):
    def recipe(self, text="", **values):
        (self.folder / "some-jar_1.bb").write_text(f'inherit ota-maven-jar\nMAVEN_JARS = "org.example:some-jar:1.0"\n{text}')
        return bb.parse.handle(str(self.folder / "some-jar_1.bb"), self.configuration(**values))[""]

    def repository(self, members=("A.class",)):
        folder = self.folder / "repository/org/example/some-jar/1.0"
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / "some-jar-1.0.jar", "w") as jar:
            for member in members:
                jar.writestr(member, member)
        return hashlib.sha256((folder / "some-jar-1.0.jar").read_bytes()).hexdigest()

    def test_a_coordinate_becomes_an_address_below_the_mirror(self):
        self.assertEqual("https://repository.example.com/maven2/org/example/some-jar/1.0/some-jar-1.0.jar;name=some-jar;unpack=0",
                         self.recipe(OTAMGR_MAVEN_MIRROR="https://repository.example.com/maven2").getVar("SRC_URI"))

    def test_a_coordinate_with_a_missing_part_is_refused(self):
        for coordinate in ("some-jar:1.0", "org.example::1.0", "a:b:c:d"):
            with self.assertRaisesRegex(ValueError, "expected group:artifact:version"):
                otamgr.maven.uri(coordinate)

    def test_without_a_mirror_the_build_says_what_to_set(self):
        d = self.recipe('SRC_URI[some-jar.sha256sum] = "0"\n', BB_NO_NETWORK="1")
        with self.assertRaises(Failure) as failure:
            self.run_function("ota_maven_fetch", d)
        for text in ("org.example:some-jar:1.0", "OTAMGR_MAVEN_MIRROR is not set", str(self.folder / "downloads"), "conf/local.conf"):
            self.assertIn(text, str(failure.exception))

    def test_without_a_mirror_a_jar_that_is_in_the_download_folder_is_enough(self):
        digest = self.repository()
        (self.folder / "repository/org/example/some-jar/1.0/some-jar-1.0.jar").rename(self.folder / "downloads/some-jar-1.0.jar")
        d = self.recipe(f'SRC_URI[some-jar.sha256sum] = "{digest}"\n', BB_NO_NETWORK="1")
        self.run_function("ota_maven_fetch", d)

    def test_the_licence_files_of_the_jar_are_laid_out_for_their_checksums(self):
        digest = self.repository(("META-INF/LICENSE", "META-INF/NOTICE"))
        d = self.recipe(f'SRC_URI[some-jar.sha256sum] = "{digest}"\nMAVEN_LICENSE_FILES = "META-INF/LICENSE META-INF/NOTICE"\n',
                        OTAMGR_MAVEN_MIRROR=f"file://{self.folder}/repository")
        self.run_function("ota_maven_unpack_license", d)
        self.assertEqual("META-INF/NOTICE", (self.folder / "work/license/NOTICE").read_text())

    def test_every_jar_has_a_checksum_and_a_licence(self):
        for path in sorted(ROOT.glob("recipes-java/*/*.bb")):
            d = self.parsed(path.relative_to(ROOT), self.configuration(PV=path.stem.split("_")[1], COMMON_LICENSE_DIR="/common-licenses",
                                                                       TARGET_ARCH="aarch64", BUILD_ARCH="x86_64", DEBIAN_MIRROR="http://mirror.example.com/pool"))
            with self.subTest(recipe=path.name):
                self.assertTrue(d.getVar("LICENSE"))
                self.assertTrue(d.getVar("LIC_FILES_CHKSUM"))
                for address in d.getVar("SRC_URI").split():
                    name = dict(part.split("=", 1) for part in address.split(";")[1:])["name"]
                    self.assertRegex(d.getVarFlag("SRC_URI", f"{name}.sha256sum") or "", r"^[0-9a-f]{64}$", address)

    def test_only_the_library_of_the_target_ships(self):
        for arch, overrides, member in (("aarch64", "", "aarch64"), ("arm", "", "arm"), ("x86_64", "x86-64", "amd64"), ("riscv64", "", "riscv64")):
            with self.subTest(arch=arch):
                d = self.parsed("recipes-java/junixsocket/junixsocket_2.10.1.bb", self.configuration(
                    PV="2.10.1", TARGET_ARCH=arch, OVERRIDES=overrides, libdir=f"/usr/lib-{arch}", COMMON_LICENSE_DIR="/common-licenses"))
                source = self.folder / "work"
                for name in ("common", "native-common"):
                    with zipfile.ZipFile(source / f"junixsocket-{name}-2.10.1.jar", "w") as jar:
                        for platform in ("aarch64", "arm", "amd64", "riscv64", "s390x"):
                            jar.writestr(f"lib/{platform}-Linux-clang/jni/libjunixsocket-native-2.10.1.so", platform)
                self.run_function("do_install", d)
                libraries = list((self.folder / f"image/usr/lib-{arch}").rglob("*.so"))
                self.assertEqual([member], [path.read_text() for path in libraries])
