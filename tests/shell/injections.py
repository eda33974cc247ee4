# SPDX-License-Identifier: MIT
"""One system call fails, or one process is killed, somewhere in a program that changes the boot state: what must hold all the same.

Every program is run once to count the calls that it and its children make (inject.c). Then one of them is drawn, program by program and
call by call so that rare ones come as often as frequent ones, and one error that it can have. Afterwards the board is in a state that the
documents know: nothing mounted, locked or half armed, the running slot and the environment whole, the exit code one of the table, and
whoever says `armed` or `committed` is right. Then the same board does what it should have done.
"""

import fcntl
import functools
import os
import random
import shutil
import time
from pathlib import Path

import promises
from board import FILES, run, tree
from promises import equal, true
from test_bundle import BOARD_NAME, good_bundle, keys

# What can go wrong with a call. What changes something can meet a full or read-only file system, what waits a signal; and whoever runs
# can be killed by the kernel for want of memory.
CHANGES = ("EIO", "EROFS", "ENOSPC")
ERRORS = {
    "read": ("EIO", "EINTR", "KILL"),
    "read-pipe": ("EINTR", "KILL"),
    "write-pipe": ("EINTR", "EPIPE", "KILL"),
    "pread": ("EIO", "KILL"),
    "write": ("EIO", "ENOSPC", "EINTR", "KILL"),
    "pwrite": ("EIO", "ENOSPC", "KILL"),
    "sendfile": ("EIO", "ENOSPC"),
    "open": ("EIO", "ENOMEM"),
    "open-write": CHANGES,
    "close": ("EIO",),
    "fsync": ("EIO", "ENOSPC"),
    **dict.fromkeys("rename unlink mkdir mknod link chmod chown utimes truncate setxattr".split(), (*CHANGES, "KILL")),
    **dict.fromkeys("readlink getdents lseek chdir".split(), ("EIO",)),
    "stat": ("EIO", "ENOMEM"),
    "mount": ("EIO", "ENOMEM", "EROFS", "KILL"),
    "umount": ("EIO", "ENOMEM", "KILL"),
    "ioctl": ("EIO",),
    "flock": ("ENOMEM",),
    "wait": ("EINTR",),
    **dict.fromkeys("pipe mmap".split(), ("ENOMEM",)),
    "fork": ("ENOMEM", "KILL"),
    "execve": ("ENOMEM", "EIO", "KILL"),
}
# Every program begins and ends with these.
FREQUENT = ("close", "stat", "mmap", "execve", "lseek")
# Of sysupgrade and of the engine. 125 to 127: a shell that could not run a program that it had to become.
KNOWN = {int(line.split("\t")[0]) for line in (FILES / "exit-codes").read_text().splitlines() if line[0] != "#"}
KILLED = 128 + 9
# Whoever reads what is said has gone.
UNHEARD = 128 + 13
NOT_BEGUN = (126, 127)
# Seconds for two updates under ptrace, on a machine that does other things as well.
PATIENCE = 600


def is_known(result, codes):
    """Whether the exit code is one that says what happened. 2 is also that of a shell that could not open its script."""
    return result.code in (*codes, KILLED, UNHEARD, *NOT_BEGUN) or (result.code == 2 and "can't open" in result.err)


def prepared(board):
    board.target_before = board.slot_bytes(board.target)
    shutil.copy(board.factory.inject, board.root / "tmp/inject")


def written(board, place, content):
    """A file of the running system, as if it had always been there."""
    path = board.root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    board.settle()


def state_of(board):
    """What U-Boot would do."""
    return board.ota_env()


class Updating:
    """sysupgrade with an image of one kind."""

    def __init__(self, kind, progress=False):
        self.kind, self.progress, self.reference = kind, progress, None

    def board(self, factory):
        board = factory.board()
        folder = board.root / "etc/app"
        folder.mkdir()
        (folder / "secret").write_text("x" * 5000)
        os.setxattr(folder / "secret", "user.colour", b"red")
        written(board, "etc/sysupgrade.conf", "/etc/machine-id\n/etc/app\n")
        if self.kind == "bundle":
            written(board, "etc/otamgr/keys.d/0.pem", keys(factory).public("ed25519"))
            written(board, "etc/otamgr/compatible", BOARD_NAME + "\n")
            self.image = board.deliver(good_bundle(factory, "ext4.zst"))
        else:
            self.image = board.deliver(factory.image(self.kind))
        prepared(board)
        self.before = state_of(board)
        return board

    def command(self):
        return ("/sbin/sysupgrade", "--no-reboot", "--txn", "T", self.image)

    def installed(self, board):
        with board.mounted(board.target) as new:
            return tree(new)

    def learnt(self, board, result):
        equal(result.code, 0, f"exit code without any fault, said: {result.err}")
        self.reference = self.installed(board)

    def judged(self, board, result):
        env = state_of(board)
        is_armed = env.get("ota_trial") == board.target
        true(is_known(result, KNOWN), f"exit code {result.code} is none of the table")
        if result.code == 0:
            true(is_armed, "exit 0, but nothing is armed")
        if is_armed:
            true(result.code in (0, 17, KILLED, UNHEARD), f"armed, but the exit code is {result.code}")
            equal((env["ota_slot"], env["ota_tries"], env["ota_txn"]), (board.running, "3", "T"), "environment")
            equal(self.installed(board), self.reference, "the system that is armed")
        else:
            equal(env, self.before, "environment of an update that is not armed")
            if board.slot_bytes(board.target) != board.target_before and board.mounts(board.target):
                with board.mounted(board.target) as new:
                    marked = (new / "boot/ota-slot-valid").exists()
                true(
                    not marked or self.installed(board) == self.reference, "a marker of a complete system that is none"
                )
        if "is armed" in result.err:
            true(is_armed, "says armed, and is not")
        events = [event.split()[0] for event in board.events()]
        if "armed" in events:
            true(is_armed, "armed in the journal, and not in the environment")
        # A killed run leaves its folder in /run to the next one.
        if is_armed:
            shown = board.run("/sbin/ota-slot", "status")
            equal(shown.out.splitlines()[-1], "state=armed", "state")
            equal(board.run("/sbin/ota-slot", "cancel").code, 0, "exit code of cancel")
        again = board.sysupgrade("--no-reboot", "--txn", "T", self.image, progress=None)
        equal(again.code, 0, f"exit code of the next update, said: {again.err}")
        equal(self.installed(board), self.reference, "the system of the next update")
        equal([mount for mount in board._mounts() if "/run/otamgr/" in mount], [], "mounts after the next update")


class Deciding:
    """A command of ota-slot that changes the environment once."""

    def __init__(self, command, running, env, wanted, codes, armed=None, change=lambda board: None):
        self.words, self.running, self.env, self.wanted, self.codes, self.armed, self.change = (
            command,
            running,
            env,
            wanted,
            codes,
            armed,
            change,
        )
        self.progress = False

    def board(self, factory):
        board = factory.board(running=self.running)
        board.set_env(ota_slot="a", **self.env)
        if self.armed:
            (board.root / "run/otamgr").mkdir(mode=0o700)
            (board.root / "run/otamgr/armed").write_text(self.armed + "\n")
        self.change(board)
        prepared(board)
        self.before = state_of(board)
        return board

    def command(self):
        return ("/sbin/ota-slot", self.words)

    def learnt(self, board, result):
        equal(result.code, 0, f"exit code without any fault, said: {result.err}")
        true(self.is_done(state_of(board)), f"done: {state_of(board)}")

    def is_done(self, env):
        return all(env.get(key, "") == value for key, value in self.wanted.items())

    def judged(self, board, result):
        env = state_of(board)
        done = self.is_done(env)
        true(
            is_known(result, (*self.codes, 0, 1, 10, 17)),
            f"exit code {result.code} is none of the table",
        )
        if result.code == 0:
            true(done, f"exit 0, but the environment says {env}")
        if done:
            # After a write that cannot be read back nobody knows.
            true(result.code in (0, 17, KILLED, UNHEARD), f"done, but the exit code is {result.code}")
        else:
            equal(env, self.before, "environment of what is not done")
        events = [event.split()[0] for event in board.events()]
        for event in ("committed", "cancelled", "armed"):
            if event in events:
                true(done, f"{event} in the journal, and not in the environment")
        equal(board.slot_bytes(board.target), board.target_before, "the other slot")
        if not done:
            again = board.run(*self.command())
            equal(again.code, 0, f"exit code of the next try, said: {again.err}")
            true(self.is_done(state_of(board)), "done with the next try")


class Guarding:
    """The trial guard: what it must do in the end, whatever fails once."""

    def __init__(self, running, env, journal=(), reboots=False, change=lambda board: None):
        self.running, self.env, self.journal, self.reboots, self.change = running, env, journal, reboots, change
        self.progress = False

    def board(self, factory):
        board = factory.board(running=self.running)
        board.set_env(ota_slot="a", **self.env)
        (board.root / "data/otamgr").mkdir(exist_ok=True)
        (board.root / "data/otamgr/journal").write_text(
            "".join(f"2026-01-01T00:00:00Z {event}\n" for event in self.journal)
        )
        written(board, "etc/otamgr/trial.conf", "COMMIT_DEADLINE=1\nREBOOT_GRACE=1\n")
        self.change(board)
        prepared(board)
        # The same program, which has less patience with itself.
        text = (
            (FILES / "ota-trial-guard").read_text().replace("PATIENCE_WITH_ITSELF=30", "PATIENCE_WITH_ITSELF=4")
            # What it gives a second look stays, for a busy machine is slow.
        )
        (board.root / "tmp/guard").write_text(text)
        self.before = state_of(board)
        return board

    def command(self):
        return ("/bin/sh", "/tmp/guard")

    def learnt(self, board, result):
        if self.reboots:
            # On a busy machine its timekeeper finds it too slow, and forces the reboot as well, perhaps before.
            equal(result.code, 20, f"exit code, said: {result.err}")
            equal(set(board.reboots()), {"reboot ", "reboot -f"}, f"end of the trial, said: {result.err}")
        else:
            equal((result.code, board.reboots()), (0, []), f"end of the guard, said: {result.err}")
        self.wanted = state_of(board)

    def judged(self, board, result):
        env = state_of(board)
        true(env in (self.before, self.wanted), f"environment: {env}")
        if self.reboots:
            # An init system starts a guard again that was killed.
            if not board.reboots():
                is_started_again = result.code not in (0, 2, 10, 20) or "can't open" in result.err
                true(is_started_again, f"the trial is not ended, and the exit code is {result.code}")
                board.run(*self.command())
                true(board.reboots() != [], "the trial is not ended by a guard that is started again")
        else:
            equal(board.reboots(), [], "reboots of a good system")
            board.run(*self.command())
            equal(state_of(board), self.wanted, "environment after the next boot")
            equal(board.reboots(), [], "reboots of a good system")
        if not self.env.get("ota_failed"):
            equal(board.slot_bytes(board.target), board.target_before, "the other slot")


class Mounting:
    """ota-data: what is on /data survives."""

    progress = False

    def board(self, factory):
        board = factory.board()
        (board.root / "data/wifi").write_text("secret")
        board.flush()
        run("umount", board.root / "data")
        prepared(board)
        shutil.copy(FILES.parents[1] / "ota-data/files/ota-data", board.root / "tmp/ota-data")
        self.before = state_of(board)
        return board

    def command(self):
        return ("/bin/sh", "/tmp/ota-data", "start")

    def learnt(self, board, result):
        equal(result.code, 0, f"exit code without any fault, said: {result.err}")
        equal((board.root / "data/wifi").read_text(), "secret", "what is on /data")

    def judged(self, board, result):
        equal(state_of(board), self.before, "environment")
        true(is_known(result, (0, 1)), f"exit code {result.code} is none of the table")
        again = board.run(*self.command())
        equal(again.code, 0, f"exit code of the next start, said: {again.err}")
        equal((board.root / "data/wifi").read_text(), "secret", "what is on /data")
        equal(board.slot_bytes(board.target), board.target_before, "the other slot")


def complete(board):
    """The other slot holds a complete system."""
    with_marker = board.place / "mark"
    with_marker.mkdir()
    run("mount", "-t", "ext4", board.loops[board.target], with_marker)
    (with_marker / "boot/ota-slot-valid").write_text("txn=before\n")
    run("umount", with_marker)


TRIAL = {"ota_trial": "b", "ota_tries": "2", "ota_txn": "T"}
SCENARIOS = {
    "sysupgrade of ext4.zst": Updating("ext4.zst"),
    "sysupgrade of tar.gz": Updating("tar.gz"),
    "sysupgrade of a bundle": Updating("bundle", progress=True),
    "ota-slot commit": Deciding("commit", "b", TRIAL, {"ota_slot": "b", "ota_trial": ""}, (3, 4)),
    "ota-slot cancel": Deciding("cancel", "a", TRIAL, {"ota_slot": "a", "ota_trial": ""}, (3, 4), armed="T"),
    "ota-slot rollback": Deciding(
        "rollback", "a", {}, {"ota_slot": "a", "ota_trial": "b", "ota_tries": "3"}, (4, 5, 12), change=complete
    ),
    "the guard of a trial past its deadline": Guarding("b", TRIAL, reboots=True),
    "the guard after a rollback": Guarding(
        "a",
        {"ota_failed": "T", "ota_failed_why": "tries-used-up", "ota_txn": "T"},
        ["armed txn=T slot=b tries=3", "trial-boot txn=T slot=b tries=2"],
        change=complete,
    ),
    "the guard of an interrupted trial": Guarding("a", TRIAL),
    "ota-data": Mounting(),
}
# How many of ten draws are of which scenario.
SHARES = (
    ["sysupgrade of ext4.zst"] * 4
    + ["sysupgrade of tar.gz"] * 4
    + ["sysupgrade of a bundle"] * 2
    + [name for name in SCENARIOS if "sysupgrade" not in name]
)


def built(factory):
    place = factory.place / "inject"
    run(
        "gcc",
        "-std=gnu11",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-static",
        "-o",
        place,
        Path(__file__).parent / "inject.c",
    )
    return place


def injected(board, scenario, *words):
    options = {} if scenario.progress else {"progress": None}
    return board.run("/tmp/inject", *words, *scenario.command(), **options)


def settled(board):
    """When all that was started has ended: no process, mount or lock is left."""
    deadline = time.monotonic() + 20
    while left := [pid for pid in board.everything_running() if not board._is_zombie(pid)]:
        true(
            time.monotonic() < deadline,
            f"processes {left} are left: {[Path(f'/proc/{pid}/cmdline').read_bytes() for pid in left]}",
        )
        time.sleep(0.05)
    lock = board.root / "run/otamgr/sysupgrade.lock"
    if lock.exists():
        with open(lock, "a") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)


def one_fails(factory, drawn_call, known):
    name, program, call, number, error = drawn_call
    scenario = SCENARIOS[name]
    # It was learnt by the process that has drawn.
    vars(scenario).update(known)
    board = scenario.board(factory)
    # Processes that run side by side may come out in another order, with one call less.
    for tried in range(5):
        result = injected(board, scenario, "--fail", program, call, str(number >> tried or 1), error)
        if "no such call was met" not in result.err or number >> tried <= 1:
            break
        factory.close_boards()
        board = scenario.board(factory)
    true("no such call was met" not in result.err, "no such call was met")
    settled(board)
    left = [mount for mount in board._mounts() if "/run/otamgr/" in mount]
    if result.code != KILLED:
        equal(left, [], "mounts left")
    equal(board.slot_bytes(board.running), board.running_before, "the running slot")
    scenario.judged(board, result)
    equal(board.slot_bytes(board.running), board.running_before, "the running slot in the end")


def drawn(factory, count, seed, pattern):
    """A list of tests, each with a fault of its own."""
    factory.inject = built(factory)
    chance = random.Random(seed)
    calls, known = {}, {}
    for name, scenario in SCENARIOS.items():
        if pattern and pattern not in name:
            continue
        board = scenario.board(factory)
        result = injected(board, scenario, "--list", "/tmp/calls")
        settled(board)
        scenario.learnt(board, result)
        known[name] = {key: value for key, value in vars(scenario).items() if key in ("reference", "wanted")}
        calls[name] = {}
        for line in (board.root / "tmp/calls").read_text().splitlines():
            program, call, made = line.split()
            if program != "inject":
                calls[name].setdefault(program, {})[call] = int(made)
        factory.close_boards()
    total = sum(made for programs in calls.values() for kinds in programs.values() for made in kinds.values())
    print(
        f"# {total} calls of {sum(len(programs) for programs in calls.values())} programs can fail; {count} do, drawn with seed {seed}",
        flush=True,
    )
    shares = [name for name in SHARES if name in calls]
    tests, seen = [], set()
    while len(tests) < count:
        name = chance.choice(shares)
        program = chance.choice(sorted(calls[name]))
        kinds = sorted(calls[name][program])
        (call,) = chance.choices(kinds, [1 if kind in FREQUENT else 3 for kind in kinds])
        drawn_call = (name, program, call, chance.randint(1, calls[name][program][call]), chance.choice(ERRORS[call]))
        if drawn_call in seen:
            continue
        seen.add(drawn_call)
        _, _, _, number, error = drawn_call
        tests.append(
            promises.Test(
                f"{name}: {error} in {call} #{number} of {program}",
                functools.partial(one_fails, drawn_call=drawn_call, known=known[name]),
                patience=PATIENCE,
            )
        )
    return tests
