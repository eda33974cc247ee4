# SPDX-License-Identifier: MIT
SUMMARY = "What an image needs to update itself over the air"

# The place of the U-Boot environment is the machine's.
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

RDEPENDS:${PN} = "ota-data ota-fw-env ota-record otamgr sysupgrade"
