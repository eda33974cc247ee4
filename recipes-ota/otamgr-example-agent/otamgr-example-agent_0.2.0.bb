# SPDX-License-Identifier: MIT
SUMMARY = "Example of an update agent of a product's own"
DESCRIPTION = "Uses the agent library of otamgr and runs in place of its daemon: OTA_AGENT = \"otamgr-example-agent\"."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

# Its jars are in the sysroot.
DEPENDS = "otamgr"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:"
SRC_URI = "\
    file://COPYING.MIT \
    file://otamgr-src/device/example-agent/src/main \
    file://otamgr.default \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

inherit ota-java

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"

do_compile () {
    ota_java_compile ${B}/agent ${STAGING_DATADIR}/java/otamgr-agent.jar:${STAGING_DATADIR}/java/otamgr-base.jar ${S}/otamgr-src/device/example-agent/src/main/java
    ota_java_jar ${B}/otamgr-example-agent.jar ${B}/agent
}

do_install () {
    install -D -m 0644 ${B}/otamgr-example-agent.jar ${D}${datadir}/java/otamgr-example-agent.jar
    install -D -m 0644 ${S}/otamgr.default ${D}${sysconfdir}/default/otamgr
}

FILES:${PN} += "${datadir}/java"
CONFFILES:${PN} = "${sysconfdir}/default/otamgr"

RDEPENDS:${PN} = "otamgr"
