# SPDX-License-Identifier: MIT
"""sysupgrade: updates that succeed."""

import os
import re
import shutil
import socket
import subprocess

from board import HEADER, MIB, OLD_HEADER, SLOT, executable, file_system_header, run, tree
from promises import equal, promise, true

FORMATS = ["ext4", "ext4.gz", "ext4.zst", "ext4.xz", "tar", "tar.gz", "tar.zst", "tar.xz"]
PHASES = ["check", "invalidate", "write", "verify", "header", "keep", "arm"]
ADDED = ("etc/ota_type_5.hdr", "etc/machine-id", "boot/ota-slot-valid")


def armed(board, result, txn=None, journal=True):
    """Everything that must hold after an update, apart from what is in the new system; journal: whether there is one."""
    equal(result.code, 0, "exit code")
    env = board.ota_env()
    txn = txn or env.get("ota_txn")
    equal(env, {"ota_slot": board.running, "ota_trial": board.target, "ota_tries": "3", "ota_txn": txn}, "environment")
    equal(len(board.env_copies_written()), 1, "copies of the environment written")
    equal(board.slot_bytes(board.running), board.running_before, "the running slot")
    equal(board.run("/sbin/ota-slot", "status").out.splitlines()[-1], "state=armed", "state")
    equal(
        sorted(os.listdir(board.root / "run/otamgr")),
        ["armed", *(["journal.lock"] if journal else []), "new-root", "sysupgrade.lock"],
        "files in /run/otamgr",
    )
    run("e2fsck", "-fn", board.loops[board.target])
    return txn


@promise("an update from {} installs exactly that system, with header, kept files and marker", cases=FORMATS)
def update(factory, kind):
    board = factory.board()
    image = board.deliver(factory.image(kind))
    result = board.sysupgrade("--no-reboot", "--txn", "T-1.x", image)
    armed(board, result, "T-1.x")
    with board.mounted("b") as new:
        equal(tree(new, without=ADDED), tree(factory.new), "new system")
        equal((new / "etc/ota_type_5.hdr").read_bytes(), HEADER, "header")
        kept = os.stat(new / "etc/machine-id")
        equal(
            ((new / "etc/machine-id").read_text(), kept.st_uid, kept.st_gid, kept.st_mode & 0o7777),
            ("0123456789abcdef\n", 7, 8, 0o444),
            "kept file",
        )
        equal((new / "boot/ota-slot-valid").read_text(), "txn=T-1.x\n", "marker")
        marker = os.stat(new / "boot/ota-slot-valid").st_ctime_ns
        for path in ("etc/ota_type_5.hdr", "etc/machine-id"):
            true(os.lstat(new / path).st_ctime_ns <= marker, f"marker is not the last file, {path} is later")
    equal((board.root / "etc/ota_type_5.hdr").read_bytes(), OLD_HEADER, "header of the running system")
    equal(list(dict.fromkeys(line.split()[0] for line in result.progress)), PHASES + ["done"], "phases")
    true(
        re.fullmatch(
            r"done 100 slot b armed, txn=T-1.x, \d+ of \d+ bytes written, \d+ were there already", result.progress[-1]
        ),
        result.progress[-1],
    )
    equal([event.split()[0] for event in board.events()], ["update-started", "slot-written", "armed"], "journal")
    equal(board.events()[-1], "armed txn=T-1.x slot=b tries=3", "journal")
    equal(board.reboots(), [], "reboots")


@promise("the boot loader's ext4 driver knows every feature of the file system made for a tar image")
def features(factory):
    board = factory.board()
    equal(board.sysupgrade("--no-reboot", board.deliver(factory.image("tar"))).code, 0, "exit code")
    header = file_system_header(board.loops["b"])
    found = header["Filesystem features"].split()
    # U-Boot's include/ext4fs.h, EXT4_FEATURE_*_SUPP, and compatible features that a reader may ignore
    known = {
        "filetype",
        "needs_recovery",
        "extent",
        "64bit",
        "flex_bg",
        "sparse_super",
        "large_file",
        "huge_file",
        "uninit_bg",
        "dir_nlink",
        "extra_isize",
        "has_journal",
        "ext_attr",
        "resize_inode",
        "dir_index",
    }
    equal(set(found) - known, set(), "features U-Boot does not know")
    equal(header["Filesystem volume name"], "rootfs-b", "label")


def file_system_bytes(device):
    header = file_system_header(device)
    return int(header["Block count"]) * int(header["Block size"])


@promise("the file system of an image that was mounted once gets the whole slot, too")
def grown_after_a_mount(factory):
    image, place = factory.place / "mounted.ext4", factory.place / "mounted"
    shutil.copy(factory.image("ext4"), image)
    place.mkdir(exist_ok=True)
    # The mount has to be later than the last check.
    run("tune2fs", "-T", "20200101", image)
    run("mount", "-t", "ext4", "-o", "loop", image, place)
    (place / "etc/extra").write_text("x")
    run("umount", place)
    board = factory.board()
    armed(board, board.sysupgrade("--no-reboot", board.deliver(image)))
    equal(file_system_bytes(board.loops["b"]), SLOT["b"][1], "bytes of the file system")


@promise(
    "a file system that cannot be grown, since e2fsck does not know a feature of it, keeps its size, and that is said with the reason"
)
def not_grown(factory):
    image = factory.place / "feature.ext4"
    shutil.copy(factory.image("ext4"), image)
    run("debugfs", "-w", "-R", "feature FEATURE_C20", image)
    board = factory.board()
    result = board.sysupgrade("--no-reboot", board.deliver(image))
    equal(result.code, 0, f"exit code, said {result.err}")
    equal(file_system_bytes(board.loops["b"]), 8 * MIB, "bytes of the file system")
    true("keeps its size of 8388608 bytes: e2fsck: " in result.err and "FEATURE_C20" in result.err, result.err)


@promise("the file system of an image gets the whole slot, whatever was there before")
def grown(factory):
    board = factory.board()
    for size in (8 * MIB, 11 * MIB, 8 * MIB):
        board.run("/sbin/ota-slot", "cancel")
        board.env_before = board.env_bytes()
        armed(board, board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz", size=size))))
        equal(file_system_bytes(board.loops["b"]), SLOT["b"][1], f"bytes of the file system after an image of {size}")
        with board.mounted("b") as new:
            equal(tree(new, without=ADDED), tree(factory.new), "new system")


@promise(
    "a file system that {} keeps its size, and the update is as good",
    cases=["has no program to grow it", "U-Boot could not read if it grew"],
)
def kept_small(factory, case):
    without = case.startswith("has")
    board = factory.board(change=(lambda root: (root / "sbin/resize2fs").unlink()) if without else None)
    features = None if without else "^resize_inode"
    image = factory.image("ext4", features=features)
    armed(board, board.sysupgrade("--no-reboot", board.deliver(image)))
    equal(file_system_bytes(board.loops["b"]), 8 * MIB, "bytes of the file system")


@promise("a file system that cannot be grown keeps its size, the update says so and is as good")
def growing_fails(factory):
    def change(root):
        executable(root / "sbin/resize2fs", "#!/bin/sh\necho 'resize2fs: no' >&2\nexit 1\n")

    board = factory.board(change=change)
    result = board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4")))
    armed(board, result)
    true("the file system in slot b keeps its size of 8388608 bytes: resize2fs: no" in result.err, result.err)


@promise("a board that runs from slot b updates slot a")
def other_direction(factory):
    board = factory.board(running="b")
    armed(board, board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz"))))


@promise("slots.conf names the slots of a disk whose partitions have no names")
def configured_slots(factory):
    def configure(root):
        (root / "etc/otamgr/slots.conf").write_text('SLOT_A_DEVICE=/dev/mmcblk0p2\nSLOT_B_DEVICE="/dev/mmcblk0p3"\n')

    board = factory.board(names=False, change=configure)
    # The new system needs it as well.
    (board.root / "etc/sysupgrade.conf").write_text("/etc/otamgr/slots.conf\n")
    board.settle()
    armed(board, board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz"))))


@promise("an image whose size is no multiple of a block is written and compared to its last byte")
def odd_size(factory):
    board = factory.board()
    content = factory.image("ext4").read_bytes() + os.urandom(4096 + 777)
    image = board.deliver(content)
    armed(board, board.sysupgrade("--no-reboot", image))
    compressed = subprocess.run(["gzip", "-c"], input=content, stdout=subprocess.PIPE, check=True).stdout
    board = factory.board()
    armed(board, board.sysupgrade("--no-reboot", board.deliver(compressed)))
    start, size = 28 * MIB, len(content)
    with open(board.disk, "rb") as disk:
        disk.seek(start + size - 4096)
        equal(disk.read(4096 + 1)[:4096], content[-4096:], "end of the image in the slot")
    equal(file_system_bytes(board.loops["b"]), 8 * MIB, "bytes of a file system that something follows")


@promise("called as the original otamgr does, it records the reason full_ota and reboots once, after arming")
def original_call(factory):
    board = factory.board()
    board.replace(
        "sbin/reboot",
        '#!/bin/sh\necho "reboot $*" >>/tmp/reboots\nfw_printenv ota_trial >/tmp/at-reboot\n'
        "cat /afero_nv/reboot_reason >>/tmp/at-reboot\n",
    )
    image = board.deliver(factory.image("tar.gz"))
    result = board.run("/sbin/sysupgrade", image, environment={"PATH": "/sbin:/bin"})
    armed(board, result)
    equal(board.reboots(), ["reboot "], "reboots")
    equal((board.root / "tmp/at-reboot").read_text(), "ota_trial=b\nfull_ota", "state when reboot is called")
    equal([line.split()[0] for line in result.progress][-2:], ["reboot", "done"], "last phases")


@promise("a reboot that cannot be called does not turn an armed update into a failure")
def failing_reboot(factory):
    board = factory.board()
    board.replace("sbin/reboot", "#!/bin/sh\nexit 1\n")
    result = board.sysupgrade(board.deliver(factory.image("ext4")))
    armed(board, result)
    true("reboot by hand" in result.err, "says what to do")


@promise("-T of a good image says so and changes not one byte of the disk, for {}", cases=["ext4.gz", "tar.gz"])
def test_only(factory, kind):
    board = factory.board()
    before = board.disk.read_bytes()
    result = board.sysupgrade("-T", board.deliver(factory.image(kind)))
    equal(result.code, 0, "exit code")
    board.flush()
    true(board.disk.read_bytes() == before, "the disk has changed")
    equal(result.progress[-1].split()[:2], ["done", "100"], "last progress line")


@promise("-n keeps nothing of the running system")
def keep_nothing(factory):
    board = factory.board()
    armed(board, board.sysupgrade("-n", "--no-reboot", board.deliver(factory.image("ext4.gz"))))
    with board.mounted("b") as new:
        true(not (new / "etc/machine-id").exists(), "machine-id was kept")


@promise("-F installs a system without kernel or init, and says what is missing")
def forced(factory):
    def strip(root):
        shutil.rmtree(root / "boot")
        shutil.rmtree(root / "sbin")

    for kind in ("ext4.gz", "tar.gz"):
        board = factory.board()
        result = board.sysupgrade(
            "-F", "--no-reboot", board.deliver(factory.image(kind, factory.system_variant("bare", strip)))
        )
        armed(board, result)
        true("no kernel" in result.err and "no /sbin/init" in result.err, "names what is missing")
        with board.mounted("b") as new:
            true((new / "boot/ota-slot-valid").exists(), "no marker")


@promise("-q is silent about a good update, -v tells every phase, -qv in one word means -v")
def verbosity(factory):
    for option, silent, phases in (("-q", True, False), ("-v", False, True), ("-qv", False, True)):
        board = factory.board()
        result = board.sysupgrade(option, "--no-reboot", board.deliver(factory.image("ext4")))
        equal((result.code, result.err == "", "verify 100%" in result.err), (0, silent, phases), option)


@promise("an image by another name needs no header, and gets none")
def without_header(factory):
    board = factory.board()
    shutil.copy(factory.image("ext4.gz"), board.root / "tmp/new system.ext4.gz")
    result = board.sysupgrade("--no-reboot", "/tmp/new system.ext4.gz")
    armed(board, result)
    with board.mounted("b") as new:
        true(not list((new / "etc").glob("*.hdr")), "a header appeared")
    true("no header" in result.err, "says that there is no header")


@promise("--header places that file under its own name")
def other_header(factory):
    board = factory.board()
    image = board.deliver(factory.image("ext4.gz"))
    (board.root / "tmp/ota_type_7.hdr").write_bytes(b"seven")
    armed(board, board.sysupgrade(image, "--header", "/tmp/ota_type_7.hdr", "--no-reboot"))
    with board.mounted("b") as new:
        equal((new / "etc/ota_type_7.hdr").read_bytes(), b"seven", "header")
        true(not (new / "etc/ota_type_5.hdr").exists(), "the other header was placed, too")


@promise("file names are only names: blanks, quotes, newlines, dashes and commands in the image's path do nothing")
def hostile_names(factory):
    for folder, name in (("tmp", "a b;touch $(touch x)`touch y`'\"*\n z"), ("tmp/-rf", "-T"), ("tmp/é\\n%s", "&|<>")):
        board = factory.board()
        image = board.deliver(factory.image("ext4.gz"), name=name, folder=folder)
        if name == "-T":
            result = board.run("/bin/sh", "-c", "cd /tmp/-rf && exec /sbin/sysupgrade --no-reboot -- -T.img")
        else:
            result = board.sysupgrade("--no-reboot", image)
        armed(board, result)
        with board.mounted("b") as new:
            equal((new / "etc" / f"{name}.hdr").read_bytes(), HEADER, "header")
        for place in ("", "root", "tmp", folder, "run/otamgr"):
            true(not {"x", "y"} & set(os.listdir(board.root / place)), f"a command in a name was run in /{place}")
        equal(len(board.journal()), 3, "journal lines")


@promise("a progress reader that goes away stops nothing")
def reader_gone(factory):
    board = factory.board()
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz")), progress=write_end)
    os.close(write_end)
    armed(board, result)


@promise("a progress reader that never reads stops nothing")
def reader_asleep(factory):
    board = factory.board()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    while True:
        try:
            os.write(write_end, bytes(4096))
        except BlockingIOError:
            break
    os.set_blocking(write_end, True)
    result = board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz")), progress=write_end)
    armed(board, result)
    os.close(read_end)
    os.close(write_end)


@promise("a full file system behind the progress stops nothing")
def progress_full(factory):
    board = factory.board()
    armed(
        board,
        board.sysupgrade(
            "--no-reboot",
            board.deliver(factory.image("ext4.gz")),
            environment={"SYSUPGRADE_PROGRESS": "/dev/full"},
            progress=None,
        ),
    )


@promise("a closed standard error stops nothing")
def stderr_gone(factory):
    board = factory.board()
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = board.start(
        "/sbin/sysupgrade", "-v", "--no-reboot", board.deliver(factory.image("ext4.gz")), stderr=write_end
    )
    os.close(write_end)
    armed(board, board.finish(process))


@promise("SYSUPGRADE_PROGRESS={} receives the progress, complete", cases=["/dev/stdout", "/tmp/progress", "a socket"])
def progress_place(factory, place):
    board = factory.board()
    image = board.deliver(factory.image("ext4.gz"))
    if place == "a socket":
        ours, theirs = socket.socketpair()
        process = board.start(
            "/sbin/sysupgrade",
            "--no-reboot",
            image,
            stdout=theirs,
            progress=None,
            environment={"SYSUPGRADE_PROGRESS": "/dev/stdout"},
        )
        theirs.close()
        result = board.finish(process)
        ours.settimeout(60)
        received = b""
        while more := ours.recv(65536):
            received += more
        text = received.decode()
    else:
        result = board.sysupgrade("--no-reboot", image, environment={"SYSUPGRADE_PROGRESS": place}, progress=None)
        text = result.out if place == "/dev/stdout" else (board.root / "tmp/progress").read_text()
    armed(board, result)
    lines = text.splitlines()
    equal(list(dict.fromkeys(line.split()[0] for line in lines)), PHASES + ["done"], "phases")
    true(all(line.split()[1].isdigit() for line in lines), "second word is a number")


@promise("kept directories come over with all below them, owners, modes and links, and stay on their file system")
def kept_directories(factory):
    def fill(root):
        (root / "etc/sysupgrade.conf").write_text("")
        (root / "lib/upgrade/keep.d/one").write_text("/etc/app/\n#/etc/shadow\n/etc/glob-*\n/data")
        app = root / "etc/app"
        (app / "sub dir/empty").mkdir(parents=True)
        app.chmod(0o750)
        os.chown(app, 33, 34)
        (app / "sub dir/.hidden").write_text("h")
        (app / "sub dir/..odd").write_text("o")
        (app / "new\nline").write_text("n")
        (app / "link").symlink_to("/nowhere/at/all")
        (app / "to-dir").symlink_to("sub dir")
        (root / "etc/glob-1").write_text("1")
        (root / "etc/glob-2").write_text("2")

    board = factory.board(change=fill)
    armed(board, board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz"))))
    with board.mounted("b") as new:
        equal(tree(new / "etc/app"), tree(board.root / "etc/app"), "/etc/app")
        info = os.stat(new / "etc/app")
        equal((info.st_uid, info.st_gid, info.st_mode & 0o7777), (33, 34, 0o750), "owner and mode of /etc/app")
        equal((new / "etc/glob-2").read_text(), "2", "/etc/glob-2")
        equal((new / "etc/shadow").read_text(), "root:*:\n", "/etc/shadow is the new one")
        true(not (new / "data/otamgr").exists(), "/data is another file system and was copied")


@promise(
    "kept files bring capabilities, access lists, attributes, several names and pipes, and nothing that the new folder would add"
)
def kept_attributes(factory):
    def fill(root):
        app = root / "etc/app"
        app.mkdir()
        for name in ("tool", "shared", "plain"):
            (app / name).write_text(name)
        (app / "again").hardlink_to(app / "tool")
        os.mkfifo(app / "pipe", 0o640)
        os.chown(app / "tool", 7, 8)
        (app / "tool").chmod(0o4755)
        run("setcap", "cap_net_raw+ep", app / "tool")
        run("setfattr", "-n", "user.color", "-v", "red\n", app / "tool")
        run("setfacl", "-m", "u:1000:rw", app / "shared")
        run("setfacl", "-d", "-m", "u:1001:r", app)
        (root / "etc/sysupgrade.conf").write_text("/etc/app\n")

    def attributes(place):
        return run("getfattr", "-d", "-m", "-", "-e", "hex", "--absolute-names", place, text=True).splitlines()[1:]

    def inherit(root):
        # What is made below this folder would get an access list.
        run("setfacl", "-d", "-m", "u:1002:rwx", root / "etc")

    board = factory.board(change=fill)
    armed(
        board,
        board.sysupgrade(
            "--no-reboot", board.deliver(factory.image("ext4", factory.system_variant("inherit", inherit)))
        ),
    )
    with board.mounted("b") as new:
        for name in (".", "tool", "shared", "plain", "again"):
            equal(
                attributes(new / "etc/app" / name), attributes(board.root / "etc/app" / name), f"attributes of {name}"
            )
        equal(
            (os.stat(new / "etc/app/tool").st_ino, oct(os.stat(new / "etc/app/tool").st_mode)),
            (os.stat(new / "etc/app/again").st_ino, "0o104755"),
            "two names",
        )
        equal(oct(os.stat(new / "etc/app/pipe").st_mode), "0o10640", "a pipe")
        equal(attributes(new / "etc/app/plain"), [], "a plain file")


@promise("exit 16: a kept file whose attributes the new file system does not take is named with what would be lost")
def lost_attributes(factory):
    def fill(root):
        (root / "etc/app").write_text("app")
        (root / "etc/sysupgrade.conf").write_text("/etc/app\n")

    from test_failures import new_board, refused

    # With inodes and blocks so small that there is no place for it.
    image = factory.place / "small.ext4"
    image.unlink(missing_ok=True)
    image.touch()
    os.truncate(image, 8 * MIB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-I", "128", "-O", "^metadata_csum", "-d", factory.new, image)
    board = new_board(factory, change=fill)
    # Of these one lies in the inode, the other in a block of 1 KiB.
    for name, size in (("user.small", 50), ("user.large", 930)):
        run("setfattr", "-n", name, "-v", "x" * size, board.root / "etc/app")
    board.settle()
    refused(
        board,
        board.sysupgrade("--no-reboot", board.deliver(image)),
        16,
        "/etc/app could not be kept: its attribute user.",
        target_touched=True,
    )
    with board.mounted("b") as new:
        true((new / "etc/shadow").exists(), "the new system")


@promise("kept files cannot leave the new root through its symbolic links, nor replace the header or the marker")
def kept_inside(factory):
    def fill(root):
        (root / "etc/sysupgrade.conf").write_text(
            "/etc/app\n/etc/resolv.conf\n/etc/ota_type_5.hdr\n/etc/other.hdr\n/boot/ota-slot-valid\n/lib/x\n"
        )
        (root / "etc/app").mkdir()
        (root / "etc/app/key").write_text("kept key")
        (root / "etc/resolv.conf").write_text("kept resolv")
        (root / "etc/other.hdr").write_text("kept")
        (root / "boot/ota-slot-valid").write_text("txn=of-the-running-system\n")
        (root / "lib/x").write_text("kept x")

    def links(root):
        (root / "etc/app").symlink_to("/var/app")
        (root / "var/app").mkdir()
        (root / "etc/resolv.conf").symlink_to("/var/lock/resolv")
        (root / "lib").symlink_to("../../../usr/lib")

    board = factory.board(change=fill)
    for place in ("var/app", "usr/lib"):
        (board.root / place).mkdir(exist_ok=True)
    (board.root / "run/lock/resolv").write_text("of the running system")
    board.settle()
    armed(
        board,
        board.sysupgrade(
            "--no-reboot",
            "--txn",
            "new",
            board.deliver(factory.image("ext4.gz", factory.system_variant("links", links))),
        ),
    )
    equal(
        (board.root / "run/lock/resolv").read_text(),
        "of the running system",
        "target of the link in the running system",
    )
    with board.mounted("b") as new:
        equal((new / "var/app/key").read_text(), "kept key", "file in a directory that is a link")
        equal((new / "etc/resolv.conf").read_text(), "kept resolv", "file that is a link in the new system")
        true(not (new / "etc/resolv.conf").is_symlink(), "link was written through")
        equal((new / "usr/lib/x").read_text(), "kept x", "file behind a relative link")
        equal((new / "etc/ota_type_5.hdr").read_bytes(), HEADER, "header")
        equal((new / "boot/ota-slot-valid").read_text(), "txn=new\n", "marker")


@promise("TRIAL_TRIES of trial.conf is the number of boots, a senseless value is named and 3 is used")
def tries(factory):
    for value, expected in (("9", "9"), ("10", "3"), ("", "3")):
        board = factory.board(change=lambda root: (root / "etc/otamgr/trial.conf").write_text(f"TRIAL_TRIES={value}\n"))
        result = board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4")))
        equal(board.env()["ota_tries"], expected, f"TRIAL_TRIES={value}")
        equal("expected a number from 1 to 9" in result.err, value == "10", "warning")
        equal(
            "trial.conf, line 1: 'TRIAL_TRIES=', expected a value" in result.err,
            value == "",
            "warning of a value that is missing",
        )


@promise("updates without --txn get different ids that the boot loader and the journal agree on")
def generated_txn(factory):
    seen = set()
    board = factory.board()
    image = board.deliver(factory.image("ext4"))
    for _ in range(2):
        equal(board.sysupgrade("--no-reboot", image).code, 0, "exit code")
        txn = board.env()["ota_txn"]
        equal(board.events()[-1], f"armed txn={txn} slot=b tries=3", "journal")
        seen.add(txn)
        equal(board.run("/sbin/ota-slot", "cancel").code, 0, "cancel")
    equal(len(seen), 2, "different ids")


@promise("arming clears what is known of an earlier failed update, in the same write")
def failed_cleared(factory):
    board = factory.board()
    board.set_env(ota_failed="old", ota_failed_why="tries-used-up")
    armed(board, board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4"))))


@promise("an update works without a journal when /data is not mounted, and writes nothing into the running slot")
def without_data(factory):
    board = factory.board()
    run("umount", board.root / "data")
    board.settle()
    result = board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4")))
    armed(board, result, journal=False)
    true("/data is not mounted" in result.err, "says that there is no journal")


@promise("a killed update's leftovers, mount included, do not stand in the way of the next")
def leftovers(factory):
    board = factory.board()
    place = board.root / "run/otamgr/new-root"
    place.mkdir(parents=True)
    (board.root / "run/otamgr/sysupgrade").mkdir()
    (board.root / "run/otamgr/sysupgrade/stream").write_text("old")
    board.run("/bin/mount", "-t", "ext4", "/dev/mmcblk0p3", "/run/otamgr/new-root")
    board.run("/bin/mount", "-t", "ext4", "/dev/mmcblk0p3", "/run/otamgr/new-root")
    armed(board, board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz"))))


@promise("kept files keep the flags of chattr; what a folder cannot keep is named")
def flags_kept(factory):
    board = factory.board()
    folder = board.root / "etc/app"
    folder.mkdir()
    for name, flag in (("fixed", "+i"), ("log", "+a"), ("plain", "+A")):
        (folder / name).write_text(name)
        run("chattr", flag, folder / name)
    run("chattr", "+i", folder)
    (board.root / "etc/sysupgrade.conf").write_text("/etc/app\n")
    board.settle()
    result = board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4")))
    armed(board, result)
    true("/etc/app keeps its content without the flag i (chattr)" in result.err, f"what is lost: {result.err}")
    with board.mounted("b") as new:
        shown = run("lsattr", "-d", *(new / "etc/app" / name for name in ("fixed", "log", "plain", ".")), text=True)
        flags = [line.split()[0].replace("-", "").replace("e", "") for line in shown.splitlines()]
        equal(flags, ["i", "a", "A", ""], "flags")
        equal((new / "etc/app/fixed").read_text(), "fixed", "content")
