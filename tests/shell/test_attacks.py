# SPDX-License-Identifier: MIT
"""The owner of the delivered file changes it while it is installed. Whatever he writes, and whenever: not one byte of it is armed."""

import os
import random
import subprocess

from board import MIB, SLOT, engine_pauses_before, run
from promises import equal, promise, true
from test_bundle import keys, make_bundle, members, signed, trusting
from test_local_users import PYTHON, USER, open_to_users

# What the vendor signed and what the owner of the file wants instead, of the same size.
GOOD = b"#!/bin/sh\n# good, signed by the vendor\n".ljust(64, b"#")
EVIL = b"#!/bin/sh\n# EVIL: nobody has signed it\n".ljust(64, b"#")
# Of a bundle of format 2, and what of it is swapped.
FRAMES = "to-bundle.blocks"
SWAPPED_MEMBERS = {
    "format 2: frames": (FRAMES,),
    "format 2: index": ("index",),
    "format 2: index and frames": ("index", FRAMES),
    "format 2: manifest, index and frames": ("manifest", "index", FRAMES),
    "format 2: all of it": ("manifest", "manifest.sig", "index", FRAMES),
}
# Tries of all kinds together: few in a default run, and 1000 as scripts/test --full says.
ALL_TRIES = int(os.environ.get("OTA_ATTACKS", "24"))

# Swaps bytes of the file back and forth at times of its own until sysupgrade has ended: argv is file, end, seed, longest pause in
# microseconds, then OFFSET:FILE of what is evil, and again of what is good.
SWAPPER = """
import os, random, sys, time
file = open(sys.argv[1], "r+b", buffering=0)
luck, longest = random.Random(int(sys.argv[3])), int(sys.argv[4])
parts = [(int(part.partition(":")[0]), open(part.partition(":")[2], "rb").read()) for part in sys.argv[5:]]
evil, good = parts[:len(parts) // 2], parts[len(parts) // 2:]
print("ready", flush=True)
swaps = 0
while not os.path.exists(sys.argv[2]):
    time.sleep(luck.random() ** 2 * longest / 1e6)
    for at, content in evil:
        os.pwrite(file.fileno(), content, at)
    swaps += 1
    time.sleep(luck.random() ** 2 * longest / 1e6)
    for at, content in good:
        os.pwrite(file.fileno(), content, at)
print(swaps, flush=True)
"""


def victim(root):
    (root / "usr/lib/init").write_bytes(GOOD)
    os.chmod(root / "usr/lib/init", 0o755)
    for number in range(3):
        (root / f"usr/lib/more{number}").write_bytes(os.urandom(MIB))


def hostile(root):
    victim(root)
    (root / "usr/lib/init").write_bytes(EVIL)


def payload(content):
    """Where the image of a bundle begins."""
    return sum(512 + (len(member) + 511) // 512 * 512 for _, member in members(content)[:-1]) + 512


def attack_on_blocks(factory, root, what):
    """The same of format 2. The hostile bundle differs in one block, which nobody has signed; all else of it is as good as the vendor's."""
    image = factory.image("ext4", root, size=12 * MIB)
    twin = factory.place / "twin.ext4"
    twin.write_bytes(image.read_bytes().replace(GOOD, EVIL))
    good = make_bundle(factory, image, keys(factory).private("ed25519"), form=2)
    evil = make_bundle(factory, twin, keys(factory).private("ed25519 of a stranger"), form=2)
    places, at = [], 0
    for (name, mine), (_, other) in zip(members(good), members(evil), strict=True):
        # Into the place of the good one, as far as there is room.
        if name in SWAPPED_MEMBERS[what]:
            places.append((at + 512, other[: len(mine)].ljust(len(mine), b"\0")))
        at += 512 + -(-len(mine) // 512) * 512
    true(any(good[at : at + len(part)] != part for at, part in places), "the hostile bundle is another one")
    return good, places


def attack_on(factory, kind):
    """A signed bundle, and what to swap in it: [(offset, evil bytes)]."""
    key = keys(factory).private("ed25519")
    root = factory.system_variant("victim", victim)
    if kind in SWAPPED_MEMBERS:
        return attack_on_blocks(factory, root, kind)
    if kind == "squashfs":
        path = factory.place / "victim.squashfs"
        if not path.exists():
            run("mksquashfs", root, path, "-quiet", "-no-progress", "-no-xattrs", "-noD", "-noF", "-noI")
    elif kind.startswith("another format"):
        path = factory.image("ext4.zst", root, size=12 * MIB)
    elif kind == "tar":
        path = factory.image("tar", root)
    else:
        path = factory.image(kind.split()[0], root, size=12 * MIB)
    content = make_bundle(factory, path, key)
    if "without rootfs-sha256" in kind:
        parts = members(content)
        content = signed(
            factory,
            key,
            b"".join(line + b"\n" for line in parts[0][1].splitlines() if not line.startswith(b"rootfs")),
            parts[-1],
        )
    if kind.startswith("another format"):
        # A tar archive inside of a bundle that was signed for a file system.
        evil = factory.image("tar", factory.system_variant("hostile", hostile)).read_bytes()
        return content, [(payload(content), evil[: len(content) - payload(content) - 1024])]
    if "." in kind:
        # Another file system, compressed likewise, and as much of it as there is room.
        evil = factory.image(kind, factory.system_variant("hostile", hostile), size=12 * MIB).read_bytes()
        return content, [(payload(content), evil[: len(content) - payload(content) - 1024])]
    places, at = [], content.find(GOOD)
    while at >= 0:
        places.append((at, EVIL))
        at = content.find(GOOD, at + 1)
    true(places, "the program is not in the image in one piece")
    return content, places


def deliver_to_user(board, content):
    image = board.deliver(content)
    os.chown(board.root / image.lstrip("/"), USER, USER)
    return image


def outcome(board, result):
    """What a try ended with: refused or good. Everything else is an error."""
    env = board.ota_env()
    if result.code != 0:
        true(result.code in (5, 6, 7, 13, 14), f"code {result.code}: {result.err}")
        equal((env.get("ota_trial"), board.env_bytes()), (None, board.env_before), "environment after a refusal")
        return "refused"
    equal(env.get("ota_trial"), "b", "armed")
    with board.mounted("b") as new:
        equal((new / "usr/lib/init").read_bytes(), GOOD, "the program in the slot that is armed")
        true(
            all(not path.is_file() or path.is_symlink() or EVIL not in path.read_bytes() for path in new.rglob("*")),
            "unsigned bytes in the slot that is armed",
        )
    board.flush()
    with open(board.disk, "rb") as disk:
        disk.seek(SLOT["b"][0])
        true(EVIL not in disk.read(SLOT["b"][1]), "unsigned bytes somewhere in the slot that is armed")
    return "good"


# "another format" is a tar archive in a bundle that was signed for a file system.
KINDS = [
    "ext4",
    "ext4 without rootfs-sha256",
    "ext4.zst",
    "ext4.gz",
    "tar",
    "tar.zst",
    "squashfs",
    "another format",
    *SWAPPED_MEMBERS,
]
TRIES = -(-ALL_TRIES // len(KINDS))


@promise(
    "whenever the owner of a signed bundle swaps its payload, the good system is armed or none: {}",
    cases=KINDS,
    patience=120 + 20 * TRIES,
)
def swapped(factory, kind):
    content, evil = attack_on(factory, kind)
    seen = []
    luck = random.Random(kind)
    arguments = []
    for number, (at, part) in enumerate([*evil, *((at, content[at : at + len(part)]) for at, part in evil)]):
        path = factory.place / f"part{number}"
        path.write_bytes(part)
        path.chmod(0o644)
        arguments.append(f"{at}:{path}")
    factory.place.chmod(0o755)
    board = open_to_users(
        factory.board(change=trusting(keys(factory).public("ed25519"), conf="REQUIRE_SIGNATURE=yes\n"))
    )
    for number in range(TRIES):
        # Nothing that an earlier try has left there is as good as what was signed.
        with open(board.loops["b"], "wb") as slot:
            slot.write(bytes(SLOT["b"][1]))
        image = deliver_to_user(board, content)
        end = board.root / "tmp/end"
        end.unlink(missing_ok=True)
        # From far faster than anything reads to slower than the whole update.
        longest = 10 ** luck.uniform(2, 6.3)
        attacker = subprocess.Popen(
            [
                PYTHON,
                "-c",
                SWAPPER,
                str(board.root / image.lstrip("/")),
                str(end),
                str(luck.randrange(1 << 30)),
                str(int(longest)),
                *arguments,
            ],
            user=USER,
            group=USER,
            extra_groups=[],
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        equal(attacker.stdout.readline().strip(), "ready", "the attacker is there")
        result = board.sysupgrade("--no-reboot", image)
        end.touch()
        attacker.communicate()
        seen.append(outcome(board, result))
        if result.code == 0:
            equal(board.run("/sbin/ota-slot", "cancel").code, 0, "exit code of cancel")
            board.env_before = board.env_bytes()
        del factory.transcript[:]
    factory.transcript.append(f"{TRIES} tries: {seen.count('good')} good, {seen.count('refused')} refused")
    print(
        f"# {kind}: {TRIES} tries, {seen.count('good')} armed the good system, {seen.count('refused')} refused",
        flush=True,
    )


STEPS = [
    (kind, step)
    for kind in ("ext4", "ext4.zst", "tar.zst", "squashfs", "another format", *SWAPPED_MEMBERS)
    for step in ("open", "check", *{"ta": ("unpack", "compare"), "sq": ("stage",)}.get(kind[:2], ("write", "verify")))
]


@promise(
    "what is swapped between two steps of an update never reaches an armed slot: {0[0]}, before {0[1]}", cases=STEPS
)
def between_steps(factory, case):
    kind, step = case
    content, evil = attack_on(factory, kind)
    for back_again in (False, True):
        board = factory.board(
            change=trusting(
                keys(factory).public("ed25519"),
                conf="REQUIRE_SIGNATURE=yes\n",
                also=lambda root: engine_pauses_before(root, step),
            )
        )
        board.fifo("reached")
        board.fifo("go")
        image = board.deliver(content)
        process = board.start("/sbin/sysupgrade", "--no-reboot", image)
        board.reached("reached")
        with open(board.root / image.lstrip("/"), "r+b") as file:
            for at, part in evil:
                file.seek(at)
                file.write(part)
        board.tell("go")
        if back_again:
            with open(board.root / image.lstrip("/"), "r+b") as file:
                for at, part in evil:
                    file.seek(at)
                    file.write(content[at : at + len(part)])
        outcome(board, board.finish(process))
        factory.close_boards()
