# SPDX-License-Identifier: MIT
"""What the image class refuses, and what it says."""

import json
import os
import re
import shutil
import subprocess
import zlib
from pathlib import Path

from metadata import ROOT, Failure, MetadataCase, bb
from otamgr import modules
from otamgr.machine import kernel_lacks


class Image(MetadataCase):
    def image(self, machine="qemuarm64", **values):
        values = {
            "UBOOT_MACHINE": "board_defconfig",
            "DISTRO_FEATURES": "sysvinit",
            "VIRTUAL-RUNTIME_init_manager": "sysvinit",
        } | values
        d = self.parsed(
            "classes/ota-image.bbclass",
            self.configuration(
                machine,
                IMAGE_ROOTFS=str(self.folder / "rootfs"),
                IMGDEPLOYDIR=str(self.folder / "deploy"),
                PKGDATA_DIR=str(self.folder / "pkgdata"),
                IMAGE_BASENAME="image",
                IMAGE_NAME="image-1",
                IMAGE_LINK_NAME="image",
                IMAGE_OVERHEAD_FACTOR="1.3",
                IMAGE_ROOTFS_EXTRA_SPACE="0",
                **values,
            ),
        )
        for name in ("rootfs/boot", "deploy", "pkgdata/runtime"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        return d

    def refused(self, machine="qemuarm64", **values):
        """What BitBake says when it skips this image, or nothing."""
        return self.image(machine, **values).getVar("__SKIPPED") or ""

    def test_an_update_in_a_format_that_sysupgrade_does_not_take_is_refused(self):
        self.assertRegex(
            self.refused(OTA_UPDATE_TYPE="cpio"), 'OTA_UPDATE_TYPE: expected one of ext4, .*, found "cpio"'
        )

    def test_every_format_that_the_device_takes_is_accepted(self):
        for kind in ("ext4", "ext4.gz", "ext4.xz", "ext4.zst", "tar", "tar.gz", "tar.xz", "tar.zst"):
            self.assertEqual("", self.refused(OTA_UPDATE_TYPE=kind))

    def test_an_etc_that_is_not_the_slots_own_is_refused_with_the_reason(self):
        for feature in ("overlayfs-etc", "stateless-rootfs"):
            self.assertRegex(
                self.refused(IMAGE_FEATURES=f"ssh-server-dropbear {feature}"),
                f"IMAGE_FEATURES has {feature}: .*the header of an update",
            )

    VERIFIED = {"OTA_VERIFIED_BOOT": "1", "TARGET_ARCH": "aarch64", "KERNEL_IMAGETYPE": "Image"}

    def test_verified_boot_needs_one_line_and_says_what_it_cannot_do(self):
        self.assertEqual("", self.refused(**self.VERIFIED))
        self.assertEqual("", self.refused(**self.VERIFIED, OTA_UPDATE_TYPE="squashfs-zst"))
        trees = {"KERNEL_DEVICETREE": "v/one.dtb v/two.dtb"}
        board = {**self.VERIFIED, "OTA_ENABLE": "1", "OTA_RAW_AREAS_CHECKED": "1"}
        self.assertEqual("", self.refused("some-board", **board, **trees, OTA_VERIFIED_DEVICE_TREE="two.dtb"))
        self.assertEqual("", self.refused("some-board", **board, KERNEL_DEVICETREE="v/one.dtb"))
        self.assertIn(
            "set OTA_VERIFIED_DEVICE_TREE to one of v/one.dtb, v/two.dtb", self.refused("some-board", **board, **trees)
        )
        self.assertIn("KERNEL_DEVICETREE names none: set OTA_VERIFIED_DEVICE_TREE", self.refused("some-board", **board))
        for change, sentence in (
            ({"TARGET_ARCH": "x86_64"}, "made for aarch64 and arm, and this machine is x86_64"),
            ({"KERNEL_IMAGETYPE": "Image.gz"}, 'KERNEL_IMAGETYPE to be Image or zImage, .*found "Image.gz"'),
            ({"OTA_UPDATE_TYPE": "ext4.gz"}, 'one of ext4, squashfs.*found "ext4.gz"'),
        ):
            with self.subTest(**change):
                self.assertRegex(self.refused(**{**self.VERIFIED, **change}), sentence)

    def test_a_boot_loader_comes_in_bundles_by_one_line_and_where_the_rom_has_a_second_one_only(self):
        board = {"OTA_ENABLE": "1", "OTA_RAW_AREAS_CHECKED": "1", "OTA_BOOT_LOADER": "flash.bin"}
        d = self.image("some-board", **board)
        self.assertEqual("", d.getVar("__SKIPPED") or "")
        self.assertIn("ota-boot-loader", d.getVar("IMAGE_INSTALL").split())
        self.assertEqual("boot-loader=flash.bin,optional", d.getVar("OTA_BUNDLE_BOOT_LOADER"))
        self.assertIn("virtual/bootloader:do_deploy", d.getVarFlag("do_image_complete", "depends"))
        self.assertNotIn("ota-boot-loader", self.image().getVar("IMAGE_INSTALL"))
        for machine, change, sentence in (
            ("some-board", {"OTA_BOOT_LOADER": "a.bin b.bin"}, "the name of one file"),
            ("some-board", {"OTA_BOOT_LOADER_DEVICE": "/dev/sda"}, 'expected an eMMC, .*found "/dev/sda"'),
            (
                "some-board",
                {"OTA_ENV_DEVICE": "/dev/mmcblk0boot1", "OTA_BOOT_LOADER_DEVICE": "/dev/mmcblk0"},
                "move OTA_ENV_DEVICE",
            ),
            ("qemuarm64", {}, 'expected an eMMC, .*found "/dev/vda"'),
            ("beaglebone-yocto", {}, "the ROM of AM335x reads MLO"),
        ):
            with self.subTest(machine=machine, **change):
                self.assertRegex(self.refused(machine, **{**board, **change}), f"OTA_BOOT_LOADER: .*{sentence}")
        # Two places of the disk need no boot partition, and no eMMC.
        places = {
            "OTA_BOOT_LOADER_PLACES": "0x8000 0x400000",
            "OTA_BOOT_RAW": "flash.bin@0x8000 flash.bin@0x400000",
            "OTA_ENV_DEVICE": "/dev/sda",
            "OTA_ENV_MMC": "0",
        }
        self.assertEqual("", self.image("some-board", **board, **places).getVar("__SKIPPED") or "")

    def test_a_verified_slot_is_the_update_itself_and_has_its_kernel_outside(self):
        d = self.image(**self.VERIFIED)
        self.assertEqual("ext4.slot", d.getVar("OTA_SLOT_TYPE"))
        self.assertIn("read-only-rootfs", d.getVar("IMAGE_FEATURES"))
        self.assertTrue(d.getVar("OTA_SLOT_IMAGE").endswith("/deploy/image.ext4.slot"))
        self.assertEqual("ext4.slot", d.getVar("IMAGE_TYPEDEP:wic").split()[-1])
        self.assertNotIn("ota_slot_image", d.getVarFlag("do_image_wic", "prefuncs"))
        self.assertEqual(["packagegroup-otamgr"], d.getVar("IMAGE_INSTALL").split())
        self.assertEqual("ota-boot.itb ota-boot.itb;ota-boot2.itb", d.getVar("IMAGE_BOOT_FILES").strip())
        self.assertTrue(d.getVar("OTA_BUNDLE_NAME"))
        self.assertEqual("script", d.getVar("OTA_ENV_STORE"))
        boot = self.folder / "rootfs/boot"
        for name in ("Image-6.6", "Image", "ota-slot-valid"):
            (boot / name).touch()
        text = d.expand(d.getVar("ota_verified_root", False))
        subprocess.run(["sh", "-eu", "-c", text], check=True)
        self.assertEqual({"ota-slot-valid", "ota-verified"}, {path.name for path in boot.iterdir()})
        self.assertEqual("fit=behind\nrollback_index=0\n", (boot / "ota-verified").read_text())
        with_floor = self.image("some-board", **self.VERIFIED, OTA_RPMB_FLOOR="1", OTA_ROLLBACK_INDEX="7")
        self.assertIn("ota-floor", with_floor.getVar("IMAGE_INSTALL").split())
        self.assertIn('rollback_index=%s\\n\' "7"', with_floor.expand(with_floor.getVar("ota_verified_root", False)))
        self.assertIn('--rollback-index "7"', with_floor.expand(with_floor.getVar("ota_slot_sign", False)))
        plain = self.image()
        self.assertEqual("ext4.gz", plain.getVar("OTA_SLOT_TYPE"))
        self.assertEqual("boot.scr", plain.getVar("IMAGE_BOOT_FILES").strip())

    def test_modules_of_the_initramfs_are_loaded_behind_what_they_need(self):
        folder = self.folder / "root/lib/modules/6.6"
        (folder / "kernel/arch/arm64/crypto").mkdir(parents=True)
        for name in (
            "dm-verity",
            "dm-bufio",
            "dm-mod",
            "virtio_blk",
            "arch/arm64/crypto/sha2-ce",
            "arch/arm64/crypto/sha256-arm64",
        ):
            (folder / f"kernel/{name}.ko").touch()
        (folder / "modules.dep").write_text(
            "kernel/dm-verity.ko: kernel/dm-bufio.ko kernel/dm-mod.ko\nkernel/dm-bufio.ko: kernel/dm-mod.ko\n"
            "kernel/dm-mod.ko:\nkernel/virtio_blk.ko: kernel/not-installed.ko\n"
            # What dm-verity takes if it is there, and does not name.
            "kernel/arch/arm64/crypto/sha2-ce.ko: kernel/arch/arm64/crypto/sha256-arm64.ko\nkernel/arch/arm64/crypto/sha256-arm64.ko:\n"
        )
        root = self.folder / "root"
        modules.collected(root)
        order = (root / "modules/order").read_text().split()
        self.assertEqual(
            ["sha256-arm64.ko", "sha2-ce.ko", "dm-mod.ko", "dm-bufio.ko", "dm-verity.ko", "virtio_blk.ko"], order
        )
        self.assertFalse(folder.exists())
        self.assertEqual(sorted(order), sorted(path.name for path in root.glob("modules/*.ko")))

    def test_a_kernel_without_the_hash_tree_ends_the_build_unless_the_initramfs_has_it_as_a_module(self):
        self.assertEqual([], kernel_lacks("ffff d verity_target\nffff d ovl_fs_type\n", set(), [], True))
        manifest = "busybox cortexa57 1.36\nkernel-module-dm-verity-6.6.21-yocto qemuarm64 6.6\nkernel-module-overlay qemuarm64 6.6\n"
        self.assertEqual({"dm-verity", "overlay"}, modules.installed(manifest))
        d = self.image(**self.VERIFIED, DEPLOY_DIR_IMAGE=str(self.folder), IMAGE_MACHINE_SUFFIX="-m")
        (self.folder / "pkgdata/kernel-depmod").mkdir(parents=True)
        (self.folder / "pkgdata/kernel-depmod/System.map-6.6").write_text("ffff d ext4_fs_type\n")
        (self.folder / "ota-verified-initramfs-m.manifest").write_text(manifest)
        self.run_function("ota_kernel_check", d)
        (self.folder / "ota-verified-initramfs-m.manifest").write_text("busybox cortexa57 1.36\n")
        with self.assertRaisesRegex(Failure, "CONFIG_OVERLAY_FS=y, CONFIG_DM_VERITY=y"):
            self.run_function("ota_kernel_check", d)

    def test_a_read_only_root_is_ext4_unless_u_boot_and_the_bundle_allow_another(self):
        feature = {"IMAGE_FEATURES": "read-only-rootfs"}
        self.assertEqual("", self.refused(**feature))
        self.assertRegex(
            self.refused(**feature, OTA_UPDATE_TYPE="tar.gz"), "is unpacked into a file system that is written to"
        )
        for kind in ("squashfs", "squashfs-zst", "erofs", "erofs-lz4hc"):
            base = kind.partition("-")[0]
            good = {"OTA_UPDATE_TYPE": kind, "OTA_BOOT_FORMATS": base, "OTA_BUNDLE_NAME": "x.bundle", **feature}
            self.assertEqual("", self.refused(**good))
            self.assertIn('IMAGE_FEATURES += "read-only-rootfs"', self.refused(**{**good, "IMAGE_FEATURES": ""}))
            self.assertIn(f'OTA_BOOT_FORMATS = "{base}"', self.refused(**{**good, "OTA_BOOT_FORMATS": ""}))
            self.assertIn('IMAGE_CLASSES += "ota-bundle"', self.refused(**{**good, "OTA_BUNDLE_NAME": ""}))
        xz = {**good, "OTA_UPDATE_TYPE": "squashfs-xz", "OTA_BOOT_FORMATS": "squashfs"}
        self.assertIn("knows gzip and Zstandard only", self.refused(**xz))
        self.assertNotIn("knows gzip", self.refused(**xz, OTA_VERIFIED_BOOT="1"))
        self.assertIn(
            'OTA_BOOT_FORMATS: expected words of squashfs, erofs, found "ubifs"', self.refused(OTA_BOOT_FORMATS="ubifs")
        )

    def read_only_image(self, init):
        """A root file system after the class made it one that is never written to; init is made in it before."""
        d = self.image(IMAGE_FEATURES="read-only-rootfs", nonarch_libdir="/usr/lib", base_sbindir="/sbin")
        root = self.folder / "rootfs"
        (root / "sbin").mkdir(exist_ok=True)
        (root / "usr/lib/otamgr").mkdir(parents=True, exist_ok=True)
        init(root / "sbin")
        text = d.expand(d.getVar("ota_read_only_root", False))
        for _ in range(2):
            subprocess.run(["sh", "-eu", "-c", f"bbfatal() {{ echo $1; exit 1; }}\n{text}"], check=True)
        return root

    def test_a_kernel_that_is_a_link_is_a_file_of_two_names_where_u_boot_follows_no_links(self):
        def boot(sbin):
            (sbin / "init").write_text("a program")
            boot = sbin.parent / "boot"
            (boot / "dtb").mkdir(parents=True, exist_ok=True)
            (boot / "Image-6.6.1").write_text("a kernel")
            (boot / "Image").symlink_to("Image-6.6.1")
            (boot / "dtb/a.dtb").write_text("a tree")
            (boot / "board.dtb").symlink_to("/boot/dtb/a.dtb")
            (boot / "gone").symlink_to("nothing")

        boot_folder = self.read_only_image(boot) / "boot"
        for name, target in (("Image", "Image-6.6.1"), ("board.dtb", "dtb/a.dtb")):
            self.assertFalse((boot_folder / name).is_symlink())
            self.assertTrue((boot_folder / name).samefile(boot_folder / target))
        self.assertTrue((boot_folder / "gone").is_symlink())

    def test_init_of_a_read_only_root_mounts_its_etc_first(self):
        for words, expected in (
            (lambda sbin: (sbin / "init").symlink_to("init.sysvinit"), "/sbin/init.sysvinit"),
            (lambda sbin: (sbin / "init").symlink_to("../lib/systemd/systemd"), "/sbin/../lib/systemd/systemd"),
            (lambda sbin: (sbin / "init").symlink_to("/bin/busybox"), "/bin/busybox"),
            (lambda sbin: (sbin / "init").write_text("a program"), None),
        ):
            shutil.rmtree(self.folder / "rootfs", ignore_errors=True)
            root = self.read_only_image(words)
            real = root / "usr/lib/otamgr/real/init"
            self.assertEqual(str(Path("/usr/lib/otamgr/ota-preinit")), str((root / "sbin/init").readlink()))
            if expected:
                self.assertEqual(expected, str(real.readlink()))
            else:
                self.assertEqual("a program", real.read_text())
            self.assertEqual("etc=overlay\n", (root / "boot/ota-read-only").read_text())
            self.assertTrue((root / "boot/ota-slot-valid").exists())

    def test_a_kernel_that_lacks_what_a_read_only_root_needs_ends_the_build(self):
        symbols = "ffff d ovl_fs_type\nffff d squashfs_fs_type\n"
        self.assertEqual([], kernel_lacks(symbols, set(), ["squashfs"]))
        self.assertEqual(["CONFIG_EROFS_FS"], kernel_lacks(symbols, set(), ["erofs"]))
        self.assertEqual(["CONFIG_OVERLAY_FS", "CONFIG_SQUASHFS"], kernel_lacks("", set(), ["squashfs"]))
        self.assertEqual([], kernel_lacks("", {"overlay"}, []))
        d = self.image(IMAGE_FEATURES="read-only-rootfs")
        (self.folder / "pkgdata/kernel-depmod").mkdir(parents=True)
        (self.folder / "pkgdata/kernel-depmod/System.map-6.6").write_text("ffff d ext4_fs_type\n")
        with self.assertRaisesRegex(Failure, "CONFIG_OVERLAY_FS=y"):
            self.run_function("ota_kernel_check", d)

    def test_a_machine_that_nobody_enabled_is_refused_with_the_one_line_that_enables_it(self):
        self.assertIn('OTA_ENABLE:some-board = "1"', self.refused("some-board"))
        self.assertEqual("", self.refused("some-board", OTA_ENABLE="1"))
        self.assertIn('OTA_ENABLE:qemuarm64 = "1"', self.refused(OTA_CORE_IMAGE_MINIMAL="0"))

    def test_a_machine_without_u_boot_is_refused_when_recipes_are_parsed(self):
        for machine in ("genericx86-64", "genericarm64"):
            self.assertIn(f'MACHINE "{machine}" has no U-Boot', self.refused(machine, OTA_ENABLE="1", UBOOT_MACHINE=""))
            self.assertEqual("", self.refused(machine, OTA_ENABLE="1", UBOOT_MACHINE="", OTA_UBOOT_EXTERNAL="1"))

    def test_a_machine_that_names_a_u_boot_for_qemu_only_is_refused(self):
        values = {"OTA_ENABLE": "1", "UBOOT_MACHINE": "qemu_arm64_defconfig", "OTA_RAW_AREAS_CHECKED": "1"}
        self.assertIn(
            "starts by EFI, and the U-Boot that it names is for QEMU only", self.refused("genericarm64", **values)
        )
        self.assertEqual("", self.refused("genericarm64", **values, OTA_UBOOT_EXTERNAL="1"))

    def test_the_one_line_of_qemux86_64_is_enough_although_the_machine_brings_a_layout(self):
        values = {"OTA_ENABLE": "1", "UBOOT_MACHINE": "qemu-x86_64_defconfig", "WKS_FILE": "qemux86-directdisk.wks"}
        self.assertEqual("", self.refused("qemux86-64", **values))
        self.assertIn("a disk layout of its own", self.refused("some-board", **values))

    def test_an_init_without_start_scripts_of_ours_is_refused(self):
        self.assertIn(
            'makes "busybox" the init of this system', self.refused(**{"VIRTUAL-RUNTIME_init_manager": "busybox"})
        )
        self.assertIn("DISTRO_FEATURES has no systemd", self.refused(**{"VIRTUAL-RUNTIME_init_manager": "systemd"}))
        self.assertEqual(
            "", self.refused(**{"VIRTUAL-RUNTIME_init_manager": "systemd", "DISTRO_FEATURES": "sysvinit systemd"})
        )

    def test_a_disk_layout_of_the_machines_own_is_not_dropped_without_a_word(self):
        for values, refused in (
            ({}, True),
            ({"OTA_BOOT_RAW": "u-boot.itb@0x800000"}, False),
            ({"OTA_WKS_BOOTLOADER": "part --source rawcopy"}, False),
            ({"OTA_RAW_AREAS_CHECKED": "1"}, False),
            ({"OTA_WKS_FILE": "mine.wks"}, False),
        ):
            found = self.refused("some-board", OTA_ENABLE="1", WKS_FILE="some-board.wks", **values)
            self.assertEqual(
                refused, 'a disk layout of its own (WKS_FILE = "some-board.wks")' in found, (values, found)
            )
        self.assertIn(
            '(WKS_FILE = "sunxi.wks.in")', self.refused("some-board", OTA_ENABLE="1", WKS_FILES="sunxi.wks.in")
        )
        self.assertIn(
            '(WKS_FILE = "some-board.wks")',
            self.refused("some-board", OTA_ENABLE="1", WKS_FILE="some-board.wks", WKS_FILES="${WKS_FILE} x.wks"),
        )
        # What OpenEmbedded-Core sets where there is none, and machines whose layout the layer knows.
        self.assertEqual("", self.refused("some-board", OTA_ENABLE="1", WKS_FILE="${IMAGE_BASENAME}.${MACHINE}.wks"))
        self.assertEqual("", self.refused("beaglebone-yocto", WKS_FILE="beaglebone-yocto.wks"))

    def test_settings_that_contradict_each_other_are_found_before_anything_is_built(self):
        self.assertIn("overlap", self.refused(OTA_ENV_OFFSET_REDUND="0x601000"))

    def test_a_u_boot_without_setexpr_is_refused_with_what_to_do(self):
        self.assertIn(
            'setexpr, which the boot script needs: set OTA_UBOOT_CONFIG = "1"',
            self.refused("qemux86-64", OTA_ENABLE="1", OTA_UBOOT_CONFIG="0"),
        )
        for values in ({"OTA_ENABLE": "1"}, {"OTA_ENABLE": "1", "OTA_UBOOT_CONFIG": "1"}):
            self.assertEqual("", self.refused("qemux86-64", **values))

    def test_runqemu_starts_the_pc_whose_disk_its_u_boot_finds(self):
        core = {f"{name}:x86-64": "-cpu IvyBridge -machine q35,i8042=off" for name in ("QB_CPU", "QB_CPU_KVM")}
        d = self.image(
            "qemux86-64", **core, OTA_ENABLE="1", OTA_UBOOT_CONFIG="1", OVERRIDES="x86-64:qemuall:qemux86-64"
        )
        for name in ("QB_CPU", "QB_CPU_KVM"):
            self.assertIn("-machine pc,", d.getVar(name))

    def test_linux_takes_the_memory_of_a_pc_whose_u_boot_set_no_mtrr_for_it(self):
        d = self.image("qemux86-64", OTA_ENABLE="1", OTA_UBOOT_CONFIG="1")
        self.assertIn("disable_mtrr_trim", d.getVar("OTA_BOOTARGS").split())

    def test_no_boot_loader_is_built_that_the_layout_would_not_hold(self):
        core = {
            "WKS_FILE_DEPENDS_DEFAULT": "dosfstools-native",
            "WKS_FILE_DEPENDS_BOOTLOADERS": "",
            "WKS_FILE_DEPENDS_BOOTLOADERS:x86-64": "syslinux grub-efi",
        }
        d = self.image(
            "qemux86-64", **core, OTA_ENABLE="1", OTA_UBOOT_CONFIG="1", OVERRIDES="x86-64:qemuall:qemux86-64"
        )
        # As image_types_wic.bbclass has it.
        d.setVarFlag("WKS_FILE_DEPENDS", "_defaultval", "${WKS_FILE_DEPENDS_DEFAULT} ${WKS_FILE_DEPENDS_BOOTLOADERS}")
        self.assertEqual("", d.getVar("__SKIPPED") or "")
        self.assertEqual(["dosfstools-native"], d.getVar("WKS_FILE_DEPENDS").split())

    def test_core_image_minimal_is_left_alone_where_nobody_asked(self):
        for machine, values, expected in (
            ("qemuarm64", {}, True),
            ("qemuarm64", {"OTA_CORE_IMAGE_MINIMAL": "0"}, False),
            ("beaglebone-yocto", {}, True),
            ("some-board", {}, False),
            ("some-board", {"OTA_ENABLE": "1"}, True),
            ("qemux86-64", {}, False),
            ("genericarm64", {}, False),
            ("genericx86-64", {}, False),
        ):
            with self.subTest(machine=machine, **values):
                (self.folder / "core-image-minimal.bb").write_text(
                    (ROOT / "recipes-ota/images/core-image-minimal.bbappend").read_text()
                )
                d = self.configuration(
                    machine,
                    UBOOT_MACHINE="x",
                    DISTRO_FEATURES="sysvinit",
                    IMAGE_BASENAME="core-image-minimal",
                    **values,
                )
                parsed = bb.parse.handle(str(self.folder / "core-image-minimal.bb"), d)[""]
                self.assertEqual(expected, "packagegroup-otamgr" in (parsed.getVar("IMAGE_INSTALL") or ""))
                self.assertEqual(expected, "ota-ab" in (parsed.getVar("WKS_FILES") or ""))

    def test_a_system_that_does_not_fit_into_a_slot_is_refused_with_both_sizes(self):
        # Computed by OpenEmbedded's image class.
        bb.utils._context["get_rootfs_size"] = lambda d: 300 * 1024
        self.addCleanup(bb.utils._context.pop, "get_rootfs_size")
        d = self.image(OTA_SLOT_SIZE="256")
        with self.assertRaisesRegex(Failure, "needs 307200 KiB .* a slot has 262144 KiB"):
            self.run_function("ota_slot_size_check", d)

    def test_an_image_without_a_kernel_is_refused_because_u_boot_would_find_none(self):
        bb.utils._context["get_rootfs_size"] = lambda d: 1024
        self.addCleanup(bb.utils._context.pop, "get_rootfs_size")
        d = self.image()
        with self.assertRaisesRegex(Failure, "/boot of the image has no kernel: expected one of .*, found nothing"):
            self.run_function("ota_slot_size_check", d)
        (self.folder / "rootfs/boot/Image").touch()
        self.run_function("ota_slot_size_check", d)

    def test_exactly_the_kernels_that_the_boot_script_starts_are_accepted(self):
        bb.utils._context["get_rootfs_size"] = lambda d: 1024
        self.addCleanup(bb.utils._context.pop, "get_rootfs_size")
        script = (ROOT / "recipes-ota/u-boot/files/boot.cmd.in").read_text()
        started = re.search(r'^o_kernels="(.*)"$', script, re.M)[1].split()
        accepted = []
        for name in ("fitImage", "Image", "zImage", "uImage", "bzImage", "vmlinuz", "vmlinux", "Image.gz"):
            d = self.image()
            (self.folder / "rootfs/boot" / name).touch()
            try:
                self.run_function("ota_slot_size_check", d)
                accepted.append(name)
            except Failure:
                pass
            (self.folder / "rootfs/boot" / name).unlink()
        self.assertEqual(sorted(started), sorted(accepted))

    def slot_image(self):
        """The update as the class makes it, and slot a as it is flashed."""
        d = self.image(REPRODUCIBLE_TIMESTAMP_ROOTFS="1520598896", OTA_SLOT_SIZE="64")
        d.prependVar("PATH", "/usr/sbin:/sbin:")
        tree = self.folder / "rootfs"
        for number in range(200):
            path = tree / f"usr/lib/{number % 7}/file-{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{number} ".encode() * (number * 40))
        update, slot = self.folder / "deploy/image-1.ext4", self.folder / "work/ota-slot-marker/slot-a.ext4"
        options = d.expand("${OTA_FILE_SYSTEM_UUID} -E hash_seed=${OTA_FILE_SYSTEM_UUID},lazy_itable_init=0")
        words = f"mke2fs -q -F -t ext4 -b 4096 -U {options} -i 4096 -d".split()
        environment = {**os.environ, "PATH": d.getVar("PATH"), "E2FSPROGS_FAKE_TIME": "1520598896"}
        subprocess.run([*words, tree, update, "24M"], check=True, env=environment, capture_output=True)
        subprocess.run(["python3", ROOT / "lib/otamgr/settle.py", update], check=True, capture_output=True)
        # As the class of images does. What runs later, perhaps in another run of BitBake with another time, has only this name.
        (update.parent / "image.ext4").symlink_to(update.name)
        d.setVar("IMAGE_NAME", "image-2")
        for name in ("ota_slot_marker", "ota_slot_image"):
            self.run_function(name, d)
        return d, update, slot, environment

    def test_slot_a_of_the_disk_is_the_update_grown_to_the_slot_and_marked(self):
        _, update, slot, environment = self.slot_image()
        self.assertEqual(64 << 20, slot.stat().st_size)
        checked = subprocess.run(["e2fsck", "-fn", slot], env=environment, capture_output=True, text=True)
        self.assertEqual(0, checked.returncode, checked.stdout)
        asked = {
            request: subprocess.run(
                ["debugfs", "-R", request, slot], env=environment, capture_output=True, text=True, check=True
            ).stdout
            for request in ("cat /boot/ota-slot-valid", "stat /boot/ota-slot-valid", "stats -h")
        }
        self.assertEqual("txn=flashed\n", asked["cat /boot/ota-slot-valid"])
        self.assertRegex(asked["stat /boot/ota-slot-valid"], r"Mode: +0644(.*\n)+User: +0 +Group: +0 ")
        self.assertRegex(asked["stats -h"], r"Block count: +16384\n")
        # What the next update needs not bring: nearly every block is where the update has it.
        old, new = update.read_bytes(), slot.read_bytes()
        places = [at for at in range(0, len(old), 4096) if any(old[at : at + 4096])]
        differ = [at // 4096 for at in places if old[at : at + 4096] != new[at : at + 4096]]
        self.assertGreater(len(places), 300)
        self.assertLess(len(differ), 12, differ)

    def test_slot_a_of_a_root_that_is_never_written_to_keeps_the_marker_that_the_image_brings(self):
        d, update, slot, environment = self.slot_image()
        d.setVar("OTA_READ_ONLY", "1")
        d.setVar("bbfatal", "exit 1")
        d.setVarFlag("bbfatal", "func", "1")
        self.run_function("ota_slot_marker", d)
        with self.assertRaises(bb.process.ExecutionError):
            self.run_function("ota_slot_image", d)
        marker = self.folder / "work/ota-slot-marker/root/boot/ota-slot-valid"
        self.assertEqual("txn=image\n", marker.read_text())
        commands = self.folder / "commands"
        commands.write_text(f"cd /boot\nwrite {marker} ota-slot-valid\n")
        subprocess.run(["debugfs", "-w", "-f", commands, update], env=environment, check=True, capture_output=True)
        self.run_function("ota_slot_image", d)
        self.assertEqual(64 << 20, slot.stat().st_size)

    def test_slot_a_is_the_same_in_each_build(self):
        d, _, slot, _ = self.slot_image()
        first = slot.read_bytes()
        self.run_function("ota_slot_image", d)
        self.assertTrue(first == slot.read_bytes())

    def test_a_slot_that_did_not_get_its_marker_is_not_flashed(self):
        d, update, _, environment = self.slot_image()
        subprocess.run(["debugfs", "-w", "-R", "rmdir /boot", update], env=environment, check=True, capture_output=True)
        d.setVar("bbfatal", f'echo "$*" > {self.folder}/said; exit 1')
        d.setVarFlag("bbfatal", "func", "1")
        with self.assertRaises(bb.process.ExecutionError):
            self.run_function("ota_slot_image", d)
        self.assertRegex(
            (self.folder / "said").read_text(), "Slot a was not made: expected the file /boot/ota-slot-valid"
        )

    def test_the_update_gets_its_name_in_the_deploy_folder(self):
        d = self.image(OTA_UPDATE_NAME="hub_update.bin")
        with self.assertRaises(Failure):
            self.run_function("ota_update_link", d)
        (self.folder / "deploy/image.ext4.gz").write_text("the update")
        self.run_function("ota_update_link", d)
        self.assertEqual("the update", (self.folder / "deploy/hub_update.bin").read_text())

    def test_what_the_layer_adds_is_printed_and_deployed(self):
        """Also what its packages ask for, unless something else does; under the names that packages have in the image."""
        manifest = self.folder / "deploy/image.manifest"
        d = self.image(PACKAGE_INSTALL="base packagegroup-otamgr kernel-image wants-otamgr")
        content = b"0123456789abcdef" * 1024
        (self.folder / "pkgdata/runtime-reverse").mkdir()
        for package, installed, more in (
            ("packagegroup-otamgr", "packagegroup-otamgr", "RDEPENDS:packagegroup-otamgr: one\n"),
            ("one", "one", "RDEPENDS:one: libtwo (>= 1.0) shared\n"),
            ("two", "libtwo1", "RPROVIDES:two: libtwo (= 1.0)\nRRECOMMENDS:two: three kernel-module-x\n"),
            ("three", "three", ""),
            ("base", "base", "RRECOMMENDS:base: shared\n"),
            ("wants-otamgr", "wants-otamgr", "RDEPENDS:wants-otamgr: otamgr\n"),
            ("otamgr", "otamgr", "RDEPENDS:otamgr: four\n"),
            ("four", "four", ""),
            ("shared", "shared", "RDEPENDS:shared: not-installed\n"),
            ("kernel-module-x", "kernel-module-x-6.1", ""),
        ):
            (self.folder / "rootfs" / package).write_bytes(content)
            (self.folder / "pkgdata/runtime" / package).write_text(
                f"PN: {package if 'otamgr' in package else 'x'}\n{more}FILES_INFO:{package}: {json.dumps({f'/{package}': len(content)})}\n"
            )
            (self.folder / "pkgdata/runtime-reverse" / installed).symlink_to(f"../runtime/{package}")
        manifest.write_text(
            "".join(
                f"{name} arch 1.0\n"
                for name in (
                    "base",
                    "four",
                    "otamgr",
                    "wants-otamgr",
                    "kernel-module-x-6.1",
                    "libtwo1",
                    "one",
                    "packagegroup-otamgr",
                    "shared",
                    "three",
                    "unknown",
                )
            )
        )
        archive = self.folder / "rootfs/usr/lib/otamgr/otamgr.jsa"
        archive.parent.mkdir(parents=True)
        archive.write_bytes(content)
        self.run_function("ota_image_size", d)
        text = (self.folder / "deploy/image.ota-size").read_text()
        names = [re.split(r"  +", line)[0] for line in text.splitlines()[1:]]
        self.assertEqual(
            ["four", "otamgr", "libtwo1", "one", "packagegroup-otamgr", "three", "CDS archive", "together"], names
        )
        self.assertRegex(text, r"one +16 KiB +0 KiB")
        self.assertRegex(text, r"together +112 KiB +%d KiB" % (7 * len(zlib.compress(content, 6)) // 1024))

    def test_the_image_carries_the_list_of_its_packages_and_who_supports_it_until_when(self):
        manifest = self.folder / "image.manifest"
        manifest.write_text("zlib cortexa57 1.3.1\nbusybox cortexa57 1.36.1\n")
        d = self.image(
            IMAGE_MANIFEST=str(manifest),
            OTA_SUPPORT_UNTIL="2031-12-31",
            OTA_SECURITY_CONTACT="https://example.com/security",
            datadir="/usr/share",
        )
        (self.folder / "pkgdata/runtime-reverse").mkdir(exist_ok=True)
        (self.folder / "pkgdata/runtime/zlib").write_text("PN: zlib\nLICENSE:zlib: Zlib\n")
        self.run_function("ota_packages", d)
        content = (self.folder / "rootfs/usr/share/otamgr/packages.gz").read_bytes()
        self.assertEqual(content, (self.folder / "deploy/image.packages.gz").read_bytes())
        self.assertEqual(
            "# otamgr-packages 1: name, version, recipe, licence\nbusybox\t1.36.1\t\t\nzlib\t1.3.1\tzlib\tZlib\n",
            zlib.decompress(content, 31).decode(),
        )
        self.assertEqual(
            "support-until=2031-12-31\nsecurity-contact=https://example.com/security\n",
            (self.folder / "rootfs/usr/share/otamgr/support").read_text(),
        )

    def test_an_image_that_is_to_have_no_class_archive_loses_that_of_an_earlier_build(self):
        archive = self.folder / "rootfs/usr/lib/otamgr/otamgr.jsa"
        archive.parent.mkdir(parents=True)
        bb.utils._context["qemu_run_binary"] = lambda d, root, program: root + program
        self.addCleanup(bb.utils._context.pop, "qemu_run_binary")
        for settings in ({"OTAMGR_CLASS_ARCHIVE": "0"}, {"OTAMGR_CLASS_ARCHIVE": "1"}):
            # "1" has no runtime here that could make one.
            archive.touch()
            self.run_function("ota_class_archive", self.image(**settings))
            self.assertFalse(archive.exists(), settings)

    def test_a_class_archive_is_made_where_the_build_host_can_run_the_target_s_programs(self):
        for features, expected in (("qemu-usermode rtc", "1"), ("rtc", "0")):
            self.assertEqual(expected, self.image(MACHINE_FEATURES=features).getVar("OTAMGR_CLASS_ARCHIVE"))

    def test_a_class_archive_is_made_by_the_runtime_that_was_chosen(self):
        for settings, expected in (
            ({}, "openjdk-jre-headless"),
            ({"VIRTUAL-RUNTIME_otamgr-java": "openjdk-jre-minimal"}, "openjdk-jre-minimal"),
        ):
            self.assertEqual(
                f"/usr/lib/jvm/{expected}/bin/java", self.image(**settings).getVar("OTAMGR_CLASS_ARCHIVE_JAVA")
            )

    def test_core_image_minimal_stays_alone_when_that_is_asked_for(self):
        for value, expected in (("0", None), ("1", "packagegroup-otamgr")):
            (self.folder / "core-image-minimal.bb").write_text(
                (ROOT / "recipes-ota/images/core-image-minimal.bbappend").read_text()
            )
            d = bb.parse.handle(
                str(self.folder / "core-image-minimal.bb"), self.configuration(OTA_CORE_IMAGE_MINIMAL=value)
            )[""]
            with self.subTest(value=value):
                (self.assertIn if expected else self.assertNotIn)(
                    "packagegroup-otamgr", d.getVar("IMAGE_INSTALL") or ""
                )
                # BitBake warns each user of a file that is read twice.
                self.assertEqual([], self.warnings())
