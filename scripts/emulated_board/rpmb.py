# SPDX-License-Identifier: MIT
"""The emulated board with an eMMC that has an RPMB. QEMU forgets its key and counter when it ends, and keeps them over resets."""

from emulated_board import emmc

# The smallest there is; it lies before the disk in the file.
BYTES = 128 * 1024


def options(cache, parts):
    """For machine.Machine, of a board with verified boot."""
    emulator = (*emmc.qemu(cache), *parts.options()["emulator"][1:])
    return {"emulator": emulator, "mmc": f"emmc,rpmb-partition-size={BYTES}"}


def make_card(disk, out):
    """An eMMC as it comes from the factory, with this disk."""
    with open(disk, "rb") as source, open(out, "wb") as card:
        card.seek(BYTES)
        while block := source.read(1 << 20):
            card.seek(len(block), 1) if block.count(0) == len(block) else card.write(block)
        # The size of its user area is a power of two.
        card.truncate(BYTES + emmc.USER_BYTES)
