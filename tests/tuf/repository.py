# SPDX-License-Identifier: MIT
"""A repository in memory, made with python-tuf, behind a web server; and the client of the device, as a command."""

import datetime
import http.server
import json
import subprocess
import threading
import urllib.parse
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

ROOT = Path(__file__).resolve().parents[2]
FAR = datetime.datetime(2090, 1, 1, tzinfo=datetime.UTC)
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
TOP = (Root.type, Timestamp.type, Snapshot.type, Targets.type)


def unpublished(signed):
    """Publishing gives it version 1; python-tuf makes none without a version."""
    signed.version = 0
    return signed


class Repository:
    """Tests change `root`, `targets` and so on, and publish what they like; what is published is what the server has."""

    def __init__(self):
        self.signers = {role: [CryptoSigner.generate_ed25519()] for role in TOP}
        self.root = unpublished(Root(expires=FAR, consistent_snapshot=True))
        self.timestamp = unpublished(Timestamp(expires=FAR, snapshot_meta=MetaFile(1)))
        self.snapshot = unpublished(Snapshot(expires=FAR, meta={"targets.json": MetaFile(1)}))
        self.roles = {Targets.type: unpublished(Targets(expires=FAR))}
        self.files = {}
        self.asked = []
        self.hashes = False
        for role in TOP:
            self.root.add_key(self.signers[role][0].public_key, role)
        self.first_root = self.publish_root()
        self.publish()

    @property
    def targets(self):
        return self.roles[Targets.type]

    def signed(self, signed, signers):
        metadata = Metadata(signed)
        for signer in signers:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def _name(self, role, version):
        quoted = urllib.parse.quote(role, "")
        return f"metadata/{version}.{quoted}.json" if self.root.consistent_snapshot else f"metadata/{quoted}.json"

    def publish_root(self, more=()):
        self.root.version += 1
        content = self.signed(self.root, [*self.signers[Root.type], *more])
        self.files[f"metadata/{self.root.version}.root.json"] = content
        return content

    def rotate(self, role, number=1, threshold=None):
        """New keys for a role; the old ones sign the next root once more."""
        old = self.signers[role]
        for signer in old:
            self.root.revoke_key(signer.public_key.keyid, role)
        self.signers[role] = [CryptoSigner.generate_ed25519() for _ in range(number)]
        for signer in self.signers[role]:
            self.root.add_key(signer.public_key, role)
        self.root.roles[role].threshold = threshold or number
        return self.publish_root(old if role == Root.type else ())

    def publish_role(self, role=Targets.type):
        signed = self.roles[role]
        signed.version += 1
        content = self.signed(signed, self.signers[role])
        self.files[self._name(role, signed.version)] = content
        self.snapshot.meta[f"{role}.json"] = (
            MetaFile.from_data(signed.version, content, ["sha256"]) if self.hashes else MetaFile(signed.version)
        )

    def publish_snapshot(self):
        self.snapshot.version += 1
        content = self.signed(self.snapshot, self.signers[Snapshot.type])
        self.files[self._name(Snapshot.type, self.snapshot.version)] = content
        self.timestamp.snapshot_meta = (
            MetaFile.from_data(self.snapshot.version, content, ["sha256", "sha512"])
            if self.hashes
            else MetaFile(self.snapshot.version)
        )

    def publish_timestamp(self):
        self.timestamp.version += 1
        self.files["metadata/timestamp.json"] = self.signed(self.timestamp, self.signers[Timestamp.type])

    def publish(self, *roles):
        for role in roles or (Targets.type,):
            self.publish_role(role)
        self.publish_snapshot()
        self.publish_timestamp()

    def add_target(self, path, content, role=Targets.type, algorithms=("sha256",)):
        target = TargetFile.from_data(path, content, list(algorithms))
        self.roles[role].targets[path] = target
        folder, slash, name = path.rpartition("/")
        for digest in target.hashes.values():
            self.files[f"targets/{folder}{slash}{digest}.{name}"] = content
        self.files[f"targets/{path}"] = content
        return target

    def delegate(self, parent, name, paths=None, prefixes=None, terminating=False):
        signer = self.signers.setdefault(name, [CryptoSigner.generate_ed25519()])[0]
        self.roles.setdefault(name, unpublished(Targets(expires=FAR)))
        delegator = self.roles[parent]
        if delegator.delegations is None:
            delegator.delegations = Delegations(keys={}, roles={})
        delegator.delegations.roles[name] = DelegatedRole(name, [], 1, terminating, paths, prefixes)
        delegator.add_key(signer.public_key, name)

    def change(self, name, change):
        """Changes published metadata behind its signatures' back."""
        value = json.loads(self.files[name])
        change(value)
        self.files[name] = json.dumps(value).encode()


class Server:
    """Serves the files of the repository that a test is about."""

    def __init__(self):
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.lstrip("/")
                server.repository.asked.append(path.rpartition("/")[2])
                # Names of roles come encoded, those of targets as they are.
                content = server.repository.files.get(path, server.repository.files.get(urllib.parse.unquote(path)))
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_):
                pass

        self.repository = None
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()


class Client:
    """A device: scripts/tuf-client with folders of its own."""

    def __init__(self, server, folder):
        self._server = server
        self.metadata, self.out = folder / "metadata", folder / "targets"
        self.metadata.mkdir()
        self.out.mkdir()

    def _run(self, *words):
        done = subprocess.run(
            [ROOT / "scripts/tuf-client", "--metadata-dir", self.metadata, *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        self.said = done.stderr
        return done.returncode == 0

    def init(self, root=None):
        first = self.metadata.parent / "first-root.json"
        first.write_bytes(root or self._server.repository.first_root)
        assert self._run("init", str(first))
        return self

    def refresh(self):
        return self._run("--metadata-url", f"{self._server.url}/metadata", "refresh")

    def download(self, *paths):
        names = [word for path in paths for word in ("--target-name", path)]
        return self._run(
            "--metadata-url",
            f"{self._server.url}/metadata",
            *names,
            "--target-base-url",
            f"{self._server.url}/targets",
            "--target-dir",
            str(self.out),
            "download",
        )

    def downloaded(self):
        return sorted(path.read_bytes() for path in self.out.iterdir())

    def version(self, role):
        path = self.metadata / f"{urllib.parse.quote(role, '')}.json"
        return json.loads(path.read_text())["signed"]["version"] if path.exists() else None

    def versions(self):
        return tuple(self.version(role) for role in TOP)
