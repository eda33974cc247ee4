# SPDX-License-Identifier: MIT
"""Kernels of a few hundred bytes for the emulated boards."""

import struct


def tiny_kernel(text, hangs=False):
    """An arm64 Image: prints a line on the PL011, then PSCI SYSTEM_OFF, or nothing ever."""
    code = [0xD2A12001]  # movz x1, #0x900, lsl #16: the PL011
    for character in text + "\n":
        code += [0x52800000 | ord(character) << 5, 0xB9000020]  # movz w0, #c; str w0, [x1]
    code += (
        [0x14000000] if hangs else [0x52800100, 0x72B08000, 0xD4000002, 0x14000000]
    )  # w0 = 0x84000008 SYSTEM_OFF; hvc #0; b .
    header = struct.pack("<IIQQQQQQII", 0x14000010, 0, 0, 0x10000, 0, 0, 0, 0, 0x644D5241, 0)
    return header + struct.pack(f"<{len(code)}I", *code)


def tiny_zimage(text, hangs=False):
    """The same as a zImage for 32-bit ARM on the same board."""
    code = [0xE3A01409]  # mov r1, #0x9000000: the PL011
    for character in text + "\n":
        code += [0xE3A00000 | ord(character), 0xE5810000]  # mov r0, #c; str r0, [r1]
    # b . | r0 = 0x84000008 SYSTEM_OFF; hvc #0; b .
    code += [0xEAFFFFFE] if hangs else [0xE3A00484, 0xE3800008, 0xE1400070, 0xEAFFFFFE]
    # Linux's arch/arm/boot/compressed/head.S: a branch behind the header, magic number, start, end.
    header = [0xE1A00000] * 8 + [0xEA000006, 0x016F2818, 0, 64 + 4 * len(code), 0x04030201, 0, 0, 0]
    return struct.pack(f"<{len(header) + len(code)}I", *header, *code)


def tiny_bzimage(text, hangs=False, memory=0):
    """The same as a bzImage for a PC with its serial port at 0x3f8 and QEMU's isa-debug-exit; without that device it halts. Its header says that it
    unpacks itself into so many bytes of memory from 16 MiB on."""
    code = b""
    for character in (text + "\r\n").encode():
        code += b"\x66\xba\xfd\x03\xec\xa8\x20\x74\xfb"  # mov dx, 0x3fd; until the transmitter is empty: in al, dx; test al, 0x20; jz
        code += b"\x66\xba\xf8\x03\xb0" + bytes([character]) + b"\xee"  # mov dx, 0x3f8; mov al, c; out dx, al
    code += (
        b"\xeb\xfe" if hangs else b"\x66\xba\x01\x05\xb0\x00\xee\xfa\xf4\xeb\xfd"
    )  # jmp . | out 0x501, 0; cli; hlt; jmp
    # Linux's Documentation/arch/x86/boot.rst: one sector of setup, "HdrS", protocol 2.10, loaded at 1 MiB.
    setup = bytearray(1024)
    struct.pack_into("<BHIHHHH", setup, 0x1F1, 1, 0, (len(code) + 15) // 16, 0, 0, 0, 0xAA55)
    struct.pack_into("<2sI", setup, 0x200, b"\xeb\x66", 0x53726448)
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, 0x020A)
    setup[0x211] = 1  # LOADED_HIGH
    struct.pack_into("<I", setup, 0x214, 0x100000)
    if memory:
        struct.pack_into("<QI", setup, 0x258, 0x1000000, memory)
    return bytes(setup) + code.ljust((len(code) + 15) // 16 * 16, b"\0")
