# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# boot-state.sh - the boot state of an A/B board, for sysupgrade, ota-slot, ota-trial-guard and the programs that explain.
#
# With environment.sh, which reads and writes it, the only file in user space that knows the contract with the U-Boot boot script:
#   ota_slot        a|b, the committed slot, always known good
#   ota_trial       empty, or the slot on trial
#   ota_tries       boots left for the trial; U-Boot counts down and saves before it loads anything
#   ota_txn         id of the update that set the trial; the journal uses the same id
#   ota_failed      ota_txn of the last trial that U-Boot gave up
#   ota_failed_why  U-Boot's reason, one word (load-failed, tries-used-up, ...)
#   ota_floor       no bundle with an older version is installed; moves with a commit. U-Boot only keeps it
#   ota_log         the journal's last link when a trial was armed or committed. U-Boot only keeps it
# An unset variable and an empty one mean the same: libubootenv removes what is set to nothing.
#
# To be sourced after private.sh, settings.sh, journal.sh, slots.sh and environment.sh by a script that runs under `set -eu`. Functions
# report failure by their return value, with the reason for people in $boot_error; nothing here exits. No function touches a slot.

BOOT_STATE_ARMED=${BOOT_STATE_RUN:=/run/otamgr}/armed
# Of the running system, if a bundle brought it: sysupgrade puts it there.
BOOT_STATE_MANIFEST=/etc/otamgr/manifest

# ---- versions ------------------------------------------------------------------------------------------------

# version_is_valid TEXT: numbers with dots, then perhaps a suffix that begins with -.
version_is_valid() {
    case $1 in
    *[!A-Za-z0-9._+-]*) return 1 ;;
    *-*)
        version_suffix=${1#*-}
        [ ${#version_suffix} -ge 1 ] && [ ${#version_suffix} -le 32 ] || return 1
        ;;
    esac
    version_left=${1%%-*}. version_count=0
    while [ -n "$version_left" ]; do
        version_one=${version_left%%.*} version_left=${version_left#*.} version_count=$((version_count + 1))
        case $version_one in '' | *[!0-9]* | ??????????*) return 1 ;; esac
        [ "$version_count" -le 8 ] || return 1
    done
}

# version_is_older VERSION OTHER: compared number by number, a missing one is 0; the suffix does not count. Leading zeros are taken
# away, or some shells and some awks would read octal numbers.
version_is_older() {
    version_left=${1%%-*}. version_right=${2%%-*}.
    while [ -n "$version_left$version_right" ]; do
        version_one=${version_left%%.*} version_other=${version_right%%.*}
        version_left=${version_left#*.} version_right=${version_right#*.}
        version_one=${version_one#"${version_one%%[!0]*}"} version_other=${version_other#"${version_other%%[!0]*}"}
        [ "${version_one:-0}" -le "${version_other:-0}" ] || return 1
        [ "${version_one:-0}" -ge "${version_other:-0}" ] || return 0
    done
    return 1
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
    environment_is_on_this_disk || return 10
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
    run_folder_made || return 17
    if ! printf '%s\n' "$3" >"$BOOT_STATE_ARMED"; then
        boot_error="cannot write $BOOT_STATE_ARMED"
        return 17
    fi
    trial_bound=$(journal_bound) || trial_bound=''
    boot_env_write "ota_trial=$1" "ota_tries=$2" "ota_txn=$3" ota_failed= ota_failed_why= ${trial_bound:+"$trial_bound"} || {
        # What could not be read back may have been written all the same; then the note says when.
        trial_error=$boot_error
        if boot_env_read && [ "$ota_trial:$ota_txn" != "$1:$3" ]; then rm -f "$BOOT_STATE_ARMED"; fi
        boot_error=$trial_error
        return 17
    }
}

# trial_commit
# The slot on trial becomes the committed one. ota_txn stays: it names what is committed. In the same write the floor moves to the
# version of the running system, never down: a power cut leaves the old slot with the old floor, or the new one with the new.
trial_commit() {
    committed_version=$(manifest_value "$BOOT_STATE_MANIFEST" version)
    if ! version_is_valid "$committed_version" || floor_is_above "$committed_version"; then committed_version=''; fi
    trial_bound=$(journal_bound) || trial_bound=''
    boot_env_write "ota_slot=$ota_trial" ota_trial= ota_tries= ${committed_version:+"ota_floor=$committed_version"} ${trial_bound:+"$trial_bound"}
}

# version_floor: the version that no update may be below. After a lost environment it is that of the running system.
version_floor() {
    if [ -n "$ota_floor" ]; then
        printf '%s\n' "$ota_floor"
    else
        manifest_value "$BOOT_STATE_MANIFEST" version
    fi
}

# floor_is_above VERSION: whether ota_floor forbids it. A floor that is no version was meant to forbid something: it forbids everything.
floor_is_above() {
    [ -n "$ota_floor" ] || return 1
    ! version_is_valid "$ota_floor" || version_is_older "$1" "$ota_floor"
}

# trial_cancel: forgets a trial that has not run.
trial_cancel() {
    boot_env_write ota_trial= ota_tries= || return 17
    rm -f "$BOOT_STATE_ARMED"
}
