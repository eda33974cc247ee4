# SPDX-License-Identifier: MIT
"""scripts/powercut --updater NAME: sysupgrade, RAUC and SWUpdate on one rack, each as its documentation sets it up with U-Boot.

The updater runs on this machine, its disk is an image whose writes and flushes QEMU's storage daemon records, behind loop devices. So the
kernel's caches and file systems are real; U-Boot is not part of it: what it would start is read from the environment by the rule that each
updater documents.
"""

import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from emulated_board import layer, powercut, writelog

sys.path.insert(0, str(layer.ROOT / "tests/shell"))
sys.dont_write_bytecode = True
import board as boards  # noqa: E402

ENVIRONMENT = range(boards.ENV[0], sum(boards.ENV))
NAMES = ("sysupgrade", "rauc", "swupdate", "pipe")


def run(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, **options).stdout


class Recorder:
    """A file that shows a disk image and logs what is written to it."""

    def __init__(self, image, log, shown):
        self._log = log
        log.touch()
        shown.touch()
        node = "driver={},node-name={},{}".format
        self._daemon = subprocess.Popen(
            [
                "qemu-storage-daemon",
                "--blockdev",
                node("file", "image", f"filename={image}"),
                "--blockdev",
                node("file", "log", f"filename={log}"),
                "--blockdev",
                node("blklogwrites", "disk", "file=image,log=log,log-sector-size=512"),
                "--export",
                f"type=fuse,id=export,node-name=disk,mountpoint={shown},writable=on",
                "--pidfile",
                f"{log}.pid",
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # The daemon writes this file when its exports are there.
        while not Path(f"{log}.pid").exists():
            if self._daemon.poll() is not None:
                raise RuntimeError(f"expected qemu-storage-daemon to show {image}: {self._daemon.stderr.read()}")
            time.sleep(0.01)

    def close(self):
        """The log is complete when this returns."""
        self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait(60)
        self._daemon.stderr.close()


class RackBoard(boards.Board):
    """A board whose writes are recorded, with the disk that it is given, or a new one."""

    def __init__(self, factory, updater, disk=None):
        super().__init__(factory, "a")
        self._updater, self._given = updater, disk
        self.image, self.log = self.place / "image", self.place / "log"

    def _make_disk(self):
        if self._given:
            run("cp", "--sparse=always", self._given, self.image)
        else:
            self.disk = self.image
            super()._make_disk()
            self.disk = self.place / "disk"
        run("cp", "--sparse=always", self.image, self.place / "base")
        self.recorder = Recorder(self.image, self.log, self.disk)

    def _make_data(self):
        if not self._given:
            super()._make_data()

    def _make_environment(self):
        text = "".join(f"{name}={value}\n" for name, value in self._updater.environment.items())
        copy = run("mkenvimage", "-r", "-s", hex(boards.ENV_BYTES), "-o", "-", "-", input=text.encode())
        self._write_at(boards.ENV[0], copy * 2)

    def recorded(self, action):
        """(the disk at power on, the log of all writes, number of the first entry of the action, its exit status)."""
        self.open()
        try:
            self.flush()
            first = len(writelog.read(self.log))
            status = action(self)
            self.flush()
        finally:
            self.shutdown()
            for loop in self.loops.values():
                subprocess.run(["losetup", "-d", loop], check=False)
            self.loops.clear()
            self.recorder.close()
        return Recorded(self.place / "base", self.log, first, status)


@dataclass(frozen=True)
class Recorded:
    base: Path
    log: Path
    first: int
    status: int


# ---- updaters --------------------------------------------------------------------------------------------------------


class Sysupgrade:
    environment = {"ota_slot": "a"}
    header = boards.HEADER

    def __init__(self, workshop):
        self._image = workshop.image

    @staticmethod
    def version():
        return run("git", "-C", layer.ROOT, "describe", "--always", text=True).strip()

    def install(self, board):
        done = board.sysupgrade("--no-reboot", board.deliver(self._image))
        return done.code, done.err

    @staticmethod
    def order(environment):
        """The slots that are tried, one after the other, when the first does not start."""
        trial = environment.get("ota_trial")
        tried = [trial] if trial and environment.get("ota_tries", "0") != "0" else []
        return [*tried, environment.get("ota_slot", "a")]


class Peer:
    """An updater of Debian's that runs on this machine, with an /etc of its own."""

    header = None

    def __init__(self, workshop):
        self._workshop = workshop
        self._place = workshop.place / type(self).__name__.lower()
        self._place.mkdir()
        run("cp", "-a", "/etc", self._place / "etc")

    def _run(self, board, script):
        (self._place / "etc/fw_env.config").write_text(
            "".join(
                f"{board.loops['disk']} {boards.ENV[0] + n * boards.ENV_BYTES:#x} {boards.ENV_BYTES:#x}\n"
                for n in (0, 1)
            )
        )
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", f"mount --bind {self._place}/etc /etc && {script}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout


class Rauc(Peer):
    """Boot logic: contrib/uboot.sh of RAUC."""

    environment = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}

    def __init__(self, workshop):
        super().__init__(workshop)
        folder = self._place / "in"
        folder.mkdir()
        shutil.copy(workshop.plain, folder / "rootfs.ext4")
        (folder / "manifest.raucm").write_text(
            "[update]\ncompatible=rack\nversion=2.0\n[bundle]\nformat=plain\n[image.rootfs]\nfilename=rootfs.ext4\n"
        )
        self._bundle = self._place / "update.raucb"
        run("rauc", "--cert", workshop.certificate, "--key", workshop.key, "bundle", folder, self._bundle)

    @staticmethod
    def version():
        return run("rauc", "--version", text=True).split()[-1]

    def install(self, board):
        data = board.root / "data/rauc"
        data.mkdir(exist_ok=True)
        (self._place / "mnt").mkdir(exist_ok=True)
        (self._place / "system.conf").write_text(
            f"[system]\ncompatible=rack\nbootloader=uboot\nmountprefix={self._place}/mnt\ndata-directory={data}\n"
            f"[keyring]\npath={self._workshop.certificate}\n"
            f"[slot.rootfs.0]\ndevice={board.loops['a']}\ntype=ext4\nbootname=A\n"
            f"[slot.rootfs.1]\ndevice={board.loops['b']}\ntype=ext4\nbootname=B\n"
        )
        return self._run(
            board,
            "export DBUS_STARTER_BUS_TYPE=session && exec dbus-run-session -- sh -c '"
            "export DBUS_SYSTEM_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS; "
            f"rauc --conf={self._place}/system.conf --override-boot-slot=A service & s=$!; "
            "until rauc status >/dev/null 2>&1; do kill -0 $s || exit 1; sleep 0.05; done; "
            f"rauc install {self._bundle}; r=$?; kill $s; wait $s; exit $r'",
        )

    @staticmethod
    def order(environment):
        order = environment.get("BOOT_ORDER", "A B").lower().split()
        # When no slot has tries left, the script gives all of them new ones.
        return [slot for slot in order if environment.get(f"BOOT_{slot.upper()}_LEFT", "3") != "0"] or order


class Swupdate(Peer):
    """A copy for each of two slots, selected by a variable; U-Boot's boot counter (`altbootcmd`) goes back to the other slot."""

    environment = {"slot": "a"}

    def __init__(self, workshop):
        super().__init__(workshop)
        shutil.copy(workshop.image, self._place / "rootfs.ext4.zst")

    @staticmethod
    def version():
        return run("dpkg-query", "-W", "-f", "${Version}", "swupdate", text=True)

    def install(self, board):
        digest = run("sha256sum", self._place / "rootfs.ext4.zst", text=True).split()[0]
        (self._place / "sw-description").write_text(
            'software = { version = "2.0"; hardware-compatibility: [ "1.0" ]; images: ( { filename = "rootfs.ext4.zst"; '
            f'device = "{board.loops["b"]}"; type = "raw"; compressed = "zstd"; installed-directly = true; sha256 = "{digest}"; }} ); '
            'bootenv: ( { name = "slot"; value = "b"; } ); }\n'
        )
        run(
            "sh",
            "-c",
            f"openssl cms -sign -in sw-description -out sw-description.sig -signer {self._workshop.certificate} "
            f"-inkey {self._workshop.key} -outform DER -nosmimecap -binary; "
            "printf 'sw-description\\nsw-description.sig\\nrootfs.ext4.zst\\n' | cpio -o -H crc --quiet >update.swu",
            cwd=self._place,
        )
        return self._run(
            board,
            f"exec swupdate -B uboot -l 3 -H rack:1.0 -k {self._workshop.certificate} -i {self._place}/update.swu",
        )

    @staticmethod
    def order(environment):
        first = environment.get("slot", "a")
        return [first, "a" if first == "b" else "b"]


class Pipe(Peer):
    """What a script does that knows nothing of power cuts: the rack must find it out."""

    environment = Swupdate.environment
    order = staticmethod(Swupdate.order)

    @staticmethod
    def version():
        return run("zstd", "--version", text=True).partition("v")[2].partition(",")[0]

    def install(self, board):
        device = board.loops["b"]
        return self._run(
            board, f"zstd -dcq {self._workshop.image} | dd of={device} bs=1M status=none && exec fw_setenv slot b"
        )


UPDATERS = dict(zip(NAMES, (Sysupgrade, Rauc, Swupdate, Pipe), strict=True))


class Workshop:
    """What updates are made of: the new image, and a certificate."""

    def __init__(self, factory):
        self.place = factory.place
        self.plain, self.image = factory.image("ext4"), factory.image("ext4.zst")
        self.key, self.certificate = self.place / "k.pem", self.place / "c.pem"
        run(
            *"openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /O=x/CN=y -addext keyUsage=digitalSignature".split(),
            *("-addext", "extendedKeyUsage=emailProtection,codeSigning", "-keyout", self.key, "-out", self.certificate),
        )


# ---- judging ---------------------------------------------------------------------------------------------------------


class Judge:
    """What the next boots of a disk would run."""

    def __init__(self, updater, disk, images):
        self._updater, self._disk = updater, disk
        self._images = images  # slot: [files of an image that it may hold]
        self._known = {}

    def environment(self):
        """The variables, or None where both copies are lost."""
        with tempfile.NamedTemporaryFile("w", suffix=".config") as config:
            for copy in (0, 1):
                config.write(f"{self._disk} {boards.ENV[0] + copy * boards.ENV_BYTES:#x} {boards.ENV_BYTES:#x}\n")
            config.flush()
            done = subprocess.run(["fw_printenv", "-c", config.name], capture_output=True, text=True)
        if done.returncode:
            return None
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if line)

    def whole(self, slot):
        """Whether a slot holds a whole image; and the header in its /etc."""
        offset, size = boards.SLOT[slot]
        with open(self._disk, "rb") as disk:
            disk.seek(offset)
            content = disk.read(size)
        key = slot, hash(content)
        if key not in self._known:
            with tempfile.NamedTemporaryFile() as copy:
                copy.write(content)
                copy.flush()
                self._known[key] = self._look(slot, copy.name)
        return self._known[key]

    def _look(self, slot, image):
        if subprocess.run(["e2fsck", "-fp", image], capture_output=True).returncode > 1:
            return False, None
        header = subprocess.run(["debugfs", "-R", "cat /etc/ota_type_5.hdr", image], capture_output=True).stdout
        files = powercut.file_hashes(image)
        return any(files.items() >= wanted.items() for wanted in self._images[slot]), header or None

    def verdict(self):
        """What is wrong, by kind; and the slot of the next boot."""
        environment = self.environment()
        if environment is None:
            return {"environment lost"}, None
        order = self._updater.order(environment)
        found = {slot: self.whole(slot) for slot in dict.fromkeys(order)}
        kinds = set()
        if not found[order[0]][0]:
            kinds.add("torn first")
        if not any(whole for whole, _ in found.values()):
            kinds.add("brick")
        if self._updater.header and order[0] == "b" and found["b"][1] != self._updater.header:
            kinds.add("false header")
        return kinds, order[0]


# What may be found: no slot that holds a whole system; both copies of the environment unreadable; the next boot tries a slot that is not
# whole, and needs the boot counter to come back; slot b starts without its header; the next update after a cut fails.
KINDS = ("brick", "environment lost", "torn first", "false header", "stuck")


class Cuts:
    """Disks as cuts after entries of a recording leave them, in the order of the entries."""

    def __init__(self, recorded, disk):
        self._recorded, self.disk = recorded, disk

    def draw(self, count, seed):
        """Draws half of them anywhere in the update, half near a flush or a write of the environment; yields (number, random) with the disk
        as it is then."""
        run("cp", "--sparse=always", self._recorded.base, self.disk)
        replay = writelog.Replay(self.disk, self._recorded.log, fragile=[ENVIRONMENT])
        first, last = self._recorded.first, len(replay.entries)
        generator = random.Random(seed)
        special = [
            at
            for at in range(first, last)
            if isinstance(entry := replay.entries[at], writelog.Flush) or entry.offset in ENVIRONMENT
        ]
        cuts = sorted(
            generator.randrange(first, last + 1)
            if generator.random() < 0.5
            else min(max(generator.choice(special) + generator.randrange(-3, 4), first), last)
            for _ in range(count)
        )
        with contextlib.closing(replay):
            for number, cut in enumerate(cuts):
                drawn = random.Random(f"{seed}/{number}")
                replay.cut(replay.advance(cut), drawn)
                yield number
                replay.undo()


def examine(name, factory, workshop, cases, again, seed, screen):
    """Counter of what was found for one updater, with `cases` and `again`: how many updates were started again after a cut and cut again."""
    updater = UPDATERS[name](workshop)
    count = collections.Counter()
    disk = factory.place / "cut"
    kept = factory.place / "again"
    images = {
        "a": [{}],
        "b": [powercut.file_hashes(workshop.plain), powercut.file_hashes(_old_image(factory))],
    }
    judge = Judge(updater, disk, images)

    def recorded(given=None):
        board = RackBoard(factory, updater, given)
        return board, board.recorded(lambda ready: _installed(updater, ready))

    def look(cuts, number_of_cases, case_seed, then=None):
        for number in cuts.draw(number_of_cases, case_seed):
            kinds, next_boot = judge.verdict()
            count["cases"] += 1
            count["new next"] += next_boot == "b"
            count.update(kinds)
            for kind in kinds:
                screen.line(name, f"{kind}: seed {case_seed}, case {number}")
            if then:
                then(number, next_boot)

    board, whole = recorded()
    if whole.status:
        raise RuntimeError(f"{name}: the update itself ended with {whole.status}")
    states = []

    def keep(number, next_boot):
        if number in wanted and next_boot == "a":
            states.append(kept.with_suffix(f".{number}"))
            run("cp", "--sparse=always", disk, states[-1])

    wanted = set(random.Random(f"{seed} again").sample(range(cases), min(again * 2, cases)))
    look(Cuts(whole, disk), cases, f"{seed}", keep)
    shutil.rmtree(board.place)
    for number, state in enumerate(states[:again]):
        board, second = recorded(state)
        count["again"] += 1
        if second.status:
            count["stuck"] += 1
            screen.line(name, f"stuck: the next update ended with {second.status}, {state.name}")
        look(Cuts(second, disk), 5, f"{seed}/{number}")
        shutil.rmtree(board.place)
    for state in states:
        state.unlink()
    return updater.version(), count


def _old_image(factory):
    return factory.image("ext4", factory.place / "new-old")


def _installed(updater, board):
    status, said = updater.install(board)
    if status:
        sys.stderr.write(said[-2000:])
    return status


def rack(names, cases, again, seed, screen):
    """Goes through the updaters; returns 1 if sysupgrade did something that it must not."""
    if not os.access("/dev/fuse", os.W_OK):
        raise RuntimeError(
            "needs /dev/fuse to record what is written: modprobe fuse; in a container, start that with --privileged"
        )
    busybox = layer.ROOT / "build/oe-busybox/busybox"
    if not busybox.exists():
        subprocess.run([layer.ROOT / "tests/shell/build-busybox", busybox], check=True, stdout=subprocess.DEVNULL)
    rows = []
    with boards.Factory(busybox, layer.ROOT) as factory:
        run("mount", "-o", "remount,size=4g", factory.place)
        workshop = Workshop(factory)
        for name in names:
            if name in ("rauc", "swupdate") and not shutil.which(name):
                raise RuntimeError(f"{name} is not installed; it is a package of Debian")
            screen.step(f"{name}: {cases} power cuts, {again} updates again after one and cut again (seed {seed})")
            rows.append((name, *examine(name, factory, workshop, cases, again, seed, screen)))
    columns = ("cases", "again", "new next", *KINDS)
    print(f"\n| updater | version | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 2) + "|")
    for name, version, count in rows:
        print(f"| {name} | {version} | {' | '.join(str(count[column]) for column in columns)} |")
    found = {name: sum(count[kind] for kind in KINDS) for name, _, count in rows}
    if not found.get("pipe", 1):
        print("the rack found nothing wrong with a bare pipe, so it finds nothing: take more cases")
        return 1
    return 1 if found.get("sysupgrade") else 0
