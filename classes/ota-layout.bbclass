# SPDX-License-Identifier: MIT
#
# The OTA_ settings of recipes-ota/u-boot/ota-env.inc for recipes, and templates filled from them. Settings that do not fit together
# end the build, with a sentence for each problem.

inherit ota-python

require recipes-ota/u-boot/ota-env.inc

# lib/otamgr asks for them by names that BitBake cannot read out of its source: whoever calls it with the datastore has them in its vardeps. Without
# that a setting that changes would leave what was made from the old one, such as a boot script for the old place of the environment.
OTA_LAYOUT_SETTINGS = "\
    OTA_BOOTARGS OTA_BOOT_FILES OTA_BOOT_FORMATS OTA_BOOT_LOADER OTA_BOOT_LOADER_DEVICE OTA_BOOT_LOADER_PLACES OTA_BOOT_RAW OTA_BOOT_SIZE \
    OTA_BOOT_START \
    OTA_DATA_SIZE OTA_ENABLE OTA_ENV_DEVICE OTA_ENV_MMC OTA_ENV_OFFSET OTA_ENV_OFFSET_REDUND OTA_ENV_SIZE OTA_ENV_STORE \
    OTA_PARTITION_TABLE OTA_RAW_AREAS_CHECKED OTA_ROLLBACK_INDEX OTA_RPMB_FLOOR OTA_SLOT_A_PART OTA_SLOT_B_PART OTA_SLOT_SIZE \
    OTA_UBOOT_BOOTCOMMAND OTA_UBOOT_CONFIG OTA_UBOOT_EXTERNAL OTA_VERIFIED_BOOT OTA_VERIFIED_FIT_LIMIT OTA_VERIFIED_MODULES OTA_WATCHDOG OTA_WKS_BOOTLOADER \
"

python ota_layout_check () {
    found = otamgr.layout.problems(d)
    if found:
        bb.fatal('The settings of disk and U-Boot environment do not fit together (README, table of variables):\n  %s' % '\n  '.join(found))
}

ota_layout_check[vardeps] += "${OTA_LAYOUT_SETTINGS}"

# ota_fill(d, template, result): a file with every @OTA_WORD@ replaced.
def ota_fill(d, template, result):
    with open(template) as f:
        text = f.read()
    with open(result, 'w') as f:
        f.write(otamgr.layout.fill(text, d))
# nooelint: oelint.vars.mispell.unknown - a function has flags, too
ota_fill[vardeps] += "${OTA_LAYOUT_SETTINGS}"
