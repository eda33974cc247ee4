# SPDX-License-Identifier: MIT
"""Slot images for verified boot: file system, signed FIT, hash tree, one behind the other. docs/verified-boot.md describes them.

Needs Python's standard library and the programs mkimage, openssl, dtc (fdtput, fdtget) and, to check, fit_check_sign; importable by BitBake.
"""

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

BLOCK = 4096
#: Names of the keys in U-Boot's control device tree: of configurations, and of each image, which is how U-Boot verifies scripts.
BOOT_KEY, IMAGE_KEY = "ota-boot", "ota-image"
#: In the initramfs: what the kernel is told of the tree.
TABLE = "ota-verity"
#: What the initramfs writes in place of the FIT's first block when a block of the slot was changed.
CONDEMNED = b"OTA-CONDEMNED\n"
TOKEN = "pkcs11:"
#: A certificate of a development key has this name; whatever signs with one warns.
DEVELOPMENT = "meta-otamgr development key, NOT FOR DEVICES IN THE FIELD"
_FIT_MAGIC = 0xD00DFEED
#: A property of the signed configuration. U-Boot takes numbers that look like text for text, hence no higher one.
INDEX, HIGHEST_INDEX = "ota-rollback-index", 0xFFFF


class VerifiedError(Exception):
    """What cannot be made, or does not verify; the message says what was expected and what was found."""


def _run(*words, fails):
    try:
        done = subprocess.run([str(word) for word in words], capture_output=True, check=False)
    except FileNotFoundError:
        raise VerifiedError(
            f"the program {words[0]} is missing; install u-boot-tools, device-tree-compiler and openssl"
        ) from None
    if done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace").strip().splitlines()
        raise VerifiedError(f"{fails}: {said[-1] if said else f'{words[0]} does not say why'}")
    return done.stdout


# ---- keys ------------------------------------------------------------------------------------------------------------


def development_key(path):
    """A key for development at this place, made if there is none. Several that ask at once get the same."""
    if not Path(path).exists():
        try:
            make_key(path, development=True)
        except VerifiedError:
            if not Path(path).exists():
                raise
    return path


def make_key(path, development=False, bits=4096):
    """A pair of RSA keys, which is what U-Boot's software verifies: `path` and, beside it, its certificate."""
    path = Path(path)
    certificate = path.with_suffix(".crt")
    for made in (path, certificate):
        if made.exists():
            raise VerifiedError(f"{made}: there is such a file already, and a key that is lost cannot be made again")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        key, crt = Path(folder) / "key", Path(folder) / "crt"
        _run("openssl", "genrsa", "-out", key, bits, fails=f"{path} could not be made")
        key.chmod(0o600)
        name = DEVELOPMENT if development else "meta-otamgr verified boot"
        words = ("openssl", "req", "-batch", "-new", "-x509", "-days", 36500, "-key", key, "-out", crt)
        _run(*words, "-subj", f"/CN={name}", fails=f"{certificate} could not be made")
        crt.rename(certificate)
        key.rename(path)


def is_development(key):
    """Whether a key is one that must not be on devices in the field."""
    certificate = Path(key).with_suffix(".crt")
    if str(key).startswith(TOKEN) or not certificate.exists():
        return False
    subject = _run(
        "openssl", "x509", "-in", certificate, "-noout", "-subject", fails=f"{certificate} is no certificate"
    )
    return DEVELOPMENT.encode() in subject


def _key_files(key):
    """The private key and its certificate, which are both there."""
    files = Path(key), Path(key).with_suffix(".crt")
    for needed in files:
        if not needed.is_file():
            raise VerifiedError(
                f"{needed}: expected a key and its certificate beside it, see ota-verified keygen; it is not there"
            )
    return files


@contextlib.contextmanager
def _key_words(key):
    """How mkimage is told of the key: a folder in which it has the names that FITs call it by, or a token."""
    if str(key).startswith(TOKEN):
        # mkimage adds "object=NAME" itself: the token has the key under both names.
        yield ("-N", "pkcs11", "-k", str(key).removeprefix(TOKEN))
        return
    key, certificate = _key_files(key)
    with tempfile.TemporaryDirectory() as folder:
        for name in (BOOT_KEY, IMAGE_KEY):
            (Path(folder) / f"{name}.key").symlink_to(key.resolve())
            (Path(folder) / f"{name}.crt").symlink_to(certificate.resolve())
        yield ("-k", folder)


# ---- signed images ---------------------------------------------------------------------------------------------------

_ALGORITHM = "sha256,rsa4096"


def _bits(key):
    if str(key).startswith(TOKEN):
        return 4096
    _key_files(key)
    said = _run("openssl", "pkey", "-in", key, "-noout", "-text", fails=f"{key} is no private key").decode()
    found = re.search(r"\((\d+) bit", said)
    if "modulus" not in said or not found or found[1] not in ("2048", "3072", "4096"):
        raise VerifiedError(
            f"{key}: expected an RSA key of 2048, 3072 or 4096 bits, which is what U-Boot verifies; found another one"
        )
    return int(found[1])


def _node(name, file, algorithm, **properties):
    lines = "".join(f"            {key.replace('_', '-')} = {value};\n" for key, value in properties.items())
    return f"""        {name} {{
            description = "{name}";
            data = /incbin/("{file}");
{lines}            hash-1 {{ algo = "sha256"; }};
            signature-1 {{ algo = "{algorithm}"; key-name-hint = "{IMAGE_KEY}"; }};
        }};
"""


def _fit(nodes, configuration, key, out, control=None, numbers=()):
    """A FIT of these nodes. With `control`, the public keys go into that device tree, as keys that must have signed.
    numbers: (name, value) of further properties of the configuration, signed with it."""
    algorithm = f"sha256,rsa{_bits(key)}"
    with tempfile.TemporaryDirectory() as folder, _key_words(key) as words:
        source = Path(folder) / "fit.its"
        source.write_text(
            f"""/dts-v1/;
/ {{
    description = "meta-otamgr";
    #address-cells = <1>;
    images {{
{"".join(nodes(algorithm))}    }};
    configurations {{
        default = "conf-1";
        conf-1 {{
{"".join(f'            {name} = "{value}";{chr(10)}' for name, value in configuration.items())}\
{"".join(f"            {name} = <{value}>;{chr(10)}" for name, value in numbers)}            signature-1 {{
                algo = "{algorithm}";

                key-name-hint = "{BOOT_KEY}";
                sign-images = {", ".join(f'"{name}"' for name in configuration)};
            }};
        }};
    }};
}};
"""
        )
        made = Path(folder) / "fit.itb"
        with_control = ("-K", control, "-r") if control else ("-r",)
        _run("mkimage", "-f", source, *words, *with_control, made, fails="the signed image could not be made")
        # mkimage ends with 0 where it could not sign.
        listing = _run("mkimage", "-l", made, fails="the signed image cannot be read back").decode()
        if "Sign value:   unavailable" in listing or "Sign value" not in listing:
            raise VerifiedError(f"mkimage signed nothing with {key}: is it the private key?")
        if made.stat().st_size != struct.unpack_from(">I", made.read_bytes(), 4)[0]:
            raise VerifiedError("mkimage made an image with data outside, expected all of it inside")
        shutil.copyfile(made, out)


def make_key_tree(key, out, base=None):
    """The public keys as a device tree, for U-Boot's own: as keys that must have signed. `base` is a tree that they are put into (a .dtb); without
    it there is nothing else in the tree. `out` is a .dtb, or a .dtsi for U-Boot's setting DEVICE_TREE_INCLUDES."""
    out = Path(out)
    with tempfile.TemporaryDirectory() as folder:
        script, tree = Path(folder) / "nothing", Path(folder) / "control.dtb"
        script.write_text("echo\n")
        if not base:
            base = Path(folder) / "empty.dts"
            base.write_text("/dts-v1/;\n/ { };\n")
        # mkimage wants room for what it adds.
        form = Path(base).suffix.removeprefix(".")
        _run("dtc", "-q", "-I", form, "-O", "dtb", "-p", 8192, "-o", tree, base, fails=f"{base} is no device tree")
        make_script_fit(script, key, Path(folder) / "signed", control=tree)
        form = "dts" if out.suffix == ".dtsi" else "dtb"
        made = _run("dtc", "-q", "-I", "dtb", "-O", form, tree, fails=f"{out} could not be made")
    # It is included where the version of the language was said already.
    out.write_bytes(made.replace(b"/dts-v1/;\n", b"", 1) if form == "dts" else made)


def key_problems(tree, key_tree):
    """Whether a device tree of U-Boot's has the keys of `key_tree`, as sentences."""

    def modulus(path):
        fails = f"{path} has no key that must have signed"
        return _run("fdtget", "-t", "bx", path, f"/signature/key-{BOOT_KEY}", "rsa,modulus", fails=fails)

    try:
        same = modulus(tree) == modulus(key_tree)
    except VerifiedError as problem:
        return [str(problem)]
    return [] if same else [f"{tree} has another key than {key_tree}, which signs the boot script and the slots"]


def make_script_fit(script, key, out, control=None):
    """The boot script as a signed image; see _fit for `control`."""

    def nodes(algorithm):
        return [_node("script", Path(script).resolve(), algorithm, type='"script"', compression='"none"')]

    _fit(nodes, {"script": "script"}, key, out, control)


def make_kernel_fit(kernel, device_tree, initramfs, key, out, architecture="arm64", rollback_index=0):
    """Kernel, device tree and initramfs as one signed image."""
    parts = {"kernel": kernel, "fdt": device_tree, "ramdisk": initramfs}
    about = {
        "kernel": {"type": '"kernel_noload"', "os": '"linux"', "load": "<0>", "entry": "<0>"},
        "fdt": {"type": '"flat_dt"'},
        "ramdisk": {"type": '"ramdisk"', "os": '"linux"'},
    }
    parts = {name: Path(file).resolve() for name, file in parts.items()}

    def nodes(algorithm):
        return [
            _node(name, file, algorithm, arch=f'"{architecture}"', compression='"none"', **about[name])
            for name, file in parts.items()
        ]

    _fit(nodes, {name: name for name in parts}, key, out, numbers=[(INDEX, rollback_index)])


# ---- the hash tree ---------------------------------------------------------------------------------------------------


def tree_of(blocks, salt):
    """(root hash, tree) of blocks of 4 KiB, as dm-verity (format 1, SHA-256, without a superblock) and veritysetup have it."""
    level, levels = [hashlib.sha256(salt + block).digest() for block in blocks], []
    while len(level) > 1:
        packed = b"".join(level)
        packed += bytes(-len(packed) % BLOCK)
        levels.insert(0, packed)
        level = [hashlib.sha256(salt + packed[at : at + BLOCK]).digest() for at in range(0, len(packed), BLOCK)]
    return level[0], b"".join(levels)


def salt_of(text):
    """The salt that somebody wrote."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise VerifiedError(f'the salt: expected 64 hexadecimal digits, found "{text}"')
    return bytes.fromhex(text)


def _blocks_of(file, count):
    for _ in range(count):
        block = file.read(BLOCK)
        yield block + bytes(BLOCK - len(block))


def _blocks(size):
    return -(-size // BLOCK)


def file_system_bytes(first):
    """The size that a file system says it has, from its first 4 KiB; the boot script reads it at the same places."""
    if first[:4] == b"hsqs":
        return struct.unpack_from("<Q", first, 40)[0]
    if first[1024:1028] == b"\xe2\xe1\xf5\xe0":
        if first[1024 + 12] != 12:
            raise VerifiedError(f"the EROFS has blocks of {1 << first[1024 + 12]} bytes, expected 4096")
        return struct.unpack_from("<I", first, 1024 + 36)[0] * BLOCK
    if first[1080:1082] == b"\x53\xef":
        if struct.unpack_from("<I", first, 1024 + 24)[0] != 2:
            raise VerifiedError("the ext4 file system has no blocks of 4096 bytes, which it must have")
        return struct.unpack_from("<I", first, 1024 + 4)[0] * BLOCK
    raise VerifiedError("the file system is neither squashfs nor EROFS nor ext4")


def _newc(name, content):
    """An archive of one file, as the kernel unpacks it behind the initramfs."""

    def entry(name, mode, content):
        head = "070701" + "".join(
            f"{value:08X}" for value in (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        )
        text = head.encode() + name.encode() + b"\0"
        return text + bytes(-len(text) % 4) + content + bytes(-len(content) % 4)

    return entry(name, 0o100444, content) + entry("TRAILER!!!", 0, b"")


def make_slot_image(
    file_system, kernel, device_tree, initramfs, key, out, architecture="arm64", salt=None, rollback_index=0
):
    """FILE SYSTEM | FIT | TREE: what a slot holds from its first byte. Returns what `show` says of it."""
    file_system, out = Path(file_system), Path(out)
    if not 0 <= rollback_index <= HIGHEST_INDEX:
        raise VerifiedError(f"the rollback index: expected 0 to {HIGHEST_INDEX}, found {rollback_index}")
    with open(file_system, "rb") as file:
        size = file_system_bytes(file.read(BLOCK))
        if size > file_system.stat().st_size:
            raise VerifiedError(
                f"{file_system}: the file system has {size} bytes, the file {file_system.stat().st_size}"
            )
        file.seek(0)
        blocks = _blocks(size)
        salt = secrets.token_bytes(32) if salt is None else salt
        root, tree = tree_of(_blocks_of(file, blocks), salt)
    with tempfile.TemporaryDirectory() as folder:
        started, fit = Path(folder) / "initramfs", Path(folder) / "fit"
        # The table is in the FIT and says where behind the FIT the tree is: numbers of fixed width, made twice.
        fit_blocks = 0
        for _ in range(2):
            table = (
                f"format=1\ndata_blocks={blocks:010}\ntree_block={blocks + fit_blocks:010}\nfit_block={blocks:010}\n"
                f"root={root.hex()}\nsalt={salt.hex()}\n"
            )
            base = Path(initramfs).read_bytes()
            started.write_bytes(base + bytes(-len(base) % 4) + _newc(TABLE, table.encode()))
            make_kernel_fit(kernel, device_tree, started, key, fit, architecture, rollback_index)
            fit_blocks = _blocks(fit.stat().st_size)
        if f"tree_block={blocks + fit_blocks:010}\n" not in table:
            raise VerifiedError("the signed image changes its size from one signature to the next")
        made = out.with_name(f"{out.name}.new")
        with open(made, "wb") as image, open(file_system, "rb") as source:
            shutil.copyfileobj(source, image, 1 << 20)
            image.truncate(size)
            for start, content in ((blocks, fit.read_bytes()), (blocks + fit_blocks, tree)):
                image.seek(start * BLOCK)
                image.write(content)
            image.truncate((blocks + fit_blocks) * BLOCK + len(tree))
        made.rename(out)
    return describe(out)


#: What mkimage calls the processors that such images are made for.
ARCHITECTURES = {"aarch64": "arm64", "arm": "arm"}
#: Kernels that are started where they lie in the signed image.
KERNELS = ("Image", "zImage")


def describe(image):
    """Where the parts of a slot image are, and what its FIT says of the tree; nothing is verified."""
    with open(image, "rb") as file:
        size = file_system_bytes(file.read(BLOCK))
        blocks = _blocks(size)
        file.seek(blocks * BLOCK)
        head = file.read(8)
        if head[:8] == CONDEMNED[:8]:
            raise VerifiedError(
                f"{image}: a block of it was found changed when it was started, and it was taken out of use"
            )
        magic, total = struct.unpack(">II", head) if len(head) == 8 else (0, 0)
        if magic != _FIT_MAGIC:
            raise VerifiedError(f"{image}: expected a FIT behind the file system, at byte {blocks * BLOCK}, found none")
        file.seek(blocks * BLOCK)
        fit = file.read(total)
    if len(fit) != total:
        raise VerifiedError(f"{image}: the FIT is cut off: {len(fit)} of {total} bytes")
    found = re.search(
        rb"format=1\ndata_blocks=(\d{10})\ntree_block=(\d{10})\nfit_block=(\d{10})\nroot=([0-9a-f]{64})\nsalt=([0-9a-f]{64})\n",
        fit,
    )
    if not found:
        raise VerifiedError(f"{image}: the FIT says nothing of a hash tree")
    return {
        "file-system-bytes": size,
        "data-blocks": int(found[1]),
        "fit-offset": blocks * BLOCK,
        "fit-bytes": total,
        "tree-offset": int(found[2]) * BLOCK,
        "root": found[4].decode(),
        "salt": found[5].decode(),
    }


def check(image, control):
    """What a device with this control device tree would find: raises VerifiedError at the first thing that is not as it was signed."""
    facts = describe(image)
    with tempfile.TemporaryDirectory() as folder, open(image, "rb") as file:
        fit = Path(folder) / "fit"
        file.seek(facts["fit-offset"])
        fit.write_bytes(file.read(facts["fit-bytes"]))
        _run("fit_check_sign", "-f", fit, "-k", control, fails=f"{image}: the FIT is not signed by a key of {control}")
        index = _run("fdtget", "-t", "u", "-d", "0", fit, "/configurations/conf-1", INDEX, fails=f"{image}: no index")
        file.seek(0)
        root, tree = tree_of(_blocks_of(file, facts["data-blocks"]), bytes.fromhex(facts["salt"]))
        if root.hex() != facts["root"]:
            raise VerifiedError(f"{image}: the file system has root hash {root.hex()}, signed was {facts['root']}")
        file.seek(facts["tree-offset"])
        if file.read(len(tree)) != tree:
            raise VerifiedError(f"{image}: the hash tree at byte {facts['tree-offset']} is not that of the file system")
    return {**facts, "rollback-index": int(index)}


# ---- the floor in the RPMB -------------------------------------------------------------------------------------------

#: A frame of the RPMB (JEDEC JESD84-B51, 6.6.22): 196 bytes of nothing, MAC, data, nonce, counter, address, blocks, result, request.
_FRAME = struct.Struct(">196x32s256s16sIHHHH")
# From the data on all of it counts for the MAC.
_SIGNED = 196 + 32
_PROGRAM_KEY, _WRITE = 1, 3
FRAME_KEY_BYTES = 32
#: Before the floor in the first block of the RPMB. Boot script and ota-rpmb know it as well.
FLOOR_MAGIC = b"OTAF"


def make_floor_key(path):
    """The key of one device's RPMB, which the device is given once and nobody else ever has: 32 bytes,
    and as PATH.frame what the device takes."""
    key = secrets.token_bytes(FRAME_KEY_BYTES)
    for name, content in ((path, key), (f"{path}.frame", _FRAME.pack(key, b"", b"", 0, 0, 0, 0, _PROGRAM_KEY))):
        with open(name, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)


def _floor_key(path):
    key = Path(path).read_bytes()
    if len(key) != FRAME_KEY_BYTES:
        raise VerifiedError(f"{path}: expected the key of an RPMB, {FRAME_KEY_BYTES} bytes, found {len(key)}")
    return key


def permit(key_file, counter, floor):
    """What sets the floor of the one device that has this key, while its RPMB was written `counter` times: that is, once."""
    if not 0 <= floor <= HIGHEST_INDEX:
        raise VerifiedError(f"the floor: expected 0 to {HIGHEST_INDEX}, found {floor}")
    if not 0 <= counter < 0xFFFFFFFF:
        raise VerifiedError(
            f"the counter: expected 0 to {0xFFFFFFFE}, as ota-floor says it on the device, found {counter}"
        )
    data = struct.pack("<4sI", FLOOR_MAGIC, floor)
    said = _FRAME.pack(b"", data, b"", counter, 0, 1, 0, _WRITE)
    mac = hmac.digest(_floor_key(key_file), said[_SIGNED:], "sha256")
    return _FRAME.pack(mac, data, b"", counter, 0, 1, 0, _WRITE)
