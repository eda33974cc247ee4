# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from it or the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# budget.sh - whether everything is there that an update will need, and how much that is.
#
# To be sourced by sysupgrade after journal.sh and content.sh.

# Of this program and those that it runs; the engine says what it needs itself.
BUDGET_PROGRAMS=2097152
# Of tar and mke2fs.
BUDGET_ARCHIVE=8388608
# Room in /run: what programs say, and the pipes.
BUDGET_WORK=1048576

# space_left PLACE: bytes that root may still write there.
space_left() {
    # shellcheck disable=SC2046  # two numbers
    set -- $(stat -f -c '%f %S' "$1" 2>/dev/null)
    printf '%s\n' $((${1:-0} * ${2:-0}))
}

# work_has_room: before anything is put there, for what fails then looks like a fault of the update.
work_has_room() {
    work_needed=$BUDGET_WORK
    work_available=$(space_left "$work")
    [ "$work_needed" -le "$work_available" ] ||
        fail 21 "the update needs $work_needed bytes in ${work%/*}, $work_available are left"
}

kept_path_is_of_the_system() {
    case $1 in /etc/*)
        overlay_mounted >/dev/null && return 0
        [ $? -eq 1 ] || fail 16 "what is mounted on /etc is not known: $MOUNTS_UNREAD"
        ;;
    esac
    [ "$(stat -L -c %d "$1")" = "$(stat -c %d /)" ]
}

# Bytes that header, manifest, marker and kept files need in the new system. What they replace there is not counted: only a
# mounted system tells, and then it is too late.
kept_bytes() {
    usual_ifs=$IFS
    IFS=''
    kept_kib=0
    while read -r pattern; do
        # shellcheck disable=SC2086  # a pattern
        for kept_path in $pattern; do
            if [ -e "$kept_path" ] && kept_path_is_of_the_system "$kept_path"; then
                found_kib=$(du -skx "$kept_path" 2>/dev/null) || continue
                kept_kib=$((kept_kib + ${found_kib%%[!0-9]*}))
            fi
        done
    done <"$work/keep"
    IFS=$usual_ifs
    placed_bytes=0
    for placed_file in "$work/header" "$work/content/manifest"; do
        if [ -e "$placed_file" ]; then placed_bytes=$((placed_bytes + ($(stat -c %s "$placed_file") + 4095) / 4096 * 4096)); fi
    done
    printf '%s\n' $((kept_kib * 1024 + placed_bytes + 4096))
}

# How fast the last update that wrote something was, in bytes a second; without one 4 MiB, which slow SD cards reach.
write_rate() {
    journal_records | awk -F '\t' '
        $2 == "slot-written" {
            for (i = 4; i <= NF; i++) { split($i, pair, "="); said[pair[1]] = pair[2] }
            if (said["written"] >= 8388608 && said["seconds"] > 0) rate = said["written"] / said["seconds"]
        }
        END { printf "%.0f\n", (rate > 65536 ? rate : 4194304) }'
}

# Everything is there that the update will need, or it does not begin.
budget_suffices() {
    growth=$(fact growth)
    memory_needed=$(($(fact memory_needed) + BUDGET_PROGRAMS))
    case $format:$as_is in
    # What is added to the file system has inode tables. After a read-only system most likely comes another one, which has all its room on /data.
    ext4:*)
        bytes_to_write=$(($(fact bytes_to_write) + ${growth:-0} / 8)) new_system_room=$(fact free_bytes)
        if overlay_is_wanted; then new_system_room=$(space_left /data); fi
        ;;
    *:yes) bytes_to_write=$(fact bytes_to_write) new_system_room=$(space_left /data) ;;
    tar:*)
        bytes_to_write=$(fact bytes_to_write) new_system_room=$(fact free_bytes)
        memory_needed=$((memory_needed + BUDGET_ARCHIVE))
        ;;
    squashfs:*) bytes_to_write=$(fact bytes_to_write) new_system_room=$(fact free_bytes) ;;
    esac
    bytes_to_write=$((bytes_to_write + images_bytes))
    [ "$images_memory" -le "$memory_needed" ] || memory_needed=$images_memory
    memory_available=$(awk '$1 == "MemAvailable:" { printf "%.0f", $2 * 1024 }' /proc/meminfo)
    room_needed=$(kept_bytes)
    # The journal and the one before it.
    data_needed=$((2 * BOOT_STATE_JOURNAL_LIMIT)) data_available=$(space_left /data)
    # Read and unpack again, write, read back.
    seconds=$((2 * ($(uptime_seconds) - began) + bytes_to_write / $(write_rate) + bytes_to_write / 16777216 + 2))
    work_needed=$BUDGET_WORK work_available=$(space_left "$work")
    budget_shown
    [ "$memory_needed" -le "$memory_available" ] ||
        fail 21 "the update needs $memory_needed bytes of memory, $memory_available are available ($compression, $format)"
    work_has_room
    [ "$room_needed" -le "$new_system_room" ] ||
        fail 21 "header and kept files need $room_needed bytes in the new system, which has room for $new_system_room; make the image larger, or keep less (-n keeps nothing)"
    [ "$data_needed" -le "$data_available" ] ||
        inform "/data has $data_available bytes left, the journal may need $data_needed; the update does not depend on it"
}

budget_shown() {
    budget="slot_bytes=$target_bytes
bytes_to_write=$bytes_to_write
memory_needed=$memory_needed
memory_available=$memory_available
work_needed=$work_needed
work_available=$work_available
room_needed=$room_needed
room_available=$new_system_room
data_needed=$data_needed
data_available=$data_available
seconds=$seconds"
    explain "at most $bytes_to_write bytes to write, about $seconds s; memory $memory_needed of $memory_available, ${work%/*} $work_needed of $work_available, room in the new system $room_needed of $new_system_room, /data $data_needed of $data_available"
    case $budget_shape in
    text) printf '%s\n' "$budget" ;;
    json) printf '%s\n' "$budget" | awk -F = '{ printf "%s\"%s\":%s", (NR == 1 ? "{" : ","), $1, $2 } END { print "}" }' ;;
    esac
}
