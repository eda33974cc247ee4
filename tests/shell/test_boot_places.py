# SPDX-License-Identifier: MIT
"""A boot loader at two places of the disk, which the ROM tries one after the other: the second one is written with the slot, the first one after the
commit, and what a failure, a rollback or a power cut leaves. The places are behind a real block device."""

import hashlib
from pathlib import Path

from board import KIB, MIB, SLOT, run
from promises import equal, promise, true
from test_boot_loader import NEW, OLD, boot_bundle, events, rebooted, record, updated
from test_bundle import keys, trusting
from test_failures import refused
from test_trial_guard import GUARD

SOURCES = Path(__file__).resolve().parents[2] / "recipes-ota/ota-boot-loader/files"
FIRST, SECOND = 1 * MIB, 2 * MIB
PLACE_BYTES = MIB
CONF = f"PLACE_DEVICE=/dev/mmcblk0\nPLACE_FIRST={FIRST}\nPLACE_SECOND={SECOND}\nPLACE_BYTES={PLACE_BYTES}\n"
TO_FIRST = f'to="/dev/mmcblk0 at {FIRST}"'


def placer(repository):
    """The program, built for this machine where its source is newer."""
    source, out = SOURCES / "ota-boot-place.c", repository / "build/ota-content/ota-boot-place.checked"
    if not out.exists() or any(file.stat().st_mtime > out.stat().st_mtime for file in SOURCES.iterdir()):
        checks = (
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
            "-static-libasan",
            "-static-libubsan",
            "-s",
        )
        run("gcc", "-std=c11", "-D_GNU_SOURCE", "-O1", *checks, "-Wall", "-Wextra", "-Werror", source, "-o", out)
    return out


def places_board(factory, running="a", conf=CONF, first=OLD, second=OLD, also=lambda root: None):
    def change(root):
        (root / "etc/otamgr/images.d").mkdir()
        (root / "etc/otamgr/images.d/boot-loader.conf").write_text(conf)
        factory.copy_program(placer(factory.repository), root, root / "usr/lib/otamgr/ota-boot-place")
        also(root)

    board = factory.board(running, change=trusting(keys(factory).public("ed25519"), also=change))
    for place, content in ((FIRST, first), (SECOND, second)):
        put(board, place, content)
    board.target_before = board.slot_bytes(board.target)
    return board


def put(board, place, content):
    board._write_at(place, content)
    board.flush()


def at(board, place, count=PLACE_BYTES):
    board.flush()
    with open(board.disk, "rb") as disk:
        disk.seek(place)
        return disk.read(count)


def started(board):
    """What a ROM starts that knows a boot loader by its first sector only."""
    return at(board, FIRST if any(at(board, FIRST, 512)) else SECOND)


def digest(content):
    """As it is recorded: with zeros up to the end of its last sector."""
    content += bytes(-len(content) % 512)
    return f"{len(content)}:{hashlib.sha256(content).hexdigest()}"


def pending(factory, **options):
    """Slot b runs, committed, and its boot loader lies at the second place, as sysupgrade of the other system has left it."""
    board = places_board(factory, "b", second=NEW, **options)
    folder = board.root / "data/otamgr/images"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "boot-loader").write_text(f"b T second:{digest(NEW)}\n")
    board.set_env(ota_slot="b")
    return board


def first_known(board):
    path = board.root / "data/otamgr/images/.boot-loader.first"
    return path.read_text().strip() if path.exists() else None


@promise(
    "a boot loader is written to the place that the ROM tries second, and what it starts stays what it was until the commit"
)
def written(factory):
    board = places_board(factory)
    updated(factory, board)
    true(at(board, SECOND).startswith(NEW), "the second place")
    true(started(board).startswith(OLD), "what the ROM starts")
    equal(record(board), f"b T second:{digest(NEW)}\n", "the record")
    equal(events(board), ["update-started", "slot-written", "image-written", "armed"], "journal")
    # While the trial may still come.
    equal(board.run(GUARD).code, 0, "the guard of an armed board")
    true(started(board).startswith(OLD), "what the ROM starts after the guard")


@promise("once the update is committed the guard writes it to the first place, once, and says so")
def switched(factory):
    board = pending(factory)
    equal(board.run(GUARD).code, 0, "the guard")
    true(at(board, FIRST).startswith(NEW) and at(board, SECOND).startswith(NEW), "both places")
    equal((record(board), first_known(board)), (None, digest(NEW)), "the records")
    true(
        any(e.startswith("image-switched image=boot-loader txn=T ") and TO_FIRST in e for e in board.events()),
        f"{board.events()}",
    )
    equal(board.run(GUARD).code, 0, "the guard of the next boot")
    equal(events(board).count("image-switched"), 1, "switches in the journal")
    why = board.run("/sbin/ota-why")
    true("is the one that is started from now on" in why.out, f"ota-why: {why.out}")
    true(not (board.root / "run/otamgr/boot-loader").exists(), "the copy in memory")


@promise(
    "after a rollback or a cancelled trial the boot loader that came with it is never at the first place: {}",
    cases=("rolled back", "cancelled"),
)
def not_committed(factory, how):
    board = places_board(factory)
    updated(factory, board)
    if how == "rolled back":
        rebooted(board, ota_trial="", ota_tries="", ota_failed="T", ota_failed_why="tries-used-up")
    result = board.run("/sbin/ota-slot", "cancel") if how == "cancelled" else board.run(GUARD)
    equal((result.code, record(board)), (0, None), f"said {result.err}")
    true(at(board, FIRST).startswith(OLD), "the first place")
    true("image-switched" not in events(board), f"journal: {board.events()}")


@promise(
    "a power cut while the first place is written leaves the ROM the second one, and the guard writes the first one again: cut {}",
    cases=("at its beginning", "in the middle", "after it"),
)
def cut(factory, where):
    half = bytes(512) + NEW[512 : len(NEW) // 2] + OLD[len(NEW) // 2 :]
    board = pending(
        factory, first={"at its beginning": bytes(512) + OLD[512:], "in the middle": half, "after it": NEW}[where]
    )
    true(started(board).startswith(NEW), "what the ROM starts")
    equal(board.run(GUARD).code, 0, "the guard")
    true(at(board, FIRST).startswith(NEW), "the first place")
    equal((record(board), first_known(board)), (None, digest(NEW)), "the records")


@promise(
    "what lies at the second place is looked at again before it is used: a changed byte and the boot loader stays, and the journal says why"
)
def changed_meanwhile(factory):
    board = pending(factory)
    put(board, SECOND + 5000, b"x")
    result = board.run(GUARD)
    equal(result.code, 0, f"said {result.err}")
    true(at(board, FIRST).startswith(OLD), "the first place")
    true("does not hold what update T has written" in result.err, result.err)
    true(any(e.startswith("image-not-switched ") for e in board.events()), f"journal: {board.events()}")
    true(record(board) is not None, "the record is gone")


@promise("a first place that has rotted is written again from the second one, before that is written")
def repaired(factory):
    board = pending(factory)
    equal(board.run(GUARD).code, 0, "the guard")
    put(board, FIRST + 5000, b"x")
    board.set_env(ota_slot="b")
    result = board.sysupgrade("--no-reboot", "--txn", "U", board.deliver(boot_bundle(factory, content=NEW[:-1] + b"!")))
    equal(result.code, 0, f"said {result.err}")
    true(at(board, FIRST).startswith(NEW), "the first place")
    true(at(board, SECOND).startswith(NEW[:-1] + b"!"), "the second place")
    true(
        any(e.startswith("image-repaired txn=U image=boot-loader ") and TO_FIRST in e for e in board.events()),
        f"{board.events()}",
    )
    true("was written again from the second one" in (why := board.run("/sbin/ota-why").out), why)


@promise(
    "exit 24: where the device may start from the second place that one is not written: {}",
    cases=("the first one is empty", "both have rotted"),
)
def last_one(factory, what):
    if what == "the first one is empty":
        board = places_board(factory, first=bytes(512) + OLD[512:])
    else:
        board = places_board(factory)
        folder = board.root / "data/otamgr/images"
        folder.mkdir(parents=True, mode=0o700)
        (folder / ".boot-loader.first").write_text(digest(NEW) + "\n")
    words = "is not overwritten"
    refused(board, board.sysupgrade("--no-reboot", board.deliver(boot_bundle(factory))), 24, words)
    true(at(board, SECOND).startswith(OLD), "the second place")
    true(words in board.run("/sbin/ota-doctor").out, "ota-doctor")
    # What the reason says to do.
    (board.root / "tmp/content").write_bytes(OLD)
    written = f"/usr/lib/otamgr/ota-boot-place /dev/mmcblk0 {FIRST} {len(OLD)} </tmp/content"
    equal(board.run("sh", "-c", f"{written} && rm -f /data/otamgr/images/.boot-loader.first").code, 0, "by hand")
    equal(board.sysupgrade("--no-reboot", board.deliver(boot_bundle(factory))).code, 0, "the update after that")


def conf(**changes):
    values = dict(line.split("=") for line in CONF.splitlines()) | changes
    return "".join(f"{key}={value}\n" for key, value in values.items() if value is not None)


NOT_FOR_THIS_DEVICE = {
    "a partition": ({"PLACE_DEVICE": "/dev/mmcblk0p2"}, "expected a whole disk"),
    "no device": ({"PLACE_DEVICE": "/dev/mmcblk7"}, "expected a whole disk"),
    "over a slot": ({"PLACE_SECOND": str(SLOT["a"][0] - 512)}, "over the partition mmcblk0p2"),
    "over the environment": ({"PLACE_FIRST": str(4 * MIB + 64 * KIB)}, "over a copy of the U-Boot environment"),
    "over one another": ({"PLACE_SECOND": str(FIRST + PLACE_BYTES - 512)}, "overlap"),
    "behind the end": ({"PLACE_SECOND": str(52 * MIB - 512)}, "not on /dev/mmcblk0"),
    "inside a sector": ({"PLACE_FIRST": "1000"}, "multiples of 512"),
    "hexadecimal": ({"PLACE_FIRST": "0x100000"}, "decimal numbers"),
    "the partition table": ({"PLACE_FIRST": "0"}, "decimal numbers"),
    "one place only": ({"PLACE_SECOND": None}, "or PLACE_DEVICE, PLACE_FIRST, PLACE_SECOND and PLACE_BYTES"),
    "a boot partition as well": ({"BOOT_DEVICE": "/dev/mmcblk0"}, "or PLACE_DEVICE"),
}


@promise("exit 24: places that are none are refused before anything is touched: {}", cases=NOT_FOR_THIS_DEVICE)
def not_for_this_device(factory, what):
    changes, words = NOT_FOR_THIS_DEVICE[what]
    board = places_board(factory, conf=conf(**changes))
    refused(board, board.sysupgrade("--no-reboot", board.deliver(boot_bundle(factory))), 24, words)
    true(at(board, FIRST).startswith(OLD) and at(board, SECOND).startswith(OLD), "the places")
    true(words in board.run("/sbin/ota-doctor").out, "ota-doctor")


@promise("exit 8: a boot loader larger than its place is refused, and one as large is taken")
def size(factory):
    board = places_board(factory)
    refused(
        board,
        board.sysupgrade("--no-reboot", board.deliver(boot_bundle(factory, b"x" * (PLACE_BYTES + 1)))),
        8,
        "image boot-loader",
    )
    true(at(board, SECOND).startswith(OLD), "the second place")
    whole = NEW * (PLACE_BYTES // len(NEW)) + NEW[: PLACE_BYTES % len(NEW)]
    result = board.sysupgrade("--no-reboot", board.deliver(boot_bundle(factory, whole)))
    equal(result.code, 0, f"said {result.err}")
    equal(at(board, SECOND), whole, "the second place")


@promise(
    "exit 25: a boot loader that begins with zeros, by which no ROM knows it, is refused, and the slot is not armed"
)
def no_head(factory):
    board = places_board(factory)
    result = board.sysupgrade("--no-reboot", board.deliver(boot_bundle(factory, bytes(512) + NEW)))
    refused(board, result, 25, "begins with a sector of zeros", target_touched=True)
    true(at(board, SECOND).startswith(OLD), "the second place")


@promise(
    "ota-boot-place writes what it was given and nothing beside it, or nothing: {}",
    cases=("whole", "short", "long", "not on the disk", "no disk"),
)
def program(factory, what):
    board = places_board(factory)
    content = NEW[:5000]
    given = {"short": content[:-1], "long": content + b"x"}.get(what, content)
    device = "/tmp/file" if what == "no disk" else "/dev/mmcblk0"
    (board.root / "tmp/content").write_bytes(given)
    (board.root / "tmp/file").write_bytes(bytes(5 * MIB))
    place = 52 * MIB - 4096 if what == "not on the disk" else SECOND
    result = board.run("sh", "-c", f"/usr/lib/otamgr/ota-boot-place {device} {place} 5000 </tmp/content")
    equal(result.code, 0 if what == "whole" else 1, f"exit status, said {result.err}")
    padded = content + bytes(-len(content) % 512)
    expected = padded + (OLD + bytes(PLACE_BYTES))[len(padded) :] if what == "whole" else OLD + bytes(PLACE_BYTES)
    equal(at(board, SECOND, len(OLD)), expected[: len(OLD)], "the place")
    equal(at(board, SECOND - 512, 512), bytes(512), "what is before it")
    true(what == "whole" or result.err.startswith(f"ota-boot-place: {device}: "), f"the reason: {result.err}")
