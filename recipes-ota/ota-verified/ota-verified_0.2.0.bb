# SPDX-License-Identifier: MIT
SUMMARY = "First process of a system with verified boot"
DESCRIPTION = "For the initramfs in the signed image of a slot: has the kernel verify the root file system block by block, and starts it."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:${THISDIR}/files:"
SRC_URI = "file://COPYING.MIT file://init file://ota-verity.c"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

# What it recommends is this machine's.
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit ota-layout

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"

do_compile () {
    ${CC} ${CFLAGS} ${LDFLAGS} -std=c11 -o ${B}/ota-verity ${S}/ota-verity.c
}

do_install () {
    install -D -m 0755 ${B}/ota-verity ${D}${base_bindir}/ota-verity
    install -m 0755 ${S}/init ${D}/init
    # The kernel opens it before the first process has mounted anything.
    install -d ${D}/dev
    mknod -m 622 ${D}/dev/console c 5 1
}

FILES:${PN} += "/init /dev"

RDEPENDS:${PN} = "busybox"
# Of a kernel that has them as modules; those that it has built in have no package. Disks are the machine's to name. Every block of a slot is hashed at
# each start, so what makes SHA-256 fast on its processor is one of them.
RRECOMMENDS:${PN} = "\
    kernel-module-dm-verity \
    kernel-module-erofs \
    kernel-module-overlay \
    kernel-module-sha256-arm \
    kernel-module-sha256-arm64 \
    kernel-module-sha256-generic \
    kernel-module-sha256-ssse3 \
    kernel-module-sha2-arm-ce \
    kernel-module-sha2-ce \
    kernel-module-squashfs \
    ${@' '.join('kernel-module-' + name.replace('_', '-') for name in d.getVar('OTA_VERIFIED_MODULES').split())} \
"
