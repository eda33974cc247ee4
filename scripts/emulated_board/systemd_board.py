# SPDX-License-Identifier: MIT
"""The emulated board with systemd as its init: Debian's, with the layer's packages as their recipes install them."""

import shutil
import subprocess
from pathlib import Path

from emulated_board import build, packages, scenario
from emulated_board.recipe import Recipe

PACKAGES = ("systemd", "systemd-sysv", "libsystemd-shared", "udev")
# Another init's; what nobody reads; what speaks to D-Bus, which the board does not have; logins on the console, where our shell is.
_NOT_HERE = (
    "etc/init.d",
    "etc/rcS.d",
    "etc/inittab",
    "usr/sbin/otamgr-watcher",
    "usr/sbin/board-watch",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/bash-completion",
    "usr/share/zsh",
    "usr/share/polkit-1",
    "usr/share/dbus-1",
    "usr/lib/udev/hwdb.d",
    "usr/lib/systemd/catalog",
    "usr/lib/systemd/system-generators/systemd-getty-generator",
    "usr/lib/systemd/system-generators/systemd-sysv-generator",
    "usr/lib/systemd/system/multi-user.target.wants/systemd-logind.service",
    "usr/lib/systemd/system/multi-user.target.wants/getty.target",
)
_NETWORK = """[Unit]
Description=QEMU's user network
DefaultDependencies=no
After=sysinit.target
Wants=network.target
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/board/network start
[Install]
WantedBy=multi-user.target
"""
_SHELL = """[Unit]
Description=A shell on the console
After=multi-user.target
[Service]
# Without an editor of lines, which breaks what is typed.
ExecStart=/bin/sh -c "stty -echo; exec /bin/sh /dev/stdin"
Environment=HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin
StandardInput=tty
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyAMA0
Restart=always
[Install]
WantedBy=multi-user.target
"""


def fetch(say):
    """The .deb files of systemd for the board. The libraries that it needs are unpacked beside those of the board, once."""
    apt = packages.ForeignApt("arm64", build.BUILD / "apt")
    unpacked = build.BUILD / "stamps/systemd-libraries"
    if not unpacked.exists() or unpacked.read_text() != repr(PACKAGES):
        say("systemd for arm64: downloading (about 10 MB)")
        apt.update()
        packages.unpack(apt.download(apt.libraries(PACKAGES)), build.ROOT_ARM64)
    debs = apt.download(PACKAGES)
    unpacked.write_text(repr(PACKAGES))
    return debs


def _one_usr(tree):
    for name in ("bin", "sbin", "lib"):
        folder = tree / name
        (tree / "usr" / name).mkdir(exist_ok=True)
        subprocess.run(["cp", "-a", "--remove-destination", f"{folder}/.", tree / "usr" / name], check=True)
        shutil.rmtree(folder)
        folder.symlink_to(f"usr/{name}")


def _service(tree, name, text):
    (tree / "etc/systemd/system" / name).write_text(text)
    subprocess.run(["systemctl", "--quiet", "--root", tree, "enable", name], check=True)


class Builder(scenario.Builder):
    """Systems with systemd, whose daemon is not root."""

    def __init__(self, show):
        # Its user comes with the packages, as the recipe makes it.
        super().__init__(show, as_root=True)
        self._debs = fetch(lambda text: show.line("build", text))
        self._root = build.root_program(self._cache)

    def with_systemd(self, version, name, spoil=None, spoiled_by=(), **options):
        def change(tree):
            self._change(tree)
            if spoil:
                spoil(tree)

        files = [Path(__file__), Path(__file__).with_name("recipe.py"), self._root, *self._debs, *spoiled_by]
        return self.rootfs(version, name, change, spoiled_by=files, **options)

    def _change(self, tree):
        network = (tree / "etc/init.d/network").read_text()
        packages.unpack(self._debs, tree)
        _one_usr(tree)
        for path in _NOT_HERE:
            gone = tree / path
            shutil.rmtree(gone) if gone.is_dir() and not gone.is_symlink() else gone.unlink(missing_ok=True)
        # The journal is in memory, as OpenEmbedded has it.
        (tree / "var/log").unlink()
        (tree / "var/log").mkdir()
        native = tree / "usr/lib/jni/libjunixsocket-native.so"
        native.parent.mkdir()
        shutil.move(tree / "usr/lib/otamgr/libjunixsocket-native.so", native)
        (tree / "etc/group").write_text("root:x:0:\n")
        (tree / "etc/machine-id").touch()
        # OpenEmbedded's default, too: udev leaves the kernel's name, so eth0 does not go away while it is set up.
        (tree / "etc/systemd/network/99-default.link").symlink_to("/dev/null")
        (tree / "etc/os-release").write_text("ID=board\nNAME=board\n")
        subprocess.run(["systemd-sysusers", f"--root={tree}"], check=True, stderr=subprocess.DEVNULL)
        shutil.copy(tree / "usr/share/systemd/tmp.mount", tree / "etc/systemd/system/tmp.mount")
        (tree / "etc/systemd/system/default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")

        jars = list(self._jars.glob("*.jar"))
        # The deadlines of all emulated boards.
        patient = {name: (tree / "etc/otamgr" / name).read_text() for name in ("otamgr.json", "trial.conf")}
        for recipe, built in (
            ("ota-data", []),
            ("sysupgrade", []),
            ("otamgr", [*jars, self._programs[0]]),
            ("otamgr-user", [self._root]),
            ("otamgr-simulators", jars),
        ):
            Recipe(recipe).install(tree, built)
        for name, text in patient.items():
            (tree / "etc/otamgr" / name).write_text(text)

        program = tree / "usr/lib/board/network"
        program.parent.mkdir()
        program.write_text(network)
        program.chmod(0o755)
        _service(tree, "board-network.service", _NETWORK)
        _service(tree, "board-shell.service", _SHELL)
        build.install_libraries(tree, build.ARM64)
