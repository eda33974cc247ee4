# SPDX-License-Identifier: MIT
"""A kernel of a few hundred bytes for the emulated arm64 board."""

import struct


def tiny_kernel(text, hangs=False):
    """An arm64 Image: prints a line on the PL011, then PSCI SYSTEM_OFF, or nothing ever."""
    code = [0xD2A12001]  # movz x1, #0x900, lsl #16: the PL011
    for character in text + "\n":
        code += [0x52800000 | ord(character) << 5, 0xB9000020]  # movz w0, #c; str w0, [x1]
    code += [0x14000000] if hangs else [0x52800100, 0x72B08000, 0xD4000002, 0x14000000]  # w0 = 0x84000008 SYSTEM_OFF; hvc #0; b .
    header = struct.pack("<IIQQQQQQII", 0x14000010, 0, 0, 0x10000, 0, 0, 0, 0, 0x644D5241, 0)
    return header + struct.pack(f"<{len(code)}I", *code)
