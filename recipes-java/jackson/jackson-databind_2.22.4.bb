# SPDX-License-Identifier: MIT
SUMMARY = "JSON trees and data binding on top of jackson-core"
DESCRIPTION = "Reads JSON into trees and objects and writes them. otamgr reads its configuration and JSON attributes with it."
HOMEPAGE = "https://github.com/FasterXML/jackson-databind"
BUGTRACKER = "https://github.com/FasterXML/jackson-databind/issues"
SECTION = "libs"
CVE_PRODUCT = "jackson-databind"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://license/LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
                    file://license/NOTICE;md5=668a1b1dc71f3051aec307d6a743325a"

inherit allarch ota-maven-jar

MAVEN_JARS = "com.fasterxml.jackson.core:jackson-databind:${PV}"
MAVEN_LICENSE_FILES = "META-INF/LICENSE META-INF/NOTICE"
SRC_URI[jackson-databind.sha256sum] = "d4cbf8947087f305869826801913abdc50735a1fab2074a1993e7bc67ca974a3"

RDEPENDS:${PN} = "jackson-annotations jackson-core"

BBCLASSEXTEND = "native"
