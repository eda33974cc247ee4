# SPDX-License-Identifier: MIT
SUMMARY = "Where this machine keeps its U-Boot environment and its slots"
DESCRIPTION = "/etc/fw_env.config for fw_setenv, and for disks whose partitions have no names /etc/otamgr/slots.conf."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:${THISDIR}/files:"
SRC_URI = "file://COPYING.MIT file://fw_env.config.in"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit ota-layout

do_configure[noexec] = "1"

python do_compile () {
    ota_fill(d, d.getVar('S') + '/fw_env.config.in', d.getVar('B') + '/fw_env.config')
    slots = otamgr.layout.slots_conf(d)
    if slots:
        with open(d.getVar('B') + '/slots.conf', 'w') as f:
            f.write(slots)
}
do_compile[prefuncs] += "ota_layout_check"
do_compile[cleandirs] = "${B}"

do_install () {
    install -D -m 0644 ${B}/fw_env.config ${D}${sysconfdir}/fw_env.config
    if [ -e ${B}/slots.conf ]; then
        install -D -m 0644 ${B}/slots.conf ${D}${sysconfdir}/otamgr/slots.conf
    fi
}

# A fw_env.config from the recipe of U-Boot would be for another place. A U-Boot with an environment of ours brings none.
RPROVIDES:${PN} = "${@'u-boot-env-config' if d.getVar('OTA_ENABLE') == '1' else ''}"
