# SPDX-License-Identifier: MIT
"""Bundles that are streamed into the slot: what is judged before, what is asked for, and what a stream that ends costs."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import threading

from board import HEADER, KIB, MIB, SLOT, tree
from promises import equal, promise, true
from test_bundle import bundle_board, encrypted_board, good_bundle, keys, make_bundle
from test_failures import refused
from test_parts import REFUSED, beginning, in_parts, refused_bundle
from test_pieces import full_image
from test_sysupgrade import ADDED


class Streamed:
    """sysupgrade with a server of the bundle's bytes: result, progress, what was asked for, and how much was given."""

    def __init__(self, board, content, *options, ends_after=None, killed_after=None, changed=None):
        self.content, self.ends_after, self.killed_after, self.changed = content, ends_after, killed_after, changed
        self.asked, self.progress, self.given = [], [], 0
        lines, to_us = os.pipe()
        self.process = board.start(
            "/sbin/sysupgrade",
            "--stream",
            "--no-reboot",
            *options,
            "/tmp/update.blocks.part",
            progress=to_us,
            stdin=subprocess.PIPE,
        )
        os.close(to_us)
        server = threading.Thread(target=self._serve, args=(lines,))
        server.start()
        self.out = self.process.stdout.read()
        self.err = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        self.code = self.process.wait(120)
        server.join()
        self.out, self.err = self.out.decode(), self.err.decode(errors="replace")

    def _serve(self, lines):
        stream = self.process.stdin
        with open(lines) as progress:
            for line in progress:
                self.progress.append(line.rstrip("\n"))
                wanted = re.fullmatch(r"fetch 0 (\d+) (\d+)\n", line)
                if wanted:
                    at, size = map(int, wanted.groups())
                    self.asked.append((at, size))
                    if stream is not None and not self._give(stream, at, size):
                        stream = None
        if stream is not None:
            stream.close()

    def _piece(self, at, size):
        return self.content[at : at + size]

    def _give(self, stream, at, size):
        data = bytearray(self._piece(at, size))
        if self.changed is not None and at <= self.changed < at + size:
            data[self.changed - at] ^= 1
        try:
            for piece in range(0, size, KIB):
                if self.killed_after is not None and self.given >= self.killed_after:
                    self.process.send_signal(signal.SIGKILL)
                    return False
                if self.ends_after is not None and self.given >= self.ends_after:
                    stream.close()
                    return False
                self.given += os.write(stream.fileno(), data[piece : piece + KIB])
        except BrokenPipeError:
            return False
        return True


class FromServer(Streamed):
    """The same with ranges of a real server on one connection; what it sent is counted there."""

    def __init__(self, board, port, *options, **more):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        super().__init__(board, None, *options, **more)
        self.connection.close()

    def _piece(self, at, size):
        self.connection.request("GET", "/update.bundle", headers={"Range": f"bytes={at}-{at + size - 1}"})
        answer = self.connection.getresponse()
        equal(answer.status, 206, "the server's answer")
        return answer.read()


@contextlib.contextmanager
def nginx(factory, content):
    """nginx with the bundle; the port, and a function that says how many bytes of bodies it has sent."""
    folder = factory.place / "nginx"
    (folder / "www").mkdir(parents=True, exist_ok=True)
    # Its workers are another user.
    for place in (*reversed(folder.parents), folder, folder / "www"):
        if place.is_relative_to(factory.place):
            place.chmod(0o755)
    (folder / "www/update.bundle").write_bytes(content)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "sent.log"
    log.unlink(missing_ok=True)
    (folder / "nginx.conf").write_text(
        f"daemon off; user root; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events { worker_connections 16; }\n"
        f"http {{ log_format sent '$body_bytes_sent'; access_log {log} sent; root {folder}/www;\n"
        f"    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n"
        f"    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n"
        f"    server {{ listen 127.0.0.1:{port}; keepalive_requests 10000; }} }}\n"
    )
    server = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            true(server.poll() is None, f"nginx has ended, see {folder / 'error.log'}")
            threading.Event().wait(0.1)
        yield port, lambda: sum(int(line) for line in log.read_text().split())
    finally:
        server.terminate()
        server.wait(60)


def prepared(factory):
    board = bundle_board(factory, floor="1.9.9")
    board.target_before = board.slot_bytes("b")
    content = good_bundle(factory, form=2, version="2.0.1")
    path = in_parts(board, content)
    (board.root / "tmp/x.hdr").write_bytes(HEADER)
    return board, content, path


def superblock(board):
    board.flush()
    with open(board.disk, "rb") as disk:
        disk.seek(SLOT["b"][0])
        return disk.read(4 * KIB)


def installed(factory, board, streamed):
    equal(streamed.code, 0, f"exit code, said {streamed.err}")
    with board.mounted("b") as new:
        equal(
            tree(new, without=(*ADDED, "etc/otamgr", "etc/otamgr/manifest", "etc/x.hdr")),
            tree(factory.new),
            "new system",
        )
    equal(board.slot_bytes("a"), board.running_before, "the running slot")


@promise("a bundle that is streamed installs exactly that system, and nothing of it is stored elsewhere")
def streams(factory):
    board, content, path = prepared(factory)
    streamed = Streamed(board, content, "--header", "/tmp/x.hdr")
    installed(factory, board, streamed)
    equal(path.read_bytes()[beginning(content) :].strip(b"\0"), b"", "frames in the file")
    true(streamed.given < len(content), "only what no slot has is asked for")
    equal(streamed.progress[-1].split()[:2], ["done", "100"], "the end of the progress")
    equal([line for line in board.events() if "streamed=yes" in line][:1] != [], True, "the journal says it")


@promise(
    "an encrypted bundle is streamed like any other, goes on after an end, and asks nobody for anything without the key"
)
def streams_encrypted(factory):
    board, content = encrypted_board(factory)
    in_parts(board, content)
    (board.root / "tmp/x.hdr").write_bytes(HEADER)
    cut = Streamed(board, content, ends_after=300 * KIB)
    equal(cut.code, 22, f"exit code, said {cut.err}")
    equal(superblock(board), bytes(4 * KIB), "the superblock")
    streamed = Streamed(board, content, "--header", "/tmp/x.hdr")
    equal(streamed.code, 0, f"exit code, said {streamed.err}")
    with board.mounted("b") as new:
        without = (*ADDED, "etc/otamgr", "etc/otamgr/manifest", "etc/x.hdr", "etc/device.key")
        equal(tree(new, without=without), tree(factory.new), "new system")
    factory.close_boards()
    board, content = encrypted_board(factory, "other")
    in_parts(board, content)
    streamed = Streamed(board, content)
    refused(board, streamed, 23, "not for this device")
    equal(streamed.asked, [], "what was asked for")


@promise("ranges of nginx go straight into the slot, and it sends what the slots lack and no more")
def streams_from_server(factory):
    board, content, path = prepared(factory)
    with nginx(factory, content) as (port, sent):
        streamed = FromServer(board, port, "--header", "/tmp/x.hdr")
        installed(factory, board, streamed)
    equal(sent(), sum(size for _, size in streamed.asked), "bytes that nginx sent")
    true(sent() < len(content), f"{sent()} of {len(content)} bytes sent")
    equal(path.read_bytes()[beginning(content) :].strip(b"\0"), b"", "frames in the file")


@promise("a stream that ends, or a sysupgrade that is killed, leaves a slot from which the next one goes on")
def stream_cut(factory):
    board, content, _ = prepared(factory)
    needed = Streamed(board, content, "-T").given
    total = 0
    whole = sum(size for _, size in Streamed(bundle_again(factory), content).asked)
    for how, at in (("ends_after", whole // 3), ("killed_after", whole // 2), ("ends_after", 2 * KIB + needed)):
        cut = Streamed(board, content, **{how: at})
        total += cut.given
        if how == "ends_after":
            equal(cut.code, 22, f"exit code, said {cut.err}")
            true("nothing comes any more" in cut.err, cut.err)
        board.kill_everything()
        equal(superblock(board), bytes(4 * KIB), "the superblock")
        equal(board.ota_env(), {"ota_floor": "1.9.9", "ota_slot": "a"}, "the environment")
    last = Streamed(board, content, "--header", "/tmp/x.hdr")
    installed(factory, board, last)
    total += last.given
    true(total <= whole + 3 * 256 * KIB, f"{total} bytes given, {whole} needed")


def bundle_again(factory):
    board = bundle_board(factory, floor="1.9.9")
    in_parts(board, good_bundle(factory, form=2, version="2.0.1"))
    return board


@promise(
    "a stream with {} is refused, and the slot cannot be started", cases=["a changed byte", "a changed first frame"]
)
def stream_changed(factory, what):
    board, content, _ = prepared(factory)
    first = beginning(content)
    ranges = Streamed(bundle_again(factory), content).asked
    changed = first + 7 if what == "a changed first frame" else ranges[-1][0] + ranges[-1][1] // 2
    streamed = Streamed(board, content, changed=changed)
    equal(streamed.code, 5, f"exit code, said {streamed.err}")
    if what == "a changed first frame":
        equal(board.slot_bytes("b"), board.target_before, "the slot")
    else:
        equal(superblock(board), bytes(4 * KIB), "the superblock")
    equal(board.slot_bytes("a"), board.running_before, "the running slot")
    equal(board.ota_env(), {"ota_floor": "1.9.9", "ota_slot": "a"}, "the environment")


@promise(
    "--stream refuses {} before it asks for anything or touches the slot",
    cases=[*REFUSED, "an image that is too large", "a file system without room", "no reader of the progress"],
)
def stream_refused(factory, what):
    board = bundle_board(factory, floor="3.0")
    board.target_before = board.slot_bytes("b")
    if what in REFUSED:
        content, code, words = refused_bundle(factory, what)
    elif what == "no reader of the progress":
        content, code, words = good_bundle(factory, form=2, version="4.0"), 2, "progress"
    else:
        image, code, words = {
            "an image that is too large": (factory.image("ext4", size=40 * MIB), 8, "the slot has"),
            "a file system without room": (full_image(factory), 21, "kept files need"),
        }[what]
        content = make_bundle(factory, image, keys(factory).private("ed25519"), form=2, version="4.0")
    if what != "a bundle of format 1":
        in_parts(board, content)
    else:
        (board.root / "tmp/update.blocks.part").write_bytes(content)
    if what == "no reader of the progress":
        result = board.sysupgrade("--stream", "--no-reboot", "/tmp/update.blocks.part", progress=None)
        refused(board, result, code, words)
        return
    streamed = Streamed(board, content)
    refused(board, streamed, code, words)
    # What the budget says of the new system is in its first block.
    true(streamed.asked == [] or what == "a file system without room", f"asked for {streamed.asked}")
