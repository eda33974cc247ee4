# SPDX-License-Identifier: MIT
SUMMARY = "System updates from the Afero cloud"
SUMMARY:${PN}-update-sources = "Updates from a repository on a web server, and from Eclipse hawkBit"
DESCRIPTION = "Daemon that takes what hubby has downloaded, has sysupgrade write it into the inactive slot, and commits the \
               new system once it is healthy."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

DEPENDS = "jackson-annotations jackson-core jackson-databind junixsocket"

# Only the sources of the program: a Maven build beside them changes nothing here.
FILESEXTRAPATHS:prepend := "${THISDIR}/../..:"
SRC_URI = "\
    file://COPYING.MIT \
    file://otamgr-src/device/base/src/main \
    file://otamgr-src/device/wire/src/main \
    file://otamgr-src/device/attribute-client/src/main \
    file://otamgr-src/device/agent/src/main \
    file://otamgr-src/device/daemon/src/main \
    file://otamgr-src/device/tuf/src/main \
    file://otamgr-src/device/update-sources/src/main \
    file://otamgr.sh \
    file://otamgr-control.c \
    file://otamgr-watcher \
    file://otamgr.init \
    file://otamgr.service \
    file://otamgr.json \
    file://run-ptest \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

inherit ota-java ptest systemd update-rc.d

# The Java runtime of the image: any package that has a Java 17 or later at /usr/bin/java, such as those of meta-java's successors for
# Temurin or Corretto.
VIRTUAL-RUNTIME_otamgr-java ?= "openjdk-jre-headless"

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"

do_compile () {
    libraries=${STAGING_DATADIR}/java
    ota_java_compile ${B}/wire "$libraries" ${S}/otamgr-src/device/wire/src/main/java
    ota_java_jar ${B}/otamgr-wire.jar ${B}/wire
    jackson=$libraries/jackson-databind.jar:$libraries/jackson-core.jar:$libraries/jackson-annotations.jar
    ota_java_compile ${B}/base $jackson ${S}/otamgr-src/device/base/src/main/java
    ota_java_jar ${B}/otamgr-base.jar ${B}/base
    ota_java_compile ${B}/attribute-client ${B}/base:${B}/wire:$libraries/junixsocket-common.jar ${S}/otamgr-src/device/attribute-client/src/main/java
    ota_java_jar ${B}/otamgr-attribute-client.jar ${B}/attribute-client
    ota_java_compile ${B}/agent ${B}/base:$jackson:$libraries/junixsocket-common.jar ${S}/otamgr-src/device/agent/src/main/java
    cp -R ${S}/otamgr-src/device/agent/src/main/resources/. ${B}/agent
    ota_java_jar ${B}/otamgr-agent.jar ${B}/agent
    ota_java_compile ${B}/otamgr \
        ${B}/wire:${B}/attribute-client:${B}/base:${B}/agent:$jackson \
        ${S}/otamgr-src/device/daemon/src/main/java
    cp -R ${S}/otamgr-src/device/daemon/src/main/resources/. ${B}/otamgr
    sed -i 's/\${project\.version}/${PV}/' ${B}/otamgr/org/metaotamgr/daemon/version.properties
    ota_java_jar ${B}/otamgr.jar ${B}/otamgr
    ota_java_compile ${B}/tuf $jackson ${S}/otamgr-src/device/tuf/src/main/java
    ota_java_jar ${B}/otamgr-tuf.jar ${B}/tuf
    ota_java_compile ${B}/update-sources ${B}/base:${B}/agent:${B}/tuf:$jackson ${S}/otamgr-src/device/update-sources/src/main/java
    cp -R ${S}/otamgr-src/device/update-sources/src/main/resources/. ${B}/update-sources
    ota_java_jar ${B}/otamgr-update-sources.jar ${B}/update-sources
    ${CC} -std=c11 -Wall -Wextra ${CFLAGS} ${CPPFLAGS} ${LDFLAGS} -o ${B}/otamgr-control ${S}/otamgr-control.c
}

do_install () {
    install -d ${D}${datadir}/java ${D}${nonarch_libdir}/otamgr
    install -m 0644 ${B}/otamgr.jar ${B}/otamgr-agent.jar ${B}/otamgr-base.jar ${B}/otamgr-wire.jar ${B}/otamgr-attribute-client.jar \
        ${B}/otamgr-update-sources.jar ${B}/otamgr-tuf.jar ${D}${datadir}/java
    ln -sr ${D}${libdir}/jni/libjunixsocket-native.so ${D}${nonarch_libdir}/otamgr/libjunixsocket-native.so

    install -D -m 0755 ${S}/otamgr.sh ${D}${bindir}/otamgr
    install -m 0755 ${B}/otamgr-control ${D}${nonarch_libdir}/otamgr/otamgr-control
    install -D -m 0644 ${S}/otamgr.json ${D}${sysconfdir}/otamgr/otamgr.json

    if ${@bb.utils.contains('DISTRO_FEATURES', 'sysvinit', 'true', 'false', d)}; then
        install -D -m 0755 ${S}/otamgr-watcher ${D}${sbindir}/otamgr-watcher
        install -D -m 0755 ${S}/otamgr.init ${D}${sysconfdir}/init.d/otamgr
    fi
    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'true', 'false', d)}; then
        install -D -m 0644 ${S}/otamgr.service ${D}${systemd_system_unitdir}/otamgr.service
    fi
}

SYSTEMD_SERVICE:${PN} = "otamgr.service"
INITSCRIPT_NAME = "otamgr"
# After attrd and hubby, as the original.
INITSCRIPT_PARAMS = "defaults 97 03"

# Updates from a repository on a web server, and from hawkBit. A package of its own, so that who gets updates otherwise pays nothing:
# IMAGE_INSTALL:append = " otamgr-update-sources"; docs/source-repository.md, docs/source-hawkbit.md.
PACKAGES =+ "${PN}-update-sources"
FILES:${PN}-update-sources += "${datadir}/java/otamgr-update-sources.jar ${datadir}/java/otamgr-tuf.jar"
FILES:${PN} += "${datadir}/java ${nonarch_libdir}/otamgr ${systemd_system_unitdir}"
# A link to a library that is loaded by name.
FILES_SOLIBSDEV = ""
# nooelint: oelint.vars.insaneskip
INSANE_SKIP:${PN} += "dev-so"
CONFFILES:${PN} = "${sysconfdir}/otamgr/otamgr.json"

RDEPENDS:${PN} = "\
    ${VIRTUAL-RUNTIME_otamgr-java} jackson-annotations jackson-core jackson-databind junixsocket sysupgrade \
"
RDEPENDS:${PN}-update-sources = "${PN}"
# Who vouches for servers, unless caFile in the configuration names another file.
RRECOMMENDS:${PN}-update-sources = "ca-certificates"
