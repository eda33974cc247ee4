#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Versions have four readers, in shell, C, Python and Java: the same 10,000 generated ones, the same verdict, and the same order."""

import random
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import content
from otamgr import bundle

COUNT = 10000
JAVA = ":".join(str(content.REPOSITORY / f"otamgr-src/device/{module}/src/main/java") for module in ("base", "agent"))
# The functions of the device, and a loop around them.
SHELL = """
LC_ALL=C; export LC_ALL
. "$1"
while IFS= read -r one && IFS= read -r other; do
    said_one=no said_other=no compared=-
    if version_is_valid "$one"; then said_one=yes; fi
    if version_is_valid "$other"; then said_other=yes; fi
    if [ "$said_one$said_other" = yesyes ]; then
        compared=not
        if version_is_older "$one" "$other"; then compared=older; fi
    fi
    echo "$said_one $said_other $compared"
done
"""


def generated(chance):
    """A version, or nearly."""
    numbers = [
        chance.choice(
            ("0", "1", "2", "9", "10", "010", "000", "08", "999999999", "000000009", "1000000000", "0000000001", "")
        )
        if chance.random() < 0.4
        else str(chance.randrange(12))
        for _ in range(chance.choice((1, 1, 2, 2, 3, 3, 4, 7, 8, 9)))
    ]
    text = ".".join(numbers)
    if chance.random() < 0.3:
        text += chance.choice(
            (
                "-rc1",
                "-",
                "--",
                "-1.2",
                "-" + "x" * 32,
                "-" + "x" * 33,
                "-a b",
                "-._+-",
                "+5",
                "~rc1",
                "-\u00e9",
                "-a_b",
            )
        )
    if chance.random() < 0.1:
        at = chance.randrange(len(text) + 1)
        text = (
            text[:at]
            + chance.choice((" ", "\t", "v", ".", "-", "\r", "+", "\\", "*", "$", "'", "\u0660", "e1"))
            + text[at + chance.randrange(2) :]
        )
    return text


def by_python(pairs):
    def key(text):
        try:
            return [*bundle.version_key(text)]
        except bundle.BundleError:
            return None

    for one, other in pairs:
        left, right = key(one), key(other)
        compared = "-" if left is None or right is None else "older" if padded(left) < padded(right) else "not"
        yield f"{'no' if left is None else 'yes'} {'no' if right is None else 'yes'} {compared}"


def padded(numbers):
    return numbers + [0] * (8 - len(numbers))


class Versions(unittest.TestCase):
    def test_10000_versions_have_one_verdict_and_one_order_in_shell_c_python_and_java(self):
        chance = random.Random(1)
        texts = [generated(chance) for _ in range(COUNT)]
        # Half of the pairs are near each other.
        pairs = [
            (one, chance.choice((other, one, one + ".0", one.replace("1", "2", 1))))
            for one, other in zip(texts[::2], texts[1::2], strict=True)
        ]
        data = "".join(f"{one}\n{other}\n" for one, other in pairs).encode()
        with tempfile.TemporaryDirectory() as folder:
            program, classes = Path(folder) / "versions", Path(folder) / "classes"
            sources = [content.SOURCES / "src" / name for name in ("manifest.c", "say.c")]
            flags = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-fsanitize=address,undefined", "-I", content.SOURCES / "src"]
            subprocess.run(["cc", *flags, Path(__file__).with_name("versions.c"), *sources, "-o", program], check=True)
            java = content.REPOSITORY / "tests/content/java"
            subprocess.run(
                ["javac", "-d", classes, "-sourcepath", f"{JAVA}:{java}", java / "org/metaotamgr/agent/Versions.java"],
                check=True,
            )
            library = content.REPOSITORY / "recipes-ota/sysupgrade/files/boot-state.sh"
            commands = {"C": [program], "Java": ["java", "-cp", classes, "org.metaotamgr.agent.Versions"]}
            for shell in (["busybox", "ash"], ["dash"], ["bash"]):
                if shutil.which(shell[0]):
                    commands[shell[0]] = [*shell, "-c", SHELL, "shell", library]
            said = {
                name: subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode().splitlines()
                for name, command in commands.items()
            }
        self.assertIn("busybox", said)
        said["Python"] = list(by_python(pairs))
        for number, pair in enumerate(pairs):
            verdicts = {name: lines[number] for name, lines in said.items()}
            self.assertEqual(1, len(set(verdicts.values())), f"{pair!r}: {verdicts}")
        for verdict in ("yes yes older", "yes yes not"):
            self.assertGreater(said["C"].count(verdict), COUNT / 50, "compares little")


if __name__ == "__main__":
    unittest.main()
