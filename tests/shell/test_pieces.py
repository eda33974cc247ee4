# SPDX-License-Identifier: MIT
"""sysupgrade: what is written, and what an update is said to need before it begins."""

import json
import os
import re
import subprocess

from board import HEADER, KIB, MIB, SLOT, file_system_header, fill_up, run
from promises import equal, promise, true
from test_failures import new_board, refused
from test_sysupgrade import armed


def statistics(result):
    """Bytes compared, skipped and written, by the last progress line."""
    written, compared, skipped = map(
        int, re.search(r"(\d+) of (\d+) bytes written, (\d+) were there already", result.progress[-1]).groups()
    )
    equal(written + skipped, compared, "written and skipped make compared")
    return compared, skipped, written


def slot_with(board, content):
    """Puts bytes into the target slot, behind everybody's back."""
    board._write_at(SLOT["b"][0], content)
    run("blockdev", "--flushbufs", board.loops["b"])


@promise(
    "only blocks that differ are written, wherever they are, and the numbers say so: {}",
    cases=["the same system", "one byte in the middle", "one byte in the last block", "everything", "an empty slot"],
)
def pieces(factory, what):
    image = factory.image("ext4").read_bytes()
    # The first block is always written, last of all.
    before, expected = bytearray(image), range(4096, 4097)
    if what == "one byte in the middle":
        before[3 * MIB + 5000] ^= 1
        expected = range(8192, 8193)
    elif what == "one byte in the last block":
        before[-1] ^= 1
        expected = range(8192, 8193)
    elif what == "everything":
        before, expected = bytearray(os.urandom(len(image))), range(len(image), len(image) + 1)
    elif what == "an empty slot":
        before = bytearray(len(image))
        differing = sum(image[at : at + 4096].count(0) != 4096 for at in range(0, len(image), 4096)) * 4096
        # Few equal blocks between others are written with them.
        expected = range(differing, differing * 3)
    board = factory.board()
    slot_with(board, bytes(before))
    result = board.sysupgrade("--no-reboot", "-n", board.deliver(factory.image("ext4.gz")))
    armed(board, result)
    compared, skipped, written = statistics(result)
    equal(compared, len(image), "bytes compared")
    true(written in expected, f"{written} bytes written, expected {expected}")
    (event,) = [line for line in board.events() if line.startswith("slot-written ")]
    true(f" compared={compared} skipped={skipped} written={written} seconds=" in event, event)
    true(f"{written} of {compared} bytes written" in result.err, "last line for people")


@promise(
    "an image with an odd size, compressed in many small parts, is written right to its last byte: {}",
    cases=["gzip", "zstd", "xz"],
)
def odd_writers(factory, packer):
    image = factory.image("ext4").read_bytes() + os.urandom(3 * MIB + 4096 + 777)
    command = {"gzip": ["gzip", "-c", "-1"], "zstd": ["zstd", "-q", "-c", "--check"], "xz": ["xz", "-c", "-0"]}[packer]
    packed = b"".join(
        subprocess.run(command, input=image[at : at + 1234567], stdout=subprocess.PIPE, check=True).stdout
        for at in range(0, len(image), 1234567)
    )
    board = factory.board()
    result = board.sysupgrade("--no-reboot", "-n", board.deliver(packed))
    equal(result.code, 0, f"exit code, said {result.err}")
    equal(statistics(result)[0], len(image), "bytes compared")
    board.flush()
    with open(board.disk, "rb") as disk:
        disk.seek(SLOT["b"][0] + 8 * MIB)
        equal(disk.read(len(image) - 8 * MIB) == image[8 * MIB :], True, "the end of the image in the slot")


@promise(
    "a block that only seems the same, since the page cache says so, is compared on the medium and written", alone=True
)
def seems_the_same(factory):
    board = new_board(factory)
    image = factory.image("ext4").read_bytes()
    slot_with(board, image)
    # The page cache has the right content, the medium behind it gets another byte.
    held = os.open(board.loops["b"], os.O_RDONLY)
    while os.read(held, MIB):
        pass
    with open(board.disk, "r+b") as disk:
        disk.seek(SLOT["b"][0] + 5 * MIB)
        byte = disk.read(1)
        disk.seek(-1, os.SEEK_CUR)
        disk.write(bytes([byte[0] ^ 1]))
    result = board.sysupgrade("--no-reboot", "-n", board.deliver(factory.image("ext4.gz")))
    os.close(held)
    armed(board, result)
    with open(board.disk, "rb") as disk:
        disk.seek(SLOT["b"][0] + 5 * MIB)
        equal(disk.read(1), byte, "the byte on the medium")


# ---- budget --------------------------------------------------------------------------------------------------------


def with_memory(board, available):
    """Makes the kernel say that so many bytes are available."""
    (board.place / "meminfo").write_text(
        f"MemTotal:        65536 kB\nMemFree:          1024 kB\nMemAvailable:   {available // KIB} kB\n"
    )
    run("mount", "--bind", board.place / "meminfo", board.root / "proc/meminfo")


def packed(factory, *command):
    return subprocess.run(command, input=factory.image("ext4").read_bytes(), stdout=subprocess.PIPE, check=True).stdout


@promise("--budget says what an update would write and need, as text and as one JSON object, and changes nothing")
def budget(factory):
    board = new_board(factory)
    image = board.deliver(factory.image("ext4.gz"))
    before = board.disk.read_bytes()
    text, as_json = board.sysupgrade("--budget", image), board.sysupgrade("--budget", "--json", image)
    equal((text.code, as_json.code), (0, 0), "exit codes")
    found = {key: int(value) for key, value in (line.split("=") for line in text.out.splitlines())}
    equal(set(json.loads(as_json.out)), set(found), "keys")
    equal(
        (found["bytes_to_write"], found["slot_bytes"]), (8 * MIB + (SLOT["b"][1] - 8 * MIB) // 8, SLOT["b"][1]), "bytes"
    )
    true(2 * KIB * KIB <= found["memory_needed"] < 16 * MIB < found["memory_available"], f"memory {found}")
    header = file_system_header(factory.image("ext4"))
    free, blocks, size = (int(header[name]) for name in ("Free blocks", "Block count", "Block size"))
    equal(found["room_available"], (free - blocks // 50) * size, "room in the new system")
    # Header, marker, and the kept machine-id: a block each.
    true(3 * 4096 - 3072 <= found["room_needed"] <= 5 * 4096, f"room needed {found['room_needed']}")
    true(2 <= found["seconds"] < 100, f"seconds {found['seconds']}")
    board.flush()
    true(board.disk.read_bytes() == before, "the disk has changed")
    true("bytes to write, about" in board.sysupgrade("-T", "-v", image).err, "-T -v says it, too")
    equal(board.sysupgrade("--json", image).code, 2, "--json alone")


@promise("the time is predicted from what the last update wrote")
def rate(factory):
    board = factory.board()
    image = board.deliver(factory.image("ext4.gz"))

    def seconds():
        return json.loads(board.sysupgrade("--budget", "--json", image).out)["seconds"]

    unknown = seconds()
    (board.root / "data/otamgr").mkdir()
    (board.root / "data/otamgr/journal").write_text(
        "2026-01-01T00:00:00Z slot-written txn=S compared=8388608 skipped=0 written=8388608 seconds=80\n"
    )
    # 8 MiB at 4 MiB/s without a measurement, at 0.1 MiB/s with it.
    true(60 <= seconds() - unknown <= 100, "80 s instead of 2")


@promise(
    "exit 21: {} is refused with the numbers before the slot is touched",
    cases=[
        "a zstd window that memory cannot hold",
        "an xz dictionary that memory cannot hold",
        "a tar image without memory for it",
        "no room in /run",
        "a kept file that does not fit",
        "a header in a full file system",
    ],
)
def over_budget(factory, what):
    def keep(root):
        (root / "etc/sysupgrade.conf").write_text("/etc/machine-id\n/etc/big\n")
        (root / "etc/big").write_bytes(os.urandom(MIB + MIB // 2))

    board = new_board(factory, change=keep if what == "a kept file that does not fit" else None)
    arguments, accepted = [], None
    if what == "a zstd window that memory cannot hold":
        image, words = packed(factory, "zstd", "-q", "-c", "--check", "--long=27"), "memory, 41943040 are"
        accepted = factory.image("ext4.zst")
        # 128 MiB for the one, for the other the size of the image.
        with_memory(board, 40 * MIB)
    elif what == "an xz dictionary that memory cannot hold":
        image, words = (
            packed(factory, "xz", "-c", "--check=crc32", "--lzma2=preset=0,dict=64MiB"),
            "memory, 41943040 are",
        )
        accepted = factory.image("ext4.xz")
        with_memory(board, 40 * MIB)
    elif what == "a tar image without memory for it":
        image, words = factory.image("tar.gz"), "memory, 12582912 are"
        accepted = factory.image("ext4.gz")
        with_memory(board, 12 * MIB)
    elif what == "no room in /run":
        image, words = factory.image("ext4.gz"), "/run/otamgr"
        run("mount", "-o", "remount,size=1m", board.root / "run")
    elif what == "a kept file that does not fit":
        fuller = factory.system_variant(
            "fuller", lambda root: (root / "usr/lib/more").write_bytes(os.urandom(MIB + MIB // 2))
        )
        image, words = factory.image("ext4.gz", fuller), "room for"
        accepted = factory.image("ext4.gz", fuller, size=16 * MIB)
    else:
        image, words = full_image(factory), "room for"
        arguments = ["-n"]
    result = board.sysupgrade("--no-reboot", *arguments, board.deliver(image))
    refused(board, result, 21, words)
    if accepted:
        equal(board.sysupgrade("-T", board.deliver(accepted)).code, 0, "exit code of an image that needs less")


def full_image(factory):
    """A file system in which every block is taken."""
    image = factory.place / "full.ext4"
    image.unlink(missing_ok=True)
    run("cp", factory.image("ext4"), image)
    mount = factory.place / "full"
    mount.mkdir(exist_ok=True)
    run("mount", "-t", "ext4", "-o", "loop", image, mount)
    fill_up(mount / "filler", (MIB, 64 * KIB, KIB))
    run("umount", mount)
    return image


@promise("a full /data is said, and stops no update")
def data_full(factory):
    board = new_board(factory)
    fill_up(board.root / "data/filler")
    result = board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4.gz")))
    equal(result.code, 0, f"exit code, said {result.err}")
    true("/data has" in result.err, result.err)
    with board.mounted("b") as new:
        equal((new / "etc/ota_type_5.hdr").read_bytes(), HEADER, "header")
