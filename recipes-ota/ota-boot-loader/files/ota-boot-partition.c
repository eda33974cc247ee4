/* SPDX-License-Identifier: MIT */
/*
 * ota-boot-partition - which boot partition of an eMMC the SoC's ROM reads the boot loader from, and another one.
 *
 * usage: ota-boot-partition DEVICE              says boot0, boot1, user, none or reserved
 *        ota-boot-partition DEVICE boot0|boot1  switches, if one of the two is used now, and reads it back
 *
 * DEVICE is the eMMC itself (/dev/mmcblk0). The register is PARTITION_CONFIG, byte 179 of EXT_CSD (JEDEC JESD84-B51, 7.4.69), and keeps its value
 * without power: one command of the bus writes this one byte, so a power cut leaves the old value or the new one.
 *
 * exit status: 0; 1 something failed, the reason on standard error; 2 wrong usage
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <linux/mmc/ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "help.h"

enum {
    FAILED = 1,
    USAGE = 2,
    EXT_CSD_BYTES = 512,
    PARTITION_CONFIG = 179,
    ENABLE_SHIFT = 3,
    ENABLE_MASK = 7 << ENABLE_SHIFT,
    /* Which partition commands of the bus are for: the kernel sets it for each request. */
    ACCESS_MASK = 7,
    COMMAND_SWITCH = 6,
    COMMAND_SEND_EXT_CSD = 8,
    SWITCH_WRITE_BYTE = 3,
    SWITCH_MILLISECONDS = 10000,
};

/* What the kernel calls these in a header of its own (include/linux/mmc/core.h): the kinds of answers and commands. */
enum {
    ANSWER_R1 = 1 << 0 | 1 << 2 | 1 << 4,
    ANSWER_BUSY = 1 << 3,
    COMMAND_READS_DATA = 1 << 5,
    SPI_ANSWER_R1 = 1 << 7,
    SPI_ANSWER_BUSY = 1 << 10,
};

static const char usage[] = "Usage: ota-boot-partition DEVICE [boot0|boot1]        DEVICE an eMMC, such as /dev/mmcblk0\n";

/* Of BOOT_PARTITION_ENABLE. */
static const char *const names[] = {"none", "boot0", "boot1", "reserved", "reserved", "reserved", "reserved", "user"};

static int failed(const char *device, const char *what, const char *reason) {
    fprintf(stderr, "ota-boot-partition: %s: %s: %s\n", device, what, reason);
    return -1;
}

/* The file, or -1. Other devices would take the number of the request for something else. */
static int opened(const char *device) {
    int file = open(device, O_RDWR | O_CLOEXEC);
    if (file < 0) {
        return failed(device, "cannot be opened", strerror(errno));
    }
    struct stat found;
    if (fstat(file, &found) != 0 || !S_ISBLK(found.st_mode)) {
        failed(device, "expected an eMMC", "this is no block device");
    } else if (major(found.st_rdev) != MMC_BLOCK_MAJOR) {
        failed(device, "expected an eMMC", "this is a block device of another kind");
    } else {
        return file;
    }
    close(file);
    return -1;
}

/* PARTITION_CONFIG, or -1. */
static int config_read(const char *device, int file) {
    uint8_t ext_csd[EXT_CSD_BYTES] = {0};
    struct mmc_ioc_cmd command = {
        .opcode = COMMAND_SEND_EXT_CSD,
        .flags = ANSWER_R1 | SPI_ANSWER_R1 | COMMAND_READS_DATA,
        .blksz = EXT_CSD_BYTES,
        .blocks = 1,
    };
    mmc_ioc_cmd_set_data(command, ext_csd);
    if (ioctl(file, MMC_IOC_CMD, &command) != 0) {
        return failed(device, "its register EXT_CSD cannot be read (an SD card has none)", strerror(errno));
    }
    return ext_csd[PARTITION_CONFIG];
}

static int config_written(const char *device, int file, int config) {
    struct mmc_ioc_cmd command = {
        .write_flag = 1,
        .opcode = COMMAND_SWITCH,
        .arg = (uint32_t)SWITCH_WRITE_BYTE << 24 | (uint32_t)PARTITION_CONFIG << 16 | (uint32_t)config << 8 | 1,
        .flags = ANSWER_R1 | ANSWER_BUSY | SPI_ANSWER_R1 | SPI_ANSWER_BUSY,
        .cmd_timeout_ms = SWITCH_MILLISECONDS,
    };
    if (ioctl(file, MMC_IOC_CMD, &command) != 0) {
        return failed(device, "PARTITION_CONFIG cannot be written", strerror(errno));
    }
    return 0;
}

static int partition_of(int config) {
    return (config & ENABLE_MASK) >> ENABLE_SHIFT;
}

static int switched(const char *device, int file, int wanted) {
    int config = config_read(device, file);
    if (config < 0) {
        return -1;
    }
    int now = partition_of(config);
    if (now != 1 && now != 2) {
        return failed(device, "expected that the ROM starts from boot0 or boot1, so that there is a second one; found", names[now]);
    }
    if (now == wanted) {
        return 0;
    }
    int next = (config & ~(ENABLE_MASK | ACCESS_MASK)) | wanted << ENABLE_SHIFT;
    if (config_written(device, file, next) != 0) {
        return -1;
    }
    config = config_read(device, file);
    if (config < 0) {
        return -1;
    }
    if (partition_of(config) != wanted) {
        return failed(device, "PARTITION_CONFIG was written, and read back it still says", names[partition_of(config)]);
    }
    return 0;
}

static int shown(const char *device, int file) {
    int config = config_read(device, file);
    if (config < 0) {
        return -1;
    }
    return puts(names[partition_of(config)]) < 0 || fflush(stdout) != 0 ? failed(device, "cannot be said", strerror(errno)) : 0;
}

int main(int count, char **words) {
    int said = help_said(count, words, usage);
    if (said >= 0) {
        return said;
    }
    int wanted = 0;
    if (count == 3) {
        wanted = strcmp(words[2], names[1]) == 0 ? 1 : strcmp(words[2], names[2]) == 0 ? 2 : 0;
    }
    if (count < 2 || words[1][0] == '-' || (count != 2 && wanted == 0)) {
        fputs(usage, stderr);
        return USAGE;
    }
    int file = opened(words[1]);
    if (file < 0) {
        return FAILED;
    }
    int result = wanted != 0 ? switched(words[1], file, wanted) : shown(words[1], file);
    close(file);
    return result != 0 ? FAILED : 0;
}
