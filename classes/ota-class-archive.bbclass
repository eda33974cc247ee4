# SPDX-License-Identifier: MIT
#
# The archive of the classes that otamgr loads: it starts in half the time with it. The target's own runtime makes it from the
# finished file system, as the archive remembers path, size and time of every jar. It is in the image and in no package, because
# the JVM never writes the same archive twice, and packages must be the same when they are built again.

# 1: make it. The build host must be able to run the target's programs.
OTAMGR_CLASS_ARCHIVE ?= "${@bb.utils.contains('MACHINE_FEATURES', 'qemu-usermode', '1', '0', d)}"

inherit qemu
DEPENDS += "${@'qemu-native' if d.getVar('OTAMGR_CLASS_ARCHIVE') == '1' else ''}"

OTAMGR_CLASS_ARCHIVE_FILE = "${nonarch_libdir}/otamgr/otamgr.jsa"
OTAMGR_CLASS_LIST = "${@bb.utils.which(d.getVar('BBPATH'), 'recipes-ota/otamgr/files/otamgr.classlist')}"
do_image[file-checksums] += "${OTAMGR_CLASS_LIST}:True"
OTAMGR_CLASS_ARCHIVE_WORK = "${WORKDIR}/ota-class-archive"
# The runtime of the image, one of the layer's, and how the build host runs it.
OTAMGR_CLASS_ARCHIVE_JAVA = "${libdir}/jvm/${@d.getVar('VIRTUAL-RUNTIME_otamgr-java') or 'openjdk-jre-headless'}/bin/java"
OTAMGR_CLASS_ARCHIVE_RUN = "${@qemu_run_binary(d, d.getVar('IMAGE_ROOTFS'), d.getVar('OTAMGR_CLASS_ARCHIVE_JAVA'))}"

ota_class_archive () {
    archive=${IMAGE_ROOTFS}${OTAMGR_CLASS_ARCHIVE_FILE}
    # Of an earlier run of this task.
    rm -f $archive
    if [ "${OTAMGR_CLASS_ARCHIVE}" != 1 ]; then
        return 0
    fi
    # VIRTUAL-RUNTIME_otamgr-java may name a runtime that is none of the layer's.
    if [ ! -x ${IMAGE_ROOTFS}${OTAMGR_CLASS_ARCHIVE_JAVA} ]; then
        echo "no CDS archive: the image has no ${OTAMGR_CLASS_ARCHIVE_JAVA}"
        return 0
    fi
    work=${OTAMGR_CLASS_ARCHIVE_WORK}
    rm -rf $work
    install -d $work
    printf '#!/bin/sh\nexec %s "$@"\n' \
        "env -u JAVA_TOOL_OPTIONS -u _JAVA_OPTIONS -u JDK_JAVA_OPTIONS -u CLASSPATH ${OTAMGR_CLASS_ARCHIVE_RUN}" > $work/java
    chmod 0755 $work/java

    # The launcher of the image gives the class path and the options, so that the archive is one for them.
    ota_class_archive_run /nowhere -Xshare:dump -XX:SharedClassListFile=${OTAMGR_CLASS_LIST} -XX:SharedArchiveFile=$work/otamgr.jsa \
        -Xmx128m -XX:MaxMetaspaceSize=512m -Xlog:disable -Xlog:all=error:stderr ||
        bbfatal "The runtime of the image made no CDS archive; what it said is above. OTAMGR_CLASS_ARCHIVE = \"0\" builds an image without one."
    # Else the device would do without it and say nothing.
    ota_class_archive_run $work/otamgr.jsa -Xshare:on ||
        bbfatal "The runtime of the image does not accept the CDS archive that it has just made; what it said is above. \
OTAMGR_CLASS_ARCHIVE = \"0\" builds an image without one."

    install -m 0644 $work/otamgr.jsa $archive
    touch --no-create --reference=${IMAGE_ROOTFS}${bindir}/otamgr $archive $(dirname $archive)
}

# ota_class_archive_run ARCHIVE OPTION...: runs the launcher of the image for the otamgr of the image, with more options for Java. Jars
# have names without a leading slash, in the archive, too, where a daemon that was started in / finds the same files. QEMU's own
# way to show another root to a program does not do: it forgets the system call statx, with which Java looks for jars.
ota_class_archive_run () {
    use=$1
    shift
    (cd ${IMAGE_ROOTFS} && OTAMGR_DEFAULTS=/dev/null OTAMGR_JARS=${@d.getVar('datadir').lstrip('/')}/java OTAMGR_JAVA=${OTAMGR_CLASS_ARCHIVE_WORK}/java \
        OTAMGR_CDS=$use OTAMGR_JAVA_OPTIONS="$*" sh ${IMAGE_ROOTFS}${bindir}/otamgr --version)
}
# After the class image has given all files their time.
IMAGE_PREPROCESS_COMMAND:append = " ota_class_archive"
