#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""otamgr-root: the grammar, what runs how, and who is refused. Needs root, to serve somebody else."""

import array
import os
import pwd
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import content

SOURCES = content.REPOSITORY / "recipes-ota/otamgr-user/files"
USER = "nobody"
GOOD = (
    ["sysupgrade", "--needs", "-q", "/tmp/new.bundle"],
    ["sysupgrade", "--no-reboot", "--txn", "A-1.b_2", "/tmp/new image;\n'.img"],
    ["sysupgrade", "--no-reboot", "--txn", "T", "--header", "/tmp/h.hdr", "/tmp/new.img"],
    ["sysupgrade", "--stream", "--no-reboot", "--txn", "T", "/tmp/new.bundle"],
    ["sysupgrade", "--stream", "--no-reboot", "--txn", "T", "--header", "/tmp/h.hdr", "/tmp/new.bundle"],
    ["ota-slot", "status"],
    ["ota-slot", "commit"],
    ["ota-slot", "rollback"],
    ["ota-slot", "note", "health-failed", "txn=T", "reason=it's = broken; rm -rf /"],
    ["reboot"],
)
BAD = (
    ["sysupgrade"],
    ["sysupgrade", "/tmp/new.img"],
    ["sysupgrade", "-F", "/tmp/new.img"],
    ["sysupgrade", "--needs", "/tmp/new.img", "-q"],
    ["sysupgrade", "--no-reboot", "--txn", "T", "-n"],
    ["sysupgrade", "--no-reboot", "--txn", "none", "/tmp/new.img"],
    ["sysupgrade", "--no-reboot", "--txn", "a b", "/tmp/new.img"],
    ["sysupgrade", "--no-reboot", "--txn", "T" * 41, "/tmp/new.img"],
    ["sysupgrade", "--no-reboot", "--txn", "T", "new.img"],
    ["sysupgrade", "--no-reboot", "--txn", "T", "--header", "-F", "/tmp/new.img"],
    ["sysupgrade", "--no-reboot", "--txn", "T", "/tmp/new.img", "-F"],
    ["sysupgrade", "--no-reboot", "--txn", "T", "/" + "x" * 4095],
    ["sysupgrade", "--stream", "/tmp/new.bundle"],
    ["sysupgrade", "--stream", "--stream", "--no-reboot", "--txn", "T", "/tmp/new.bundle"],
    ["sysupgrade", "--stream", "--needs", "-q", "/tmp/new.bundle"],
    ["sysupgrade", "--no-reboot", "--txn", "T", "--stream", "/tmp/new.bundle"],
    ["ota-slot"],
    ["ota-slot", "cancel"],
    ["ota-slot", "status", "--json"],
    ["ota-slot", "note", "committed"],
    ["ota-slot", "note", "two words", "a=b"],
    ["ota-slot", "note", "event", "a=b\nc"],
    ["ota-slot", "note", "event", "--help"],
    ["ota-slot", "note", "event", *["a=b"] * 30],
    ["reboot", "-f"],
    ["reason"],
    ["reason", "Full"],
    ["reason", "a/b"],
    ["health"],
    ["health", "../good"],
    ["health", "a.sh"],
    ["attrd", "/run/other"],
    ["sh", "-c", "id"],
    ["--help"],
)


@unittest.skipUnless(os.geteuid() == 0, "needs root")
class Root(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(made.cleanup)
        cls.made = Path(made.name)
        cls.made.chmod(0o755)
        cls.program = cls.made / "otamgr-root"
        subprocess.run(
            ["gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion", "-O1", "-g"]
            + ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-o", cls.program, *SOURCES.glob("*.c")],
            check=True,
        )

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.folder.chmod(0o755)
        self.user = pwd.getpwnam(USER)
        (self.folder / "health").mkdir()
        self.said = self.folder / "said"
        for name in ("sysupgrade", "slot", "reboot", "health/good"):
            self.script(name, f'printf "%s|" {name} "$@" >>{self.said}; echo out; echo err >&2; id -u >&2; exit 7')
        self.socket = self.folder / "socket"
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "OTAMGR_ROOT_SOCKET": str(self.socket),
            "OTAMGR_ROOT_ATTRD": str(self.folder / "attrd"),
            "OTAMGR_ROOT_REASON": str(self.folder / "reason"),
            "OTAMGR_ROOT_CONTENT": str(content.engine()),
            "OTAMGR_ROOT_SYSUPGRADE": str(self.folder / "sysupgrade"),
            "OTAMGR_ROOT_SLOT": str(self.folder / "slot"),
            "OTAMGR_ROOT_REBOOT": str(self.folder / "reboot"),
            "OTAMGR_ROOT_HEALTH": str(self.folder / "health"),
            "OTAMGR_ROOT_STORAGE": str(self.folder / "storage"),
            "OTAMGR_ROOT_RUN": str(self.folder / "run"),
        }
        self.served = subprocess.Popen([self.program, "serve", "--user", USER], env=self.environment)
        self.addCleanup(self.served.wait)
        self.addCleanup(self.served.kill)
        while not self.socket.exists() or stat.S_IMODE(self.socket.stat().st_mode) != 0o660:
            self.assertIsNone(self.served.poll())
            time.sleep(0.01)

    def script(self, name, body):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def ask(self, *words, user=USER, fed="", **environment):
        return subprocess.run(
            [self.program, "ask", *words],
            env={"OTAMGR_ROOT_SOCKET": str(self.socket), **environment},
            user=user,
            group=pwd.getpwnam(user).pw_gid,
            extra_groups=[],
            input=fed,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def talk(self):
        """A connection by the user, in a process that is ours."""
        connection = socket.socket(socket.AF_UNIX)
        own = os.getegid()
        os.setegid(self.user.pw_gid)
        os.seteuid(self.user.pw_uid)
        try:
            connection.connect(str(self.socket))
        finally:
            os.seteuid(0)
            os.setegid(own)
        connection.settimeout(20)
        self.addCleanup(connection.close)
        return connection

    def test_what_may_be_asked(self):
        image = self.folder / "image"
        image.write_bytes(b"image")
        for words in GOOD:
            with self.subTest(words):
                self.said.unlink(missing_ok=True)
                result = self.ask(*words)
                self.assertEqual((result.returncode, result.stdout, result.stderr), (7, "out\n", "err\n0\n"))
                name = {"ota-slot": "slot"}.get(words[0], words[0])
                self.assertEqual(self.said.read_text(), "|".join([name, *words[1:], ""]))
        for words in BAD:
            with self.subTest(words):
                self.said.unlink(missing_ok=True)
                result = self.ask(*words, OTA_SLOT="a", OTA_TXN="T")
                self.assertEqual(result.returncode, 126, result.stderr)
                self.assertFalse(self.said.exists())

    def test_health_checks(self):
        self.assertEqual(self.ask("health", "good", OTA_SLOT="b", OTA_TXN="T").returncode, 7)
        self.assertEqual(self.ask("health", "good", OTA_SLOT="b", OTA_TXN="").returncode, 7)
        self.assertEqual(self.ask("health", "good", OTA_SLOT="c", OTA_TXN="T").returncode, 126)
        self.assertEqual(self.ask("health", "good").returncode, 126)
        self.script("health/told", 'echo "$OTA_SLOT:$OTA_TXN:${LD_PRELOAD-none}"')
        told = self.ask("health", "told", OTA_SLOT="b", OTA_TXN="T")
        self.assertEqual((told.returncode, told.stdout), (0, "b:T:none\n"))
        for name, mode, owner in (("open", 0o777, 0), ("shared", 0o775, 0), ("foreign", 0o755, self.user.pw_uid)):
            self.script(f"health/{name}", "echo no")
            os.chown(self.folder / "health" / name, owner, 0)
            (self.folder / "health" / name).chmod(mode)
            result = self.ask("health", name, OTA_SLOT="b", OTA_TXN="T")
            self.assertEqual((result.returncode, result.stdout), (126, ""))

    def test_files_are_opened_with_the_rights_of_the_user(self):
        self.script(
            "sysupgrade",
            'echo "${OTA_IMAGE_REFUSED-}"; echo "${OTA_HEADER_REFUSED-}"; cat <&8; [ "$OTA_HELD" = $$ ] && cat <&7',
        )
        image, header = self.folder / "new.img", self.folder / "new.hdr"
        image.write_text("image\n")
        header.write_text("header\n")
        command = ("sysupgrade", "--no-reboot", "--txn", "T", str(image))
        self.assertEqual(self.ask(*command).stdout, "\n\nimage\nheader\n")
        header.chmod(0o600)
        self.assertIn("new.hdr is not readable", self.ask(*command).stdout)
        image.chmod(0o600)
        self.assertIn("new.img is not readable", self.ask(*command).stdout)
        self.assertNotIn("image\n", self.ask(*command).stdout)
        secret = self.ask("sysupgrade", "--no-reboot", "--txn", "T", "--header", "/etc/shadow", str(image))
        self.assertIn("/etc/shadow is not readable", secret.stdout)

    def test_a_stream_is_fed_and_nothing_else_is(self):
        self.script("sysupgrade", "cat; head -c 1 <&8 >/dev/null")
        image = self.folder / "head"
        image.write_bytes(b"head")
        streamed = ("sysupgrade", "--stream", "--no-reboot", "--txn", "T", str(image))
        frames = "frame " * 100_000
        self.assertEqual(self.ask(*streamed, fed=frames).stdout, frames)
        self.assertEqual(self.ask(*[word for word in streamed if word != "--stream"], fed=frames).stdout, "")
        # Who is not fed to the end is seen by who feeds.
        self.script("sysupgrade", "head -c 5; exit 22")
        result = self.ask(*streamed, fed=frames)
        self.assertEqual((result.returncode, result.stdout), (22, "frame"))
        # A file is no stream of the daemon's.
        with open("/etc/passwd") as file:
            refused = subprocess.run(
                [self.program, "ask", *streamed],
                env={"OTAMGR_ROOT_SOCKET": str(self.socket)},
                user=USER,
                group=self.user.pw_gid,
                stdin=file,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        self.assertEqual((refused.returncode, refused.stdout), (126, ""))
        self.assertIn("expected pipes or sockets", refused.stderr)

    def test_the_reason(self):
        self.assertEqual(self.ask("reason", "full_ota").returncode, 0)
        self.assertEqual((self.folder / "reason").read_text(), "full_ota")
        self.assertEqual(stat.S_IMODE((self.folder / "reason").stat().st_mode), 0o644)
        (self.folder / "reason.new").symlink_to("/etc/passwd")
        self.assertEqual(self.ask("reason", "reboot_command").returncode, 0)
        self.assertEqual((self.folder / "reason").read_text(), "reboot_command")

    def test_attrd_is_handed_over(self):
        connection = self.talk()
        connection.sendall(b"attrd\0\0")
        self.assertTrue(connection.recv(200).startswith(b"refused attrd: "))
        attrd = socket.socket(socket.AF_UNIX)
        self.addCleanup(attrd.close)
        attrd.bind(str(self.folder / "attrd"))
        os.chmod(self.folder / "attrd", 0o600)
        attrd.listen(1)
        connection = self.talk()
        connection.sendall(b"attrd\0\0")
        said, fds, _, _ = socket.recv_fds(connection, 200, 1)
        self.assertEqual((said, len(fds)), (b"attrd\n", 1))
        mine = socket.socket(fileno=fds[0])
        theirs, _ = attrd.accept()
        mine.sendall(b"hello")
        self.assertEqual(theirs.recv(10), b"hello")
        mine.close()
        theirs.close()

    def test_strangers_and_strange_requests(self):
        self.assertEqual(self.ask("ota-slot", "status", user="root").returncode, 7)
        other = self.ask("ota-slot", "status", user="daemon")
        self.assertEqual((other.returncode, other.stdout), (127, ""))
        self.assertIn("Permission denied", other.stderr)
        self.said.unlink()
        # One that has the group, but is not the user.
        os.chmod(self.socket, 0o666)
        other = self.ask("ota-slot", "status", user="daemon")
        self.assertEqual((other.returncode, other.stdout), (126, ""))
        for request in (
            b"\0\0",
            b"reboot\0",
            b"reboot\0\0x",
            b"reboot\0\0reboot\0\0",
            b"reboot\0" * 40 + b"\0",
            b"x" * 20000,
        ):
            with self.subTest(request[:20]):
                connection = self.talk()
                try:
                    connection.sendall(request)
                    connection.shutdown(socket.SHUT_WR)
                    self.assertTrue(connection.recv(300).startswith(b"refused "))
                except (BrokenPipeError, ConnectionResetError):
                    pass
        self.assertFalse(self.said.exists())

    def test_output_goes_into_pipes_alone(self):
        for count, kind in ((0, "none"), (1, "pipe"), (2, "file")):
            connection = self.talk()
            read, write = os.pipe()
            other = os.open(self.folder / "file", os.O_RDWR | os.O_CREAT)
            fds = [write, other if kind == "file" else write][:count]
            connection.sendmsg(
                [b"ota-slot\0status\0\0"],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [],
            )
            self.assertTrue(connection.recv(300).startswith(b"refused expected pipes"))
            for fd in (read, write, other):
                os.close(fd)
        self.assertFalse(self.said.exists())

    def test_who_goes_away_takes_the_program_along(self):
        self.script("slot", f"echo begun; (sleep 30; touch {self.folder}/late) & sleep 30")
        with subprocess.Popen(
            [self.program, "ask", "ota-slot", "status"],
            env={"OTAMGR_ROOT_SOCKET": str(self.socket)},
            user=USER,
            group=self.user.pw_gid,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as asked:
            self.assertEqual(asked.stdout.readline(), b"begun\n")
            asked.kill()
            # The end of the pipe comes when all that was started is gone.
            began = time.monotonic()
            self.assertEqual(asked.stdout.read(), b"")
            self.assertLess(time.monotonic() - began, 10)

    def test_a_signal_is_told_as_a_shell_does(self):
        self.script("slot", "kill -TERM $$")
        self.assertEqual(self.ask("ota-slot", "status").returncode, 128 + signal.SIGTERM)
        self.served.kill()
        self.served.wait()
        self.assertEqual(self.ask("ota-slot", "status").returncode, 127)

    def test_many_at_once(self):
        asked = [
            subprocess.Popen(
                [self.program, "ask", "ota-slot", "status"],
                env={"OTAMGR_ROOT_SOCKET": str(self.socket)},
                user=USER,
                group=self.user.pw_gid,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(30)
        ]
        for one in asked:
            self.assertEqual(one.communicate(timeout=60)[0], b"out\n")
            self.assertEqual(one.returncode, 7)

    def test_folders_of_the_user(self):
        for name in ("storage", "run"):
            info = (self.folder / name).stat()
            self.assertEqual((info.st_uid, stat.S_IMODE(info.st_mode)), (self.user.pw_uid, 0o755))
        # A link in its place is left alone.
        self.served.kill()
        self.served.wait()
        (self.folder / "storage").rmdir()
        (self.folder / "storage").symlink_to("/etc")
        before = os.stat("/etc")
        self.socket.unlink()
        served = subprocess.Popen(
            [self.program, "serve", "--user", USER], env=self.environment, stderr=subprocess.PIPE, text=True
        )
        self.addCleanup(served.wait)
        self.addCleanup(served.kill)
        self.addCleanup(served.stderr.close)
        self.assertIn("storage: expected a folder", served.stderr.readline())
        self.assertEqual(os.stat("/etc").st_uid, before.st_uid)

    def served_again(self):
        """Starts it anew, as the next system does; returns what it said until it was ready."""
        self.served.kill()
        self.served.wait()
        self.socket.unlink()
        with open(self.folder / "errors", "wb") as errors:
            subprocess.run(
                [self.program, "serve", "--user", USER, "--pid-file", self.folder / "pid"],
                env=self.environment,
                stderr=errors,
                timeout=30,
                check=True,
            )
        self.addCleanup(lambda: os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL))
        return (self.folder / "errors").read_text()

    def test_a_user_who_had_another_number_in_the_system_of_before(self):
        storage = self.folder / "storage"
        (storage / "updates/2.0").mkdir(parents=True)
        (storage / "updates/2.0/update.blocks").write_text("fetched")
        (storage / "agent.json").write_text("{}")
        (storage / "link").symlink_to("/etc/shadow")
        before = os.stat("/etc/shadow").st_uid
        for path in (storage, *storage.rglob("*")):
            os.chown(path, 871, 871, follow_symlinks=False)
        # Not the daemon's: another name of a file that is root's.
        (self.folder / "journal").write_text("root's")
        os.link(self.folder / "journal", storage / "journal")
        said = self.served_again()
        self.assertIn("storage: was of user 871, is of " + USER, said)
        for path in (storage, *storage.rglob("*")):
            owner = 0 if path.name == "journal" else self.user.pw_uid
            self.assertEqual(path.lstat().st_uid, owner, path)
        self.assertEqual(os.stat("/etc/shadow").st_uid, before)

    def test_what_a_cut_left_half_taken_over(self):
        storage = self.folder / "storage"
        (storage / "updates").mkdir()
        (storage / "updates/left").write_text("x")
        os.chown(storage / "updates/left", 871, 871)
        os.chown(storage / "updates", self.user.pw_uid, self.user.pw_gid)
        os.chown(storage, 871, 871)
        self.served_again()
        for path in (storage, storage / "updates", storage / "updates/left"):
            self.assertEqual(path.stat().st_uid, self.user.pw_uid, path)

    def test_folders_without_end_are_not_taken_over(self):
        storage = self.folder / "storage"
        storage.joinpath(*["deep"] * 20).mkdir(parents=True)
        os.chown(storage, 871, 871)
        for path in storage.rglob("*"):
            os.chown(path, 871, 871)
        self.assertIn("expected at most 8 folders in each other", self.served_again())
        self.assertEqual(storage.stat().st_uid, 871)

    def test_in_the_background(self):
        self.served.kill()
        self.served.wait()
        place = self.folder / "pid"
        subprocess.run(
            [self.program, "serve", "--user", USER, "--pid-file", place], env=self.environment, check=True, timeout=30
        )
        self.addCleanup(lambda: os.kill(int(place.read_text()), signal.SIGKILL))
        self.assertEqual(self.ask("ota-slot", "status").returncode, 7)
        # As a script of init may start it.
        os.kill(int(place.read_text()), signal.SIGKILL)
        subprocess.run(
            ["/bin/sh", "-c", 'exec "$0" serve --user "$1" --pid-file "$2" <&- >&- 2>&-', self.program, USER, place],
            env=self.environment,
            check=True,
            timeout=30,
        )
        told = self.ask("ota-slot", "status")
        self.assertEqual((told.returncode, told.stdout, told.stderr), (7, "out\n", "err\n0\n"))

    def test_dropped(self):
        command = "id -u; grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs)' /proc/self/status"
        result = subprocess.run(
            [self.program, "drop", "--user", USER, "--", "/bin/sh", "-c", command],
            capture_output=True,
            text=True,
            check=True,
        )
        none = "0" * 16
        self.assertEqual(
            result.stdout.split(),
            [str(self.user.pw_uid), "CapPrm:", none, "CapEff:", none, "CapBnd:", none, "NoNewPrivs:", "1"],
        )
        for words in (
            ["drop", "--user", "root", "--", "id"],
            ["serve", "--user", "nobody-has-this-name"],
            ["serve"],
            [],
        ):
            self.assertEqual(subprocess.run([self.program, *words], capture_output=True, check=False).returncode, 2)


@unittest.skipUnless(os.geteuid() == 0, "needs root")
class Memory(unittest.TestCase):
    """agent-memory: what a daemon that was root remembered."""

    def setUp(self):
        self.data = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.before, self.after = self.data / "otamgr", self.data / "otamgr-agent"
        (self.before / "repository").mkdir(parents=True)
        (self.before / "last-words").mkdir()
        for name in ("agent.json", "current-target", "hawkbit.json", "repository/root.json", "journal", "last-words/T"):
            (self.before / name).write_text(name)
            (self.before / name).chmod(0o600)

    def copied(self, **environment):
        return subprocess.run(
            ["/bin/sh", SOURCES / "agent-memory", self.before, self.after, USER],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
        )

    def files(self):
        return {str(path.relative_to(self.after)) for path in self.after.rglob("*") if path.is_file()}

    def test_a_daemon_that_is_root_no_more_begins_with_what_it_remembered(self):
        self.assertEqual((self.copied().returncode, self.copied().stderr), (0, ""))
        self.assertEqual(self.files(), {"agent.json", "current-target", "hawkbit.json", "repository/root.json"})
        for path in (self.after, *self.after.rglob("*")):
            self.assertEqual(path.stat().st_uid, pwd.getpwnam(USER).pw_uid, path)
        # For the system of before.
        self.assertEqual((self.before / "agent.json").read_text(), "agent.json")

    def test_what_it_remembers_itself_is_never_replaced(self):
        self.after.mkdir()
        (self.after / "agent.json").write_text("newer")
        self.assertEqual(self.copied().returncode, 0)
        self.assertEqual((self.after / "agent.json").read_text(), "newer")

    def test_a_first_daemon_and_a_link_are_left_alone(self):
        self.after.symlink_to(self.data)
        self.assertEqual(self.copied().returncode, 0)
        self.assertTrue(self.after.is_symlink())
        self.after.unlink()
        (self.before / "agent.json").unlink()
        self.assertEqual(self.copied().returncode, 0)
        self.assertFalse(self.after.exists())

    def test_without_room_there_is_nothing_and_that_is_said(self):
        small = self.data / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=True)
        self.addCleanup(subprocess.run, ["umount", small], check=True)
        (self.before / "repository/root.json").write_bytes(bytes(1 << 20))
        self.after = small / "otamgr-agent"
        done = self.copied()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("it begins anew", done.stderr)
        self.assertEqual(list(small.iterdir()), [])

    def test_what_a_cut_left_is_done_again(self):
        half = self.data / "otamgr-agent.new"
        half.mkdir()
        (half / "other").write_text("half")
        self.assertEqual(self.copied().returncode, 0)
        self.assertNotIn("other", self.files())
        self.assertFalse(half.exists())


if __name__ == "__main__":
    unittest.main()
