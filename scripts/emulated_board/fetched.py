# SPDX-License-Identifier: MIT
"""What updaters fetch of an update when a slot holds an older version: side by side from one nginx, counted in its log. For scripts/bench."""

import http.client
import os
import re
import shutil
import subprocess
import time

FIRST = 64 * 1024  # what the agent asks for first
# Packages of Debian; all of what else is compared.
PEERS = ("casync", "zchunk")
# The sub-commands of the engine that install a bundle of which only parts are there.
INSTALLS = ("check", "write", "verify")


def run(*words, **options):
    done = subprocess.run([str(word) for word in words], check=False, capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(map(str, words))} ended with {done.returncode}: {(done.stderr + done.stdout).strip()[-600:]}"
        )
    return done.stdout


class Server:
    """nginx with the files of a folder, on a port of its own choosing, and what its log says."""

    def __init__(self, folder):
        self.folder, self._log, self.port = folder, folder / "access.log", None
        self.www = folder / "www"
        self.www.mkdir(parents=True)
        temporary = "".join(
            f"{kind}_temp_path {folder}/temporary; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        for port in range(18080, 18180):
            (folder / "nginx.conf").write_text(
                f"daemon off; user root; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
                "events { }\n"
                "http {\n"
                "log_format fetched '$status $bytes_sent $body_bytes_sent';\n"
                f"access_log {self._log} fetched;\n{temporary}\n"
                f"server {{ listen 127.0.0.1:{port}; root {self.www}; }}\n"
                "}\n"
            )
            self._process = subprocess.Popen(
                ["nginx", "-c", folder / "nginx.conf", "-e", folder / "error.log"], stderr=subprocess.DEVNULL
            )
            if self._answers(port):
                self.port = port
                break
        if self.port is None:
            raise RuntimeError(f"nginx has not started: {(folder / 'error.log').read_text()[-300:]}")
        self.url = f"http://127.0.0.1:{self.port}"

    def _answers(self, port):
        """Whether ours answers there: one whose port is taken ends by itself."""
        (self.www / "who").write_text(str(self._process.pid))
        while self._process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", "/who")
                if connection.getresponse().read() == str(self._process.pid).encode():
                    return True
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(0.05)
        return False

    def close(self):
        self._process.terminate()
        self._process.wait()

    def forget(self):
        # It appends, so it goes on at the new end.
        os.truncate(self._log, 0)

    def counted(self):
        """Requests, bytes with the headers of answers, bytes of content, since forget. The log has a request when its answer is sent."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/end-of-this-run")
        connection.getresponse().read()
        connection.close()
        while not (lines := self._log.read_text().splitlines()) or not lines[-1].startswith("404 "):
            time.sleep(0.05)
        rows = [tuple(map(int, line.split())) for line in lines[:-1]]
        if wrong := [row for row in rows if row[0] not in (200, 206)]:
            raise RuntimeError(f"expected answers 200 and 206, found {wrong[0][0]}")
        return {"requests": len(rows), "bytes": sum(row[1] for row in rows), "content": sum(row[2] for row in rows)}


class Ours:
    """As the agent pulls in parts: the beginning, then the ranges that the engine says, each a request on one connection; then installed."""

    name = "otamgr, bundle of format 2"

    def __init__(self, place, server, target, engine, tool):
        self._place, self._server, self._engine = place, server, engine
        key = place / "k/release.key"
        key.parent.mkdir()
        run(tool, "keygen", key)
        self._keys = place / "keys"
        self._keys.mkdir()
        shutil.copy(key.with_suffix(".pem"), self._keys)
        bundle = server.www / "update.bundle"
        words = ("--key", key, "--compatible", "bench", "--version", "2.0", target, bundle)
        run(tool, "create", *words, env={**os.environ, "OTA_CONTENT": str(engine)})
        self._bytes = bundle.stat().st_size

    def fetch(self, old, out):
        shutil.copy(old, out)
        work, part = self._place / "work", self._place / "update.part"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port)
        with open(part, "w+b") as file:
            os.truncate(part, self._bytes)
            self._range(connection, file, 0, min(FIRST, self._bytes))
            beginning = self._beginning(file)
            if beginning > FIRST:
                self._range(connection, file, FIRST, beginning - FIRST)
            file.flush()
            self._run(part, "open", "--keys", self._keys, work)
            slot = ("--folder", work, "--slot", out)
            for at, size in re.findall(r"^range=(\d+) (\d+)$", self._run(part, "need", *slot), re.M):
                self._range(connection, file, int(at), int(size))
        connection.close()
        for command in INSTALLS:
            self._run(part, command, *slot)

    def _run(self, part, *words):
        # It writes only as the child of whoever holds the image.
        return run(self._engine, "hold", "--image", part, "--", "sh", "-c", '"$@"; exit', "sh", self._engine, *words)

    @staticmethod
    def _range(connection, file, at, size):
        connection.request("GET", "/update.bundle", headers={"Range": f"bytes={at}-{at + size - 1}"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 206 or len(content) != size:
            raise RuntimeError(f"expected {size} bytes of a range (206), found {len(content)} ({answer.status})")
        file.seek(at)
        file.write(content)

    @staticmethod
    def _beginning(file):
        """Where the frames begin: behind the header of the member that follows the index."""
        at = 0
        while True:
            file.seek(at)
            header = file.read(512)
            name, size = header[:100].rstrip(b"\0"), int(header[124:135], 8)
            if name not in (b"manifest", b"manifest.sig", b"manifest.crt", b"index"):
                return at + 512
            at += 512 + (size + 511) // 512 * 512
            if name == b"index":
                return at + 512


class Casync:
    """Chunks that are cut by content, each a file of the server; the old slot is the seed."""

    def __init__(self, place, server, target, average):
        self.name = f"casync, chunks of {average // 1024} KiB on average"
        self._place, self._url = place, server.url
        self._index, self._store = f"{average}.caibx", f"{average}.castr"
        run(
            "casync",
            "make",
            f"--chunk-size={average}",
            f"--store={server.www / self._store}",
            server.www / self._index,
            target,
        )

    def fetch(self, old, out):
        out.unlink(missing_ok=True)
        run(
            "casync",
            "extract",
            f"--store={self._url}/{self._store}",
            f"--seed={old}",
            f"{self._url}/{self._index}",
            out,
        )


class Zchunk:
    """One file of chunks that are cut by content, fetched by ranges; the old image is there as such a file, too, which a device has to keep."""

    name = "zchunk, chunks of its own choosing"

    def __init__(self, place, server, target):
        self._place, self._url = place, f"{server.url}/update.zck"
        run("zck", "-o", server.www / "update.zck", target)

    def fetch(self, old, out):
        folder = self._place / "zchunk"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        run("zck", "-o", folder / "old.zck", old)
        run("zckdl", "-q", "--fail-no-ranges", "-s", folder / "old.zck", self._url, cwd=folder)
        run("unzck", folder / "update.zck", cwd=folder)
        out.unlink(missing_ok=True)
        (folder / "update").rename(out)


def kernel_lacks():
    """What this kernel lacks of what RAUC's adaptive updates need, or nothing."""
    lacks = []
    for what, module, node in (
        ("NBD", "nbd", "/dev/nbd0"),
        ("device-mapper", "dm-mod", "/dev/mapper/control"),
        ("dm-verity", "dm-verity", None),
    ):
        if node and os.path.exists(node):
            continue
        # Containers have no modprobe.
        loads = shutil.which("modprobe") and subprocess.run(["modprobe", module], capture_output=True).returncode == 0
        if not loads and not os.path.isdir(f"/sys/module/{module.replace('-', '_')}"):
            lacks.append(what)
    return ", ".join(lacks)


def side_by_side(place, images, cases, engine, tool, say):
    """{change: {program: figures}} and {program: why it is not there}. Each program has to make the new image out of the old one."""
    server = Server(place)
    try:
        programs = [Ours(place, server, images.target, engine, tool)]
        missing = {}
        if shutil.which("casync"):
            programs += [Casync(place, server, images.target, kib * 1024) for kib in (64, 8)]
        else:
            missing["casync"] = "is not installed"
        if all(map(shutil.which, ("zck", "zckdl", "unzck"))):
            programs.append(Zchunk(place, server, images.target))
        else:
            missing["zchunk"] = "is not installed"
        lacks = kernel_lacks()
        missing["rauc adaptive"] = (
            f"needs {lacks}, which this kernel does not have" if lacks else "is not measured here"
        )
        found, out = {}, place / "slot"
        for case in ("full", *cases):
            for program in programs:
                server.forget()
                program.fetch(images.old(case), out)
                run("cmp", "-n", images.target.stat().st_size, out, images.target)
                row = found.setdefault(case, {})[program.name] = server.counted()
                say(f"{case:6s} {program.name}: {row}")
        return found, missing
    finally:
        server.close()
