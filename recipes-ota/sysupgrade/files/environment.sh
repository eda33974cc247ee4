# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# environment.sh - reads and writes the OTA variables of the U-Boot environment, and judges where it lies.
#
# To be sourced after private.sh, limits.sh, settings.sh and slots.sh by a script that runs under `set -eu`. Functions report failure by their
# return value, with the reason for people in $boot_error; nothing here exits.

ENVIRONMENT_CONFIG=/etc/fw_env.config
ENVIRONMENT_NAMES='ota_slot ota_trial ota_tries ota_txn ota_failed ota_failed_why ota_floor ota_log'
# Seconds that another program of root's may use the environment before that is called an error.
ENVIRONMENT_PATIENCE=30
environment_written=''

# environment_config_read [FILE]: sets environment_config to what fw-env-config.awk makes of fw_env.config, or of this one.
# Fails with the reason in $environment_config_problem.
environment_config_read() {
    environment_config='' environment_config_problem='' environment_file=${1:-$ENVIRONMENT_CONFIG}
    if [ ! -f "$environment_file" ] || [ ! -r "$environment_file" ]; then
        environment_config_problem="$ENVIRONMENT_CONFIG is missing or not readable"
        return 1
    fi
    environment_config=$(awk -f /usr/lib/otamgr/fw-env-config.awk "$environment_file") || {
        environment_config='' environment_config_problem="$ENVIRONMENT_CONFIG could not be read"
        return 1
    }
    case $environment_config in
    *'problem '*) environment_config_problem=$(lines_behind 'problem ' "$environment_config") ;;
    esac
    [ -n "$environment_config_problem" ] || return 0
    environment_config_problem="$ENVIRONMENT_CONFIG: $environment_config_problem"
    return 1
}

# environment_copies [FILE]: lines DEVICE OFFSET SIZE of what fw_env.config, or this one, names, in either of its forms. Fails with the reason.
environment_copies() {
    environment_config_read "$@" || {
        printf '%s\n' "$environment_config_problem"
        return 1
    }
    lines_behind 'copy ' "$environment_config"
}

# environment_places [FILE]: the same as numbers and in one order, in one line to compare and to show. A device that is here is known by its
# number, whatever it is called.
# shellcheck disable=SC2120  # new-system.sh names one
environment_places() {
    environment_named=$(environment_copies "$@") || {
        printf '%s\n' "$environment_named"
        return 1
    }
    environment_listed=$(printf '%s\n' "$environment_named" | while read -r place_device place_offset place_size _; do
        for place_number in "${place_offset#-}" "$place_size"; do
            case $place_number in
            0[xX] | 0[xX]*[!0-9A-Fa-f]*) exit 1 ;;
            0[xX]*) ;;
            '' | *[!0-9]*) exit 1 ;;
            esac
        done
        place_known=''
        if [ -b "$place_device" ]; then place_known=$(device_number "$place_device") || place_known=''; fi
        printf '%s %s at %s with %s bytes\n' "${place_known:-$place_device}" "$place_device" "$((place_offset))" "$((place_size))"
    done) || {
        printf '%s: an offset or size that is no number\n' "$ENVIRONMENT_CONFIG"
        return 1
    }
    printf '%s\n' "$environment_listed" | sort
}

# environment_is_on_this_disk: the environment of another card decides what another system starts. ENV_DEVICE in sysupgrade.conf
# names a device that is right nevertheless. To be called after boot_env_read, which has read the configuration, and slots_find.
environment_is_on_this_disk() {
    [ -z "$environment_config_problem" ] || {
        boot_error=$environment_config_problem
        return 10
    }
    disk_of "$root_number" || :
    environment_disk=$disk_found environment_device=''
    while read -r environment_word environment_named _; do
        if [ "$environment_word" != copy ] || [ "$environment_named" = "$environment_device" ]; then continue; fi
        environment_device=$environment_named
        if [ -b "$environment_device" ]; then
            environment_number=$(device_number "$environment_device") || environment_number=''
        else
            # A file: the device that its file system is on.
            environment_number=$(stat -L -c %d "$environment_device" 2>/dev/null) || environment_number=0
            environment_number=$((environment_number >> 8 & 4095)):$((environment_number & 255 | environment_number >> 12 & 1048320))
            if [ -c "$environment_device" ] || [ ! -e "$environment_device" ]; then environment_number=''; fi
        fi
        disk_of "$environment_number" || :
        if [ -n "$environment_disk" ] && [ "$disk_found" = "$environment_disk" ]; then continue; fi
        settings_read "$SETTINGS_UPDATE" || :
        if [ "$(settings_value ENV_DEVICE)" = "$environment_device" ]; then continue; fi
        boot_error="$ENVIRONMENT_CONFIG names $environment_device, which is not on the disk of / (${environment_disk:-unknown}): what is written there would start another system; correct it, or say that it is right with ENV_DEVICE=$environment_device in $SETTINGS_UPDATE"
        return 10
    done <<END
$environment_config
END
}

# environment_is_apart ['PLACE NUMBER']...: the two copies are two, and no update writes over them, be it into the slots or into these devices. One
# fw_setenv would otherwise lose both, or one update the knowledge of what starts. To be called after slots_find.
# shellcheck disable=SC2120  # images.sh names some
environment_is_apart() {
    # shellcheck disable=SC2119
    environment_placed=$(environment_places) || {
        boot_error=$environment_placed
        return 10
    }
    apart_number='' apart_offset=0 apart_size=0
    while read -r copy_number copy_device _ copy_offset _ copy_size _; do
        if [ "$copy_number" = "$apart_number" ] && ranges_overlap "$copy_offset" "$copy_size" "$apart_offset" "$apart_size"; then
            boot_error="$ENVIRONMENT_CONFIG names two copies of the U-Boot environment that overlap (on $copy_device at $apart_offset and $copy_offset, $copy_size bytes each); a safe update needs two places"
            return 10
        fi
        for copy_slot in "slot a $slot_a_number" "slot b $slot_b_number" "$@"; do
            slot_number=${copy_slot##* }
            if [ "$copy_number" != "$slot_number" ]; then
                [ "$(device_value "$slot_number/.." dev)" = "$copy_number" ] || continue
                slot_start=$(device_value "$slot_number" start) || continue
                slot_size=$(slot_bytes "$slot_number") || continue
                ranges_overlap "$copy_offset" "$copy_size" "$((slot_start * 512))" "$slot_size" || continue
            fi
            boot_error="$ENVIRONMENT_CONFIG names a copy of the U-Boot environment inside ${copy_slot% *} ($copy_device at $copy_offset): an update would write over it; correct it, and CONFIG_ENV_OFFSET of U-Boot"
            return 10
        done
        apart_number=$copy_number apart_offset=$copy_offset apart_size=$copy_size
    done <<END
$environment_placed
END
}

# ranges_overlap START SIZE OTHER-START OTHER-SIZE
ranges_overlap() {
    [ "$1" -lt $(($3 + $4)) ] && [ "$3" -lt $(($1 + $2)) ]
}

# environment_is_free
# fw_printenv and fw_setenv wait for their lock without a limit, and make its file so that everybody may open and lock it. Nobody but
# root can use the environment, so a lock that no program of root's holds is none; one that root holds is waited for, with a limit.
environment_is_free() {
    environment_config_read 2>/dev/null || :
    command -v flock >/dev/null || return 0
    environment_lock=''
    case $environment_config in *'lock '*) environment_lock=$(lines_behind 'lock ' "$environment_config") ;; esac
    environment_lock=${environment_lock:-/var/lock/fw_printenv.lock}
    # Without a place for it nothing is locked.
    [ -d "${environment_lock%/*}/." ] || return 0
    environment_waited=0
    while :; do
        lock_file_is_private "$environment_lock" || return 10
        if [ -n "$lock_free" ]; then return 0; fi
        environment_waited=$((environment_waited + 1))
        if [ "$environment_waited" -gt "$ENVIRONMENT_PATIENCE" ]; then
            boot_error="another program of root's has held the lock of the U-Boot environment ($environment_lock) for $ENVIRONMENT_PATIENCE s"
            return 10
        fi
        sleep 1
    done
}

# boot_env_read: one fw_printenv; sets ota_slot, ota_trial, ota_tries, ota_txn, ota_failed, ota_failed_why, ota_floor, ota_log.
boot_env_read() {
    ota_slot='' ota_trial='' ota_tries='' ota_txn='' ota_failed='' ota_failed_why='' ota_floor='' ota_log=''
    environment_is_free || return 10
    # By name: a value of several lines of another variable could hold lines that look like ours. A fw_printenv that fails for a
    # variable which is not there shows the others, one without any environment shows none, or defaults from a file, and says so.
    # shellcheck disable=SC2086  # names
    boot_env_text=$(limited fw_printenv $ENVIRONMENT_NAMES 2>&1) || :
    case "
$boot_env_text" in
    *'Cannot read environment'*) boot_env_readable='' ;;
    *'
ota_'*) boot_env_readable=yes ;;
    *'not defined'*) boot_env_readable=yes ;;
    *) boot_env_readable='' ;;
    esac
    if [ -z "$boot_env_readable" ]; then
        boot_error="the U-Boot environment is not readable (fw_printenv: $(printf '%s' "$boot_env_text" | head -n 1)); check $ENVIRONMENT_CONFIG"
        return 10
    fi
    # In the order of the names, each once. What comes before the first one was said on standard error.
    boot_env_left=" $ENVIRONMENT_NAMES " boot_env_begun=''
    while IFS= read -r boot_env_line; do
        case $boot_env_left in
        *" ${boot_env_line%%=*} "*) boot_env_begun=yes ;;
        *)
            [ -n "$boot_env_begun" ] || continue
            boot_error="a value in the U-Boot environment has several lines ('$boot_env_line'); correct it with fw_setenv"
            return 10
            ;;
        esac
        boot_env_left=" ${boot_env_left#*" ${boot_env_line%%=*} "}"
        case $boot_env_line in
        ota_slot=*) ota_slot=${boot_env_line#*=} ;;
        ota_trial=*) ota_trial=${boot_env_line#*=} ;;
        ota_tries=*) ota_tries=${boot_env_line#*=} ;;
        ota_txn=*) ota_txn=${boot_env_line#*=} ;;
        ota_failed=*) ota_failed=${boot_env_line#*=} ;;
        ota_failed_why=*) ota_failed_why=${boot_env_line#*=} ;;
        ota_floor=*) ota_floor=${boot_env_line#*=} ;;
        ota_log=*) ota_log=${boot_env_line#*=} ;;
        esac
    done <<END
$boot_env_text
END
    case $ota_slot in
    a | b) ;;
    *)
        boot_error="ota_slot in the U-Boot environment is '$ota_slot', expected a or b"
        return 10
        ;;
    esac
    case $ota_trial in
    '') ;;
    "$ota_slot")
        boot_error="ota_trial and ota_slot in the U-Boot environment are both '$ota_slot'"
        return 10
        ;;
    a | b) ;;
    *)
        boot_error="ota_trial in the U-Boot environment is '$ota_trial', expected a, b or nothing"
        return 10
        ;;
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
    ota_log) printf '%s\n' "$ota_log" ;;
    *) return 1 ;;
    esac
}

# boot_env_write NAME=VALUE...
# All in one fw_setenv call: libubootenv writes the copy that is not in use and only then is that copy the valid
# one, so a power cut leaves either all old or all new values. Two calls would leave a state between them.
# Afterwards everything is read back, because fw_setenv's exit code says nothing of what reached the medium.
# Meanwhile $environment_written is `begun`, then `yes`: for whoever is ended by something unexpected, such as a fork that fails.
boot_env_write() {
    environment_is_free || return 17
    environment_written=begun
    if ! boot_env_text=$(printf '%s\n' "$@" | limited fw_setenv -s - 2>&1); then
        boot_error="fw_setenv failed: $(printf '%s' "$boot_env_text" | head -n 1)"
        return 17
    fi
    # Twice: what is written may be armed, and only this tells.
    if ! boot_env_read && ! boot_env_read; then
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
    environment_written=yes
}
