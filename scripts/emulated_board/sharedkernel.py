# SPDX-License-Identifier: MIT
"""A board without a kernel of its own, so that hundreds of updates take minutes.

A real U-Boot in QEMU takes every decision on the board's real disk image. The kernel that it loads from the slot is of a few hundred bytes
and switches QEMU off; in its place the slot's own /sbin/init runs in namespaces on the kernel of this machine: root file system, /data and
environment are the same disk image, through a loop device. A power cut ends all its processes at one instant and shuts the file systems
down without writing what they still hold (EXT4_IOC_SHUTDOWN, as file system tests do it).

What differs from a whole board: kernel panics (the system ends at once instead), and reads after sysupgrade has dropped the page cache,
which this board leaves to the machine.
"""

import fcntl
import os
import re
import signal
import subprocess
import sysconfig
import threading
import time
from pathlib import Path

from emulated_board import build, machine
from emulated_board.tinykernel import tiny_kernel

HERE = Path(__file__).resolve().parent
KERNEL_STARTS = "KERNEL STARTS"
_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, b"\x02\0\0\0"
_SLOT_PARTITION = {"a": 2, "b": 3}
# The services of a whole board that find nothing to do here, and what would reach this machine's own devices.
# A kernel without CONFIG_EFI_PARTITION gives partitions no names, so the slots are configured, as on an MBR disk.
_SLOTS = "SLOT_A_DEVICE=/dev/vda2\nSLOT_B_DEVICE=/dev/vda3\nDATA_DEVICE=/dev/vda4\n"
_NOT_HERE = ("mount -t proc", "mount -t sysfs", "mount -t devtmpfs", "mount -t tmpfs -o mode=1777", "dmesg -n")


def target():
    """This machine as the target: its own Debian packages."""
    triplet = sysconfig.get_config_var("MULTIARCH") or f"{os.uname().machine}-linux-gnu"
    loaders = {
        "x86_64-linux-gnu": ("lib64/ld-linux-x86-64.so.2", "amd64"),
        "aarch64-linux-gnu": ("lib/ld-linux-aarch64.so.1", "aarch64"),
    }
    if triplet not in loaders:
        raise RuntimeError(f"expected a machine of {' or '.join(loaders)}, found {triplet}; use the whole board")
    loader, name = loaders[triplet]
    return build.Target(Path("/"), triplet, loader, f"lib/{name}-Linux-clang/jni/")


def adapt(tree):
    """Makes a staged root file system run on a kernel that is shared with others."""
    (tree / "boot/Image").write_bytes(tiny_kernel(KERNEL_STARTS))
    start = tree / "etc/init.d/rcS"
    text = "".join(line for line in start.read_text().splitlines(keepends=True) if not line.startswith(_NOT_HERE))
    start.write_text(
        text.replace("hostname -F", "mount -t ext4 /dev/vda4 /data\nmkdir -p /data/afero_nv\nhostname -F", 1)
    )
    (tree / "etc/rcS.d/S04ota-data").unlink()
    (tree / "etc/otamgr/slots.conf").write_text(_SLOTS)
    inittab = tree / "etc/inittab"
    inittab.write_text(
        "".join(line for line in inittab.read_text().splitlines(keepends=True) if "askfirst" not in line)
    )
    (tree / "etc/rcS.d/S40network").unlink()


# Arguments: folder for the root, partition of the slot, loop device, console, kernel command line, boot id.
_START = r"""
set -eu
root=$1 slot=$2 disk=$3 console=$4
mount --make-rprivate /
mount -t ext4 "$slot" "$root"
mount -t proc proc "$root/proc"
# Nothing that runs here may reach the machine's own kernel.
for file in sysrq-trigger sys/vm/drop_caches; do
    [ ! -e "$root/proc/$file" ] || mount --bind /dev/null "$root/proc/$file"
done
mount -t tmpfs -o mode=755,size=1m dev "$root/dev"
printf '%s\n' "$5" > "$root/dev/.cmdline"
printf '%s\n' "$6" > "$root/dev/.boot_id"
mount --bind "$root/dev/.cmdline" "$root/proc/cmdline"
mount --bind "$root/dev/.boot_id" "$root/proc/sys/kernel/random/boot_id"
mount -o remount,bind,ro "$root/proc/sys" 2> /dev/null || mount --bind -o ro "$root/proc/sys" "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=1777,size=256m tmpfs "$root/tmp"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
cp -a "$disk" "$root/dev/vda"
for number in 1 2 3 4; do
    cp -a "${disk}p$number" "$root/dev/vda$number"
done
ln -s /proc/self/fd "$root/dev/fd"
: > "$root/dev/console"
mount --bind "$console" "$root/dev/console"
cd "$root"
exec chroot "$root" /sbin/init < "$console" > "$console" 2>&1
"""


class SharedKernelBoard(machine.Console):
    """From power on until power cut; boots again by itself whenever the system resets."""

    def __init__(self, disk, log, on_line=None):
        super().__init__(on_line)
        self._disk, self._log = Path(disk), open(log, "ab")
        self._root = self._disk.with_suffix(".root")
        self._root.mkdir(exist_ok=True)
        self._lock = threading.Lock()
        self._off = False
        self._loader = self._system = self._loop = None
        self.init = None  # process id of the running system's init
        self.slot = None
        self._console, self._console_end = os.openpty()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._power = threading.Thread(target=self._run, daemon=True)
        self._power.start()

    # ---- running --------------------------------------------------------------------------------------------------

    def _read(self):
        pending = b""
        while block := os.read(self._console, 65536):
            self._log.write(block)
            self._log.flush()
            *lines, pending = (pending + block).split(b"\n")
            for raw in lines:
                if raw.strip(b"\r") == b"\x04off":
                    return
                self._said(raw)

    def _run(self):
        try:
            while not self._off and (slot := self._boot_loader()):
                self.slot = slot
                self._boot_system(slot)
        finally:
            self._silent()

    def _boot_loader(self):
        """The slot whose kernel U-Boot started, or None."""
        slot = None

        def said(line):
            nonlocal slot
            if match := re.match(r"OTA: booting slot ([ab])", line):
                slot = match[1]
            self._on_line(line)
            self._lines.put(line)

        with self._lock:
            if self._off:
                return None
            self._loader = machine.Machine(
                self._disk,
                self._disk.with_suffix(".u-boot"),
                on_line=said,
                memory_mib=512,
                cpus=1,
                skip_autoboot_delay=True,
            )
        try:
            self._loader.wait(f"^{KERNEL_STARTS}", 120)
            self._loader.wait_off(30)
        except machine.Timeout:
            return None
        finally:
            with self._lock:
                self._loader.__exit__()
                self._loader = None
        return slot

    def _boot_system(self, slot):
        with self._lock:
            if self._off:
                return
            # Attached anew for each boot: U-Boot has written to the image behind the loop device's back.
            self._loop = subprocess.run(
                ["losetup", "--find", "--show", "--partscan", self._disk], check=True, capture_output=True, text=True
            ).stdout.strip()
            if not Path(f"{self._loop}p1").exists():
                subprocess.run(["partx", "--add", self._loop], check=True)
            variables = dict(line.split("=", 1) for line in self._environment().splitlines() if "=" in line)
            uptime = int(float(Path("/proc/uptime").read_text().split()[0]))
            self._system = subprocess.Popen(
                [
                    "unshare",
                    "--mount",
                    "--uts",
                    "--ipc",
                    "--pid",
                    "--time",
                    f"--boottime=-{uptime}",
                    "--fork",
                    "--kill-child",
                    "sh",
                    "-c",
                    _START,
                    "start",
                    self._root,
                    f"{self._loop}p{_SLOT_PARTITION[slot]}",
                    self._loop,
                    os.ttyname(self._console_end),
                    f"ota.slot={slot} {variables.get('ota_bootargs', '')}",
                    Path("/proc/sys/kernel/random/uuid").read_text().strip(),
                ],
                stdin=subprocess.DEVNULL,
                stderr=self._log,
            )
            self.init = self._first_child(self._system.pid)
        if self._system.wait() > 0 and not self._off:
            # A system that resets ends by a signal.
            self._said(f"the system in slot {slot} could not be started: {self._log.name}".encode())
            self._off = True
            self._detach()
        with self._lock:
            self.init = None
            if self._loop and not self._off:
                self._detach()

    def _environment(self):
        config = self._disk.with_suffix(".fw_env.config")
        # Relative, because a path in there cannot have blanks.
        config.write_text(
            "".join(
                f"{self._disk.name} {build.SETTINGS[name]} {build.SETTINGS['OTA_ENV_SIZE']}\n"
                for name in ("OTA_ENV_OFFSET", "OTA_ENV_OFFSET_REDUND")
            )
        )
        return subprocess.run(
            ["fw_printenv", "-c", config], check=True, capture_output=True, text=True, cwd=self._disk.parent
        ).stdout

    @staticmethod
    def _first_child(pid):
        children = Path(f"/proc/{pid}/task/{pid}/children")
        while not (found := children.read_text().split()):
            time.sleep(0.005)
        return int(found[0])

    def _detach(self):
        """The image belongs to nobody else any more when this returns."""
        deadline = time.monotonic() + 30
        # Detached for good when the last file system on it is gone, which is not in our hands.
        while self._attached() == str(self._disk):
            subprocess.run(["losetup", "--detach", self._loop], capture_output=True)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._loop} is still in use 30 s after the system ended")
            time.sleep(0.01)
        self._loop = None

    def _attached(self):
        """The file behind the loop device, or None."""
        try:
            return (Path("/sys/block") / Path(self._loop).name / "loop/backing_file").read_text().strip()
        except OSError:
            return None

    # ---- what happens to it ----------------------------------------------------------------------------------------

    def inside(self, *parts):
        """The path of a file of the running system, as this machine sees it."""
        return Path(f"/proc/{self.init}/root").joinpath(*parts)

    def shell(self, command, seconds=60):
        """Runs a command line in the running system; (exit status, output)."""
        done = subprocess.run(
            [
                "nsenter",
                f"--target={self.init}",
                "--mount",
                "--pid",
                "--uts",
                "--ipc",
                f"--root=/proc/{self.init}/root",
                "/bin/sh",
                "-c",
                f"PATH=/usr/sbin:/usr/bin:/sbin:/bin; {command}",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        return done.returncode, done.stdout + done.stderr

    def _killed(self):
        """No process of the system is left when this returns."""
        try:
            os.kill(self.init, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has just reset by itself
        self._system.wait()

    def power_cut(self):
        with self._lock:
            self._off = True
            if self._loader:
                self._loader.power_cut()
            if self.init:
                # Open files keep the file systems from being unmounted, which would write everything.
                places = [
                    path for part in ("", "data", "run/otamgr/new-root") if os.path.ismount(path := self.inside(part))
                ]
                held = [os.open(path, os.O_RDONLY) for path in places]
                self._killed()
                for place in held:
                    try:
                        fcntl.ioctl(place, _SHUTDOWN, _NO_LOG_FLUSH)
                    except OSError:
                        pass  # no ext4, such as a tmpfs
                    os.close(place)
            if self._loop:
                self._detach()
        self._power.join()
        os.write(self._console_end, b"\n\x04off\n")
        self._reader.join()
        os.close(self._console_end)
        os.close(self._console)
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self._log.closed:
            self.power_cut()
