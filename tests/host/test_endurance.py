# SPDX-License-Identifier: MIT
"""What scripts/soak calls flat."""

import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from emulated_board import endurance  # noqa: E402


def sample(seconds, life=0, age=None, memory=60_000, descriptors=20, threads=12, processes=30, storage=5_000):
    return endurance.Sample(
        seconds, life, seconds if age is None else age, memory, descriptors, threads, processes, storage
    )


def wrong(samples):
    return {verdict.what for verdict in endurance.judge(samples, 60) if not verdict.flat}


class EnduranceTest(unittest.TestCase):
    def test_what_stays_as_it_is_is_flat(self):
        self.assertEqual(set(), wrong([sample(5 * i, memory=60_000 + i % 7 * 300) for i in range(100)]))

    def test_what_grows_in_one_daemon_is_found(self):
        self.assertEqual({"memory of the daemon"}, wrong([sample(5 * i, memory=60_000 + 100 * i) for i in range(200)]))
        self.assertEqual(
            {"descriptors of the daemon", "threads of the daemon"},
            wrong([sample(5 * i, descriptors=20 + i // 20, threads=12 + i // 20) for i in range(200)]),
        )

    def test_what_grows_from_one_daemon_to_the_next_is_found(self):
        samples = [
            sample(300 * life + 5 * i, life, 5 * i, processes=30 + life, storage=5_000 + 2_000 * life)
            for life in range(5)
            for i in range(50)
        ]
        self.assertEqual({"processes of the board", "used on /run and /tmp"}, wrong(samples))

    def test_the_first_seconds_of_a_daemon_are_no_growth(self):
        self.assertEqual(set(), wrong([sample(5 * i, memory=min(60_000, 5_000 * i)) for i in range(100)]))

    def test_a_run_in_which_no_daemon_lived_long_enough_proves_nothing(self):
        self.assertEqual({"samples"}, wrong([sample(5 * i, i, 0) for i in range(20)]))
        self.assertEqual({"samples"}, wrong([]))

    def test_the_line_of_blocks_rises_with_the_values(self):
        self.assertEqual("▁▅█", endurance.sparks([0, 50, 100]))
        self.assertEqual(72, len(endurance.sparks(list(range(1000)))))
        self.assertEqual("▁▁", endurance.sparks([3, 3]))


if __name__ == "__main__":
    unittest.main()
