# SPDX-License-Identifier: MIT
"""Systems with verified boot: their kernel is in a signed image behind their file system, and their root is a device that the kernel verifies."""

import os

from board import SLOT, run
from promises import equal, promise, true
from test_bundle import keys, make_bundle
from test_read_only import SYSTEMS, board_for, first_bytes, image, overlay_mounted, read_only

BEHIND = b"signed image and hash tree\n" * 4000


def verified(root):
    """What the image of a verified system has instead of a kernel."""
    for kernel in (root / "boot").glob("Image*"):
        kernel.unlink()
    (root / "boot/ota-verified").write_text("fit=behind\n")


def slot_image(factory, kind):
    path = factory.place / f"slot-{kind}"
    if not path.exists():
        content = image(factory, kind, change=verified, name=f"verified-{kind}").read_bytes()
        path.write_bytes(content + bytes(-len(content) % 4096) + BEHIND)
    return path


def delivered(factory, kind):
    return make_bundle(factory, slot_image(factory, kind), keys(factory).private("ed25519"))


def verified_board(factory):
    def also(root):
        read_only(root)
        (root / "boot/ota-verified").write_text("fit=behind\n")

    board = board_for(factory, also=also)
    overlay_mounted(board, "a.old")
    return board


@promise(
    "a verified system on {} is written with what follows its file system, and needs no kernel in /boot", cases=SYSTEMS
)
def update(factory, kind):
    board = verified_board(factory)
    result = board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(delivered(factory, kind)))
    equal(result.code, 0, f"exit code, said {result.err}")
    source = slot_image(factory, kind).read_bytes()
    equal(first_bytes(board, "b", len(source)) == source, True, "the slot holds the image, byte for byte")
    equal(board.ota_env()["ota_trial"], "b", "environment")


@promise("a board that starts nothing unsigned refuses a system without a signed image before its slot is armed")
def unsigned(factory):
    board = verified_board(factory)
    plain = make_bundle(factory, image(factory, "squashfs"), keys(factory).private("ed25519"))
    result = board.sysupgrade("--no-reboot", board.deliver(plain))
    equal(result.code, 7, f"exit code, said {result.err}")
    true("no signed image of its kernel" in result.err, f"said {result.err}")
    equal(board.ota_env().get("ota_trial"), None, "environment")


@promise("a root that the kernel verifies is the slot below it")
def below(factory):
    board = board_for(factory)
    old = board.root / "sys/dev/block" / board_number(board)
    board.replace_device("a", board.disk, *SLOT["a"])
    mapped = board.root / "sys/devices/virtual/block/dm-0"
    (mapped / "dm").mkdir(parents=True)
    (mapped / "slaves").mkdir()
    (mapped / "uevent").write_text("DEVNAME=dm-0\nDEVTYPE=disk\n")
    (mapped / "slaves/mmcblk0p2").symlink_to(os.path.relpath(old.resolve(), mapped / "slaves"))
    old.unlink()
    old.symlink_to(os.path.relpath(mapped, old.parent))
    result = board.run("/sbin/ota-slot", "status")
    equal(result.code, 0, f"exit code, said {result.err}")
    true("running=a" in result.out, f"said {result.out}")


def board_number(board):
    return run("stat", "-c", "%Hr:%Lr", board.loops["a"], text=True).strip()
