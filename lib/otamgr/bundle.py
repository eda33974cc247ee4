# SPDX-License-Identifier: MIT
"""Signed bundles: makes, reads and verifies them. docs/bundles.md describes the format.

Needs Python's standard library and the program openssl, plus zstd for images compressed with it, and for bundles of format 2 the
content engine, ota-content; importable by BitBake.
"""

import base64
import contextlib
import fcntl
import gzip
import hashlib
import io
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import typing
from pathlib import Path

FORMAT = "otamgr-bundle-1"
FORMAT_2 = "otamgr-bundle-2"
MANIFEST, SIGNATURE, CHAIN, INDEX = "manifest", "manifest.sig", "manifest.crt", "index"
CHECKED, ENVIRONMENT = "x-file-system-checked", "x-environment"
# Bytes; the device has the same limits.
MANIFEST_LIMIT = CHAIN_LIMIT = 65536
SIGNATURE_LIMIT = 1024
# Signatures over one manifest.
SIGNERS_LIMIT = 8
# The size field of a ustar header has 11 octal digits.
IMAGE_LIMIT = 8 << 30
# Of format 2: the uncompressed image, and the index.
ROOTFS_LIMIT, INDEX_LIMIT = 16 << 30, 192 << 20
# As many as a reader of pieces needs to be fast.
PIECE = 1 << 20
# Of a tar archive.
BLOCK = 512
# What create makes where nothing else is asked for: format 2 of file systems, format 1 of the rest.
DEFAULT_FORM = None

VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,7}(-[A-Za-z0-9._+-]{1,32})?")
VERSION_WORDS = "numbers of at most 9 digits with dots such as 1.4.2, perhaps with - and a suffix such as -rc1"
_BYTES = (re.compile(r"[1-9][0-9]{0,14}"), "a number of bytes: 1 to 15 digits that do not begin with 0")
_SHA256 = (re.compile(r"[0-9a-f]{64}"), "a SHA-256: 64 hexadecimal digits in lower case")
# In the order in which they are written: key, expression, what it expects in words, required. The device judges by the same rules,
# recipes-ota/ota-content/files/src/manifest.c.
KEYS = (
    ("format", re.compile(f"{FORMAT}|{FORMAT_2}"), f"{FORMAT} or {FORMAT_2}", True),
    ("compatible", re.compile(r"[!-~]{1,64}"), "the name of a board: 1 to 64 characters without blanks", True),
    ("version", VERSION, VERSION_WORDS, True),
    (
        "image",
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}"),
        "the name of a file: at most 100 letters, digits and . _ + -, beginning with a letter or digit",
        True,
    ),
    ("image-bytes", *_BYTES, True),
    ("image-sha256", *_SHA256, True),
    ("rootfs-bytes", *_BYTES, False),
    ("rootfs-sha256", *_SHA256, False),
    ("image-type", re.compile("ext4"), "ext4", False),
    ("image-compression", re.compile("zstd-blocks"), "zstd-blocks", False),
    ("index-bytes", *_BYTES, False),
    ("index-sha256", *_SHA256, False),
    ("encryption-cipher", re.compile("aes-256-ctr"), "aes-256-ctr", False),
    ("encryption-nonce", re.compile("[0-9a-f]{16}"), "8 bytes: 16 hexadecimal digits in lower case", False),
    ("encryption-key-sha256", *_SHA256, False),
    (
        "encryption-recipients",
        re.compile(r"(?=(?:.{4}){1,12288}\Z)[A-Za-z0-9+/]+={0,2}"),
        "a CMS EnvelopedData in Base64, at most 48 KiB",
        False,
    ),
    ("description", re.compile(r"[ -~]{1,1000}"), "free text of 1 to 1000 characters", False),
)
# Keys that a manifest of format 2 must have, and one of format 1 must not.
KEYS_2 = ("image-type", "image-compression", "index-bytes", "index-sha256")
# Of images beside the root file system, in format 2 only, in the order of their bytes behind the frames.
FURTHER, FURTHER_LIMIT = "image.", 8
FURTHER_NAME = re.compile("[a-z][a-z0-9-]{0,31}")
FURTHER_NAME_WORDS = "at most 32 lower case letters, digits and -, a letter first"
_FURTHER_VALUE = re.compile("([1-9][0-9]{0,14}) ([0-9a-f]{64})( zstd)?( optional)?")
# All or none of them, and in format 2 only.
KEYS_ENCRYPTION = ("encryption-cipher", "encryption-nonce", "encryption-key-sha256", "encryption-recipients")

# The beginning of the DER form of a public key, which is the same for all keys of a kind, and its length.
_P256 = "301306072a8648ce3d020106082a8648ce3d030107"
_ALGORITHMS = (
    ("302a300506032b6570032100", 44, "ed25519"),
    (f"3059{_P256}03420004", 91, "p256"),
    (f"3039{_P256}03220002", 59, "p256"),
    (f"3039{_P256}03220003", 59, "p256"),
)


class BundleError(Exception):
    """No bundle, or none that can be made; the message says what was expected and what was found."""


class SignatureError(BundleError):
    """The signature is wrong or by nobody who is trusted."""


def form_named(text):
    """The number of a format from a setting; None where nothing is set, which is DEFAULT_FORM."""
    if text in (None, ""):
        return DEFAULT_FORM
    if text not in ("1", "2"):
        raise BundleError(f"format of bundles: expected 1, 2 or nothing, found {text!r}")
    return int(text)


# ---- openssl ---------------------------------------------------------------------------------------------------------


def _openssl(*words, content=None, fails="openssl failed"):
    try:
        done = subprocess.run(["openssl", *map(str, words)], input=content, capture_output=True, check=False)
    except FileNotFoundError:
        raise BundleError("the program openssl is missing; install it (under BitBake: openssl-native)") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise BundleError(f"{fails}: {said[-1] if said else 'openssl does not say why'}")
    return done.stdout


def public_keys(text):
    """(PEM, ed25519 or p256) of each public key in a text that devices accept; what else is in there is passed over."""
    found = []
    for block in re.finditer(r"-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]*)-----END PUBLIC KEY-----", text):
        with contextlib.suppress(ValueError):
            der = base64.b64decode("".join(block[1].split()), validate=True)
            found += [
                (f"{block[0]}\n", name)
                for beginning, length, name in _ALGORITHMS
                if len(der) == length and der.startswith(bytes.fromhex(beginning))
            ]
    return found


def algorithm_of(public_key):
    """ed25519, p256 or None, from the text of a public key in PEM."""
    return next((kind for _, kind in public_keys(public_key)), None)


#: A key that is no file but in a token: its URI begins so (RFC 7512).
TOKEN = "pkcs11:"


def _named(key):
    """A key in words that show no PIN."""
    return re.sub(r"(pin-value=)[^;&]*", r"\1...", str(key))


def _key_words(key, form, name):
    """How openssl is told of a private key: a file, or one in a token, by the engine of Debian's libengine-pkcs11-openssl, which reads
    PKCS11_MODULE_PATH."""
    return ("-engine", "pkcs11", form, "engine", name, key) if str(key).startswith(TOKEN) else (name, key)


def public_key_of(key):
    """The public key of a private key, as PEM text. Raises BundleError for a key that devices would not accept."""
    words = _key_words(key, "-inform", "-in")
    text = _openssl("pkey", *words, "-pubout", fails=f"{_named(key)} is no private key that openssl reads").decode()
    if algorithm_of(text) is None:
        raise BundleError(
            f"{_named(key)}: expected an Ed25519 or P-256 key, found another kind; make one with: ota-bundle keygen"
        )
    return text


def make_key(path, kind="ed25519"):
    """A new private key at path, readable by its owner only, and its public key beside it as .pem. Never replaces one."""
    path = Path(path)
    public = path.with_suffix(".pem")
    for there in (path, public):
        if there.exists():
            raise BundleError(f"{there} exists; keys are never replaced, choose another name")
    options = {
        "ed25519": ("-algorithm", "ed25519"),
        "p256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    }
    if kind not in options:
        raise BundleError(f"kind of key: expected one of {', '.join(options)}, found {kind}")
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = _openssl("genpkey", *options[kind])
    # Beside it and renamed without replacing: of two builds that make it at once, one wins and both use that.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        new = Path(folder, "key")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
            f.write(secret)
        try:
            os.link(new, path)
        except FileExistsError:
            raise BundleError(f"{path} exists; keys are never replaced, choose another name") from None
    write_public_key(path, public)
    return public


def write_public_key(key, public):
    """Writes the public key of a private key file, complete or not at all."""
    new = Path(f"{public}.{os.getpid()}")
    new.write_text(public_key_of(key))
    new.replace(public)


def sign(path, key):
    """The signature over a file: Ed25519, or ECDSA P-256 with SHA-256 in DER, as the key is."""
    if algorithm_of(public_key_of(key)) == "ed25519":
        words = _key_words(key, "-keyform", "-inkey")
        return _openssl("pkeyutl", "-sign", "-rawin", *words, "-in", path, fails=f"cannot sign with {_named(key)}")
    words = _key_words(key, "-keyform", "-sign")
    return _openssl("dgst", "-sha256", *words, path, fails=f"cannot sign with {_named(key)}")


def _made_by(public_key, path, signature, folder):
    key_file, signature_file = Path(folder, "key.pem"), Path(folder, "signature")
    key_file.write_text(public_key)
    signature_file.write_bytes(signature)
    kind = algorithm_of(public_key)
    with contextlib.suppress(BundleError):
        if kind == "ed25519":
            _openssl(
                "pkeyutl", "-verify", "-pubin", "-inkey", key_file, "-rawin", "-in", path, "-sigfile", signature_file
            )
            return True
        if kind == "p256":
            _openssl("dgst", "-sha256", "-verify", key_file, "-signature", signature_file, path)
            return True
    return False


def _files(places, ending):
    """(path, text) of every file of a kind that is named or in a folder that is named."""
    found = []
    for place in map(Path, places):
        files = sorted(place.glob(f"*{ending}")) if place.is_dir() else [place]
        try:
            found += [
                (path, path.read_text(errors="replace"))
                for path in files
                if (path.suffix == ".revoked") == (ending == ".revoked")
            ]
        except OSError as e:
            raise BundleError(f"{e.filename}: {e.strerror}") from None
    return found


def _trusted(places):
    """(path, text) of every PEM file that is named or in a folder that is named."""
    found = _files(places, ".pem")
    if not found:
        raise BundleError(
            f"no public key and no certificate (*.pem) in {', '.join(map(str, places)) or 'what was named: nothing'}"
        )
    return found


def revoked_fingerprints(name, text):
    """{fingerprint: name} of a list of keys and certificates that are trusted no more."""
    found = {}
    for number, line in enumerate(text.split("\n"), 1):
        written = line.partition("#")[0].strip(" \t\r")
        if not written:
            continue
        if not re.fullmatch(r"[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}", written):
            raise SignatureError(
                f"{name} says who is trusted no more, and its line {number} is no fingerprint: expected a SHA-256, 64 hexadecimal digits; "
                "nobody is trusted until it is corrected (ota-bundle fingerprint makes such lines)"
            )
        found[written.replace(":", "").lower()] = str(name)
    return found


def key_fingerprint(public_key):
    """The SHA-256 of a public key (PEM), in the form whose point is not compressed."""
    # Of a key without a point, openssl knows no form.
    form = ["-ec_conv_form", "uncompressed"] if algorithm_of(public_key) == "p256" else []
    der = _openssl("pkey", "-pubin", *form, "-outform", "DER", content=public_key.encode())
    return hashlib.sha256(der).hexdigest()


def _key_of(certificate):
    return _openssl("x509", "-noout", "-pubkey", content=certificate.encode()).decode()


def certificate_fingerprint(certificate):
    """The SHA-256 of a certificate (PEM)."""
    return hashlib.sha256(_openssl("x509", "-outform", "DER", content=certificate.encode())).hexdigest()


def fingerprints(path):
    """(fingerprint, what it is of) of what is in a PEM file: of public keys and certificates, as a list *.revoked has them."""
    text = Path(path).read_text(errors="replace")
    found = [(key_fingerprint(key), f"public key in {path}") for key, _ in public_keys(text)]
    for certificate in _certificates(text):
        subject = _openssl("x509", "-noout", "-subject", content=certificate.encode()).decode().strip()
        found.append((certificate_fingerprint(certificate), f"certificate in {path}: {subject}"))
        found.append((key_fingerprint(_key_of(certificate)), f"key of the certificate in {path}: {subject}"))
    if not found:
        raise BundleError(f"{path}: expected a public key (Ed25519 or P-256) or certificates in PEM, found neither")
    return found


def check_trusted(path):
    """Raises BundleError unless the file is one that a device may trust: a public key of a kind that it accepts, or certificates."""
    text = Path(path).read_text(errors="replace")
    if "PRIVATE KEY-----" in text:
        raise BundleError(f"{path} holds a private key; devices get public keys and certificates only")
    if not _certificates(text) and not public_keys(text):
        raise BundleError(f"{path}: expected a public key (Ed25519 or P-256) or certificates in PEM, found neither")


def _certificates(text):
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", text, re.S)


def _may_sign(certificate):
    for extension, needed in (("keyUsage", "Digital Signature"), ("extendedKeyUsage", "Code Signing")):
        said = _openssl("x509", "-noout", "-ext", extension, content=certificate.encode()).decode()
        # One use is not another whose name holds its name: Microsoft Commercial Code Signing.
        if said.strip() and needed not in (use.strip() for line in said.splitlines()[1:] for use in line.split(",")):
            return False
    return True


_FURTHER = re.compile(r"-----BEGIN OTA SIGNATURE-----\s([A-Za-z0-9+/=\s]*)-----END OTA SIGNATURE-----\n?")


def _signers(signature, chain):
    """(signature, its certificates) of each who signed: further ones stand in the chain, each before its certificates."""
    first, *others = _FURTHER.split(chain)
    found = [(signature, _certificates(first))]
    for text, certificates in zip(others[::2], others[1::2], strict=True):
        with contextlib.suppress(ValueError):
            made = base64.b64decode("".join(text.split()), validate=True)
            if 0 < len(made) <= SIGNATURE_LIMIT:
                found.append((made, _certificates(certificates)))
    if len(found) > SIGNERS_LIMIT:
        raise SignatureError(f"expected at most {SIGNERS_LIMIT} signatures, found {len(found)}")
    return found


def verify_signature(path, signature, chain, trusted):
    """Returns who signed, the path of the key or certificate; raises SignatureError. The rules are those of the device.

    path: what is signed. signature: bytes. chain: PEM text of the signer's certificates, leaf first, and perhaps further signatures; or
    empty.
    trusted: files and folders with public keys and certificates of authorities, PEM, and *.revoked with those that are trusted no more.
    """
    keys, revoked = _trusted(trusted), {}
    for name, text in _files(trusted, ".revoked"):
        revoked |= revoked_fingerprints(name, text)
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        for made, certificates in _signers(signature, chain):
            try:
                return _verified(path, made, certificates, keys, revoked, Path(folder))
            except SignatureError as e:
                problems.append(e)
    raise SignatureError(f"{problems[0]}; so it is with {len(problems) - 1} more") if problems[1:] else problems[0]


def _certificate_revoked(certificate, revoked):
    """The list that says so, or None."""
    return revoked and (
        revoked.get(certificate_fingerprint(certificate)) or revoked.get(key_fingerprint(_key_of(certificate)))
    )


def _verified(path, signature, certificates, keys, revoked, folder):
    """Who made one signature; raises SignatureError."""
    for name, text in keys:
        for key, _ in public_keys(text):
            if _made_by(key, path, signature, folder):
                if by := revoked and revoked.get(key_fingerprint(key)):
                    raise SignatureError(f"the signature is by the key in {name}, which is trusted no more, says {by}")
                return str(name)
    if not certificates:
        raise SignatureError("the signature is by none of the public keys, and no certificate came with it")
    lists = [_certificate_revoked(certificate, revoked) for certificate in certificates]
    if lists[0]:
        raise SignatureError(f"the certificate of the signer is trusted no more, says {lists[0]}")
    leaf, others = folder / "leaf.pem", folder / "others.pem"
    rest = [certificate for certificate, by in zip(certificates, lists, strict=True) if not by][1:]
    leaf.write_text(certificates[0])
    others.write_text("".join(rest))
    if not _made_by(_openssl("x509", "-in", leaf, "-noout", "-pubkey").decode(), path, signature, folder):
        raise SignatureError(
            "the signature is neither by a public key nor by the certificate that came with it (Ed25519 or P-256)"
        )
    if not _may_sign(certificates[0]):
        raise SignatureError("the certificate of the signer is not for signing code")
    anchors = folder / "anchors.pem"
    complaints = [f"one is trusted no more, says {by}" for by in lists if by]
    for name, text in keys:
        good = [certificate for certificate in _certificates(text) if not _certificate_revoked(certificate, revoked)]
        if not good:
            continue
        anchors.write_text("".join(good))
        try:
            # Level 2: no RSA below 2048 bits, no MD5, no SHA-1.
            _openssl(
                "verify",
                "-auth_level",
                "2",
                "-no_check_time",
                "-no-CApath",
                "-no-CAstore",
                "-partial_chain",
                "-CAfile",
                anchors,
                *(["-untrusted", others] if rest else []),
                leaf,
                fails=str(name),
            )
            return str(name)
        except BundleError as e:
            complaints.append(str(e))
    raise SignatureError(
        "the certificate of the signer leads to none of the certificates that are trusted, with keys and hashes of "
        f"security level 2 (RSA of 2048 bits or more, SHA-256 or better): {'; '.join(complaints) or 'there are none'}"
    )


# ---- images ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def decompressed(path):
    """The image as a stream without its compression, which is recognised by content."""
    with open(path, "rb") as f:
        first = f.read(6)
    if first[:4] == b"\x28\xb5\x2f\xfd":
        try:
            # As standard input, because zstd passes over symbolic links, which a deploy folder is full of.
            with open(path, "rb") as f:
                process = subprocess.Popen(
                    ["zstd", "-d", "-c", "-q"], stdin=f, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                )
        except FileNotFoundError:
            raise BundleError(f"{path} is compressed with zstd and the program zstd is missing") from None
        with process:
            yield process.stdout
            # Whoever wanted only the beginning does not care how the rest would have been.
            if process.stdout.read(1):
                process.kill()
                return
            said = process.stderr.read().decode(errors="replace").strip()
        if process.returncode:
            raise BundleError(f"{path} does not decompress: {said}")
        return
    opened = (
        gzip.open(path) if first[:2] == b"\x1f\x8b" else lzma.open(path) if first == b"\xfd7zXZ\0" else open(path, "rb")
    )
    try:
        with opened as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError) as e:
        raise BundleError(f"{path} does not decompress: {e}") from None


def _hash(stream):
    digest, size = hashlib.sha256(), 0
    while piece := stream.read(PIECE):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def _is_file_system(path):
    """Whether an image is an ext4 file system; else it is a tar archive, a squashfs or an EROFS."""
    with decompressed(path) as stream:
        head = stream.read(4096)
    if head[1080:1082] == b"\x53\xef":
        return True
    if head[257:262] != b"ustar" and head[:4] != b"hsqs" and head[1024:1028] != b"\xe2\xe1\xf5\xe0":
        raise BundleError(
            f"{path} is neither an ext4 file system, a tar archive, a squashfs nor an EROFS; sysupgrade would refuse it"
        )
    return False


def describe_image(path):
    """The manifest's lines about an image: size and hash, for a file system also those of its uncompressed form."""
    path = Path(path)
    with open(path, "rb") as f:
        size, digest = _hash(f)
    found = {"image": path.name, "image-bytes": str(size), "image-sha256": digest}
    if size == 0:
        raise BundleError(f"{path} is empty")
    if size >= IMAGE_LIMIT:
        raise BundleError(f"{path} has {size} bytes; an image in a bundle has less than {IMAGE_LIMIT}")
    if _is_file_system(path):
        with decompressed(path) as stream:
            size, digest = _hash(stream)
        found.update({"rootfs-bytes": str(size), "rootfs-sha256": digest})
    return found


def _looked_into(path, folder):
    """Lines of the manifest about what is in a file system, by which a device refuses it sooner, or need not look itself: whether e2fsck
    finds nothing to mend, and where the system expects the U-Boot environment. Without the programs of e2fsprogs none."""
    places = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    e2fsck, debugfs = (shutil.which(name, path=places) for name in ("e2fsck", "debugfs"))
    if not e2fsck or not debugfs:
        return {}
    plain = path
    with decompressed(path) as stream:
        if not isinstance(stream, io.BufferedReader) or stream.name != path:
            plain = Path(folder, "rootfs")
            with open(plain, "wb") as f:
                while piece := stream.read(PIECE):
                    if piece.strip(b"\0"):
                        f.write(piece)
                    else:
                        f.seek(len(piece), os.SEEK_CUR)
                f.truncate()

    def run(*words):
        return subprocess.run([*words, str(plain)], stdin=subprocess.DEVNULL, capture_output=True, check=False)

    if run(e2fsck, "-fn").returncode:
        return {}

    def content(name):
        """Empty when it is not there, None when it is something else than a file, such as a link."""
        said = run(debugfs, "-R", f"stat {name}")
        if not said.stdout:
            return ""
        is_file = b"Type: regular" in said.stdout
        return run(debugfs, "-R", f"cat {name}").stdout.decode("latin-1") if is_file else None

    return {CHECKED: "yes", **_environment_line(content("/etc/fw_env.config"), content("/etc/otamgr/sysupgrade.conf"))}


def _environment_line(config, settings):
    """What fw_env.config says, in one line, as far as a line can say it. A system whose settings name a device as right is asked itself."""
    if config is None or settings is None:
        return {}
    lines = [line.rstrip() for line in config.replace("\t", " ").splitlines()]
    lines = [line for line in lines if line and not line.lstrip().startswith("#")]
    text = ";".join(lines)
    plain = re.fullmatch("[ -~]{1,1000}", text) and text.count(";") == len(lines) - 1
    return {ENVIRONMENT: text} if plain and "ENV_DEVICE" not in settings else {}


# ---- the content engine ----------------------------------------------------------------------------------------------


def content_engine():
    """The program ota-content: what OTA_CONTENT names, what is on the PATH, or what a checkout builds for itself."""
    named = os.environ.get("OTA_CONTENT") or shutil.which("ota-content")
    if named:
        return named
    checkout = Path(__file__).resolve().parents[2]
    sources, folder = checkout / "recipes-ota/ota-content/files", checkout / "build/ota-content-host"
    wanted = "the program ota-content is not on the PATH"
    if not (sources / "Makefile").exists():
        raise BundleError(f"{wanted} (under BitBake: ota-content-native), and its sources are not at {sources}")
    if lacking := [program for program in ("make", "cc") if not shutil.which(program)]:
        raise BundleError(
            f"{wanted}, and cannot be built from {sources} without {' and '.join(lacking)} (Debian: build-essential)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # make takes no names with blanks; from the sources to the build there are none, wherever the checkout is.
        done = subprocess.run(
            ["make", "-s", "-C", str(sources), f"B={os.path.relpath(folder, sources)}", "WERROR="],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        said = next(
            (line for line in done.stderr.splitlines() if "error" in line),
            done.stderr.strip() or "make does not say why",
        )
        raise BundleError(
            f"{wanted}, and building it from {sources} failed: {said} "
            "(Debian: libssl-dev libzstd-dev zlib1g-dev liblzma-dev)"
        )
    return str(folder / "ota-content")


def _indexed(path, index, payload, level):
    """Writes the block index and the payload of a file system; returns the manifest's lines about them."""
    with contextlib.ExitStack() as opened:
        stream = opened.enter_context(decompressed(path))
        words = [
            content_engine(),
            "index",
            "--index",
            index,
            "--payload",
            payload,
            *(["--level", str(level)] if level else []),
        ]
        # What has a descriptor needs no help.
        direct = isinstance(stream, io.BufferedReader)
        try:
            maker = subprocess.Popen(
                [str(word) for word in words],
                stdin=stream if direct else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as e:
            raise BundleError(f"the program {words[0]} cannot be run: {e.strerror}") from None
        with maker:
            if not direct:
                with contextlib.suppress(BrokenPipeError), maker.stdin:
                    shutil.copyfileobj(stream, maker.stdin, PIECE)
            made, said = maker.stdout.read(), maker.stderr.read()
        if maker.returncode:
            raise BundleError(f"{path}: {said.decode(errors='replace').strip().removeprefix('ota-content: ')}")
    facts = dict(line.split("=", 1) for line in made.decode().splitlines())
    name = re.sub(r"\.(gz|xz|zst)$", "", Path(path).name) + ".blocks"
    return {
        "image": name,
        "image-bytes": facts["image_bytes"],
        "image-sha256": facts["image_sha256"],
        "rootfs-bytes": facts["rootfs_bytes"],
        "rootfs-sha256": facts["rootfs_sha256"],
        "image-type": "ext4",
        "image-compression": "zstd-blocks",
        "index-bytes": facts["index_bytes"],
        "index-sha256": facts["index_sha256"],
    }


# ---- manifests -------------------------------------------------------------------------------------------------------


def manifest_text(values):
    """The manifest with these values, checked. Keys that begin with x- are anybody's."""
    for key, value in values.items():
        if not re.fullmatch(r"[ -~]*", f"{key}={value}"):
            raise BundleError(f"the manifest's {key}: expected one line of printable ASCII, found {value!r}")
    lines = [f"{key}={values[key]}\n" for key, *_ in KEYS if values.get(key)]
    known = {key for key, *_ in KEYS}
    furthers = [key for key in values if key.startswith(FURTHER)]
    others = sorted(key for key in values if key not in known and key not in furthers)
    lines += [f"{key}={values[key]}\n" for key in (*furthers, *others)]
    text = "".join(lines)
    parse_manifest(text.encode("ascii"))
    return text


def parse_manifest(content):
    """The values of a manifest. Raises BundleError where a device would refuse it."""
    if len(content) > MANIFEST_LIMIT:
        raise BundleError(f"the manifest has {len(content)} bytes, expected at most {MANIFEST_LIMIT}")
    if not re.fullmatch(rb"([ -~]+\n)+", content):
        raise BundleError(
            "the manifest is no text: expected lines KEY=VALUE of printable ASCII, each ended by a newline"
        )
    values = {}
    known = {key: (expression, words) for key, expression, words, _ in KEYS}
    for line in content.decode("ascii").splitlines():
        key, equals, value = line.partition("=")
        if equals and key.startswith(FURTHER):
            if not FURTHER_NAME.fullmatch(key.removeprefix(FURTHER)):
                raise BundleError(f"the manifest has the key '{key}', expected {FURTHER}NAME of {FURTHER_NAME_WORDS}")
            if not _FURTHER_VALUE.fullmatch(value):
                raise BundleError(
                    f"the manifest has {key} '{value}', expected BYTES SHA256, then perhaps zstd, then perhaps optional"
                )
        elif not equals or (key not in known and not re.fullmatch(r"x-.+", key)):
            raise BundleError(f"the manifest has a line that is not known: '{line}' (keys of your own begin with x-)")
        if key in values:
            raise BundleError(f"the manifest has the key {key} twice")
        if key in known and not known[key][0].fullmatch(value):
            why = f": {_version_problem(value)}" if key == "version" else ""
            raise BundleError(f"the manifest has {key} '{value}', expected {known[key][1]}{why}")
        values[key] = value
    missing = [key for key, *_, required in KEYS if required and key not in values]
    furthers = further_images(values)
    if len(furthers) > FURTHER_LIMIT:
        raise BundleError(f"the manifest speaks of more than {FURTHER_LIMIT} further images")
    if values.get("format") == FORMAT_2:
        missing += [key for key in (*KEYS_2, "rootfs-bytes", "rootfs-sha256") if key not in values]
        if any(key in values for key in KEYS_ENCRYPTION):
            missing += [key for key in KEYS_ENCRYPTION if key not in values]
        if "image-bytes" in values and further_bytes(values) >= int(values["image-bytes"]):
            raise BundleError(
                f"the manifest has further images in a payload of {values['image-bytes']} bytes that are larger"
            )
    elif foreign := [
        key for key in (*KEYS_2, *KEYS_ENCRYPTION, *(FURTHER + one.name for one in furthers)) if key in values
    ]:
        raise BundleError(f"the manifest of format 1 has the key {foreign[0]} of format 2")
    elif ("rootfs-bytes" in values) != ("rootfs-sha256" in values):
        missing.append("rootfs-bytes and rootfs-sha256, both or none")
    if missing:
        raise BundleError(f"the manifest lacks {', '.join(missing)}")
    return values


class FurtherImage(typing.NamedTuple):
    """An image beside the root file system, as the manifest speaks of it."""

    name: str
    bytes: int
    sha256: str
    is_compressed: bool
    is_optional: bool


def further_images(values):
    """The further images that a manifest's values speak of, in the order of their bytes."""
    found = []
    for key, value in values.items():
        if key.startswith(FURTHER):
            size, digest, compressed, optional = _FURTHER_VALUE.fullmatch(value).groups()
            found.append(FurtherImage(key.removeprefix(FURTHER), int(size), digest, bool(compressed), bool(optional)))
    return found


def further_bytes(values):
    """How many bytes further images have at the end of the payload."""
    return sum(one.bytes for one in further_images(values))


def further_named(text):
    """NAME=FILE or NAME=FILE,optional: (name, file, whether it is optional)."""
    name, _, path = text.partition("=")
    path, comma, word = path.rpartition(",") if text.endswith(",optional") else (path, "", "")
    if not FURTHER_NAME.fullmatch(name) or not path:
        raise BundleError(
            f"a further image: expected NAME=FILE or NAME=FILE,optional, a NAME of {FURTHER_NAME_WORDS}; found {text}"
        )
    return name, Path(path), bool(word)


def _further_placed(payload, images):
    """Puts further images behind the frames; returns the manifest's lines about them."""
    lines = {}
    with open(payload, "ab") as out:
        for name, path, is_optional in images:
            if FURTHER + name in lines:
                raise BundleError(f"the further image {name} is named twice")
            size = path.stat().st_size
            if size == 0:
                raise BundleError(f"{path} is empty")
            with open(path, "rb") as given, tempfile.TemporaryFile(dir=payload.parent) as packed:
                try:
                    done = subprocess.run(
                        ["zstd", "-q", "-15", "-c"], stdin=given, stdout=packed, stderr=subprocess.PIPE, check=False
                    )
                except FileNotFoundError:
                    raise BundleError(
                        "further images are compressed with zstd, and the program zstd is missing"
                    ) from None
                if done.returncode:
                    raise BundleError(f"{path} cannot be compressed: {done.stderr.decode(errors='replace').strip()}")
                # What is compressed already stays as it is.
                pays = packed.seek(0, os.SEEK_END) < size
                chosen = packed if pays else given
                chosen.seek(0)
                begin = out.tell()
                digest = hashlib.sha256()
                while piece := chosen.read(PIECE):
                    digest.update(piece)
                    out.write(piece)
            words = [
                str(out.tell() - begin),
                digest.hexdigest(),
                *(["zstd"] if pays else []),
                *(["optional"] if is_optional else []),
            ]
            lines[FURTHER + name] = " ".join(words)
    return lines


def _version_problem(version):
    """What is wrong with a version that is none, in words."""
    if not version:
        return "it is empty"
    numbers, dash, suffix = version.partition("-")
    for count, number in enumerate(numbers.split(".")):
        digits = re.match("[0-9]*", number)[0]
        if not digits:
            return "a number is missing after a dot" if count else f"it begins with '{version[0]}'"
        if len(digits) > 9:
            return f"one of its numbers has {len(digits)} digits"
        if count == 8:
            return "it has more than 8 numbers"
        if digits != number:
            return f"it has '{number[len(digits)]}' without - before it"
    if dash and not 1 <= len(suffix) <= 32:
        return f"its suffix has {len(suffix)} characters, at most 32 and at least one may follow the -"
    return f"its suffix holds '{re.search('[^A-Za-z0-9._+-]', suffix)[0]}'"


def version_key(version):
    """For comparing versions: number by number, a missing one is 0; the suffix does not count."""
    if not VERSION.fullmatch(version):
        raise BundleError(f"version: expected {VERSION_WORDS}, found '{version}': {_version_problem(version)}")
    numbers = [int(number) for number in version.partition("-")[0].split(".")]
    return tuple(numbers + [0] * (8 - len(numbers)))


# ---- bundles ---------------------------------------------------------------------------------------------------------


def _header(name, size):
    info = tarfile.TarInfo(name)
    # Nothing of the machine or of the hour: the same image and key give the same bytes (with Ed25519; ECDSA draws a number).
    info.mtime = info.uid = info.gid = 0
    info.mode = 0o644
    info.size = size if size < IMAGE_LIMIT else 0
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    if size >= IMAGE_LIMIT:
        header[124:136] = b"\x80" + size.to_bytes(11, "big")
        header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * 32)
    return bytes(header)


def _assembled(output, members):
    """Writes a bundle of (name, bytes or path of a file)."""
    with open(output, "wb") as archive:
        for name, member in members:
            size = len(member) if isinstance(member, bytes) else Path(member).stat().st_size
            archive.write(_header(name, size))
            with io.BytesIO(member) if isinstance(member, bytes) else open(member, "rb") as content:
                shutil.copyfileobj(content, archive, PIECE)
            archive.write(bytes(-size % BLOCK))
        archive.write(bytes(2 * BLOCK))
        archive.write(bytes(-archive.tell() % tarfile.RECORDSIZE))


def _chain(certificates):
    """The certificates of a file as they come into a bundle; nothing where none are named."""
    if not certificates:
        return b""
    chain = "".join(_certificates(Path(certificates).read_text())).encode()
    if not 0 < len(chain) <= CHAIN_LIMIT:
        raise BundleError(
            f"{certificates}: expected PEM certificates of at most {CHAIN_LIMIT} bytes, found {len(chain)}"
        )
    return chain


def _signed(manifest, key, chain, certificates):
    """The signature over a manifest, a file, by a key to which the chain belongs."""
    signature = sign(manifest, key)
    if chain and not _made_by(
        _openssl("x509", "-noout", "-pubkey", content=chain).decode(), manifest, signature, manifest.parent
    ):
        raise BundleError(f"the first certificate in {certificates} is not that of the key {_named(key)}")
    return signature


def _with_signature(chain, signature, certificates):
    """A member manifest.crt with one more signature, and the certificates of whoever made it."""
    lines = base64.encodebytes(signature).decode()
    more = chain + f"-----BEGIN OTA SIGNATURE-----\n{lines}-----END OTA SIGNATURE-----\n".encode() + certificates
    if len(more) > CHAIN_LIMIT:
        raise BundleError(f"certificates and signatures have {len(more)} bytes, expected at most {CHAIN_LIMIT}")
    if more.count(b"-----BEGIN OTA SIGNATURE-----") >= SIGNERS_LIMIT:
        raise BundleError(f"expected at most {SIGNERS_LIMIT} signatures in a bundle, found one more")
    return more


def sign_again(path, output, key, certificates=None, trusted=(), add=False):
    """A bundle with the signature of another key in place of its own: what one machine made and another one, which has the key, releases.
    add: beside those that it has, so that devices take it that trust any of them. Nothing else changes. trusted: who has to have signed it
    before. Returns the values of its manifest."""
    path, output = Path(path), Path(output)
    chain = _chain(certificates)
    new = output.with_name(f"{output.name}.{os.getpid()}.new")
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as name, open_bundle(path) as opened:
        folder = Path(name)
        if trusted:
            opened.signed_by(trusted)
        opened.check_image()
        manifest, payload = folder / MANIFEST, folder / "payload"
        manifest.write_bytes(opened.manifest)
        signature = _signed(manifest, key, chain, certificates)
        if add:
            chain, signature = _with_signature(opened.chain.encode(), signature, chain), opened.signature
        members = [(MANIFEST, opened.manifest), (SIGNATURE, signature), *([(CHAIN, chain)] if chain else [])]
        if opened.values()["format"] == FORMAT_2:
            opened.copy_index(folder / INDEX)
            members.append((INDEX, folder / INDEX))
        with open(payload, "wb") as out:
            opened.copy_image(out)
        try:
            _assembled(new, [*members, (opened.image, payload)])
            with open_bundle(new) as made:
                made.check_image()
            new.replace(output)
        finally:
            new.unlink(missing_ok=True)
        return opened.values()


def _ciphered(source, target, key):
    """Encrypts a payload, or decrypts it: key has 40 bytes, key and nonce, in a file, as a command line is seen by everybody."""
    with open(source, "rb") as given, open(target, "wb") as out:
        done = subprocess.run(
            [content_engine(), "cipher", str(key)], stdin=given, stdout=out, stderr=subprocess.PIPE, check=False
        )
    if done.returncode:
        raise BundleError(f"the payload cannot be encrypted: {done.stderr.decode(errors='replace').strip()}")


def _private(path, content):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
        f.write(content)


def _recipients(key, certificates, shared):
    """The content key, a file with key and nonce, for everybody who has the private key of one of these certificates or
    one of the shared keys, files: CMS EnvelopedData in Base64."""
    words = []
    for certificate in certificates:
        found = _certificates(Path(certificate).read_text(errors="replace"))
        if not found:
            raise BundleError(f"{certificate}: expected the certificate of a recipient in PEM, found none")
        said = _openssl("x509", "-noout", "-text", content=found[0].encode()).decode()
        if not re.search("Public Key Algorithm: (rsaEncryption|id-ecPublicKey)", said):
            raise BundleError(
                f"{certificate}: expected a certificate with a key of RSA or of an elliptic curve, found another one"
            )
        words.append(certificate)
    for file in shared:
        # The key is in none of the words, which a command line shows to everybody.
        if not re.fullmatch(r"[0-9a-f]{64}\n?", Path(file).read_text(errors="replace")):
            raise BundleError(
                f"{file}: expected a shared key, 64 hexadecimal digits in lower case (openssl rand -hex 32), found none"
            )
        words += ["--shared", file]
    done = subprocess.run([content_engine(), "wrap", str(key), *map(str, words)], capture_output=True, check=False)
    if done.returncode:
        raise BundleError(f"the key cannot be encrypted: {done.stderr.decode(errors='replace').strip()}")
    return base64.b64encode(done.stdout).decode()


def encrypt(path, output, key, certificates, recipients, trusted=(), shared=()):
    """A bundle of format 2 whose frames are encrypted for those who have the key of one of the recipients' certificates,
    or one of the shared keys, files. As its manifest is another one, it is signed by `key`, which has these certificates.
    trusted: who has to have signed the plain one. Returns the values of its manifest."""
    path, output = Path(path), Path(output)
    chain = _chain(certificates)
    new = output.with_name(f"{output.name}.{os.getpid()}.new")
    if not recipients and not shared:
        raise BundleError("expected at least one recipient's certificate or shared key, found none")
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as name, open_bundle(path) as opened:
        folder = Path(name)
        if trusted:
            opened.signed_by(trusted)
        opened.check_image()
        values = opened.values()
        if values["format"] != FORMAT_2 or "encryption-cipher" in values:
            raise BundleError(f"{path}: expected a bundle of format 2 that is not encrypted, found another one")
        plain, payload, manifest = folder / "plain", folder / "payload", folder / MANIFEST
        with open(plain, "wb") as out:
            opened.copy_image(out)
        # Drawn for this payload only: no other bytes are ever encrypted with them.
        secret, nonce = os.urandom(32), os.urandom(8)
        _private(folder / "content-key", secret + nonce)
        _ciphered(plain, payload, folder / "content-key")
        plain.unlink()
        with open(payload, "rb") as f:
            _, digest = _hash(f)
        values |= {
            "image-sha256": digest,
            "encryption-cipher": "aes-256-ctr",
            "encryption-nonce": nonce.hex(),
            "encryption-key-sha256": hashlib.sha256(secret).hexdigest(),
            "encryption-recipients": _recipients(folder / "content-key", recipients, shared),
        }
        content = manifest_text(values).encode()
        manifest.write_bytes(content)
        signature = _signed(manifest, key, chain, certificates)
        opened.copy_index(folder / INDEX)
        try:
            _assembled(
                new,
                [
                    (MANIFEST, content),
                    (SIGNATURE, signature),
                    *([(CHAIN, chain)] if chain else []),
                    (INDEX, folder / INDEX),
                    (opened.image, payload),
                ],
            )
            with open_bundle(new) as made:
                made.check_image()
            new.replace(output)
        finally:
            new.unlink(missing_ok=True)
        return parse_manifest(content)


def create(
    output,
    image,
    key,
    compatible,
    version,
    certificates=None,
    description="",
    extra=None,
    form=DEFAULT_FORM,
    level=None,
    judge=None,
    also=(),
    images=(),
):
    """Makes the signed bundle of an image; complete when it is there. Returns the values of its manifest.

    certificates: a PEM file, the chain of the key, leaf first. extra: more manifest lines, keys that begin with x-. form: 1, 2, or None:
    2 for file systems and 1 for the rest. level: of zstd, for format 2; None is the maker's. judge: is called with the bundle's path
    before it is in its place, and raises BundleError to keep it from there (judge.as_device). also: further private keys that sign it.
    images: (name, path, is_optional) of images beside the root file system, for format 2.
    """
    output, image = Path(output), Path(image)
    if image.name.startswith(MANIFEST) or image.name == INDEX:
        raise BundleError(f"{image.name}: the name of an image must not begin with {MANIFEST}, and not be {INDEX}")
    if form not in (None, 1, 2):
        raise BundleError(f"format: expected 1 or 2, found {form}")
    if image.stat().st_size == 0:
        raise BundleError(f"{image} is empty")
    is_file_system = _is_file_system(image)
    if form == 2 and not is_file_system:
        raise BundleError(f"{image}: bundles of format 2 hold ext4 file systems; make this one with --format 1")
    if images and (form == 1 or not is_file_system):
        raise BundleError(f"{image}: only bundles of format 2, of an ext4 file system, hold further images")
    if len(images) > FURTHER_LIMIT:
        raise BundleError(f"expected at most {FURTHER_LIMIT} further images, found {len(images)}")
    chain = _chain(certificates)
    # Before hours of compressing.
    for signer in (key, *also):
        public_key_of(signer)
    new = output.with_name(f"{output.name}.{os.getpid()}.new")
    # Beside the bundle: as large as it.
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        if form != 1 and is_file_system:
            index, payload = Path(folder, INDEX), Path(folder, "payload")
            found = {"format": FORMAT_2, **_indexed(image, index, payload, level)}
            if images:
                found |= _further_placed(payload, images)
                with open(payload, "rb") as f:
                    size, digest = _hash(f)
                found |= {"image-bytes": str(size), "image-sha256": digest}
            members = [(INDEX, index), (found["image"], payload)]
        else:
            found = {"format": FORMAT, **describe_image(image)}
            members = [(image.name, image)]
        looked = _looked_into(image, folder) if is_file_system else {}
        values = {
            **found,
            "compatible": compatible,
            "version": version,
            "description": description,
            **looked,
            **(extra or {}),
        }
        content = manifest_text(values).encode()
        manifest = Path(folder, MANIFEST)
        manifest.write_bytes(content)
        signature = _signed(manifest, key, chain, certificates)
        for further in also:
            chain = _with_signature(chain, sign(manifest, further), b"")
        try:
            _assembled(
                new, [(MANIFEST, content), (SIGNATURE, signature), *([(CHAIN, chain)] if chain else []), *members]
            )
            # What was signed was read before: it must still be what is in there.
            with open_bundle(new) as bundle:
                bundle.check_image()
            if judge:
                judge(new)
            new.replace(output)
        finally:
            new.unlink(missing_ok=True)
    return parse_manifest(content)


_LAYOUT = f"expected {MANIFEST}, {SIGNATURE}, perhaps {CHAIN}, perhaps {INDEX}, and an image"


class _Found(typing.NamedTuple):
    """A member of a bundle."""

    name: str
    at: int
    size: int

    @property
    def next(self):
        return self.at + -(-self.size // BLOCK) * BLOCK


def _octal(field):
    """A number in a tar header: octal digits, perhaps after blanks, ended by NUL or blank or the end of the field; or None."""
    match = re.fullmatch(rb" *([0-7]+)[\0 ]*", field)
    return int(match[1], 8) if match else None


def _size(field):
    if field[0] != 0x80:
        return _octal(field)
    # 8 GiB and more do not fit into octal digits.
    size = int.from_bytes(field[1:], "big")
    return size if size >= 8 << 30 else None


class Bundle:
    """An open bundle: manifest (bytes), signature (bytes), chain (PEM text), image (name) and image_bytes.

    As strict as the device, recipes-ota/ota-content/files/src/bundle.c; the module tarfile takes signs and more for a size.
    """

    def __init__(self, file, path):
        self._file, self.path = file, path
        self._length = file.seek(0, os.SEEK_END)
        member = self._named(0, MANIFEST)
        self.manifest = self._content(member, MANIFEST_LIMIT)
        member = self._named(member.next, SIGNATURE)
        self.signature = self._content(member, SIGNATURE_LIMIT)
        member = self._member(member.next, "an image")
        self.chain = ""
        if member.name == CHAIN:
            self.chain = self._content(member, CHAIN_LIMIT).decode("ascii", "replace")
            member = self._member(member.next, "an image")
        self._index = None
        if member.name == INDEX:
            if not 0 < member.size <= INDEX_LIMIT:
                raise BundleError(f"{path}: {INDEX} has {member.size} bytes, expected 1 to {INDEX_LIMIT}")
            self._index = member
            member = self._member(member.next, "an image")
        if member.name in (MANIFEST, SIGNATURE, CHAIN, INDEX):
            raise BundleError(
                f"{path} is no bundle, or a damaged one: {_LAYOUT}; found {member.name} where the image should be"
            )
        self._image = member
        self.image, self.image_bytes = member.name, member.size
        if member.size == 0:
            raise BundleError(f"{path}: the image {member.name} is empty")
        if self._length < member.next + 2 * BLOCK:
            raise BundleError(f"{path} is cut off: {self._length} bytes, {member.name} needs {member.next + 2 * BLOCK}")
        if self._bytes(member.next, 2 * BLOCK).strip(b"\0"):
            raise BundleError(f"{path}: holds more than one image, something follows {member.name}")

    def _bytes(self, at, count):
        self._file.seek(at)
        return self._file.read(count)

    def _member(self, at, wanted):
        header = self._bytes(at, BLOCK)
        if len(header) < BLOCK:
            raise BundleError(
                f"{self.path} is no bundle, or a damaged one: {_LAYOUT}; it ends where {wanted} should be"
            )
        name = re.match(rb"[^\0]{0,100}", header)[0].decode("ascii", "replace")
        size = _size(header[124:136])
        if header[257:262] != b"ustar" or _octal(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * 32:
            problem = "is no header of an archive, or its checksum is wrong"
        elif header[156:157] not in (b"0", b"\0"):
            problem = "is no plain file"
        elif header[345] or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
            problem = "has a name that members of a bundle do not have"
        elif size is None or size > 999999999999999:
            problem = "has a size that is no number, or not written as tar does"
        else:
            return _Found(name, at + BLOCK, size)
        raise BundleError(
            f"{self.path} is no bundle, or a damaged one: {_LAYOUT}; where {wanted} should be, at byte {at}, "
            f"what is there {problem}"
        )

    def _named(self, at, name):
        member = self._member(at, name)
        if member.name != name:
            raise BundleError(
                f"{self.path} is no bundle, or a damaged one: {_LAYOUT}; found {member.name} where {name} should be"
            )
        return member

    def _content(self, member, limit):
        if not 0 < member.size <= limit:
            raise BundleError(f"{self.path}: {member.name} has {member.size} bytes, expected 1 to {limit}")
        content = self._bytes(member.at, member.size)
        if len(content) < member.size:
            raise BundleError(f"{self.path} ends within its member {member.name}")
        return content

    def _pieces(self, member):
        """The bytes of a member, piece by piece."""
        self._file.seek(member.at)
        left = member.size
        while left and (piece := self._file.read(min(PIECE, left))):
            left -= len(piece)
            yield piece
        if left:
            raise BundleError(f"{self.path} ends within its member {member.name}")

    def _sha256(self, member):
        digest = hashlib.sha256()
        for piece in self._pieces(member):
            digest.update(piece)
        return digest.hexdigest()

    def values(self):
        """The values of the manifest; not verified."""
        return parse_manifest(self.manifest)

    def signed_by(self, trusted):
        """Who signed the manifest; raises SignatureError."""
        with tempfile.TemporaryDirectory() as folder:
            manifest = Path(folder, MANIFEST)
            manifest.write_bytes(self.manifest)
            return verify_signature(manifest, self.signature, self.chain, trusted)

    def check_image(self):
        """Raises BundleError unless image and index are those that the manifest speaks of."""
        values = self.values()
        found = {"image": self.image, "image-bytes": str(self.image_bytes), "image-sha256": self._sha256(self._image)}
        if self._index is not None:
            found |= {"index-bytes": str(self._index.size), "index-sha256": self._sha256(self._index)}
        elif values["format"] == FORMAT_2:
            raise BundleError(
                f"{self.path}: the manifest speaks of an index of {values['index-bytes']} bytes, the bundle has none"
            )
        for key, value in found.items():
            if values.get(key) != value:
                raise BundleError(f"{self.path}: the manifest has {key} {values.get(key)}, the bundle {value}")
        self._check_further_images(values)

    def _check_further_images(self, values):
        """Those that are encrypted are covered by the hash of the whole payload only."""
        if "encryption-cipher" in values:
            return
        furthers = further_images(values)
        at = self._image.at + self._image.size - further_bytes(values)
        for one in furthers:
            found = self._sha256(_Found(one.name, at, one.bytes))
            if found != one.sha256:
                raise BundleError(f"{self.path}: the manifest has {FURTHER}{one.name} {one.sha256}, the bundle {found}")
            at += one.bytes

    @property
    def image_offset(self):
        """Where the image begins in the bundle."""
        return self._image.at

    def copy_index(self, path):
        """Writes the block index of a bundle of format 2 into a file."""
        with open(path, "wb") as output:
            for piece in self._pieces(self._index):
                output.write(piece)

    def copy_image(self, output):
        """Writes the image into an open file; that of a bundle of format 2 as its frames."""
        for piece in self._pieces(self._image):
            output.write(piece)


@contextlib.contextmanager
def open_bundle(path):
    """Opens a bundle. Raises BundleError for what is none."""
    with open(path, "rb") as file:
        yield Bundle(file, path)
