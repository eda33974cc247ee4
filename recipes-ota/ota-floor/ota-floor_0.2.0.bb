# SPDX-License-Identifier: MIT
SUMMARY = "The lowest rollback index that U-Boot starts, in the RPMB of the eMMC"
DESCRIPTION = "Says what floor the eMMC keeps, and hands permits over to it, which only whoever has its key can make. For devices with OTA_RPMB_FLOOR."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:${THISDIR}/../sysupgrade/files:"
SRC_URI = "\
    file://COPYING.MIT \
    file://ota-floor \
    file://ota-rpmb.c \
    file://private.sh;subdir=of-sysupgrade \
    file://settings.sh;subdir=of-sysupgrade \
    file://settings.awk;subdir=of-sysupgrade \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

# Which eMMC it is is the machine's.
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit ota-layout ota-man

OTA_MAN_PAGES = "ota-floor=the lowest rollback index that is started, and permits that change it"
# Those that sysupgrade brings.
OTA_MAN_PARTS = "${S}/of-sysupgrade"

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"

do_compile () {
    ${CC} -std=c11 -D_GNU_SOURCE -Wall -Wextra ${CFLAGS} ${CPPFLAGS} ${LDFLAGS} -o ${B}/ota-rpmb ${S}/ota-rpmb.c
}

do_install () {
    install -D -m 0755 ${B}/ota-rpmb ${D}${nonarch_libdir}/otamgr/ota-rpmb
    install -D -m 0755 ${S}/ota-floor ${D}${base_sbindir}/ota-floor
    install -d ${D}${sysconfdir}/otamgr
    echo "RPMB_DEVICE=${OTA_ENV_DEVICE}rpmb" > ${D}${sysconfdir}/otamgr/rpmb.conf
}

FILES:${PN} += "${nonarch_libdir}/otamgr"
CONFFILES:${PN} = "${sysconfdir}/otamgr/rpmb.conf"

RDEPENDS:${PN} = "sysupgrade"
