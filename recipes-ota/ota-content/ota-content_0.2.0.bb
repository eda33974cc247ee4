# SPDX-License-Identifier: MIT
SUMMARY = "Reads, verifies and writes the images of system updates"
DESCRIPTION = "The content engine of sysupgrade: opens an image once, verifies each block in memory, writes what differs and reads it back."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

DEPENDS = "openssl xz zlib zstd"

# Not by way of THISDIR: without its ".." a path there is one of meta-otamgr, which has no link to the tests.
FILESEXTRAPATHS:prepend := "${OTAMGR_REPOSITORY}:"
SRC_URI = "\
    file://COPYING.MIT \
    file://Makefile \
    file://grow \
    file://limit \
    file://src \
    ${@bb.utils.contains('DISTRO_FEATURES', 'ptest', '${OTA_CONTENT_PTEST}', '', d)} \
"
# Those of the project's own tests that need nothing but the program, and what they make bundles with.
OTA_CONTENT_PTEST = "\
    file://run-ptest \
    file://lib/otamgr/__init__.py \
    file://lib/otamgr/bundle.py \
    file://tests/content/content.py \
    file://tests/content/test_blocks.py \
    file://tests/content/test_encrypted.py \
    file://tests/content/test_file_systems.py \
    file://tests/content/test_grow.py \
    file://tests/content/test_open.py \
    file://tests/content/test_parts.py \
    file://tests/content/test_several_images.py \
    file://tests/content/test_stream.py \
    file://tests/content/test_tar.py \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

inherit ptest

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

do_install_ptest () {
    # In a tree of devtool they are links to where its user changes them.
    cp -R --dereference ${S}/lib ${S}/tests ${D}${PTEST_PATH}
}

FILES:${PN} += "${nonarch_libdir}/otamgr"

# What the tests make images and archives with, and compare them.
RDEPENDS:${PN}-ptest += "\
    acl attr bsdtar coreutils diffutils e2fsprogs e2fsprogs-e2fsck e2fsprogs-mke2fs libcap-bin openssl-bin python3-codecs \
    python3-compression python3-core python3-crypt python3-fcntl python3-io python3-json python3-math python3-netclient \
    python3-unittest python3-unixadmin squashfs-tools tar util-linux-losetup util-linux-partx util-linux-sfdisk xz zstd \
"

BBCLASSEXTEND = "native nativesdk"
