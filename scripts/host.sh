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
gcc libc6-dev libssl-dev libzstd-dev zlib1g-dev liblzma-dev squashfs-tools erofs-utils"
# shellcheck disable=SC2034
# Boards without a kernel of their own are made of this machine's own programs.
SHARED_KERNEL_PACKAGES="busybox-static zstd gcc libc6-dev mount util-linux libssl-dev libzstd-dev zlib1g-dev liblzma-dev"
# shellcheck disable=SC2034
TEST_PACKAGES="$SHARED_KERNEL_PACKAGES shellcheck shfmt gawk mawk attr acl libcap2-bin libarchive-tools \
