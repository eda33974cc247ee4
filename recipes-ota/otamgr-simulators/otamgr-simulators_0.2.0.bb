# SPDX-License-Identifier: MIT
SUMMARY = "Stand-ins for attrd and hubby, to test an image without Afero's programs"
DESCRIPTION = "An image with this package looks for updates at the address board.url= of the kernel's command line, or in the folder \
               /tmp/updates, and writes its log to the console. For tests only: no image of this layer asks for it."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

DEPENDS = "junixsocket otamgr"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:"
SRC_URI = "\
    file://COPYING.MIT \
    file://otamgr-src/test-equipment/simulators/src/main \
    file://ota-platform \
    file://otamgr-simulators.init \
    file://otamgr-simulators.service \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

inherit ota-java systemd update-rc.d

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"

do_compile () {
    libraries=${STAGING_DATADIR}/java
    ota_java_compile ${B}/simulators $libraries/otamgr-wire.jar:$libraries/junixsocket-common.jar ${S}/otamgr-src/test-equipment/simulators/src/main/java
    ota_java_jar ${B}/otamgr-simulators.jar ${B}/simulators
}

do_install () {
    install -D -m 0644 ${B}/otamgr-simulators.jar ${D}${datadir}/java/otamgr-simulators.jar
    install -D -m 0755 ${S}/ota-platform ${D}${sbindir}/ota-platform
    if ${@bb.utils.contains('DISTRO_FEATURES', 'sysvinit', 'true', 'false', d)}; then
        install -D -m 0755 ${S}/otamgr-simulators.init ${D}${sysconfdir}/init.d/otamgr-simulators
    fi
    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'true', 'false', d)}; then
        install -D -m 0644 ${S}/otamgr-simulators.service ${D}${systemd_system_unitdir}/otamgr-simulators.service
    fi
}

SYSTEMD_SERVICE:${PN} = "otamgr-simulators.service"
INITSCRIPT_NAME = "otamgr-simulators"
# Where attrd and hubby would be: before otamgr.
INITSCRIPT_PARAMS = "defaults 90 10"

FILES:${PN} += "${datadir}/java ${systemd_system_unitdir}"

RDEPENDS:${PN} = "junixsocket otamgr"
