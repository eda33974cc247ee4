#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Promises of the boot script, kept by a real U-Boot in QEMU on a real disk image."""

import subprocess
import sys
import unittest

import pytest

from boot_case import ARM, ENV_SIZE, NATIVE, X86, BootCase


class BootScript(BootCase):
    def test_without_a_trial_the_committed_slot_boots_and_nothing_is_written(self):
        for slot in "ab":
            self.setenv(ota_slot=slot)
            before = self.copies()
            self.boot(f"KERNEL OF SLOT {slot.upper()}")
            self.assertEqual(before, self.copies())

    def test_each_boot_of_a_trial_is_charged_and_the_last_one_ends_it(self):
        self.setenv(ota_slot="a", ota_trial="b", ota_tries=2, ota_txn="t1")
        self.boot("KERNEL OF SLOT B")
        self.assertEqual("1", self.environment()["ota_tries"])
        self.boot("KERNEL OF SLOT B")
        self.assertEqual("0", self.environment()["ota_tries"])
        self.boot("KERNEL OF SLOT A")
        self.assertEqual(
            {"ota_slot": "a", "ota_txn": "t1", "ota_failed": "t1", "ota_failed_why": "tries-used-up"},
            self.environment(),
        )
        before = self.copies()
        self.boot("KERNEL OF SLOT A")
        self.assertEqual(before, self.copies())

    def test_a_trial_of_slot_a_works_like_one_of_slot_b(self):
        self.setenv(ota_slot="b", ota_trial="a", ota_tries=1, ota_txn="t2")
        self.boot("KERNEL OF SLOT A")
        self.boot("KERNEL OF SLOT B")
        self.assertEqual("t2", self.environment()["ota_failed"])

    def test_a_trial_without_a_usable_kernel_resets_until_the_old_slot_boots_and_says_why(self):
        for content in ("broken", "none", None):
            with self.subTest(slot_b=content):
                self.put("b", content, marked=False)
                self.setenv(ota_slot="a", ota_trial="b", ota_tries=3, ota_txn="t3", ota_failed="", ota_failed_why="")
                lines = self.boot("KERNEL OF SLOT A")
                self.assertEqual(3, sum("OTA: slot b did not start, reset" in line for line in lines), "\n".join(lines))
                self.assertEqual(
                    {"ota_slot": "a", "ota_txn": "t3", "ota_failed": "t3", "ota_failed_why": "load-failed"},
                    self.environment(),
                )

    def test_a_trial_that_cannot_be_charged_does_not_run(self):
        # A card that takes every write and keeps none tells of no error; a disk that is write-protected does.
        for failure in ({"failing_writes": True}, *([] if NATIVE else [{"write_protected": True}])):
            with self.subTest(**failure):
                self.setenv(ota_slot="a", ota_trial="b", ota_tries=3, ota_txn="t7")
                before = self.copies()
                lines = self.boot("KERNEL OF SLOT A", **failure)
                self.assertIn("OTA: the environment cannot be saved", lines)
                self.assertEqual(before, self.copies())

    def test_tries_that_are_no_number_from_1_to_9_end_the_trial(self):
        for tries in ("", "0", "10", "zz", "-1", "1 2"):
            with self.subTest(tries=tries):
                self.setenv(ota_slot="a", ota_trial="b", ota_tries=tries, ota_txn="t4", ota_failed="")
                self.boot("KERNEL OF SLOT A")
                self.assertEqual("t4", self.environment().get("ota_failed"))
                self.assertNotIn("ota_trial", self.environment())

    def test_a_trial_that_names_no_other_slot_is_ended(self):
        for trial in ("a", "c", "a b"):
            with self.subTest(trial=trial):
                self.setenv(ota_slot="a", ota_trial=trial, ota_tries=3, ota_txn="t5")
                self.boot("KERNEL OF SLOT A")
                self.assertNotIn("ota_trial", self.environment())

    def test_one_lost_or_torn_copy_of_the_environment_changes_nothing_about_the_slot(self):
        self.setenv(ota_slot="b")
        for index in (0, 1):
            for damage in (b"\0" * ENV_SIZE, b"\xff" * (ENV_SIZE // 2), b"\x5a"):
                with self.subTest(copy=index, bytes=len(damage)):
                    saved = self.copies()[index]
                    # Make both copies say b, so that either one is enough.
                    self.setenv(ota_slot="b", ota_recovery=f"echo {len(damage)}{index}")
                    self.setenv(ota_slot="b", ota_recovery=f"echo again {len(damage)}{index}")
                    self.overwrite_copy(index, damage, at=64)
                    self.boot("KERNEL OF SLOT B")
                    self.overwrite_copy(index, saved)

    def test_the_newer_copy_counts_also_when_the_generation_wraps(self):
        self.setenv(ota_slot="b")  # the newer copy says b
        newer = 0 if self.copies()[0][4] > self.copies()[1][4] else 1
        for new, old in ((1, 0), (0, 0xFF), (0xFF, 0xFE)):
            with self.subTest(new=new, old=old):
                self.overwrite_copy(newer, bytes([new]), at=4)
                self.overwrite_copy(1 - newer, bytes([old]), at=4)
                self.assertEqual("b", self.environment()["ota_slot"])
                self.boot("KERNEL OF SLOT B")

    def test_a_count_goes_into_the_older_copy_and_libubootenv_reads_it(self):
        self.setenv(ota_slot="a", ota_trial="b", ota_tries=3, ota_txn="t6")
        before = self.copies()
        newer = 0 if before[0][4] > before[1][4] else 1
        self.boot("KERNEL OF SLOT B")
        after = self.copies()
        self.assertEqual(before[newer], after[newer])
        self.assertNotEqual(before[1 - newer], after[1 - newer])
        self.assertEqual("2", self.environment()["ota_tries"])

    def test_without_any_environment_a_slot_with_its_marker_boots_and_a_good_environment_is_written(self):
        for marked, kernel in (("a", "A"), ("b", "B")):
            with self.subTest(marked=marked):
                self.put("a", "a", marked=marked == "a")
                self.put("b", "b", marked=marked == "b")
                for index in (0, 1):
                    self.overwrite_copy(index, b"\0" * ENV_SIZE)
                self.boot(f"KERNEL OF SLOT {kernel}")
                self.assertEqual({"ota_slot": marked, "ota_failed_why": "environment-lost"}, self.environment())

    def test_a_committed_slot_that_does_not_load_is_replaced_by_a_complete_other_slot(self):
        self.put("a", "broken", marked=True)
        self.boot("KERNEL OF SLOT B")
        self.assertEqual({"ota_slot": "b", "ota_failed_why": "slot-a-does-not-load"}, self.environment())

    def test_a_half_written_slot_never_replaces_the_committed_one(self):
        self.put("a", None, marked=False)
        self.half_write("b")
        before = self.copies()
        self.boot("OTA: NO BOOTABLE SLOT")
        self.assertEqual(before, self.copies())

    def test_two_dead_slots_end_in_the_recovery_command_not_in_a_loop(self):
        self.put("a", None, marked=False)
        self.put("b", "broken", marked=True)
        self.setenv(ota_slot="a", ota_recovery="echo RECOVERY COMMAND RUNS")
        lines = self.boot("^RECOVERY COMMAND RUNS")
        self.assertEqual(1, sum(line.startswith("OTA: boot script on") for line in lines))

    def test_the_kernel_command_line_names_slot_and_partition(self):
        # The kernel is not Linux; what it would get is what the script sets, shown by a board's recovery command.
        self.put("a", None, marked=False)
        self.put("b", None, marked=False)
        self.setenv(ota_slot="a", ota_bootargs="quiet", ota_recovery="printenv bootargs")
        uuid = (
            subprocess.run(["sfdisk", "--part-uuid", self.disk, "2"], check=True, capture_output=True, text=True)
            .stdout.strip()
            .lower()
        )
        line = self.boot("^bootargs=")[-1]
        for word in (f"root=PARTUUID={uuid}", "ota.slot=a", "ota.trial=none", "panic=5", "quiet", "rw"):
            self.assertIn(word, line.split("=", 1)[1].split())

    def test_a_system_with_a_read_only_root_is_started_read_only(self):
        image = self.folder / "read-only.ext4"
        image.write_bytes(self.slots["broken", True].read_bytes())
        subprocess.run(
            ["debugfs", "-w", "-R", "write /dev/null boot/ota-read-only", image], check=True, capture_output=True
        )
        self.slots["read-only", True] = image
        self.put("a", "read-only", marked=True)
        self.put("b", None, marked=False)
        self.setenv(ota_slot="a", ota_recovery="printenv bootargs")
        words = self.boot("^bootargs=")[-1].split("=", 1)[1].split()
        self.assertIn("ro", words)
        self.assertNotIn("rw", words)


class BootTold(BootCase):
    watchdog = "printenv bootargs"

    def test_the_kernel_command_line_of_a_trial_names_the_update(self):
        self.setenv(ota_slot="a", ota_trial="b", ota_tries=2, ota_txn="20261128T051500Z-2f61aa04")
        line = self.boot("^bootargs=")[-1]
        for word in ("ota.slot=b", "ota.trial=20261128T051500Z-2f61aa04"):
            self.assertIn(word, line.split("=", 1)[1].split())


@unittest.skipIf(X86 or ARM, "the watchdog's commands are for the arm64 board")
class BootWatchdog(BootCase):
    # An Intel 6300ESB at 00:05.0 of the board's PCI: two stages of about two seconds, then reset.
    watchdog = (
        "setexpr.l ota_tmp *4010028010; o_w=${ota_tmp}; setexpr ota_tmp ${o_w} + 4; o_w2=${ota_tmp}; setexpr ota_tmp ${o_w} + c; o_wr=${ota_tmp}; "
        "mw.w 4010028060 3; mw.w ${o_wr} 80; mw.w ${o_wr} 86; mw.l ${o_w} 800; mw.w ${o_wr} 80; mw.w ${o_wr} 86; mw.l ${o_w2} 800; "
        "mw.b 4010028068 2"
    )
    devices = {"devices": ("i6300esb,addr=5",)}

    def test_a_trial_whose_kernel_hangs_is_reset_by_the_watchdog_until_the_old_slot_boots(self):
        self.put("b", "hangs", marked=True)
        self.setenv(ota_slot="a", ota_trial="b", ota_tries=2, ota_txn="t8")
        lines = self.boot("KERNEL OF SLOT A", **self.devices)
        self.assertEqual(2, lines.count("KERNEL THAT HANGS"), "\n".join(lines))
        self.assertEqual(
            {"ota_slot": "a", "ota_txn": "t8", "ota_failed": "t8", "ota_failed_why": "tries-used-up"},
            self.environment(),
        )

    def test_the_watchdog_is_not_started_for_the_committed_slot(self):
        self.put("a", "hangs", marked=True)
        lines = self.boot("KERNEL THAT HANGS", **self.devices)
        self.assertFalse([line for line in lines if line.startswith("OTA: watchdog")])


if __name__ == "__main__":
    # boot_case has taken what is its own.
    sys.exit(pytest.main([__file__, *sys.argv[1:]]))
