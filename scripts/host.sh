# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Sourced by the scripts that run on a build host: what they need of it, and one sentence for what is not there.

# File names of any language, sentences in English, whatever the user's settings are.
LC_ALL=C.UTF-8
export LC_ALL

# shellcheck disable=SC2034 # used by the scripts that source this
# Packages of a fresh Debian 12 that are enough to build and run the emulated board.
BOARD_PACKAGES="python3 openjdk-17-jdk-headless maven qemu-system-arm u-boot-qemu u-boot-tools libubootenv-tool fdisk mtools dosfstools \
e2fsprogs cpio gzip unzip qemu-user-static binutils-aarch64-linux-gnu gcc-aarch64-linux-gnu libc6-dev-arm64-cross debian-archive-keyring openssl make \
gcc libc6-dev libssl-dev libzstd-dev zlib1g-dev liblzma-dev squashfs-tools erofs-utils device-tree-compiler"
# shellcheck disable=SC2034
# Boards without a kernel of their own are made of this machine's own programs.
SHARED_KERNEL_PACKAGES="busybox-static zstd gcc libc6-dev mount util-linux libssl-dev libzstd-dev zlib1g-dev liblzma-dev"
# shellcheck disable=SC2034
TEST_PACKAGES="$SHARED_KERNEL_PACKAGES shellcheck shfmt gawk mawk attr acl libcap2-bin nginx-light libarchive-tools \
chromium xz-utils squashfs-tools erofs-utils dpkg-dev python3-venv python3-pytest python3-pytest-xdist python3-pytest-timeout groff-base systemd \
u-boot-tools device-tree-compiler cryptsetup-bin git debootstrap softhsm2 opensc libengine-pkcs11-openssl clang libclang-rt-14-dev aspell aspell-en mkdocs mkdocs-material casync zchunk"

# shellcheck disable=SC2034
# To build U-Boot for the emulated board, which only scripts/test --full does.
UBOOT_PACKAGES="gcc make dpkg-dev gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf bison flex libssl-dev bc acpica-tools swig python3-dev python3-setuptools python3-pyelftools qemu-system-x86"

# shellcheck disable=SC2034
# Other updaters, beside which ours is put.
PEER_PACKAGES="rauc dbus-daemon swupdate cpio"

# shellcheck disable=SC2034
# What the updates of scripts/agent-demo are served with.
AGENT_PACKAGES="nginx-light python3-venv"

# stop PROGRAM SENTENCE: ends with what is missing and what to do about it.
stop() {
    printf '%s: %s\n' "$1" "$2" >&2
    exit 1
}

# missing_packages PACKAGE...: those that are not installed.
missing_packages() {
    for package in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
        *' installed') ;;
        *) printf ' %s' "$package" ;;
        esac
    done
}

# All named Debian packages are installed afterwards; only those that are missing are fetched.
ensure_packages() {
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "These Debian packages are missing:$missing. Run as root, or install them first." >&2
        return 1
    fi
    echo "Installing$missing"
    # shellcheck disable=SC2086 # one word per package
    if ! { apt-get -qq update && DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get -qq install -y --no-install-recommends $missing >/dev/null; }; then
        echo "These Debian packages could not be installed:$missing. What apt said is above; a machine of Debian 12 with network has them all." >&2
        return 1
    fi
}

# may_mount: this process may mount file systems, which in many containers even root may not.
may_mount() { unshare --mount true 2>/dev/null; }

# archives_found: the machine where apt finds packages has an address, or a proxy will know it.
archives_found() {
    [ -z "${http_proxy-}${https_proxy-}${HTTP_PROXY-}${HTTPS_PROXY-}" ] || return 0
    ! apt-config dump 2>/dev/null | grep -qiE '^Acquire::https?::(.*::)?Proxy(-Auto-Detect)? "[^"]' || return 0
    # shellcheck disable=SC2016 # apt's placeholder
    archive_host=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | sed -n 's#^https\{0,1\}://\([^/:]*\).*#\1#p' | head -n 1)
    [ -n "$archive_host" ] || return 0
    timeout 2 getent ahosts "$archive_host" >/dev/null
}

# preflight PROGRAM MEBIBYTES MINUTES NEEDS PACKAGE...: within a second, everything that would end the program later. NEEDS: words of root (its
# files belong to root), loop (loop devices and mounts), board (downloads what that is made of); MINUTES: the first time with 2 cores. $here is the folder of the program.
# shellcheck disable=SC2154
preflight() {
    program=$1 mebibytes=$2 minutes=$3 needs=$4
    shift 4
    checkout=$(dirname "$here")
    case " $needs " in *' root '* | *' loop '*)
        [ "$(id -u)" = 0 ] || stop "$program" "needs root, because it makes file systems whose files belong to root: sudo $program"
        ;;
    esac
    case $checkout in *[,:\"\'\\\$]*)
        stop "$program" "the path of this checkout, $checkout, has one of , : \" ' \\ \$, which QEMU or Maven would take for something else: move it"
        ;;
    esac
    if ! mkdir -p "$checkout/build" 2>/dev/null || [ ! -w "$checkout/build" ] || [ ! -w "$checkout/otamgr-src" ]; then
        stop "$program" "cannot write to $checkout, where it builds: copy the checkout to a place where you may write"
    fi
    free=$(df -Pk "$checkout/build" | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free" -ge "$mebibytes" ] ||
        stop "$program" "needs $mebibytes MB free in $checkout/build, found $free MB: free some, or move the checkout to another disk"
    case " $needs " in *' loop '*)
        may_mount || stop "$program" "may not mount file systems here, which its tests do: in a container, start that with --privileged -v /dev:/dev"
        [ -e /dev/loop-control ] ||
            stop "$program" "has no loop devices: modprobe loop; in a container, start that with --privileged -v /dev:/dev"
        ;;
    esac
    missing=$(missing_packages "$@")
    if [ -n "$missing" ]; then
        command -v apt-get >/dev/null ||
            stop "$program" "installs Debian packages and found no apt-get: run it on Debian 12, for example in docker run -it debian:12"
        [ "$(id -u)" = 0 ] || stop "$program" "these Debian packages are missing:$missing. Run it once as root, or install them"
    fi
    case " $needs " in *' board '*) [ -e "$checkout/build/kernel-release" ] || missing="$missing packages-of-the-board" ;; esac
    if [ -n "$missing" ]; then
        archives_found || stop "$program" "finds no network: ${archive_host-} has no address. It downloads packages and libraries the first time; connect this machine, or set a proxy for apt and Maven"
        echo "$program: the first time this downloads what is missing and takes about $minutes minutes with 2 cores"
    fi
}

# show_help NAME ARGUMENT...: prints the help of scripts/NAME and ends, if an argument asks for it. Nothing is installed for that.
show_help() {
    help=$here/help/$1.txt
    shift
    for word in "$@"; do
        case $word in
        --help | -h)
            cat "$help"
            exit 0
            ;;
        esac
    done
}
