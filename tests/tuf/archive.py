# SPDX-License-Identifier: MIT
"""Lays an archive of the client's classes beside its jar: it is started some 500 times, and starts twice as fast with it."""

import os
import tempfile
from pathlib import Path

from repository import ROOT, Client, Repository, Server

JAR = ROOT / "otamgr-src/test-equipment/tuf-client/target/tuf-client.jar"


def main():
    archive = JAR.with_suffix(".jsa")
    archive.unlink(missing_ok=True)
    new = archive.with_suffix(".new")
    new.unlink(missing_ok=True)
    server = Server()
    server.repository = Repository()
    server.repository.add_target("file", b"content")
    server.repository.publish()
    with tempfile.TemporaryDirectory() as folder:
        client = Client(server, Path(folder)).init()
        os.environ["JAVA_TOOL_OPTIONS"] = f"'-XX:ArchiveClassesAtExit={new}'"
        assert client.download("file"), client.said
    new.replace(archive)


if __name__ == "__main__":
    main()
