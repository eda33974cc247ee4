# SPDX-License-Identifier: MIT
"""The layer's own files as the board builder needs them: paths, settings, filled templates."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes-ota"
BUILD = ROOT / "build"


def settings(machine="", **overrides):
    """The OTA_* settings of recipes-ota/u-boot/ota-env.inc, those of one of its machines, with the words derived from them."""
    text = (RECIPES / "u-boot" / "ota-env.inc").read_text()
    values = dict(re.findall(r'^(OTA_\w+) \?= "(.*)"$', text, re.M))
    if machine:
        values.update(re.findall(rf'^(OTA_\w+):{machine} \?= "(.*)"$', text, re.M))
    unknown = set(overrides) - set(values)
    if unknown:
        raise ValueError(f"not a setting of ota-env.inc: {sorted(unknown)}")
    values.update(overrides)
    size = int(values["OTA_ENV_SIZE"], 16)
    values["OTA_ENV_BLOCK"] = f"{int(values['OTA_ENV_OFFSET'], 16) // 512:x}"
    values["OTA_ENV_BLOCK_REDUND"] = f"{int(values['OTA_ENV_OFFSET_REDUND'], 16) // 512:x}"
    values["OTA_ENV_BLOCKS"] = f"{size // 512:x}"
    # A raw copy is checksum (4), generation (1), data; the form env import and export know is checksum (4), data.
    values["OTA_ENV_DATA_SIZE"] = f"{size - 5:x}"
    values["OTA_ENV_PLAIN_SIZE"] = f"{size - 1:x}"
    return values


def runtime_resources_left_out():
    """Of the Java runtime, as the recipes link it."""
    text = (ROOT / "recipes-java/openjdk/openjdk-jre.inc").read_text()
    (words,) = re.findall(r'^OPENJDK_LEFT_OUT \?= "([^"]*)"$', text, re.M)
    return words.replace("\\\n", " ").split()


def fill(template, values):
    """The text of a .in file with every @WORD@ replaced; a word without a value is an error."""

    def value(match):
        if match[1] not in values:
            raise ValueError(f"{template}: no value for @{match[1]}@")
        return values[match[1]]

    return re.sub(r"@(OTA_\w+)@", value, Path(template).read_text())
