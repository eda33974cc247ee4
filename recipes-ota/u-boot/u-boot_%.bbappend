# SPDX-License-Identifier: MIT
#
# Nothing changes where OTA_UBOOT_CONFIG is "0", as it is by itself on machines that nobody enabled and on those where the boot script keeps the
# environment.
inherit ota-layout
require ${@'recipes-ota/u-boot/ota-uboot.inc' if d.getVar('OTA_UBOOT_CONFIG') == '1' else 'recipes-ota/u-boot/ota-uboot-none.inc'}
