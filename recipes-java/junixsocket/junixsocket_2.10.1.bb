# SPDX-License-Identifier: MIT
SUMMARY = "Unix domain sockets for Java, with peer credentials"
DESCRIPTION = "Java classes and one native library for Unix domain sockets, as Java 17 itself offers them only without peer credentials."
HOMEPAGE = "https://github.com/kohlschutter/junixsocket"
BUGTRACKER = "https://github.com/kohlschutter/junixsocket/issues"
SECTION = "libs"
CVE_PRODUCT = "junixsocket"
LICENSE = "Apache-2.0"
# The jars carry no licence file.
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"

inherit ota-maven-jar

MAVEN_JARS = "com.kohlschutter.junixsocket:junixsocket-common:${PV} com.kohlschutter.junixsocket:junixsocket-native-common:${PV}"
SRC_URI[junixsocket-common.sha256sum] = "19e5f7615ad2293f3532bc3f991b31396c1161834e89d9a6aa0c7def939c6729"
SRC_URI[junixsocket-native-common.sha256sum] = "0126ce0baf1ceb575ef517807d4d2b14b9f32f06180204e12ec73ab4a772567a"

# Libraries for glibc; 32-bit ARM with the hard-float calling convention.
COMPATIBLE_HOST = "(aarch64|arm|x86_64|riscv64).*-linux"
COMPATIBLE_HOST:libc-musl = "null"
JUNIXSOCKET_PLATFORM = "${TARGET_ARCH}-Linux-clang"
JUNIXSOCKET_PLATFORM:x86-64 = "amd64-Linux-clang"

# Of the libraries for nineteen platforms in junixsocket-native-common only the target's becomes a file. It is the one without
# a version in its name, so that who uses it need not know one.
python do_install () {
    import os, shutil, zipfile
    folder = d.getVar('D') + d.getVar('datadir') + '/java'
    libraries = d.getVar('D') + d.getVar('libdir') + '/jni'
    bb.utils.mkdirhier(folder)
    bb.utils.mkdirhier(libraries)
    common, native = (os.path.join(d.getVar('S'), otamgr.maven.file_name(c)) for c in d.getVar('MAVEN_JARS').split())
    shutil.copyfile(common, folder + '/junixsocket-common.jar')
    member = 'lib/%s/jni/libjunixsocket-native-%s.so' % (d.getVar('JUNIXSOCKET_PLATFORM'), d.getVar('PV'))
    with zipfile.ZipFile(native) as jar:
        if member not in jar.namelist():
            bb.fatal('%s has no %s' % (native, member))
        with open(libraries + '/libjunixsocket-native.so', 'wb') as out:
            out.write(jar.read(member))
    os.chmod(libraries + '/libjunixsocket-native.so', 0o755)
    os.chmod(folder + '/junixsocket-common.jar', 0o644)
}

PACKAGES =+ "${PN}-native-library"
FILES:${PN}-native-library += "${libdir}/jni"
RDEPENDS:${PN} = "${PN}-native-library"
# Loaded by name from Java, linked against by nobody.
SOLIBS = ".so"
FILES_SOLIBSDEV = ""
# Built by the project's maintainer, not with OpenEmbedded's linker flags.
# nooelint: oelint.vars.insaneskip
INSANE_SKIP:${PN}-native-library += "ldflags"
