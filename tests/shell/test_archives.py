# SPDX-License-Identifier: MIT
"""Archives of root file systems: what the tar of busybox would get wrong, and links that lead to what a system must have."""

import os
import shutil
from pathlib import Path

from board import MIB, executable, run
from promises import equal, promise
from test_failures import image_refused

# What it is, how GNU tar writes it, and how the reason calls it.
NEEDS = {
    "a sparse file of a posix archive": (("--format=posix", "--sparse"), "GNU.sparse", "usr/lib/sparse.db"),
    "a sparse file of a GNU archive": (("--format=gnu", "--sparse"), "type S", "usr/lib/sparse.db"),
    "an owner over 2097151 of a posix archive": (("--format=posix",), "uid=4000000", "usr/bin/tool"),
    "a capability": (("--format=posix", "--xattrs", "--xattrs-include=*"), "security.capability", "usr/bin/able"),
}


def archive_of(factory, what):
    """An archive that needs something, and the tree that it was made of."""

    def change(root):
        if "sparse" in what:
            with open(root / "usr/lib/sparse.db", "wb") as file:
                file.seek(2 * MIB)
                file.write(b"tail of the data base")
        elif "owner" in what:
            (root / "usr/bin/tool").write_text("x")
            os.chown(root / "usr/bin/tool", 4000000, 4000001)
            os.chmod(root / "usr/bin/tool", 0o4755)
        else:
            (root / "usr/bin/able").write_text("x")
            run("setcap", "cap_net_raw+ep", root / "usr/bin/able")

    root = factory.system_variant(what.replace(" ", "-"), change)
    path = factory.place / "needs.tar"
    path.unlink(missing_ok=True)
    run("tar", "-C", root, "--numeric-owner", *NEEDS[what][0], "-cf", path, ".")
    return path, root


@promise(
    "exit 4: {} is refused before the slot is touched where there is no bsdtar, with record and member", cases=NEEDS
)
def no_bsdtar(factory, what):
    path, _ = archive_of(factory, what)
    for words in NEEDS[what][1:]:
        image_refused(factory, path, 4, words)
        factory.close_boards()


def bsdtar_installed(factory):
    """Changes a running system to one with a bsdtar: GNU tar, which knows the same options and fits into the slot. tests/content has the real one."""

    def change(root):
        factory.copy_program(shutil.which("tar"), root, root / "usr/bin/gnu-tar")
        executable(root / "usr/bin/bsdtar", "#!/bin/sh\nexec gnu-tar --xattrs-include='*' \"$@\"\n")

    return change


@promise("{} is unpacked by bsdtar, compared with the archive, and armed", cases=NEEDS)
def by_bsdtar(factory, what):
    path, root = archive_of(factory, what)
    board = factory.board(change=bsdtar_installed(factory))
    result = board.sysupgrade("--no-reboot", board.deliver(path))
    equal(result.code, 0, f"exit code, said {result.err}")
    with board.mounted("b") as new:
        if "sparse" in what:
            equal((new / "usr/lib/sparse.db").read_bytes(), (root / "usr/lib/sparse.db").read_bytes(), "content")
        elif "owner" in what:
            found = os.stat(new / "usr/bin/tool")
            equal(
                (found.st_uid, found.st_gid, oct(found.st_mode & 0o7777)),
                (4000000, 4000001, "0o4755"),
                "owner and mode",
            )
        else:
            equal(
                os.getxattr(new / "usr/bin/able", "security.capability"),
                os.getxattr(root / "usr/bin/able", "security.capability"),
                "capability",
            )


@promise("a system with {} is judged alike as file system and as archive", cases=["merged sbin", "a link for /boot"])
def links(factory, what):
    def change(root):
        if what == "merged sbin":
            (root / "sbin/init").unlink()
            (root / "sbin").rmdir()
            (root / "sbin").symlink_to("usr/bin")
            (root / "usr/sbin").symlink_to("bin")
            executable(root / "usr/bin/init", "#!/bin/sh\n")
        else:
            shutil.move(root / "boot", root / "usr/lib/boot")
            (root / "boot").symlink_to("usr/lib/boot")

    root = factory.system_variant(what.replace(" ", "-").replace("/", ""), change)
    for kind in ("ext4", "tar.gz"):
        board = factory.board()
        result = board.sysupgrade("--no-reboot", board.deliver(factory.image(kind, Path(root))))
        equal(result.code, 0, f"exit code as {kind}, said {result.err}")
        factory.close_boards()


@promise("a {} that names a file twice is unpacked, compared and armed with the last of both", cases=["tar", "tar.zst"])
def twice(factory, kind):
    root = factory.system_variant("twice", lambda root: (root / "etc/twice").write_text("the first one"))
    path = factory.place / "twice.tar"
    path.unlink(missing_ok=True)
    run("tar", "-C", root, "--numeric-owner", "-cf", path, ".")
    (root / "etc/twice").write_text("the last one, which is longer")
    run("tar", "-C", root, "--numeric-owner", "-rf", path, "./etc/twice")
    if kind == "tar.zst":
        run("zstd", "-qf", path, "-o", factory.place / "twice.tar.zst")
        path = factory.place / "twice.tar.zst"
    equal(run("sh", "-c", f"zstd -dcfq {path} | tar -t | grep -c etc/twice").strip(), b"2", "members of that name")
    board = factory.board()
    result = board.sysupgrade("--no-reboot", board.deliver(path))
    equal(result.code, 0, f"exit code, said {result.err}")
    with board.mounted("b") as new:
        equal((new / "etc/twice").read_text(), "the last one, which is longer", "/etc/twice")


@promise("exit 5: a compressed archive without its end mark is refused before the slot is touched")
def no_end(factory):
    whole = factory.image("tar").read_bytes()
    end = len(whole.rstrip(b"\0"))
    image_refused(factory, run("gzip", "-c", input=whole[: end + -end % 512]), 5, "end mark")
