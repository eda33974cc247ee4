# SPDX-License-Identifier: MIT
"""Boot script, fw_env.config, U-Boot's configuration and disk layout say the same, and say so when they cannot."""

import re
import subprocess

import metadata
from metadata import ROOT, Failure, MetadataCase, otamgr

MACHINES = (
    "qemuarm64",
    "qemuarm",
    "qemux86-64",
    "beaglebone-yocto",
    "sama5d2-xplained-emmc",
    "cubieboard",
    "some-other-machine",
)
MIB = 1 << 20


class Layout(MetadataCase):
    def settings(self, machine="qemuarm64", **values):
        return self.parsed("classes/ota-layout.bbclass", self.configuration(machine, **values))

    def wks(self, d):
        """The layout of the disk as wic reads it."""
        d.setVar("OTA_WKS_ENVIRONMENT", otamgr.layout.wks_environment(d, "ota-environment.bin"))
        d.setVar("OTA_WKS_BOOT_SOURCE", "bootimg-partition")
        d.setVar("OTA_SLOT_IMAGE", "/slot-a")
        return d.expand((ROOT / d.expand("wic/ota-ab-${OTA_PARTITION_TABLE}.wks.in")).read_text())

    def test_file_systems_of_an_image_have_the_same_identifier_in_each_build_and_those_of_another_machine_have_not(
        self,
    ):
        named = [
            otamgr.layout.file_system_uuid(self.settings(machine, IMAGE_BASENAME=image))
            for machine in ("qemuarm64", "qemuarm")
            for image in ("one", "two")
        ]
        self.assertEqual(4, len(set(named)))
        self.assertEqual(named[0], otamgr.layout.file_system_uuid(self.settings("qemuarm64", IMAGE_BASENAME="one")))
        for name in named:
            self.assertRegex(name, r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

    def test_verified_boot_needs_what_keeps_unsigned_words_out(self):
        good = {"OTA_VERIFIED_BOOT": "1"}
        d = self.settings(**good)
        self.assertIn("virtio scan; setenv devtype virtio; setenv devnum 0; ", d.getVar("OTA_UBOOT_BOOTCOMMAND"))
        mmc = self.settings("some-board", OTA_ENV_DEVICE="/dev/mmcblk1", **good)
        self.assertEqual("script", mmc.getVar("OTA_ENV_STORE"))
        self.assertIn(
            "for o_file in ota-boot.itb ota-boot2.itb; do if test x${o_ran} = x; then if load mmc 1:1 ${scriptaddr} ${o_file}",
            mmc.getVar("OTA_UBOOT_BOOTCOMMAND"),
        )
        self.assertEqual([], otamgr.layout.problems(d))
        self.assertEqual("1", otamgr.layout.words(d)["OTA_VERIFIED_BOOT"])
        self.assertIn("\nCONFIG_ENV_IS_NOWHERE=y\n", otamgr.uboot.fragment(d))
        self.assertIn('\nCONFIG_DEVICE_TREE_INCLUDES="ota-boot-key.dtsi"\n', otamgr.uboot.fragment(d))
        self.assertEqual("1", d.getVar("OTA_UBOOT_CONFIG"))
        for change, sentence in (
            ({"OTA_ENV_STORE:qemuarm64": "native"}, 'set OTA_ENV_STORE = "script"'),
            ({"OTA_PARTITION_TABLE": "msdos"}, 'set OTA_PARTITION_TABLE = "gpt"'),
            ({"OTA_UBOOT_BOOTCOMMAND": ""}, "set OTA_UBOOT_BOOTCOMMAND"),
            ({"OTA_ENV_DEVICE:qemuarm64": "/dev/sda"}, "set OTA_UBOOT_BOOTCOMMAND"),
            ({"OTA_VERIFIED_BOOT": "yes"}, 'OTA_VERIFIED_BOOT: expected 0 or 1, found "yes"'),
        ):
            with self.subTest(**change):
                self.assertIn(sentence, " ".join(otamgr.layout.problems(self.settings(**{**good, **change}))))

    def test_a_floor_in_the_rpmb_needs_verified_boot_and_an_emmc(self):
        good = {"OTA_VERIFIED_BOOT": "1", "OTA_RPMB_FLOOR": "1", "OTA_ROLLBACK_INDEX": "26"}
        board = self.settings("some-board", **good)
        self.assertEqual([], otamgr.layout.problems(board))
        words = otamgr.layout.words(board)
        self.assertEqual(("1", "1a"), (words["OTA_RPMB_FLOOR"], words["OTA_ROLLBACK_INDEX"]))
        plain = otamgr.layout.words(self.settings())
        self.assertEqual(("0", "0"), (plain["OTA_RPMB_FLOOR"], plain["OTA_ROLLBACK_INDEX"]))
        for change, sentence in (
            ({"OTA_VERIFIED_BOOT": "0"}, 'set OTA_VERIFIED_BOOT = "1"'),
            ({"OTA_ENV_DEVICE": "/dev/vda"}, 'only an eMMC has an RPMB: .* found "/dev/vda"'),
            ({"OTA_RPMB_FLOOR": "yes"}, 'OTA_RPMB_FLOOR: expected 0 or 1, found "yes"'),
            ({"OTA_ROLLBACK_INDEX": "65536"}, "OTA_ROLLBACK_INDEX: expected 0 to 65535, found 65536"),
            ({"OTA_ROLLBACK_INDEX": "1.2"}, 'OTA_ROLLBACK_INDEX: expected a whole number, found "1.2"'),
        ):
            with self.subTest(**change):
                found = " ".join(otamgr.layout.problems(self.settings("some-board", **{**good, **change})))
                self.assertRegex(found, sentence)

    def test_every_machine_has_settings_that_fit_together(self):
        for machine in MACHINES:
            with self.subTest(machine=machine):
                self.run_function("ota_layout_check", self.settings(machine))

    def test_boot_script_fw_env_config_and_disk_name_the_same_place_of_the_environment(self):
        for machine in MACHINES:
            with self.subTest(machine=machine):
                d = self.settings(machine)
                template = (ROOT / "recipes-ota/u-boot/files/fw_env.config.in").read_text()
                lines = [
                    line.split() for line in otamgr.layout.fill(template, d).splitlines() if not line.startswith("#")
                ]
                self.assertEqual(2, len(lines))
                offsets, sizes = [int(line[1], 16) for line in lines], {int(line[2], 16) for line in lines}
                self.assertEqual({d.getVar("OTA_ENV_DEVICE")}, {line[0] for line in lines})
                self.assertEqual(1, len(sizes))

                script = otamgr.layout.fill((ROOT / "recipes-ota/u-boot/files/boot.cmd.in").read_text(), d)
                blocks = [int(block, 16) for block in re.findall(r"o_block=([0-9a-f]+)", script)]
                self.assertEqual(set(offsets), {block * 512 for block in blocks})
                self.assertEqual(
                    {size // 512 for size in sizes},
                    {int(n, 16) for n in re.findall(r"(?:read|write) \$\{o_\w+\} \$\{o_block\} ([0-9a-f]+)", script)},
                )

                raw = re.findall(r"part --source rawcopy .*--offset (\d+)s --fixed-size (\d+)K", self.wks(d))
                if d.getVar("OTA_ENV_STORE") == "script":
                    self.assertEqual(sorted(offsets), [int(offset) * 512 for offset, _ in raw])
                    self.assertEqual(sizes, {int(size) * 1024 for _, size in raw})
                else:
                    # U-Boot's own default variables must come up the first time.
                    self.assertEqual([], raw)
                    config = otamgr.uboot.fragment(d)
                    self.assertEqual(
                        offsets,
                        [int(n, 16) for n in re.findall(r"^CONFIG_ENV_OFFSET(?:_REDUND)?=(\w+)$", config, re.M)],
                    )

    def test_the_environment_lies_before_the_first_partition_of_every_layout(self):
        for machine in MACHINES:
            with self.subTest(machine=machine):
                d = self.settings(machine)
                boot = re.search(r"part --source bootimg-partition .*--offset (\d+)M", self.wks(d))
                layout = otamgr.layout.Layout(d)
                self.assertGreaterEqual(int(boot[1]) * MIB, max(layout.env_offsets) + layout.env_size)

    def test_both_slots_of_every_layout_have_the_same_size(self):
        for table in ("gpt", "msdos"):
            with self.subTest(table=table):
                text = self.wks(self.settings(OTA_PARTITION_TABLE=table))
                slots = re.findall(
                    r'^part --(?:source rawcopy --sourceparams="file=/slot-a"|fstype=none (?!.*--no-table)).*--fixed-size (\d+)M',
                    text,
                    re.M,
                )
                self.assertEqual(2, len(slots))
                self.assertEqual(1, len(set(slots)))

    def test_settings_that_do_not_fit_end_the_build_and_say_what_was_found(self):
        for values, expected in (
            (
                {"OTA_ENV_OFFSET": "here"},
                'OTA_ENV_OFFSET: expected a hexadecimal number such as 0x400000, found "here"',
            ),
            ({"OTA_ENV_STORE": "flash"}, 'OTA_ENV_STORE: expected one of native, script, found "flash"'),
            ({"OTA_ENV_OFFSET_REDUND": "0x601000"}, "overlap"),
            ({"OTA_ENV_OFFSET": "0x200"}, "inside the partition table, which ends at 0x4400"),
            ({"OTA_ENV_OFFSET_REDUND": "0x13fc000"}, "behind the start of the first partition"),
            ({"OTA_ENV_SIZE": "0x1001"}, "OTA_ENV_SIZE: expected a multiple of 512, found 0x1001"),
            ({"OTA_ENV_DEVICE": "/dev/mmcblk0p2"}, "expected the whole disk, found the partition /dev/mmcblk0p2"),
            ({"OTA_SLOT_SIZE": "0"}, "OTA_SLOT_SIZE: expected at least 1 (MiB)"),
        ):
            with self.subTest(**values):
                d = self.settings("some-other-machine", **values)
                with self.assertRaises(Failure) as failure:
                    self.run_function("ota_layout_check", d)
                self.assertIn(expected, str(failure.exception))

    def u_boot(self, machine, kconfig="", **values):
        """The recipe of a U-Boot for a machine, whose release has these symbols for its environment."""
        d = self.parsed("recipes-ota/u-boot/ota-uboot.inc", self.configuration(machine, OTA_ENABLE="1", **values))
        source = self.folder / "u-boot"
        (source / "env").mkdir(parents=True, exist_ok=True)
        names = [*otamgr.uboot.ELSEWHERE, *otamgr.uboot.OFFSET_FROM_ELSEWHERE, *kconfig.split()]
        (source / "env/Kconfig").write_text("".join(f"config {name}\n\tbool\n" for name in names))
        d.setVar("S", str(source))
        d.setVar("B", str(self.folder / "work/build"))
        (self.folder / "work/ota-boot.cfg").write_text((ROOT / "recipes-ota/u-boot/files/ota-boot.cfg").read_text())
        return d, self.folder / "work/build"

    OLD, NEW = (
        "SYS_REDUNDAND_ENVIRONMENT SYS_MMC_ENV_DEV SYS_MMC_ENV_PART",
        "ENV_REDUNDANT ENV_MMC_DEVICE_INDEX ENV_MMC_EMMC_HW_PARTITION",
    )

    def test_a_u_boot_that_keeps_its_environment_elsewhere_ends_the_build_and_says_where(self):
        d, built = self.u_boot("some-board", self.NEW)
        self.run_function("ota_uboot_config", d)
        fragment = (self.folder / "work/ota-env.cfg").read_text() + (self.folder / "work/ota-boot.cfg").read_text()
        good = fragment + "".join(
            f"CONFIG_CMD_{name}=y\n" for name in ("SAVEENV", "SETEXPR", "ITEST", "PART", "FS_GENERIC")
        )
        (built / ".config").write_text(good)
        self.run_function("ota_uboot_config_check", d)
        for spoiled, expected in (
            (
                good.replace("CONFIG_ENV_OFFSET=0x600000", "CONFIG_ENV_OFFSET=0x3f0000"),
                'CONFIG_ENV_OFFSET is "0x3f0000", but OTA_ENV_OFFSET (and with it fw_env.config) says 0x600000',
            ),
            (good.replace("CONFIG_ENV_SIZE=0x10000", "CONFIG_ENV_SIZE=0x4000"), 'CONFIG_ENV_SIZE is "0x4000"'),
            (good.replace("CONFIG_ENV_IS_IN_MMC=y", "CONFIG_ENV_IS_IN_FAT=y"), "CONFIG_ENV_IS_IN_MMC is not set"),
            (
                good + "CONFIG_ENV_IS_NOWHERE=y\n",
                "CONFIG_ENV_IS_NOWHERE is set; U-Boot would take its environment from there",
            ),
            (
                good + "CONFIG_ENV_MMC_USE_DT=y\n",
                "CONFIG_ENV_MMC_USE_DT is set; the environment would not be at the offsets of fw_env.config",
            ),
            (
                good.replace("DEVICE_INDEX=0", "DEVICE_INDEX=1"),
                'CONFIG_ENV_MMC_DEVICE_INDEX is "1", but OTA_ENV_DEVICE',
            ),
            (
                good.replace("HW_PARTITION=0", "HW_PARTITION=1"),
                "a boot partition of the eMMC; /dev/mmcblk0 is its user area",
            ),
            (
                good.replace("CONFIG_LEGACY_IMAGE_FORMAT=y", ""),
                'the line "CONFIG_LEGACY_IMAGE_FORMAT=y" of the layer\'s fragment is not in the',
            ),
            (
                good
                + "CONFIG_SPL=y\nCONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_USE_SECTOR=y\nCONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR=0x3000\n",
                "the copy at 0x600000 lies in 0x600000 to 0xa00000, which is what SPL loads",
            ),
            (
                good
                + "CONFIG_SPL=y\nCONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_USE_PARTITION=y\nCONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_PARTITION=0x2\n",
                "SPL loads U-Boot from partition 2 (CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_PARTITION), which is a slot",
            ),
            (
                good.replace("CONFIG_ENV_REDUNDANT=y\n", ""),
                "with one copy a power cut while saving loses the environment",
            ),
            (good.replace("CONFIG_CMD_SETEXPR=y", ""), "CONFIG_CMD_SETEXPR is not set"),
        ):
            with self.subTest(expected=expected):
                (built / ".config").write_text(spoiled)
                with self.assertRaises(Failure) as failure:
                    self.run_function("ota_uboot_config_check", d)
                self.assertIn(expected, str(failure.exception))

    def test_u_boot_gets_the_fragment_of_its_machine_in_the_words_of_its_release(self):
        for kconfig, mine, others in (
            (
                self.OLD,
                ("CONFIG_SYS_MMC_ENV_DEV=1", "CONFIG_SYS_MMC_ENV_PART=0", "CONFIG_SYS_REDUNDAND_ENVIRONMENT=y"),
                self.NEW,
            ),
            (
                self.NEW,
                ("CONFIG_ENV_MMC_DEVICE_INDEX=1", "CONFIG_ENV_MMC_EMMC_HW_PARTITION=0", "CONFIG_ENV_REDUNDANT=y"),
                self.OLD,
            ),
        ):
            with self.subTest(kconfig=kconfig):
                d, built = self.u_boot("beaglebone-yocto", kconfig)
                self.run_function("ota_uboot_config", d)
                text = (self.folder / "work/ota-env.cfg").read_text()
                for line in (
                    "CONFIG_ENV_IS_IN_MMC=y",
                    "CONFIG_ENV_SIZE=0x10000",
                    "# CONFIG_ENV_MMC_USE_DT is not set",
                    *mine,
                ):
                    self.assertIn(line + "\n", text)
                for name in others.split():
                    self.assertNotIn(name, text)
                # A line that went missing under the other name ends the build.
                (built / ".config").write_text(
                    text.replace(mine[0], "") + (self.folder / "work/ota-boot.cfg").read_text()
                )
                with self.assertRaises(Failure) as failure:
                    self.run_function("ota_uboot_config_check", d)
                self.assertIn(mine[0].split("=")[0], str(failure.exception))

    def test_the_settings_are_merged_into_each_configuration_that_the_recipe_has_made(self):
        # Recipes merge what SRC_URI names from where it was before any task ran: never what a task has written.
        d, built = self.u_boot("some-board", self.NEW)
        self.assertNotIn("ota-env.cfg", d.getVar("SRC_URI"))
        wanted = ["ota_uboot_merge", "ota_uboot_config_check"]
        self.assertEqual(wanted, [name for name in d.getVarFlag("do_configure", "postfuncs").split() if name in wanted])
        self.run_function("ota_uboot_config", d)
        merge = self.folder / "u-boot/scripts/kconfig/merge_config.sh"
        merge.parent.mkdir(parents=True)
        merge.write_text(
            '[ "$1 $2" = "-m -O" ] && cat "$4" "$5" > "$3/.config.new" && mv "$3/.config.new" "$3/.config"\n'
        )
        for folder in (built, built / "sd_defconfig"):
            folder.mkdir(exist_ok=True)
            (folder / ".config").write_text("CONFIG_ARM=y\n")
        text = d.expand(d.getVar("ota_uboot_merge", False))
        subprocess.run(["sh", "-euc", f'oe_runmake() {{ echo "$@"; }}\n{text}'], check=True)
        for folder in (built, built / "sd_defconfig"):
            found = (folder / ".config").read_text()
            self.assertIn("CONFIG_ARM=y\n", found)
            self.assertIn("CONFIG_ENV_OFFSET=0x600000\n", found)

    def test_a_u_boot_for_squashfs_reads_what_zstandard_compressed(self):
        for formats, expected in (("squashfs", True), ("squashfs erofs", True), ("erofs", False), ("", False)):
            with self.subTest(formats=formats):
                text = otamgr.uboot.fragment(self.settings(OTA_BOOT_FORMATS=formats))
                lines = (
                    "CONFIG_FS_SQUASHFS=y",
                    "CONFIG_ZSTD=y",
                    "# CONFIG_CMD_BOOTEFI_SELFTEST is not set",
                    "# CONFIG_CMD_XIMG is not set",
                )
                self.assertEqual([expected] * 4, [line in text.splitlines() for line in lines])
                # A release that does not know them has not set them.
                self.assertEqual([], otamgr.uboot.fragment_problems("\n".join(lines[:2]), ["\n".join(lines)]))

    def test_u_boot_numbers_an_mmc_device_otherwise_than_linux_where_it_is_said(self):
        d, _ = self.u_boot("some-board", self.NEW, OTA_ENV_DEVICE="/dev/mmcblk2", OTA_ENV_MMC="0")
        self.assertIn("CONFIG_ENV_MMC_DEVICE_INDEX=0\n", otamgr.uboot.fragment(d, set(self.NEW.split())))

    def test_an_environment_over_what_rom_and_spl_read_ends_the_build_unless_it_was_looked_at(self):
        boards = {
            "ARCH_ROCKCHIP": {"OTA_ENV_OFFSET_REDUND": "0x800000"},
            "ARCH_SUNXI": {"OTA_ENV_OFFSET": "0x100000"},
            "FSL_LSCH3": {},
            "ARCH_IMX8M": {"OTA_ENV_OFFSET": "0x400000"},
            "ARCH_STM32MP": {"OTA_ENV_OFFSET": "0x400000"},
            "ARCH_K3": {"OTA_ENV_OFFSET": "0x400000"},
        }
        for symbol, values in boards.items():
            with self.subTest(symbol=symbol):
                for checked in ("0", "1"):
                    d, built = self.u_boot("some-board", self.NEW, OTA_RAW_AREAS_CHECKED=checked, **values)
                    self.run_function("ota_uboot_config", d)
                    good = "".join(
                        f"CONFIG_CMD_{name}=y\n" for name in ("SAVEENV", "SETEXPR", "ITEST", "PART", "FS_GENERIC")
                    )
                    (built / ".config").write_text(
                        (self.folder / "work/ota-env.cfg").read_text()
                        + (self.folder / "work/ota-boot.cfg").read_text()
                        + good
                        + f"CONFIG_{symbol}=y\n"
                    )
                    if checked == "1":
                        self.run_function("ota_uboot_config_check", d)
                        continue
                    with self.assertRaises(Failure) as failure:
                        self.run_function("ota_uboot_config_check", d)
                    self.assertIn("saving the environment would destroy it", str(failure.exception))

    def test_the_defaults_hit_no_raw_part_of_any_family_but_layerscape(self):
        d = self.settings("some-other-machine")
        for family in otamgr.uboot.FAMILIES:
            with self.subTest(family=family.name):
                found = otamgr.uboot.area_problems(
                    d, otamgr.uboot.Config("".join(f"CONFIG_{symbol}=y\n" for symbol in family.symbols))
                )
                self.assertEqual(family.name == "Layerscape", bool(found), found)

    def test_the_documentation_has_the_table_of_raw_places(self):
        self.assertIn("\n".join(otamgr.uboot.family_table()), (ROOT / "docs/yocto.md").read_text())

    def test_a_device_tree_that_moves_the_environment_ends_the_build(self):
        d, built = self.u_boot("some-board", self.NEW)
        (built / "u-boot.dtb").write_bytes(b"\xd0\x0d\xfe\xed\0compatible\0u-boot,mmc-env-partition\0")
        with self.assertRaises(Failure) as failure:
            self.run_function("ota_uboot_device_tree_check", d)
        self.assertIn("the device tree of U-Boot has the property u-boot,mmc-env-partition", str(failure.exception))
        (built / "u-boot.dtb").write_bytes(b"\xd0\x0d\xfe\xed\0compatible\0")
        self.run_function("ota_uboot_device_tree_check", d)

    def test_raw_boot_loaders_are_on_the_disk_and_over_nothing_else(self):
        d = self.settings("some-other-machine", OTA_BOOT_RAW="u-boot.itb@0x800000 idbloader.img@0x8000")
        lines = [line for line in self.wks(d).splitlines() if "rawcopy" in line and "--no-table" in line]
        self.assertEqual(
            [
                'part --source rawcopy --sourceparams="file=idbloader.img" --fstype=none --no-table --offset 64s',
                'part --source rawcopy --sourceparams="file=u-boot.itb" --fstype=none --no-table --offset 16384s',
            ],
            lines,
        )
        self.assertEqual([], otamgr.layout.raw_problems(d, {"u-boot.itb": MIB, "idbloader.img": MIB}.get))
        sizes = {"u-boot.itb": 9 * MIB, "idbloader.img": 7 * MIB}
        found = otamgr.layout.raw_problems(d, sizes.get)
        self.assertIn(
            "u-boot.itb (OTA_BOOT_RAW) at 0x800000 to 0x1100000 is over the U-Boot environment at 0x1000000 to 0x1010000",
            found,
        )
        self.assertIn(
            "idbloader.img (OTA_BOOT_RAW) at 0x8000 to 0x708000 is over the U-Boot environment at 0x600000 to 0x610000",
            found,
        )
        self.assertIn(
            "is over the partition table",
            otamgr.layout.problems(self.settings("some-board", OTA_BOOT_RAW="SPL@0x400"))[0],
        )
        self.assertEqual(
            [],
            otamgr.layout.problems(self.settings("some-board", OTA_BOOT_RAW="SPL@0x400", OTA_PARTITION_TABLE="msdos")),
        )
        self.assertIn(
            'found "u-boot.itb"', otamgr.layout.problems(self.settings("some-board", OTA_BOOT_RAW="u-boot.itb"))[0]
        )

    PLACED = {
        "OTA_BOOT_LOADER": "flash.bin",
        "OTA_BOOT_LOADER_PLACES": "0x8000 0x400000",
        "OTA_BOOT_RAW": "flash.bin@0x8000 flash.bin@0x400000",
    }

    def test_a_boot_loader_at_two_places_is_flashed_to_both_and_the_device_knows_how_large_they_are(self):
        d = self.parsed(
            "recipes-ota/ota-boot-loader/ota-boot-loader_0.2.0.bb", self.configuration("some-board", **self.PLACED)
        )
        self.assertEqual([], otamgr.layout.problems(d))
        d.setVar("B", str(self.folder / "work"))
        self.run_function("ota_boot_loader_target", d)
        conf = "PLACE_DEVICE=/dev/mmcblk0\nPLACE_FIRST=32768\nPLACE_SECOND=4194304\nPLACE_BYTES=2097152\n"
        self.assertEqual(conf, (self.folder / "work/boot-loader.conf").read_text())
        # The environment is at 6 MiB, so the second place ends there; the first one ends where the second one begins.
        sizes = {"flash.bin": 2 * MIB}.get
        self.assertEqual([], otamgr.layout.raw_problems(d, sizes))
        self.assertTrue(otamgr.layout.raw_problems(d, {"flash.bin": 2 * MIB + 1}.get))

    def test_places_that_no_update_could_use_are_refused_when_the_image_is_configured(self):
        for change, sentence in (
            ({"OTA_BOOT_LOADER_PLACES": "0x8000"}, "expected two different offsets"),
            ({"OTA_BOOT_LOADER_PLACES": "0x8000 0x8000"}, "expected two different offsets"),
            ({"OTA_BOOT_LOADER_PLACES": "0x8000 0x400001"}, "multiples of 512"),
            ({"OTA_BOOT_LOADER_PLACES": "32768 4194304"}, 'found "32768 4194304"'),
            ({"OTA_BOOT_LOADER": ""}, "the file that lies there in OTA_BOOT_LOADER"),
            ({"OTA_BOOT_RAW": "flash.bin@0x8000"}, "expected flash.bin@0x400000 in OTA_BOOT_RAW, too"),
            ({"OTA_BOOT_RAW": ""}, "expected flash.bin@0x8000 and flash.bin@0x400000 in OTA_BOOT_RAW, too"),
            ({"OTA_BOOT_LOADER_DEVICE": "/dev/mmcblk1"}, "OTA_BOOT_LOADER_DEVICE says /dev/mmcblk1"),
        ):
            with self.subTest(**change):
                (found,) = otamgr.layout.problems(self.settings("some-board", **{**self.PLACED, **change}))
                self.assertIn("OTA_BOOT_LOADER_PLACES: ", found)
                self.assertIn(sentence, found)

    def test_a_second_place_is_refused_where_both_copies_of_spl_load_one_u_boot(self):
        d = self.settings("some-board", **self.PLACED)
        fixed = "CONFIG_SPL=y\nCONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_USE_SECTOR=y\nCONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR=0x300\n"
        boards = ROOT / "tests/layer/u-boot"
        for config, sentence in (
            (fixed, "each copy of SPL loads the same U-Boot (SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR=0x300)"),
            ((boards / "imx8mm.config").read_text(), "each copy of SPL loads the same U-Boot"),
            ((boards / "beaglebone.config").read_text(), "each copy of SPL loads the same U-Boot"),
            ("CONFIG_ARCH_SUNXI=y\n" + fixed, "120 KiB behind"),
            ("", None),
            *((fixed + f"CONFIG_{symbol}=y\n", None) for symbol in otamgr.uboot.SPL_KNOWS_ITS_PLACE),
        ):
            with self.subTest(config=config[-100:]):
                found = otamgr.uboot.place_problems(d, otamgr.uboot.Config(config))
                self.assertEqual(bool(sentence), bool(found), found)
                self.assertIn(sentence or "", "".join(found))
        self.assertEqual([], otamgr.uboot.place_problems(self.settings("some-board"), otamgr.uboot.Config(fixed)))
        built, folder = self.u_boot("some-board", self.NEW, **self.PLACED)
        self.run_function("ota_uboot_config", built)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".config").write_text(fixed)
        with self.assertRaises(Failure) as failure:
            self.run_function("ota_uboot_config_check", built)
        self.assertIn("OTA_BOOT_LOADER_PLACES: each copy of SPL", str(failure.exception))

    def test_spl_of_qemux86_64_starts_without_a_display_and_other_boards_keep_theirs(self):
        line = "# CONFIG_SPL_VIDEO is not set"
        for machine, expected in (("qemux86-64", True), ("some-board", False)):
            with self.subTest(machine=machine):
                text = otamgr.uboot.fragment(self.settings(machine))
                self.assertEqual(expected, line in text.splitlines())
        # A release that does not know it has not set it.
        self.assertEqual([], otamgr.uboot.fragment_problems("", [line]))

    def test_lines_of_ones_own_come_before_the_first_partition(self):
        d = self.settings("some-other-machine", OTA_WKS_BOOTLOADER="part --source rawcopy --part-name fsbl1")
        text = self.wks(d)
        self.assertLess(text.index("--part-name fsbl1"), text.index("--label BOOT"))

    def test_a_u_boot_that_keeps_no_environment_gets_the_commands_and_must_have_them(self):
        d, built = self.u_boot("qemux86-64")
        self.assertNotIn("\nCONFIG_", otamgr.uboot.fragment(d))
        self.assertEqual("rom", d.getVar("UBOOT_SUFFIX"))
        self.run_function("ota_uboot_config", d)
        good = (
            ROOT / "recipes-ota/u-boot/files/ota-boot.cfg"
        ).read_text() + "CONFIG_CMD_MEMORY=y\nCONFIG_ENV_IS_NOWHERE=y\n"
        (built / ".config").write_text(good)
        self.run_function("ota_uboot_config_check", d)
        for name in ("SETEXPR", "IMPORTENV", "EXPORTENV", "MEMORY"):
            (built / ".config").write_text(good.replace(f"CONFIG_CMD_{name}=y", ""))
            with self.assertRaises(Failure) as failure:
                self.run_function("ota_uboot_config_check", d)
            self.assertIn(f"CONFIG_CMD_{name} is not set; the boot script needs that command", str(failure.exception))

    def test_u_boot_stays_as_it_is_on_machines_that_nobody_enabled_and_where_nothing_is_asked_of_it(
        self,
    ):
        for machine, settings, expected in (
            ("qemuarm64", {}, False),
            ("qemuarm64", {"OTA_BOOT_FORMATS": "erofs"}, True),
            ("qemuarm64", {"OTA_BOOT_FORMATS": "erofs", "OTA_UBOOT_CONFIG": "0"}, False),
            ("qemuarm64", {"OTA_UBOOT_BOOTCOMMAND": "run other"}, True),
            ("genericarm64", {"OTA_BOOT_FORMATS": "erofs"}, False),
            ("beaglebone-yocto", {}, True),
            ("beaglebone-yocto", {"OTA_UBOOT_CONFIG": "0"}, False),
            ("beaglebone-yocto", {"OTA_CORE_IMAGE_MINIMAL": "0"}, False),
            ("beaglebone-yocto", {"OTA_ENABLE": "0"}, False),
            ("some-board", {}, False),
            ("some-board", {"OTA_ENABLE": "1"}, True),
            ("genericarm64", {}, False),
            ("genericx86-64", {}, False),
            ("qemux86-64", {}, False),
            ("qemux86-64", {"OTA_ENABLE": "1"}, True),
            ("qemux86-64", {"OTA_UBOOT_CONFIG": "1"}, True),
        ):
            with self.subTest(machine=machine, **settings):
                d = self.configuration(machine, SRC_URI="", **settings)
                (self.folder / "u-boot_1.bb").write_text((ROOT / "recipes-ota/u-boot/u-boot_%.bbappend").read_text())
                d.setVar("THISDIR", "")
                parsed = metadata.bb.parse.handle(str(self.folder / "u-boot_1.bb"), d)[""]
                self.assertEqual(expected, "ota-boot.cfg" in (parsed.getVar("SRC_URI") or ""))
                self.assertEqual([], self.warnings())

    def test_each_name_of_the_u_boot_of_meta_atmel_is_changed_and_nothing_that_is_called_alike(self):
        (append,) = ROOT.glob("dynamic-layers/atmel/recipes-ota/u-boot/*.bbappend")
        for name, expected in (("u-boot-at91", True), ("u-boot-mchp", True), ("u-boot-tools", False)):
            with self.subTest(name=name):
                # As BitBake finds the recipes that a bbappend is for; one that is for none ends the parsing.
                self.assertTrue(f"{name}_2023.07.bbappend".startswith(append.name.split("%")[0]))
                provides = "u-boot virtual/bootloader" if expected else ""
                # PN is that of the bbappend while that is read.
                d = self.configuration("sama5d2-xplained-emmc", SRC_URI="", PN="u-boot-%", PROVIDES=provides)
                d.setVar("THISDIR", "")
                (self.folder / f"{name}_1.bb").write_text(append.read_text())
                (self.folder / "ota-uboot-atmel.inc").write_text((append.parent / "ota-uboot-atmel.inc").read_text())
                d.setVar("UBOOT_MACHINE", "sama5d2_xplained_emmc_defconfig")
                parsed = metadata.bb.parse.handle(str(self.folder / f"{name}_1.bb"), d)[""]
                self.assertEqual(expected, "ota-boot.cfg" in (parsed.getVar("SRC_URI") or ""))
                # Its recipe knows no fragments.
                self.assertEqual(expected, "ota.config" in parsed.getVar("UBOOT_MACHINE"))

    def test_a_u_boot_whose_configuration_is_made_when_it_is_compiled_is_checked_then(self):
        d, built = self.u_boot("qemux86-64")
        self.run_function("ota_uboot_config", d)
        good = (
            ROOT / "recipes-ota/u-boot/files/ota-boot.cfg"
        ).read_text() + "CONFIG_CMD_MEMORY=y\nCONFIG_ENV_IS_NOWHERE=y\n"
        self.run_function("ota_uboot_config_check", d)
        with self.assertRaises(Failure) as failure:
            self.run_function("ota_uboot_compiled_check", d)
        self.assertIn("U-Boot was compiled and its configuration is not there", str(failure.exception))
        (built / ".config").write_text(good.replace("CONFIG_CMD_SETEXPR=y", ""))
        with self.assertRaises(Failure) as failure:
            self.run_function("ota_uboot_compiled_check", d)
        self.assertIn("CONFIG_CMD_SETEXPR is not set", str(failure.exception))
        (built / ".config").write_text(good)
        self.run_function("ota_uboot_compiled_check", d)
        self.assertIn("ota_uboot_compiled_check", d.getVarFlag("do_compile", "postfuncs"))


class Disk(MetadataCase):
    """Partition tables made by sfdisk, as wic's are read."""

    def disk(self, table, partitions):
        image = self.folder / "disk"
        with open(image, "wb") as out:
            out.truncate(64 * MIB)
        names = table == "gpt"
        text = f"label: {'gpt' if names else 'dos'}\n" + "".join(
            f"start={start}MiB, size={size}MiB{f', name={name}' if names else ''}\n" for name, start, size in partitions
        )
        subprocess.run(["sfdisk", "-q", image], input=text.encode(), check=True)
        with open(image, "rb") as opened:
            return otamgr.layout.read_partitions(opened)

    def problems(self, table, partitions, **values):
        d = self.parsed("classes/ota-layout.bbclass", self.configuration(OTA_PARTITION_TABLE=table, **values))
        return otamgr.layout.disk_problems(d, self.disk(table, partitions))

    GOOD = (("boot", 20, 4), ("rootfs-a", 24, 10), ("rootfs-b", 34, 10), ("data", 44, 8))

    def test_a_disk_as_it_must_be_has_no_problems(self):
        for table in ("gpt", "msdos"):
            self.assertEqual([], self.problems(table, self.GOOD))

    def test_a_partition_over_the_environment_is_found(self):
        found = self.problems("gpt", (("boot", 16, 4), *self.GOOD[1:]))
        self.assertEqual(["the partition at 0x1000000 covers the U-Boot environment at 0x1000000"], found)

    def test_slots_of_different_size_are_found(self):
        found = self.problems("gpt", (*self.GOOD[:2], ("rootfs-b", 34, 9), self.GOOD[3]))
        self.assertIn("the slots differ in size: 10485760 and 9437184 bytes", found[0])

    def test_a_slot_with_another_name_is_found(self):
        found = self.problems("gpt", (self.GOOD[0], ("root", 24, 10), *self.GOOD[2:]))
        self.assertEqual(['partition 2 (OTA_SLOT_A_PART): expected the name rootfs-a, found "root"'], found)

    def test_a_missing_data_partition_is_found(self):
        self.assertEqual(['the disk image has no partition named "data"'], self.problems("gpt", self.GOOD[:3]))
