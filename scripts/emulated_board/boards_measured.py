# SPDX-License-Identifier: MIT
"""What updates cost on emulated boards of 64 and 32 bits: sysupgrade beside what Debian has for the same board."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from emulated_board import build, machine, packages

MIB = 1 << 20
#: On the disk: the system that runs, the slot that is written, what is installed, and what the slot holds before.
NAMES = ("rootfs-a", "rootfs-b", "media", "old-full", "old-same")
# Of a kernel whose drivers are modules, with what they need; ext4 asks for crc32c by the name of what it does.
MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "loop", "squashfs")
PEERS = ("swupdate", "rauc", "dbus-daemon", "dbus-session-bus-common")
PEER_PROGRAMS = ("usr/bin/swupdate", "usr/bin/rauc", "usr/bin/dbus-daemon", "usr/bin/dbus-run-session")
CONSOLE_SECONDS = 3600


@dataclass(frozen=True)
class Kind:
    """A board of one architecture."""

    target: build.Target
    kernel: str
    emulator: tuple
    what: str

    def needed(self):
        """Programs of this machine that make and run one."""
        return self.emulator[0], f"{self.target.triplet}-gcc", self.target.emulator[0]


def _target(architecture, triplet, loader):
    root = build.BUILD / "measured" / architecture / "root"
    return build.Target(root, triplet, loader, "", (f"qemu-{triplet.split('-')[0]}-static", "-L", str(root)))


KINDS = {
    "arm64": Kind(
        _target("arm64", "aarch64-linux-gnu", "lib/ld-linux-aarch64.so.1"),
        "linux-image-cloud-arm64",
        machine.BOARD,
        "64-bit ARM (Cortex-A53)",
    ),
    "armhf": Kind(
        _target("armhf", "arm-linux-gnueabihf", "lib/ld-linux-armhf.so.3"),
        "linux-image-armmp",
        machine.ARM_BOARD,
        "32-bit ARM (Cortex-A15)",
    ),
}

# Busy time of all processors in hundredths of a second; of the slot the sectors that were written.
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /data
mkdir -p /run/lock
mount -t ext4 -o ro /dev/vda3 /img
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
busy() { awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 }' /proc/stat; }
now() { cut -d ' ' -f 1 /proc/uptime; }
sectors() { awk '{ print $7 }' /sys/class/block/vda2/stat; }
measured() {
    name=$1
    shift
    dd if="/dev/$old" of=/dev/vda2 bs=1M status=none
    for place in @PLACES@; do dd if=/img/env of=/dev/vda bs=65536 seek="$place" conv=notrunc status=none; done
    rm -rf /run/otamgr /data/otamgr
    sync
    echo 3 >/proc/sys/vm/drop_caches
    a="$(now) $(busy) $(sectors)"
    "$@" >/tmp/said 2>&1 && status=0 || status=$?
    sync
    b="$(now) $(busy) $(sectors)"
    [ "$status" -eq 0 ] || tail -n 20 /tmp/said | sed 's/^/SAID /'
    echo "MEASURED $case $name $status $a $b"
}
sysupgraded() { sysupgrade -q -n --no-reboot "/img/$1"; }
piped() { zstd -dc -q /img/raw | dd of=/dev/vda2 bs=1M conv=fsync status=none; }
for run in $(seq @RUNS@); do
    for case in full same; do
        case $case in full) old=vda4 ;; same) old=vda5 ;; esac
@CALLS@
    done
done
echo MEASURED all
poweroff -f
"""


def modules(root, release, names=MODULES):
    """Files of the modules that the board needs, each after those that it needs."""
    subprocess.run(["depmod", "-b", root, release], check=True, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    folder = root / "lib/modules" / release
    needs = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        name, _, others = line.partition(":")
        needs[Path(name).stem] = [Path(other).stem for other in others.split()]
    order = []

    def add(name):
        for other in reversed(needs.get(name, [])):
            add(other)
        if name in needs and name not in order:
            order.append(name)

    for name in names:
        add(name.replace("-", "_") if name not in needs else name)
    return tuple(order)


def fetched(architecture, kind):
    """Debian's packages for the board, unpacked; the kernel's release."""
    folder = build.BUILD / "measured" / architecture
    stamp = folder / "kernel-release"
    if not stamp.exists():
        apt = packages.ForeignApt(architecture, folder / "apt")
        apt.try_update()
        kernel = apt.dependency(kind.kernel, r"linux-image-\S+")
        wanted = [name for name in (*build.TARGET_PACKAGES, *PEERS) if "openjdk" not in name]
        debs = apt.download([kernel, *wanted, *build.JAVA_LIBRARIES, *apt.libraries(wanted)])
        packages.unpack(debs, kind.target.root)
        stamp.write_text(kernel.removeprefix("linux-image-"))
    return stamp.read_text()


class Board:
    """One board with all that is measured on it. `programs` are those of scripts/bench: images, bundles, key, peers."""

    def __init__(self, architecture, programs, place, say):
        self.kind, self.programs, self.place = KINDS[architecture], programs, place
        self.slot = programs.images.slot
        cache = build.Cache(say)
        self.release = fetched(architecture, self.kind)
        folder = build.BUILD / "measured" / architecture
        target = self.kind.target
        self.updater = build.updater(cache, f" for {architecture}", folder, target)
        self.initramfs = place / "initramfs"
        build.build_initramfs(
            self.release, self.initramfs, root=target.root, modules=modules(target.root, self.release)
        )
        self.disk = place / "disk"

    def _calls(self):
        calls = [f"measured {name} sysupgraded {name}" for name in ("format-2", "format-1", "raw")]
        calls.append("measured pipe piped")
        calls += [f"measured {name} /img/{name}.sh" for name in ("swupdate", "rauc") if name in self.programs.bundles]
        return "".join(f"        {call}\n" for call in calls).rstrip("\n")

    def _system(self, runs):
        tree, target = self.place / "system", self.kind.target
        build.stage_commands(tree, target)
        build.stage_updater(tree, self.updater)
        for program in PEER_PROGRAMS:
            shutil.copy(target.root / program, tree / program)
        shutil.copytree(target.root / "usr/share/dbus-1", tree / "usr/share/dbus-1")
        (tree / "img").mkdir()
        (tree / "etc/machine-id").write_text(f"{1:032x}\n")
        (tree / "etc/passwd").write_text("root::0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/:/bin/false\n")
        (tree / "etc/group").write_text("root:x:0:\nmessagebus:x:100:\n")
        shutil.copy(self.programs.key.with_suffix(".pem"), tree / "etc/otamgr/keys.d")
        (tree / "etc/otamgr/compatible").write_text("bench\n")
        (tree / "etc/otamgr/sysupgrade.conf").write_text("REQUIRE_SIGNATURE=no\n")
        places = [int(build.SETTINGS[name], 16) // 65536 for name in ("OTA_ENV_OFFSET", "OTA_ENV_OFFSET_REDUND")]
        words = {"PLACES": " ".join(map(str, places)), "RUNS": str(runs), "CALLS": self._calls()}
        text = INIT
        for word, value in words.items():
            text = text.replace(f"@{word}@", value)
        init = tree / "sbin/init"
        init.unlink()
        init.write_text(text)
        init.chmod(0o755)
        build.install_libraries(tree, target)
        system = self.place / "system.ext4"
        build.make_filesystem(tree, system, "system")
        return system

    def _media(self):
        folder = self.place / "media"
        folder.mkdir()
        for name, file in self.programs.bundles.items():
            if name != "pipe":
                shutil.copy(file, folder / name)
        (folder / "env").write_bytes(build.make_environment({"ota_slot": "a"}))
        for name in ("swupdate", "rauc"):
            if name in self.programs.bundles:
                script = folder / f"{name}.sh"
                script.write_text(f"#!/bin/sh\n{self.programs.on_board(name, '/img', '/dev/vda1', '/dev/vda2')}\n")
                script.chmod(0o755)
        shutil.copy(self.programs.peers / "c.pem", folder)
        media = self.place / "media.ext4"
        build.make_filesystem(folder, media, "media", room_mib=self.slot // MIB)
        return media

    def _made(self, runs):
        images = self.programs.images
        parts = dict(
            zip(NAMES, (self._system(runs), None, self._media(), images.old("full"), images.old("same")), strict=True)
        )
        table, start = [], 20
        starts = {}
        for name, content in parts.items():
            size = -(-content.stat().st_size // MIB) if content else self.slot // MIB
            table.append((name, start, size))
            starts[name] = start * MIB
            start += size
        build.make_partitions(self.disk, table, start + 1)
        for name, content in parts.items():
            if content:
                build.write_at(self.disk, content, starts[name])

    def measure(self, runs, log, said):
        """{case: {program: [{wall, cpu, written}]}}: seconds, seconds of all processors, bytes."""
        self._made(runs)
        words = (
            *self.kind.emulator,
            *("-kernel", str(self.kind.target.root / f"boot/vmlinuz-{self.release}")),
            *("-initrd", str(self.initramfs), "-append", "console=ttyAMA0 ota.slot=a panic=-1 quiet"),
        )
        found = {}
        with machine.Machine(self.disk, log, emulator=words, on_line=said, memory_mib=512) as board:
            while True:
                line = board.wait(r"^MEASURED (.*)", CONSOLE_SECONDS, fail="Kernel panic")[1].split()
                if line == ["all"]:
                    break
                case, name, status, *figures = line
                if status != "0":
                    raise RuntimeError(f"{case}: {name} ended with {status} on the board")
                wall, cpu, sectors, wall_after, cpu_after, sectors_after = map(float, figures)
                found.setdefault(case, {}).setdefault(name, []).append(
                    {
                        "wall": wall_after - wall,
                        "cpu": (cpu_after - cpu) / 100,
                        "written": (sectors_after - sectors) * 512,
                    }
                )
            board.wait_off(60)
        return found
