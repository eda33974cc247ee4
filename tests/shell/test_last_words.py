# SPDX-License-Identifier: MIT
"""What a system that died said last: kept by the trial guard, quoted by ota-why."""

import signal
import stat
import subprocess
import time

from board import patience, run
from promises import equal, promise, true
from test_ota_slot import board_in, on_trial
from test_ota_why import ARMED, STARTED, expect, with_journal
from test_trial_guard import command_of, settings

GUARD, WHY = "/sbin/ota-trial-guard", "/sbin/ota-why"
FAILED = {"ota_txn": "T", "ota_failed": "T", "ota_failed_why": "tries-used-up"}
PANIC = "<0>[    4.120001] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\n"

# What dead systems say, and the line that decides. The texts are those of Linux 6.1, systemd, sysvinit, busybox and OpenJDK 17.
DEATHS = {
    "a panic": (
        PANIC
        + "<4>[    4.120002] CPU: 0 PID: 1 Comm: init\n<0>[    4.2] ---[ end Kernel panic - not syncing: x ]---\n",
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
    ),
    "a root file system of another type": (
        "[    1.5] EXT4-fs (mmcblk0p3): VFS: Can't find ext4 filesystem\n[    1.6] Kernel panic - not syncing: VFS: Unable to mount "
        "root fs on unknown-block(179,3)\n",
        "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(179,3)",
    ),
    "no init": (
        "[    2.0] Run /sbin/init as init process\n[    2.1] Kernel panic - not syncing: No working init found.\n",
        "Kernel panic - not syncing: No working init found.",
    ),
    "a first process that gives up": (
        "<12>[    1.2] initramfs: slot b has no /sbin/init\n<0>[    1.3] Kernel panic - not syncing: Attempted to kill init! "
        "exitcode=0x00000100\n",
        "initramfs: slot b has no /sbin/init (Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100)",
    ),
    "a first process that crashes after it said something": (
        "<12>[    1.2] init: the clock is not set\n" + PANIC,
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
    ),
    "an oops": (
        "[    9.1] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008\n[    9.2] Modules linked in: wlan\n",
        "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008",
    ),
    "no memory": (
        "[   30.1] java invoked oom-killer: gfp_mask=0x140cca, order=0\n[   30.2] Out of memory: Killed process 214 (java) total-vm:2048kB\n"
        "[   31.0] usb 1-1: new device\n",
        "Out of memory: Killed process 214 (java) total-vm:2048kB",
    ),
    "a crash of Java": (
        "Jan  1 00:00:20 board user.err otamgr: #\nJan  1 00:00:20 board user.err otamgr: # A fatal error has been detected by the "
        "Java Runtime Environment:\nJan  1 00:00:20 board user.err otamgr: #\nJan  1 00:00:20 board user.err otamgr: #  SIGSEGV (0xb) "
        "at pc=0x0000ffff8c0d1f2c, pid=214, tid=215\n",
        "SIGSEGV (0xb) at pc=0x0000ffff8c0d1f2c, pid=214, tid=215",
    ),
    "a crash of Java with the whole report": (
        "board otamgr: #  SIGSEGV (0xb) at pc=0x0000ffff8c0d1f2c, pid=214, tid=215\nboard otamgr:      bool UseCompressedOops"
        "                        = true\n",
        "SIGSEGV (0xb) at pc=0x0000ffff8c0d1f2c, pid=214, tid=215",
    ),
    "a report of Java without its head": (
        "board otamgr:      bool UseCompressedOops                        = true\nboard otamgr: END.\n",
        "board otamgr: END.",
    ),
    "an oops of another architecture": (
        "[    9.1] Oops: 0002 [#1] PREEMPT SMP\n[    9.2] Modules linked in: wlan\n",
        "Oops: 0002 [#1] PREEMPT SMP",
    ),
    "no heap": (
        "board otamgr: java.lang.OutOfMemoryError: Java heap space\nboard otamgr: Terminating due to java.lang.OutOfMemoryError\n",
        "board otamgr: Terminating due to java.lang.OutOfMemoryError",
    ),
    "a Java that is too old": (
        "board otamgr: Error: LinkageError occurred while loading main class\nboard otamgr: java.lang.UnsupportedClassVersionError: x has been "
        "compiled by a more recent version\n",
        "board otamgr: java.lang.UnsupportedClassVersionError: x has been compiled by a more recent version",
    ),
    "a library that is missing": (
        "board hubby: error while loading shared libraries: libssl.so.3: cannot open shared object file\n",
        "board hubby: error while loading shared libraries: libssl.so.3: cannot open shared object file",
    ),
    "a module that is missing": (
        "board local0.err modprobe: FATAL: Module brcmfmac not found in directory /lib/modules/6.1.0\nboard network: up\n",
        "board local0.err modprobe: FATAL: Module brcmfmac not found in directory /lib/modules/6.1.0",
    ),
    "a service that does not start": (
        "Mar 01 10:00:00 board systemd[1]: hubby.service: Failed with result 'exit-code'.\n"
        "Mar 01 10:00:01 board systemd[1]: Failed to start Afero hub.\n",
        "Mar 01 10:00:01 board systemd[1]: Failed to start Afero hub.",
    ),
    "a unit that hangs": (
        "Mar 01 10:01:30 board systemd[1]: dev-mmcblk0p5.device: Job dev-mmcblk0p5.device/start timed out.\n",
        "Mar 01 10:01:30 board systemd[1]: dev-mmcblk0p5.device: Job dev-mmcblk0p5.device/start timed out.",
    ),
    "a program that init gives up": (
        'board daemon.info init: Id "hub" respawning too fast: disabled for 5 minutes\nboard kernel: x\n',
        'board daemon.info init: Id "hub" respawning too fast: disabled for 5 minutes',
    ),
    "a program that crashes": (
        "[   12.0] hubby[301]: segfault at 0 ip 0000000000401136 sp 00007ffd error 4 in hubby[401000+1000]\n[   13.0] eth0: link up\n",
        "hubby[301]: segfault at 0 ip 0000000000401136 sp 00007ffd error 4 in hubby[401000+1000]",
    ),
    "a medium with errors": (
        "[   20.0] mmc0: Timeout waiting for hardware interrupt.\n[   20.1] blk_update_request: I/O error, dev mmcblk0, sector 81920\n",
        "blk_update_request: I/O error, dev mmcblk0, sector 81920",
    ),
    "a file system with errors": (
        "[   20.0] EXT4-fs error (device mmcblk0p3): ext4_lookup:1855: inode #12: comm init: iget: checksum invalid\n",
        "EXT4-fs error (device mmcblk0p3): ext4_lookup:1855: inode #12: comm init: iget: checksum invalid",
    ),
    "a task that hangs": (
        "[  241.0] INFO: task hubby:301 blocked for more than 120 seconds.\n[  241.1]       Not tainted 6.1.0\n",
        "INFO: task hubby:301 blocked for more than 120 seconds.",
    ),
    "a watchdog": (
        "[    1.0] watchdog: watchdog0: watchdog did not stop!\n[    2.0] eth0: up\n",
        "watchdog: watchdog0: watchdog did not stop!",
    ),
    "a watchdog of the kernel": (
        "<2>[   30.1] softdog: Initiating system reboot\n<6>[   30.2] reboot: x\n",
        "softdog: Initiating system reboot",
    ),
    "a program that crashes where the kernel says nothing": (
        "board user.notice app: Segmentation fault\nboard user.notice platform: up\n",
        "board user.notice app: Segmentation fault",
    ),
    "a disk that is full": (
        "board hubby: write /data/hub.db: No space left on device\nboard hubby: bye\n",
        "board hubby: write /data/hub.db: No space left on device",
    ),
    "a deadline": (
        "board hubby: cannot reach the cloud, error 7\nboard user.notice ota-trial-guard: deadline-passed txn=T\n"
        "board daemon.info init: The system is going down NOW!\n",
        "board hubby: cannot reach the cloud, error 7",
    ),
    "a program of another machine": (
        'board app: /usr/bin/app: line 1: syntax error: unexpected "("\nboard otamgr: health_check_failed:check=50-app\n',
        'board app: /usr/bin/app: line 1: syntax error: unexpected "("',
    ),
    "a health check that fails": (
        "board otamgr: health_check_failed:check=50-net,reason=exit status 1: no route\n"
        "board otamgr: reboot_reason:reason=ota_health_failed\nboard otamgr: reboot:command=/sbin/reboot\n",
        "board otamgr: health_check_failed:check=50-net,reason=exit status 1: no route",
    ),
    "a power cut": ("[    8.0] eth0: link up\n[    9.0] random: crng init done\n", "random: crng init done"),
    "one that only spoke by the way": (
        "<6>[    0.1] efi: UEFI not found.\n<5>[    0.2] Error: none\n<4>[    0.3] x: probe failed\n<6>[    0.4] y: failed\n",
        "x: probe failed",
    ),
    "nothing": ("", ""),
}


@promise("of the logs of a dead system the line that decides is found, with every awk: {}", cases=list(DEATHS))
def decisive(factory, death):
    text, expected = DEATHS[death]
    for awk in ([factory.busybox, "awk"], ["gawk"], ["mawk"]):
        found = subprocess.run(
            [*awk, "-f", factory.files / "last-words.awk"],
            input=f"== kernel\n{text}".encode(),
            capture_output=True,
            check=True,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        )
        equal(found.stdout.decode().rstrip("\n"), expected, f"said by {awk}")


def kept(board, name="T.said"):
    return board.root / "data/otamgr/last-words" / name


def listening(board):
    """A guard that has kept something."""
    guard = board.start(GUARD)
    end = time.monotonic() + patience()
    while not kept(board).exists():
        true(time.monotonic() < end, "nothing is kept")
        time.sleep(0.05)
    return guard


def memory_over_reset(board, **records):
    """As pstore: a file system of its own."""
    place = board.root / "sys/fs/pstore"
    if not place.is_dir():
        place.mkdir(parents=True)
        run("mount", "-t", "tmpfs", "pstore", place)
    for name, text in records.items():
        (place / name.replace("_", "-")).write_text(text)


@promise("while a trial lasts, what the system says is kept on /data for root alone, and a commit removes it")
def followed(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=86400))
    log = board.root / "var/log/messages"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("hubby: up\n")
    guard = board.start(GUARD)
    end = time.monotonic() + patience()
    for line in ("hubby: up", "hubby: \x01segfault\xff at 0"):
        with log.open("ab") as file:
            file.write(line.encode("latin-1") + b"\n")
        line = line.replace("\x01", "?").replace("\xff", "?")
        while not kept(board).exists() or line not in kept(board).read_text().splitlines():
            true(time.monotonic() < end, f"{line!r} is not kept")
            time.sleep(0.05)
    equal([stat.S_IMODE(path.stat().st_mode) for path in (kept(board), kept(board).parent)], [0o600, 0o700], "modes")
    equal(board.run("/sbin/ota-slot", "commit").code, 0, "commit")
    equal(board.finish(guard).code, 0, "guard")
    equal([path.name for path in kept(board).parent.iterdir() if path.name != "seen"], [], "left after the commit")


@promise("what a system said is also kept when its deadline has passed before anybody listened")
def at_the_deadline(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=1, REBOOT_GRACE=1))
    log = board.root / "var/log/messages"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("board app: Segmentation fault\n")
    equal(board.run(GUARD, "--once").code, 20, "guard")
    true("board app: Segmentation fault" in kept(board).read_text().splitlines(), "what is kept")


@promise("of a crash of Java that says more than is kept, the head is kept")
def long_report(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=86400))
    log = board.root / "var/log/messages"
    log.parent.mkdir(parents=True, exist_ok=True)
    head = "board otamgr: # A fatal error has been detected by the Java Runtime Environment:\nboard otamgr: #\n"
    crash = "board otamgr: #  SIGSEGV (0xb) at pc=0x0000ffff8c0d1f2c, pid=214, tid=215"
    log.write_text(f"board otamgr: #\n{head}{crash}\n" + "board otamgr: bool UseCompressedOops = true\n" * 2000)
    equal(board.run(GUARD, "--once").code, 0, "guard")
    guard = listening(board)
    guard.kill()
    board.finish(guard)
    lines = kept(board).read_text().splitlines()
    equal((lines.count(crash), lines[-1]), (1, "board otamgr: bool UseCompressedOops = true"), "kept")


@promise("a guard that is killed leaves nobody who keeps its descriptors, and nobody but the timekeeper stays")
def left_behind(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=86400))
    guard = listening(board)
    guard.kill()
    end = time.monotonic() + patience()
    # Its output ends with it, whoever else still runs.
    equal(board.finish(guard).code, -signal.SIGKILL, "guard")
    while len(left := [pid for pid in board.everything_running() if b"ota-trial-guard" in command_of(pid)]) > 1:
        true(time.monotonic() < end, f"{left} still run")
        time.sleep(0.05)


@promise("after a rollback ota-why quotes the line that decides, and shows all that was kept")
def quoted(factory):
    board = board_in(factory, "a", FAILED)
    with_journal(board, STARTED, ARMED, "trial-boot txn=T slot=b tries=2")
    kept(board).parent.mkdir()
    kept(board).write_text(
        '== system log\nhubby: cannot "open" \\ modem: No such file or directory\nhubby: giving up\n'
    )
    equal(board.run(GUARD).code, 0, "guard")
    line = 'hubby: cannot "open" \\ modem: No such file or directory'
    found = expect(board, 4, "rolled-back", f"It said last: {line}.")
    equal(found["trial"]["last_words"], line, "JSON")
    true("hubby: giving up" in board.run(WHY, "--last-words").out, "all of it")
    equal(board.run(WHY, "--last-words", "X").code, 3, "of an update that nothing is known of")


@promise(
    "what the kernel keeps over a reset is the dead system's if it came after the trial's first boot, and nobody else's"
)
def kernel_keeps(factory):
    board = board_in(factory, "a", FAILED)
    memory_over_reset(board, dmesg_ramoops_0=PANIC.replace("kill init", "kill what ran long ago"))
    # A committed system has seen that one.
    board.set_env(ota_failed="", ota_failed_why="")
    equal(board.run(GUARD).code, 0, "guard of the committed system")
    board.set_env(ota_failed="T", ota_failed_why="tries-used-up")
    memory_over_reset(board, dmesg_ramoops_1=PANIC, console_ramoops_0="[    0.1] booting\n" + PANIC)
    with_journal(board, STARTED, ARMED)
    (board.root / "run/otamgr/trial-guard-noted").unlink(missing_ok=True)  # as after a reboot
    equal(board.run(GUARD).code, 0, "guard after the rollback")
    expect(
        board,
        4,
        "rolled-back",
        "It said last: Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b.",
    )
    text = kept(board, "T.kept").read_text()
    true("long ago" not in text and "== dmesg-ramoops-1" in text and "== console-ramoops-0" in text, text)
    true((board.root / "sys/fs/pstore/dmesg-ramoops-0").exists(), "nothing is removed that others may look for")


@promise("the first boot of a trial does not take the old system's last words for its own, the second one does")
def first_boot(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=86400))
    memory_over_reset(board, dmesg_ramoops_0=PANIC)
    with_journal(board, STARTED, ARMED)
    for boot, name in enumerate(("dmesg_ramoops_0", "dmesg_ramoops_1")):
        memory_over_reset(board, **{name: PANIC})
        (board.root / "run/otamgr/trial-guard-noted").unlink(missing_ok=True)  # as after a reboot
        equal(board.run(GUARD, "--once").code, 0, "guard")
        equal(kept(board, "T.kept").exists(), boot == 1, f"kept after boot {boot + 1}")


@promise("a link in place of the folder is not followed, and a full or missing /data changes nothing for the trial")
def hostile(factory):
    board = on_trial(factory, change=settings(COMMIT_DEADLINE=86400))
    (board.root / "data/otamgr").mkdir(exist_ok=True)
    elsewhere = board.root / "tmp/elsewhere"
    elsewhere.mkdir()
    kept(board).parent.symlink_to("/tmp/elsewhere")
    equal((board.run(GUARD, "--once").code, list(elsewhere.iterdir())), (0, []), "guard and the folder of the link")
    run("umount", board.root / "data")
    board.settle()
    equal(board.run(GUARD, "--once").code, 0, "guard without /data")
