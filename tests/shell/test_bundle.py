# SPDX-License-Identifier: MIT
"""Signed bundles: who is trusted, what is refused, and what an update from a bundle leaves behind."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from board import HEADER, SLOT, executable, run, tree
from promises import equal, promise, true
from test_failures import PLACES, refused, slow_board
from test_ota_slot import on_trial
from test_sysupgrade import ADDED, file_system_bytes

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))
from otamgr import bundle as host  # noqa: E402

BOARD_NAME = "acme,board-7"


class Keys:
    """Key pairs and certificates, made when they are first asked for."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def private(self, name, kind="ed25519"):
        path = self.folder / f"{name}.key"
        if not path.exists():
            host.make_key(path, kind)
        return path

    def public(self, name, kind="ed25519"):
        return self.private(name, kind).with_suffix(".pem").read_text()

    def authority(self, name, *extensions, issuer=None, expired=False):
        """A certificate by that name, signed by itself or by the issuer. The key is P-256; extensions such as basicConstraints=CA:FALSE."""
        certificate = self.folder / f"{name}.crt"
        if not certificate.exists():
            options = [
                word
                for extension in extensions or ("basicConstraints=critical,CA:TRUE",)
                for word in ("-addext", extension)
            ]
            config, request, issued = (self.folder / part for part in ("ca.conf", "request", "issued"))
            run(
                "openssl",
                "req",
                "-new",
                "-key",
                self.private(name, "p256"),
                "-subj",
                f"/CN={name}",
                "-out",
                request,
                *options,
            )
            shutil.rmtree(issued, ignore_errors=True)
            issued.mkdir()
            (issued / "index").touch()
            config.write_text(
                f"[ca]\ndefault_ca=us\n[us]\ndatabase={issued}/index\nnew_certs_dir={issued}\nrand_serial=yes\ndefault_md=sha256\n"
                "copy_extensions=copy\npolicy=any\n[any]\ncommonName=supplied\n"
            )
            signer = ["-selfsign"] if issuer is None else ["-cert", self.folder / f"{issuer}.crt"]
            run(
                "openssl",
                "ca",
                "-batch",
                "-config",
                config,
                "-notext",
                "-in",
                request,
                "-out",
                certificate,
                *signer,
                "-keyfile",
                self.private(issuer or name, "p256"),
                "-startdate",
                "20200101000000Z",
                "-enddate",
                "20200201000000Z" if expired else "20991231235959Z",
            )
        return certificate

    def leaf(self, name, issuer, *extensions, expired=False):
        return self.authority(
            name,
            *(extensions or ("basicConstraints=CA:FALSE", "extendedKeyUsage=codeSigning")),
            issuer=issuer,
            expired=expired,
        )


def keys(factory):
    return Keys(factory.place / "keys")


def trusting(*pems, compatible=BOARD_NAME, conf="", also=lambda root: None):
    """Changes a running system to one that trusts these PEM texts."""

    def change(root):
        folder = root / "etc/otamgr/keys.d"
        folder.mkdir()
        for number, pem in enumerate(pems):
            (folder / f"{number}.pem").write_text(pem)
        if compatible is not None:
            (root / "etc/otamgr/compatible").write_text(f"{compatible}\n")
        if conf:
            (root / "etc/otamgr/sysupgrade.conf").write_text(conf)
        also(root)

    return change


def make_bundle(factory, image, key, version="2.0", compatible=BOARD_NAME, **options):
    """Bytes of a bundle that the host tool makes, of format 1 unless form=2 is among the options."""
    options.setdefault("form", 1)
    named = factory.place / f"to-bundle{Path(image).suffix}"
    named.unlink(missing_ok=True)
    named.symlink_to(image)
    output = factory.place / "made.bundle"
    host.create(output, named, key, compatible, version, **options)
    return output.read_bytes()


def assembled(members):
    """Bytes of a tar archive of (name, content) as they are given, right or wrong."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def members(content):
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return [(member.name, archive.extractfile(member).read()) for member in archive]


def signed(factory, key, manifest, *rest):
    """Bytes of a bundle with exactly this manifest, rightly signed, however wrong it is."""
    path = factory.place / "manifest"
    path.write_bytes(manifest)
    return assembled([("manifest", manifest), ("manifest.sig", host.sign(path, key)), *rest])


def small_image(factory):
    """Something that counts as an image where nobody looks into it."""
    path = factory.place / "small.tar"
    if not path.exists():
        run("tar", "-C", factory.new, "-cf", path, "./etc")
    return path


def verify(board, content):
    (board.root / "tmp/x.bundle").write_bytes(content)
    return board.run("/sbin/ota-verify", "bundle", "/tmp/x.bundle", progress=None)


# ---- ota-verify ----------------------------------------------------------------------------------------------------


@promise(
    "ota-verify prints the manifest of a bundle signed with a trusted {} key, byte for byte", cases=["ed25519", "p256"]
)
def verified(factory, kind):
    made = keys(factory)
    board = factory.board(change=trusting(made.public(f"other-{kind}", kind), made.public(kind, kind)))
    content = make_bundle(
        factory, small_image(factory), made.private(kind, kind), description="a description = with signs"
    )
    result = verify(board, content)
    equal((result.code, result.out.encode()), (0, members(content)[0][1]), "exit code and manifest")
    true("keys.d/1.pem" in result.err, "says which key")


@promise(
    "ota-verify refuses {} with exit 6",
    cases=[
        "a key that is not there",
        "a changed manifest",
        "a signature of another file",
        "random bytes as signature",
        "no keys at all",
        "an RSA key in keys.d",
        "a P-384 key in keys.d",
        "a private key in keys.d",
    ],
)
def not_trusted(factory, what):
    made = keys(factory)
    good = made.private("ed25519")
    content = make_bundle(factory, small_image(factory), good)
    pems, signature = [made.public("ed25519")], None
    if what == "a key that is not there":
        pems = [made.public("other-ed25519"), made.public("p256", "p256")]
    elif what == "no keys at all":
        pems = []
    elif what == "a private key in keys.d":
        pems = [good.read_text()]
    elif what.startswith(("an RSA", "a P-384")):
        # A right signature by a key that is there, but of a kind that nobody has agreed on.
        key = factory.place / "strange.key"
        run(
            "openssl",
            "genpkey",
            "-out",
            key,
            *(["-algorithm", "RSA"] if "RSA" in what else ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        )
        pems = [run("openssl", "pkey", "-in", key, "-pubout", text=True)]
        (factory.place / "manifest").write_bytes(members(content)[0][1])
        signature = run("openssl", "dgst", "-sha256", "-sign", key, factory.place / "manifest")
    elif what == "random bytes as signature":
        signature = bytes(range(64))
    elif what == "a signature of another file":
        signature = members(make_bundle(factory, small_image(factory), good, version="1.9"))[1][1]
    elif what == "a changed manifest":
        content = content.replace(b"version=2.0", b"version=2.1")
    if signature:
        parts = members(content)
        parts[1] = ("manifest.sig", signature)
        content = assembled(parts)
    board = factory.board(change=trusting(*pems))
    result = verify(board, content)
    equal((result.code, result.out), (6, ""), f"exit code and output, said {result.err}")


@promise(
    "ota-verify accepts a chain that leads to an authority in keys.d, however wrong the clock: {}",
    cases=[
        "directly",
        "over an intermediate",
        "an intermediate in keys.d",
        "the signer's own certificate in keys.d",
        "expired",
        "without saying what it is for",
    ],
)
def chain(factory, what):
    made = keys(factory)
    made.authority("root")
    made.authority("middle", issuer="root")
    trusted, others = "root", []
    if what == "over an intermediate":
        leaf, others = made.leaf("deep", "middle"), ["middle"]
    elif what == "an intermediate in keys.d":
        leaf, trusted = made.leaf("deep", "middle"), "middle"
    elif what == "the signer's own certificate in keys.d":
        leaf, trusted = made.leaf("deep", "middle"), "deep"
    elif what == "expired":
        made.authority("old-root", expired=True)
        leaf, trusted = made.leaf("old-leaf", "old-root", expired=True), "old-root"
    elif what == "without saying what it is for":
        leaf = made.leaf("plain", "root", "basicConstraints=CA:FALSE")
    else:
        leaf = made.leaf("direct", "root")
    pem = factory.place / "chain.pem"
    pem.write_text("".join(path.read_text() for path in [leaf, *(made.authority(name) for name in others)]))
    content = make_bundle(factory, small_image(factory), leaf.with_suffix(".key"), certificates=pem)
    board = factory.board(change=trusting(made.authority(trusted).read_text()))
    result = verify(board, content)
    equal((result.code, result.out.encode()), (0, members(content)[0][1]), f"exit code and manifest, said {result.err}")
    output = factory.place / "made.bundle"
    with host.open_bundle(output) as opened:
        equal(
            opened.signed_by([board.root / "etc/otamgr/keys.d"]),
            str(board.root / "etc/otamgr/keys.d/0.pem"),
            "what the host tool says",
        )


@promise(
    "ota-verify refuses a certificate, exit 6: {}",
    cases=[
        "of another authority",
        "of an authority that only the system trusts",
        "for a web server",
        "for signing certificates only",
        "issued by a certificate that is no authority",
        "of somebody else than who signed",
        "over an intermediate that is missing",
    ],
)
def chain_refused(factory, what):
    made = keys(factory)
    made.authority("root")
    made.authority("middle", issuer="root")
    trusted, others, key, environment = "root", [], None, None
    leaf = made.leaf("direct", "root")
    if what == "of another authority":
        made.authority("stranger")
        leaf = made.leaf("strange-leaf", "stranger")
    elif what == "of an authority that only the system trusts":
        made.authority("stranger")
        leaf = made.leaf("strange-leaf", "stranger")
    elif what == "for a web server":
        leaf = made.leaf("web", "root", "basicConstraints=CA:FALSE", "extendedKeyUsage=serverAuth")
    elif what == "for signing certificates only":
        leaf = made.leaf(
            "certificates-only", "root", "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"
        )
    elif what == "issued by a certificate that is no authority":
        leaf, others = made.leaf("grandchild", "direct"), ["direct"]
    elif what == "of somebody else than who signed":
        key = made.private("p256", "p256")
    else:
        leaf = made.leaf("deep", "middle")
    pem = factory.place / "chain.pem"
    pem.write_text("".join(path.read_text() for path in [leaf, *(made.authority(name) for name in others)]))
    content = make_bundle(factory, small_image(factory), leaf.with_suffix(".key"), certificates=pem)
    if key:
        parts = members(content)
        (factory.place / "manifest").write_bytes(parts[0][1])
        parts[1] = ("manifest.sig", host.sign(factory.place / "manifest", key))
        content = assembled(parts)
    board = factory.board(change=trusting(made.authority(trusted).read_text()))
    if "the system trusts" in what:
        store = board.root / "tmp/system"
        store.mkdir()
        run(
            "cp",
            made.authority("stranger"),
            store
            / f"{run('openssl', 'x509', '-in', made.authority('stranger'), '-noout', '-hash', text=True).strip()}.0",
        )
        (board.root / "tmp/system.pem").write_text(made.authority("stranger").read_text())
        environment = {"SSL_CERT_DIR": "/tmp/system", "SSL_CERT_FILE": "/tmp/system.pem"}
    (board.root / "tmp/x.bundle").write_bytes(content)
    result = board.run("/sbin/ota-verify", "bundle", "/tmp/x.bundle", progress=None, environment=environment)
    equal((result.code, result.out), (6, ""), f"exit code and output, said {result.err}")
    (factory.place / "refused.bundle").write_bytes(content)
    with host.open_bundle(factory.place / "refused.bundle") as opened:
        try:
            raise AssertionError(
                f"the host tool says it is signed by {opened.signed_by([board.root / 'etc/otamgr/keys.d'])}"
            )
        except host.SignatureError:
            pass


@promise("keys are changed without locking anybody out: old, both, new; what only the old key signed ends with it")
def rotation(factory):
    made = keys(factory)
    old, new = made.private("year-1"), made.private("year-2")
    by_old, by_new = (make_bundle(factory, small_image(factory), key) for key in (old, new))
    for trusted, codes in ((["year-1"], (0, 6)), (["year-1", "year-2"], (0, 0)), (["year-2"], (6, 0))):
        board = factory.board(change=trusting(*map(made.public, trusted)))
        equal((verify(board, by_old).code, verify(board, by_new).code), codes, f"exit codes with {trusted}")
        factory.close_boards()


@promise("a bundle with two signatures is taken by devices that know the old key only, the new one only, or both")
def signed_twice(factory):
    made = keys(factory)
    old, new = made.private("year-1"), made.private("year-2", "p256")
    once = factory.place / "once.bundle"
    once.write_bytes(make_bundle(factory, small_image(factory), old))
    twice = factory.place / "twice.bundle"
    host.sign_again(once, twice, new, trusted=[old.with_suffix(".pem")], add=True)
    for trusted, codes in (
        (["year-1"], (0, 0)),
        (["year-1", "year-2"], (0, 0)),
        (["year-2"], (6, 0)),
        (["mallory"], (6, 6)),
    ):
        board = factory.board(change=trusting(*map(made.public, trusted)))
        equal(
            (verify(board, once.read_bytes()).code, verify(board, twice.read_bytes()).code),
            codes,
            f"exit codes with {trusted}",
        )
        factory.close_boards()


@promise(
    "{} revokes the signer: sysupgrade and ota-verify end with 6, and nothing is touched",
    cases=["a list of its key", "a list that cannot be understood"],
)
def revoked(factory, what):
    made = keys(factory)
    fingerprint = host.key_fingerprint(made.public("ed25519"))
    line = f"{fingerprint}  # stolen" if what == "a list of its key" else fingerprint[1:]

    def listed(root):
        (root / "etc/otamgr/keys.d/ours.revoked").write_text(f"# ours\n{line}\n")

    content = good_bundle(factory)
    board = factory.board(change=trusting(made.public("ed25519"), made.public("spare"), also=listed))
    board.target_before = board.slot_bytes(board.target)
    words = "trusted no more" if what == "a list of its key" else "line 2 is no fingerprint"
    refused(board, board.sysupgrade("--no-reboot", board.deliver(content)), 6, words)
    equal(verify(board, content).code, 6, "ota-verify bundle")
    (board.root / "tmp/index").write_bytes(b"some text")
    (board.root / "tmp/index.sig").write_bytes(host.sign(board.root / "tmp/index", made.private("ed25519")))
    equal(
        board.run("/sbin/ota-verify", "file", "/tmp/index", "/tmp/index.sig", progress=None).code, 6, "ota-verify file"
    )
    by_spare = make_bundle(factory, factory.image("ext4.gz"), made.private("spare"))
    equal(verify(board, by_spare).code, 0 if what == "a list of its key" else 6, "what another key has signed")


@promise("ota-verify names what is wrong with a bundle, exit {}", cases=["4", "5"])
def no_bundle(factory, code):
    made = keys(factory)
    key = made.private("ed25519")
    board = factory.board(change=trusting(made.public("ed25519")))
    good = make_bundle(factory, small_image(factory), key)
    (_, manifest), signature, image = members(good)
    if code == "4":
        bad = [
            (b"not a bundle" * 100, "no bundle"),
            (assembled([("manifest2", manifest), signature, image]), "no bundle"),
            (small_image(factory).read_bytes(), "no bundle"),
            (good[:200], "no bundle"),
        ]
        for change, words in (
            ((b"format=otamgr-bundle-1", b"format=otamgr-bundle-3"), "otamgr-bundle-3"),
            ((b"version=2.0", b"version=two"), "'two'"),
            ((b"version=2.0", b"version=1..2"), "1..2"),
            ((b"version=2.0", b"version=1.2\nnot-before=3"), "not-before"),
            ((b"version=2.0\n", b""), "version ''"),
            ((b"version=2.0", b"version=2.0\nversion=3.0"), "twice"),
            ((b"version=2.0", b"version=2.0\n"), "does not know"),
            ((b"image-bytes=", b"image-bytes=0"), "image-bytes"),
            ((b"image-bytes=", b"image-bytes=$(reboot)"), "image-bytes"),
            ((b"compatible=", b"compatible= "), "compatible"),
            ((b"version=2.0", b"version=2.0\nrootfs-bytes=4096"), "rootfs-sha256"),
            ((b"version=2.0", b"version=2.0\nx-a=\xc3\xa9"), "no text"),
            ((b"version=2.0", b"version=2.0\nx-a=\0"), "no text"),
        ):
            true(change[0] in manifest, str(change))
            bad.append((signed(factory, key, manifest.replace(*change), image), words))
        bad.append((signed(factory, key, manifest[:-1], image), "no text"))
    else:
        flipped = bytearray(good)
        flipped[130] ^= 1  # the size of the manifest, in a header whose checksum does not know
        folder = io.BytesIO()
        with tarfile.open(fileobj=folder, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, content in (("manifest", manifest), signature):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            link = tarfile.TarInfo(image[0])
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
            archive.addfile(link)
        bad = [
            (bytes(flipped), "damaged"),
            (good[:-10240], "cut off"),
            (good[:1024], "damaged"),
            (good[:600], "ends within"),
            (assembled([("manifest", manifest)]), "damaged"),
            (assembled([("manifest", manifest), signature]), "damaged"),
            (assembled([("manifest", manifest), image, signature]), "damaged"),
            (folder.getvalue(), "damaged"),
            (assembled([("manifest", manifest), signature, image, ("more", b"x")]), "more than one image"),
            (assembled([("manifest", manifest), signature, ("../x", image[1])]), "damaged"),
            (assembled([("manifest", b""), signature, image]), "0 bytes"),
            (assembled([("manifest", b"x" * 65537), signature, image]), "65537"),
            (assembled([("manifest", manifest), ("manifest.sig", b"x" * 1025), image]), "1025"),
            (assembled([("manifest", manifest), signature, ("other.tar", image[1])]), "other.tar"),
            (assembled([("manifest", manifest), signature, (image[0], image[1] + b"x")]), str(len(image[1]) + 1)),
        ]
    for content, words in bad:
        result = verify(board, content)
        equal((result.code, result.out), (int(code), ""), f"exit code and output of '{words}', said {result.err}")
        true(words in result.err, f"'{words}' in: {result.err}")


@promise("manifest lines that begin with x- are printed and otherwise ignored")
def extra_lines(factory):
    made = keys(factory)
    board = factory.board(change=trusting(made.public("ed25519")))
    content = make_bundle(
        factory, small_image(factory), made.private("ed25519"), extra={"x-commit": "abc$(touch /tmp/y) \"'\\"}
    )
    result = verify(board, content)
    equal(result.code, 0, f"exit code, said {result.err}")
    true("x-commit=abc$(touch /tmp/y) \"'\\\n" in result.out, result.out)
    true(not (board.root / "tmp/y").exists(), "a command in a value was run")


@promise(
    "ota-verify file verifies a detached signature by key or by certificate, refuses any other, and leaves nothing behind"
)
def detached(factory):
    made = keys(factory)
    made.authority("root")
    leaf = made.leaf("direct", "root")
    board = factory.board(change=trusting(made.public("ed25519"), made.authority("root").read_text()))
    (board.root / "tmp/index with blank.json").write_bytes(b'{"a": 1}\n' * 5000)
    (board.root / "tmp/index.sig").write_bytes(
        host.sign(board.root / "tmp/index with blank.json", made.private("ed25519"))
    )
    (board.root / "tmp/leaf.sig").write_bytes(
        host.sign(board.root / "tmp/index with blank.json", made.private("direct", "p256"))
    )
    (board.root / "tmp/leaf.crt").write_text(leaf.read_text())

    def result(*words):
        return board.run("/sbin/ota-verify", *words, progress=None)

    index = "/tmp/index with blank.json"
    for words, code in (
        ((index, "/tmp/index.sig"), 0),
        ((index, "/tmp/leaf.sig", "/tmp/leaf.crt"), 0),
        ((index, "/tmp/leaf.sig"), 6),
        (("/tmp/leaf.crt", "/tmp/index.sig"), 6),
        ((index, "/tmp/leaf.crt"), 6),
        ((index, "/tmp/none"), 3),
        (("/tmp", "/tmp/index.sig"), 3),
    ):
        equal(result("file", *words).code, code, f"exit code of file {words}")
    for words in ((), ("file", index), ("bundle",), ("bundle", "a", "b"), ("frobnicate",)):
        equal(result(*words).code, 2, f"exit code of {words}")
    equal(result("bundle", "/tmp/none").code, 3, "exit code of a missing bundle")
    equal(
        sorted(path.name for path in (board.root / "tmp").iterdir()),
        ["index with blank.json", "index.sig", "leaf.crt", "leaf.sig"],
        "files in /tmp",
    )


# ---- sysupgrade ----------------------------------------------------------------------------------------------------


def bundle_board(factory, key="ed25519", floor=None, **options):
    """A board that trusts the key; its target slot is remembered, for refusals."""
    board = factory.board(change=trusting(keys(factory).public(key), **options))
    board.target_before = board.slot_bytes(board.target)
    if floor:
        board.set_env(ota_floor=floor)
    return board


def good_bundle(factory, kind="ext4.gz", **options):
    return make_bundle(factory, factory.image(kind), keys(factory).private("ed25519"), **options)


def squashfs(factory, root=None):
    path = factory.place / f"squashfs-{(root or factory.new).name}"
    if not path.exists():
        run("mksquashfs", root or factory.new, path, "-quiet", "-no-progress", "-no-xattrs", "-comp", "gzip")
    return path


@promise(
    "a bundle of {} installs exactly that system, its manifest beside the header, and moves the floor with the commit",
    cases=[
        "ext4",
        "ext4.gz",
        "ext4.zst",
        "ext4.xz",
        "tar",
        "tar.gz",
        "tar.zst",
        "squashfs",
        "ext4 in format 2",
        "ext4.gz in format 2",
    ],
)
def bundle_update(factory, kind):
    board = bundle_board(factory, floor="1.9.9")
    kind, _, format_2 = kind.partition(" in ")
    content = make_bundle(
        factory,
        squashfs(factory) if kind == "squashfs" else factory.image(kind),
        keys(factory).private("ed25519"),
        version="2.0.1-rc2",
        form=2 if format_2 else 1,
    )
    result = board.sysupgrade("--no-reboot", "--txn", "T", board.deliver(content))
    equal(result.code, 0, f"exit code, said {result.err}")
    equal(
        board.ota_env(),
        {"ota_slot": "a", "ota_trial": "b", "ota_tries": "3", "ota_txn": "T", "ota_floor": "1.9.9"},
        "environment",
    )
    run("e2fsck", "-fn", board.loops["b"])
    with board.mounted("b") as new:
        equal(tree(new, without=(*ADDED, "etc/otamgr", "etc/otamgr/manifest")), tree(factory.new), "new system")
        equal((new / "etc/otamgr/manifest").read_bytes(), members(content)[0][1], "manifest")
        equal((new / "etc/ota_type_5.hdr").read_bytes(), HEADER, "header")
    equal(board.slot_bytes("a"), board.running_before, "the running slot")
    true(" version=2.0.1-rc2" in board.events()[0], "journal")


@promise(
    "a file system that was checked when its bundle was made is grown without a second check, any other is checked first"
)
def checked_before(factory):
    key = keys(factory).private("ed25519")
    for form in (1, 2):
        content = make_bundle(factory, factory.image("ext4"), key, form=form)
        (_, manifest), _, *rest = members(content)
        line = b"x-file-system-checked=yes\n"
        true(line in manifest, f"the line in {manifest!r}")
        for made, checks in ((content, 0), (signed(factory, key, manifest.replace(line, b""), *rest), 1)):
            board = bundle_board(factory)
            (board.root / "sbin/e2fsck").rename(board.root / "sbin/e2fsck.real")
            executable(board.root / "sbin/e2fsck", '#!/bin/sh\necho "$@" >>/tmp/checks\nexec /sbin/e2fsck.real "$@"\n')
            result = board.sysupgrade("--no-reboot", board.deliver(made))
            equal(result.code, 0, f"exit code, said {result.err}")
            said = board.root / "tmp/checks"
            equal(len(said.read_text().splitlines()) if said.exists() else 0, checks, "checks")
            equal(file_system_bytes(board.loops["b"]), SLOT["b"][1], "bytes of the file system")
            run("e2fsck", "-fn", board.loops["b"])
            factory.close_boards()


@promise(
    "exit 7: a bundle whose system would look for the environment elsewhere ({}) is refused before the slot is touched, or takes the kept file",
    cases=[what for what, (files, code, _) in PLACES.items() if code and "fw_env.config" in files],
)
def bundle_for_another_place(factory, what):
    files, code, words = PLACES[what]

    def named(root):
        (root / "etc/fw_env.config").write_text(files["fw_env.config"])

    image = factory.image("ext4.gz", factory.system_variant("place-" + what.replace(" ", "-"), named))
    for form in (1, 2):
        content = make_bundle(factory, image, keys(factory).private("ed25519"), form=form)
        board = bundle_board(factory)
        refused(board, board.sysupgrade("--no-reboot", board.deliver(content)), code, words)
        for kept in ("/etc/fw_env.config", "/etc/fw*"):
            (board.root / "etc/sysupgrade.conf").write_text(f"{kept}\n")
            board.run("/sbin/ota-slot", "cancel")
            equal(board.sysupgrade("--no-reboot", board.deliver(content)).code, 0, "exit code with the kept file")
        factory.close_boards()


@promise("a commit moves the floor to the version of the committed system in the same single write, and never down")
def floor_moves(factory):
    for floor, version, expected in (
        (None, "2.0", "2.0"),
        ("1.9.9", "1.10", "1.10"),
        ("3.0", "2.0", "3.0"),
        ("2.0", "2.0-rc1", "2.0-rc1"),
        ("2.0", None, "2.0"),
        (None, None, None),
        ("2.0", "two", "2.0"),
        ("08.09", "8.9", "8.9"),
        ("1.2", "1.2.0.0.1", "1.2.0.0.1"),
        ("garbage", "2.0", "garbage"),
        ("999999999.1", "1000.0", "999999999.1"),
    ):

        def manifest(root, version=version):
            if version:
                (root / "etc/otamgr/manifest").write_text(f"format=otamgr-bundle-1\nversion={version}\n")

        board = on_trial(factory, change=manifest)
        if floor:
            board.set_env(ota_floor=floor)
        equal(board.run("/sbin/ota-slot", "commit").code, 0, "exit code")
        equal(
            (board.ota_env().get("ota_floor"), board.ota_env()["ota_slot"]),
            (expected, "b"),
            f"floor of {floor} after the commit of {version}",
        )
        equal(len(board.env_copies_written()), 1, "copies written: more than one would be two writes")
        equal(board.slot_bytes("b"), board.running_before, "the running slot")
        factory.close_boards()


@promise(
    "an image without bundle takes away a manifest that it brings, so that it cannot move the floor; kept files cannot bring one"
)
def no_smuggled_manifest(factory):
    def smuggle(root):
        (root / "etc/otamgr").mkdir()
        (root / "etc/otamgr/manifest").write_text("version=99\n")

    def keep(root):
        (root / "etc/otamgr/manifest").write_text("version=98\n")
        (root / "etc/sysupgrade.conf").write_text("/etc/otamgr\n")

    board = factory.board(change=keep)
    image = factory.image("ext4.gz", factory.system_variant("smuggle", smuggle))
    equal(board.sysupgrade("--no-reboot", board.deliver(image)).code, 0, "exit code")
    with board.mounted("b") as new:
        true(not (new / "etc/otamgr/manifest").exists(), "a manifest is in the new system")
        true((new / "etc/otamgr/trial.conf").exists(), "the rest of the folder was not kept")


@promise("-T of a good bundle says so and changes not one byte of the disk")
def bundle_tested(factory):
    board = bundle_board(factory)
    before = board.disk.read_bytes()
    result = board.sysupgrade("-T", board.deliver(good_bundle(factory)))
    equal(result.code, 0, f"exit code, said {result.err}")
    board.flush()
    true(board.disk.read_bytes() == before, "the disk has changed")


@promise(
    "once keys are there an image without bundle is refused, unless REQUIRE_SIGNATURE=no says otherwise; the journal says that it is not signed"
)
def not_required(factory):
    board = bundle_board(factory, conf="REQUIRE_SIGNATURE=no\n")
    result = board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4")))
    equal(result.code, 0, f"exit code, said {result.err}")
    true(
        board.events()[0].startswith("update-started ") and board.events()[0].endswith(" signed=no"), board.events()[0]
    )
    for conf in ("", "# REQUIRE_SIGNATURE=no\n"):
        board = bundle_board(factory, conf=conf)
        refused(board, board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4"))), 6, "keys.d holds keys")
    board = factory.board()
    result = board.sysupgrade("--no-reboot", board.deliver(factory.image("ext4")))
    equal((result.code, board.events()[0].rpartition(" ")[2]), (0, "signed=no"), "without keys")
    board = bundle_board(factory)
    equal(board.sysupgrade("--no-reboot", board.deliver(good_bundle(factory))).code, 0, "exit code of a bundle")
    true(board.events()[0].endswith(" signed=yes"), board.events()[0])


MEANT_AS_YES = {
    "yes": "REQUIRE_SIGNATURE=yes\n",
    "quotes": 'REQUIRE_SIGNATURE="yes"\n',
    "single quotes": "REQUIRE_SIGNATURE='yes'\n",
    "blanks around =": "REQUIRE_SIGNATURE = yes\n",
    "a blank before =": "REQUIRE_SIGNATURE =yes\n",
    "a blank after =": "REQUIRE_SIGNATURE= yes\n",
    "a tab": "\tREQUIRE_SIGNATURE=\tyes\n",
    "a carriage return": "REQUIRE_SIGNATURE=yes\r\n",
    "no newline": "REQUIRE_SIGNATURE=yes",
    "a byte order mark": "\ufeffREQUIRE_SIGNATURE=yes\n",
    "export": "export REQUIRE_SIGNATURE=yes\n",
    "lower case": "require_signature=yes\n",
    "plural": "REQUIRE_SIGNATURES=yes\n",
    "colon": "REQUIRE_SIGNATURE: yes\n",
    "UTF-16": "REQUIRE_SIGNATURE=yes\n".encode("utf-16"),
    "old carriage returns": "# settings\rREQUIRE_SIGNATURE=yes\r",
    "emptied below": "REQUIRE_SIGNATURE=yes\nREQUIRE_SIGNATURE=\n",
    "empty": "REQUIRE_SIGNATURE=\n",
    "a folder": None,
    "YES": "REQUIRE_SIGNATURE=YES\n",
    "true": "REQUIRE_SIGNATURE=true\n",
    "1": "REQUIRE_SIGNATURE=1\n",
    "mistyped": "REQUIRE_SIGNATURE=ture\n",
    "taken back below": "REQUIRE_SIGNATURE=yes\nREQUIRE_SIGNATURE=no\n",
    "a comment behind it": "REQUIRE_SIGNATURE=yes # !\n",
    "a dangling link": "link",
}


@promise("exit 6: REQUIRE_SIGNATURE closes, also without a key, when it is written as: {}", cases=list(MEANT_AS_YES))
def meant_as_yes(factory, how):
    board = factory.board()
    place, content = board.root / "etc/otamgr/sysupgrade.conf", MEANT_AS_YES[how]
    if content is None:
        place.mkdir()
    elif content == "link":
        place.symlink_to("/etc/nowhere")
    else:
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = board.sysupgrade("-T", board.deliver(factory.image("ext4")))
    equal(result.code, 6, f"exit code, said {result.err}")
    true("/etc/otamgr/sysupgrade.conf" in result.err and "REQUIRE_SIGNATURE" in result.err, result.err)


@promise(
    "exit 6: whatever is in keys.d closes, for somebody meant it to: {}",
    cases=["a certificate by another name", "a hidden file", "a folder", "a dangling link", "a file in its place"],
)
def meant_as_a_key(factory, what):
    board = factory.board()
    place = board.root / "etc/otamgr/keys.d"
    if what == "a file in its place":
        place.write_text(keys(factory).public("ed25519"))
    else:
        place.mkdir(exist_ok=True)
        if what == "a folder":
            (place / "release").mkdir()
        elif what == "a dangling link":
            (place / "release.pem").symlink_to("/etc/nowhere")
        else:
            name = "release.crt" if "certificate" in what else ".release.pem"
            (place / name).write_text(keys(factory).public("ed25519"))
    board.settle()
    result = board.sysupgrade("-T", board.deliver(factory.image("ext4")))
    equal(result.code, 6, f"exit code, said {result.err}")
    true("keys.d" in result.err and "no signed bundle" in result.err, result.err)


@promise(
    "the board's name is read without blanks, carriage returns and byte order mark, and the first line that is a name counts: {}",
    cases=[
        f"{BOARD_NAME}\r\n",
        f"{BOARD_NAME} \n",
        f"\ufeff{BOARD_NAME}\n",
        f"\n\n  {BOARD_NAME}\n",
        f"two words\n{BOARD_NAME}\nother\n",
        f"\t{BOARD_NAME}",
    ],
)
def name_of_the_board(factory, text):
    board = bundle_board(factory)
    (board.root / "etc/otamgr/compatible").write_text(text, newline="")
    board.settle()
    equal(board.sysupgrade("-T", board.deliver(good_bundle(factory))).code, 0, "exit code")


@promise(
    "exit 6: {} is refused, also with -F, and nothing has changed",
    cases=[
        "an unsigned image where signatures are required",
        "an unsigned image where somebody mistyped that they are required",
        "a changed manifest",
        "a bundle by a stranger",
        "a bundle on a device without keys",
    ],
)
def unsigned(factory, what):
    made = keys(factory)
    options, content, words = {}, good_bundle(factory), "signature"
    if "required" in what:
        content, words = factory.image("ext4"), "REQUIRE_SIGNATURE"
        options["conf"] = 'REQUIRE_SIGNATURE="yes"\n' if "mistyped" not in what else "REQUIRE_SIGNATURE=ture\n"
    elif what == "a changed manifest":
        content = content.replace(b"version=2.0", b"version=9.0")
    elif what == "a bundle by a stranger":
        content = make_bundle(factory, factory.image("ext4"), made.private("stranger-key"))
    board = bundle_board(factory, **options)
    if what == "a bundle on a device without keys":
        run("rm", "-r", board.root / "etc/otamgr/keys.d")
        board.settle()
        words = "no public key"
    for arguments in ((), ("-F",), ("-T",)):
        result = board.sysupgrade(*arguments, board.deliver(content))
        refused(board, result, 6, words, journal="-T" not in arguments)


@promise("exit 19: a bundle for another board is refused, also where the board does not know its name; -F overrules it")
def wrong_board(factory):
    for name, words in (("acme,board-8", "acme,board-8"), (None, "nameless"), ("", "nameless")):
        board = bundle_board(factory, compatible=name)
        image = board.deliver(good_bundle(factory))
        refused(board, board.sysupgrade(image), 19, words)
        refused(board, board.sysupgrade("-T", image), 19, words, journal=False)
        result = board.sysupgrade("-F", "--no-reboot", image)
        equal(result.code, 0, f"exit code with -F, said {result.err}")
        true("because of -F" in result.err, "says so")
        factory.close_boards()


@promise("exit 20: a bundle below the floor is refused, also with -F; the same version and a newer one are not")
def too_old(factory):
    for floor, version, code in (
        ("2.0.1", "2.0", 20),
        ("2.10", "2.9", 20),
        ("2.0", "2.0-rc1", 0),
        ("2.0", "2", 0),
        ("1.99", "2.0", 0),
        ("2026.08", "2026.7.31", 20),
        ("1.0.0.0.0.0.0.1", "1.0", 20),
        ("1.010", "1.9", 20),
        ("garbage", "9.9", 20),
    ):
        board = bundle_board(factory, floor=floor)
        image = board.deliver(good_bundle(factory, version=version))
        result = board.sysupgrade("-F", image) if code else board.sysupgrade("-T", image)
        if code:
            refused(board, result, 20, f"fw_setenv ota_floor {'VERSION' if floor == 'garbage' else version}")
        else:
            equal(result.code, 0, f"exit code for {version} at the floor {floor}, said {result.err}")
        factory.close_boards()


@promise("exit 20: when the environment has lost the floor, the version of the running system takes its place")
def floor_lost(factory):
    board = bundle_board(factory, also=lambda root: (root / "etc/otamgr/manifest").write_text("version=3.0\n"))
    refused(board, board.sysupgrade(board.deliver(good_bundle(factory))), 20, "3.0 or newer")
    board.set_env(ota_floor="1.0")
    equal(board.sysupgrade("-T", board.deliver(good_bundle(factory))).code, 0, "exit code with a floor")


@promise(
    "exit 5: {} in a rightly signed bundle is noticed before the slot is touched",
    cases=[
        "a flipped bit in the image",
        "the image of another bundle",
        "a wrong hash of the file system",
        "a cut off bundle",
        "a flipped bit in a squashfs",
        "a flipped bit in the frames",
        "a flipped bit in the block index",
        "the index of another bundle",
        "a cut off bundle of format 2",
    ],
)
def wrong_payload(factory, what):
    key = keys(factory).private("ed25519")
    content, words = good_bundle(factory), "not the one that was signed"
    if what == "a flipped bit in the image":
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 4
        content = bytes(flipped)
    elif what == "the image of another bundle":
        other = members(good_bundle(factory, "ext4.zst"))
        first = members(content)
        content, words = assembled([other[0], other[1], first[2]]), "speaks of"
    elif what == "a wrong hash of the file system":
        parts = members(content)
        lines = [
            b"rootfs-sha256=" + b"0" * 64 if line.startswith(b"rootfs-sha256=") else line
            for line in parts[0][1].splitlines()
        ]
        content, words = signed(factory, key, b"\n".join(lines) + b"\n", parts[2]), "unpacks to"
    elif what == "a cut off bundle":
        content, words = content[:-20480], "cut off"
    elif what == "a cut off bundle of format 2":
        content, words = good_bundle(factory, form=2)[:-20480], "cut off"
    elif what == "the index of another bundle":
        mine, other = (members(good_bundle(factory, form=2, **options)) for options in ({}, {"level": 1}))
        content, words = (
            assembled([*mine[:2], other[2], mine[3]]),
            "the index in the bundle is not the one that was signed",
        )
    elif what in ("a flipped bit in the frames", "a flipped bit in the block index"):
        flipped = bytearray(good_bundle(factory, form=2))
        at = len(flipped) // 2 if what.endswith("frames") else flipped.index(b"OTAINDEX") + 200
        flipped[at] ^= 4
        content, words = (
            bytes(flipped),
            "damaged between" if what.endswith("frames") else "the index in the bundle is not the one that was signed",
        )
    else:
        flipped = bytearray(make_bundle(factory, squashfs(factory), key))
        flipped[len(flipped) // 2] ^= 4
        content = bytes(flipped)
    board = bundle_board(factory)
    refused(board, board.sysupgrade("-F", board.deliver(content)), 5, words)


@promise(
    "exit 4: {} is refused before the slot is touched",
    cases=[
        "a bundle with a manifest key that is not known",
        "a squashfs where unsquashfs is missing",
        "a compressed squashfs in a bundle",
    ],
)
def bundle_not_understood(factory, what):
    key, options = keys(factory).private("ed25519"), {}
    if what == "a bundle with a manifest key that is not known":
        parts = members(good_bundle(factory))
        content, words = signed(factory, key, parts[0][1] + b"only-on-weekdays=yes\n", parts[2]), "only-on-weekdays"
    elif what == "a squashfs where unsquashfs is missing":
        content, words = make_bundle(factory, squashfs(factory), key), "unsquashfs"
        options["also"] = lambda root: (root / "usr/sbin/unsquashfs").unlink()
    else:
        packed = factory.place / "packed.squashfs.gz"
        with open(packed, "wb") as out:
            subprocess.run(["gzip", "-c", squashfs(factory)], stdout=out, check=True)
        content, words = make_bundle(factory, packed, key), "once more"
    board = bundle_board(factory, **options)
    refused(board, board.sysupgrade(board.deliver(content)), 4, words)


@promise("exit 7: a squashfs without {} is refused before the slot is touched", cases=["kernel", "init"])
def squashfs_incompatible(factory, what):
    def strip(root):
        run("rm", "-r", root / {"kernel": "boot", "init": "sbin"}[what])

    content = make_bundle(
        factory, squashfs(factory, factory.system_variant(f"squash-{what}", strip)), keys(factory).private("ed25519")
    )
    board = bundle_board(factory)
    refused(board, board.sysupgrade(board.deliver(content)), 7, what)


@promise(
    "killed -9 while a bundle is written: environment and running slot untouched, slot not mountable, next update works"
)
def bundle_killed(factory):
    board = slow_board(factory, trusting(keys(factory).public("ed25519")))
    board.expect_leftovers = True
    image = board.deliver(good_bundle(factory, "ext4.zst"))
    board.start("/sbin/sysupgrade", "--no-reboot", image)
    board.reached("reached")
    board.kill_everything()
    equal(board.env_bytes(), board.env_before, "environment")
    equal(board.slot_bytes("a"), board.running_before, "the running slot")
    true(not board.mounts("b"), "a half-written slot can be mounted")
    equal(board.sysupgrade("--no-reboot", image).code, 0, "exit code of the next")


# Near the end of the image, where nobody has read yet; the pages that are in the pipe already do not matter.
def one_bit_flipped(file):
    file.seek(-30000, os.SEEK_END)
    was = file.read(1)
    file.seek(-1, os.SEEK_CUR)
    file.write(bytes([was[0] ^ 1]))


def end_cut_off(file):
    file.truncate(file.seek(-30000, os.SEEK_END))


CHANGED_MEANWHILE = {
    "an ext4.zst in a bundle": ("ext4.zst", True, one_bit_flipped),
    "a tar.zst in a bundle": ("tar.zst", True, one_bit_flipped),
    "a tar.zst in a bundle, cut off": ("tar.zst", True, end_cut_off),
    "a tar.zst": ("tar.zst", False, one_bit_flipped),
    "a tar.zst, cut off": ("tar.zst", False, end_cut_off),
}


@promise(
    "exit 5: what is changed behind its checks is noticed, and the slot stays unarmed: {}", cases=CHANGED_MEANWHILE
)
def changed_meanwhile(factory, case):
    kind, signed, change = CHANGED_MEANWHILE[case]
    board = slow_board(factory, trusting(keys(factory).public("ed25519")) if signed else None)
    # So large that the engine has not read its end when it waits in the middle.
    large = factory.system_variant("large", lambda root: (root / "usr/lib/large").write_bytes(os.urandom(8 << 20)))
    large = factory.image(kind, large, size=18 << 20)
    image = board.deliver(make_bundle(factory, large, keys(factory).private("ed25519")) if signed else large)
    process = board.start("/sbin/sysupgrade", "--no-reboot", image)
    board.reached("reached")
    with open(board.root / image.lstrip("/"), "r+b") as file:
        change(file)
    board.tell("go")
    refused(board, board.finish(process), 5, "shorter" if change is end_cut_off else "changed", target_touched=True)


@promise("exit 1: SIGTERM while a bundle is written stops everything, and the next update works")
def bundle_stopped(factory):
    board = slow_board(factory, trusting(keys(factory).public("ed25519")))
    image = board.deliver(good_bundle(factory, "ext4.zst"))
    process = board.start("/sbin/sysupgrade", "--no-reboot", image)
    board.reached("reached")
    process.terminate()
    board.tell("go")
    refused(board, board.finish(process), 1, "signal", target_touched=True)
    board.wait_for_lock()
    true(not board.mounts("b"), "a half-written slot can be mounted")
    equal(board.sysupgrade("--no-reboot", image).code, 0, "exit code of the next")


# ---- encrypted ---------------------------------------------------------------------------------------------------------


def device_certificate(factory, name):
    made = keys(factory)
    certificate = made.folder / f"{name}.device.crt"
    if not certificate.exists():
        key = made.private(name, "p256")
        run("openssl", "req", "-x509", "-new", "-key", key, "-subj", f"/CN={name}", "-days", "1", "-out", certificate)
    return certificate


def encrypted_board(factory, key="device"):
    """A board with a private key, and a bundle for that of the device."""
    made = keys(factory)
    plain, out = factory.place / "plain.bundle", factory.place / "encrypted.bundle"
    plain.write_bytes(good_bundle(factory, form=2, version="2.0.1"))
    host.encrypt(plain, out, made.private("ed25519"), None, [device_certificate(factory, "device")])

    def has_a_key(root):
        if key:
            (root / "etc/device.key").write_text(made.private(key, "p256").read_text())
        (root / "etc/otamgr/sysupgrade.conf").write_text("DECRYPTION_KEY=/etc/device.key\n" if key != "" else "")

    board = factory.board(change=trusting(made.public("ed25519"), also=has_a_key))
    board.target_before = board.slot_bytes(board.target)
    return board, out.read_bytes()


def decrypted(factory, board, content, *kept):
    """Installs it: exactly that system with these kept files, and no key is left."""
    result = board.sysupgrade("--no-reboot", board.deliver(content))
    equal(result.code, 0, f"exit code, said {result.err}")
    with board.mounted("b") as new:
        found = tree(new, without=(*ADDED, "etc/otamgr", "etc/otamgr/manifest", *kept))
        equal(found, tree(factory.new), "new system")
    equal(list((board.root / "run").glob("**/content-key")), [], "keys that are left")


@promise("a bundle that is encrypted for this device installs exactly that system")
def decrypts(factory):
    decrypted(factory, *encrypted_board(factory), "etc/device.key")


@promise(
    "exit 23: an encrypted bundle is refused before anything is touched by a board with {}",
    cases=["no key", "the key of somebody else", "a key that is not there"],
)
def cannot_decrypt(factory, what):
    board, content = encrypted_board(factory, {"no key": "", "the key of somebody else": "other"}.get(what, None))
    words = {"no key": "names none", "the key of somebody else": "not for this device"}.get(what, "cannot be read")
    refused(board, board.sysupgrade("--no-reboot", board.deliver(content)), 23, words)
    equal(verify(board, content).code, 0, "what ota-verify says of it")


SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
TOKEN_KEY = "pkcs11:token=board;object=device;type=private?pin-source=file:/data/keys/pin"
OPENSSL_CNF = f"""\
openssl_conf = init
[init]
engines = engines
[engines]
pkcs11 = token
[token]
engine_id = pkcs11
MODULE_PATH = {SOFTHSM}
"""


def softhsm_conf(tokens):
    return f"directories.tokendir = {tokens}\nobjectstore.backend = file\n"


def made_token(factory):
    """A folder with the token of a device, in software, and a certificate of the key that never leaves it."""
    folder = factory.place / "token"
    certificate = folder / "device.crt"
    if not certificate.exists():
        (folder / "tokens").mkdir(parents=True)
        (folder / "softhsm2.conf").write_text(softhsm_conf(folder / "tokens"))
        named = os.environ | {"SOFTHSM2_CONF": str(folder / "softhsm2.conf"), "PKCS11_MODULE_PATH": str(SOFTHSM)}
        for words in (
            "softhsm2-util --init-token --free --label board --pin 1234 --so-pin 5678",
            f"pkcs11-tool --module {SOFTHSM} --token-label board --login --pin 1234 --keypairgen --key-type EC:prime256v1 "
            "--usage-derive --id 01 --label device",
            "openssl req -x509 -new -engine pkcs11 -keyform engine -days 1 -subj /CN=board-7 "
            f"-key pkcs11:token=board;object=device;type=private?pin-value=1234 -out {certificate}",
        ):
            run(*words.split(), env=named)
    return folder, certificate


def token_board(factory, pin="1234"):
    """A board whose key is in a token, with what docs/signing.md asks for, and a bundle that is encrypted for it."""
    made, (folder, certificate) = keys(factory), made_token(factory)
    plain, out = factory.place / "plain.bundle", factory.place / "encrypted.bundle"
    plain.write_bytes(good_bundle(factory, form=2, version="2.0.1"))
    host.encrypt(plain, out, made.private("ed25519"), None, [certificate])
    directory, engines = (Path(run("openssl", "version", which, text=True).split('"')[1]) for which in ("-d", "-e"))

    def knows_the_token(root):
        for library in (engines / "pkcs11.so", SOFTHSM):
            (root / str(library.parent).lstrip("/")).mkdir(parents=True, exist_ok=True)
            factory.copy_program(library, root, root / str(library).lstrip("/"))
        for path, text in (
            (directory / "openssl.cnf", OPENSSL_CNF),
            (Path("/etc/softhsm/softhsm2.conf"), softhsm_conf("/data/tokens")),
            (Path("/etc/otamgr/sysupgrade.conf"), f"DECRYPTION_KEY={TOKEN_KEY}\n"),
        ):
            place = root / str(path).lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    board = factory.board(change=trusting(made.public("ed25519"), also=knows_the_token))
    shutil.copytree(folder / "tokens", board.root / "data/tokens")
    (board.root / "data/keys").mkdir(mode=0o700)
    (board.root / "data/keys/pin").write_text(pin)
    board.target_before = board.slot_bytes(board.target)
    return board, out.read_bytes()


@promise("a bundle that is encrypted for a key in a token of this device installs exactly that system")
def decrypts_by_token(factory):
    decrypted(factory, *token_board(factory))


@promise("exit 23: with a wrong PIN for its token a board refuses an encrypted bundle before anything is touched")
def wrong_pin(factory):
    board, content = token_board(factory, pin="4321")
    result = board.sysupgrade("--no-reboot", board.deliver(content))
    refused(board, result, 23, "and its PIN")
    true("4321" not in result.err, "the PIN is said")
