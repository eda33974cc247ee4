# SPDX-License-Identifier: MIT
"""Modules of a kernel in an initramfs that loads them by insmod, one after the other."""

import re
import shutil


def installed(manifest):
    """Names of the modules in the list of packages of an image, such as dm-verity."""
    return set(re.findall(r"^kernel-module-(\S+?)(?:-\d\S*)?\s", manifest, re.M))


def ordered(dependencies):
    """Paths of a modules.dep, each behind all that it needs."""
    needs = {}
    for line in dependencies.splitlines():
        module, _, others = line.partition(":")
        needs[module] = others.split()
    found = []

    def add(module):
        if module not in found:
            for other in needs.get(module, ()):
                add(other)
            found.append(module)

    for module in sorted(needs):
        add(module)
    return found


def collected(root):
    """Moves the modules of this root file system to /modules, with their order; what else came with them goes."""
    folders = [path.parent for path in root.glob("**/lib/modules/*/modules.dep")]
    names = []
    for folder in folders:
        (root / "modules").mkdir(exist_ok=True)
        for path in ordered((folder / "modules.dep").read_text()):
            if (folder / path).is_file():
                shutil.move(folder / path, root / "modules" / path.rpartition("/")[2])
                names.append(path.rpartition("/")[2])
        shutil.rmtree(folder)
    if names:
        (root / "modules/order").write_text("".join(f"{name}\n" for name in names))
