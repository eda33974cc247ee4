# SPDX-License-Identifier: MIT
"""What a recipe of the layer puts into an image, by its own do_install, users and services: so that a board cannot differ."""

import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from emulated_board import layer

# As OpenEmbedded has them with systemd, which wants one /usr.
_PLACES = {
    "bindir": "/usr/bin",
    "sbindir": "/usr/sbin",
    "base_sbindir": "/usr/sbin",
    "libdir": "/usr/lib",
    "nonarch_libdir": "/usr/lib",
    "nonarch_base_libdir": "/usr/lib",
    "datadir": "/usr/share",
    "sysconfdir": "/etc",
    "systemd_system_unitdir": "/usr/lib/systemd/system",
}
_FEATURE = re.compile(r"\$\{@bb\.utils\.contains\('DISTRO_FEATURES', '(\w+)', '(\w+)', '(\w+)', d\)\}")


class Recipe:
    """One that is found by its name below recipes-ota."""

    def __init__(self, name):
        (self._path,) = layer.RECIPES.glob(f"*/{name}_*.bb")
        self._text = self._path.read_text()

    def _one(self, pattern):
        """What the only place of the recipe says, which looks like that."""
        found = re.findall(pattern, self._text, re.M | re.S)
        if len(found) != 1:
            raise RuntimeError(f"{self._path}: expected one {pattern!r}, found {len(found)}")
        return found[0]

    def _unpacked(self, folder):
        places = [self._path.parent / "files", layer.ROOT]
        places += [self._path.parent / path for path in re.findall(r"\$\{THISDIR\}/([^:\s$]+/files)", self._text)]
        for name, subdir in re.findall(r"file://([^\s\";]+)(?:;subdir=(\S+))?", self._one(r'^SRC_URI = "(.*?)"')):
            source = next((place / name for place in places if (place / name).exists()), None)
            if source is None:
                raise RuntimeError(f"{self._path}: {name} is in none of {', '.join(map(str, places))}")
            target = folder / subdir / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)

    def install(self, tree, built=()):
        """Into a root file system whose /bin, /sbin and /lib are those of /usr; `built` are the files that do_compile would have made."""
        body = _FEATURE.sub(
            lambda use: use[2] if use[1] == "systemd" else use[3], self._one(r"^do_install \(\) \{\n(.*?)^\}")
        )
        if "${@" in body:
            raise RuntimeError(f"{self._path}: do_install asks for more than features of the distribution")
        with tempfile.TemporaryDirectory() as folder:
            sources, products, image = (Path(folder) / name for name in ("sources", "products", "image"))
            for made in (sources, products, image):
                made.mkdir()
            self._unpacked(sources)
            for file in built:
                (products / file.name).symlink_to(file)
            environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "S": sources, "B": products, "D": image, **_PLACES}
            subprocess.run(["sh", "-euc", body], check=True, env=environment)
            subprocess.run(["cp", "-a", "--remove-destination", f"{image}/.", tree], check=True)
        users = re.findall(r'^USERADD_PARAM:\$\{PN\} = "(.*)"', self._text, re.M)
        for words in users:
            subprocess.run(
                [shutil.which("useradd", path="/usr/sbin:/sbin"), "--prefix", tree, *shlex.split(words)], check=True
            )
        subprocess.run(
            ["systemctl", "--quiet", "--root", tree, "enable", self._one(r'^SYSTEMD_SERVICE:\$\{PN\} = "(.*?)"')],
            check=True,
        )
