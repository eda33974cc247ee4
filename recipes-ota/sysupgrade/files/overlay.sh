# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# overlay.sh - /etc of a system whose root file system is read-only: what the image brings below, what was changed above, in a folder on /data
# that belongs to one slot and is named by the update that brought the system there.
#
#   /data/otamgr/etc/SLOT.UPDATE/upper   what was changed
#   /data/otamgr/etc/SLOT.UPDATE/work    the kernel's
#   /data/otamgr/etc/new.…, gone.…       not complete yet, not any more; nobody mounts them
#
# A folder gets and loses its name by one rename. To be sourced after kernel.sh and limits.sh. Functions report failure by their return value,
# with the reason for people in $overlay_error; nothing here exits.

OVERLAY_HOME=/data/otamgr/etc
# An image with this file is such a system: the boot script mounts it read-only, /sbin/init mounts the overlay.
OVERLAY_MARKER=/boot/ota-read-only
# Nothing in the upper half may lead to places that are not its own, whatever the kernel's configuration says.
OVERLAY_OPTIONS=redirect_dir=nofollow,metacopy=off,index=off

# overlay_is_wanted: whether the running system is one with a read-only root.
overlay_is_wanted() {
    [ -f "$OVERLAY_MARKER" ]
}

# overlay_mounted: prints the name of the overlay that is on /etc; 1 when there is none, 2 when that is not known.
overlay_mounted() {
    mount_on /etc || return
    overlay_upper=''
    case $mount_type$mount_options in overlay,*,upperdir=*) overlay_upper=${mount_options#*,upperdir=} overlay_upper=${overlay_upper%%,*} ;; esac
    case $overlay_upper in
    "$OVERLAY_HOME"/?*/upper) overlay_upper=${overlay_upper#"$OVERLAY_HOME/"} ;;
    *) return 1 ;;
    esac
    printf '%s\n' "${overlay_upper%/upper}"
}

# overlay_is_sound SLOT: whether the running system has what it needs of it: with a read-only root the overlay of this slot.
overlay_is_sound() {
    overlay_is_wanted || return 0
    overlay_found=0
    overlay_now=$(overlay_mounted) || overlay_found=$?
    case $overlay_found:$overlay_now in
    0:"$1".?*) ;;
    2:*)
        overlay_error="the root of this system is read-only, and what is mounted on /etc is not known: $MOUNTS_UNREAD"
        return 1
        ;;
    1:*)
        overlay_error="the root of this system is read-only, and nothing is mounted on /etc (dmesg tells why)"
        return 1
        ;;
    *)
        overlay_error="slot $1 runs with the /etc of $overlay_now"
        return 1
        ;;
    esac
}

# overlay_folder_is_roots FOLDER: a folder, not a link, that nobody but root can change.
overlay_folder_is_roots() {
    if [ -L "$1" ] || [ ! -d "$1" ]; then return 1; fi
    case $(stat -c '%u %A' "$1" 2>/dev/null) in
    0\ d????-??-?) ;;
    *) return 1 ;;
    esac
}

# overlay_has_a_place: whether an overlay can be made on this /data, by this kernel.
overlay_has_a_place() {
    overlay_found=0
    mount_on /data || overlay_found=$?
    case $overlay_found:$mount_options in
    1:*)
        overlay_error="the root of the new system is read-only, its /etc needs a place on /data, and that is not mounted"
        return 1
        ;;
    2:*)
        overlay_error="the root of the new system is read-only, its /etc needs a place on /data, and $MOUNTS_UNREAD"
        return 1
        ;;
    *,ro,*)
        overlay_error="the root of the new system is read-only, its /etc needs a place on /data, and that is read-only"
        return 1
        ;;
    esac
    kernel_mounts overlay || {
        overlay_error="the root of the new system is read-only, its /etc is made with an overlay, and the kernel of this system has none (CONFIG_OVERLAY_FS)"
        return 1
    }
}

# overlay_home_made: the folder of all of them, on a /data that is mounted.
overlay_home_made() {
    mount_on /data || {
        case $? in 1) overlay_error='/data is not mounted' ;; *) overlay_error=$MOUNTS_UNREAD ;; esac
        return 1
    }
    { (umask 022 && mkdir -p "${OVERLAY_HOME%/*}") && (umask 077 && mkdir -p "$OVERLAY_HOME"); } 2>/dev/null || {
        overlay_error="$OVERLAY_HOME cannot be made: is /data full, or read-only?"
        return 1
    }
    for overlay_place in "${OVERLAY_HOME%/*}" "$OVERLAY_HOME"; do
        overlay_folder_is_roots "$overlay_place" || {
            overlay_error="$overlay_place must be a folder that only root can change, found: $(stat -c '%F, user %u, mode %a' "$overlay_place" 2>/dev/null)"
            return 1
        }
    done
}

# overlay_is_usable NAME
overlay_is_usable() {
    for overlay_place in "$OVERLAY_HOME" "$OVERLAY_HOME/$1" "$OVERLAY_HOME/$1/upper" "$OVERLAY_HOME/$1/work"; do
        overlay_folder_is_roots "$overlay_place" || {
            overlay_error="$overlay_place must be a folder that only root can change"
            return 1
        }
    done
}

# overlay_of SLOT: prints the name of the complete overlay of a slot, nothing when there is none. Should there be several, which nobody here
# makes, the last one by its name, as updates' names begin with their time.
overlay_of() {
    for overlay_place in "$OVERLAY_HOME/$1".?*; do
        if [ -L "$overlay_place" ] || [ ! -d "$overlay_place" ]; then continue; fi
        printf '%s\n' "${overlay_place##*/}"
    done | tail -n 1
}

# overlays_removed SLOT: nothing of this slot is left, complete or not. A power cut leaves a complete one or none.
overlays_removed() {
    if [ -L "$OVERLAY_HOME" ] || [ ! -d "$OVERLAY_HOME" ]; then return 0; fi
    for overlay_place in "$OVERLAY_HOME/$1".?*; do
        if [ ! -e "$overlay_place" ] && [ ! -L "$overlay_place" ]; then continue; fi
        rm -rf "$OVERLAY_HOME/gone.${overlay_place##*/}"
        mv "$overlay_place" "$OVERLAY_HOME/gone.${overlay_place##*/}" || return 1
    done
    rm -rf "$OVERLAY_HOME/new.$1".* "$OVERLAY_HOME/gone.$1".*
}

# overlay_begun NAME LOWER: new.NAME, empty, for this /etc.
overlay_begun() {
    overlay_new=$OVERLAY_HOME/new.$1
    rm -rf "$overlay_new"
    { (umask 022 && mkdir "$overlay_new" "$overlay_new/upper" "$overlay_new/work") && chmod 700 "$overlay_new" &&
        chown "$(stat -c %u:%g "$2")" "$overlay_new/upper" && chmod "$(stat -c %a "$2")" "$overlay_new/upper"; } 2>/dev/null || {
        overlay_error="$overlay_new cannot be made: is /data full, or read-only?"
        return 1
    }
}

# overlay_put FOLDER LOWER: mounts it, with this /etc below, on that very /etc.
overlay_put() {
    overlay_said=$(limited mount -t overlay -o "nosuid,nodev,$OVERLAY_OPTIONS,lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$2" 2>&1) || {
        overlay_error="the overlay $1 cannot be mounted on $2: $(printf '%s' "$overlay_said" | head -n 1)"
        return 1
    }
}

# overlay_completed NAME: all of it is on the medium before it has its name, and its name before this returns.
overlay_completed() {
    { limited sync && mv "$OVERLAY_HOME/new.$1" "$OVERLAY_HOME/$1" && limited sync; } || {
        overlay_error="$OVERLAY_HOME/$1 cannot be put in its place"
        return 1
    }
}

# slot_has_read_only_root DEVICE PLACE: whether the system in this slot is one with a read-only root. PLACE is a folder to look into it. Needs slots.sh.
slot_has_read_only_root() {
    for overlay_type in squashfs erofs ext4; do
        case $overlay_type in ext4) overlay_how=ro,noload ;; *) overlay_how=ro ;; esac
        limited mount -t "$overlay_type" -o "$overlay_how,noatime,nosuid,nodev,noexec" "$1" "$2" 2>/dev/null || continue
        overlay_found=1
        if [ ! -L "$2/boot" ] && [ -f "$2$OVERLAY_MARKER" ]; then overlay_found=0; fi
        place_unmounted "$2" || return 1
        return "$overlay_found"
    done
    return 1
}

# kernel_mounts TYPE: whether this kernel knows this file system, with the help of its modules.
kernel_mounts() {
    grep -qw "$1" /proc/filesystems 2>/dev/null && return 0
    limited modprobe "$1" >/dev/null 2>&1 || :
    grep -qw "$1" /proc/filesystems 2>/dev/null
}
