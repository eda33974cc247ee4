# SPDX-License-Identifier: MIT
"""scripts/cycles: many update cycles in a row on one board, with random faults; each must end as the model predicts."""

import functools
import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from emulated_board import build, layer, machine, scenario, sharedkernel, show
from emulated_board import cycle_model as model
from otamgr import options

FOLDER = build.BUILD / "cycles"
# Texts of the same length in every image of a kind, so that an image of another version is the same bytes but for these.
VERSION_PLACE, TRIES_PLACE = "9.8765432", "\nTRIAL_TRIES=2\n"
COPIES = [int(build.SETTINGS[name], 16) for name in ("OTA_ENV_OFFSET", "OTA_ENV_OFFSET_REDUND")]
COPY_SIZE = int(build.SETTINGS["OTA_ENV_SIZE"], 16)

# Seconds that things may take before the board counts as lost. Nothing else depends on them.
UPDATE, BOOT, TRIALS = 300, 180, 900


class Surprise(Exception):
    """The board did not do what the model says."""


# ---- faults ----------------------------------------------------------------------------------------------------------------

# A moment of an update: what the console says when it begins. The first seven are before the trial is armed, and are gone through by
# every update; sysupgrade has not touched the environment in any of them.
WRITING = {
    "download": "update offered:",
    "check": "phase=check,percent=0",
    "invalidate": "phase=invalidate,percent=0",
    "write": "phase=write,percent=0",
    "verify": "phase=verify,percent=0",
    "header": "phase=header,percent=0",
    "keep": "phase=keep,percent=0",
}
TRYING = {
    "arm": "phase=arm,percent=0",
    "armed": "ota_upgrade_armed",
    "reboot": "reboot:command",
    "u-boot": "OTA: boot script on",
    "load": r"OTA: booting slot . \(trial\)",
    "start": "BOARD slot=",
    "daemon": "otamgr_start:",
    "health": "commit_waits_for=",
    "commit": "slot_committed:",
}
MOMENTS = WRITING | TRYING


@dataclass(frozen=True)
class Plan:
    """One cycle, drawn before it begins: everything random but the timing of the board itself."""

    number: int
    fault: str
    kind: str = model.GOOD
    tries: int = 2  # that the new version grants to its successor
    moment: str = ""
    delay: float = 0.0  # seconds after the moment
    more_cuts: tuple = ()  # seconds after power on
    offered: bool = True  # whether the update is still offered after the fault

    def text(self):
        words = [self.fault if self.kind == model.GOOD else model.KINDS[self.kind].about]
        if self.moment:
            words.append(f"at {self.moment} +{self.delay:.2f} s")
        if self.more_cuts:
            words.append("and " + ", ".join(f"{seconds:.1f} s" for seconds in self.more_cuts) + " after power on")
        if not self.offered:
            words.append("(then withdrawn)")
        return " ".join(words)


FAULTS = {
    "none": 2,
    "broken image": 6,
    "power cut": 9,
    "kill -9 otamgr": 3,
    "kill -9 sysupgrade": 3,
    "attrd restarts": 3,
    "full /tmp": 1,
    "full /data": 1,
}
# How often each kind of broken image comes; those that wait for a deadline take longest.
BROKEN = {
    "cut-off": 2,
    "flipped": 2,
    "no-image": 1,
    "too-large": 1,
    "foreign": 2,
    "no-kernel": 3,
    "resets": 3,
    "no-otamgr": 1,
    "unhealthy": 1,
    "offline": 1,
}


def plan(seed, number):
    """The same for the same seed and number, whatever came before."""
    draw = random.Random(f"{seed}/{number}")
    fault = draw.choices(list(FAULTS), FAULTS.values())[0]
    made = Plan(number, fault, tries=draw.choice((1, 2, 2, 3)), delay=round(draw.uniform(0, 1.2) ** 2, 2))
    match fault:
        case "none":
            return replace(made, delay=0.0)
        case "broken image":
            return replace(made, kind=draw.choices(list(BROKEN), BROKEN.values())[0], delay=0.0)
        case "power cut":
            more = tuple(round(draw.uniform(0.3, 8), 1) for _ in range(draw.choice((0, 0, 0, 1, 2))))
            return replace(made, moment=draw.choice(list(MOMENTS)), more_cuts=more, offered=draw.random() < 0.6)
        case "kill -9 otamgr":
            return replace(
                made,
                moment=draw.choice(
                    [m for m in MOMENTS if m not in ("download", "reboot", "u-boot", "load", "start", "commit")]
                ),
            )
        case "kill -9 sysupgrade":
            return replace(
                made,
                moment=draw.choice(["check", "invalidate", "write", "verify", "header", "keep"]),
                delay=made.delay / 4,
            )
        case "attrd restarts":
            return replace(made, moment=draw.choice([*list(WRITING)[1:], "start", "daemon", "health"]))
        case "full /tmp":
            return replace(made, delay=0.0, offered=draw.random() < 0.6)
    return replace(made, delay=0.0)


# ---- images ----------------------------------------------------------------------------------------------------------------


def _quick(tree, deadline=None):
    """Settings of a board that is watched, not waited for; with a deadline the trials of this image end early."""
    config = json.loads((tree / "etc/otamgr/otamgr.json").read_text())
    config["rebootDelaySeconds"] = 1
    config["commit"]["deadlineSeconds"] = deadline or 170
    (tree / "etc/otamgr/otamgr.json").write_text(json.dumps(config, indent=2))
    (tree / "etc/otamgr/trial.conf").write_text(
        f"# Of an image of scripts/cycles.\nCOMMIT_DEADLINE={deadline + 10 if deadline else 180}{TRIES_PLACE}"
    )
    (tree / "etc/default").mkdir(exist_ok=True)
    # A soak tells hubby more, whichever slot runs.
    (tree / "etc/default/platform").write_text('options="--poll-seconds 1 $(cat /data/platform-options 2>/dev/null)"\n')


def _resets(tree):
    start = tree / "etc/init.d/rcS"
    start.write_text(
        start.read_text().replace("mount -t tmpfs", "echo 'This system ends here'; reboot -f\nmount -t tmpfs", 1)
    )


def _panics(tree):
    start = tree / "etc/init.d/rcS"
    start.write_text(
        start.read_text().replace(
            "mount -t proc proc /proc\n", "mount -t proc proc /proc\necho c > /proc/sysrq-trigger\n", 1
        )
    )


def _offline(tree):
    (tree / "etc/default/platform").write_text("options='--poll-seconds 1 --state 2'\n")


def _without_etc(tree):
    (tree / "etc").rename(tree / "not-etc")


def killed(main_class):
    """The command that kills the Java processes of a class; fails if there was none. The pattern does not fit the command itself."""
    return (
        f"n=; for f in $(grep -l '{main_class}' /proc/[0-9]*/cmdline 2>/dev/null); do "
        '[ "$f" = "/proc/$$/cmdline" ] || { n=${f#/proc/}; kill -9 "${n%/cmdline}"; }; done; [ -n "$n" ]'
    )


# Java does not start in a folder that the board does not have.
PLATFORM_RESTARTED = f"cd /; {killed('[S]imulatorMain')} && rm -f /run/platform.pid && /etc/init.d/platform start"


class Images:
    """The update images: a template for each kind, versions made from it by changing a few bytes."""

    def __init__(self, screen, whole, as_root=False):
        self._whole, self.as_root = whole, as_root
        cache = build.Cache(lambda text: screen.line("build", text))
        if whole:
            board = scenario.Builder(screen, as_root)
            self._inputs = board.inputs
            self._stage = functools.partial(board.stage, VERSION_PLACE, build.record_of(VERSION_PLACE))
        else:
            self._inputs, self._stage = self._shared_kernel(cache, as_root)
        self._cache = cache
        # A deadline must leave time to notice that the system is not healthy.
        seconds = 45 if whole else 15
        spoils = {
            model.GOOD: [],
            "foreign": [_without_etc],
            "no-kernel": [scenario.without_kernel],
            "resets": [_panics if whole else _resets],
            "no-otamgr": [scenario.without_jvm],
            "unhealthy": [scenario.unhealthy],
            "offline": [_offline],
        }
        early = {"no-otamgr", "unhealthy", "offline"}
        self.templates = {
            kind: self._template(kind, steps, seconds if kind in early else None) for kind, steps in spoils.items()
        }
        self.flashed = self._template(
            "flashed", [lambda tree: (tree / "boot/ota-slot-valid").write_text("txn=flashed\n")], None
        )

    @staticmethod
    def _shared_kernel(cache, as_root):
        target = sharedkernel.target()
        jars = build.jars(cache)
        programs = (
            build.control(cache, "otamgr-control for this machine", FOLDER / "otamgr-control", target),
            *build.updater(cache, " for this machine", FOLDER, target),
        )
        runtime = cache.make(
            "Java runtime for this machine",
            FOLDER / "runtime",
            [build.RUNTIME_MODULES, *build.layer.runtime_resources_left_out()],
            lambda out: build.build_runtime(out, target),
        )

        otamgr_root = (
            None
            if as_root
            else build.root_program(cache, "otamgr-root for this machine", FOLDER / "otamgr-root", target)
        )

        def stage(tree):
            build.stage_rootfs(
                VERSION_PLACE,
                build.record_of(VERSION_PLACE),
                None,
                jars,
                programs,
                runtime,
                None,
                tree,
                target,
                otamgr_root,
            )
            sharedkernel.adapt(tree)

        return [jars, *programs, *([otamgr_root] if otamgr_root else []), build.HERE / "sharedkernel.py"], stage

    def _template(self, kind, steps, deadline):
        def make(out):
            tree = FOLDER / f"tree-{kind}"
            self._stage(tree)
            _quick(tree, deadline)
            for step in steps:
                step(tree)
            build.make_filesystem(tree, out, "rootfs", room_mib=12)
            shutil.rmtree(tree)

        inputs = [
            kind,
            self._whole,
            deadline,
            *self._inputs,
            Path(__file__),
            build.HERE / "rootfs",
            build.HERE / "build.py",
            layer.RECIPES,
        ]
        return self._cache.make(
            f"image {kind}",
            FOLDER / f"{'whole' if self._whole else 'shared'}{'-root' if self.as_root else ''}-{kind}.ext4",
            inputs,
            make,
        )

    @staticmethod
    def _versioned(template, version, tries):
        content = template.read_bytes()
        for place, text in ((VERSION_PLACE, version), (TRIES_PLACE, TRIES_PLACE.replace("2", str(tries)))):
            if place.encode() not in content or len(place) != len(text):
                raise RuntimeError(f"{template}: expected {place!r} in it, to be replaced by {text!r}")
            content = content.replace(place.encode(), text.encode())
        return content

    def first(self, version, tries, out):
        out.write_bytes(self._versioned(self.flashed, version, tries))
        return out

    def update(self, kind, version, tries, draw, out):
        """An update image as hubby downloads it."""
        if kind == "no-image":
            out.write_bytes(f"This is no image, but version {version}.\n".encode() * 3000)
            return out
        content = self._versioned(self.templates.get(kind, self.templates[model.GOOD]), version, tries)
        if kind == "too-large":
            slot = next(size for name, _, size in build.PARTITIONS if name == "rootfs-b") * build.MIB
            content += bytes(slot + build.MIB - len(content))
        with open(out, "wb") as stream:
            subprocess.run(["zstd", "-q", "-1", "-T0", "--check", "-c"], input=content, stdout=stream, check=True)
        if kind == "cut-off":
            with open(out, "r+b") as stream:
                stream.truncate(draw.randrange(out.stat().st_size // 4, out.stat().st_size - 1))
        if kind == "flipped":
            whole = out.read_bytes()
            # A few bits of a zstd stream mean nothing, and the image behind them is the right one.
            while subprocess.run(["zstd", "-q", "-t", out], stderr=subprocess.DEVNULL, check=False).returncode == 0:
                damaged = bytearray(whole)
                damaged[draw.randrange(len(whole) // 4, len(whole) - 1)] ^= 1 << draw.randrange(8)
                out.write_bytes(damaged)
        return out


# ---- the run ---------------------------------------------------------------------------------------------------------------


class Runner:
    """One board, cycle after cycle."""

    def __init__(self, screen, images, publisher, whole, seed, verbose):
        self._screen, self._images, self._publisher, self._whole, self._seed = screen, images, publisher, whole, seed
        self._verbose = verbose
        self._listener = None
        self.disk = FOLDER / "disk.img"
        self.log = FOLDER / "console"
        self._seen = []
        self.board = None
        self.system = None

    # ---- board -------------------------------------------------------------------------------------------------------

    def listen(self, listener):
        """Tells somebody else what the board says; nothing is remembered here then."""
        self._listener = listener

    def _line(self, text):
        if self._listener:
            self._listener(text)
            return
        self._seen.append(text)
        if self._verbose:
            scenario.show_line(self._screen, text)

    def flash(self):
        version = f"1.{0:07d}"
        rootfs = self._images.first(version, 2, FOLDER / "first.ext4")
        build.make_disk(self.disk, rootfs, {"ota_slot": "a"})
        self.log.unlink(missing_ok=True)
        self.system = model.System("a", version, "none", 2, ())

    def switch_on(self):
        """The publisher has another address in each run, and the board is told through its environment."""
        config = FOLDER / "fw_env.config"
        config.write_text("".join(f"{self.disk.name} {offset:#x} {COPY_SIZE:#x}\n" for offset in COPIES))
        subprocess.run(
            ["fw_setenv", "-c", config, "ota_bootargs", f"board.url={self._publisher.address()}"],
            check=True,
            cwd=self.disk.parent,
        )
        self.system = replace(self.system, environment=tuple(sorted(self._environment().items())))
        self._power_on()
        self.board.wait_all([scenario.BOOTED, "hubby_state:value=1"], BOOT)

    def _power_on(self):
        if self._whole:
            self.board = machine.Board(self.disk, self.log, on_line=self._line)
        else:
            self.board = sharedkernel.SharedKernelBoard(self.disk, self.log, on_line=self._line)

    def _environment(self):
        with open(self.disk, "rb") as disk:
            copies = []
            for offset in COPIES:
                disk.seek(offset)
                copies.append(disk.read(COPY_SIZE))
        variables = model.newest_environment(copies)
        if variables is None:
            raise Surprise("no copy of the environment is readable")
        # The journal's; the model knows nothing of its bytes.
        variables.pop("ota_log", None)
        return variables

    def _ask(self, command):
        status, output = self.board.shell(command)
        if status != 0:
            raise Surprise(f"{command}: exit status {status}: {output}")
        return output

    # ---- one cycle ---------------------------------------------------------------------------------------------------

    def cycle(self, planned):
        """Runs one cycle; returns a word about how it went. Raises Surprise or Timeout."""
        self._seen.clear()
        before, draw = self.system, random.Random(f"{self._seed}/{planned.number} image")
        version = f"1.{planned.number:07d}"
        image = self._images.update(planned.kind, version, planned.tries, draw, FOLDER / "update.img")
        for command in {
            "full /tmp": ["dd if=/dev/zero of=/tmp/filler bs=64k"],
            "full /data": ["dd if=/dev/zero of=/data/filler bs=4k"],
        }.get(planned.fault, []):
            self.board.shell(command)
        header = self._publisher.publish(version, image)
        end = self._faulty(planned, before)
        if planned.fault.startswith("full"):
            self.board.shell("rm -f /tmp/filler /data/filler; sync")
        txns = list(
            dict.fromkeys(
                match[1] for line in self._seen if (match := re.search(r"ota_upgrade_started:txn=([^,]+)", line))
            )
        )
        new = model.System(model.other(before.slot), version, hashlib.sha256(header).hexdigest(), planned.tries, ())
        self._compare(planned, before, new if end == model.COMMITTED else before, end, txns)
        self._publisher.withdraw()
        return end

    def _faulty(self, planned, before):
        """Lets the cycle's fault happen and waits for the end; which one that is."""
        kind = model.KINDS[planned.kind]
        if planned.moment:
            self.board.wait(MOMENTS[planned.moment], UPDATE)
            time.sleep(planned.delay)
        match planned.fault:
            case "power cut":
                return self._cuts(planned, before)
            case "kill -9 otamgr":
                self._ask(killed("[o]rg.metaotamgr.daemon.OtamgrMain"))
            case "kill -9 sysupgrade":
                started = [
                    match
                    for line in self._seen
                    if (match := re.search(r"ota_upgrade_started:txn=([^,]+),pid=(\d+)", line))
                ][-1]
                seen = "\n".join(self._seen)
                # Too late when it has just ended by itself.
                self.board.shell(f"kill -9 {started[2]}")
                # It may have been a moment too late; what otamgr finds then is for it to say, and for the environment to confirm.
                line = self.board.wait(
                    rf"ota_upgrade_failed:.*txn={re.escape(started[1])},exit=137|ota_upgrade_armed:", UPDATE
                )
                state = model.state_after_cut(before, self._environment())
                if "failed" in line[0]:
                    if state != model.Cut(model.OLD):
                        raise Surprise(f"otamgr says that the killed update failed, but the environment has {state}")
                    return model.OLD
                if (
                    "phase=arm" not in seen
                    and planned.moment in list(WRITING)[:5]
                    or state is None
                    or state.state == model.OLD
                ):
                    raise Surprise(f"sysupgrade was killed at {planned.moment}, but the update is armed: {state}")
            case "attrd restarts":
                self._ask(PLATFORM_RESTARTED)
            case "full /tmp":
                self.board.wait("update not downloaded", UPDATE)
                if not planned.offered:
                    self._publisher.withdraw()
                self.board.shell("rm -f /tmp/filler")
                if not planned.offered:
                    return model.OLD
        if kind.code:
            self.board.wait(rf"ota_upgrade_failed:.*exit={kind.code},", UPDATE)
            return model.OLD
        if kind.commits:
            if planned.moment != "commit":
                self.board.wait(
                    f"slot_committed:slot={model.other(before.slot)}",
                    UPDATE + BOOT,
                    fail="ota_upgrade_failed|rolled-back ",
                )
            return model.COMMITTED
        self.board.wait(f"OTA: booting slot {before.slot}", UPDATE + TRIALS, fail="ota_upgrade_failed|slot_committed")
        self.board.wait_all([scenario.BOOTED, "rolled-back ", "hubby_state:value=1"], BOOT)
        return model.FAILED

    def _cuts(self, planned, before):
        state = model.Cut(model.OLD)
        offered = True
        for seconds in (0.0, *planned.more_cuts):
            time.sleep(seconds)
            seen = "\n".join(self._seen)
            self.board.power_cut()
            variables = self._environment()
            found = model.state_after_cut(before, variables)
            if not model.may_follow(before, offered, state, found):
                raise Surprise(f"a power cut left {variables}, which cannot come after {state}")
            self._lines_agree(planned, found, seen)
            state = found
            if not planned.offered and offered:
                self._publisher.withdraw()
                offered = False
            self._power_on()
        end = model.end_after_cut(offered, state)
        if end == model.COMMITTED and state.state != model.COMMITTED:
            self.board.wait(
                f"slot_committed:slot={model.other(before.slot)}",
                UPDATE + BOOT + TRIALS,
                fail="ota_upgrade_failed|rolled-back ",
            )
        else:
            slot = model.other(before.slot) if end == model.COMMITTED else before.slot
            self.board.wait_all(
                [f"BOARD slot={slot} ", "hubby_state:value=1"], BOOT, fail="OTA: trial of slot .*boots left after"
            )
        if end == model.FAILED:
            self._wait_for_guard()
        return end

    def _wait_for_guard(self):
        """It writes down what failed beside what else starts. On the console that may have been before the last cut, or lost by it."""
        until = time.monotonic() + BOOT
        while self.board.shell("/etc/init.d/ota-trial-guard status")[0] != 3:
            if time.monotonic() > until:
                raise Surprise(f"the guard of a committed system still runs {BOOT} s after it started")
            time.sleep(0.1)

    @staticmethod
    def _lines_agree(planned, cut, seen):
        """What the console had said when the power went bounds the state from both sides."""
        if "slot_committed:" in seen and cut.state != model.COMMITTED:
            raise Surprise(f"slot_committed was on the console, but the power cut left {cut}")
        if "ota_upgrade_armed" in seen and cut.state == model.OLD:
            raise Surprise("ota_upgrade_armed was on the console, but the power cut left no trial")
        if (
            not planned.more_cuts
            and planned.moment in list(WRITING)[:5]
            and "phase=keep" not in seen
            and cut.state != model.OLD
        ):
            raise Surprise(f"the power failed while sysupgrade was still writing, but left {cut}")

    # ---- the comparison ----------------------------------------------------------------------------------------------

    def _compare(self, planned, before, expected, end, txns):
        """Everything that the board says about itself and the raw disk, against the model; then the model takes it on."""
        differences = []

        def check(what, wanted, found):
            if wanted != found:
                differences.append(f"{what}: the model says {wanted}, the board {found}")

        status = dict(line.split("=", 1) for line in self._ask("ota-slot status").splitlines())
        check("running slot", expected.slot, status["running"])
        check("state", "committed", status["state"])
        check("version", expected.version, self._ask("cat /etc/ota-version").strip())
        if planned.fault == "none":
            owner = self._ask("stat -c %u /proc/$(cat /run/otamgr.pid)").strip()
            check("user of the daemon", str(0 if self._images.as_root else build.daemon_user(VERSION_PLACE)), owner)
        check(
            "header in /etc",
            expected.header,
            self._ask(
                "if [ -e /etc/ota_type_5.hdr ]; then sha256sum < /etc/ota_type_5.hdr | cut -d ' ' -f 1; else echo none; fi"
            ).strip(),
        )
        check(
            "marker of the running slot",
            "there",
            self._ask("test -e /boot/ota-slot-valid && echo there || echo missing").strip(),
        )

        variables = self._environment()
        txn = variables.get("ota_txn", "")
        disturbed = (
            planned.fault in ("power cut", "kill -9 sysupgrade") or planned.fault == "full /tmp" and not planned.offered
        )
        if end == model.OLD and (disturbed or model.KINDS[planned.kind].code):
            wanted = dict(before.environment)
        elif planned.fault == "power cut" and end == model.FAILED:
            wanted = model.environment_after(before, "resets", txn)
        else:
            wanted = model.environment_after(before, planned.kind, txn)
        check("environment", wanted, variables)
        if end != model.OLD and txn not in txns:
            differences.append(f"environment: ota_txn is {txn}, the updates of this cycle were {txns}")

        journal = self._journal(txns)
        self._compare_journal(planned, before, end, txn, journal, differences)

        boots = sum(line.startswith("U-Boot 20") for line in self._seen)
        if planned.fault != "power cut" and not (planned.fault == "full /tmp" and not planned.offered):
            check(
                "boots",
                0
                if planned.fault == "kill -9 sysupgrade" and end == model.OLD
                else model.boots_of(planned.kind, before.tries),
                boots,
            )
        if end == model.FAILED:
            check("marker of the slot that failed", False, self._has_marker(model.other(expected.slot)))
        if differences:
            raise Surprise("\n".join(differences))
        self.system = replace(expected, environment=tuple(sorted(variables.items())))

    def _journal(self, txns):
        """(event, line) of the lines about these updates."""
        if not txns:
            return []
        lines = self._ask("cat /data/otamgr/journal.1 /data/otamgr/journal 2> /dev/null; true").splitlines()
        return [
            (words[1], line)
            for line in lines
            if len(words := line.split(" ")) > 2 and words[2].removeprefix("txn=") in txns
        ]

    @staticmethod
    def _compare_journal(planned, before, end, txn, journal, differences):
        kind = model.KINDS[planned.kind]
        last = [(event, line) for event, line in journal if f"txn={txn} " in f"{line} "] if not kind.code else journal
        events = [event for event, _ in last]
        whole = model.journal_of(planned.kind, before.tries)
        match planned.fault:
            case "power cut":
                # A cut may take the last line with it, and every boot of the trial may have been cut short.
                whole = [
                    *model.WRITTEN,
                    "armed",
                    *["trial-boot"] * before.tries,
                    "rolled-back" if end == model.FAILED else "committed",
                ]
                if not model.is_part_of(events, whole):
                    differences.append(f"journal: {events} is no part of {whole}")
                if end == model.FAILED and "armed" in events and events[-1] != "rolled-back":
                    differences.append(f"journal: expected rolled-back as the last event, found {events}")
                return
            case "full /data":
                if not model.is_part_of(events, whole):
                    differences.append(f"journal: {events} is no part of {whole}")
                return
            case "kill -9 sysupgrade":
                # Whatever it would have written after the kill is missing.
                events = [event for event, _ in journal]
                if not model.is_part_of(events, model.WRITTEN if end == model.OLD else whole):
                    differences.append(f"journal: a killed sysupgrade wrote {events}")
                return
            case "full /tmp" if not planned.offered:
                return
        if events != whole:
            differences.append(f"journal: the model says {whole}, the board {events}")
        elif not re.search(kind.why, last[-1][1]):
            differences.append(f"journal: expected a reason like {kind.why!r}, found {last[-1][1]}")

    def _has_marker(self, slot):
        """Whether a slot that is not mounted vouches for itself."""
        offset = build.partition_start(f"rootfs-{slot}")
        out = subprocess.run(
            ["debugfs", "-R", "stat /boot/ota-slot-valid", f"{self.disk}?offset={offset}"],
            capture_output=True,
            text=True,
        )
        return "Inode:" in out.stdout


def main():
    parser = options.Parser(
        prog="scripts/cycles",
        description="Updates one board again and again, each time with a fault drawn at random: none, a broken image, power cuts, kill -9 of otamgr or\n"
        "sysupgrade, a restart of attrd, a full /tmp or /data. Every cycle must end in the state that a model predicts: slot, version,\n"
        "environment, header in /etc, journal, number of boots.",
        epilog="example:\n  scripts/cycles --count 10 --seed 5\n\nfaults and their weights: "
        + ", ".join(f"{name} {weight}" for name, weight in FAULTS.items())
        + "\n\nexit status: 0 no surprise, 1 a surprise, 2 usage",
    )
    parser.add_argument("--count", type=int, default=200, metavar="N", help="cycles in a row (default 200)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="draws the same faults again")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="on a whole emulated board, with a kernel of its own: ten times slower. Default: U-Boot in QEMU "
        "decides every boot, the system that it chose runs on this machine's kernel (root only)",
    )
    parser.add_argument("--root", action="store_true", help="the daemon is root (OTA_DAEMON_AS_ROOT)")
    parser.add_argument("--only", choices=FAULTS, help="only cycles with this fault, of the same sequence")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the board and the seed of the last run, up to the count"
    )
    parser.add_argument("--stop-after", type=int, metavar="N", help="pause after N cycles, for --resume")
    parser.add_argument("--verbose", action="store_true", help="show what the board says")
    arguments = parser.parse_args()

    screen = show.Show()
    FOLDER.mkdir(parents=True, exist_ok=True)
    progress = FOLDER / "progress.json"
    done, seed = 0, arguments.seed
    kept = json.loads(progress.read_text()) if arguments.resume else None
    if kept:
        done, seed, arguments.whole, arguments.only = kept["done"], kept["seed"], kept["whole"], kept["only"]
        arguments.root = kept["root"]
    images = Images(screen, arguments.whole, arguments.root)
    publisher = scenario.Publisher(FOLDER / "publish", host="10.0.2.2" if arguments.whole else "127.0.0.1")
    runner = Runner(screen, images, publisher, arguments.whole, seed, arguments.verbose)
    if kept:
        runner.system = model.System(
            **kept["system"] | {"environment": tuple((name, value) for name, value in kept["system"]["environment"])}
        )
        number, seconds = kept["number"], kept["seconds"]
    else:
        runner.flash()
        number, seconds = 0, 0.0
    screen.step(f"{arguments.count} cycles, seed {seed}" + (f", going on after {done}" if done else ""))
    started = time.monotonic()
    last = min(arguments.count, done + (arguments.stop_after or arguments.count))
    runner.switch_on()
    planned = None
    try:
        while done < last:
            number += 1
            planned = plan(seed, number)
            if arguments.only and planned.fault != arguments.only:
                continue
            before, begun = runner.system, time.monotonic()
            runner.cycle(planned)
            done += 1
            after = runner.system
            screen.line(
                f"{done}",
                f"{planned.text():<64} {before.slot} {before.version} → {after.slot} {after.version}  {time.monotonic() - begun:5.1f} s  as predicted",
            )
            progress.write_text(
                json.dumps(
                    {
                        "done": done,
                        "number": number,
                        "seed": seed,
                        "whole": arguments.whole,
                        "root": arguments.root,
                        "only": arguments.only,
                        "system": asdict(after),
                        "seconds": seconds + time.monotonic() - started,
                    }
                )
            )
    except (Surprise, machine.Timeout, RuntimeError) as problem:
        screen.line(
            "SURPRISE", f"cycle {done + 1}, number {number} of seed {seed}: {planned.text() if planned else ''}"
        )
        for line in str(problem).splitlines():
            screen.line("", line)
        screen.line("", f"console: {FOLDER / 'console'}")
        print(f"{done + 1} cycles, 1 surprise")
        return 1
    finally:
        if runner.board:
            runner.board.__exit__()
        publisher.close()
    print(f"{done} cycles, 0 surprises ({seconds + time.monotonic() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
