# SPDX-License-Identifier: MIT
"""ota-trial-guard: deadlines, and what it writes down."""

import os
import signal

from board import run, tree
from promises import equal, promise, true
from test_ota_slot import board_in, on_trial

GUARD = "/sbin/ota-trial-guard"
# As an init system: what asked for the reboot is stopped.
REBOOT_STOPS = '#!/bin/sh\necho "reboot $*" >>/tmp/reboots\nkill -TERM $PPID\n'
TRIAL = {"ota_trial": "b", "ota_tries": "2", "ota_txn": "T"}


def settings(**values):
    return lambda root: (root / "etc/otamgr/trial.conf").write_text(
        "".join(f"{key}={value}\n" for key, value in values.items())
    )


def command_of(pid):
    """The command line of a process, nothing if it has ended meanwhile."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def with_journal(board, *events):
    (board.root / "data/otamgr").mkdir(exist_ok=True)
    (board.root / "data/otamgr/journal").write_text("".join(f"2026-01-01T00:00:00Z {event}\n" for event in events))


@promise("a trial that nobody commits is ended: journal, reason, reboot, and the environment is left to U-Boot")
def deadline(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=1))
    board.replace("sbin/reboot", REBOOT_STOPS)
    result = board.run(GUARD)
    equal(result.code, -signal.SIGTERM, "ended by the reboot")
    equal(board.reboots(), ["reboot "], "reboots")
    equal(board.reboot_reason(), "ota_commit_deadline", "reboot reason")
    equal(
        [event.split()[:2] for event in board.events()],
        [["trial-boot", "txn=T"], ["deadline-passed", "txn=T"]],
        "journal",
    )
    true(" deadline=1" in board.events()[1] and " slot=b " in board.events()[1], "details of the deadline")
    equal(board.env_bytes(), board.env_before, "environment")
    equal(board.slot_bytes("b"), board.running_before, "the running slot")


@promise("a reboot that hangs is forced after REBOOT_GRACE")
def forced(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=1, REBOOT_GRACE=1))
    result = board.run(GUARD)
    equal((result.code, board.reboots()), (20, ["reboot ", "reboot -f"]), "reboots")


@promise("a trial that is committed in time is left alone")
def committed_in_time(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=86400))
    # The first look of the guard tells that it is waiting.
    board.fifo("slept")
    board.replace("bin/sleep", '#!/bin/sh\necho "$1" >/tmp/slept\nexec busybox sleep "$1"\n')
    guard = board.start(GUARD)
    # Besides the look there is the process that counts the time.
    slept = b""
    while b"5\n" not in slept.splitlines(keepends=True):
        slept += board.reached("slept")
    equal(board.run("/sbin/ota-slot", "commit").code, 0, "commit")
    result = board.finish(guard)
    equal((result.code, board.reboots()), (0, []), "guard")
    equal([event.split()[0] for event in board.events()], ["trial-boot", "committed"], "journal")


@promise("the guard sleeps no longer than to the deadline")
def short_sleep(factory):
    uptime = int(float(open("/proc/uptime").read().split()[0]))
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=uptime + 3))
    board.replace("sbin/reboot", REBOOT_STOPS)
    board.replace("bin/sleep", '#!/bin/sh\necho "$1" >>/tmp/slept\nexec busybox sleep "$1"\n')
    board.run(GUARD)
    naps = [int(slept) for slept in (board.root / "tmp/slept").read_text().split()]
    # The other is the process that counts the time: REBOOT_GRACE and 30 s more.
    true(len([nap for nap in naps if nap > 3]) == 1 and 90 <= max(naps) <= 93, f"slept {naps} s with 3 s left")
    equal(board.reboots(), ["reboot "], "reboots")
    passed = dict(word.split("=") for word in board.events()[-1].split()[1:])
    true(int(passed["uptime"]) >= int(passed["deadline"]), "the deadline had passed")


@promise("--once never waits: before the deadline it leaves a trial alone, after it it reboots")
def once(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=86400))
    board.replace("bin/sleep", "#!/bin/sh\ntouch /tmp/slept\n")
    equal(board.run(GUARD, "--once").code, 0, "exit code")
    equal((board.reboots(), (board.root / "tmp/slept").exists()), ([], False), "reboots and sleeps")
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=1))
    board.replace("sbin/reboot", REBOOT_STOPS)
    board.run(GUARD, "--once")
    equal(board.reboots(), ["reboot "], "reboots")


@promise("a guard that is restarted notes a trial boot only once")
def noted_once(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=86400))
    for _ in range(3):
        equal(board.run(GUARD, "--once").code, 0, "exit code")
    equal(board.events(), ["trial-boot txn=T slot=b tries=2"], "journal")


@promise("a trial that U-Boot could not start is cancelled with one write and written down")
def interrupted(factory):
    board = board_in(factory, "a", TRIAL)
    equal(board.run(GUARD).code, 0, "exit code")
    equal(board.ota_env(), {"ota_slot": "a", "ota_txn": "T"}, "environment")
    equal(len(board.env_copies_written()), 1, "copies written")
    true(
        board.events()[0].startswith('interrupted txn=T slot=b tries=2 why="U-Boot started slot a'), str(board.events())
    )
    board = board_in(factory, "a", TRIAL)
    board.replace_device("disk", board.disk, read_only=True)
    equal(board.run(GUARD).code, 17, "exit code on a read-only environment")
    true(board.events()[0].startswith("cancel-failed txn=T"), str(board.events()))


@promise("a trial armed during this boot is left for the next one")
def armed(factory):
    board = board_in(factory, "a", TRIAL, armed="T")
    equal(board.run(GUARD).code, 0, "exit code")
    equal((board.env_bytes(), board.journal(), board.reboots()), (board.env_before, [], []), "changes")


ROLLBACKS = {
    "the boot files did not load": (
        "load-failed",
        [],
        'boots=0 deadlines=0 u-boot=load-failed why="its kernel, device tree',
    ),
    "its signature was wrong": (
        "signature-refused",
        [],
        'boots=0 deadlines=0 u-boot=signature-refused why="its kernel, device tree or initramfs is not what was signed',
    ),
    "a block was changed": (
        "changed-block",
        [],
        'boots=0 deadlines=0 u-boot=changed-block why="a block of its file system is not what was signed',
    ),
    "U-Boot starts no such index any more": (
        "below-floor",
        [],
        'boots=0 deadlines=0 u-boot=below-floor why="its rollback index is below the lowest that U-Boot starts',
    ),
    "it never reached the guard": (
        "tries-used-up",
        [],
        'boots=0 deadlines=0 u-boot=tries-used-up why="it never got as far',
    ),
    "it was never committed": (
        "tries-used-up",
        ["trial-boot txn=T slot=b tries=2", "deadline-passed txn=T slot=b tries=2"] * 3,
        'boots=3 deadlines=3 u-boot=tries-used-up why="it started but was not committed',
    ),
    "it was never healthy": (
        "tries-used-up",
        ["trial-boot txn=T slot=b tries=1", "health-failed txn=T slot=b check=net"] * 2
        + ["deadline-passed txn=T slot=b tries=0"],
        'boots=2 deadlines=3 u-boot=tries-used-up why="it started but was not committed',
    ),
    "it crashed": (
        "tries-used-up",
        ["trial-boot txn=T slot=b tries=2", "deadline-passed txn=T slot=b tries=2", "trial-boot txn=T slot=b tries=1"],
        'boots=2 deadlines=1 u-boot=tries-used-up why="it started but ended before the commit',
    ),
    "nobody knows": ("", [], 'boots=0 deadlines=0 u-boot=unknown why="it never got as far'),
}


@promise("what the guard says before the system's log runs waits for it in the kernel's")
def before_syslog(factory):
    board = board_in(factory, "a", {"ota_txn": "T", "ota_failed": "T", "ota_failed_why": "tries-used-up"})
    with_journal(board, "armed txn=T slot=b tries=3")
    kernel_log = board.root / "dev/kmsg"
    kernel_log.touch()
    equal(board.run(GUARD).code, 0, "exit code")
    lines = kernel_log.read_text().splitlines()
    equal(len(lines), 1, "lines")
    true(lines[0].startswith("<5>ota-trial-guard: rolled-back txn=T slot=b "), lines[0])


@promise("after a rollback the journal says, once, that {}", cases=list(ROLLBACKS))
def rolled_back(factory, case):
    why, events, expected = ROLLBACKS[case]
    board = board_in(factory, "a", {"ota_txn": "T", "ota_failed": "T", "ota_failed_why": why})
    # Boots of another update of a similar name must not count.
    with_journal(
        board,
        "armed txn=TxT slot=b tries=3",
        "trial-boot txn=TxT slot=b tries=2",
        "armed txn=T slot=b tries=3",
        *events,
    )
    before = len(board.journal())
    for _ in range(2):
        (board.root / "run/otamgr/trial-guard-noted").unlink(missing_ok=True)  # as after a reboot
        equal(board.run(GUARD).code, 0, "exit code")
    new = board.events()[before:]
    equal(len(new), 1, "new journal lines")
    true(new[0].startswith(f"rolled-back txn=T slot=b {expected}"), new[0])
    equal((board.env_bytes(), board.reboots()), (board.env_before, []), "environment and reboots")


@promise(
    "after a rollback the failed slot has lost its marker and nothing else, so that a lost environment does not bring it back"
)
def failed_slot_unmarked(factory):
    board = factory.board()
    equal(board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(factory.image("ext4.gz"))).code, 0, "update")
    with board.mounted("b") as new:
        true((new / "boot/ota-slot-valid").exists(), "no marker to take away")
        files = tree(new)
    board.set_env(ota_trial="", ota_tries="", ota_failed="T", ota_failed_why="tries-used-up")
    (board.root / "run/otamgr/armed").unlink()  # as after a reboot
    equal(board.run(GUARD).code, 0, "exit code")
    with board.mounted("b") as failed:
        left = tree(failed)
    gone = [path for path in files if path not in left]
    equal([str(path) for path in gone], ["boot/ota-slot-valid"], "what is gone")
    equal(
        {path: left[path] for path in left}, {path: files[path] for path in files if path not in gone}, "what is left"
    )


@promise("a failure that is not the last armed update's is not written down as a rollback")
def old_failure(factory):
    board = board_in(factory, "a", {"ota_txn": "new", "ota_failed": "old"})
    with_journal(board, "armed txn=old slot=b tries=3", "armed txn=new slot=b tries=3", "committed txn=new slot=a")
    equal(board.run(GUARD).code, 0, "exit code")
    equal(len(board.journal()), 3, "journal lines")
    board = board_in(factory, "a", {"ota_failed": "T"})
    equal((board.run(GUARD).code, board.journal()), (0, []), "without a journal")


@promise("the guard of a slot that U-Boot fell back to writes it down and changes nothing")
def mismatch(factory):
    board = board_in(factory, "b", {})
    equal(board.run(GUARD).code, 0, "exit code")
    equal(board.events(), ["slot-mismatch running=b committed=a"], "journal")
    equal((board.env_bytes(), board.reboots()), (board.env_before, []), "changes")


@promise("without a readable environment the guard never reboots, writes that down and gives up")
def unknown(factory):
    board = factory.board(change=settings(COMMIT_DEADLINE=1))
    board.destroy_env()
    equal(board.run(GUARD).code, 10, "exit code")
    equal(board.reboots(), [], "reboots")
    true(
        board.events()[0].startswith('boot-state-unknown reason="the U-Boot environment is not readable'),
        str(board.events()),
    )
    board = factory.board(change=settings(COMMIT_DEADLINE=86400))
    board.destroy_env()
    equal((board.run(GUARD, "--once").code, board.journal()), (10, []), "--once before the deadline")


@promise("a senseless COMMIT_DEADLINE does not switch the guard off: 300 is used, and the mistake named")
def senseless(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE="never"))
    board.replace("sbin/reboot", REBOOT_STOPS)
    result = board.run(GUARD, "--once")
    true('COMMIT_DEADLINE is "never"' in result.err and "using 300" in result.err, result.err)
    equal(
        board.reboots() == ["reboot "],
        float(open("/proc/uptime").read().split()[0]) > 300,
        "reboot after 300 s of uptime",
    )


@promise("the guard works without /run/otamgr, /data and /afero_nv: it still reboots")
def bare(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=1))
    board.replace("sbin/reboot", REBOOT_STOPS)
    run("umount", board.root / "data")
    board.settle()
    result = board.run(GUARD)
    equal(board.reboots(), ["reboot "], "reboots")
    true("/data is not mounted" in result.err, "says that there is no journal")
    equal(board.slot_bytes("b"), board.running_before, "the running slot")


def session_of(pid):
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


@promise("the init script starts one guard in the background, finds it again and stops it")
def init_script(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=86400))
    board.fifo("slept")
    board.replace("bin/sleep", '#!/bin/sh\necho "$1" >/tmp/slept\nexec busybox sleep "$1"\n')
    script = "/etc/init.d/ota-trial-guard"
    equal(board.run(script, "status").code, 3, "status before")
    equal(board.run(script, "start").code, 0, "start")
    board.reached("slept")
    guards = [pid for pid in board.everything_running() if b"ota-trial-guard" in command_of(pid)]
    # The process that counts the time and what the guard is just about to start are in its session; what has ended since is in none.
    equal(len({session_of(pid) for pid in guards} - {None}), 1, "guards")
    equal(board.run(script, "start").code, 0, "second start")
    equal((board.root / "run/ota-trial-guard.pid").read_text().strip(), str(min(guards)), "pid file")
    equal(board.run(script, "status").code, 0, "status")
    equal(board.run(script, "stop").code, 0, "stop")
    equal(board.run(script, "status").code, 3, "status after")
    equal(board.run(script, "frobnicate").code, 2, "wrong usage")


@promise("wrong usage of the guard is code 2")
def usage(factory):
    board = factory.board()
    for arguments in (["--twice"], ["--once", "x"]):
        equal(board.run(GUARD, *arguments).code, 2, f"exit code of {arguments}")
    equal(board.run(GUARD, "--help").code, 0, "--help")
