# SPDX-License-Identifier: MIT
"""Programs that hang: whoever waits for one ends it, and says what the step's code is."""

import re
import shutil
import time

import injections
from board import FILES, SLOT, device_number, executable, file_system_header
from promises import equal, promise, true
from test_failures import new_board
from test_ota_slot import on_trial
from test_trial_guard import GUARD, settings, with_journal

HANGS = '#!/bin/sh\necho "hangs $*" >>/tmp/hangs\nexec sleep 1000\n'
# Which program hangs, in an update of which image: the exit code, and words of the reason.
UPDATES = {
    "fw_printenv": ("usr/bin/fw_printenv", "ext4.zst", 10, "fw_printenv did not end within 1 s and was killed"),
    "fw_setenv": ("usr/bin/fw_setenv", "ext4.zst", 17, "fw_setenv did not end within 1 s and was killed"),
    "mount": ("bin/mount", "ext4.zst", 15, "mount did not end within 1 s and was killed"),
    "mke2fs": ("sbin/mke2fs", "tar.gz", 13, "mke2fs did not end within 1 s and was killed"),
    "tar": ("bin/tar", "tar.gz", 13, "tar did not end within 1 s and was killed"),
    "e2fsck": ("sbin/e2fsck", "ext4.zst", 0, "keeps its size"),
    "resize2fs": ("sbin/resize2fs", "ext4.zst", 0, "keeps its size"),
}


def impatient(board):
    """Every limit is a second."""
    place = board.root / "usr/lib/otamgr/limits.sh"
    place.write_text(re.sub(r"limit_seconds=\d+", "limit_seconds=1", place.read_text()))
    board.settle()


@promise("a {} that hangs ends the update, or only its step, with the code of the step", cases=list(UPDATES))
def hanging(factory, name):
    place, kind, code, words = UPDATES[name]
    board = new_board(factory)
    impatient(board)
    # What tar can do is asked before.
    board.replace(place, HANGS.replace("echo", "case $* in *--help*) exit 1 ;; esac\necho", 1))
    result = board.sysupgrade("--no-reboot", board.deliver(factory.image(kind)), progress=None)
    equal(result.code, code, f"exit code, said: {result.err}")
    true(words in result.err, f"'{words}' is not said: {result.err}")
    true((board.root / "tmp/hangs").exists(), "nothing hung")
    equal([mount for mount in board._mounts() if "/run/otamgr/" in mount], [], "mounts left")
    equal(board.slot_bytes(board.running), board.running_before, "the running slot")
    if code == 0:
        header = file_system_header(board.loops["b"])
        true(int(header["Block count"]) * int(header["Block size"]) < SLOT["b"][1], "grown all the same")
    elif name != "fw_printenv":
        equal(board.env_bytes(), board.env_before, "environment")


@promise("exit 11: a slot of which nobody knows whether it is mounted is not written")
def unread_slot(factory):
    board = new_board(factory)
    board.blind(device_number(board.loops["b"]))
    result = board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.zst")), progress=None)
    equal(result.code, 11, f"exit code, said: {result.err}")
    true("cannot be read" in result.err, result.err)
    equal(board.slot_bytes("b"), board.target_before, "the slot")


@promise("ota-data leaves a partition alone of which nobody knows whether it is mounted")
def unread_data(factory):
    board = new_board(factory)
    board.blind()
    board.replace("usr/bin/mountpoint", "#!/bin/sh\nexit 32\n")
    board.replace("sbin/e2fsck", "#!/bin/sh\n: >/tmp/checked\n")
    shutil.copy(FILES.parents[1] / "ota-data/files/ota-data", board.root / "tmp/ota-data")
    for order in ("start", "stop", "status"):
        result = board.run("/bin/sh", "/tmp/ota-data", order)
        equal(result.code, 1, f"exit code of {order}, said: {result.err}")
        true("cannot be read" in result.err, result.err)
    true(not (board.root / "tmp/checked").exists(), "a mounted file system was checked")
    true(any(mount.endswith("/data") for mount in board._mounts()), "still mounted")


@promise("a list of mounts that cannot be read once leaves nothing mounted: the guard lets go of the failed slot")
def unread_mounts(factory):
    factory.inject = injections.built(factory)
    rolled_back = injections.SCENARIOS["the guard after a rollback"]
    board = rolled_back.board(factory)
    board.replace(
        "usr/bin/awk",
        "#!/bin/sh\ncase $* in */run/otamgr/failed-slot*)\n"
        "    if [ ! -e /tmp/failed ] && grep -q ' /run/otamgr/failed-slot ' /proc/self/mountinfo; then : >/tmp/failed; exit 2; fi ;;\n"
        'esac\nexec /bin/busybox awk "$@"\n',
    )
    result = board.run(*rolled_back.command(), progress=None)
    injections.settled(board)
    true((board.root / "tmp/failed").exists(), f"awk never failed: {result.err}")
    equal([mount for mount in board._mounts() if "/run/otamgr/" in mount], [], "mounts left")


@promise("a reboot that hangs does not keep the update that is armed from ending")
def hanging_reboot(factory):
    board = new_board(factory)
    impatient(board)
    board.replace("sbin/reboot", HANGS)
    result = board.sysupgrade(board.deliver(factory.image("ext4.zst")), progress=None)
    equal(result.code, 0, f"exit code, said: {result.err}")
    true("reboot did not end within 1 s and was killed" in result.err and "reboot by hand" in result.err, result.err)
    equal(board.ota_env().get("ota_trial"), "b", "what is armed")


@promise("a trial ends at its deadline although fw_printenv hangs at each look")
def guard_goes_on(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=1, REBOOT_GRACE=1))
    impatient(board)
    board.replace("usr/bin/fw_printenv", HANGS)
    with_journal(board, "armed txn=T slot=b tries=3")
    result = board.run(GUARD)
    equal((result.code, board.reboots()), (20, ["reboot ", "reboot -f"]), f"end, said: {result.err}")


@promise("a trial whose limits cannot be run ends at its deadline all the same, and without a commit")
def guard_without_limits(factory):
    for program in ("#!/does/not/exist\n", None):
        board = on_trial(factory, change=settings(COMMIT_DEADLINE=1, REBOOT_GRACE=1))
        place = board.root / "usr/lib/otamgr/ota-limit"
        place.unlink()
        if program:
            executable(place, program)
        board.settle()
        result = board.run(GUARD)
        equal((result.code, board.reboots()), (20, ["reboot ", "reboot -f"]), f"end, said: {result.err}")
        equal([event.split()[0] for event in board.events()], ["trial-boot", "deadline-passed"], "journal")
        factory.close_boards()


@promise("a limit ends a program with all that it has started, and hands its status on")
def children_end_too(factory):
    board = factory.board()
    for words, code in (
        (("1", "--", "sh", "-c", "sleep 1000 & sleep 1000"), 124),
        (("5", "--", "sh", "-c", "exit 7"), 7),
        (("5", "--", "sh", "-c", "kill -9 $$"), 137),
        (("5", "--", "/does/not/exist"), 127),
        (("0", "--", "true"), 2),
        (("1x", "--", "true"), 2),
        (("90000", "--", "true"), 2),
        (("5", "true"), 2),
    ):
        equal(board.run("/usr/lib/otamgr/ota-limit", *words, progress=None).code, code, f"status of {words}")
    left = [pid for pid in board.everything_running() if not board._is_zombie(pid)]
    equal(left, [], "processes left")


@promise("a limit whose own waiting is interrupted or fails ends with the program, and not at the limit")
def interrupted_wait(factory):
    board = factory.board()
    shutil.copy(injections.built(factory), board.root / "tmp/inject")
    began = time.monotonic()
    for number in ("1", "2"):
        words = (
            "--fail",
            "ota-limit",
            "wait",
            number,
            "EINTR",
            "/usr/lib/otamgr/ota-limit",
            "100",
            "--",
            "sleep",
            "1",
        )
        equal(board.run("/tmp/inject", *words, progress=None).code, 0, "status")
    true(time.monotonic() - began < 60, "waited for the limit")


@promise("every program that the scripts wait for, and that touches a medium, has a limit")
def none_forgotten(factory):
    programs = 'modprobe|mount|umount|e2fsck|resize2fs|mke2fs|fw_printenv|fw_setenv|sync|/usr/lib/otamgr/ota-grow|dd if=/dev/zero of="[$]device"'
    bare = re.compile(rf"(?:^|[;&|({{!]|then|do|if|elif)\s*(?:{programs})(?=$|\s+[-\"$a-z]|\s*\|\|)")
    for script in (
        *FILES.glob("*.sh"),
        *(FILES / name for name in ("sysupgrade", "ota-slot", "ota-trial-guard", "ota-doctor", "ota-preinit")),
        FILES.parents[1] / "ota-data/files/ota-data",
    ):
        text = re.sub(r"(?ms)<<'EOF'$.*?^EOF$", "", script.read_text())
        for line in text.splitlines():
            # Comments and the table itself run nothing.
            # The kernel's own file systems are on no medium, and there is no limit before they are mounted.
            kernels = re.search(r"mount -t (proc|sysfs|devtmpfs|tmpfs)\b", line)
            if not kernels and not re.match(r"\s*#|[\w |]+\) ", line.strip()):
                true(not bare.search(line.strip()), f"{script.name}: {line.strip()}")
