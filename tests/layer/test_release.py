# SPDX-License-Identifier: MIT
"""scripts/release: the same bytes from the same commit, and nothing that is not in it."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

from metadata import ROOT

VERSION = (ROOT / "VERSION").read_text(encoding="utf-8").strip()


class Release(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def release(self, *words, root=ROOT, **environment):
        return subprocess.run(
            [root / "scripts/release", *map(str, words)],
            capture_output=True,
            text=True,
            env=os.environ | environment,
            check=False,
        )

    def clone(self):
        """A checkout of one commit with what is in this one, so that files that are not committed yet count, too."""
        place = self.folder / "a clone"
        listed = subprocess.run(
            ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, check=True
        ).stdout
        for name in filter(None, listed.decode().split("\0")):
            if os.path.lexists(ROOT / name):
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, place / name, follow_symlinks=False)
        author = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
        for words in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "x"]):
            subprocess.run(["git", "-C", place, *words], check=True)
        for key, value in (("user.name", "x"), ("user.email", "x@example.com")):
            subprocess.run(["git", "-C", place, "config", key, value], check=True)
        return place

    def test_a_dry_run_makes_archive_sbom_notes_and_checksums_twice_the_same(self):
        root = self.clone()
        for name, zone in (("one", "UTC"), ("two", "Asia/Tokyo")):
            done = self.release("--dry-run", "--out", self.folder / name, root=root, TZ=zone)
            self.assertEqual((0, ""), (done.returncode, done.stderr))
            self.assertIn("no tag was made", done.stdout)
        files = sorted(path.name for path in (self.folder / "one").iterdir())
        self.assertEqual(
            [
                "RELEASE-NOTES.md",
                "SHA256SUMS",
                f"meta-otamgr-{VERSION}.spdx.json",
                f"meta-otamgr-{VERSION}.tar.gz",
            ],
            files,
        )
        for name in files:
            same = (self.folder / "one" / name).read_bytes() == (self.folder / "two" / name).read_bytes()
            self.assertTrue(same, name)
        check = subprocess.run(
            ["sha256sum", "-c", "SHA256SUMS"], cwd=self.folder / "one", capture_output=True, check=False
        )
        self.assertEqual(0, check.returncode, check.stdout)
        self.assertEqual(b"", subprocess.run(["git", "-C", root, "tag"], capture_output=True, check=True).stdout)
        archive = self.folder / "one" / files[3]
        with tarfile.open(archive) as tar:
            names = tar.getnames()
        self.assertIn(f"meta-otamgr-{VERSION}/README.md", names)
        self.assertTrue(all(name.split("/")[0] == f"meta-otamgr-{VERSION}" for name in names))
        document = json.loads((self.folder / "one" / files[2]).read_text())
        ours, *others = document["packages"]
        self.assertEqual(hashlib.sha256(archive.read_bytes()).hexdigest(), ours["checksums"][0]["checksumValue"])
        self.assertEqual(
            {path.stem.rpartition("_")[0] for path in ROOT.glob("recipes-java/*/*.bb")}, {one["name"] for one in others}
        )
        self.assertEqual(len(document["packages"]), len({one["SPDXID"] for one in document["packages"]}))
        notes = (self.folder / "one/RELEASE-NOTES.md").read_text()
        self.assertLess(notes.index("## Migration"), notes.index("### Added"))
        self.assertIn("OTA_ENV_OFFSET", notes)

    def test_what_is_not_ready_is_not_tagged(self):
        root = self.clone()
        log = root / "CHANGELOG.md"
        commit = ["git", "-C", root, "commit", "-qam", "x"]
        done = self.release("--out", self.folder / "out", root=root)
        self.assertEqual(1, done.returncode)
        self.assertIn("not released yet", done.stderr)
        log.write_text(log.read_text().replace(f"## {VERSION}, not released yet", f"## {VERSION}, 2026-12-01"))
        done = self.release("--out", self.folder / "out", root=root)
        self.assertIn("not committed", done.stderr)
        subprocess.run(commit, check=True)
        done = self.release("--out", self.folder / "out", root=root)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        tags = subprocess.run(["git", "-C", root, "tag"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(f"v{VERSION}\n", tags)
        log.write_text(log.read_text().replace("### Migration", "### Other"))
        subprocess.run(commit, check=True)
        self.assertIn("no part Migration", self.release("--dry-run", "--out", self.folder / "out", root=root).stderr)

    def test_the_next_version_reaches_every_place(self):
        root = self.clone()
        done = self.release("--set", "9.8.7", root=root)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertEqual("9.8.7\n", (root / "VERSION").read_text())
        self.assertIn("<revision>9.8.7</revision>", (root / "otamgr-src/pom.xml").read_text())
        self.assertEqual([], list(root.glob(f"recipes-ota/*/*_{VERSION}.bb")))
        self.assertEqual(
            len(list(ROOT.glob(f"recipes-ota/*/*_{VERSION}.bb"))), len(list(root.glob("recipes-ota/*/*_9.8.7.bb")))
        )
        self.assertEqual(2, self.release("--set", "9.8", root=root).returncode)
