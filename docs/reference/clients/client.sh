#!/bin/sh
# SPDX-License-Identifier: MIT
# client.sh SOCKET COMMAND [ARGUMENT...]: gives a command to otamgr, by way of the program that its packages bring.
set -eu
status=0
"${OTAMGR_CONTROL:-/usr/lib/otamgr/otamgr-control}" "$@" || status=$?
case $status in
0 | 16 | 100 | 120) ;; # done; a new version; armed, reboot; roll-back armed, reboot
52) echo "not now; ask again later" >&2 ;;
127) echo "no daemon listens on $1" >&2 ;;
esac
exit "$status"
