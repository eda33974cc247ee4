# SPDX-License-Identifier: MIT
SUMMARY = "Command line parser for Java, for the host tools"
DESCRIPTION = "Options, sub-commands and help texts of the ota command. Host tools only, never on a device."
HOMEPAGE = "https://picocli.info"
BUGTRACKER = "https://github.com/remkop/picocli/issues"
SECTION = "libs"
CVE_PRODUCT = "picocli"
LICENSE = "Apache-2.0"
# The jar carries no licence file.
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"

inherit allarch ota-maven-jar

MAVEN_JARS = "info.picocli:picocli:${PV}"
SRC_URI[picocli.sha256sum] = "f86e30fffd10d2b13b8caa8d4b237a7ee61f2ffccf5b1941de718b765d235bf8"

BBCLASSEXTEND = "native"
