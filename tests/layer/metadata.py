# SPDX-License-Identifier: MIT
"""Recipes and classes of the layer, parsed and run by BitBake's own Python package.

OpenEmbedded-Core is not there: classes of it that our recipes inherit are empty files, and what they would set is set by the test.
"""

import atexit
import logging
import os
import re
import shutil
import sys
import tempfile
import types
import unittest
from pathlib import Path


def _without_blanks(path):
    """The same folder by a name that BitBake can read, which takes names of functions from paths."""
    if re.fullmatch(r"[\w/.+-]+", str(path), re.ASCII):
        return path
    folder = tempfile.mkdtemp(prefix="layer-root-")
    atexit.register(shutil.rmtree, folder)
    link = Path(folder) / "root"
    link.symlink_to(path)
    return link


ROOT = _without_blanks(Path(__file__).resolve().parents[2])
CORE_CLASSES = (
    "allarch",
    "base",
    "core-image",
    "deploy",
    "kernel-arch",
    "native",
    "nativesdk",
    "nopackages",
    "packagegroup",
    "ptest",
    "qemu",
    "systemd",
    "update-alternatives",
    "update-rc.d",
)

# The package leaves out the client of the hash equivalence server, which nothing here talks to, and yet imports it.
hashserv = types.ModuleType("hashserv")
hashserv.client = types.ModuleType("hashserv.client")
sys.modules.setdefault("hashserv", hashserv)
sys.modules.setdefault("hashserv.client", hashserv.client)

import bb  # noqa: E402
import bb.build  # noqa: E402
import bb.data  # noqa: E402
import bb.event  # noqa: E402
import bb.fetch2  # noqa: E402
import bb.parse  # noqa: E402
import bb.utils  # noqa: E402

sys.path.insert(0, str(ROOT / "lib"))
import otamgr.layout  # noqa: E402
import otamgr.license  # noqa: E402
import otamgr.machine  # noqa: E402
import otamgr.man  # noqa: E402
import otamgr.size  # noqa: E402
import otamgr.uboot  # noqa: E402

bb.utils._context.update({"otamgr": otamgr, "os": os, "bb": bb})


class Failure(Exception):
    """What bb.fatal said."""


class MetadataCase(unittest.TestCase):
    """A datastore as BitBake has it after the configuration, and a folder to work in."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="layer-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "classes").mkdir()
        for name in CORE_CLASSES:
            (self.folder / "classes" / f"{name}.bbclass").touch()
        self.said = []
        handler = logging.Handler()
        handler.emit = lambda record: self.said.append((record.levelname, record.getMessage()))
        for name in ("BitBake", "BitBake.Build"):
            logger = logging.getLogger(name)
            logger.addHandler(handler)
            logger.propagate = False
            self.addCleanup(logger.removeHandler, handler)
        self.d = self.configuration()

    def configuration(self, machine="qemuarm64", **values):
        d = bb.data.init()
        for name, value in {
            "BBPATH": f"{self.folder}:{ROOT}",
            "TOPDIR": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "WORKDIR": str(self.folder / "work"),
            "T": str(self.folder / "temp"),
            "D": str(self.folder / "image"),
            "PN": "test",
            "PV": "1",
            "DL_DIR": str(self.folder / "downloads"),
            "FILE": "",
            "PATH": os.environ["PATH"],
            "sysconfdir": "/etc",
            "datadir": "/usr/share",
            "bindir": "/usr/bin",
            "libdir": "/usr/lib",
            "nonarch_libdir": "/usr/lib",
            "mandir": "/usr/share/man",
            "MACHINE": machine,
            "OVERRIDES": f"qemuall:{machine}" if machine.startswith("qemu") else machine,
            "LAYERSERIES_CORENAMES": "scarthgap",
            "__bbclasstype": "recipe",
            **values,
        }.items():
            d.setVar(name, value)
        for name in ("tmp", "work/build", "temp", "image", "downloads"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        bb.parse.init_parser(d)
        return d

    def parsed(self, path, d=None):
        """The datastore of a recipe, class or include file of the layer."""
        d = d or self.d
        path = ROOT / path
        if path.suffix == ".bbclass":
            (self.folder / "of-class.bb").write_text(f"inherit {path.stem}\n")
            path = self.folder / "of-class.bb"
        if path.suffix == ".inc":
            bb.parse.handle(str(path), d, True)
            return d
        parsed = bb.parse.handle(str(path), d)[""]
        parsed.setVar("B", str(self.folder / "work/build"))
        return parsed

    def run_function(self, name, d):
        """Runs a function of the metadata. Raises Failure with what it said when it ends with bb.fatal."""
        self.said.clear()
        try:
            bb.build.exec_func(name, d)
        except bb.BBHandledException:
            raise Failure("\n".join(text for level, text in self.said if level in ("ERROR", "CRITICAL"))) from None

    def warnings(self):
        return [text for level, text in self.said if level == "WARNING"]
