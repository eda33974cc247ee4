# SPDX-License-Identifier: MIT
#
# An image that updates itself over the air. For any image recipe:
#
#   inherit core-image ota-image
#
# Deploys
#   IMAGE.wic.gz, IMAGE.wic.bmap   the disk, flashed once: boot partition, slot a with this system, slot b empty, data
#   OTA_UPDATE_NAME                the update: a link to the file system in the format OTA_UPDATE_TYPE
# and fails with an explanation when the system does not fit into a slot, or disk, U-Boot environment and fw_env.config do not
# agree. What the packages of this layer add to the image is printed and deployed as IMAGE.ota-size.

inherit ota-layout ota-class-archive
# nooelint: oelint.var.inherit.inherit_defer, oelint.var.multiinherit - they say what kind of file is a slot, which IMAGE_FSTYPES needs at once
inherit ${@'ota-verified' if d.getVar('OTA_VERIFIED_BOOT') == '1' else ''} ${@'ota-bundle' if d.getVar('OTA_BOOT_LOADER') else ''}

# What the machine would have without this class, or nothing. Some name their layouts in WKS_FILES, and then WKS_FILE counts for nothing.
def ota_own_wks_file(d):
    files = d.getVar('WKS_FILES', False) or ''
    return files if files and 'WKS_FILE}' not in files else d.getVar('WKS_FILE', False) or ''

OTA_OWN_WKS_FILE := "${@ota_own_wks_file(d)}"

# Any format that sysupgrade takes: ext4, ext4.gz, ext4.xz, ext4.zst, tar, tar.gz, tar.xz, tar.zst. A device that gets tar
# needs e2fsprogs-mke2fs. With IMAGE_FEATURES += "read-only-rootfs" also squashfs, squashfs-xz, squashfs-zst, erofs, erofs-lz4, erofs-lz4hc, which
# need the class ota-bundle and OTA_BOOT_FORMATS.
OTA_UPDATE_TYPE ?= "ext4.gz"
# Two images with the same name cannot be deployed side by side.
OTA_UPDATE_NAME ?= "hub_update-${IMAGE_BASENAME}.bin"
OTA_WKS_FILE ?= "ota-ab-${OTA_PARTITION_TABLE}.wks.in"
# What a device gets.
OTA_SLOT_TYPE = "${OTA_UPDATE_TYPE}${@'.slot' if d.getVar('OTA_VERIFIED_BOOT') == '1' else ''}"

IMAGE_FSTYPES:append = " ${OTA_SLOT_TYPE} wic.gz wic.bmap"
WKS_FILE = "${OTA_WKS_FILE}"
WKS_FILES = "${WKS_FILE}"
# The series look in different folders of a layer; this one's layouts are in none of them.
# nooelint: oelint.vars.inconspaces - a path
WKS_SEARCH_PATH:append = ":${OTAMGR_REPOSITORY}/wic"
# The kernel is in /boot of each slot, only what starts U-Boot and the boot script are outside.
IMAGE_BOOT_FILES = "${OTA_BOOT_SCRIPTS} ${OTA_BOOT_FILES}"
OTA_BOOT_SCRIPTS = "${@'ota-boot.itb ota-boot.itb;ota-boot2.itb' if d.getVar('OTA_VERIFIED_BOOT') == '1' else 'boot.scr'}"
# No boot loader that wic would install: U-Boot is the machine's. OpenEmbedded lists them by architecture, so that an empty
# WKS_FILE_DEPENDS_BOOTLOADERS would count for nothing.
WKS_FILE_DEPENDS ?= "${WKS_FILE_DEPENDS_DEFAULT}"

# What stays the same from one release to the next is not written again, as long as it stays at its place: blocks of 4 KiB, the same identifiers
# and order of folders in each build (both slots of a device have them, too; nothing here mounts by them), each file where its name says, and no
# inode tables that the kernel would clear after an update. What EXTRA_IMAGECMD:ext4 says comes later and wins.
OTA_FILE_SYSTEM_UUID ?= "${@otamgr.layout.file_system_uuid(d)}"
# nooelint: oelint.vars.specific, oelint.vars.overrideappend - types of images are overrides, too, and ext4 is one that images have
EXTRA_IMAGECMD:ext4:prepend = "-b 4096 -U ${OTA_FILE_SYSTEM_UUID} -E hash_seed=${OTA_FILE_SYSTEM_UUID},lazy_itable_init=0,lazy_journal_init=0 "
# 0: files lie as mke2fs puts them, one behind the other; ext4.zst and ext4.xz are smaller then.
OTA_SETTLED ?= "1"
# nooelint: oelint.vars.specific, oelint.vars.overrideappend, oelint.vars.inconspaces, oelint.vars.mispell - the same; it is a line of a shell
IMAGE_CMD:ext4:append = "; ota_settle"
# nooelint: oelint.vars.mispell.unknown - made by the image class for each type
do_image_ext4[file-checksums] += "${OTAMGR_REPOSITORY}/lib/otamgr/settle.py:True"

ota_settle () {
    if [ "${OTA_SETTLED}" = 1 ]; then
        python3 "${OTAMGR_REPOSITORY}/lib/otamgr/settle.py" "${IMGDEPLOYDIR}/${IMAGE_NAME}.ext4"
    fi
}
ota_settle[vardepsexclude] += "OTAMGR_REPOSITORY"

IMAGE_INSTALL:append = " packagegroup-otamgr ${OTA_KERNEL_PACKAGES} ${@'ota-boot-loader' if d.getVar('OTA_BOOT_LOADER') else ''}"
OTA_KERNEL_PACKAGES = "${@otamgr.machine.kernel_packages(d)}"

do_image_wic[depends] += "ota-boot-script:do_deploy"
# U-Boot, where the machine has one that OpenEmbedded builds.
do_image_wic[depends] += "${@'virtual/bootloader:do_deploy' if d.getVar('UBOOT_MACHINE') or d.getVar('UBOOT_CONFIG') else ''}"

# ---- what the layout needs -------------------------------------------------------------------------------------------

OTA_WKS_ENVIRONMENT = "${@otamgr.layout.wks_environment(d, 'ota-environment.bin')}"
# Its text stays the same when its value changes.
OTA_WKS_ENVIRONMENT[vardepvalue] = "${OTA_WKS_ENVIRONMENT}"
# wic became a project of its own in wrynose, with other names.
OTA_WKS_BOOT_SOURCE = "${@'bootimg-partition' if 'scarthgap' in d.getVar('LAYERSERIES_CORENAMES').split() else 'bootimg_partition'}"
OTA_SLOT_MARKER = "${WORKDIR}/ota-slot-marker/root"
# Slot a as it is flashed.
OTA_SLOT_IMAGE = "${@'${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.${OTA_SLOT_TYPE}' if d.getVar('OTA_VERIFIED_BOOT') == '1' else '${WORKDIR}/ota-slot-marker/slot-a.ext4'}"

# A slot with this file is complete: the boot script takes such a slot when the other one does not load. An update must not bring
# it, sysupgrade writes it last; a disk that is flashed has it from the beginning.
ota_slot_marker () {
    install -d ${OTA_SLOT_MARKER}/boot
    echo "txn=${@'image' if d.getVar('OTA_READ_ONLY') == '1' else 'flashed'}" > ${OTA_SLOT_MARKER}/boot/ota-slot-valid
    touch --date=@${REPRODUCIBLE_TIMESTAMP_ROOTFS} ${OTA_SLOT_MARKER}/boot/ota-slot-valid ${OTA_SLOT_MARKER}/boot ${OTA_SLOT_MARKER}
}

# The file system of the image itself, as a device makes a slot of an update: grown to the slot, with the marker. wic would make another one,
# in which files lie elsewhere, and the first update of a flashed device would have to bring what it has.
ota_slot_image () {
    cp --sparse=always "${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.ext4" "${OTA_SLOT_IMAGE}"
    export E2FSPROGS_FAKE_TIME=${REPRODUCIBLE_TIMESTAMP_ROOTFS}
    resize2fs "${OTA_SLOT_IMAGE}" ${OTA_SLOT_SIZE}M
    # One that is never written to has it already, and debugfs replaces no file.
    if [ "${OTA_READ_ONLY}" != 1 ]; then
        printf 'cd /boot\nwrite "%s" ota-slot-valid\n' "${OTA_SLOT_MARKER}/boot/ota-slot-valid" > "${OTA_SLOT_IMAGE}.debugfs"
        debugfs -w -f "${OTA_SLOT_IMAGE}.debugfs" "${OTA_SLOT_IMAGE}"
    fi
    # debugfs ends with 0 whatever happened.
    if ! debugfs -R "cat /boot/ota-slot-valid" "${OTA_SLOT_IMAGE}" | cmp - ${OTA_SLOT_MARKER}/boot/ota-slot-valid; then
        bbfatal "Slot a was not made: expected the file /boot/ota-slot-valid in ${OTA_SLOT_IMAGE}, see what debugfs says above"
    fi
}
# nooelint: oelint.vars.specific, oelint.vars.overrideappend, oelint.vars.mispell - wic is a type of images, and others may make it of more
IMAGE_TYPEDEP:wic:append = " ${@d.getVar('OTA_SLOT_TYPE') if d.getVar('OTA_VERIFIED_BOOT') == '1' else 'ext4'}"
do_image_wic[prefuncs] += "${@'' if d.getVar('OTA_VERIFIED_BOOT') == '1' else 'ota_slot_marker ota_slot_image'}"
do_image_wic[depends] += "e2fsprogs-native:do_populate_sysroot"
do_image_wic[cleandirs] += "${WORKDIR}/ota-slot-marker"

# ---- a root that is never written to -------------------------------------------------------------------------------------

OTA_READ_ONLY = "${@bb.utils.contains('IMAGE_FEATURES', 'read-only-rootfs', '1', '0', d)}"

# /etc is an overlay on the data partition, of the slot that runs. /sbin/init mounts it and becomes the real init, which is where it finds it under
# the name that it expects. The image brings its marker: nothing can be put there later.
ota_read_only_root () {
    real=${IMAGE_ROOTFS}${nonarch_libdir}/otamgr/real
    init=${IMAGE_ROOTFS}${base_sbindir}/init
    install -d $real ${IMAGE_ROOTFS}/boot
    if [ ! -e $real/init ] && [ ! -L $real/init ]; then
        if [ -L $init ]; then
            case $(readlink $init) in
            /*) ln -s "$(readlink $init)" $real/init ;;
            *) ln -s "${base_sbindir}/$(readlink $init)" $real/init ;;
            esac
            rm $init
        elif [ -e $init ]; then
            mv $init $real/init
        else
            bbfatal "the image has no ${base_sbindir}/init, which a read-only root needs to start with"
        fi
        ln -s ${nonarch_libdir}/otamgr/ota-preinit $init
    fi
    # U-Boot's driver for EROFS follows no symbolic links, and the name of the kernel is one. A second name costs nothing.
    find ${IMAGE_ROOTFS}/boot -type l | while read -r link; do
        case $(readlink "$link") in
        /*) file=${IMAGE_ROOTFS}$(readlink "$link") ;;
        *) file=$(dirname "$link")/$(readlink "$link") ;;
        esac
        if [ -f "$file" ] && [ ! -L "$file" ]; then
            rm "$link"
            ln "$file" "$link"
        fi
    done
    echo "etc=overlay" > ${IMAGE_ROOTFS}/boot/ota-read-only
    echo "txn=image" > ${IMAGE_ROOTFS}/boot/ota-slot-valid
}
ROOTFS_POSTPROCESS_COMMAND:append = " ${@'ota_read_only_root' if d.getVar('OTA_READ_ONLY') == '1' else ''}"

python ota_kernel_check () {
    import glob, os
    if d.getVar('OTA_READ_ONLY') != '1':
        return
    maps = glob.glob(os.path.join(d.getVar('PKGDATA_DIR'), 'kernel-depmod', 'System.map-*'))
    # A kernel that OpenEmbedded does not make leaves none; the device says what it lacks.
    if not maps:
        bb.warn('nobody can tell whether the kernel has an overlay file system, which IMAGE_FEATURES read-only-rootfs needs: there is no System.map '
                'in %s/kernel-depmod' % d.getVar('PKGDATA_DIR'))
        return
    kind = d.getVar('OTA_UPDATE_TYPE').split('-')[0]
    is_verified = d.getVar('OTA_VERIFIED_BOOT') == '1'
    if is_verified:
        # All is mounted by the initramfs.
        with open(d.getVar('OTA_VERIFIED_INITRAMFS') + '.manifest') as f:
            modules = otamgr.modules.installed(f.read())
    else:
        modules = {os.path.basename(path).split('.')[0] for path in glob.glob(d.getVar('IMAGE_ROOTFS') + '/**/lib/modules/**/*.ko*', recursive=True)}
    with open(sorted(maps)[-1]) as f:
        lacks = otamgr.machine.kernel_lacks(f.read(), modules, [kind] if kind in otamgr.machine.BOOT_FORMATS else [], is_verified)
    if lacks:
        bb.fatal('IMAGE_FEATURES has read-only-rootfs, and the kernel of this image lacks what that needs: set %s=y in its configuration'
                 % '=y, '.join(lacks))
}
IMAGE_PREPROCESS_COMMAND:append = " ota_kernel_check"

# ---- checks ----------------------------------------------------------------------------------------------------------

# An image that cannot be such a one is skipped when recipes are parsed: BitBake gives the reason to those who ask for it, and to nobody else.
# nooelint: oelint.task.noanonpython - parsing is when it has to be said
python () {
    own = d.getVar('OTA_OWN_WKS_FILE')
    # The name that image_types_wic.bbclass has for a layout that nobody wrote.
    if own.endswith('%s.%s.wks' % (d.getVar('IMAGE_BASENAME'), d.getVar('MACHINE'))):
        own = ''
    found = otamgr.machine.refusals(d, own)
    if found:
        raise bb.parse.SkipRecipe('this image cannot update itself: ' + '; '.join(found))
}

do_rootfs[prefuncs] += "ota_layout_check"

# Before the images are made: wic would only say that something is larger than something else.
python ota_slot_size_check () {
    import os
    slot = int(d.getVar('OTA_SLOT_SIZE')) * 1024
    needed = get_rootfs_size(d)
    if needed > slot:
        bb.fatal('The root file system does not fit into a slot: it needs %d KiB with the free space that IMAGE_OVERHEAD_FACTOR (%s) and '
                 'IMAGE_ROOTFS_EXTRA_SPACE ask for, a slot has %d KiB (OTA_SLOT_SIZE = "%s" MiB). Make the slots larger, which '
                 'needs devices flashed anew, or the image smaller.'
                 % (needed, d.getVar('IMAGE_OVERHEAD_FACTOR'), slot, d.getVar('OTA_SLOT_SIZE')))
    if d.getVar('OTA_VERIFIED_BOOT') == '1':
        return
    # Those that the boot script starts.
    kernels = ('fitImage', 'Image', 'zImage', 'uImage', 'bzImage')
    boot = os.path.join(d.getVar('IMAGE_ROOTFS'), 'boot')
    found = os.listdir(boot) if os.path.isdir(boot) else []
    if not any(name in kernels for name in found):
        bb.fatal('/boot of the image has no kernel: expected one of %s, found %s. The boot script loads the kernel from the slot, and '
                 'sysupgrade refuses an image without one.' % (', '.join(kernels), ', '.join(sorted(found)) or 'nothing'))
}
IMAGE_PREPROCESS_COMMAND:append = " ota_slot_size_check"

python ota_disk_check () {
    import gzip, os
    folder = d.getVar('IMGDEPLOYDIR')
    # By its link: an earlier run of BitBake may have made it, with another time in its name.
    name = os.path.join(folder, d.getVar('IMAGE_LINK_NAME') + '.wic')
    if os.path.exists(name):
        disk = open(name, 'rb')
    else:
        disk = gzip.open(name + '.gz', 'rb')
    with disk:
        found = otamgr.layout.disk_problems(d, otamgr.layout.read_partitions(disk))
    deployed = d.getVar('DEPLOY_DIR_IMAGE')
    found += otamgr.layout.raw_problems(d, lambda file: os.path.getsize(os.path.join(deployed, file)))
    if found:
        bb.fatal('The disk image does not fit the settings of slots and U-Boot environment:\n  %s' % '\n  '.join(found))
}

# ---- the update, and what it costs -----------------------------------------------------------------------------------

python ota_update_link () {
    import os
    folder = d.getVar('IMGDEPLOYDIR')
    image = '%s.%s' % (d.getVar('IMAGE_LINK_NAME'), d.getVar('OTA_SLOT_TYPE'))
    if not os.path.exists(os.path.join(folder, image)):
        bb.fatal('The update %s was not made: expected it in %s' % (image, folder))
    link = os.path.join(folder, d.getVar('OTA_UPDATE_NAME'))
    bb.utils.remove(link)
    os.symlink(image, link)
}

python ota_image_size () {
    import os
    root, data, folder = d.getVar('IMAGE_ROOTFS'), d.getVar('PKGDATA_DIR'), d.getVar('IMGDEPLOYDIR')
    # By its link: an earlier run of BitBake may have made it, with another time in its name.
    with open(os.path.join(folder, d.getVar('IMAGE_LINK_NAME') + '.manifest')) as f:
        installed = [line.split()[0] for line in f if line.strip()]
    added = otamgr.size.added(data, installed, d.getVar('PACKAGE_INSTALL').split(), otamgr.size.recipes())
    parts = [(name, otamgr.size.files(data, name, root)) for name in added]
    # Made with the image, see ota-class-archive.bbclass.
    archive = root + d.getVar('OTAMGR_CLASS_ARCHIVE_FILE')
    parts.append(('CDS archive', [archive] if os.path.exists(archive) else []))
    text = otamgr.size.table(parts)
    bb.plain(text)
    name = d.getVar('IMAGE_NAME') + '.ota-size'
    with open(os.path.join(folder, name), 'w') as f:
        f.write(text)
    # Under the name without a time, as the other files of an image.
    link = os.path.join(folder, d.getVar('IMAGE_LINK_NAME') + '.ota-size')
    bb.utils.remove(link)
    os.symlink(name, link)
}
IMAGE_POSTPROCESS_COMMAND:append = " ota_update_link ota_disk_check ota_image_size"

# ---- what is in it, for auditors ------------------------------------------------------------------------------------

# Until when its maker mends it, a date such as 2031-12-31, and to whom weaknesses are reported, mailto: or https:. In the image, and in the manifest
# of its bundle.
OTA_SUPPORT_UNTIL ?= ""
OTA_SECURITY_CONTACT ?= ""

# After the list of what is installed was written, and before the images are made.
python ota_packages () {
    import os
    from otamgr import sbom
    try:
        with open(d.getVar('IMAGE_MANIFEST')) as f:
            content = sbom.packed(sbom.packages_text([line for line in f if line.strip()], d.getVar('PKGDATA_DIR')))
        about = sbom.extra_lines(d.getVar('OTA_SUPPORT_UNTIL'), d.getVar('OTA_SECURITY_CONTACT'))
    except sbom.SbomError as e:
        bb.fatal('The image cannot tell what is in it: %s' % e)
    folder = d.getVar('IMAGE_ROOTFS') + d.getVar('datadir') + '/otamgr'
    bb.utils.mkdirhier(folder)
    name = d.getVar('IMAGE_NAME') + '.packages.gz'
    for path in (os.path.join(folder, 'packages.gz'), os.path.join(d.getVar('IMGDEPLOYDIR'), name)):
        with open(path, 'wb') as f:
            f.write(content)
    link = os.path.join(d.getVar('IMGDEPLOYDIR'), d.getVar('IMAGE_LINK_NAME') + '.packages.gz')
    bb.utils.remove(link)
    os.symlink(name, link)
    with open(os.path.join(folder, 'support'), 'w') as f:
        f.write(''.join('%s=%s\n' % (key[2:], value) for key, value in about.items()))
}
ROOTFS_POSTUNINSTALL_COMMAND:append = " ota_packages"

# ---- runqemu ---------------------------------------------------------------------------------------------------------

# U-Boot starts the disk image, as on a board.
QB_DEFAULT_FSTYPE:qemuarm64 = "wic"
QB_DEFAULT_BIOS:qemuarm64 = "u-boot.bin"
QB_DEFAULT_KERNEL:qemuarm64 = "none"
QB_DEFAULT_FSTYPE:qemuarm = "wic"
QB_DEFAULT_BIOS:qemuarm = "u-boot.bin"
QB_DEFAULT_KERNEL:qemuarm = "none"
QB_DEFAULT_FSTYPE:qemux86-64 = "wic"
QB_DEFAULT_BIOS:qemux86-64 = "u-boot.rom"
QB_DEFAULT_KERNEL:qemux86-64 = "none"
# The device tree of this U-Boot is of a PC with an i440FX: on a Q35, as OpenEmbedded has it, U-Boot takes the disk for that PC's ISA bridge.
QB_CPU:qemux86-64 = "-cpu IvyBridge -machine pc,i8042=off"
QB_CPU_KVM:qemux86-64 = "${QB_CPU}"
IMAGE_FSTYPES:append:qemuall = " wic"
