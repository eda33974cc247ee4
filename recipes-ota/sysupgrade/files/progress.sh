# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from it or the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# progress.sh - what sysupgrade says while it works: to people on standard error, to programs as lines PHASE PERCENT MESSAGE.
#
# To be sourced by sysupgrade, which sets verbosity, phase and progress_open, and has $work when the content engine runs.

complain() {
    printf 'sysupgrade: %s\n' "$1" >&2 2>/dev/null || :
}

inform() {
    [ "$verbosity" -lt 1 ] || complain "$1"
}

explain() {
    [ "$verbosity" -lt 2 ] || complain "$1"
}

# progress PHASE PERCENT MESSAGE
progress() {
    phase=$1
    explain "$1 $2% $3"
    [ -n "$progress_open" ] || return 0
    printf '%s %s %s\n' "$1" "$2" "$3" 2>/dev/null >&4 || :
}

# A reader of the progress that stops reading would block whoever writes to it. So only a relay process writes to it;
# we write into a pipe of our own, which holds 64 KiB: more than all lines of a run.
progress_opened() {
    if [ -z "${SYSUPGRADE_PROGRESS:-}" ]; then
        (exec >&3) 2>/dev/null || return 0
    fi
    run_folder_made || fail 1 "$boot_error"
    progress_pipe=$BOOT_STATE_RUN/progress.$$
    rm -f "$progress_pipe"
    mkfifo "$progress_pipe"
    # Opening for both directions does not wait for the other side.
    exec 5<>"$progress_pipe"
    exec 4>"$progress_pipe"
    exec 6<"$progress_pipe" 5>&-
    rm -f "$progress_pipe"
    (
        exec 4>&-
        case ${SYSUPGRADE_PROGRESS:-} in
        '') exec cat <&6 >&3 2>/dev/null ;;
        # Not opened again: a pipe can be, a socket cannot.
        /dev/stdout) exec cat <&6 2>/dev/null ;;
        /dev/stderr) exec cat <&6 >&2 2>/dev/null ;;
        *) exec cat <&6 >>"$SYSUPGRADE_PROGRESS" 2>/dev/null ;;
        esac
    ) &
    relay_pid=$!
    exec 6<&- 3>&-
    progress_open=yes
}

# Waits until the reader has everything, but not for a reader that does not read.
progress_closed() {
    [ -n "$progress_open" ] || return 0
    progress_open=''
    # The engine had 6 for what it asked for.
    exec 4>&- 6>&-
    # The sleep must not keep the caller's descriptors open.
    (
        sleep 2
        kill "$relay_pid"
    ) </dev/null >/dev/null 2>&1 8<&- 9>&- &
    relay_limit_pid=$!
    wait "$relay_pid" 2>/dev/null || :
    kill "$relay_limit_pid" 2>/dev/null || :
}

# progress_translated PHASE MESSAGE: the engine's JSON lines on standard input as lines of ours. The last one of a phase is not the
# engine's: what it has counted comes with it.
progress_translated() {
    translated=0
    while IFS= read -r line; do
        percent=${line#*'"percent":'}
        percent=${percent%%[!0-9]*}
        if [ "${percent:-0}" -gt "$translated" ] && [ "$percent" -lt 100 ]; then
            translated=$percent
            written=${line#*'"written":'} bytes=${line#*'"bytes":'}
            case $1 in
            write) progress "$1" "$percent" "$2, ${written%%[!0-9]*} of ${bytes%%[!0-9]*} bytes written" ;;
            *) progress "$1" "$percent" "$2" ;;
            esac
        fi
    done
}
