# SPDX-License-Identifier: MIT
SUMMARY = "What an image needs to update itself over the air"
DESCRIPTION = "The daemon, the scripts that write and try an update, their configuration for this machine, and the OTA record."
SECTION = "base"

# The place of the U-Boot environment is the machine's.
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

# What decides about updates: the daemon otamgr, or a package with an agent of the product's own, such as otamgr-example-agent. That one
# depends on otamgr, whose library and services it uses.
OTA_AGENT ?= "otamgr"

# "1": the daemon is root, as an agent of the product's own is, unless it asks otamgr-root for what needs root. Else it is a user of its own.
OTA_DAEMON_AS_ROOT ?= "${@'0' if d.getVar('OTA_AGENT') == 'otamgr' else '1'}"

# nooelint: oelint.vars.dependsordered - it sorts the expression, not its value
RDEPENDS:${PN} = "ota-data ota-fw-env ota-record ${OTA_AGENT} sysupgrade"
RDEPENDS:${PN} += "${@'' if d.getVar('OTA_DAEMON_AS_ROOT') == '1' else 'otamgr-user'}"
