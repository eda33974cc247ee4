# SPDX-License-Identifier: MIT
SUMMARY = "OpenJDK 21 for the build host: jlink"
DESCRIPTION = "Links the runtime of targets with OpenJDK 21, which needs a jlink of the same feature version."

OPENJDK_FEATURE = "21"
require openjdk-jdk-native.inc

# Debian 13's programs need glibc 2.38. Where the build host's is older, uninative, which OpenEmbedded has by default, has a newer one:
# what is compiled asks for its loader by itself.
DEPENDS += "patchelf-native"

do_install:append () {
    if [ -n "${UNINATIVE_LOADER}" ]; then
        for program in $jdk/bin/*; do
            patchelf --set-interpreter ${UNINATIVE_LOADER} "$program"
        done
    fi
}
# Where that is differs from build to build, and BitBake sets it again when it takes the package from its cache.
do_install[vardepsexclude] += "UNINATIVE_LOADER"
