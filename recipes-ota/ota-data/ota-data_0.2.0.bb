# SPDX-License-Identifier: MIT
SUMMARY = "The data partition that survives updates: /data and /afero_nv"
DESCRIPTION = "Mounts the data partition, grows it to the end of the disk at the first boot, and keeps the list of files that move to a new system."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

# What it shares with sysupgrade, which needs this package, lies there.
FILESEXTRAPATHS:prepend := "${THISDIR}/../..:${THISDIR}/../sysupgrade/files:"
SRC_URI = "\
    file://COPYING.MIT \
    file://ota-data \
    file://ota-data.init \
    file://ota-data.service \
    file://keep.d-base \
    file://kernel.sh \
    file://mounts.awk \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"

inherit systemd update-rc.d

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install () {
    install -d ${D}/data
    # Afero's programs write there; hubby's credentials and the reason of a reboot survive updates.
    ln -s data/afero_nv ${D}/afero_nv
    install -D -m 0755 ${S}/ota-data ${D}${sbindir}/ota-data
    install -d ${D}${nonarch_libdir}/otamgr
    install -m 0644 ${S}/kernel.sh ${S}/mounts.awk ${D}${nonarch_libdir}/otamgr
    install -D -m 0644 ${S}/keep.d-base ${D}${nonarch_base_libdir}/upgrade/keep.d/base

    if ${@bb.utils.contains('DISTRO_FEATURES', 'sysvinit', 'true', 'false', d)}; then
        install -D -m 0755 ${S}/ota-data.init ${D}${sysconfdir}/init.d/ota-data
    fi
    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'true', 'false', d)}; then
        install -D -m 0644 ${S}/ota-data.service ${D}${systemd_system_unitdir}/ota-data.service
    fi
}

SYSTEMD_SERVICE:${PN} = "ota-data.service"
INITSCRIPT_NAME = "ota-data"
INITSCRIPT_PARAMS = "start 04 S ."

FILES:${PN} += "${nonarch_libdir}/otamgr /data /afero_nv ${nonarch_base_libdir}/upgrade ${systemd_system_unitdir}"

RDEPENDS:${PN} = "e2fsprogs-e2fsck"
# To take the rest of a disk that is larger than the image.
RRECOMMENDS:${PN} = "e2fsprogs-resize2fs ota-content"
