# SPDX-License-Identifier: MIT
"""Python libraries of host tools that Debian does not have: a virtual environment below build/, made once."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path


def enter(root, name):
    """Goes on in the environment that scripts/NAME-requirements.txt describes; makes it first if it is not there or not the same."""
    venv = Path(root, "build", f"{name}-venv")
    requirements = Path(root, "scripts", f"{name}-requirements.txt")
    if Path(sys.prefix).resolve() == venv.resolve():
        return
    stamp = venv / "requirements.txt"
    venv.parent.mkdir(exist_ok=True)
    with open(venv.parent / f"{name}-venv.lock", "w") as lock:
        # Two tools that start at once make it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_bytes() != requirements.read_bytes():
            print(f"Installing the libraries of ota-{name} once", file=sys.stderr)
            shutil.rmtree(venv, ignore_errors=True)
            try:
                subprocess.run([sys.executable, "-m", "venv", venv], check=True, stdout=subprocess.DEVNULL)
                subprocess.run(
                    [
                        venv / "bin/pip",
                        "install",
                        "-q",
                        "--disable-pip-version-check",
                        "--require-hashes",
                        "-r",
                        requirements,
                    ],
                    check=True,
                )
            except subprocess.CalledProcessError as e:
                sys.exit(
                    f"ota-{name}: {' '.join(map(str, e.cmd))} failed; on Debian it needs the package python3-venv, "
                    "and Python's package index"
                )
            shutil.copyfile(requirements, stamp)
    os.execv(venv / "bin/python", [str(venv / "bin/python"), *sys.argv])
