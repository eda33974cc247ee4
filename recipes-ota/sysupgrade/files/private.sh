# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# private.sh - what root makes while it works is for root alone: folder, locks, and what holds them.
#
# To be sourced by a script that runs under `set -eu`. Functions report failure by their return value, with the reason for people
# in $boot_error; nothing here exits.

# Children and the programs they run inherit it. What others must read (journal, reboot reason) says so where it is made.
umask 077

BOOT_STATE_RUN=/run/otamgr
BOOT_STATE_LOCK=$BOOT_STATE_RUN/sysupgrade.lock

# Early init scripts and callers such as the original otamgr may bring a short PATH.
PATH=${PATH:+$PATH:}/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# did_you_mean TYPED WORD...: "; did you mean WORD?" for the nearest one, or nothing. Counts the letters to put in, take away or replace.
did_you_mean() {
    typed=$1
    shift
    printf '%s\n' "$@" | TYPED=$typed awk '
        BEGIN { typed = ENVIRON["TYPED"]; least = int(length(typed) / 3) + 2; if (length(typed) > 64) least = 0 }
        {
            for (i = 0; i <= length(typed); i++) steps[i, 0] = i
            for (j = 0; j <= length($0); j++) steps[0, j] = j
            for (i = 1; i <= length(typed); i++) {
                for (j = 1; j <= length($0); j++) {
                    best = steps[i - 1, j - 1] + (substr(typed, i, 1) != substr($0, j, 1))
                    if (steps[i - 1, j] + 1 < best) best = steps[i - 1, j] + 1
                    if (steps[i, j - 1] + 1 < best) best = steps[i, j - 1] + 1
                    steps[i, j] = best
                }
            }
            if (steps[length(typed), length($0)] < least) { least = steps[length(typed), length($0)]; nearest = $0 }
        }
        END { if (nearest != "") printf "; did you mean %s?", nearest }'
}

# run_folder_made: $BOOT_STATE_RUN, which nobody else can look into or make files in.
run_folder_made() {
    if [ -L "$BOOT_STATE_RUN" ] || { [ -e "$BOOT_STATE_RUN" ] && [ ! -d "$BOOT_STATE_RUN" ]; }; then
        boot_error="$BOOT_STATE_RUN is a link or a file, expected a folder of root's; remove it"
        return 1
    fi
    [ -d "$BOOT_STATE_RUN" ] || mkdir -p "$BOOT_STATE_RUN" 2>/dev/null || {
        boot_error="cannot create $BOOT_STATE_RUN; this needs root and a writable /run"
        return 1
    }
    run_folder_state=$(stat -c '%u %a' "$BOOT_STATE_RUN") || run_folder_state=''
    case $run_folder_state in
    '0 700') ;;
    # An older version made it, readable for all.
    '0 '*)
        chmod 700 "$BOOT_STATE_RUN" || {
            boot_error="cannot make $BOOT_STATE_RUN private (mode ${run_folder_state#* })"
            return 1
        }
        ;;
    *)
        boot_error="$BOOT_STATE_RUN belongs to user ${run_folder_state% *}, expected root; remove it"
        return 1
        ;;
    esac
}

# file_is_roots FILE: a regular file that nobody but root can open, so that nobody else can lock it.
file_is_roots() {
    [ ! -L "$1" ] && [ -f "$1" ] && [ "$(stat -c '%u %a' "$1" 2>/dev/null)" = '0 600' ]
}

# root_has_open FILE: whether a process that root started has it open. Who may open a file may lock it and keep others waiting; a
# program with the setuid bit that somebody else started with the open file does not count, hence the real user.
root_has_open() {
    for open_file in /proc/[0-9]*/fd/*; do
        # shellcheck disable=SC3013  # known to busybox and dash
        [ "$open_file" -ef "$1" ] || continue
        open_status=${open_file%/fd/*}/status
        while read -r open_key open_user _; do
            if [ "$open_key $open_user" = 'Uid: 0' ]; then return 0; fi
        done 2>/dev/null <"$open_status" || :
    done
    return 1
}

# lock_is_free FILE: also sets lock_free to `yes` or nothing.
lock_is_free() {
    lock_free=''
    # 8 is for this moment; what is inherited as 9 stays what it is.
    (exec 8<"$1" && flock -n 8) 2>/dev/null || return 1
    lock_free=yes
}

# lock_file_is_private FILE
# Makes the lock file, and replaces one that somebody else can open or holds: a lock that no program of root's holds keeps nobody
# apart. One that root holds is left alone, whatever its mode. Afterwards $lock_free says whether nobody holds it.
lock_file_is_private() {
    lock_tries=0
    until file_is_roots "$1" && { lock_is_free "$1" || root_has_open "$1"; }; do
        if [ ! -L "$1" ] && [ -f "$1" ] && ! lock_is_free "$1" && root_has_open "$1"; then return 0; fi
        lock_tries=$((lock_tries + 1))
        if [ "$lock_tries" -gt 20 ] || ! lock_made=$(mktemp "$1.XXXXXX" 2>/dev/null); then
            boot_error="the lock $1 cannot be made"
            return 1
        fi
        rm -rf "$1"
        mv -f "$lock_made" "$1" || rm -f "$lock_made"
    done
}
