#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Promises of the boot script for a kernel that unpacks itself, kept by a real U-Boot for a PC: run it with --x86."""

import sys

import pytest

from boot_case import BootCase
from emulated_board.tinykernel import tiny_bzimage


class UnpackedKernel(BootCase):
    def initrd_address(self, memory):
        tree = self.folder / f"unpacked-{memory:x}"
        (tree / "boot").mkdir(parents=True)
        (tree / "boot/bzImage").write_bytes(tiny_bzimage("KERNEL OF SLOT A", memory=memory))
        (tree / "boot/initrd").write_bytes(bytes(5000))
        self.prepare("unpacked", tree, marked=True)
        self.put("a", "unpacked", marked=True)
        lines = self.boot("KERNEL OF SLOT A")
        return [int(line.split()[6].rstrip(","), 16) for line in lines if line.startswith("Initial RAM disk at")]

    def test_an_initrd_lies_behind_the_memory_that_the_kernel_unpacks_itself_into(self):
        """The kernel would find no initramfs, and wait for its disk for ever where drivers are modules."""
        self.assertEqual([0x4378000], self.initrd_address(0x3378000))

    def test_an_initrd_stays_where_it_was_loaded_when_the_kernel_leaves_that_place_free(self):
        self.assertEqual([0x4000000], self.initrd_address(0x3000000))


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, *sys.argv[1:]]))
