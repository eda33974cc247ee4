# SPDX-License-Identifier: MIT
#
# What verified boot needs of a kernel; nothing changes without it. A kernel of another recipe gets these lines from its machine.
FILESEXTRAPATHS:prepend := "${THISDIR}/files:"
SRC_URI:append = " ${@'file://ota-verified-kernel.cfg' if d.getVar('OTA_VERIFIED_BOOT') == '1' else ''}"
