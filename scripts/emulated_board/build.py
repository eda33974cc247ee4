# SPDX-License-Identifier: MIT
"""Builds the emulated A/B board: root file systems, update images and the disk, from Debian arm64 packages and the layer."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from emulated_board import elf, layer, packages

sys.path.insert(0, str(layer.ROOT / "lib"))
from otamgr import bundle, settle, verified  # noqa: E402

HERE = Path(__file__).resolve().parent
BUILD = layer.BUILD
ROOT_ARM64 = BUILD / "root" / "arm64"
RUNTIME = BUILD / "runtime"
MIB = 1 << 20

# The disk as it is flashed: name, start and size in MiB. The environment's two copies lie before the first partition. The data
# partition takes the rest when the board starts for the first time.
PARTITIONS = (("boot", 20, 16), ("rootfs-a", 36, 192), ("rootfs-b", 228, 192), ("data", 420, 96))
DISK_MIB = 648
# The same with a pair of partitions for an image beside the root file system.
PARTITIONS_WITH_PAIR = (*PARTITIONS[:3], ("app-a", 420, 8), ("app-b", 428, 8), ("data", 436, 80))

SETTINGS = layer.settings(OTA_ENV_STORE="script", OTA_ENV_DEVICE="/dev/vda", OTA_BOOTARGS="console=ttyAMA0")

# Where the programs of the board come from; the libraries that they need are computed.
TARGET_PACKAGES = (
    "openjdk-17-jdk-headless",
    "busybox-static",
    "openssl",
    "libubootenv-tool",
    "e2fsprogs",
    "zstd",
    "util-linux",
    # What the content engine is compiled with.
    "libssl-dev",
    "libzstd-dev",
    "zlib1g-dev",
    "liblzma-dev",
)
# The JDK needs libraries for screens and printers which the runtime that is linked from it has not; its own are these.
JAVA_LIBRARIES = ("libstdc++6", "libgcc-s1", "zlib1g")
PROGRAMS = (
    "usr/bin/fw_printenv",
    "sbin/mke2fs",
    "usr/bin/zstd",
    "usr/bin/flock",
    "usr/bin/openssl",
    "sbin/e2fsck",
    "sbin/resize2fs",
    "bin/mountpoint",
)
# What no program names and glibc opens when a thread ends.
OPENED_LIBRARIES = ("libgcc_s.so.1",)


@dataclass(frozen=True)
class Target:
    """Where the programs of a board come from and what their architecture calls things."""

    root: Path  # holds the files of Debian's packages
    triplet: str
    loader: str  # below the root
    native_library: str  # folder of the library inside junixsocket's jar
    emulator: tuple = ()  # words that let this machine run the target's programs


ARM64 = Target(
    ROOT_ARM64,
    "aarch64-linux-gnu",
    "lib/ld-linux-aarch64.so.1",
    "lib/aarch64-Linux-clang/jni/",
    ("qemu-aarch64-static", "-L", str(ROOT_ARM64)),
)
INITRAMFS_MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "overlay",
    "squashfs",
    "libcrc32c",
    "erofs",
)
# What the first process of an initramfs runs.
INITRAMFS_APPLETS = (
    "sh",
    "grep",
    "insmod",
    "mkdir",
    "mount",
    "reboot",
    "sed",
    "switch_root",
    "sync",
    "umount",
    "usleep",
)
# Of dm-verity, and the faster SHA-256.
VERITY_MODULES = (
    "dax",
    "dm-mod",
    "dm-bufio",
    "reed_solomon",
    "dm-verity",
    "sha256-arm64",
    "sha2-ce",
)
ROOTFS_MODULES = ("failover", "net_failover", "virtio_net")

# The board's name, for which bundles must be.
COMPATIBLE = "emulated-board"
# Of all its file systems, as a build has it.
FILE_SYSTEM_UUID = "6f2e5a34-7a0c-5b3c-8f5b-5d2d0a8f3a11"

# otamgr needs java.base alone; the hubby stand-in checks signatures with jdk.crypto.ec.
RUNTIME_MODULES = "java.base,jdk.crypto.ec"

# The device's commands come from busybox, as on a small Yocto image; Debian's has no flock.
APPLETS = """sh ash cat ls cp mv rm ln mkdir rmdir mount umount sync sleep echo dd gzip gunzip zcat grep sed awk cut head tail tr
od hexdump cmp sha256sum stat df du kill killall ps date uname dmesg touch chmod chown test [ expr true false printf find xargs mknod hostname
env sort uniq wc tee timeout seq usleep ping tar xz logger basename dirname readlink realpath id mktemp vi less pidof
ln sh setsid mkfifo tty stty which uptime free""".split()
SYSTEM_APPLETS = "init reboot poweroff halt insmod rmmod lsmod ip ifconfig route syslogd start-stop-daemon".split()


def run(*words, **options):
    subprocess.run([str(w) for w in words], check=True, **options)


def _digest(*things):
    """One hash over texts and over the contents of files and folders."""
    digest = hashlib.sha256()
    for thing in things:
        paths = (
            [thing]
            if isinstance(thing, Path) and thing.is_file()
            else sorted(thing.rglob("*"))
            if isinstance(thing, Path)
            else []
        )
        if isinstance(thing, Path):
            for path in paths:
                if path.is_file() and "target" not in path.parts and "__pycache__" not in path.parts:
                    digest.update(f"{path}\0{path.stat().st_mode:o}\0".encode())
                    digest.update(path.read_bytes())
        else:
            digest.update(repr(thing).encode())
    return digest.hexdigest()


def partition_start(name):
    """The first byte of a partition of the disk."""
    return next(start for partition, start, _ in PARTITIONS if partition == name) * MIB


class Cache:
    """Remembers what an artefact was made from, so that an unchanged one is not made again."""

    def __init__(self, say):
        self._say = say

    def make(self, what, artefact, inputs, build):
        artefact = Path(artefact)
        stamp = BUILD / "stamps" / artefact.name
        wanted = _digest(what, *inputs)
        if artefact.exists() and stamp.exists() and stamp.read_text() == wanted:
            self._say(f"{what}: unchanged")
            return artefact
        self._say(f"{what}: building")
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        build(artefact)
        stamp.write_text(wanted)
        return artefact


def fetch_packages(say):
    """Downloads and unpacks the target's packages; returns the kernel's release."""
    release_file = BUILD / "kernel-release"
    wanted = "\n".join([*TARGET_PACKAGES, *JAVA_LIBRARIES])
    if release_file.exists() and release_file.read_text().endswith(f"\n{wanted}"):
        say("Debian packages for arm64: already there")
        return release_file.read_text().split("\n")[0]
    say("Debian packages for arm64: downloading (about 100 MB)")
    apt = packages.ForeignApt("arm64", BUILD / "apt")
    apt.update()
    kernel = apt.dependency("linux-image-cloud-arm64", r"linux-image-\S+")
    libraries = apt.libraries([name for name in TARGET_PACKAGES if "openjdk" not in name] + list(JAVA_LIBRARIES))
    debs = apt.download([kernel, *TARGET_PACKAGES, *JAVA_LIBRARIES, *libraries])
    say(f"Debian packages for arm64: unpacking {len(debs)}")
    packages.unpack(debs, ROOT_ARM64)
    release = kernel.removeprefix("linux-image-")
    release_file.write_text(f"{release}\n{wanted}")
    return release


def build_jars(folder):
    """The daemon, the simulators and their libraries as the device has them: names without versions."""
    project = layer.ROOT / "otamgr-src"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run("mvn", "-q", "-B", "-f", project / "pom.xml", "package", "-DskipTests", "-Dmaven.test.skip=true")
    for module, name in (
        ("device/base", "otamgr-base"),
        ("device/wire", "otamgr-wire"),
        ("device/attribute-client", "otamgr-attribute-client"),
        ("device/agent", "otamgr-agent"),
        ("device/daemon", "otamgr"),
        ("test-equipment/simulators", "otamgr-simulators"),
    ):
        # Jars of earlier versions lie beside it.
        made = (project / module / "target").glob(f"{name}-[0-9]*.jar")
        shutil.copy(max(made, key=lambda jar: jar.stat().st_mtime), folder / f"{name}.jar")
    # Sources of updates that are modules of their own.
    for name in ("tuf", "update-sources"):
        for jar in sorted(
            project.glob(f"device/{name}/target/otamgr-{name}-[0-9]*.jar"), key=lambda jar: jar.stat().st_mtime
        ):
            shutil.copy(jar, folder / f"otamgr-{name}.jar")
    libraries = folder / "libraries"
    run(
        "mvn",
        "-q",
        "-B",
        "-f",
        project / "pom.xml",
        "-pl",
        ":otamgr,:otamgr-simulators",
        "-am",
        "package",
        "-DskipTests",
        "-Dmaven.test.skip=true",
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        "-DexcludeGroupIds=org.metaotamgr",
        f"-DoutputDirectory={libraries}",
        "-Dmdep.stripVersion=true",
    )


def compiled(cache, what, sources, program, target=ARM64):
    """A small program of the device, as its recipe compiles it, built when one of its sources has changed."""
    flags = "-std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Wall -Wextra -Werror -Os -s -o".split()
    code = [source for source in sources if source.suffix == ".c"]
    return cache.make(what, program, sources, lambda out: run(f"{target.triplet}-gcc", *flags, out, *code))


def control(cache, what="otamgr-control", program=BUILD / "otamgr-control", target=ARM64):
    """What takes commands to the daemon."""
    return compiled(cache, what, [layer.RECIPES / "otamgr/files/otamgr-control.c"], program, target)


def boot_loader_program(cache, name):
    """What asks and tells the board where its ROM finds the boot loader."""
    files = layer.RECIPES / "ota-boot-loader/files"
    return compiled(cache, name, [files / f"{name}.c", files / "help.h"], BUILD / name)


def root_program(cache, what="otamgr-root", program=BUILD / "otamgr-root", target=ARM64):
    """What does as root what a daemon that is not root may ask for."""
    files = layer.RECIPES / "otamgr-user/files"
    sources = [files / "otamgr-root.c", files / "request.c", files / "request.h"]
    return compiled(cache, what, sources, program, target)


def daemon_user(version):
    """The number of the daemon's user. The next system may have given it another one."""
    return 500 + sum(version.encode()) % 100


def install_user(tree, program, number):
    """What the package otamgr-user adds to a root file system with sysvinit."""
    files = layer.RECIPES / "otamgr-user/files"
    install(program, tree / "usr/lib/otamgr/otamgr-root", 0o755)
    install(files / "agent-memory", tree / "usr/lib/otamgr/agent-memory", 0o755)
    install(files / "otamgr-root.init", tree / "etc/init.d/otamgr-root", 0o755)
    (tree / "etc/otamgr/conf.d").mkdir(exist_ok=True)
    install(files / "20-user.json", tree / "etc/otamgr/conf.d/20-user.json", 0o644)
    (tree / "etc/rcS.d/S96otamgr-root").symlink_to("../init.d/otamgr-root")
    with open(tree / "etc/passwd", "a") as users:
        users.write(f"otamgr:x:{number}:{number}::/:/bin/false\n")
    (tree / "etc/group").write_text(f"root:x:0:\notamgr:x:{number}:\n")


def build_content(program, target=ARM64):
    """The content engine, for the libraries of the target's packages. Their names for the linker are links to other places."""
    sources, folder = layer.RECIPES / "ota-content/files", BUILD / f"ota-content-{target.triplet}"

    def seen(path):
        """As the compiler is told of it, which runs where the sources are: without the checkout's own path, which may have blanks."""
        return os.path.relpath(path, sources) if path.is_relative_to(layer.ROOT) else path

    include = target.root / "usr/include"
    libraries = " ".join(f"-l:{name}" for name in ("libcrypto.so.3", "libzstd.so.1", "libz.so.1", "liblzma.so.5"))
    places = " ".join(f"-L{seen(target.root / place / target.triplet)}" for place in ("usr/lib", "lib"))
    run(
        "make",
        "-s",
        "-C",
        sources,
        f"B={seen(folder)}",
        f"CC={target.triplet}-gcc",
        "CFLAGS=-O2",
        f"CPPFLAGS=-isystem {seen(include)} -isystem {seen(include / target.triplet)}"
        if target.root != Path("/")
        else "CPPFLAGS=",
        f"LDFLAGS={places}",
        f"libraries={libraries}",
    )
    shutil.copy(folder / "ota-content", program)


# The content engine, what ends programs that take too long, what lets a partition grow.
UPDATER = ("ota-content", "ota-limit", "ota-grow")


def updater(cache, whose="", folder=BUILD / "updater-arm64", target=ARM64):
    """The programs of the recipe ota-content, in the order of UPDATER."""
    files = layer.RECIPES / "ota-content/files"
    folder.mkdir(parents=True, exist_ok=True)
    engine, *helpers = UPDATER
    sources = [files / "src", files / "Makefile"]
    return (
        cache.make(engine + whose, folder / engine, sources, lambda out: build_content(out, target)),
        *(
            compiled(cache, name + whose, [files / name.removeprefix("ota-") / f"{name}.c"], folder / name, target)
            for name in helpers
        ),
    )


def u_boot_for_any(cache):
    """A U-Boot that reads kernels from squashfs and EROFS, too; takes minutes to build."""
    maker, files = layer.ROOT / "tests/boot/build-u-boot", layer.RECIPES / "u-boot/files"
    return cache.make(
        "U-Boot for squashfs and EROFS",
        BUILD / "u-boot-any.bin",
        [maker, files / "ota-boot.cfg", maker.with_name("u-boot-any.cfg")],
        lambda out: run(maker, "any", out),
    )


VERIFIED = layer.RECIPES / "ota-verified/files"
# The copies of the signed boot script; U-Boot takes the second where the first is not what was signed.
SIGNED_SCRIPTS = ("ota-boot.itb", "ota-boot2.itb")


@dataclass(frozen=True)
class VerifiedBoot:
    """What a board with verified boot is made of."""

    u_boot: Path
    control: Path  # the device tree with the public keys, which QEMU hands to U-Boot
    device_tree: Path  # for the kernel
    initramfs: Path
    key: Path
    kernel: Path | None = None  # None: that of most boards
    rollback_index: int = 0

    def options(self):
        """Of its machine."""
        from emulated_board import machine

        return {"emulator": (*machine.emulator(self.u_boot), "-dtb", str(self.control))}

    def disk(self, bootargs):
        """For make_disk. Words for the kernel are in the signed script, for none of the environment are taken."""
        words = f"{SETTINGS['OTA_BOOTARGS']} {bootargs}"
        return {
            "settings": {**SETTINGS, "OTA_VERIFIED_BOOT": "1", "OTA_BOOTARGS": words},
            "signed_with": self.key,
        }

    def slot_image(self, file_system, out):
        (kernel,) = [self.kernel] if self.kernel else (ROOT_ARM64 / "boot").glob("vmlinuz-*")
        verified.make_slot_image(
            file_system,
            kernel,
            self.device_tree,
            self.initramfs,
            self.key,
            out,
            rollback_index=self.rollback_index,
        )


def fit_check_sign():
    """Puts U-Boot's own verification, which was built with it, where programs are looked for."""
    folder = BUILD / "verified-tools"
    folder.mkdir(exist_ok=True)
    link = folder / "fit_check_sign"
    if not link.exists():
        link.symlink_to(BUILD / "u-boot-verified.bin.fit_check_sign")
    if str(folder) not in os.environ["PATH"].split(":"):
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"


def verified_initramfs(cache, release, name="initrd-verified", **kernel):
    """With the program that sets up dm-verity, and the kernel's modules for it; `kernel` is of one that is not that of most boards."""

    def program(out):
        words = "-std=c11 -Wall -Wextra -Werror -Os -static -s -o".split()
        run(f"{ARM64.triplet}-gcc", *words, out, VERIFIED / "ota-verity.c")

    verity = cache.make("ota-verity", BUILD / "ota-verity", [VERIFIED / "ota-verity.c"], program)
    return cache.make(
        "initramfs for verified boot",
        BUILD / name,
        [release, VERIFIED / "init", verity, INITRAMFS_MODULES, VERITY_MODULES, str(kernel)],
        lambda out: build_initramfs(release, out, VERIFIED / "init", [verity], VERITY_MODULES, **kernel),
    )


def device_tree_of_board(out, u_boot):
    """The device tree that QEMU makes for the board with this U-Boot, which is another one without it."""
    from emulated_board import machine

    board = [*machine.BOARD]
    board[board.index("virt")] = f"virt,dtb-randomness=off,dumpdtb={out}"
    run(*board, "-smp", "2", "-m", "1024", "-nographic", "-bios", u_boot, stdin=subprocess.DEVNULL)


def verified_boot(cache, release=None):
    """U-Boot, keys, device trees and initramfs (for a kernel of that release) for boards with verified boot; U-Boot takes minutes to build."""
    maker, files = layer.ROOT / "tests/boot/build-u-boot", layer.RECIPES / "u-boot/files"
    u_boot = cache.make(
        "U-Boot for verified boot",
        BUILD / "u-boot-verified.bin",
        [
            maker,
            *(files / f"ota-{name}.cfg" for name in ("boot", "verified", "rpmb")),
            maker.with_name("u-boot-verified.cfg"),
        ],
        lambda out: run(maker, "verified", out),
    )
    key = BUILD / "keys/verified-boot.key"
    if not key.exists():
        verified.make_key(key, development=True)

    def trees(out):
        made = out.with_suffix(".dump")
        device_tree_of_board(made, u_boot)
        run("dtc", "-q", "-I", "dtb", "-O", "dtb", "-o", device_tree, made)
        run("dtc", "-q", "-I", "dtb", "-O", "dtb", "-p", "8192", "-o", out, made)
        made.unlink()
        script = out.with_suffix(".cmd")
        script.write_text("echo\n")
        verified.make_script_fit(script, key, out.with_suffix(".itb"), control=out)

    device_tree = BUILD / "verified-board.dtb"
    control = cache.make("control device tree with the keys", BUILD / "verified-control.dtb", [u_boot, key], trees)
    fit_check_sign()
    initramfs = verified_initramfs(cache, release) if release else None
    return VerifiedBoot(u_boot, control, device_tree, initramfs, key)


def jars(cache):
    """The folder of the jars, built when their sources have changed."""
    source = layer.ROOT / "otamgr-src"
    mains = [
        *source.glob("device/*/src/main"),
        source / "test-equipment/simulators/src/main",
    ]
    return cache.make("jars", BUILD / "jars", [*sorted(source.glob("**/pom.xml")), *mains], build_jars)


def build_runtime(folder, target=ARM64):
    """A Java runtime for the target, with the base CDS archive made by the target's own JVM."""
    shutil.rmtree(folder, ignore_errors=True)
    (jmods,) = (target.root / "usr/lib/jvm").glob("java-17-openjdk-*/jmods")
    run(
        "jlink",
        "--module-path",
        jmods,
        "--add-modules",
        RUNTIME_MODULES,
        "--exclude-resources",
        ",".join(layer.runtime_resources_left_out()),
        "--no-header-files",
        "--no-man-pages",
        "--strip-java-debug-attributes",
        "--compress=2",
        "--output",
        folder,
    )
    for extra in ("legal", "lib/jrt-fs.jar"):
        path = folder / extra
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for library in folder.rglob("*.so"):
        run(f"{target.triplet}-strip", "--strip-unneeded", library)
    run(*target.emulator, folder / "bin/java", "-Xshare:dump", stdout=subprocess.DEVNULL)


def install_modules(release, names, folder, root=ROOT_ARM64):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (module,) = (root / "lib/modules" / release).rglob(f"{name}.ko")
        shutil.copy(module, folder)


def build_initramfs(
    release, out, init=HERE / "initramfs-init", programs=(), more_modules=(), root=ROOT_ARM64, modules=INITRAMFS_MODULES
):
    modules = (*modules, *more_modules)
    tree = BUILD / "initramfs"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "bin").mkdir(parents=True)
    shutil.copy(root / "bin/busybox", tree / "bin/busybox")
    for applet in INITRAMFS_APPLETS:
        (tree / "bin" / applet).symlink_to("busybox")
    shutil.copy(init, tree / "init")
    for program in programs:
        install(program, tree / "bin" / program.name, 0o755)
    install_modules(release, modules, tree / "modules", root)
    names = [f"{m}.ko" for m in modules]
    if more_modules == VERITY_MODULES:
        # As one for a processor that this is not, which is not to stop the start.
        names.insert(0, "sha-of-another-processor.ko")
        (tree / "modules" / names[0]).write_bytes(b"")
    (tree / "modules/order").write_text("".join(f"{name}\n" for name in names))
    names = "".join(f"{p.relative_to(tree)}\n" for p in sorted(tree.rglob("*")))
    packed = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"],
        input=names.encode(),
        cwd=tree,
        check=True,
        capture_output=True,
    )
    out.write_bytes(gzip.compress(packed.stdout, 6, mtime=0))


def install(source, target, mode):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    target.chmod(mode)


def signing_key():
    """The private key whose bundles the emulated boards take; made once."""
    key = BUILD / "keys" / "board.key"
    if not key.exists():
        bundle.make_key(key)
    return key


def sign_bundle(image, out, version, images=()):
    """A signed bundle of an update image, and images beside it."""
    bundle.create(out, image, signing_key(), COMPATIBLE, version, images=images)


def record_of(version):
    """The OTA record of a version that no service knows."""
    return json.dumps(
        {
            "description": "emulated board",
            "id": "1",
            "name": "emulated-board",
            "tags": [],
            "type": 5,
            "url": "",
            "version": version,
            "versionNumber": version.replace(".", ""),
        },
        indent=4,
        sort_keys=True,
    )


def install_libraries(tree, target):
    """Every library that something in the tree needs and the tree does not have yet."""
    runtime = tree / "usr/lib/jvm/otamgr-runtime/lib"
    folders = [runtime, runtime / "server", *(target.root / folder / target.triplet for folder in ("lib", "usr/lib"))]
    # systemd's own.
    folders.append(tree / "usr/lib" / target.triplet / "systemd")
    programs = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    libraries = elf.closure(programs, folders, own=(Path(target.loader).name,))
    for name in OPENED_LIBRARIES:
        libraries[name] = next(folder / name for folder in folders if (folder / name).exists())
    for name, file in libraries.items():
        if not file.is_relative_to(tree):
            install(file, tree / "lib" / target.triplet / name, 0o755)


def stage_commands(tree, target):
    """The folders of a root file system, busybox and Debian's programs."""
    shutil.rmtree(tree, ignore_errors=True)
    for folder in (
        "bin",
        "sbin",
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "dev",
        "proc",
        "sys",
        "tmp",
        "run",
        "data",
        "root",
        "boot",
        "etc/otamgr",
        "lib/upgrade/keep.d",
        "var",
        "usr/share/java",
        "usr/lib/otamgr",
        "lib/modules",
    ):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    (tree / "var/run").symlink_to("/run")
    (tree / "var/log").symlink_to("/run/log")
    (tree / "var/lock").symlink_to("/run/lock")
    (tree / "afero_nv").symlink_to("data/afero_nv")

    shutil.copy(target.root / "bin/busybox", tree / "bin/busybox")
    known = subprocess.run(
        [*target.emulator, tree / "bin/busybox", "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    if missing := {*APPLETS, *SYSTEM_APPLETS}.difference(known):
        raise RuntimeError(f"expected {', '.join(sorted(missing))} in {target.root / 'bin/busybox'}, found none there")
    for applet in APPLETS:
        (tree / "bin" / applet).unlink(missing_ok=True)
        (tree / "bin" / applet).symlink_to("busybox")
    for applet in SYSTEM_APPLETS:
        (tree / "sbin" / applet).symlink_to("../bin/busybox")
    for program in PROGRAMS:
        install(target.root / program, tree / program, 0o755)
    (tree / "usr/bin/fw_setenv").symlink_to("fw_printenv")
    install(target.root / target.loader, tree / target.loader, 0o755)


def stage_updater(tree, programs):
    """sysupgrade and what it needs, where the recipes install it. programs: what updater() made."""
    scripts = layer.RECIPES / "sysupgrade/files"
    for name in ("sysupgrade", "ota-slot", "ota-trial-guard", "ota-why", "ota-doctor", "ota-verify"):
        install(scripts / name, tree / "sbin" / name, 0o755)
    for shared in (*scripts.glob("*.sh"), *scripts.glob("*.awk"), scripts / "exit-codes"):
        install(shared, tree / "usr/lib/otamgr" / shared.name, 0o644)
    for name, program in zip(UPDATER, programs, strict=True):
        install(program, tree / "usr/lib/otamgr" / name, 0o755)
    (tree / "etc/otamgr/keys.d").mkdir()
    install(scripts / "trial.conf", tree / "etc/otamgr/trial.conf", 0o644)
    (tree / "etc/fw_env.config").write_text(layer.fill(layer.RECIPES / "u-boot/files/fw_env.config.in", SETTINGS))


def stage_rootfs(version, record, release, jars, programs, runtime, initramfs, tree, target=ARM64, otamgr_root=None):
    """The root file system of one version: Debian's binaries, the layer's files at the places the recipes install them.
    programs: what control() and updater() made. Without a release there is no kernel in it. otamgr_root: what root_program() made;
    without it the daemon is root."""
    stage_commands(tree, target)
    if release:
        shutil.copy(target.root / "boot" / f"vmlinuz-{release}", tree / "boot/Image")
        shutil.copy(initramfs, tree / "boot/initrd")
        shutil.rmtree(tree / "lib/modules")
        install_modules(release, ROOTFS_MODULES, tree / "lib/modules")

    shutil.copytree(runtime, tree / "usr/lib/jvm/otamgr-runtime", symlinks=True)
    (tree / "usr/bin/java").symlink_to("../lib/jvm/otamgr-runtime/bin/java")
    for jar in [*jars.glob("otamgr*.jar"), *(jars / "libraries").glob("*.jar")]:
        if jar.name != "junixsocket-native-common.jar":
            shutil.copy(jar, tree / "usr/share/java" / jar.name)
    native = jars / "libraries/junixsocket-native-common.jar"
    listing = subprocess.run(["unzip", "-Z1", native], check=True, capture_output=True, text=True).stdout.split()
    (library,) = [n for n in listing if n.startswith(target.native_library) and n.endswith(".so") and "nodeps" not in n]
    with open(tree / "usr/lib/otamgr/libjunixsocket-native.so", "wb") as out:
        run("unzip", "-p", native, library, stdout=out)

    install(layer.RECIPES / "ota-data/files/ota-data", tree / "usr/sbin/ota-data", 0o755)
    install(layer.RECIPES / "ota-data/files/ota-data.init", tree / "etc/init.d/ota-data", 0o755)
    scripts, daemon = layer.RECIPES / "sysupgrade/files", layer.RECIPES / "otamgr/files"
    stage_updater(tree, programs[1:])
    bundle.write_public_key(signing_key(), tree / "etc/otamgr/keys.d/board.pem")
    (tree / "etc/otamgr/compatible").write_text(f"{COMPATIBLE}\n")
    install(scripts / "ota-preinit", tree / "usr/lib/otamgr/ota-preinit", 0o755)
    # The cloud simulator delivers images without a signature as well.
    (tree / "etc/otamgr/sysupgrade.conf").write_text("REQUIRE_SIGNATURE=no\n")
    install(scripts / "ota-trial-guard.init", tree / "etc/init.d/ota-trial-guard", 0o755)
    install(daemon / "otamgr.sh", tree / "usr/bin/otamgr", 0o755)
    install(programs[0], tree / "usr/lib/otamgr/otamgr-control", 0o755)
    install(daemon / "otamgr-watcher", tree / "usr/sbin/otamgr-watcher", 0o755)
    install(daemon / "otamgr.init", tree / "etc/init.d/otamgr", 0o755)
    # Long deadlines, because a slow machine is no bad update; faults that wait for them shorten them in their own image.
    (tree / "etc/otamgr/otamgr.json").write_text(
        (daemon / "otamgr.json")
        .read_text()
        .replace('"deadlineSeconds": 240', '"deadlineSeconds": 1500', 1)
        .replace('"hubbyStableSeconds": 20', '"hubbyStableSeconds": 5', 1)
    )

    shutil.copytree(HERE / "rootfs", tree, dirs_exist_ok=True)
    services = tree / "etc/rcS.d"
    services.mkdir()
    for order, service in (
        ("S01", "syslog"),
        ("S04", "ota-data"),
        ("S05", "ota-trial-guard"),
        ("S40", "network"),
        ("S90", "platform"),
        ("S97", "otamgr"),
        ("S99", "board-report"),
    ):
        (services / f"{order}{service}").symlink_to(f"../init.d/{service}")
    (tree / "etc/ota-version").write_text(f"{version}\n")
    (tree / "etc/hostname").write_text("board\n")
    (tree / "etc/passwd").write_text("root::0:0:root:/root:/bin/sh\n")
    (tree / "etc/full_ota_record.json").write_text(record)
    if otamgr_root:
        install_user(tree, otamgr_root, daemon_user(version))
    install_libraries(tree, target)


# What a co-processor would do: it keeps what it is given, and what it had before.
HANDLER = """#!/bin/sh
set -eu
cd /data
case $1 in
install)
    cat >mcu.new
    [ "$(wc -c <mcu.new)" = "$OTA_IMAGE_BYTES" ]
    # From updates before this one there is no way back any more, and none to what was there before them.
    rm -f mcu.before.*
    cp mcu mcu.old
    mv mcu.old "mcu.before.$OTA_UPDATE"
    sync
    mv mcu.new mcu
    sync
    ;;
rollback) [ ! -e "mcu.before.$OTA_UPDATE" ] || mv "mcu.before.$OTA_UPDATE" mcu ;;
esac
"""


def image_of(name, version):
    """An image beside the root file system, for emulation: its first line says what it is."""
    return f"{name} {version}\n".encode() + hashlib.shake_256(f"{name} {version}".encode()).digest(300000)


def give_targets(tree):
    """Targets for a partition of applications and the firmware of a co-processor; what runs is said when the board has started."""
    targets = tree / "etc/otamgr/images.d"
    targets.mkdir()
    (targets / "app.conf").write_text("SLOT_A_DEVICE=/dev/vda4\nSLOT_B_DEVICE=/dev/vda5\n")
    (targets / "mcu.conf").write_text("HANDLER=/usr/sbin/mcu-update\nHANDLER_SECONDS=60\n")
    report = tree / "etc/init.d/images"
    report.write_text(
        # Whole or not there, whenever the power fails.
        '#!/bin/sh\n[ "${1-}" != stop ] || exit 0\n'
        "[ -e /data/mcu ] || { echo 'mcu 1.0' >/data/mcu.first && sync && mv /data/mcu.first /data/mcu; }\n"
        'echo "IMAGES app=$(head -n 1 "$(ota-slot image app)") mcu=$(head -n 1 /data/mcu)"\n'
    )
    (tree / "usr/sbin/mcu-update").write_text(HANDLER)
    for program in (report, tree / "usr/sbin/mcu-update"):
        program.chmod(0o755)
    (tree / "etc/rcS.d/S95images").symlink_to("../init.d/images")


def make_root_read_only(tree):
    """What the image class adds to a system whose root is read-only, and this board's settings for one."""
    (tree / "boot/ota-read-only").write_text("etc=overlay\n")
    (tree / "boot/ota-slot-valid").write_text("txn=image\n")
    real = tree / "usr/lib/otamgr/real/init"
    real.parent.mkdir()
    # busybox or systemd, as it would find it from /sbin.
    real.symlink_to(os.path.normpath(os.path.join("/sbin", os.readlink(tree / "sbin/init"))))
    (tree / "sbin/init").unlink()
    (tree / "sbin/init").symlink_to("/usr/lib/otamgr/ota-preinit")
    (tree / "etc/otamgr/sysupgrade.conf").write_text("REQUIRE_SIGNATURE=no\nBOOT_FORMATS=squashfs,erofs\n")


def make_root_verified(tree, rollback_index):
    """What the image class adds to a system with verified boot: the kernel is not in its file system."""
    for name in ("Image", "initrd"):
        (tree / "boot" / name).unlink(missing_ok=True)
    (tree / "boot/ota-verified").write_text(f"fit=behind\nrollback_index={rollback_index}\n")


def make_compressed_root(tree, out, kind):
    """A squashfs or an EROFS of the tree, as a build makes it."""
    run("chown", "-R", "0:0", tree)
    out.unlink(missing_ok=True)
    if kind == "squashfs":
        run(
            "mksquashfs",
            tree,
            out,
            "-quiet",
            "-no-progress",
            "-comp",
            "gzip",
            "-all-time",
            "0",
            stdout=subprocess.DEVNULL,
        )
    else:
        run("mkfs.erofs", "-zlz4", "-T0", "-U", FILE_SYSTEM_UUID, out, tree, stdout=subprocess.DEVNULL)


def make_filesystem(tree, out, label, room_mib=24):
    """An ext4 image with the tree's content, everything owned by root, some room left."""
    run("chown", "-R", "0:0", tree)
    used = int(subprocess.run(["du", "-sm", tree], check=True, capture_output=True, text=True).stdout.split()[0])
    out.unlink(missing_ok=True)
    run(
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-b",
        "4096",
        "-U",
        FILE_SYSTEM_UUID,
        "-E",
        f"hash_seed={FILE_SYSTEM_UUID},lazy_itable_init=0",
        "-L",
        label,
        "-d",
        tree,
        out,
        f"{used + room_mib}M",
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PATH": "/usr/sbin:/sbin:" + os.environ["PATH"]},
    )
    settle.settle(out)


def compress(image, out):
    with open(out, "wb") as stream:
        run("gzip", "-n", "-6", "-c", image, stdout=stream)


def make_boot_script(out, settings):
    source = out.with_suffix(".cmd")
    source.write_text(layer.fill(layer.RECIPES / "u-boot/files/boot.cmd.in", settings))
    run(
        "mkimage",
        "-A",
        "arm64",
        "-O",
        "linux",
        "-T",
        "script",
        "-C",
        "none",
        "-n",
        "meta-otamgr",
        "-d",
        source,
        out,
        stdout=subprocess.DEVNULL,
    )


def write_at(disk, source, offset):
    with open(disk, "r+b") as out, open(source, "rb") as data:
        out.seek(offset)
        while block := data.read(MIB):
            if block.count(0) == len(block):
                out.seek(len(block), os.SEEK_CUR)
            else:
                out.write(block)


def make_environment(variables):
    """One copy of the redundant environment, as mkenvimage makes it."""
    text = "".join(f"{name}={value}\n" for name, value in variables.items())
    return subprocess.run(
        ["mkenvimage", "-r", "-s", SETTINGS["OTA_ENV_SIZE"], "-o", "-", "-"],
        input=text.encode(),
        check=True,
        stdout=subprocess.PIPE,
    ).stdout


def make_partitions(disk, partitions, disk_mib):
    """An empty disk with these partitions: name, start and size in MiB."""
    disk.unlink(missing_ok=True)
    with open(disk, "wb") as out:
        out.truncate(disk_mib * MIB)
    table = "label: gpt\n" + "".join(
        f"start={start}MiB, size={size}MiB, name={name}, type={'uefi' if name == 'boot' else 'linux'}"
        f"{', attrs=LegacyBIOSBootable' if name == 'boot' else ''}\n"
        for name, start, size in partitions
    )
    run("sfdisk", "-q", disk, input=table.encode())


def make_disk(
    disk, rootfs_a, environment, settings=SETTINGS, partitions=PARTITIONS, disk_mib=DISK_MIB, signed_with=None
):
    """The disk as it is flashed once: slot A filled, slot B empty, environment in both copies. With a key the boot script is signed with it."""
    make_partitions(disk, partitions, disk_mib)
    work = disk.with_suffix(".parts")
    work.mkdir(exist_ok=True)
    script, fat, data, env = (work / n for n in ("boot.scr", "boot.fat", "data.ext4", "env"))
    make_boot_script(script, settings)
    size = {name: size for name, _, size in partitions}
    first = {name: start * MIB for name, start, _ in partitions}
    fat.unlink(missing_ok=True)
    run("truncate", "-s", f"{size['boot']}M", fat)
    run("mkfs.vfat", "-n", "BOOT", fat, stdout=subprocess.DEVNULL)
    if signed_with:
        signed = work / "boot.itb"
        verified.make_script_fit(script.with_suffix(".cmd"), signed_with, signed)
        for name in SIGNED_SCRIPTS:
            run("mcopy", "-i", fat, signed, f"::{name}")
    else:
        run("mcopy", "-i", fat, script, "::boot.scr")
    data.unlink(missing_ok=True)
    run("mke2fs", "-q", "-t", "ext4", "-L", "data", data, f"{size['data']}M", stdout=subprocess.DEVNULL)
    env.write_bytes(make_environment(environment))
    write_at(disk, fat, first["boot"])
    write_at(disk, rootfs_a, first["rootfs-a"])
    write_at(disk, data, first["data"])
    write_at(disk, env, int(SETTINGS["OTA_ENV_OFFSET"], 16))
    write_at(disk, env, int(SETTINGS["OTA_ENV_OFFSET_REDUND"], 16))
    shutil.rmtree(work)
