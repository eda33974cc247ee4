# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from it or the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# kept-files.sh - copies files of the running system into the new one, as the keep lists say.
#
# To be sourced by sysupgrade after new-system.sh.

keep_lists_are_sound() {
    : >"$work/keep"
    [ -z "$keep_nothing" ] || return 0
    overlay_is_sound "$running_slot" || fail 16 "$overlay_error, so there is nothing to keep files of; -n keeps none"
    for list in /etc/sysupgrade.conf /lib/upgrade/keep.d/*; do
        [ -f "$list" ] || continue
        [ -r "$list" ] || fail 16 "keep list $list is not readable"
        # A shell passes over zero bytes, and would look for other names.
        [ "$(tr -cd '\000' <"$list" | wc -c)" -eq 0 ] || fail 16 "keep list $list is no text: it holds zero bytes (UTF-16?), expected a path on each line"
        while IFS= read -r line || [ -n "$line" ]; do
            line=${line#"${line%%[![:space:]]*}"}
            line=${line%"${line##*[![:space:]]}"}
            case $line in
            '' | '#'*) continue ;;
            */../* | */..) fail 16 "keep list $list: '$line' contains '..'" ;;
            /?*) printf '%s\n' "${line%/}" >>"$work/keep" ;;
            /) fail 16 "keep list $list: '/' is the whole system; name what is to be kept of it" ;;
            *) fail 16 "keep list $list: '$line' is not an absolute path" ;;
            esac
        done <"$list"
    done
}

# kept_directory PATH: prints the place of this directory of the running system in the new one, made with the same
# owner, mode and attributes if it is missing there.
kept_directory() (
    [ -n "$1" ] || {
        printf '%s\n' "$new_root"
        return 0
    }
    place=$(inside_new_root "$1") || return 1
    if [ ! -d "$place" ]; then
        kept_directory "${1%/*}" >/dev/null || return 1
        mkdir -p "$place" && chmod "$(stat -L -c %a "$1")" "$place" && chown "$(stat -L -c %u:%g "$1")" "$place" &&
            chmod "$(stat -L -c %a "$1")" "$place" && attributes_are_kept "$1/." "$place" || return 1
    fi
    printf '%s\n' "$place"
)

# attributes_are_kept FROM TO: capabilities, access lists, other extended attributes and flags, which cp of busybox leaves behind.
attributes_are_kept() {
    attributes_lost=$("$CONTENT_ENGINE" attributes "$1" "$2") || return 1
    case $attributes_lost in lost=*) printf '%s keeps its content without the flag %s (chattr)\n' "${1%/.}" "${attributes_lost#lost=}" >>"$work/lost" ;; esac
}

# kept_alike FROM TO: whether kind, mode and owner are the same; cp of busybox says that it could not, and goes on.
kept_alike() {
    [ "$(stat -c '%f %u %g' "$1")" = "$(stat -c '%f %u %g' "$2")" ] || {
        echo 'its mode or owner is not taken by the new file system' >&2
        return 1
    }
}

# has_lines NAME...: whether one of them has several lines.
has_lines() {
    for kept_name in "$@"; do
        case $kept_name in *'
'*) return 0 ;; esac
    done
    return 1
}

# kept PATH: a file, a symbolic link (as a link), a device or pipe, or a directory with all below it. Names of one file stay names of
# one file. A function in a subshell, so that every level has its own variables.
kept() (
    path=$1
    case $path in
    "$MARKER" | "$BOOT_STATE_MANIFEST" | /etc/ota_type_*.hdr | "/etc/$header_name") return 0 ;;
    esac
    if [ -d "$path" ] && [ ! -L "$path" ]; then
        # /proc, /run, /data and the like are no part of a slot.
        kept_system=$(stat -c %d "$path") || return 1
        case $kept_system in "$root_file_system" | "$etc_file_system") ;; *) return 0 ;; esac
        kept_directory "$path" >/dev/null || {
            echo "no place for $path" >&2
            return 1
        }
        set --
        for entry in "$path"/* "$path"/.[!.]* "$path"/..?*; do
            if [ -e "$entry" ] || [ -L "$entry" ]; then set -- "$@" "$entry"; fi
        done
        # A pattern that cannot be looked up matches nothing, and says nothing. A name of several lines cannot be counted like this.
        kept_names=$(ls -A "$path") || return 1
        case "$kept_names" in
        *'
'*) kept_count=$(printf '%s\n' "$kept_names" | wc -l) ;;
        '') kept_count=0 ;;
        *) kept_count=1 ;;
        esac
        [ "$kept_count" -eq $# ] || has_lines "$@" || {
            echo "the names in $path cannot all be read" >&2
            return 1
        }
        for entry in "$@"; do kept "$entry" || return 1; done
    elif [ -e "$path" ] || [ -L "$path" ]; then
        # Whoever listens at a socket makes it.
        if [ -S "$path" ]; then return 0; fi
        parent=$(kept_directory "${path%/*}") || {
            echo "no place for $path" >&2
            return 1
        }
        place=$parent/${path##*/}
        if [ -d "$place" ] && [ ! -L "$place" ]; then
            echo "$path is a directory in the new system" >&2
            return 1
        fi
        # shellcheck disable=SC2046  # two numbers
        set -- $(stat -c '%h %i' "$path")
        # Removed first: cp may write to where a symbolic link points (busybox removes it itself, coreutils does not).
        rm -f "$place" || return 1
        if [ "$1" -gt 1 ] && [ -L "$work/names/$2" ]; then
            ln "$(readlink "$work/names/$2")" "$place" || return 1
        else
            cp -a "$path" "$place" && kept_alike "$path" "$place" && attributes_are_kept "$path" "$place" || return 1
            if [ "$1" -gt 1 ]; then ln -s "$place" "$work/names/$2" || return 1; fi
        fi
    else
        # Missing, or not to be looked at.
        kept_why=$(stat -c %n "$path" 2>&1 >/dev/null) || :
        case $kept_why in *'No such file or directory' | *'Not a directory') return 0 ;; esac
        echo "$path cannot be looked at${kept_why:+: $kept_why}" >&2
        return 1
    fi
)

# kept_not_needed PATH: missing, or of a root that is read-only here as well, so it is what the image brought.
kept_not_needed() {
    if overlay_is_wanted; then return 0; fi
    [ ! -e "$1" ] && [ ! -L "$1" ]
}

files_are_kept() {
    progress keep 0 'copying kept files'
    root_file_system=$(stat -c %d /) etc_file_system=''
    overlay_found=0
    overlay_mounted >/dev/null || overlay_found=$?
    case $overlay_found in
    0) etc_file_system=$(stat -c %d /etc) ;;
    2) fail 16 "what is mounted on /etc is not known: $MOUNTS_UNREAD" ;;
    esac
    mkdir "$work/names"
    while IFS= read -r pattern; do
        # Expanded as a pattern, but not split at blanks.
        usual_ifs=$IFS
        IFS=''
        # shellcheck disable=SC2086
        set -- $pattern
        IFS=$usual_ifs
        for kept_path in "$@"; do
            case ${read_only:+$kept_path} in
            '' | /etc | /etc/*) ;;
            *)
                kept_not_needed "$kept_path" || fail 16 "$kept_path could not be kept: the root of the new system is read-only, only /etc can be; keep it on /data"
                continue
                ;;
            esac
            kept "$kept_path" 2>"$work/complaint" || fail 16 "$kept_path could not be kept: $(first_line "$work/complaint")"
        done
    done <"$work/keep"
    limited sync
    if [ -s "$work/lost" ]; then while IFS= read -r lost; do inform "$lost"; done <"$work/lost"; fi
    progress keep 100 'kept files copied'
}
