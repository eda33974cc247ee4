# SPDX-License-Identifier: MIT
"""OTA records come from TMPDIR into /etc, and a build without them says so."""

import json

import bb.checksum

from metadata import Failure, MetadataCase

RECIPE = "recipes-ota/ota-record/ota-record_0.2.0.bb"
RECORD = {"version": "1.2.3", "versionNumber": "123"}


class Record(MetadataCase):
    def install(self, **values):
        d = self.parsed(RECIPE, self.configuration(**values))
        self.run_function("do_install", d)
        etc = self.folder / "image/etc"
        return {path.name: path for path in etc.iterdir()}

    def write(self, name, text):
        (self.folder / "tmp" / name).write_text(text)

    def test_both_records_become_files_in_etc_byte_for_byte(self):
        full, app = json.dumps(RECORD, indent=4), json.dumps({**RECORD, "type": 6})
        self.write("full_ota_record.json", full)
        self.write("app_ota_record.json", app)
        installed = self.install()
        self.assertEqual({"full_ota_record.json", "app_ota_record.json"}, set(installed))
        self.assertEqual(full, installed["full_ota_record.json"].read_text())
        self.assertEqual(app, installed["app_ota_record.json"].read_text())
        self.assertEqual([], self.warnings())

    def test_names_with_hyphens_as_the_documentation_writes_them_are_found_too(self):
        self.write("full-ota-record.json", json.dumps(RECORD))
        self.assertEqual({"full_ota_record.json"}, set(self.install()))

    def test_without_a_record_the_build_warns_and_says_how_to_make_one(self):
        self.assertEqual({}, self.install())
        (warning,) = self.warnings()
        self.assertIn("full_ota_record.json is missing in " + str(self.folder / "tmp"), warning)
        self.assertIn("scripts/ota record create", warning)

    def test_without_a_record_that_is_required_the_build_ends(self):
        with self.assertRaisesRegex(Failure, "full_ota_record.json is missing"):
            self.install(OTA_RECORD_REQUIRED="1")

    def test_a_missing_record_of_the_application_is_no_problem(self):
        self.write("full_ota_record.json", json.dumps(RECORD))
        self.install(OTA_RECORD_REQUIRED="1")
        self.assertEqual([], self.warnings())

    def test_a_record_that_is_none_ends_the_build_and_names_the_file(self):
        for text in ("not json", "[]", "{}"):
            with self.subTest(text=text):
                self.write("full_ota_record.json", text)
                with self.assertRaisesRegex(Failure, "/tmp/full_ota_record.json: expected a JSON object"):
                    self.install()

    def test_records_are_taken_from_another_folder_when_one_is_named(self):
        other = self.folder / "records"
        other.mkdir()
        (other / "full_ota_record.json").write_text(json.dumps(RECORD))
        self.assertEqual(
            {"full_ota_record.json"}, set(self.install(OTA_RECORD_DIR=str(other), OTA_RECORD_REQUIRED="1"))
        )

    def test_a_new_record_makes_the_package_anew_and_the_folder_alone_does_not(self):
        d = self.parsed(RECIPE)
        self.assertIn("/*ota*record.json:True", d.getVarFlag("do_install", "file-checksums"))
        self.assertIn("OTA_RECORD_DIR", d.getVarFlag("do_install", "vardepsexclude").split())

    def test_a_new_record_makes_the_bundle_anew(self):
        self.write("full_ota_record.json", json.dumps(RECORD))
        d = self.parsed("classes/ota-bundle.bbclass")
        # Of the patterns that glob knows, BitBake only takes those with a star.
        names = d.getVarFlag("do_image_complete", "file-checksums")
        found = bb.checksum.FileChecksumCache().get_checksums(names, "do_image_complete", ())
        self.assertIn("full_ota_record.json", {path.rsplit("/", 1)[1] for path, _ in found})
        self.assertEqual([], self.warnings())
