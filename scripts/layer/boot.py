# SPDX-License-Identifier: MIT
"""The disk image that BitBake made, in QEMU: first boot, an update with its commit, a broken update with its rollback."""

import contextlib
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from emulated_board import (
    build,  # noqa: E402
    inspect_disk,  # noqa: E402
    machine,  # noqa: E402
    scenario,  # noqa: E402
    show,  # noqa: E402
)
from otamgr import bundle, verified

MIB = 1 << 20
REFUSED = "ota_upgrade_failed|ota_refused|NO BOOTABLE SLOT"
# The emulated machine, and U-Boot's file name in BitBake's deploy folder.
EMULATORS = {
    "qemuarm64": ("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"),
    "qemuarm": machine.ARM_BOARD,
    # Without a display: its U-Boot may hang while the display's ROM runs.
    "qemux86-64": ("qemu-system-x86_64", "-M", "pc", "-cpu", "max", "-vga", "none"),
}
UBOOT = {"qemuarm64": "u-boot.bin", "qemuarm": "u-boot.bin", "qemux86-64": "u-boot.rom"}
LOADERS = {"qemuarm64": "ld-linux-aarch64.so.1", "qemuarm": "ld-linux-armhf.so.3", "qemux86-64": "ld-linux-x86-64.so.2"}


# How compressed images begin, and who unpacks them.
UNPACKERS = {b"\x1f\x8b": ("gzip", "-dc"), b"\xfd7zXZ": ("xz", "-dc"), b"\x28\xb5\x2f\xfd": ("zstd", "-dc")}
SQUASHFS, SQUASHFS_COMPRESSION = b"hsqs", 20
SQUASHFS_COMPRESSORS = {1: "gzip", 4: "xz", 6: "zstd"}
EROFS, EROFS_AT, EROFS_INCOMPATIBLE = b"\xe2\xe1\xf5\xe0", 1024, 1024 + 80
# Of its incompatible features the one that LZ4 brings.
EROFS_LZ4 = 1
EXT4, EXT4_AT = b"\x53\xef", 1080


class Failure(Exception):
    """The board did not do what it must; the message says what."""


def _unpacker(image):
    with Path(image).open("rb") as packed:
        head = packed.read(8)
    return next((words for magic, words in UNPACKERS.items() if head.startswith(magic)), ("cat",))


def without(system, paths):
    """Takes files out of the image of a system, whichever of the paths there are."""
    with system.open("rb") as image:
        head = image.read(4096)
    if head[EXT4_AT:].startswith(EXT4):
        for path in paths:
            subprocess.run(["debugfs", "-w", "-R", f"rm /{path}", system], check=True, capture_output=True)
        return
    root = system.with_suffix(".root")
    if head.startswith(SQUASHFS):
        unpack = ["unsquashfs", "-q", "-n", "-d", root, system]
        pack = ["mksquashfs", root, system, "-noappend", "-quiet", "-no-progress"]
        pack += ["-comp", SQUASHFS_COMPRESSORS[head[SQUASHFS_COMPRESSION]]]
    elif head[EROFS_AT:].startswith(EROFS):
        unpack = ["fsck.erofs", f"--extract={root}", system]
        pack = ["mkfs.erofs", *(["-zlz4hc"] if head[EROFS_INCOMPATIBLE] & EROFS_LZ4 else []), system, root]
    else:
        root.mkdir()
        unpack = ["tar", "-C", root, "--xattrs", "--xattrs-include=*", "-xpf", system]
        pack = ["tar", "-C", root, "--xattrs", "--xattrs-include=*", "--numeric-owner", "-cf", system, "."]
    subprocess.run(unpack, check=True, capture_output=True)
    found = [path for path in paths if os.path.lexists(root / path)]
    if not found:
        raise Failure(f"a broken update cannot be made: expected one of {' '.join(paths)} in the image, found none")
    for path in found:
        # The same one, where folders are merged below usr.
        (root / path).unlink(missing_ok=True)
    subprocess.run(pack, check=True, capture_output=True)
    shutil.rmtree(root)


def time_of(settings):
    """The time that an image has for its own, by the settings that BitBake leaves beside it."""
    seconds = int(json.loads(settings.read_text()).get("REPRODUCIBLE_TIMESTAMP_ROOTFS") or 0)
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def begins(clock, built, journal):
    """The time from which a journal must count on, as text, where the clock was switched on at `clock`. The init of an image that was made
    later sets it: to that time, or to that of a program in it; so the journal's first time counts then, if it is not before `built`."""
    return clock if clock >= built else max(built, journal[: len(built)])


class Run:
    """One disk, from the first boot to the rollback; broken updates are signed by `key`. With verified boot updates are looked for at
    `port`. The board's clock starts at `clock`."""

    def __init__(self, name, folder, deploy, key=None, port=0, clock=None):
        self._name, self._key, self._port, self._clock = name, key, port, clock
        self._emulator = EMULATORS[name]
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._disk = folder / "disk.img"
        self._console = folder / "console"
        self._uboot = shutil.copy(deploy / UBOOT[name], folder / "u-boot")
        if port:
            self._emulator = (
                *self._emulator,
                "-dtb",
                str(shutil.copy(deploy / "ota-control.dtb", folder / "control.dtb")),
            )
        self._show = show.Show()
        image = f"core-image-minimal-{name}.rootfs"
        self._built = time_of(deploy / f"{image}.testdata.json") if clock else None
        self._take_disk(deploy / f"{image}.wic")

    def _take_disk(self, image):
        """A copy of the disk image, on a medium that is larger, as media are."""
        subprocess.run(["cp", "--sparse=always", image, self._disk], check=True)
        with open(self._disk, "r+b") as disk:
            disk.truncate(-(-self._disk.stat().st_size // (128 * MIB)) * 128 * MIB + 128 * MIB)

    def take_update(self, signed, image):
        """The update as a signed bundle, and its plain image, from which a broken one is made."""
        self._update = shutil.copy(signed, self._folder / "update.bundle")
        self._image = shutil.copy(image, self._folder / "update.bin")

    def _broken(self):
        """The same update without the loader of shared libraries: the kernel finds /sbin/init, cannot run it, and panics at every boot."""
        if self._port:
            return self._changed_block()
        system, broken = self._folder / "broken.system", self._folder / "broken.bundle"
        with open(system, "wb") as out:
            subprocess.run([*_unpacker(self._image), self._image], check=True, stdout=out)
        without(system, [f"{folder}/{LOADERS[self._name]}" for folder in ("lib", "lib64", "usr/lib", "usr/lib64")])
        bundle.create(broken, system, self._key, self._name, "3.0.0")
        system.unlink()
        return broken

    def _changed_block(self):
        """The same update with one bit of its file system changed, in a bundle that is in order: the device writes it, and must not run it."""
        system, broken = self._folder / "broken.slot", self._folder / "broken.bundle"
        shutil.copyfile(self._image, system)
        with open(system, "r+b") as image:
            image.seek(verified.describe(system)["file-system-bytes"] // 2)
            byte = image.read(1)
            image.seek(-1, 1)
            image.write(bytes([byte[0] ^ 1]))
        bundle.create(broken, system, self._key, self._name, "3.0.0")
        system.unlink()
        return broken

    def _environment(self, address):
        """The first environment, as BitBake makes it, with the address at which this image looks for updates."""
        copy = build.make_environment({"ota_slot": "a", "ota_bootargs": f"board.url={address}"})
        with open(self._disk, "r+b") as disk:
            for setting in ("OTA_ENV_OFFSET", "OTA_ENV_OFFSET_REDUND"):
                disk.seek(int(build.SETTINGS[setting], 16))
                disk.write(copy)

    @contextlib.contextmanager
    def _running(self, ssh_port=None):
        """The board, switched on, until it is no longer needed."""
        try:
            with machine.Machine(
                self._disk,
                self._console,
                network=True,
                ssh_port=ssh_port,
                clock=self._clock,
                emulator=machine.emulator(self._uboot, self._emulator),
                on_line=lambda line: scenario.show_line(self._show, line),
            ) as board:
                yield board
        except (machine.Timeout, RuntimeError) as problem:
            raise Failure(f"{problem}\n  the whole console is in {self._console}") from None

    def tested(self, port, test):
        """Calls `test` while the board runs with its SSH server at this port of 127.0.0.1; returns what that returns."""
        with self._running(port) as board:
            board.wait(scenario.BOOTED, 300, fail=scenario.DANGER)
            return test()

    def update_and_rollback(self):
        """Runs it all; returns a sentence about what was seen."""
        publisher = scenario.Publisher(self._folder / "published", port=self._port)
        try:
            # No word of the environment reaches the kernel with verified boot: the address is in the signed script.
            if not self._port:
                self._environment(publisher.address())
            with self._running() as board:
                seen = self._watch(board, publisher)
            if self._clock:
                journal = inspect_disk.journal(self._disk)
                began = begins(self._clock, self._built, journal)
                if not scenario.counts_on(journal, began):
                    raise Failure(f"times in the journal, expected within a day from {began}, found\n{journal}")
                seen += f", with its clock at {self._clock}"
                if began != self._clock:
                    seen += f", which its init set to {began}"
            return seen
        finally:
            publisher.close()

    def _watch(self, board, publisher):
        first = board.wait(scenario.BOOTED, 300, fail=scenario.DANGER)
        self._expect("first boot", first, "a", "1.0.0")
        header = hashlib.sha256(publisher.publish("2.0.0", self._update)).hexdigest()
        board.wait("OTA: trial of slot b", 600, fail=REFUSED)
        second = board.wait(scenario.BOOTED, 300, fail=scenario.DANGER)
        self._expect("boot after the update", second, "b", "2.0.0", header)
        board.wait("slot_committed:slot=b", 240)
        publisher.publish("3.0.0", self._broken())
        board.wait("OTA: trial of slot a", 600, fail=REFUSED)
        publisher.withdraw()
        board.wait(r"OTA: booting slot b \(committed\)", 600)
        # The guard writes its journal before syslog runs; otamgr says on the log what it found there.
        third, _ = board.wait_all([scenario.BOOTED, r"ota_failed_before:.*last=rolled back"], 300)
        self._expect("boot after the broken update", third, "b", "2.0.0", header)
        broken = "3.0.0 with one changed bit" if self._port else "broken 3.0.0"
        return f"booted 1.0.0 in slot a, updated to 2.0.0 in slot b, committed; {broken} in slot a rolled back to b"

    @staticmethod
    def _expect(when, match, slot, version, header="none"):
        expected = f"BOARD slot={slot} version={version} header={header}"
        if match[0] != expected:
            raise Failure(f"{when}: expected {expected}, found {match[0]}")
