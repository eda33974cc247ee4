# SPDX-License-Identifier: MIT
SUMMARY = "Java 17 runtime with just the modules that are needed"
DESCRIPTION = "OpenJDK 17 linked with jlink from Debian's modules. OPENJDK_MODULES names what is inside; add modules with \
               OPENJDK_MODULES:append = \" java.logging\"."

require openjdk-17.inc

# libjvm.so is C++ code.
DEPENDS += "virtual/libc zlib"
# Debian's loader for x86-64 is in /lib64, OpenEmbedded's is in ${base_libdir}.
DEPENDS:append:x86-64 = " patchelf-native"

COMPATIBLE_HOST = "(aarch64|arm|x86_64|riscv64).*-linux"
# Debian's libraries are glibc's.
COMPATIBLE_HOST:libc-musl = "null"

OPENJDK_ARCHITECTURE = "${@openjdk_debian_architecture(d.getVar('TARGET_ARCH'))}"
# All that otamgr and its libraries use. Servers agree on keys for TLS by elliptic curves, which are in jdk.crypto.ec: 92 KiB.
OPENJDK_MODULES ?= "java.base jdk.crypto.ec"
# 2: zip inside the runtime, small on an uncompressed file system such as ext4. 0: smaller updates, as those are compressed as a
# whole, and the choice for a compressed root file system.
OPENJDK_JLINK_COMPRESS ?= "2"

SRC_URI = "${OPENJDK_POOL}/openjdk-17-jdk-headless_${OPENJDK_DEB_VERSION}_${OPENJDK_ARCHITECTURE}.deb;name=jdk;subdir=deb"
SRC_URI[jdk.sha256sum] = "${@d.getVarFlag('OPENJDK_SHA256', 'jdk-' + d.getVar('OPENJDK_ARCHITECTURE')) or ''}"

# nooelint: oelint.task.noanonpython - to skip the recipe where there is no runtime for the target
python () {
    if d.getVar('TARGET_ARCH') == 'arm' and 'callconvention-hard' not in (d.getVar('TUNE_FEATURES') or '').split():
        raise bb.parse.SkipRecipe('no OpenJDK 17 for ARM with the soft-float calling convention; set DEFAULTTUNE to one of the '
                                  "machine's tunes that end in hf")
}

inherit ota-java update-alternatives

JAVA_RUNTIME = "${libdir}/jvm/${BPN}"

do_configure[noexec] = "1"
do_compile[cleandirs] = "${B}"
B = "${WORKDIR}/build"

do_compile () {
    ota_java_tool jlink --module-path ${S}/deb/usr/lib/jvm/java-17-openjdk-${OPENJDK_ARCHITECTURE}/jmods \
        --add-modules ${@','.join(d.getVar('OPENJDK_MODULES').split())} \
        --no-header-files --no-man-pages --strip-java-debug-attributes --compress=${OPENJDK_JLINK_COMPRESS} --output ${B}/runtime
}

do_install () {
    install -d ${D}${libdir}/jvm
    cp -R --no-dereference --preserve=mode ${B}/runtime ${D}${JAVA_RUNTIME}
    # Access to the modules for tools of an IDE, and a library that only helps C programs.
    rm -f ${D}${JAVA_RUNTIME}/lib/jrt-fs.jar ${D}${JAVA_RUNTIME}/lib/libjsig.so ${D}${JAVA_RUNTIME}/lib/server/libjsig.so
    # jlink makes the libraries executable only for their owner's umask.
    find ${D}${JAVA_RUNTIME} -name '*.so' -exec chmod 0755 {} +
    find ${D}${JAVA_RUNTIME} -type d -exec chmod 0755 {} +
}

do_install:append:x86-64 () {
    for program in ${D}${JAVA_RUNTIME}/bin/* ${D}${JAVA_RUNTIME}/lib/jspawnhelper; do
        if [ -f "$program" ]; then patchelf --set-interpreter ${base_libdir}/ld-linux-x86-64.so.2 "$program"; fi
    done
}

ALTERNATIVE:${PN} = "java"
ALTERNATIVE_LINK_NAME[java] = "${bindir}/java"
ALTERNATIVE_TARGET[java] = "${JAVA_RUNTIME}/bin/java"
ALTERNATIVE_PRIORITY = "100"

PACKAGES =+ "${PN}-legal"
FILES:${PN}-legal += "${JAVA_RUNTIME}/legal"
FILES:${PN} += "${JAVA_RUNTIME}"
# The runtime's libraries are its own affair, although some have names without a version.
FILES_SOLIBSDEV = ""
PRIVATE_LIBS = "libjava.so libjimage.so libjli.so libjvm.so libnet.so libnio.so libverify.so libzip.so"
# The name under which meta-java's runtimes are known.
RPROVIDES:${PN} = "java2-runtime"
# Built by Debian, not with OpenEmbedded's linker flags.
# nooelint: oelint.vars.insaneskip
INSANE_SKIP:${PN} += "ldflags"
# On 32-bit ARM Debian 12 counts time in 32 bits, to January 2038; docs/yocto.md tells users. This check knows no package names.
# nooelint: oelint.vars.insaneskip,oelint.vars.specific - arm is TARGET_ARCH
INSANE_SKIP:append:arm = " 32bit-time"
