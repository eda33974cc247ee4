# SPDX-License-Identifier: MIT
"""scripts/cubieboard: a board of 32 bits whose ROM reads SPL and U-Boot from a raw place of a card, behind an MBR. Updates, rolls back, and loses its
power at every write of that.

QEMU has the ROM, the card and the watchdog of an Allwinner A10; SPL and U-Boot are built with the layer's configuration, the kernel is Debian's. The
systems have no daemon: what they install, and that they are healthy, says a list on the data partition."""

import bisect
import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from emulated_board import boards_measured, build, emmc, inspect_disk, machine, powercut, show, writelog
from otamgr import options

KIND = boards_measured.KINDS["armhf"]
SETTINGS = build.layer.settings("cubieboard")
SPL, SPL_OFFSET = SETTINGS["OTA_BOOT_RAW"].split("@")
# Name, start and size in MiB; a card has a power of two.
PARTITIONS = (("boot", 20, 16), ("rootfs-a", 36, 112), ("rootfs-b", 148, 112), ("data", 260, 96))
DISK_MIB = 512
# What the kernel needs to find its card, and to start again after a panic.
MODULES = ("sunxi_wdt", "crc32c_generic", "mmc_block", "sunxi-mmc", "ext4")
# In this order; the last one panics.
VERSIONS = ("1.0", "2.0", "3.0")
BOARD = r"^BOARD slot=(\S+) version=(\S+) header=(\S+)"
BOOT, UPDATE = 400, 900
DANGER = "NO BOOTABLE SLOT|ota-data: .*(cannot|unexpected)|Reboot failed"

INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /run/lock /run/log
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
ota-data start
ota-trial-guard >/dev/null 2>&1 &
header=none
[ ! -e /etc/ota_type_5.hdr ] || header=$(sha256sum </etc/ota_type_5.hdr | cut -d ' ' -f 1)
state() { ota-slot status | sed -n "s/^$1=//p"; }
echo "BOARD slot=$(state running) version=$(cat /etc/version) header=$header"
if [ "$(state trial)" = "$(state running)" ]; then
    ota-slot commit && echo "BOARD committed $(state committed)"
fi
next=$(head -n 1 /data/orders)
if [ -n "$next" ]; then
    sed -i 1d /data/orders
    sync
    sysupgrade --no-reboot "/data/$next/ota_type_5.img" && echo "BOARD armed $next" && reboot -f
fi
ota-why
echo "BOARD done"
while :; do sleep 1000; done
"""


class Builder:
    """The systems, their updates and the card as it is flashed."""

    def __init__(self, say):
        self._cache = build.Cache(say)
        self._target = KIND.target
        self._folder = build.BUILD / "cubieboard"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._release = boards_measured.fetched("armhf", KIND)
        self._updater = build.updater(self._cache, " for armhf", build.BUILD / "measured/armhf", self._target)
        self._initramfs = self._cache.make(
            "initramfs of the Cubieboard",
            self._folder / "initramfs",
            [self._release, *MODULES, build.HERE / "initramfs-init"],
            lambda out: build.build_initramfs(
                self._release,
                out,
                root=self._target.root,
                modules=boards_measured.modules(self._target.root, self._release, MODULES),
            ),
        )

    def u_boot(self):
        """SPL and U-Boot as one file, and the variables that U-Boot would have without an environment."""
        maker = build.layer.ROOT / "tests/boot/build-u-boot"
        files = build.layer.RECIPES / "u-boot"
        out = self._cache.make(
            "U-Boot for the Cubieboard",
            self._folder / SPL,
            [maker, files / "files/ota-boot.cfg", build.layer.ROOT / "lib/otamgr", files / "ota-env.inc"],
            lambda out: build.run(maker, "cubieboard", out),
        )
        lines = Path(f"{out}.env").read_text().splitlines()
        return out, dict(line.split("=", 1) for line in lines if "=" in line)

    def _inputs(self):
        recipes = build.layer.RECIPES
        return [
            *self._updater,
            self._initramfs,
            INIT,
            recipes / "sysupgrade/files",
            recipes / "ota-data/files",
            recipes / "u-boot/files",
        ]

    def rootfs(self, version):
        return self._cache.make(
            f"root file system {version} of the Cubieboard",
            self._folder / f"rootfs-{version}.ext4",
            self._inputs(),
            lambda out: self._make_rootfs(version, out),
        )

    def _make_rootfs(self, version, out):
        tree, target = self._folder / "tree", self._target
        build.stage_commands(tree, target)
        build.stage_updater(tree, self._updater)
        build.install(build.layer.RECIPES / "ota-data/files/ota-data", tree / "usr/sbin/ota-data", 0o755)
        for name, text in {
            "fw_env.config": build.layer.fill(build.layer.RECIPES / "u-boot/files/fw_env.config.in", SETTINGS),
            "otamgr/slots.conf": "SLOT_A_DEVICE=/dev/mmcblk0p2\nSLOT_B_DEVICE=/dev/mmcblk0p3\nDATA_DEVICE=/dev/mmcblk0p4\n",
            "otamgr/compatible": f"{build.COMPATIBLE}\n",
            "version": f"{version}\n",
            "os-release": f"VERSION_ID={version}\n",
        }.items():
            (tree / "etc" / name).write_text(text)
        build.bundle.write_public_key(build.signing_key(), tree / "etc/otamgr/keys.d/board.pem")
        shutil.copy(target.root / f"boot/vmlinuz-{self._release}", tree / "boot/zImage")
        shutil.copy(self._initramfs, tree / "boot/initrd")
        (device_tree,) = target.root.glob("usr/lib/linux-image-*/sun4i-a10-cubieboard.dtb")
        shutil.copy(device_tree, tree / "boot")
        init = tree / "sbin/init"
        init.unlink()
        init.write_text("#!/bin/sh\nexit 1\n" if version == VERSIONS[-1] else INIT)
        init.chmod(0o755)
        build.install_libraries(tree, target)
        build.make_filesystem(tree, out, "rootfs")

    def header(self, version):
        return f"header of {version}\n".encode()

    def flash(self, disk):
        """As in the factory: SPL and U-Boot at their place, slot a filled, slot b empty. The data partition brings the updates."""
        u_boot, variables = self.u_boot()
        work = self._folder / "parts"
        shutil.rmtree(work, ignore_errors=True)
        (work / "data").mkdir(parents=True)
        for version in VERSIONS[1:]:
            update = work / "data" / version / "ota_type_5.img"
            update.parent.mkdir()
            build.sign_bundle(self.rootfs(version), update, version)
            update.with_suffix(".hdr").write_bytes(self.header(version))
        (work / "data/orders").write_text("".join(f"{version}\n" for version in VERSIONS[1:]))
        disk.unlink(missing_ok=True)
        with open(disk, "wb") as out:
            out.truncate(DISK_MIB * build.MIB)
        table = "label: dos\n" + "".join(
            f"start={start}MiB, size={size}MiB, type={'c' if name == 'boot' else '83'}\n"
            for name, start, size in PARTITIONS
        )
        build.run("sfdisk", "-q", disk, input=table.encode())
        script, fat, data, environment = (work / name for name in ("boot.scr", "boot.fat", "data.ext4", "env"))
        build.make_boot_script(script, SETTINGS)
        sizes = {name: size for name, _, size in PARTITIONS}
        starts = {name: start * build.MIB for name, start, _ in PARTITIONS}
        build.run("truncate", "-s", f"{sizes['boot']}M", fat)
        build.run("mkfs.vfat", "-n", "BOOT", fat, stdout=subprocess.DEVNULL)
        build.run("mcopy", "-i", fat, script, "::boot.scr")
        build.run(
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-L",
            "data",
            "-d",
            work / "data",
            data,
            f"{sizes['data']}M",
            stdout=subprocess.DEVNULL,
        )
        environment.write_bytes(build.make_environment(variables | {"ota_slot": "a"}))
        for content, place in (
            (u_boot, int(SPL_OFFSET, 16)),
            (environment, int(SETTINGS["OTA_ENV_OFFSET"], 16)),
            (environment, int(SETTINGS["OTA_ENV_OFFSET_REDUND"], 16)),
            (fat, starts["boot"]),
            (self.rootfs(VERSIONS[0]), starts["rootfs-a"]),
            (data, starts["data"]),
        ):
            build.write_at(disk, content, place)


def powered(emulator, disk, log, **more):
    return machine.Machine(disk, log, emulator=emulator, rom_card=True, cpus=1, memory_mib=512, **more)


def emulator(cache):
    """QEMU with a ROM, a watchdog and a power controller for this board, which Debian 12's has not."""
    return (*emmc.qemu(cache)[:-1], str(build.BUILD / "qemu-11/usr/bin/qemu-system-arm"), "-M", "cubieboard")


class Scenario:
    """An update that is committed, and one that panics and is rolled back."""

    def __init__(self, screen):
        say = lambda text: screen.line("build", text)  # noqa: E731
        self._screen, self.builder = screen, Builder(say)
        self.emulator = emulator(build.Cache(say))
        self.disk = build.BUILD / "disk-cubieboard.img"

    def _said(self, line):
        if line.startswith(("OTA:", "BOARD", "U-Boot", "ota-", "sysupgrade:")) or "panic" in line:
            self._screen.line("board", line)

    def is_recorded(self, writes):
        """Whether a run is written down that is of the present systems."""
        parts = [self.builder.u_boot()[0], *map(self.builder.rootfs, VERSIONS)]
        return writes.exists() and writes.stat().st_mtime > max(part.stat().st_mtime for part in parts)

    def run(self, write_log=None):
        """What went wrong, as sentences; the console is in build/logs."""
        base = self.disk.with_suffix(".base")
        self.builder.flash(base)
        build.run("cp", "--sparse=always", base, self.disk)
        log = build.BUILD / "logs/cubieboard.console"
        log.parent.mkdir(exist_ok=True)
        log.unlink(missing_ok=True)
        header = hashlib.sha256(self.builder.header("2.0")).hexdigest()
        found = []
        with powered(self.emulator, self.disk, log, on_line=self._said, write_log=write_log) as board:
            board.wait("^U-Boot SPL ", 60)
            found.append(board.wait(BOARD, BOOT, fail=DANGER).groups())
            board.wait("^BOARD armed 2.0", UPDATE, fail=f"{DANGER}|^BOARD done")
            # The card's ROM again: the whole of it is reset.
            board.wait("^U-Boot SPL ", BOOT, fail=DANGER)
            board.wait(r"OTA: booting slot b \(trial\)", BOOT, fail=DANGER)
            found.append(board.wait(BOARD, BOOT, fail=DANGER).groups())
            board.wait("^BOARD committed b", BOOT, fail=DANGER)
            board.wait("^BOARD armed 3.0", UPDATE, fail=f"{DANGER}|^BOARD done")
            for _ in range(3):
                board.wait(r"OTA: booting slot a \(trial\)", BOOT, fail=DANGER)
                board.wait("Kernel panic - not syncing", BOOT, fail=DANGER)
            board.wait(r"OTA: booting slot b \(committed\)", BOOT, fail=DANGER)
            found.append(board.wait(BOARD, BOOT, fail=DANGER).groups())
            board.wait("^BOARD done", BOOT, fail=DANGER)
            board.switch_off()
        expected = [("a", "1.0", "none"), ("b", "2.0", header), ("b", "2.0", header)]
        problems = [f"expected slot, version and header {expected}, found {found}"] if found != expected else []
        environment = inspect_disk.environment(self.disk)
        state = [environment.get(name) for name in ("ota_slot", "ota_trial", "ota_failed_why")]
        if state != ["b", None, "tries-used-up"]:
            problems.append(f"expected b, no trial, tries-used-up in the environment, found {state}")
        start, size = inspect_disk.partitions(self.disk)["data"]
        if start + size != DISK_MIB * build.MIB:
            problems.append(f"expected a data partition up to the end of the card, found one up to {start + size}")
        with open(self.disk, "rb") as disk, open(self.builder.u_boot()[0], "rb") as boot_loader:
            disk.seek(int(SPL_OFFSET, 16))
            expected = boot_loader.read()
            if disk.read(len(expected)) != expected:
                problems.append("expected SPL and U-Boot as they were flashed, found something else")
        return problems


def durable(log):
    """A card without a cache, which programs pages: the sectors of one are on it together, but for those of the environment and of the table."""
    found, end = [], None
    for write in (entry for entry in writelog.read(log) if isinstance(entry, writelog.Write)):
        goes_on = write.offset == end and write.offset % writelog.PAGE
        if found and (not goes_on or any(write.offset in place for place in powercut.FRAGILE)):
            found.append(writelog.Flush())
        found.append(write)
        end = write.offset + write.length
    return [*found, writelog.Flush()]


class Replay(writelog.Replay):
    def __init__(self, disk, log):
        super().__init__(disk, log)
        self.entries = durable(log)


class Judge(powercut.Judge):
    """Slot a holds another system from the second update on, whose header is its own."""

    def __init__(self, disk, recording):
        super().__init__(disk, recording)
        self._recording = recording

    def verdict(self, states):
        wrong, committed, next_boot = powercut.boot_state(self._disk)
        if wrong:
            return ("brick", wrong), None
        for slot in {committed, next_boot}:
            is_last = slot == "a" and committed == "b"
            self._references = self._recording.references | ({"a": self._recording.last} if is_last else {})
            problem, header = self.slot(slot, is_last, states[f"rootfs-{slot}"])
            if problem:
                return ("brick", problem), next_boot
            expected = self._recording.headers[2 if is_last else "ab".index(slot)]
            if header != expected:
                return ("false header", f"slot {slot} may boot with {header}, expected {expected}"), next_boot
        if problem := self.data(states["data"], states["table"]):
            return ("brick", problem), next_boot
        return None, next_boot


@dataclass(frozen=True)
class Recording(powercut.Recording):
    last: dict = None  # what slot a holds after the last update
    headers: tuple = ()  # of slot a as it was flashed, of slot b, of slot a after the last update
    emulator: tuple = ()

    def replay(self, disk):
        build.run("cp", "--sparse=always", self.base, disk)
        return Replay(disk, self.writes)

    def judge(self, replay, disk):
        return Judge(disk, self)

    def cuts(self, count, seed):
        """Drawn as others are, and moved to where a page ends."""
        entries = durable(self.writes)
        ends = [0, *(index + 1 for index, entry in enumerate(entries) if isinstance(entry, writelog.Flush))]
        drawn = powercut.draw_cuts(entries, count, seed)
        return sorted((ends[bisect.bisect_left(ends, cut)], number) for cut, number in drawn)

    def boot(self, replay, disk, slot):
        image, log = Path(f"{disk}.boot"), Path(f"{disk}.console")
        build.run("cp", "--sparse=always", disk, image)
        log.unlink(missing_ok=True)
        committed = inspect_disk.environment(disk)["ota_slot"]
        # The last system panics, and ends on the slot that is committed.
        expected = committed if slot == "a" and committed == "b" else slot
        try:
            with powered(self.emulator, image, log) as board:
                found = board.wait(BOARD, 4 * BOOT, fail=DANGER)
        except (machine.Timeout, RuntimeError) as problem:
            return str(problem)
        finally:
            image.unlink()
        if (found[1], found[2]) != (expected, {"a": "1.0", "b": "2.0"}[expected]):
            return f"expected slot {expected}, booted slot {found[1]} version {found[2]}"
        return None


def cut(screen, board, cases, booted, seed):
    writes = board.disk.with_suffix(".writes")
    recording = Recording(
        "Cubieboard",
        board.disk.with_suffix(".base"),
        writes,
        None,
        {
            slot: powercut.file_hashes(board.builder.rootfs(version))
            for slot, version in zip("ab", VERSIONS, strict=False)
        },
        partitions=PARTITIONS,
        disk_mib=DISK_MIB,
        last=powercut.file_hashes(board.builder.rootfs(VERSIONS[-1])),
        headers=(None, board.builder.header("2.0"), board.builder.header("3.0")),
        emulator=board.emulator,
    )
    total = powercut.examine_all(recording, cases, booted, seed, screen)
    for problem in total.problems:
        print(f"  NOT AS PROMISED: {problem}")
    print(f"{total.cases} cases, {total.booted} booted, {len(total.problems)} problems, seed {seed}")
    return 1 if total.problems else 0


def main():
    parser = options.Parser(
        prog="scripts/cubieboard",
        description="An emulated Cubieboard (Allwinner A10, 32 bits), whose ROM reads SPL and U-Boot from its card: an update that is committed, one that panics\n"
        "and is rolled back, and power cuts of all that.",
        epilog="examples:\n  scripts/cubieboard\n  scripts/cubieboard --cases 3000 --booted 10\n\n"
        "exit status: 0 the board ended where it must, 1 it did not, 2 usage",
    )
    parser.add_argument(
        "--reuse", action="store_true", help="cuts the power of the last run, if it was one of the present systems"
    )
    parser.add_argument(
        "--cases", type=int, default=0, metavar="N", help="power cuts after any write of that run; default: none"
    )
    parser.add_argument("--booted", type=int, default=0, metavar="N", help="how many of them are booted; default: none")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the same seed, the same cuts; default: 1")
    arguments = parser.parse_args()
    screen = show.Show()
    try:
        board = Scenario(screen)
        writes = board.disk.with_suffix(".writes")
        is_there = arguments.reuse and board.is_recorded(writes)
        problems = [] if is_there else board.run(writes if arguments.cases else None)
    except (machine.Timeout, RuntimeError) as problem:
        problems = [str(problem)]
    for problem in problems:
        print(f"  NOT AS PROMISED: {problem}")
    if problems:
        return 1
    print("The board is where it must be.")
    return cut(screen, board, arguments.cases, arguments.booted, arguments.seed) if arguments.cases else 0


if __name__ == "__main__":
    sys.exit(main())
