# SPDX-License-Identifier: MIT
"""Systems whose root file system is read-only: their /etc is an overlay on /data that belongs to the slot."""

import os
import re
import shutil
from pathlib import Path

from board import FILES, HEADER, MIB, executable, run
from promises import equal, promise, true
from test_bundle import keys, make_bundle, members, squashfs, trusting
from test_ota_doctor import command_line, healthy, look, made_healthy
from test_ota_slot import board_in

HOME = "data/otamgr/etc"
SYSTEMS = ["squashfs", "erofs", "ext4"]


def read_only(root):
    """What the image class adds to a system with a read-only root."""
    (root / "boot/ota-read-only").write_text("etc=overlay\n")
    (root / "boot/ota-slot-valid").write_text("txn=image\n")


def image(factory, kind, change=lambda root: None, name="read-only"):
    def changed(root):
        read_only(root)
        change(root)

    root = factory.system_variant(name, changed)
    if kind == "squashfs":
        return squashfs(factory, root)
    if kind == "erofs":
        path = factory.place / f"erofs-{root.name}"
        if not path.exists():
            run("mkfs.erofs", path, root)
        return path
    return factory.image("ext4", root)


def delivered(factory, kind, **options):
    return make_bundle(factory, image(factory, kind, **options), keys(factory).private("ed25519"))


def board_for(factory, also=lambda root: None, conf="BOOT_FORMATS=squashfs,erofs\n", **options):
    return factory.board(change=trusting(keys(factory).public("ed25519"), also=also, conf=conf), **options)


def with_read_only_root(factory):
    """A board whose running system has a read-only root and the overlay a.old on /etc."""
    board = board_for(factory, also=read_only)
    overlay_mounted(board, "a.old")
    return board


def overlay_made(board, name):
    (board.root / "data/otamgr").mkdir(exist_ok=True)
    (board.root / HOME).mkdir(exist_ok=True, mode=0o700)
    for folder in ("", "/upper", "/work"):
        (board.root / HOME / (name + folder)).mkdir(mode=0o755 if folder else 0o700)
    return board.root / HOME / name / "upper"


def overlay_mounted(board, name):
    overlay_made(board, name)
    place = f"/{HOME}/{name}"
    run(
        *("chroot", board.root, "mount", "-t", "overlay", "-o"),
        f"lowerdir=/etc,upperdir={place}/upper,workdir={place}/work",
        *("overlay", "/etc"),
    )


def overlays(board):
    home = board.root / HOME
    return sorted(path.name for path in home.iterdir()) if home.exists() else []


def first_bytes(board, slot, count):
    board.flush()
    return Path(board.loops[slot]).open("rb").read(count)


@promise(
    "a {} with a read-only root is written as it is; header, manifest and kept files are in an overlay of its slot",
    cases=SYSTEMS,
)
def update(factory, kind):
    board = board_for(factory)
    content = delivered(factory, kind)
    result = board.sysupgrade("--no-reboot", "--txn", "T.1", board.deliver(content))
    equal(result.code, 0, f"exit code, said {result.err}")
    source = image(factory, kind).read_bytes()
    equal(first_bytes(board, "b", len(source)) == source, True, "the slot holds the image, byte for byte")
    equal(overlays(board), ["b.T.1"], "overlays")
    upper = board.root / HOME / "b.T.1/upper"
    equal(
        sorted(str(path.relative_to(upper)) for path in upper.rglob("*") if not path.is_dir()),
        ["machine-id", "ota_type_5.hdr", "otamgr/manifest"],
        "what the overlay holds",
    )
    equal((upper / "ota_type_5.hdr").read_bytes(), HEADER, "header")
    equal((upper / "otamgr/manifest").read_bytes(), members(content)[0][1], "manifest")
    equal((upper / "machine-id").stat().st_mode, (board.root / "etc/machine-id").stat().st_mode, "mode of a kept file")
    equal(oct((board.root / HOME).stat().st_mode & 0o777), "0o700", "who can look into it")
    equal(oct(upper.stat().st_mode & 0o777), "0o755", "mode of /etc")
    equal(board.ota_env()["ota_trial"], "b", "environment")
    equal(board.slot_bytes("a"), board.running_before, "the running slot")


@promise(
    "from one system with a read-only root to the next: what was changed in /etc and is kept goes along, the rest does not, and the old overlay stays"
)
def next_update(factory):
    board = with_read_only_root(factory)
    (board.root / "etc/machine-id").write_text("changed here\n")
    (board.root / "etc/secret").mkdir()
    (board.root / "etc/secret/key").write_text("kept, too\n")
    (board.root / "etc/other").write_text("not kept\n")
    (board.root / "etc/sysupgrade.conf").write_text("/etc/machine-id\n/etc/secret\n/var/empty\n")
    overlay_made(board, "b.older")
    (board.root / HOME / "new.b.killed").mkdir()
    before = sorted(path.name for path in (board.root / HOME / "a.old/upper").iterdir())
    result = board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(delivered(factory, "ext4")))
    equal(result.code, 0, f"exit code, said {result.err}")
    equal(overlays(board), ["a.old", "b.T"], "overlays")
    upper = board.root / HOME / "b.T/upper"
    equal((upper / "machine-id").read_text(), "changed here\n", "a changed file that is kept")
    equal((upper / "secret/key").read_text(), "kept, too\n", "a new folder that is kept")
    true(not (upper / "other").exists(), "what no list names was kept")
    equal(sorted(path.name for path in (board.root / HOME / "a.old/upper").iterdir()), before, "the old overlay")


@promise(
    "{}: the slot cannot be started, its overlay is gone, the environment is as it was",
    cases=["a kept path in the way", "a full /data", "no marker in the image", "an /etc that is a link"],
)
def failed_update(factory, what):
    board = board_for(factory)
    options, code = {}, 16
    if what == "a kept path in the way":
        (board.root / "etc/sysupgrade.conf").write_text("/var/kept\n")
        (board.root / "var/kept").write_text("x")
    elif what == "a full /data":
        (board.root / "data/filler").write_bytes(bytes(2 * MIB))
        (board.root / "etc/sysupgrade.conf").write_text("/etc/large\n")
        (board.root / "etc/large").write_bytes(os.urandom(3 * MIB // 2))
        code = 21
    elif what == "no marker in the image":
        options, code = {"change": lambda root: (root / "boot/ota-slot-valid").unlink(), "name": "no-marker"}, 7
    else:

        def linked(root):
            (root / "etc").rename(root / "usr/etc")
            (root / "etc").symlink_to("usr/etc")

        options, code = {"change": linked, "name": "linked-etc"}, 7
    board.settle()
    result = board.sysupgrade("--no-reboot", board.deliver(delivered(factory, "ext4", **options)))
    equal(result.code, code, f"exit code, said {result.err}")
    equal(overlays(board), [], "overlays")
    if "is unusable now" in result.err:
        equal(first_bytes(board, "b", 4096), bytes(4096), "the beginning of the slot")
    equal(board.env_bytes(), board.env_before, "environment")
    equal(board.slot_bytes("a"), board.running_before, "the running slot")


@promise(
    "a {} is refused before the slot is touched when nothing says that U-Boot reads a kernel from it, and taken with -F",
    cases=["squashfs", "erofs"],
)
def unknown_to_u_boot(factory, kind):
    board = board_for(factory, conf="")
    before = board.slot_bytes("b")
    content = delivered(factory, kind)
    result = board.sysupgrade("--no-reboot", board.deliver(content))
    equal((result.code, "BOOT_FORMATS" in result.err), (7, True), f"exit code and reason, said {result.err}")
    equal(board.slot_bytes("b"), before, "the slot")
    equal(board.sysupgrade("--no-reboot", "-F", board.deliver(content)).code, 0, "exit code with -F")


@promise("-T of a system with a read-only root leaves nothing on /data")
def test_only(factory):
    board = board_for(factory)
    equal(board.sysupgrade("-T", board.deliver(delivered(factory, "squashfs"))).code, 0, "exit code")
    equal(overlays(board), [], "overlays")


@promise("a system with a read-only root is committed only with the overlay of its own slot on /etc")
def commit(factory):
    for name, code in ((None, 10), ("a.T", 10), ("b.T", 0)):
        board = board_in(factory, "b", {"ota_trial": "b", "ota_tries": "2", "ota_txn": "T"}, change=read_only)
        if name:
            overlay_mounted(board, name)
        result = board.run("/sbin/ota-slot", "commit")
        equal(result.code, code, f"exit code with {name} on /etc, said {result.err}")
        equal(board.ota_env()["ota_slot"], "b" if code == 0 else "a", "the committed slot")
        factory.close_boards()


@promise(
    "the guard takes a failed system with a read-only root out of use, with what it had changed in /etc; the running one keeps its own"
)
def failed_trial(factory):
    for kind in SYSTEMS:
        board = with_read_only_root(factory)
        result = board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(delivered(factory, kind)))
        equal(result.code, 0, f"exit code, said {result.err}")
        (board.root / HOME / "b.T/upper/changed-by-the-trial").write_text("x")
        board.set_env(ota_slot="a", ota_trial="", ota_tries="", ota_failed="T", ota_failed_why="tries-used-up")
        equal(board.run("/sbin/ota-trial-guard", "--once").code, 0, "exit code of the guard")
        equal(overlays(board), ["a.old"], f"overlays after a failed {kind}")
        equal(first_bytes(board, "b", 4096), bytes(4096), "the beginning of the failed slot")
        true(any(line.startswith("rolled-back txn=T") for line in board.events()), "journal")
        equal(board.run("/sbin/ota-slot", "rollback").code, 5, "exit code of a roll-back to it")
        factory.close_boards()


@promise("what a power cut left between the slot and its overlay is taken out of use; a system that was armed stays")
def unfinished(factory):
    for armed in (False, True):
        board = with_read_only_root(factory)
        result = board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(delivered(factory, "squashfs")))
        equal(result.code, 0, f"exit code, said {result.err}")
        board.set_env(ota_slot="a", ota_trial="", ota_tries="")
        if not armed:
            journal = board.root / "data/otamgr/journal"
            journal.write_text("".join(line for line in journal.open() if " armed " not in line))
            (board.root / HOME / "b.T").rename(board.root / HOME / "new.b.T")
        equal(board.run("/sbin/ota-trial-guard", "--once").code, 0, "exit code of the guard")
        equal(first_bytes(board, "b", 4096) == bytes(4096), not armed, f"taken out of use, armed: {armed}")
        equal(overlays(board), ["a.old", "b.T"] if armed else ["a.old"], "overlays")
        factory.close_boards()


@promise("ota-slot rollback starts a system with a read-only root only while the overlay of its slot is there")
def rollback(factory):
    for there in (True, False):
        board = with_read_only_root(factory)
        result = board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(delivered(factory, "erofs")))
        equal(result.code, 0, f"exit code, said {result.err}")
        board.set_env(ota_slot="a", ota_trial="", ota_tries="")
        if not there:
            shutil.rmtree(board.root / HOME / "b.T")
        equal(board.run("/sbin/ota-slot", "rollback").code, 0 if there else 5, f"exit code, overlay there: {there}")
        factory.close_boards()


# ---- the first process ----------------------------------------------------------------------------------------------


def starting(factory, trial="none", slot="a"):
    """A board before its first process: nothing but the root is mounted, and /data is what the partition holds."""

    def change(root):
        read_only(root)
        shutil.copy(FILES.parents[1] / "ota-data/files/ota-data", root / "usr/sbin/ota-data")
        (root / "usr/lib/otamgr/real").mkdir()
        executable(
            root / "usr/lib/otamgr/real/init",
            "#!/bin/sh\ncat /proc/self/mountinfo >/tmp/started\necho $0 $* >>/tmp/started\necho changed >/etc/by-init 2>/dev/null || :\n",
        )
        (root / "sbin/init").symlink_to("/usr/lib/otamgr/ota-preinit")

    board = factory.board(running=slot, change=change)
    command_line(board, f"ota.slot={slot}", f"ota.trial={trial}")
    return board


def started(board, data=True):
    """Starts the first process; what is mounted then, and what the kernel's log was told."""
    log = board.root / "dev/kmsg"
    log.write_text("")
    run("umount", board.root / "data")
    if not data:
        Path(board.loops["data"]).write_bytes(bytes(MIB))
    run("unshare", "--pid", "--fork", "chroot", board.root, "/sbin/init", "5")
    lines = (board.root / "tmp/started").read_text().splitlines()
    equal(lines[-1], "/usr/lib/otamgr/real/init 5", "the real init, and its arguments")
    etc = [line for line in lines if " /etc " in line]
    return (etc[-1].rpartition("upperdir=")[2].partition(",")[0] if etc else None), log.read_text()


@promise("the first start of a flashed system makes an overlay, the next one finds what was changed")
def first_start(factory):
    board = starting(factory)
    for _ in range(2):
        equal(started(board)[0], f"/{HOME}/a.flashed/upper", "what is on /etc")
        equal((board.root / HOME / "a.flashed/upper/by-init").read_text(), "changed\n", "a change")
        run("umount", board.root / "etc")
    equal(overlays(board), ["a.flashed"], "overlays")
    board.flush()
    true(not (board.root / "etc/by-init").exists(), "the root itself was changed")


@promise("a first process that cannot read what is mounted starts the system, puts nothing on /etc, and says why")
def unread_start(factory):
    board = starting(factory)
    board.blind()
    etc, log = started(board)
    equal(etc, None, "what is on /etc")
    true("cannot be read" in log, log)


@promise("a system starts although {} hangs", cases=["modprobe", "the mount of its root"])
def hanging_start(factory, what):
    board = starting(factory)
    limits = board.root / "usr/lib/otamgr/limits.sh"
    limits.write_text(re.sub(r"limit_seconds=\d+", "limit_seconds=1", limits.read_text()))
    place = board.root / ("sbin/modprobe" if what == "modprobe" else "bin/mount")
    place.unlink(missing_ok=True)
    real = 'case $* in *remount,ro*) ;; *) exec /bin/busybox mount "$@" ;; esac\n' if place.name == "mount" else ""
    executable(place, f"#!/bin/sh\n{real}: >/tmp/hangs\nexec sleep 1000\n")
    if what == "modprobe":
        # A kernel without it, as far as the script can see.
        overlay = board.root / "usr/lib/otamgr/overlay.sh"
        overlay.write_text(overlay.read_text().replace("/proc/filesystems", "/dev/null"))
    etc, said = started(board)
    true((board.root / "tmp/hangs").exists(), "nothing hung")
    if what == "modprobe":
        true("this kernel has no overlay file system" in said, said)
    else:
        equal(etc, f"/{HOME}/a.flashed/upper", "what is on /etc")


@promise(
    "a trial starts with the overlay of its update, and without one with /etc as the image brings it; a committed system gets a new one"
)
def trial_start(factory):
    for trial, there, expected in (
        ("T", ["b.T", "a.old"], "b.T"),
        ("T", ["a.old"], None),
        ("T", ["b.older"], None),
        ("rollback-X", ["b.older"], "b.older"),
        ("rollback-X", [], None),
        ("none", ["b.T", "new.b.U", "gone.b.V"], "b.T"),
        ("none", ["b.20260101", "b.20270101"], "b.20270101"),
        ("none", ["a.old"], "b.flashed"),
        ("../../x", [], None),
    ):
        board = starting(factory, trial, slot="b")
        for name in there:
            overlay_made(board, name)
        found, said = started(board)
        equal(found, expected and f"/{HOME}/{expected}/upper", f"what is on /etc: trial {trial} with {there}")
        equal("stays as the image brings it" in said, expected is None, "what the kernel's log says")
        factory.close_boards()


@promise(
    "{}: the system starts with /etc as the image brings it, and says why",
    cases=[
        "no file system on /data",
        "the overlay is a link",
        "its upper half is a link",
        "others can write to its folder",
        "the home is a link",
        "no slot on the command line",
    ],
)
def hostile_data(factory, what):
    board = starting(factory)
    upper = overlay_made(board, "a.old")
    elsewhere = board.root / "data/elsewhere"
    (elsewhere / "upper").mkdir(parents=True)
    (elsewhere / "work").mkdir()
    if what == "the overlay is a link":
        shutil.rmtree(board.root / HOME / "a.old")
        (board.root / HOME / "a.old").symlink_to("/data/elsewhere")
        # Nobody's overlay: it counts as lost.
        equal(started(board)[0], f"/{HOME}/a.flashed/upper", "what is on /etc")
        return
    if what == "its upper half is a link":
        upper.rmdir()
        upper.symlink_to("/data/elsewhere/upper")
    elif what == "others can write to its folder":
        (board.root / HOME / "a.old").chmod(0o777)
    elif what == "the home is a link":
        (board.root / HOME).rename(board.root / "data/elsewhere/etc")
        (board.root / HOME).symlink_to("/data/elsewhere/etc")
    elif what == "no slot on the command line":
        command_line(board, "quiet")
    found, said = started(board, data=what != "no file system on /data")
    equal(found, None, "what is on /etc")
    true("/etc stays as the image brings it, and read-only: " in said, f"the kernel's log: {said}")


@promise(
    "an /etc that somebody opened to others is closed again, and what the overlay hides or replaces is what the running system sees"
)
def open_upper(factory):
    board = starting(factory)
    upper = overlay_made(board, "a.old")
    upper.chmod(0o777)
    os.mknod(upper / "machine-id", 0o600 | 0o020000, os.makedev(0, 0))
    equal(started(board)[0], f"/{HOME}/a.old/upper", "what is on /etc")
    equal(oct(upper.stat().st_mode & 0o777), "0o755", "mode")
    true(not (board.root / "etc/machine-id").exists(), "a file that was removed is there")


@promise("as a command, init is the real one")
def init_as_a_command(factory):
    board = starting(factory)
    equal(board.run("/sbin/init", "0").code, 0, "exit code")
    true((board.root / "tmp/started").read_text().endswith("/usr/lib/otamgr/real/init 0\n"), "the real init")
    equal(overlays(board), [], "overlays")


@promise(
    "ota-doctor: the /etc of a read-only root is the running slot's own, and a system to fall back on has one as well"
)
def doctor(factory):
    board = healthy(factory)
    equal(look(board)[1]["etc"]["level"], "ok", "a root that can be written")
    factory.close_boards()
    board = made_healthy(factory.board(change=read_only))
    equal(look(board)[1]["etc"]["level"], "problem", "nothing on /etc")
    overlay_mounted(board, "a.flashed")
    equal(look(board)[1]["etc"]["level"], "ok", "the slot's own")
    (board.root / HOME / "a.flashed/work").chmod(0o777)
    equal(look(board)[1]["etc"]["level"], "problem", "others can change it")
