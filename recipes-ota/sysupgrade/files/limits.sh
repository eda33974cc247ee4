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

# limit_of PROGRAM: seconds. Not what is usual, but what no medium that is still good takes: the slowest SD cards write 2 MiB a second.
limit_of() {
    case $1 in
    fw_printenv | fw_setenv | flock) echo 30 ;;
    # A module whose device does not answer.
    modprobe) echo 60 ;;
    # It asks init, which may wait for others; the system goes down all the same.
    reboot) echo 120 ;;
    # A journal is replayed, what is in memory is written.
    mount | umount) echo 120 ;;
    sync) echo 900 ;;
    mke2fs) echo 900 ;;
    e2fsck | resize2fs) echo 1800 ;;
    tar | bsdtar | unsquashfs) echo 5400 ;;
    *) echo 600 ;;
    esac
}

# limited PROGRAM [ARGUMENT]...: as without limit, but 124 when it had to be ended. It says so on standard error, where it would have complained
# itself, so that the reason is that of whatever step it was for.
limited() {
    if [ -n "$limits_work" ]; then
        "$LIMITER" "$(limit_of "$1")" -- "$@"
    else
        "$@"
    fi
}
