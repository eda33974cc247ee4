/* SPDX-License-Identifier: MIT */
/*
 * ota-boot-place - writes a boot loader to a place of a disk from which the SoC's ROM reads it, so that the ROM never takes half of it for one.
 *
 * usage: ota-boot-place DEVICE OFFSET BYTES <CONTENT        DEVICE a whole disk, OFFSET and BYTES decimal
 *
 * ROMs know a boot loader by its first sector. So that one is cleared first, written last, and only once everything behind it was read back: a
 * power cut before leaves a place where the ROM finds nothing, and it goes on to the next one. Content that does not have exactly BYTES bytes is
 * refused, and nothing is written then. What is left of the last sector is zeros.
 *
 * exit status: 0 the place holds the content, on the medium; 1 something failed, the reason on standard error; 2 wrong usage
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "help.h"

enum {
    FAILED = 1,
    USAGE = 2,
    /* Of memory, and in one piece: an eMMC's logical blocks have 512 bytes, those of other disks up to this. */
    ALIGNMENT = 4096,
    BYTES_LIMIT = 64 << 20,
    CHUNK = 1 << 20,
};

static const char usage[] = "Usage: ota-boot-place DEVICE OFFSET BYTES <CONTENT        DEVICE a whole disk; OFFSET and BYTES decimal\n";

struct place {
    const char *device;
    int file;
    size_t sector;  /* what the disk writes as one */
    off_t offset;   /* a multiple of it */
    size_t bytes;   /* of the content */
    size_t padded;  /* up to the end of its last sector */
};

static int failed(const struct place *place, const char *what, const char *reason) {
    fprintf(stderr, "ota-boot-place: %s: %s: %s\n", place->device, what, reason);
    return -1;
}

/* A decimal number up to a limit, or -1. */
static int64_t number(const char *word, int64_t limit) {
    int64_t value = 0;
    const char *digit = word;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        value = value * 10 + (*digit - '0');
        if (value > limit) {
            return -1;
        }
    }
    return digit == word || *digit != '\0' ? -1 : value;
}

/* Past the page cache: a sector is written as this one and no other, and what is read back comes from the medium. */
static int opened(struct place *place) {
    place->file = open(place->device, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (place->file < 0) {
        return failed(place, "cannot be opened", strerror(errno));
    }
    struct stat found;
    int sector = 0;
    uint64_t size = 0;
    if (fstat(place->file, &found) != 0 || !S_ISBLK(found.st_mode)) {
        return failed(place, "expected a disk", "this is no block device");
    }
    if (ioctl(place->file, BLKSSZGET, &sector) != 0 || ioctl(place->file, BLKGETSIZE64, &size) != 0) {
        return failed(place, "its size cannot be read", strerror(errno));
    }
    if (sector < 512 || sector > ALIGNMENT || place->offset < sector || place->offset % sector != 0) {
        return failed(place, "expected a place behind the first sector that begins where a sector does", "found another one");
    }
    place->sector = (size_t)sector;
    place->padded = (place->bytes + place->sector - 1) / place->sector * place->sector;
    if (place->padded > size || (uint64_t)place->offset > size - place->padded) {
        return failed(place, "expected a place on the disk", "it ends before");
    }
    return 0;
}

/* All of standard input, if that is as long as was said. */
static int content_read(const struct place *place, uint8_t *content) {
    size_t there = 0;
    for (;;) {
        /* One byte more than expected is asked for, behind the last sector. */
        ssize_t count = read(STDIN_FILENO, content + there, place->bytes + 1 - there);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return failed(place, "the content cannot be read", strerror(errno));
        }
        there += (size_t)count;
        if (count == 0 || there > place->bytes) {
            break;
        }
    }
    if (there != place->bytes) {
        return failed(place, "nothing was written, for the content", there > place->bytes ? "is longer than was said" : "ends before the bytes that were said");
    }
    memset(content + there, 0, place->padded - there);
    for (size_t at = 0; at < place->sector; at++) {
        if (content[at] != 0) {
            return 0;
        }
    }
    return failed(place, "nothing was written, for the content", "begins with a sector of zeros, in which no ROM finds a boot loader");
}

/* From a place in the content on, to the medium. */
static int put(const struct place *place, const uint8_t *content, size_t from, size_t count) {
    while (count > 0) {
        ssize_t written = pwrite(place->file, content + from, count < CHUNK ? count : CHUNK, place->offset + (off_t)from);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0 || (size_t)written % place->sector != 0) {
            return failed(place, "cannot be written", written < 0 ? strerror(errno) : "the disk takes no more");
        }
        from += (size_t)written;
        count -= (size_t)written;
    }
    return fsync(place->file) != 0 ? failed(place, "cannot be written", strerror(errno)) : 0;
}

/* Whether the medium holds that. */
static int verified(const struct place *place, const uint8_t *content, size_t from, size_t count, uint8_t *read_back) {
    while (count > 0) {
        ssize_t got = pread(place->file, read_back, count < CHUNK ? count : CHUNK, place->offset + (off_t)from);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0 || (size_t)got % place->sector != 0) {
            return failed(place, "cannot be read back", got < 0 ? strerror(errno) : "the disk ends");
        }
        if (memcmp(read_back, content + from, (size_t)got) != 0) {
            return failed(place, "does not hold what was written to it", "its bytes read back are others");
        }
        from += (size_t)got;
        count -= (size_t)got;
    }
    return 0;
}

static int placed(const struct place *place, const uint8_t *content, uint8_t *read_back) {
    size_t head = place->sector, rest = place->padded - head;
    memset(read_back, 0, head);
    if (put(place, read_back, 0, head) != 0) {
        return -1;
    }
    if (put(place, content, head, rest) != 0 || verified(place, content, head, rest, read_back) != 0) {
        return -1;
    }
    return put(place, content, 0, head) != 0 ? -1 : verified(place, content, 0, place->padded, read_back);
}

static int whole(struct place *place) {
    void *content = NULL, *read_back = NULL;
    int result = -1;
    if (opened(place) == 0) {
        if (posix_memalign(&content, ALIGNMENT, place->padded + ALIGNMENT) != 0 || posix_memalign(&read_back, ALIGNMENT, CHUNK) != 0) {
            failed(place, "no memory for the content", strerror(ENOMEM));
        } else if (content_read(place, content) == 0) {
            result = placed(place, content, read_back);
        }
    }
    free(content);
    free(read_back);
    if (place->file >= 0) {
        close(place->file);
    }
    return result;
}

int main(int count, char **words) {
    int said = help_said(count, words, usage);
    if (said >= 0) {
        return said;
    }
    int64_t offset = count == 4 ? number(words[2], INT64_MAX / 16) : -1, bytes = count == 4 ? number(words[3], BYTES_LIMIT) : -1;
    if (offset < 0 || bytes < 1 || words[1][0] == '-') {
        fputs(usage, stderr);
        return USAGE;
    }
    struct place place = {.device = words[1], .file = -1, .offset = (off_t)offset, .bytes = (size_t)bytes};
    return whole(&place) != 0 ? FAILED : 0;
}
