/* SPDX-License-Identifier: MIT */
/* A slot: read and written past the page cache where the device can do that, else with few dirty pages. */
#ifndef SLOT_H
#define SLOT_H

#include "say.h"

#include <stddef.h>
#include <sys/uio.h>

/* Of buffers, offsets and sizes for which the page cache is passed by. */
#define SLOT_ALIGNMENT 4096
/* The first bytes of a file system, which are written last. */
#define HELD_BACK 4096

struct slot {
    const char *name;
    int fd;     /* through the page cache */
    int direct; /* past it; -1: the device cannot */
    uint64_t bytes;
    size_t sector; /* offsets and sizes past the page cache are multiples of it */
    uint64_t cached; /* bytes that were read through the page cache */
    uint64_t dirty_from, dirty_to; /* written through the page cache and not yet on the medium */
};

/* Opened once, by name; a device that is mounted cannot be opened for writing. */
int slot_open(struct slot *slot, const char *device, bool writable, struct reason *reason);
void slot_close(struct slot *slot);
/* Aligned memory for reads and writes; for free(3). */
void *slot_buffer(size_t size);

/* All of what was asked for, from the medium. Any offset and size; fast where they and the buffer are aligned. */
int slot_read(struct slot *slot, void *buffer, size_t size, uint64_t offset, struct reason *reason);
int slot_write(struct slot *slot, const void *buffer, size_t size, uint64_t offset, struct reason *reason);
/* The same of parts that follow each other in the slot, at most SLOT_PARTS; in one piece where that is possible. */
enum { SLOT_PARTS = 64 };
int slot_write_parts(struct slot *slot, const struct iovec *parts, int count, uint64_t offset, struct reason *reason);
/* Everything is on the medium. */
int slot_settle(struct slot *slot, struct reason *reason);
/* The same, and the page cache holds nothing of the slot. */
int slot_flush(struct slot *slot, struct reason *reason);

#endif
