# SPDX-License-Identifier: MIT
"""scripts/demo: one update of the emulated board, shown as it happens."""

import sys

from emulated_board import boot_places, emmc, machine, scenario, show
from otamgr import options

# Boards of another kind, by what asks for them.
SPECIAL = {"emmc": emmc, "boot_places": boot_places}

EXAMPLES = (
    "--fault panic",
    "--bundle",
    "--images --fault panic",
    "--read-only squashfs",
    "--emmc",
    "--boot-places",
    "--clock 2038-01-19T03:14:06",
)


def main():
    faults = "\n".join(f"  {name:<15} {fault.about}" for name, fault in scenario.FAULTS.items())
    examples = "\n".join(f"  scripts/demo {words}" for words in EXAMPLES)
    parser = options.Parser(
        prog="scripts/demo",
        description="Builds an emulated A/B board, boots slot a, publishes version 2.0 and watches the board update itself to slot b.",
        epilog=f"examples:\n{examples}\n\nfaults:\n{faults}\n\nexit status: 0 the board ended where it must, 1 it did not, 2 usage",
    )
    parser.add_argument("--fault", choices=scenario.FAULTS, help="something goes wrong with the update (see below)")
    parser.add_argument(
        "--bundle", action="store_true", help="the update comes as a signed bundle, which the board verifies"
    )
    parser.add_argument(
        "--root",
        action="store_true",
        help="the daemon is root (OTA_DAEMON_AS_ROOT); not with --images",
    )
    parser.add_argument(
        "--images",
        action="store_true",
        help="the bundle brings an application partition, a pair that follows the slot, and firmware for a program that takes it",
    )
    parser.add_argument(
        "--read-only",
        choices=scenario.READ_ONLY,
        nargs="?",
        const="ext4",
        metavar="KIND",
        help="both systems have a read-only root, an ext4, squashfs or erofs, with an overlay on /etc (ext4 if nothing is said; the others "
        "need a U-Boot that is built first)",
    )
    parser.add_argument(
        "--verified",
        action="store_true",
        help="verified boot: both systems are signed images whose root (squashfs if --read-only says nothing else) is verified block by block, and "
        "U-Boot starts nothing unsigned",
    )
    parser.add_argument(
        "--emmc",
        action="store_true",
        help="the disk is an eMMC (QEMU 11 is downloaded into build/), U-Boot keeps its environment there, and the bundle brings another U-Boot, "
        "which is started from the other boot partition once the update is committed",
    )
    parser.add_argument(
        "--boot-places",
        action="store_true",
        help="the boot loader lies at two places of the disk, which the ROM tries one after the other, and the bundle brings another one, which is "
        "written to the second place, and to the first one once the update is committed",
    )
    parser.add_argument("--clock", type=machine.clock, metavar="TIME", help=machine.CLOCK_HELP)
    parser.add_argument(
        "--record", action="store_true", help="keep every write of the disk, for scripts/powercut --reuse"
    )
    arguments = parser.parse_args()
    if arguments.images and (arguments.read_only or arguments.verified or arguments.root):
        parser.error("expected --images without --read-only, --verified and --root")
    special = {name: module for name, module in SPECIAL.items() if getattr(arguments, name)}
    others = arguments.read_only or arguments.verified or arguments.images or arguments.bundle or arguments.clock
    if len(special) > 1 or (special and others):
        parser.error(
            "expected --emmc or --boot-places alone, without --read-only, --verified, --images, --clock and --bundle (it is one)"
        )

    screen = show.Show()
    try:
        kind = arguments.read_only or ("squashfs" if arguments.verified else None)
        if special:
            (module,) = special.values()
            chosen = module.Scenario(screen, arguments.fault, recorded=arguments.record, as_root=arguments.root)
        else:
            chosen = scenario.Scenario(
                screen,
                arguments.fault,
                recorded=arguments.record,
                as_bundle=arguments.bundle,
                read_only=kind,
                verified=arguments.verified,
                as_root=arguments.root,
                images=arguments.images,
                clock=arguments.clock,
            )
        result = chosen.run()
    except (machine.Timeout, RuntimeError) as problem:
        screen.line("FAILED", str(problem))
        return 1
    screen.table([*result.rows, ("whole demo", f"{screen.seconds():.0f} s")])
    for problem in result.problems:
        print(f"  NOT AS PROMISED: {problem}")
    if not result.problems:
        print("  The board is where it must be.")
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
