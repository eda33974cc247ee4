# SPDX-License-Identifier: MIT
"""What the update agent's demo installs: systems with a handler, and bundles of them, good and bad."""

import json
import random
import shutil
import subprocess
from pathlib import Path

from emulated_board import build, layer, scenario

FOLDER = build.BUILD / "agent"
CALLBACK = layer.RECIPES / "otamgr-callback/files"
# Hosts of the emulated network, as the board reaches them; the certificate of the repository has this name.
REPOSITORY_HOST, REPOSITORY_PORT = "updates.example", 18443
HAWKBIT_PORT = 18080
NEW_BYTES = 8 << 20
HAWKBIT_TOKEN = "secret-of-board-1"
SOURCES = {
    "bundle": {"type": "bundle", "directories": ["/run/bundles"]},
    "repository": {
        "type": "repository",
        "url": f"https://{REPOSITORY_HOST}:{REPOSITORY_PORT}/releases",
        "caFile": "/etc/otamgr/ca.pem",
    },
    "hawkbit": {
        "type": "hawkbit",
        "url": f"http://10.0.2.2:{HAWKBIT_PORT}",
        "plainHttp": True,
        "controllerId": "board-1",
        "targetToken": HAWKBIT_TOKEN,
    },
}


def _tool(name, *words):
    subprocess.run([layer.ROOT / "scripts" / name, *words], check=True, stdout=subprocess.DEVNULL)


def keys():
    """The folder with what signs: a stranger's key, an authority with the repository's certificate below it, the repository of the
    demo while it is empty, and a stranger's; made once."""
    folder = FOLDER / "keys"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "stranger.key").exists():
        _tool("ota-bundle", "keygen", folder / "stranger.key")
    if not (folder / "server.pem").exists():
        made = folder / "server.part"
        new = (
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "3650",
        )
        for words in (
            (*new, "-subj", "/CN=authority of the demo", "-keyout", folder / "ca.key", "-out", folder / "ca.pem"),
            (
                *new,
                "-subj",
                f"/CN={REPOSITORY_HOST}",
                "-addext",
                f"subjectAltName=DNS:{REPOSITORY_HOST}",
                "-CA",
                folder / "ca.pem",
                "-CAkey",
                folder / "ca.key",
                "-keyout",
                folder / "server.key",
                "-out",
                made,
            ),
        ):
            subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
        made.rename(folder / "server.pem")
    for name in ("repository", "stranger-repository"):
        if not (folder / name / "root.json").exists():
            shutil.rmtree(folder / name, ignore_errors=True)
            _tool("ota-repository", "init", folder / name)
    return folder


def made_by():
    """Files of which the agent's systems are made, beside their trees."""
    return [Path(__file__), keys() / "ca.pem", keys() / "repository/root.json"]


def with_agent(tree, version):
    """The files that the build writes into a system whose updates are driven by commands, with a handler."""
    folder = tree / "etc/otamgr"
    (folder / "conf.d").mkdir(exist_ok=True)
    shutil.copy(CALLBACK / "50-callback.json", folder / "conf.d/50-callback.json")
    build.install(CALLBACK / "otamgr-callback-handler", tree / "usr/bin/otamgr-callback-handler", 0o755)
    for name, source in SOURCES.items():
        path = tree / "etc/board-sources" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"source": source, "polling": {"automatic": "off"}}))
        streamed = {"source": source, "polling": {"automatic": "off", "streaming": "always"}}
        path.with_name(f"{name}-streamed.json").write_text(json.dumps(streamed))
    (tree / "etc/rcS.d/S06source").symlink_to("../init.d/source")
    (tree / "etc/hosts").write_text(f"127.0.0.1 localhost\n10.0.2.2 {REPOSITORY_HOST}\n")
    shutil.copy(keys() / "ca.pem", folder / "ca.pem")
    build.install(keys() / "repository/root.json", folder / "tuf/root.json", 0o644)
    (folder / "manifest").write_text(f"format=otamgr-bundle-1\ncompatible={build.COMPATIBLE}\nversion={version}\n")
    # When the system was built, as OpenEmbedded writes it.
    (tree / "etc/timestamp").write_text("20260101000000\n")
    (tree / "media").mkdir(exist_ok=True)


def old(tree):
    with_agent(tree, "1.0")


def _new(tree):
    with_agent(tree, "2.0")
    # What version 1.0 does not have and no compressor shortens, so that a pull takes a while.
    path = tree / "usr/share/board/new-in-2.0"
    path.parent.mkdir(parents=True)
    path.write_bytes(random.Random(2).randbytes(NEW_BYTES))


def _unhealthy(tree):
    with_agent(tree, "3.0")
    scenario.unhealthy(tree)
    scenario.short_trial(tree)


def tampered(path):
    """The bytes of a bundle with one that is another in its image."""
    with build.bundle.open_bundle(path) as opened:
        place = opened.image_offset + opened.image_bytes // 2
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    return content


class Systems:
    """The system that is flashed, and the bundles, as case → file."""

    def __init__(self, screen):
        parts = scenario.Builder(screen)
        self.flashed = parts.rootfs("1.0", "rootfs-agent-1.0", spoil=old, flashed=True, spoiled_by=made_by())
        self.new = parts.rootfs("2.0", "rootfs-agent-2.0", spoil=_new, spoiled_by=made_by())
        good = parts.image("agent-2.0", self.new)
        unhealthy = parts.image(
            "agent-3.0", parts.rootfs("3.0", "rootfs-agent-3.0", spoil=_unhealthy, spoiled_by=made_by())
        )
        small = self._small()
        self.bundles = {
            "good": self._bundle("good", good, "2.0"),
            "unhealthy": self._bundle("unhealthy", unhealthy, "3.0"),
            "empty": self._bundle("empty", small, "3.1"),
            "foreign": self._bundle("foreign", small, "3.2", board="toaster"),
            "older": self._bundle("older", small, "1.5"),
            "stranger": self._bundle("stranger", small, "3.3", key=keys() / "stranger.key"),
            "tampered": self._bundle("tampered", small, "3.4"),
        }
        self.bundles["tampered"].write_bytes(tampered(self.bundles["tampered"]))

    @staticmethod
    def _small():
        """An image of a file system that is no system."""
        empty = FOLDER / "empty"
        shutil.rmtree(empty, ignore_errors=True)
        (empty / "etc").mkdir(parents=True)
        build.make_filesystem(empty, FOLDER / "small.ext4", "rootfs")
        build.compress(FOLDER / "small.ext4", FOLDER / "small.ext4.gz")
        return FOLDER / "small.ext4.gz"

    @staticmethod
    def _bundle(case, image, version, key=None, board=build.COMPATIBLE):
        out = FOLDER / "bundles" / f"{case}.bundle"
        out.parent.mkdir(exist_ok=True)
        out.unlink(missing_ok=True)
        _tool(
            "ota-bundle",
            "create",
            "--key",
            key or build.signing_key(),
            "--compatible",
            board,
            "--version",
            version,
            image,
            out,
        )
        return out
