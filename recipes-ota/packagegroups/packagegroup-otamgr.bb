# SPDX-License-Identifier: MIT
SUMMARY = "What an image needs to update itself over the air"

# The place of the U-Boot environment is the machine's.
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

# What decides about updates: the daemon otamgr, or a package with an agent of the product's own, such as otamgr-example-agent. That one
# depends on otamgr, whose library and services it uses.
OTA_AGENT ?= "otamgr"

RDEPENDS:${PN} = "ota-data ota-fw-env ota-record ${OTA_AGENT} sysupgrade"
