# SPDX-License-Identifier: MIT
SUMMARY = "Lets updates bring a boot loader for an eMMC"
DESCRIPTION = "The target of the image boot-loader, and the program that says and sets which boot partition of an eMMC the SoC's ROM reads."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:"
SRC_URI = "\
    file://COPYING.MIT \
    file://ota-boot-partition.c \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

# Which eMMC it is is the machine's.
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit ota-layout

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"

do_compile () {
    ${CC} -std=c11 -D_GNU_SOURCE -Wall -Wextra ${CFLAGS} ${CPPFLAGS} ${LDFLAGS} -o ${B}/ota-boot-partition ${S}/ota-boot-partition.c
}

do_install () {
    install -D -m 0755 ${B}/ota-boot-partition ${D}${nonarch_libdir}/otamgr/ota-boot-partition
    install -d ${D}${sysconfdir}/otamgr/images.d
    echo "BOOT_DEVICE=${OTA_BOOT_LOADER_DEVICE}" > ${D}${sysconfdir}/otamgr/images.d/boot-loader.conf
}

FILES:${PN} += "${nonarch_libdir}/otamgr"
CONFFILES:${PN} = "${sysconfdir}/otamgr/images.d/boot-loader.conf"

RDEPENDS:${PN} = "sysupgrade"
