# SPDX-License-Identifier: MIT
"""scripts/boot-time: how long the emulated board takes from power on, with verified boot and without."""

import statistics
import sys
import time

from emulated_board import build, machine, powercut, scenario, show
from otamgr import options

MOST = 1.1
# What is waited for, in this order.
MOMENTS = {
    "U-Boot has chosen the slot": r"OTA: booting slot a",
    "the system runs": scenario.BOOTED,
    "otamgr is connected": r"attribute_client:connected",
}


class Board:
    """A committed system of one kind, started again and again."""

    def __init__(self, screen, name, kind):
        self.name, self._kind = name, kind
        rootfs = kind.scenario(screen).rootfs()[0]
        self._disk, self._log = (
            build.BUILD / f"disk-boot-time-{name}.img",
            build.BUILD / f"logs/boot-time-{name}.console",
        )
        build.make_disk(self._disk, rootfs, {"ota_slot": "a"}, **kind.disk())
        self._log.unlink(missing_ok=True)
        self.seconds = {moment: [] for moment in MOMENTS}

    def start(self):
        """Seconds from power on to each moment."""
        with machine.Machine(
            self._disk, self._log, network=True, skip_autoboot_delay=True, **self._kind.machine()
        ) as board:
            found = []
            for pattern in MOMENTS.values():
                board.wait(pattern, scenario.BOOT, fail=scenario.DANGER)
                found.append(time.monotonic() - board.started)
            board.switch_off()
        return found

    def measure(self):
        for moment, seconds in zip(MOMENTS, self.start(), strict=True):
            self.seconds[moment].append(seconds)


def main():
    parser = options.Parser(
        prog="scripts/boot-time",
        description="Starts a board without and one with verified boot and a read-only root in turns, on the emulated board, and compares the medians.\n"
        "A processor that is emulated verifies a signature and hashes as slowly as it does everything else.",
        epilog="examples:\n  scripts/boot-time\n  scripts/boot-time --read-only ext4 --runs 9\n\n"
        f"exit status: 0 the board with verified boot takes at most {MOST} times as long until otamgr is connected; 1 longer; 2 usage",
    )
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="starts of each (default 5)")
    parser.add_argument(
        "--read-only",
        choices=scenario.READ_ONLY,
        default="squashfs",
        metavar="KIND",
        help="ext4, squashfs (default) or erofs",
    )
    arguments = parser.parse_args()
    screen = show.Show()
    try:
        screen.step("Build the boards")
        boards = [
            Board(screen, "plain", powercut.Kind()),
            Board(screen, "verified", powercut.Kind(arguments.read_only, True)),
        ]
        screen.step("First start of each: the data partition grows, overlays are made")
        for board in boards:
            board.start()
        for number in range(arguments.runs):
            screen.step(f"Start {number + 1} of {arguments.runs}")
            for board in boards:
                board.measure()
                screen.line(
                    board.name, ", ".join(f"{moment} {seconds[-1]:.1f} s" for moment, seconds in board.seconds.items())
                )
    except (machine.Timeout, RuntimeError) as problem:
        screen.line("FAILED", str(problem))
        return 1
    rows, ratio = [], 0.0
    for moment in MOMENTS:
        plain, verified = (statistics.median(board.seconds[moment]) for board in boards)
        ratio = verified / plain
        rows.append((moment, f"{plain:5.1f} s without, {verified:5.1f} s with: {ratio:.2f} times"))
    screen.table(rows)
    print(f"{ratio:.2f} times until otamgr is connected, expected at most {MOST}")
    return 0 if ratio <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
