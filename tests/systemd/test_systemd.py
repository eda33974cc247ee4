#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The layer's units under a real systemd: the emulated board boots what the recipes install, with a daemon that is not root."""

import os
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from emulated_board import build, machine, scenario, show, systemd_board

# ext4: of systems with a read-only root.
READ_ONLY = os.environ.get("OTA_TEST_READ_ONLY")
# systemd-analyze counts from 0 to 10.
EXPOSURE = 2.5
# Seconds that a step may take before the board counts as lost; a slow machine takes long, and is no fault.
STEP = 900
CONNECTED = r"attribute_client:connected to attrd"

# What may be done where: by root, by the daemon. What is written is taken back.
TRIED = {
    "read the disk": ("dd if=/dev/vda of=/dev/null count=1", True, False),
    "write the inactive slot": ("dd if=/dev/zero of=/dev/vda3 count=1", True, False),
    "make a device node": ("mknod /tmp/tried b 254 0 && rm /tmp/tried", True, False),
    "read the boot environment": ("fw_printenv ota_slot", True, False),
    "write the boot environment": ("fw_setenv tried && fw_printenv ota_slot", True, False),
    "write /etc": (": >/etc/tried && rm /etc/tried", True, False),
    "write /usr": (": >/usr/tried && rm /usr/tried", not READ_ONLY, False),
    "write /run": (": >/run/tried && rm /run/tried", True, False),
    "write what sysupgrade keeps": (": >/data/otamgr/tried && rm /data/otamgr/tried", True, False),
    "write the journal of updates": (": >>/data/otamgr/journal", True, False),
    "mount": ("mount -t tmpfs tmpfs /mnt && umount /mnt", True, False),
    "read the log of the kernel": ("dmesg", True, False),
    "change the kernel": ("echo 1 >/proc/sys/kernel/printk", True, False),
    "look into /root": ("ls /root", True, False),
    "see other processes": ("test -e /proc/1/status", True, False),
    "connect to attrd without otamgr-root": ("test -w /run/IPC.ATTRD", True, False),
    "have root run a program": ("otamgr-root ask sh -c id", False, False),
    "have root install without a check": ("otamgr-root ask sysupgrade -F -n --no-reboot --txn t /tmp/x", False, False),
    "ask for the slots": ("otamgr-root ask ota-slot status 2>&1 | grep -x running=a", True, True),
    "write its own memory": (": >/data/otamgr-agent/tried && rm /data/otamgr-agent/tried", True, True),
    "write /tmp": (": >/tmp/tried && rm /tmp/tried", True, True),
}
PROBE = "/usr/lib/board/probe"


def probe():
    """The script that tries all of it, and says what it could do."""
    tries = "".join(
        f"if (PATH=$PATH:/usr/lib/otamgr; {what}) >/dev/null 2>&1; then echo 'may {name}'; else echo 'may not {name}'; fi\n"
        for name, (what, *_) in TRIED.items()
    )
    return f"#!/bin/sh\n{tries}echo 'all tried'\n"


def may(text):
    """What a run of it said, as name: whether it could."""
    return {name: word == "may" for word, name in re.findall(r"(may not|may) ([a-z].*)", text)}


def with_probes(tree):
    program = tree / PROBE.removeprefix("/")
    program.write_text(probe())
    program.chmod(0o755)
    (tree / "mnt").mkdir()
    (tree / "etc/otamgr/conf.d/90-board.json").write_text(f'{{"factoryTest": ["{PROBE}"], "rebootDelaySeconds": 1}}')
    check = tree / "etc/otamgr/health.d/50-who"
    check.parent.mkdir()
    check.write_text('#!/bin/sh\necho "$(id -u) $OTA_SLOT" >/data/health-check\n')
    check.chmod(0o755)


class Board(machine.Board):
    """With what this folder asks it."""

    def say(self, command):
        """What a command says, which must succeed."""
        status, said = self.shell(command, STEP)
        if status != 0:
            raise AssertionError(f"{command}: expected exit status 0, found {status}: {said}")
        return said

    def daemon_begun(self, before=None):
        """The process of a daemon that is connected to attrd and takes commands; with `before` another one than that."""
        while (pid := self.wait(r"otamgr_start:.*pid=(\d+)", STEP)[1]) == before:
            pass
        self.wait_all([CONNECTED, "control:socket=", "hubby_state:value=1"], STEP)
        return pid


def unhealthy_with_probes(tree):
    with_probes(tree)
    check = tree / "etc/otamgr/health.d/60-never"
    check.write_text('#!/bin/sh\necho "slot $OTA_SLOT is not well"\nexit 1\n')
    check.chmod(0o755)
    scenario.short_trial(tree)


def setUpModule():
    global board, publisher, update, unhealthy, disk
    screen = show.Show()
    parts = systemd_board.Builder(screen)
    name = f"systemd-{READ_ONLY}" if READ_ONLY else "systemd"
    old, new = (
        parts.with_systemd(
            f"{number}.0", f"{name}-{number}.0", with_probes, [Path(__file__)], flashed=number == 1, read_only=READ_ONLY
        )
        for number in (1, 2)
    )
    update = parts.image(f"hub_update-{name}", new)
    bad = parts.with_systemd("3.0", f"{name}-3.0", unhealthy_with_probes, [Path(__file__)], read_only=READ_ONLY)
    unhealthy = parts.image(f"hub_update-{name}-unhealthy", bad)
    publisher = scenario.Publisher(build.BUILD / "publish-systemd")
    disk = build.BUILD / "disk-systemd.img"
    build.make_disk(
        disk,
        old,
        {"ota_slot": "a", "ota_bootargs": f"board.url={publisher.address()} quiet systemd.show_status=no"},
    )
    log = build.BUILD / "logs/systemd.console"
    log.parent.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    screen.line("board", f"boots, console in {log.relative_to(build.layer.ROOT)}")
    board = Board(disk, log)
    try:
        board.wait(scenario.BOOTED, STEP, fail=scenario.DANGER)
        board.daemon_begun()
    except BaseException:
        tearDownModule()
        raise
    screen.line("board", "runs")


def tearDownModule():
    board.__exit__()
    publisher.close()


class Booted(unittest.TestCase):
    def nothing_failed(self):
        self.assertEqual("", board.say("systemctl --failed --no-legend --plain"))
        self.assertEqual("running\n", board.say("systemctl is-system-running --wait"))
        complaints = board.say(
            "journalctl --boot --no-pager --output cat | grep -iE 'permission denied|not permitted|dumped core' || :"
        )
        self.assertEqual("", complaints)
        # Of our units: a setting that systemd does not know, a dependency that is a cycle.
        complaints = board.say(
            "journalctl --boot --no-pager --output cat _PID=1 | grep -E 'otamgr|ota-' | grep -iE 'unknown|cycle|ignor' || :"
        )
        self.assertEqual("", complaints)


class Running(Booted):
    def test_the_daemon_is_no_more_exposed_than_was_promised(self):
        exposed = {}
        for unit in ("otamgr", "otamgr-root", "ota-trial-guard"):
            said = board.say(f"systemd-analyze security --no-pager {unit}.service | tail -n 1")
            exposed[unit] = float(re.search(r"exposure level for \S+: ([0-9.]+)", said)[1])
        print("".join(f"   exposure  {unit} {level}\n" for unit, level in exposed.items()), end="", flush=True)
        self.assertLessEqual(exposed["otamgr"], EXPOSURE)

    def test_the_daemon_is_a_user_without_any_capability(self):
        pid = board.say("systemctl show --property MainPID --value otamgr").strip()
        status = dict(
            line.split(":\t", 1) for line in board.say(f"cat /proc/{pid}/status").splitlines() if ":\t" in line
        )
        user = board.say("id -u otamgr").strip()
        self.assertNotEqual("0", user)
        self.assertEqual([user] * 4, status["Uid"].split())
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(0, int(status[kind], 16), kind)
        self.assertEqual("1", status["NoNewPrivs"])
        self.assertEqual("2", status["Seccomp"])

    def test_the_daemon_answers_commands(self):
        self.assertIn("slot       a runs and is committed", board.say("otamgr status"))

    def test_what_the_daemon_starts_can_do_nothing_that_needs_root(self):
        """The command of the cloud that has the daemon start a program, which then tries."""
        expected = {name: allowed for name, (_, _, allowed) in TRIED.items()}
        by_root = {name: allowed for name, (_, allowed, _) in TRIED.items()}
        self.assertEqual(by_root, may(board.say(PROBE)))
        jars = ":".join(
            f"/usr/share/java/{name}.jar" for name in ("otamgr-simulators", "otamgr-wire", "junixsocket-common")
        )
        board.say(
            "cd / && java -XX:TieredStopAtLevel=1 -Dorg.newsclub.net.unix.library.override=/usr/lib/otamgr/libjunixsocket-native.so "
            f"-cp {jars} org.metaotamgr.simulator.SimulatorMain command 03000000"
        )
        board.wait("factory_test.*all tried", STEP)
        self.assertEqual(
            expected, may(board.say("journalctl --boot --no-pager --output cat --unit otamgr | grep factory_test"))
        )

    def test_a_daemon_that_is_killed_starts_again(self):
        before = board.say("systemctl show --property MainPID --value otamgr").strip()
        board.say(f"kill -9 {before}")
        self.assertEqual(
            board.daemon_begun(before), board.say("systemctl show --property MainPID --value otamgr").strip()
        )

    def test_an_attrd_that_starts_again_is_connected_to_again(self):
        board.say("systemctl restart otamgr-simulators")
        pid = board.say("systemctl show --property MainPID --value otamgr-simulators").strip()
        board.wait(rf"platform\[{pid}\]: attrd: .*client_open:name=IPC.OTAMGR.*status=OK", STEP)
        board.wait(f"{CONNECTED}, pid={pid} uid=0", STEP)

    def test_no_unit_failed_and_nothing_was_refused(self):
        self.nothing_failed()


class Updated(Booted):
    """Hubby offers an update; daemon and otamgr-root are restarted while it is written; the board reboots, tries and commits it."""

    @classmethod
    def setUpClass(cls):
        cls.header = publisher.publish("2.0", update)
        cls.started = board.wait(r"ota_upgrade_started:txn=([^,]+)", STEP)
        board.wait("ota_progress:phase=write,percent=", STEP, fail="ota_upgrade_failed")
        cls.users = board.say("stat -c %u $(printf '/proc/%s ' $(pidof ota-content))").split()
        board.say("systemctl restart otamgr otamgr-root")
        board.wait("otamgr_start:", STEP, fail="ota_upgrade_failed")
        cls.armed = board.wait(r"ota_upgrade_armed:txn=([^,]+)", STEP, fail="ota_upgrade_failed")
        board.wait("OTA: trial of slot b", STEP, fail="NO BOOTABLE SLOT")
        cls.after = board.wait(scenario.BOOTED, STEP, fail=scenario.DANGER)
        board.wait("slot_committed:slot=b", STEP)

    def test_sysupgrade_survives_a_restart_of_the_daemon_and_of_otamgr_root(self):
        self.assertEqual(self.started[1], self.armed[1])

    def test_the_inactive_slot_is_written_by_root(self):
        self.assertEqual({"0"}, set(self.users))

    def test_the_new_system_runs_and_is_committed(self):
        self.assertEqual(("b", "2.0"), self.after.group(1, 2))
        self.assertIn("slot       b runs and is committed", board.say("otamgr status"))

    def test_what_the_trial_guard_says_is_logged_once(self):
        said = board.say("journalctl --boot --no-pager --output cat | grep -c 'trial-boot txn='")
        self.assertEqual("1\n", said)

    def test_its_health_was_checked_by_root(self):
        self.assertEqual("0 b\n", board.say("cat /data/health-check"))

    def test_no_unit_of_the_new_system_failed_and_nothing_was_refused(self):
        self.nothing_failed()

    def test_its_header_is_in_its_etc(self):
        self.assertEqual(self.header.decode(), board.say("cat /etc/ota_type_5.hdr"))
        etc = [line.split()[2] for line in board.say("cat /proc/mounts").splitlines() if line.split()[1] == "/etc"]
        self.assertEqual(["overlay"] if READ_ONLY else [], etc)


class UpdatedInVain(Booted):
    """Hubby offers one that is not healthy. It comes after Updated, as its name does."""

    @classmethod
    def setUpClass(cls):
        cls.committed = board.say("cat /etc/ota_type_5.hdr")
        publisher.publish("3.0", unhealthy)
        board.wait("OTA: trial of slot a", STEP, fail="NO BOOTABLE SLOT|ota_upgrade_failed")
        board.wait("OTA: trial of slot a .* has no boots left, back to slot b", STEP, fail="NO BOOTABLE SLOT")
        cls.after = board.wait(scenario.BOOTED, STEP, fail=scenario.DANGER)
        board.wait("control:socket=", STEP)

    def test_the_committed_system_runs_again_with_its_header(self):
        self.assertEqual(("b", "2.0"), self.after.group(1, 2))
        self.assertEqual(self.committed, board.say("cat /etc/ota_type_5.hdr"))

    def test_it_says_why(self):
        said = board.say("ota-why || :")
        self.assertIn("was rolled back to slot b", said)
        self.assertIn("is not well", said)


if __name__ == "__main__":
    unittest.main()
