# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from it or the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# content.sh - runs the content engine, which does everything with the bytes of the image. The image has no name here: it is open as
# descriptor 8, and what the engine has judged is what it hands on.
#
# To be sourced by sysupgrade after private.sh and progress.sh. The engine's exit codes are sysupgrade's.

CONTENT_ENGINE=/usr/lib/otamgr/ota-content
CONTENT_KEYS=/etc/otamgr/keys.d
# What the engine has as standard input.
content_input=0
# Where in $work it works, and what its reasons are about where that is not the update itself.
content_place=content content_about=''

# content PHASE MESSAGE SUB-COMMAND [OPTION]...: what it prints is in $work/said, its reason in $work/complaint, its code in
# content_status.
content() {
    content_started "$work/said" "$@"
    content_ended
}

# content_started OUTPUT PHASE MESSAGE SUB-COMMAND [OPTION]...
content_started() {
    content_output=$1 content_phase=$2 content_message=$3
    shift 3
    translator_pid=''
    # It keeps the lock, for it may be the one that writes.
    if [ -n "$progress_open" ] || [ "$verbosity" -ge 2 ]; then
        rm -f "$work/json"
        mkfifo "$work/json"
        progress_translated "$content_phase" "$content_message" <"$work/json" 8<&- 9>&- &
        translator_pid=$!
        "$CONTENT_ENGINE" "$@" --folder "$work/$content_place" --progress-fd 5 <&"$content_input" 5>"$work/json" >"$content_output" 2>"$work/complaint" 4>&- &
    else
        "$CONTENT_ENGINE" "$@" --folder "$work/$content_place" >"$content_output" 2>"$work/complaint" &
    fi
    engine_pid=$!
}

content_ended() {
    content_status=0
    wait "$engine_pid" || content_status=$?
    engine_pid=''
    if [ -n "$translator_pid" ]; then wait "$translator_pid" || :; fi
}

# content_succeeded: fails as the engine did. A code that is none of its reasons is an error of its own.
content_succeeded() {
    case $content_status in
    0) return 0 ;;
    1 | 2 | [1-9][0-9][0-9] | 2[4-9] | [3-9][0-9]) fail 1 "the content engine ended with status $content_status: $(first_line "$work/complaint")" ;;
    *) fail "$content_status" "$content_about$(first_line "$work/complaint")" ;;
    esac
}

# first_line FILE: what a program complained about, for a reason.
first_line() {
    printf '%s' "$(head -n 1 "$1" 2>/dev/null)" | tr '\001-\037\177' ' '
}

# fact KEY: what the engine has found, from the check or the opening before it; nothing when it said nothing.
fact() {
    line_of "$1" "$work/content/facts" || line_of "$1" "$work/content/opened" || :
}

# said KEY: what the last sub-command printed.
said() {
    line_of "$1" "$work/said" || :
}

# line_of KEY FILE: of its first line KEY=VALUE the value. No program is run: an update asks often.
line_of() {
    [ -e "$2" ] || return 1
    while IFS= read -r line_found; do
        case $line_found in
        "$1="*)
            printf '%s\n' "${line_found#*=}"
            return 0
            ;;
        esac
    done <"$2"
    return 1
}
