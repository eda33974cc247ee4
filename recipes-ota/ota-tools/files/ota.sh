#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs the ota command from a native sysroot of BitBake, with the JDK beside it.
set -eu
usr=$(dirname "$(dirname "$(readlink -f "$0")")")
jars=$usr/share/java
terminal=false columns=80
# Java cannot tell whether standard error is a terminal.
if [ -t 2 ] && [ "${TERM:-dumb}" != dumb ]; then
    terminal=true
    # In this order: 2>/dev/null first would make <&2 the null device.
    size=$(stty size <&2 2>/dev/null || echo "24 80")
    columns=${size#* }
fi
LD_LIBRARY_PATH=$usr/lib exec "$usr/lib/jvm/openjdk-17-native/bin/java" -Xmx64m -XX:+UseSerialGC -XX:-UsePerfData "-Dota.terminal=$terminal" \
    "-Dota.columns=$columns" -cp "$jars/ota.jar:$jars/jackson-databind.jar:$jars/jackson-core.jar:$jars/jackson-annotations.jar:$jars/picocli.jar" \
    org.metaotamgr.host.Ota "$@"
