# SPDX-License-Identifier: MIT
#
# What ota-image is with OTA_VERIFIED_BOOT = "1": the image of a slot is a file system, its signed kernel, device tree and initramfs, and its hash
# tree, one behind the other (docs/verified-boot.md). ota-image inherits it.

inherit ota-bundle ota-python

OTA_UPDATE_TYPE ?= "ext4"

IMAGE_FEATURES:append = " read-only-rootfs"
IMAGE_INSTALL:append = " ${@'ota-floor' if d.getVar('OTA_RPMB_FLOOR') == '1' else ''}"
# U-Boot starts the disk image and trusts the keys in this device tree.
QB_OPT_APPEND:append:qemuarm = " -dtb @DEPLOY_DIR_IMAGE@/ota-control.dtb"
QB_OPT_APPEND:append:qemuarm64 = " -dtb @DEPLOY_DIR_IMAGE@/ota-control.dtb"

# The device tree that is signed with the kernel, a file of the deploy folder.
OTA_VERIFIED_DEVICE_TREE ?= "${@otamgr.machine.device_tree(d)}"
# Its files differ in what follows.
OTA_VERIFIED_INITRAMFS = "${DEPLOY_DIR_IMAGE}/ota-verified-initramfs${IMAGE_MACHINE_SUFFIX}"

do_image[depends] += "ota-verified-initramfs:do_image_complete virtual/kernel:do_deploy ota-boot-key:do_deploy"

# The kernel is not in the file system, which U-Boot never reads.
ota_verified_root () {
    install -d ${IMAGE_ROOTFS}/boot
    for kernel in fitImage Image zImage uImage bzImage; do
        rm -f ${IMAGE_ROOTFS}/boot/$kernel ${IMAGE_ROOTFS}/boot/$kernel-*
    done
    printf 'fit=behind\nrollback_index=%s\n' "${OTA_ROLLBACK_INDEX}" > ${IMAGE_ROOTFS}/boot/ota-verified
}
ROOTFS_POSTPROCESS_COMMAND:append = " ota_verified_root"

CONVERSIONTYPES:append = " slot"
# nooelint: oelint.vars.specific - kinds of images are words here
CONVERSION_CMD:slot = "ota_slot_sign ${IMAGE_NAME}.${type}"
CONVERSION_DEPENDS_slot = "u-boot-tools-native dtc-native openssl-native"

# ota_slot_sign FILE-SYSTEM
ota_slot_sign () {
    # The salt is the same in each build, so that a block that stays leaves its hash as it was.
    python3 "${OTAMGR_REPOSITORY}/scripts/ota-verified" image --key "${OTA_VERIFIED_KEY}" --kernel "${DEPLOY_DIR_IMAGE}/${KERNEL_IMAGETYPE}" \
        --initramfs "${OTA_VERIFIED_INITRAMFS}.cpio.gz" --dtb "${DEPLOY_DIR_IMAGE}/${OTA_VERIFIED_DEVICE_TREE}" \
        --arch ${@otamgr.verified.ARCHITECTURES.get(d.getVar('TARGET_ARCH'))} --salt ${@otamgr.layout.salt(d)} --rollback-index "${OTA_ROLLBACK_INDEX}" "$1" "$1.slot"
    python3 "${OTAMGR_REPOSITORY}/scripts/ota-verified" check --control "${DEPLOY_DIR_IMAGE}/ota-boot-key.dtb" "$1.slot"
    needed=$(stat -c %s "$1.slot")
    if [ "$needed" -gt $(expr ${OTA_SLOT_SIZE} \* 1048576) ]; then
        bbfatal "The image of a slot has $needed bytes with its kernel and hash tree, a slot has ${OTA_SLOT_SIZE} MiB (OTA_SLOT_SIZE)"
    fi
}
ota_slot_sign[vardepsexclude] += "OTAMGR_REPOSITORY"
do_image[file-checksums] += "${OTAMGR_REPOSITORY}/scripts/ota-verified:True ${OTAMGR_REPOSITORY}/lib/otamgr/verified.py:True"
