# SPDX-License-Identifier: MIT
SUMMARY = "Unix domain sockets for Java, with peer credentials"
DESCRIPTION = "Java classes and one native library for Unix domain sockets, as Java 17 itself offers them only without peer credentials."
HOMEPAGE = "https://github.com/kohlschutter/junixsocket"
BUGTRACKER = "https://github.com/kohlschutter/junixsocket/issues"
SECTION = "libs"
CVE_PRODUCT = "junixsocket"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=86d3f3a95c324c9479bd8986968f4327 \
                    file://NOTICE;md5=a150a6302b540bde2a3c16b14bb6b0ea"

# The folder is where both series look for sources by themselves. The annotations are for tools that its authors run, and are needed
# to compile what carries them.
SRC_URI = "\
    git://github.com/kohlschutter/junixsocket.git;protocol=https;branch=main;destsuffix=${BP} \
    file://0001-ckmacros-do-not-put-pragmas-inside-expressions-for-G.patch \
    file://annotations \
"
# junixsocket-2.10.1
SRCREV = "c9a8a6296f04d422392600dd1bebe3fa6290c82d"
UPSTREAM_CHECK_GITTAGREGEX = "junixsocket-(?P<pver>\d+(\.\d+)+)$"
B = "${WORKDIR}/build"

inherit ota-java

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"

# The published jar has most classes seven times, for Java 7 to 22. Of the folders of older versions, java20 is what a Java before 20
# needs, all others are for a Java before 17.
do_compile () {
    cp -R ${S}/junixsocket-common/src/main/java ${B}/sources
    cp -R ${S}/junixsocket-common/src/main/java20/. ${S}/junixsocket-common/src/main/java-unresolved-properties/. ${B}/sources
    cp -R ${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}/annotations/. ${B}/sources
    rm ${B}/sources/module-info.java
    sed -i -e 's/\${project\.version}/${PV}/' -e 's/\${git\.build\.version}/${PV}/' -e 's/\${git\.commit\.id\.[a-z]*}/${SRCREV}/' \
        -e 's/\${git\.[a-z.]*}//' ${B}/sources/org/newsclub/net/unix/BuildProperties.java
    ota_java_compile ${B}/classes ${B} ${B}/sources
    rm -rf ${B}/classes/com ${B}/classes/org/codehaus ${B}/classes/org/eclipse
    ota_java_jar ${B}/junixsocket-common.jar ${B}/classes

    cd ${S}/junixsocket-native/src/main/c
    ${CC} ${CFLAGS} ${CPPFLAGS} -std=gnu11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -fno-strict-aliasing -fwrapv -I. -Ijni *.c \
        ${LDFLAGS} -shared -Wl,-soname,libjunixsocket-native.so -o ${B}/libjunixsocket-native.so
}

do_install () {
    install -D -m 0644 ${B}/junixsocket-common.jar ${D}${datadir}/java/junixsocket-common.jar
    install -D -m 0755 ${B}/libjunixsocket-native.so ${D}${libdir}/jni/libjunixsocket-native.so
}

PACKAGES =+ "${PN}-native-library"
FILES:${PN} += "${datadir}/java"
FILES:${PN}-native-library += "${libdir}/jni"
RDEPENDS:${PN} = "${PN}-native-library"
# Loaded by name from Java, linked against by nobody.
SOLIBS = ".so"
FILES_SOLIBSDEV = ""

BBCLASSEXTEND = "native"
