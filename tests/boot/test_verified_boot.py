#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Promises of verified boot, kept by a U-Boot that was built for it, in QEMU: nothing that was changed after it was signed is started."""

import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from emulated_board import build, machine
from verified_case import BLOCK, VerifiedCase, verified


class VerifiedBoot(VerifiedCase):
    def test_the_signed_kernel_of_the_committed_slot_starts_and_nothing_is_written(self):
        for slot in "ab":
            self.setenv(ota_slot=slot)
            before = self.copies()
            self.boot(f"KERNEL OF SLOT {slot.upper()}")
            self.assertEqual(before, self.copies())

    def test_a_committed_slot_with_a_flipped_bit_is_replaced_by_the_other_one_and_says_why(self):
        self.setenv(ota_slot="b")
        self.change("b", self.in_kernel())
        self.boot("KERNEL OF SLOT A")
        self.assertEqual({"ota_slot": "a", "ota_failed_why": "slot-b-signature-refused"}, self.environment())

    def test_a_trial_with_a_flipped_bit_never_runs_and_says_why(self):
        self.setenv(ota_slot="a", ota_trial="b", ota_tries=2, ota_txn="t1")
        self.change("b", self.in_kernel())
        lines = self.boot("KERNEL OF SLOT A")
        self.assertEqual(2, sum("OTA: slot b did not start, reset" in line for line in lines))
        self.assertEqual("signature-refused", self.environment()["ota_failed_why"])

    def test_a_slot_that_its_initramfs_took_out_of_use_says_so(self):
        self.setenv(ota_slot="b")
        self.change("b", self.facts["fit-offset"], verified.CONDEMNED + b"block=7\n" + bytes(BLOCK - 22))
        self.boot("KERNEL OF SLOT A")
        self.assertEqual("slot-b-changed-block", self.environment()["ota_failed_why"])

    def test_an_image_signed_with_another_key_is_not_started(self):
        key = self.folder / "other.key"
        if not key.exists():
            verified.make_key(key)
        self.setenv(ota_slot="b")
        self.fill("b", self.image("b", key))
        self.boot("KERNEL OF SLOT A")
        self.assertEqual("slot-b-signature-refused", self.environment()["ota_failed_why"])

    def test_a_size_that_cannot_be_is_no_reason_to_read_it(self):
        self.setenv(ota_slot="b")
        self.change("b", self.facts["fit-offset"] + 4, b"\x7f\xff\xff\xff")
        self.boot("KERNEL OF SLOT A")
        self.assertEqual("slot-b-signature-refused", self.environment()["ota_failed_why"])

    def test_a_half_written_slot_never_replaces_the_committed_one(self):
        self.setenv(ota_slot="b")
        self.fill("a", bytes(BLOCK))
        self.change("b", self.in_kernel())
        before = self.copies()
        self.boot("OTA: NO BOOTABLE SLOT")
        self.assertEqual(before, self.copies())

    def test_without_any_environment_a_complete_slot_starts(self):
        for empty, kernel in (("b", "A"), ("a", "B")):
            with self.subTest(empty=empty):
                self.setUp()
                self.fill(empty, bytes(BLOCK))
                for index in (0, 1):
                    self.overwrite_copy(index, bytes(65536))
                self.boot(f"KERNEL OF SLOT {kernel}")
                self.assertEqual("environment-lost", self.environment()["ota_failed_why"])

    def test_a_changed_boot_script_does_not_run_and_its_copy_does(self):
        good = self.signed_script(self.filled())
        at = good.index(b"OTA: boot script on") + 5
        bad = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        self.script("ota-boot.itb", bad)
        self.boot("KERNEL OF SLOT A")
        self.script("ota-boot2.itb", bad)
        self.boot("OTA: NO SIGNED BOOT SCRIPT")

    def test_where_no_slot_starts_the_other_copy_of_the_script_does_not_judge_again(self):
        self.setenv(ota_trial="a", ota_tries="3", ota_txn="t1")
        self.change("a", self.facts["fit-offset"], bytes(BLOCK))
        self.change("b", self.in_kernel())
        lines = self.boot("OTA: END OF BOOTCMD")
        self.assertEqual(1, sum("OTA: boot script on" in line for line in lines))
        self.assertIn("OTA: NO BOOTABLE SLOT", "\n".join(lines))
        self.assertNotIn("OTA: NO SIGNED BOOT SCRIPT", lines)
        self.assertEqual("slot-a-does-not-load", self.environment()["ota_failed_why"])

    def test_an_unsigned_script_and_an_unsigned_kernel_are_nothing(self):
        legacy = self.folder / "boot.scr"
        (self.folder / "hello.cmd").write_text("echo HELLO FROM NOBODY\n")
        subprocess.run(
            ["mkimage", "-A", "arm64", "-T", "script", "-C", "none", "-d", self.folder / "hello.cmd", legacy],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for name in (*build.SIGNED_SCRIPTS, "boot.scr"):
            self.script(name, legacy.read_bytes())
        lines = self.boot("OTA: NO SIGNED BOOT SCRIPT")
        self.assertFalse([line for line in lines if line.startswith("HELLO")])
        # A slot as boards without verified boot have it.
        self.setUp()
        self.setenv(ota_slot="b")
        self.fill("b", self.slots["b", True].read_bytes())
        self.boot("KERNEL OF SLOT A")

    def test_the_environment_adds_no_word_to_the_command_line_and_runs_nothing(self):
        self.script(
            "ota-boot.itb", self.signed_script(self.filled().replace("bootm ${", "printenv bootargs; bootm ${"))
        )
        self.setenv(
            ota_slot="a",
            ota_trial="b",
            ota_tries=2,
            ota_txn='t1 init=/bin/sh"; echo HELLO FROM THE ENVIRONMENT; "',
            ota_bootargs="rdinit=/bin/sh",
            ota_recovery="echo HELLO FROM THE ENVIRONMENT",
            bootcmd="echo HELLO FROM THE ENVIRONMENT",
        )
        lines = self.boot("KERNEL OF SLOT B")
        (words,) = [line for line in lines if line.startswith("bootargs=")]
        self.assertIn(" ro ", words)
        self.assertIn("ota.slot=b ota.trial=t1initbinshechoHELLOFROMTHEENVIRONMENT ", words)
        self.assertNotIn("init=", words)
        self.assertFalse([line for line in lines if line.startswith("HELLO")])
        for slot in "ab":
            self.fill(slot, bytes(BLOCK))
        lines = self.boot("OTA: NO BOOTABLE SLOT")
        self.assertFalse([line for line in lines if line.startswith("HELLO")])

    def test_nobody_is_asked_on_the_console(self):
        for slot in "ab":
            self.fill(slot, bytes(BLOCK))
        seen = []
        with machine.Machine(
            self.disk, self.folder / "console", on_line=seen.append, memory_mib=512, cpus=1, **self.board
        ) as board:
            board.type("\n\x03echo HELLO $((1+1))\n" * 20)
            board.wait("OTA: NO BOOTABLE SLOT", 60)
            board.type("\x03\necho HELLO FROM THE CONSOLE\n" * 20)
            with self.assertRaises(machine.Timeout):
                board.wait("HELLO", 5)
        self.assertFalse([line for line in seen if "HELLO" in line])


if __name__ == "__main__":
    shutil.which("mksquashfs") or sys.exit("mksquashfs is missing: apt-get install squashfs-tools")
    unittest.main()
