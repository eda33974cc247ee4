# SPDX-License-Identifier: MIT
"""scripts/evidence: a requirement counts as shown only by a test that passed or a file that is there."""

import importlib.machinery
import importlib.util
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from metadata import ROOT

sys.path.insert(0, str(ROOT / "lib"))
from otamgr import bundle  # noqa: E402

SCRIPT = ROOT / "scripts/evidence"


def loaded():
    loader = importlib.machinery.SourceFileLoader("evidence", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("evidence", loader))
    loader.exec_module(module)
    return module


class Evidence(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.evidence = loaded()

    def test_a_test_counts_as_its_own_line_says_and_else_as_its_stage(self):
        results = self.evidence.Results(
            "##### shell\nok 1 - an update works # 2 s\nnot ok 2 - a torn line is kept\nok 3 - both # SKIP no tool\n"
            "##### java\n9 tests, 0 failures, 0 errors, 0 skipped, 1 s: org.metaotamgr.host.EventLogTest\n"
            "9 tests, 1 failures, 0 errors, 0 skipped, 1 s: org.metaotamgr.host.TlsTest\n##### cuts\n200 cuts\n\n"
            "shell   FAILED     9 s     1 kept, 1 not kept\njava    passed     9 s     9 kept\ncuts    passed     9 s     1 kept\n"
        )
        for place, expected in (
            ("shell/an update", "passed"),
            ("shell/a torn line", "failed"),
            ("shell/both", "failed"),
            ("shell/something else", "failed"),
            ("java/EventLogTest#everyLine", "passed"),
            ("java/TlsTest#good", "failed"),
            ("cuts/", "passed"),
            ("demo/", "not run"),
        ):
            with self.subTest(place=place):
                self.assertEqual(expected, results.of(place)[0])

    def test_of_several_logs_the_last_counts_and_a_part_of_a_stage_says_nothing_about_all_of_it(self):
        whole = "##### cuts\nboard\n\ncuts    FAILED     9 s     0 kept\ndemo    passed     9 s     1 kept\n"
        again = "##### cuts\nboard\n\ncuts    passed     9 s     1 kept\n"
        some = "##### docs/Links\nok 1 - one\n\ndocs    passed     2 s     1 kept\n"
        results = self.evidence.Results(whole, again, some)
        self.assertEqual("passed", results.of("cuts/")[0])
        self.assertEqual("passed", results.of("demo/")[0])
        self.assertEqual("not run", results.of("docs/")[0])
        self.assertEqual("failed", self.evidence.Results(again, whole).of("cuts/")[0])

    def test_thirty_requirements_and_more_lead_to_promises_that_there_are(self):
        rows = self.evidence.rows()
        self.assertGreaterEqual(len(rows), 30)
        self.assertEqual(len(rows), len({row.name for row in rows}))
        listed = subprocess.run(
            [ROOT / "scripts/test", "--list"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for row in rows:
            if row.kind == "test":
                with self.subTest(requirement=row.name):
                    self.assertTrue(self.evidence.promises(listed, row.shown_by), row.shown_by)

    def test_the_folder_is_whole_signed_and_tells_what_is_not_shown(self):
        stages = {row.shown_by.partition("/")[0] for row in self.evidence.rows() if row.kind == "test"}
        log = self.folder / "test.log"
        log.write_text("".join(f"{stage:7} passed     1 s     1 kept\n" for stage in sorted(stages)))
        bundle.make_key(self.folder / "release.key")
        done = subprocess.run(
            [SCRIPT, self.folder / "good", "--results", log, "--key", self.folder / "release.key"],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((0, ""), (done.returncode, done.stderr), done.stdout)
        check = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=self.folder / "good", check=False)
        self.assertEqual(0, check.returncode)
        bundle.verify_signature(
            self.folder / "good/SHA256SUMS",
            (self.folder / "good/SHA256SUMS.sig").read_bytes(),
            "",
            [self.folder / "release.pem"],
        )
        log.write_text(log.read_text().replace("cuts    passed", "cuts    FAILED"))
        done = subprocess.run(
            [SCRIPT, self.folder / "bad", "--results", log], capture_output=True, text=True, check=False
        )
        self.assertEqual(1, done.returncode)
        self.assertIn("not shown: CRA I.I.2k: cuts/: failed", done.stdout)
        again = subprocess.run([SCRIPT, self.folder / "bad"], capture_output=True, text=True, check=False)
        self.assertEqual(2, again.returncode)
        self.assertIn("is there already", again.stderr)
