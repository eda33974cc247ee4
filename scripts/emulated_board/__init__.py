# SPDX-License-Identifier: MIT
"""A board with a disk, a real U-Boot and a real kernel in QEMU; what runs on it is the product.

`Board` is one that runs: it is switched on with a disk image, watched and typed to on its serial console, and its power can be cut.
`Builder` makes root file systems and update images for it, `build.make_disk` the disk. The rest is what the commands do:
demo, journey, cycles, powercut, agent.
"""
