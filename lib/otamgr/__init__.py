# SPDX-License-Identifier: MIT
"""What the classes of this layer compute; plain Python, so that it is tested without BitBake."""

BBIMPORTS = ["bundle", "layout", "license", "machine", "man", "modules", "size", "uboot", "verified"]
