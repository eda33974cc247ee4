# SPDX-License-Identifier: MIT
"""What devices on one version lack of the bundle of another: a file of parts, for a stick. docs/source-repository.md describes it.

Nobody has to trust such a file: what a device takes from it is verified as if it had come from the whole bundle, block by block.
"""

import os
import stat
import subprocess
import tempfile
from pathlib import Path

from otamgr import bundle, settle

SUFFIX = ".parts"
MAGIC = "otamgr-parts-1"
#: Devices fetch so much before they know how long the index is.
BEGINNING = 64 * 1024
#: What lives below changes on devices, so that its old content cannot be counted on.
CHANGING = (b"/etc/", b"/home/", b"/root/", b"/srv/", b"/var/")


def _engine(image, *words):
    """Runs the content engine on an image; returns what it printed. It wants to be a child of whoever holds the image."""
    engine = bundle.content_engine()
    child = ["/bin/sh", "-c", 'OTA_HELD=$$ "$@" || exit', "sh", engine, *map(str, words)]
    done = subprocess.run([engine, "hold", "--image", image, "--", *child], capture_output=True, text=True, check=False)
    if done.returncode:
        raise bundle.BundleError(f"{image}: {done.stderr.strip().removeprefix('ota-content: ')}")
    return done.stdout


def _opened(opened, folder):
    """What the engine leaves in a folder when it has opened a bundle of format 2; its signature is nobody's business here."""
    values = opened.values()
    opened.copy_index(folder / "index")
    facts = {
        "bundle": 2,
        "image": values["image"],
        "payload_offset": opened.image_offset,
        "payload_bytes": opened.image_bytes - bundle.further_bytes(values),
        **{key.replace("-", "_"): values[key] for key in ("image-type", "image-compression")},
        **{f"{of}_{key}": values[f"{of}-{key}"] for of in ("image", "index", "rootfs") for key in ("bytes", "sha256")},
    }
    (folder / "opened").write_text("".join(f"{key}={value}\n" for key, value in facts.items()))
    return int(values["rootfs-bytes"])


def unpack(opened, image, folder):
    """The file system of a bundle, in a file."""
    if opened.values()["format"] == bundle.FORMAT_2:
        private = folder / "private"
        private.mkdir()
        image.touch()
        os.truncate(image, _opened(opened, private))
        for step in ("check", "write"):
            _engine(opened.path, step, "--folder", private, "--slot", image)
        return
    packed = folder / "packed"
    with open(packed, "wb") as out:
        opened.copy_image(out)
    with bundle.decompressed(packed) as content, open(image, "wb") as out:
        while piece := content.read(bundle.PIECE):
            out.write(piece)


def _kept(image, kept):
    """A copy of a file system with nothing but what devices do not change: the content of files, at its place. The rest (inodes, folders,
    bitmaps) is changed as soon as the system is installed, for it is grown to its slot and gets a marker."""
    with open(image, "rb") as content, open(kept, "wb") as out:
        for path, inode in settle.FileSystem(content).tree():
            if stat.S_ISREG(inode.mode) and not path.startswith(CHANGING):
                for _, place, count in inode.extents:
                    out.seek(place * settle.BLOCK)
                    out.write(os.pread(content.fileno(), count * settle.BLOCK, place * settle.BLOCK))
        out.truncate(max(out.tell(), os.fstat(content.fileno()).st_size))


def lacking(new, old):
    """The (offset, length) of what devices that run the file system of the bundle `old` lack of the bundle `new`, ascending."""
    with tempfile.TemporaryDirectory(dir=Path(new).parent, prefix=".parts.") as name:
        folder = Path(name)
        with bundle.open_bundle(old) as opened:
            unpack(opened, folder / "image", folder)
        _kept(folder / "image", folder / "running")
        need = folder / "need"
        need.mkdir()
        with bundle.open_bundle(new) as opened:
            slot, hollow = folder / "slot", folder / "hollow"
            size = _opened(opened, need)
            for file, length in ((slot, size), (hollow, Path(new).stat().st_size)):
                file.touch()
                os.truncate(file, length)
            said = _engine(hollow, "need", "--folder", need, "--slot", slot, "--running", folder / "running")
            found = [(0, min(Path(new).stat().st_size, max(BEGINNING, opened.image_offset)))]
        for line in said.splitlines():
            if line.startswith("range="):
                offset, length = map(int, line.removeprefix("range=").split())
                first, bytes_of_last = found[-1]
                if offset <= first + bytes_of_last:
                    found[-1] = (first, max(first + bytes_of_last, offset + length) - first)
                else:
                    found.append((offset, length))
        # Further images are in no slot.
        with bundle.open_bundle(new) as opened:
            length = bundle.further_bytes(opened.values())
            if length:
                found.append((opened.image_offset + opened.image_bytes - length, length))
        return found


def write(out, new, old, since):
    """Writes the file of parts of the bundle `new` for devices on the version of the bundle `old`. Returns how many bytes it has."""
    ranges = lacking(new, old)
    header = [MAGIC, f"since={since}", f"bytes={Path(new).stat().st_size}"]
    header += [f"range={offset} {length}" for offset, length in ranges]
    made = Path(out).with_name(f"{Path(out).name}.{os.getpid()}.new")
    try:
        with open(new, "rb") as source, open(made, "wb") as target:
            target.write(("\n".join(header) + "\n\n").encode())
            for offset, length in ranges:
                source.seek(offset)
                while length:
                    piece = source.read(min(bundle.PIECE, length))
                    if not piece:
                        raise bundle.BundleError(f"{new} has become shorter while it was copied")
                    target.write(piece)
                    length -= len(piece)
            target.flush()
            os.fsync(target.fileno())
        made.replace(out)
    finally:
        made.unlink(missing_ok=True)
    return Path(out).stat().st_size
