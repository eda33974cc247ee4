# shellcheck shell=sh
# SPDX-License-Identifier: MIT
#
# limits.sh - how long a program may take that is waited for. A medium, a driver or a daemon that hangs must hold up neither an update nor
# the end of a trial.
#
# To be sourced by a script that runs under `set -eu`. Nothing here exits.

LIMITER=/usr/lib/otamgr/ota-limit

# A new system whose libraries are broken must still go back: without the program that limits, everything is run as it is.
limits_work=''
if "$LIMITER" --help >/dev/null 2>&1; then limits_work=yes; fi

# limit_of PROGRAM: sets limit_seconds. Not what is usual, but what no medium that is still good takes: the slowest SD cards write 2 MiB a second.
limit_of() {
    case $1 in
    fw_printenv | fw_setenv | flock) limit_seconds=30 ;;
    # A module whose device does not answer.
    modprobe) limit_seconds=60 ;;
    # It asks init, which may wait for others; the system goes down all the same.
    reboot) limit_seconds=120 ;;
    # A journal is replayed, what is in memory is written.
    mount | umount) limit_seconds=120 ;;
    sync) limit_seconds=900 ;;
    mke2fs) limit_seconds=900 ;;
    e2fsck | resize2fs) limit_seconds=1800 ;;
    tar | bsdtar | unsquashfs) limit_seconds=5400 ;;
    *) limit_seconds=600 ;;
    esac
}

# limited PROGRAM [ARGUMENT]...: as without limit, but 124 when it had to be ended. It says so on standard error, where it would have complained
# itself, so that the reason is that of whatever step it was for.
limited() {
    if [ -n "$limits_work" ]; then
        limit_of "$1"
        "$LIMITER" "$limit_seconds" -- "$@"
    else
        "$@"
    fi
}
