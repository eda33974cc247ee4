# SPDX-License-Identifier: MIT
SUMMARY = "The public key of verified boot, as a part of U-Boot's device tree"
DESCRIPTION = "What U-Boot includes into its device tree with OTA_VERIFIED_BOOT, and for machines of QEMU the whole tree, which QEMU hands to U-Boot."
SECTION = "bootloaders"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

DEPENDS = "dtc-native openssl-native u-boot-tools-native"
DEPENDS:append:qemuarm = " qemu-system-native"
DEPENDS:append:qemuarm64 = " qemu-system-native"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:"
SRC_URI = "file://COPYING.MIT"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

INHIBIT_DEFAULT_DEPS = "1"
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit ota-layout deploy nopackages

do_configure[noexec] = "1"

python do_compile () {
    import os
    key, b = d.getVar('OTA_VERIFIED_KEY'), d.getVar('B')
    try:
        if key == d.getVar('OTA_DEVELOPMENT_BOOT_KEY'):
            otamgr.verified.development_key(key)
        if otamgr.verified.is_development(key):
            bb.warn('OTA_VERIFIED_KEY is a DEVELOPMENT KEY, %s: whoever reads this disk can sign what devices with this U-Boot start. For anything that '
                    'leaves your desk make a key with "scripts/ota-verified keygen" and set OTA_VERIFIED_KEY.' % key)
        for name in ('ota-boot-key.dtsi', 'ota-boot-key.dtb'):
            otamgr.verified.make_key_tree(key, os.path.join(b, name))
        if d.getVar('MACHINE') in otamgr.machine.QEMU:
            bb.build.exec_func('ota_qemu_device_tree', d)
            otamgr.verified.make_key_tree(key, os.path.join(b, 'ota-control.dtb'), os.path.join(b, 'ota-qemu.dtb'))
    except otamgr.verified.VerifiedError as e:
        bb.fatal('OTA_VERIFIED_KEY cannot be used: %s' % e)
}
do_compile[cleandirs] = "${B}"
# What is in the files counts. Patterns, because BitBake asks only once whether a file without one exists.
do_compile[file-checksums] += "${@'' if d.getVar('OTA_VERIFIED_KEY').startswith('pkcs11:') else os.path.splitext(d.getVar('OTA_VERIFIED_KEY'))[0] + '.*:True'}"

# QEMU makes the device tree of its boards itself, and another one where a boot loader is started.
ota_qemu_device_tree () {
    printf none > ${B}/loader
    ${QB_SYSTEM_NAME} ${QB_MACHINE},dumpdtb=${B}/ota-qemu.dtb ${QB_CPU} ${QB_SMP} -bios ${B}/loader -nodefaults -display none < /dev/null
}

do_install () {
    install -d ${D}${datadir}/otamgr
    install -m 0644 ${B}/ota-boot-key.dtsi ${B}/ota-boot-key.dtb ${D}${datadir}/otamgr
}

do_deploy () {
    install -d ${DEPLOYDIR}
    install -m 0644 ${B}/*.dtb ${DEPLOYDIR}
}
addtask deploy after do_compile before do_build
