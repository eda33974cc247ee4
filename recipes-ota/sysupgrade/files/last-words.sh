# shellcheck shell=sh disable=SC2154
# Variables come from the libraries that the sourcing script has sourced before.
# SPDX-License-Identifier: MIT
#
# last-words.sh - what a system on trial said last, kept for the one that runs after it.
#
# A system that dies takes its logs with it. So the trial guard writes the ends of its logs to /data while the trial lasts, and reads what the
# kernel keeps over a reset (pstore: ramoops and others), where the board has memory for it.
#
# To be sourced after limits.sh and journal.sh by a script that runs under `set -eu`. Nothing here exits, and nothing here is needed for
# anything else: what cannot be read or written is left out.

LAST_WORDS=${BOOT_STATE_JOURNAL%/*}/last-words
LAST_WORDS_PSTORE=/sys/fs/pstore
LAST_WORDS_SYSTEM_LOG=/var/log/messages
# Seconds between two looks at least, and how much of each log is kept: 64 KiB of /data at most for each of the two files.
LAST_WORDS_EVERY=2
LAST_WORDS_BYTES=16384
# In which so much of the end of the system's log is looked for the head of a report that is longer.
LAST_WORDS_SEARCHED=262144

# last_words_text: on standard input, without bytes that are no text; the last ones of them.
last_words_text() {
    tail -c "$LAST_WORDS_BYTES" | text_only
}

# last_words_logged: the end of the system's log; fails where there is none.
last_words_logged() {
    if command -v journalctl >/dev/null; then
        limited journalctl -q -b -n 2000 --no-pager -o short
    elif [ -f "$LAST_WORDS_SYSTEM_LOG" ]; then
        tail -c "$LAST_WORDS_SEARCHED" "$LAST_WORDS_SYSTEM_LOG"
    elif command -v logread >/dev/null; then
        limited logread
    else
        return 1
    fi
} 2>/dev/null

# last_words_of_java: of the log on standard input, how the last report of a crash begins, which goes on for 60 KiB about everything else.
last_words_of_java() {
    tail -c "$LAST_WORDS_SEARCHED" | grep -F -A 2 'A fatal error has been detected by the Java Runtime' | tail -n 3 | text_only
}

# last_words_said: the ends of the logs of this system.
last_words_said() {
    echo '== kernel'
    # With levels, which tell what was only said in passing.
    { limited dmesg -r || limited dmesg; } 2>/dev/null | last_words_text
    echo '== system log'
    last_words_log=$(last_words_logged) || return 0
    printf '%s\n' "$last_words_log" | last_words_of_java
    printf '%s\n' "$last_words_log" | last_words_text
}

# last_words_placed FILE: standard input becomes FILE, and is on the medium.
last_words_placed() {
    cat >"$1.new" && mv -f "$1.new" "$1" && limited sync
}

# last_words_possible: there is a folder for them that is root's alone, as logs may hold secrets.
last_words_possible() {
    journal_is_possible && [ ! -L "$LAST_WORDS" ] && mkdir -p "$LAST_WORDS" && chmod 700 "$LAST_WORDS"
} 2>/dev/null

# last_words_taken TXN: as the logs are now.
last_words_taken() {
    case $1 in '' | */* | .*) return 0 ;; esac
    if last_words_possible; then last_words_said | last_words_placed "$LAST_WORDS/$1.said" || :; fi
} 2>/dev/null

# last_words_followed TXN: as long as the program lives that has started it.
last_words_followed() {
    last_words_before=''
    while kill -0 $$ 2>/dev/null; do
        read -r last_words_begun _ </proc/uptime
        last_words_now=$(last_words_said)
        if [ "$last_words_now" != "$last_words_before" ]; then
            printf '%s\n' "$last_words_now" | last_words_placed "$LAST_WORDS/$1.said" || :
            last_words_before=$last_words_now
        fi
        # On a slow board, where a look takes seconds, at most a fifth of the time.
        read -r last_words_ended _ </proc/uptime
        sleep $((LAST_WORDS_EVERY + 4 * (${last_words_ended%.*} - ${last_words_begun%.*})))
    done
}

# last_words_in_memory: SUM NAME of each record that the kernel has kept.
last_words_in_memory() {
    [ -d "$LAST_WORDS_PSTORE" ] || return 0
    if [ "$(stat -c %d "$LAST_WORDS_PSTORE")" = "$(stat -c %d "${LAST_WORDS_PSTORE%/*}")" ]; then
        limited mount -t pstore -o nosuid,nodev,noexec pstore "$LAST_WORDS_PSTORE" 2>/dev/null || :
    fi
    for last_words_record in "$LAST_WORDS_PSTORE"/console-* "$LAST_WORDS_PSTORE"/dmesg-*; do
        [ ! -f "$last_words_record" ] || printf '%s %s\n' "$(sha256sum <"$last_words_record" | sed 's/ .*//')" "${last_words_record##*/}"
    done
}

# last_words_collected TXN: what the kernel has kept since this was last asked is the end of the system that update TXN made. Nothing is
# removed from there, as others may look for it; an empty TXN says that it was another system's.
last_words_collected() {
    last_words_records=$(last_words_in_memory)
    last_words_before=$(cat "$LAST_WORDS/seen" 2>/dev/null) || last_words_before=''
    if [ "$last_words_records" = "$last_words_before" ] || ! last_words_possible; then return 0; fi
    if [ -n "$1" ]; then
        printf '%s\n' "$last_words_records" | while read -r last_words_sum last_words_record; do
            if [ -z "$last_words_sum" ] || grep -qsx -e "$last_words_sum $last_words_record" "$LAST_WORDS/seen"; then continue; fi
            printf '== %s\n' "$last_words_record"
            last_words_text <"$LAST_WORDS_PSTORE/$last_words_record"
            echo
        done >"$LAST_WORDS/collected"
        [ ! -s "$LAST_WORDS/collected" ] || last_words_text <"$LAST_WORDS/collected" | last_words_placed "$LAST_WORDS/$1.kept"
        rm -f "$LAST_WORDS/collected"
    fi
    printf '%s\n' "$last_words_records" | last_words_placed "$LAST_WORDS/seen"
}

# last_words_forgotten [TXN]: all but those of TXN.
last_words_forgotten() {
    for last_words_file in "$LAST_WORDS"/*; do
        case ${last_words_file##*/} in
        seen | "${1:-/}".*) ;;
        *) rm -f "$last_words_file" ;;
        esac
    done
}

# last_words_of TXN: all of them.
last_words_of() {
    case $1 in '' | */* | .*) return 0 ;; esac
    [ ! -L "$LAST_WORDS" ] || return 0
    for last_words_file in "$LAST_WORDS/$1.said" "$LAST_WORDS/$1.kept"; do
        [ ! -f "$last_words_file" ] || tail -c $((4 * LAST_WORDS_BYTES)) "$last_words_file"
    done
}

# last_words_line TXN: the one that decides, without its time.
last_words_line() {
    last_words_of "$1" | text_only | awk -f /usr/lib/otamgr/last-words.awk
}
