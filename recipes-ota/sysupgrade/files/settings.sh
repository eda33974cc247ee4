# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# settings.sh - the one reader of /etc/otamgr/sysupgrade.conf, trial.conf, slots.conf, rpmb.conf, images.d/NAME.conf and
# compatible. Files are read, never executed.
#
# To be sourced by a script that runs under `set -eu`. Functions report failure by their return value; nothing here exits.

SETTINGS_FOLDER=/etc/otamgr
SETTINGS_UPDATE=$SETTINGS_FOLDER/sysupgrade.conf
SETTINGS_TRIAL=$SETTINGS_FOLDER/trial.conf
SETTINGS_SLOTS=$SETTINGS_FOLDER/slots.conf
SETTINGS_COMPATIBLE=$SETTINGS_FOLDER/compatible

# lines_behind BEGINNING TEXT: the rest of each line of the text that begins so. No program is run: an update asks often.
lines_behind() {
    while IFS= read -r behind_line; do
        case $behind_line in "$1"*) printf '%s\n' "${behind_line#"$1"}" ;; esac
    done <<END
$2
END
}

# settings_read FILE: fails when something in it is not understood, with all of it in $settings_problem, one line each. What is
# understood is there nevertheless, for settings_value. A file that does not exist says nothing, and that is understood.
settings_read() {
    settings_found='' settings_problem=''
    if [ ! -e "$1" ] && [ ! -L "$1" ]; then return 0; fi
    case $1 in
    *"$SETTINGS_UPDATE") settings_known='REQUIRE_SIGNATURE ENV_DEVICE BOOT_FORMATS DECRYPTION_KEY' ;;
    *"$SETTINGS_TRIAL") settings_known='TRIAL_TRIES COMMIT_DEADLINE REBOOT_GRACE' ;;
    # DATA_DEVICE is for ota-data.
    # Also that of a new system, below the place where it is mounted.
    *"$SETTINGS_SLOTS") settings_known='SLOT_A_DEVICE SLOT_B_DEVICE DATA_DEVICE' ;;
    */rpmb.conf) settings_known='RPMB_DEVICE' ;;
    "$SETTINGS_FOLDER"/images.d/*) settings_known='SLOT_A_DEVICE SLOT_B_DEVICE REQUIRED HANDLER HANDLER_SECONDS BOOT_DEVICE PLACE_DEVICE PLACE_FIRST PLACE_SECOND PLACE_BYTES' ;;
    esac
    if [ ! -f "$1" ] || [ ! -r "$1" ]; then
        settings_problem="$1 is no readable file"
        return 1
    fi
    # awk ends a line, or all of it, at a zero byte; a text in UTF-16 has one in every character.
    if [ "$(tr -cd '\000' <"$1" | wc -c)" -ne 0 ]; then
        settings_problem="$1 is no text: it holds zero bytes (UTF-16?), expected lines KEY=VALUE"
        return 1
    fi
    settings_found=$(awk -v known="$settings_known" -v name="$1" -f /usr/lib/otamgr/settings.awk "$1") || {
        settings_found=''
        settings_problem="$1 could not be read"
        return 1
    }
    settings_problem=$(lines_behind 'problem ' "$settings_found")
    [ -z "$settings_problem" ]
}

# settings_value KEY: what the file that was read last says, or nothing.
settings_value() {
    lines_behind "value $1=" "$settings_found"
}

# settings_number FILE KEY DEFAULT SMALLEST LARGEST
# Prints the number set for KEY, or DEFAULT. What is not understood is named on stderr and DEFAULT is used: a typing error must
# neither block an update nor switch the trial guard off.
settings_number() {
    settings_read "$1" || printf '%s; what it was meant to say is not done\n' "$settings_problem" >&2
    settings_number_found=$(settings_value "$2")
    case $settings_number_found in
    '')
        printf '%s\n' "$3"
        return 0
        ;;
    *[!0-9]* | 0?* | ??????????*) ;;
    *)
        if [ "$settings_number_found" -ge "$4" ] && [ "$settings_number_found" -le "$5" ]; then
            printf '%s\n' "$settings_number_found"
            return 0
        fi
        ;;
    esac
    printf '%s: %s is "%s", expected a number from %s to %s; using %s\n' "$1" "$2" "$settings_number_found" "$4" "$5" "$3" >&2
    printf '%s\n' "$3"
}

# signatures_are_required
# Whether an image without signature is to be refused, with the reason in $signatures_why. Not said means: as soon as there is a key.
# What is not understood was meant to say something, so it closes.
signatures_are_required() {
    signatures_why=''
    if ! settings_read "$SETTINGS_UPDATE"; then
        signatures_why="$settings_problem; taken as REQUIRE_SIGNATURE=yes"
        return 0
    fi
    case $(settings_value REQUIRE_SIGNATURE) in
    no) return 1 ;;
    yes) signatures_why="$SETTINGS_UPDATE requires one (REQUIRE_SIGNATURE)" ;;
    '')
        # Whoever put a key.crt there, or a file in place of the folder, meant to be safe.
        for signatures_key in "$SETTINGS_FOLDER"/keys.d/* "$SETTINGS_FOLDER"/keys.d/.[!.]*; do
            if [ -e "$signatures_key" ] || [ -L "$signatures_key" ]; then
                signatures_why="$SETTINGS_FOLDER/keys.d holds keys, so one is required; to take images without: REQUIRE_SIGNATURE=no in $SETTINGS_UPDATE"
                return 0
            fi
        done
        if [ -d "$SETTINGS_FOLDER/keys.d" ] || { [ ! -e "$SETTINGS_FOLDER/keys.d" ] && [ ! -L "$SETTINGS_FOLDER/keys.d" ]; }; then return 1; fi
        signatures_why="$SETTINGS_FOLDER/keys.d is no folder, expected keys *.pem in it; taken as REQUIRE_SIGNATURE=yes"
        ;;
    *) signatures_why="$SETTINGS_UPDATE: REQUIRE_SIGNATURE is '$(settings_value REQUIRE_SIGNATURE)', expected yes or no; taken as yes" ;;
    esac
}

# board_name: the board's name, as the agent reads it: the first line that is one, without blanks, carriage returns and byte order mark.
# Nothing of a file with zero bytes, such as one in UTF-16.
board_name() {
    [ -r "$SETTINGS_COMPATIBLE" ] && [ -f "$SETTINGS_COMPATIBLE" ] || return 0
    [ "$(tr -cd '\000' <"$SETTINGS_COMPATIBLE" | wc -c)" -eq 0 ] || return 0
    tr '\015' '\012' <"$SETTINGS_COMPATIBLE" |
        awk 'NR == 1 { sub(/^\357\273\277/, "") } { sub(/^[ \t]+/, ""); sub(/[ \t]+$/, "") } /^[!-~]+$/ && length($0) <= 64 { print; exit }'
}

# manifest_value FILE KEY: of the manifest that made a system; sysupgrade put it there and knows its form.
manifest_value() {
    [ -r "$1" ] || return 0
    sed -n "s/^$2=//p" "$1" | sed -n '$p'
}
