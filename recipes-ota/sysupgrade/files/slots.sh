# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# slots.sh - which partitions are the slots, which one runs, and which disk they are on.
#
# To be sourced after kernel.sh, limits.sh and settings.sh by a script that runs under `set -eu`. Functions report failure by their return value, with the
# reason for people in $boot_error; nothing here exits. No function touches a slot.

# device_number DEVICE: major:minor in decimal; stat knows only hexadecimal.
device_number() {
    device_hex=$(stat -L -c '%t:%T' "$1") || return 1
    printf '%d:%d\n' "0x${device_hex%:*}" "0x${device_hex#*:}"
}

# slot_bytes NUMBER: size of the slot with this device number.
slot_bytes() {
    slot_sectors=$(device_value "$1" size) || return 1
    printf '%s\n' "$((slot_sectors * 512))"
}

# place_unmounted PLACE: nothing is mounted there any more. Not only our own mount: after a kill there may be one, even stacked.
place_unmounted() {
    unmount_tries=0
    until nothing_on "$1"; do
        unmount_tries=$((unmount_tries + 1))
        [ "$unmount_tries" -le 20 ] || return 1
        limited umount "$1" 2>/dev/null || limited umount -l "$1" 2>/dev/null || :
    done
}

other_slot() {
    case $1 in a) printf 'b\n' ;; b) printf 'a\n' ;; *) return 1 ;; esac
}

# disk_of NUMBER: sets disk_found to the disk that the block device with this number is, or is a partition of; to nothing when it is not known. The
# hardware partitions of an eMMC (mmcblk0boot0) are of its disk.
disk_of() {
    disk_found='' disk_folder=/sys/dev/block/$1
    [ -n "$1" ] || return 1
    if [ -e "$disk_folder/partition" ]; then disk_folder=$disk_folder/..; fi
    uevent_read "$disk_folder" || return 1
    disk_found=${uevent_device%boot[01]}
}

# slots_find
# Sets slot_a_device, slot_a_number (major:minor), the same for b, and running_slot (a or b; empty when / is neither).
# The slots are the partitions named rootfs-a and rootfs-b on the disk that / is on: `root=` is what somebody asked
# the kernel for, the device number of / is what it did. slots.conf names the devices where partitions have no
# names (MBR).
slots_find() {
    slot_a_device='' slot_a_number='' slot_b_device='' slot_b_number='' running_slot=''
    # The last mount on / is the visible one; an initramfs leaves an older line.
    root_number=''
    mount_on / || {
        boot_error="the device of / is not known: $MOUNTS_UNREAD"
        return 10
    }
    device_below "$mount_device"
    root_number=$device_number_below
    if [ -z "$root_number" ] || [ ! -e "/sys/dev/block/$root_number" ]; then
        boot_error="/ is not on a partition (device number '${root_number:-none}' is not in /sys/dev/block); an A/B system runs from rootfs-a or rootfs-b"
        return 10
    fi
    if [ -e "$SETTINGS_SLOTS" ]; then
        slots_find_configured || return 10
    else
        slots_find_named || return 10
    fi
    if [ "$slot_a_number" = "$slot_b_number" ]; then
        boot_error="slot a ($slot_a_device) and slot b ($slot_b_device) are the same device"
        return 10
    fi
    case $root_number in
    "$slot_a_number") running_slot=a ;;
    "$slot_b_number") running_slot=b ;;
    *)
        boot_error="the running root (device $root_number) is neither slot a ($slot_a_device) nor slot b ($slot_b_device)"
        return 10
        ;;
    esac
}

slots_find_named() {
    for partition in "/sys/dev/block/$root_number"/../*/partition; do
        partition=${partition%/partition}
        uevent_read "$partition" || continue
        partition_name=$uevent_partition
        case $partition_name in rootfs-a | rootfs-b) ;; *) continue ;; esac
        partition_device=/dev/$uevent_device partition_number=''
        if device_read "$root_number/../${partition##*/}" dev; then partition_number=$device_said; fi
        if [ ! -b "$partition_device" ] || [ -z "$partition_number" ]; then
            boot_error="partition $partition_name: $partition_device is not a block device"
            return 10
        fi
        case $partition_name in
        rootfs-a)
            [ -z "$slot_a_device" ] || {
                boot_error="two partitions are named rootfs-a: $slot_a_device and $partition_device"
                return 10
            }
            slot_a_device=$partition_device slot_a_number=$partition_number
            ;;
        rootfs-b)
            [ -z "$slot_b_device" ] || {
                boot_error="two partitions are named rootfs-b: $slot_b_device and $partition_device"
                return 10
            }
            slot_b_device=$partition_device slot_b_number=$partition_number
            ;;
        esac
    done
    if [ -z "$slot_a_device" ] || [ -z "$slot_b_device" ]; then
        boot_error="the disk of / needs partitions named rootfs-a and rootfs-b, found a='$slot_a_device' b='$slot_b_device'; name them, or name the devices in $SETTINGS_SLOTS"
        return 10
    fi
}

slots_find_configured() {
    settings_read "$SETTINGS_SLOTS" || {
        boot_error=$settings_problem
        return 10
    }
    slot_a_device=$(settings_value SLOT_A_DEVICE)
    slot_b_device=$(settings_value SLOT_B_DEVICE)
    for slot_device in "$slot_a_device" "$slot_b_device"; do
        if [ ! -b "$slot_device" ]; then
            boot_error="$SETTINGS_SLOTS must set SLOT_A_DEVICE and SLOT_B_DEVICE to block devices, found '$slot_device'"
            return 10
        fi
    done
    slot_a_number=$(device_number "$slot_a_device") || return 10
    slot_b_number=$(device_number "$slot_b_device") || return 10
    # The boot script looks for both where it found one. A name like mmcblk1 may be another card than it was when the file was written.
    disk_of "$slot_a_number" || return 0
    slot_a_disk=$disk_found
    disk_of "$slot_b_number" || return 0
    if [ "$slot_a_disk" != "$disk_found" ] && [ -e "/sys/dev/block/$slot_a_number/partition" ] && [ -e "/sys/dev/block/$slot_b_number/partition" ]; then
        boot_error="$SETTINGS_SLOTS names slots on two disks ($slot_a_device, $slot_b_device), and U-Boot starts both from one; correct it"
        return 10
    fi
}
