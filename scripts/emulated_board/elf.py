# SPDX-License-Identifier: MIT
"""Which shared libraries programs need, read from the programs themselves."""

import struct
from dataclasses import dataclass

_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRTAB = 1, 5


@dataclass(frozen=True)
class _Form:
    """Where the header of a file says what, and how entries of its tables look."""

    address: str
    table: int  # of segments: where its place is said
    table_size: int  # the size of one, then how many
    segment: str
    segment_fields: tuple  # kind, offset in the file, address, length in the file
    entry: str  # of what is to be linked


_FORMS = {
    b"\x7fELF\1\1": _Form("<I", 28, 42, "<IIIIIIII", (0, 1, 2, 4), "<II"),
    b"\x7fELF\2\1": _Form("<Q", 32, 54, "<IIQQQQQQ", (0, 2, 3, 5), "<QQ"),
}


class Missing(RuntimeError):
    """A library that no folder has; `needed_by` is the file that names it."""

    def __init__(self, library, needed_by, folders):
        super().__init__(f"{needed_by} needs {library}, which is in none of {', '.join(map(str, folders))}")
        self.library, self.needed_by = library, needed_by


def needed(path):
    """The names of the libraries that a little-endian program or library needs; none for what is no ELF file."""
    with open(path, "rb") as file:
        content = file.read(6)
        if content not in _FORMS:
            return []
        form = _FORMS[content]
        content += file.read()
    (table,) = struct.unpack_from(form.address, content, form.table)
    size, count = struct.unpack_from("<HH", content, form.table_size)
    segments = [
        [fields[at] for at in form.segment_fields]
        for fields in (struct.unpack_from(form.segment, content, table + i * size) for i in range(count))
    ]
    loads = [(address, offset, length) for kind, offset, address, length in segments if kind == _LOAD]
    entries = [
        entry
        for kind, offset, _, length in segments
        if kind == _DYNAMIC
        for entry in struct.iter_unpack(form.entry, content[offset : offset + length])
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
