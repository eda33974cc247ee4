# SPDX-License-Identifier: MIT
SUMMARY = "JSON trees and data binding on top of jackson-core"
DESCRIPTION = "Reads JSON into trees and objects and writes them. otamgr reads its configuration and JSON attributes with it."
HOMEPAGE = "https://github.com/FasterXML/jackson-databind"
BUGTRACKER = "https://github.com/FasterXML/jackson-databind/issues"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
                    file://src/main/resources/META-INF/NOTICE;md5=668a1b1dc71f3051aec307d6a743325a"

require jackson.inc

# jackson-databind-2.18.8
SRCREV = "0b422144d1785200e44a0b00c973f6ac95adcf5a"

JACKSON_PARTS = "jackson-annotations jackson-core"
RDEPENDS:${PN} = "jackson-annotations jackson-core"

# otamgr reads and writes trees. What is known of this version is about objects of types that the JSON names, of types that contain others,
# or of addresses, durations and paths; docs/yocto.md has the list. A program of your own that binds JSON to such types wants a newer version.
CVE_STATUS[CVE-2026-19032] = "not-applicable-config: otamgr reads trees, never paths"
CVE_STATUS[CVE-2026-54515] = "not-applicable-config: otamgr reads trees, never objects with ignored properties"
CVE_STATUS[CVE-2026-59889] = "not-applicable-config: otamgr reads trees, never objects with views"
CVE_STATUS[CVE-2026-68497] = "not-applicable-config: otamgr reads trees, never durations or calendars"
CVE_STATUS[CVE-2026-77310] = "not-applicable-config: otamgr reads trees, never addresses"
CVE_STATUS[CVE-2026-83557] = "not-applicable-config: otamgr reads trees, never objects of types that JSON names"
CVE_STATUS[CVE-2026-91776] = "not-applicable-config: otamgr reads trees, never objects of types that JSON names"
CVE_STATUS[CVE-2026-91777] = "not-applicable-config: otamgr reads trees, never objects that refer to each other"
