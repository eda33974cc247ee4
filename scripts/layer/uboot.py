# SPDX-License-Identifier: MIT
"""The configuration fragment of the layer in U-Boot's own Kconfig, for the boards whose U-Boot needs it."""

import re
import subprocess
import sys

from bitbake import ROOT, BuildError

sys.path.insert(0, str(ROOT / "lib"))

from otamgr import layout  # noqa: E402

DEFCONFIGS = {"beaglebone-yocto": "am335x_evm_defconfig", "sama5d2-xplained-emmc": "sama5d2_xplained_emmc_defconfig",
              "qemux86-64": "qemu-x86_64_defconfig"}
FILES = ROOT / "recipes-ota/u-boot"


class _Settings(dict):
    def getVar(self, name):  # noqa: N802 (BitBake's name)
        return self.get(name, "")


def _settings(machine):
    """The OTA_ settings of ota-env.inc, as they are for a machine."""
    settings = _Settings()
    for name, override, value in re.findall(r'^(OTA_\w+)(?::([\w-]+))? \?= "(.*)"$', (FILES / "ota-env.inc").read_text(), re.M):
        if override in ("", machine) or override == "qemuall" and machine.startswith("qemu"):
            settings[name] = value
    return settings


def check(source, folder):
    """Configures U-Boot for every board as its recipe does; raises BuildError for a symbol that Kconfig does not take."""
    boot = FILES / "files/ota-boot.cfg"
    for machine, defconfig in DEFCONFIGS.items():
        out = folder / machine
        out.mkdir(parents=True, exist_ok=True)
        settings = _settings(machine)
        (out / "ota-env.cfg").write_text(layout.uboot_config(settings))
        make = ["make", "-s", "-C", source, f"O={out}"]
        for words in ([*make, defconfig], [source / "scripts/kconfig/merge_config.sh", "-m", "-O", out, out / ".config", boot, out / "ota-env.cfg"],
                      [*make, "olddefconfig"]):
            done = subprocess.run([str(w) for w in words], cwd=source, capture_output=True, text=True)
            if done.returncode != 0:
                raise BuildError(f"{machine}: {' '.join(map(str, words))}: {done.stderr.strip()}")
        config = (out / ".config").read_text()
        found = layout.uboot_config_problems(settings, config)
        for line in boot.read_text().splitlines():
            if line.startswith("CONFIG_") and f"{line}\n" not in config:
                found.append(f"{line} of {boot.name} is not in the configuration")
        if found:
            raise BuildError("\n  ".join([f"{machine} ({defconfig}):", *found]))
    return f"{', '.join(DEFCONFIGS.values())} take the fragment"
