# SPDX-License-Identifier: MIT
"""What a U-Boot lacks for the boot script of this layer: from its .config and its default environment, before anything is built or flashed."""

import re
from collections import namedtuple

from . import uboot

MIB = 1 << 20
# level: ok; fragment, the layer's configuration fragment sets it; risk; missing, the board would not update.
Finding = namedtuple("Finding", "level item text advice", defaults=("",))

# The program that starts a kernel, for each processor; and how large kernels get.
STARTERS = (("ARM64", "BOOTI", "Image", 48), ("ARM", "BOOTZ", "zImage", 16), ("X86", "ZBOOT", "bzImage", 16))


def environment_of(text):
    """A list of NAME=VALUE lines, as printenv and make u-boot-initial-env write it."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and re.fullmatch(r"[\w.:#-]+", name):
            found[name] = value
    return found


def reached(environment):
    """What bootcmd may run, one text: itself and whatever "run" leads to, each once."""
    seen, texts, waiting = set(), [], ["bootcmd"]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in environment:
            continue
        seen.add(name)
        texts.append(environment[name])
        for wanted in re.findall(r"\brun ([\w${}]+)", environment[name]):
            if "${target}" in wanted:
                targets = environment.get("boot_targets", "").split()
                waiting += [wanted.replace("${target}", target) for target in targets]
            else:
                waiting.append(wanted)
    return "\n".join(texts)


def _script_findings(environment, config):
    text = reached(environment)
    # A program may name the file through a variable.
    named = text + "\n" + "\n".join(environment.get(name, "") for name in re.findall(r"\$\{?(\w+)", text))
    flow = "bootflow" in text and config.on("CMD_BOOTFLOW")
    advice = (
        'OTA_UBOOT_BOOTCOMMAND = "setenv devtype mmc; setenv devnum 0; load mmc 0:1 ADDRESS boot.scr; source ADDRESS", with a free '
        "ADDRESS in memory and the number of your MMC device"
    )
    if "bootcmd" not in environment:
        yield Finding("missing", "boot.scr", "U-Boot has no bootcmd", advice)
    elif flow:
        yield Finding("ok", "boot.scr", "found by bootflow, which also sets devtype and devnum")
        return
    elif "boot.scr" in named and "source " in named:
        yield Finding("ok", "boot.scr", "bootcmd reaches it")
    else:
        yield Finding("missing", "boot.scr", "nothing that bootcmd reaches runs boot.scr", advice)
    for name in ("devtype", "devnum"):
        if name in environment or re.search(rf"\b{name}[= ]", text):
            yield Finding("ok", name, environment.get(name) or "set on the way to boot.scr")
        else:
            yield Finding("missing", name, "is set nowhere; the boot script would not know its disk", advice)
    targets = environment.get("boot_targets", "").split()
    if targets and not targets[0].startswith(("mmc", "virtio")):
        yield Finding(
            "risk",
            "boot_targets",
            f"{targets[0]} comes first: a stick or a server could take the place of the disk",
            f'boot_targets="{next((t for t in targets if t.startswith(("mmc", "virtio"))), "mmc0")}" only',
        )


def _number(environment, name):
    try:
        return int(environment.get(name, ""), 16)
    except ValueError:
        return None


def _memory_findings(environment, config, kernel_mib):
    symbol, _, kernel, usual = next((s for s in STARTERS if config.on(s[0])), ("", "", "kernel", 16))
    size = (kernel_mib or usual) * MIB
    start = _number(environment, "kernel_addr_r")
    if start is None:
        return [
            Finding(
                "missing",
                "kernel_addr_r",
                "is not set; the boot script loads the kernel there",
                "set it in OTA_UBOOT_BOOTCOMMAND, before boot.scr runs, to a free address of the memory",
            )
        ]
    found = [Finding("ok", "kernel_addr_r", environment["kernel_addr_r"])]
    others = {name: _number(environment, name) for name in ("fdt_addr_r", "ramdisk_addr_r", "scriptaddr")}
    if others["fdt_addr_r"] is None and symbol != "X86":
        what = "a device tree of the slot cannot be loaded; U-Boot's own is used"
        found.append(
            Finding("missing" if environment.get("fdtfile") else "risk", "fdt_addr_r", f"is not set; {what}", "set it")
        )
    if others["ramdisk_addr_r"] is None:
        found.append(Finding("risk", "ramdisk_addr_r", "is not set; /boot/initrd of a slot cannot be loaded", "set it"))
    for name in ("fdt_addr_r", "ramdisk_addr_r"):
        at = others[name]
        if at is None:
            continue
        room = (at - start) / MIB
        if 0 <= room < size / MIB:
            found.append(
                Finding(
                    "risk",
                    name,
                    f"{environment[name]}: {room:.1f} MiB behind kernel_addr_r; a larger {kernel} overwrites it",
                    f"compare with the size of your {kernel}, or set it higher",
                )
            )
        else:
            found.append(Finding("ok", name, environment[name]))
    for name in ("fdt_high", "initrd_high"):
        if _number(environment, name) in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF):
            found.append(
                Finding("risk", name, "forbids U-Boot to move it out of the kernel's way", f"leave {name} unset")
            )
    return found


def _device_tree_findings(environment, config):
    if config.on("X86"):
        return
    name = environment.get("fdtfile", "")
    found = "findfdt" in reached(environment) or "fdtfile" in reached(environment)
    if name and name != "undefined":
        if "/" in name:
            yield Finding(
                "risk",
                "fdtfile",
                f"{name} names a folder: the script looks for /boot/{name}",
                'KERNEL_DTBVENDORED = "1" for the kernel, or fdtfile without the folder',
            )
        else:
            yield Finding("ok", "fdtfile", f"{name}: the slot's /boot/{name} is used if it is there")
    elif found and re.search(r"setenv fdtfile|fdtfile=", "\n".join(environment.values())):
        yield Finding("ok", "fdtfile", "set by a program of the environment while it starts")
    else:
        yield Finding(
            "risk",
            "fdtfile",
            "is not set; the kernel gets the device tree that U-Boot itself was built with",
            "fdtfile=NAME.dtb, if the kernel's differs from U-Boot's",
        )


def _configuration_findings(settings, config, built):
    """What lib/otamgr/uboot.py demands, told apart by whether the layer's fragment sets it."""
    # A configuration that was made names every symbol that its release knows; before that all names of a thing are in the fragment.
    fragment = uboot.fragment(settings, set(re.findall(r"CONFIG_(\w+)", config.source)) if built else None)
    boot = (layout_file() / "ota-boot.cfg").read_text(encoding="utf-8")
    sets = {
        re.search(r"CONFIG_(\w+)", line)[1]
        for line in (fragment + boot).splitlines()
        if re.match(r"CONFIG_\w+=|# CONFIG_\w+ is not set$", line)
    }
    problems = uboot.problems(settings, config.source, (boot,) if not built else (boot, fragment))
    for sentence in problems:
        names = re.findall(r"CONFIG_(\w+)", sentence)
        raw = sentence.startswith(("OTA_", "SPL loads"))
        item = names[0] if names and not raw else "raw places"
        if not built and not raw and names and set(names) & sets:
            yield Finding("fragment", item, sentence)
        else:
            yield Finding("missing", item, sentence)
    if not problems:
        yield Finding("ok", "configuration", "commands, environment and raw places are as the layer wants them")


def layout_file():
    from .settings import ENV_INC

    return ENV_INC.parent / "files"


def _kernel_findings(config):
    starter = next((s for s in STARTERS if config.on(s[0])), None)
    if starter is None:
        yield Finding("risk", "processor", "neither ARM64, ARM nor X86 is set; the script starts kernels of these", "")
    elif config.on(f"CMD_{starter[1]}"):
        yield Finding("ok", "kernel", f"/boot/{starter[2]} is started with {starter[1].lower()}")
    elif config.on("CMD_BOOTM"):
        yield Finding(
            "risk",
            "kernel",
            f"CONFIG_CMD_{starter[1]} is not set; only fitImage and uImage start",
            f"CONFIG_CMD_{starter[1]}=y",
        )
    else:
        yield Finding(
            "missing", "kernel", f"CONFIG_CMD_{starter[1]} is not set; no kernel starts", f"CONFIG_CMD_{starter[1]}=y"
        )


def _other_findings(settings, environment, config):
    if config.number("BOOTDELAY") is not None and config.number("BOOTDELAY") < 0 and config.text("BOOTDELAY") == "-1":
        yield Finding("missing", "BOOTDELAY", "-1: U-Boot stops at its prompt", "CONFIG_BOOTDELAY=0 or more")
    if config.on("BOOTCOUNT_LIMIT"):
        limit = _number(environment, "bootlimit") or 0
        yield Finding(
            "risk",
            "BOOTCOUNT_LIMIT",
            f"U-Boot counts boots, too (bootlimit {limit}); with a limit it would run altbootcmd in a trial",
            "# CONFIG_BOOTCOUNT_LIMIT is not set; or keep bootlimit at 0",
        )
    if config.on("WATCHDOG_AUTOSTART"):
        yield Finding(
            "risk",
            "watchdog",
            "U-Boot starts it: a kernel that does not serve it is reset, good or not",
            "the driver of the watchdog in the kernel, not as a module",
        )
    elif not settings.getVar("OTA_WATCHDOG"):
        yield Finding(
            "risk",
            "watchdog",
            "nothing starts one: a kernel that hangs is not ended",
            "OTA_WATCHDOG, with CONFIG_CMD_WDT=y",
        )
    if config.on("FIT_SIGNATURE"):
        yield Finding(
            "risk",
            "FIT_SIGNATURE",
            "boot.scr and kernels other than fitImage are not verified",
            "this layer has no verified boot; see docs/limits.md",
        )


def findings(settings, config_text, environment_text=None, built=False, kernel_mib=None):
    """Everything there is to say, as Findings; without an environment only what the configuration knows."""
    config = uboot.Config(config_text)
    config.source = config_text
    found = [*_configuration_findings(settings, config, built), *_kernel_findings(config)]
    environment = environment_of(environment_text or "")
    command = (settings.getVar("OTA_UBOOT_BOOTCOMMAND") or "").strip()
    if environment_text is not None:
        if command:
            # It is U-Boot's bootcmd from then on, and may set what the script needs.
            environment["bootcmd"] = command
            environment |= dict(re.findall(r"setenv (\w+) ([^;]+)", command))
        found += [
            *_script_findings(environment, config),
            *_memory_findings(environment, config, kernel_mib),
            *_device_tree_findings(environment, config),
        ]
    found += _other_findings(settings, environment, config)
    return found
