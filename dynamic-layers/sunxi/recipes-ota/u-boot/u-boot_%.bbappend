# SPDX-License-Identifier: MIT
#
# meta-sunxi's U-Boot deploys a boot.scr of its own, where ota-boot-script deploys the one that picks the slot.

# nooelint: oelint.task.noanonpython - whichever of the two layers is read last
python () {
    if d.getVar('OTA_ENABLE') == '1':
        d.setVar('UBOOT_ENV:sunxi', 'boot-of-meta-sunxi')
}
