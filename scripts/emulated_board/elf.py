# SPDX-License-Identifier: MIT
"""Which shared libraries programs need, read from the programs themselves."""

import struct

_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRTAB = 1, 5


class Missing(RuntimeError):
    """A library that no folder has; `needed_by` is the file that names it."""

    def __init__(self, library, needed_by, folders):
        super().__init__(f"{needed_by} needs {library}, which is in none of {', '.join(map(str, folders))}")
        self.library, self.needed_by = library, needed_by


def needed(path):
    """The names of the libraries that a 64-bit little-endian program or library needs; none for what is no ELF file."""
    with open(path, "rb") as file:
        content = file.read(6)
        if content != b"\x7fELF\2\1":
            return []
        content += file.read()
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    segments = [struct.unpack_from("<IIQQQQQQ", content, table + i * size) for i in range(count)]
    loads = [(address, offset, length) for kind, _, offset, address, _, length, _, _ in segments if kind == _LOAD]
    entries = [
        entry
        for kind, _, offset, _, _, length, _, _ in segments
        if kind == _DYNAMIC
        for entry in struct.iter_unpack("<QQ", content[offset : offset + length])
    ]
    strings = next((value for tag, value in entries if tag == _STRTAB), None)
    if strings is None:
        return []
    start = next(
        strings - address + offset for address, offset, length in loads if address <= strings < address + length
    )

    def text(at):
        return content[start + at : content.index(b"\0", start + at)].decode()

    return [text(value) for tag, value in entries if tag == _NEEDED]


def closure(programs, folders, own=()):
    """The files of all libraries that these programs need, and those need in turn, as {name: file}. `folders` are searched in order; the
    names in `own` are the programs' business (a runtime finds its own). Raises Missing."""
    found, waiting = {}, list(programs)
    while waiting:
        path = waiting.pop()
        for name in needed(path):
            if name in found or name in own:
                continue
            file = next((folder / name for folder in folders if (folder / name).exists()), None)
            if file is None:
                raise Missing(name, path, folders)
            found[name] = file
            waiting.append(file)
    return found
