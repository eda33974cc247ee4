# SPDX-License-Identifier: MIT
SUMMARY = "Initramfs of verified boot"
DESCRIPTION = "A part of the signed image of each slot; docs/verified-boot.md"
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"

PACKAGE_INSTALL = "ota-verified busybox"
# Nothing of what is asked for in images that people use.
IMAGE_FEATURES = ""
IMAGE_LINGUAS = ""
PACKAGE_EXCLUDE = "kernel-image-* busybox-syslog busybox-udhcpc"
IMAGE_NAME_SUFFIX = ""
IMAGE_FSTYPES = "cpio.gz"
IMAGE_ROOTFS_SIZE = "8192"
IMAGE_ROOTFS_EXTRA_SPACE = "0"
EXCLUDE_FROM_WORLD = "1"

inherit image ota-python

# The modules in the order in which they need each other, where the first process looks for them.
python ota_modules_order () {
    from pathlib import Path
    otamgr.modules.collected(Path(d.getVar('IMAGE_ROOTFS')))
}
# Once depmod has run, and before times of files become those of the sources.
IMAGE_PREPROCESS_COMMAND:prepend = "ota_modules_order "
