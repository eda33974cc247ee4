# SPDX-License-Identifier: MIT
#
# Nothing changes on machines where the boot script keeps the environment, nor with OTA_UBOOT_CONFIG = "0".
require recipes-ota/u-boot/ota-env.inc

OTA_UBOOT_CONFIG ??= "1"
require ${@'recipes-ota/u-boot/ota-uboot.inc' if d.getVar('OTA_ENV_STORE') == 'native' and d.getVar('OTA_UBOOT_CONFIG') == '1' else 'recipes-ota/u-boot/ota-uboot-none.inc'}
