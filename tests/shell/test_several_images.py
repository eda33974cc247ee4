# SPDX-License-Identifier: MIT
"""Images beside the root file system: pairs that follow the slot, handlers, what is refused, and what a failure or a power cut leaves."""

import os
import random
import stat
import subprocess

from board import KIB, MIB, device_number, engine_pauses_before, executable
from promises import equal, promise, true
from test_bundle import Path, device_certificate, host, keys, make_bundle, trusting
from test_failures import CUTTING_SYNC, ended_before, refused
from test_parts import in_parts, needs
from test_stream import Streamed
from test_trial_guard import GUARD

# Behind the environment, before the slots.
PAIR = {"app-a": 5 * MIB, "app-b": 6 * MIB}
PAIR_BYTES = MIB
NODES = {"app-a": "mmcblk0p5", "app-b": "mmcblk0p6"}
CONF = "SLOT_A_DEVICE=/dev/mmcblk0p5\nSLOT_B_DEVICE=/dev/mmcblk0p6\n"
HANDLER = "HANDLER=/usr/sbin/mcu\n"
APP = random.Random(1).randbytes(300 * KIB + 7)
MCU = b"firmware\n" * 9000
# Keeps what it was given, and what is in use; a rollback may come twice.
GOOD = """#!/bin/sh
echo "$* $OTA_IMAGE_BYTES $OTA_SLOT $(ls /proc/self/fd | tr '\\n' ' ')" >>/data/called
echo "$1 $OTA_UPDATE $OTA_SLOT" >>/data/updates
case $1 in
install) cat >/data/mcu.new && [ "$(stat -c %s /data/mcu.new)" = "$OTA_IMAGE_BYTES" ] && mv /data/mcu.new /data/mcu ;;
rollback) echo old >/data/mcu ;;
esac
"""


def change(app=CONF, mcu=HANDLER, handler=GOOD, also=lambda root: None):
    def changed(root):
        (root / "etc/otamgr/images.d").mkdir()
        for name, text in (("app", app), ("mcu", mcu)):
            if text:
                (root / f"etc/otamgr/images.d/{name}.conf").write_text(text)
        if handler:
            executable(root / "usr/sbin/mcu", handler)
        also(root)

    return changed


def images_board(factory, running="a", **options):
    """A board with a pair of partitions for `app` and a handler for `mcu`."""
    board = factory.board(running, change=trusting(keys(factory).public("ed25519"), also=change(**options)))
    # Bytes of both, as they are on the disk; a system that runs has its own.
    for part, offset in PAIR.items():
        board._write_at(offset, part.encode() * 100)
        board.loops[part] = board._loop(board.disk, offset, PAIR_BYTES)
        board.make_node(NODES[part], part)
        folder = board.sys_folder("disk") / NODES[part]
        folder.mkdir()
        number, name = device_number(board.loops[part]), NODES[part]
        (folder / "uevent").write_text(f"DEVNAME={name}\nDEVTYPE=partition\nPARTN={name[-1]}\nPARTNAME={part}\n")
        (folder / "partition").write_text(name[-1] + "\n")
        (folder / "dev").write_text(number + "\n")
        (folder / "size").write_text(f"{PAIR_BYTES // 512}\n")
        (folder / "start").write_text(f"{offset // 512}\n")
        (board.root / "sys/dev/block" / number).symlink_to(os.path.relpath(folder, board.root / "sys/dev/block"))
    (board.root / "data/mcu").write_text("old\n")
    board.target_before = board.slot_bytes(board.target)
    board.pair_before = pair(board)
    return board


def pair(board):
    """What is in both partitions."""
    board.flush()
    with open(board.disk, "rb") as disk:
        found = {}
        for part, offset in PAIR.items():
            disk.seek(offset)
            found[part[-1]] = disk.read(PAIR_BYTES)
    return found


def images_bundle(factory, app=APP, mcu=MCU, optional=(), version="2.0.1", more=()):
    images = []
    for name, content in (("app", app), ("mcu", mcu), *more):
        if content is not None:
            path = factory.place / f"{name}.image"
            path.write_bytes(content)
            images.append((name, path, name in optional))
    key = keys(factory).private("ed25519")
    return make_bundle(factory, factory.image("ext4.gz"), key, version, form=2, images=images)


def nothing_touched(board):
    equal(pair(board), board.pair_before, "the pair")
    equal((board.root / "data/mcu").read_text(), "old\n", "the firmware")
    true(not (board.root / "data/called").exists(), "a handler was called")


def called(board):
    path = board.root / "data/called"
    return [line.split()[:2] for line in path.read_text().splitlines()] if path.exists() else []


def record(board):
    path = board.root / "data/otamgr/images/mcu"
    return path.read_text() if path.exists() else None


def taken_back(board):
    true(record(board).endswith(" back\n"), f"the record: {record(board)}")


def installed(board, result, slot="b"):
    equal(result.code, 0, f"exit code, said {result.err}")
    found = pair(board)
    equal(found[slot][: len(APP)], APP, "the pair's member of the new slot")
    other = "a" if slot == "b" else "b"
    equal(found[other], board.pair_before[other], "the pair's member of the running slot")
    equal((board.root / "data/mcu").read_bytes(), MCU, "the firmware")
    equal(board.env()["ota_trial"], slot, "the trial")
    with board.mounted(slot) as new:
        true((new / "etc/ota_type_5.hdr").exists(), "the header")


@promise(
    "images beside the root file system: the pair's other member is written, the handler gets the bytes, one switch for all"
)
def installs(factory):
    for running, slot in (("a", "b"), ("b", "a")):
        board = images_board(factory, running)
        result = board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(images_bundle(factory)))
        installed(board, result, slot)
        words = (board.root / "data/called").read_text().split()
        equal(words[:5], ["install", "mcu", "2.0.1", str(len(MCU)), slot], "how the handler is called")
        # 3 is the folder that ls itself reads.
        equal(sorted(words[5:]), ["0", "1", "2", "3"], "descriptors that it has")
        equal(record(board), f"{slot} T\n", "the record")
        events = [event.split()[0] for event in board.events()]
        equal(events, ["update-started", "slot-written", "image-written", "image-installed", "armed"], "journal")
        result = board.run("/sbin/ota-slot", "image", "app")
        equal((result.code, result.out), (0, f"/dev/{NODES[f'app-{running}']}\n"), "the device of the running slot")
        factory.close_boards()


@promise("images beside the root file system are decrypted as the rest of an encrypted bundle")
def installs_encrypted(factory):
    made = keys(factory)
    plain, out = factory.place / "plain.bundle", factory.place / "encrypted.bundle"
    plain.write_bytes(images_bundle(factory))
    host.encrypt(plain, out, made.private("ed25519"), None, [device_certificate(factory, "device")])
    true(MCU[:100] not in out.read_bytes() and APP[:100] not in out.read_bytes(), "a plain image is in there")

    def has_a_key(root):
        (root / "etc/device.key").write_text(made.private("device", "p256").read_text())
        (root / "etc/otamgr/sysupgrade.conf").write_text("DECRYPTION_KEY=/etc/device.key\n")

    board = images_board(factory, also=has_a_key)
    installed(board, board.sysupgrade("--no-reboot", board.deliver(out.read_bytes())))
    equal(list((board.root / "run").glob("**/content-key")), [], "keys that are left")


@promise(
    "of images beside the root file system those that are lacking are asked for, also when the frames are streamed"
)
def in_parts_and_streamed(factory):
    board = images_board(factory)
    content = images_bundle(factory)
    path = in_parts(board, content)
    (board.root / "tmp/update.hdr").write_bytes(b"header\n")
    lacking = needs(board)
    tail = len(APP) + 60
    streamed = Streamed(board, content)
    refused(board, streamed, 22, "image app: ")
    nothing_touched(board)
    # What a pull brings: for a stream the images only.
    with open(path, "r+b") as file:
        for at, size in lacking[-2:]:
            file.seek(at)
            file.write(content[at : at + size])
    true(lacking[-2][1] == len(APP) and lacking[-1][1] < tail, f"ranges of the images: {lacking[-2:]}")
    equal(needs(board), lacking[:-2], "what is lacking then")
    streamed = Streamed(board, content, "--header", "/tmp/update.hdr")
    equal(streamed.code, 0, f"exit code, said {streamed.err}")
    equal(pair(board)["b"][: len(APP)], APP, "the pair's member of the new slot")
    equal((board.root / "data/mcu").read_bytes(), MCU, "the firmware")


NOT_FOR_THIS_DEVICE = {
    "an image without target": ({"mcu": ""}, 24, "no target for it"),
    "a target that gets no image": ({}, 24, "the update has no image app"),
    "an image that is larger than its partition": ({}, 8, "image app: the image has more than"),
    "an image that is too small for a partition": ({}, 24, "at least 4096 bytes"),
    "a partition on no device": ({"app": CONF.replace("p5", "p9")}, 24, "no block device"),
    "the whole disk as partition": ({"app": CONF.replace("p5", "")}, 24, "no partition"),
    "a slot as partition": ({"app": CONF.replace("p5", "p2")}, 24, "is a slot"),
    "the data partition, which is mounted": ({"app": CONF.replace("p6", "p4")}, 24, "mounted or in use"),
    "one partition for both slots": ({"app": CONF.replace("p6", "p5")}, 24, "is a slot, or a device of another"),
    "a target of which one slot is missing": (
        {"app": "SLOT_A_DEVICE=/dev/mmcblk0p5\n"},
        24,
        "expected SLOT_A_DEVICE and",
    ),
    "a target with a line that is not known": ({"app": CONF + "SLOT_C_DEVICE=/dev/null\n"}, 24, "SLOT_C_DEVICE"),
    "no handler": ({"handler": ""}, 24, "no such program"),
    "a handler without path": ({"mcu": "HANDLER=mcu\n"}, 24, "whole path"),
    "a handler with no end": ({"mcu": HANDLER + "HANDLER_SECONDS=0\n"}, 24, "expected 1 to 3600"),
    "a handler that others can change": (
        {"also": lambda root: (root / "usr/sbin/mcu").chmod(0o777)},
        24,
        "only root can change",
    ),
}


@promise("exit 24: refused before anything is touched: {}", cases=NOT_FOR_THIS_DEVICE)
def not_for_this_device(factory, what):
    options, code, words = NOT_FOR_THIS_DEVICE[what]
    board = images_board(factory, **options)
    bundle = {
        "a target that gets no image": {"app": None},
        "an image that is larger than its partition": {"app": bytes(PAIR_BYTES + 1)},
        "an image that is too small for a partition": {"app": b"x" * 4095},
    }.get(what, {})
    result = board.sysupgrade("--no-reboot", board.deliver(images_bundle(factory, **bundle)))
    refused(board, result, code, words)
    nothing_touched(board)
    result = board.sysupgrade("-T", board.deliver(images_bundle(factory, **bundle)))
    equal(result.code, code, f"-T says the same: {result.err}")
    if what in ("an image without target", "a target that gets no image"):
        in_parts(board, images_bundle(factory, **bundle))
        result = board.sysupgrade("--needs", "/tmp/update.blocks.part")
        equal((result.code, result.out), (24, ""), f"nothing is asked for: {result.err}")


@promise("exit 24: a partition of which nobody knows whether it is mounted is no target")
def maybe_mounted(factory):
    board = images_board(factory)
    board.blind(device_number(board.loops["app-b"]))
    result = board.sysupgrade("--no-reboot", board.deliver(images_bundle(factory)))
    refused(board, result, 24, "may be in use")
    nothing_touched(board)


@promise("a partition of another disk, or with the environment in it, is no target")
def wrong_place(factory):
    board = images_board(factory)
    folder = board.sys_folder("app-b")
    (folder / "partition").unlink()
    (folder / "partition").write_text("6\n")
    other = board.root / "sys/devices/other/mmcblk1"
    (other / "mmcblk1p1").mkdir(parents=True)
    (other / "uevent").write_text("DEVNAME=mmcblk1\n")
    for name in ("uevent", "partition", "dev", "size"):
        (other / "mmcblk1p1" / name).write_text((folder / name).read_text())
    link = board.root / "sys/dev/block" / device_number(board.loops["app-b"])
    link.unlink()
    link.symlink_to(os.path.relpath(other / "mmcblk1p1", link.parent))
    refused(board, board.sysupgrade("--no-reboot", board.deliver(images_bundle(factory))), 24, "not on the disk of /")
    nothing_touched(board)
    factory.close_boards()
    board = images_board(factory)
    # As if the partition began before the environment, which is at 4 MiB.
    (board.sys_folder("app-b") / "start").write_text(f"{4 * MIB // 512}\n")
    refused(board, board.sysupgrade("--no-reboot", board.deliver(images_bundle(factory))), 24, "environment")
    nothing_touched(board)


@promise("an optional image that the device has no target for is passed over, and REQUIRED=no goes without an image")
def optional(factory):
    board = images_board(factory, mcu="")
    result = board.sysupgrade("--no-reboot", board.deliver(images_bundle(factory, optional=("mcu",))))
    equal((result.code, called(board)), (0, []), f"exit code and calls, said {result.err}")
    true("passed over" in result.err, result.err)
    factory.close_boards()
    board = images_board(factory, app=CONF + "REQUIRED=no\n")
    result = board.sysupgrade("--no-reboot", board.deliver(images_bundle(factory, app=None)))
    equal((result.code, pair(board)), (0, board.pair_before), f"exit code and pair, said {result.err}")
    factory.close_boards()
    # Without configuration nothing but the slot is touched.
    board = images_board(factory, app="", mcu="")
    result = board.sysupgrade("--no-reboot", board.deliver(images_bundle(factory, optional=("app", "mcu"))))
    equal(result.code, 0, f"exit code, said {result.err}")
    nothing_touched(board)


def not_armed(board, result, code, words):
    refused(board, result, code, words, target_touched=True)
    true("ota_trial" not in board.ota_env(), "armed")
    with board.mounted("b") as new:
        true(not (new / "etc/ota_type_5.hdr").exists(), "a header without an update")
        true(not (new / "boot/ota-slot-valid").exists(), "marked complete")


FAILS = {
    "ends with 1 and a reason": ("echo no such chip >&2; exit 1", "no such chip"),
    "does not read its input": ("exit 0", "has not read all"),
    "is killed": ("kill -9 $$", "ended with 137"),
    "does not end": ("cat >/dev/null; sleep 1000", "did not end within 1 s"),
}


@promise("exit 25: a handler that {} fails the update, nothing is armed, and what it did is taken back", cases=FAILS)
def handler_fails(factory, how):
    script, words = FAILS[how]
    handler = GOOD.replace("case $1 in\n", f"case $1 in\ninstall) echo half >/data/mcu; {script} ;;\n")
    large = random.Random(2).randbytes(200 * KIB)
    board = images_board(factory, mcu=HANDLER + "HANDLER_SECONDS=1\n", handler=handler)
    result = board.sysupgrade("--no-reboot", board.deliver(images_bundle(factory, mcu=large)))
    not_armed(board, result, 25, words)
    equal(called(board), [["install", "mcu"], ["rollback", "mcu"]], "calls")
    equal((board.root / "data/mcu").read_text(), "old\n", "the firmware")
    taken_back(board)


@promise("a rollback that a handler does not manage is tried again at the next boot, and before the next update")
def rollback_fails(factory):
    handler = GOOD.replace("case $1 in\n", "[ -e /data/works ] || exit 3\ncase $1 in\n")
    board = images_board(factory, handler=handler)
    result = board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(images_bundle(factory)))
    not_armed(board, result, 25, "ended with 3")
    equal((called(board), record(board)), ([["install", "mcu"], ["rollback", "mcu"]], "b T\n"), "calls and record")
    true(any(event.startswith("image-not-taken-back ") for event in board.events()), "journal")
    equal(board.run(GUARD).code, 0, "the guard")
    equal((called(board)[2:], record(board)), ([["rollback", "mcu"]], "b T\n"), "calls and record")
    result = board.sysupgrade("--no-reboot", board.deliver(images_bundle(factory)))
    refused(board, result, 25, "rollback mcu ended with 3", target_touched=True)
    equal(called(board)[3:], [["rollback", "mcu"]], "calls")
    (board.root / "data/works").touch()
    equal(board.run(GUARD).code, 0, "the guard")
    equal(called(board)[4:], [["rollback", "mcu"]], "calls")
    taken_back(board)
    equal((board.root / "data/mcu").read_text(), "old\n", "the firmware")


@promise("after a trial that was rolled back the guard lets the handler take it back, once")
def rolled_back(factory):
    board = images_board(factory)
    installed(board, board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(images_bundle(factory))))
    # Armed, and while the trial may still come, nothing is taken back.
    equal((board.run(GUARD).code, record(board)), (0, "b T\n"), "the guard of an armed board")
    board.set_env(ota_trial="", ota_tries="", ota_failed="T", ota_failed_why="tries-used-up")
    equal(board.run(GUARD).code, 0, "the guard")
    equal(called(board), [["install", "mcu"], ["rollback", "mcu"]], "calls")
    equal(((board.root / "data/mcu").read_text(), record(board)), ("old\n", "b T back\n"), "firmware and record")
    equal((board.root / "data/updates").read_text(), "install T b\nrollback T b\n", "of which update and slot")
    true("image-taken-back image=mcu txn=T" in board.events(), f"journal: {board.events()}")
    equal(board.run(GUARD).code, 0, "the guard of the next boot")
    equal(len(called(board)), 2, "calls")


@promise("a commit keeps what a handler brought, a cancelled trial gives it back, and one that could not start as well")
def settled(factory):
    board = images_board(factory, "b")
    (board.root / "data/otamgr/images").mkdir(parents=True, mode=0o700)
    (board.root / "data/otamgr/images/mcu").write_text("b T\n")
    board.set_env(ota_slot="a", ota_trial="b", ota_tries="2", ota_txn="T")
    result = board.run("/sbin/ota-slot", "commit")
    equal((result.code, called(board), record(board)), (0, [], "b T\n"), f"commit, calls and record; {result.err}")
    equal((board.run(GUARD).code, called(board), record(board)), (0, [], "b T\n"), "the guard, calls and record")
    factory.close_boards()
    for how in ("cancelled", "interrupted"):
        board = images_board(factory)
        installed(board, board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(images_bundle(factory))))
        if how == "cancelled":
            result = board.run("/sbin/ota-slot", "cancel")
        else:
            (board.root / "run/otamgr/armed").unlink()
            result = board.run(GUARD)
        equal((result.code, record(board)), (0, "b T back\n"), f"{how}: {result.err}")
        # Its file system would be complete.
        back = board.run("/sbin/ota-slot", "rollback")
        equal((back.code, "was taken back since" in back.err), (5, True), f"{how}: ota-slot rollback, {back.err}")
        equal(called(board)[1:], [["rollback", "mcu"]], f"{how}: calls")
        factory.close_boards()


def gone_back(factory):
    """Slot a runs a trial: somebody went back from slot b, which an update with images had made, and which was committed."""
    board = images_board(factory)
    installed(board, board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(images_bundle(factory))))
    (board.root / "run/otamgr/armed").unlink()  # as after a reboot
    (board.root / "data/called").unlink()
    board.pair_before = pair(board)
    board.set_env(ota_slot="b", ota_trial="a", ota_tries="2", ota_txn="rollback-1")
    return board


@promise(
    "ota-slot rollback from a committed system: once the old one is committed its handler takes back what the update brought, and not before"
)
def rollback_by_hand(factory):
    # The system that the update made: nothing is called while it may come back.
    board = images_board(factory, "b")
    installed(board, board.sysupgrade("--no-reboot", board.deliver(images_bundle(factory))), "a")
    (board.root / "run/otamgr/armed").unlink()
    (board.root / "data/called").unlink()
    (board.root / "data/otamgr/images/mcu").write_text("b T\n")
    board.set_env(ota_trial="", ota_tries="")
    result = board.run("/sbin/ota-slot", "rollback")
    equal((result.code, called(board), record(board)), (0, [], "b T\n"), f"rollback, calls and record: {result.err}")
    equal(board.env()["ota_trial"], "a", "the trial")
    factory.close_boards()
    board = gone_back(factory)
    device = board.run("/sbin/ota-slot", "image", "app").out
    equal(device, f"/dev/{NODES['app-a']}\n", "the pair has followed the slot")
    result = board.run("/sbin/ota-slot", "commit")
    equal((result.code, called(board)), (0, []), f"commit does not wait for it: {result.err}")
    equal(board.run(GUARD).code, 0, "the guard")
    equal((called(board), record(board)), ([["rollback", "mcu"]], "b T back\n"), "calls and record")
    equal((board.root / "data/mcu").read_text(), "old\n", "the firmware")
    equal(pair(board), board.pair_before, "the pair")
    true("image-taken-back image=mcu txn=T" in board.events(), f"journal: {board.events()}")
    equal((board.run(GUARD).code, len(called(board))), (0, 1), "the guard of the next boot, and calls")
    # Forward by hand it would run without what its update had brought.
    result = board.run("/sbin/ota-slot", "rollback")
    equal(
        (result.code, "image mcu was taken back since; install that update again" in result.err), (5, True), result.err
    )
    # So the update is installed again, and what it says is what counts.
    board.pair_before = pair(board)
    installed(board, board.sysupgrade("--no-reboot", "--txn", "T3", board.deliver(images_bundle(factory))))
    equal(record(board), "b T3\n", "the record")


@promise("ota-slot rollback from a committed system that does not work out: nothing is taken back")
def rollback_by_hand_fails(factory):
    for how in ("cancelled", "tries used up"):
        board = images_board(factory, "b")
        (board.root / "data/otamgr/images").mkdir(parents=True, mode=0o700)
        (board.root / "data/otamgr/images/mcu").write_text("b T\n")
        if how == "cancelled":
            board.set_env(ota_slot="b", ota_trial="a", ota_tries="3", ota_txn="rollback-1")
            equal(board.run("/sbin/ota-slot", "cancel").code, 0, how)
        else:
            board.set_env(ota_slot="b", ota_failed="rollback-1", ota_failed_why="tries-used-up")
        equal(board.run(GUARD).code, 0, "the guard")
        equal((called(board), record(board)), ([], "b T\n"), f"{how}: calls and record")
        factory.close_boards()


@promise("what an update brought is not taken back by an update that follows it and does not bring that image")
def forgotten(factory):
    board = images_board(factory)
    (board.root / "data/otamgr/images").mkdir(parents=True, mode=0o700)
    # It came with the running slot, so the next update leads away from that.
    (board.root / "data/otamgr/images/mcu").write_text("a T\n")
    result = board.sysupgrade("--no-reboot", "--txn", "T2", board.deliver(images_bundle(factory, mcu=None)))
    equal((result.code, called(board), record(board)), (0, [], None), f"update, calls and record: {result.err}")
    factory.close_boards()
    # With an update that is refused before it has touched the slot the way back stays.
    board = images_board(factory)
    (board.root / "data/otamgr/images").mkdir(parents=True, mode=0o700)
    (board.root / "data/otamgr/images/mcu").write_text("a T\n")
    refused(board, board.sysupgrade("--no-reboot", board.deliver(images_bundle(factory, app=None))), 24, "no image app")
    equal((called(board), record(board)), ([], "a T\n"), "calls and record")


@promise("killed at each sync while a rollback by hand takes images back, a board does it again at the next boot")
def killed_taking_back(factory):
    records = []
    for call in range(1, 20):
        board = gone_back(factory)
        equal(board.run("/sbin/ota-slot", "commit").code, 0, "commit")
        board.expect_leftovers = True
        board.fifo("cut")
        board.replace("bin/sync", CUTTING_SYNC.format(call=call))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "progress": None}
        process = board.start(GUARD, **quiet)
        if ended_before(process, board.fifos["cut"]):
            factory.close_boards()
            break
        board.kill_everything()
        records.append(record(board))
        executable(board.root / "bin/sync", "#!/bin/sh\nexec /bin/busybox sync\n")
        board.settle()
        equal(board.run(GUARD).code, 0, "the guard of the next boot")
        equal(((board.root / "data/mcu").read_text(), record(board)), ("old\n", "b T back\n"), "firmware and record")
        factory.close_boards()
    factory.transcript.append(f"records at the cuts: {records}")
    equal(list(dict.fromkeys(records)), ["b T\n", "b T back\n"], "order of records")


def byte_of(content, image):
    """A place in the first image, or in the second one."""
    tail = len(content) - len(content.rstrip(b"\0"))
    return len(content) - tail - (30 if image == "mcu" else 100_000)


@promise(
    "exit 5: a changed byte in the image {} of a bundle is refused before anything is touched", cases=["app", "mcu"]
)
def tampered(factory, image):
    board = images_board(factory)
    content = bytearray(images_bundle(factory))
    content[byte_of(content, image)] ^= 4
    refused(board, board.sysupgrade("--no-reboot", board.deliver(bytes(content))), 5, f"image {image}: ")
    nothing_touched(board)


@promise(
    "exit 5: an image {} that is changed after it was checked is not used, and nothing is armed", cases=["app", "mcu"]
)
def changed_meanwhile(factory, image):
    paused = "write" if image == "app" else "unpack"
    board = images_board(factory, also=lambda root: engine_pauses_before(root, paused))
    board.fifo("reached")
    board.fifo("go")
    content = images_bundle(factory)
    path = board.deliver(content)
    process = board.start("/sbin/sysupgrade", "--no-reboot", path)
    board.reached("reached")
    if image == "app":
        # That was the slot's.
        board.tell("go")
        board.reached("reached")
    with open(board.root / path.lstrip("/"), "r+b") as file:
        file.seek(byte_of(content, image))
        file.write(b"?!")
    board.tell("go")
    not_armed(board, board.finish(process), 5, f"image {image}: the image changed")
    equal((board.root / "data/mcu").read_text(), "old\n", "the firmware")
    equal(called(board), [] if image == "app" else [["install", "mcu"], ["rollback", "mcu"]], "calls")
    if image == "app":
        equal(record(board), None, "the record")
    else:
        taken_back(board)


@promise(
    "killed at each of its syncs, an update with images is armed and complete, or given back at the next boot",
    patience=900,
)
def killed_at_each_step(factory):
    states, content = [], images_bundle(factory)
    for call in range(1, 60):
        board = images_board(factory)
        board.expect_leftovers = True
        board.fifo("cut")
        board.replace("bin/sync", CUTTING_SYNC.format(call=call))
        image = board.deliver(content)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "progress": None}
        process = board.start("/sbin/sysupgrade", "--no-reboot", "--txn", "T", image, **quiet)
        if ended_before(process, board.fifos["cut"]):
            equal(process.returncode, 0, "exit code")
            factory.close_boards()
            break
        board.kill_everything()
        for mount in [mount for mount in board._mounts() if mount.endswith("new-root")]:
            subprocess.run(["umount", mount], check=True)
        env, (a, b) = board.ota_env(), pair(board).values()
        equal(a, board.pair_before["a"], "the pair's member of the running slot")
        armed = "ota_trial" in env
        if armed:
            equal(b[: len(APP)], APP, "armed, but the pair's member is not complete")
            equal((board.root / "data/mcu").read_bytes(), MCU, "armed, but the firmware is not the new one")
        # The next boot.
        executable(board.root / "bin/sync", "#!/bin/sh\nexec /bin/busybox sync\n")
        board.settle()
        equal(board.run(GUARD).code, 0, "the guard")
        if not armed:
            equal((board.root / "data/mcu").read_text(), "old\n", "the firmware")
            true(record(board) in (None, "b T back\n"), f"the record: {record(board)}")
        states.append(
            "armed" if armed else "called" if called(board) else "new" if b != board.pair_before["b"] else "old"
        )
        factory.close_boards()
    factory.transcript.append(f"states at the cuts: {states}")
    equal(list(dict.fromkeys(states)), ["old", "new", "called", "armed"], "order of states")


@promise(
    "killed in the middle of {}, an update with images leaves a board that takes the next one",
    cases=["write", "verify", "unpack"],
)
def killed_in_the_engine(factory, command):
    for number in (1, 2) if command != "unpack" else (1,):
        board = images_board(factory, also=lambda root: engine_pauses_before(root, command))
        board.expect_leftovers = True
        board.fifo("reached")
        board.fifo("go")
        image = board.deliver(images_bundle(factory))
        board.start("/sbin/sysupgrade", "--no-reboot", image)
        board.reached("reached")
        if number == 2:
            board.tell("go")
            board.reached("reached")
        board.kill_everything()
        true("ota_trial" not in board.ota_env(), "armed")
        real = board.root / "usr/lib/otamgr/ota-content.real"
        real.rename(real.with_suffix(""))
        board.settle()
        equal(board.run(GUARD).code, 0, "the guard")
        equal((board.root / "data/mcu").read_text(), "old\n", "the firmware")
        true(record(board) is None or record(board).endswith(" back\n"), f"the record: {record(board)}")
        installed(board, board.sysupgrade("--no-reboot", image))
        factory.close_boards()


@promise(
    "what a manifest says of further images is understood strictly: {}",
    cases=["image.App=1", "image.app=1", "image.app=1 {} x"],
)
def manifest(factory, line):
    board = images_board(factory)
    content = images_bundle(factory, app=None, mcu=None)
    key, _, value = line.format("0" * 64).partition("=")
    opened = factory.place / "opened.bundle"
    opened.write_bytes(content)
    with host.open_bundle(opened) as bundle:
        text = bundle.manifest + f"{key}={value}\n".encode()
        index, payload = factory.place / "index", factory.place / "payload"
        bundle.copy_index(index)
        with open(payload, "wb") as out:
            bundle.copy_image(out)
        signed = factory.place / "manifest"
        signed.write_bytes(text)
        signature = host.sign(signed, keys(factory).private("ed25519"))
        host._assembled(
            opened, [("manifest", text), ("manifest.sig", signature), ("index", index), (bundle.image, payload)]
        )
    refused(board, board.sysupgrade("--no-reboot", board.deliver(opened.read_bytes())), 4, "image.")


@promise("ota-slot image says {} of what is no pair", cases=["exit 10", "exit 2"])
def no_pair(factory, what):
    board = images_board(factory)
    result = board.run("/sbin/ota-slot", "image", "mcu" if what == "exit 10" else "../x")
    equal(f"exit {result.code}", what, result.err)
    true(
        stat.S_ISDIR(os.stat(board.root / "etc/otamgr/images.d").st_mode) and isinstance(board.root, Path),
        "the targets",
    )
