# SPDX-License-Identifier: MIT
"""
What the programs for people on a build host share that end when nobody reads what they print; those that run on have options.py
alone.
"""

import signal

from otamgr.options import Parser, nearest, stop

__all__ = ["Parser", "nearest", "stop"]

# Whoever reads what is printed, such as head, may go away.
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
