#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Starts the otamgr daemon, or gives a command to the one that runs; arguments are passed on, see "otamgr --help". Every
# OTAMGR_ variable below can be set in /etc/default/otamgr.

set -eu

OTAMGR_DEFAULTS=${OTAMGR_DEFAULTS:-/etc/default/otamgr}
if [ -r "$OTAMGR_DEFAULTS" ]; then
    # shellcheck source=/dev/null
    . "$OTAMGR_DEFAULTS"
fi

# With the package otamgr-user Java is not root: this program gives up what root has, and the folder of the socket is another.
OTAMGR_ROOT=${OTAMGR_ROOT:-/usr/lib/otamgr/otamgr-root}
OTAMGR_USER=${OTAMGR_USER:-otamgr}
usual_socket=/run/otamgr/control
[ ! -x "$OTAMGR_ROOT" ] || usual_socket=/run/otamgr-agent/control

# The program that takes commands to the daemon, and the daemon's socket, "control" in its configuration.
OTAMGR_CONTROL=${OTAMGR_CONTROL:-/usr/lib/otamgr/otamgr-control}
OTAMGR_SOCKET=${OTAMGR_SOCKET:-$usual_socket}
# What answers without a daemon and without Java.
OTAMGR_SLOT=${OTAMGR_SLOT:-/sbin/ota-slot}
OTAMGR_WHY=${OTAMGR_WHY:-/sbin/ota-why}

case ${1:-} in
why)
    shift
    exec "$OTAMGR_WHY" "$@"
    ;;
'' | daemon)
    # Where the CDS archive looks for the jars; it is not used by what was started elsewhere.
    [ $# -gt 1 ] || cd /
    ;;
-*) ;;
*)
    status=0
    "$OTAMGR_CONTROL" "$OTAMGR_SOCKET" "$@" || status=$?
    [ "$status" = 127 ] || exit "$status"
    # No daemon runs. The slots have a program of their own; for anything else a process has to do it.
    if [ "$1" = status ]; then
        echo "otamgr: no daemon listens on $OTAMGR_SOCKET; only the slots are known" >&2
        exec "$OTAMGR_SLOT" "$@"
    fi
    # A command is for otamgr, whatever agent runs in place of its daemon.
    OTAMGR_MAIN=org.metaotamgr.daemon.OtamgrMain
    ;;
esac

# The main class; the variable OTA_AGENT of the build may put another agent in place of the daemon.
OTAMGR_MAIN=${OTAMGR_MAIN:-org.metaotamgr.daemon.OtamgrMain}
# Jars beside those of otamgr, by their names without .jar, separated by spaces.
OTAMGR_MORE_JARS=${OTAMGR_MORE_JARS:-}
# The Java runtime.
OTAMGR_JAVA=${OTAMGR_JAVA:-/usr/bin/java}
# Where the jars are.
OTAMGR_JARS=${OTAMGR_JARS:-/usr/share/java}
# Used in place: junixsocket would otherwise unpack it into /tmp at every start.
OTAMGR_NATIVE=${OTAMGR_NATIVE:-/usr/lib/otamgr/libjunixsocket-native.so}
# Archive of the loaded classes, made with the image; most of the time to start is saved by it. Not used if missing.
OTAMGR_CDS=${OTAMGR_CDS:-/usr/lib/otamgr/otamgr.jsa}
# Bounds of the heap; an update is not read into memory.
OTAMGR_HEAP=${OTAMGR_HEAP:--Xmx16m -Xmn1m}
# More options for Java, separated by spaces.
OTAMGR_JAVA_OPTIONS=${OTAMGR_JAVA_OPTIONS:-}

if [ ! -x "$OTAMGR_JAVA" ]; then
    echo "otamgr: expected a Java runtime at $OTAMGR_JAVA, found none; set OTAMGR_JAVA in $OTAMGR_DEFAULTS" >&2
    exit 127
fi

# The archive is only accepted for a class path that begins with exactly what it was made with: all but OTAMGR_MORE_JARS.
classpath=
for jar in otamgr otamgr-agent otamgr-base otamgr-wire otamgr-attribute-client jackson-databind jackson-core jackson-annotations \
    junixsocket-common; do
    classpath=${classpath:+$classpath:}$OTAMGR_JARS/$jar.jar
done
# Sources of updates that are packages of their own, and what they stand on.
for jar in "$OTAMGR_JARS"/otamgr-*sources*.jar "$OTAMGR_JARS/otamgr-tuf.jar"; do
    [ ! -e "$jar" ] || classpath=$classpath:$jar
done
for jar in $OTAMGR_MORE_JARS; do
    classpath=$classpath:$OTAMGR_JARS/$jar.jar
done

# Programs that otamgr starts look for theirs here; init starts services with less.
PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# One malloc arena instead of one for each thread saves memory.
MALLOC_ARENA_MAX=${MALLOC_ARENA_MAX:-1}
# Java takes the character set of file names from the locale and from nothing else; in "C", where services run, it could
# not name a file with a character beyond ASCII. This one is part of the C library.
LC_ALL=C.UTF-8
export PATH MALLOC_ARENA_MAX LC_ALL

# TieredCompilation is off by default on 32-bit ARM, where TieredStopAtLevel would be ignored without it.
# ArchiveRelocationMode=0 maps the archive where its pointers are right, so that its pages stay shared and clean.
# Compiling takes a small processor longer than interpreting what is called twenty times in each check for updates: the thresholds
# are ten times Java's. Loops are compiled as early as ever.
# AsyncDeflationInterval and GuaranteedSafepointInterval wake an idle JVM 5 times a second for nothing that otamgr needs.
# After an OutOfMemoryError nothing is certain any more: the supervisor starts a new daemon.
# shellcheck disable=SC2086  # the options are words
set -- \
    -XX:+UseSerialGC $OTAMGR_HEAP -Xss256k \
    -XX:+TieredCompilation -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=8m -XX:MaxMetaspaceSize=24m \
    -XX:Tier3InvocationThreshold=2000 -XX:Tier3MinInvocationThreshold=1000 -XX:Tier3CompileThreshold=20000 \
    -XX:-UsePerfData -XX:StringTableSize=2048 -XX:+UnlockDiagnosticVMOptions -XX:ArchiveRelocationMode=0 \
    -XX:AsyncDeflationInterval=3600000 -XX:GuaranteedSafepointInterval=0 \
    -XX:+UnlockExperimentalVMOptions -XX:SymbolTableSize=4096 \
    -XX:+ExitOnOutOfMemoryError -XX:+ErrorFileToStderr -Xlog:disable -Xlog:all=warning:stderr \
    -Dfile.encoding=UTF-8 "-Dorg.newsclub.net.unix.library.override=$OTAMGR_NATIVE" \
    $OTAMGR_JAVA_OPTIONS -cp "$classpath" "$OTAMGR_MAIN" "$@"

if [ -r "$OTAMGR_CDS" ]; then
    set -- -Xshare:auto "-XX:SharedArchiveFile=$OTAMGR_CDS" "$@"
fi

if [ -x "$OTAMGR_ROOT" ]; then
    exec "$OTAMGR_ROOT" drop --user "$OTAMGR_USER" -- "$OTAMGR_JAVA" "$@"
fi
exec "$OTAMGR_JAVA" "$@"
