#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bundles have three readers, in C, Python and Java: the same 10,000 generated inputs, the same verdict."""

import io
import random
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import content
from otamgr import bundle

COUNT = 10000
JAVA = ":".join(str(content.REPOSITORY / f"otamgr-src/device/{module}/src/main/java") for module in ("base", "agent"))


def summed(header):
    header = bytearray(header)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


class Generator:
    """Bundles and manifests that are good, or nearly."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.choice = self.random.choice

    def header(self, name, size):
        wrong = self.random.random() < 0.15
        field = b"%011o\0" % size
        if wrong:
            field = self.choice(
                (
                    b"%o" % size,
                    b"%11o\0" % size,
                    b"%11o " % size,
                    b"-%010o\0" % size,
                    b"+%010o\0" % size,
                    b"%012o" % size,
                    b"%010o\0x" % size,
                    b"",
                    b"\x80" + size.to_bytes(11, "big"),
                    b"\xff" * 12,
                    b" %o \0 " % size,
                    b"0o%o" % size,
                    b"%d\0" % size,
                    b"\x80" + (size + (9 << 30)).to_bytes(11, "big"),
                    b"1_0\0",
                    b"\t%o" % size,
                    b"0 %o" % size,
                    b"%o\n" % size,
                    b"8",
                    b"77777777777\0",
                )
            )
        header = bytearray(512)
        header[0 : len(name)] = name
        header[100:108] = b"0000644\0"
        header[124 : 124 + len(field[:12])] = field[:12]
        header[156:157] = (
            b"0" if self.random.random() < 0.95 else self.choice((b"\0", b"1", b"2", b"5", b"L", b"x", b"7", b" "))
        )
        header[257:265] = (
            b"ustar\00000"
            if self.random.random() < 0.95
            else self.choice((b"ustar  \0", b"\0" * 8, b"Ustar\00000", b"ustar\0\xff\xff"))
        )
        if self.random.random() < 0.02:
            header[345:348] = b"dir"
        made = bytearray(summed(header))
        change = self.random.random()
        if change < 0.04:
            made[self.random.randrange(512)] ^= 1 << self.random.randrange(8)
        elif change < 0.08:
            total = sum(summed(header)) - sum(summed(header)[148:156]) + 256
            made[148:156] = self.choice(
                (
                    b"%o\0\0\0\0" % total,
                    b"%7o\0" % total,
                    b"%08o" % total,
                    b"%7o " % total,
                    b"+%05o\0 " % total,
                    b"\0" * 8,
                    b"%06o\0x" % total,
                    b"%06o  " % total,
                    b"-%05o\0 " % total,
                )
            )[:8].ljust(8, b"\0")
        return bytes(made)

    def name(self):
        return self.choice(
            (
                b"image.tar",
                b"i",
                b"a" * 100,
                b"a" * 99,
                b"..",
                b"a/b",
                b"-a",
                b".a",
                b"a b",
                b"a\n",
                b"\xe9",
                b"index",
                b"manifest.crt",
                b"manifest.sig",
                b"manifest",
                b"A_+-.9",
                b"a:b",
                b"",
            )
        )

    def bundle(self):
        image = self.name() if self.random.random() < 0.3 else b"image.tar"
        parts = [(b"manifest", 40), (b"manifest.sig", 64), (b"manifest.crt", 600), (b"index", 100), (image, 700)]
        parts = [part for part in parts if part[0] not in (b"manifest.crt", b"index") or self.random.random() < 0.4]
        change = self.random.random()
        if change < 0.05:
            parts.pop(self.random.randrange(len(parts)))
        elif change < 0.1:
            self.random.shuffle(parts)
        elif change < 0.15:
            parts.insert(self.random.randrange(len(parts) + 1), (self.name(), 5))
        made = b""
        for name, size in parts:
            if self.random.random() < 0.1:
                size = self.choice((0, 1, 511, 512, 513, 1024, 1025, 65536, 65537))
            made += (
                self.header(name, size)
                + bytes(self.random.randrange(1, 256) for _ in range(min(size, 3))).ljust(size, b"x")
                + bytes(-size % 512)
            )
        made += bytes(self.choice((1024, 1024, 1024, 1024, 2048, 10240, 512, 0, 1023)))
        change = self.random.random()
        if change < 0.05:
            made = made[: self.random.randrange(len(made) + 1)]
        elif change < 0.1:
            made += self.choice((b"x", bytes(512) + b"x", self.header(b"more", 1)))
        elif change < 0.13 and made:
            at = self.random.randrange(len(made))
            made = made[:at] + bytes([made[at] ^ 1 << self.random.randrange(8)]) + made[at + 1 :]
        return made

    def value(self, key):
        numbers = (
            b"0",
            b"1",
            b"4096",
            b"999999999999999",
            b"1000000000000000",
            b"00",
            b"+1",
            b"-1",
            b" 1",
            b"1 ",
            b"1e3",
            b"0x10",
            b"",
            b"\xd9\xa1",
        )
        hashes = (b"a" * 64, b"A" * 64, b"a" * 63, b"a" * 65, b"g" * 64, b"", b"0" * 64)
        versions = (
            b"1",
            b"1.2.3",
            b"1.2-rc1",
            b"v1",
            b"1.",
            b".1",
            b"1..2",
            b"1.2.3.4.5.6.7.8",
            b"1.2.3.4.5.6.7.8.9",
            b"999999999",
            b"1000000000",
            b"0",
            b"08.9",
            b"1-" + b"x" * 32,
            b"1-" + b"x" * 33,
            b"1-",
            b"1-a~b",
            b"1+a",
            b"",
            b"1 2",
            b"1-a.b_c+d-e",
            b"1.2.3~rc1",
            b"20241127123000",
        )
        some = {
            b"format": (
                b"otamgr-bundle-1",
                b"otamgr-bundle-2",
                b"otamgr-bundle-3",
                b"otamgr-bundle-1 ",
                b"",
                b"otamgr-bundle-12",
                b"Otamgr-bundle-1",
            ),
            b"compatible": (b"board", b"acme,board-7", b"a" * 64, b"a" * 65, b"", b"a b", b"!~", b"$(x)"),
            b"version": versions,
            b"image": (b"i.tar", b"a" * 100, b"a" * 101, b"../i", b"", b"-i", b"i j"),
            b"description": (b"text", b"", b"d" * 1000, b"d" * 1001, b"a = b"),
            b"image-type": (b"ext4", b"tar", b"", b"ext4 "),
            b"image-compression": (b"zstd-blocks", b"zstd", b""),
            b"encryption-cipher": (b"aes-256-ctr", b"aes-256-gcm", b""),
            b"encryption-nonce": (b"0" * 16, b"0" * 15, b"0" * 17, b"G" * 16, b"A" * 16, b""),
            b"encryption-recipients": (
                b"AAA=",
                b"AAAA",
                b"AA==",
                b"A===",
                b"====",
                b"AA",
                b"",
                b"A+/=",
                b"A A=",
                b"A" * 49152,
                b"A" * 49156,
            ),
        }
        return self.choice(some.get(key, hashes if key.endswith(b"sha256") else numbers))

    def further(self):
        """The value of a further image, mostly a good one."""
        good = (
            self.choice((b"1", b"4096", b"9"))
            + b" "
            + b"e" * 64
            + self.choice((b"", b" zstd", b" optional", b" zstd optional"))
        )
        change = self.random.random()
        if change < 0.9:
            return good
        return self.choice(
            (
                b"",
                b" ",
                b"1",
                b"1 ",
                b"0 " + b"e" * 64,
                b"1  " + b"e" * 64,
                b"1 " + b"e" * 63,
                b"1 " + b"E" * 64,
                b"1000000000000000 " + b"e" * 64,
                good + b" ",
                good + b"  zstd",
                good + b" optional zstd",
                good + b" zstd zstd",
                good + b" Zstd",
                b" " + good,
                b"70000 " + b"e" * 64,
                b"69999 " + b"e" * 64,
            )
        )

    def manifest(self):
        good = {
            b"format": b"otamgr-bundle-1",
            b"compatible": b"board",
            b"version": b"1.2",
            b"image": b"i.tar",
            b"image-bytes": b"700",
            b"image-sha256": b"a" * 64,
        }
        if self.random.random() < 0.5:
            good |= {b"rootfs-bytes": b"4096", b"rootfs-sha256": b"b" * 64}
        if self.random.random() < 0.4:
            good |= {
                b"format": b"otamgr-bundle-2",
                b"image-type": b"ext4",
                b"image-compression": b"zstd-blocks",
                b"index-bytes": b"100",
                b"index-sha256": b"c" * 64,
            }
            if self.random.random() < 0.4:
                good |= {
                    b"encryption-cipher": b"aes-256-ctr",
                    b"encryption-nonce": b"0123456789abcdef",
                    b"encryption-key-sha256": b"d" * 64,
                    b"encryption-recipients": b"AAAA",
                }
            if self.random.random() < 0.4:
                good[b"image-bytes"] = b"70000"
                for number in range(self.choice((1, 2, 3, 8, 9))):
                    good[b"image.app-%d" % number] = self.further()
        lines = list(good.items())
        for _ in range(self.choice((0, 1, 1, 1, 2, 3))):
            change = self.random.random()
            key = self.choice(
                (
                    b"format",
                    b"compatible",
                    b"version",
                    b"image",
                    b"image-bytes",
                    b"image-sha256",
                    b"rootfs-bytes",
                    b"rootfs-sha256",
                    b"description",
                    b"image-type",
                    b"image-compression",
                    b"index-bytes",
                    b"index-sha256",
                    b"encryption-cipher",
                    b"encryption-nonce",
                    b"encryption-key-sha256",
                    b"encryption-recipients",
                )
            )
            if change < 0.5:
                lines = [(old, self.value(old) if old == key else value) for old, value in lines]
            elif change < 0.65:
                lines.insert(self.random.randrange(len(lines) + 1), (key, self.value(key)))
            elif change < 0.75:
                lines = [line for line in lines if line[0] != key]
            elif change < 0.9:
                lines.append(
                    (
                        self.choice(
                            (
                                b"x-a",
                                b"x-",
                                b"x",
                                b"X-a",
                                b"",
                                b"encryption-key",
                                b"image.2",
                                b"image.",
                                b"image.App",
                                b"image.a",
                                b"image.a",
                                b"image.a-" + b"b" * 30,
                                b"image.a-" + b"b" * 31,
                                b"image.a_b",
                                b"image.app-0",
                                b"x-a",
                                b"x-\xc3\xa9",
                                b"format ",
                            )
                        ),
                        self.choice((b"", b"1", b"=", b"a=b", self.further(), self.further())),
                    )
                )
            else:
                self.random.shuffle(lines)
        text = b"".join(key + b"=" + value + b"\n" for key, value in lines)
        change = self.random.random()
        if change < 0.06:
            at = self.random.randrange(len(text))
            text = (
                text[:at]
                + self.choice((b"\0", b"\r", b"\n", b"\t", b"\x7f", b"\x80", b"=", b" "))
                + text[at + self.random.randrange(2) :]
            )
        elif change < 0.09:
            text = self.choice(
                (
                    text[:-1],
                    b"",
                    b"\n",
                    text + b"\n",
                    text + b"x",
                    b"\n" + text,
                    b"\xef\xbb\xbf" + text,
                    text.replace(b"\n", b"\r\n"),
                )
            )
        elif change < 0.1:
            text += (
                b"x-long=" + b"y" * self.choice((65000, 65536 - len(text) - 8, 65537 - len(text) - 8, 66000)) + b"\n"
            )
        return text


def bundle_by_python(data):
    try:
        found = bundle.Bundle(io.BytesIO(data), "x")
    except bundle.BundleError:
        return "no"
    return f"yes {found.image} {found._image.at} {found.image_bytes}"


def manifest_by_python(data):
    try:
        values = bundle.parse_manifest(data)
    except bundle.BundleError:
        return "no"
    said = f"yes {values['format'][-1]} {values['compatible']} {values['image']} {values['image-bytes']}"
    for one in bundle.further_images(values):
        said += f" {one.name} {one.bytes} {one.is_compressed:d}{one.is_optional:d}"
    return said


class Readers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(made.cleanup)
        cls.folder = Path(made.name)
        cls.program = cls.folder / "verdicts"
        subprocess.run(
            [
                "cc",
                "-std=c11",
                "-D_GNU_SOURCE",
                "-O1",
                "-g",
                "-fsanitize=address,undefined",
                "-fno-sanitize-recover=all",
                "-I",
                content.SOURCES / "src",
                Path(__file__).with_name("verdicts.c"),
                *(content.SOURCES / "src" / name for name in ("bundle.c", "manifest.c", "say.c")),
                "-o",
                cls.program,
            ],
            check=True,
        )

    def compared(self, cases, others):
        for number, case in enumerate(cases):
            said = {name: verdicts[number] for name, verdicts in others.items()}
            if len(set(said.values())) != 1:
                self.fail(f"case {number}: {said}\n{case[:2000]!r}")
        taken = sum(verdict != "no" for verdict in next(iter(others.values())))
        self.assertTrue(
            len(cases) / 10 < taken < len(cases) * 9 / 10, f"{taken} of {len(cases)} taken, which compares little"
        )

    def verdicts(self, command, kind, cases):
        data = b"".join(kind + struct.pack(">I", len(case)) + case for case in cases)
        done = subprocess.run(command, input=data, capture_output=True, check=True)
        verdicts = done.stdout.decode("latin-1").splitlines()
        self.assertEqual(len(verdicts), len(cases))
        return verdicts

    def test_10000_bundles_have_one_verdict_in_c_python_and_java(self):
        generator = Generator(1)
        cases = [generator.bundle() for _ in range(COUNT)]
        classes = self.folder / "classes"
        subprocess.run(
            [
                "javac",
                "-d",
                classes,
                "-sourcepath",
                f"{JAVA}:{content.REPOSITORY / 'tests/content/java'}",
                content.REPOSITORY / "tests/content/java/org/metaotamgr/bundle/Verdicts.java",
            ],
            check=True,
        )
        self.compared(
            cases,
            {
                "C": self.verdicts([self.program], b"b", cases),
                "Python": [bundle_by_python(case) for case in cases],
                "Java": self.verdicts(
                    ["java", "-cp", classes, "org.metaotamgr.bundle.Verdicts", self.folder / "one"], b"b", cases
                ),
            },
        )

    def test_10000_manifests_have_one_verdict_in_c_and_python(self):
        generator = Generator(2)
        cases = [generator.manifest() for _ in range(COUNT)]
        self.compared(
            cases,
            {"C": self.verdicts([self.program], b"m", cases), "Python": [manifest_by_python(case) for case in cases]},
        )


if __name__ == "__main__":
    unittest.main()
