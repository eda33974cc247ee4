# SPDX-License-Identifier: MIT
#
# The U-Boot of meta-atmel, for its machines with an eMMC.
FILESEXTRAPATHS:prepend := "${THISDIR}/../../../../recipes-ota/u-boot/files:"
inherit ota-layout
require ${@'recipes-ota/u-boot/ota-uboot.inc' if d.getVar('OTA_UBOOT_CONFIG') == '1' else 'recipes-ota/u-boot/ota-uboot-none.inc'}
