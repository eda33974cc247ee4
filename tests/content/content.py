# SPDX-License-Identifier: MIT
"""What the tests of the content engine share: the engine, built once with sanitizers, and how it is run."""

import fcntl
import functools
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = REPOSITORY / "recipes-ota/ota-content/files"
IMAGE_FD = 8

sys.path.insert(0, str(REPOSITORY / "lib"))
sys.dont_write_bytecode = True


@functools.cache
def engine():
    """The path of ota-content, built for tests: memory that is misused ends it with a code that no test expects.
    OTA_CONTENT names another one, such as one for 32 bits."""
    if "OTA_CONTENT" in os.environ:
        return Path(os.environ["OTA_CONTENT"])
    folder = REPOSITORY / "build/ota-content-tests"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        flags = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
        # Relative, because make has no names with blanks.
        subprocess.run(
            [
                "make",
                "-s",
                "-C",
                SOURCES,
                f"B={os.path.relpath(folder, SOURCES)}",
                f"CFLAGS={flags}",
                f"LDFLAGS={flags}",
            ],
            check=True,
        )
    return folder / "ota-content"


def _command(words, image, environment):
    """What subprocess takes so that the image is on the engine's descriptor. The descriptor is made in the child, after Python has closed
    what it does not pass on."""
    held = os.open(image, os.O_RDONLY) if image is not None else -1

    def inherited():
        if held >= 0:
            os.dup2(held, IMAGE_FD)

    environment = {**os.environ, "ASAN_OPTIONS": "exitcode=99", "UBSAN_OPTIONS": "exitcode=99", **environment}
    return held, [engine(), *map(str, words)], {"preexec_fn": inherited, "close_fds": False, "env": environment}


def patience(seconds):
    """How long to wait before something hangs: what waits for a processor does not, so longer where many wait for each."""
    return seconds * max(1.0, os.getloadavg()[0] / os.cpu_count())


def run(*words, image=None, timeout=60, environment=None, text=True, **options):
    """Runs a sub-command with the image on its descriptor. Returns what subprocess.run does, text captured."""
    held, command, how = _command(words, image, environment or {})
    try:
        return subprocess.run(
            command, capture_output=True, text=text, timeout=patience(timeout), check=False, **how, **options
        )
    finally:
        if held >= 0:
            os.close(held)


def started(*words, image=None):
    """The same, still running; what it says goes nowhere."""
    held, command, how = _command(words, image, {})
    try:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how)
    finally:
        if held >= 0:
            os.close(held)


def started_with_input(*words, image, stdin):
    """The same with standard input; what it says is read."""
    held, command, how = _command(words, image, {})
    try:
        return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)
    finally:
        os.close(held)


def facts(text):
    """KEY=VALUE lines as a dictionary."""
    return dict(line.split("=", 1) for line in text.splitlines())
