# shellcheck shell=sh
# SPDX-License-Identifier: MIT
#
# boot-state.sh - the boot state of an A/B board, for sysupgrade, ota-slot and ota-trial-guard.
#
# The only file in user space that knows the contract with the U-Boot boot script:
#   ota_slot        a|b, the committed slot, always known good
#   ota_trial       empty, or the slot on trial
#   ota_tries       boots left for the trial; U-Boot counts down and saves before it loads anything
#   ota_txn         id of the update that set the trial; the journal uses the same id
#   ota_failed      ota_txn of the last trial that U-Boot gave up
#   ota_failed_why  U-Boot's reason, one word (load-failed, tries-used-up, ...)
#   ota_floor       no bundle with an older version is installed; moves with a commit. U-Boot only keeps it
# An unset variable and an empty one mean the same: libubootenv removes what is set to nothing.
#
# To be sourced by a script that runs under `set -eu`. Functions report failure by their return value, with the
# reason for people in $boot_error; nothing here exits. No function touches a slot.

# shellcheck disable=SC2034  # most variables are for the sourcing script
BOOT_STATE_SLOTS_CONF=/etc/otamgr/slots.conf
BOOT_STATE_TRIAL_CONF=/etc/otamgr/trial.conf
BOOT_STATE_RUN=/run/otamgr
BOOT_STATE_ARMED=$BOOT_STATE_RUN/armed
BOOT_STATE_LOCK=$BOOT_STATE_RUN/sysupgrade.lock
BOOT_STATE_JOURNAL=/data/otamgr/journal
BOOT_STATE_REBOOT_REASON=/afero_nv/reboot_reason
# Of the running system, if a bundle brought it: sysupgrade puts it there.
BOOT_STATE_MANIFEST=/etc/otamgr/manifest

# 64 KiB; the file before it is kept as journal.1, so that at most twice this is used.
BOOT_STATE_JOURNAL_LIMIT=65536

# Early init scripts and callers such as the original otamgr may bring a short PATH.
PATH=${PATH:+$PATH:}/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# conf_value FILE KEY
# Prints the value of the last KEY=value line, without quotes around it; prints nothing when there is none.
# The file is read, never executed.
conf_value() {
    [ -r "$1" ] || return 0
    sed -n "s/^[[:space:]]*$2=//p" "$1" |
        sed -n -e 's/[[:space:]]*$//' -e 's/^"\(.*\)"$/\1/' -e "s/^'\\(.*\\)'\$/\\1/" -e '$p'
}

# conf_number FILE KEY DEFAULT SMALLEST LARGEST
# Prints the number set for KEY, or DEFAULT. A value that is no number in the range is named on stderr and
# DEFAULT is used: a typing error must neither block an update nor switch the trial guard off.
conf_number() {
    conf_found=$(conf_value "$1" "$2")
    case $conf_found in
    '') printf '%s\n' "$3"; return 0 ;;
    *[!0-9]* | 0?* | ??????????*) ;;
    *)
        if [ "$conf_found" -ge "$4" ] && [ "$conf_found" -le "$5" ]; then
            printf '%s\n' "$conf_found"
            return 0
        fi
        ;;
    esac
    printf '%s: %s is "%s", expected a number from %s to %s; using %s\n' \
        "$1" "$2" "$conf_found" "$4" "$5" "$3" >&2
    printf '%s\n' "$3"
}

# uevent_value DIRECTORY KEY: one value of a sysfs device's uevent file.
uevent_value() {
    sed -n "s/^$2=//p" "$1/uevent" 2>/dev/null
}

# ---- versions ------------------------------------------------------------------------------------------------

# version_is_valid TEXT: numbers with dots, then perhaps a suffix that begins with -.
version_is_valid() {
    printf '%s\n' "$1" | grep -qxE -e '[0-9]{1,9}(\.[0-9]{1,9}){0,7}(-[A-Za-z0-9._+-]{1,32})?'
}

# version_is_older VERSION OTHER: compared number by number, a missing one is 0; the suffix does not count.
version_is_older() {
    printf '%s\n' "$1" "$2" | awk '
        { sub(/-.*/, ""); count = split($0, found, "."); for (i = 1; i <= 8; i++) number[NR, i] = i <= count ? found[i] + 0 : 0 }
        END {
            for (i = 1; i <= 8; i++) if (number[1, i] != number[2, i]) exit number[1, i] > number[2, i]
            exit 1
        }'
}

# ---- slots ---------------------------------------------------------------------------------------------------

# slots_find
# Sets slot_a_device, slot_a_number (major:minor), the same for b, and running_slot (a or b; empty when / is neither).
# The slots are the partitions named rootfs-a and rootfs-b on the disk that / is on: `root=` is what somebody asked
# the kernel for, the device number of / is what it did. slots.conf names the devices where partitions have no
# names (MBR).
slots_find() {
    slot_a_device='' slot_a_number='' slot_b_device='' slot_b_number='' running_slot=''
    # The last mount on / is the visible one; an initramfs leaves an older line.
    root_number=$(awk '$5 == "/" { number = $3 } END { print number }' /proc/self/mountinfo 2>/dev/null) || root_number=''
    if [ -z "$root_number" ] || [ ! -e "/sys/dev/block/$root_number" ]; then
        boot_error="/ is not on a partition (device number '${root_number:-none}' is not in /sys/dev/block); an A/B system runs from rootfs-a or rootfs-b"
        return 10
    fi
    if [ -e "$BOOT_STATE_SLOTS_CONF" ]; then
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
    for partition in "/sys/dev/block/$root_number"/../*; do
        [ -e "$partition/partition" ] || continue
        partition_name=$(uevent_value "$partition" PARTNAME)
        case $partition_name in rootfs-a | rootfs-b) ;; *) continue ;; esac
        partition_device=/dev/$(uevent_value "$partition" DEVNAME)
        partition_number=$(cat "$partition/dev" 2>/dev/null) || partition_number=''
        if [ ! -b "$partition_device" ] || [ -z "$partition_number" ]; then
            boot_error="partition $partition_name: $partition_device is not a block device"
            return 10
        fi
        case $partition_name in
        rootfs-a)
            [ -z "$slot_a_device" ] || { boot_error="two partitions are named rootfs-a: $slot_a_device and $partition_device"; return 10; }
            slot_a_device=$partition_device slot_a_number=$partition_number
            ;;
        rootfs-b)
            [ -z "$slot_b_device" ] || { boot_error="two partitions are named rootfs-b: $slot_b_device and $partition_device"; return 10; }
            slot_b_device=$partition_device slot_b_number=$partition_number
            ;;
        esac
    done
    if [ -z "$slot_a_device" ] || [ -z "$slot_b_device" ]; then
        boot_error="the disk of / needs partitions named rootfs-a and rootfs-b, found a='$slot_a_device' b='$slot_b_device'; name them, or name the devices in $BOOT_STATE_SLOTS_CONF"
        return 10
    fi
}

slots_find_configured() {
    slot_a_device=$(conf_value "$BOOT_STATE_SLOTS_CONF" SLOT_A_DEVICE)
    slot_b_device=$(conf_value "$BOOT_STATE_SLOTS_CONF" SLOT_B_DEVICE)
    for slot_device in "$slot_a_device" "$slot_b_device"; do
        if [ ! -b "$slot_device" ]; then
            boot_error="$BOOT_STATE_SLOTS_CONF must set SLOT_A_DEVICE and SLOT_B_DEVICE to block devices, found '$slot_device'"
            return 10
        fi
    done
    slot_a_number=$(device_number "$slot_a_device") || return 10
    slot_b_number=$(device_number "$slot_b_device") || return 10
}

# device_number DEVICE: major:minor in decimal; stat knows only hexadecimal.
device_number() {
    device_hex=$(stat -L -c '%t:%T' "$1") || return 1
    printf '%d:%d\n' "0x${device_hex%:*}" "0x${device_hex#*:}"
}

# slot_bytes NUMBER: size of the slot with this device number.
slot_bytes() {
    slot_sectors=$(cat "/sys/dev/block/$1/size" 2>/dev/null) || return 1
    printf '%s\n' "$((slot_sectors * 512))"
}

other_slot() {
    case $1 in a) printf 'b\n' ;; b) printf 'a\n' ;; *) return 1 ;; esac
}

# ---- U-Boot environment --------------------------------------------------------------------------------------

# boot_env_read: one fw_printenv; sets ota_slot, ota_trial, ota_tries, ota_txn, ota_failed, ota_failed_why, ota_floor.
boot_env_read() {
    ota_slot='' ota_trial='' ota_tries='' ota_txn='' ota_failed='' ota_failed_why='' ota_floor=''
    if ! boot_env_text=$(fw_printenv 2>&1); then
        boot_error="the U-Boot environment is not readable (fw_printenv: $(printf '%s' "$boot_env_text" | head -n 1)); check /etc/fw_env.config"
        return 10
    fi
    while IFS= read -r boot_env_line; do
        case $boot_env_line in
        ota_slot=*) ota_slot=${boot_env_line#*=} ;;
        ota_trial=*) ota_trial=${boot_env_line#*=} ;;
        ota_tries=*) ota_tries=${boot_env_line#*=} ;;
        ota_txn=*) ota_txn=${boot_env_line#*=} ;;
        ota_failed=*) ota_failed=${boot_env_line#*=} ;;
        ota_failed_why=*) ota_failed_why=${boot_env_line#*=} ;;
        ota_floor=*) ota_floor=${boot_env_line#*=} ;;
        esac
    done <<EOF
$boot_env_text
EOF
    case $ota_slot in
    a | b) ;;
    *) boot_error="ota_slot in the U-Boot environment is '$ota_slot', expected a or b"; return 10 ;;
    esac
    case $ota_trial in
    '') ;;
    "$ota_slot") boot_error="ota_trial and ota_slot in the U-Boot environment are both '$ota_slot'"; return 10 ;;
    a | b) ;;
    *) boot_error="ota_trial in the U-Boot environment is '$ota_trial', expected a, b or nothing"; return 10 ;;
    esac
}

# boot_env_value NAME: the value boot_env_read found.
boot_env_value() {
    case $1 in
    ota_slot) printf '%s\n' "$ota_slot" ;;
    ota_trial) printf '%s\n' "$ota_trial" ;;
    ota_tries) printf '%s\n' "$ota_tries" ;;
    ota_txn) printf '%s\n' "$ota_txn" ;;
    ota_failed) printf '%s\n' "$ota_failed" ;;
    ota_failed_why) printf '%s\n' "$ota_failed_why" ;;
    ota_floor) printf '%s\n' "$ota_floor" ;;
    *) return 1 ;;
    esac
}

# boot_env_write NAME=VALUE...
# All in one fw_setenv call: libubootenv writes the copy that is not in use and only then is that copy the valid
# one, so a power cut leaves either all old or all new values. Two calls would leave a state between them.
# Afterwards everything is read back, because fw_setenv's exit code says nothing of what reached the medium.
boot_env_write() {
    if ! boot_env_text=$(printf '%s\n' "$@" | fw_setenv -s - 2>&1); then
        boot_error="fw_setenv failed: $(printf '%s' "$boot_env_text" | head -n 1)"
        return 17
    fi
    if ! boot_env_read; then
        boot_error="after writing: $boot_error"
        return 17
    fi
    for boot_env_wanted in "$@"; do
        boot_env_found=$(boot_env_value "${boot_env_wanted%%=*}") || boot_env_found='(not an OTA variable)'
        if [ "$boot_env_found" != "${boot_env_wanted#*=}" ]; then
            boot_error="the U-Boot environment does not keep what is written: wrote $boot_env_wanted, read back '$boot_env_found'"
            return 17
        fi
    done
}

# ---- state ---------------------------------------------------------------------------------------------------

# boot_state_read
# Sets everything above and boot_state:
#   committed    no trial, the committed slot runs
#   trial        the slot on trial runs and is not committed yet
#   armed        the committed slot runs, the trial was armed during this boot and starts with the next one
#   interrupted  the committed slot runs although a trial was armed before this boot: U-Boot could not run it
#   mismatch     the running slot is neither the committed one nor the trial
#   unknown      slots or environment cannot be read; $boot_error says why, returns 10
boot_state_read() {
    boot_state=unknown boot_error='' running_slot=''
    boot_env_read || return 10
    slots_find || return 10
    if [ -n "$ota_trial" ] && [ "$running_slot" = "$ota_trial" ]; then
        boot_state=trial
    elif [ "$running_slot" != "$ota_slot" ]; then
        boot_state=mismatch
    elif [ -z "$ota_trial" ]; then
        boot_state=committed
    elif [ "$(armed_this_boot)" = "$ota_txn" ]; then
        boot_state=armed
    else
        boot_state=interrupted
    fi
}

# armed_this_boot: the txn sysupgrade armed since this system started; /run does not outlive it.
armed_this_boot() {
    [ ! -r "$BOOT_STATE_ARMED" ] || head -n 1 "$BOOT_STATE_ARMED"
}

# update_is_running
# Whether a sysupgrade, or a child of one, has its lock open as descriptor 9. Trying to take the lock would tell it too,
# but a sysupgrade that starts at that moment would believe in another one.
update_is_running() {
    for open_file in /proc/[0-9]*/fd/9; do
        # shellcheck disable=SC3013  # known to busybox and dash
        if [ "$open_file" -ef "$BOOT_STATE_LOCK" ]; then return 0; fi
    done
    return 1
}

# txn_generated: the id of an update that got none.
# A clock that starts in 1970 after every power cut gives the same time again, so there is a random part.
txn_generated() {
    random=$(cat /proc/sys/kernel/random/uuid)
    printf '%s-%s\n' "$(date -u +%Y%m%dT%H%M%SZ)" "${random%%-*}"
}

# trial_arm SLOT TRIES TXN
# The note in /run comes first: killed between the two, the trial still counts as armed during this boot.
trial_arm() {
    if ! mkdir -p "$BOOT_STATE_RUN" || ! printf '%s\n' "$3" >"$BOOT_STATE_ARMED"; then
        boot_error="cannot write $BOOT_STATE_ARMED"
        return 17
    fi
    boot_env_write "ota_trial=$1" "ota_tries=$2" "ota_txn=$3" ota_failed= ota_failed_why= || {
        rm -f "$BOOT_STATE_ARMED"
        return 17
    }
}

# trial_commit
# The slot on trial becomes the committed one. ota_txn stays: it names what is committed. In the same write the floor moves to the
# version of the running system, never down: a power cut leaves the old slot with the old floor, or the new one with the new.
trial_commit() {
    committed_version=$(conf_value "$BOOT_STATE_MANIFEST" version)
    if [ -z "$committed_version" ] || ! version_is_valid "$committed_version" || floor_is_above "$committed_version"; then
        boot_env_write "ota_slot=$ota_trial" ota_trial= ota_tries=
    else
        boot_env_write "ota_slot=$ota_trial" ota_trial= ota_tries= "ota_floor=$committed_version"
    fi
}

# version_floor: the version that no update may be below. After a lost environment it is that of the running system.
version_floor() {
    if [ -n "$ota_floor" ]; then
        printf '%s\n' "$ota_floor"
    else
        conf_value "$BOOT_STATE_MANIFEST" version
    fi
}

# floor_is_above VERSION: whether ota_floor forbids it. A floor that is no version forbids nothing; ota-doctor says so.
floor_is_above() {
    version_is_valid "$ota_floor" && version_is_older "$1" "$ota_floor"
}

# trial_cancel: forgets a trial that has not run.
trial_cancel() {
    boot_env_write ota_trial= ota_tries= || return 17
    rm -f "$BOOT_STATE_ARMED"
}

# ---- journal and reboot reason ---------------------------------------------------------------------------------

# journal_text TEXT: TEXT as a quoted journal value on one line.
journal_text() {
    printf '"%s"\n' "$(printf '%s' "$1" | tr '"\001-\037\177' "' ")"
}

# journal_append EVENT [KEY=VALUE]...
# One line, on the medium when this returns. The journal informs; it decides nothing in the boot, so a journal that
# cannot be written is said on stderr and stops nobody.
journal_append() {
    # Without its own file system /data is a directory of the running slot, which is not ours to write.
    if [ "$(stat -c %d /data 2>/dev/null)" = "$(stat -c %d /)" ] || ! mkdir -p "${BOOT_STATE_JOURNAL%/*}" 2>/dev/null; then
        printf 'journal: /data is not mounted or not writable, not recorded: %s\n' "$*" >&2
        return 0
    fi
    if [ -s "$BOOT_STATE_JOURNAL" ]; then
        if [ "$(wc -c <"$BOOT_STATE_JOURNAL")" -ge "$BOOT_STATE_JOURNAL_LIMIT" ]; then
            mv -f "$BOOT_STATE_JOURNAL" "$BOOT_STATE_JOURNAL.1" || :
        elif [ -n "$(tail -c 1 "$BOOT_STATE_JOURNAL")" ]; then
            # A power cut tore the last line; the next one must not be glued to it.
            printf '\n' >>"$BOOT_STATE_JOURNAL" || :
        fi
    fi
    if ! printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$BOOT_STATE_JOURNAL"; then
        printf 'journal: %s is not writable, not recorded: %s\n' "$BOOT_STATE_JOURNAL" "$*" >&2
    fi
    sync
}

# journal_lines: the whole journal, oldest line first.
journal_lines() {
    cat "$BOOT_STATE_JOURNAL.1" "$BOOT_STATE_JOURNAL" 2>/dev/null || :
}

# reboot_reason_write REASON
# What the next boot reports as the reason (attribute 65019). No newline: attrd sends the file as it is.
reboot_reason_write() {
    [ -d "${BOOT_STATE_REBOOT_REASON%/*}/" ] || return 1
    printf '%s' "$1" >"$BOOT_STATE_REBOOT_REASON.new" || return 1
    sync
    mv -f "$BOOT_STATE_REBOOT_REASON.new" "$BOOT_STATE_REBOOT_REASON" || return 1
    sync
}
