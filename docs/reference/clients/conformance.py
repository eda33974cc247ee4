#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""conformance.py SOCKET: whether what listens there speaks version 1 of the control protocol (docs/reference/control.md)."""

import re
import socket
import sys


def exchange(path, request, close=True):
    """The lines that come back for some bytes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(path)
        try:
            connection.sendall(request)
            if close:
                connection.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass
        answer = b""
        while True:
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                part = b""
            if not part:
                return answer
            answer += part


# (what, request, exit codes that are right)
ANY = range(256)
CASES = (
    ("a command", b'{"arguments":["status"]}\n', ANY),
    ("the version of the protocol", b'{"protocol":1,"arguments":["status"]}\n', ANY),
    ("a member that it does not know", b'{"arguments":["status"],"x-later":{"a":[1]}}\n', ANY),
    ("blanks in the JSON", b' { "arguments" : [ "status" ] } \n', ANY),
    ("a command as JSON", b'{"arguments":["status","--json"]}\n', ANY),
    ("a version that there is not", b'{"protocol":2,"arguments":["status"]}\n', (2,)),
    ("a version that is no number", b'{"protocol":"1","arguments":["status"]}\n', (2,)),
    ("a command that there is not", b'{"arguments":["no-such-command"]}\n', (2,)),
    ("an option that there is not", b'{"arguments":["status","--no-such-option"]}\n', (2,)),
    ("no command", b'{"arguments":[]}\n', (2,)),
    ("no arguments", b"{}\n", (2,)),
    ("arguments that are no list", b'{"arguments":"status"}\n', (2,)),
    ("arguments that are no texts", b'{"arguments":[1]}\n', (2,)),
    ("no JSON", b"status\n", (2,)),
    ("an empty line", b"\n", (2,)),
    ("a request without its end", b'{"arguments":["status"]}', (2,)),
    ("a request that is too long", b'{"arguments":["' + b"a" * 20000 + b'"]}\n', (2,)),
    ("bytes that are no UTF-8", b'{"arguments":["\xff\xfe"]}\n', (2,)),
    ("control characters in a word", b'{"arguments":["a\\u000ab\\u001b"]}\n', (2,)),
)


def problem(answer, codes, is_json):
    """What is wrong with an answer, or nothing."""
    try:
        text = answer.decode("utf-8")
    except UnicodeDecodeError:
        return "the answer is no UTF-8"
    if not text.endswith("\n"):
        return f"expected lines, each with its end, found {text[-80:]!r}"
    lines = text.split("\n")[:-1]
    for line in lines:
        if not re.fullmatch(r"[oepx] [^\x00-\x1f\x7f]*", line):
            return f"expected a letter of o e p x, a blank and a text, found {line!r}"
    if [line[0] for line in lines].count("x") != 1 or lines[-1][0] != "x":
        return f"expected x once, as the last line, found {lines[-1]!r}"
    code = lines[-1][2:]
    if not re.fullmatch(r"\d{1,3}", code) or int(code) not in codes:
        return (
            f"expected the exit code {' or '.join(map(str, codes)) if codes is not ANY else '0 to 255'}, found {code}"
        )
    if codes == (2,) and not any(line[0] == "e" for line in lines):
        return "expected a sentence (e) with the exit code 2"
    if is_json and [line for line in lines if line[0] == "o" and not re.fullmatch(r"o \{.*\}", line)]:
        return "expected one JSON object as the only output"
    return ""


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    failed = 0
    for what, request, codes in CASES:
        wrong = problem(exchange(sys.argv[1], request), codes, b"--json" in request)
        failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok':<7} {what}{': ' + wrong if wrong else ''}")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
