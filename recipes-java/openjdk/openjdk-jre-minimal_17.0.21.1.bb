# SPDX-License-Identifier: MIT
#
# In place of openjdk-jre-headless for who wants nothing that somebody else compiled, or a smaller runtime:
# VIRTUAL-RUNTIME_otamgr-java = "openjdk-jre-minimal". docs/yocto.md says what it lacks.
SUMMARY = "Small Java runtime, compiled from the sources"
DESCRIPTION = "OpenJDK with one compiler and one garbage collector, without debugging, profiling and management, linked with jlink. \
               OPENJDK_MODULES names what is inside; add modules with OPENJDK_MODULES:append = \" java.logging\"."

OPENJDK_FEATURE = "17"
# With a virtual machine this small the classes are most of an update.
OPENJDK_JLINK_USUAL = "1"
require openjdk-jre.inc

# Of GCC's libraries libjvm.so has the little that it uses inside, so that an image need not have 2 MB of libstdc++ for it.
OPENJDK_LICENSES:append = " GPL-3.0-with-GCC-exception"
LIC_FILES_CHKSUM += "file://${COMMON_LICENSE_DIR}/GPL-3.0-with-GCC-exception;md5=aef5f35c9272f508be848cd99e0151df"

DEPENDS += "autoconf-native unzip-native virtual/libc zip-native zlib"

# What it was built for: glibc, 64-bit ARM.
COMPATIBLE_HOST = "aarch64.*-linux$"
# It takes as long as all the rest of a small image, and nobody needs both runtimes.
EXCLUDE_FROM_WORLD = "1"

# Upstream's sources as Debian has them: without copies of libraries that OpenEmbedded has anyway, such as zlib.
OPENJDK_ARCHITECTURE = "source"
SRC_URI = "${@openjdk_uri(d, 'jdk')}"
SRC_URI[jdk.sha256sum] = "${@openjdk_sha256(d, 'jdk')}"
# 17.0.21.1+2 of openjdk-17_17.0.21.1+2.orig.tar.xz; the folder in it has that in its name, too.
OPENJDK_VERSION = "${@openjdk_pin(d, 'jdk')[1].split('_')[1].split('.orig')[0]}"
OPENJDK_SOURCE = "${S}/deb/openjdk-${OPENJDK_FEATURE}-${OPENJDK_VERSION}"
OPENJDK_BUILD = "${B}/openjdk"
OPENJDK_JMODS = "${B}/jmods"

# What is left of the virtual machine: the quick compiler (C1), Serial GC and CDS, which is what otamgr's launcher asks for. Its own
# variant "minimal" has no CDS.
OPENJDK_JVM_FEATURES = "opt-size -compiler2 -dtrace -epsilongc -g1gc -jfr -jni-check -jvmci -jvmti -management -nmt -parallelgc \
                        -services -shenandoahgc -vm-structs -zgc"

# Flags of the machine and the configuration, but for the optimisation, which differs from file to file; and what lets the linker leave out
# functions that nobody calls, most of them of libstdc++ and of what the features above would have used.
OPENJDK_CFLAGS = "-ffunction-sections -fdata-sections ${@' '.join(flag for flag in d.getVar('HOST_CC_ARCH').split() if not flag.startswith(('-O', '-Werror')))} ${DEBUG_PREFIX_MAP}"

# OpenJDK's configure and make find compilers by the target's name; CC and its like, as BitBake exports them, are no names of programs.
OPENJDK_RUN = "env -i PATH=${PATH} LC_ALL=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH}"

do_configure[cleandirs] = "${B}"
do_configure () {
    # The JDK of the build host needs the library path of ota_java_tool, which nothing else may have.
    boot=${B}/boot-jdk
    install -d $boot/bin
    for program in ${OTA_JAVA_NATIVE}/bin/*; do
        printf '#!/bin/sh\nexec %s %s "$@"\n' "${OTA_JAVA_ENVIRONMENT}" "$program" > $boot/bin/$(basename "$program")
    done
    chmod 0755 $boot/bin/*
    ln -s ${OTA_JAVA_NATIVE}/lib ${OTA_JAVA_NATIVE}/conf ${OTA_JAVA_NATIVE}/release $boot

    # Only java.desktop, which is not compiled, includes them, but configure insists.
    for header in alsa/asoundlib.h cups/cups.h fontconfig/fontconfig.h; do
        install -d ${B}/none/include/$(dirname $header)
        echo '#error "there is no java.desktop"' > ${B}/none/include/$header
    done

    install -d ${OPENJDK_BUILD}
    cd ${OPENJDK_BUILD}
    ${OPENJDK_RUN} bash ${OPENJDK_SOURCE}/configure --openjdk-target=${TARGET_SYS} --with-sysroot=${STAGING_DIR_TARGET} \
        --with-boot-jdk=$boot --with-build-jdk=$boot --with-version-string=${OPENJDK_VERSION} \
        --with-jvm-variants=server --with-jvm-features=${@','.join(d.getVar('OPENJDK_JVM_FEATURES').split())} \
        --enable-headless-only --with-alsa=${B}/none --with-cups=${B}/none --with-fontconfig=${B}/none --with-freetype=bundled \
        --with-zlib=system --with-stdc++lib=static \
        --with-extra-cflags="${OPENJDK_CFLAGS}" --with-extra-cxxflags="${OPENJDK_CFLAGS}" --with-extra-ldflags="${TARGET_LDFLAGS} -Wl,--gc-sections" \
        --disable-warnings-as-errors --disable-precompiled-headers --disable-javac-server --with-native-debug-symbols=none \
        --with-source-date=${SOURCE_DATE_EPOCH} --with-build-user=openembedded
}

do_compile () {
    # The number of jobs is BitBake's. A module brings those that it stands on, and java.base the virtual machine.
    ${OPENJDK_RUN} make -C ${OPENJDK_BUILD} JOBS=${@oe.utils.parallel_make(d) or 1} LOG=info ${OPENJDK_MODULES}

    # make has targets for these files, but they make those of all modules first, java.desktop included.
    rm -rf ${OPENJDK_JMODS} ${B}/runtime
    install -d ${OPENJDK_JMODS}
    for folder in ${OPENJDK_BUILD}/jdk/modules/*; do
        if [ -e $folder/module-info.class ]; then
            openjdk_jmod $(basename $folder)
        fi
    done
    openjdk_link
}

# openjdk_jmod MODULE: what jlink takes of a module, its classes, libraries, programs, configuration and licences, without make's marks.
openjdk_jmod () {
    module=$1
    support=${OPENJDK_BUILD}/support
    set -- --class-path ${OPENJDK_BUILD}/jdk/modules/$module
    for part in libs cmds conf; do
        if [ -d $support/modules_$part/$module ]; then
            option=$(echo $part | sed 's/conf/config/')
            set -- "$@" --$option $support/modules_$part/$module
        fi
    done
    legal=$support/modules_legal/common
    # Those of java.base are chosen by what was compiled.
    for folder in $support/modules_legal/$module ${OPENJDK_SOURCE}/src/$module/share/legal; do
        if [ -d $folder ]; then
            legal=$legal:$folder
            break
        fi
    done
    ota_java_tool jmod create "$@" --legal-notices $legal --exclude '**{_the.*}' --module-version ${PV} \
        --target-platform linux-${TARGET_ARCH} \
        --date "$(date -u -d @${SOURCE_DATE_EPOCH} +%Y-%m-%dT%H:%M:%SZ)" ${OPENJDK_JMODS}/$module.jmod
}

# The name under which meta-java's runtimes are known: only for who has chosen this one.
RPROVIDES:${PN} = "${@bb.utils.contains('VIRTUAL-RUNTIME_otamgr-java', d.getVar('PN'), 'java2-runtime', '', d)}"
# An image has one runtime.
RCONFLICTS:${PN} = "openjdk-jre-headless"
