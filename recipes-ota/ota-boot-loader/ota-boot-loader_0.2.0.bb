# SPDX-License-Identifier: MIT
SUMMARY = "Lets updates bring a boot loader"
DESCRIPTION = "The target of the image boot-loader, and the programs that write a boot loader to where the SoC's ROM reads it."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:"
SRC_URI = "\
    file://COPYING.MIT \
    file://help.h \
    file://ota-boot-partition.c \
    file://ota-boot-place.c \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

# Which eMMC it is is the machine's.
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit ota-layout

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"

# One of both is used on a device, by what the target says.
do_compile () {
    for program in ota-boot-partition ota-boot-place; do
        ${CC} -std=c11 -D_GNU_SOURCE -Wall -Wextra ${CFLAGS} ${CPPFLAGS} ${LDFLAGS} -o ${B}/$program ${S}/$program.c
    done
}

python ota_boot_loader_target () {
    places = otamgr.layout.boot_places(d)
    device = d.getVar('OTA_BOOT_LOADER_DEVICE')
    with open(d.expand('${B}/boot-loader.conf'), 'w') as f:
        f.write(places.conf(device) if places else 'BOOT_DEVICE=%s\n' % device)
}
ota_boot_loader_target[vardeps] += "${OTA_LAYOUT_SETTINGS}"
do_compile[postfuncs] += "ota_boot_loader_target"

do_install () {
    install -d ${D}${nonarch_libdir}/otamgr ${D}${sysconfdir}/otamgr/images.d
    install -m 0755 ${B}/ota-boot-partition ${B}/ota-boot-place ${D}${nonarch_libdir}/otamgr
    install -m 0644 ${B}/boot-loader.conf ${D}${sysconfdir}/otamgr/images.d
}

FILES:${PN} += "${nonarch_libdir}/otamgr"
CONFFILES:${PN} = "${sysconfdir}/otamgr/images.d/boot-loader.conf"

RDEPENDS:${PN} = "sysupgrade"
