# SPDX-License-Identifier: MIT
"""The disk of a board from a few sizes: settings, fw_env.config, layout for wic, partitions, a drawing."""

import re

from . import layout

MIB = 1 << 20
WIDTH = 30


class Plan:
    """What a person wants (emmc, slot, boot, table, machine, device, boot_file, root), and what follows of it."""

    def __init__(self, wanted, family, settings):
        self.wanted, self.family = wanted, family
        # A ROM that reads where a GPT has its header or entries leaves only an MBR.
        reads_gpt = family is not None and any(0 < start < 34 * layout.SECTOR for _, start, _ in family.areas)
        own = {
            "OTA_ENV_DEVICE": wanted.device,
            "OTA_PARTITION_TABLE": wanted.table or ("msdos" if reads_gpt else "gpt"),
            "OTA_SLOT_SIZE": str(wanted.slot // MIB),
            "OTA_BOOT_SIZE": str(-(-wanted.boot // MIB)),
        }
        if wanted.boot_file:
            own["OTA_BOOT_FILES"] = " ".join(wanted.boot_file)
        if family is not None and family.name == "Layerscape":
            own["OTA_ENV_OFFSET"] = "0x500000"
        self.defaults = settings.of("my-board")
        self.settings = settings.of("my-board", own)
        self.own = {name: value for name, value in own.items() if value != self.defaults.get(name)}
        self.layout = layout.Layout(self.settings)
        self.inc_folder = settings.ENV_INC.parent

    def partitions(self):
        """(number, name, start, size) in bytes; the last one as it is after it has grown on the device."""
        at, found = self.layout.boot_start, []
        for number, (name, size) in enumerate(
            (("boot", self.layout.boot_size), ("rootfs-a", self.layout.slot_size), ("rootfs-b", self.layout.slot_size)),
            1,
        ):
            # As wic does: every partition begins at a multiple of 1 MiB.
            found.append((number, name, at, size))
            at += -(-size // MIB) * MIB
        end = self.wanted.emmc - (33 * layout.SECTOR if self.layout.table == "gpt" else 0)
        found.append((4, "data", at, end // MIB * MIB - at))
        return found

    def problems(self):
        found = layout.problems(self.settings)
        data = self.partitions()[3]
        if data[3] < self.layout.data_size:
            room = (
                self.wanted.emmc - self.layout.boot_start - self.layout.boot_size - self.layout.data_size
            ) // 2 // MIB - 1
            found.append(
                f"{data[3] // MIB} MiB are left for data, expected at least {self.layout.data_size // MIB} MiB; two slots of at most "
                f"{max(room, 0)} MiB fit"
            )
        if self.family is not None:
            for what, start, end in self.family.areas:
                for name, offset in zip(
                    ("OTA_ENV_OFFSET", "OTA_ENV_OFFSET_REDUND"), self.layout.env_offsets, strict=True
                ):
                    if offset < end and start < offset + self.layout.env_size:
                        found.append(f"{name} {offset:#x} lies in {start:#x} to {end:#x}, where this SoC reads {what}")
                if 0 < start < self.layout.table_end and self.layout.table == "gpt":
                    found.append(f"this SoC reads {what} at {start:#x}, inside a GPT: --table msdos")
        return found

    def advice(self):
        found = []
        if self.wanted.root and self.layout.slot_size < self.wanted.root * 3 // 2:
            found.append(
                f"a root file system of {self.wanted.root // MIB} MiB has little room to grow "
                f"in {self.layout.slot_size // MIB} MiB; no update makes "
                "a slot larger"
            )
        if (
            self.family is not None
            and self.family.note
            and not ("msdos" in self.family.note and self.layout.table == "msdos")
        ):
            found.append(f"{self.family.name}: {self.family.note.replace('`', '')}")
        return found

    def wks(self):
        """The layer's own layout, filled."""
        name = f"ota-ab-{self.layout.table}.wks.in"
        text = (self.inc_folder.parents[1] / "wic" / name).read_text(encoding="utf-8")
        values = dict(self.settings)
        values["OTA_WKS_ENVIRONMENT"] = layout.wks_environment(self.settings, "ota-environment.bin")
        values["OTA_WKS_BOOT_SOURCE"] = "bootimg_partition"
        # BitBake's own, known when the image is made.
        values["OTA_SLOT_IMAGE"] = "${OTA_SLOT_IMAGE}"
        filled = re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], text)
        return "\n".join(line for line in filled.splitlines() if line and not line.startswith("#"))

    def fw_env_config(self):
        template = (self.inc_folder / "files/fw_env.config.in").read_text(encoding="utf-8")
        return layout.fill(template, self.settings).strip()

    def slots_conf(self):
        return layout.slots_conf(self.settings)

    def settings_text(self):
        lines = [f'OTA_ENABLE:{self.wanted.machine} = "1"']
        lines += [f'{name}:{self.wanted.machine} = "{value}"' for name, value in sorted(self.own.items())]
        return "\n".join(lines)

    def drawing(self):
        rows = [(0, f"{'GPT' if self.layout.table == 'gpt' else 'MBR'}", 0)]
        rows += [
            (offset, f"environment, copy {copy}", self.layout.env_size)
            for copy, offset in enumerate(self.layout.env_offsets, 1)
        ]
        if self.family is not None:
            rows += [(start, f"({what})", end - start) for what, start, end in self.family.areas]
        notes = {
            "boot": "FAT: boot.scr",
            "rootfs-a": "slot a",
            "rootfs-b": "slot b, empty at first",
            "data": "/data, grows at the first start",
        }
        rows += [(start, f"p{number} {name}", size) for number, name, start, size in self.partitions()]
        lines = []
        for start, what, size in sorted(rows):
            name = what.split(" ")[-1]
            bar = "#" * max(1, round(WIDTH * size / self.wanted.emmc)) if what.startswith("p") else ""
            amount = f"{size / MIB:.0f} MiB" if size >= MIB else f"{size // 1024} KiB" if size else ""
            note = notes.get(name, "") if what.startswith("p") else ""
            lines.append(f"{start / MIB:>10.1f} MiB  {what:<34} {amount:>10}  {bar} {note}".rstrip())
        lines.append(f"{self.wanted.emmc / MIB:>10.1f} MiB  end of the disk")
        return "\n".join(lines)

    def text(self):
        parts = (
            ("Settings, for conf/machine/NAME.conf or local.conf", self.settings_text()),
            ("/etc/fw_env.config, as the build makes it", self.fw_env_config()),
            *(
                ("/etc/otamgr/slots.conf, as the build makes it", slots.strip())
                for slots in (self.slots_conf(),)
                if slots
            ),
            (f"wic/ota-ab-{self.layout.table}.wks.in, as wic gets it", self.wks()),
            ("The disk", self.drawing()),
        )
        return "\n\n".join(f"# {title}\n{text}" for title, text in parts)
