# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from it or the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# boot-places.sh - a boot loader at two places of a disk, which the SoC's ROM tries one after the other.
#
#   /etc/otamgr/images.d/NAME.conf   PLACE_DEVICE, the disk; PLACE_FIRST and PLACE_SECOND, in the order of the ROM; PLACE_BYTES of each
#   /data/otamgr/images/NAME         SLOT UPDATE second:BYTES:SHA256: it lies at the second place, whole sectors with zeros
#                                    behind it, and is to be used once SLOT is committed
#   /data/otamgr/images/.NAME.first  BYTES:SHA256 of what a commit has put to the first place
#
# The second place is written with the slot, while the ROM starts from the first one; the first one after the commit, while the second one holds
# the same, verified. So there is one whole boot loader at each moment, and none of an update that is not committed is started.
#
# To be sourced after images.sh. Functions report failure by their return value, with the reason for people in $image_error; nothing here exits.

BOOT_PLACE=/usr/lib/otamgr/ota-boot-place

# image_places_are_numbers: of the target that was read.
image_places_are_numbers() {
    for image_number in "$image_first" "$image_second" "$image_place_bytes"; do
        case $image_number in
        '' | *[!0-9]* | 0* | ???????????????*) return 1 ;;
        esac
        [ $((image_number % 512)) -eq 0 ] || return 1
    done
}

# image_places_judged NAME: an update may write there. Sets image_number and image_bytes. To be called after slots_find.
image_places_judged() {
    image_places_are_apart "$1" || return 1
    image_error="image $1: the first place of $image_disk ($image_first) is empty: if the device starts from the second one, there is no other boot loader than that, and it is not overwritten; write it to the first place (docs/boot-loader.md)"
    image_place_is_taken "$image_first" || return 1
    image_first_known "$1" || return 0
    image_error="image $1: neither the first place of $image_disk ($image_first) nor the second one holds what the last update with a boot loader has put there (SHA-256 ${image_known#*:}): perhaps the device starts from the second one, which is not overwritten; write the first place again, then remove $IMAGES_RECORDS/.$1.first (docs/boot-loader.md)"
    image_place_holds "$image_first" "$image_known" || image_place_holds "$image_second" "$image_known"
}

# image_places_are_apart NAME: no place is on the other one, a partition, or a copy of the environment.
image_places_are_apart() {
    image_error="image $1: PLACE_DEVICE is $image_disk in $image_conf, "
    if [ ! -x "$BOOT_PLACE" ]; then
        image_error="${image_error}and there is no $BOOT_PLACE (package ota-boot-loader)"
        return 1
    fi
    image_number=''
    if [ -b "$image_disk" ]; then image_number=$(device_number "$image_disk") || image_number=''; fi
    if [ -z "$image_number" ] || [ ! -e "/sys/dev/block/$image_number/size" ] || [ -e "/sys/dev/block/$image_number/partition" ]; then
        image_error="${image_error}expected a whole disk"
        return 1
    fi
    image_end=$(slot_bytes "$image_number") || image_end=0
    # shellcheck disable=SC2119
    image_copies=$(environment_places) || {
        image_error="image $1: $image_copies"
        return 1
    }
    for image_place in "$image_first" "$image_second"; do
        image_error="image $1: the place of $image_place_bytes bytes at $image_place ($image_conf) is "
        if [ $((image_place + image_place_bytes)) -gt "$image_end" ]; then
            image_error="${image_error}not on $image_disk, which has $image_end"
            return 1
        fi
        for image_partition in "/sys/dev/block/$image_number"/*/partition; do
            if [ ! -e "$image_partition" ]; then continue; fi
            image_partition=${image_partition%/partition}
            read -r image_start <"$image_partition/start" && read -r image_size <"$image_partition/size" || return 1
            ! ranges_overlap "$image_place" "$image_place_bytes" "$((image_start * 512))" "$((image_size * 512))" || {
                image_error="${image_error}over the partition ${image_partition##*/}"
                return 1
            }
        done
        image_free=yes
        while read -r copy_number _ _ copy_offset _ copy_size _; do
            if [ "$copy_number" = "$image_number" ] && ranges_overlap "$image_place" "$image_place_bytes" "$copy_offset" "$copy_size"; then image_free=''; fi
        done <<END
$image_copies
END
        if [ -z "$image_free" ]; then
            image_error="${image_error}over a copy of the U-Boot environment ($ENVIRONMENT_CONFIG)"
            return 1
        fi
    done
    image_error="image $1: the places at $image_first and $image_second, of $image_place_bytes bytes each, overlap ($image_conf)"
    ! ranges_overlap "$image_first" "$image_place_bytes" "$image_second" "$image_place_bytes" || return 1
    image_bytes=$image_place_bytes
}

# image_place_read PLACE BYTES: what lies there, to standard output, up to the end of the last sector.
image_place_read() {
    limited dd if="$image_disk" bs=512 skip="$(($1 / 512))" count="$((($2 + 511) / 512))" 2>/dev/null
}

# image_place_is_taken PLACE: its first sector, by which ROMs know a boot loader, is not cleared.
image_place_is_taken() {
    [ "$(image_place_read "$1" 512 | tr -d '\000' | wc -c)" -gt 0 ]
}

# image_place_holds PLACE BYTES:SHA256
image_place_holds() {
    [ "$(image_place_read "$1" "${2%:*}" | sha256sum | cut -d ' ' -f 1)" = "${2#*:}" ]
}

# image_first_known NAME: sets image_known, what a commit has put to the first place. Fails when no update has, or nobody knows.
image_first_known() {
    image_known=''
    if [ ! -f "$IMAGES_RECORDS/.$1.first" ] || [ -L "$IMAGES_RECORDS/.$1.first" ]; then return 1; fi
    read -r image_known <"$IMAGES_RECORDS/.$1.first" || :
    image_known_bytes=${image_known%:*} image_known_digest=${image_known#*:}
    case $image_known_bytes:$image_known_digest in *[!0-9]*:* | :* | *:*[!0-9a-f]*) return 1 ;; esac
    [ "${#image_known_digest}" -eq 64 ] && [ "${#image_known_bytes}" -lt 15 ]
}

# image_first_is_whole NAME: after image_places_judged. Where the first place is rotten the second one, which may be what the device starts from,
# is not written before it is at both.
image_first_is_whole() {
    if ! image_first_known "$1" || image_place_holds "$image_first" "$image_known"; then return 0; fi
    image_first_written "$1" "$image_known" || return 1
    journal_append image-repaired "txn=$txn" "image=$1" "to=$image_disk at $image_first"
}

# image_first_written NAME BYTES:SHA256: from the second place to the first one, what was read and verified once.
image_first_written() {
    image_error="image $1: no place for $((${2%:*} / 1024 + 1)) KiB in $BOOT_STATE_RUN"
    run_folder_made || return 1
    image_copy=$BOOT_STATE_RUN/boot-loader
    rm -rf "$image_copy"
    image_place_read "$image_second" "${2%:*}" >"$image_copy" 2>/dev/null || {
        rm -f "$image_copy"
        return 1
    }
    image_said='' image_found=$(sha256sum <"$image_copy" | cut -d ' ' -f 1)
    image_error="image $1: the second place of $image_disk ($image_second) does not hold what update ${image_txn:-of before} has written there (expected SHA-256 ${2#*:}, found $image_found); the boot loader stays the one at the first place ($image_first): install the update again"
    [ "$image_found" = "${2#*:}" ] || {
        rm -f "$image_copy"
        return 1
    }
    image_said=$(limited "$BOOT_PLACE" "$image_disk" "$image_first" "${2%:*}" 2>&1 <"$image_copy") || {
        image_error="image $1: $(printf '%s' "$image_said" | head -n 1)"
        rm -f "$image_copy"
        return 1
    }
    rm -f "$image_copy"
}

# image_places_switched NAME BYTES:SHA256: the ROM finds at its first place what was verified.
image_places_switched() {
    image_target_read "$1" || return 1
    image_error="image $1: $image_conf no longer names the places that update $image_txn has written the boot loader to"
    if [ "$image_kind" != places ] || ! image_places_are_apart "$1"; then return 1; fi
    if [ "${2%:*}" -gt "$image_place_bytes" ]; then return 1; fi
    image_place_holds "$image_first" "$2" || image_first_written "$1" "$2" || return 1
    image_error="$IMAGES_RECORDS/.$1.first cannot be written: is /data full, or read-only?"
    { printf '%s\n' "$2" >"$IMAGES_RECORDS/.$1.new" && limited sync && mv -f "$IMAGES_RECORDS/.$1.new" "$IMAGES_RECORDS/.$1.first" && limited sync; } 2>/dev/null
}
