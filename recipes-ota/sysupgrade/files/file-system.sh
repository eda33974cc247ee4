# shellcheck shell=sh disable=SC2034,SC2154
# Variables are for the sourcing script, or come from it or the libraries that it has sourced before.
# SPDX-License-Identifier: MIT
#
# file-system.sh - the file system in the target slot: made for an archive, filled, read back, grown, mounted.
#
# To be sourced by sysupgrade after progress.sh and content.sh. Nothing in the new system is run or trusted.

# Less room than this behind the file system is what rounding leaves.
WORTH_GROWING=1048576

new_root_unmounted() {
    place_unmounted "$new_root/etc" && place_unmounted "$new_root"
}

# From here on reads come from the medium.
caches_dropped() {
    limited sync
    (echo 3 >/proc/sys/vm/drop_caches) 2>/dev/null ||
        complain 'cannot drop the page cache; what is read back may not come from the medium'
}

# A superblock that asks for a panic when something is wrong does not get one.
new_root_is_mounted() {
    limited mount -t ext4 -o rw,noatime,nosuid,nodev,noexec,errors=remount-ro "$target_device" "$new_root" 2>"$work/mount" ||
        fail 15 "the new root in slot $target_slot ($target_device) does not mount: $(first_line "$work/mount")"
}

# Only to look at: not one byte of the slot changes.
new_root_is_shown() {
    case $format in ext4) shown_how=ro,noload,errors=remount-ro ;; *) shown_how=ro ;; esac
    limited mount -t "$format" -o "$shown_how,noatime,nosuid,nodev,noexec" "$target_device" "$new_root" 2>"$work/mount" ||
        fail 15 "the new root in slot $target_slot ($target_device) does not mount: $(first_line "$work/mount")"
}

# The features are exactly what U-Boot's ext4 driver names as supported (include/ext4fs.h: EXT4_FEATURE_INCOMPAT_SUPP,
# EXT4_FEATURE_RO_COMPAT_SUPP), plus compatible ones that a reader may ignore. `none` first, because what mke2fs.conf
# adds by itself grows with every release: 64bit, metadata_csum, metadata_csum_seed, orphan_file. U-Boot 2023.01 does
# not look at the features at all, newer ones print an error for those outside the list.
file_system_is_made() {
    limited mke2fs -q -F -t ext4 -L "rootfs-$target_slot" \
        -O none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,sparse_super,large_file,huge_file,uninit_bg,dir_nlink,extra_isize \
        "$target_device" ${1:+"$1"} >"$work/mke2fs" 2>&1 ||
        fail 13 "mke2fs failed on slot $target_slot ($target_device): $(first_line "$work/mke2fs")"
}

# tree_bytes: what the file system in the slot holds.
tree_bytes() {
    # shellcheck disable=SC2046  # three numbers
    set -- $(stat -f -c '%b %f %S' "$new_root")
    printf '%s\n' $((($1 - $2) * $3))
}

# tree_described WHEN: a hash of every name with type, mode, owner, link target, and of every file's content; for a squashfs, which
# unsquashfs unpacks and nobody else reads. What cannot be read makes the descriptions of two different WHENs differ.
tree_described() (
    cd "$new_root" || return 1
    {
        find . -xdev ! -type d -exec stat -c '%f %u %g %t %T %N' {} + &&
            find . -xdev -type d -exec stat -c '%f %u %g %n' {} + &&
            find . -xdev -type f -exec sha256sum {} + ||
            echo "unreadable $1"
    } | sort | sha256sum
)

# The file system gets the whole slot, as that of a disk that was flashed. An image is as small as its content, and programs of the
# new system would find no room: hubby, for one, could not download the next update.
file_system_is_grown() {
    # What the engine judged of an image: nothing but zeros follows it, its journal is empty, and resize2fs will not turn to a layout that U-Boot
    # cannot read.
    if [ "${growth:-0}" -lt "$WORTH_GROWING" ] || ! command -v resize2fs >/dev/null || ! command -v e2fsck >/dev/null; then return 0; fi
    # Only what is whole is grown; whether anything else will do is seen when it is mounted. Whoever signed it may have looked already, and
    # it is what was signed. resize2fs takes nothing that was mounted after its last check, which few images were: such a one is checked
    # once more with writing, which notes when.
    if ! file_system_was_checked && ! limited e2fsck -fn "$target_device" >"$work/resize" 2>&1; then
        keeps_its_size "e2fsck: $(spoken_by e2fsck)"
    elif limited resize2fs "$target_device" >"$work/resize" 2>&1; then
        :
    elif ! grep -q "Please run 'e2fsck -f" "$work/resize"; then
        growing_stopped "$(spoken_by resize2fs)"
    elif ! limited e2fsck -fp "$target_device" >"$work/resize" 2>&1; then
        growing_stopped "e2fsck: $(spoken_by e2fsck)"
    elif ! limited resize2fs "$target_device" >"$work/resize" 2>&1; then
        growing_stopped "$(spoken_by resize2fs)"
    fi
    limited sync
}

# file_system_was_checked: the signed manifest says so.
file_system_was_checked() {
    [ -n "$bundle" ] && [ "$(line_of x-file-system-checked "$work/content/manifest")" = yes ]
}

# spoken_by PROGRAM: what it complained about. Its first line is its version, its last ones say what it did.
spoken_by() {
    sed -e "/^$1 [0-9]/d" -e '/^$/d' "$work/resize" | sed -n 1p | tr '\001-\037\177' ' '
}

keeps_its_size() {
    complain "the file system in slot $target_slot keeps its size of $((target_bytes - growth)) bytes: $1"
}

# It may have stopped before it touched anything.
growing_stopped() {
    limited e2fsck -fn "$target_device" >/dev/null 2>&1 || fail 13 "growing the file system in slot $target_slot ($target_device) failed: $1"
    keeps_its_size "$1"
}
