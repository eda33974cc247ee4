# SPDX-License-Identifier: MIT
SUMMARY = "Command line parser for Java, for the host tools"
DESCRIPTION = "Options, sub-commands and help texts of the ota command. Host tools only, never on a device."
HOMEPAGE = "https://picocli.info"
BUGTRACKER = "https://github.com/remkop/picocli/issues"
SECTION = "libs"
CVE_PRODUCT = "picocli"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://picocli/CommandLine.java;beginline=1;endline=15;md5=d10ca483b8fc8d337d4d93ee0101c876"

# v4.7.7. The repository is mostly documentation: only the sources of the library are unpacked. The folder is where both series look
# for sources by themselves.
SRC_URI = "git://github.com/remkop/picocli.git;protocol=https;branch=main;subpath=src/main/java;destsuffix=${BP}"
SRCREV = "a89996315c3fe26b457e89443e3034e3e5967c49"
UPSTREAM_CHECK_GITTAGREGEX = "v(?P<pver>\d+(\.\d+)+)$"
B = "${WORKDIR}/build"

inherit allarch ota-java

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"

do_compile () {
    ota_java_compile ${B}/classes ${B} ${S}/picocli
    ota_java_jar ${B}/picocli.jar ${B}/classes
}

do_install () {
    install -D -m 0644 ${B}/picocli.jar ${D}${datadir}/java/picocli.jar
}

FILES:${PN} += "${datadir}/java"

BBCLASSEXTEND = "native"
