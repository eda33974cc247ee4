# SPDX-License-Identifier: MIT
#
# The U-Boot of meta-atmel, for its machines with an eMMC. It was called u-boot-at91 and is called u-boot-mchp, and a bbappend for a recipe
# that is not there would end the parsing: this one is for all recipes whose names begin so, and changes boot loaders. PN is not yet that of
# the recipe here.
FILESEXTRAPATHS:prepend := "${THISDIR}/../../../../recipes-ota/u-boot/files:"
inherit ota-layout
require ${@'ota-uboot-atmel.inc' if 'virtual/bootloader' in (d.getVar('PROVIDES', False) or '').split() and d.getVar('OTA_UBOOT_CONFIG') == '1' \
    else 'recipes-ota/u-boot/ota-uboot-none.inc'}
