#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ota-content open and verify-file: which bundles and signatures are taken. The host's lib/otamgr/bundle.py must say the same."""

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

import content
from otamgr import bundle


def openssl(*words, **options):
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, **options).stdout


def assembled(members, form=tarfile.USTAR_FORMAT):
    """Bytes of a tar archive of (name, content) as they are given, right or wrong."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def summed(archive, at=0):
    """The archive with the checksum of the header at this place made right."""
    archive = bytearray(archive)
    archive[at + 148 : at + 156] = b" " * 8
    archive[at + 148 : at + 156] = b"%06o\0 " % sum(archive[at : at + 512])
    return bytes(archive)


class Opening(unittest.TestCase):
    """A test with a folder of its own; keys and certificates are made once."""

    @classmethod
    def setUpClass(cls):
        made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(made.cleanup)
        cls.made = Path(made.name)
        cls.image = cls.made / "image.tar"
        cls.image.write_bytes(assembled([("etc/os-release", b"ID=us\n")]))

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.keys = self.folder / "keys.d"
        self.keys.mkdir()
        self.work = self.folder / "work"
        self.work.mkdir()

    @classmethod
    def private(cls, name, *options):
        """A private key by that name; options of genpkey, Ed25519 if there are none."""
        path = cls.made / f"{name}.key"
        if not path.exists():
            path.write_bytes(openssl("genpkey", *(options or ("-algorithm", "ed25519"))))
        return path

    @classmethod
    def p256(cls, name):
        return cls.private(name, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")

    @classmethod
    def rsa(cls, name, bits):
        return cls.private(name, "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}")

    @staticmethod
    def public(key):
        return openssl("pkey", "-in", key, "-pubout").decode()

    def authority(self, key, *extensions, issuer=None, digest="sha256"):
        """A certificate (PEM text) for this key, by itself or by issuer, (key, PEM text)."""
        name = key.stem
        config = self.folder / "extensions"
        config.write_text("\n".join(extensions or ("basicConstraints=critical,CA:TRUE",)) + "\n")
        request = self.folder / "request"
        # What is weak on purpose needs a provider and a level that allow it.
        openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
        signer = ["-signkey", key]
        if issuer:
            (self.folder / "issuer.crt").write_text(issuer[1])
            signer = ["-CA", self.folder / "issuer.crt", "-CAkey", issuer[0], "-CAcreateserial"]
        return openssl(
            "x509", "-req", "-in", request, *signer, f"-{digest}", "-days", "30", "-extfile", config
        ).decode()

    def leaf(self, key, issuer, *extensions, digest="sha256"):
        return self.authority(
            key,
            *(extensions or ("basicConstraints=CA:FALSE", "extendedKeyUsage=codeSigning")),
            issuer=issuer,
            digest=digest,
        )

    def trust(self, *pems):
        for number, pem in enumerate(pems):
            (self.keys / f"{number}.pem").write_text(pem)

    def manifest(self, **changes):
        values = {
            "format": bundle.FORMAT,
            "compatible": "board",
            "version": "2.0",
            **bundle.describe_image(self.image),
            **{key.replace("_", "-"): value for key, value in changes.items()},
        }
        return "".join(f"{key}={value}\n" for key, value in values.items()).encode()

    def signed(self, manifest, key):
        path = self.folder / "to-sign"
        path.write_bytes(manifest)
        return bundle.sign(path, key)

    def bundle(self, key, manifest=None, chain=None, image=None):
        manifest = manifest or self.manifest()
        members = [("manifest", manifest), ("manifest.sig", self.signed(manifest, key))]
        if chain:
            members.append(("manifest.crt", chain.encode()))
        return assembled([*members, (self.image.name, image or self.image.read_bytes())])

    def open(self, data, **options):
        path = self.folder / "x.bundle"
        if isinstance(data, bytes):
            path.write_bytes(data)
        else:
            path = data
        return content.run("open", "--keys", self.keys, self.work, image=path, **options)

    def on_host(self, data):
        """Who signed as the host's library sees it, or the class of what it refuses the bundle with."""
        path = self.folder / "host.bundle"
        path.write_bytes(data)
        try:
            with bundle.open_bundle(path) as opened:
                who = opened.signed_by([self.keys])
                opened.check_image()
                return who
        except bundle.SignatureError:
            return 6
        except bundle.BundleError:
            return "refused"

    def taken(self, data, by=None):
        result = self.open(data)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        found = content.facts(result.stdout)
        if by is not None:
            self.assertTrue(found["signed_by"].startswith(str(self.keys / by)), found["signed_by"])
        host = self.on_host(data)
        self.assertIsInstance(host, str)
        self.assertEqual(Path(host), Path(found["signed_by"].split(" (")[0]), "the host's tool names the same file")
        return found

    def refused(self, data, code, *words, host=True):
        result = self.open(data)
        self.assertEqual((result.returncode, result.stdout), (code, ""), result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertFalse((self.work / "opened").exists(), "facts of what was refused")
        if host:
            self.assertEqual(self.on_host(data), 6 if code == 6 else "refused", "what the host's tool says")


class Signatures(Opening):
    def test_a_bundle_by_a_trusted_key_is_opened_and_what_was_judged_lies_in_the_folder(self):
        for key in (self.private("ed"), self.p256("ec")):
            with self.subTest(key=key.name):
                self.trust(self.public(self.private("other")), self.public(key))
                data = self.bundle(key, self.manifest(description="it's $(free) text", x_more="1"))
                found = self.taken(data, "1.pem")
                self.assertEqual(
                    {**found, "signed_by": ""},
                    {
                        "bundle": "1",
                        "signed_by": "",
                        "compatible": "board",
                        "version": "2.0",
                        "image": "image.tar",
                        "image_bytes": str(self.image.stat().st_size),
                        "image_sha256": bundle.describe_image(self.image)["image-sha256"],
                        "payload_offset": str(data.index(b"etc/os-release\0")),
                        "payload_bytes": str(self.image.stat().st_size),
                        "description": "it?s ?(free) text",
                    },
                )
                with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                    for name in ("manifest", "manifest.sig"):
                        self.assertEqual((self.work / name).read_bytes(), archive.extractfile(name).read())
                self.assertFalse((self.work / "manifest.crt").exists())

    def test_what_is_no_bundle_is_said_to_be_none(self):
        for data in (
            b"x",
            self.image.read_bytes(),
            assembled([("manifest2", b"x")]),
            self.bundle(self.private("ed"))[:511],
        ):
            result = self.open(data)
            self.assertEqual(
                (result.returncode, content.facts(result.stdout)),
                (0, {"bundle": "no", "payload_offset": "0", "payload_bytes": str(len(data))}),
            )

    def test_every_key_and_certificate_in_a_file_counts(self):
        keys = [self.private("ed"), self.p256("ec"), self.private("third")]
        root = self.authority(self.p256("root"))
        second = self.authority(self.p256("second-root"))
        strange = self.public(self.rsa("rsa", 2048))
        self.trust("# ours\n" + strange + "".join(map(self.public, keys)) + root + "between\n" + second)
        for key in keys:
            self.taken(self.bundle(key), "0.pem")
        for issuer, pem in (("root", root), ("second-root", second)):
            leaf = self.leaf(self.p256("leaf"), (self.p256(issuer), pem))
            self.taken(self.bundle(self.p256("leaf"), chain=leaf), "0.pem")

    def test_what_is_wrong_in_a_file_does_not_hide_what_is_right(self):
        good = self.public(self.private("ed"))
        broken = good.replace("M", "!", 1)
        self.trust("-----BEGIN PUBLIC KEY-----\n" + broken + good)
        (self.keys / "dangling.pem").symlink_to("nowhere")
        (self.keys / "a.pem").mkdir()
        result = self.open(self.bundle(self.private("ed")))
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_keys_of_other_kinds_are_no_keys(self):
        for key in (
            self.rsa("rsa", 2048),
            self.private("p384", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
            self.private(
                "explicit",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-pkeyopt",
                "ec_param_enc:explicit",
            ),
        ):
            with self.subTest(key=key.name):
                path = self.folder / "to-sign"
                path.write_bytes(self.manifest())
                data = assembled(
                    [
                        ("manifest", self.manifest()),
                        ("manifest.sig", openssl("dgst", "-sha256", "-sign", key, path)),
                        (self.image.name, self.image.read_bytes()),
                    ]
                )
                self.trust(self.public(key))
                self.refused(data, 6, "no public key or certificate", "Ed25519", host=False)
                self.trust(self.public(key), self.public(self.private("ed")))
                self.refused(data, 6, "by none of the public keys")
                (self.keys / "1.pem").unlink()

    def test_signatures_of_others_and_of_other_texts_are_refused(self):
        ed = self.private("ed")
        data = self.bundle(ed)
        self.refused(data, 6, "no public key or certificate", host=False)
        self.trust(ed.read_text())
        self.refused(data, 6, "no public key or certificate", host=False)
        self.trust(self.public(self.private("other")))
        self.refused(data, 6, "by none of the public keys")
        self.trust(self.public(ed))
        self.refused(data.replace(b"version=2.0", b"version=9.0"), 6, "by none of the public keys")
        for signature in (b"x", bytes(64), bytes(1024), self.signed(b"other", ed)):
            self.refused(
                assembled(
                    [("manifest", self.manifest()), ("manifest.sig", signature), ("image.tar", self.image.read_bytes())]
                ),
                6,
            )


class Certificates(Opening):
    def by_chain(self, leaf, *others, key="leaf"):
        return self.bundle(self.p256(key), chain="".join((leaf, *others)))

    def test_chains_lead_to_a_certificate_that_is_trusted(self):
        root = self.authority(self.p256("root"))
        middle = self.authority(self.p256("middle"), issuer=(self.p256("root"), root))
        rsa = self.authority(self.rsa("rsa", 2048))
        direct = self.leaf(self.p256("leaf"), (self.p256("root"), root))
        deep = self.leaf(self.p256("leaf"), (self.p256("middle"), middle))
        plain = self.leaf(self.p256("leaf"), (self.p256("root"), root), "basicConstraints=CA:FALSE")
        by_rsa = self.leaf(self.p256("leaf"), (self.rsa("rsa", 2048), rsa))
        both = self.leaf(
            self.p256("leaf"),
            (self.p256("root"), root),
            "keyUsage=digitalSignature",
            "extendedKeyUsage=serverAuth,codeSigning",
        )
        for trusted, chain in (
            (root, [direct]),
            (root, [deep, middle]),
            (middle, [deep]),
            (deep, [deep]),
            (root, [plain]),
            (rsa, [by_rsa]),
            (root, [both]),
            (root, [direct, rsa, rsa, middle]),
        ):
            self.trust(self.public(self.private("other")), trusted)
            self.taken(self.by_chain(*chain), "1.pem")
        ed = self.leaf(self.private("ed-leaf"), (self.p256("root"), root))
        self.trust(root)
        self.taken(self.bundle(self.private("ed-leaf"), chain=ed), "0.pem")

    def test_chains_that_are_weak_are_refused(self):
        for name, key, digest, words in (
            ("rsa-512", self.rsa("rsa-512", 512), "sha256", "too small"),
            ("rsa-1024", self.rsa("rsa-1024", 1024), "sha256", "too small"),
            ("md5", self.rsa("rsa", 2048), "md5", "weak hash"),
            ("sha1", self.rsa("rsa", 2048), "sha1", "weak hash"),
        ):
            with self.subTest(weak=name):
                root = self.authority(key)
                leaf = self.leaf(self.p256("leaf"), (key, root), digest=digest)
                self.trust(root)
                self.refused(self.by_chain(leaf), 6, words)
        strong = self.authority(self.p256("root"))
        weak = self.authority(self.rsa("rsa-1024", 1024), issuer=(self.p256("root"), strong))
        leaf = self.leaf(self.p256("leaf"), (self.rsa("rsa-1024", 1024), weak))
        self.trust(strong)
        self.refused(self.by_chain(leaf, weak), 6, "too small")

    def test_what_a_certificate_is_for_is_read_by_number_not_by_text(self):
        root = self.authority(self.p256("root"))
        self.trust(root)
        for extensions, words in (
            (("extendedKeyUsage=serverAuth",), "codeSigning"),
            (("extendedKeyUsage=msCodeCom",), "codeSigning"),
            (("extendedKeyUsage=msCodeInd,anyExtendedKeyUsage",), "codeSigning"),
            (("keyUsage=critical,keyCertSign",), "digitalSignature"),
            (("keyUsage=nonRepudiation", "extendedKeyUsage=codeSigning"), "digitalSignature"),
        ):
            with self.subTest(extensions=extensions):
                self.refused(
                    self.by_chain(self.leaf(self.p256("leaf"), (self.p256("root"), root), *extensions)),
                    6,
                    "not for signing code",
                    words,
                )

    def test_chains_that_lead_elsewhere_are_refused(self):
        root = self.authority(self.p256("root"))
        middle = self.authority(self.p256("middle"), issuer=(self.p256("root"), root))
        stranger = self.authority(self.p256("stranger"))
        direct = self.leaf(self.p256("leaf"), (self.p256("root"), root))
        self.trust(root)
        no_authority = self.leaf(self.p256("second"), (self.p256("leaf"), direct))
        self.refused(self.by_chain(no_authority, direct, key="second"), 6, "no authority")
        self.refused(self.by_chain(self.leaf(self.p256("leaf"), (self.p256("middle"), middle))), 6, "leads to none")
        strange = self.by_chain(self.leaf(self.p256("leaf"), (self.p256("stranger"), stranger)), stranger)
        self.refused(strange, 6, "leads to none")
        self.refused(self.bundle(self.private("ed"), chain=direct), 6, "by the certificate that came with it")
        self.refused(self.by_chain("no certificate at all\n"), 6, "neither by a public key")
        # What the system trusts for web sites is not asked.
        store = self.folder / "system"
        store.mkdir()
        (store / "x.pem").write_text(stranger)
        (store / f"{openssl('x509', '-hash', '-noout', input=stranger.encode()).decode().strip()}.0").write_text(
            stranger
        )
        result = self.open(strange, environment={"SSL_CERT_DIR": str(store), "SSL_CERT_FILE": str(store / "x.pem")})
        self.assertEqual(result.returncode, 6)

    def test_detached_signatures_are_judged_alike(self):
        root = self.authority(self.p256("root"))
        leaf = self.leaf(self.p256("leaf"), (self.p256("root"), root))
        self.trust(self.public(self.private("ed")), root)
        paths = {name: self.folder / name for name in ("file", "sig", "chain", "empty")}
        paths["file"].write_bytes(b"some bytes\0\n" * 1000)
        paths["chain"].write_text(leaf)
        paths["empty"].touch()

        def verified(key, *chain):
            paths["sig"].write_bytes(bundle.sign(paths["file"], key))
            return content.run("verify-file", "--keys", self.keys, paths["file"], paths["sig"], *chain)

        result = verified(self.private("ed"))
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, f"signed_by={self.keys}/0.pem\n", ""))
        result = verified(self.p256("leaf"), paths["chain"])
        self.assertEqual(
            (result.returncode, result.stdout), (0, f"signed_by={self.keys}/1.pem (CN = leaf)\n"), result.stderr
        )
        for code, arguments in (
            (6, (self.p256("leaf"),)),
            (6, (self.p256("leaf"), paths["empty"])),
            (6, (self.private("other"), paths["chain"])),
            (3, (self.p256("leaf"), self.folder / "none")),
            (3, (self.p256("leaf"), self.keys)),
            (2, (self.p256("leaf"), 1, 2)),
        ):
            result = verified(*arguments)
            self.assertEqual((result.returncode, result.stdout), (code, ""), result.stderr)


class Several(Opening):
    """More than one signature over a manifest, and keys that are trusted no more."""

    def by(self, *signers):
        """A bundle by (key, its certificates or nothing) each, as the host's tool makes it."""
        manifest, chain = self.manifest(), b""
        (first, certificates), *others = signers
        chain = certificates.encode()
        for key, more in others:
            chain = bundle._with_signature(chain, self.signed(manifest, key), more.encode())
        return self.bundle(first, manifest, chain.decode())

    def revoke(self, *fingerprints):
        (self.keys / "ours.revoked").write_text("# stolen\n" + "".join(f"{one}  # by us\n" for one in fingerprints))

    def test_a_device_takes_what_anybody_whom_it_trusts_has_signed(self):
        old, new = self.private("ed"), self.p256("new")
        data = self.by((old, ""), (new, ""))
        for key in (old, new):
            self.trust(self.public(key))
            self.taken(data, "0.pem")
        self.trust(self.public(old), self.public(new))
        self.taken(data, "0.pem")
        self.trust(self.public(self.private("other")), self.public(self.private("third")))
        self.refused(data, 6, "so it is with 1 more")

    def test_each_signature_has_its_own_certificates(self):
        root, other = self.authority(self.p256("root")), self.authority(self.p256("other-root"))
        leaf = self.leaf(self.p256("leaf"), (self.p256("root"), root))
        second = self.leaf(self.p256("second"), (self.p256("other-root"), other))
        data = self.by((self.p256("leaf"), leaf), (self.p256("second"), second), (self.private("ed"), ""))
        for trusted in (root, other, self.public(self.private("ed"))):
            self.trust(trusted)
            self.taken(data, "0.pem")
        # A certificate does not speak for the signature of somebody else.
        swapped = self.by((self.p256("leaf"), second), (self.p256("second"), leaf))
        self.trust(root + other)
        self.refused(swapped, 6)
        # Nor is one that is not for signing good because it is the second.
        web = self.leaf(self.p256("web"), (self.p256("root"), root), "extendedKeyUsage=serverAuth")
        self.trust(root)
        self.refused(self.by((self.private("stranger"), ""), (self.p256("web"), web)), 6)

    def test_signatures_of_other_texts_and_too_many_are_refused(self):
        ed = self.private("ed")
        self.trust(self.public(ed))
        stranger = self.private("stranger")
        chain = bundle._with_signature(b"", self.signed(b"other", ed), b"").decode()
        self.refused(self.bundle(stranger, chain=chain), 6)
        for bad in ("", "!", "A" * 4000):
            block = f"-----BEGIN OTA SIGNATURE-----\n{bad}\n-----END OTA SIGNATURE-----\n"
            self.refused(self.bundle(stranger, chain=block), 6)
        good = bundle._with_signature(b"", self.signed(self.manifest(), ed), b"").decode()
        self.taken(self.bundle(stranger, chain=good))
        seven = self.by(*[(stranger, "")] * 7).split(b"manifest.crt")[0]
        self.assertTrue(seven)
        self.refused(self.bundle(stranger, chain=chain * 7 + good), 6, "more than 8 signatures")
        self.taken(self.bundle(stranger, chain=chain * 6 + good))

    def test_a_key_that_is_revoked_signs_nothing_any_more(self):
        for key in (self.private("ed"), self.p256("ec")):
            self.trust(self.public(key), self.public(self.private("new")))
            data = self.bundle(key)
            self.taken(data, "0.pem")
            one = bundle.key_fingerprint(self.public(key))
            for written in (one, one.upper(), ":".join(one[n : n + 2] for n in range(0, 64, 2))):
                self.revoke("00" * 32, written)
                self.refused(data, 6, "trusted no more", "ours.revoked")
            both = self.by((key, ""), (self.private("new"), ""))
            self.taken(both, "1.pem")
            self.revoke("00" * 32)
            self.taken(data, "0.pem")
            (self.keys / "ours.revoked").unlink()

    def test_the_form_of_a_point_does_not_hide_a_key(self):
        key = self.p256("ec")
        short = openssl("pkey", "-in", key, "-pubout", "-ec_conv_form", "compressed").decode()
        self.trust(short)
        self.taken(self.bundle(key), "0.pem")
        self.assertEqual(bundle.key_fingerprint(short), bundle.key_fingerprint(self.public(key)))
        self.revoke(bundle.key_fingerprint(short))
        self.refused(self.bundle(key), 6, "trusted no more")

    def test_certificates_are_revoked_by_their_own_fingerprint_or_that_of_their_key(self):
        root = self.authority(self.p256("root"))
        middle = self.authority(self.p256("middle"), issuer=(self.p256("root"), root))
        leaf = self.leaf(self.p256("leaf"), (self.p256("middle"), middle))
        data = self.bundle(self.p256("leaf"), chain=leaf + middle)
        self.trust(root)
        self.taken(data, "0.pem")
        for certificate in (leaf, middle, root):
            for fingerprint in (
                bundle.certificate_fingerprint(certificate),
                bundle.key_fingerprint(bundle._key_of(certificate)),
            ):
                self.revoke(fingerprint)
                self.refused(data, 6)
        # Another certificate for the same key is as bad, another key of the same authority is not.
        again = self.leaf(self.p256("leaf"), (self.p256("root"), root))
        self.revoke(bundle.key_fingerprint(bundle._key_of(leaf)))
        self.refused(self.bundle(self.p256("leaf"), chain=again), 6, "trusted no more")
        other = self.leaf(self.p256("second"), (self.p256("root"), root))
        self.taken(self.bundle(self.p256("second"), chain=other), "0.pem")

    def test_a_list_that_cannot_be_read_may_name_anybody(self):
        key = self.private("ed")
        data = self.bundle(key)
        self.trust(self.public(key))
        for text in (
            "x\n",
            "00" * 31,
            "00" * 33,
            "0" * 63 + "g",
            "00" * 32 + " 00" * 32,
            "::" + "00" * 32,
            "\0" + "00" * 32,
        ):
            self.revoke(text)
            self.refused(data, 6, "line 2", "nobody is trusted")
        (self.keys / "ours.revoked").unlink()
        (self.keys / "ours.revoked").mkdir()
        self.refused(data, 6, "cannot be read", host=False)
        (self.keys / "ours.revoked").rmdir()
        for text in ("", "\n\n# nobody\n", "\t" + "00" * 32 + " \r\n"):
            (self.keys / "ours.revoked").write_text(text)
            self.taken(data, "0.pem")

    def test_detached_signatures_honour_lists_as_well(self):
        key, file, signature = self.private("ed"), self.folder / "file", self.folder / "sig"
        self.trust(self.public(key))
        file.write_bytes(b"some bytes")
        signature.write_bytes(bundle.sign(file, key))
        words = ("verify-file", "--keys", self.keys, file, signature)
        self.assertEqual(content.run(*words).returncode, 0)
        self.revoke(bundle.key_fingerprint(self.public(key)))
        done = content.run(*words)
        self.assertEqual((done.returncode, done.stdout), (6, ""), done.stderr)


class Layout(Opening):
    def setUp(self):
        super().setUp()
        self.key = self.private("ed")
        self.trust(self.public(self.key))

    def test_damaged_bundles_are_refused_with_what_was_expected(self):
        manifest = self.manifest()
        rest = ("manifest.sig", self.signed(manifest, self.key)), (self.image.name, self.image.read_bytes())
        good = assembled([("manifest", manifest), *rest])
        flipped = bytearray(good)
        flipped[130] ^= 1
        link = io.BytesIO()
        with tarfile.open(fileobj=link, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in (("manifest", manifest), rest[0]):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            info = tarfile.TarInfo(rest[1][0])
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/shadow"
            archive.addfile(info)
        for data, words in (
            (bytes(flipped), "checksum"),
            (good[: len(good) - 10240], "cut off"),
            (good[:1024], "damaged"),
            (good[:600], "ends within"),
            (assembled([("manifest", manifest)]), "damaged"),
            (assembled([("manifest", manifest), rest[0]]), "damaged"),
            (assembled([("manifest", manifest), rest[1], rest[0]]), "manifest.sig"),
            (link.getvalue(), "no plain file"),
            (assembled([("manifest", manifest), *rest, ("more", b"x")]), "more than one image"),
            (assembled([("manifest", manifest), rest[0], ("../x", b"x")]), "name"),
            (assembled([("manifest", b""), *rest]), "0 bytes"),
            (assembled([("manifest", b"x" * 65537), *rest]), "65537"),
            (assembled([("manifest", manifest), ("manifest.sig", b"x" * 1025), rest[1]]), "1025"),
            (assembled([("manifest", manifest), rest[0], ("other.tar", rest[1][1])]), "other.tar"),
            (assembled([("manifest", manifest), rest[0], (rest[1][0], rest[1][1] + b"x")]), str(len(rest[1][1]) + 1)),
            (assembled([("manifest", manifest), rest[0], (rest[1][0], b"")]), "empty"),
            (assembled([("manifest", manifest), rest[0], ("manifest.crt", b""), rest[1]]), "0 bytes"),
            (assembled([("manifest", manifest), rest[0], ("manifest.sig", b"x")]), "where the image should be"),
            (assembled([("manifest", manifest), rest[0], ("manifest.crt", b"x" * 65537), rest[1]]), "65537"),
        ):
            with self.subTest(words=words):
                self.refused(data, 5, words)

    def test_sizes_are_numbers_without_a_sign(self):
        good = self.bundle(self.key)
        image = good.index(b"image.tar\0")
        for at in (0, 1024, image):
            for size in (
                b"-0000000001\0",
                b"-0000002000\0",
                b"+0000000005\0",
                b"0x000000020\0",
                b"0o00000020\0 ",
                b"\xff" * 12,
                b"\x80" + b"\xff" * 11,
                b"\x80" + b"\0" * 10 + b"\x05",
                b"00000000018\0",
                b"0000000 010\0",
                b"\0" * 12,
                b" " * 12,
                b"0_00000020\0 ",
                b"00000000010x",
            ):
                with self.subTest(at=at, size=size):
                    data = good[: at + 124] + size + good[at + 136 :]
                    self.refused(summed(data, at), 5, "size that is no number")

    def test_sizes_with_blanks_or_without_an_end_are_numbers(self):
        good = self.bundle(self.key)
        size = b"%o" % len(self.manifest())
        for field in (
            size.rjust(12, b" "),
            size.rjust(12, b"0"),
            size.rjust(10, b" ") + b"  ",
            size + bytes(12 - len(size)),
        ):
            self.taken(summed(good[:124] + field + good[136:]), "0.pem")

    def test_an_image_of_more_than_8_GiB_is_found(self):
        size = 9 << 30
        manifest = self.manifest(image_bytes=size)
        data = assembled(
            [("manifest", manifest), ("manifest.sig", self.signed(manifest, self.key)), ("image.tar", b"x")],
            tarfile.GNU_FORMAT,
        )
        at = data.index(b"image.tar\0")
        data = summed(data[: at + 124] + b"\x80" + size.to_bytes(11, "big") + data[at + 136 :], at)
        path = self.folder / "large.bundle"
        path.write_bytes(data[: at + 512])
        with open(path, "r+b") as large:
            large.truncate(at + 512 + size + 1024)
        result = self.open(path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(content.facts(result.stdout)["payload_bytes"], str(size))
        with open(path, "r+b") as large:
            large.truncate(at + 512 + size + 1023)
        result = self.open(path)
        self.assertEqual(result.returncode, 5)
        self.assertIn("cut off", result.stderr)

    def test_a_bundle_of_format_2_has_a_signed_index(self):
        index = b"OTAINDEX" + bytes(100000)
        values = {
            "format": "otamgr-bundle-2",
            "image_type": "ext4",
            "image_compression": "zstd-blocks",
            "index_bytes": len(index),
            "index_sha256": hashlib.sha256(index).hexdigest(),
            "rootfs_bytes": 4096,
            "rootfs_sha256": "0" * 64,
        }

        def made(content=index, name="index", **changes):
            manifest = self.manifest(
                **{key: value for key, value in {**values, **changes}.items() if value is not None}
            )
            members = [
                ("manifest", manifest),
                ("manifest.sig", self.signed(manifest, self.key)),
                (name, content),
                ("image.tar", self.image.read_bytes()),
            ]
            return assembled([member for member in members if member[1] is not None])

        result = self.open(made())
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        found = content.facts(result.stdout)
        self.assertEqual((self.work / "index").read_bytes(), index)
        self.assertEqual(self.on_host(made()), str(self.keys / "0.pem"))
        self.assertEqual(
            {
                key: found[key]
                for key in (
                    "bundle",
                    "image_type",
                    "image_compression",
                    "index_bytes",
                    "index_sha256",
                    "rootfs_bytes",
                    "rootfs_sha256",
                )
            },
            {**{key: str(value) for key, value in values.items() if key in found}, "bundle": "2"},
        )
        self.assertEqual(self.open(self.bundle(self.key)).returncode, 0)
        self.assertFalse((self.work / "index").exists(), "the index of an earlier bundle")
        for code, words, data in (
            (5, "not the one that was signed", made(index[:-1] + b"x")),
            (5, "speaks of an index", made(index + b"x")),
            (5, "an index of 100008 bytes", made(None)),
            (5, "more than one image", made(index, "something")),
            (4, "image-type '', expected ext4", made(image_type=None)),
            (4, "image-type 'tar', expected ext4", made(image_type="tar")),
            (4, "expected zstd-blocks", made(image_compression="zstd")),
            (4, "index-bytes", made(index_bytes=None)),
            (4, "index-sha256", made(index_sha256=None)),
            (4, "rootfs-bytes", made(rootfs_bytes=None)),
            (4, "rootfs-sha256", made(rootfs_sha256=None)),
            (4, "image-type of format 2", made(format="otamgr-bundle-1")),
            (4, "otamgr-bundle-3", made(format="otamgr-bundle-3")),
            (
                5,
                "speaks of an index",
                made(
                    format="otamgr-bundle-1",
                    image_type=None,
                    image_compression=None,
                    index_bytes=None,
                    index_sha256=None,
                ),
            ),
        ):
            with self.subTest(words=words):
                self.refused(data, code, words)
                self.assertFalse((self.work / "index").exists(), "an index of what was refused")

    def test_what_cannot_be_held_is_no_image(self):
        for image in (self.keys, Path("/dev/null")):
            result = content.run("open", "--keys", self.keys, self.work, image=image)
            self.assertEqual(result.returncode, 3, result.stderr)
        result = content.run("open", "--keys", self.keys, self.folder / "none", image=self.image)
        self.assertEqual(result.returncode, 21, result.stderr)
        for words in (
            (),
            ("--keys", self.keys),
            ("--keys", self.keys, self.work, "x"),
            ("--nokeys", self.keys, self.work),
        ):
            self.assertEqual(content.run("open", *words, image=self.image).returncode, 2)


class Manifests(Opening):
    def setUp(self):
        super().setUp()
        self.key = self.private("ed")
        self.trust(self.public(self.key))

    def test_manifests_that_are_not_understood_are_refused(self):
        good = self.manifest()
        for change, words in (
            ((b"format=otamgr-bundle-1", b"format=otamgr-bundle-9"), "otamgr-bundle-9"),
            ((b"2.0\n", b"2.0\nnot-before=3\n"), "not-before"),
            ((b"version=2.0\n", b""), "version ''"),
            ((b"2.0\n", b"2.0\nversion=3.0\n"), "twice"),
            ((b"2.0\n", b"2.0\nx-a=1\nx-a=1\n"), "twice"),
            ((b"2.0\n", b"2.0\n\n"), "does not know"),
            ((b"2.0\n", b"2.0\nx-=1\n"), "does not know"),
            ((b"2.0\n", b"2.0\nx-=1=2\n"), "does not know"),
            ((b"image-bytes=", b"image-bytes=0"), "image-bytes"),
            ((b"image-bytes=", b"image-bytes=+"), "image-bytes"),
            ((b"image-bytes=", b"image-bytes=$(reboot)"), "image-bytes"),
            ((b"compatible=", b"compatible= "), "compatible"),
            ((b"compatible=board", b"compatible=" + b"b" * 65), "compatible"),
            ((b"2.0\n", b"2.0\nrootfs-bytes=4096\n"), "rootfs-sha256"),
            ((b"2.0\n", b"2.0\nrootfs-bytes=\n"), "rootfs-bytes"),
            ((b"2.0\n", b"2.0\nx-a=\xc3\xa9\n"), "no text"),
            ((b"2.0\n", b"2.0\r\n"), "no text"),
            ((b"2.0\n", b"2.0\nx-a=\0\n"), "no text"),
            ((b"2.0\n", b"2.0\ndescription=\n"), "description"),
            ((b"2.0\n", b"2.0\ndescription=" + b"x" * 1001 + b"\n"), "description"),
            ((b"image-sha256=", b"image-sha256=A"), "image-sha256"),
            ((b"image=image.tar", b"image=../image.tar"), "name of a file"),
        ):
            with self.subTest(change=change):
                self.assertIn(change[0], good)
                self.refused(self.bundle(self.key, good.replace(*change)), 4, words)
        self.refused(self.bundle(self.key, good[:-1]), 4, "no text")

    def test_a_version_that_is_none_is_said_in_words(self):
        for version, words in (
            ("20241127123000", "14 digits"),
            ("1.2.3+build5", "'+' without -"),
            ("5.0.4+snapshot-abc", "'+' without -"),
            ("v1.2.3", "begins with 'v'"),
            ("1.2.3~rc1", "'~' without -"),
            ("1..2", "missing after a dot"),
            ("1.", "missing after a dot"),
            (".1", "begins with '.'"),
            ("1.2.3.4.5.6.7.8.9", "more than 8 numbers"),
            ("1-", "0 characters"),
            ("1-" + "x" * 33, "33 characters"),
            ("1-a b", "holds ' '"),
            ("-rc1", "begins with '-'"),
            ("1 ", "' ' without -"),
            ("1.x", "missing after a dot"),
        ):
            with self.subTest(version=version):
                self.refused(
                    self.bundle(self.key, self.manifest(version=version)), 4, f"version '{version[:100]}'", words
                )
                with self.assertRaisesRegex(bundle.BundleError, "numbers of at most 9 digits") as raised:
                    bundle.version_key(version)
                self.assertIn(words, str(raised.exception))
                self.assertNotIn("[0-9]", str(raised.exception))

    def test_versions_that_are_good_are_taken(self):
        for version in ("0", "1.2.3.4.5.6.7.8-" + "x" * 32, "999999999", "1-a+b._-", "08.09", "1--"):
            self.assertEqual(self.taken(self.bundle(self.key, self.manifest(version=version)))["version"], version)

    def test_the_largest_manifest_is_taken(self):
        good = self.manifest()
        lines = b"".join(b"x-%05d=\n" % i for i in range((bundle.MANIFEST_LIMIT - len(good)) // 9))
        data = good + lines
        data += b"x-" + b"y" * (bundle.MANIFEST_LIMIT - len(data) - 4) + b"=\n"
        self.assertEqual(len(data), bundle.MANIFEST_LIMIT)
        self.taken(self.bundle(self.key, data))
        self.refused(self.bundle(self.key, data + b"x-z=1\n"), 5, "65542")


if __name__ == "__main__":
    if shutil.which("openssl") is None:
        raise SystemExit("the program openssl is missing")
    unittest.main()
