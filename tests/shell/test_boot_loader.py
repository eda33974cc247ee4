# SPDX-License-Identifier: MIT
"""A boot loader that comes with an update: written where the ROM does not read, used once the update is committed, and what a failure, a rollback
or a power cut leaves. The register of the eMMC is a file here; scripts/demo --emmc has a real one."""

import hashlib
import os
import random

from board import KIB, MIB, device_number, executable
from promises import equal, promise, true
from test_bundle import keys, make_bundle, trusting
from test_failures import refused
from test_trial_guard import GUARD

PARTS = {"boot0": 5 * MIB, "boot1": 6 * MIB}
PART_BYTES = MIB
OLD = b"the boot loader of before\n" * 1000
NEW = random.Random(3).randbytes(300 * KIB + 7)
CONF = "BOOT_DEVICE=/dev/mmcblk0\n"
# Does what the program does with an eMMC.
REGISTER = """#!/bin/sh
[ "$1" = /dev/mmcblk0 ] || { echo "ota-boot-partition: $1: cannot be opened: No such file or directory" >&2; exit 1; }
if [ $# = 1 ]; then cat /data/register; exit; fi
[ ! -e /data/register-is-stuck ] || { echo "ota-boot-partition: $1: PARTITION_CONFIG cannot be written: Input/output error" >&2; exit 1; }
echo "$2" >>/data/switched
echo "$2" >/data/register
"""


def boot_board(factory, running="a", conf=CONF, used="boot0", also=lambda root: None):
    def change(root):
        (root / "etc/otamgr/images.d").mkdir()
        (root / "etc/otamgr/images.d/boot-loader.conf").write_text(conf)
        executable(root / "usr/lib/otamgr/ota-boot-partition", REGISTER)
        also(root)

    board = factory.board(running, change=trusting(keys(factory).public("ed25519"), also=change))
    (board.root / "data/register").write_text(used + "\n")
    for part, offset in PARTS.items():
        board._write_at(offset, OLD)
        board.loops[part] = board._loop(board.disk, offset, PART_BYTES)
        name = f"mmcblk0{part}"
        board.make_node(name, part)
        # A disk of its own, beside that of the user area.
        folder = board.sys_folder("disk").parent / name
        folder.mkdir()
        number = device_number(board.loops[part])
        (folder / "uevent").write_text(f"DEVNAME={name}\nDEVTYPE=disk\n")
        (folder / "dev").write_text(number + "\n")
        (folder / "size").write_text(f"{PART_BYTES // 512}\n")
        (folder / "force_ro").write_text("1")
        (folder / "ro").write_text("0\n")
        (folder / "ro_lock_until_next_power_on").write_text("0\n")
        (board.root / "sys/dev/block" / number).symlink_to(os.path.relpath(folder, board.root / "sys/dev/block"))
    board.target_before = board.slot_bytes(board.target)
    return board


def boot_bundle(factory, content=NEW, optional=False):
    path = factory.place / "boot-loader.image"
    path.write_bytes(content)
    key = keys(factory).private("ed25519")
    return make_bundle(
        factory, factory.image("ext4.gz"), key, "2.0.1", form=2, images=[("boot-loader", path, optional)]
    )


def there(board, part):
    board.flush()
    with open(board.disk, "rb") as disk:
        disk.seek(PARTS[part])
        return disk.read(PART_BYTES)


def used(board):
    return (board.root / "data/register").read_text().strip()


def record(board):
    path = board.root / "data/otamgr/images/boot-loader"
    return path.read_text() if path.exists() else None


def events(board):
    return [event.split()[0] for event in board.events()]


def updated(factory, board):
    result = board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(boot_bundle(factory)))
    equal(result.code, 0, f"exit code, said {result.err}")
    return result


def rebooted(board, running_trial=None, **env):
    """Slot a still runs here; what a guard finds after a reboot."""
    (board.root / "run/otamgr/armed").unlink(missing_ok=True)
    board.set_env(**env)


@promise(
    "a boot loader is written to the boot partition that the ROM does not read, and nothing is switched before the commit: {}",
    cases=("boot0", "boot1"),
)
def written(factory, before):
    other = "boot1" if before == "boot0" else "boot0"
    board = boot_board(factory, used=before)
    updated(factory, board)
    equal(there(board, other)[: len(NEW)], NEW, "the other boot partition")
    true(there(board, before).startswith(OLD), "the boot partition in use was written to")
    equal(used(board), before, "what the ROM reads")
    blocks = -(-len(NEW) // 4096)
    true(record(board).startswith(f"b T {other}:{blocks}:"), f"the record: {record(board)}")
    equal(events(board), ["update-started", "slot-written", "image-written", "armed"], "journal")
    for part in PARTS:
        equal((board.sys_folder(part) / "force_ro").read_text().strip(), "1", f"{part} is write-protected again")
    # While the trial may still come.
    equal((board.run(GUARD).code, used(board)), (0, before), "the guard of an armed board")


@promise(
    "once the update is committed the guard switches, once, and says so; the boot loader of before stays where it is"
)
def switched(factory):
    board = boot_board(factory, "b")
    made = boot_board_record(board, factory)
    board.set_env(ota_slot="a", ota_trial="b", ota_tries="2", ota_txn="T")
    result = board.run("/sbin/ota-slot", "commit")
    equal(result.code, 0, f"commit, said {result.err}")
    equal(board.run(GUARD).code, 0, "the guard")
    equal((used(board), record(board)), ("boot1", None), "what the ROM reads, and the record")
    true("image-switched image=boot-loader txn=T to=/dev/mmcblk0boot1" in board.events(), f"journal: {board.events()}")
    true(there(board, "boot0").startswith(OLD), "the boot loader of before")
    equal(there(board, "boot1")[: len(made)], made, "the new one")
    equal(board.run(GUARD).code, 0, "the guard of the next boot")
    equal((board.root / "data/switched").read_text(), "boot1\n", "switches")
    why = board.run("/sbin/ota-why")
    true("is the one that is started from now on" in why.out, f"ota-why: {why.out}")


def boot_board_record(board, factory, slot="b", content=NEW, part="boot1"):
    """As sysupgrade of the other system has left it."""
    blocks = -(-len(content) // 4096)
    board._write_at(PARTS[part], content)
    digest = hashlib.sha256(there(board, part)[: blocks * 4096]).hexdigest()
    folder = board.root / "data/otamgr/images"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "boot-loader").write_text(f"{slot} T {part}:{blocks}:{digest}\n")
    return content


@promise(
    "after a rollback, a cancelled trial, one that could not start: the boot loader that came with it is never used: {}",
    cases=("rolled back", "cancelled", "interrupted"),
)
def not_committed(factory, how):
    board = boot_board(factory)
    updated(factory, board)
    if how == "rolled back":
        rebooted(board, ota_trial="", ota_tries="", ota_failed="T", ota_failed_why="tries-used-up")
    elif how == "interrupted":
        rebooted(board)
    result = board.run("/sbin/ota-slot", "cancel") if how == "cancelled" else board.run(GUARD)
    equal((result.code, used(board), record(board)), (0, "boot0", None), f"said {result.err}")
    true(not (board.root / "data/switched").exists(), "it was switched")
    true("image-switched" not in events(board), f"journal: {board.events()}")


@promise(
    "what lies there is looked at again before it is used: a changed byte and the boot loader stays, and the journal says why"
)
def changed_meanwhile(factory):
    board = boot_board(factory, "b")
    boot_board_record(board, factory)
    board._write_at(PARTS["boot1"] + 5000, b"x")
    board.set_env(ota_slot="b")
    result = board.run(GUARD)
    equal((result.code, used(board)), (0, "boot0"), f"said {result.err}")
    true("does not hold what update T has written" in result.err, result.err)
    true(any(e.startswith("image-not-switched ") for e in board.events()), f"journal: {board.events()}")
    true(record(board) is not None, "the record is gone")


@promise("a register that cannot be written is tried again at the next boot, and before the next update")
def stuck(factory):
    board = boot_board(factory, "b")
    boot_board_record(board, factory)
    (board.root / "data/register-is-stuck").touch()
    board.set_env(ota_slot="b")
    equal((board.run(GUARD).code, used(board)), (0, "boot0"), "the guard")
    result = board.sysupgrade("--no-reboot", board.deliver(boot_bundle(factory)))
    refused(board, result, 25, "PARTITION_CONFIG cannot be written", target_touched=True)
    (board.root / "data/register-is-stuck").unlink()
    equal((board.run(GUARD).code, used(board), record(board)), (0, "boot1", None), "the guard of the next boot")


@promise("a power cut between switch and the end of the record: it is switched to where it is")
def cut_after_switch(factory):
    board = boot_board(factory, "b", used="boot1")
    boot_board_record(board, factory)
    board.set_env(ota_slot="b")
    equal((board.run(GUARD).code, used(board), record(board)), (0, "boot1", None), "the guard")


@promise(
    "an update that is cut off while it writes the boot loader leaves no record, and the next one without a boot loader forgets an old one"
)
def forgotten(factory):
    board = boot_board(factory)
    boot_board_record(board, factory)
    result = board.sysupgrade(
        "--no-reboot",
        board.deliver(
            make_bundle(factory, factory.image("ext4.gz"), keys(factory).private("ed25519"), "2.0.1", form=2)
        ),
    )
    equal((result.code, record(board), used(board)), (0, None, "boot0"), f"said {result.err}")


NOT_FOR_THIS_DEVICE = {
    "the ROM starts from the user area": ({"used": "user"}, "expected boot0 or boot1"),
    "the ROM starts from nowhere": ({"used": "none"}, "expected boot0 or boot1"),
    "another eMMC": ({"conf": "BOOT_DEVICE=/dev/mmcblk7\n"}, "No such file or directory"),
    "no device at all": ({"conf": "BOOT_DEVICE=mmcblk0\n"}, "expected an eMMC"),
    "a path with dots": ({"conf": "BOOT_DEVICE=/dev/../dev/mmcblk0\n"}, "expected an eMMC"),
    "a pair and a boot loader at once": ({"conf": CONF + "SLOT_A_DEVICE=/dev/x\n"}, "or BOOT_DEVICE"),
    "no program for the register": (
        {"also": lambda root: (root / "usr/lib/otamgr/ota-boot-partition").unlink()},
        "package ota-boot-loader",
    ),
}


@promise("exit 24: a boot loader is refused before anything is touched: {}", cases=NOT_FOR_THIS_DEVICE)
def not_for_this_device(factory, what):
    options, words = NOT_FOR_THIS_DEVICE[what]
    board = boot_board(factory, **options)
    refused(board, board.sysupgrade("--no-reboot", board.deliver(boot_bundle(factory))), 24, words)
    equal([there(board, part)[: len(OLD)] for part in PARTS], [OLD, OLD], "the boot partitions")


@promise("exit 24 or 8: locked until power-on, the environment in it, too large, too small: nothing is touched")
def not_there(factory):
    for what, code, words, content in (
        ("locked", 24, "write-protected until the next power-on", NEW),
        ("environment", 24, "environment", NEW),
        ("large", 8, "image boot-loader: the image has more than", bytes(PART_BYTES + 1)),
        ("small", 24, "at least 4096 bytes", b"x" * 4095),
    ):
        board = boot_board(factory)
        if what == "locked":
            (board.sys_folder("boot1") / "ro_lock_until_next_power_on").write_text("1\n")
        if what == "environment":
            config = board.root / "etc/fw_env.config"
            config.write_text(
                config.read_text().replace("/dev/mmcblk0 ", "/dev/mmcblk0boot1 ").replace("0x400000", "0x0", 1)
            )
        result = board.sysupgrade("--no-reboot", board.deliver(boot_bundle(factory, content)))
        equal(result.code != 0, True, f"{what}: {result.err}")
        if what != "environment":
            refused(board, result, code, words)
        true(there(board, "boot0").startswith(OLD) and there(board, "boot1").startswith(OLD), f"{what}: touched")
        factory.close_boards()


@promise("without a target an optional boot loader is passed over")
def passed_over(factory):
    board = boot_board(factory, also=lambda root: (root / "etc/otamgr/images.d/boot-loader.conf").unlink())
    result = board.sysupgrade("--no-reboot", board.deliver(boot_bundle(factory, optional=True)))
    equal(result.code, 0, f"said {result.err}")
    true("passed over" in result.err and there(board, "boot1").startswith(OLD), result.err)


@promise(
    "ota-doctor says which boot partition is written next, and what is wrong with a target before an update is refused"
)
def doctor(factory):
    board = boot_board(factory)
    out = board.run("/sbin/ota-doctor").out
    true("images       targets for boot-loader (/dev/mmcblk0boot1 is written next)" in out, out)
    (board.root / "data/register").write_text("user\n")
    result = board.run("/sbin/ota-doctor")
    equal(result.code, 4, "exit code")
    true("expected boot0 or boot1" in result.out, result.out)
