# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Sourced by the launchers of the host tools: finds the jar, builds it when there is none, runs it.

# run_host_tool MODULE JAR ARGUMENT...; $here is the folder of the launcher
# shellcheck disable=SC2154
run_host_tool() {
    module=$1
    jar=$here/../otamgr-src/$module/target/$2.jar
    shift 2
    if [ ! -f "$jar" ]; then
        case ${1-} in --as=*) first=${2-} ;; *) first=${1-} ;; esac
        case $first in
        --help | -h)
            # Nothing is built for that, and neither Java nor Maven has to be there.
            if [ -f "$here/help/${0##*/}.txt" ]; then
                cat "$here/help/${0##*/}.txt"
                exit 0
            fi
            ;;
        esac
        for program in java mvn; do
            command -v "$program" >/dev/null || {
                echo "${0##*/} is a Java program that builds itself once and needs Java 17 and Maven: apt-get install openjdk-17-jdk-headless maven" >&2
                exit 1
            }
        done
        echo "Building ${module##*/} once" >&2
        mvn -q -B -f "$here/../otamgr-src/pom.xml" -pl "$module" -am package -Dmaven.test.skip=true >&2
    fi
    terminal=false columns=80
    # Java cannot tell whether standard error is a terminal.
    if [ -t 2 ] && [ "${TERM:-dumb}" != dumb ]; then
        terminal=true
        # In this order: 2>/dev/null first would make <&2 the null device.
        size=$(stty size <&2 2>/dev/null || echo "24 80")
        columns=${size#* }
    fi
    # Who starts it hundreds of times lays an archive of its classes beside it. One that is not of this jar is passed over without a word.
    archive=${jar%.jar}.jsa
    set -- "-Dota.terminal=$terminal" "-Dota.columns=$columns" -jar "$jar" "$@"
    if [ -n "$(find "$archive" -newer "$jar" 2>/dev/null)" ]; then
        set -- "-XX:SharedArchiveFile=$archive" -XX:TieredStopAtLevel=1 -Xlog:disable "$@"
    fi
    exec java -Xmx64m -XX:+UseSerialGC -XX:-UsePerfData -Xshare:auto "$@"
}
