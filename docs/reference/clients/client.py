#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""client.py SOCKET COMMAND [ARGUMENT...]: gives a command to otamgr."""

import json
import socket
import sys


def command(path, *arguments, progress=lambda text: None):
    """(exit code, lines of output, lines of errors)"""
    out, err = [], []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps({"protocol": 1, "arguments": arguments}).encode() + b"\n")
        for line in connection.makefile(encoding="utf-8", newline="\n"):
            kind, text = line[0], line[2:-1]
            if kind == "o":
                out.append(text)
            elif kind == "e":
                err.append(text)
            elif kind == "p":
                progress(text)
            elif kind == "x":
                return int(text), out, err
    raise ConnectionError("otamgr went away before the end of the command")


if __name__ == "__main__":
    code, out, err = command(*sys.argv[1:], progress=lambda text: print(text, file=sys.stderr))
    print("\n".join(out))
    print("\n".join(err), file=sys.stderr)
    sys.exit(code)
