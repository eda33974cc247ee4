# SPDX-License-Identifier: MIT
SUMMARY = "Streaming reader and writer for JSON"
DESCRIPTION = "Reads and writes JSON token by token. The lowest of the three parts of Jackson, with no dependency of its own."
HOMEPAGE = "https://github.com/FasterXML/jackson-core"
BUGTRACKER = "https://github.com/FasterXML/jackson-core/issues"
# The classes that write floating point numbers are under the licence of their author, MIT.
LICENSE = "${@otamgr.license.all_of(d, 'Apache-2.0', 'MIT')}"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
                    file://src/main/resources/META-INF/jackson-core-NOTICE;md5=c749d08cfb0c92ce8b7ef2d1651e6ee7 \
                    file://src/main/java/com/fasterxml/jackson/core/io/schubfach/DoubleToDecimal.java;beginline=2;endline=21;md5=0b8f4e890282ecf1dc809bd8939f1efb"

require jackson.inc

inherit ota-python

SRC_URI += "\
    file://0001-Parse-numbers-with-the-JDK-instead-of-FastDoublePars.patch \
    file://0002-Do-without-the-non-blocking-parser.patch \
"
# jackson-core-2.18.4.1
SRCREV = "c7a9268f25c5a19036812dcbe7942fafb78461bc"
CVE_STATUS[CVE-2026-18401] = "not-applicable-config: built without the non-blocking parser"
CVE_STATUS[CVE-2026-68494] = "not-applicable-config: built without the non-blocking parser"
CVE_STATUS[CVE-2026-68498] = "not-applicable-config: otamgr bounds a text before it is parsed"
CVE_STATUS[CVE-2026-89407] = "not-applicable-config: otamgr never takes text for a number"
CVE_STATUS[CVE-2026-89425] = "not-applicable-config: otamgr parses arrays of bytes, never a DataInput"

JACKSON_LEAVE_OUT = "com/fasterxml/jackson/core/json/async"
