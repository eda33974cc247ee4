# SPDX-License-Identifier: MIT
SUMMARY = "Annotations of the Jackson JSON library"
DESCRIPTION = "The annotations that tell jackson-databind how a Java type looks as JSON. Parts of jackson-databind itself use them."
HOMEPAGE = "https://github.com/FasterXML/jackson-annotations"
BUGTRACKER = "https://github.com/FasterXML/jackson-annotations/issues"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
                    file://src/main/resources/META-INF/NOTICE;md5=668a1b1dc71f3051aec307d6a743325a"

require jackson.inc

# jackson-annotations-2.18.3
SRCREV = "518296ec5740c89ef8c6f1e9ca96ef69bb8b2b55"
