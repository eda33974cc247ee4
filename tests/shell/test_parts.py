# SPDX-License-Identifier: MIT
"""Bundles that are fetched in parts: which bytes a device asks for, and that it takes nothing else."""

import os
import re

from board import HEADER, tree
from promises import equal, promise, true
from test_bundle import bundle_board, good_bundle, keys, make_bundle
from test_failures import refused
from test_sysupgrade import ADDED


def beginning(content):
    """How many bytes come before the image of a bundle."""
    at, name = 0, b""
    while not name.endswith(b".blocks"):
        name, size = content[at : at + 100].rstrip(b"\0"), int(content[at + 124 : at + 135], 8)
        at += 512 + (0 if name.endswith(b".blocks") else (size + 511) // 512 * 512)
    return at


# What a bundle is made as, the code it is refused with, and a word of the reason.
REFUSED = {
    "a foreign board": ({"compatible": "other", "version": "4.0"}, 19, "for other"),
    "an old version": ({"version": "2.9"}, 20, "2.9"),
    "a wrong signature": ({"version": "4.0"}, 6, "signature"),
    "a bundle of format 1": ({"version": "4.0", "form": 1}, 4, "format 2"),
}


def refused_bundle(factory, what):
    """One of REFUSED: content, code, word."""
    options, code, word = REFUSED[what]
    options = {"form": 2, **options}
    if what == "a wrong signature":
        image, key = factory.image("ext4.gz"), keys(factory).private("mallory")
        return make_bundle(factory, image, key, **options), code, word
    return good_bundle(factory, **options), code, word


def in_parts(board, content):
    """Delivers what comes before the image; the rest of the file is not there."""
    path = board.root / "tmp/update.blocks.part"
    path.write_bytes(content[: beginning(content)])
    os.truncate(path, len(content))
    return path


def needs(board):
    result = board.sysupgrade("--needs", "/tmp/update.blocks.part")
    equal(result.code, 0, f"exit code, said {result.err}")
    ranges = [(int(at), int(size)) for at, size in re.findall(r"^range=(\d+) (\d+)$", result.out, re.M)]
    equal(
        re.findall(r"^(missing|ranges)=(\d+)$", result.out, re.M),
        [("missing", str(sum(size for _, size in ranges))), ("ranges", str(len(ranges)))],
        "the sums",
    )
    return ranges


def fetched(path, content, ranges):
    with open(path, "r+b") as f:
        for at, size in ranges:
            f.seek(at)
            f.write(content[at : at + size])


@promise("a bundle that is fetched in parts, as sysupgrade --needs says, installs exactly that system")
def parts(factory):
    board = bundle_board(factory, floor="1.9.9")
    content = good_bundle(factory, form=2, version="2.0.1")
    path = in_parts(board, content)
    before, env = board.slot_bytes("b"), board.env_bytes()
    fetched(path, content, needs(board))
    equal(needs(board), [], "what is still needed")
    equal(
        (board.slot_bytes("b"), board.env_bytes(), board.events()), (before, env, []), "slot, environment and journal"
    )
    (board.root / "tmp/x.hdr").write_bytes(HEADER)
    result = board.sysupgrade("--no-reboot", "--header", "/tmp/x.hdr", "/tmp/update.blocks.part")
    equal(result.code, 0, f"exit code, said {result.err}")
    with board.mounted("b") as new:
        equal(
            tree(new, without=(*ADDED, "etc/otamgr", "etc/otamgr/manifest", "etc/x.hdr")),
            tree(factory.new),
            "new system",
        )
    equal(board.slot_bytes("a"), board.running_before, "the running slot")


@promise(
    "exit 22: a bundle in parts that lacks blocks is refused before the slot is touched, and what is pulled then suffices"
)
def parts_lack(factory):
    board = bundle_board(factory)
    board.target_before = board.slot_bytes("b")
    content = good_bundle(factory, form=2)
    path = in_parts(board, content)
    refused(board, board.sysupgrade("--no-reboot", "/tmp/update.blocks.part"), 22, "pull it again")
    ranges = needs(board)
    fetched(path, content, ranges[:-1])
    refused(board, board.sysupgrade("--no-reboot", "/tmp/update.blocks.part"), 22, "pull it again")
    equal(needs(board), ranges[-1:], "what is needed now")
    fetched(path, content, ranges[-1:])
    equal(board.sysupgrade("--no-reboot", "/tmp/update.blocks.part").code, 0, "exit code in the end")


@promise(
    "--needs refuses {} before it looks at a slot, and changes nothing",
    cases=[*REFUSED, "an image that is no bundle"],
)
def needs_refused(factory, what):
    board = bundle_board(factory, floor="3.0")
    board.target_before = board.slot_bytes("b")
    if what in REFUSED:
        content, code, words = refused_bundle(factory, what)
    else:
        content, code, words = factory.image("ext4.gz").read_bytes(), 6, "no signed bundle"
    (board.root / "tmp/update.blocks.part").write_bytes(content)
    refused(board, board.sysupgrade("--needs", "/tmp/update.blocks.part"), code, words, journal=False)
    true("range=" not in board.sysupgrade("--needs", "/tmp/update.blocks.part").out, "nothing is asked for")
