# SPDX-License-Identifier: MIT
#
# Java tools of the build host for recipes: no network, no Maven, the same sources give the same jars byte for byte.

# Which JDK: a runtime is linked with one of its own version, everything else is made with this one.
OTA_JAVA_FEATURE = "${@d.getVar('OPENJDK_FEATURE') or '17'}"
DEPENDS:append = " openjdk-${OTA_JAVA_FEATURE}-jdk-native"

OTA_JAVA_NATIVE = "${STAGING_LIBDIR_NATIVE}/jvm/openjdk-${OTA_JAVA_FEATURE}-native"
# Where recipes find the jars of what they depend on; meta-java's folder.
OTA_JAVA_LIBRARIES = "${STAGING_DATADIR}/java"

# The JVM looks at JAVA_TOOL_OPTIONS and friends; a user's settings must not change what is built.
OTA_JAVA_ENVIRONMENT = "env -u JAVA_TOOL_OPTIONS -u _JAVA_OPTIONS -u JDK_JAVA_OPTIONS -u CLASSPATH LC_ALL=C.UTF-8 TZ=UTC \
                        LD_LIBRARY_PATH=${STAGING_LIBDIR_NATIVE}"

# ota_java_tool NAME ARGUMENT...: runs java, javac, jar, jlink of the native JDK.
ota_java_tool () {
    tool=$1
    shift
    ${OTA_JAVA_ENVIRONMENT} ${OTA_JAVA_NATIVE}/bin/$tool "$@"
}

# ota_java_compile OUTPUT CLASSPATH SOURCE-FOLDER: all sources below a folder. Warnings are for who changes the sources, not for
# who builds an image.
ota_java_compile () {
    install -d "$1"
    find "$3" -name '*.java' | LC_ALL=C sort > "$1.sources"
    [ -s "$1.sources" ] || bbfatal "no Java sources in $3"
    ota_java_tool javac -J-XX:-UsePerfData --release 17 -encoding UTF-8 -g:source,lines -Xlint:none -nowarn -XDstringConcat=inline \
        -d "$1" -cp "$2" @"$1.sources"
}

# ota_java_jar JAR FOLDER [MANIFEST]: entries in sorted order, all of one time.
ota_java_jar () {
    (cd "$2" && find . -type f | sed 's,^\./,,' | LC_ALL=C sort > "$1.entries")
    # A manifest that must be given, with a blank line at its end.
    manifest=${3:-$1.manifest}
    [ -n "$3" ] || printf 'Manifest-Version: 1.0\n' > "$manifest"
    (cd "$2" && ota_java_tool jar -J-XX:-UsePerfData --create --file "$1" --manifest "$manifest" \
        --date "$(date -u -d @${SOURCE_DATE_EPOCH} +%Y-%m-%dT%H:%M:%SZ)" @"$1.entries")
}
