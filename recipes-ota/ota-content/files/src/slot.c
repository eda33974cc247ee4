/* SPDX-License-Identifier: MIT */
#include "slot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Dirty pages that writing through the page cache leaves at most, twice. */
#define WINDOW (UINT64_C(4) << 20)

void *slot_buffer(size_t size) {
    size_t whole = (size + SLOT_ALIGNMENT - 1) / SLOT_ALIGNMENT * SLOT_ALIGNMENT;
    return aligned_alloc(SLOT_ALIGNMENT, whole);
}

int slot_open(struct slot *slot, const char *device, bool writable, struct reason *reason) {
    struct stat info;
    *slot = (struct slot){.name = device, .fd = -1, .direct = -1, .sector = 512};
    /* O_EXCL of a block device means: not while it is mounted. A file has no such thing, and Linux ignores it. */
    slot->fd = open(device, (writable ? O_RDWR | O_EXCL : O_RDONLY) | O_CLOEXEC | O_NOCTTY);
    if (slot->fd < 0 && errno == EBUSY) {
        return fail(reason, 11, "the slot %s is in use (mounted, or part of something that is); unmount it first", device);
    }
    if (slot->fd < 0) {
        return fail_errno(reason, writable ? CODE_WRITE : CODE_DIFFERS, "the slot %s cannot be opened", device);
    }
    uint64_t bytes = 0;
    int sector = 0;
    if (fstat(slot->fd, &info) != 0 || (!S_ISBLK(info.st_mode) && !S_ISREG(info.st_mode))) {
        slot_close(slot);
        return fail(reason, CODE_WRITE, "the slot %s is neither a block device nor a file", device);
    }
    if (S_ISREG(info.st_mode)) {
        bytes = (uint64_t)info.st_size;
    } else if (ioctl(slot->fd, BLKGETSIZE64, &bytes) != 0) {
        int code = fail_errno(reason, CODE_WRITE, "the size of the slot %s is unknown", device);
        slot_close(slot);
        return code;
    } else if (ioctl(slot->fd, BLKSSZGET, &sector) == 0 && sector >= 512 && sector <= SLOT_ALIGNMENT) {
        slot->sector = (size_t)sector;
    }
    slot->bytes = bytes;
    /* The same open file, not the same name again. */
    char same[40];
    snprintf(same, sizeof same, "/proc/self/fd/%d", slot->fd);
    slot->direct = open(same, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_DIRECT);
    return 0;
}

void slot_close(struct slot *slot) {
    if (slot->direct >= 0) {
        close(slot->direct);
    }
    if (slot->fd >= 0) {
        close(slot->fd);
    }
    slot->fd = slot->direct = -1;
}

/* How many of these bytes can pass the page cache by. */
static size_t direct_part(const struct slot *slot, const void *buffer, size_t size, uint64_t offset) {
    if (slot->direct < 0 || (uintptr_t)buffer % SLOT_ALIGNMENT != 0 || offset % slot->sector != 0) {
        return 0;
    }
    return size / slot->sector * slot->sector;
}

static int beyond(const struct slot *slot, size_t size, uint64_t offset, int code, struct reason *reason) {
    return fail(reason, code, "the slot %s ends at byte %llu, before %llu", slot->name, (unsigned long long)slot->bytes,
                (unsigned long long)(offset + size));
}

int slot_read(struct slot *slot, void *buffer, size_t size, uint64_t offset, struct reason *reason) {
    unsigned char *at = buffer;
    if (offset > slot->bytes || size > slot->bytes - offset) {
        return beyond(slot, size, offset, CODE_DIFFERS, reason);
    }
    size_t direct = direct_part(slot, at, size, offset);
    bool dropped = false;
    while (size > 0) {
        ssize_t got;
        if (direct > 0) {
            got = pread(slot->direct, at, direct, (off_t)offset);
            if (got < 0 && errno == EINVAL) {
                direct = 0;
                continue;
            }
            if (got > 0) {
                /* A short read ends where the next one may not begin. */
                direct = (size_t)got % slot->sector == 0 ? direct - (size_t)got : 0;
            }
        } else {
            if (!dropped) {
                posix_fadvise(slot->fd, (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED);
                dropped = true;
            }
            got = pread(slot->fd, at, size, (off_t)offset);
            slot->cached += got > 0 ? (uint64_t)got : 0;
        }
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(reason, CODE_DIFFERS, "the slot %s cannot be read at byte %llu", slot->name, (unsigned long long)offset);
        }
        if (got == 0) {
            return beyond(slot, size, offset, CODE_DIFFERS, reason);
        }
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

static int unwritten(const struct slot *slot, uint64_t offset, struct reason *reason) {
    return fail_errno(reason, CODE_WRITE, "writing the slot %s failed at byte %llu", slot->name, (unsigned long long)offset);
}

/* Waits for what was written before the last WINDOW, and begins to write that. */
static int written_back(struct slot *slot, struct reason *reason) {
    if (slot->dirty_to - slot->dirty_from < 2 * WINDOW) {
        return 0;
    }
    uint64_t settled = slot->dirty_to - WINDOW;
    if (sync_file_range(slot->fd, (off_t)slot->dirty_from, (off_t)(settled - slot->dirty_from),
                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) != 0 ||
        sync_file_range(slot->fd, (off_t)settled, (off_t)WINDOW, SYNC_FILE_RANGE_WRITE) != 0) {
        return unwritten(slot, slot->dirty_from, reason);
    }
    posix_fadvise(slot->fd, (off_t)slot->dirty_from, (off_t)(settled - slot->dirty_from), POSIX_FADV_DONTNEED);
    slot->dirty_from = settled;
    return 0;
}

int slot_write(struct slot *slot, const void *buffer, size_t size, uint64_t offset, struct reason *reason) {
    const unsigned char *at = buffer;
    if (offset > slot->bytes || size > slot->bytes - offset) {
        return beyond(slot, size, offset, CODE_WRITE, reason);
    }
    size_t direct = direct_part(slot, at, size, offset);
    while (size > 0) {
        ssize_t done;
        if (direct > 0) {
            done = pwrite(slot->direct, at, direct, (off_t)offset);
            if (done < 0 && errno == EINVAL) {
                direct = 0;
                continue;
            }
            if (done > 0) {
                direct = (size_t)done % slot->sector == 0 ? direct - (size_t)done : 0;
            }
        } else {
            done = pwrite(slot->fd, at, size, (off_t)offset);
            if (done > 0) {
                if (offset < slot->dirty_from || slot->dirty_to == 0) {
                    slot->dirty_from = offset;
                }
                if (offset + (uint64_t)done > slot->dirty_to) {
                    slot->dirty_to = offset + (uint64_t)done;
                }
            }
        }
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return unwritten(slot, offset, reason);
        }
        at += done;
        offset += (uint64_t)done;
        size -= (size_t)done;
    }
    return slot->direct < 0 ? written_back(slot, reason) : 0;
}

int slot_write_parts(struct slot *slot, const struct iovec *parts, int count, uint64_t offset, struct reason *reason) {
    size_t size = 0, direct = 0;
    for (int i = 0; i < count; i++) {
        direct += direct_part(slot, parts[i].iov_base, parts[i].iov_len, offset + size);
        size += parts[i].iov_len;
    }
    if (count > 1 && direct == size && offset <= slot->bytes && size <= slot->bytes - offset) {
        ssize_t done = pwritev(slot->direct, parts, count, (off_t)offset);
        if (done == (ssize_t)size) {
            return 0;
        }
        if (done < 0 && errno != EINVAL && errno != EINTR) {
            return unwritten(slot, offset, reason);
        }
    }
    /* One by one. What was written already is written once more, and is the same. */
    int code = 0;
    for (int i = 0; code == 0 && i < count; offset += parts[i].iov_len, i++) {
        code = slot_write(slot, parts[i].iov_base, parts[i].iov_len, offset, reason);
    }
    return code;
}

int slot_settle(struct slot *slot, struct reason *reason) {
    if (fsync(slot->fd) != 0) {
        return fail_errno(reason, CODE_WRITE, "what was written to the slot %s did not reach the medium", slot->name);
    }
    slot->dirty_from = slot->dirty_to = 0;
    return 0;
}

int slot_flush(struct slot *slot, struct reason *reason) {
    int code = slot_settle(slot, reason);
    if (code != 0) {
        return code;
    }
    posix_fadvise(slot->fd, 0, 0, POSIX_FADV_DONTNEED);
    /* Refused for files. */
    ioctl(slot->fd, BLKFLSBUF, 0);
    return 0;
}
