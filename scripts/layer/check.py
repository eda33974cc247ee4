# SPDX-License-Identifier: MIT
"""scripts/check-layer: the layer in a real BitBake with a real OpenEmbedded-Core, up to an image that updates itself."""

import collections
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import bitbake
import boot
import uboot
from otamgr import bundle, options, verified

SERIES = ("scarthgap", "wrynose", "blacksail")
LIBRARIES = ("jackson-annotations", "jackson-core", "jackson-databind", "junixsocket")
MACHINES = ("qemuarm64", "qemuarm", "qemux86-64")
# Of U-Boot and kernel what adding the layer changes on machines that it names: U-Boot that keeps the environment itself.
NAMED = {"beaglebone-yocto": {"u-boot"}, "qemuarm64": set(), "qemuarm": set()}
# The platform's stand-ins announce the update; the records of both versions lie in the build folder, wherever TMPDIR is.
BOOT_CONF = """
OTA_ENABLE = "1"
OTA_RECORD_DIR = "${TOPDIR}/records"
OTA_RECORD_REQUIRED = "1"
IMAGE_INSTALL:append = " otamgr-simulators"
IMAGE_CLASSES += "ota-bundle"
OTA_BUNDLE_KEY = "${TOPDIR}/keys/check.key"
"""
# No word of the environment reaches the kernel then: where updates are is signed with the boot script.
VERIFIED_PORT = 22080
VERIFIED_CONF = f"""
OTA_VERIFIED_BOOT = "1"
OTA_VERIFIED_KEY = "${{TOPDIR}}/keys/boot.key"
OTA_BOOTARGS:append = " board.url=http://10.0.2.2:{VERIFIED_PORT}/update.properties"
"""
# What the tests in lib/oeqa want, for a board that this check has started: TEST_TARGET_IP has its port. Without systemd nothing else asks
# for a network there, and the SSH server is not reached.
SSH_PORT = 22022
TESTIMAGE_CONF = f"""
IMAGE_CLASSES += "testimage"
IMAGE_FEATURES:append = " ssh-server-dropbear"
OTA_BOOTARGS:append = " board.network"
TEST_SUITES = "ping ssh otamgr_image"
TEST_TARGET = "simpleremote"
TEST_SERVER_IP = "127.0.0.1"
TEST_TARGET_IP = "127.0.0.1:{SSH_PORT}"
"""


class Checks:
    """The checks by name; each raises BuildError with what is wrong and returns a sentence about what was seen."""

    def __init__(self, arguments, series):
        self._arguments = arguments
        self._series = series
        self._folder = arguments.build_dir or bitbake.ROOT / "build" / f"layer-{series}"
        self._conf = "".join(path.read_text() for path in arguments.conf)
        self._user = arguments.user if os.geteuid() == 0 else None

    def _build(self, name="", conf=""):
        layers = [bitbake.LAYER, *self._arguments.layer]
        return self._build_of(layers, name, self._conf + conf)

    def _build_of(self, layers, name, conf):
        folder = self._folder / name
        return bitbake.Build(folder, self._arguments.oe_core, self._arguments.bitbake, layers, conf, self._user)

    def _log(self, name):
        return self._folder / "logs" / f"{name}.log"

    def _image_build(self, conf=""):
        build = self._build("build", BOOT_CONF + conf + (VERIFIED_CONF if self._arguments.verified else ""))
        self._record(build, "1.0.0")
        key = build.folder / "keys/check.key"
        if not key.exists():
            key.parent.mkdir()
            bundle.make_key(key)
            verified.make_key(key.with_name("boot.key"))
            build.owned(key.parent)
        return build

    def _record(self, build, version):
        """What `ota record create` writes, for a version that no service knows."""
        folder = build.folder / "records"
        folder.mkdir(exist_ok=True)
        (folder / "full_ota_record.json").write_text(
            json.dumps(
                {
                    "description": "layer check",
                    "id": "1",
                    "name": "layer-check",
                    "tags": [],
                    "type": 5,
                    "url": "",
                    "version": version,
                    "versionNumber": version.replace(".", ""),
                }
            )
        )
        build.owned(folder)

    @staticmethod
    def _no_warnings(text, log):
        found = bitbake.warnings_of_ours(text)
        if found:
            raise bitbake.BuildError("\n  ".join([f"BitBake warns about recipes of this layer ({log}):", *found]))

    def parse(self):
        """every recipe parses for every machine and the image can be planned, without a warning about a recipe of this layer"""
        build = self._image_build()
        for machine in self._arguments.machine:
            log = self._log(f"parse-{machine}")
            self._no_warnings(build.bitbake(["-n", "core-image-minimal"], log, machine), log)
        return f"parsed for {', '.join(self._arguments.machine)}"

    def compat(self):
        """yocto-check-layer passes, U-Boot and kernel stay but as promised; with OpenEmbedded-Core, this layer and the machine's alone"""
        said = []
        for machine in self._arguments.named:
            layers = [path for path in self._arguments.layer if (path / f"conf/machine/{machine}.conf").exists()]
            build = self._build_of(layers, f"compat-{machine}", f'MACHINE ??= "{machine}"\n')
            log = self._log(f"yocto-check-layer-{machine}")
            text = build.run(["yocto-check-layer", bitbake.LAYER], log)
            ran = re.findall(r"Ran (\d+) tests", text)
            if not ran:
                raise bitbake.BuildError(f"yocto-check-layer ran no tests, see {log}")
            said.append(f"{machine}: PASS, {ran[-1]} tests{self._changed(build, layers, machine)}")
        return ", ".join(said)

    def _changed(self, build, layers, machine):
        """What adding the layer changes of U-Boot and kernel: yocto-check-layer looks at world, and U-Boot is no part of that."""
        if machine not in NAMED:
            return ""
        without = self._signatures(build, machine, "without")
        with_layer = self._signatures(
            self._build_of([bitbake.LAYER, *layers], f"compat-{machine}", f'MACHINE ??= "{machine}"\n'), machine, "with"
        )
        if not without.keys() & with_layer.keys():
            raise bitbake.BuildError(f"{machine}: expected signatures of U-Boot and kernel, found none")
        changed = {name for (name, task), value in without.items() if with_layer.get((name, task), value) != value}
        if changed != NAMED[machine]:
            raise bitbake.BuildError(
                f"{machine}: expected that adding the layer changes {' '.join(NAMED[machine]) or 'nothing'} of U-Boot and kernel, "
                f"found {' '.join(sorted(changed)) or 'nothing'}"
            )
        return f"; of U-Boot and kernel it changes {' '.join(changed) or 'nothing'}"

    def _signatures(self, build, machine, name):
        log = self._log(f"signatures-{machine}-{name}")
        build.run(["bitbake", "-S", "lockedsigs", "virtual/bootloader", "virtual/kernel"], log)
        text = (build.folder / "locked-sigs.inc").read_text()
        return {
            (recipe, task): value
            for recipe, task, value in re.findall(r"^\s+(\S+):(do_\w+):([0-9a-f]{64}) ", text, re.M)
        }

    def build(self):
        """core-image-minimal is built, with disk, bmap and update, without a warning about a recipe of this layer"""
        build, said = self._image_build(), []
        for machine in self._arguments.machine:
            log = self._log(f"build-{machine}")
            self._no_warnings(build.bitbake(["core-image-minimal"], log, machine), log)
            deploy = self._deploy(build, machine)
            for name in ("wic.gz", "wic.bmap", "ota-size"):
                if not (deploy / f"core-image-minimal-{machine}.rootfs.{name}").exists():
                    raise bitbake.BuildError(f"{deploy} has no core-image-minimal-{machine}.rootfs.{name}")
            print((deploy / f"core-image-minimal-{machine}.rootfs.ota-size").read_text())
            said.append(f"{machine}: update of {(deploy / 'hub_update.bin').stat().st_size / 1e6:.1f} MB")
        return ", ".join(said)

    @staticmethod
    def _deploy(build, machine):
        return Path(build.value("DEPLOY_DIR_IMAGE", machine))

    def _emulated(self, said):
        """The machines that QEMU has; says which of the others are left out."""
        for machine in self._arguments.machine:
            if machine in boot.EMULATORS:
                yield machine
            else:
                said.append(f"{machine}: not emulated")

    def boot(self):
        """the disk image boots, takes the second build as a signed update, commits it, and rolls back a broken one"""
        build, said = self._image_build(), []
        for machine in self._emulated(said):
            log = self._log(f"build-{machine}")
            build.bitbake(["core-image-minimal"], log, machine)
            deploy = self._deploy(build, machine)
            key, port = build.folder / "keys/check.key", VERIFIED_PORT if self._arguments.verified else 0
            run = boot.Run(machine, build.folder / f"boot-{machine}", deploy, key, port, self._arguments.clock)
            self._record(build, "2.0.0")
            build.bitbake(["core-image-minimal"], self._log(f"build-{machine}-2"), machine)
            run.take_update(deploy / "hub_update.bundle", deploy / "hub_update.bin")
            self._record(build, "1.0.0")
            said.append(f"{machine}: {run.update_and_rollback()}")
        return "; ".join(said)

    def testimage(self):
        """the tests of this layer for BitBake's testimage pass on the disk image, reached over SSH"""
        build, said = self._image_build(TESTIMAGE_CONF), []
        for machine in self._emulated(said):
            build.bitbake(["core-image-minimal"], self._log(f"build-testimage-{machine}"), machine)
            run = boot.Run(machine, build.folder / f"testimage-{machine}", self._deploy(build, machine))
            log = self._log(f"testimage-{machine}")
            text = run.tested(SSH_PORT, lambda: build.bitbake(["-c", "testimage", "core-image-minimal"], log, machine))
            results = collections.Counter(re.findall(r"RESULTS - otamgr_image\.\S+: (\w+)", text))
            if not results["PASSED"]:
                raise bitbake.BuildError(f"no test of otamgr ran, see {log}")
            said.append(f"{machine}: {results['PASSED']} tests of otamgr passed, {results['SKIPPED']} skipped")
        return "; ".join(said)

    def reproduce(self):
        """packages of this layer's recipes are the same, byte for byte, when they are built twice from clean"""
        build, machine = self._image_build(), self._arguments.machine[0]
        recipes = [name for name in bitbake.our_recipes() if not name.endswith("-native")]
        build.bitbake(recipes, self._log("reproduce-1"), machine)
        before = self._packages(build, machine)
        build.bitbake(["-c", "cleansstate", *recipes], self._log("reproduce-clean"), machine)
        kept = self._packages(build, machine)
        log = self._log("reproduce-2")
        self._no_warnings(build.bitbake(recipes, log, machine), log)
        after = self._packages(build, machine)
        ours = {name: digest for name, digest in before.items() if name not in kept}
        if not ours:
            raise bitbake.BuildError("cleaning our recipes removed no package: nothing was compared")
        different = [name for name, digest in ours.items() if after.get(name) != digest]
        if different:
            raise bitbake.BuildError("\n  ".join(["not the same, or not there, in the second build:", *different]))
        return f"{len(ours)} packages of {len(recipes)} recipes are the same"

    def libraries(self):
        """the Java tests of the daemon pass with the libraries that BitBake compiles, in place of the published ones"""
        build, machine = self._image_build(), self._arguments.machine[0]
        build.bitbake([f"{name}-native" for name in LIBRARIES], self._log("libraries"), machine)
        folder = Path(build.value("COMPONENTS_DIR", machine)) / build.value("BUILD_ARCH", machine)
        jars, native = (
            [path for name in LIBRARIES for path in folder.glob(f"{name}-native/**/{pattern}")]
            for pattern in ("java/*.jar", "jni/*.so")
        )
        if len(jars) != len(LIBRARIES) or len(native) != 1:
            raise bitbake.BuildError(
                f"{folder}: expected {len(LIBRARIES)} jars and one native library, found {len(jars)} and {len(native)}"
            )
        log = self._log("libraries-tests")
        with open(log, "w") as out:
            status = subprocess.run(
                [
                    "mvn",
                    "-B",
                    "-f",
                    bitbake.ROOT / "otamgr-src/pom.xml",
                    "-pl",
                    ":otamgr,:otamgr-update-sources",
                    "-am",
                    "test",
                    "-Dmaven.test.dependency.excludes=com.fasterxml.jackson.core:jackson-annotations,com.fasterxml.jackson.core:jackson-core,"
                    "com.fasterxml.jackson.core:jackson-databind,com.kohlschutter.junixsocket:junixsocket-common",
                    f"-Dmaven.test.additionalClasspath={','.join(map(str, jars))}",
                    f"-Djunixsocket.library={native[0]}",
                ],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            ).returncode
        ran = re.findall(r"Tests run: (\d+), Failures: 0, Errors: 0, Skipped: \d+$", log.read_text(), re.M)
        if status != 0 or not ran:
            raise bitbake.BuildError(f"exit status {status}, the whole output is in {log}")
        return f"{sum(map(int, ran))} tests passed with {', '.join(path.name for path in (*jars, *native))}"

    def uboot(self):
        """U-Boot's own configuration takes the fragment for the boards whose U-Boot keeps the environment"""
        if not self._arguments.u_boot:
            raise bitbake.BuildError("expected the source of U-Boot, name it with --u-boot")
        return uboot.check(self._arguments.u_boot.resolve(), self._folder / "uboot")

    @staticmethod
    def _packages(build, machine):
        folder = Path(build.value("DEPLOY_DIR", machine))
        paths = [path for kind in ("deb", "ipk", "rpm") for path in (folder / kind).rglob(f"*.{kind}")]
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


CHECKS = ("parse", "compat", "build", "boot", "testimage", "reproduce", "libraries", "uboot")
QUICK = ("parse", "compat")


def uboot_table(arguments):
    """What the check uboot prints, without BitBake."""
    try:
        make = uboot.link_table if arguments.link else uboot.check
        print(
            make(arguments.u_boot.resolve(), (arguments.build_dir or bitbake.ROOT / "build/layer").resolve() / "uboot")
        )
    except bitbake.BuildError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def main():
    parser = options.Parser(
        prog="scripts/check-layer",
        description="Checks this layer with checkouts of OpenEmbedded-Core and BitBake.",
        epilog="example:\n  scripts/check-layer --oe-core ../openembedded-core --bitbake ../bitbake parse\n\nchecks:\n"
        + "\n".join(f"  {name:<10} {getattr(Checks, name).__doc__}" for name in CHECKS)
        + f"\n\nWithout names: {' '.join(QUICK)}. build and what follows it download and compile a whole system."
        + "\n\nexit status: 0 every check passed, 1 one did not, 2 usage",
    )
    parser.add_argument(
        "--oe-core", type=Path, metavar="DIR", help="checkout of openembedded-core, branch scarthgap, wrynose or master"
    )
    parser.add_argument("--bitbake", type=Path, metavar="DIR", help="checkout of bitbake, branch 2.8, 2.18 or master")
    parser.add_argument("--series", choices=SERIES, help="fail if the checkout is not of this series")
    parser.add_argument(
        "--machine",
        action="append",
        metavar="NAME",
        help=f"once or more; when none is named {', '.join(MACHINES)} are parsed, qemuarm64 is checked and built",
    )
    parser.add_argument(
        "--conf",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="text for local.conf, for example with DL_DIR and PREMIRRORS",
    )
    parser.add_argument(
        "--layer",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="one more layer for BBLAYERS; yocto-check-layer takes only that of the machine",
    )
    parser.add_argument("--verified", action="store_true", help='all images with OTA_VERIFIED_BOOT = "1"')
    parser.add_argument("--clock", type=boot.machine.clock, metavar="TIME", help=f"for boot: {boot.machine.CLOCK_HELP}")
    parser.add_argument("--u-boot", type=Path, metavar="DIR", help="source of U-Boot, for uboot")
    parser.add_argument("--table", action="store_true", help="only the table of uboot, for which --u-boot is enough")
    parser.add_argument(
        "--link",
        action="store_true",
        help="as --table, but builds SPL of each board: does it still fit into its memory?",
    )
    parser.add_argument("--build-dir", type=Path, metavar="DIR", help="instead of build/layer-SERIES")
    parser.add_argument(
        "--user", metavar="NAME", help="who runs BitBake when this is run as root, which BitBake refuses"
    )
    parser.add_argument("check", nargs="*", metavar="CHECK", help="which checks, in this order")
    arguments = parser.parse_args()
    if arguments.table or arguments.link:
        if not arguments.u_boot:
            parser.error("--table and --link are about a source of U-Boot, name it with --u-boot")
        return uboot_table(arguments)
    if not arguments.oe_core or not arguments.bitbake:
        parser.error("the following arguments are required: --oe-core, --bitbake")
    unknown = [name for name in arguments.check if name not in CHECKS]
    if unknown:
        parser.error(f"no such check: {' '.join(unknown)}; there are {', '.join(CHECKS)}")
    if os.geteuid() == 0 and not arguments.user:
        parser.error("BitBake refuses root: name another user with --user")
    try:
        series = bitbake.series_of(arguments.oe_core)
        if series not in SERIES or arguments.series not in (None, series):
            raise bitbake.BuildError(
                f"{arguments.oe_core}: expected {arguments.series or ' or '.join(SERIES)}, found {series}"
            )
    except (bitbake.BuildError, OSError) as problem:
        parser.error(str(problem))

    if not str(bitbake.ROOT).isascii() or " " in str(bitbake.ROOT):
        parser.error(
            f"BitBake cannot work with blanks or letters like ü in the path of a layer, found {bitbake.ROOT}: move the checkout"
        )

    chosen = arguments.check or list(QUICK)
    # yocto-check-layer takes ten minutes for each.
    arguments.named = arguments.machine or ["qemuarm64"]
    if not arguments.machine:
        arguments.machine = list(MACHINES) if chosen == list(QUICK) or chosen == ["parse"] else ["qemuarm64"]
    checks, failed, summary = Checks(arguments, series), 0, []
    for name in chosen:
        print(f"##### {name}: {getattr(Checks, name).__doc__}", flush=True)
        started = time.monotonic()
        try:
            said, verdict = getattr(checks, name)(), "passed"
        except (bitbake.BuildError, boot.Failure, subprocess.CalledProcessError, OSError) as problem:
            said, verdict, failed = str(problem), "FAILED", failed + 1
            print(said, file=sys.stderr, flush=True)
            said = said.splitlines()[0]
        summary.append(f"{series:<10} {name:<10} {verdict:<7} {time.monotonic() - started:5.0f} s  {said}")
    print("\n" + "\n".join(summary))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
