# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from it or the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# new-images.sh - the images of a bundle beside the root file system: judged with everything else, written after the slot and before it is armed.
#
# To be sourced by sysupgrade after images.sh and content.sh.

images_pairs='' images_boots='' images_handlers='' images_numbers='' images_bytes=0 images_memory=0 images_called=''

# image_fact NAME KEY: from the check, or the opening before it.
image_fact() {
    line_of "$2" "$work/content/image.$1/facts" || line_of "$2" "$work/content/image.$1/opened" || :
}

# Every image has a target, and every target that needs one gets it; else nothing is touched, and nothing is fetched.
images_have_targets() {
    images_brought=" $(fact images) "
    for image_found in $(images_with_target); do
        image_target_read "$image_found" || fail 24 "$image_error"
        case "$image_kind:$image_required:$images_brought" in
        pair:no:* | handler:* | boot:* | places:* | *" $image_found "*) ;;
        *)
            fail 24 "the update has no image $image_found, so the new system would run with what slot $target_slot had before ($image_conf); deliver a bundle with it, or say REQUIRED=no there"
            ;;
        esac
    done
    for image_found in $images_brought; do
        image_target_read "$image_found" || fail 24 "$image_error"
        if [ -n "$image_kind" ]; then continue; fi
        [ "$(image_fact "$image_found" optional)" = yes ] ||
            fail 24 "the bundle has an image $image_found, and this device has no target for it ($image_conf); the bundle may call it optional"
        inform "the bundle's image $image_found is optional, and has no target here: passed over"
    done
}

# Each target can take its image.
images_are_acceptable() {
    images_have_targets
    for image_found in $images_brought; do
        image_target_read "$image_found" || fail 24 "$image_error"
        case $image_kind in
        pair) image_pair_is_acceptable "$image_found" ;;
        boot) image_boot_is_acceptable "$image_found" ;;
        places) image_places_are_acceptable "$image_found" ;;
        handler) image_handler_is_acceptable "$image_found" ;;
        esac
    done
}

image_pair_is_acceptable() {
    image_pair_judged "$1" "$target_slot" || fail 24 "$image_error"
    image_fits_partition "$1"
    images_pairs="$images_pairs $1"
}

# Written where the ROM does not read; which of both it reads is switched when the update is committed.
image_boot_is_acceptable() {
    { image_boot_judged "$1" && image_records_possible; } || fail 24 "$image_error"
    image_fits_partition "$1"
    images_boots="$images_boots $1"
}

# The second place, which the ROM tries only when it finds nothing at the first one.
image_places_are_acceptable() {
    { image_places_judged "$1" && image_records_possible; } || fail 24 "$image_error"
    image_is_whole "$1" /dev/null "$image_bytes"
    images_boots="$images_boots $1"
}

image_fits_partition() {
    image_is_whole "$1" "$image_device" "$image_bytes"
    [ "$(image_fact "$1" content_bytes)" -ge 4096 ] || fail 24 "image $1: expected at least 4096 bytes for a partition, found $(image_fact "$1" content_bytes)"
    images_bytes=$((images_bytes + $(image_fact "$1" bytes_to_write)))
}

image_handler_is_acceptable() {
    { image_handler_judged "$1" && image_records_possible; } || fail 24 "$image_error"
    # Whatever a handler keeps, it knows how large that may be.
    image_is_whole "$1" /dev/null 17179869184
    images_handlers="$images_handlers $1"
}

image_is_whole() {
    content_place=content/image.$1 content_about="image $1: "
    content check "reading the image $1" check --slot "$2" --slot-bytes "$3"
    content_succeeded
    content_place=content content_about=''
    image_memory=$(image_fact "$1" memory_needed)
    [ "$image_memory" -le "$images_memory" ] || images_memory=$image_memory
}

# Before the header: with a failure here there is none in the new system. Handlers last, for only they change what runs now.
images_are_in_place() {
    for image_found in $images_pairs; do
        image_device=$(image_of_slot "$image_found" "$target_slot") || fail 24 "the pair of the image $image_found is no longer there"
        image_is_written "$image_found" "$image_device"
    done
    # What an earlier update left there is taken back first, or its record would be lost.
    if [ -n "$images_boots$images_handlers" ]; then images_settled "$running_slot" || fail 25 "$image_error"; fi
    images_are_forgotten "$running_slot"
    for image_found in $images_boots; do
        image_target_read "$image_found" || fail 24 "$image_error"
        case $image_kind in
        boot) image_boot_is_written "$image_found" ;;
        places) image_second_is_written "$image_found" ;;
        *) fail 24 "$image_conf no longer says where the boot loader lies" ;;
        esac
    done
    for image_found in $images_handlers; do image_is_handled "$image_found"; done
}

# image_is_written NAME DEVICE
image_is_written() {
    content_place=content/image.$1 content_about="image $1: "
    content write "image $1" write --slot "$2"
    content_succeeded
    image_written=$(said written)
    content verify "image $1" verify --slot "$2"
    content_succeeded
    content_place=content content_about=''
    journal_append image-written "txn=$txn" "image=$1" "slot=$target_slot" "device=$2" "written=$image_written"
}

# Until the record is there nobody uses what is written, and until the update is committed neither.
image_boot_is_written() {
    image_boot_judged "$1" || fail 24 "$image_error"
    # The kernel protects boot partitions from whoever does not mean them.
    image_unlocked=/sys/dev/block/$image_number/force_ro
    printf 0 >"$image_unlocked" 2>/dev/null || fail 24 "image $1: $image_device stays write-protected ($image_unlocked)"
    image_is_written "$1" "$image_device"
    image_boots_are_locked
    image_blocks=$((($(image_fact "$1" content_bytes) + 4095) / 4096))
    images_called=yes
    image_recorded "$1" "$target_slot" "$txn" "$image_boot:$image_blocks:$(image_boot_digest "$image_device" "$image_blocks")" || fail 25 "$image_error"
}

image_boots_are_locked() {
    if [ -n "${image_unlocked-}" ]; then printf 1 >"$image_unlocked" 2>/dev/null || :; fi
    image_unlocked=''
}

# As with a boot partition.
image_second_is_written() {
    { image_places_judged "$1" && image_first_is_whole "$1"; } || fail 24 "$image_error"
    image_length=$(image_fact "$1" content_bytes)
    image_is_passed "$1" "$BOOT_PLACE" limited "$BOOT_PLACE" "$image_disk" "$image_second" "$image_length"
    image_digest=$(image_place_read "$image_second" "$image_length" | sha256sum)
    image_length=$(((image_length + 511) / 512 * 512))
    journal_append image-written "txn=$txn" "image=$1" "slot=$target_slot" "device=$image_disk at $image_second" "written=$image_length"
    images_called=yes
    image_recorded "$1" "$target_slot" "$txn" "second:$image_length:${image_digest%% *}" || fail 25 "$image_error"
}

# image_is_passed NAME NAME-OF-PROGRAM COMMAND...: it reads what was verified, from a pipe. An image that changes meanwhile ends before its length.
image_is_passed() {
    image_name=$1 image_program=$2
    shift 2
    rm -f "$work/stream"
    mkfifo "$work/stream"
    "$@" <"$work/stream" 2>"$work/unpacker" &
    unpacker_pid=$!
    content_place=content/image.$image_name content_about="image $image_name: "
    content_started "$work/stream" write "image $image_name" unpack
    image_status=0
    wait "$unpacker_pid" || image_status=$?
    unpacker_pid=''
    content_ended
    [ "$content_status" -ne 5 ] || content_succeeded
    [ "$image_status" -eq 0 ] || fail 25 "image $image_name: $image_program ended with $image_status: $(first_line "$work/unpacker")"
    [ "$content_status" -ne 13 ] || fail 25 "image $image_name: $image_program ended with 0, and has not read all of the image"
    content_succeeded
    content_place=content content_about=''
}

image_handler_installs() {
    OTA_IMAGE_BYTES=$(image_fact "$1" content_bytes) OTA_SLOT=$target_slot OTA_UPDATE=$txn
    export OTA_IMAGE_BYTES OTA_SLOT OTA_UPDATE
    image_handler_called install "$1" "$manifest_version"
}

image_is_handled() {
    { image_target_read "$1" && [ "$image_kind" = handler ] && image_handler_judged "$1"; } || fail 24 "$image_error"
    image_recorded "$1" "$target_slot" "$txn" || fail 25 "$image_error"
    images_called=yes
    image_is_passed "$1" "$image_handler install $1" image_handler_installs "$1"
    journal_append image-installed "txn=$txn" "image=$1" "slot=$target_slot"
}

# images_are_taken_back: after a failure. Not when the trial may be armed: then it is known at the next boot.
images_are_taken_back() {
    image_boots_are_locked
    if [ -n "$images_called" ] && [ "${environment_written-}" != begun ]; then images_settled "$running_slot" || :; fi
}
