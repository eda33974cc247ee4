# SPDX-License-Identifier: MIT
"""scripts/flips: single flipped bits on the disk of a board with verified boot. Each is judged by programs of this machine, some by starting the board."""

import binascii
import collections
import hashlib
import json
import random
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from emulated_board import build, inspect_disk, machine, scenario, show
from otamgr import options, verified

BLOCK = verified.BLOCK
ENV_SIZE = int(build.SETTINGS["OTA_ENV_SIZE"], 16)
PLACES = ("file system", "tree", "signed image", "boot script", "environment")


@dataclass(frozen=True)
class Flip:
    """One bit of the disk; `part` says of what is there more than one."""

    place: str
    part: int
    start: int  # of the part on the disk
    offset: int  # in the part
    bit: int


def flipped(content, flip):
    changed = bytearray(content)
    changed[flip.offset] ^= 1 << flip.bit
    return bytes(changed)


def properties(fit):
    """path: value of every property of a FIT, or None where it cannot be read as one. What U-Boot uses is found by these."""
    try:
        magic, total, at, strings = struct.unpack_from(">IIII", fit)
        if magic != 0xD00DFEED or total > len(fit):
            return None
        found, path = {}, []
        while True:
            (token,) = struct.unpack_from(">I", fit, at)
            at += 4
            if token == 1:
                end = fit.index(b"\0", at)
                path.append(fit[at:end])
                at = (end + 4) // 4 * 4
            elif token == 2:
                path.pop()
            elif token == 3:
                size, name = struct.unpack_from(">II", fit, at)
                end = fit.index(b"\0", strings + name)
                found[b"/".join([*path, fit[strings + name : end]])] = fit[at + 8 : at + 8 + size]
                at = (at + 8 + size + 3) // 4 * 4
            elif token == 9:
                return found
            elif token != 4:
                return None
    except (struct.error, ValueError, IndexError):
        return None


class Disk:
    """A disk whose slot `slot` is committed, and what of it is verified."""

    def __init__(self, path, slot, control):
        self.path, self.slot, self._control = path, slot, control
        partitions = inspect_disk.partitions(path)
        start, size = partitions[f"rootfs-{slot}"]
        self._image = self.read(start, size)
        with tempfile.NamedTemporaryFile() as copy:
            copy.write(self._image)
            copy.flush()
            self.facts = facts = verified.check(copy.name, control)
        self._salt = bytes.fromhex(facts["salt"])
        _, self._tree_bytes = verified.tree_of(
            (self._image[n * BLOCK : (n + 1) * BLOCK] for n in range(facts["data-blocks"])), self._salt
        )
        tree = self._tree_bytes
        # (first block, blocks) of each level in it, the one of the file system's blocks first, which comes last.
        self._levels, below, end = [], facts["data-blocks"], len(tree) // BLOCK
        while below > 1:
            below = -(-below // (BLOCK // 32))
            end -= below
            self._levels.append((end, below))
        self.parts = {
            "file system": [(start, facts["data-blocks"] * BLOCK)],
            "tree": [(start + facts["tree-offset"], len(tree))],
            "signed image": [(start + facts["fit-offset"], facts["fit-bytes"])],
            "boot script": self._scripts(partitions["boot"]),
            "environment": [
                (int(build.SETTINGS[name], 16), ENV_SIZE) for name in ("OTA_ENV_OFFSET", "OTA_ENV_OFFSET_REDUND")
            ],
        }

    def read(self, start, size):
        with open(self.path, "rb") as disk:
            disk.seek(start)
            return disk.read(size)

    def _scripts(self, partition):
        """Where the copies of the script are: mcopy put each into one piece."""
        start, size = partition
        content, found = self.read(start, size), []
        for name in build.SIGNED_SCRIPTS:
            script = subprocess.run(
                ["mcopy", "-n", "-i", f"{self.path}@@{start}", f"::{name}", "-"], check=True, capture_output=True
            ).stdout
            at = content.index(script, found[-1][0] - start + 1 if found else 0)
            found.append((start + at, len(script)))
        return found

    def drawn(self, chance, place):
        part = chance.randrange(len(self.parts[place]))
        start, size = self.parts[place][part]
        return Flip(place, part, start, chance.randrange(size), chance.randrange(8))

    def judged(self, flip):
        """refused, unused (what is started is as it was signed), other copy; or "RUNS" for a flipped bit that would be used."""
        start, size = self.parts[flip.place][flip.part]
        before = self.read(start, size)
        return getattr(self, f"_{flip.place.replace(' ', '_')}")(before, flipped(before, flip), flip)

    def _file_system(self, _before, after, flip):
        # The way of this block through the tree, as the kernel goes it.
        block = flip.offset // BLOCK
        return "refused" if self._hash(after, block) != self._expected(block, 0) else "RUNS"

    def _tree(self, _before, after, flip):
        # Blocks of hashes have a hash above them, the first one the root.
        block = flip.offset // BLOCK
        number = next(n for n, (start, size) in enumerate(self._levels) if start <= block < start + size)
        expected = self._expected(block - self._levels[number][0], number + 1)
        return "refused" if self._hash(after, block) != expected else "RUNS"

    def _hash(self, content, block):
        return hashlib.sha256(self._salt + content[block * BLOCK : (block + 1) * BLOCK]).digest()

    def _expected(self, block, level):
        """What a level of the tree says of the block below it; above the last level is the root."""
        if level == len(self._levels):
            return bytes.fromhex(self.facts["root"])
        at = self._levels[level][0] * BLOCK + block * 32
        return self._tree_bytes[at : at + 32]

    def _signed_image(self, before, after, _flip):
        with tempfile.NamedTemporaryFile() as fit:
            fit.write(after)
            fit.flush()
            done = subprocess.run(
                ["fit_check_sign", "-f", fit.name, "-k", self._control], capture_output=True, check=False
            )
        if done.returncode:
            return "refused"
        return "unused" if self._used(before) == self._used(after) else "RUNS"

    @staticmethod
    def _used(fit):
        """What U-Boot takes from a FIT: the images of the configuration, and what it does with them."""
        found = properties(fit) or {}
        names = (
            b"data",
            b"type",
            b"arch",
            b"os",
            b"compression",
            b"load",
            b"entry",
            b"kernel",
            b"fdt",
            b"ramdisk",
            b"script",
        )
        return {path: value for path, value in found.items() if path.split(b"/")[-1] in names}

    def _boot_script(self, before, after, _flip):
        # U-Boot verifies the image's own signature and runs its data.
        def signed(fit):
            found = properties(fit) or {}
            return found.get(b"/images/script/data"), found.get(b"/images/script/signature-1/value")

        return "unused" if signed(before) == signed(after) else "refused, the other copy runs"

    def _environment(self, _before, after, flip):
        # Checksum (4), generation (1), data. A generation has no checksum: it only says which of two whole copies is the newer one.
        if flip.offset == 4:
            return "whole copy, older or newer"
        whole = struct.unpack_from("<I", after)[0] == binascii.crc32(after[5:])
        return "RUNS" if whole else "refused, the other copy is read"


class Boards:
    """Starts the board with a flipped bit, and looks where it ends."""

    def __init__(self, screen, disk, options):
        self._screen, self._disk, self._options = screen, disk, options
        self._copy = disk.path.with_name("disk-flipped.img")
        self._log = build.BUILD / "logs/flips.console"

    def end(self, flip):
        """(slot that runs or None, the environment, what ota-why says)."""
        build.run("cp", "--sparse=always", self._disk.path, self._copy)
        with open(self._copy, "r+b") as file:
            file.seek(flip.start + flip.offset)
            (byte,) = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1 << flip.bit]))
        self._log.unlink(missing_ok=True)
        lines = []
        with machine.Machine(self._copy, self._log, on_line=lines.append, network=True, **self._options) as board:
            found = board.wait(rf"{scenario.BOOTED}|OTA: NO BOOTABLE SLOT", scenario.BOOT)
            said = ""
            if found[1]:
                board.type("\necho why-begins; ota-why 2>&1; echo why-$((1+1))-ends\n")
                board.wait(r"why-2-ends", scenario.BOOT)
                text = "\n".join(lines)
                said = text[text.rindex("why-begins") :]
        return found[1], inspect_disk.environment(self._copy), said

    def problem(self, flip, verdict):
        """What is not as promised, or nothing."""
        slot, environment, said = self.end(flip)
        other = {"a": "b", "b": "a"}[self._disk.slot]
        self._screen.line(
            "board", f"{flip}: {verdict}; slot {slot}, {environment.get('ota_failed_why', 'nothing failed')}"
        )
        if flip.place in ("file system", "tree", "signed image") and verdict == "refused":
            if slot != other or environment.get("ota_slot") != other:
                return f"{flip}: expected slot {other}, found {slot} and {environment}"
            if not any(word in said for word in ("does not load", "did not load", "was changed")):
                return f"{flip}: ota-why names no reason: {said}"
        elif flip.place == "environment":
            # The older copy may be that of the trial, whose tries may end.
            if slot not in ("a", "b"):
                return f"{flip}: expected a slot, found none"
        elif slot != self._disk.slot:
            return f"{flip}: expected slot {self._disk.slot}, found {slot}"
        return ""


def main():
    parser = options.Parser(
        prog="scripts/flips",
        description="Flips single bits on the disk that scripts/demo --verified left: of the committed slot's file system, hash tree and signed image,\n"
        "of the boot script and of the environment. Each is judged by programs of this machine, some by starting the board.",
        epilog="examples:\n  scripts/flips --cases 2000 --seed 7 --booted 10\n\nexit status: 0 no flipped bit is used, 1 one is, 2 usage",
    )
    parser.add_argument("--cases", type=int, default=500, metavar="N", help="default: 500")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the same seed, the same flips; default: 1")
    parser.add_argument(
        "--booted", type=int, default=5, metavar="N", help="how many of them start the board; default: 5"
    )
    arguments = parser.parse_args()

    screen = show.Show()
    path = build.BUILD / "disk-good-verified-squashfs.img"
    if not path.exists():
        print("scripts/flips: there is no board with verified boot; run scripts/demo --verified first", file=sys.stderr)
        return 2
    parts = scenario.Builder(screen).verified_boot()
    disk = Disk(path, inspect_disk.environment(path)["ota_slot"], parts.control)
    boards = Boards(screen, disk, parts.options())
    chance = random.Random(arguments.seed)
    table, problems = collections.Counter(), []
    every = max(1, arguments.cases // arguments.booted) if arguments.booted else 0
    booted = 0
    for n in range(arguments.cases):
        flip = disk.drawn(chance, PLACES[n % len(PLACES)])
        verdict = disk.judged(flip)
        table[flip.place, verdict] += 1
        if verdict == "RUNS":
            problems.append(f"{flip}: would be used")
        # One of each place, then of the next.
        if every and booted < arguments.booted and n % every == booted % min(every, len(PLACES)):
            booted += 1
            problems += filter(None, [boards.problem(flip, verdict)])
    screen.table(
        [
            *((f"{place}: {verdict}", str(count)) for (place, verdict), count in sorted(table.items())),
            ("booted", str(booted)),
        ]
    )
    print(json.dumps({"cases": arguments.cases, "seed": arguments.seed, "booted": booted, "used": len(problems)}))
    for problem in problems:
        print(f"  NOT AS PROMISED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
