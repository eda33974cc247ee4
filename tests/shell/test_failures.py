# SPDX-License-Identifier: MIT
"""sysupgrade: updates that must not succeed, and what they must leave behind."""

import os
import selectors
import shutil
import signal
import struct
import subprocess
from pathlib import Path

from board import (
    ENV,
    ENV_BYTES,
    HEADER,
    KIB,
    MIB,
    SLOT,
    device_number,
    engine_meets,
    engine_pauses_before,
    executable,
    file_system_header,
    fill_up,
    run,
)
from promises import equal, promise, true
from test_sysupgrade import armed

# The exit codes of the contract; those of bundles are provoked in test_bundle.
CODES = {
    2: "wrong usage",
    3: "no image",
    4: "unknown format",
    5: "corrupt",
    6: "not signed",
    7: "incompatible",
    8: "too big",
    9: "trial pending",
    10: "no boot state",
    11: "slot mounted",
    12: "already running",
    13: "write failed",
    14: "reads back differently",
    15: "does not mount",
    16: "files not kept",
    17: "environment not written",
    18: "no header",
    19: "another board",
    20: "older than the floor",
    21: "over the budget",
    22: "needs more of the bundle",
    23: "no key for it",
    24: "no target for an image",
    25: "an image is not taken",
}


def refused(board, result, code, words, target_touched=False, journal=True):
    """What every refusal must leave: the environment and the running slot to the byte, nothing mounted, and a reason."""
    equal(result.code, code, f"exit code, said: {result.err}")
    equal(board.env_bytes(), board.env_before, "environment")
    equal(board.slot_bytes(board.running), board.running_before, "the running slot")
    if not target_touched:
        equal(board.slot_bytes(board.target), board.target_before, "the target slot, which was not to be touched")
    true(words in result.err, f"the reason does not mention '{words}': {result.err}")
    if result.progress or code != 2:
        last = result.progress[-1].split(" ", 2)
        equal(last[:2], ["failed", str(code)], "last progress line")
        true(words in last[2], "the reason in the progress")
    if journal:
        event = board.events()[-1]
        true(
            event.startswith("update-failed txn=") and f" code={code} " in event and words in event, f"journal: {event}"
        )
    for leftover in ("sysupgrade", "armed"):
        true(not (board.root / "run/otamgr" / leftover).exists(), f"/run/otamgr/{leftover} was left")
    equal([mount for mount in board._mounts() if mount.endswith("new-root")], [], "mounts left")
    equal(board.reboots(), [], "reboots")


def new_board(factory, **options):
    board = factory.board(**options)
    board.target_before = board.slot_bytes(board.target)
    return board


def image_refused(factory, image, code, words, arguments=(), target_touched=False, **options):
    board = new_board(factory, **options)
    result = board.sysupgrade("--no-reboot", *arguments, board.deliver(image))
    refused(board, result, code, words, target_touched)
    if target_touched:
        with_next_update_works(factory, board)
    return board


def with_next_update_works(factory, board):
    """A refusal blocks nothing: the same board takes a good image."""
    armed(board, board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.zst"))))


# ---- usage, image, header ----------------------------------------------------------------------------------------


@promise("exit 2: wrong usage names the mistake and touches nothing")
def usage(factory):
    board = new_board(factory)
    image = board.deliver(factory.image("ext4"))
    for arguments, words in (
        ((), "no image"),
        (("-x", image), "-x"),
        (("--frobnicate", image), "--frobnicate"),
        ((image, image), "second"),
        (("--header",), "--header needs"),
        ((image, "--txn"), "--txn needs"),
        (("--txn", "a b", image), "A-Z"),
        (("--txn", "", image), "A-Z"),
        (("--txn", "none", image), "none"),
        (("--txn=x\ny", image), "A-Z"),
        (("--txn", "x" * 41, image), "40"),
        (("-Tz", image), "-z"),
        (("",), "empty"),
        (("--header=", image), "--header"),
    ):
        result = board.sysupgrade(*arguments)
        refused(board, result, 2, words, journal=False)
        equal(result.progress, [], "progress of something that did not begin")


@promise("exit 3: a missing, empty or irregular image is named")
def no_image(factory):
    board = new_board(factory)
    (board.root / "tmp/empty").touch()
    (board.root / "tmp/folder").mkdir()
    (board.root / "tmp/dangling").symlink_to("/nowhere")
    board.deliver(factory.image("ext4"))
    (board.root / "tmp/link").symlink_to("ota_type_5.img")
    for place, words in (
        ("/tmp/none.img", "does not exist"),
        ("/tmp/empty", "is empty"),
        ("/tmp/folder", "regular file"),
        ("/dev/mmcblk0p3", "regular file"),
        ("/tmp/dangling", "symbolic link"),
        ("/tmp/link", "symbolic link"),
    ):
        refused(board, board.sysupgrade(place), 3, words)


@promise(
    "exit 4: {} is refused by name",
    cases=[
        "random bytes",
        "a squashfs without bundle",
        "bzip2",
        "a gzipped text",
        "a file system with a feature nobody has",
        "a tar image without mke2fs",
    ],
)
def unknown_format(factory, what):
    options = {}
    if what == "random bytes":
        image, words = os.urandom(MIB), "neither an ext4"
    elif what == "a squashfs without bundle":
        image, words = factory.place / "squashfs", "no checksums"
        image.unlink(missing_ok=True)
        run("mksquashfs", factory.new, image, "-quiet", "-no-progress")
    elif what == "bzip2":
        image, words = b"BZh91AY&SY" + bytes(5000), "bzip2"
    elif what == "a gzipped text":
        image, words = (
            subprocess.run(["gzip", "-c"], input=b"hello\n" * 2000, stdout=subprocess.PIPE, check=True).stdout,
            "neither",
        )
    elif what == "a tar image without mke2fs":
        image, words = factory.image("tar.gz"), "no mke2fs"
        options = {"change": lambda root: (root / "sbin/mke2fs").unlink()}
    else:
        changed = bytearray(factory.image("ext4", features="^metadata_csum").read_bytes())
        changed[1120 + 3] |= 0x40
        image, words = bytes(changed), "features that neither Linux nor U-Boot"
    image_refused(factory, image, 4, words, **options)


def cut(path, part=0.6):
    content = path.read_bytes()
    return content[: int(len(content) * part)]


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    return bytes(content)


@promise(
    "exit 5: a cut off {} image is noticed before the slot is touched",
    cases=["ext4", "ext4.gz", "ext4.zst", "ext4.xz", "tar", "tar.gz", "tar.zst", "tar.xz"],
)
def cut_off(factory, kind):
    image_refused(factory, cut(factory.image(kind)), 5, "")
    # Cut between two members or blocks, where only the end is missing, and within the first bytes.
    content = factory.image(kind).read_bytes()
    image_refused(factory, content[:-4096] if kind in ("ext4", "tar") else content[:-3], 5, "")
    if kind not in ("ext4", "tar"):
        image_refused(factory, content[:100], 5, "")


@promise(
    "exit 5: a flipped bit in a {} image is noticed before the slot is touched",
    cases=["ext4.gz", "ext4.zst", "ext4.xz", "tar.gz"],
)
def bit_flipped(factory, kind):
    image_refused(factory, flipped(factory.image(kind)), 5, "decompress")


@promise(
    "exit 5: an image whose compression would not show a flipped bit is refused: {}",
    cases=["xz without check", "zstd without check"],
)
def no_checksum(factory, what):
    command, words = {
        "xz without check": (["xz", "-0", "-c", "--check=none"], "check"),
        "zstd without check": (["zstd", "-q", "-c", "--no-check"], "no checksum"),
    }[what]
    image = subprocess.run([*command, factory.image("ext4")], stdout=subprocess.PIPE, check=True).stdout
    image_refused(factory, image, 5, words)


@promise("exit 5: a damaged superblock is noticed before the slot is touched")
def superblock(factory):
    image = bytearray(factory.image("ext4").read_bytes())
    image[1048:1052] = struct.pack("<I", 40)
    image_refused(factory, bytes(image), 5, "superblock")
    image_refused(factory, cut(factory.image("ext4"), 0.0003), 5, "cut off")


@promise("exit 7: {} is refused, and accepted with -F only where -F may", cases=["no kernel", "no init", "no etc"])
def incompatible(factory, what):
    def strip(root):
        shutil.rmtree(root / {"no kernel": "boot", "no init": "sbin", "no etc": "etc"}[what])
        if what == "no kernel":
            (root / "boot").mkdir()
            (root / "boot/grub.cfg").write_text("")

    words = {"no kernel": "no kernel", "no init": "no /sbin/init", "no etc": "no /etc"}[what]
    system = factory.system_variant(what.replace(" ", "-"), strip)
    # An archive is looked through before anything is written, a file system can only be mounted in the slot.
    image_refused(factory, factory.image("tar.gz", system), 7, words)
    image_refused(factory, factory.image("ext4.gz", system), 7, words, target_touched=True)
    if what == "no etc":
        image_refused(factory, factory.image("tar.gz", system), 7, words, arguments=["-F"])


# Of a new system: the files that say where environment and slots are, the exit code, and words of the reason.
COPIES = f"/dev/mmcblk0 {ENV[0]:#x} {ENV_BYTES:#x}\n/dev/mmcblk0 {ENV[0] + ENV_BYTES:#x} {ENV_BYTES:#x}\n"
PLACES = {
    "the same place": ({"fw_env.config": COPIES}, 0, ""),
    "the same place in other words": (
        {
            "fw_env.config": f"# one\n/dev/mmcblk0\t{ENV[0] + ENV_BYTES}   {ENV_BYTES}\r\n/dev/mmcblk0 {ENV[0]} {ENV_BYTES:#X}\n"
        },
        0,
        "",
    ),
    "the same place in YAML": (
        {
            "fw_env.config": f"uboot:\n  size: {ENV_BYTES:#x}\n  devices:\n    - path: /dev/mmcblk0\n      offset: {ENV[0]:#x}\n"
            f"    - path: /dev/mmcblk0\n      offset: {ENV[0] + ENV_BYTES:#x}\n"
        },
        0,
        "",
    ),
    "another offset": (
        {"fw_env.config": "/dev/mmcblk0 0x600000 0x10000\n/dev/mmcblk0 0x1000000 0x10000\n"},
        7,
        "names /dev/mmcblk0 at 16777216 with 65536 bytes and /dev/mmcblk0 at 6291456 with 65536 bytes, the one here /dev/mmcblk0 at 4194304",
    ),
    "another size": ({"fw_env.config": COPIES.replace(f"{ENV_BYTES:#x}", "0x4000")}, 7, "would not find its trial"),
    "one copy": ({"fw_env.config": COPIES.splitlines()[0] + "\n"}, 7, "would not find its trial"),
    "another disk": ({"fw_env.config": COPIES.replace("mmcblk0", "mmcblk1")}, 7, "names /dev/mmcblk1"),
    "another name that it says is right": (
        {"fw_env.config": COPIES.replace("mmcblk0", "mmcblk1"), "otamgr/sysupgrade.conf": "ENV_DEVICE=/dev/mmcblk1\n"},
        0,
        "",
    ),
    "no number": ({"fw_env.config": COPIES.replace("0x", "0y", 1)}, 7, "no number"),
    "a line too short": ({"fw_env.config": "/dev/mmcblk0 0x400000\n"}, 7, "expected DEVICE OFFSET SIZE"),
    "the same slots": ({"otamgr/slots.conf": "SLOT_A_DEVICE=/dev/mmcblk0p2\nSLOT_B_DEVICE=/dev/mmcblk0p3\n"}, 0, ""),
    "other slots": (
        {"otamgr/slots.conf": "SLOT_A_DEVICE=/dev/mmcblk0p2\nSLOT_B_DEVICE=/dev/mmcblk0p4\n"},
        7,
        "says SLOT_B_DEVICE=/dev/mmcblk0p4, here it is /dev/mmcblk0p3",
    ),
    "slots that are not understood": ({"otamgr/slots.conf": "SLOT_A_DEVICE: x\n"}, 7, "line 1: 'SLOT_A_DEVICE: x'"),
}


@promise(
    "a new system that names {} for environment or slots is installed if it would find its trial, else exit 7",
    cases=list(PLACES),
)
def finds_its_trial(factory, what):
    files, code, words = PLACES[what]

    def named(root):
        for name, text in files.items():
            (root / "etc" / name).parent.mkdir(exist_ok=True)
            (root / "etc" / name).write_text(text)

    image = factory.image("ext4.gz", factory.system_variant("place-" + what.replace(" ", "-"), named))
    if code:
        board = image_refused(factory, image, code, words, target_touched=True)
        # What the device keeps is its own.
        (board.root / "etc/sysupgrade.conf").write_text("/etc/fw_env.config\n")
        if "fw_env.config" in files:
            board.run("/sbin/ota-slot", "cancel")
            equal(board.sysupgrade("--no-reboot", board.deliver(image)).code, 0, "exit code with the kept file")
    else:
        board = new_board(factory)
        armed(board, board.sysupgrade("--no-reboot", board.deliver(image)))


@promise(
    "exit 7: a kernel or init that is only a dangling link in the new system does not count, even if ours has the file"
)
def dangling(factory):
    def break_links(root):
        (root / "sbin/init").unlink()
        (root / "sbin/init").symlink_to("/bin/busybox")

    image_refused(
        factory,
        factory.image("ext4.gz", factory.system_variant("dangling", break_links)),
        7,
        "/sbin/init",
        target_touched=True,
    )


@promise(
    "exit 8: an image bigger than the slot is refused before the slot is touched, as {}",
    cases=["ext4", "ext4.gz", "tar.gz", "padded"],
)
def too_big(factory, kind):
    if kind == "tar.gz":

        def grow(root):
            (root / "usr/lib/huge").touch()
            os.truncate(root / "usr/lib/huge", 25 * MIB)

        image = factory.image(kind, factory.system_variant("huge", grow))
    elif kind == "padded":
        image = subprocess.run(
            ["gzip", "-c"],
            input=factory.image("ext4").read_bytes() + bytes(SLOT["b"][1]),
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    else:
        image = factory.image(kind, size=24 * MIB)
    image_refused(factory, image, 8, str(SLOT["b"][1]))


@promise("exit 8: an archive that only just does not fit ends with that reason, and blocks nothing")
def almost_fits(factory):
    def grow(root):
        (root / "usr/lib/almost").touch()
        os.truncate(root / "usr/lib/almost", 15 * MIB)

    image_refused(
        factory, factory.image("tar.gz", factory.system_variant("almost", grow)), 8, "do not fit", target_touched=True
    )


@promise("exit 18: a missing, empty or irregular header is named, and needed for IMAGE.img")
def no_header(factory):
    board = new_board(factory)
    image = board.deliver(factory.image("ext4"), header=None)
    refused(board, board.sysupgrade(image), 18, "does not exist")
    board.deliver(factory.image("ext4"), header=b"")
    refused(board, board.sysupgrade(image), 18, "is empty")
    refused(board, board.sysupgrade("--header", "/tmp/none", image), 18, "/tmp/none")
    refused(board, board.sysupgrade("--header", "/tmp", image), 18, "regular")
    refused(board, board.sysupgrade("-F", image), 18, "is empty")
    (board.root / "tmp/ota_type_5.hdr").unlink()
    (board.root / "tmp/ota_type_5.hdr").symlink_to("/etc/machine-id")
    refused(board, board.sysupgrade(image), 18, "symbolic link")
    (board.root / "tmp/ota_type_5.hdr").unlink()
    (board.root / "tmp/ota_type_5.hdr").touch()
    os.truncate(board.root / "tmp/ota_type_5.hdr", MIB + 1)
    refused(board, board.sysupgrade(image), 18, "more than 1048576 bytes")
    os.truncate(board.root / "tmp/ota_type_5.hdr", MIB)
    equal(board.sysupgrade("-T", image).code, 0, "exit code with a header of 1 MiB")


# ---- boot state --------------------------------------------------------------------------------------------------


@promise("exit 9: while a trial is armed, running or interrupted nothing is installed, and the way out is named")
def trial_pending(factory):
    board = new_board(factory)
    image = board.deliver(factory.image("ext4"))
    board.set_env(ota_trial="b", ota_tries=3, ota_txn="first")
    refused(board, board.sysupgrade(image), 9, "ota-slot cancel")
    refused(board, board.sysupgrade("-F", image), 9, "first")
    board.sysupgrade("-T", image)
    (board.root / "run/otamgr/armed").write_text("first\n")
    result = board.sysupgrade(image)
    (board.root / "run/otamgr/armed").unlink()
    refused(board, result, 9, "waits in slot b")
    board = new_board(factory)
    board.set_env(ota_slot="b", ota_trial="a", ota_tries=2, ota_txn="first")
    refused(board, board.sysupgrade(board.deliver(factory.image("ext4"))), 9, "ota-slot commit")


@promise("exit 9: a second update before the reboot is refused, the first stays armed")
def second_update(factory):
    board = new_board(factory)
    image = board.deliver(factory.image("ext4.gz"))
    armed(board, board.sysupgrade("--no-reboot", "--txn", "first", image), "first")
    env, target = board.env_bytes(), board.slot_bytes("b")
    equal(board.sysupgrade("--no-reboot", "--txn", "second", image).code, 9, "exit code")
    equal((board.env_bytes(), board.slot_bytes("b")), (env, target), "environment and slot of the first")


@promise(
    "exit 10: {} stops an update",
    cases=[
        "an environment with both copies bad",
        "an environment without ota_slot",
        "a running slot that is not the committed one",
        "a disk without slots",
        "two partitions of the same name",
        "a root that is no partition",
        "an environment of one copy",
        "slots.conf with a wrong device",
        "slots.conf with a line that is not understood",
        "a trial of the committed slot",
        "an environment on another disk",
        "an environment of one copy in the YAML form",
        "slots.conf with slots of two disks",
    ],
)
def boot_state(factory, what):
    change = None
    if what == "an environment of one copy":

        def change(root):
            config = root / "etc/fw_env.config"
            config.write_text("\n".join(config.read_text().splitlines()[:2]) + "\n")
    elif what == "an environment of one copy in the YAML form":

        def change(root):
            (root / "etc/fw_env.config").rename(root / "etc/text.config")
            (root / "usr/bin/fw_printenv").rename(root / "usr/bin/fw_printenv.real")
            executable(root / "usr/bin/fw_printenv", '#!/bin/sh\nexec fw_printenv.real -c /etc/text.config "$@"\n')
            (root / "etc/fw_env.config").write_text(
                "uboot:\n  size: 0x10000\n  devices:\n    - path: /dev/mmcblk0\n      offset: 0x400000\n"
            )
    elif what == "slots.conf with a line that is not understood":

        def change(root):
            (root / "etc/otamgr/slots.conf").write_text("SLOT_A_DEVICE=/dev/mmcblk0p2\nSLOT_B_DEVICE: /dev/mmcblk0p3\n")
    elif what == "slots.conf with a wrong device":

        def change(root):
            (root / "etc/otamgr/slots.conf").write_text("SLOT_A_DEVICE=/dev/mmcblk0p2\nSLOT_B_DEVICE=/dev/null\n")

    elif what == "slots.conf with slots of two disks":

        def change(root):
            (root / "etc/otamgr/slots.conf").write_text("SLOT_A_DEVICE=/dev/mmcblk0p2\nSLOT_B_DEVICE=/dev/mmcblk1p3\n")

    board = new_board(
        factory,
        names=what != "a disk without slots",
        change=change,
        env_copies=1 if what == "an environment of one copy" else 2,
    )
    words = {
        "an environment of one copy": "needs two",
        "an environment of one copy in the YAML form": "needs two",
        "slots.conf with a line that is not understood": "slots.conf, line 2: 'SLOT_B_DEVICE: /dev/mmcblk0p3'",
        "slots.conf with a wrong device": "/dev/null",
        "a disk without slots": "rootfs-a and rootfs-b",
    }.get(what)
    if what == "an environment with both copies bad":
        board.destroy_env()
        words = "not readable"
    elif what == "an environment without ota_slot":
        board.set_env(ota_slot="")
        words = "expected a or b"
    elif what == "a trial of the committed slot":
        board.set_env(ota_trial="a")
        words = "both 'a'"
    elif what == "a running slot that is not the committed one":
        board.set_env(ota_slot="b")
        words = "fw_setenv ota_slot a"
    elif what == "two partitions of the same name":
        uevent = board.sys_folder("data") / "uevent"
        uevent.write_text(uevent.read_text().replace("PARTNAME=data", "PARTNAME=rootfs-b"))
        words = "two partitions are named rootfs-b"
    elif what == "an environment on another disk":
        # Another card, whose environment is good: what is armed there starts another system.
        elsewhere = board.place / "other-disk"
        elsewhere.write_bytes(board.disk.read_bytes()[: 5 * MIB])
        board.loops["elsewhere"] = board._loop(elsewhere)
        board.make_node("mmcblk1", "elsewhere")
        text = (board.root / "etc/fw_env.config").read_text()
        (board.root / "etc/fw_env.config").write_text(text.replace("mmcblk0", "mmcblk1"))
        board.settle()
        words = "ENV_DEVICE=/dev/mmcblk1"
    elif what == "slots.conf with slots of two disks":
        # The name of the other card's partition, by which the file was written when there was one card.
        folder = board.sys_folder("b")
        other = folder.parent.parent / "mmcblk1/mmcblk1p3"
        other.parent.mkdir()
        (other.parent / "uevent").write_text("MAJOR=179\nMINOR=99\nDEVNAME=mmcblk1\nDEVTYPE=disk\n")
        folder.rename(other)
        (board.root / "sys/dev/block" / device_number(board.loops["b"])).unlink()
        (board.root / "sys/dev/block" / device_number(board.loops["b"])).symlink_to(
            Path("/") / other.relative_to(board.root)
        )
        board.make_node("mmcblk1p3", "b")
        words = "slots on two disks"
    elif what == "a root that is no partition":
        (board.root / "sys/dev/block" / device_number(board.loops["a"])).unlink()
        words = "not on a partition"
    refused(board, board.sysupgrade("-F", board.deliver(factory.image("ext4"))), 10, words)
    if what == "an environment on another disk":
        equal(board.run("/sbin/ota-slot", "status").code, 10, "exit code of ota-slot")
        (board.root / "etc/otamgr/sysupgrade.conf").write_text("ENV_DEVICE=/dev/mmcblk1\n")
        equal(board.sysupgrade("-T", board.deliver(factory.image("ext4"))).code, 0, "exit code with the exception")


HALF = ENV_BYTES // 2
BAD_PLACES = {
    "in one place": ("overlap", f"/dev/mmcblk0 {ENV[0]:#x}", f"/dev/mmcblk0 {ENV[0]:#x}"),
    "that overlap under two names": ("overlap", f"/dev/mmcblk0 {ENV[0]:#x}", f"/dev/card {ENV[0] + HALF:#x}"),
    "of which one is inside a slot": (
        "inside slot b",
        f"/dev/mmcblk0 {ENV[0]:#x}",
        f"/dev/mmcblk0 {SLOT['b'][0] + MIB:#x}",
    ),
    "of which one ends inside a slot": (
        "inside slot a",
        f"/dev/mmcblk0 {SLOT['a'][0] - HALF:#x}",
        f"/dev/mmcblk0 {ENV[0]:#x}",
    ),
    "of which one is in a slot by its name": ("inside slot b", f"/dev/mmcblk0 {ENV[0]:#x}", "/dev/mmcblk0p3 0x0"),
}


@promise("exit 10: two copies of the environment {} stop an update", cases=list(BAD_PLACES))
def environment_places(factory, where):
    board = new_board(factory)
    words, *places = BAD_PLACES[where]
    (board.root / "dev/card").symlink_to("mmcblk0")
    # What fw_printenv says of it is not the question here.
    (board.root / "usr/bin/fw_printenv").rename(board.root / "usr/bin/fw_printenv.real")
    executable(board.root / "usr/bin/fw_printenv", '#!/bin/sh\nexec fw_printenv.real -c /etc/text.config "$@"\n')
    (board.root / "etc/fw_env.config").rename(board.root / "etc/text.config")
    (board.root / "etc/fw_env.config").write_text("".join(f"{place} {ENV_BYTES:#x}\n" for place in places))
    board.settle()
    refused(board, board.sysupgrade("-F", board.deliver(factory.image("ext4"))), 10, words)


@promise("exit 11: a mounted target slot is not written to")
def target_mounted(factory):
    board = new_board(factory)
    (board.root / "tmp/look").mkdir()
    run("mount", "-t", "ext4", "-o", "ro", board.loops["b"], board.root / "tmp/look")
    board.target_before = board.slot_bytes("b")
    refused(board, board.sysupgrade("-F", board.deliver(factory.image("ext4"))), 11, "/tmp/look")
    run("umount", board.root / "tmp/look")
    with_next_update_works(factory, board)


def slow_board(factory, change=None):
    """A board whose engine, in the middle of writing or unpacking, tells so in the fifo `reached` and waits for `go`."""

    def slow(root):
        if change:
            change(root)
        engine_meets(root, "pause:2000000")

    board = new_board(factory, change=slow)
    board.fifo("reached")
    board.fifo("go")
    return board


@promise("exit 12: while one update is being written a second one is refused, and the first succeeds")
def concurrent(factory):
    board = slow_board(factory)
    image = board.deliver(factory.image("ext4.zst"))
    first = board.start("/sbin/sysupgrade", "--no-reboot", "--txn", "first", image)
    board.reached("reached")
    second = board.sysupgrade("--no-reboot", "--txn", "second", image)
    equal(second.code, 12, "exit code of the second")
    equal(second.progress[-1], "failed 12 another sysupgrade is running", "progress of the second")
    board.tell("go")
    armed(board, board.finish(first), "first")


# ---- writing -----------------------------------------------------------------------------------------------------


@promise(
    "exit 13: {} is a failed write",
    cases=["a medium that takes no more in the middle", "a slot that cannot be written"],
)
def write_failed(factory, what):
    broken = what == "a medium that takes no more in the middle"
    board = new_board(factory, change=(lambda root: engine_meets(root, "fail:2500000")) if broken else None)
    if not broken:
        board.replace_device("b", board.disk, *SLOT["b"], read_only=True)
    for kind in ("ext4.gz", "tar.gz"):
        # Of an archive the engine writes nothing itself.
        if kind == "ext4.gz" or not broken:
            result = board.sysupgrade("--no-reboot", board.deliver(factory.image(kind)))
            refused(board, result, 13, "Input/output error" if broken else "/dev/mmcblk0p3", target_touched=broken)
            equal("unusable" in result.err, broken or kind != "ext4.gz", "says whether the slot is unusable")
    if broken:
        true(not board.mounts("b"), "a half-written slot can be mounted")


@promise("exit 8: a slot smaller than it says is found before it is touched")
def smaller_slot(factory):
    board = new_board(factory)
    # A real end of device in the middle of the image.
    board.replace_device("b", board.disk, SLOT["b"][0], 5 * MIB)
    refused(board, board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz"))), 8, "5242880")


@promise("exit 13: a file system that was damaged while it was grown")
def damaged_while_grown(factory):
    def change(root):
        executable(
            root / "sbin/resize2fs",
            "#!/bin/sh\nprintf torn-in-the-middle | dd of=$1 bs=1 seek=1080 2>/dev/null\n"
            "echo 'resize2fs 1.47.0' >&2\necho 'resize2fs: the cable fell out' >&2\nexit 1\n",
        )

    board = new_board(factory, change=change)
    result = board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz")))
    refused(
        board,
        result,
        13,
        "growing the file system in slot b (/dev/mmcblk0p3) failed: resize2fs: the cable fell out",
        target_touched=True,
    )
    true("unusable" in result.err, "says that the slot is unusable")


@promise(
    "exit 14: a byte that changes on the medium is found by reading back, though the page cache is right, for {}",
    cases=["ext4.gz", "tar.gz"],
    alone=True,
)
def reads_back_differently(factory, kind):
    board = new_board(factory, change=lambda root: engine_pauses_before(root, "verify", "compare"))
    board.fifo("reached")
    board.fifo("go")
    # Part of one block of one file of the new system, wherever it comes to lie in the slot.
    content = (factory.new / "usr/lib/big").read_bytes()[2 * MIB : 2 * MIB + 512]
    offset, size = SLOT["b"]
    board._write_at(offset, bytes(size))
    run("blockdev", "--flushbufs", board.loops["b"])
    # While somebody has the device open, as udev may, the kernel keeps its page cache when the writer closes it.
    held = os.open(board.loops["b"], os.O_RDONLY)
    process = board.start("/sbin/sysupgrade", "--no-reboot", board.deliver(factory.image(kind)))
    board.reached("reached")
    board.flush()
    with open(board.disk, "r+b") as disk:
        disk.seek(offset)
        found = disk.read(size).find(content)
        true(found >= 0, "the file is not in the slot")
        # In the disk image, behind the back of the device's page cache.
        disk.seek(offset + found)
        disk.write(bytes([content[0] ^ 1]))
    board.tell("go")
    result = board.finish(process)
    os.close(held)
    refused(board, result, 14, "usr/lib/big" if kind == "tar.gz" else "reads back differently", target_touched=True)


@promise("exit 14: a medium that silently loses a write is found by reading back")
def lost_writes(factory):
    board = new_board(factory, change=lambda root: engine_meets(root, "lose:2500000"))
    refused(
        board,
        board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz"))),
        14,
        "reads back differently",
        target_touched=True,
    )


@promise("a medium that fails when nobody is told any more is found, whoever notices, and never armed")
def dying_medium(factory):
    board = new_board(factory)
    # A loop device on a file system too small for it: writes into the page cache fail later. That is how a dying eMMC looks.
    thin = board.place / "thin"
    thin.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=3m", "thin", thin)
    (thin / "slot").touch()
    os.truncate(thin / "slot", SLOT["b"][1])
    board.replace_device("b", thin / "slot")
    board.expect_lost_writes = True
    try:
        for kind in ("ext4.gz", "tar.gz"):
            result = board.sysupgrade("--no-reboot", board.deliver(factory.image(kind)))
            true(result.code in (13, 14, 15), f"exit code {result.code}: {result.err}")
            equal(board.env_bytes(), board.env_before, "environment")
    finally:
        run("umount", "-l", thin)


@promise(
    "exit 15: {} leaves the slot unarmed", cases=["a file system that does not mount", "a folder in the header's place"]
)
def header_not_placed(factory, what):
    words = "does not mount"
    if what == "a file system that does not mount":
        image = bytearray(factory.image("ext4").read_bytes())
        # The group descriptors, in the block behind the superblock.
        block = 4096 if file_system_header(factory.image("ext4"))["Block size"] == "4096" else 2048
        image[block : block + 512] = b"\xff" * 512
        image = bytes(image)
    else:
        image, words = (
            factory.image(
                "ext4.gz", factory.system_variant("folder", lambda root: (root / "etc/ota_type_5.hdr").mkdir())
            ),
            "directory",
        )
    image_refused(factory, image, 15, words, arguments=["-n"], target_touched=True)


@promise(
    "exit 16: {} leaves the slot unarmed",
    cases=[
        "a kept file where the new system has a folder",
        "a relative path in a keep list",
        "a path with .. in a keep list",
        "the whole root in a keep list",
        "a byte order mark in a keep list",
        "quotes in a keep list",
        "a zero byte in a keep list",
    ],
)
def not_kept(factory, what):
    line, early = {
        "a kept file where the new system has a folder": ("/etc/clash", False),
        "a relative path in a keep list": ("etc/passwd", True),
        "a path with .. in a keep list": ("/etc/../boot", True),
        "the whole root in a keep list": ("/", True),
        "a byte order mark in a keep list": ("\ufeff/etc/passwd", True),
        "quotes in a keep list": ('"/etc/passwd"', True),
        "a zero byte in a keep list": ("/etc/pass\0wd", True),
    }[what]

    def fill(root):
        (root / "etc/sysupgrade.conf").write_text(f"/etc/machine-id\n{line}\n")
        (root / "etc/clash").write_text("file")

    image = factory.image("ext4.gz", factory.system_variant("clash", lambda root: (root / "etc/clash").mkdir()))
    if early:
        words = "zero bytes" if "\0" in line else line.strip('\ufeff"')
        image_refused(factory, image, 16, words, change=fill)
    else:
        board = new_board(factory, change=fill)
        refused(board, board.sysupgrade("--no-reboot", board.deliver(image)), 16, line, target_touched=True)
        with board.mounted("b") as new:
            true(not (new / "boot/ota-slot-valid").exists(), "the slot is marked complete")


@promise("exit 17: an environment that cannot be written leaves the update unarmed")
def env_not_written(factory):
    board = new_board(factory)
    board.replace_device("disk", board.disk, read_only=True)
    refused(
        board,
        board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz"))),
        17,
        "fw_setenv",
        target_touched=True,
    )


@promise("exit 17: an environment write that reports success but does not last is found by reading back")
def env_lies(factory):
    board = new_board(factory)
    board.replace("usr/bin/fw_setenv", "#!/bin/sh\ncat >/dev/null\n")
    refused(
        board,
        board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz"))),
        17,
        "ota_trial=b",
        target_touched=True,
    )


# ---- stopped and killed --------------------------------------------------------------------------------------------


@promise("exit 1: {} during the write cleans up, and says so", cases=["SIGTERM", "SIGINT", "SIGHUP"])
def stopped(factory, name):
    board = slow_board(factory)
    process = board.start("/sbin/sysupgrade", "--no-reboot", board.deliver(factory.image("ext4.zst")))
    board.reached("reached")
    process.send_signal(getattr(signal, name))
    board.tell("go")
    refused(board, board.finish(process), 1, "signal", target_touched=True)
    true(not board.mounts("b"), "a half-written slot can be mounted")
    board.wait_for_lock()
    with_next_update_works(factory, board)


@promise("killed -9 during the write, everything at once: environment untouched, slot not mountable, next update works")
def killed(factory):
    for kind in ("ext4.zst", "tar.zst"):
        board = slow_board(factory)
        board.expect_leftovers = True
        board.start("/sbin/sysupgrade", "--no-reboot", board.deliver(factory.image(kind)))
        board.reached("reached")
        if kind == "ext4.zst":
            # On the medium itself, without flushing anything now: the old superblock went before the first new block came.
            with open(board.disk, "rb") as disk:
                disk.seek(SLOT["b"][0])
                equal(disk.read(4 * KIB), bytes(4 * KIB), "superblock on the medium while the slot is written")
        board.kill_everything()
        equal(board.env_bytes(), board.env_before, "environment")
        equal(board.slot_bytes("a"), board.running_before, "the running slot")
        if kind == "ext4.zst":
            true(not board.mounts("b"), "a half-written slot can be mounted")
        else:
            # Still mounted where the killed run was unpacking.
            new = board.root / "run/otamgr/new-root"
            true(new.is_mount(), "nothing was being unpacked")
            true(not (new / "boot/ota-slot-valid").exists(), "a half-written slot is marked complete")
        armed(board, board.sysupgrade("--no-reboot", board.deliver(factory.image(kind))))


@promise(
    "killed -9 alone, {} is not completed by what it had started: the slot cannot be mounted or is not marked, and the next update works",
    cases=["ext4.zst", "tar.zst"],
)
def killed_alone(factory, kind):
    board = slow_board(factory)
    board.expect_leftovers = True
    process = board.start(
        "/sbin/sysupgrade",
        "--no-reboot",
        board.deliver(factory.image(kind)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        progress=None,
    )
    board.reached("reached")
    process.kill()
    process.wait()
    # Whoever still writes has the lock.
    board.wait_for_lock()
    equal(board.env_bytes(), board.env_before, "environment")
    if kind == "ext4.zst":
        true(not board.mounts("b"), "a slot nobody verified can be mounted")
    else:
        true(not (board.root / "run/otamgr/new-root/boot/ota-slot-valid").exists(), "a slot nobody verified is marked")
    with_next_update_works(factory, board)


# sync that ends everything on its Nth call, as a power cut between two steps.
CUTTING_SYNC = """#!/bin/sh
busybox sync
echo . >>/tmp/syncs
[ "$(wc -l </tmp/syncs)" -lt {call} ] || {{ echo cut >/tmp/cut; sleep 1000; }}
"""


@promise(
    "killed at each of its syncs, a {} update is either not armed, or armed and complete", cases=["ext4.gz", "tar.gz"]
)
def killed_at_each_step(factory, kind):
    states = []
    for call in range(1, 40):
        board = new_board(factory)
        board.expect_leftovers = True
        board.fifo("cut")
        board.replace("bin/sync", CUTTING_SYNC.format(call=call))
        process = board.start(
            "/sbin/sysupgrade",
            "--no-reboot",
            "--txn",
            "T",
            board.deliver(factory.image(kind)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            progress=None,
        )
        if ended_before(process, board.fifos["cut"]):
            equal(process.returncode, 0, "exit code")
            factory.close_boards()
            break
        board.kill_everything()
        for mount in [mount for mount in board._mounts() if mount.endswith("new-root")]:
            run("umount", mount)
        env = board.ota_env()
        complete = board.mounts("b")
        if complete:
            with board.mounted("b") as new:
                complete = (new / "boot/ota-slot-valid").exists()
                if complete:
                    equal((new / "etc/ota_type_5.hdr").read_bytes(), HEADER, "header in a slot marked complete")
                    equal(
                        (new / "etc/machine-id").read_text(),
                        "0123456789abcdef\n",
                        "kept file in a slot marked complete",
                    )
        if "ota_trial" in env:
            equal(env, {"ota_slot": "a", "ota_trial": "b", "ota_tries": "3", "ota_txn": "T"}, "environment")
            true(complete, "armed, but not complete")
        else:
            equal(board.env_bytes(), board.env_before, "environment")
        equal(board.slot_bytes("a"), board.running_before, "the running slot")
        states.append("armed" if "ota_trial" in env else "complete" if complete else "not complete")
        factory.close_boards()
    factory.transcript.append(f"states at the cuts: {states}")
    equal(list(dict.fromkeys(states)), ["not complete", "complete", "armed"], "order of states")


def ended_before(process, fifo):
    """Waits for the end of the process, True, or for something to read from the fifo, False."""
    with selectors.DefaultSelector() as selector:
        end = os.pidfd_open(process.pid)
        try:
            selector.register(fifo, selectors.EVENT_READ, "fifo")
            selector.register(end, selectors.EVENT_READ, "end")
            ready = [key.data for key, _ in selector.select()]
        finally:
            os.close(end)
    if "fifo" in ready:
        return False
    process.wait()
    return True


@promise(
    "a full {} ends an update before the slot is touched and is no fault of it, or does not end it, and blocks nothing later",
    cases=["/run", "/tmp", "/data"],
)
def full_folder(factory, place):
    board = new_board(factory)
    image = board.deliver(factory.image("ext4.zst"))
    if place != "/data":
        # Half of the memory otherwise.
        run("mount", "-o", f"remount,size={12 if place == '/tmp' else 4}m", board.root / place[1:])
    filler = board.root / place[1:] / "filler"
    fill_up(filler, (64 * KIB, 4 * KIB, 1))
    result = board.sysupgrade("--no-reboot", image, progress=None)
    equal(result.code, 21 if place == "/run" else 0, f"exit code, said: {result.err}")
    if result.code:
        equal(board.env_bytes(), board.env_before, "environment")
        equal(board.slot_bytes(board.target), board.target_before, "the target slot")
        filler.unlink()
        with_next_update_works(factory, board)
    else:
        equal(board.ota_env()["ota_trial"], "b", "armed")
        run("e2fsck", "-fn", board.loops["b"])


@promise(
    "an update succeeds, and its file system is grown, although the clock says {}", cases=["1970-01-01", "2100-06-01"]
)
def wrong_clock(factory, day):
    for kind in ("ext4.gz", "tar.gz"):
        board = new_board(factory)
        board.replace(
            "bin/date",
            f'#!/bin/sh\ncase "$*" in *%H%M*) echo {day.replace("-", "")}T000010Z ;; *) echo {day}T00:00:10Z ;; esac\n',
        )
        seconds = "10" if day.startswith("1970") else "4115404800"
        result = board.sysupgrade(
            "--no-reboot", board.deliver(factory.image(kind)), environment={"E2FSPROGS_FAKE_TIME": seconds}
        )
        armed(board, result)
        header = file_system_header(board.loops["b"])
        equal(
            int(header["Block count"]) * int(header["Block size"]), SLOT["b"][1], f"size of the file system from {kind}"
        )
        true(board.journal()[-1].startswith(day), f"journal: {board.journal()[-1]}")
        factory.close_boards()
