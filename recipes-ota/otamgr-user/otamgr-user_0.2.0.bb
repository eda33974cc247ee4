# SPDX-License-Identifier: MIT
SUMMARY = "The otamgr daemon as a user of its own"
DESCRIPTION = "With this package the daemon is not root. otamgr-root does for it the few things that need root, and nothing else."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:"
SRC_URI = "\
    file://COPYING.MIT \
    file://otamgr-root.c \
    file://request.c \
    file://request.h \
    file://agent-memory \
    file://otamgr-root.init \
    file://otamgr-root.service \
    file://50-user.conf \
    file://20-user.json \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

inherit systemd update-rc.d useradd

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --no-create-home --home-dir / --shell /sbin/nologin --user-group otamgr"

# What added the user need not be on the device, whose image is updated as a whole: shadow would bring another login, su and passwd.
python otamgr_user_without_shadow () {
    rdepends = bb.utils.explode_deps(d.getVar('RDEPENDS:' + d.getVar('PN')))
    d.setVar('RDEPENDS:' + d.getVar('PN'), ' '.join(name for name in rdepends if name != d.getVar('MLPREFIX') + 'shadow'))
}
PACKAGESPLITFUNCS += "otamgr_user_without_shadow"

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"

do_compile () {
    ${CC} -std=c11 -D_GNU_SOURCE -Wall -Wextra ${CFLAGS} ${CPPFLAGS} ${LDFLAGS} -o ${B}/otamgr-root ${S}/otamgr-root.c ${S}/request.c
}

do_install () {
    install -D -m 0755 ${B}/otamgr-root ${D}${nonarch_libdir}/otamgr/otamgr-root
    install -m 0755 ${S}/agent-memory ${D}${nonarch_libdir}/otamgr/agent-memory
    install -D -m 0644 ${S}/20-user.json ${D}${sysconfdir}/otamgr/conf.d/20-user.json

    if ${@bb.utils.contains('DISTRO_FEATURES', 'sysvinit', 'true', 'false', d)}; then
        install -D -m 0755 ${S}/otamgr-root.init ${D}${sysconfdir}/init.d/otamgr-root
    fi
    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'true', 'false', d)}; then
        install -D -m 0644 ${S}/otamgr-root.service ${D}${systemd_system_unitdir}/otamgr-root.service
        install -D -m 0644 ${S}/50-user.conf ${D}${systemd_system_unitdir}/otamgr.service.d/50-user.conf
    fi
}

SYSTEMD_SERVICE:${PN} = "otamgr-root.service"
INITSCRIPT_NAME = "otamgr-root"
# Before the daemon.
INITSCRIPT_PARAMS = "defaults 96 04"

FILES:${PN} += "${nonarch_libdir}/otamgr ${systemd_system_unitdir}"
CONFFILES:${PN} = "${sysconfdir}/otamgr/conf.d/20-user.json"

RDEPENDS:${PN} = "otamgr"
