# SPDX-License-Identifier: MIT
"""What the layer adds to an image: its packages, and every package that is there only because they ask for it."""

import json
import os
import re
import zlib
from pathlib import Path


def package_data(folder, name):
    """What BitBake wrote about a package when it was made, whichever of its two names is given; {} if nothing."""
    for kind in ("runtime-reverse", "runtime"):
        path = os.path.join(folder, kind, name)
        if os.path.exists(path):
            break
    else:
        return {}
    package = os.path.basename(os.path.realpath(path))
    values = {"package": package}
    with open(path) as f:
        for line in f:
            key, _, value = line.partition(": ")
            values[key.removesuffix(f":{package}")] = value.strip()
    return values


def names(text):
    """The packages in a list of dependencies, without their versions."""
    return re.sub(r"\([^)]*\)", " ", text or "").split()


def recipes():
    """Names of the recipes of this layer."""
    return {path.name.split("_")[0].removesuffix(".bb") for path in Path(__file__).parents[2].glob("recipes-*/*/*.bb")}


def added(folder, installed, roots, ours=(), excluded=r"kernel-|kernel$"):
    """The packages of an image that nothing in `roots` asks for, in the order of `installed`, and those of the recipes `ours` with
    what only they ask for, whoever wants them. Kernels count for nobody.
    """
    data, known = {}, {}
    for name in installed:
        data[name] = package_data(folder, name)
        for other in (name, data[name].get("package", name), *names(data[name].get("RPROVIDES"))):
            known.setdefault(other, name)
    found, waiting = set(), [known[name] for name in roots if name in known]
    while waiting:
        name = waiting.pop()
        if name not in found and data[name].get("PN") not in ours:
            found.add(name)
            for key in ("RDEPENDS", "RRECOMMENDS"):
                waiting += [known[other] for other in names(data[name].get(key)) if other in known]
    return [name for name in installed if name not in found and not re.match(excluded, data[name].get("package", name))]


def files(folder, name, root):
    """The regular files of a package that are in the image."""
    listed = json.loads(package_data(folder, name).get("FILES_INFO") or "{}")
    return [root + path for path in listed if os.path.isfile(root + path) and not os.path.islink(root + path)]


def table(parts):
    """Lines of (name, files): size, size as gzip, and both together."""
    lines, total = [], [0, 0]
    for name, paths in parts:
        size = packed = 0
        for path in paths:
            with open(path, "rb") as f:
                content = f.read()
            size += len(content)
            packed += len(zlib.compress(content, 6))
        if size:
            lines.append("%-28s %8d KiB %8d KiB" % (name, size // 1024, packed // 1024))
            total = [total[0] + size, total[1] + packed]
    lines.append("%-28s %8d KiB %8d KiB" % ("together", total[0] // 1024, total[1] // 1024))
    return "%-28s %12s %12s\n%s\n" % ("What the layer adds", "on disk", "as gzip", "\n".join(lines))
