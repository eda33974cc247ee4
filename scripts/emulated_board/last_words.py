# SPDX-License-Identifier: MIT
"""scripts/last-words: updates that die, each in another way, one after the other on one board; then that board is asked why."""

import functools
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from emulated_board import build, machine, scenario, show
from otamgr import options

FOLDER = build.BUILD / "last-words"
# Where the kernel keeps what it says over a reset: memory that neither U-Boot nor Linux uses.
MEMORY = {"address": 0x70000000, "bytes": 0x100000, "record": 0x20000}
# The kernel's modules for it. What is kept at a panic, an oops and a reset without a word of the system.
PSTORE_MODULES = ("reed_solomon", "ramoops")
MAX_REASON = 3
SERVICE = """#!/bin/sh
[ "$1" = start ] || exit 0
{{
{command}
}} 2>&1 | logger -t app
"""
# A system is healthy when its application runs.
HEALTHY = '#!/bin/sh\n[ -e /run/app ] || { echo "the application does not run"; exit 1; }\n'
CRASH = """void _start(void) { *(volatile int *)8 = 1; for (;;) { } }
"""


# ---- what is wrong -----------------------------------------------------------------------------------------------------------


def _service(tree, command, order="S50", needed=True):
    """An application of the product, started by this shell text; what it says is logged. It never comes to run."""
    script = tree / "etc/init.d/app"
    script.write_text(SERVICE.format(command=command))
    script.chmod(0o755)
    (tree / f"etc/rcS.d/{order}app").symlink_to("../init.d/app")
    if needed:
        check = tree / "etc/otamgr/health.d/50-app"
        check.parent.mkdir(exist_ok=True)
        check.write_text(HEALTHY)
        check.chmod(0o755)
    scenario.short_trial(tree)


def service(command, **options):
    """Spoils a system with an application that does this."""
    return functools.partial(_service, command=command, **options)


def _crashing_program(out):
    """A program that writes to an address where nothing is."""
    subprocess.run(
        ["aarch64-linux-gnu-gcc", "-static", "-nostdlib", "-O1", "-x", "c", "-", "-o", out],
        input=CRASH.encode(),
        check=True,
    )


def _service_that_crashes(tree):
    _crashing_program(tree / "usr/bin/app")
    _service(tree, "/usr/bin/app")


def _service_without_library(tree):
    """A program whose library was left out of the image; fw_printenv has one of its own."""
    program, gone = (tree / "usr/bin/fw_printenv").read_bytes(), b"libubootenv.so"
    if gone not in program:
        raise RuntimeError(f"expected {gone!r} in fw_printenv, to be replaced")
    (tree / "usr/bin/app").write_bytes(program.replace(gone, b"libradio-fe.so"))
    (tree / "usr/bin/app").chmod(0o755)
    _service(tree, "/usr/bin/app")


def _service_of_another_machine(tree):
    shutil.copy("/bin/true", tree / "usr/bin/app")
    _service(tree, "/usr/bin/app")


def _service_without_module(tree):
    (tree / "sbin/modprobe").symlink_to("../bin/busybox")
    known = tree / "lib/modules" / _release(tree)
    known.mkdir()
    (known / "modules.dep").touch()
    _service(tree, "modprobe radio && : >/run/app")


def _service_that_needs_all_memory(tree):
    # Nothing else is to be killed for it.
    _service(tree, "echo 1000 >/proc/self/oom_score_adj\ndd if=/dev/zero of=/dev/null bs=960M count=1")


def _java_crashes(tree):
    # Only when the virtual machine catches that signal can it say anything of it.
    _service(
        tree,
        "(while :; do sleep 1; for p in $(grep -l OtamgrMain /proc/[0-9]*/cmdline); do p=${p%/*}; "
        "case $(sed -n 's/^SigCgt:.*\\(.\\)..$/\\1/p' $p/status) in [4-7c-f]) kill -SEGV ${p#/proc/} ;; esac; "
        "done; done) >/dev/null 2>&1 &",
        needed=False,
    )


def _jar_is_cut_off(tree):
    jar = tree / "usr/share/java/otamgr.jar"
    jar.write_bytes(jar.read_bytes()[:1000])
    scenario.short_trial(tree)


def _unhealthy(tree):
    scenario.unhealthy(tree)
    # Only a daemon that runs can say so, and on a busy machine that takes a while.
    scenario.short_trial(tree, 180)


def _settings_are_no_json(tree):
    scenario.short_trial(tree)
    config = tree / "etc/otamgr/otamgr.json"
    config.write_text(config.read_text().replace(":", "=", 1))


def _hangs_under_a_watchdog(tree):
    build.install_modules(_release(tree), ("watchdog", "softdog"), tree / "lib/modules")
    _service(
        tree,
        "insmod /lib/modules/watchdog.ko\ninsmod /lib/modules/softdog.ko soft_margin=5\n"
        "busybox watchdog -T 5 -t 1 /dev/watchdog\n"
        # All that runs stops, as if a driver held a lock for ever; this shell as the last one.
        "sleep 3\nkill -STOP -1",
    )


def _release(_tree):
    return (build.BUILD / "kernel-release").read_text().split("\n")[0]


def _without_init(tree):
    (tree / "sbin/init").unlink()


def _init_gives_up(tree):
    init = tree / "sbin/init"
    init.unlink()
    init.write_text(
        "#!/bin/sh\nmount -t devtmpfs devtmpfs /dev\necho 'init: no settings in flash' >/dev/kmsg\nexit 1\n"
    )
    init.chmod(0o755)


def _init_crashes(tree):
    (tree / "sbin/init").unlink()
    _crashing_program(tree / "sbin/init")


def _initramfs(tree, modules, change=None):
    """The new system's first process lacks modules, or is another one."""
    init = build.HERE / "initramfs-init"
    if change:
        text = init.read_text()
        if change[0] not in text:
            raise RuntimeError(f"expected {change[0]!r} in {init}, to be replaced")
        init = FOLDER / "initramfs-init"
        init.write_text(text.replace(*change))
        init.chmod(0o755)
    build.build_initramfs(_release(tree), tree / "boot/initrd", init=init, modules=modules, more_modules=PSTORE_MODULES)


def _without_disk_driver(tree):
    _initramfs(tree, [name for name in build.INITRAMFS_MODULES if name != "virtio_blk"])


def _wrong_file_system_type(tree):
    _initramfs(tree, build.INITRAMFS_MODULES, ("mount -t ext4", "mount -t f2fs"))


@dataclass(frozen=True)
class Death:
    """A kind of update that does not come to live."""

    about: str
    says: str  # a regular expression: what the answer of ota-why must have
    spoil: object = None
    refused: bool = False  # sysupgrade sees it
    cut: bool = False  # the image ends in the middle
    version: str = ""  # it comes as a signed bundle of this version
    tampered: bool = False  # which somebody changed
    floor: str = ""  # what the board has committed before
    off: bool = False  # the power fails while it is written


DEATHS = {
    "bad-image": Death(
        "the image ends in the middle", r"refused: the image does not decompress.*cut off", refused=True, cut=True
    ),
    "tampered-bundle": Death(
        "a signed bundle that somebody changed", r"refused: .*signature", refused=True, version="2.0", tampered=True
    ),
    "power-cut": Death(
        "the power fails while it is written", r"stopped without a word while slot b was written: power cut", off=True
    ),
    "no-kernel": Death(
        "a kernel that is none", r"its kernel, device tree or boot files did not load", scenario.without_kernel
    ),
    "panic": Death(
        "a kernel that panics", r"It said last: Kernel panic - not syncing: sysrq triggered crash", scenario.panic
    ),
    "no-driver": Death(
        "an initramfs without the driver of the disk",
        r"It said last: initramfs: no partition named rootfs-b",
        _without_disk_driver,
    ),
    "file-system-type": Death(
        "an initramfs that takes the root for another type",
        r"It said last: initramfs: slot b on /dev/vda3 cannot be mounted",
        _wrong_file_system_type,
    ),
    "no-init": Death(
        "a root file system without /sbin/init",
        r"while it was installed: the new system has no /sbin/init",
        _without_init,
        refused=True,
    ),
    "init-gives-up": Death(
        "an init that gives up",
        r"It said last: init: no settings in flash \(Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\)",
        _init_gives_up,
    ),
    "init-crashes": Death(
        "an init that crashes",
        r"It said last: Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
        _init_crashes,
    ),
    "watchdog": Death(
        "everything stands still until the watchdog",
        r"It said last: softdog: Initiating system reboot",
        _hangs_under_a_watchdog,
    ),
    "no-otamgr": Death(
        "a Java runtime without its VM", r"It said last: .*libjvm\.so", scenario.without_jvm_and_soon_over
    ),
    "java-crashes": Death("a Java runtime that crashes", r"It said last: .*SIGSEGV \(0xb\) at pc=0x", _java_crashes),
    "jar": Death("a jar that is cut off", r"It said last: .*(otamgr\.jar|main class)", _jar_is_cut_off),
    "settings": Death("settings that are no JSON", r"It said last: .*otamgr\.json", _settings_are_no_json),
    "unhealthy": Death("a health check that fails", r"no route from slot b", _unhealthy),
    "memory": Death(
        "an application that takes all memory",
        r"It said last: Out of memory: Killed process \d+ \(dd\)",
        _service_that_needs_all_memory,
    ),
    "crash": Death("an application that crashes", r"It said last: .*Segmentation fault", _service_that_crashes),
    "hanging-start": Death(
        "a start script that waits for ever",
        r"It said last: .*app: waiting for /dev/ttyRADIO",
        service("echo waiting for /dev/ttyRADIO\nuntil [ -e /dev/ttyRADIO ]; do sleep 1; done"),
    ),
    "library": Death(
        "an application without its library",
        r"It said last: .*error while loading shared libraries: libradio",
        _service_without_library,
    ),
    "module": Death("an application without its driver", r"It said last: .*modprobe: .*radio", _service_without_module),
    "full": Death(
        "an application that fills its storage",
        r"It said last: .*No space left on device",
        service(
            "mkdir /run/app.d && mount -t tmpfs -o size=64k none /run/app.d && dd if=/dev/zero of=/run/app.d/data bs=4k"
        ),
    ),
    "another-machine": Death(
        "an application of another kind of processor",
        r"It said last: .*/usr/bin/app: .*(Exec format error|syntax error|not found)",
        _service_of_another_machine,
    ),
    # From here on the board takes nothing that is not signed.
    "old-bundle": Death(
        "a bundle that is older than what was committed", r"refused: .*2\.1", refused=True, version="2.0", floor="2.1"
    ),
}


# ---- the board ---------------------------------------------------------------------------------------------------------------


def device_tree(out):
    """The machine's own, with memory in which the kernel's last words survive a reset, as a board's vendor would reserve it."""
    build.device_tree_of_board(out, machine.UBOOT)
    region = f"/reserved-memory/ramoops@{MEMORY['address']:x}"
    build.run("fdtput", "-c", out, "/reserved-memory")
    for name in ("#address-cells", "#size-cells"):
        build.run("fdtput", out, "/reserved-memory", name, "2")
    build.run("fdtput", "-t", "s", out, "/reserved-memory", "ranges")
    build.run("fdtput", "-c", out, region)
    build.run("fdtput", "-t", "s", out, region, "compatible", "ramoops")
    build.run("fdtput", out, region, "reg", "0", str(MEMORY["address"]), "0", str(MEMORY["bytes"]))
    build.run("fdtput", out, region, "record-size", str(MEMORY["record"]))
    build.run("fdtput", out, region, "max-reason", str(MAX_REASON))


class Rack:
    """One board, and the updates that it is given."""

    def __init__(self, screen, verbose):
        self._screen, self._verbose = screen, verbose
        self._builder = scenario.Builder(screen)
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        self._publisher = scenario.Publisher(FOLDER / "publish")
        self._disk, self._log, self._tree = FOLDER / "disk.img", FOLDER / "console", FOLDER / "device-tree.dtb"
        device_tree(self._tree)
        self._initrd = FOLDER / "initrd"
        build.build_initramfs(_release(None), self._initrd, more_modules=PSTORE_MODULES)
        build.make_disk(
            self._disk,
            self._rootfs("1.0", self._one_try),
            {"ota_slot": "a", "ota_bootargs": f"board.url={self._publisher.address()}"},
        )
        self._board = None

    def close(self):
        if self._board:
            self._board.power_cut()
        self._publisher.close()

    @staticmethod
    def _one_try(tree):
        """Each boot of a dead system says the same."""
        rules = tree / "etc/otamgr/trial.conf"
        rules.write_text(re.sub("TRIAL_TRIES=.*", "TRIAL_TRIES=1", rules.read_text()))
        (tree / "boot/ota-slot-valid").write_text("txn=flashed\n")

    def _rootfs(self, version, spoil=None):
        tree, out = FOLDER / "tree", FOLDER / "rootfs.ext4"
        self._builder.stage(version, build.record_of(version), tree)
        shutil.copy(self._initrd, tree / "boot/initrd")
        if spoil:
            spoil(tree)
        build.make_filesystem(tree, out, "rootfs", room_mib=24)
        shutil.rmtree(tree)
        return out

    def _said(self, line):
        if self._verbose:
            scenario.show_line(self._screen, line)

    def switch_on(self):
        board = machine.Board(
            self._disk, self._log, on_line=self._said, emulator=(*machine.EMULATOR, "-dtb", str(self._tree))
        )
        self._board = board
        board.wait_all([r"BOARD slot=a ", "hubby_state:value=1"], scenario.BOOT, fail=scenario.DANGER)

    def _update(self, death, version):
        """What is published: the image, or a bundle of it."""
        image = FOLDER / "update.ext4.gz"
        build.compress(self._rootfs(version, death.spoil), image)
        if death.cut:
            image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
        if not death.version:
            return image
        signed = FOLDER / "update.bundle"
        build.sign_bundle(image, signed, death.version)
        if death.tampered:
            scenario.make_newer(signed)
        return signed

    def ends(self, death, number):
        """Lets an update of this kind die; returns what ota-why says of it."""
        board, version = self._board, f"2.0.{number}"
        update = self._update(death, version)
        if death.floor:
            self._ask(f"fw_setenv ota_floor {death.floor}")
        self._publisher.publish(version, update)
        if death.off:
            board.wait(r"ota_progress:phase=write,percent=[3-9]\d", scenario.UPDATE)
            board.power_cut()
            self._publisher.withdraw()
            self.switch_on()
        elif death.refused:
            board.wait("ota_upgrade_failed", scenario.UPDATE, fail="OTA: trial of slot b")
            self._publisher.withdraw()
        else:
            board.wait("OTA: trial of slot b", scenario.UPDATE, fail="ota_upgrade_failed|NO BOOTABLE SLOT")
            self._publisher.withdraw()
            board.wait("OTA: booting slot a", 2 * scenario.UPDATE, fail="slot_committed")
            board.wait_all([r"BOARD slot=a ", "rolled-back ", "hubby_state:value=1"], scenario.BOOT)
        return self._ask("ota-why", 4)

    def _ask(self, command, expected=0):
        status, output = self._board.shell(command)
        if status != expected:
            raise RuntimeError(f"{command}: expected exit status {expected}, found {status}: {output}")
        return output.strip()


def main():
    parser = options.Parser(
        prog="scripts/last-words",
        description="Gives one emulated board update after update, each of which dies in another way. The board returns to its old system "
        "each time, and has to say why: what ota-why answers must hold the line that decides.",
        epilog="examples:\n  scripts/last-words\n  scripts/last-words panic watchdog\n\nkinds:\n"
        + "\n".join(f"  {name:<16} {death.about}" for name, death in DEATHS.items())
        + "\n\nexit status: 0 every answer holds its line, 1 one does not, 2 usage",
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="only these, in this order")
    parser.add_argument("--verbose", action="store_true", help="show what the board says")
    arguments = parser.parse_args()
    if unknown := [kind for kind in arguments.kinds if kind not in DEATHS]:
        parser.error(f"expected kinds of the list below, found {', '.join(unknown)}")

    screen = show.Show()
    kinds = arguments.kinds or list(DEATHS)
    missing = []
    try:
        screen.step("Build the board")
        rack = Rack(screen, arguments.verbose)
        try:
            rack.switch_on()
            for number, kind in enumerate(kinds, 1):
                answer = rack.ends(DEATHS[kind], number)
                held = re.search(DEATHS[kind].says, answer)
                screen.line(kind if held else f"MISSING {kind}", re.sub(r"Update \S+ ", "", answer.split("\n")[0]))
                if not held:
                    screen.line("expected", DEATHS[kind].says)
                    missing.append(kind)
        finally:
            rack.close()
    except (machine.Timeout, RuntimeError) as problem:
        screen.line("FAILED", str(problem))
        return 1
    print(
        f"{len(kinds)} updates that died, {len(missing)} answers without the line that decides ({screen.seconds():.0f} s)"
    )
    print(f"{len(kinds) - len(missing)} passed, {len(missing)} failed")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
