# SPDX-License-Identifier: MIT
"""The OTA_ settings of a machine without BitBake: the defaults of ota-env.inc, and what a person writes over them."""

import re
from pathlib import Path

ENV_INC = Path(__file__).resolve().parents[2] / "recipes-ota/u-boot/ota-env.inc"


class Settings(dict):
    def getVar(self, name):  # noqa: N802 (BitBake's name)
        return self.get(name, "")


def _lines():
    return re.findall(r'^(OTA_\w+)(?::([\w-]+))? \?= "(.*)"$', ENV_INC.read_text(encoding="utf-8"), re.M)


def names():
    return {name for name, _, _ in _lines()}


def of(machine, own=()):
    """Plain defaults only: those that are expressions of BitBake stay as they are written."""
    found = {}
    for name, override, value in _lines():
        if override in ("", machine) or override == "qemuall" and machine.startswith("qemu"):
            found[name] = value
    return Settings(found | dict(own))
