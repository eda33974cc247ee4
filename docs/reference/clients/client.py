#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""client.py SOCKET COMMAND [ARGUMENT...]: gives a command to otamgr."""

import json
import socket
import sys


def command(path, *arguments, said):
    """The exit code. said(KIND, TEXT) is called for each line as it comes: o output, e error, p progress."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps({"protocol": 1, "arguments": arguments}).encode() + b"\n")
        for line in connection.makefile(encoding="utf-8", newline="\n"):
            kind, text = line[0], line[2:-1]
            if kind == "x":
                return int(text)
            said(kind, text)
    raise ConnectionError("otamgr went away before the end of the command")


def show(kind, text):
    print(text, file=sys.stdout if kind == "o" else sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(command(*sys.argv[1:], said=show))
