# SPDX-License-Identifier: MIT
SUMMARY = "Sample handler that otamgr calls at each step of an update"
DESCRIPTION = "Writes what happens to otamgr's log. A product copies this recipe and puts its own program in place of the handler; handlers \
               written for aktualizr-lite work unchanged."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:"
SRC_URI = "\
    file://COPYING.MIT \
    file://otamgr-callback-handler \
    file://50-callback.json \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"

inherit allarch

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install () {
    install -D -m 0755 ${S}/otamgr-callback-handler ${D}${bindir}/otamgr-callback-handler
    install -D -m 0644 ${S}/50-callback.json ${D}${sysconfdir}/otamgr/conf.d/50-callback.json
}

CONFFILES:${PN} = "${sysconfdir}/otamgr/conf.d/50-callback.json"

RDEPENDS:${PN} = "otamgr"
