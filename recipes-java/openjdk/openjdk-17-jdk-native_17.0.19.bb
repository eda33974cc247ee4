# SPDX-License-Identifier: MIT
SUMMARY = "OpenJDK 17 for the build host: javac, jar and jlink"
DESCRIPTION = "Compiles the Java sources of this layer and links the target's runtime, which needs a jlink of the same feature version."

require openjdk-17.inc

# The Java launcher's library is linked against it.
DEPENDS += "zlib-native"

OPENJDK_ARCHITECTURE = "${@openjdk_debian_architecture(d.getVar('BUILD_ARCH'))}"

SRC_URI = "\
    ${OPENJDK_POOL}/openjdk-17-jdk-headless_${OPENJDK_DEB_VERSION}_${OPENJDK_ARCHITECTURE}.deb;name=jdk;subdir=deb \
    ${OPENJDK_POOL}/openjdk-17-jre-headless_${OPENJDK_DEB_VERSION}_${OPENJDK_ARCHITECTURE}.deb;name=jre;subdir=deb \
"
SRC_URI[jdk.sha256sum] = "${@d.getVarFlag('OPENJDK_SHA256', 'jdk-' + d.getVar('OPENJDK_ARCHITECTURE')) or ''}"
SRC_URI[jre.sha256sum] = "${@d.getVarFlag('OPENJDK_SHA256', 'jre-' + d.getVar('OPENJDK_ARCHITECTURE')) or ''}"

# nooelint: oelint.task.noanonpython - to skip the recipe where Debian has no JDK for the build host
python () {
    if not d.getVarFlag('OPENJDK_SHA256', 'jre-' + d.getVar('OPENJDK_ARCHITECTURE')):
        raise bb.parse.SkipRecipe('no OpenJDK 17 for build hosts of architecture %s, only x86_64 and aarch64' % d.getVar('BUILD_ARCH'))
}

inherit_defer native

do_configure[noexec] = "1"
do_compile[noexec] = "1"

# nooelint: oelint.task.nocopy,oelint.vars.pathhardcode.sysconfdir - a whole folder with its links, which lead to the /etc of Debian
do_install () {
    jdk=${D}${libdir}/jvm/openjdk-17-native
    install -d ${D}${libdir}/jvm
    cp -R --no-dereference --preserve=mode,timestamps ${S}/deb/usr/lib/jvm/java-17-openjdk-${OPENJDK_ARCHITECTURE} $jdk
    # Debian keeps the configuration in /etc; a JDK that may lie anywhere needs it inside.
    find $jdk -type l -lname '/etc/*' | while read -r link; do
        target=${S}/deb$(readlink "$link")
        rm "$link"
        if [ -e "$target" ]; then cp "$target" "$link"; fi
    done
    # The modules of the build host are of no use for a target, and are most of it.
    rm -rf $jdk/jmods $jdk/man $jdk/docs $jdk/legal $jdk/include $jdk/lib/src.zip
    # What is left may point nowhere, as the certificates do, which are a package of their own.
    find -L $jdk -type l -delete
}

INHIBIT_SYSROOT_STRIP = "1"
