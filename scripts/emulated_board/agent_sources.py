# SPDX-License-Identifier: MIT
"""Where the update agent of the emulated board gets its updates in scripts/agent-demo: a stick, a repository over https, hawkBit."""

import datetime
import json
import re
import shutil
import subprocess
import threading

from emulated_board import agent_board, agent_hawkbit, build, layer, machine

FOLDER = agent_board.FOLDER
# The words of a device as hawkBit's history has them.
_TYPES = {
    ("download", "none"): "download",
    ("downloaded", "none"): "downloaded",
    ("proceeding", "none"): "running",
    ("closed", "success"): "finished",
    ("closed", "failure"): "error",
    ("canceled", "none"): "canceled",
}
_PROGRESS = re.compile(r"(download|running): pulled \d+ of \d+ bytes")


class Stick:
    """Signed bundles on a second disk, one folder for each case."""

    name = "bundle"
    goes_back = True
    network = False
    # Case, the command that refuses it, its exit status.
    refusals = (
        ("good", "check", 0),
        ("none", "check", 8),
        ("foreign", "check", 6),
        ("older", "check", 102),
        ("stranger", "check", 15),
        ("tampered", "pull", 70),
    )
    # What a check says of an update whose install has just failed.
    failed_check = 52

    def __init__(self, screen, systems):
        tree = FOLDER / "stick"
        shutil.rmtree(tree, ignore_errors=True)
        (tree / "none").mkdir(parents=True)
        for case, file in systems.bundles.items():
            (tree / case).mkdir()
            shutil.copy(file, tree / case / "update.bundle")
        self.stick = FOLDER / "stick.ext4"
        build.make_filesystem(tree, self.stick, "stick", room_mib=64)
        self._case = "none"
        screen.line("stick", f"{', '.join(sorted(p.name for p in tree.iterdir()))}: one folder each")

    def attach(self, session):
        """After each start of the board."""
        session.run("mount -t ext4 -o ro /dev/vdb /media && mkdir -p /run/bundles", 0)
        self.offer(session, self._case)

    def offer(self, session, case):
        session.run(f"umount /run/bundles 2>/dev/null; mount --bind /media/{case} /run/bundles", 0)
        self._case = case

    def check_end(self):
        pass

    def close(self):
        pass


class Repository:
    """A TUF repository that scripts/ota-repository makes, behind nginx with TLS."""

    name = "repository"
    port = agent_board.REPOSITORY_PORT
    goes_back = False
    network = True
    stick = None
    refusals = (
        ("good", "check", 0),
        ("none", "check", 14),
        ("off", "check", 13),
        ("changed", "check", 11),
        ("mallory", "check", 11),
        ("replayed", "check", 11),
        ("expired", "check", 12),
        ("foreign", "check", 6),
        ("older", "check", 102),
        ("gone", "pull", 14),
        # Its signature may have been changed on the way, so it is tried again.
        ("stranger", "pull", 70),
        ("tampered", "pull", 70),
    )
    failed_check = 52

    def __init__(self, screen, systems):
        self._screen, self._systems = screen, systems
        self._folder = FOLDER / "repository"
        shutil.rmtree(self._folder, ignore_errors=True)
        (self._folder / "www").mkdir(parents=True)
        self._repository = self._folder / "tuf"
        # The board knows the root of this one.
        shutil.copytree(agent_board.keys() / "repository", self._repository)
        (self._folder / "www/releases").symlink_to(self._repository / "www")
        self._log = self._folder / "access.log"
        keys = agent_board.keys()
        (self._folder / "nginx.conf").write_text(f"""
            daemon off; user root; worker_processes 1; pid {self._folder}/pid; error_log {self._folder}/error.log;
            events {{ }}
            http {{
                log_format ranges '$request_method $uri $status $http_range $body_bytes_sent';
                access_log {self._log} ranges;
                client_body_temp_path {self._folder}/temporary; proxy_temp_path {self._folder}/temporary; fastcgi_temp_path {self._folder}/temporary;
                uwsgi_temp_path {self._folder}/temporary; scgi_temp_path {self._folder}/temporary;
                server {{
                    listen 127.0.0.1:{self.port} ssl;
                    ssl_certificate {keys}/server.pem; ssl_certificate_key {keys}/server.key;
                    root {self._folder}/www;
                }}
            }}
            """)
        self._first = self._kept = None
        self._server = None
        self._start()

    def _start(self):
        self._server = subprocess.Popen(["nginx", "-c", self._folder / "nginx.conf", "-e", self._folder / "error.log"])
        self._screen.line("server", f"nginx on port {self.port}, {self._repository}/www")

    def _stop(self):
        if self._server:
            self._server.terminate()
            self._server.wait()
        self._server = None

    def attach(self, session):
        pass

    def _tool(self, command, *words):
        done = subprocess.run(
            [layer.ROOT / "scripts/ota-repository", command, "--json", self._repository, *map(str, words)],
            check=True,
            stdout=subprocess.PIPE,
        )
        return json.loads(done.stdout)

    def _publish(self, case, at):
        clock = ("--at", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
        for name in self._tool("list"):
            self._tool("remove", name)
        # The tool refuses a damaged bundle, so that one is damaged later.
        self._tool("add", self._systems.bundles["empty" if case == "tampered" else case])
        self._tool("publish", *clock)
        ((name, entry),) = self._tool("list").items()
        return self._repository / "www/targets" / f"{entry['sha256']}.{name}"

    def offer(self, session, case):
        if self._server is None:
            self._start()
        timestamp = self._repository / "www/metadata/timestamp.json"
        if case == "none":
            self._kept = timestamp.read_bytes()
            timestamp.unlink()
            self._screen.line("server", "none: no timestamp")
            return
        if case == "off":
            self._stop()
            self._screen.line("server", "off: the server is switched off")
            return
        if self._kept:
            # The tool counts from what is published.
            timestamp.write_bytes(self._kept)
            self._kept = None
        if case in ("replayed", "mallory"):
            self._kept = timestamp.read_bytes()
            timestamp.write_bytes(
                self._first
                if case == "replayed"
                else (agent_board.keys() / "stranger-repository/www/metadata/timestamp.json").read_bytes()
            )
            self._screen.line(
                "server",
                f"{case}: the timestamp {'that was signed first' if case == 'replayed' else 'of somebody else'}",
            )
            return
        now = datetime.datetime.now(datetime.UTC)
        bundle = self._publish(
            {"changed": "good", "expired": "good", "gone": "empty"}.get(case, case),
            now - datetime.timedelta(days=60) if case == "expired" else now,
        )
        self._first = self._first or timestamp.read_bytes()
        if case == "changed":
            self._kept = timestamp.read_bytes()
            timestamp.write_bytes(self._kept.replace(b'"snapshot.json":{"version":', b'"snapshot.json":{"version":1'))
        elif case == "tampered":
            content = agent_board.tampered(bundle)
            # A new file, as nginx may have the old one open.
            bundle.unlink()
            bundle.write_bytes(content)
        elif case == "gone":
            bundle.unlink()
        self._screen.line("server", f"{case}: {bundle.name[65:]}")

    def check_end(self):
        """The server sent what was asked for: the rest of the bundle, not all of it."""
        lines = self._log.read_text().splitlines()
        parts = [line for line in lines if re.search(r"\.bundle 206 bytes=[1-9]", line)]
        if not parts:
            raise RuntimeError(f"expected that the server was asked for a part of the bundle, found {lines}")
        self._screen.line("server", parts[0])

    def close(self):
        self._stop()


class Hawkbit:
    """The device side of a hawkBit server, scripts/hawkbit-simulator."""

    name = "hawkbit"
    port = agent_board.HAWKBIT_PORT
    goes_back = False
    network = True
    stick = None
    refusals = (
        ("none", "check", 0),
        ("cancelled", "check", 0),
        ("foreign", "check", 6),
        ("older", "check", 102),
        ("unmarked", "pull", 6),
        ("stranger", "pull", 15),
        ("tampered", "pull", 70),
    )
    # The server was told of the failure and offers it no more.
    failed_check = 0
    VERSIONS = {
        "good": "2.0",
        "unhealthy": "3.0",
        "empty": "3.1",
        "foreign": "3.2",
        "unmarked": "3.2",
        "older": "1.5",
        "stranger": "3.3",
        "tampered": "3.4",
        "cancelled": "2.0",
    }
    # What the device says of each, as regular expressions, without how far a pull is.
    HISTORY = {
        "good": (
            "downloaded: pulled, and its hash is right",
            "running: writing it into the inactive slot",
            "running: written; the next reboot starts its trial",
            r"finished: version 2\.0 runs and is committed",
        ),
        "cancelled": ("canceled: the update was given up before anything was installed",),
        "foreign": ("error: refused: .*",),
        "older": ("error: refused: .*",),
        "unmarked": ("error: .*",),
        "stranger": ("error: .*",),
        "tampered": ("error: .*",),
        "empty": (
            "downloaded: pulled, and its hash is right",
            "running: writing it into the inactive slot",
            "error: .*",
        ),
        "unhealthy": (
            "downloaded: pulled, and its hash is right",
            "running: writing it into the inactive slot",
            "running: written; the next reboot starts its trial",
            "error: rolled back.*",
        ),
    }

    def __init__(self, screen, systems):
        self._screen, self._systems = screen, systems
        self._actions = []
        self._start()

    def _start(self):
        self._server = subprocess.Popen(
            [
                layer.ROOT / "scripts/hawkbit-simulator",
                str(self.port),
                "board-1",
                agent_board.HAWKBIT_TOKEN,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._console = machine.Console(lambda line: self._screen.line("server", line.strip()))
        self._said = []
        threading.Thread(target=self._read, daemon=True).start()
        self._console.wait("^http://", 300)

    def _read(self):
        for line in self._server.stdout:
            self._said.append(line.strip())
            self._console._said(line.rstrip("\n").encode())
        self._console._silent()

    def _type(self, line):
        self._screen.line("server", f"> {line}")
        self._server.stdin.write(f"{line}\n")
        self._server.stdin.flush()

    def _assign(self, version, file, metadata):
        words = "".join(f" {key}={value}" for key, value in metadata.items())
        self._type(f"assign {version} {file}{words}")
        return int(self._console.wait(r"action (\d+) assigned", 30)[1])

    def _cancel(self, action):
        self._type(f"cancel {action}")

    def _history(self, action):
        """What the device said of an action, as the server shows it: type, colon, message."""
        lines, is_cancel = [], False
        for line in self._said:
            is_cancel |= line == f"action {action} cancel requested"
            if match := re.fullmatch(rf"action {action} ([a-z]+)/([a-z]+): (.*)", line):
                kind = _TYPES[match[1], match[2]]
                lines.append(f"{'canceled' if is_cancel and kind == 'finished' else kind}: {match[3]}")
        return lines

    def attach(self, session):
        pass

    def offer(self, session, case):
        if case == "none":
            return
        file = self._systems.bundles[{"unmarked": "foreign", "cancelled": "good"}.get(case, case)]
        board = {"foreign": {"compatible": "toaster"}, "unmarked": {}}.get(case, {"compatible": build.COMPATIBLE})
        action = self._assign(self.VERSIONS[case], file, board)
        self._screen.line("server", f"{case}: action {action}")
        self._actions.append((case, action))
        if case == "cancelled":
            self._cancel(action)

    def check_end(self):
        """The history of each action on the server, line by line. How far a pull is, is told as often as it takes."""
        wrong = []
        for case, action in self._actions:
            found = self._history(action)
            for line in found:
                self._screen.line("history", f"{case}, action {action}: {line}")
            steps = [line for line in found if not _PROGRESS.fullmatch(line)]
            begins = [line for line in found if re.fullmatch(r"download: pulled 0 of \d+ bytes", line)]
            expected = self.HISTORY[case]
            fits = len(steps) == len(expected) and all(map(re.fullmatch, expected, steps))
            if not fits or len(begins) > 1:
                wrong.append(f"{case}: expected {list(expected)}, found {found}")
        if wrong:
            raise RuntimeError("; ".join(wrong))

    def close(self):
        self._server.stdin.close()
        self._server.wait()


class HawkbitServer(Hawkbit):
    """A hawkBit server that runs elsewhere."""

    def __init__(self, url, screen, systems):
        self._url = url
        super().__init__(screen, systems)

    def _start(self):
        self._management = agent_hawkbit.Management(self._url, "board-1", agent_board.HAWKBIT_TOKEN)
        self._forward = agent_hawkbit.Forward(agent_board.HAWKBIT_PORT, self._management.address)
        self._screen.line("server", f"hawkBit at {self._url}")

    def _assign(self, version, file, metadata):
        return self._management.assign(version, file, metadata)

    def _cancel(self, action):
        self._management.cancel(action)

    def _history(self, action):
        return self._management.history(action)

    def close(self):
        self._forward.close()
