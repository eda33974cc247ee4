#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A floor that root cannot lower: the emulated board with an eMMC that has an RPMB, from the factory to a permit that goes back on purpose."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from emulated_board import build, rpmb, scenario, show
from otamgr import verified

# Seconds that a step may take before the board counts as lost.
STEP = 900
OLD, FLASHED = 2, 3
FRAMES = "/usr/share/frames"
CARD, STICK = build.BUILD / "card-floor.img", build.BUILD / "stick-floor.img"


def with_frames(tree):
    """Frames that are made with the key of this board, or of another one. The key itself stays with whoever made them."""
    folder = tree / FRAMES.removeprefix("/")
    folder.mkdir(parents=True)
    key, other = (build.BUILD / f"keys/{name}.rpmb" for name in ("floor", "floor-of-another-board"))
    for file in (key, other):
        if not file.exists():
            verified.make_floor_key(file)
        (folder / file.with_suffix(".key").name).write_bytes(Path(f"{file}.frame").read_bytes())
    for name, of, counter, floor in (
        ("to-3", key, 0, FLASHED),
        ("to-3-by-another-key", other, 1, FLASHED),
        ("to-9", key, 1, 9),
        ("to-2", key, 1, OLD),
        ("to-3-again", key, 2, FLASHED),
    ):
        (folder / name).write_bytes(verified.permit(of, counter, floor))
    whole = (folder / "to-2").read_bytes()
    (folder / "to-2-changed").write_bytes(
        whole.replace(verified.FLOOR_MAGIC + bytes([OLD]), verified.FLOOR_MAGIC + bytes([OLD - 1]))
    )
    (folder / "cut").write_bytes(whole[:-1])


class Floor(unittest.TestCase):
    """One board; its promises follow one another, as its life does."""

    def say(self, command, expected=0):
        status, said = self.board.shell(command, STEP)
        self.assertEqual(expected, status, f"{command}: {said}")
        return said

    def permit(self, name, expected=0):
        return self.say(f"ota-floor permit {FRAMES}/{name}", expected)

    def sysupgrade(self, expected):
        """Of the older system, from the stick."""
        self.say("mkdir -p /run/stick && mount -t ext4 -o ro /dev/vda /run/stick")
        return self.say("sysupgrade --no-reboot /run/stick/old.bundle", expected)

    def reboots(self, slot):
        self.board.type("\nreboot\n")
        self.board.wait(rf"^BOARD slot={slot} ", STEP, fail=rf"NO BOOTABLE SLOT|^BOARD slot=[^{slot}]")
        self.board.wait("control:socket=", STEP)

    def test_the_floor_of_a_board_from_the_factory_to_a_permit_that_goes_back(self):
        screen = show.Show()
        builder = rpmb.Builder(screen)
        here = [Path(__file__), verified.__file__]
        flashed, old = (
            builder.system(version, index, with_frames, here) for version, index in (("1.0", FLASHED), ("1.1", OLD))
        )
        builder.flash(CARD, flashed, FLASHED)
        # Of a higher version, so that nothing but its index is against it.
        bundle = builder.bundle("hub_update-floor", old, "1.1")
        rpmb.make_stick({"old.img": old, "old.bundle": bundle}, STICK)
        log = build.BUILD / "logs/floor.console"
        log.parent.mkdir(exist_ok=True)
        log.unlink(missing_ok=True)
        with builder.board(CARD, log, on_line=lambda line: scenario.show_line(screen, line), stick=STICK) as board:
            self.board = board
            board.wait(r"^BOARD slot=a version=1.0 ", STEP)
            board.wait("control:socket=", STEP)

            self.from_the_factory()
            self.what_root_cannot_do()
            self.an_older_system_in_the_slot_is_not_started()
            self.a_permit_goes_back_once()

    def from_the_factory(self):
        said = self.say("ota-floor status")
        self.assertEqual(f"key=no\ncounter=0\nfloor=\nindex={FLASHED}\ndevice=", said[: said.index("device=") + 7])
        self.assertRegex(said, r"device=[0-9a-f]{32}\n$")
        self.assertIn("no key yet", self.permit("to-3", 3))
        self.assertIn("key=yes\ncounter=0\nfloor=\n", self.permit("floor.key"))
        self.assertIn("has its key already", self.permit("floor-of-another-board.key", 3))
        self.assertIn(f"counter=1\nfloor={FLASHED}\n", self.permit("to-3"))

    def what_root_cannot_do(self):
        self.assertIn("the permit is for counter 0", self.permit("to-3", 3))
        self.assertIn("made with another key, or changed", self.permit("to-3-by-another-key", 1))
        self.assertIn("made with another key, or changed", self.permit("to-2-changed", 1))
        self.assertIn("it would not start again", self.permit("to-9", 3))
        self.assertIn("expected a frame of 512 bytes", self.permit("cut", 3))
        # Not through the program of the layer either: what is left of its judgement is the eMMC's.
        self.assertEqual(
            f"key=yes\ncounter=1\nfloor={FLASHED}\n", self.say("/usr/lib/otamgr/ota-rpmb /dev/mmcblk0rpmb")
        )
        self.say("dd if=/dev/zero of=/dev/mmcblk0rpmb bs=512 count=1 2>/dev/null", 1)

    def an_older_system_in_the_slot_is_not_started(self):
        said = self.sysupgrade(20)
        self.assertIn(f"rollback index {OLD} is below {FLASHED}, the lowest that U-Boot of this board starts", said)
        self.assertIn("state=committed", self.say("ota-slot status"))
        # Root puts it there all the same, and says that it is good.
        self.say("cat /run/stick/old.img >/dev/mmcblk0p3 && sync && fw_setenv ota_slot b")
        self.reboots("a")
        self.assertIn("failed_why=slot-b-below-floor", self.say("ota-slot status"))

    def a_permit_goes_back_once(self):
        self.assertIn(f"counter=2\nfloor={OLD}\n", self.permit("to-2"))
        self.assertIn("each permit works once", self.permit("to-2", 3))
        self.sysupgrade(0)
        self.reboots("b")
        self.board.wait("slot_committed:slot=b", STEP)
        self.assertIn(f"index={OLD}\n", self.say("ota-floor status"))
        # The system that runs would not start again.
        self.assertIn("it would not start again", self.permit("to-3-again", 3))


if __name__ == "__main__":
    unittest.main()
