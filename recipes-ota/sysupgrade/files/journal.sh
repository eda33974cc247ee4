# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# journal.sh - the one writer and the one reader of the journal of updates, and the reboot reason.
#
# One line for each event: `TIME EVENT KEY=VALUE...`. A VALUE is a word of A-Z a-z 0-9 . _ : / + -, or any other text in quotes,
# with \" \\ \n \t \r and \xHH inside (journal-value.awk writes it, journal.awk reads it).
#
# To be sourced after private.sh and limits.sh by a script that runs under `set -eu`. The journal informs; it decides nothing in the boot, so a
# journal that cannot be written is said on stderr and stops nobody.

BOOT_STATE_JOURNAL=/data/otamgr/journal
BOOT_STATE_REBOOT_REASON=/afero_nv/reboot_reason

# 64 KiB; the file before it is kept as journal.1, so that at most twice this is used.
BOOT_STATE_JOURNAL_LIMIT=65536

# journal_append EVENT [KEY=VALUE]...: VALUE is any text. One line, on the medium when this returns.
journal_append() {
    # Without its own file system /data is a directory of the running slot, which is not ours to write. What is there is no secret.
    if [ "$(stat -c %d /data 2>/dev/null)" = "$(stat -c %d /)" ] ||
        ! (umask 022 && mkdir -p "${BOOT_STATE_JOURNAL%/*}" && { [ -e "$BOOT_STATE_JOURNAL" ] || : >"$BOOT_STATE_JOURNAL"; }) 2>/dev/null; then
        printf 'journal: /data is not mounted or not writable, not recorded: %s\n' "$*" >&2
        return 0
    fi
    journal_line="$(date -u +%Y-%m-%dT%H:%M:%SZ) $1"
    shift
    for journal_pair in "$@"; do
        journal_value=${journal_pair#*=}
        case $journal_value in
        '' | *[!A-Za-z0-9._:/+-]*) journal_value=$(printf '%s.' "$journal_value" | awk -f /usr/lib/otamgr/journal-value.awk) ;;
        esac
        journal_line="$journal_line ${journal_pair%%=*}=$journal_value"
    done
    if [ -s "$BOOT_STATE_JOURNAL" ]; then
        if [ "$(stat -c %s "$BOOT_STATE_JOURNAL")" -ge "$BOOT_STATE_JOURNAL_LIMIT" ]; then
            mv -f "$BOOT_STATE_JOURNAL" "$BOOT_STATE_JOURNAL.1" || :
            (umask 022 && : >>"$BOOT_STATE_JOURNAL") || :
        elif [ -n "$(tail -c 1 "$BOOT_STATE_JOURNAL" | tr '\000' '?')" ]; then
            # A power cut tore the last line; the next one must not be glued to it.
            printf '\n' >>"$BOOT_STATE_JOURNAL" || :
        fi
    fi
    if ! printf '%s\n' "$journal_line" >>"$BOOT_STATE_JOURNAL"; then
        printf 'journal: %s is not writable, not recorded: %s\n' "$BOOT_STATE_JOURNAL" "$journal_line" >&2
    fi
    limited sync || :
}

# journal_records: the whole journal, oldest line first, as journal.awk prints it. Bytes that are no text become question marks: a
# power cut can leave zeros at the end of a file. Each file ends with a newline here, so that a torn last line is not glued to the next.
journal_records() {
    for journal_file in "$BOOT_STATE_JOURNAL.1" "$BOOT_STATE_JOURNAL"; do
        if [ -f "$journal_file" ] && [ -r "$journal_file" ]; then
            tr '\000-\010\013-\037\177-\377' '?' <"$journal_file"
            echo
        fi
    done | awk -f /usr/lib/otamgr/journal.awk
}

# reboot_reason_write REASON
# What the next boot reports as the reason (attribute 65019), read by attrd. No newline: attrd sends the file as it is.
reboot_reason_write() {
    [ -d "${BOOT_STATE_REBOOT_REASON%/*}/" ] || return 1
    (umask 022 && printf '%s' "$1" >"$BOOT_STATE_REBOOT_REASON.new") || return 1
    limited sync || :
    mv -f "$BOOT_STATE_REBOOT_REASON.new" "$BOOT_STATE_REBOOT_REASON" || return 1
    limited sync || :
}
