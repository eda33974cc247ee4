# SPDX-License-Identifier: MIT
"""Every write and flush that a disk got, in order (QEMU's blklogwrites, the format of Linux' dm-log-writes), and disks as a power cut
would have left them.

A disk with a volatile cache promises only what was flushed. So a cut after entry k leaves every write before the last flush, and of the
writes after it any subset - which is what any order of arrival comes to - some of them torn. Flash writes a page of 4 KiB whole; only
ranges named as fragile are torn between sectors of 512 bytes. (ext4 itself needs whole pages: its superblock spans two sectors and is
rewritten in place by every mount.)
"""

import struct
from dataclasses import dataclass

SECTOR = 512
PAGE = 4096
_MAGIC = 0x6A736677736872
_FLUSH, _FUA, _DISCARD = 1, 2, 4


@dataclass(frozen=True)
class Write:
    offset: int  # on the disk, in bytes
    length: int
    position: int  # of the data in the log, in bytes


@dataclass(frozen=True)
class Flush:
    pass


def read(log):
    """The entries of a log file: Write and Flush."""
    entries = []
    with open(log, "rb") as file:
        magic, _version, count, sector = struct.unpack("<QQQI", file.read(28))
        if magic != _MAGIC:
            raise ValueError(f"{log}: expected a write log, found magic {magic:#x}")
        position = sector
        for _ in range(count):
            file.seek(position)
            first, sectors, flags, _ = struct.unpack("<QQQQ", file.read(32))
            position += sector
            length = sectors * sector
            # A flush names what came before it; FUA makes its own write durable, with everything before it: never less than real.
            if flags & _FLUSH:
                entries.append(Flush())
            if length and not flags & _DISCARD:
                entries.append(Write(first * sector, length, position))
                position += length
            if flags & _FUA:
                entries.append(Flush())
    return entries


class Replay:
    """A disk image that walks through a log. cut() shows it as one power cut would leave it, undo() takes that back."""

    def __init__(self, disk, log, fragile=()):
        self._fragile = fragile
        self._disk = open(disk, "r+b", buffering=0)
        self._log = open(log, "rb")
        self.entries = read(log)
        self.applied = 0  # entries that are durable in the image
        self._undo = []

    def _data(self, write):
        self._log.seek(write.position)
        return self._log.read(write.length)

    def _put(self, offset, data):
        self._disk.seek(offset)
        self._disk.write(data)

    def _get(self, offset, length):
        self._disk.seek(offset)
        return self._disk.read(length)

    def advance(self, cut):
        """Makes durable what was flushed before entry number `cut`; returns the writes that were only pending there. Never goes back."""
        last_flush = self.applied
        for index in range(self.applied, cut):
            if isinstance(self.entries[index], Flush):
                last_flush = index + 1
        for index in range(self.applied, last_flush):
            if isinstance(entry := self.entries[index], Write):
                self._put(entry.offset, self._data(entry))
        self.applied = max(self.applied, last_flush)
        return [entry for entry in self.entries[self.applied : cut] if isinstance(entry, Write)]

    def cut(self, pending, random):
        """Lets some of the pending writes reach the disk, some of these torn; returns the writes and how much of each arrived."""
        arrived = []
        # All, none, all but the last, all but the first: where an order matters, it shows there. Else any subset.
        choose = random.choice(
            (
                lambda index: True,
                lambda index: False,
                lambda index: index < len(pending) - 1,
                lambda index: index > 0,
                *(lambda index: random.random() < 0.6,) * 6,
            )
        )
        for index, write in enumerate(pending):
            if choose(index):
                length = self._torn(write, random) if random.random() < 0.2 else write.length
                if length:
                    arrived.append((write, length))
        for write, length in arrived:
            self._undo.append((write.offset, self._get(write.offset, length)))
            self._put(write.offset, self._data(write)[:length])
        return arrived

    def _torn(self, write, random):
        """How many bytes of a write arrive before the power is gone."""
        step = SECTOR if any(write.offset in place for place in self._fragile) else PAGE
        # The first boundary after the start may be nearer than a whole step.
        boundaries = range(step - write.offset % step, write.length, step)
        return random.choice([0, *boundaries])

    def undo(self):
        while self._undo:
            self._put(*self._undo.pop())

    def close(self):
        self._disk.close()
        self._log.close()
