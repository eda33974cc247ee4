# SPDX-License-Identifier: MIT
"""Licences as each series writes them."""

# They join licences with "&"; what comes after them writes SPDX's own expressions.
_BEFORE_EXPRESSIONS = ("scarthgap", "styhead", "walnascar", "whinlatter", "wrynose")
# What SPDX has given up since.
_NOW = {
    "GPL-2.0-with-classpath-exception": "GPL-2.0-only WITH Classpath-exception-2.0",
    "GPL-3.0-with-GCC-exception": "GPL-3.0-or-later WITH GCC-exception-3.1",
}


def all_of(d, *licences):
    """The value of LICENSE for what is under each of these, under their names in OpenEmbedded-Core."""
    if (d.getVar("LAYERSERIES_CORENAMES") or "scarthgap").split()[-1] in _BEFORE_EXPRESSIONS:
        return " & ".join(licences)
    return " AND ".join(_NOW.get(licence, licence) for licence in licences)
