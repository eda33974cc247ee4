# SPDX-License-Identifier: MIT
"""Whether an image for a machine can be one that updates itself; said when recipes are parsed, before anything is built.

Settings are anything with a method getVar(name), as BitBake's datastore is. Reasons are sentences that say what to do.
"""

import re

from . import layout, verified

# Of a root file system that is never written to; they are written into the slot as they are.
READ_ONLY_TYPES = (
    "squashfs",
    "squashfs-xz",
    "squashfs-zst",
    "erofs",
    "erofs-lz4",
    "erofs-lz4hc",
)
# What U-Boot can read a kernel from besides ext4, and the name of the kernel's driver.
BOOT_FORMATS = ("squashfs", "erofs")
UPDATE_TYPES = ("ext4", "ext4.gz", "ext4.xz", "ext4.zst", "tar", "tar.gz", "tar.xz", "tar.zst")
INIT_MANAGERS = ("sysvinit", "systemd")
# Machines that start by EFI, and name a U-Boot only for QEMU.
UBOOT_OF_QEMU = ("genericarm64",)
# Machines that bring a layout which starts nothing of ours: their U-Boot comes from elsewhere than the disk.
LAYOUT_OF_NO_USE = ("qemux86-64",)
# QEMU makes the device trees of these boards itself; the recipe ota-boot-key deploys them.
QEMU = ("qemuarm", "qemuarm64")
# Machines whose ROM never reads a boot partition, with what it reads.
BOOT_LOADER_ELSEWHERE = {
    "beaglebone-yocto": "the ROM of AM335x reads MLO from a FAT file system or the user area, and knows no second copy of that file"
}
# Features of an image that take /etc away from the slot, with the reason.
FEATURES = {
    "stateless-rootfs": "the header of an update is placed in /etc of the new system",
    "overlayfs-etc": "/etc would be a place that both slots share, and the header of an update in it would speak for the wrong one",
}


def _words(settings, name):
    return (settings.getVar(name) or "").split()


def refusals(settings, own_layout=""):
    """Why this image cannot update itself, as sentences; nothing when it can. `own_layout` is the disk layout that the machine brings."""
    machine, on = settings.getVar("MACHINE"), "1"
    if settings.getVar("OTA_ENABLE") != on:
        return [
            f'the layer meta-otamgr changes nothing for MACHINE "{machine}" until it is asked to: read "Other boards" in its docs/yocto.md, then set '
            f'OTA_ENABLE:{machine} = "1"'
        ]
    found = list(layout.problems(settings))
    has_uboot = _words(settings, "UBOOT_MACHINE") or _words(settings, "UBOOT_CONFIG")
    if has_uboot and machine in UBOOT_OF_QEMU and settings.getVar("OTA_UBOOT_EXTERNAL") != on:
        found.append(
            f'MACHINE "{machine}" starts by EFI, and the U-Boot that it names is for QEMU only; if your board has one of its own, set '
            'OTA_UBOOT_EXTERNAL = "1"'
        )
    elif not has_uboot and settings.getVar("OTA_UBOOT_EXTERNAL") != on:
        found.append(
            f'MACHINE "{machine}" has no U-Boot (neither UBOOT_MACHINE nor UBOOT_CONFIG is set), which picks the slot and goes back; if one is '
            'flashed that this build does not make, set OTA_UBOOT_EXTERNAL = "1"'
        )
    found += _init_problems(settings)
    found += [
        f"IMAGE_FEATURES has {name}: {why}; remove it"
        for name, why in FEATURES.items()
        if name in _words(settings, "IMAGE_FEATURES")
    ]
    found += _type_problems(settings)
    if (
        machine == "qemux86-64"
        and settings.getVar("OTA_UBOOT_CONFIG") != on
        and settings.getVar("OTA_UBOOT_EXTERNAL") != on
    ):
        found.append(
            'the U-Boot of qemux86-64 has no command setexpr, which the boot script needs: set OTA_UBOOT_CONFIG = "1"'
        )
    found += _layout_problems(settings, machine, own_layout)
    if settings.getVar("OTA_VERIFIED_BOOT") == on:
        found += _verified_problems(settings)
    if settings.getVar("OTA_BOOT_LOADER"):
        found += _boot_loader_problems(settings, machine)
    return found


def _boot_loader_problems(settings, machine):
    device, environment = settings.getVar("OTA_BOOT_LOADER_DEVICE") or "", settings.getVar("OTA_ENV_DEVICE") or ""
    file, found = settings.getVar("OTA_BOOT_LOADER"), []
    if len(file.split()) != 1 or "," in file:
        found.append(f'expected the name of one file of the deploy folder, found "{file}"')
    # Places are judged with the layout of the disk, and with the configuration of U-Boot.
    if not (settings.getVar("OTA_BOOT_LOADER_PLACES") or "").strip():
        if not re.fullmatch(r"/dev/mmcblk[0-9]+", device):
            found.append(f'OTA_BOOT_LOADER_DEVICE: expected an eMMC, such as /dev/mmcblk0, found "{device}"')
        elif re.fullmatch(device + "boot[01]", environment):
            found.append(
                f"the environment is in {environment}, which an update with a boot loader would write over: move OTA_ENV_DEVICE to the "
                f"user area, {device}"
            )
    if machine in BOOT_LOADER_ELSEWHERE:
        found.append(
            f"no power cut may meet an update without a second boot loader, and {BOOT_LOADER_ELSEWHERE[machine]}"
        )
    return [f"OTA_BOOT_LOADER: {problem}" for problem in found]


def _verified_problems(settings):
    kernel, trees = settings.getVar("KERNEL_IMAGETYPE"), _words(settings, "KERNEL_DEVICETREE")
    architecture, kind = settings.getVar("TARGET_ARCH"), settings.getVar("OTA_UPDATE_TYPE")
    found = []
    if architecture not in verified.ARCHITECTURES:
        found.append(
            f"signed images of slots are made for {' and '.join(verified.ARCHITECTURES)}, and this machine is {architecture}"
        )
    if kernel not in verified.KERNELS:
        found.append(
            f"expected KERNEL_IMAGETYPE to be {' or '.join(verified.KERNELS)}, which becomes a part of the signed image of a slot, "
            f'found "{kernel}"'
        )
    if not settings.getVar("OTA_VERIFIED_DEVICE_TREE"):
        how_many, choice = ("several", "one of ") if trees else ("none", "a file of the deploy folder")
        found.append(
            f"one device tree is signed with the kernel, and KERNEL_DEVICETREE names {how_many}: set OTA_VERIFIED_DEVICE_TREE to "
            f"{choice}{', '.join(trees)}"
        )
    kinds = ("ext4", *READ_ONLY_TYPES)
    if kind not in kinds:
        found.append(
            "the image of a slot is a file system with its kernel and hash tree, which is compressed by its bundle and not before: expected "
            f'OTA_UPDATE_TYPE to be one of {", ".join(kinds)}, found "{kind}"'
        )
    return [f'OTA_VERIFIED_BOOT = "1": {problem}' for problem in found]


def _type_problems(settings):
    kind, formats = settings.getVar("OTA_UPDATE_TYPE"), _words(settings, "OTA_BOOT_FORMATS")
    read_only = "read-only-rootfs" in _words(settings, "IMAGE_FEATURES")
    found = [
        f'OTA_BOOT_FORMATS: expected words of {", ".join(BOOT_FORMATS)}, found "{word}"'
        for word in formats
        if word not in BOOT_FORMATS
    ]
    if kind not in (*UPDATE_TYPES, *READ_ONLY_TYPES):
        return [
            *found,
            f'OTA_UPDATE_TYPE: expected one of {", ".join((*UPDATE_TYPES, *READ_ONLY_TYPES))}, found "{kind}"',
        ]
    if read_only and kind.startswith("tar"):
        found.append(
            f'OTA_UPDATE_TYPE = "{kind}" is unpacked into a file system that is written to, and IMAGE_FEATURES has read-only-rootfs: take ext4.gz, '
            "squashfs or erofs"
        )
    if kind in READ_ONLY_TYPES:
        base = kind.partition("-")[0]
        if not read_only:
            found.append(
                f'OTA_UPDATE_TYPE = "{kind}" cannot be written to: it needs IMAGE_FEATURES += "read-only-rootfs", which gives the system an /etc that can'
            )
        if base not in formats and settings.getVar("OTA_VERIFIED_BOOT") != "1":
            found.append(
                f'OTA_UPDATE_TYPE = "{kind}": U-Boot has to read the kernel from it; if yours can, or is built here, set OTA_BOOT_FORMATS = "{base}" where '
                "U-Boot's recipe sees it, too (local.conf, machine, distro)"
            )
        if kind == "squashfs-xz" and settings.getVar("OTA_VERIFIED_BOOT") != "1":
            found.append(
                'OTA_UPDATE_TYPE = "squashfs-xz": U-Boot, which has to read the kernel from it, knows gzip and Zstandard only: '
                "take squashfs or squashfs-zst"
            )
        if not settings.getVar("OTA_BUNDLE_NAME"):
            found.append(
                f'OTA_UPDATE_TYPE = "{kind}" carries no checksums, so devices take it in a signed bundle only: IMAGE_CLASSES += "ota-bundle"'
            )
    return found


def kernel_lacks(symbols, modules, formats, is_verified=False):
    """What a kernel has not that a system with a read-only root of these formats needs, as its options. symbols: the text of its System.map; modules:
    names of those in the image, with verified boot in its initramfs."""
    wanted = {"overlay": ("ovl_fs_type", "CONFIG_OVERLAY_FS")}
    if is_verified:
        wanted["dm-verity"] = ("verity_target", "CONFIG_DM_VERITY")
    wanted |= {
        name: (f"{name}_fs_type", f"CONFIG_{name.upper()}{'_FS' if name == 'erofs' else ''}") for name in formats
    }
    there = {line.split()[-1] for line in symbols.splitlines() if line.strip()}
    return [option for name, (symbol, option) in wanted.items() if symbol not in there and name not in modules]


def kernel_packages(settings):
    """What an image installs for its boot script to start; with verified boot the kernel is outside the file system."""
    if settings.getVar("OTA_VERIFIED_BOOT") == "1":
        return ""
    return "kernel-image kernel-devicetree" if _words(settings, "KERNEL_DEVICETREE") else "kernel-image"


def device_tree(settings):
    """The file of the deploy folder that is signed with the kernel, where there is no choice; else nothing."""
    if settings.getVar("MACHINE") in QEMU:
        return "ota-qemu.dtb"
    trees = _words(settings, "KERNEL_DEVICETREE")
    return trees[0].rpartition("/")[2] if len(trees) == 1 else ""


def _init_problems(settings):
    init = settings.getVar("VIRTUAL-RUNTIME_init_manager") or "sysvinit"
    if init not in INIT_MANAGERS:
        return [
            f'INIT_MANAGER makes "{init}" the init of this system, for which the layer has no start scripts: expected {" or ".join(INIT_MANAGERS)}'
        ]
    if init not in _words(settings, "DISTRO_FEATURES"):
        return [
            f"the init of this system is {init}, but DISTRO_FEATURES has no {init}: nothing of the layer would be started"
        ]
    return []


def _layout_problems(settings, machine, own_layout):
    if not own_layout or machine in (*_words(settings, "OTA_MACHINES"), *LAYOUT_OF_NO_USE):
        return []
    table = settings.getVar("OTA_PARTITION_TABLE")
    asked = (
        settings.getVar("OTA_WKS_FILE") != f"ota-ab-{table}.wks.in" or settings.getVar("OTA_RAW_AREAS_CHECKED") == "1"
    )
    if asked or _words(settings, "OTA_BOOT_RAW") or _words(settings, "OTA_WKS_BOOTLOADER"):
        return []
    return [
        f'MACHINE "{machine}" has a disk layout of its own (WKS_FILE = "{own_layout}"), which this image would not use: name what starts the board in '
        "OTA_BOOT_FILES (first partition), OTA_BOOT_RAW (raw places) or OTA_WKS_BOOTLOADER (lines of a layout); if it needs none of them, set "
        'OTA_RAW_AREAS_CHECKED = "1"'
    ]
