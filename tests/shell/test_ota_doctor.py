# SPDX-License-Identifier: MIT
"""ota-doctor: every check provoked once, on real devices and environments."""

import hashlib
import json
import os
import re
import shutil
import subprocess

import test_scripts
from board import DATA, DISK_BYTES, ENV, ENV_BYTES, MIB, PARTITIONS, SLOT, device_number, executable, run
from promises import equal, promise, true
from test_bundle import keys, trusting
from test_ota_slot import on_trial

DOCTOR = "/sbin/ota-doctor"
CANARY = "5eed5eed"
CHECKS = [
    "env-config",
    "env-place",
    "env-copy-1",
    "env-copy-2",
    "env-history",
    "env-linux",
    "boot-script",
    "env-u-boot",
    "boot-state",
    "slots",
    "other-slot",
    "data",
    "etc",
    "afero-nv",
    "panic",
    "trial-guard",
    "otamgr",
    "clock",
    "log",
    "programs",
    "signatures",
    "images",
]


def put(board, place, text):
    """A file of /proc with other content, for this board."""
    source = board.place / place.replace("/", "-")
    if not source.exists():
        source.touch()
        run("mount", "--bind", source, board.root / place)
    source.write_text(text)


def command_line(board, *words):
    put(board, "proc/cmdline", " ".join(["console=ttyS0", "root=PARTUUID=1234", "rootwait", *words]) + "\n")


def made_healthy(board, canary=True):
    """What a booted device has and the board of the other tests has no need for."""
    for part in PARTITIONS:
        (board.sys_folder(part) / "start").write_text(f"{(DATA if part == 'data' else SLOT[part])[0] // 512}\n")
    put(board, "proc/sys/kernel/panic", "5\n")
    executable(board.root / "usr/bin/otamgr", "#!/bin/sh\n")
    executable(board.root / "usr/bin/java", "#!/bin/sh\nread -r _ </tmp/never\n")
    board.settle()
    board.fifo("never")
    board.java = board.start("/usr/bin/java", "-Xss256k", "org.metaotamgr.daemon.OtamgrMain")
    words = [f"ota.slot={board.running}"]
    if canary:
        board.set_env(ota_bootargs=f"quiet ota.canary={CANARY}")
        words += ["quiet", f"ota.canary={CANARY}"]
    command_line(board, *words)
    return board


def healthy(factory, **options):
    return made_healthy(factory.board(**options))


def look(board, *arguments):
    """Exit code, check → finding, and the whole JSON object. Looking must not change the environment, nor the slots."""
    # Hashing the slots takes longer than looking, so only where something could have been written to them.
    watched = "ab" if getattr(board, "slots_are_watched", False) else ""

    def content():
        return board.env_bytes(), [board.slot_bytes(slot) for slot in watched]

    before = content()
    result = board.run(DOCTOR, "--json", *arguments)
    equal(result.out.count("\n"), 1, "lines of JSON")
    found = json.loads(result.out)
    if "--fix" not in arguments:
        equal(content(), before, "environment and slots")
    equal(len({check["check"] for check in found["checks"]}), len(found["checks"]), "one finding for each check")
    equal(
        sorted(os.listdir(board.root / "tmp")), sorted({"never", *getattr(board, "tmp_files", [])}), "what is in /tmp"
    )
    return result.code, {check["check"]: check for check in found["checks"]}, found


def same_as_text(board):
    """The text says what the JSON says."""
    board.replace("bin/date", "#!/bin/sh\necho 2026-05-01T00:00:00Z\n")
    code, found, _ = look(board)
    text = board.run(DOCTOR)
    equal((text.code, text.err), (code, ""), "exit code and complaints")
    expected = []
    for check in found.values():
        expected.append(f"{check['level']:<8} {check['check']:<12} {check['found']}")
        expected += [f"{'':22}{key}: {check[key]}" for key in ("expected", "do") if check[key]]
    counts = [sum(check["level"] == level for check in found.values()) for level in ("ok", "warning", "problem")]
    equal(text.out.splitlines(), [*expected, "{} ok, {} warnings, {} problems".format(*counts)], "text")


@promise("a backslash and a quote are the same JSON under {}", cases=["busybox", "gawk", "mawk"])
def any_awk(factory, awk):
    board = healthy(factory)
    if awk != "busybox":
        (board.root / "usr/bin/awk").unlink(missing_ok=True)
        factory.copy_program(shutil.which(awk), board.root, board.root / "usr/bin/awk")
        board.settle()
    command_line(board, 'ota.slot=a\\x5c\\\\&"', f"ota.canary={CANARY}")
    expect(board, "boot-script", "problem", 'ota.slot=a\\x5c\\\\&", but slot a runs')


@promise("what is mounted is a problem where it cannot be read: {}", cases=["other-slot", "data"])
def unread_mounts(factory, check):
    board = healthy(factory)
    board.blind("/data" if check == "data" else device_number(board.loops["b"]))
    expect(board, check, "problem", "cannot be read")


def expect(board, check, level, *words, others=(), arguments=()):
    """This check has this level and says these words; the rest is ok, except the checks in others."""
    code, found, _ = look(board, *arguments)
    true(check in found, f"{check} in {list(found)}")
    equal(found[check]["level"], level, f"level of {found[check]}")
    for word in words:
        true(
            word in " | ".join([found[check][key] for key in ("found", "expected", "do")]),
            f"'{word}' in {found[check]}",
        )
    if level != "ok":
        true(found[check]["expected"] and found[check]["do"], f"expectation and advice in {found[check]}")
    for other, finding in found.items():
        if other not in (check, *others):
            equal(finding["level"], "ok", f"level of {finding}")
    levels = {finding["level"] for finding in found.values()}
    equal(code, 4 if "problem" in levels else 1 if "warning" in levels else 0, "exit code")
    return found


def poke(board, offset, content):
    board._write_at(offset, content)
    run("blockdev", "--flushbufs", board.loops["disk"])
    board.env_before = board.env_bytes()


def configure(board, *lines):
    (board.root / "etc/fw_env.config").write_text("".join(line + "\n" for line in lines))
    board.settle()


def copy_line(offset, size=ENV_BYTES, device="/dev/mmcblk0"):
    return f"{device} {offset:#x} {size:#x}"


@promise("ota-doctor is clean under shellcheck, explains every exit code it uses and every check it makes")
def style(factory):
    test_scripts.shellcheck(factory, "ota-doctor")
    test_scripts.documented_codes(factory, "ota-doctor")
    board = factory.board()
    text = board.run(DOCTOR, "--help").out
    for check in [*CHECKS, "floor"]:
        true(re.search(rf"^  {check}\b", text, re.M), f"{check} in --help")


@promise("on a healthy board ota-doctor finds everything ok, for either slot")
def all_well(factory):
    for running in "ab":
        board = healthy(factory, running=running)
        board.slots_are_watched = True
        code, found, whole = look(board)
        equal(
            [(check, finding["level"]) for check, finding in found.items()],
            [(check, "ok") for check in CHECKS],
            "findings",
        )
        equal(
            (code, whole["verdict"], whole["problems"], whole["warnings"], whole["fixed"]),
            (0, "ok", 0, 0, []),
            "verdict",
        )
    same_as_text(board)


@promise("ota-doctor: a missing, single, uneven or senseless fw_env.config is a problem")
def env_config(factory):
    board = healthy(factory)
    second = ENV[0] + ENV_BYTES
    dependent = ["env-linux", "env-u-boot", "boot-state", "env-copy-1", "env-copy-2"]
    for lines, words in (
        ([], "names 0 copies"),
        ([copy_line(ENV[0])], "names 1 copies"),
        ([copy_line(ENV[0]), copy_line(second, ENV_BYTES // 2)], "copies of 65536 and 32768 bytes"),
        (["/dev/mmcblk0 here 0x10000"], "'/dev/mmcblk0 here 0x10000'"),
        ([copy_line(ENV[0] + 100), copy_line(second)], "not a multiple of 512"),
    ):
        configure(board, "# comment", *lines)
        expect(board, "env-config", "problem", words, others=dependent)
    (board.root / "etc/fw_env.config").unlink()
    board.settle()
    expect(board, "env-config", "problem", "missing or not readable", others=dependent)
    same_as_text(board)


@promise(
    "ota-doctor understands the YAML form of fw_env.config as the text form: {}",
    cases=["two copies", "one copy", "two sets", "no offset"],
)
def env_config_yaml(factory, what):
    board = healthy(factory)
    device = "    - path : /dev/mmcblk0\n      offset : {:#x}\n      sectorsize: 0x200\n"
    text = (
        f"# comment\nuboot:\n  size : {ENV_BYTES:#x}\n  lockfile : /var/lock/fw_printenv.lock\n  devices:\n"
        + device.format(ENV[0])
    )
    words = {
        "two copies": "two copies of 65536 bytes",
        "one copy": "names 1 copies",
        "two sets": "more than one set",
        "no offset": "without path or offset",
    }[what]
    if what != "one copy":
        text += device.format(ENV[0] + ENV_BYTES)
    if what == "two sets":
        text += "more:\n  size: 0x4000\n  devices:\n    - path: /dev/mmcblk0\n      offset: 0\n"
    if what == "no offset":
        text += "    - path : /dev/mmcblk0\n"
    (board.root / "etc/fw_env.config").write_text(text)
    board.settle()
    # The fw_printenv of the tests may be older than this form.
    expect(
        board,
        "env-config",
        "ok" if what == "two copies" else "problem",
        words,
        others=["env-linux", "env-u-boot", "boot-state", "env-copy-1", "env-copy-2", "env-history"],
    )
    (board.root / "usr/bin/fw_printenv").rename(board.root / "usr/bin/fw_printenv.real")
    executable(board.root / "usr/bin/fw_printenv", '#!/bin/sh\nexec fw_printenv.real -c /etc/text.config "$@"\n')
    (board.root / "etc/text.config").write_text(
        f"/dev/mmcblk0 {ENV[0]:#x} {ENV_BYTES:#x}\n/dev/mmcblk0 {ENV[0] + ENV_BYTES:#x} {ENV_BYTES:#x}\n"
    )
    board.settle()
    result = board.sysupgrade("-T", board.deliver(factory.image("ext4")))
    equal(result.code, 0 if what == "two copies" else 10, f"exit code of sysupgrade, said {result.err}")


@promise(
    "ota-doctor: an environment that overlaps itself, a partition or a partition table, or is elsewhere, is a problem"
)
def env_place(factory):
    board = healthy(factory)
    # Somewhere else there is no environment, so the other checks of it complain too.
    dependent = ["env-copy-1", "env-copy-2", "env-linux", "env-u-boot", "boot-state", "env-history"]
    second = copy_line(ENV[0] + ENV_BYTES)
    for first, words in (
        (copy_line(ENV[0] + ENV_BYTES // 2), "the two copies overlap"),
        (copy_line(33 * 512), "in the partition table"),
        (copy_line(DISK_BYTES - ENV_BYTES - 512), "where the second partition table is"),
        (copy_line(SLOT["a"][0] - 512), "overlaps partition mmcblk0p2 (rootfs-a)"),
        (copy_line(DATA[0] + MIB), "overlaps partition mmcblk0p4 (data)"),
        (copy_line(0x100000, device="/dev/mmcblk0p3"), "inside partition mmcblk0p3"),
        (copy_line(0, device="/dev/mmcblk9"), "/dev/mmcblk9 is not a block device"),
    ):
        configure(board, first, second)
        expect(board, "env-place", "problem", words, others=dependent)
    # A device of another disk.
    other = board.place / "other-disk"
    other.write_bytes(bytes(MIB))
    board.loops["elsewhere"] = board._loop(other)
    board.make_node("sdz", "elsewhere")
    configure(board, copy_line(0x20000, device="/dev/sdz"), second)
    expect(board, "env-place", "problem", "/dev/sdz is not on the disk of /", "ENV_DEVICE=/dev/sdz", others=dependent)
    (board.root / "etc/otamgr/sysupgrade.conf").write_text("ENV_DEVICE=/dev/sdz\n")
    board.settle()
    expect(board, "env-place", "ok", others=dependent)


@promise("ota-doctor: an environment in a hardware partition of the eMMC must not be write-protected")
def env_in_boot_partition(factory):
    board = healthy(factory)
    copies = board.env_bytes()
    boot0 = board.place / "boot0"
    boot0.write_bytes(copies[0] + copies[1])
    board.loops["boot0"] = board._loop(boot0)
    board.make_node("mmcblk0boot0", "boot0")
    number = device_number(board.loops["boot0"])
    folder = board.root / "sys/dev/block" / number
    folder.mkdir()
    (folder / "uevent").write_text("DEVNAME=mmcblk0boot0\n")
    (folder / "force_ro").write_text("0\n")
    configure(board, copy_line(0, device="/dev/mmcblk0boot0"), copy_line(ENV_BYTES, device="/dev/mmcblk0boot0"))
    expect(board, "env-place", "ok")
    (folder / "force_ro").write_text("1\n")
    expect(board, "env-place", "problem", "write-protected", "echo 0 >/sys/block/mmcblk0boot0/force_ro")


@promise("ota-doctor sees one bad copy that fw_printenv hides, and says what is wrong with it")
def one_bad_copy(factory):
    board = healthy(factory)
    good = board.env_bytes()
    for copy in (1, 2):
        offset = ENV[0] + (copy - 1) * ENV_BYTES
        content = good[copy - 1]
        for damaged, words in (
            (content[:1000] + b"\x01" + content[1001:], "checksum wrong"),
            (content[: ENV_BYTES // 2] + bytes(b ^ 0x55 for b in content[ENV_BYTES // 2 :]), "checksum wrong"),
            (bytes(ENV_BYTES), "never written, or erased"),
            (b"\xff" * ENV_BYTES, "never written, or erased"),
        ):
            poke(board, offset, damaged)
            # When the newer one is lost, the older values are back: without the canary.
            found = expect(board, f"env-copy-{copy}", "problem", words, "--fix", others=["env-u-boot"])
            true(
                "env-history" not in found and found["env-linux"]["found"] == f"fw_printenv shows copy {3 - copy}",
                str(found["env-linux"]),
            )
        poke(board, offset, content)
    poke(board, ENV[0], bytes(2 * ENV_BYTES))
    code, found, _ = look(board)
    equal(
        (
            code,
            found["env-copy-1"]["level"],
            found["env-copy-2"]["level"],
            found["env-linux"]["level"],
            found["boot-state"]["level"],
            found["slots"]["level"],
        ),
        (4, "problem", "problem", "problem", "problem", "ok"),
        "both bad",
    )


@promise("ota-doctor recognises an environment of another size, and one without redundancy")
def other_form(factory):
    board = healthy(factory)
    text = b"ota_slot=a\n"
    for size, redundant, words in (
        (0x4000, ["-r"], ["a good environment of 16384 bytes, not 65536", "to 0x4000"]),
        (0x20000, ["-r"], ["131072 bytes, not 65536", "to 0x20000"]),
        (0x10000, [], ["without redundancy", "CONFIG_ENV_REDUNDANT"]),
    ):
        made = run("mkenvimage", *redundant, "-s", hex(size), "-o", "-", "-", input=text)
        poke(board, ENV[0], made)
        found = expect(
            board,
            "env-copy-1",
            "problem",
            *words,
            others=["env-copy-2", "env-linux", "env-u-boot", "boot-state", "env-history"],
        )
        before = board.env_bytes()
        equal(look(board, "--fix")[2]["fixed"], [], "not repaired: U-Boot may be the one that is right")
        equal(board.env_bytes(), before, "environment")
        true(found["env-place"]["level"] == "ok", "place")


@promise("ota-doctor compares the generations of the copies, also where 255 is followed by 0")
def generations(factory):
    board = healthy(factory)

    def numbered(first, second):
        for number, generation in enumerate((first, second)):
            poke(board, ENV[0] + number * ENV_BYTES + 4, bytes([generation]))

    # made_healthy wrote once, so copy 2 has the canary.
    numbered(255, 0)
    found = expect(board, "env-history", "ok", "copy 2 is the newer one")
    equal(found["env-linux"]["found"], "fw_printenv shows copy 2", "Linux")
    numbered(3, 9)
    expect(board, "env-history", "warning", "generations 3 and 9")
    numbered(7, 7)
    expect(board, "env-history", "problem", "both copies are of generation 7 but differ", others=["env-u-boot"])
    fresh = factory.board()
    made_healthy(fresh, canary=False)
    expect(fresh, "env-history", "ok", "with the same content, as flashed", others=["env-u-boot"])


@promise("ota-doctor says when fw_printenv shows something else than the newer copy")
def env_linux(factory):
    board = healthy(factory)
    board.replace(
        "usr/bin/fw_printenv",
        '#!/bin/sh\n[ "$*" = ota_bootargs ] || echo ota_slot=a\n'
        "case $* in '' | ota_bootargs) echo ota_bootargs=ota.canary=" + CANARY + " ;; esac\n",
    )
    expect(board, "env-linux", "problem", "does not show copy 2")
    board.replace("usr/bin/fw_printenv", "#!/bin/sh\necho broken >&2\nexit 1\n")
    expect(board, "env-linux", "problem", "fw_printenv: broken", others=["boot-state", "env-u-boot"])


@promise("ota-doctor: the kernel's command line tells whether the boot script started this slot")
def boot_script(factory):
    board = healthy(factory)
    command_line(board, f"ota.canary={CANARY}")
    expect(board, "boot-script", "problem", "no ota.slot=", "put boot.scr on the boot partition")
    command_line(board, "ota.slot=b", f"ota.canary={CANARY}")
    expect(board, "boot-script", "problem", "ota.slot=b, but slot a runs")
    # The last one counts, as for the kernel; a longer name is another one.
    command_line(board, "ota.slot=b", "ota.slot=a", "xota.slot=b", f"ota.canary={CANARY}")
    expect(board, "boot-script", "ok")


@promise("ota-doctor: a canary, or the boots that U-Boot counted, prove that U-Boot and Linux use one environment")
def env_u_boot(factory):
    board = healthy(factory)
    command_line(board, "ota.slot=a", "quiet")
    expect(
        board, "env-u-boot", "problem", f"the canary {CANARY} of this environment is not on the kernel's command line"
    )
    board.set_env(ota_bootargs="")
    expect(board, "env-u-boot", "warning", "no proof yet", "--fix")
    (board.root / "data/otamgr").mkdir()
    journal = board.root / "data/otamgr/journal"

    def recorded(*events):
        journal.write_text("".join(f"2026-01-01T00:00:0{number}Z {event}\n" for number, event in enumerate(events)))

    recorded(
        "armed txn=T slot=b tries=3",
        "trial-boot txn=T slot=b tries=2",
        "trial-boot txn=T slot=b tries=1",
        "committed txn=T slot=b",
    )
    expect(board, "env-u-boot", "ok", "U-Boot counted a trial's boots in it (3 to 2, 2026-01-01T00:00:01Z)")
    recorded("armed txn=T slot=b tries=3", "trial-boot txn=T slot=b tries=3")
    expect(board, "env-u-boot", "problem", "had 3 of 3 tries left: U-Boot counted elsewhere")
    journal.unlink()
    # Only U-Boot writes this.
    board.set_env(ota_failed="T", ota_failed_why="load-failed")
    expect(board, "env-u-boot", "ok", "U-Boot wrote ota_failed=T into it")
    board.set_env(ota_failed="", ota_failed_why="", ota_trial="b", ota_tries="3", ota_txn="T")
    recorded("armed txn=T slot=b tries=3")
    expect(
        board,
        "env-u-boot",
        "problem",
        "a trial of slot b is armed (3 tries left), but U-Boot started slot a",
        others=["boot-state"],
    )


@promise("ota-doctor shows every boot state, and a mismatch as a problem")
def boot_state(factory):
    board = healthy(factory)
    board.set_env(ota_slot="b")
    expect(board, "boot-state", "problem", "slot a runs, slot b is committed")
    board.set_env(ota_slot="a", ota_trial="b", ota_tries="3", ota_txn="T")
    expect(board, "boot-state", "warning", "although slot b was armed before this boot", "ota-slot cancel")
    (board.root / "run/otamgr").mkdir()
    (board.root / "run/otamgr/armed").write_text("T\n")
    # Armed by hand: what is in the slot has no marker.
    expect(board, "boot-state", "ok", "slot b starts its trial", others=["other-slot"])
    board.set_env(ota_slot="nonsense")
    expect(board, "boot-state", "problem", "ota_slot in the U-Boot environment is 'nonsense'", others=["other-slot"])


@promise("ota-doctor: slots without names, or of different sizes, are found")
def slots(factory):
    board = healthy(factory, names=False)
    expect(
        board, "slots", "problem", "needs partitions named rootfs-a and rootfs-b", others=["boot-state", "boot-script"]
    )
    board = healthy(factory)
    (board.sys_folder("b") / "size").write_text("20000\n")
    expect(board, "slots", "warning", f"slot a has {SLOT['a'][1]} bytes, slot b 10240000")


@promise("ota-doctor looks into the other slot without writing to it: system, marker, empty, half-written, in use")
def other_slot(factory):
    board = healthy(factory)
    board.slots_are_watched = True
    expect(board, "other-slot", "ok", "slot b holds a system without marker, as it was flashed")
    board.set_env(ota_txn="one")
    equal(board.sysupgrade("--no-reboot", "--txn", "two", board.deliver(factory.image("ext4.gz"))).code, 0, "update")
    board.tmp_files = os.listdir(board.root / "tmp")
    expect(board, "other-slot", "warning", "the running system does not", "echo txn=flashed >/boot/ota-slot-valid")
    (board.root / "boot/ota-slot-valid").write_text("txn=one\n")
    board.settle()
    expect(board, "other-slot", "ok", "complete by its marker (update two)")
    run("mount", "-t", "ext4", "-o", "ro,noload", board.loops["b"], board.root / "root")
    expect(board, "other-slot", "warning", "slot b is mounted on /root", "umount /root")
    run("umount", board.root / "root")
    board._write_at(SLOT["b"][0], b"\x11" * 4096)
    run("blockdev", "--flushbufs", board.loops["b"])
    expect(board, "other-slot", "problem", "slot b does not mount")
    board._write_at(SLOT["b"][0], bytes(4096))
    run("blockdev", "--flushbufs", board.loops["b"])
    expect(board, "other-slot", "warning", "an update stopped while it was written")
    board.set_env(ota_txn="", ota_trial="", ota_tries="", ota_log="")
    (board.root / "data/otamgr/journal").unlink()
    expect(board, "other-slot", "ok", "never updated, nothing to fall back on yet")
    run("mke2fs", "-q", "-F", "-t", "ext4", board.loops["b"])
    expect(board, "other-slot", "warning", "without /sbin/init")


@promise(
    "ota-doctor unmounts the other slot and leaves nothing behind where /tmp is a link, as with OpenEmbedded's sysvinit"
)
def temporary_files_behind_a_link(factory):
    board = factory.board()
    run("umount", board.root / "tmp")
    (board.root / "tmp").rmdir()
    (board.root / "var/volatile/tmp").mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", board.root / "var/volatile/tmp")
    (board.root / "tmp").symlink_to("var/volatile/tmp")
    made_healthy(board)
    board.slots_are_watched = True
    expect(board, "other-slot", "ok", "slot b holds a system without marker, as it was flashed")


@promise("ota-doctor leaves the other slot alone while an update is being written, and repairs nothing")
def while_updating(factory):
    board = healthy(factory)
    poke(board, ENV[0], bytes(ENV_BYTES))
    board.fifo("go")
    board.fifo("held")
    board.tmp_files = ["go", "held"]
    (board.root / "run/otamgr").mkdir()
    holder = board.start(
        "/bin/sh", "-c", "exec 9>/run/otamgr/sysupgrade.lock; flock -n 9; echo held >/tmp/held; read -r _ </tmp/go"
    )
    board.reached("held")
    expect(board, "other-slot", "ok", "slot b is being written right now", others=["env-copy-1"])
    equal(look(board, "--fix")[2]["fixed"], [], "repairs")
    equal(board.env_copies_written(), [], "copies written")
    board.tell("go")
    equal(board.finish(holder).code, 0, "holder")


@promise("ota-doctor: /data must be mounted, writable, and have room; /afero_nv must lead there")
def data(factory):
    board = healthy(factory)
    with open(board.root / "data/filler", "wb", buffering=0) as filler:
        status = os.statvfs(board.root / "data")
        filler.write(bytes((status.f_bavail * status.f_frsize) - 600 * 1024))
    expect(board, "data", "warning", "/data is nearly full")
    with open(board.root / "data/filler2", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
    expect(board, "data", "problem", "/data is full")
    for name in ("filler", "filler2"):
        (board.root / "data" / name).unlink()
    run("mount", "-o", "remount,ro", board.root / "data")
    expect(board, "data", "problem", "mounted read-only")
    run("mount", "-o", "remount,rw", board.root / "data")
    (board.root / "afero_nv").unlink()
    (board.root / "afero_nv").mkdir()
    board.settle()
    expect(board, "afero-nv", "problem", "not on the data partition")
    (board.root / "afero_nv").rmdir()
    (board.root / "afero_nv").symlink_to("data/nowhere")
    board.settle()
    expect(board, "afero-nv", "problem", "leads nowhere", "ln -s data/afero_nv /afero_nv")
    run("umount", board.root / "data")
    expect(board, "data", "problem", "/data is not mounted", others=["afero-nv"])


@promise("ota-doctor: a kernel that does not reboot after a panic is a problem")
def panic(factory):
    board = healthy(factory)
    put(board, "proc/sys/kernel/panic", "0\n")
    expect(board, "panic", "problem", "kernel.panic is 0", "panic=5")
    put(board, "proc/sys/kernel/panic", "-1\n")
    expect(board, "panic", "ok")


@promise("ota-doctor: in a trial the guard must run, and otamgr always")
def processes(factory):
    board = made_healthy(
        on_trial(factory, change=lambda root: (root / "etc/otamgr/trial.conf").write_text("COMMIT_DEADLINE=86400\n"))
    )
    expect(board, "trial-guard", "problem", "does not run", "/etc/init.d/ota-trial-guard start")
    board.fifo("slept")
    board.tmp_files = ["slept"]
    board.replace("bin/sleep", '#!/bin/sh\necho "$1" >/tmp/slept\nexec busybox sleep "$1"\n')
    board.start("/sbin/ota-trial-guard")
    board.reached("slept")
    expect(board, "trial-guard", "ok", "waits for the commit")
    board.tell("never")
    equal(board.finish(board.java).code, 0, "otamgr ended")
    expect(board, "otamgr", "problem", "does not run")
    (board.root / "usr/bin/otamgr").unlink()
    board.settle()
    expect(board, "otamgr", "warning", "not installed")


@promise("ota-doctor: a clock before 2024, or behind the journal, is a warning")
def clock(factory):
    board = healthy(factory)
    board.replace("bin/date", "#!/bin/sh\necho 1970-01-01T00:00:17Z\n")
    expect(board, "clock", "warning", "1970-01-01")
    board.replace("bin/date", "#!/bin/sh\necho 2026-05-01T00:00:00Z\n")
    expect(board, "clock", "ok")
    (board.root / "data/otamgr").mkdir()
    (board.root / "data/otamgr/journal").write_text(
        "2026-06-01T00:00:00Z slot-mismatch running=a committed=b\n2026-04-01T00:00:00Z x y=z\n"
    )
    expect(board, "clock", "warning", "but the journal knows 2026-06-01T00:00:00Z")


@promise(
    "ota-doctor: an event log that lacks what the environment knows of is a warning; one that has it, or may have had it, is none"
)
def log(factory):
    board = healthy(factory)
    journal = board.root / "data/otamgr/journal"
    expect(board, "log", "ok", "nothing was armed or committed")
    for number in range(3):
        equal(board.run("/sbin/ota-slot", "note", "one", f"number={number}").code, 0, "note")
    content = journal.read_text()
    lines = content.splitlines(keepends=True)
    links = [line.split("link=")[1].strip() for line in lines]
    board.set_env(ota_log=links[1])
    expect(board, "log", "ok", "link 2")
    journal.write_text(lines[0] + lines[2])
    expect(board, "log", "warning", "lacks link 2", "ota-why --export", "ota log verify")
    # What is no longer kept may have been there.
    journal.write_text(f"2026-01-01T00:00:00Z log-continued after={links[1]} link=3:{'0' * 64}\n")
    expect(board, "log", "ok", "link 2")
    journal.unlink()
    expect(board, "log", "warning", "lacks link 2")
    journal.write_text(content)
    for damaged in ("2", "two:" + links[1][2:], links[1] + "0", links[1] + "\\n", "0" + links[1]):
        board.set_env(ota_log=damaged)
        expect(board, "log", "warning", "no link")


@promise("ota-doctor: missing programs are named; those for some image formats only as a warning")
def programs(factory):
    board = healthy(factory)
    (board.root / "sbin/resize2fs").unlink()
    (board.root / "sbin/mke2fs").unlink()
    board.settle()
    expect(board, "programs", "warning", "resize2fs", "mke2fs")
    (board.root / "bin/flock").unlink()
    board.settle()
    expect(board, "programs", "problem", "missing: flock")


@promise("ota-doctor: signatures that could not be verified are found before an update is refused")
def signatures(factory):
    made = keys(factory)
    board = healthy(factory, change=trusting(made.public("ed25519"), made.public("p256", "p256"), compatible="acme"))
    board.set_env(ota_floor="1.4", ota_bootargs=f"quiet ota.canary={CANARY}")
    expect(board, "signatures", "ok", "2 keys", "board acme", "floor 1.4", "signature are refused")
    listed = board.root / "etc/otamgr/keys.d/ours.revoked"
    listed.write_text(f"# stolen\n{'0a' * 32}  # a key\n{':'.join(['0B'] * 32)}\n\n")
    expect(board, "signatures", "ok", "2 keys, 2 revoked")
    listed.write_text(f"# stolen\n{'0a' * 31}\n")
    expect(board, "signatures", "problem", "ours.revoked cannot be understood, line 2", "every update is refused")
    listed.unlink()
    (board.root / "etc/otamgr/sysupgrade.conf").write_text("REQUIRE_SIGNATURE=no\n")
    expect(board, "signatures", "ok", "taken, too")
    (board.root / "etc/otamgr/sysupgrade.conf").write_text("REQUIRE_SIGNATURE: yes\n")
    expect(board, "signatures", "problem", "sysupgrade.conf, line 1: 'REQUIRE_SIGNATURE: yes'")
    (board.root / "etc/otamgr/sysupgrade.conf").write_text("REQUIRE_SIGNATURE=yes\n")
    expect(board, "signatures", "ok", "signature are refused")
    board.set_env(ota_floor="newest", ota_bootargs=f"quiet ota.canary={CANARY}")
    expect(board, "signatures", "problem", "newest", "every bundle is refused")
    (board.root / "etc/otamgr/compatible").unlink()
    expect(board, "signatures", "warning", "compatible")
    rsa = board.root / "etc/otamgr/keys.d/rsa.pem"
    rsa.write_text(run("openssl", "pkey", "-pubout", input=run("openssl", "genpkey", "-algorithm", "RSA")).decode())
    expect(board, "signatures", "warning", "rsa.pem")
    (board.root / "usr/lib/otamgr/ota-content").rename(board.root / "usr/lib/otamgr/away")
    board.settle()
    expect(board, "signatures", "problem", "ota-content", others=["programs", "env-copy-1", "env-copy-2"])
    (board.root / "usr/lib/otamgr/away").rename(board.root / "usr/lib/otamgr/ota-content")
    board.settle()
    for key in (board.root / "etc/otamgr/keys.d").iterdir():
        key.unlink()
    expect(board, "signatures", "problem", "signatures are required")
    (board.root / "etc/otamgr/keys.d/0.pem").write_text(made.private("ed25519").read_text())
    expect(board, "signatures", "problem", "private key")


@promise("ota-doctor --fix writes a bad copy again with unchanged values, without touching the good one, once")
def fix_copy(factory):
    for lost in (0, 1):
        board = healthy(factory)
        board.set_env(other="kept value = x")
        board.set_env(other="kept value = x")  # in both copies now
        good_before = board.env_bytes()[1 - lost]
        poke(board, ENV[0] + lost * ENV_BYTES + 77, b"\xaa" * 300)
        values = board.env()
        code, found, whole = look(board, "--fix")
        equal(whole["fixed"], [f"copy {lost + 1} of the U-Boot environment was written again"], "fixed")
        equal(
            (code, found["env-copy-1"]["level"], found["env-copy-2"]["level"], found["env-history"]["level"]),
            (0, "ok", "ok", "ok"),
            "findings",
        )
        equal(board.env_bytes()[1 - lost], good_before, "the good copy")
        equal(board.env(), values, "values")
        equal((values["other"], values["ota_slot"]), ("kept value = x", "a"), "values")
        equal(board.events(), [f"env-repaired copy={lost + 1}"], "journal")
        after = board.env_bytes()
        equal(look(board, "--fix")[2]["fixed"], [], "a second time")
        equal((board.env_bytes(), board.slot_bytes("a")), (after, board.running_before), "nothing more is changed")


@promise(
    "ota-doctor --fix leaves a canary in ota_bootargs, keeps what was there, and the next boot proves or disproves it"
)
def fix_canary(factory):
    board = made_healthy(factory.board(), canary=False)
    board.set_env(ota_bootargs="quiet loglevel=3")
    code, found, whole = look(board, "--fix")
    canary = re.fullmatch(
        r"canary ([0-9a-f]{8}) added to ota_bootargs; it shows with the next boot", whole["fixed"][0]
    )[1]
    equal(board.ota_env(), {"ota_slot": "a", "ota_bootargs": f"quiet loglevel=3 ota.canary={canary}"}, "environment")
    equal((code, found["env-u-boot"]["level"]), (1, "warning"), "until the next boot")
    true("set during this boot" in found["env-u-boot"]["found"], found["env-u-boot"]["found"])
    equal(look(board, "--fix")[2]["fixed"], [], "a second time")
    # The next boot, as the boot script does it: /run is new, the command line ends in ota_bootargs.
    (board.root / "run/otamgr/canary").unlink()
    command_line(board, "ota.slot=a", board.env()["ota_bootargs"])
    expect(board, "env-u-boot", "ok", canary)
    command_line(board, "ota.slot=a")
    expect(board, "env-u-boot", "problem", canary)


@promise("ota-doctor --fix changes nothing during a trial, and nothing where the place of the environment is wrong")
def fix_refused(factory):
    board = made_healthy(on_trial(factory), canary=False)
    poke(board, ENV[0], bytes(ENV_BYTES))
    equal(look(board, "--fix")[2]["fixed"], [], "in a trial")
    equal(board.env_copies_written(), [], "copies written")
    board = made_healthy(factory.board(), canary=False)
    poke(board, ENV[0], bytes(ENV_BYTES))
    (board.sys_folder("a") / "start").write_text(f"{ENV[0] // 512}\n")
    code, found, whole = look(board, "--fix")
    equal((code, whole["fixed"], found["env-place"]["level"]), (4, [], "problem"), "in a wrong place")
    equal(board.env_copies_written(), [], "copies written")


@promise("ota-doctor that cannot look says so with code 10; wrong usage is code 2")
def cannot_look(factory):
    board = healthy(factory)
    for arguments in (["-x"], ["--json", "now"]):
        result = board.run(DOCTOR, *arguments)
        equal((result.code, result.out), (2, ""), f"exit code of {arguments}")
        true(arguments[-1] in result.err, result.err)
    place = board.root / "bin/tail"
    away = place.rename(place.with_name("away"))
    result = board.run(DOCTOR)
    equal((result.code, result.out), (10, ""), "without tail")
    true("tail is missing" in result.err, result.err)
    away.rename(place)
    run("umount", board.root / "sys")
    result = board.run(DOCTOR)
    equal((result.code, result.out), (10, ""), "without /sys")
    nobody = subprocess.run(["chroot", "--userspec=65534:65534", board.root, DOCTOR], capture_output=True, text=True)
    equal(nobody.returncode, 10, "as nobody")
    true("needs root" in nobody.stderr, nobody.stderr)


@promise(
    "the tests for ptest-runner pass on a board that can be updated, and fail where ota-doctor sees a problem; they change nothing"
)
def ptest(factory):
    board = healthy(factory)
    shutil.copy(factory.files / "run-ptest", board.root / "usr/lib/otamgr/run-ptest")

    def state():
        return [hashlib.sha256(copy).hexdigest() for copy in board.env_bytes()], [
            board.slot_bytes(slot) for slot in "ab"
        ]

    def verdicts():
        result = board.run("/bin/sh", "/usr/lib/otamgr/run-ptest")
        return result, re.findall(r"^(PASS|FAIL): (.*)$", result.out, re.M)

    before = state()
    result, found = verdicts()
    equal(([line for line in found if line[0] != "PASS"], result.code), ([], 0), "not kept")
    true({"ota-doctor: env-place", "sysupgrade refuses what is no image"} <= {line[1] for line in found}, f"{found}")
    equal(state(), before, "environment and slots")
    (board.root / "afero_nv").unlink()
    result, found = verdicts()
    failed = [line[1].split(": ")[:2] for line in found if line[0] != "PASS"]
    equal((failed, result.code), ([["ota-doctor", "afero-nv"]], 1), "not kept")


FLOORS = {
    "kept": ("key=yes\ncounter=3\nfloor=2\n", "ok", "this system has index 2; U-Boot starts none below 2"),
    "above this system": ("key=yes\ncounter=3\nfloor=3\n", "problem", "this system has index 2, the floor is 3"),
    "never set": ("key=yes\ncounter=0\nfloor=\n", "warning", "no floor was ever set"),
    "without a key": ("key=no\ncounter=0\nfloor=\n", "warning", "the eMMC has no key"),
    "not readable": ("", "problem", "the floor cannot be read from /dev/mmcblk0rpmb"),
    "no number": ("key=yes\ncounter=3\nfloor=x\n", "problem", "ota-floor status says key=yes"),
}


@promise("a device with a floor in its RPMB says what it is: {}", cases=FLOORS)
def floor(factory, what):
    said, level, words = FLOORS[what]
    board = healthy(factory)
    (board.root / "etc/otamgr/rpmb.conf").write_text("RPMB_DEVICE=/dev/mmcblk0rpmb\n")
    shutil.copy(factory.repository / "recipes-ota/ota-floor/files/ota-floor", board.root / "sbin/ota-floor")
    executable(
        board.root / "usr/lib/otamgr/ota-rpmb", f"#!/bin/sh\ncat <<END\n{said}END\n" if said else "#!/bin/sh\nexit 1\n"
    )
    (board.root / "boot/ota-verified").write_text("rollback_index=2\n")
    board.settle()
    expect(board, "floor", level, words)
