# SPDX-License-Identifier: MIT
"""ota-why: what it answers about updates that were committed, rolled back, refused, torn, forgotten."""

import hashlib
import json
import re

import test_scripts
from board import HEADER, run
from promises import equal, promise, true
from test_ota_slot import board_in

WHY = "/sbin/ota-why"
GUARD = "/sbin/ota-trial-guard"
TRIAL = {"ota_trial": "b", "ota_tries": "2", "ota_txn": "T"}
NOTHING = {"ota_slot": "a", "ota_trial": "", "ota_tries": "", "ota_txn": "", "ota_failed": "", "ota_failed_why": ""}

STARTED = 'update-started txn=T slot=b image="/tmp/ota_type_5.img" format=ext4'
ARMED = "armed txn=T slot=b tries=3"
BOOTED = ["trial-boot txn=T slot=b tries=2"]


def lines(*events, year=2026):
    return "".join(
        f"{year}-03-01T10:{number // 60:02}:{number % 60:02}Z {event}\n" for number, event in enumerate(events)
    )


def with_journal(board, *events, name="journal"):
    (board.root / "data/otamgr").mkdir(exist_ok=True)
    (board.root / "data/otamgr" / name).write_text(lines(*events))


def why(board, *arguments):
    """Text and JSON must agree; returns exit code, first line, object."""
    text, as_json = board.run(WHY, *arguments), board.run(WHY, "--json", *arguments)
    equal((text.err, as_json.err), ("", ""), "complaints")
    equal(as_json.code, text.code, "exit codes of text and JSON")
    equal(as_json.out.count("\n"), 1, "lines of JSON")
    found = json.loads(as_json.out)
    equal(found["answer"], text.out.splitlines()[0], "answers of text and JSON")
    for link in found["chain"]:
        true(f"  {link['time']}  {link['text']}\n" in text.out, f"{link['text']} in {text.out}")
    found["text"] = text.out
    return text.code, found["answer"], found


def expect(board, code, outcome, *words, arguments=()):
    found_code, answer, found = why(board, *arguments)
    equal((found_code, found["outcome"]), (code, outcome), f"exit code and outcome of {answer}")
    for word in words:
        true(word in answer, f"'{word}' in '{answer}'")
    return found


@promise("ota-why is clean under shellcheck, and explains every exit code it uses")
def style(factory):
    test_scripts.shellcheck(factory, "ota-why")
    test_scripts.documented_codes(factory, "ota-why")


@promise("ota-why says that nothing is recorded, and where it looked")
def nothing(factory):
    board = factory.board()
    found = expect(board, 3, "none", "No update is recorded", "Slot a runs")
    equal((found["txn"], found["chain"]), (None, []), "update and chain")
    true(found["looked_in"][0] == "/data/otamgr/journal (missing)", str(found["looked_in"]))
    true("U-Boot environment (ota_txn= " in found["text"], found["text"])
    run("umount", board.root / "data")
    found = expect(board, 3, "none", "No update is recorded")
    true("/data is not mounted" in found["looked_in"][0], str(found["looked_in"]))
    expect(board, 3, "none", "Nothing is recorded of update X-1", arguments=["X-1"])
    equal(
        (board.env_bytes(), board.slot_bytes("a")), (board.env_before, board.running_before), "looking changes nothing"
    )


@promise(
    "ota-why takes a boot that the guard noted after the commit for what it is, also once another update is the newest"
)
def noted_late(factory):
    board = factory.board(running="b")
    board.set_env(ota_slot="b", ota_txn="T2", ota_failed="T2", ota_failed_why="load-failed")
    with_journal(
        board,
        STARTED,
        ARMED,
        "committed txn=T slot=b",
        "trial-boot txn=T slot=b tries=2",
        "update-started txn=T2 slot=a image=/tmp/x format=ext4",
        "armed txn=T2 slot=a tries=3",
    )
    found = expect(board, 0, "committed", "Update T was committed", "(1 trial boot)", arguments=["T"])
    equal([link["event"] for link in found["chain"]], ["update-started", "armed", "committed", "trial-boot"], "chain")


@promise("ota-why follows a real update from its delivery over arming and trial to its commit")
def whole_story(factory):
    first = factory.board()
    equal(first.sysupgrade("--no-reboot", "--txn", "one.1", first.deliver(factory.image("ext4.gz"))).code, 0, "update")
    found = expect(first, 5, "armed", "Update one.1 is installed in slot b and starts with the next reboot.")
    equal((found["delivered"]["image"], found["delivered"]["format"]), ("/tmp/ota_type_5.img", "ext4"), "delivered")
    equal([link["event"] for link in found["chain"]], ["update-started", "slot-written", "armed"], "chain")
    true("trial of slot b starts with the next reboot" in found["now"]["why"], found["now"]["why"])
    env, journal = first.ota_env(), "".join(line + "\n" for line in first.journal())

    def made_by_it(root):
        (root / "boot/ota-slot-valid").write_text("txn=one.1\n")
        (root / "etc/ota_type_5.hdr").write_bytes(HEADER)
        (root / "etc/otamgr/trial.conf").write_text("COMMIT_DEADLINE=86400\n")

    second = factory.board(running="b", change=made_by_it)
    second.set_env(**{**env, "ota_tries": "2"})
    (second.root / "data/otamgr").mkdir()
    (second.root / "data/otamgr/journal").write_text(journal)
    equal(second.run(GUARD, "--once").code, 0, "guard")
    found = expect(
        second, 5, "trial", "Update one.1 is on trial: slot b runs and is not committed (1 boot so far, 2 left)."
    )
    true(
        re.search(r"without a commit the board reboots 86400 s after power-on, now are \d+ s", found["now"]["why"]),
        found["now"]["why"],
    )
    equal(second.run("/sbin/ota-slot", "commit").code, 0, "commit")
    found = expect(second, 0, "committed", "Update one.1 was committed: slot b is its system (1 trial boot).")
    equal(
        [link["event"] for link in found["chain"]],
        ["update-started", "slot-written", "armed", "trial-boot", "committed"],
        "chain",
    )
    equal(found["delivered"]["header_sha256"], hashlib.sha256(HEADER).hexdigest(), "header")
    equal((found["now"]["made_by"], found["now"]["state"]), ("one.1", "committed"), "now")


@promise(
    "ota-why explains a rollback: {}",
    cases=[
        "the boot files did not load",
        "its signature was wrong",
        "a block was changed",
        "U-Boot starts no such index any more",
        "it never reached the guard",
        "it was never committed",
        "it crashed",
    ],
)
def rolled_back(factory, case):
    reason, boots, words = {
        "the boot files did not load": ("load-failed", 0, "its kernel, device tree or boot files did not load"),
        "its signature was wrong": (
            "signature-refused",
            0,
            "its kernel, device tree or initramfs is not what was signed",
        ),
        "a block was changed": ("changed-block", 0, "a block of its file system is not what was signed"),
        "U-Boot starts no such index any more": (
            "below-floor",
            0,
            "its rollback index is below the lowest that U-Boot starts",
        ),
        "it never reached the guard": ("tries-used-up", 0, "it never got as far as this guard"),
        "it was never committed": (
            "tries-used-up",
            3,
            "it started but was not committed before the deadline: otamgr did not come up healthy",
        ),
        "it crashed": ("tries-used-up", 2, "it started but ended before the commit"),
    }[case]
    board = board_in(factory, "a", {"ota_txn": "T", "ota_failed": "T", "ota_failed_why": reason})
    trial = [
        line
        for left in range(2, 2 - boots, -1)
        for line in (
            f"trial-boot txn=T slot=b tries={left}",
            f"deadline-passed txn=T slot=b tries={left} uptime=301 deadline=300",
        )
    ]
    with_journal(board, STARTED, ARMED, *(trial[:-1] if case == "it crashed" else trial))
    # Before the guard has written it down the environment knows already.
    expect(
        board,
        4,
        "rolled-back",
        "Update T was rolled back to slot a: ",
        f"3 boots charged, {boots} reached the trial guard",
    )
    equal(board.run(GUARD, "--once").code, 0, "guard")
    found = expect(
        board, 4, "rolled-back", f"Update T was rolled back to slot a: {words}", f"(3 boots charged, {boots} reached"
    )
    equal(found["u_boot"]["failed_why"], reason, "U-Boot's word")
    true(found["u_boot"]["meaning"] in found["text"] and found["u_boot"]["meaning"], "its meaning")
    equal((found["trial"]["slot"], found["trial"]["tries"], found["trial"]["boots"]), ("b", 3, boots), "trial")
    true(words in found["trial"]["why_ended"], "why it ended")


@promise("ota-why names the health check that ended a trial, and counts it as a passed deadline")
def unhealthy(factory):
    board = board_in(factory, "a", {"ota_txn": "T", "ota_failed": "T", "ota_failed_why": "tries-used-up"})
    with_journal(
        board,
        STARTED,
        ARMED,
        *[
            event
            for left in (2, 1, 0)
            for event in (
                f"trial-boot txn=T slot=b tries={left}",
                'health-failed txn=T slot=b check=50-net why="exit status 1: no route"',
            )
        ],
    )
    found = expect(
        board, 4, "rolled-back", "Update T was rolled back to slot a: ", "3 boots charged, 3 reached the trial guard"
    )
    true(
        "otamgr gave up the trial: 50-net did not pass in time (exit status 1: no route), rebooted" in found["text"],
        found["text"],
    )


@promise("ota-why names code, its meaning and the reason of a refused and of a failed update")
def refused(factory):
    board = factory.board()
    broken = factory.image("ext4.gz").read_bytes()[:-1000]
    equal(board.sysupgrade("--no-reboot", "--txn", "R", board.deliver(broken)).code, 5, "sysupgrade")
    found = expect(
        board,
        4,
        "refused",
        "Update R was refused: the image does not decompress (gzip",
        "(code 5: image corrupt: does not decompress, is shorter than its file system, or is not what its manifest says)",
        "Slot a runs, nothing was changed.",
    )
    equal((found["failure"]["code"], found["delivered"]["image"]), (5, None), "failure")
    true(found["failure"]["reason"].startswith("the image does not decompress"), "reason")
    # Meanings of two lines in the help are joined; a code it does not know is just shown.
    with_journal(board, STARTED, 'update-failed txn=T code=10 reason="no slots"')
    expect(
        board,
        4,
        "failed",
        "failed while it was installed: no slots (code 10: boot state unusable: slots not found, U-Boot environment "
        "unreadable, or not redundant, or it disagrees with the running root)",
        "slot b is unusable until the next update",
    )
    with_journal(board, 'update-failed txn=T code=99 reason="new."')
    expect(board, 4, "refused", "was refused: new (code 99). Slot a runs")


@promise("ota-why finds an update that stopped without a word, and one that is being written right now")
def stopped(factory):
    board = factory.board()
    with_journal(board, STARTED)
    expect(
        board,
        4,
        "stopped",
        "Update T stopped without a word while slot b was written: power cut, reset or kill. Slot a runs.",
    )
    board.fifo("go")
    board.fifo("held")
    (board.root / "run/otamgr").mkdir()
    holder = board.start(
        "/bin/sh", "-c", "exec 9>/run/otamgr/sysupgrade.lock; flock -n 9; echo held >/tmp/held; read -r _ </tmp/go"
    )
    board.reached("held")
    expect(board, 5, "writing", "Update T is being written into slot b.")
    # An attempt that is refused meanwhile does not hide it.
    with_journal(board, STARTED, 'update-failed txn=U code=12 reason="another sysupgrade is running"')
    found = expect(board, 5, "writing", "Update T is being written")
    equal([(other["txn"], other["outcome"]) for other in found["other_updates"]], [("U", "refused")], "others")
    board.tell("go")
    equal(board.finish(holder).code, 0, "holder")
    expect(
        board, 4, "refused", "Update U was refused: another sysupgrade is running (code 12: another sysupgrade runs)"
    )


@promise("ota-why tells cancelled, interrupted, displaced and lost ends apart")
def other_ends(factory):
    board = factory.board()
    with_journal(board, STARTED, ARMED, "cancelled txn=T slot=b state=armed")
    board.set_env(ota_txn="T")
    expect(board, 4, "cancelled", "Update T was cancelled before its trial ended. Slot a runs.")

    with_journal(board, STARTED, ARMED)
    expect(
        board,
        4,
        "unknown",
        "Update T left no trace of its end; the last one is armed at 2026-03-01T10:00:01Z. Slot a runs.",
    )

    board.set_env(**{**TRIAL, "ota_tries": "3"})
    found = expect(
        board,
        4,
        "interrupted",
        "was never started: slot b was armed, but U-Boot started slot a and counted no boot",
        "run ota-doctor",
    )
    equal(found["now"]["state"], "interrupted", "state")
    equal(board.run(GUARD, "--once").code, 0, "guard")
    expect(board, 4, "interrupted", "was never started", "counted no boot")

    # The newest copy of the environment was lost: the trial that failed is pending again.
    with_journal(
        board, STARTED, ARMED, 'rolled-back txn=T slot=b boots=0 deadlines=0 u-boot=load-failed why="it did not load"'
    )
    board.set_env(**{**TRIAL, "ota_tries": "0"})
    expect(board, 4, "rolled-back", "Update T was rolled back to slot a: it did not load (3 boots charged")

    with_journal(board, STARTED, ARMED, *BOOTED, "committed txn=T slot=b")
    for word, meaning in (
        ("does-not-load", "committed slot b did not load, so slot a took its place"),
        ("signature-refused", "the signed image of committed slot b was changed, so slot a took its place"),
        ("changed-block", "a block of committed slot b was changed, so slot a took its place"),
        (
            "below-floor",
            "the rollback index of committed slot b is below the lowest that U-Boot starts, so slot a took its place",
        ),
    ):
        board.set_env(**{**NOTHING, "ota_txn": "T", "ota_failed_why": f"slot-b-{word}"})
        found = expect(
            board, 4, "displaced", "was committed, but later its slot b did not load any more: U-Boot took slot a."
        )
        true(meaning in found["text"], found["text"])

    # The commit reached the environment, the journal lost it.
    with_journal(board, STARTED, ARMED, *BOOTED)
    board.set_env(**{**NOTHING, "ota_slot": "b", "ota_txn": "T"})
    found = expect(
        board, 0, "committed", "Update T was committed: slot b is its system (1 trial boot). But slot a runs."
    )
    equal(found["now"]["state"], "mismatch", "state")


@promise("ota-why copes with a torn last line, zeros, foreign lines, quotes inside reasons and a rotated journal")
def damaged_journal(factory):
    board = factory.board()
    folder = board.root / "data/otamgr"
    with_journal(board, STARTED, ARMED, name="journal.1")
    with open(folder / "journal.1", "ab") as old:
        old.write(b"2026-03-01T10:01:00Z trial-bo")
    (folder / "journal").write_bytes(
        lines(*BOOTED, "committed txn=T slot=b", 'health txn=T check="10-net" seconds=3').encode()
        + b'Mar  1 kernel: foreign line \\ "quote"\n\0\0\0\0\n\xff\xfe\n2026-03-01T10:02:00Z armed txn=T2 slo'
    )
    board.set_env(ota_slot="b", ota_txn="T")
    found = expect(board, 0, "committed", "Update T was committed")
    equal(
        [link["event"] for link in found["chain"]],
        ["update-started", "armed", "trial-boot", "committed", "health"],
        "chain",
    )
    equal(found["chain"][-1]["values"], {"txn": "T", "check": "10-net", "seconds": "3"}, "values")
    equal(found["lines_not_understood"], 5, "lines not understood")
    equal(found["other_updates"], [], "half an id is no update")

    board.set_env(**NOTHING)
    (folder / "journal.1").unlink()
    reason = 'cannot read "/tmp/a b.img" \\ $(touch /tmp/x) `id` code=7 "end'
    with_journal(board, f'update-failed txn=T code=3 reason="{reason}"')
    found = expect(board, 4, "refused", f"was refused: {reason} (code 3: image missing, empty or unreadable)")
    equal(found["failure"]["reason"], reason, "reason")
    true(not (board.root / "tmp/x").exists(), "a command in a value was run")

    # A torn end of an update that is known is used as far as it is whole.
    (folder / "journal").write_text(
        lines(STARTED) + '2026-03-01T10:02:00Z update-failed txn=T code=13 reason="writing slo'
    )
    found = expect(board, 4, "failed", "writing slo (torn) (code 13: writing failed)")
    true(found["chain"][-1]["torn"], "torn")

    # What was rotated away is said to be missing.
    with_journal(board, "trial-boot txn=T slot=b tries=1", "committed txn=T slot=b")
    found = expect(board, 0, "committed")
    true("not recorded: the journal does not reach back that far" in found["text"], found["text"])


@promise("ota-why keeps two interleaved updates apart, and takes the pending one or the one that is named")
def interleaved(factory):
    board = board_in(factory, "b", TRIAL)
    with_journal(
        board,
        'update-started txn=S slot=b image="/tmp/s.img" format=tar',
        STARTED,
        'update-failed txn=S code=13 reason="S ended"',
        ARMED,
        *BOOTED,
        "slot-mismatch running=a committed=b",
        'update-failed txn=U code=9 reason="pending"',
    )
    found = expect(board, 5, "trial", "Update T is on trial")
    equal(
        [link["event"] for link in found["chain"]],
        ["update-started", "armed", "trial-boot", "slot-mismatch"],
        "chain of T",
    )
    equal(
        [(other["txn"], other["outcome"]) for other in found["other_updates"]],
        [("U", "refused"), ("S", "failed")],
        "others",
    )
    found = expect(board, 4, "failed", "Update S failed while it was installed: S ended", arguments=["S"])
    equal([link["values"]["txn"] for link in found["chain"]], ["S", "S"], "chain of S")
    equal(found["delivered"], {"image": "/tmp/s.img", "format": "tar", "header_sha256": None}, "delivered")
    expect(board, 3, "none", "Nothing is recorded of update TT.", arguments=["TT"])
    # The same id used again is a new attempt.
    board.set_env(**{**NOTHING, "ota_slot": "b", "ota_txn": "T"})
    with_journal(
        board,
        STARTED,
        ARMED,
        *BOOTED,
        'rolled-back txn=T slot=b boots=1 deadlines=0 u-boot=x why="old"',
        STARTED,
        ARMED,
        *BOOTED,
        "committed txn=T slot=b",
    )
    found = expect(board, 0, "committed", "(1 trial boot)")
    equal(len(found["chain"]), 4, "steps of the second attempt")


@promise("ota-why answers from the environment alone when /data is missing")
def without_data(factory):
    board = board_in(factory, "a", {"ota_txn": "T", "ota_failed": "T", "ota_failed_why": "load-failed"})
    run("umount", board.root / "data")
    board.settle()
    found = expect(
        board,
        4,
        "rolled-back",
        "Update T was rolled back to slot a: its kernel, device tree or boot files did not load.",
    )
    true("not recorded" in found["text"] and "/data is not mounted" in found["text"], found["text"])
    equal(board.slot_bytes("a"), board.running_before, "the running slot")
    board.set_env(**{**NOTHING, "ota_failed_why": "environment-lost"})
    expect(
        board,
        3,
        "none",
        "No update is recorded. Slot a runs. U-Boot says environment-lost: no copy of the U-Boot environment was valid",
    )


@promise("without a readable boot state ota-why still tells what the journal knows")
def unknown_state(factory):
    board = factory.board()
    board.destroy_env()
    expect(board, 10, "none", "No update is recorded.")
    with_journal(board, STARTED, ARMED, *BOOTED, "committed txn=T slot=b")
    found = expect(board, 10, "committed", "Update T was committed")
    true("the U-Boot environment is not readable" in found["now"]["why"], found["now"]["why"])
    true("U-Boot environment (not usable)" in found["looked_in"], str(found["looked_in"]))


@promise("wrong usage of ota-why is code 2 and names the mistake")
def usage(factory):
    board = factory.board()
    for arguments, words in ((["-x"], "-x"), (["a", "b"], "second one: b"), (["a b"], "no id"), ([""], "no id")):
        result = board.run(WHY, *arguments)
        equal((result.code, result.out), (2, ""), f"exit code of {arguments}")
        true(words in result.err, f"{words} in {result.err}")
    equal(board.run(WHY, "--help").code, 0, "--help")
