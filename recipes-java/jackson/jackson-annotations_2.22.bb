# SPDX-License-Identifier: MIT
SUMMARY = "Annotations of the Jackson JSON library"
DESCRIPTION = "The annotations that tell jackson-databind how a Java type looks as JSON. Parts of jackson-databind itself use them."
HOMEPAGE = "https://github.com/FasterXML/jackson-annotations"
BUGTRACKER = "https://github.com/FasterXML/jackson-annotations/issues"
SECTION = "libs"
CVE_PRODUCT = "jackson-annotations"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://license/LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
                    file://license/NOTICE;md5=668a1b1dc71f3051aec307d6a743325a"

inherit allarch ota-maven-jar

MAVEN_JARS = "com.fasterxml.jackson.core:jackson-annotations:${PV}"
MAVEN_LICENSE_FILES = "META-INF/LICENSE META-INF/NOTICE"
SRC_URI[jackson-annotations.sha256sum] = "21ddb598807d3a51a876704eb979d9296e1c6a6f47ab1826ff88c6d6a127a2d0"

BBCLASSEXTEND = "native"
