# SPDX-License-Identifier: MIT
"""ota-grow: the last partition takes the rest of the disk, whatever the table is and whenever the power goes; nothing else changes. Tables are
made and judged by sfdisk."""

import json
import os
import random
import re
import shutil
import struct
import subprocess
import tempfile
import unittest
import zlib
from pathlib import Path

import content

SECTOR, MIB = 512, 1 << 20
SMALL, LARGE = 9 * MIB, 16 * MIB
GROWN, FAILED, USAGE, NOTHING_TO_DO, MADE_WHOLE = 0, 1, 2, 3, 5
LAYOUT = """\
start=2048, size=1024, name=boot
start=3072, size=2048, name=rootfs-a
start=5120, size=2048, name=rootfs-b
start=7168, size=8192, name=data
"""
STARTS, SIZES, DATA = (2048, 3072, 5120, 7168), [1024, 2048, 2048, 8192], 7168
HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
# Of a header's fields.
CRC, HERE, OTHER, FIRST, LAST, ENTRIES, TABLE_CRC = 3, 5, 6, 7, 8, 10, 13


def copy_at(disk, sector):
    """The fields of the header there and the bytes of its entries, or None."""
    fields = list(HEADER.unpack_from(disk, sector * SECTOR))
    if fields[0] != b"EFI PART" or fields[HERE] != sector:
        return None
    crc, fields[CRC] = fields[CRC], 0
    entries = disk[fields[ENTRIES] * SECTOR :][: 128 * 128]
    if crc != zlib.crc32(HEADER.pack(*fields)) or fields[TABLE_CRC] != zlib.crc32(entries):
        return None
    return fields, entries


def with_header(disk, sector, changes, entries=None):
    """The disk with other fields in a header, whose checksums are right."""
    fields = list(HEADER.unpack_from(disk, sector * SECTOR))
    for field, value in changes.items():
        fields[field] = value
    out = bytearray(disk)
    if entries is not None:
        out[fields[ENTRIES] * SECTOR :][: len(entries)] = b""
        out[fields[ENTRIES] * SECTOR : fields[ENTRIES] * SECTOR + len(entries)] = entries
        fields[TABLE_CRC] = zlib.crc32(entries)
    fields[CRC] = 0
    fields[CRC] = zlib.crc32(HEADER.pack(*fields))
    HEADER.pack_into(out, sector * SECTOR, *fields)
    return bytes(out)


class Growing(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="grow-test."))
        self.addCleanup(shutil.rmtree, self.folder)
        self.disk = self.folder / "disk"

    def made(self, label="gpt", layout=LAYOUT, size=LARGE):
        """A disk image of 9 MiB on a disk of another size."""
        self.disk.unlink(missing_ok=True)
        self.disk.touch()
        os.truncate(self.disk, SMALL)
        text = f"label: {label}\n{layout if label == 'gpt' else re.sub(', name=.*', '', layout)}"
        subprocess.run(["sfdisk", "-q", self.disk], input=text, text=True, check=True, capture_output=True)
        with open(self.disk, "r+b") as disk:
            # What partitions hold, and the code before the table of an MBR.
            disk.write(b"code of a boot loader")
            for start in STARTS:
                disk.seek(start * SECTOR)
                disk.write(b"of a partition" * 1000)
        os.truncate(self.disk, size)
        return self.disk.read_bytes()

    def grow(self, number=4, first=DATA, disk=None):
        program = content.engine().with_name("ota-grow")
        return subprocess.run(
            [program, disk or self.disk, str(number), str(first)],
            capture_output=True,
            text=True,
            timeout=content.patience(60),
            env={**os.environ, "ASAN_OPTIONS": "exitcode=99", "UBSAN_OPTIONS": "exitcode=99"},
        )

    def grown_to(self, status, number=4, first=DATA):
        result = self.grow(number, first)
        self.assertEqual(status, result.returncode, result.stderr)
        return self.disk.read_bytes()

    def refused(self, words, *arguments, status=FAILED):
        before = self.disk.read_bytes()
        result = self.grow(*arguments)
        self.assertEqual(status, result.returncode, result.stderr)
        self.assertRegex(result.stderr, words)
        self.assertEqual(before, self.disk.read_bytes())

    def table(self):
        """What sfdisk says of the disk, which it has nothing to complain about."""
        done = subprocess.run(["sfdisk", "--json", self.disk], capture_output=True, text=True, check=True)
        judged = subprocess.run(["sfdisk", "--verify", self.disk], capture_output=True, text=True)
        self.assertEqual(0, judged.returncode, judged.stdout + judged.stderr)
        self.assertNotRegex(
            done.stderr + judged.stdout + judged.stderr, "(?i)corrupt|mismatch|backup|error(?!s detected)"
        )
        return json.loads(done.stdout)["partitiontable"]

    def test_the_last_partition_takes_the_rest_and_nothing_else_changes(self):
        for label in ("gpt", "dos"):
            with self.subTest(label):
                self.made(label, size=SMALL)
                expected = self.table()
                before = self.made(label)
                expected["id"] = self.table_id()
                after = self.grown_to(GROWN)
                found = self.table()
                end = LARGE // SECTOR - (33 if label == "gpt" else 0)
                size = end - DATA
                self.assertEqual(size, found["partitions"][3]["size"])
                for one, other in zip(expected["partitions"], found["partitions"], strict=True):
                    self.assertEqual((one["start"], one["type"]), (other["start"], other["type"]))
                self.assertEqual(SIZES[:3], [part["size"] for part in found["partitions"][:3]])
                self.assertEqual(expected["id"], found["id"])
                self.assertEqual(before[34 * SECTOR : -33 * SECTOR], after[34 * SECTOR : -33 * SECTOR])
                self.assertEqual(before[:446], after[:446])
                self.assertEqual(after, self.grown_to(NOTHING_TO_DO))

    def table_id(self):
        done = subprocess.run(["sfdisk", "--disk-id", self.disk], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def test_names_types_and_identifiers_of_a_gpt_stay(self):
        before = self.made()
        after = self.grown_to(GROWN)
        old, new = copy_at(before, 1), copy_at(after, 1)
        self.assertEqual(new[1], copy_at(after, LARGE // SECTOR - 1)[1])
        for number in range(128):
            at = number * 128
            self.assertEqual(old[1][at : at + 40], new[1][at : at + 40])
            self.assertEqual(old[1][at + 48 : at + 128], new[1][at + 48 : at + 128])
        self.assertEqual(old[0][9], new[0][9])

    def test_wherever_the_power_goes_one_copy_is_whole_and_the_next_start_ends_what_was_begun(self):
        before = self.made()
        after = self.grown_to(GROWN)
        last = LARGE // SECTOR - 1
        old, new = copy_at(before, 1)[1], copy_at(after, 1)[1]
        # As they are written; within each step in any order.
        steps = [[*range(last - 32, last)], [last], [0], [*range(2, 34)], [1]]
        state, done = bytearray(before), 0
        for step in steps:
            random.Random(len(step)).shuffle(step)
            for sector in step:
                at = slice(sector * SECTOR, (sector + 1) * SECTOR)
                state[at] = after[at]
                done += 1
                copies = [copy for copy in (copy_at(state, 1), copy_at(state, last)) if copy]
                self.assertTrue(copies, f"after {done} sectors")
                self.assertLessEqual({bytes(copy[1]) for copy in copies}, {old, new})
                if done % 3 == 0 or state == after:
                    self.disk.write_bytes(state)
                    self.grow()
                    self.assertEqual(after, self.disk.read_bytes(), f"after {done} sectors")
        self.assertEqual(after, bytes(state))

    def test_an_mbr_changes_in_one_sector(self):
        before = self.made("dos")
        self.assertEqual(before[SECTOR:], self.grown_to(GROWN)[SECTOR:])

    def test_without_room_nothing_is_written(self):
        for label in ("gpt", "dos"):
            with self.subTest(label):
                before = self.made(label, LAYOUT.replace("size=8192", "size=11000"), size=SMALL)
                self.assertEqual(before, self.grown_to(NOTHING_TO_DO))

    def test_a_partition_that_is_not_the_last_keeps_its_size(self):
        for label in ("gpt", "dos"):
            with self.subTest(label):
                before = self.made(label)
                after = self.grown_to(MADE_WHOLE if label == "gpt" else NOTHING_TO_DO, 2, STARTS[1])
                self.assertEqual(SIZES, [part["size"] for part in self.table()["partitions"]])
                if label == "dos":
                    self.assertEqual(before, after)

    def test_a_table_that_names_another_partition_is_left_alone(self):
        for label in ("gpt", "dos"):
            with self.subTest(label):
                self.made(label)
                self.refused("expected partition 4 to begin with sector 7176, found another table", 4, 7176)
                if label == "gpt":
                    self.refused("expected partition 5 to begin", 5, DATA)
                    self.refused("expected a partition from 1 to 128, found 129", 129, DATA)
        # A logical partition of an MBR.
        self.refused("^$", 5, DATA, status=NOTHING_TO_DO)

    def test_what_is_no_table_is_left_alone(self):
        for what in (bytes(LARGE), random.Random(1).randbytes(LARGE)):
            self.disk.write_bytes(what)
            self.refused("expected a GPT or an MBR, found neither")
        before = self.made()
        # Only the record of the MBR is left.
        self.disk.write_bytes(before[:SECTOR] + bytes(LARGE - SECTOR))
        self.refused("expected a partition table with a good checksum at its start or its end, found none")

    def test_a_disk_that_is_smaller_than_its_table_is_left_alone(self):
        self.made(size=SMALL - 3 * MIB)
        self.refused("found no room")
        self.disk.write_bytes(bytes(10000))
        self.refused("expected a disk with sectors of 512 bytes, found 10000 bytes")

    def test_words_that_are_none_are_refused(self):
        self.made()
        for words in (("0", "7168"), ("4", "-1"), ("4x", "7168"), ("", "1"), ("4", "99999999999999999999")):
            self.refused("^Usage: ota-grow", *words, status=USAGE)

    def test_a_damaged_copy_is_made_whole_from_the_other_one(self):
        self.made()
        whole = self.grown_to(GROWN)
        last = LARGE // SECTOR - 1
        for sector in (1, 2, last - 32, last):
            with self.subTest(sector):
                damaged = bytearray(whole)
                damaged[sector * SECTOR + 60] ^= 1
                self.disk.write_bytes(damaged)
                expected = whole
                if sector == 2:
                    # Half of an entry is no reason to write nothing: the header says that entries are there.
                    self.assertIsNone(copy_at(damaged, 1))
                self.assertEqual(expected, self.grown_to(MADE_WHOLE))

    def test_a_boot_loader_where_a_table_could_be_is_never_overwritten(self):
        self.made()
        whole = bytearray(self.grown_to(GROWN))
        whole[SECTOR : 34 * SECTOR] = bytes(33 * SECTOR)
        whole[16 * SECTOR + 4 : 16 * SECTOR + 12] = b"eGON.BT0"
        self.disk.write_bytes(whole)
        self.refused("expected a partition table or nothing at its start, found something else")

    def test_a_table_that_was_moved_out_of_the_way_of_a_boot_loader_stays_where_it_is(self):
        before = self.made()
        entries = copy_at(before, 1)[1]
        moved = bytearray(before)
        moved[2 * SECTOR : 34 * SECTOR] = bytes(14 * SECTOR) + b"eGON.BT0".ljust(SECTOR) * 18
        moved = with_header(moved, 1, {ENTRIES: 1024}, entries)
        self.disk.write_bytes(moved)
        after = self.grown_to(GROWN)
        self.assertEqual(moved[2 * SECTOR : 34 * SECTOR], after[2 * SECTOR : 34 * SECTOR])
        self.assertEqual(1024, copy_at(after, 1)[0][ENTRIES])
        self.assertEqual(copy_at(after, 1)[1], copy_at(after, LARGE // SECTOR - 1)[1])
        # Nor after a power cut in the middle of its entries.
        torn = bytearray(after)
        torn[1024 * SECTOR : 1030 * SECTOR] = moved[1024 * SECTOR : 1029 * SECTOR] + b"\x5a" * SECTOR
        self.disk.write_bytes(torn)
        self.assertEqual(after, self.grown_to(MADE_WHOLE))

    def test_whatever_a_table_says_only_tables_are_written(self):
        """Drawn at random, with checksums that are right."""
        draw = random.Random(17)
        last = LARGE // SECTOR - 1
        good = self.made()
        found = {}
        for _ in range(150):
            entries = bytearray(copy_at(good, 1)[1])
            for _ in range(draw.randrange(4)):
                at = draw.randrange(5) * 128 + draw.choice((0, 32, 40))
                entries[at : at + 8] = struct.pack(
                    "<Q", draw.choice((0, 1, DATA, last, 2**63, 2**64 - 1, draw.randrange(last)))
                )
            changes = {}
            for _ in range(draw.randrange(3)):
                field = draw.choice((2, HERE, OTHER, FIRST, LAST, 11, 12))
                changes[field] = draw.choice((0, 1, 2, 92, 128, 512, last, 2**31, draw.randrange(2**32)))
            disk = with_header(good, 1, changes, bytes(entries))
            if draw.random() < 0.3:
                disk = (
                    disk[: draw.randrange(34) * SECTOR + 100] + b"\xa5" * 100 + disk[draw.randrange(34, 40) * SECTOR :]
                )
                disk = disk[:LARGE].ljust(LARGE, b"\0")
            self.disk.write_bytes(disk)
            result = self.grow()
            after = self.disk.read_bytes()
            self.assertIn(result.returncode, (GROWN, FAILED, NOTHING_TO_DO, MADE_WHOLE), result.stderr)
            found[result.returncode] = found.get(result.returncode, 0) + 1
            if result.returncode in (FAILED, NOTHING_TO_DO):
                self.assertEqual(disk, after, result.stderr)
            self.assertEqual(disk[34 * SECTOR : -33 * SECTOR], after[34 * SECTOR : -33 * SECTOR])
        self.assertLessEqual({GROWN, FAILED}, set(found))

    @unittest.skipUnless(os.geteuid() == 0, "loop devices need root")
    def test_the_kernel_is_told_while_other_partitions_are_in_use(self):
        self.made()
        done = subprocess.run(
            ["losetup", "-P", "--find", "--show", self.disk], capture_output=True, check=True, text=True
        )
        loop = Path(done.stdout.strip())
        self.addCleanup(subprocess.run, ["losetup", "-d", loop], check=True)
        size = Path("/sys/class/block") / loop.name / f"{loop.name}p4/size"
        if not size.exists():
            # A kernel that reads no such tables by itself.
            subprocess.run(["partx", "--add", loop], check=True)
            self.addCleanup(subprocess.run, ["partx", "--delete", loop], check=True)
        self.assertEqual(SIZES[3], int(size.read_text()))
        result = self.grow(disk=loop)
        self.assertEqual(GROWN, result.returncode, result.stderr)
        self.assertEqual(LARGE // SECTOR - 33 - DATA, int(size.read_text()))


if __name__ == "__main__":
    unittest.main()
