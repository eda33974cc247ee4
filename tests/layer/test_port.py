# SPDX-License-Identifier: MIT
"""scripts/check-u-boot and scripts/plan-disk say of real boards what their U-Boot lacks, and plan disks that are the layer's."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

from metadata import ROOT, MetadataCase, otamgr

BOARDS = Path(__file__).parent / "u-boot"
MIB = 1 << 20


def run(script, *words):
    return subprocess.run([ROOT / "scripts" / script, *map(str, words)], capture_output=True, text=True)


class UBoot(MetadataCase):
    """The excerpts are of U-Boot 2023.01, each with the environment that it starts with."""

    def found(self, board, machine="my-board", *words):
        done = run(
            "check-u-boot", "--json", "--machine", machine, *words, BOARDS / f"{board}.config", BOARDS / f"{board}.env"
        )
        self.assertIn(done.returncode, (0, 1), done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual(done.returncode, 1 if answer["missing"] else 0)
        return {
            level: {one["item"] for one in answer["findings"] if one["level"] == level}
            for level in ("ok", "fragment", "risk", "missing")
        }

    def test_nothing_is_missing_on_boards_whose_u_boot_runs_scripts(self):
        for board, machine in (
            ("beaglebone", "beaglebone-yocto"),
            ("rpi4", "x"),
            ("imx8mm", "x"),
            ("stm32mp15", "x"),
            ("qemu_arm64", "qemuarm64"),
        ):
            with self.subTest(board):
                found = self.found(board, machine)
                self.assertEqual(set(), found["missing"])
                self.assertLessEqual({"boot.scr", "devtype", "devnum", "kernel_addr_r"}, found["ok"])

    def test_a_u_boot_that_runs_no_script_lacks_everything_that_the_script_needs(self):
        self.assertEqual(
            {"boot.scr", "devtype", "devnum", "kernel_addr_r"},
            self.found("sama5d2", "x", "--set", "OTA_PARTITION_TABLE=msdos")["missing"],
        )

    def test_the_layer_gives_that_board_a_bootcmd_and_nothing_is_missing(self):
        found = self.found("sama5d2", "sama5d2-xplained-emmc")
        self.assertEqual(set(), found["missing"])
        self.assertIn("fdtfile", found["ok"])

    def test_the_fragment_has_that_bootcmd(self):
        d = self.parsed("classes/ota-layout.bbclass", self.configuration("sama5d2-xplained-emmc"))
        lines = otamgr.uboot.fragment(d).splitlines()
        self.assertIn("CONFIG_USE_BOOTCOMMAND=y", lines)
        self.assertTrue(
            any(
                re.fullmatch(r'CONFIG_BOOTCOMMAND=".*load mmc 0:1 0x21000000 boot.scr; source 0x21000000"', line)
                for line in lines
            ),
            lines,
        )

    def test_a_setexpr_that_is_off_is_what_the_fragment_sets_and_missing_once_built(self):
        self.assertIn("CMD_SETEXPR", self.found("beaglebone", "beaglebone-yocto")["fragment"])
        self.assertIn("CMD_SETEXPR", self.found("beaglebone", "beaglebone-yocto", "--built")["missing"])

    def test_nothing_is_missing_in_what_was_built_with_the_fragment(self):
        for board, machine in (("beaglebone", "beaglebone-yocto"), ("sama5d2", "sama5d2-xplained-emmc")):
            with self.subTest(board):
                done = run(
                    "check-u-boot",
                    "--built",
                    "--machine",
                    machine,
                    BOARDS / f"{board}-built.config",
                    BOARDS / f"{board}.env",
                )
                self.assertEqual(0, done.returncode, done.stdout + done.stderr)
                self.assertIn("ok        configuration", done.stdout)

    def test_a_kernel_that_reaches_the_device_tree_is_a_risk(self):
        self.assertIn("fdt_addr_r", self.found("rpi4", "x", "--kernel-mib", "40")["risk"])
        self.assertIn("fdt_addr_r", self.found("rpi4", "x", "--kernel-mib", "30")["ok"])

    def test_what_a_board_starts_first_and_counts_and_watches_is_a_risk(self):
        self.assertIn("boot_targets", self.found("qemu_arm64", "qemuarm64")["risk"])
        self.assertIn("BOOTCOUNT_LIMIT", self.found("beaglebone", "beaglebone-yocto")["risk"])
        self.assertIn("watchdog", self.found("imx8mm")["risk"])
        self.assertIn("fdtfile", self.found("stm32mp15")["risk"])

    def test_an_environment_over_what_the_rom_reads_is_missing(self):
        found = self.found("imx8mm", "x", "--set", "OTA_ENV_OFFSET=0x400000", "--set", "OTA_ENV_OFFSET_REDUND=0x800000")
        self.assertIn("raw places", found["missing"])

    def test_without_an_environment_it_says_what_it_did_not_look_at(self):
        done = run("check-u-boot", BOARDS / "rpi4.config")
        self.assertIn("not looked at: the environment", done.stdout)

    def test_what_is_no_configuration_or_no_setting_is_refused_with_what_to_do(self):
        for words, sentence in (
            ([BOARDS / "rpi4.env"], "expected the .config"),
            ([BOARDS / "none"], "No such file"),
            (["--set", "OTA_ENV_DEVCE=/dev/x", BOARDS / "rpi4.config"], "did you mean OTA_ENV_DEVICE?"),
            (["--bulit", BOARDS / "rpi4.config"], "did you mean --built?"),
            ([BOARDS / "rpi4.config", ROOT / "COPYING.MIT"], "expected what printenv shows"),
        ):
            with self.subTest(sentence):
                done = run("check-u-boot", *words)
                self.assertEqual(2, done.returncode, done.stdout)
                self.assertIn(sentence, done.stderr)


class Disk(MetadataCase):
    def plan(self, *words):
        done = run("plan-disk", *words)
        parts = dict(re.findall(r"^# ([^\n]+)\n(.*?)(?=\n\n# |\Z)", done.stdout, re.M | re.S))
        return done, {name.split(",")[0].split(" ")[0]: text for name, text in parts.items()}

    def layers_own(self, settings):
        """What the layer's classes make of the settings that were printed."""
        own = {name: value for name, value in re.findall(r'^(OTA_\w+):my-board = "(.*)"$', settings, re.M)}
        d = self.parsed("classes/ota-layout.bbclass", self.configuration("my-board", **own))
        d.setVar("OTA_WKS_ENVIRONMENT", otamgr.layout.wks_environment(d, "ota-environment.bin"))
        d.setVar("OTA_WKS_BOOT_SOURCE", "bootimg_partition")
        text = d.expand((ROOT / d.expand("wic/ota-ab-${OTA_PARTITION_TABLE}.wks.in")).read_text())
        return d, "\n".join(line for line in text.splitlines() if line.strip() and not line.startswith("#"))

    CASES = (
        ("--emmc", "4GiB", "--slot", "512MiB"),
        ("--emmc", "8GB", "--slot", "1GiB", "--device", "/dev/mmcblk2", "--soc", "i-mx8-i-mx9"),
        (
            "--emmc",
            "4GB",
            "--slot",
            "300MiB",
            "--table",
            "msdos",
            "--device",
            "/dev/mmcblk1",
            "--boot-file",
            "MLO",
            "--boot-file",
            "u-boot.img",
        ),
        ("--emmc", "8GB", "--slot", "1GiB", "--soc", "allwinner"),
        ("--emmc", "8GB", "--slot", "1GiB", "--soc", "layerscape", "--boot", "64MiB"),
    )

    def test_a_disk_without_names_of_partitions_needs_slots_conf_and_the_plan_has_that_of_the_recipe(self):
        for words, name in (
            (("--soc", "allwinner"), "/dev/mmcblk1p"),
            (("--device", "/dev/sda", "--table", "msdos"), "/dev/sda"),
        ):
            _, parts = self.plan("--emmc", "1GiB", "--slot", "128MiB", "--device", "/dev/mmcblk1", *words)
            expected = "# The partitions of this disk have no names.\n" + "".join(
                f"{key}={name}{number}\n"
                for key, number in (("SLOT_A_DEVICE", 2), ("SLOT_B_DEVICE", 3), ("DATA_DEVICE", 4))
            )
            self.assertEqual(expected.strip(), parts["/etc/otamgr/slots.conf"])
            settings = parts["Settings"]
            own = {key: value for key, value in re.findall(r'^(OTA_\w+):my-board = "(.*)"$', settings, re.M)}
            d = self.parsed("recipes-ota/u-boot/ota-fw-env_0.2.0.bb", self.configuration("my-board", **own))
            folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
            for variable, value in (("B", folder), ("S", ROOT / "recipes-ota/u-boot/files")):
                d.setVar(variable, str(value))
            self.run_function("do_compile", d)
            self.assertEqual(expected, (folder / "slots.conf").read_text())
        self.assertNotIn("/etc/otamgr/slots.conf", self.plan("--emmc", "1GiB", "--slot", "128MiB")[1])

    def test_settings_layout_and_fw_env_config_are_what_the_layer_makes_of_them(self):
        template = (ROOT / "recipes-ota/u-boot/files/fw_env.config.in").read_text()
        for words in self.CASES:
            with self.subTest(words):
                done, parts = self.plan(*words)
                self.assertEqual((0, ""), (done.returncode, re.sub(r"advice: .*\n", "", done.stderr)))
                d, wks = self.layers_own(parts["Settings"])
                self.assertEqual(wks, next(text for name, text in parts.items() if name.startswith("wic/")))
                self.assertEqual(otamgr.layout.fill(template, d).strip(), parts["/etc/fw_env.config"])
                self.run_function("ota_layout_check", d)

    def test_a_disk_that_is_partitioned_as_drawn_has_no_problems(self):
        for words in self.CASES:
            with self.subTest(words):
                _, parts = self.plan(*words)
                d, wks = self.layers_own(parts["Settings"])
                rows = re.findall(r"^ +([\d.]+) MiB  p(\d) (\S+) +(\d+) MiB", parts["The"], re.M)
                self.assertEqual(["boot", "rootfs-a", "rootfs-b", "data"], [row[2] for row in rows])
                end = float(re.search(r"([\d.]+) MiB  end", parts["The"])[1])
                with tempfile.NamedTemporaryFile() as disk:
                    disk.truncate(int(end * MIB) // 512 * 512)
                    table = "gpt" if "ptable gpt" in wks else "dos"
                    names = (f', name="{name}"' if table == "gpt" else "" for _, _, name, _ in rows)
                    lines = [
                        f"start={int(float(start) * 2048)}, size={int(size) * 2048}{name}"
                        for (start, _, _, size), name in zip(rows, names, strict=True)
                    ]
                    script = "\n".join([f"label: {table}", "unit: sectors", *lines])
                    done = subprocess.run(["sfdisk", "-q", disk.name], input=script, capture_output=True, text=True)
                    self.assertEqual(0, done.returncode, done.stderr)
                    with open(disk.name, "rb") as file:
                        partitions = otamgr.layout.read_partitions(file)
                self.assertEqual([], otamgr.layout.disk_problems(d, partitions))

    def test_what_does_not_fit_says_what_would(self):
        done, _ = self.plan("--emmc", "1GiB", "--slot", "700MiB")
        self.assertEqual(1, done.returncode)
        self.assertIn("two slots of at most 461 MiB fit", done.stderr)
        done, _ = self.plan("--emmc", "1GiB", "--slot", "461MiB")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        done, _ = self.plan("--emmc", "8GB", "--slot", "1GiB", "--soc", "allwinner", "--table", "gpt")
        self.assertEqual(1, done.returncode)
        self.assertIn("inside a GPT", done.stderr)

    def test_typos_get_the_nearest_word(self):
        for words, sentence in (
            (("--emmc", "4GiB", "--slto", "512MiB"), "did you mean --slot?"),
            (("--emmc", "4GiB", "--slot", "512MiB", "--soc", "rokchip"), "did you mean rockchip?"),
            (("--emmc", "4", "--slot", "512MiB"), "expected a size such as 512MiB"),
            (("--emmc", "4GiB", "--slot", "512MiB", "--device", "mmcblk0"), "OTA_ENV_DEVICE"),
        ):
            with self.subTest(sentence):
                done, _ = self.plan(*words)
                self.assertIn(sentence, done.stderr)
                self.assertNotEqual(0, done.returncode)
