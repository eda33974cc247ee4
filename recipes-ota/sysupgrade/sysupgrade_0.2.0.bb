# SPDX-License-Identifier: MIT
SUMMARY = "Writes system updates into the inactive slot"
DESCRIPTION = "sysupgrade, ota-slot, the guard that ends a trial which nobody commits, ota-why, ota-doctor and ota-verify. Shell scripts; no Java."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:"
SRC_URI = "\
    file://COPYING.MIT \
    file://sysupgrade \
    file://ota-slot \
    file://ota-why \
    file://ota-doctor \
    file://ota-trial-guard \
    file://ota-trial-guard.init \
    file://ota-trial-guard.service \
    file://ota-verify \
    file://exit-codes \
    file://private.sh \
    file://limits.sh \
    file://settings.sh \
    file://settings.awk \
    file://journal.sh \
    file://journal.awk \
    file://journal-value.awk \
    file://last-words.sh \
    file://last-words.awk \
    file://slots.sh \
    file://environment.sh \
    file://fw-env-config.awk \
    file://boot-state.sh \
    file://overlay.sh \
    file://boot-places.sh \
    file://images.sh \
    file://new-images.sh \
    file://ota-preinit \
    file://progress.sh \
    file://content.sh \
    file://budget.sh \
    file://file-system.sh \
    file://new-system.sh \
    file://kept-files.sh \
    file://why.awk \
    file://doctor.awk \
    file://json.awk \
    file://trial.conf \
    file://run-ptest \
    file://kernel.sh;subdir=of-ota-data \
    file://mounts.awk;subdir=of-ota-data \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"

inherit ota-man ptest systemd update-rc.d

OTA_MAN_PROGRAMS = "ota-content ota-limit"
# Those that ota-data brings.
OTA_MAN_PARTS = "${S}/of-ota-data"
OTA_MAN_PAGES = "\
    sysupgrade=writes a system update into the inactive slot; \
    ota-slot=which slot runs, and what is tried, committed or given up; \
    ota-why=how an update ended, and why; \
    ota-doctor=looks at everything that an update relies on; \
    ota-trial-guard=ends the trial of a system that nobody commits; \
    ota-verify=verifies signatures of bundles and files \
"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install () {
    install -d ${D}${base_sbindir} ${D}${nonarch_libdir}/otamgr ${D}${sysconfdir}/otamgr ${D}${nonarch_base_libdir}/upgrade/keep.d
    install -m 0755 ${S}/sysupgrade ${S}/ota-slot ${S}/ota-trial-guard ${S}/ota-why ${S}/ota-doctor ${S}/ota-verify ${D}${base_sbindir}
    install -m 0644 ${S}/*.sh ${S}/*.awk ${S}/exit-codes ${D}${nonarch_libdir}/otamgr
    install -m 0755 ${S}/ota-preinit ${D}${nonarch_libdir}/otamgr
    install -m 0644 ${S}/trial.conf ${D}${sysconfdir}/otamgr

    if ${@bb.utils.contains('DISTRO_FEATURES', 'sysvinit', 'true', 'false', d)}; then
        install -D -m 0755 ${S}/ota-trial-guard.init ${D}${sysconfdir}/init.d/ota-trial-guard
    fi
    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'true', 'false', d)}; then
        install -D -m 0644 ${S}/ota-trial-guard.service ${D}${systemd_system_unitdir}/ota-trial-guard.service
    fi
}

SYSTEMD_SERVICE:${PN} = "ota-trial-guard.service"
INITSCRIPT_NAME = "ota-trial-guard"
# Right after the file systems are mounted, before whatever an update may have broken.
INITSCRIPT_PARAMS = "start 05 S ."

FILES:${PN} += "${nonarch_libdir}/otamgr ${nonarch_base_libdir}/upgrade ${systemd_system_unitdir}"
CONFFILES:${PN} = "${sysconfdir}/otamgr/trial.conf"

# fw_setenv and the place of the journal. Its configuration is the machine's, so packagegroup-otamgr asks for it. What else the
# scripts run is in OpenEmbedded's busybox.
RDEPENDS:${PN} = "libubootenv-bin ota-content ota-data"
# Images in a tar archive need mke2fs; e2fsck and resize2fs let the new system have all of its slot.
RRECOMMENDS:${PN} = "e2fsprogs-mke2fs e2fsprogs-e2fsck e2fsprogs-resize2fs"
