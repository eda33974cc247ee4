# SPDX-License-Identifier: MIT
SUMMARY = "Boot script for U-Boot that picks the slot, and the first environment"
DESCRIPTION = "Deploys boot.scr for the first partition of the disk. Where U-Boot itself keeps no environment that Linux can write, also the first content of the two copies that the script keeps."
SECTION = "bootloaders"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

DEPENDS = "u-boot-tools-native"
DEPENDS:append = " ${@'dtc-native openssl-native ota-boot-key' if d.getVar('OTA_VERIFIED_BOOT') == '1' else ''}"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:${THISDIR}/files:"
SRC_URI = "file://COPYING.MIT file://boot.cmd.in"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

INHIBIT_DEFAULT_DEPS = "1"
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit kernel-arch ota-layout deploy nopackages

do_configure[noexec] = "1"
do_install[noexec] = "1"

python ota_boot_script_fill () {
    ota_fill(d, d.getVar('S') + '/boot.cmd.in', d.getVar('S') + '/boot.cmd')
}

do_compile () {
    # U-Boot takes a script for any architecture. SOURCE_DATE_EPOCH becomes the time in its header.
    mkimage -A ${UBOOT_ARCH} -O linux -T script -C none -n meta-otamgr -d ${S}/boot.cmd ${B}/boot.scr
    # What a freshly flashed disk says: slot a is good.
    echo ota_slot=a > ${B}/environment
    mkenvimage -r -s ${OTA_ENV_SIZE} -o ${B}/ota-environment.bin ${B}/environment
}
do_compile[prefuncs] += "ota_layout_check ota_boot_script_fill"

python ota_boot_script_sign () {
    if d.getVar('OTA_VERIFIED_BOOT') == '1':
        try:
            otamgr.verified.make_script_fit(d.getVar('S') + '/boot.cmd', d.getVar('OTA_VERIFIED_KEY'), d.getVar('B') + '/ota-boot.itb')
        except otamgr.verified.VerifiedError as e:
            bb.fatal('The boot script cannot be signed: %s' % e)
}
do_compile[postfuncs] += "ota_boot_script_sign"
do_compile[cleandirs] = "${B}"

do_deploy () {
    install -d ${DEPLOYDIR}
    install -m 0644 ${B}/boot.scr ${DEPLOYDIR}/boot.scr
    install -m 0644 ${B}/ota-environment.bin ${DEPLOYDIR}/ota-environment.bin
    # boot.cmd is for whoever signs it elsewhere.
    if [ "${OTA_VERIFIED_BOOT}" = 1 ]; then install -m 0644 ${S}/boot.cmd ${B}/ota-boot.itb ${DEPLOYDIR}; fi
}
addtask deploy after do_compile before do_build
