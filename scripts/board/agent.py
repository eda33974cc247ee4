# SPDX-License-Identifier: MIT
"""scripts/agent-demo: the update agent on the emulated board, by commands on its console and bundles on a stick."""

import argparse
import json
import re
import shutil
import subprocess
import sys

import build
import layer
import machine
import scenario
import show

FOLDER = build.BUILD / "agent"
CALLBACK = layer.RECIPES / "otamgr-callback/files"
# The whole call, from the shell's fork to the exit status.
LONGEST_CALL_SECONDS = 1.0


def _with_agent(tree, version):
    """The files that the build writes into a system whose updates are bundles on a stick, driven by commands."""
    folder = tree / "etc/otamgr"
    (folder / "conf.d").mkdir()
    shutil.copy(CALLBACK / "50-callback.json", folder / "conf.d/50-callback.json")
    build._install(CALLBACK / "otamgr-callback-handler", tree / "usr/bin/otamgr-callback-handler", 0o755)
    (folder / "conf.d/60-source.json").write_text(json.dumps({
        "source": {"type": "bundle", "directories": ["/run/bundles"]}, "polling": {"automatic": "off"}}))
    (folder / "manifest").write_text(f"format=otamgr-bundle-1\ncompatible={build.COMPATIBLE}\nversion={version}\n")
    (tree / "media").mkdir(exist_ok=True)


def _old(tree):
    _with_agent(tree, "1.0")


def _new(tree):
    _with_agent(tree, "2.0")


def _unhealthy(tree):
    _with_agent(tree, "3.0")
    scenario._unhealthy(tree)


def ota_bundle(*words):
    subprocess.run([layer.ROOT / "scripts/ota-bundle", *words], check=True, stdout=subprocess.DEVNULL)


def make_bundle(image, version, out, key=None, board=build.COMPATIBLE):
    out.parent.mkdir(parents=True, exist_ok=True)
    out.unlink(missing_ok=True)
    ota_bundle("create", "--key", key or build.signing_key(), "--compatible", board, "--version", version, image, out)
    return out


def make_stick(good, unhealthy):
    """A stick with one folder for each case."""
    tree = FOLDER / "stick"
    shutil.rmtree(tree, ignore_errors=True)
    make_bundle(good, "2.0", tree / "good/update.bundle")
    make_bundle(unhealthy, "3.0", tree / "unhealthy/update.bundle")
    empty = FOLDER / "empty"
    shutil.rmtree(empty, ignore_errors=True)
    (empty / "etc").mkdir(parents=True)
    build.make_filesystem(empty, FOLDER / "small.ext4", "rootfs")
    small = FOLDER / "small.ext4.gz"
    build.compress(FOLDER / "small.ext4", small)
    make_bundle(small, "3.1", tree / "empty/update.bundle")
    make_bundle(small, "3.2", tree / "foreign/update.bundle", board="toaster")
    make_bundle(small, "1.5", tree / "older/update.bundle")
    make_bundle(small, "3.3", tree / "stranger/update.bundle", key=FOLDER / "stranger.key")
    tampered = make_bundle(small, "3.4", tree / "tampered/update.bundle")
    content = bytearray(tampered.read_bytes())
    content[len(content) // 2] ^= 1
    tampered.write_bytes(content)
    (tree / "none").mkdir()
    out = FOLDER / "stick.ext4"
    build.make_filesystem(tree, out, "stick")
    return out


class Session:
    """The board with a shell on its console."""

    def __init__(self, screen, disk, stick, log):
        self._screen = screen
        self.lines = []
        self.board = machine.Machine(disk, log, on_line=self._on_line, stick=stick)
        self.problems = []
        self._count = 0

    def _on_line(self, text):
        self.lines.append(text)
        scenario.show_line(self._screen, text)

    def shell(self):
        """Waits for the system, and for its shell."""
        booted, _ = self.board.wait_all([scenario.BOOTED, r"otamgr: control:socket="], 240, fail=scenario.DANGER + "|config_error")
        self.board.type("\n")
        self.run("mount -t ext4 -o ro /dev/vdb /media && mkdir -p /run/bundles", 0)
        return booted

    def run(self, command, expected=None, seconds=180):
        """Types a command; returns what it printed. The exit status must be the expected one."""
        self._screen.line("console", f"# {command}")
        self._count += 1
        first = len(self.lines)
        # The quotes keep the echo of what is typed from looking like the answer.
        self.board.type(f'{command}; echo "exit""{self._count}=$?"\n')
        status = int(self.board.wait(rf"exit{self._count}=(\d+)", seconds)[1])
        printed = [line for line in self.lines[first:] if not re.search(r"exit\"?\"?\d+=| (otamgr|syslog|sysupgrade)[\[:]", line)]
        for line in printed:
            if line.strip() and not line.endswith(command):
                self._screen.line("", line)
        self._screen.line("", f"exit status {status}")
        if expected is not None and status != expected:
            raise RuntimeError(f"{command}: expected exit status {expected}, found {status}")
        return printed

    def messages(self, first=0):
        """What the handler was told, as (message, result)."""
        found = []
        for line in self.lines[first:]:
            if match := re.search(r"otamgr: callback:message=([a-z-]+)(?:,target=[^,]*)?(?:,result=(.*))?$", line):
                found.append((match[1], (match[2] or "").strip()))
        return found


def demo(screen, seconds_of_calls):
    screen.step("Build the board, and the stick")
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not (FOLDER / "stranger.key").exists():
        ota_bundle("keygen", FOLDER / "stranger.key")
    parts = scenario.Board(screen)
    old = parts.rootfs("1.0", "rootfs-agent-1.0", spoil=_old, flashed=True)
    good = parts.image("agent-2.0", parts.rootfs("2.0", "rootfs-agent-2.0", spoil=_new))
    unhealthy = parts.image("agent-3.0", parts.rootfs("3.0", "rootfs-agent-3.0", spoil=_unhealthy))
    stick = make_stick(good, unhealthy)
    disk = build.BUILD / "disk-agent.img"
    build.make_disk(disk, old, {"ota_slot": "a"})
    log = build.BUILD / "logs/agent.console"
    log.parent.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    results = {}

    def look_at(name, session, first, expected):
        found = session.messages(first)
        results[name] = found
        if found != expected:
            raise RuntimeError(f"{name}: expected that the handler is told {expected}, found {found}")

    screen.step("Version 1.0 in slot a: nothing pulled, nothing installed; the power fails in the middle of the pull")
    session = Session(screen, disk, stick, log)
    with session.board:
        session.shell()
        use(session, "good")
        session.run("otamgr install", 80)
        session.run("otamgr run", 40)
        session.run("otamgr check", 16)
        session.run("sed -n '/^VmRSS/p' /proc/$(cat /run/otamgr.pid)/status", 0)
        for command in ("status", "list", "status --json"):
            calls = session.run(f"busybox time otamgr {command} 2>&1", 0)
            real = next(re.search(r"real\s+(\d+)m\s*([\d.]+)s", line) for line in calls if "real" in line)
            seconds_of_calls.append(int(real[1]) * 60 + float(real[2]))
        session.run("(otamgr pull >/dev/null 2>&1 &) ; until [ \"$(stat -c %s /data/otamgr/updates/*/update.part 2>/dev/null || echo 0)\" -gt 20000000 ]; do "
                    "usleep 20000; done", 0)
        session.board.power_cut()

    screen.step("Power on: the pull goes on where it was, then install and reboot")
    session = Session(screen, disk, stick, log)
    with session.board:
        session.shell()
        use(session, "good")
        first = len(session.lines)
        session.run("otamgr pull 2>&1 | cat; otamgr list", 0, seconds=300)
        if not any(re.search(r"bundle_resumed:target=emulated-board-2.0,bytes=[1-9]", line) for line in session.lines[first:]):
            raise RuntimeError("expected that the pull goes on with the part that was there")
        session.run("otamgr install 2>&1 | cat; otamgr run", 100, seconds=600)
        session.run("otamgr install", 100)
        session.board.type("reboot\n")
        session.shell()
        use(session, "good")
        session.run("otamgr run", 0, seconds=300)
        look_at("good update", session, first, [
            ("check-for-update-pre", ""), ("check-for-update-post", "OK"), ("download-pre", ""), ("download-post", "OK"), ("install-pre", ""),
            ("install-post", "NEEDS_COMPLETION"), ("install-final-pre", ""), ("install-post", "OK")])
        session.run("cat /data/otamgr/current-target; otamgr status", 0)

        screen.step("Version 2.0 in slot b: what must not be installed is refused, and nothing changes")
        before = session.run("fw_printenv | grep ^ota_ | sort", 0)
        for folder, status in (("good", 0), ("none", 8), ("foreign", 6), ("older", 102), ("stranger", 15)):
            use(session, folder)
            session.run("otamgr check", status)
        use(session, "tampered")
        first = len(session.lines)
        session.run("otamgr pull", 70)
        look_at("failed download", session, first, [
            ("check-for-update-pre", ""), ("check-for-update-post", "OK"), ("download-pre", ""),
            ("download-post", next(result for message, result in session.messages(first) if message == "download-post"))])
        if not session.messages(first)[-1][1].startswith("FAILED: "):
            raise RuntimeError(f"expected FAILED: reason, found {session.messages(first)[-1]}")

        screen.step("An install that fails")
        use(session, "empty")
        session.run("otamgr pull", 0)
        first = len(session.lines)
        session.run("otamgr install", 6)
        found = session.messages(first)
        if [message for message, _ in found] != ["install-pre", "install-post"] or not found[-1][1].startswith("FAILED: "):
            raise RuntimeError(f"failed install: expected install-pre and install-post FAILED, found {found}")
        results["failed install"] = found
        session.run("otamgr check", 52)
        after = session.run("fw_printenv | grep ^ota_ | sort", 0)
        if [line for line in before if line.startswith("ota_")] != [line for line in after if line.startswith("ota_")]:
            raise RuntimeError(f"expected that refused updates change nothing, found {before} and {after}")

        screen.step("An update that is never healthy is rolled back")
        use(session, "unhealthy")
        session.run("otamgr pull", 0, seconds=300)
        first = len(session.lines)
        session.run("otamgr install", 100, seconds=600)
        session.board.type("reboot\n")
        session.board.wait(r"OTA: trial of slot a", 120)
        session.board.wait(r"OTA: booting slot b", 600)
        session.shell()
        session.run("otamgr run", 110, seconds=120)
        found = session.messages(first)
        results["rollback"] = found
        told = [message for message, _ in found]
        if told[:2] != ["install-pre", "install-post"] or told[-2:] != ["install-final-pre", "install-post"] or not found[-1][1].startswith("FAILED: rolled back"):
            raise RuntimeError(f"rollback: expected that the handler is told of it, found {found}")

        screen.step("Back by command: the other slot holds what failed, which is refused")
        session.run("otamgr rollback", 21)
        session.run("otamgr why", 4)
    return results


def use(session, folder):
    """Puts one folder of the stick where bundles are looked for."""
    session.run(f"umount /run/bundles 2>/dev/null; mount --bind /media/{folder} /run/bundles", 0)


def main():
    argparse.ArgumentParser(
        prog="scripts/agent-demo",
        description="Boots an emulated board whose updates are bundles on a stick, and gives commands on its console: a good update with a power cut in "
        "its pull, bundles that must be refused, a download and an install that fail, a rollback; with a handler that hears of everything.",
        epilog="exit status: 0 all was as it must be, 1 it was not, 2 usage").parse_args()
    screen = show.Show()
    calls = []
    try:
        results = demo(screen, calls)
    except (machine.Timeout, RuntimeError) as problem:
        screen.line("FAILED", str(problem))
        return 1
    for name, messages in results.items():
        screen.table([(name, "")] + [(f"  {message}", result) for message, result in messages])
    screen.table([("seconds of a command", ", ".join(f"{seconds:.2f}" for seconds in calls)), ("whole demo", f"{screen.seconds():.0f} s")])
    if max(calls) >= LONGEST_CALL_SECONDS:
        print(f"  NOT AS PROMISED: expected commands to take less than {LONGEST_CALL_SECONDS} s")
        return 1
    print("  The handler heard all of it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
