# SPDX-License-Identifier: MIT
SUMMARY = "ota: records, uploads and deployments, for the build host"
DESCRIPTION = "The command of scripts/ota, compiled in BitBake, for recipes and tasks that create a record or upload an image. In a shell: \
               oe-run-native ota-tools-native ota --help"
SECTION = "devel"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

DEPENDS = "jackson-annotations-native jackson-core-native jackson-databind-native picocli-native"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:"
SRC_URI = "\
    file://COPYING.MIT \
    file://ota.sh \
    file://otamgr-src/device/base/src/main \
    file://otamgr-src/build-host/host-tools/src/main \
"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
B = "${WORKDIR}/build"

inherit ota-java

inherit_defer native

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"

do_compile () {
    libraries=${STAGING_DATADIR_NATIVE}/java
    classpath=$libraries/jackson-databind.jar:$libraries/jackson-core.jar:$libraries/jackson-annotations.jar:$libraries/picocli.jar
    ota_java_compile ${B}/base $classpath ${S}/otamgr-src/device/base/src/main/java
    ota_java_compile ${B}/ota ${B}/base:$classpath ${S}/otamgr-src/build-host/host-tools/src/main/java
    printf 'Manifest-Version: 1.0\nImplementation-Version: ${PV}\n' > ${B}/manifest
    cp -R ${B}/base/. ${B}/ota
    ota_java_jar ${B}/ota.jar ${B}/ota ${B}/manifest
}

do_install () {
    install -D -m 0644 ${B}/ota.jar ${D}${datadir}/java/ota.jar
    install -D -m 0755 ${S}/ota.sh ${D}${bindir}/ota
}
