#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gives each file of an ext4 image a place that depends on its name, so that the next release has nearly all of it at the same place.

    settle.py IMAGE

mke2fs puts one file behind the other: one that grows, or a new one, moves all that follow, and a device must write what moved. Here files
are put where a hash of their names says, a few neighbours together, with some room behind them; no earlier release has to be known.
Numbers of inodes depend on names likewise, for a folder is rewritten when a number in it changes. Times of access, change and creation
become those of the last modification. Not a byte of a file changes.

Needs Python's standard library, and e2fsck to look at the result. Images with other blocks than 4 KiB, bigalloc, or files without
extents stay as they are, which is said. exit status: 0 done or left as it was, 1 the image cannot be read, 2 usage.
"""

import bisect
import hashlib
import os
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

BLOCK = 4096
COMPAT_SPARSE_SUPER2, COMPAT_RESIZE = 0x200, 0x10
INCOMPAT_META_BG, INCOMPAT_64BIT, INCOMPAT_CSUM_SEED, INCOMPAT_INLINE, INCOMPAT_ENCRYPT = (
    0x10,
    0x80,
    0x2000,
    0x8000,
    0x10000,
)
INCOMPAT_RECOVER, INCOMPAT_JOURNAL_DEV = 0x4, 0x8
RO_SPARSE_SUPER, RO_GDT_CSUM, RO_BIGALLOC, RO_METADATA_CSUM = 0x1, 0x10, 0x200, 0x400
EXTENTS, INDEX_MAGIC, EXTENT_LIMIT = 0x80000, 0xF30A, 32768
INODE_UNINIT, BLOCK_UNINIT = 1, 2
INCOMPAT_EA_INODE = 0x400
# A folder with an index, and what marks the checksum at the end of its blocks.
INDEXED, TAIL = 0x1000, struct.pack("<IHBB", 0, 12, 0, 0xDE)
# In a block of extents: header, 12 bytes for each, checksum.
LEAF_EXTENTS = (BLOCK - 12 - 4) // 12
ROOT_INODE = 2

# All of it was chosen by measuring, docs/performance.md. Files of fewer blocks than ALONE have neighbours, with which they move; one of
# ONE_IN files begins a new lot by its name.
ALONE, ONE_IN = 32, 4
# Room behind a lot, as a part of its size: at most an eighth.
ROOM_BITS = 4
# Lots of fewer blocks lie near others, for what is alike is compressed together; one of AREA_LOTS begins a new area by its name.
AREA_ALONE, AREA_LOTS = 256, 40
# How many blocks from the beginning of an area places are tried, and how many of them before it is four times as many.
AREA_BLOCKS, TRIES = 4096, 10


class Unsettled(Exception):
    """The image stays as it is; the message says why."""


def _crc_table(polynomial):
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        table.append(value)
    return table


_CRC32C, _CRC16 = _crc_table(0x82F63B78), _crc_table(0xA001)


def crc32c(crc, data):
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 255]
    return crc


def crc16(crc, data):
    for byte in data:
        crc = crc >> 8 ^ _CRC16[(crc ^ byte) & 255]
    return crc


def _get(data, at, form):
    return struct.unpack_from(f"<{form}", data, at)[0]


def _put(data, at, form, value):
    struct.pack_into(f"<{form}", data, at, value)


class Inode:
    """An inode that has a place: its number, its bytes, what lies where, and the blocks of its extents."""

    def __init__(self, number, raw):
        self.number, self.raw, self.old_number = number, raw, number
        self.mode, self.flags = _get(raw, 0, "H"), _get(raw, 32, "I")
        self.size = _get(raw, 4, "I") | _get(raw, 108, "I") << 32
        # (first block of the file, first block of the image, count), and blocks that hold extents; of a folder all its blocks.
        self.extents, self.tree, self.content = [], [], {}

    @property
    def has_blocks(self):
        kind = stat.S_IFMT(self.mode)
        return kind in (stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFLNK and self.flags & EXTENTS)


class FileSystem:
    """An ext4 image that is read, and written anew."""

    def __init__(self, file):
        self.file = file
        sb = self.superblock = bytearray(os.pread(file.fileno(), 1024, 1024))
        if len(sb) < 1024 or _get(sb, 56, "H") != 0xEF53:
            raise Unsettled("it is no ext4 file system")
        self.compat, self.incompat, self.ro_compat = (_get(sb, at, "I") for at in (92, 96, 100))
        if 1024 << _get(sb, 24, "I") != BLOCK:
            raise Unsettled(f"its blocks have {1024 << _get(sb, 24, 'I')} bytes, expected {BLOCK} (mke2fs -b {BLOCK})")
        refused = (
            INCOMPAT_EA_INODE
            | INCOMPAT_META_BG
            | INCOMPAT_INLINE
            | INCOMPAT_ENCRYPT
            | INCOMPAT_RECOVER
            | INCOMPAT_JOURNAL_DEV
        )
        if self.incompat & refused or self.ro_compat & RO_BIGALLOC or self.compat & COMPAT_SPARSE_SUPER2:
            raise Unsettled(
                "it has features with which files are not moved (meta_bg, inline_data, ea_inode, bigalloc, an unclean journal)"
            )
        wide = self.incompat & INCOMPAT_64BIT
        self.blocks = _get(sb, 4, "I") | (_get(sb, 0x150, "I") << 32 if wide else 0)
        self.per_group, self.inodes_per_group = _get(sb, 32, "I"), _get(sb, 40, "I")
        self.inode_size, self.first_inode = _get(sb, 88, "H"), max(_get(sb, 84, "I"), 11)
        self.groups = -(-self.blocks // self.per_group)
        self.desc_size = max(_get(sb, 254, "H"), 32) if wide else 32
        self.reserved_gdt = _get(sb, 206, "H") if self.compat & COMPAT_RESIZE else 0
        self.checksums = bool(self.ro_compat & RO_METADATA_CSUM)
        self.seed = _get(sb, 0x270, "I") if self.incompat & INCOMPAT_CSUM_SEED else crc32c(0xFFFFFFFF, sb[104:120])
        if os.fstat(file.fileno()).st_size < self.blocks * BLOCK:
            raise Unsettled("it is cut off")
        gdt = bytearray(os.pread(file.fileno(), self.groups * self.desc_size, BLOCK))
        self.descs = [gdt[at : at + self.desc_size] for at in range(0, len(gdt), self.desc_size)]

    def read(self, block, count=1):
        data = os.pread(self.file.fileno(), count * BLOCK, block * BLOCK)
        if len(data) != count * BLOCK:
            raise Unsettled(f"block {block} cannot be read")
        return data

    def _place(self, group, low, high):
        desc = self.descs[group]
        return _get(desc, low, "I") | (_get(desc, high, "I") << 32 if self.desc_size >= 64 else 0)

    def inode_at(self, number):
        group, index = divmod(number - 1, self.inodes_per_group)
        return self._place(group, 8, 40) * BLOCK + index * self.inode_size

    # ---- what is there -----------------------------------------------------------------------------------------------

    def inode(self, number):
        if not 0 < number <= self.inodes_per_group * self.groups:
            raise Unsettled(f"it names an inode {number}, which it does not have")
        found = Inode(number, bytearray(os.pread(self.file.fileno(), self.inode_size, self.inode_at(number))))
        if found.has_blocks and not (found.flags & EXTENTS):
            raise Unsettled(f"inode {number} has no extents")
        if found.has_blocks:
            self._extents(found, bytes(found.raw[40:100]), 5)
            found.extents.sort()
        return found

    def _extents(self, inode, node, most):
        magic, entries, _, depth = struct.unpack_from("<HHHH", node)
        if magic != INDEX_MAGIC or 12 + entries * 12 > len(node) or depth > most:
            raise Unsettled(f"the extents of inode {inode.number} are damaged")
        for at in range(12, 12 + entries * 12, 12):
            if depth:
                below = _get(node, at + 4, "I") | _get(node, at + 8, "H") << 32
                inode.tree.append(below)
                self._extents(inode, self.read(below), depth - 1)
                continue
            first, count = _get(node, at, "I"), _get(node, at + 4, "H")
            if count > EXTENT_LIMIT:
                raise Unsettled(f"inode {inode.number} has blocks that were never written")
            inode.extents.append((first, _get(node, at + 8, "I") | _get(node, at + 6, "H") << 32, count))

    def entries(self, folder):
        """(block, byte in it, name, number) of what is in a folder; its blocks are read."""
        for first, place, count in folder.extents:
            data = self.read(place, count)
            for index in range(count):
                folder.content[first + index] = bytearray(data[index * BLOCK : (index + 1) * BLOCK])
        return self.entries_again(folder)

    def entries_again(self, folder):
        for block, data in folder.content.items():
            at = 0
            while at < BLOCK:
                number, length, size = struct.unpack_from("<IHB", data, at)
                if length < 8 or at + length > BLOCK:
                    raise Unsettled(f"the folder in inode {folder.number} is damaged")
                if number:
                    yield block, at, bytes(data[at + 8 : at + 8 + size]), number
                at += length

    def tree(self):
        """Each inode that a name leads to, once, with the first of its names; sorted by them."""
        found, waiting = {}, [(b"/", ROOT_INODE)]
        while waiting:
            path, number = waiting.pop()
            if number in found:
                found[number] = (min(found[number][0], path), found[number][1])
                continue
            inode = self.inode(number)
            found[number] = (path, inode)
            if stat.S_ISDIR(inode.mode):
                waiting += [
                    (path.rstrip(b"/") + b"/" + name, below)
                    for _, _, name, below in self.entries(inode)
                    if name not in (b".", b"..")
                ]
        return sorted(found.values(), key=lambda each: each[0])

    def _has_backup(self, group):
        if not self.ro_compat & RO_SPARSE_SUPER or group < 2:
            return True
        for power in (3, 5, 7):
            value = group
            while value % power == 0:
                value //= power
            if value == 1:
                return True
        return False

    def used(self):
        """A byte for each block: 1 where something is."""
        used = bytearray(self.groups * self.per_group)
        gdt = -(-self.groups * self.desc_size // BLOCK)
        table = -(-self.inodes_per_group * self.inode_size // BLOCK)
        for group, desc in enumerate(self.descs):
            first = group * self.per_group
            if not _get(desc, 18, "H") & BLOCK_UNINIT:
                bitmap = self.read(self._place(group, 0, 32))
                for index in range(self.per_group):
                    used[first + index] = bitmap[index >> 3] >> (index & 7) & 1
            elif self._has_backup(group):
                used[first : first + 1 + gdt + self.reserved_gdt] = b"\1" * (1 + gdt + self.reserved_gdt)
        for group in range(self.groups):
            for place, count in (
                (self._place(group, 0, 32), 1),
                (self._place(group, 4, 36), 1),
                (self._place(group, 8, 40), table),
            ):
                used[place : place + count] = b"\1" * count
        used[self.blocks :] = b"\1" * (len(used) - self.blocks)
        return used

    def inodes_used(self):
        """A byte for each inode, 1 where it is used; the first one is number 1."""
        used = bytearray(self.groups * self.inodes_per_group)
        for group, desc in enumerate(self.descs):
            if _get(desc, 18, "H") & INODE_UNINIT:
                continue
            bitmap = self.read(self._place(group, 4, 36))
            for index in range(self.inodes_per_group):
                used[group * self.inodes_per_group + index] = bitmap[index >> 3] >> (index & 7) & 1
        return used

    # ---- what it becomes ---------------------------------------------------------------------------------------------

    def finished(self, inode):
        """The bytes of an inode whose extents changed, with its checksum; and the block of its extents, if it needs one."""
        raw = inode.raw
        for at in (8, 12):
            raw[at : at + 4] = raw[16:20]
        if self.inode_size > 128:
            extra = 128 + _get(raw, 128, "H")
            for at, source, size in ((132, 136, 4), (140, 136, 4), (144, 16, 4), (148, 136, 4)):
                if at + size <= extra and source + size <= extra:
                    raw[at : at + size] = raw[source : source + size]
        seed = crc32c(crc32c(self.seed, struct.pack("<I", inode.number)), raw[100:104]) if self.checksums else 0
        block = None
        if inode.has_blocks:
            listed = b"".join(
                struct.pack("<IHHI", first, count, place >> 32, place & 0xFFFFFFFF)
                for first, place, count in inode.extents
            )
            if inode.tree:
                block = struct.pack("<HHHHI", INDEX_MAGIC, len(inode.extents), LEAF_EXTENTS, 0, 0) + listed
                block = block.ljust(12 + LEAF_EXTENTS * 12, b"\0")
                block = (block + struct.pack("<I", crc32c(seed, block) if self.checksums else 0)).ljust(BLOCK, b"\0")
                listed = struct.pack("<IIHH", inode.extents[0][0], inode.tree[0] & 0xFFFFFFFF, inode.tree[0] >> 32, 0)
                head = struct.pack("<HHHHI", INDEX_MAGIC, 1, 4, 1, 0)
            else:
                head = struct.pack("<HHHHI", INDEX_MAGIC, len(inode.extents), 4, 0, 0)
            raw[40:100] = (head + listed).ljust(60, b"\0")
        if self.checksums:
            wide = self.inode_size > 128 and _get(raw, 128, "H") >= 4
            _put(raw, 124, "H", 0)
            if wide:
                _put(raw, 130, "H", 0)
            crc = crc32c(seed, raw)
            _put(raw, 124, "H", crc & 0xFFFF)
            if wide:
                _put(raw, 130, "H", crc >> 16)
        return raw, block

    def folder(self, inode, numbers):
        """Yields (block of the file, bytes) of a folder that has other inodes in it, with checksums."""
        for block, at, _, number in list(self.entries_again(inode)):
            _put(inode.content[block], at, "I", numbers.get(number, number))
        seed = crc32c(crc32c(self.seed, struct.pack("<I", inode.number)), inode.raw[100:104]) if self.checksums else 0
        for block, data in inode.content.items():
            if self.checksums:
                is_node = _get(data, 0, "I") == 0 and _get(data, 4, "H") == BLOCK
                entries = 0
                if inode.flags & INDEXED and block == 0:
                    entries = 24 + data[29]
                elif inode.flags & INDEXED and is_node:
                    entries = 8
                if entries:
                    limit, count = _get(data, entries, "H"), _get(data, entries + 2, "H")
                    tail = entries + limit * 8
                    if count > limit or tail + 8 > BLOCK:
                        raise Unsettled(f"the index of the folder in inode {inode.old_number} is damaged")
                    crc = crc32c(crc32c(seed, data[: entries + count * 8]), data[tail : tail + 4] + b"\0\0\0\0")
                    _put(data, tail + 4, "I", crc)
                elif data[-12:-4] == TAIL:
                    _put(data, BLOCK - 4, "I", crc32c(seed, data[:-12]))
                else:
                    raise Unsettled(f"the folder in inode {inode.old_number} has a block without checksum")
            yield block, bytes(data)

    def numbered(self, used, folders):
        """Yields (byte of the image, bytes) of bitmaps for inodes that are used; `folders` are the numbers of those that are folders."""
        per_group = self.inodes_per_group
        for group, desc in enumerate(self.descs):
            part = used[group * per_group : (group + 1) * per_group]
            flags = _get(desc, 18, "H")
            if flags & INODE_UNINIT and not any(part):
                continue
            bits = bytearray(b"\xff" * BLOCK)
            for index, bit in enumerate(part):
                if not bit:
                    bits[index >> 3] &= ~(1 << (index & 7))
            yield self._place(group, 4, 36) * BLOCK, bytes(bits)
            _put(desc, 18, "H", flags & ~INODE_UNINIT)
            unused = per_group - 1 - part.rfind(1) if self.checksums or self.ro_compat & RO_GDT_CSUM else 0
            inside = sum(group * per_group < number <= (group + 1) * per_group for number in folders)
            for low, high, value in ((14, 46, part.count(0)), (16, 48, inside), (28, 50, unused)):
                _put(desc, low, "H", value & 0xFFFF)
                if self.desc_size >= 64:
                    _put(desc, high, "H", value >> 16)
            if self.checksums:
                crc = crc32c(self.seed, bits[: per_group // 8])
                _put(desc, 26, "H", crc & 0xFFFF)
                if self.desc_size >= 60:
                    _put(desc, 58, "H", crc >> 16)

    def allocated(self, used):
        """Yields (byte of the image, bytes) of bitmaps, group descriptors and superblock for blocks that are used."""
        for group, desc in enumerate(self.descs):
            first = group * self.per_group
            part = used[first : first + self.per_group]
            flags, free = _get(desc, 18, "H"), part.count(0)
            before = _get(desc, 12, "H") | (_get(desc, 44, "H") << 16 if self.desc_size >= 64 else 0)
            if not (flags & BLOCK_UNINIT and free == before):
                bits = bytearray(BLOCK)
                for index, bit in enumerate(part):
                    if bit:
                        bits[index >> 3] |= 1 << (index & 7)
                bits[self.per_group // 8 :] = b"\xff" * (BLOCK - self.per_group // 8)
                yield self._place(group, 0, 32) * BLOCK, bytes(bits)
                _put(desc, 18, "H", flags & ~BLOCK_UNINIT)
                _put(desc, 12, "H", free & 0xFFFF)
                if self.desc_size >= 64:
                    _put(desc, 44, "H", free >> 16)
                if self.checksums:
                    crc = crc32c(self.seed, bits[: self.per_group // 8])
                    _put(desc, 24, "H", crc & 0xFFFF)
                    if self.desc_size >= 60:
                        _put(desc, 56, "H", crc >> 16)
            if self.checksums:
                _put(desc, 30, "H", 0)
                _put(desc, 30, "H", crc32c(crc32c(self.seed, struct.pack("<I", group)), desc) & 0xFFFF)
            elif self.ro_compat & RO_GDT_CSUM:
                crc = crc16(crc16(0xFFFF, self.superblock[104:120]), struct.pack("<I", group))
                _put(desc, 30, "H", crc16(crc16(crc, desc[:30]), desc[32:]))
        yield BLOCK, b"".join(self.descs)
        free = used.count(0)
        _put(self.superblock, 12, "I", free & 0xFFFFFFFF)
        if self.incompat & INCOMPAT_64BIT:
            _put(self.superblock, 0x158, "I", free >> 32)
        if self.checksums:
            _put(self.superblock, 1020, "I", crc32c(0xFFFFFFFF, self.superblock[:1020]))
        yield 1024, bytes(self.superblock)


# ---- places ----------------------------------------------------------------------------------------------------------


def _hash(use, name, number=0):
    return int.from_bytes(hashlib.sha256(b"%s %d %s" % (use, number, name)).digest()[:8], "big")


def _scattered(use, name, number, blocks):
    """A block by its name. A file system of another size has most of them at the same place."""
    size = 1 << (blocks - 1).bit_length()
    while (place := _hash(use, name, number) % size) >= blocks:
        number += 1000
    return place


def _with_room(count):
    """So many blocks and some more, in steps, so that what grows a little keeps its place."""
    step = 1 << max(count.bit_length() - ROOM_BITS, 0)
    return -(-count // step) * step


class Free:
    """Runs of blocks that are free: (first, behind the last), ascending."""

    def __init__(self, used):
        self._runs, at = [], 0
        while (first := used.find(0, at)) >= 0:
            at = used.find(1, first)
            at = len(used) if at < 0 else at
            self._runs.append((first, at))

    def _cut(self, number, first, end):
        begin, behind = self._runs[number]
        left = [(begin, first)] if begin < first else []
        right = [(end, behind)] if end < behind else []
        self._runs[number : number + 1] = left + right

    def _run_of(self, block):
        """The last run that begins at this block or before it."""
        return bisect.bisect_right(self._runs, (block, 1 << 62)) - 1

    def take(self, first, count):
        """Whether these blocks were free."""
        number = self._run_of(first)
        if number < 0 or self._runs[number][1] - first < count:
            return False
        self._cut(number, first, first + count)
        return True

    def next(self, wanted, count):
        """The first of so many blocks in a row, as soon as possible behind `wanted`; or None."""
        at = self._run_of(wanted)
        for number in range(1, len(self._runs) + 1):
            chosen = (at + number) % len(self._runs)
            first, behind = self._runs[chosen]
            if behind - first >= count:
                self._cut(chosen, first, first + count)
                return first
        return None

    def pieces(self, count):
        """So many blocks, of the longest runs."""
        found = []
        while count:
            if not self._runs:
                raise Unsettled("there is too little room")
            number = max(range(len(self._runs)), key=lambda each: self._runs[each][1] - self._runs[each][0])
            first, behind = self._runs[number]
            size = min(count, behind - first)
            self._cut(number, first, first + size)
            found += range(first, first + size)
            count -= size
        return found


class Lot:
    """Inodes that lie side by side: [(inode, blocks)], and the names that decide where."""

    def __init__(self, name):
        self.name, self.area, self.members, self.blocks = name, name, [], 0


def _lots(tree):
    lots, alone = [], True
    for path, inode in tree:
        count = sum(extent[2] for extent in inode.extents)
        if not count:
            continue
        if alone or count >= ALONE or _hash(b"lot", path) % ONE_IN == 0:
            lots.append(Lot(path))
        alone = count >= ALONE
        lots[-1].members.append((inode, count))
        lots[-1].blocks += count
    area = b""
    for lot in lots:
        if lot.blocks < AREA_ALONE:
            area = lot.name if _hash(b"area", lot.name) % AREA_LOTS == 0 else area
            lot.area = area
    # The large ones first: those that come later fill what they leave.
    return sorted(lots, key=lambda lot: (-lot.blocks.bit_length(), _hash(b"turn", lot.name)))


def _place(free, lot, blocks):
    """Tries places by the name, one independent of the other: a lot that takes the place of another sends that one away, and nothing else.
    (Whoever takes the next free blocks instead moves all that comes behind.) None: there are not so many in a row."""
    base, room, number, size = _scattered(b"base", lot.area, 0, blocks), _with_room(lot.blocks), 0, AREA_BLOCKS
    while size < blocks:
        for _ in range(TRIES):
            number += 1
            place = (base + _hash(b"near", lot.name, number) % size) % blocks
            if free.take(place, room):
                return place
        size *= 4
    for number in range(2 * TRIES):
        place = _scattered(b"far", lot.name, number, blocks)
        if free.take(place, room):
            return place
    place = free.next(base, room)
    return free.next(base, lot.blocks) if place is None else place


def _moved(inode, places):
    """Gives an inode new places, one for each of its blocks; returns [(old, new, count)]."""
    moves, extents, used = [], [], 0
    for first, place, count in inode.extents:
        for index in range(count):
            new = places[used]
            used += 1
            if moves and moves[-1][0] + moves[-1][2] == place + index and moves[-1][1] + moves[-1][2] == new:
                moves[-1][2] += 1
            else:
                moves.append([place + index, new, 1])
            last = extents[-1] if extents else None
            if last and last[0] + last[2] == first + index and last[1] + last[2] == new and last[2] < EXTENT_LIMIT:
                last[2] += 1
            else:
                extents.append([first + index, new, 1])
    inode.extents = extents
    return moves


def _placed(file_system, tree, used):
    """Decides where everything goes. Returns [(old block, new block, count)]; inodes and `used` say it from then on."""
    for _, inode in tree:
        for place in inode.tree:
            used[place] = 0
        for _, place, count in inode.extents:
            used[place : place + count] = bytes(count)
    free, moves, in_pieces = Free(used), [], []
    for lot in _lots(tree):
        at = _place(free, lot, file_system.blocks)
        if at is None:
            in_pieces += lot.members
            continue
        for inode, count in lot.members:
            moves += _moved(inode, range(at, at + count))
            at += count
    # What room was left behind others is free for these.
    for old, new, count in moves:
        used[new : new + count] = b"\1" * count
    free = Free(used)
    for inode, count in in_pieces:
        moved = _moved(inode, free.pieces(count))
        for _, new, size in moved:
            used[new : new + size] = b"\1" * size
        moves += moved
    for _, inode in tree:
        before = len(inode.tree)
        inode.tree = free.pieces(1) if len(inode.extents) > 4 else []
        if len(inode.extents) > LEAF_EXTENTS:
            raise Unsettled(
                f"inode {inode.number} would have {len(inode.extents)} extents, expected at most {LEAF_EXTENTS}: there is too little room"
            )
        for place in inode.tree:
            used[place] = 1
        _put(inode.raw, 28, "I", _get(inode.raw, 28, "I") + (len(inode.tree) - before) * (BLOCK // 512))
    return moves


def _numbered(file_system, tree):
    """Gives inodes numbers that depend on names. Returns which are used, and the new number of each old one."""
    moved = [(path, inode) for path, inode in tree if inode.number > file_system.first_inode]
    used = file_system.inodes_used()
    for _, inode in moved:
        used[inode.number - 1] = 0
    # In a part of the table that does not change with each file more or less.
    room = len(used) - file_system.first_inode
    span, wanted = 16, len(moved) + len(moved) // 4
    while span < wanted:
        span += span // 2 if span & (span - 1) == 0 else span // 3
    span = min(span, room)
    free = [file_system.first_inode + index for index in range(room) if not used[file_system.first_inode + index]]
    numbers = {}
    for path, inode in sorted(moved, key=lambda each: _hash(b"number", each[0])):
        for number in range(8 * TRIES):
            index = file_system.first_inode + _hash(b"inode", path, number) % span
            if not used[index]:
                break
        else:
            index = next(place for place in free if not used[place])
        used[index] = 1
        numbers[inode.number] = index + 1
    for _, inode in moved:
        inode.number = numbers[inode.number]
    return used, numbers


def settle(path):
    """Writes the image anew, complete or not at all. Raises Unsettled where it stays as it is."""
    path = Path(path)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with open(path, "rb") as old, open(new, "wb") as out:
            _written(FileSystem(old), out.fileno(), os.fstat(old.fileno()).st_size)
        _checked(new)
        shutil.copymode(path, new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _written(file_system, out, size):
    tree = file_system.tree()
    used = file_system.used()
    copied = bytearray(used)
    moves = _placed(file_system, tree, used)
    inodes, numbers = _numbered(file_system, tree)
    # What has no name keeps its place: journal, inode tables, attributes.
    for old, _, count in moves:
        copied[old : old + count] = bytes(count)
    os.ftruncate(out, size)
    at = 0
    while (first := copied.find(1, at)) >= 0 and first < file_system.blocks:
        at = copied.find(0, first)
        at = file_system.blocks if at < 0 else min(at, file_system.blocks)
        _copied(file_system, out, first, first, at - first)
    for old, place, count in moves:
        _copied(file_system, out, old, place, count)
    for number in numbers:
        os.pwrite(out, bytes(file_system.inode_size), file_system.inode_at(number))
    folders = set()
    for _, inode in tree:
        raw, block = file_system.finished(inode)
        os.pwrite(out, raw, file_system.inode_at(inode.number))
        if block is not None:
            os.pwrite(out, block, inode.tree[0] * BLOCK)
        if stat.S_ISDIR(inode.mode):
            folders.add(inode.number)
            places = {first + index: place + index for first, place, count in inode.extents for index in range(count)}
            for number, content in file_system.folder(inode, numbers):
                os.pwrite(out, content, places[number] * BLOCK)
    for place, content in (*file_system.numbered(inodes, folders), *file_system.allocated(used)):
        os.pwrite(out, content, place)


def _copied(file_system, out, old, new, count):
    zeros = bytes(BLOCK)
    for done in range(0, count, 256):
        data = file_system.read(old + done, min(256, count - done))
        if data.count(0) == len(data):
            continue
        for at in range(0, len(data), BLOCK):
            if data[at : at + BLOCK] != zeros:
                os.pwrite(out, data[at : at + BLOCK], (new + done) * BLOCK + at)


def _checked(image):
    program = shutil.which("e2fsck", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise Unsettled("there is no e2fsck that could look at the result")
    done = subprocess.run([program, "-fn", image], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unsettled(f"e2fsck does not like the result: {' / '.join(done.stdout.strip().splitlines()[-6:])}")


def main(words):
    if len(words) != 1 or words[0] in ("-h", "--help"):
        print(__doc__.strip(), file=sys.stderr if words[:1] not in (["-h"], ["--help"]) else sys.stdout)
        return 0 if words[:1] in (["-h"], ["--help"]) else 2
    try:
        settle(words[0])
    except Unsettled as e:
        print(f"settle: {words[0]} stays as mke2fs made it: {e}", file=sys.stderr)
    except OSError as e:
        print(f"settle: {e.filename or words[0]}: {e.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
