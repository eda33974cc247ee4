# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# journal.sh - the one writer and the one reader of the journal of updates, and the reboot reason.
#
# One line for each event: `TIME EVENT KEY=VALUE... link=NUMBER:SHA256`. A VALUE is a word of A-Z a-z 0-9 . _ : / + -, or any other text in
# quotes, with \" \\ \n \t \r and \xHH inside (journal-value.awk writes it, journal.awk reads it). The link is SHA-256 of the link before it
# and a newline (of `0:` and 64 zeros for the first one), of the bytes that no link covers yet, such as a line that a power cut tore, and of
# the line up to its own ` link=`. So nothing can be taken away, changed or moved without the next link telling. A line that could not be
# linked is written without; the next link covers it.
#
# To be sourced after private.sh and limits.sh by a script that runs under `set -eu`. The journal informs; it decides nothing in the boot, so a
# journal that cannot be written is said on stderr and stops nobody.

BOOT_STATE_JOURNAL=/data/otamgr/journal
BOOT_STATE_REBOOT_REASON=/afero_nv/reboot_reason
JOURNAL_LOCK=${BOOT_STATE_RUN:=/run/otamgr}/journal.lock
JOURNAL_BEGINNING=0:0000000000000000000000000000000000000000000000000000000000000000

# text_only: standard input with a question mark for each byte that is neither text nor JSON; a console or a dying system may have put anything
# into logs and the environment.
text_only() {
    tr '\000-\010\013-\037\177-\377' '?'
}

# 64 KiB; the file before it is kept as journal.1, so that at most twice this is used.
BOOT_STATE_JOURNAL_LIMIT=65536

# journal_is_possible: without its own file system /data is a directory of the running slot, which is not ours to write. What is there is no
# secret.
journal_is_possible() {
    # One line for each, of what is not there none.
    journal_devices=$(stat -c %d / /data 2>/dev/null) || return 1
    [ "${journal_devices%%[!0-9]*}" != "${journal_devices##*[!0-9]}" ] || return 1
    [ -e "$BOOT_STATE_JOURNAL" ] || (umask 022 && mkdir -p "${BOOT_STATE_JOURNAL%/*}" && : >"$BOOT_STATE_JOURNAL") 2>/dev/null
}

# journal_append EVENT [KEY=VALUE]...: VALUE is any text. One line, on the medium when this returns.
journal_append() {
    if ! journal_is_possible; then
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
    # Two programs at once must not link to the same line. In its own shell, since a descriptor may be in use here.
    if ! (run_folder_made && : >>"$JOURNAL_LOCK") 2>/dev/null ||
        ! (
            (limited flock 8) 2>/dev/null || exit 1
            journal_placed linked
        ) 8>"$JOURNAL_LOCK"; then
        journal_placed ''
    fi
    limited sync || :
}

# journal_placed [linked]: $journal_line at the end of the journal, which is bounded.
journal_placed() {
    if [ -s "$BOOT_STATE_JOURNAL" ]; then
        if journal_is_full; then
            mv -f "$BOOT_STATE_JOURNAL" "$BOOT_STATE_JOURNAL.1" || :
            (umask 022 && : >>"$BOOT_STATE_JOURNAL") || :
            # What comes before will be gone one day; the first line tells what it was linked to.
            case $1:$journal_last in
            linked: | :* | "linked:$JOURNAL_BEGINNING") ;;
            *) journal_written "$1" "${journal_line%% *} log-continued after=$journal_last" "$journal_last 1" ;;
            esac
        elif [ -n "$(tail -c 1 "$BOOT_STATE_JOURNAL" | tr '\000' '?')" ]; then
            # A power cut tore the last line; the next one must not be glued to it.
            printf '\n' >>"$BOOT_STATE_JOURNAL" || :
        fi
    fi
    journal_written "$1" "$journal_line"
}

# journal_is_full: a new file is to be begun. Not while a line is the first to cover a torn one, for no link reaches over the files.
journal_is_full() {
    journal_size=$(stat -c %s "$BOOT_STATE_JOURNAL")
    [ "$journal_size" -ge "$BOOT_STATE_JOURNAL_LIMIT" ] || return 1
    journal_last=$(journal_head) || journal_last=''
    case $journal_last in '' | "$JOURNAL_BEGINNING "*) journal_uncovered='' ;; *) journal_uncovered=${journal_last#* * } ;; esac
    journal_last=${journal_last%% *}
    [ "${journal_uncovered:-0}" = 0 ] || [ "$journal_size" -ge $((BOOT_STATE_JOURNAL_LIMIT + 8192)) ]
}

# journal_written LINKED LINE [HEAD]
journal_written() {
    journal_link=''
    if [ -n "$1" ]; then journal_link=$(journal_link_of "$2" "${3-}") || journal_link=''; fi
    if ! printf '%s\n' "$2${journal_link:+ link=$journal_link}" >>"$BOOT_STATE_JOURNAL"; then
        printf 'journal: %s is not writable, not recorded: %s\n' "$BOOT_STATE_JOURNAL" "$2" >&2
    fi
}

# journal_head: the last link, the number of the first line that it does not cover, and how many there are of those.
journal_head() {
    text_only <"$BOOT_STATE_JOURNAL" | awk -v beginning="$JOURNAL_BEGINNING" '
        BEGIN { head = beginning; following = 1 }
        / link=[1-9][0-9]*:[0-9a-f]+$/ {
            split($NF, part, /[=:]/)
            if (length(part[2]) < 10 && length(part[3]) == 64) { head = part[2] ":" part[3]; following = NR + 1 }
        }
        END { print head, following, NR + 1 - following }'
}

# journal_link_of LINE [HEAD]: NUMBER:SHA256 for a line that is to be appended.
journal_link_of() {
    journal_last=${2:-$(journal_head)} || return 1
    journal_following=${journal_last#* } journal_last=${journal_last%% *}
    journal_digest=$({
        printf '%s\n' "$journal_last"
        tail -n "+${journal_following%% *}" "$BOOT_STATE_JOURNAL"
        printf '%s' "$1"
    } | sha256sum) || return 1
    journal_digest=${journal_digest%% *}
    [ ${#journal_digest} -eq 64 ] || return 1
    journal_last=${journal_last%%:*}
    printf '%s:%s\n' "$((journal_last + 1))" "$journal_digest"
}

# journal_has LINK: whether the journal has this link, or may have had it before what it still has.
journal_has() {
    for journal_file in "$BOOT_STATE_JOURNAL.1" "$BOOT_STATE_JOURNAL"; do
        [ ! -f "$journal_file" ] || text_only <"$journal_file"
    done | awk -v link="$1" '
        $2 == "log-continued" && first == "" && link + 0 <= substr($3, 7) + 0 { found = 1 }
        / link=[1-9][0-9]*:[0-9a-f]+$/ { first = "known"; if ($NF == "link=" link) found = 1 }
        END { exit !found }'
}

# journal_bound: prints what binds the journal as it is now to the write of the environment that arms or commits, if there is something to bind.
# Where the link that the environment knows is missing, the journal says so itself: this write forgets that link.
journal_bound() {
    journal_is_possible || return 0
    case $ota_log in '') ;; *) journal_has "$ota_log" || journal_append log-gap "expected=$ota_log" ;; esac
    journal_last=$(journal_head) || return 0
    journal_last=${journal_last%% *}
    [ "$journal_last" = "$JOURNAL_BEGINNING" ] || printf 'ota_log=%s\n' "$journal_last"
}

# journal_records: the whole journal, oldest line first, as journal.awk prints it. Bytes that are no text become question marks: a
# power cut can leave zeros at the end of a file. Each file ends with a newline here, so that a torn last line is not glued to the next.
journal_records() {
    for journal_file in "$BOOT_STATE_JOURNAL.1" "$BOOT_STATE_JOURNAL"; do
        if [ -f "$journal_file" ] && [ -r "$journal_file" ]; then
            text_only <"$journal_file"
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
