# SPDX-License-Identifier: MIT
#
# The U-Boot of meta-atmel, for its machines with an eMMC. It was called u-boot-at91 and is called u-boot-mchp, and a bbappend for a recipe
# that is not there would end the parsing: this one is for all recipes whose names begin so, and changes those two.
FILESEXTRAPATHS:prepend := "${THISDIR}/../../../../recipes-ota/u-boot/files:"
inherit ota-layout
OTA_UBOOT_ATMEL = "${@'1' if d.getVar('PN') in ('u-boot-at91', 'u-boot-mchp') and d.getVar('OTA_UBOOT_CONFIG') == '1' else '0'}"
require ${@'recipes-ota/u-boot/ota-uboot.inc' if d.getVar('OTA_UBOOT_ATMEL') == '1' else 'recipes-ota/u-boot/ota-uboot-none.inc'}
require ${@'ota-uboot-atmel.inc' if d.getVar('OTA_UBOOT_ATMEL') == '1' else 'recipes-ota/u-boot/ota-uboot-none.inc'}
