# SPDX-License-Identifier: MIT
"""What the tests of verified boot share: a disk with two signed slots, whose kernels say which slot they came from."""

import subprocess

from boot_case import BootCase
from emulated_board import build, layer
from emulated_board.tinykernel import tiny_kernel
from otamgr import verified

BLOCK = verified.BLOCK


class VerifiedCase(BootCase):
    """The kernels are not Linux: what is behind them, the root file system, is verified in scripts/demo --verified and scripts/flips."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        parts = build.verified_boot(build.Cache(print))
        cls.parts = parts
        cls.board = parts.options()
        cls.signed = {}
        root = cls.folder / "verified-root"
        (root / "etc").mkdir(parents=True)
        (root / "etc/fill").write_bytes(bytes(range(256)) * 64)
        subprocess.run(
            ["mksquashfs", root, cls.folder / "squashfs", "-quiet", "-no-progress"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (cls.folder / "initramfs").write_bytes(b"none" * 100)
        for slot in "ab":
            kernel = cls.folder / f"kernel-{slot}"
            kernel.write_bytes(tiny_kernel(f"KERNEL OF SLOT {slot.upper()}"))
            cls.signed[slot] = cls.image(slot)
        cls.facts = verified.describe(cls.folder / "slot-b")
        cls.settings = {**cls.settings, **parts.disk("")["settings"]}
        build.make_disk(cls.base, cls.folder / "slot-a", {"ota_slot": "a"}, cls.settings, signed_with=parts.key)

    @classmethod
    def image(cls, slot, key=None, **options):
        """The image of a slot, signed by the board's key or another one."""
        out = cls.folder / f"slot-{slot}"
        verified.make_slot_image(
            cls.folder / "squashfs",
            cls.folder / f"kernel-{slot}",
            cls.parts.device_tree,
            cls.folder / "initramfs",
            key or cls.parts.key,
            out,
            **options,
        )
        return out.read_bytes()

    def setUp(self):
        if not hasattr(self, "disk"):
            self.use_disk("disk.img")
        subprocess.run(["cp", "--sparse=always", self.base, self.disk], check=True)
        self.fill("b", self.signed["b"])

    def fill(self, slot, content):
        with open(self.disk, "r+b") as disk:
            disk.seek(self.start(f"rootfs-{slot}"))
            disk.write(content)

    def change(self, slot, offset, content=None):
        """Other bytes at a place of a slot, or one bit flipped."""
        changed = bytearray(self.signed[slot])
        if content is None:
            content = bytes([changed[offset] ^ 16])
        changed[offset : offset + len(content)] = content
        self.fill(slot, bytes(changed))

    def script(self, name, content):
        file = self.folder / "put"
        file.write_bytes(content)
        subprocess.run(["mcopy", "-o", "-i", f"{self.disk}@@{self.start('boot')}", file, f"::{name}"], check=True)

    def in_kernel(self):
        """A byte of the kernel in the signed image of slot b."""
        return self.signed["b"].index((self.folder / "kernel-b").read_bytes()) + 100

    def filled(self):
        return layer.fill(layer.RECIPES / "u-boot/files/boot.cmd.in", self.settings)

    def signed_script(self, text):
        script = self.folder / "script.cmd"
        script.write_text(text)
        verified.make_script_fit(script, self.parts.key, self.folder / "script.itb")
        return (self.folder / "script.itb").read_bytes()
