# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Sourced by scripts/demo and scripts/test: what the host needs.

# shellcheck disable=SC2034 # used by the scripts that source this
# Packages of a fresh Debian 12 that are enough to build and run the emulated board.
BOARD_PACKAGES="python3 openjdk-17-jdk-headless maven qemu-system-arm u-boot-qemu u-boot-tools libubootenv-tool fdisk mtools dosfstools \
e2fsprogs cpio gzip unzip qemu-user-static binutils-aarch64-linux-gnu gcc-aarch64-linux-gnu libc6-dev-arm64-cross debian-archive-keyring openssl"
# shellcheck disable=SC2034
TEST_PACKAGES="shellcheck gawk mawk attr acl libcap2-bin busybox-static chromium xz-utils zstd squashfs-tools mount util-linux gcc libc6-dev make dpkg-dev python3-venv groff-base systemd \
libssl-dev libzstd-dev zlib1g-dev liblzma-dev clang libclang-rt-14-dev"

# shellcheck disable=SC2034
# To build U-Boot for the emulated board, which only scripts/test --full does.
UBOOT_PACKAGES="gcc make dpkg-dev gcc-aarch64-linux-gnu bison flex libssl-dev bc acpica-tools swig python3-dev python3-setuptools python3-pyelftools qemu-system-x86"

# shellcheck disable=SC2034
# What the updates of scripts/agent-demo are served with.
AGENT_PACKAGES="nginx-light"

# All named Debian packages are installed afterwards; only those that are missing are fetched.
ensure_packages() {
    missing=
    for package in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$package" 2> /dev/null) in
        *' installed') ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "These Debian packages are missing:$missing. Run as root, or install them first." >&2
        return 1
    fi
    echo "Installing$missing"
    apt-get -qq update
    # shellcheck disable=SC2086 # one word per package
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing > /dev/null
}
