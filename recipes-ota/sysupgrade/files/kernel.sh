# shellcheck shell=sh disable=SC2034
# Variables are for the sourcing script.
# SPDX-License-Identifier: MIT
#
# kernel.sh - what the kernel says: its mounts, its command line, the time since power-on, its devices.
#
# To be sourced by a script that runs under `set -eu`; of the package ota-data, which every other one needs. Functions report failure by their return
# value; nothing here exits. A question that could not be put is never answered with no.

# What is read here is read by the shell itself where that can be: an update asks for such values so often that programs for it cost more than
# verifying its bytes.

MOUNTS_UNREAD='the list of mounts (/proc/self/mountinfo) cannot be read'

# mount_on PLACE: the mount that is visible there, by its name without links, as the kernel has it. mount_of DEVICE: the first one of the device
# with this number. Both set mount_device (its number), mount_place, mount_type, and mount_options with a comma around each: those of the mount,
# then those of the file system. 1 when there is no such mount, 2 when that is not known.
mount_on() { mount_asked 5 "$1"; }
mount_of() { mount_asked 3 "$1"; }

mount_asked() {
    mount_device='' mount_place='' mount_type='' mount_options=''
    mount_said=$(awk -v field="$1" -v wanted="$2" -f /usr/lib/otamgr/mounts.awk /proc/self/mountinfo 2>/dev/null) || return 2
    case $mount_said in
    'found '*) ;;
    none) return 1 ;;
    *) return 2 ;;
    esac
    mount_said=${mount_said#* }
    mount_device=${mount_said%% *} mount_said=${mount_said#* }
    mount_place=${mount_said%% *} mount_said=${mount_said#* }
    mount_type=${mount_said%% *} mount_options=,${mount_said#* },
}

# nothing_on PLACE: nothing is mounted there, for sure.
nothing_on() {
    mount_found=0
    mount_on "$1" || mount_found=$?
    [ "$mount_found" -eq 1 ]
}

# kernel_word NAME: prints the last NAME=VALUE on the kernel's command line, as the kernel itself takes the last; an empty line when there is none.
kernel_word() (
    kernel_line=''
    { read -r kernel_line </proc/cmdline; } 2>/dev/null || [ -n "$kernel_line" ] || return 2
    set -f
    kernel_said=''
    for kernel_one in $kernel_line; do
        case $kernel_one in "$1="*) kernel_said=${kernel_one#*=} ;; esac
    done
    printf '%s\n' "$kernel_said"
)

# uptime_read: sets uptime, whole seconds since power-on, without another process. uptime_seconds prints it.
uptime_read() {
    { read -r uptime _ </proc/uptime; } 2>/dev/null || return 1
    uptime=${uptime%%.*}
}

uptime_seconds() {
    uptime_read && printf '%s\n' "$uptime"
}

# uevent_read DIRECTORY: of a block device in sysfs sets uevent_device, its name, and uevent_partition, the partition's; empty when it has none.
uevent_read() {
    uevent_device='' uevent_partition=''
    [ -r "$1/uevent" ] || return 1
    while IFS= read -r uevent_line; do
        case $uevent_line in
        DEVNAME=*) uevent_device=${uevent_line#*=} ;;
        PARTNAME=*) uevent_partition=${uevent_line#*=} ;;
        esac
    done <"$1/uevent"
}

# device_read NUMBER NAME: sets device_said to what the kernel says of a block device, in /sys/dev/block/NUMBER/NAME. device_value prints it.
device_read() {
    { read -r device_said <"/sys/dev/block/$1/$2"; } 2>/dev/null
}

device_value() {
    device_read "$@" && printf '%s\n' "$device_said"
}

# device_below NUMBER: sets device_number_below to that of the device that the kernel verifies on the way (dm-verity over one partition), or to NUMBER.
device_below() {
    device_number_below=$1
    if [ -d "/sys/dev/block/$1/dm" ]; then
        set -- "$1" "/sys/dev/block/$1/slaves/"*
        if [ $# -eq 2 ] && device_read "$1" "slaves/${2##*/}/dev"; then device_number_below=$device_said; fi
    fi
}
