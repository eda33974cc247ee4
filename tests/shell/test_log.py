# SPDX-License-Identifier: MIT
"""The journal is linked line by line, the environment knows a link, and what ota-why --export writes tells of every change."""

import gzip
import hashlib
import re
import time

from board import run
from promises import equal, promise, true
from test_ota_slot import on_trial

NOTE = ("/sbin/ota-slot", "note")
BEGINNING = "0:" + "0" * 64


def verified(raw):
    """The links of a journal, and how many bytes follow the last one; a reader of its own, from the definition in docs/reference/log.md."""
    known, links, covered = BEGINNING, [], 0
    at = 0
    while at < len(raw):
        end = raw.find(b"\n", at)
        line = raw[at : end if end >= 0 else len(raw)]
        found = re.fullmatch(rb"(.*) link=([1-9]\d{0,8}:[0-9a-f]{64})", line, re.DOTALL)
        if found and end >= 0:
            continued = re.match(rb"\S+ log-continued after=(\S+)$", found[1])
            if continued:
                true(not links or known == continued[1].decode(), f"{line} continues {known}")
                known, covered = continued[1].decode(), at
            linked = hashlib.sha256(known.encode() + b"\n" + raw[covered:at] + found[1]).hexdigest()
            equal(found[2].decode(), f"{int(known.split(':')[0]) + 1}:{linked}", f"link of {line}")
            known, covered = found[2].decode(), end + 1
            links.append(known)
        at = end + 1 if end >= 0 else len(raw)
    return links, len(raw) - covered


def raw(board, *names):
    return b"".join((board.root / "data/otamgr" / name).read_bytes() for name in names or ("journal",))


def exported(board):
    result = board.run("/sbin/ota-why", "--export")
    equal((result.code, result.err), (0, ""), "ota-why --export")
    return result.out


@promise("every line of the journal is linked to all before it, torn lines and those of before included")
def linked(factory):
    board = on_trial(factory)
    (board.root / "data/otamgr").mkdir()
    before = b"2026-01-01T00:00:00Z old line=x\n2026-01-01T00:00:00Z armed txn=T slo"
    (board.root / "data/otamgr/journal").write_bytes(before)
    equal(board.run(*NOTE, "one", "why=a b\nlink=7:" + "0" * 64).code, 0, "note")
    links, left = verified(raw(board))
    equal((len(links), left), (1, 0), "links, bytes without")
    with open(board.root / "data/otamgr/journal", "ab") as journal:
        journal.write(b"2026-01-01T00:00:00Z torn \xc3\xa9\0\0 link=2:abcd")
    equal(board.run(*NOTE, "two").code, 0, "note")
    equal(board.run("/sbin/ota-slot", "commit").code, 0, "commit")
    links, left = verified(raw(board))
    equal(([link.split(":")[0] for link in links], left), (["1", "2", "3"], 0), "links, bytes without")
    true(raw(board).startswith(before + b"\n"), "what was there is still there")
    equal((board.root / "run/otamgr/journal.lock").stat().st_mode & 0o777, 0o600, "mode of the lock")


@promise("arming and committing write the journal's last link into the environment, in the same write")
def bound(factory):
    board = on_trial(factory)
    equal(board.run(*NOTE, "healthy").code, 0, "note")
    equal(board.run("/sbin/ota-slot", "commit").code, 0, "commit")
    links, _ = verified(raw(board))
    equal((board.env().get("ota_log"), len(board.env_copies_written())), (links[0], 1), "link, copies written")
    factory.close_boards()

    board = factory.board()
    equal(board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(factory.image("ext4.gz"))).code, 0, "update")
    links, _ = verified(raw(board))
    equal([line.split()[0] for line in board.events()], ["update-started", "slot-written", "armed"], "events")
    equal((board.env().get("ota_log"), len(board.env_copies_written())), (links[1], 1), "link, copies written")


@promise("a journal that lost what the environment knows of says so before the environment forgets it")
def gap(factory):
    for what in ("gone", "cut", "another"):
        board = on_trial(factory)
        for number in range(3):
            equal(board.run(*NOTE, "one", f"number={number}").code, 0, "note")
        path = board.root / "data/otamgr/journal"
        lines = path.read_text().splitlines(keepends=True)
        known = lines[2].split("link=")[1].strip()
        board.set_env(ota_log=known)
        if what == "gone":
            path.unlink()
        elif what == "cut":
            path.write_text("".join(lines[:2]))
        else:
            board.set_env(ota_log="3:" + "0" * 64)
            known = "3:" + "0" * 64
        equal(board.run("/sbin/ota-slot", "commit").code, 0, "commit")
        events = board.events()
        true(f"log-gap expected={known}" in events, f"{what}: {events}")
        equal(events[-1], "committed txn=T slot=b", "last event")
        links, _ = verified(raw(board))
        equal(board.env()["ota_log"], links[-2], "link in the environment")
        factory.close_boards()


@promise("a new file of the journal tells what the old one ended with, and what is forgotten is no gap")
def continued(factory):
    board = on_trial(factory)
    path = board.root / "data/otamgr/journal"
    equal(board.run(*NOTE, "first").code, 0, "note")
    first = verified(raw(board))[0][0]

    def filled():
        with open(path, "a") as journal:
            journal.write("2026-01-01T00:00:00Z old line=x\n" * 2048)

    filled()
    # The line that covers what no link covers comes into the old file still.
    equal(board.run(*NOTE, "second").code, 0, "note")
    equal(board.run(*NOTE, "third").code, 0, "note")
    equal([line.split()[0] for line in board.events()], ["log-continued", "third"], "events of the new file")
    links, left = verified(raw(board, "journal.1", "journal"))
    equal(([link.split(":")[0] for link in links], left), (["1", "2", "3", "4"], 0), "links over both files")
    equal(len(verified(raw(board))[0]), 2, "links of the new file alone")
    filled()
    equal(board.run(*NOTE, "fourth").code, 0, "note")
    equal(board.run(*NOTE, "fifth").code, 0, "note")
    board.set_env(ota_log=first)
    equal(board.run("/sbin/ota-slot", "commit").code, 0, "commit")
    true(not [event for event in board.events() if event.startswith("log-gap")], f"a gap: {board.events()}")
    verified(raw(board, "journal.1", "journal"))


@promise("what cannot be linked is recorded all the same, and the next link covers it")
def not_linked(factory):
    board = on_trial(factory)
    for name, make in (
        ("flock", "#!/bin/sh\nexit 1\n"),
        ("sha256sum", "#!/bin/sh\nexit 1\n"),
        ("sha256sum", "#!/bin/sh\necho short\n"),
    ):
        place = run("chroot", board.root, "/bin/sh", "-c", f"command -v {name}").decode().strip()
        board.replace(place.lstrip("/"), make)
        equal(board.run(*NOTE, "bare").code, 0, f"note with a broken {name}")
        equal(verified(raw(board))[0], [], f"links with a broken {name}")
        (board.root / place.lstrip("/")).unlink()
        (board.root / place.lstrip("/")).symlink_to("/bin/busybox")
    equal(board.run(*NOTE, "linked").code, 0, "note")
    links, left = verified(raw(board))
    equal((len(links), left, len(board.events())), (1, 0, 4), "links, bytes without, lines")


@promise("lines that several programs write at once are linked one after the other")
def at_once(factory):
    board = on_trial(factory)
    script = "for i in 1 2 3 4 5 6 7 8; do ota-slot note one number=$i & done; wait"
    equal(board.run("/bin/sh", "-c", script).code, 0, "notes")
    links, left = verified(raw(board))
    equal((len(links), left), (8, 0), "links, bytes without")


@promise("ota-why --export writes the whole log with what the environment knows of it, and changes nothing")
def export(factory):
    board = on_trial(factory)
    equal(board.run(*NOTE, "one").code, 0, "note")
    equal(board.run("/sbin/ota-slot", "commit").code, 0, "commit")
    before, env = raw(board), board.env_bytes()
    text = exported(board)
    head, _, rest = text.partition("\n")
    true(re.fullmatch(rf"otamgr-log 1 \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ bytes={len(before)}", head), head)
    equal(rest[: len(before)], before.decode(), "the log")
    end = rest[len(before) :].splitlines()
    equal(end[:2], ["", f"otamgr-log-end environment={verified(before)[0][0]}"], "end")
    summed = text[: text.rindex("sha256=")].encode()
    equal(end[2:], [f"sha256={hashlib.sha256(summed).hexdigest()}"], "sum")
    equal((raw(board), board.env_bytes()), (before, env), "journal and environment")
    equal(
        sorted(path.name for path in (board.root / "run/otamgr").iterdir() if path.name.startswith("export")),
        [],
        "left",
    )
    equal(board.run("/sbin/ota-why", "--export", "T").code, 2, "with an update")
    board.destroy_env()
    true("\notamgr-log-end environment=unreadable\n" in exported(board), "an unreadable environment")
    (board.root / "data/otamgr/journal").unlink()
    true(" bytes=0\n\notamgr-log-end" in exported(board), "no journal")


@promise(
    "ota-why --packages shows the list of this system within a second, and refuses one that its signed manifest does not name"
)
def packages(factory):
    board = factory.board()
    equal(board.run("/sbin/ota-why", "--packages").code, 3, "without a list")
    text = "# otamgr-packages 1: name, version, recipe, licence\n" + "".join(
        f"lib{hashlib.sha256(bytes([number % 256, number // 256])).hexdigest()[:12]}\t1.{number}\trecipe\tMIT\n"
        for number in range(800)
    )
    listed = board.root / "usr/share/otamgr/packages.gz"
    listed.parent.mkdir(parents=True)
    listed.write_bytes(gzip.compress(text.encode(), mtime=0))
    began = time.monotonic()
    result = board.run("/sbin/ota-why", "--packages")
    true(time.monotonic() - began <= 1, f"took {time.monotonic() - began} s")
    equal((result.code, result.out == text), (0, True), "without a manifest")
    true("no signed manifest" in result.err, result.err)
    manifest = board.root / "etc/otamgr/manifest"
    manifest.parent.mkdir(exist_ok=True)
    manifest.write_text(f"version=1.0\nx-packages-sha256={hashlib.sha256(listed.read_bytes()).hexdigest()}\n")
    result = board.run("/sbin/ota-why", "--packages")
    equal((result.code, result.out == text, result.err), (0, True, ""), "with its manifest")
    listed.write_bytes(gzip.compress(text.replace("1.7\t", "1.8\t").encode(), mtime=0))
    result = board.run("/sbin/ota-why", "--packages")
    equal((result.code, result.out), (4, ""), "a changed list")
    true("the list was changed" in result.err, result.err)
