#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How much memory the engine takes at most, for images none of whose blocks is zeros, nor like another one."""

import ctypes
import os
import signal
import struct
import subprocess
import unittest
from pathlib import Path

import content
from test_blocks import BLOCK, GIB, MIB, Blocks, head_of

# Of all processes. The engine is by far the largest one; the shell and what it runs besides have some 2 MiB.
SMALL, LARGE, OTHERS = 24 * MIB, 64 * 10**6, 2 * MIB

# What ptrace(2) is asked for, and what waitpid(2) then says of a process that is about to end.
TRACE_ME, GO_ON, SET_OPTIONS = 0, 7, 0x4200
STOP_AT_EXIT = 0x40
AT_EXIT = signal.SIGTRAP | 6 << 8


def trace(request, process=0, data=0):
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    if ptrace(ctypes.c_long(request), ctypes.c_long(process), None, ctypes.c_void_p(data)) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")


def plain_engine():
    """The engine as it is installed: the one of the other tests has its memory watched, and needs several times as much."""
    if "OTA_CONTENT" in os.environ:
        return os.environ["OTA_CONTENT"]
    folder = content.REPOSITORY / "build/ota-content"
    # Relative, because make has no names with blanks.
    subprocess.run(["make", "-s", "-C", content.SOURCES, f"B={os.path.relpath(folder, content.SOURCES)}"], check=True)
    return folder / "ota-content"


class Peak(Blocks):
    def peak(self, *words):
        """The most memory that a sub-command had in use at a time, shared libraries included. What the kernel counts of a process that has
        ended has what it was before exec, too; so it is stopped where it is about to end, and asked there."""
        with open(self.payload, "rb") as image:
            process = subprocess.Popen(
                [plain_engine(), *map(str, words), "--folder", str(self.folder), "--slot", str(self.slot)],
                preexec_fn=lambda: (os.dup2(image.fileno(), content.IMAGE_FD), trace(TRACE_ME)),
                close_fds=False,
                stdout=subprocess.DEVNULL,
            )
            # Traced, it stops for the first time when exec is done.
            status = os.waitpid(process.pid, 0)[1]
            trace(SET_OPTIONS, process.pid, STOP_AT_EXIT)
            while status >> 8 != AT_EXIT:
                self.assertTrue(os.WIFSTOPPED(status), f"{words} ended with status {status:#x} and did not stop before")
                received = os.WSTOPSIG(status)
                trace(GO_ON, process.pid, 0 if received == signal.SIGTRAP else received)
                status = os.waitpid(process.pid, 0)[1]
            said = Path(f"/proc/{process.pid}/status").read_text()
            trace(GO_ON, process.pid)
            self.assertEqual(process.wait(), 0, words)
        self.assertTrue(said.startswith("Name:\tota-content\n"), said)
        return int(said.split("VmHWM:", 1)[1].split(None, 1)[0]) * 1024

    def peaks(self, size):
        """Of check, write and verify. The slot has some blocks of the image, so it is searched whole."""
        count = size // BLOCK
        image = self.place / "image"
        with open(image, "wb") as file:
            file.write(head_of(count, self.made))
            for number in range(1, count):
                file.write(struct.pack("<Q", number) * (BLOCK // 8))
        with open(image, "rb") as file:
            made = content.run(
                "index",
                "--index",
                self.folder / "index",
                "--payload",
                self.payload,
                "--level",
                1,
                stdin=file,
                timeout=300,
            )
        self.assertEqual(made.returncode, 0, made.stderr)
        facts = content.facts(made.stdout)
        self.opened(payload_bytes=facts["image_bytes"], **facts)
        self.slot.unlink(missing_ok=True)
        self.slot.touch()
        os.truncate(self.slot, size)
        with open(image, "rb") as new, open(self.slot, "r+b") as slot:
            new.seek(size - MIB)
            slot.write(new.read(MIB))
        image.unlink()
        return [self.peak(command) for command in ("check", "write", "verify")]

    def test_memory_grows_with_the_index_and_is_bounded(self):
        small, large = self.peaks(64 * MIB), self.peaks(GIB)
        for command, less, more in zip(("check", "write", "verify"), small, large, strict=True):
            with self.subTest(command):
                each = (more - less) / ((GIB - 64 * MIB) // BLOCK)
                of_512, of_4096 = (more + each * (size - GIB) / BLOCK + OTHERS for size in (512 * MIB, 4 * GIB))
                print(
                    f"# {command}: {each:.1f} bytes a block, {of_512 / MIB:.1f} MiB for 512 MiB, {of_4096 / 1e6:.1f} MB for 4 GiB"
                )
                self.assertLess(of_512, SMALL)
                self.assertLess(of_4096, LARGE)


if __name__ == "__main__":
    unittest.main()
