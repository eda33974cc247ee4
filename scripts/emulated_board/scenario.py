# SPDX-License-Identifier: MIT
"""One update of the emulated board from power on to the end, good or with a fault, with what must be true afterwards."""

import datetime
import functools
import hashlib
import http.server
import re
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from emulated_board import build, inspect_disk, machine

BOOTED = r"BOARD slot=(\S+) version=(\S+) header=(\S+)"
# Seconds that a step may take before the board counts as lost; a slow machine takes long, and is no fault.
BOOT, UPDATE, COMMIT = 600, 1200, 1500
DAY = 24 * 3600
# File systems of a root that is never written to.
READ_ONLY = ("ext4", "squashfs", "erofs")
DANGER = r"Kernel panic|java\.lang\.\w+Error"


def counts_on(journal, clock):
    """Whether a device's journal has times, all of them within a day after its clock showed this one."""
    began = datetime.datetime.fromisoformat(f"{clock}+00:00")
    times = [line.split(" ")[0].replace("Z", "+00:00") for line in journal.splitlines()]
    return bool(times) and all(
        0 <= (datetime.datetime.fromisoformat(time) - began).total_seconds() < DAY for time in times
    )


@dataclass(frozen=True)
class Fault:
    """What is wrong with the update and how the device must answer."""

    about: str
    spoil: object = None  # changes the staged root file system of the update
    cut_image: bool = False
    bundle_version: str = ""  # the update comes as a signed bundle of this version
    tampered: bool = False  # somebody made it a newer one after it was signed
    floor: str = ""  # of the board
    reason: str = ""  # the device's journal must match this


def without_kernel(tree):
    (tree / "boot/Image").write_bytes(b"this is not a kernel\n" * 1000)


def panic(tree):
    start = tree / "etc/init.d/rcS"
    start.write_text(
        start.read_text().replace(
            "mount -t proc proc /proc\n", "mount -t proc proc /proc\necho c > /proc/sysrq-trigger\n", 1
        )
    )


def without_jvm(tree):
    (tree / "usr/lib/jvm/otamgr-runtime/lib/server/libjvm.so").unlink()


def unhealthy(tree):
    check = tree / "etc/otamgr/health.d/50-net"
    check.parent.mkdir()
    check.write_text('#!/bin/sh\necho "no route from slot $OTA_SLOT"\nexit 1\n')
    check.chmod(0o755)


def short_trial(tree, seconds=60):
    """Deadlines for an update that is going to miss them: the daemon's a little before the guard's, as the layer has it."""
    (tree / "etc/otamgr/trial.conf").write_text(
        f"# This system is waited for until its deadline.\nCOMMIT_DEADLINE={seconds}\nTRIAL_TRIES=2\n"
    )
    config = tree / "etc/otamgr/otamgr.json"
    config.write_text(config.read_text().replace('"deadlineSeconds": 1500', f'"deadlineSeconds": {seconds - 15}', 1))


def without_jvm_and_soon_over(tree):
    without_jvm(tree)
    short_trial(tree)


def unhealthy_and_soon_over(tree):
    unhealthy(tree)
    short_trial(tree)


FAULTS = {
    "bad-image": Fault(
        "the image ends in the middle: sysupgrade refuses it, nothing was written",
        cut_image=True,
        reason=r"update-failed .*code=5 ",
    ),
    "tampered-bundle": Fault(
        "the update is a signed bundle that somebody has changed: the signature does not fit, nothing was written",
        bundle_version="2.0",
        tampered=True,
        reason=r"update-failed .*code=6 ",
    ),
    "old-bundle": Fault(
        "the update is a rightly signed bundle that is older than what this board has committed: nothing was written",
        bundle_version="2.0",
        floor="2.1",
        reason=r"update-failed .*code=20 .*2\.1 or newer",
    ),
    "no-kernel": Fault(
        "the update's kernel is not one: U-Boot cannot start it and goes back",
        spoil=without_kernel,
        reason=r"rolled-back .*load-failed",
    ),
    "panic": Fault("the update's kernel panics on every boot: the tries run out", spoil=panic, reason=r"rolled-back "),
    "no-otamgr": Fault(
        "the update's JVM cannot start: the guard ends the trial without any Java",
        spoil=without_jvm_and_soon_over,
        reason=r"rolled-back .*last-words=.*libjvm\.so.*not committed before the deadline",
    ),
    "unhealthy": Fault(
        "a health check of the update never passes: otamgr says which one and gives up the trial",
        spoil=unhealthy_and_soon_over,
        reason=r"health-failed .*check=50-net why=\"exit status 1: no route from slot b\"",
    ),
    "power-cut": Fault(
        "the power fails while the slot is written: the old slot boots, the update is done again", reason=r"committed "
    ),
}


@dataclass
class Result:
    rows: list = field(default_factory=list)
    problems: list = field(default_factory=list)

    def check(self, true, problem):
        if not true:
            self.problems.append(problem)


def show_line(screen, text):
    """Shows a line of the console if it concerns the update."""
    if match := re.search(r"ota_progress:phase=(\w+),percent=(\d+)", text):
        screen.progress(match[1], int(match[2]))
    elif text.startswith("OTA: "):
        screen.line("u-boot", text.removeprefix("OTA: "))
    elif text.startswith("U-Boot 20"):
        screen.line("board", f"power on or reset: {text.split(' (')[0]}")
    elif match := re.search(r" (otamgr|sysupgrade|ota-trial-guard|platform)(?:\[\d+\])?: (.*)", text):
        screen.line({"ota-trial-guard": "guard", "platform": "hubby"}.get(match[1], match[1]), match[2])
    elif re.search(r"^BOARD |Kernel panic - ", text):
        screen.line("board", re.sub(r"^.*?Kernel panic", "Kernel panic", text))


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A board that loses its power in the middle of a download is nothing to tell."""


class Publisher:
    """Serves the update to the hubby on the board, over QEMU's user network."""

    class _Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    def __init__(self, folder, host="10.0.2.2", port=0):
        self._folder, self._host = folder, host
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._server = _Server(("127.0.0.1", port), functools.partial(self._Quiet, directory=folder))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def address(self):
        return f"http://{self._host}:{self._server.server_port}/update.properties"

    def publish(self, version, image):
        """Offers an image; returns the header that goes with it."""
        name = f"core-image-minimal-{version}.img"
        shutil.copy(image, self._folder / name)
        # The real header is signed by the cloud and opaque to the device; ours says what it belongs to.
        digest = hashlib.sha256(image.read_bytes()).hexdigest()
        header = f"emulated header\nversion={version}\nimageSha256={digest}\n".encode()
        (self._folder / f"{name}.hdr").write_bytes(header)
        description = (
            f"version={version}\nimage={name}\nheader={name}.hdr\nimageSha256={digest}\n"
            f"headerSha256={hashlib.sha256(header).hexdigest()}\n"
        )
        waiting = self._folder / "update.properties.part"
        waiting.write_text(description)
        waiting.rename(self._folder / "update.properties")
        return header

    def withdraw(self):
        (self._folder / "update.properties").unlink(missing_ok=True)

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Builder:
    """Builds what a scenario needs and reuses what is unchanged."""

    def __init__(self, show, as_root=False):
        """as_root: the daemons of these boards are root."""
        self._show = show
        cache = build.Cache(lambda text: show.line("build", text))
        self._cache = cache
        self._release = build.fetch_packages(lambda text: show.line("build", text))
        self._jars = build.jars(cache)
        self._runtime = cache.make(
            "Java runtime",
            build.RUNTIME,
            [self._release, build.RUNTIME_MODULES, *build.layer.runtime_resources_left_out()],
            build.build_runtime,
        )
        self._programs = (build.control(cache), *build.updater(cache))
        self._otamgr_root = None if as_root else build.root_program(cache)
        self._initramfs = cache.make(
            "initramfs",
            build.BUILD / "initrd",
            [self._release, build.HERE / "initramfs-init"],
            lambda out: build.build_initramfs(self._release, out),
        )
        self.inputs = [
            self._release,
            self._initramfs,
            self._jars,
            *self._programs,
            *([self._otamgr_root] if self._otamgr_root else []),
            build.RUNTIME / "release",
            build.RUNTIME_MODULES,
            build.HERE / "rootfs",
            build.HERE / "build.py",
            build.layer.RECIPES,
        ]

    def stage(self, version, record, tree):
        """The files of a version, in a folder."""
        build.stage_rootfs(
            version,
            record,
            self._release,
            self._jars,
            self._programs,
            self._runtime,
            self._initramfs,
            tree,
            otamgr_root=self._otamgr_root,
        )

    def rootfs(
        self,
        version,
        name,
        spoil=None,
        record=None,
        service_key=None,
        flashed=False,
        spoiled_by=(),
        read_only=None,
        room_mib=24,
        verified=None,
    ):
        """A root file system; with `read_only` (ext4, squashfs or erofs) one that is never written to, with `verified` (a build.VerifiedBoot) the whole image of a slot; `spoil` changes its files, by what `spoiled_by` holds beside its name, `record` is its OTA record,
        `service_key` the key of its hubby.
        One that is to be flashed has the marker of a complete system, which sysupgrade gives to the others."""
        record = record or build.record_of(version)

        def make(out):
            tree = build.BUILD / f"tree-{name}"
            self.stage(version, record, tree)
            if spoil:
                spoil(tree)
            if read_only:
                build.make_root_read_only(tree)
            if verified:
                build.make_root_verified(tree, verified.rollback_index)
            if flashed:
                (tree / "boot/ota-slot-valid").write_text("txn=flashed\n")
            if service_key:
                (tree / "etc/board-service-key.pem").write_text(service_key)
            if read_only in ("squashfs", "erofs"):
                build.make_compressed_root(tree, out, read_only)
            else:
                build.make_filesystem(tree, out, "rootfs", room_mib)
            if verified:
                file_system = out.with_suffix(".unsigned")
                out.rename(file_system)
                verified.slot_image(file_system, out)
                file_system.unlink()
            shutil.rmtree(tree)

        inputs = [
            version,
            record,
            service_key,
            flashed,
            read_only,
            room_mib,
            *(
                [verified.initramfs, verified.control, verified.key, verified.device_tree, verified.rollback_index]
                if verified
                else []
            ),
            str(spoil and spoil.__name__),
            *spoiled_by,
            *self.inputs,
            Path(__file__),
        ]
        return self._cache.make(f"root file system {name}", build.BUILD / f"{name}.{read_only or 'ext4'}", inputs, make)

    def verified_boot(self):
        """What boards with verified boot are made of."""
        return build.verified_boot(self._cache, self._release)

    def image(self, name, rootfs):
        stamp = build.BUILD / "stamps" / rootfs.name
        return self._cache.make(
            f"update image {name}", build.BUILD / f"{name}.ext4.gz", [stamp], lambda out: build.compress(rootfs, out)
        )

    def bundle(self, name, rootfs, version):
        """A signed bundle of a root file system."""
        return self._cache.make(
            f"bundle {name}",
            build.BUILD / f"{name}.bundle",
            [build.BUILD / "stamps" / rootfs.name, build.signing_key(), version, build.bundle.__file__],
            lambda out: build.sign_bundle(rootfs, out, version),
        )


class SpecialBuilder(Builder):
    """Systems for boards of another kind: each is changed, and goes by the name of its kind."""

    KIND = ""

    def change(self, tree):
        """What is other in the files of each system."""

    def made_of(self):
        """What that is made of, to know when it is made again."""
        return []

    def rootfs(self, version, name, spoil=None, spoiled_by=(), **options):
        def change(tree):
            self.change(tree)
            if spoil:
                spoil(tree)

        # The name is what the cache knows it by.
        change.__name__ = f"for_{self.KIND}_{spoil.__name__ if spoil else 'good'}"
        return super().rootfs(
            version, f"{name}-{self.KIND}", change, spoiled_by=[*self.made_of(), *spoiled_by], **options
        )


def recorded_with(rootfs):
    """What makes a recording one of these root file systems and of the present boot script."""
    script = build.layer.fill(build.layer.RECIPES / "u-boot/files/boot.cmd.in", build.SETTINGS)
    return "\n".join(
        [
            *((build.BUILD / "stamps" / image.name).read_text() for image in rootfs),
            hashlib.sha256(script.encode()).hexdigest(),
        ]
    )


def make_newer(signed):
    """Changes the version in a bundle of version 2.0 that was signed, as somebody does who wants it to be taken."""
    signed.write_bytes(signed.read_bytes().replace(b"\nversion=2.0\n", b"\nversion=9.0\n", 1))


def board_for(read_only):
    """The options of a machine whose U-Boot reads a kernel from such a slot. Debian's own knows ext4 only."""
    if read_only in ("squashfs", "erofs"):
        return {"emulator": machine.emulator(build.BUILD / "u-boot-any.bin")}
    return {}


class Scenario:
    """What scripts/demo does. Recorded, every write of the disk stays beside it, and so does the disk as it was at power on."""

    def __init__(
        self,
        show,
        fault_name=None,
        recorded=False,
        as_bundle=False,
        read_only=None,
        verified=False,
        as_root=False,
        images=False,
        clock=None,
    ):
        """read_only: ext4, squashfs or erofs, for boards whose root is never written to; verified: one of these, and nothing unsigned is started;
        as_root: the daemon is root; images: the bundle brings others beside the root file system; clock: the board's, when it is switched on."""
        self._show = show
        self._as_root = as_root
        self._verified = None
        self._is_verified = verified
        self._read_only = read_only
        self._has_images = images
        self._clock = clock
        # What carries no checksums of its own comes in a bundle only.
        self._as_bundle = as_bundle or images or read_only in ("squashfs", "erofs")
        self._is_recorded = recorded
        self._name = fault_name or "good"
        kinds = (verified and "verified", read_only, as_root and "root", images and "images", clock and "clock")
        self._board = "-".join([self._name, *filter(None, kinds)])
        self._fault = FAULTS.get(fault_name)
        self._log = build.BUILD / "logs" / f"{self._board}.console"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.unlink(missing_ok=True)

    @property
    def disk(self):
        return build.BUILD / f"disk-{self._board}.img"

    @property
    def _write_log(self):
        return self.disk.with_suffix(".writes") if self._is_recorded else None

    def rootfs(self):
        """The root file systems of slot a and of the update."""
        spoil = self._fault.spoil if self._fault else None
        self._builder = self._new_builder()
        if self._is_verified:
            self._verified = self._builder.verified_boot()
        kind = {"read_only": self._read_only, "verified": self._verified}
        suffix = f"-{'verified' if self._verified else 'read-only'}-{self._read_only}" if self._read_only else ""
        if self._as_root:
            suffix += "-root"
        if self._has_images:

            def with_targets(tree):
                build.give_targets(tree)
                if spoil:
                    spoil(tree)

            # The name is what the cache knows it by.
            with_targets.__name__ = f"with_targets_{self._name}"
            return (
                self._builder.rootfs("1.0", "rootfs-1.0-images", build.give_targets, flashed=True),
                self._builder.rootfs("2.0", f"rootfs-2.0-{self._name}-images", with_targets),
            )
        return (
            self._builder.rootfs("1.0", f"rootfs-1.0{suffix}", flashed=True, **kind),
            self._builder.rootfs(
                "2.0", f"rootfs-2.0-{self._name}{suffix}" if spoil else f"rootfs-2.0{suffix}", spoil, **kind
            ),
        )

    def _new_builder(self):
        return Builder(self._show, self._as_root)

    def run(self):
        show, fault = self._show, self._fault
        show.step("Build the board")
        if self._read_only in ("squashfs", "erofs") and not self._is_verified:
            build.u_boot_for_any(build.Cache(lambda text: show.line("build", text)))
        old, new = self._images = self.rootfs()
        if self._read_only in ("squashfs", "erofs"):
            update = new
        else:
            update = self._builder.image(
                f"hub_update-{self._board}"
                if fault and fault.spoil or self._read_only or self._as_root or self._has_images
                else "hub_update",
                new,
            )
        if fault and fault.cut_image:
            cut = build.BUILD / "hub_update-cut.ext4.gz"
            whole = update.read_bytes()
            cut.write_bytes(whole[: len(whole) // 2])
            update = cut
        if self._as_bundle or fault and fault.bundle_version:
            signed = build.BUILD / f"hub_update-{self._board}.bundle"
            show.line("build", f"signed bundle {signed.name}")
            version = fault.bundle_version if fault and fault.bundle_version else "2.0"
            build.sign_bundle(update, signed, version, self._further_images())
            if fault and fault.tampered:
                make_newer(signed)
            update = signed
        publisher = Publisher(build.BUILD / f"publish-{self._board}")
        disk = self.disk
        show.line("build", f"disk {disk.name}")
        self._flash(
            disk,
            old,
            {
                "ota_slot": "a",
                "ota_bootargs": f"board.url={publisher.address()}",
                **({"ota_floor": fault.floor} if fault and fault.floor else {}),
            },
            publisher,
        )
        if self._write_log:
            self._write_log.with_suffix(".recorded").unlink(missing_ok=True)
            build.run("cp", "--sparse=always", disk, self._write_log.with_suffix(".base"))
        try:
            result = self._update(disk, update, publisher)
        finally:
            publisher.close()
        if self._write_log and not result.problems:
            self._write_log.with_suffix(".header").write_bytes(self.header)
            self._write_log.with_suffix(".recorded").write_text(recorded_with([old, new]))
        return result

    def _flash(self, disk, rootfs, environment, publisher):
        """Makes the board's disk."""
        build.make_disk(
            disk,
            rootfs,
            environment,
            **({"partitions": build.PARTITIONS_WITH_PAIR} if self._has_images else {}),
            **(self._verified.disk(f"board.url={publisher.address()}") if self._verified else {}),
        )
        if self._has_images:
            self._place(disk, "app-a", build.image_of("app", "1.0"))

    def _from_outside(self, disk, updated, result):
        """The disk as inspect_disk takes it, and further checks of this kind of board."""
        return disk

    def _further_images(self):
        found = []
        for name in ("app", "mcu") if self._has_images else ():
            path = build.BUILD / f"{name}-2.0.img"
            path.write_bytes(build.image_of(name, "2.0"))
            found.append((name, path, False))
        return found

    @staticmethod
    def _place(disk, partition, content):
        with open(disk, "r+b") as out:
            out.seek(inspect_disk.partitions(disk)[partition][0])
            out.write(content)

    def _images_checked(self, disk, updated, result, journal):
        """Each slot has its own application, and the co-processor what belongs to the system that runs."""
        written = updated or self._fault.spoil
        for slot, version in (("a", "1.0"), *([("b", "2.0")] if written else [])):
            expected = build.BUILD / f"app-{version}.img"
            expected.write_bytes(build.image_of("app", version))
            result.check(
                inspect_disk.holds(disk, f"app-{slot}", expected), f"app-{slot} is not the application of {version}"
            )
        with inspect_disk.FileSystem(disk, "data") as data:
            firmware, record = data.read("/mcu") or b"", data.read("/otamgr/images/mcu")
        expected = build.image_of("mcu", "2.0") if updated else b"mcu 1.0\n"
        result.check(firmware == expected, f"the co-processor has {firmware[:10]}")
        # It stays, for somebody who goes back by hand; and says when that was taken back.
        expected = None if not written else rb"b \S+\n" if updated else rb"b \S+ back\n"
        result.check(
            re.fullmatch(expected, record) if expected and record else record is expected,
            f"a handler's record, expected {expected}, found {record}",
        )
        taken_back = "image-taken-back " in journal
        result.check(taken_back == bool(written and not updated), f"the handler's rollback in the journal:\n{journal}")

    def _machine(self, disk, **options):
        return machine.Machine(
            disk,
            self._log,
            on_line=functools.partial(show_line, self._show),
            network=True,
            write_log=self._write_log,
            clock=self._clock,
            **(options or (self._verified.options() if self._verified else board_for(self._read_only))),
        )

    def _update(self, disk, update, publisher):
        show, fault, result = self._show, self._fault, Result()
        show.step("Boot slot a")
        with self._machine(disk) as board:
            before = self._booted(board, "1.0")
            board.wait(r"hubby_state|HUBBY_STATE|51611", BOOT)
            show.step(f"Publish version 2.0{f' ({self._name}: {fault.about})' if fault else ''}")
            started = show.seconds()
            header = self.header = publisher.publish("2.0", update)
            after = {
                None: self._good,
                "bad-image": self._refused,
                "tampered-bundle": self._refused,
                "old-bundle": self._refused,
                "power-cut": self._power_cut,
            }.get(self._name if fault else None, self._rolled_back)(board, disk, publisher)
            seconds = show.seconds() - started
            if self._write_log:
                board.switch_off()

        show.step("Look at the disk, with the board switched off")
        updated = not fault or self._name == "power-cut"
        disk = self._from_outside(disk, updated, result)
        environment = inspect_disk.environment(disk)
        journal = inspect_disk.journal(disk)
        if self._has_images:
            self._images_checked(disk, updated, result, journal)
        if self._clock:
            result.check(
                counts_on(journal, self._clock),
                f"times within a day from {self._clock}, but the journal has\n{journal}",
            )
        wanted = "b" if updated else "a"
        result.check(after[1] == wanted, f"expected the board on slot {wanted}, found {after[1]}")
        result.check(after[2] == ("2.0" if updated else "1.0"), f"version {after[2]} runs")
        result.check(
            environment.get("ota_slot") == wanted, f"expected ota_slot={wanted} in the environment, found {environment}"
        )
        result.check("ota_trial" not in environment, f"a trial is still pending: {environment}")
        floor = ("2.0" if updated and self._as_bundle else None) or (fault.floor if fault and fault.floor else None)
        result.check(
            environment.get("ota_floor") == floor, f"expected ota_floor={floor} in the environment, found {environment}"
        )
        delivered = hashlib.sha256(header).hexdigest()
        if self._read_only:
            placed, overlays = inspect_disk.overlay_header(disk, wanted)
            # That of a slot that failed goes with it; one that was only left keeps its own.
            expected = {"a", "b"} if updated else {"a"}
            result.check(
                {name[0] for name in overlays} == expected, f"expected overlays of {expected}, found {overlays}"
            )
            for slot, image in zip("ab", self._images, strict=True):
                result.check(
                    (slot == "b" and not updated) or inspect_disk.holds(disk, f"rootfs-{slot}", image),
                    f"slot {slot} is not its image any more, byte for byte",
                )
        else:
            with inspect_disk.FileSystem(disk, f"rootfs-{wanted}") as slot:
                placed = slot.read("/etc/ota_type_5.hdr")
        found = hashlib.sha256(placed).hexdigest() if placed is not None else None
        if updated:
            result.check(found == delivered, f"header in /etc of slot b: expected {delivered}, found {found}")
        else:
            result.check(found is None, "a header is in /etc of slot a although the update did not succeed")
        reasons = [line for line in journal.splitlines() if re.search(fault.reason if fault else r"committed ", line)]
        result.check(reasons, f"the journal says nothing like {fault.reason if fault else 'committed'!r}:\n{journal}")

        result.rows = [
            ("slot before → after", f"{before[1]} → {after[1]}"),
            ("version before → after", f"{before[2]} → {after[2]}"),
            ("header delivered", delivered),
            ("header in /etc", f"{found or 'none'}{'  (identical)' if found == delivered else ''}"),
            (
                "committed slot",
                f"{environment.get('ota_slot')}{'  (trial over)' if 'ota_trial' not in environment else '  (trial pending)'}",
            ),
            ("update took", f"{seconds:.0f} s"),
            ("the device says", reasons[-1] if reasons else "-"),
        ]
        return result

    def _good(self, board, _disk, _publisher):
        board.wait("OTA: trial of slot b", UPDATE, fail="ota_upgrade_failed|NO BOOTABLE SLOT")
        after = self._booted(board, "2.0")
        board.wait("slot_committed:slot=b", COMMIT)
        return after

    def _booted(self, board, version):
        if self._has_images:
            board.wait(rf"IMAGES app=app {version} mcu=mcu {version}", BOOT, fail=DANGER)
        return board.wait(BOOTED, BOOT, fail=DANGER)

    def _refused(self, board, _disk, _publisher):
        board.wait("ota_upgrade_failed", UPDATE)
        # Slot a simply goes on; its own word, not an assumption.
        return re.match(BOOTED, "BOARD slot=a version=1.0 header=none")

    def _rolled_back(self, board, _disk, publisher):
        board.wait("OTA: trial of slot b", UPDATE, fail="ota_upgrade_failed|NO BOOTABLE SLOT")
        publisher.withdraw()
        board.wait("OTA: booting slot a", 2 * UPDATE)
        # The guard works beside the other services, so either line may come first.
        taken_back = ["image mcu: .* was taken back"] if self._has_images else []
        return board.wait_all([BOOTED, "rolled-back", *taken_back], BOOT)[0]

    def _power_cut(self, board, disk, publisher):
        board.wait(r"ota_progress:phase=write,percent=[3-9]\d", UPDATE)
        board.power_cut()
        self._show.step("Power cut in the middle of the slot; power on again")
        again = self._machine(disk)
        with again:
            first = again.wait(BOOTED, BOOT)
            if first[1] != "a":
                raise RuntimeError(f"expected slot a after the power cut, found {first[1]}")
            return self._good(again, disk, publisher)


class SpecialScenario(Scenario):
    """A scenario of a board of another kind, whose files go by its name. What it flashes and looks at is its own."""

    BUILDER = SpecialBuilder

    def __init__(self, show, fault_name=None, recorded=False, as_root=False):
        super().__init__(show, fault_name, recorded, as_bundle=True, as_root=as_root)
        self._board = f"{self._board}-{self.BUILDER.KIND}"
        self._log = self._log.with_name(f"{self._board}.console")
        self._log.unlink(missing_ok=True)

    def _new_builder(self):
        return self.BUILDER(self._show, self._as_root)

    def _started_by(self, board, boot_loader, what, slot):
        """Resets the board, which must be started by this boot loader, from this slot."""
        self._show.step(f"Reset once more: {what}")
        board.type("\nreboot\n")
        board.wait(f"^U-Boot {boot_loader}", BOOT)
        again = self._booted(board, "2.0")
        if again[1] != slot:
            raise RuntimeError(f"expected slot {slot} after one more reset, found {again[1]}")
        return again
