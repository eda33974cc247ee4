# SPDX-License-Identifier: MIT
"""What the scripts for a build host say on a machine that lacks something: one sentence with what to do, before anything is installed."""

import contextlib
import fcntl
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file() and os.access(path, os.X_OK))
# What a minimal Debian has: nothing of it is enough to build anything.
ESSENTIAL = (
    "sh",
    "cat",
    "dirname",
    "readlink",
    "sed",
    "awk",
    "grep",
    "df",
    "id",
    "mkdir",
    "timeout",
    "tr",
    "env",
    "basename",
    "sort",
    "find",
    "xargs",
    "head",
    "tail",
    "printf",
    "echo",
    "rm",
    "mktemp",
    "date",
    "tee",
    "uname",
    "unshare",
    "true",
)
FAILS = '#!/bin/sh\necho "$0 $*" >> "$RAN"\nexit 99\n'


def sub_commands(script):
    """Those that the program adds to its parser; a list of all is in the help, two blanks before each."""
    help_text = subprocess.run([script, "--help"], capture_output=True, text=True).stdout
    return re.findall(
        r"^    ([a-z][a-z-]*)(?: |$)", help_text.partition("  COMMAND\n")[2].partition("\n\n")[0], re.MULTILINE
    )


class Host(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="host-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        for name in ESSENTIAL:
            if found := shutil.which(name):
                (self.bin / name).symlink_to(found)
        # Whoever asks for any of these installs or builds something.
        for name in ("apt-get", "mvn", "java", "pip", "make", "gcc"):
            self.program(name, FAILS)
        self.program("dpkg-query", "#!/bin/sh\nexit 1\n")
        self.program("apt-config", "#!/bin/sh\n")
        self.program("getent", "#!/bin/sh\nexit 0\n")
        self.disk(free=100_000)
        self.ran = self.folder / "ran"

    def program(self, name, text):
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def run_script(self, script, *words, root=ROOT, **environment):
        began = time.monotonic()
        done = subprocess.run(
            [root / "scripts" / script, *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={"PATH": str(self.bin), "HOME": str(self.folder), "RAN": str(self.ran), **environment},
        )
        self.seconds = time.monotonic() - began
        return done

    def stopped(self, script, **environment):
        """What a script says, that stops before it has installed or built anything."""
        done = self.run_script(script, **environment)
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        self.assertFalse(self.ran.exists(), self.ran.exists() and self.ran.read_text())
        self.assertEqual(1, len(done.stderr.splitlines()), done.stderr)
        return done.stderr

    def disk(self, free):
        """The checkout's disk has so many MB free."""
        self.program(
            "df",
            f"#!/bin/sh\necho 'Filesystem 1024-blocks Used Available Capacity Mounted on'\necho '/dev/x 1 1 {free * 1024} 9% /'\n",
        )

    def as_user(self, number):
        self.program("id", f'#!/bin/sh\n[ "$1" = -u ] && echo {number}\n')

    def with_packages(self):
        self.program("dpkg-query", "#!/bin/sh\necho 'install ok installed'\n")

    def test_help_needs_neither_root_nor_network_nor_anything_installed(self):
        self.as_user(1000)
        for script in SCRIPTS:
            if script.read_text().startswith("#!/usr/bin/env python3"):
                continue
            if script.name == "check-layer":
                continue
            with self.subTest(script=script.name):
                for word in ("--help", "-h"):
                    # Built once, the Java tools answer themselves.
                    done = self.run_script(script.name, word, root=self.unbuilt())
                    self.assertEqual((0, ""), (done.returncode, done.stderr))
                    self.assertRegex(done.stdout.lower(), "usage|scripts/")
                    if script.name != "ota":
                        self.assertRegex(done.stdout, rf"(?i)example|scripts/{script.name} '")
                    self.assertFalse(self.ran.exists(), self.ran.exists() and self.ran.read_text())

    def unbuilt(self):
        """The scripts without anything that was built."""
        copy = self.folder / "checkout"
        if not copy.exists():
            shutil.copytree(ROOT / "scripts", copy / "scripts")
            (copy / "otamgr-src").mkdir()
        return copy

    def test_help_of_the_python_tools_needs_no_root(self):
        (self.bin / "python3").symlink_to(sys.executable)
        self.as_user(1000)
        for script in SCRIPTS:
            if script.read_text().startswith("#!/usr/bin/env python3") or script.name == "check-layer":
                with self.subTest(script=script.name):
                    done = self.run_script(script.name, "--help")
                    self.assertEqual(0, done.returncode, done.stderr)
                    self.assertIn("usage:", done.stdout)

    def in_terminal(self, command, columns, term):
        """What a program says on a terminal of so many columns."""
        parent, child = os.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {"PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.folder), "TERM": term}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=child, env=environment)
        os.close(child)
        os.close(parent)
        return done.stdout.decode()

    def test_the_java_tools_hear_the_width_of_the_terminal_and_that_one_is_dumb(self):
        says = '#!/bin/sh\nprintf "%s\\n" "$@"\n'
        checkout = self.unbuilt()
        for module, jar in re.findall(r"run_host_tool (\S+) (\S+)", (ROOT / "scripts/ota").read_text()):
            path = checkout / "otamgr-src" / module / "target" / f"{jar}.jar"
            path.parent.mkdir(parents=True)
            path.touch()
        self.program("java", says)
        native = self.folder / "usr"
        for name, text in (
            ("bin/ota", (ROOT / "recipes-ota/ota-tools/files/ota.sh").read_text()),
            ("lib/jvm/openjdk-17-native/bin/java", says),
        ):
            (native / name).parent.mkdir(parents=True)
            (native / name).write_text(text)
            (native / name).chmod(0o755)
        for tool in (checkout / "scripts/ota", native / "bin/ota"):
            with self.subTest(tool):
                self.assertIn(
                    "-Dota.terminal=true\n-Dota.columns=123\n", self.in_terminal([tool, "status"], 123, "xterm")
                )
                self.assertIn("-Dota.terminal=false\n", self.in_terminal([tool, "status"], 123, "dumb"))
                piped = subprocess.run(
                    [tool, "status"],
                    capture_output=True,
                    text=True,
                    env={"PATH": f"{self.bin}:{os.environ['PATH']}", "TERM": "xterm"},
                )
                self.assertIn("-Dota.terminal=false\n", piped.stdout)

    def test_progress_of_the_demo_fits_the_terminal_and_is_plain_on_a_dumb_one(self):
        program = (
            "from emulated_board import show\n"
            "screen = show.Show()\n"
            "for percent in (0, 50, 100): screen.progress('write', percent)\n"
            "screen.line('u-boot', 'next')\n"
        )

        def shown(columns, terminal):
            leader, follower = os.openpty()
            fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            environment = {**os.environ, "TERM": terminal, "PYTHONPATH": str(ROOT / "scripts")}
            subprocess.run([sys.executable, "-B", "-c", program], stdout=follower, env=environment, check=True)
            os.close(follower)
            found = b""
            # What was written arrives piece by piece; the end is an error, as the other side is closed.
            with contextlib.suppress(OSError):
                while piece := os.read(leader, 65536):
                    found += piece
            os.close(leader)
            return found.decode()

        for columns in (30, 60, 200):
            with self.subTest(columns=columns):
                found = shown(columns, "xterm")
                self.assertEqual(found.count("\n"), 2, found)
                bars = re.split(r"[\r\n]+", found)[1:4]
                self.assertTrue(all(0 < len(bar) < columns for bar in bars), bars)
        dumb = shown(30, "dumb")
        self.assertNotIn("\r[", dumb)
        self.assertIn("100 %\r\n", dumb)

    def test_typos_get_the_nearest_option_or_command(self):
        for script, typo, meant in (
            ("ota-bundle", "crate", "create"),
            ("ota-bundle", "verfy", "verify"),
            ("check-u-boot", "--bulit", "--built"),
            ("plan-disk", "--slto", "--slot"),
            ("bench", "--chekc", "--check"),
            ("fleet", "--devicse", "--devices"),
        ):
            with self.subTest(script=script, typo=typo):
                done = subprocess.run([ROOT / "scripts" / script, typo], capture_output=True, text=True)
                self.assertEqual(2, done.returncode, done.stdout + done.stderr)
                self.assertIn(f"did you mean {meant}?", done.stderr)
                self.assertIn("--help", done.stderr)

    def test_every_program_in_python_takes_its_options_in_the_way_that_knows_typos(self):
        programs = [script for script in SCRIPTS if script.read_text().startswith("#!/usr/bin/env python3")]
        programs += [*ROOT.glob("scripts/emulated_board/*.py"), *ROOT.glob("scripts/layer/*.py")]
        self.assertEqual([], [str(one) for one in programs if "argparse.ArgumentParser(" in one.read_text()])

    def test_help_of_every_command_and_sub_command_has_an_example(self):
        for script in SCRIPTS:
            if not script.read_text().startswith("#!/usr/bin/env python3"):
                continue
            for words in ((), *((name,) for name in sub_commands(script))):
                with self.subTest(script=script.name, words=words):
                    done = subprocess.run(
                        [script, *words, "--help"], capture_output=True, text=True, env={**os.environ, "COLUMNS": "140"}
                    )
                    self.assertEqual(0, done.returncode, done.stderr)
                    self.assertRegex(done.stdout, rf"(?m)^ +(?:scripts/)?{script.name}\b.*\S|e\.g\. ")

    def test_without_root_it_says_so_and_stops(self):
        self.as_user(1000)
        for script in ("demo", "cycles", "soak", "powercut", "journey", "agent-demo", "test"):
            self.assertIn(f"scripts/{script}: needs root", self.stopped(script))

    def test_it_says_all_this_within_a_second(self):
        self.as_user(1000)
        best = min(self.timed() for _ in range(5))
        self.assertLess(best, 1)

    def timed(self):
        self.run_script("demo")
        return self.seconds

    def test_a_full_disk_is_said_with_both_numbers(self):
        self.as_user(0)
        self.disk(free=200)
        self.assertRegex(self.stopped("demo"), r"needs \d+ MB free in .*/build, found 200 MB: free some")

    def test_a_container_without_privileges_is_told_the_options(self):
        self.as_user(0)
        self.with_packages()
        self.program("unshare", "#!/bin/sh\nexit 1\n")
        for script in ("test", "cycles"):
            self.assertIn("start that with --privileged -v /dev:/dev", self.stopped(script))

    def test_another_distribution_is_told_what_runs_it(self):
        self.as_user(0)
        (self.bin / "apt-get").unlink()
        self.assertIn(
            "found no apt-get: run it on Debian 12, for example in docker run -it debian:12", self.stopped("demo")
        )

    def test_without_network_the_name_that_is_not_found_is_said(self):
        self.as_user(0)
        self.program(
            "apt-get",
            '#!/bin/sh\n[ "$1" = indextargets ] && echo http://archive.example/debian || { echo "$0 $*" >> "$RAN"; exit 99; }\n',
        )
        self.program("getent", "#!/bin/sh\nexit 2\n")
        self.assertIn("finds no network: archive.example has no address", self.stopped("demo"))
        # A proxy knows names that this machine does not.
        self.assertEqual(1, self.run_script("demo", http_proxy="http://proxy.example:3128").returncode)
        self.assertIn("apt-get -qq update", self.ran.read_text())

    def test_packages_that_cannot_be_installed_are_named(self):
        self.as_user(0)
        done = self.run_script("demo")
        self.assertEqual(1, done.returncode)
        self.assertRegex(
            done.stderr, "These Debian packages could not be installed: python3 .*with network has them all"
        )
        self.assertIn("the first time this downloads what is missing and takes about 5 minutes", done.stdout)

    def test_a_checkout_that_cannot_be_written_is_said(self):
        # Root may write everywhere but on a file system that is mounted read-only.
        copy = self.unbuilt()
        done = subprocess.run(
            [
                "unshare",
                "--mount",
                "sh",
                "-c",
                'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"',
                "sh",
                copy,
                copy / "scripts/demo",
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "RAN": str(self.ran)},
        )
        self.assertEqual(1, done.returncode, done.stdout)
        self.assertRegex(done.stderr, "^scripts/demo: cannot write to .*/checkout, where it builds: copy the checkout")

    def test_a_path_that_other_programs_would_misread_is_said(self):
        self.as_user(0)
        copy = self.folder / "a,b"
        shutil.copytree(self.unbuilt(), copy)
        done = self.run_script("demo", root=copy)
        self.assertEqual(1, done.returncode)
        self.assertIn("the path of this checkout", done.stderr)

    def test_an_unknown_stage_or_promise_is_a_usage_error_and_runs_nothing(self):
        (self.bin / "python3").symlink_to(sys.executable)
        for word, said in (
            ("compile", "usage: scripts/test"),
            ("bundle/no such promise", 'stage bundle promises nothing with the words "no such promise"'),
            ("lint/x", "stage lint has no promises of its own names"),
        ):
            done = self.run_script("test", word)
            self.assertEqual(2, done.returncode, done.stderr)
            self.assertIn(said, done.stderr)
            self.assertFalse(self.ran.exists())

    def test_every_stage_is_in_the_list_of_promises(self):
        (self.bin / "python3").symlink_to(sys.executable)
        done = self.run_script("test", "--list")
        self.assertEqual(0, done.returncode, done.stderr)
        stages = {line.split("/")[0].split()[0] for line in done.stdout.splitlines()}
        for stage in (
            "lint",
            "java",
            "content",
            "bundle",
            "shell",
            "layer",
            "boot",
            "demo",
            "cuts",
            "cycles",
            "fresh",
            "host",
            "native",
            "faults",
            "agent",
            "journey",
        ):
            self.assertIn(stage, stages)
        self.assertIn("bundle/Verify.test_a_bundle_is_verified_with_one_of_several_keys", done.stdout)


class Counts(unittest.TestCase):
    """The last line of scripts/test, from what the runners of the stages say."""

    def counted(self, text):
        script = (ROOT / "scripts/test").read_text()
        function = script[script.index("counts() {") : script.index("work=$(mktemp -d)")]
        with tempfile.NamedTemporaryFile("w") as log:
            log.write(text)
            log.flush()
            return subprocess.run(
                ["sh", "-c", f'{function}\ncounts "$1"', "sh", log.name], check=True, capture_output=True, text=True
            ).stdout.split()

    def test_every_runner_is_understood(self):
        for text, expected in (
            ("ok 1\n3 passed, 1 failed\n", "3 1 0"),
            ("3 passed, 0 failed, 2 skipped\n", "3 0 2"),
            ("5 passed in 0.10s\n", "5 0 0"),
            ("=== 1 failed, 3 passed, 2 skipped, 7 deselected, 1 error in 75.10s (0:01:15) ===\n", "3 2 2"),
            (
                "10 tests, 1 failures, 2 errors, 3 skipped, 0.4 s: org.x.Y\n2 tests, 0 failures, 0 errors, 0 skipped, 1 s: Z\n",
                "6 3 3",
            ),
            ("nothing of the kind\n", "0 0 0"),
            ("fresh| 3 passed, 0 failed\n", "0 0 0"),
        ):
            with self.subTest(text=text):
                self.assertEqual(expected.split(), self.counted(text))


if __name__ == "__main__":
    unittest.main()
