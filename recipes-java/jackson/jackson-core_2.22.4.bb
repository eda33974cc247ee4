# SPDX-License-Identifier: MIT
SUMMARY = "Streaming reader and writer for JSON"
DESCRIPTION = "Reads and writes JSON token by token. The lowest of the three parts of Jackson, with no dependency of its own."
HOMEPAGE = "https://github.com/FasterXML/jackson-core"
BUGTRACKER = "https://github.com/FasterXML/jackson-core/issues"
SECTION = "libs"
CVE_PRODUCT = "jackson-core"
LICENSE = "Apache-2.0 & MIT & BSD-2-Clause & BSL-1.0"
LIC_FILES_CHKSUM = "file://license/LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
                    file://license/NOTICE;md5=8a91637fef91987b0ab138140022f56e \
                    file://license/FastDoubleParser-LICENSE;md5=b10e96deee7c2dc6bfefb26e1b1b712f \
                    file://license/FastDoubleParser-ThirdParty-LICENSE;md5=692a1fc0323f64d81e57052bfa7c9c41 \
                    file://license/Schubfach-LICENSE;md5=1ae2d8cd6a0da012b76c5b183f306019"

inherit allarch ota-maven-jar

MAVEN_JARS = "com.fasterxml.jackson.core:jackson-core:${PV}"
MAVEN_LICENSE_FILES = "META-INF/LICENSE META-INF/NOTICE META-INF/FastDoubleParser-LICENSE META-INF/FastDoubleParser-ThirdParty-LICENSE META-INF/Schubfach-LICENSE"
SRC_URI[jackson-core.sha256sum] = "2d30c375cddea9657a1e1ef97547a2694b663b355facb4de53a097782b312d1a"

BBCLASSEXTEND = "native"
