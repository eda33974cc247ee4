# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from it or the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# images.sh - images beside the root file system: which targets this device has for them, and programs that take them.
#
#   /etc/otamgr/images.d/NAME.conf   the target: SLOT_A_DEVICE and SLOT_B_DEVICE, a pair that follows the slot; or HANDLER, a program; or
#                                    BOOT_DEVICE, an eMMC whose ROM reads the boot loader from one of its two boot partitions; or PLACE_ words,
#                                    two places of a disk that the ROM tries (boot-places.sh)
#   /data/otamgr/images/NAME         SLOT UPDATE: the handler was called for this update of that slot; and "back", when it has taken that
#                                    back. Of a boot loader "PLACE:LENGTH:SHA256": it lies there, and is to be used once SLOT is committed
#
# The record is there before the handler is called for the first time, and stays until the next update has overwritten the other slot: so
# long there is a way back. So whoever finds it and another slot committed, after whatever happened, knows what to do; and that the slot
# of the record is not to be started any more when it says "back".
#
# To be sourced after private.sh, limits.sh, settings.sh, journal.sh, slots.sh and environment.sh. Functions report failure by their return value,
# with the reason for people in $image_error; nothing here exits.

IMAGES_TARGETS=$SETTINGS_FOLDER/images.d
IMAGES_RECORDS=/data/otamgr/images
BOOT_PARTITION=/usr/lib/otamgr/ota-boot-partition

image_name_is_valid() {
    [ "${#1}" -le 32 ] || return 1
    case $1 in
    [!a-z]* | *[!a-z0-9-]* | '') return 1 ;;
    esac
}

# images_with_target: their names, one on a line.
images_with_target() {
    for image_conf in "$IMAGES_TARGETS"/*.conf; do
        if [ ! -e "$image_conf" ] && [ ! -L "$image_conf" ]; then continue; fi
        printf '%s\n' "${image_conf##*/}"
    done | sed 's/\.conf$//'
}

# image_target_read NAME: sets image_kind (pair, handler, boot or places; empty when there is none) and what is said of it; fails when that is not understood.
image_target_read() {
    image_kind='' image_conf=$IMAGES_TARGETS/$1.conf
    if [ ! -e "$image_conf" ] && [ ! -L "$image_conf" ]; then return 0; fi
    image_error="the target of the image $1 is not understood: "
    image_name_is_valid "$1" || {
        image_error="$image_conf: expected a name of at most 32 lower case letters, digits and -, a letter first"
        return 1
    }
    settings_read "$image_conf" || {
        image_error=$image_error$(printf '%s' "$settings_problem" | head -n 1)
        return 1
    }
    image_a_device=$(settings_value SLOT_A_DEVICE) image_b_device=$(settings_value SLOT_B_DEVICE)
    image_handler=$(settings_value HANDLER) image_seconds=$(settings_value HANDLER_SECONDS) image_required=$(settings_value REQUIRED)
    image_emmc=$(settings_value BOOT_DEVICE) image_disk=$(settings_value PLACE_DEVICE)
    image_first=$(settings_value PLACE_FIRST) image_second=$(settings_value PLACE_SECOND) image_place_bytes=$(settings_value PLACE_BYTES)
    image_places=${image_disk:+d}${image_first:+1}${image_second:+2}${image_place_bytes:+n}
    case ${image_a_device:+a}${image_b_device:+b}${image_handler:+h}${image_emmc:+e}$image_places:${image_seconds:+s}${image_required:+r} in
    ab: | ab:r) image_kind=pair ;;
    h: | h:s) image_kind=handler ;;
    e:) image_kind=boot ;;
    d12n:) image_kind=places ;;
    *)
        image_error="${image_error}expected SLOT_A_DEVICE and SLOT_B_DEVICE (and perhaps REQUIRED), or HANDLER (and perhaps HANDLER_SECONDS), or BOOT_DEVICE, or PLACE_DEVICE, PLACE_FIRST, PLACE_SECOND and PLACE_BYTES in $image_conf"
        return 1
        ;;
    esac
    if [ "$image_kind" = places ] && ! image_places_are_numbers; then
        image_error="${image_error}PLACE_FIRST, PLACE_SECOND and PLACE_BYTES are $image_first, $image_second and $image_place_bytes, expected bytes as decimal numbers, multiples of 512"
        return 1
    fi
    case ${image_required:-yes}:${image_seconds:=600} in
    [!yn]*:* | *:*[!0-9]* | *:0* | *:?????*) image_wrong=yes ;;
    yes:* | no:*) image_wrong='' ;;
    *) image_wrong=yes ;;
    esac
    if [ -n "$image_wrong" ] || [ "$image_seconds" -gt 3600 ]; then
        image_error="${image_error}REQUIRED is '$image_required', expected yes or no; HANDLER_SECONDS is '$image_seconds', expected 1 to 3600"
        return 1
    fi
}

# image_pair_judged NAME SLOT: sets image_device and image_bytes, its member that belongs to this slot. To be called after slots_find.
image_pair_judged() {
    image_numbers=''
    disk_of "$root_number" || :
    root_disk=$disk_found
    for image_device in "$image_a_device" "$image_b_device"; do
        image_error="image $1: $image_conf names $image_device, "
        image_number=''
        if [ -b "$image_device" ]; then image_number=$(device_number "$image_device") || image_number=''; fi
        if [ -z "$image_number" ] || [ ! -e "/sys/dev/block/$image_number" ]; then
            image_error="${image_error}which is no block device"
            return 1
        fi
        case "$image_device" in *mmcblk*boot[01]) ;; *)
            if [ ! -e "/sys/dev/block/$image_number/partition" ]; then
                image_error="${image_error}which is no partition"
                return 1
            fi
            ;;
        esac
        disk_of "$image_number" || :
        if [ "$disk_found" != "$root_disk" ]; then
            image_error="${image_error}which is not on the disk of /"
            return 1
        fi
        case " $slot_a_number $slot_b_number $image_numbers $images_numbers " in
        *" $image_number "*)
            image_error="${image_error}which is a slot, or a device of another image as well"
            return 1
            ;;
        esac
        image_numbers="$image_numbers $image_number"
    done
    images_numbers="$images_numbers$image_numbers"
    image_b_number=${image_numbers##* } image_a_number=${image_numbers# }
    image_a_number=${image_a_number%% *}
    environment_is_apart "$image_a_device $image_a_number" "$image_b_device $image_b_number" || {
        image_error="image $1: $boot_error ($image_conf)"
        return 1
    }
    case $2 in
    a) image_device=$image_a_device image_number=$image_a_number ;;
    b) image_device=$image_b_device image_number=$image_b_number ;;
    esac
    image_error="image $1: $image_device, where the image for slot $2 belongs, "
    image_used=0
    image_device_is_used "$image_number" || image_used=$?
    case $image_used in
    0)
        image_error="${image_error}is mounted or in use; a system uses that of its own slot (ota-slot image $1)"
        return 1
        ;;
    2)
        image_error="${image_error}may be in use: $MOUNTS_UNREAD"
        return 1
        ;;
    esac
    if [ "$(device_value "$image_number" ro)" = 1 ]; then
        image_error="${image_error}is read-only"
        return 1
    fi
    image_bytes=$(slot_bytes "$image_number") || {
        image_error="${image_error}has no size"
        return 1
    }
}

# image_device_is_used NUMBER: 1 when it is not, 2 when that is not known.
image_device_is_used() {
    image_found=0
    mount_of "$1" || image_found=$?
    [ "$image_found" -eq 1 ] || return "$image_found"
    for image_holder in "/sys/dev/block/$1/holders/"*; do
        if [ -e "$image_holder" ]; then return 0; fi
    done
    return 1
}

# image_boot_judged NAME: sets image_boot (boot0 or boot1), the boot partition that the ROM does not read now; image_device and image_number of it,
# and image_bytes. To be called after slots_find.
image_boot_judged() {
    image_boot_used "$1" || return 1
    case $image_boot in
    boot0) image_boot=boot1 ;;
    boot1) image_boot=boot0 ;;
    *)
        image_error="image $1: the boot loader of $image_emmc is started from '$image_boot', expected boot0 or boot1, so that the other one can be written (docs/boot-loader.md)"
        return 1
        ;;
    esac
    image_numbers=''
    for image_device in "$image_emmc"boot0 "$image_emmc"boot1; do
        image_error="image $1: $image_device, a boot partition of $image_emmc ($image_conf), is no block device"
        [ -b "$image_device" ] && image_number=$(device_number "$image_device") && [ -e "/sys/dev/block/$image_number" ] || return 1
        image_numbers="$image_numbers $image_number"
    done
    environment_is_apart "${image_emmc}boot0${image_numbers% *}" "${image_emmc}boot1 $image_number" || {
        image_error="image $1: $boot_error ($image_conf)"
        return 1
    }
    if [ "$image_boot" = boot0 ]; then image_number=${image_numbers% *} image_number=${image_number# }; fi
    image_device=$image_emmc$image_boot
    image_error="image $1: $image_device, the boot partition that is not in use, "
    case $(device_value "$image_number" ro_lock_until_next_power_on 2>/dev/null || :) in
    [!0]*)
        image_error="${image_error}is write-protected until the next power-on, or for good: neither boot loader nor kernel may lock it"
        return 1
        ;;
    esac
    image_bytes=$(slot_bytes "$image_number") || {
        image_error="${image_error}has no size"
        return 1
    }
}

# image_boot_used NAME: sets image_boot, where the ROM reads the boot loader from.
image_boot_used() {
    image_error="image $1: BOOT_DEVICE is $image_emmc in $image_conf, "
    case $image_emmc in
    /dev/*[!0-9A-Za-z/]* | [!/]* | *..*)
        image_error="${image_error}expected an eMMC, such as /dev/mmcblk0"
        return 1
        ;;
    esac
    if [ ! -x "$BOOT_PARTITION" ]; then
        image_error="${image_error}and there is no $BOOT_PARTITION (package ota-boot-loader)"
        return 1
    fi
    image_boot=$(limited "$BOOT_PARTITION" "$image_emmc" 2>&1) || {
        image_error="image $1: $(printf '%s' "$image_boot" | head -n 1)"
        return 1
    }
}

# image_boot_digest DEVICE BLOCKS: of the blocks of 4 KiB that it begins with.
image_boot_digest() {
    limited dd if="$1" bs=4096 count="$2" 2>/dev/null | sha256sum | cut -d ' ' -f 1
}

# image_handler_judged NAME: a program of root's that nobody else can change.
image_handler_judged() {
    image_error="image $1: HANDLER is $image_handler in $image_conf, "
    case $image_handler in
    /*) ;;
    *)
        image_error="${image_error}expected a program with its whole path"
        return 1
        ;;
    esac
    if [ ! -f "$image_handler" ]; then
        image_error="${image_error}and there is no such program"
        return 1
    fi
    case $(stat -L -c '%u %A' "$image_handler" 2>/dev/null) in
    0\ ???[xs]?-??-?) ;;
    *)
        image_error="${image_error}expected a program of root's that only root can change, found $(stat -L -c 'user %u, %A' "$image_handler" 2>/dev/null)"
        return 1
        ;;
    esac
}

# image_records_possible: /data is there, and nobody but root can put a record there.
image_records_possible() {
    image_error="$IMAGES_RECORDS, where it is written down what a handler was called for, "
    mount_on /data || {
        case $? in
        1) image_error="${image_error}needs /data, and that is not mounted" ;;
        *) image_error="${image_error}needs /data, and $MOUNTS_UNREAD" ;;
        esac
        return 1
    }
    (umask 022 && mkdir -p "${IMAGES_RECORDS%/*}" && umask 077 && mkdir -p "$IMAGES_RECORDS") 2>/dev/null || {
        image_error="${image_error}cannot be made: is /data full, or read-only?"
        return 1
    }
    for image_place in "${IMAGES_RECORDS%/*}" "$IMAGES_RECORDS"; do
        if [ ! -L "$image_place" ]; then
            case $(stat -c '%u %A' "$image_place") in 0\ d????-??-?) continue ;; esac
        fi
        image_error="${image_error}must be in folders that only root can change, found $image_place: $(stat -c '%F, user %u, %A' "$image_place")"
        return 1
    done
}

# image_recorded NAME SLOT TXN [back]: on the medium when this returns.
image_recorded() {
    image_records_possible || return 1
    image_error="$IMAGES_RECORDS/$1 cannot be written: is /data full, or read-only?"
    { printf '%s %s\n' "$2" "$3${4:+ $4}" >"$IMAGES_RECORDS/.$1.new" && limited sync && mv -f "$IMAGES_RECORDS/.$1.new" "$IMAGES_RECORDS/$1" &&
        limited sync && [ "$(head -n 1 "$IMAGES_RECORDS/$1")" = "$2 $3${4:+ $4}" ]; } 2>/dev/null
}

# image_handler_called COMMAND NAME [ARGUMENT]...: with standard input as it is, nothing else of ours, and for as long as HANDLER_SECONDS says. What it
# complains of goes to standard error. For the background, as one process.
image_handler_called() {
    cd / && exec "$LIMITER" "$image_seconds" -- "$image_handler" "$@" >/dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
}

# images_settled SLOT: to be called when SLOT runs and no trial is pending. What was brought with it is kept; what was brought with an update of
# the other slot that came to nothing, or from which somebody went back, is taken back: by the system whose handler has taken it. A handler that
# cannot do that is called again at the next boot. A boot loader that was brought with it is used from now on; one of an update that came to
# nothing never was.
images_settled() {
    image_left=0
    for image_record in "$IMAGES_RECORDS"/*; do
        if [ -L "$image_record" ] || [ ! -f "$image_record" ]; then continue; fi
        image_settled "${image_record##*/}" "$1" || image_left=1
    done
    return "$image_left"
}

image_settled() {
    image_record_read "$1"
    case $image_state in
    boot[01]:* | second:*)
        image_boot_settled "$1" "$2"
        return
        ;;
    esac
    if [ "$image_slot" = "$2" ] || [ "$image_state" = back ]; then return 0; fi
    if ! image_taken_back "$1"; then
        journal_append image-not-taken-back "image=$1" "txn=$image_txn" "reason=$image_error"
        complain "$image_error"
        return 1
    fi
    journal_append image-taken-back "image=$1" "txn=$image_txn"
    # When it is said, it is in the record. Where that cannot be, it is taken back once more.
    if image_recorded "$1" "$image_slot" "$image_txn back"; then
        complain "image $1: what update $image_txn brought was taken back"
    else
        complain "$image_error"
    fi
}

# image_boot_settled NAME SLOT: after image_record_read. Both boot loaders start both slots, so after a way back nothing is switched.
image_boot_settled() {
    if [ "$image_slot" = "$2" ]; then
        image_switched=yes
        case $image_state in
        second:*) image_places_switched "$1" "${image_state#*:}" ;;
        *) image_boot_switched "$1" "${image_state%%:*}" "${image_state#*:}" ;;
        esac || image_switched=''
        if [ -z "$image_switched" ]; then
            journal_append image-not-switched "image=$1" "txn=$image_txn" "reason=$image_error"
            complain "$image_error"
            return 1
        fi
        case $image_kind in
        places) image_place="$image_disk at $image_first" ;;
        *) image_place=$image_emmc${image_state%%:*} ;;
        esac
        journal_append image-switched "image=$1" "txn=$image_txn" "to=$image_place"
        complain "image $1: what update $image_txn brought is started from now on, from $image_place"
    fi
    rm -f "$IMAGES_RECORDS/$1"
    limited sync || :
}

# image_boot_switched NAME PARTITION BLOCKS:SHA256: the ROM reads that one, if it still holds what was verified.
image_boot_switched() {
    image_target_read "$1" || return 1
    image_error="image $1: $image_conf no longer names the eMMC that update $image_txn has written the boot loader to"
    if [ "$image_kind" != boot ] || ! image_boot_used "$1"; then return 1; fi
    image_found=$(image_boot_digest "$image_emmc$2" "${3%:*}") || image_found=''
    image_error="image $1: $image_emmc$2 does not hold what update $image_txn has written there (expected SHA-256 ${3#*:}, found ${image_found:-nothing that can be read}); the boot loader stays the one in $image_boot: install the update again"
    [ "$image_found" = "${3#*:}" ] || return 1
    image_said=$(limited "$BOOT_PARTITION" "$image_emmc" "$2" 2>&1) || {
        image_error="image $1: $(printf '%s' "$image_said" | head -n 1)"
        return 1
    }
}

image_record_read() {
    image_slot='' image_txn='' image_state=''
    read -r image_slot image_txn image_state <"$IMAGES_RECORDS/$1" || :
}

# images_are_forgotten SLOT: SLOT runs, the other one is overwritten, so there is no way back from what was brought with SLOT, or to what was
# taken back. Not forgotten is what is still to be taken back, and a boot loader that is still to be used.
images_are_forgotten() {
    for image_record in "$IMAGES_RECORDS"/*; do
        if [ -L "$image_record" ] || [ ! -f "$image_record" ]; then continue; fi
        image_record_read "${image_record##*/}"
        case $image_state in
        boot[01]:* | second:*) [ "$image_slot" = "$1" ] || rm -f "$image_record" ;;
        *) if [ "$image_slot" = "$1" ] || [ "$image_state" = back ]; then rm -f "$image_record"; fi ;;
        esac
    done
    limited sync || :
}

# images_are_there SLOT: fails when something that an update had brought with this slot was taken back since.
images_are_there() {
    for image_record in "$IMAGES_RECORDS"/*; do
        if [ -L "$image_record" ] || [ ! -f "$image_record" ]; then continue; fi
        image_record_read "${image_record##*/}"
        if [ "$image_slot:$image_state" != "$1:back" ]; then continue; fi
        image_error="what update $image_txn brought with it as image ${image_record##*/} was taken back since; install that update again"
        return 1
    done
}

image_taken_back() {
    image_target_read "$1" || return 1
    image_error="image $1: $image_conf no longer says which program takes back what update $image_txn brought"
    if [ "$image_kind" != handler ] || ! image_handler_judged "$1"; then return 1; fi
    image_status=0
    image_said=$( (
        OTA_SLOT=$image_slot OTA_UPDATE=$image_txn
        export OTA_SLOT OTA_UPDATE
        image_handler_called rollback "$1"
    ) 2>&1 </dev/null) || image_status=$?
    [ "$image_status" -ne 0 ] || return 0
    image_error="image $1: $image_handler rollback $1 ended with $image_status: $(printf '%s' "$image_said" | head -n 1 | tr '\001-\037\177' ' ')"
    return 1
}

# image_of_slot NAME SLOT: prints the device of a pair's member.
image_of_slot() {
    image_target_read "$1" || return 1
    image_error="the image $1 has no pair of devices here ($IMAGES_TARGETS/$1.conf)"
    [ "$image_kind" = pair ] || return 1
    case $2 in
    a) printf '%s\n' "$image_a_device" ;;
    b) printf '%s\n' "$image_b_device" ;;
    *) return 1 ;;
    esac
}
