# SPDX-License-Identifier: MIT
"""A setting that changes is seen by every task that it changes: BitBake finds by itself only names that stand in recipes and classes."""

import re
from pathlib import Path

from metadata import ROOT, MetadataCase, bb

SETTINGS = ROOT / "recipes-ota/u-boot/ota-env.inc"
# Keys are no settings of the disk; what comes of them are files that recipes depend on.
KEYS = {"OTA_VERIFIED_KEY"}
TASKS = {
    "recipes-ota/u-boot/ota-boot-script_0.2.0.bb": ("do_compile",),
    "recipes-ota/u-boot/ota-fw-env_0.2.0.bb": ("do_compile",),
    "recipes-ota/u-boot/ota-uboot.inc": ("do_configure", "do_compile"),
    "classes/ota-image.bbclass": ("do_rootfs",),
}

IMAGE = {"OTAMGR_REPOSITORY": str(ROOT), "IMAGE_BASENAME": "x", "PV": "1"}


class Signatures(MetadataCase):
    def seen(self, path, task):
        """The names of all variables that the signature of a task stands on."""
        if not path.endswith(".bb"):
            # Somebody else's recipe, with this task of OpenEmbedded-Core's.
            word, name = ("require", path) if path.endswith(".inc") else ("inherit", Path(path).stem)
            path = self.folder / "somebodys.bb"
            path.write_text(f"{word} {name}\n{task} () {{\n    :\n}}\n")
        d = self.parsed(path, self.configuration(**IMAGE))
        d.setVar("__BBTASKS", [task])
        d.setVar("__exportlist", [])
        _, dependencies, _ = bb.data.generate_dependencies(d, set())
        found, waiting = set(), [task]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += dependencies.get(name, ())
        return found

    def test_every_setting_of_disk_and_environment_is_part_of_what_is_made_from_it(self):
        settings = set(re.findall(r"^(OTA_\w+) \?= ", SETTINGS.read_text(), re.M)) - KEYS
        self.assertGreater(len(settings), 20)
        for path, tasks in TASKS.items():
            for task in tasks:
                with self.subTest(path=path, task=task):
                    self.assertEqual(set(), settings - self.seen(path, task))

    def test_the_layout_of_the_disk_is_made_anew_where_the_environment_moves(self):
        values = [
            self.parsed("classes/ota-image.bbclass", self.configuration(OTA_ENV_OFFSET=place, **IMAGE)).getVarFlag(
                "OTA_WKS_ENVIRONMENT", "vardepvalue"
            )
            for place in ("0x600000", "0x700000")
        ]
        self.assertTrue(all(values))
        self.assertNotEqual(*values)
