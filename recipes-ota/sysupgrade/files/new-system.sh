# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from it or the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# new-system.sh - what is looked for and placed in the new system: init and kernel, header, manifest, marker. Nothing in it is run,
# and no link in it leads out of it.
#
# To be sourced by sysupgrade after environment.sh and file-system.sh.

MARKER=/boot/ota-slot-valid
# What the boot script starts.
KERNELS='Image zImage uImage fitImage bzImage'
# Of a system whose kernel is in the signed image behind its file system.
VERIFIED_MARKER=/boot/ota-verified

# inside_new_root PATH
# Prints where PATH of the new system is found from here, following symbolic links as the new system will: an absolute
# link means the new root, not ours. Nothing written to such a path can end up in the running system.
inside_new_root() (
    rest=$1 resolved='' links=0
    while [ -n "$rest" ]; do
        case $rest in
        */*) part=${rest%%/*} rest=${rest#*/} ;;
        *) part=$rest rest='' ;;
        esac
        case $part in
        '' | .) ;;
        ..) resolved=${resolved%/*} ;;
        *)
            if [ -L "$new_root$resolved/$part" ]; then
                links=$((links + 1))
                [ "$links" -le 40 ] || return 1
                link=$(readlink "$new_root$resolved/$part") || return 1
                case $link in /*) resolved='' ;; esac
                rest=$link/$rest
            else
                resolved=$resolved/$part
            fi
            ;;
        esac
    done
    printf '%s\n' "$new_root$resolved"
)

# new_root_has FILE: one that holds something
new_root_has() {
    found=$(inside_new_root "$1") && [ -f "$found" ] && [ -s "$found" ]
}

# incompatible REASON: what -F overrules
incompatible() {
    [ -n "$forced" ] || fail 7 "$1"
    complain "$1 (going on because of -F)"
}

new_root_is_a_system() {
    { etc=$(inside_new_root /etc) && [ -d "$etc" ]; } || fail 7 'the new system has no /etc'
    # It would look for an overlay, and nothing was made as one.
    if [ -z "$read_only" ] && new_root_has "$OVERLAY_MARKER"; then
        fail 7 "the root of the new system is read-only ($OVERLAY_MARKER), and a $format is unpacked; deliver it as ext4, as squashfs compressed with gzip, xz or zstd, or as erofs"
    fi
    if ! new_root_has /sbin/init; then
        incompatible 'the new system has no /sbin/init'
    elif [ ! -x "$found" ]; then
        incompatible 'the new system has no /sbin/init that may be executed (its mode)'
    fi
    if [ -f "$VERIFIED_MARKER" ]; then
        new_root_has "$VERIFIED_MARKER" || incompatible "the new system has no signed image of its kernel ($VERIFIED_MARKER), and this board starts nothing else"
    fi
    for kernel in ${VERIFIED_MARKER##*/} $KERNELS; do
        if new_root_has "/boot/$kernel"; then return 0; fi
    done
    incompatible "the new system has no kernel in /boot (one of: $KERNELS)"
}

# What U-Boot would not start is not armed. It has the last word: where Linux cannot read the floor the trial shows it.
new_root_is_allowed() {
    command -v ota-floor >/dev/null || return 0
    verified_marker=$(inside_new_root "$VERIFIED_MARKER") || verified_marker=''
    allowed=0
    said=$(ota-floor allows "$verified_marker" 2>&1) || allowed=$?
    case $allowed in
    0) ;;
    3) fail 20 "of the new system: ${said#ota-floor: }" ;;
    *) complain "$said (going on: U-Boot reads it again)" ;;
    esac
}

# The /etc of a system whose root is read-only: an overlay of the slot's own, which nobody mounts before it is complete.
new_etc_is_mounted() {
    read_only=yes
    { [ "$(inside_new_root /etc)" = "$new_root/etc" ] && [ -d "$new_root/etc" ]; } || fail 7 'the root of the new system is read-only, and its /etc is no folder'
    new_root_has "$MARKER" || fail 7 "the root of the new system is read-only, and it does not bring $MARKER, which cannot be put there; build it with the image class of the layer"
    { overlay_has_a_place && overlay_home_made && overlay_begun "$target_slot.$txn" "$new_root/etc"; } || fail 15 "$overlay_error"
    room_left=$(space_left /data)
    [ "$room_needed" -le "$room_left" ] ||
        fail 21 "header and kept files need $room_needed bytes on /data, for the root of the new system is read-only, and $room_left are left"
    attributes_are_kept "$new_root/etc/." "$OVERLAY_HOME/new.$target_slot.$txn/upper" || fail 15 "the attributes of /etc cannot be kept on /data"
    overlay_put "$OVERLAY_HOME/new.$target_slot.$txn" "$new_root/etc" || fail 15 "$overlay_error"
}

# The commit takes the floor from it, so a system that no bundle brought must not have one.
manifest_is_placed() {
    place=$(inside_new_root "$BOOT_STATE_MANIFEST") || place=''
    if [ -n "$bundle" ]; then
        { [ -n "$place" ] && (umask 022 && mkdir -p "${place%/*}") && rm -f "$place" && cat <"$work/content/manifest" >"$place" && chmod 644 "$place"; } 2>"$work/sink" ||
            fail 15 "the manifest could not be written to $BOOT_STATE_MANIFEST of the new system: $(first_line "$work/sink")"
        limited sync
    elif [ -n "$place" ] && [ -e "$place" ]; then
        rm -f "$place" 2>"$work/sink" || fail 15 "$BOOT_STATE_MANIFEST of the new system could not be removed: $(first_line "$work/sink")"
    fi
}

header_is_placed() {
    progress header 0 'placing the header'
    # An image made from a running system may bring the marker of that system.
    if [ -z "$read_only" ] && boot=$(inside_new_root /boot) && [ -d "$boot" ]; then
        rm -f "$boot/${MARKER##*/}"
    fi
    manifest_is_placed
    if [ -n "$header" ]; then
        placed=$etc/$header_name
        [ ! -d "$placed" ] || [ -L "$placed" ] || fail 15 "the header cannot be placed: /etc/$header_name of the new system is a directory"
        rm -f "$placed"
        { cat <"$work/header" >"$etc/.ota-header.new" && chmod 644 "$etc/.ota-header.new" &&
            mv -f "$etc/.ota-header.new" "$placed"; } 2>"$work/sink" ||
            fail 15 "the header could not be written to /etc/$header_name of the new system: $(first_line "$work/sink")"
        limited sync
    fi
    progress header 100 "${header_name:-no header}"
}

# new_system_finds_its_trial: whether it looks for slots and environment where U-Boot does, which an update does not change. Another place
# would mean that it never sees its trial, and never commits it. Judged when kept files are there, for they may be these.
new_system_finds_its_trial() {
    new_config=$(inside_new_root "$ENVIRONMENT_CONFIG") || new_config=''
    if [ -z "$new_config" ] || [ ! -e "$new_config" ]; then
        inform "the new system has no $ENVIRONMENT_CONFIG, and finds its trial only if it makes one when it starts"
    else
        # That another kernel gives the device another name says whoever built that, as ENV_DEVICE.
        new_update=$(inside_new_root "$SETTINGS_UPDATE") || new_update=''
        if [ -z "$new_update" ] || ! settings_read "$new_update" || [ -z "$(settings_value ENV_DEVICE)" ]; then
            environment_is_the_same "$new_config" 's/ [^ ]* at / at /'
        else
            environment_is_the_same "$new_config" 's/^[^ ]* [^ ]* at / at /'
        fi
    fi
    new_slots=$(inside_new_root "$SETTINGS_SLOTS") || new_slots=''
    if [ -n "$new_slots" ] && [ -e "$new_slots" ]; then
        settings_read "$new_slots" || fail 7 "of the new system: $(printf '%s' "$settings_problem" | head -n 1)"
        for slot_key in SLOT_A_DEVICE SLOT_B_DEVICE; do
            slot_device=$(settings_value "$slot_key")
            case $slot_key in
            SLOT_A_DEVICE) slot_number=$slot_a_number slot_here=$slot_a_device ;;
            *) slot_number=$slot_b_number slot_here=$slot_b_device ;;
            esac
            new_number=''
            if [ -b "$slot_device" ]; then new_number=$(device_number "$slot_device") || new_number=''; fi
            [ "$new_number" = "$slot_number" ] ||
                fail 7 "the new system would not find its slots: its $SETTINGS_SLOTS says $slot_key=$slot_device, here it is $slot_here"
        done
    elif [ -e "$SETTINGS_SLOTS" ]; then
        for slot_number in "$slot_a_number" "$slot_b_number"; do
            uevent_read "/sys/dev/block/$slot_number" || :
            case $uevent_partition in
            rootfs-a | rootfs-b) ;;
            *) fail 7 "the new system would not find its slots: it has no $SETTINGS_SLOTS, and the partitions here have no names; keep it: a line $SETTINGS_SLOTS in /etc/sysupgrade.conf" ;;
            esac
        done
    fi
}

# environment_is_the_same CONFIG COMPARED: whether this fw_env.config names what ours does, after this command of sed. One device may have several
# names.
environment_is_the_same() {
    places=$(environment_places) || fail 10 "$places"
    new_places=$(environment_places "$1") || fail 7 "of the new system: $new_places"
    [ "$(printf '%s\n' "$places" | sed "$2" | sort)" = "$(printf '%s\n' "$new_places" | sed "$2" | sort)" ] ||
        fail 7 "the new system would not find its trial: its $ENVIRONMENT_CONFIG names $(places_shown "$new_places"), the one here $(places_shown "$places"); build it for the place that this device has (OTA_ENV_DEVICE, OTA_ENV_OFFSET, OTA_ENV_OFFSET_REDUND, OTA_ENV_SIZE), or keep the file: a line $ENVIRONMENT_CONFIG in /etc/sysupgrade.conf"
}

# bundle_finds_its_trial: the same, where the manifest says what its system has and no kept file takes that place: before the slot is touched.
bundle_finds_its_trial() {
    { [ -n "$bundle" ] && manifest_environment=$(line_of x-environment "$work/content/manifest"); } || return 0
    while IFS= read -r kept_line; do
        # shellcheck disable=SC2254  # it may be a pattern
        case $ENVIRONMENT_CONFIG/ in $kept_line/*) return 0 ;; esac
    done <"$work/keep"
    printf '%s\n' "$manifest_environment" | tr ';' '\n' >"$work/environment"
    environment_is_the_same "$work/environment" 's/ [^ ]* at / at /'
}

places_shown() {
    printf '%s\n' "$1" | sed 's/^[^ ]* //' | awk '{ line = line (NR > 1 ? " and " : "") $0 } END { print line }'
}

# Last of all files: whoever finds it finds a complete system.
new_system_is_marked_complete() {
    if [ -n "$header" ]; then
        "$CONTENT_ENGINE" same "$work/header" "$etc/$header_name" 2>/dev/null || fail 15 "the header in /etc/$header_name of the new system reads back differently"
    fi
    if [ -n "$bundle" ]; then
        { place=$(inside_new_root "$BOOT_STATE_MANIFEST") && "$CONTENT_ENGINE" same "$work/content/manifest" "$place" 2>/dev/null; } ||
            fail 15 "$BOOT_STATE_MANIFEST of the new system reads back differently"
    fi
    if [ -n "$read_only" ]; then
        limited sync
        new_root_unmounted || fail 15 "slot $target_slot cannot be unmounted"
        overlay_completed "$target_slot.$txn" || fail 15 "$overlay_error"
        return 0
    fi
    { boot=$(inside_new_root "${MARKER%/*}") && (umask 022 && mkdir -p "$boot" && printf 'txn=%s\n' "$txn" >"$boot/${MARKER##*/}"); } ||
        fail 15 "$MARKER could not be written to the new system"
    limited sync
    new_root_unmounted || fail 15 "slot $target_slot cannot be unmounted"
    limited sync
}
