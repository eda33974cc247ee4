# SPDX-License-Identifier: MIT
"""Other users of the board against what runs as root: what they may read, hold and plant."""

import os
import subprocess

from board import Board, executable
from promises import equal, promise, true
from test_failures import new_board
from test_ota_slot import on_trial
from test_sysupgrade import armed
from test_trial_guard import GUARD, REBOOT_STOPS, settings

USER = 1000
# One that users can run, too.
PYTHON = "/usr/bin/python3"
# Takes the lock of a file that it may only read, and says so.
HOLDER = "import fcntl, os, sys\nfile = os.open(sys.argv[1], os.O_RDONLY)\nfcntl.flock(file, fcntl.LOCK_EX)\nprint('held', flush=True)\nsys.stdin.read()\n"
# Writes into the new system and looks into what sysupgrade keeps, as fast as it can.
INTRUDER = """
import os, sys
folder, words = sys.argv[1], sys.argv[2].encode()
print("ready", flush=True)
while not os.path.exists(sys.argv[3]):
    for place in ("/new-root/tmp", "/new-root/etc", "/new-root", "/sysupgrade", ""):
        try:
            with open(folder + place + "/planted", "w"):
                print("planted", place, flush=True)
        except OSError:
            pass
        try:
            for name in os.listdir(folder + place):
                try:
                    with open(f"{folder}{place}/{name}", "rb") as file:
                        if words in file.read():
                            print("read", place, name, flush=True)
                except OSError:
                    pass
        except OSError:
            pass
"""


def as_user(program, *arguments):
    process = subprocess.Popen(
        [PYTHON, "-c", program, *map(str, arguments)],
        user=USER,
        group=USER,
        extra_groups=[],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return process, process.stdout.readline().strip()


def open_to_users(board: Board):
    """The board's folder on the host is not in the user's way; on a board there is none."""
    board.place.chmod(0o755)
    return board


def environment_lock(board, mode=0o644):
    """The lock as a fw_printenv that somebody called leaves it."""
    lock = board.root / "run/lock/fw_printenv.lock"
    lock.unlink(missing_ok=True)
    lock.touch()
    lock.chmod(mode)
    return lock


@promise(
    "all that sysupgrade keeps while it works is for root alone: folders 0700, files 0600, also where an older version left more"
)
def private_folder(factory):
    board = open_to_users(new_board(factory))
    (board.root / "run/otamgr").mkdir(mode=0o755)
    (board.root / "run/otamgr/sysupgrade.lock").touch(mode=0o644)
    # Looks when the slot is mounted and all is there, as late as possible.
    board.replace(
        "bin/sync",
        "#!/bin/sh\nfind /run/otamgr -xdev ! -type l -exec stat -c '%a %F %n' {} + >>/tmp/modes\nbusybox sync\n",
    )
    armed(board, board.sysupgrade("--no-reboot", board.deliver(factory.image("tar.gz"))))
    seen = {tuple(line.split(" ", 1)) for line in (board.root / "tmp/modes").read_text().splitlines()}
    true(any("/run/otamgr/sysupgrade/header" in name for _, name in seen), f"nothing seen: {seen}")
    for mode, name in seen:
        if name.endswith("/new-root"):
            # What is mounted there has its own mode.
            continue
        expected = {"700"} if "directory" in name else {"600"}
        true(mode in expected, f"{name} has mode {mode}")


@promise(
    "what is for others in the new system and on /data keeps its mode: header, manifest, marker 0644, journal and reboot reason readable"
)
def public_files(factory):
    from test_bundle import bundle_board, good_bundle

    board = bundle_board(factory)
    equal(board.sysupgrade("--no-reboot", board.deliver(good_bundle(factory))).code, 0, "exit code")
    with board.mounted("b") as new:
        for name in ("etc/ota_type_5.hdr", "etc/otamgr/manifest", "boot/ota-slot-valid"):
            equal(oct((new / name).stat().st_mode & 0o7777), "0o644", f"mode of {name}")
        for name in ("etc/otamgr", "boot", "."):
            equal(oct((new / name).stat().st_mode & 0o7777), "0o755", f"mode of {name}")
    for name, mode in (("data/otamgr", 0o755), ("data/otamgr/journal", 0o644)):
        equal(oct((board.root / name).stat().st_mode & 0o7777), oct(mode), f"mode of {name}")
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=1))
    board.replace("sbin/reboot", REBOOT_STOPS)
    board.run(GUARD, "--once")
    equal(
        oct((board.root / "data/afero_nv/reboot_reason").stat().st_mode & 0o7777), "0o644", "mode of the reboot reason"
    )


@promise("a /run/otamgr that is a link or somebody else's is refused and named")
def strange_folder(factory):
    for what, words in (("link", "is a link"), ("user's", "belongs to user 1000")):
        board = new_board(factory)
        (board.root / "data/elsewhere").mkdir()
        place = board.root / "run/otamgr"
        if what == "link":
            place.symlink_to("/data/elsewhere")
        else:
            place.mkdir()
            os.chown(place, USER, USER)
        result = board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4")), progress=None)
        equal((result.code, board.env_bytes()), (1, board.env_before), f"exit code and environment, said {result.err}")
        true(words in result.err, result.err)
        equal(list((board.root / "data/elsewhere").iterdir()), [], "what was made behind the link")


@promise("who holds sysupgrade's lock from before it was private stops neither sysupgrade nor ota-slot")
def held_lock(factory):
    board = open_to_users(new_board(factory))
    (board.root / "run/otamgr").mkdir()
    lock = board.root / "run/otamgr/sysupgrade.lock"
    lock.touch()
    lock.chmod(0o644)
    holder, said = as_user(HOLDER, lock)
    equal(said, "held", "the user has the lock")
    armed(board, board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz"))))
    equal(board.run("/sbin/ota-slot", "cancel").code, 0, "exit code of cancel")
    equal(board.run("/sbin/ota-slot", "rollback").code, 0, "exit code of rollback")
    _, said = as_user(HOLDER, lock)
    true(
        "Permission denied" in (said + "Permission denied" if said != "held" else said),
        f"the new lock can be opened: {said}",
    )
    holder.kill()
    holder.wait()


@promise("who holds the lock of the environment stops nobody, in a folder of mode {}", cases=["0755", "1777"])
def held_environment(factory, mode):
    board = open_to_users(new_board(factory))
    (board.root / "run/lock").chmod(int(mode, 8))
    lock = environment_lock(board)
    if mode == "1777":
        # There he can have made it himself.
        os.chown(lock, USER, USER)
    holder, said = as_user(HOLDER, lock)
    equal(said, "held", "the user has the lock")
    for command in (
        ("/sbin/ota-slot", "status"),
        ("/sbin/ota-trial-guard", "--once"),
        ("/sbin/ota-why",),
        ("/sbin/ota-doctor",),
    ):
        process = board.start(*command, progress=None)
        process.communicate(timeout=20)
        true(process.returncode in (0, 1, 3, 4), f"exit code of {command}: {process.returncode}")
    armed(board, board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz"))))
    equal(oct(lock.stat().st_mode & 0o7777), "0o600", "mode of the lock")
    holder.kill()
    holder.wait()


@promise("a lock of the environment that root holds is waited for, with a limit, and left alone")
def environment_of_root(factory):
    board = new_board(factory)
    lock = environment_lock(board)
    inode = lock.stat().st_ino
    board.replace("bin/sleep", "#!/bin/sh\necho . >>/tmp/waits\n")
    holder = subprocess.Popen(
        [PYTHON, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    equal(holder.stdout.readline().strip(), "held", "root has the lock")
    result = board.run("/sbin/ota-slot", "status")
    equal(result.code, 10, "exit code")
    true("held the lock of the U-Boot environment" in result.err, result.err)
    equal(
        (lock.stat().st_ino, len((board.root / "tmp/waits").read_text().splitlines())),
        (inode, 30),
        "lock, and seconds waited",
    )
    holder.kill()
    holder.wait()
    equal(board.run("/sbin/ota-slot", "status").code, 0, "exit code without it")


@promise("a trial past its deadline ends although somebody holds the lock of the environment")
def trial_ends(factory):
    board = open_to_users(on_trial(factory, change=settings(COMMIT_DEADLINE=1, REBOOT_GRACE=1)))
    holder, said = as_user(HOLDER, environment_lock(board))
    equal(said, "held", "the user has the lock")
    equal((board.run(GUARD).code, board.reboots()), (20, ["reboot ", "reboot -f"]), "reboots")
    holder.kill()
    holder.wait()


@promise("a header that is a symbolic link to a secret is refused, and nothing of it can be read")
def linked_header(factory):
    board = open_to_users(new_board(factory))
    image = board.deliver(factory.image("ext4.gz"))
    header = board.root / "tmp/ota_type_5.hdr"
    header.unlink()
    header.symlink_to("/etc/machine-id")
    result = board.sysupgrade("--no-reboot", image)
    equal((result.code, board.env_bytes()), (18, board.env_before), "exit code and environment")
    true("symbolic link" in result.err, result.err)


@promise(
    "another user can neither plant a file in the new system nor read one of it while it is installed, as {}",
    cases=["ext4.gz", "ext4.zst", "tar.gz"],
)
def intruder(factory, kind):
    secret = "root:$6$OFTHENEWSYSTEM$:"

    def with_secret(root):
        (root / "etc/shadow").write_text(secret + "\n")
        (root / "etc/shadow").chmod(0o400)

    board = open_to_users(new_board(factory))
    image = board.deliver(factory.image(kind, factory.system_variant("secret", with_secret)))
    (board.root / image.lstrip("/")).chmod(0o600)
    process, said = as_user(INTRUDER, board.root / "run/otamgr", secret, board.root / "tmp/end")
    equal(said, "ready", "the user is there")
    result = board.sysupgrade("--no-reboot", image)
    (board.root / "tmp/end").touch()
    out = process.communicate()[0]
    equal(out, "", "what the user could do")
    armed(board, result)


@promise(
    "the process that counts the time ends a trial whose guard hangs, and leaves a committed system alone: {}",
    cases=["on trial", "committed"],
)
def timekeeper(factory, state):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=1, REBOOT_GRACE=1))
    if state == "committed":
        equal(board.run("/sbin/ota-slot", "commit").code, 0, "exit code of the commit")
    # Time passes quickly; the guard itself never gets an answer of the first fw_printenv, the process that counts has its own.
    board.replace(
        "bin/sleep",
        '#!/bin/sh\nwhile [ ! -e /tmp/first ]; do busybox usleep 20000; done\n[ "$1" = 10 ] || exit 0\nbusybox sleep 3\necho now >/tmp/ended\nbusybox sleep 1\n',
    )
    (board.root / "usr/bin/fw_printenv").rename(board.root / "usr/bin/fw_printenv.real")
    executable(
        board.root / "usr/bin/fw_printenv",
        '#!/bin/sh\n[ -e /tmp/first ] && exec fw_printenv.real "$@"\ntouch /tmp/first\necho asked >/tmp/asked\nexec cat /tmp/never\n',
    )
    board.fifo("asked")
    board.fifo("never")
    board.fifo("rebooted")
    board.fifo("ended")
    board.replace("sbin/reboot", '#!/bin/sh\necho "reboot $*" >>/tmp/reboots\necho now >/tmp/rebooted\n')
    guard = board.start(GUARD, progress=None)
    board.reached("asked")
    # The keeper's look has an answer only now.
    board.reached("ended")
    if state == "on trial":
        board.reached("rebooted")
        equal(board.reboots(), ["reboot -f"], "reboots")
    else:
        equal((board.root / "run/otamgr/trial-guard-noted.last").read_text(), "committed\n", "what it saw")
        equal(board.reboots(), [], "reboots")
    guard.kill()
