# SPDX-License-Identifier: MIT
SUMMARY = "Reads, verifies and writes the images of system updates"
DESCRIPTION = "The content engine of sysupgrade: opens an image once, verifies each block in memory, writes what differs and reads it back."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

DEPENDS = "openssl xz zlib zstd"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:"
SRC_URI = "\
    file://COPYING.MIT \
    file://Makefile \
    file://limit \
    file://src \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

# Warnings of compilers to come are for the project's own builds.
EXTRA_OEMAKE = "-C ${S} B=${B} WERROR= libdir=${nonarch_libdir}/otamgr CC='${CC}' CFLAGS='${CFLAGS}' CPPFLAGS='${CPPFLAGS}' LDFLAGS='${LDFLAGS}'"

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"

do_compile () {
    oe_runmake
}

do_install () {
    oe_runmake DESTDIR=${D} install
}

FILES:${PN} += "${nonarch_libdir}/otamgr"

BBCLASSEXTEND = "native nativesdk"
