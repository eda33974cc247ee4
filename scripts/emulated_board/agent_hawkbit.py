# SPDX-License-Identifier: MIT
"""A hawkBit server that runs elsewhere, for scripts/agent-demo --hawkbit: its management side, and the way of the board to it."""

import base64
import json
import re
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid

LOGIN = "admin:admin"
# What the server writes of itself.
OF_THE_SERVER = re.compile(r"(Update Server: |Assignment initiated by |Waiting for the )")
SECONDS = 30


class Management:
    """The server's REST API for one device, which it begins with anew."""

    def __init__(self, url, device, token):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise RuntimeError(f"expected a hawkBit server such as http://127.0.0.1:18385, found {url}")
        self.address = (parts.hostname, parts.port or 80)
        login = f"{parts.username}:{parts.password}" if parts.username else LOGIN
        self._login = "Basic " + base64.b64encode(login.encode()).decode()
        self._device, self._run, self._sets = device, uuid.uuid4().hex[:8], 0
        self._send("PUT", "system/configs/authentication.targettoken.enabled", {"value": True})
        try:
            self._send("DELETE", f"targets/{device}")
        except RuntimeError:
            # It was never here.
            pass
        self._send("POST", "targets", [{"controllerId": device, "name": device, "securityToken": token}])

    def _send(self, method, path, body=None, form=None):
        content, kind = form if form else (json.dumps(body).encode() if body is not None else None, "application/json")
        request = urllib.request.Request(
            f"http://{self.address[0]}:{self.address[1]}/rest/v1/{path}",
            data=content,
            method=method,
            headers={"Authorization": self._login, "Content-Type": kind},
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                text = answer.read()
        except urllib.error.HTTPError as e:
            raise RuntimeError(f"hawkBit: {method} {path}: {e.code} {e.read()[:300]!r}") from None
        except OSError as e:
            raise RuntimeError(f"hawkBit: expected a server at {self.address}, found {e}") from None
        return json.loads(text) if text else None

    def assign(self, version, file, metadata):
        """A new set with this bundle, for the device; returns the number of the action."""
        self._sets += 1
        name = f"system-{self._run}-{self._sets}"
        (module,) = self._send(
            "POST", "softwaremodules", [{"vendor": "otamgr", "name": name, "version": version, "type": "os"}]
        )
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="system.bundle"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        form = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        place = f"softwaremodules/{module['id']}"
        self._send("POST", f"{place}/artifacts", form=(form, f"multipart/form-data; boundary={boundary}"))
        if metadata:
            values = [{"key": key, "value": value, "targetVisible": True} for key, value in metadata.items()]
            self._send("POST", f"{place}/metadata", values)
        (made,) = self._send(
            "POST",
            "distributionsets",
            [{"name": name, "version": version, "type": "os", "modules": [{"id": module["id"]}]}],
        )
        answer = self._send("POST", f"targets/{self._device}/assignedDS", [{"id": made["id"], "type": "forced"}])
        return answer["assignedActions"][0]["id"]

    def cancel(self, action):
        self._send("DELETE", f"targets/{self._device}/actions/{action}")

    def history(self, action):
        """What the device said of an action, oldest first: "type: message"."""
        found = self._send("GET", f"targets/{self._device}/actions/{action}/status?limit=100&sort=id:ASC")
        lines = []
        for entry in found["content"]:
            own = [message for message in entry["messages"] if not OF_THE_SERVER.match(message)]
            if own:
                lines.append(f"{entry['type']}: {' | '.join(own)}")
        return lines


class Forward:
    """A port of this machine that leads to another address: the board knows one, whatever server is named. `sent` counts what the board got."""

    def __init__(self, port, address):
        self._address = address
        self.sent = 0
        self._open = set()
        self._listening = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                board, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._address, SECONDS)
            except OSError:
                board.close()
                continue
            server.settimeout(None)
            self._open.update((board, server))
            for source, target in ((board, server), (server, board)):
                threading.Thread(target=self._copy, args=(source, target, target is board), daemon=True).start()

    def _copy(self, source, target, is_answer):
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
                if is_answer:
                    self.sent += len(data)
        except OSError:
            pass
        self._open.discard(source)
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """Breaks every connection that is there now."""
        for end in list(self._open):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self._listening.close()
