# SPDX-License-Identifier: MIT
"""ota-slot: what it shows, commits and cancels."""

import fcntl
import json
import re

from promises import equal, promise, true

# What the environment holds, what runs, what was armed during this boot → state
STATES = [
    ("committed", "a", {}, None),
    ("committed", "a", {"ota_floor": "1.4.2-rc1"}, None),
    ("trial", "b", {"ota_trial": "b", "ota_tries": "2", "ota_txn": "T"}, None),
    ("armed", "a", {"ota_trial": "b", "ota_tries": "3", "ota_txn": "T"}, "T"),
    ("interrupted", "a", {"ota_trial": "b", "ota_tries": "3", "ota_txn": "T"}, None),
    ("interrupted", "a", {"ota_trial": "b", "ota_tries": "3", "ota_txn": "T"}, "an-older-one"),
    ("mismatch", "b", {}, None),
    ("mismatch", "b", {"ota_failed": "T", "ota_failed_why": "load-failed"}, None),
]


def board_in(factory, running, env, armed=None, **options):
    board = factory.board(running=running, **options)
    board.set_env(ota_slot="a", **env)
    if armed:
        (board.root / "run/otamgr").mkdir()
        (board.root / "run/otamgr/armed").write_text(armed + "\n")
    return board


def on_trial(factory, **options):
    return board_in(factory, "b", {"ota_trial": "b", "ota_tries": "2", "ota_txn": "T"}, **options)


@promise("status shows every state, as text and as JSON with the same keys")
def states(factory):
    for state, running, env, armed in STATES:
        board = board_in(factory, running, env, armed)
        expected = {
            "running": running,
            "committed": "a",
            "trial": env.get("ota_trial", ""),
            "tries": env.get("ota_tries", ""),
            "txn": env.get("ota_txn", ""),
            "failed": env.get("ota_failed", ""),
            "failed_why": env.get("ota_failed_why", ""),
            "floor": env.get("ota_floor", ""),
            "state": state,
        }
        text, as_json = board.run("/sbin/ota-slot", "status"), board.run("/sbin/ota-slot", "status", "--json")
        equal((text.code, as_json.code), (0, 0), f"exit codes in state {state}")
        equal(dict(line.split("=", 1) for line in text.out.splitlines()), expected, "text")
        equal(json.loads(as_json.out), expected, "JSON")
        equal(board.env_bytes(), board.env_before, "looking changes nothing")
        factory.close_boards()


@promise("status says unknown, and why, when the environment or the slots cannot be read")
def unknown(factory):
    board = factory.board()
    board.destroy_env()
    for arguments in (["status"], ["status", "--json"]):
        result = board.run("/sbin/ota-slot", *arguments)
        equal(result.code, 10, "exit code")
        true("unknown" in result.out and "not readable" in result.err, "state and reason")
    board = factory.board(names=False)
    result = board.run("/sbin/ota-slot", "status", "--json")
    equal(
        (result.code, json.loads(result.out)["state"], json.loads(result.out)["committed"]),
        (10, "unknown", "a"),
        "state",
    )


@promise("whatever somebody put into the environment, status --json is JSON")
def hostile_environment(factory):
    board = factory.board()
    board.set_env(ota_failed='a"b\\c\td\x7f$(touch /tmp/x)', ota_failed_why="é")
    found = json.loads(board.run("/sbin/ota-slot", "status", "--json").out)
    equal(found["failed"], 'a"b\\c?d?$(touch /tmp/x)', "failed")
    true(not (board.root / "tmp/x").exists(), "a command in a value was run")


@promise("commit makes the trial the committed slot with one write, keeps the update's id, and journals it")
def commit(factory):
    board = on_trial(factory)
    result = board.run("/sbin/ota-slot", "commit")
    equal(result.code, 0, "exit code")
    equal(board.ota_env(), {"ota_slot": "b", "ota_txn": "T"}, "environment")
    equal(len(board.env_copies_written()), 1, "copies written")
    equal(board.events(), ["committed txn=T slot=b"], "journal")
    equal(board.slot_bytes("b"), board.running_before, "the running slot")
    again = board.run("/sbin/ota-slot", "commit")
    equal((again.code, len(board.journal())), (3, 1), "a second commit")


@promise("commit is refused with its code when there is nothing to commit, or another slot runs")
def commit_refused(factory):
    for state, running, env, armed in STATES:
        if state == "trial":
            continue
        board = board_in(factory, running, env, armed)
        result = board.run("/sbin/ota-slot", "commit")
        equal(result.code, 4 if "ota_trial" in env else 3, f"exit code in state {state}")
        equal(board.env_bytes(), board.env_before, "environment")
        equal(board.journal(), [], "journal")
        factory.close_boards()


@promise("cancel forgets an armed or interrupted trial with one write, and refuses everything else")
def cancel(factory):
    for state, running, env, armed in STATES:
        board = board_in(factory, running, env, armed)
        result = board.run("/sbin/ota-slot", "cancel")
        if state in ("armed", "interrupted"):
            equal(result.code, 0, f"exit code in state {state}")
            equal(board.ota_env(), {"ota_slot": "a", "ota_txn": "T"}, "environment")
            equal(len(board.env_copies_written()), 1, "copies written")
            equal(board.events(), [f"cancelled txn=T slot=b state={state}"], "journal")
            true(not (board.root / "run/otamgr/armed").exists(), "the note of this boot was left")
        else:
            equal(result.code, 4 if state == "trial" else 3, f"exit code in state {state}")
            equal(board.env_bytes(), board.env_before, "environment")
        factory.close_boards()


@promise("commit and cancel answer 10 without boot state and 17 when the environment cannot be written or lies")
def not_possible(factory):
    for command, make in (("commit", on_trial), ("cancel", lambda factory: board_in(factory, *STATES[3][1:3]))):
        board = make(factory)
        board.replace_device("disk", board.disk, read_only=True)
        equal(board.run("/sbin/ota-slot", command).code, 17, f"{command} on a read-only environment")
        equal(board.env_bytes(), board.env_before, "environment")
        board = make(factory)
        board.replace("usr/bin/fw_setenv", "#!/bin/sh\ncat >/dev/null\n")
        equal(board.run("/sbin/ota-slot", command).code, 17, f"{command} when fw_setenv lies")
        equal(board.journal(), [], "journal")
        board = make(factory)
        board.destroy_env()
        equal(board.run("/sbin/ota-slot", command).code, 10, f"{command} without environment")
        factory.close_boards()


@promise("note appends one line to the journal, whatever its values hold, and changes nothing else")
def note(factory):
    board = on_trial(factory)
    equal(
        board.run(
            "/sbin/ota-slot",
            "note",
            "health-failed",
            "txn=T",
            "slot=b",
            "check=50-net",
            'why=no "route"\nto $(touch /tmp/x) host=1 é',
            "empty=",
        ).code,
        0,
        "exit code",
    )
    equal(
        board.events(),
        ['health-failed txn=T slot=b check=50-net why="no \\"route\\"\\nto $(touch /tmp/x) host=1 é" empty=""'],
        "journal",
    )
    true(not (board.root / "tmp/x").exists(), "a command in a value was run")
    equal(board.run("/sbin/ota-slot", "note", "x").code, 0, "an event alone")
    equal(board.events()[1:], ["x"], "journal")
    equal((board.env_bytes(), board.slot_bytes("b")), (board.env_before, board.running_before), "environment and slot")


@promise("note refuses what would not be one line of the journal, or could pass for an event of the boot state")
def note_refused(factory):
    board = on_trial(factory)
    cases = [
        ([], "an event"),
        ([""], "an event"),
        (["Big"], "Big"),
        (["two words"], "two words"),
        (["a\nb"], "an event"),
        (["-x"], "-x"),
        (["e" * 41], "an event"),
        (["x", "novalue"], "novalue"),
        (["x", "=v"], "a key"),
        (["x", "K=v"], "K"),
        (["x", "a b=v"], "a b"),
        (["x", "k=" + "v" * 1001], "1001"),
        (["x", *["k=v"] * 17], "17"),
    ]
    cases += [
        ([event], event)
        for event in (
            "armed",
            "trial-boot",
            "deadline-passed",
            "committed",
            "rolled-back",
            "update-started",
            "slot-written",
            "update-failed",
        )
    ]
    for arguments, words in cases:
        result = board.run("/sbin/ota-slot", "note", *arguments)
        equal(result.code, 2, f"exit code of {arguments}")
        true(words in result.err, f"{words} in {result.err}")
    equal(board.journal(), [], "journal")
    equal(board.run("/sbin/ota-slot", "note", "x", "k=" + "v" * 1000, *["k=v"] * 15).code, 0, "the largest one")


@promise("wrong usage of ota-slot is code 2 and names the mistake")
def usage(factory):
    board = factory.board()
    for arguments, words in (
        ([], "status, commit, cancel, rollback, image or note"),
        (["frobnicate"], "frobnicate"),
        (["status", "-x"], "-x"),
        (["commit", "b"], "b"),
        (["status", "--json", "x"], "--json"),
        (["image"], "name of an image"),
        (["image", "../x"], "../x"),
        ([""], "status, commit, cancel, rollback, image or note"),
    ):
        result = board.run("/sbin/ota-slot", *arguments)
        equal(result.code, 2, f"exit code of {arguments}")
        true(words in result.err, f"{words} in {result.err}")
    equal(board.run("/sbin/ota-slot", "--help").code, 0, "--help")


@promise("an update, its trial and its commit, one after the other, in both directions")
def whole_story(factory):
    first = factory.board()
    equal(first.sysupgrade("--no-reboot", "--txn", "one", first.deliver(factory.image("ext4.gz"))).code, 0, "update")
    env = first.ota_env()
    # The board that would now boot slot b, with the same environment after U-Boot has counted.
    second = factory.board(running="b")
    second.set_env(**{**env, "ota_tries": "2"})
    equal(second.run("/sbin/ota-slot", "commit").code, 0, "commit")
    equal(
        second.sysupgrade("--no-reboot", "--txn", "two", second.deliver(factory.image("tar.gz"))).code, 0, "next update"
    )
    equal(second.ota_env(), {"ota_slot": "b", "ota_trial": "a", "ota_tries": "3", "ota_txn": "two"}, "environment")


@promise("ota-slot rollback arms the other slot, if it holds a complete system, with one write, and the floor stays")
def rollback(factory):
    board = factory.board()
    equal(board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(factory.image("ext4.gz"))).code, 0, "update")
    board.set_env(ota_trial="", ota_tries="", ota_floor="2.0")
    (board.root / "run/otamgr/armed").unlink()  # as after a reboot
    slot = board.slot_bytes("b")
    result = board.run("/sbin/ota-slot", "rollback")
    equal(result.code, 0, result.err)
    equal(len(board.env_copies_written()), 1, "copies written")
    env = board.ota_env()
    true(re.fullmatch(r"rollback-\d{8}T\d{6}Z-[0-9a-f]{8}", env["ota_txn"]), env["ota_txn"])
    equal(
        env,
        {"ota_slot": "a", "ota_trial": "b", "ota_tries": "3", "ota_txn": env["ota_txn"], "ota_floor": "2.0"},
        "environment",
    )
    equal(
        board.events()[-2:],
        [f"rollback txn={env['ota_txn']} slot=b from=a", f"armed txn={env['ota_txn']} slot=b tries=3"],
        "journal",
    )
    status = board.run("/sbin/ota-slot", "status").out.splitlines()
    true("state=armed" in status and "floor=2.0" in status, f"status: {status}")
    equal(board.slot_bytes("b"), slot, "the other slot")
    equal(board.run("/sbin/ota-slot", "rollback").code, 4, "a second rollback")
    equal(board.run("/sbin/ota-slot", "cancel").code, 0, "cancel")


@promise("ota-slot rollback is refused, and nothing written, when the other slot holds no complete system")
def rollback_refused(factory):
    for what in ("a file system that nobody has marked complete", "half a file system"):
        board = factory.board()
        if what.startswith("half"):
            with open(board.loops["b"], "r+b") as slot:
                slot.write(bytes(8192))
        result = board.run("/sbin/ota-slot", "rollback")
        equal((result.code, board.env_bytes(), board.journal()), (5, board.env_before, []), what)
        factory.close_boards()


@promise("ota-slot rollback is refused with its code during a trial, in a mismatch, and while sysupgrade runs")
def rollback_not_now(factory):
    for state, running, env, armed in STATES:
        if state != "committed":
            board = board_in(factory, running, env, armed)
            equal(
                board.run("/sbin/ota-slot", "rollback").code,
                4 if "ota_trial" in env else 10,
                f"exit code in state {state}",
            )
            factory.close_boards()
    board = factory.board()
    (board.root / "run/otamgr").mkdir(exist_ok=True)
    with open(board.root / "run/otamgr/sysupgrade.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        equal(board.run("/sbin/ota-slot", "rollback").code, 12, "exit code while the lock is taken")


@promise("lines inside the value of another variable are no variables, whoever reads the environment")
def several_lines(factory):
    import zlib

    from board import ENV, ENV_BYTES, run

    board = factory.board()
    body = b"bootdelay=2\0ota_slot=a\0script=setenv x 1\nota_slot=b\nota_trial=a\nota_bootargs=ota.canary=1\0\0".ljust(
        ENV_BYTES - 5, b"\0"
    )
    board._write_at(ENV[0], (zlib.crc32(body).to_bytes(4, "little") + b"\1" + body) * 2)
    run("blockdev", "--flushbufs", board.loops["disk"])
    equal(board.run("/sbin/ota-slot", "status").out.splitlines()[-1], "state=committed", "state")
    equal(board.sysupgrade("-T", board.deliver(factory.image("ext4"))).code, 0, "exit code of sysupgrade")
    true("canary 1" not in board.run("/sbin/ota-doctor").out, "ota-doctor took it for a variable")
    equal(board.run("/sbin/ota-trial-guard").code, 0, "exit code of the guard")


@promise("one of our own variables with several lines is named, and nothing is concluded from it")
def own_several_lines(factory):
    import zlib

    from board import ENV, ENV_BYTES, run

    board = factory.board()
    body = b"ota_slot=a\0ota_txn=T\nota_trial=b\0\0".ljust(ENV_BYTES - 5, b"\0")
    board._write_at(ENV[0], (zlib.crc32(body).to_bytes(4, "little") + b"\1" + body) * 2)
    run("blockdev", "--flushbufs", board.loops["disk"])
    result = board.run("/sbin/ota-slot", "status")
    equal(result.code, 10, "exit code")
    true("several lines" in result.err, result.err)


@promise("versions are decimal: leading zeros change nothing")
def decimal_versions(factory):
    board = factory.board()
    for older, newer in (
        ("1.9", "1.010"),
        ("1.08", "1.9"),
        ("08", "9"),
        ("1.2.3", "1.2.3.1"),
        ("2026.07", "2026.010"),
        ("0", "0.0.1"),
        ("1-9", "2-1"),
    ):
        for first, second, code in ((older, newer, 0), (newer, older, 1), (older, older, 1)):
            result = board.run("/bin/sh", "-uc", f". /usr/lib/otamgr/boot-state.sh; version_is_older {first} {second}")
            equal(result.code, code, f"{first} is older than {second}")
