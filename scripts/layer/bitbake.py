# SPDX-License-Identifier: MIT
"""A build folder with this layer, and BitBake run in it."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What the folder's local.conf needs to stay within this machine, whatever the distribution sets.
# What goes into BBLAYERS.
LAYER = ROOT / "meta-otamgr"
LOCAL_CONF = """\
CONF_VERSION = "2"
CONNECTIVITY_CHECK_URIS = ""
BB_HASHSERVE = ""
BB_SIGNATURE_HANDLER = "OEBasicHash"
INHERIT_DISTRO:remove = "uninative"
"""


class BuildError(Exception):
    """A command failed, or its output has what it must not have; the message says which and where the whole output is."""


def series_of(oe_core):
    """The series that a checkout of OpenEmbedded-Core says it is."""
    text = (oe_core / "meta/conf/layer.conf").read_text()
    # Of several, as a development branch has them, the last is its own.
    found = re.search(r'^LAYERSERIES_CORENAMES = "(?:\w+ )*(\w+)"', text, re.M)
    if not found:
        raise BuildError(
            f"{oe_core}: expected a checkout of OpenEmbedded-Core with LAYERSERIES_CORENAMES in meta/conf/layer.conf, found none"
        )
    return found[1]


class Build:
    """One build folder. Commands run as `user` when this process is root, because BitBake refuses root."""

    def __init__(self, folder, oe_core, bitbake, layers, conf, user):
        self.folder = folder.resolve()
        self._oe_core = oe_core.resolve()
        self._bitbake = bitbake.resolve()
        self._user = user
        (folder / "conf").mkdir(parents=True, exist_ok=True)
        lines = " ".join(str(Path(layer).resolve()) for layer in [self._oe_core / "meta", *layers])
        self._write(
            "conf/bblayers.conf", f'LCONF_VERSION = "7"\nBBPATH = "${{TOPDIR}}"\nBBFILES ?= ""\nBBLAYERS = "{lines}"\n'
        )
        self._write("conf/local.conf", LOCAL_CONF + conf)
        # Not what BitBake made in there: a server that ends takes its socket away meanwhile.
        if user:
            shutil.chown(self.folder, user)
            self.owned(self.folder / "conf")

    def _write(self, name, text):
        # Unchanged, it keeps its time, and BitBake what it has parsed.
        path = self.folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)

    def run(self, words, log, environment=None, check=True):
        """Runs a command in the build environment; its output goes to the file `log` and is returned."""
        command = (
            f"cd {shlex.quote(str(self.folder))} && . {shlex.quote(str(self._oe_core / 'oe-init-build-env'))} "
            f"{shlex.quote(str(self.folder))} {shlex.quote(str(self._bitbake))} > /dev/null && exec {shlex.join(map(str, words))}"
        )
        values = {
            "LC_ALL": "en_US.UTF-8",
            "BITBAKEDIR": str(self._bitbake),
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            **(environment or {}),
        }
        if environment:
            values["BB_ENV_PASSTHROUGH_ADDITIONS"] = " ".join(environment)
        words = ["env", *(f"{k}={v}" for k, v in values.items()), "bash", "-c", command]
        if self._user:
            words = ["runuser", "-u", self._user, "--", *words]
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "w") as out:
            status = subprocess.run(words, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode
        text = log.read_text(errors="replace")
        if status != 0 and check:
            errors = re.findall(r"^ERROR: .{0,400}", text, re.M)[:10]
            raise BuildError("\n  ".join([f"exit status {status}, the whole output is in {log}", *errors]))
        return text

    def bitbake(self, words, log, machine):
        return self.run(["bitbake", *words], log, {"MACHINE": machine})

    def value(self, name, machine, recipe=None):
        """The value of a variable, as BitBake computes it."""
        out = self.bitbake(["-e", *([recipe] if recipe else [])], self.folder / "logs/environment", machine)
        found = re.search(rf'^(?:export )?{re.escape(name)}="(.*)"$', out, re.M)
        if not found:
            raise BuildError(f"{name} has no value")
        return found[1]

    def owned(self, path):
        """Gives a path that this process made to the user of BitBake."""
        if self._user:
            subprocess.run(["chown", "-R", f"{self._user}:", path], check=True)
        return path


def our_recipes(folder=ROOT):
    """Names of the layer's recipes."""
    return sorted({path.name.rsplit("_", 1)[0].removesuffix(".bb") for path in folder.glob("recipes-*/*/*.bb")})


def warnings_of_ours(text):
    """The warnings in BitBake's output that a recipe or file of this layer caused."""
    names = "|".join(map(re.escape, our_recipes()))
    found = []
    for line in text.splitlines():
        if line.startswith(("WARNING: ", "ERROR: ")) and (
            re.match(rf"(WARNING|ERROR): ({names})-[^ ]+ ", line) or str(ROOT) in line
        ):
            found.append(line)
    return found
