# SPDX-License-Identifier: MIT
"""An emulated A/B board: a disk image behind loop devices, one slot mounted and run in."""

import ctypes
import errno
import fcntl
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path

KIB, MIB = 1024, 1024 * 1024
ENV_BYTES = 64 * KIB
# Where things are on the disk: offset and size.
ENV = (4 * MIB, 2 * ENV_BYTES)
SLOT = {"a": (8 * MIB, 20 * MIB), "b": (28 * MIB, 20 * MIB)}
DATA = (48 * MIB, 4 * MIB)
DISK_BYTES = 52 * MIB
# Device numbers as on an eMMC board have nothing to do with loop devices; names have.
PARTITIONS = {"a": ("mmcblk0p2", "rootfs-a"), "b": ("mmcblk0p3", "rootfs-b"), "data": ("mmcblk0p4", "data")}
# Seconds after which what does not end has failed; a passing test never gets near.
PATIENCE = 120
LIBC = ctypes.CDLL(None, use_errno=True)

HEADER = b"OTA header of update 42\n\x00\x01\xff"
OLD_HEADER = b"header of the running system\n"

FILES = Path(__file__).resolve().parents[2] / "recipes-ota/sysupgrade/files"
PROGRAMS = ["sysupgrade", "ota-slot", "ota-trial-guard", "ota-why", "ota-doctor", "ota-verify"]
# What they share, in /usr/lib/otamgr.
SHARED = sorted(path.name for path in FILES.iterdir() if path.suffix in (".sh", ".awk")) + ["exit-codes"]
SCRIPTS = {
    **{name: f"sbin/{name}" for name in PROGRAMS},
    **{name: f"usr/lib/otamgr/{name}" for name in SHARED},
    "ota-preinit": "usr/lib/otamgr/ota-preinit",
    "trial.conf": "etc/otamgr/trial.conf",
    "ota-trial-guard.init": "etc/init.d/ota-trial-guard",
}
REBOOT = '#!/bin/sh\necho "reboot $*" >>/tmp/reboots\n'


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, **options).stdout


def file_system_header(device):
    """What dumpe2fs says of an ext4 file system: name → value."""
    pairs = (line.partition(":") for line in run("dumpe2fs", "-h", device, text=True).splitlines())
    return {name: value.strip() for name, _, value in pairs}


def patience(seconds=PATIENCE):
    """How long to wait before something hangs: what waits for a processor does not, so longer where many wait for each."""
    return seconds * max(1.0, os.getloadavg()[0] / os.cpu_count())


def content_engine(repository):
    """The program that does everything with the bytes of an image, built for this machine where its sources are newer."""
    folder = repository / "build/ota-content"
    sources = repository / "recipes-ota/ota-content/files"
    # Relative, because make has no names with blanks.
    run("make", "-s", "-C", sources, f"B={os.path.relpath(folder, sources)}")
    return folder / "ota-content"


def io_faults(repository):
    """The library that lets the engine meet faults; see io-faults.c."""
    source, library = repository / "tests/shell/io-faults.c", repository / "build/ota-content/io-faults.so"
    if not library.exists() or source.stat().st_mtime > library.stat().st_mtime:
        run("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", source, "-ldl", "-o", library)
    return library


def engine_meets(root, fault, commands="write unpack"):
    """Lets the first of these sub-commands of the engine meet a fault, in the running system at root."""
    engine = root / "usr/lib/otamgr/ota-content"
    engine.rename(engine.with_suffix(".real"))
    executable(
        engine,
        f"#!/bin/sh\ncase ' {commands} ' in *\" $1 \"*) [ -e /tmp/met ] || export LD_PRELOAD=/usr/lib/io-faults.so OTA_FAULT={fault}; : >/tmp/met ;; esac\n"
        'exec /usr/lib/otamgr/ota-content.real "$@"\n',
    )


def engine_pauses_before(root, *commands):
    """Before these sub-commands: `reached` into /tmp/reached, then waits for a line from /tmp/go."""
    engine = root / "usr/lib/otamgr/ota-content"
    engine.rename(engine.with_suffix(".real"))
    executable(
        engine,
        f"#!/bin/sh\ncase ' {' '.join(commands)} ' in *\" $1 \"*) echo reached >/tmp/reached; read -r word </tmp/go ;; esac\n"
        'exec /usr/lib/otamgr/ota-content.real "$@"\n',
    )


def device_number(path):
    info = os.stat(path)
    return f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"


def executable(path, text):
    # Never write through a link: an applet is a link to busybox.
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def fill_up(place, sizes=(4 * KIB,)):
    """Writes a file at place until its file system is full, in pieces of these sizes."""
    with open(place, "wb", buffering=0) as filler:
        for size in sizes:
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                pass


def tree(root, without=()):
    """Everything below root: path → (mode, owner, content or link target)."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root)
            if relative in without or relative.split(os.sep)[0] == "lost+found":
                continue
            info = os.lstat(path)
            if stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(info.st_mode):
                content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            else:
                content = info.st_rdev
            found[relative] = (stat.filemode(info.st_mode), info.st_uid, info.st_gid, content)
    return found


class Result:
    def __init__(self, code, out, err, progress):
        self.code, self.out, self.err, self.progress = code, out, err, progress


class Factory:
    """Makes boards from one template, and cleans up after each test."""

    def __init__(self, busybox, repository):
        self.busybox, self.repository = busybox, repository
        self.files = repository / "recipes-ota/sysupgrade/files"
        self.transcript, self.boards, self.images = [], [], {}
        self._occupy_descriptors()

    def __enter__(self):
        run("mount", "--make-rprivate", "/")
        self.place = Path(tempfile.mkdtemp(prefix="shell-tests."))
        # In memory: the tests sync a lot, and measure programs, not disks.
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tests", self.place)
        self._make_running_system()
        self._make_new_system()
        # What nearly every test needs, before there are workers.
        for kind in ("ext4", "ext4.gz", "ext4.zst", "tar.gz"):
            self.image(kind)
        Board(self, "a")._old_slot()
        return self

    @staticmethod
    def _occupy_descriptors():
        """Descriptor 3 must not be one of subprocess's own, Board.start replaces it in the child."""
        while os.open(os.devnull, os.O_RDONLY) <= 3:
            pass

    def become_worker(self, name):
        """In another process: from now on everything is made in a place of its own."""
        self._occupy_descriptors()
        self.place = self.place / f"worker-{name}"
        self.place.mkdir()

    def __exit__(self, *_):
        self.close_boards()
        subprocess.run(["umount", "-l", self.place], check=False)
        self.place.rmdir()

    def close_boards(self):
        leftovers = []
        for board in self.boards:
            leftovers += board.close()
        self.boards.clear()
        return leftovers

    def board(self, running="a", **options):
        made = Board(self, running, **options)
        self.boards.append(made)
        made.open()
        return made

    def _make_running_system(self):
        """The root of the board: scripts at their places, OE-like busybox, and the few other programs they need."""
        root = self.place / "running"
        for folder in (
            "bin sbin usr/bin usr/sbin usr/lib/otamgr etc/otamgr etc/init.d lib/upgrade/keep.d proc sys dev "
            "run tmp data boot var root"
        ).split():
            (root / folder).mkdir(parents=True)
        shutil.copy(self.busybox, root / "bin/busybox")
        for applet in run(self.busybox, "--list", text=True).split():
            # reboot and mke2fs must never be the applet, even in a busybox that has them all
            if applet not in ("reboot", "mke2fs", "resize2fs", "e2fsck", "zstd", "fw_setenv", "fw_printenv", "busybox"):
                (root / "bin" / applet).symlink_to("busybox")
        for program, place in (
            ("fw_setenv", "usr/bin"),
            ("fw_printenv", "usr/bin"),
            ("mke2fs", "sbin"),
            ("resize2fs", "sbin"),
            ("e2fsck", "sbin"),
            ("unsquashfs", "usr/sbin"),
        ):
            self.copy_program(shutil.which(program), root, root / place / program)
        for source, place in SCRIPTS.items():
            shutil.copy(self.files / source, root / place)
        for program in (content_engine(self.repository), content_engine(self.repository).with_name("ota-limit")):
            self.copy_program(program, root, root / "usr/lib/otamgr" / program.name)
        shutil.copy(io_faults(self.repository), root / "usr/lib/io-faults.so")
        executable(root / "sbin/reboot", REBOOT)
        (root / "afero_nv").symlink_to("data/afero_nv")
        # As in OE; fw_setenv's own lock is there.
        (root / "var/lock").symlink_to("/run/lock")
        (root / "etc/mke2fs.conf").write_text(
            "[defaults]\n\tbase_features = sparse_super,large_file,filetype,"
            "resize_inode,dir_index,ext_attr\n\tinode_size = 256\n[fs_types]\n"
            "\text4 = {\n\t\tfeatures = has_journal,extent,huge_file,flex_bg,"
            "metadata_csum,metadata_csum_seed,64bit,dir_nlink,extra_isize,orphan_file\n\t}\n"
        )
        (root / "etc/fw_env.config").write_text(
            f"# two copies\n/dev/mmcblk0 {ENV[0]:#x} {ENV_BYTES:#x}\n"
            f"/dev/mmcblk0 {ENV[0] + ENV_BYTES:#x} {ENV_BYTES:#x}\n"
        )
        (root / "etc/ota_type_5.hdr").write_bytes(OLD_HEADER)
        (root / "etc/machine-id").write_text("0123456789abcdef\n")
        (root / "etc/machine-id").chmod(0o444)
        os.chown(root / "etc/machine-id", 7, 8)
        (root / "etc/sysupgrade.conf").write_text("# kept\n\n  /etc/machine-id  \n/etc/does-not-exist\n")
        self.running = root

    def copy_program(self, program, root, place):
        shutil.copy(program, place)
        for line in run("ldd", program, text=True).splitlines():
            for word in line.split():
                if word.startswith("/"):
                    target = root / word.lstrip("/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    if not target.exists():
                        shutil.copy(word, target)

    def _make_new_system(self):
        """The system to install: small, but with whatever a root file system may hold."""
        root = self.place / "new"
        for folder in "etc sbin boot usr/bin usr/lib var/empty dev tmp".split():
            (root / folder).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        (root / "etc/os-release").write_text("VERSION_ID=2\n")
        (root / "etc/shadow").write_text("root:*:\n")
        (root / "etc/shadow").chmod(0o400)
        os.chown(root / "etc/shadow", 0, 42)
        (root / "sbin/init").symlink_to("/usr/lib/init")
        executable(root / "usr/lib/init", "#!/bin/sh\n")
        (root / "usr/bin/with blank").write_text("x")
        os.chmod(root / "usr/bin/with blank", 0o4755)
        (root / "boot/Image-6.6").write_bytes(os.urandom(300 * KIB))
        (root / "boot/Image").symlink_to("Image-6.6")
        (root / "usr/lib/big").write_bytes(os.urandom(3 * MIB) + bytes(MIB))
        os.mknod(root / "dev/console", stat.S_IFCHR | 0o600, os.makedev(5, 1))
        self.new = root

    # ---- images of the new system, made once -----------------------------------------------------------------

    def system_variant(self, name, change):
        """A copy of the new system with `change(root)` applied."""
        root = self.place / f"new-{name}"
        if not root.exists():
            shutil.copytree(self.new, root, symlinks=True, ignore=shutil.ignore_patterns("console"))
            change(root)
        return root

    def image(self, kind, root=None, size=8 * MIB, features=None):
        """Path of an image: kind is ext4 or tar, with .gz, .zst or .xz for compression."""
        root = root or self.new
        inner, _, compression = kind.partition(".")
        key = (kind, root, size, features)
        if key not in self.images:
            source = self.image(inner, root, size, features) if compression else None
            path = self.place / f"image{len(self.images)}"
            if compression:
                with open(path, "wb") as output:
                    command = {
                        "gz": ["gzip", "-c"],
                        "zst": ["zstd", "-q", "-c"],
                        "xz": ["xz", "-c", "-0", "--check=crc32"],
                    }[compression]
                    subprocess.run([*command, source], stdout=output, check=True)
            elif inner == "ext4":
                path.touch()
                os.truncate(path, size)
                run(
                    "mke2fs",
                    "-q",
                    "-F",
                    "-t",
                    "ext4",
                    *(["-O", features] if features else []),
                    "-E",
                    "lazy_itable_init=0",
                    "-d",
                    root,
                    path,
                )
            elif inner == "tar":
                run("tar", "-C", root, "--numeric-owner", "-cf", path, ".")
            self.images[key] = path
        return self.images[key]


class Board:
    def __init__(self, factory, running, names=True, env_copies=2, change=None):
        """names: partitions have PARTNAMEs. change(root): applied to the running system before it boots."""
        self.factory, self.running, self.names, self.change = factory, running, names, change
        self.env_copies = env_copies
        self.target = "b" if running == "a" else "a"
        self.place = factory.place / f"board{len(factory.boards)}"
        self.root = self.place / "root"
        self.disk = self.place / "disk"
        self.loops, self.processes, self.fifos = {}, [], {}

    # ---- building and tearing down ------------------------------------------------------------------------------

    def open(self):
        self.root.mkdir(parents=True)
        self._make_disk()
        for part, (offset, size) in {"disk": (0, DISK_BYTES), **SLOT, "data": DATA}.items():
            self.loops[part] = self._loop(self.disk, offset, size)
        self._make_data()
        self.boot()

    def _make_disk(self):
        self.disk.touch()
        os.truncate(self.disk, DISK_BYTES)
        self._write_at(SLOT[self.running][0], self._running_slot())
        # What an older update left: a valid file system.
        self._write_at(SLOT[self.target][0], self._old_slot())
        self._make_environment()

    def _make_data(self):
        run("mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=0", self.loops["data"])

    def boot(self):
        """Mounts what a booted system has. No atime and no journal: only a write changes the slot's bytes."""
        run("mount", "-t", "ext4", "-o", "noatime", self.loops[self.running], self.root)
        run("mount", "-t", "proc", "proc", self.root / "proc")
        for folder in "sys dev run tmp".split():
            run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", self.root / folder)
        run("mount", "-t", "ext4", self.loops["data"], self.root / "data")
        (self.root / "data/afero_nv").mkdir(exist_ok=True)
        (self.root / "run/lock").mkdir()
        self._fill_dev()
        self._fill_sys()
        # The first file opened after a mount makes ext4 note the mount point in the superblock; that is not the scripts'.
        (self.root / "etc/fw_env.config").read_text()
        self.settle()
        self.env_before = self.env_bytes()

    def shutdown(self):
        self.kill_everything()
        for mount in sorted(self._mounts(), key=len, reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)

    def close(self):
        """Frees everything. Returns complaints about what the scripts themselves left behind."""
        mounted = [mount for mount in self._mounts() if mount.endswith("/run/otamgr/new-root")]
        complaints = [f"left mounted: {mount}" for mount in mounted if not self.expect_leftovers]
        self.shutdown()
        for fifo in self.fifos.values():
            os.close(fifo)
        for loop in self.loops.values():
            subprocess.run(["losetup", "-d", loop], check=False)
        shutil.rmtree(self.place, ignore_errors=True)
        return complaints

    expect_leftovers = expect_lost_writes = False

    def _running_slot(self):
        """Image of the running system; without a journal, so that it is not written to by just being mounted."""
        key = "running-slot"
        if self.change:
            root = self.place / "changed"
            shutil.copytree(self.factory.running, root, symlinks=True)
            self.change(root)
            image = self.place / "changed.ext4"
        else:
            root, image = self.factory.running, self.factory.images.get(key)
            if image:
                return image.read_bytes()
            image = self.factory.images[key] = self.factory.place / "running.ext4"
        image.touch()
        os.truncate(image, SLOT["a"][1])
        run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=0", "-d", root, image)
        return image.read_bytes()

    def _old_slot(self):
        """Another system than the one that is installed: nearly all of it has to be written."""

        def other(root):
            for name in ("usr/lib/big", "boot/Image-6.6"):
                (root / name).write_bytes(os.urandom((root / name).stat().st_size))

        return self.factory.image("ext4", self.factory.system_variant("old", other)).read_bytes()

    def _write_at(self, offset, content):
        with open(self.disk, "r+b") as disk:
            disk.seek(offset)
            disk.write(content)

    def _make_environment(self):
        text = f"bootcmd=run distro_bootcmd\nbootdelay=2\nota_slot={self.running}\n"
        redundant = ["-r"] if self.env_copies == 2 else []
        copy = run("mkenvimage", *redundant, "-s", hex(ENV_BYTES), "-o", "-", "-", input=text.encode())
        self._write_at(ENV[0], copy * self.env_copies)

    def _loop(self, path, offset=0, size=None, read_only=False):
        options = (["--sizelimit", size] if size else []) + (["--read-only"] if read_only else [])
        return run("losetup", "--find", "--show", "--offset", offset, *options, path, text=True).strip()

    def replace_device(self, part, path, offset=0, size=None, read_only=False):
        """Puts another device behind a partition's name and in sysfs, with the size sysfs had before."""
        folder, numbers = self.sys_folder(part), self.root / "sys/dev/block"
        loop = self.loops[f"other {part}"] = self._loop(path, offset, size, read_only)
        (folder / "dev").write_text(device_number(loop) + "\n")
        (numbers / device_number(loop)).symlink_to(os.path.relpath(folder, numbers))
        self.make_node("mmcblk0" if part == "disk" else PARTITIONS[part][0], f"other {part}")

    def _fill_dev(self):
        dev = self.root / "dev"
        for name, major, minor in (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("urandom", 1, 9)):
            os.mknod(dev / name, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            os.chmod(dev / name, 0o666)
        for name, target in (("fd", "/proc/self/fd"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")):
            (dev / name).symlink_to(target)
        self.make_node("mmcblk0", "disk")
        for part, (name, _) in PARTITIONS.items():
            self.make_node(name, part)

    def make_node(self, name, part):
        path = self.root / "dev" / name
        path.unlink(missing_ok=True)
        os.mknod(path, stat.S_IFBLK | 0o600, os.stat(self.loops[part]).st_rdev)

    def _fill_sys(self):
        """The part of sysfs that tells partitions apart, laid out as the kernel does."""
        disk = self.root / "sys/devices/platform/soc/fe340000.mmc/mmc_host/mmc0/mmc0:0001/block/mmcblk0"
        numbers = self.root / "sys/dev/block"
        numbers.mkdir(parents=True)
        for part in ("disk", *PARTITIONS):
            name, label = ("mmcblk0", None) if part == "disk" else PARTITIONS[part]
            folder = disk if part == "disk" else disk / name
            folder.mkdir(parents=True)
            number = device_number(self.loops[part])
            major, minor = number.split(":")
            uevent = (
                f"MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nDEVTYPE={'disk' if part == 'disk' else 'partition'}\n"
            )
            if label:
                uevent += f"PARTN={name[-1]}\n" + (f"PARTNAME={label}\n" if self.names else "")
                (folder / "partition").write_text(name[-1] + "\n")
            (folder / "uevent").write_text(uevent)
            (folder / "dev").write_text(number + "\n")
            offset, size = (0, DISK_BYTES) if part == "disk" else DATA if part == "data" else SLOT[part]
            if label:
                (folder / "start").write_text(f"{offset // 512}\n")
            (folder / "size").write_text(f"{size // 512}\n")
            (numbers / number).symlink_to(os.path.relpath(folder, numbers))

    def sys_folder(self, part):
        return (self.root / "sys/dev/block" / device_number(self.loops[part])).resolve()

    def _mounts(self):
        return [
            line.split()[4].replace("\\040", " ")
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if line.split()[4] == str(self.root) or line.split()[4].startswith(f"{self.root}/")
        ]

    # ---- running things on it -----------------------------------------------------------------------------------

    def start(self, *command, environment=None, progress=subprocess.PIPE, **options):
        """Starts a command in the board's root, with nothing inherited but a small PATH."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(environment or {})}
        read_end = None
        if progress == subprocess.PIPE:
            read_end, write_end = os.pipe()
        else:
            write_end = progress
        root = self.root

        def prepare():
            if write_end is not None:
                os.dup2(write_end, 3)  # where sysupgrade looks for it
            os.chroot(root)
            os.chdir("/root")

        process = subprocess.Popen(
            [os.fsencode(part) for part in command],
            env=environment,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            preexec_fn=prepare,
            pass_fds=() if write_end is None else (3,),
            **options,
        )
        if read_end is not None:
            os.close(write_end)
            process.progress_end = read_end
        self.processes.append(process)
        return process

    def finish(self, process):
        progress = b""
        out, err = process.communicate(timeout=patience())
        if hasattr(process, "progress_end"):
            with open(process.progress_end, "rb") as stream:
                progress = stream.read()
            del process.progress_end
        result = Result(
            process.returncode,
            (out or b"").decode(),
            (err or b"").decode(errors="replace"),
            progress.decode(errors="replace").splitlines(),
        )
        self.factory.transcript.append(
            f"$ {process.args} → {result.code}\n{result.out}{result.err}"
            + "".join(f"[{line}]\n" for line in result.progress)
        )
        return result

    def run(self, *command, **options):
        return self.finish(self.start(*command, **options))

    def sysupgrade(self, *arguments, **options):
        return self.run("/sbin/sysupgrade", *arguments, **options)

    def everything_running(self):
        """Process ids of all that runs in this board."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                try:
                    if os.readlink(f"/proc/{entry}/root") == str(self.root):
                        found.append(int(entry))
                except OSError:
                    pass
        return found

    def kill_everything(self):
        """As a power cut: nobody gets to clean up. Returns when all are gone."""
        deadline = time.monotonic() + patience()
        while pids := [pid for pid in self.everything_running() if not self._is_zombie(pid)]:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if time.monotonic() > deadline:
                raise AssertionError(f"processes {pids} survive SIGKILL")
        for process in self.processes:
            if process.poll() is None:
                process.wait(patience())

    @staticmethod
    def _is_zombie(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    def replace(self, place, text):
        """Puts a script of the test's in place of a program; the board counts as booted with it."""
        executable(self.root / place, text)
        self.settle()

    def blind(self, *wanted):
        """From now on awk fails when the list of mounts is asked for one of these, or for whatever."""
        patterns = " | ".join(f"*={one}\\ */proc/self/mountinfo" for one in wanted) or "*/proc/self/mountinfo"
        self.replace("usr/bin/awk", f'#!/bin/sh\ncase $* in {patterns}) exit 2 ;; esac\nexec /bin/busybox awk "$@"\n')

    def settle(self):
        self.running_before = self.slot_bytes(self.running)

    def deliver(self, image, name="ota_type_5", header=HEADER, folder="tmp"):
        """What hubby does: image and header into /tmp. Returns the image's path on the board."""
        target = self.root / folder
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{name}.img").unlink(missing_ok=True)
        if isinstance(image, bytes):
            (target / f"{name}.img").write_bytes(image)
        else:
            shutil.copy(image, target / f"{name}.img")
        if header is not None:
            (target / f"{name}.hdr").write_bytes(header)
        return f"/{folder}/{name}.img"

    # ---- looking at it ------------------------------------------------------------------------------------------

    def flush(self):
        """What was written is in the disk image when this returns. Not sync(2): that waits for the whole machine."""
        for mount in self._mounts():
            place = os.open(mount, os.O_RDONLY)
            try:
                LIBC.syncfs(place)
            finally:
                os.close(place)
        for loop in self.loops.values():
            device = os.open(loop, os.O_RDONLY)
            try:
                os.fsync(device)
            except OSError as error:
                if error.errno != errno.EIO or not self.expect_lost_writes:
                    raise
            finally:
                os.close(device)

    def slot_bytes(self, slot):
        self.flush()
        offset, size = SLOT[slot]
        with open(self.disk, "rb") as disk:
            disk.seek(offset)
            return hashlib.sha256(disk.read(size)).hexdigest()

    def env_bytes(self):
        """Both copies of the environment."""
        self.flush()
        with open(self.disk, "rb") as disk:
            disk.seek(ENV[0])
            return disk.read(ENV_BYTES), disk.read(ENV_BYTES)

    def env(self):
        """The environment as U-Boot would see it: name → value."""
        result = subprocess.run(
            ["chroot", self.root, "/usr/bin/fw_printenv"], capture_output=True, text=True, check=True
        )
        return dict(line.split("=", 1) for line in result.stdout.splitlines())

    def ota_env(self):
        """Without the link of the journal that it is bound to: test_log.py has that."""
        return {name: value for name, value in self.env().items() if name.startswith("ota_") and name != "ota_log"}

    def set_env(self, **values):
        text = "".join(f"{name}={value}\n" for name, value in values.items())
        subprocess.run(["chroot", self.root, "/usr/bin/fw_setenv", "-s", "-"], input=text, text=True, check=True)
        self.env_before = self.env_bytes()

    def destroy_env(self):
        self._write_at(ENV[0], bytes(2 * ENV_BYTES))
        run("blockdev", "--flushbufs", self.loops["disk"])
        self.env_before = self.env_bytes()

    def env_copies_written(self):
        return [index for index in (0, 1) if self.env_bytes()[index] != self.env_before[index]]

    def journal(self):
        path = self.root / "data/otamgr/journal"
        return path.read_text(errors="replace").splitlines() if path.exists() else []

    def events(self):
        """Journal lines without their time and link."""
        return [re.sub(r" link=\d+:[0-9a-f]{64}$", "", line.partition(" ")[2]) for line in self.journal()]

    def reboots(self):
        path = self.root / "tmp/reboots"
        return path.read_text().splitlines() if path.exists() else []

    def reboot_reason(self):
        path = self.root / "data/afero_nv/reboot_reason"
        return path.read_text() if path.exists() else None

    def mounted(self, slot):
        """The slot, mounted read-only for looking into it; a context manager."""
        return Mounted(self, slot)

    def mounts(self, slot):
        """Whether the slot can be mounted at all."""
        try:
            with self.mounted(slot):
                return True
        except subprocess.CalledProcessError:
            return False

    def wait_for_lock(self):
        """Returns when no process can write to the slot any more; the kernel tells."""
        with open(self.root / "run/otamgr/sysupgrade.lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

    def reached(self, name):
        """Waits until a script of the test's has written to the fifo."""
        return os.read(self.fifos[name], 100)

    def tell(self, name):
        os.write(self.fifos[name], b"go\n")

    def fifo(self, name):
        os.mkfifo(self.root / "tmp" / name)
        # For reading and writing: opening waits for nobody, whatever happened to the other side.
        self.fifos[name] = os.open(self.root / "tmp" / name, os.O_RDWR)


class Mounted:
    def __init__(self, board, slot):
        self.board, self.slot, self.place = board, slot, board.place / f"look-{slot}"

    def __enter__(self):
        self.place.mkdir(exist_ok=True)
        run("mount", "-t", "ext4", "-o", "ro", self.board.loops[self.slot], self.place)
        return self.place

    def __exit__(self, *_):
        run("umount", self.place)
