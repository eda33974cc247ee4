/* SPDX-License-Identifier: MIT */
/* The superblock of a squashfs; all else is read by unsquashfs, from a copy that was verified. */
#ifndef SQUASHFS_H
#define SQUASHFS_H

#include "say.h"

#include <stddef.h>

enum { SQUASHFS_SUPERBLOCK = 96 };

struct squashfs {
    uint64_t bytes;   /* that are in use */
    uint32_t inodes, block_bytes;
    const char *compression; /* gzip, xz, ... */
};

/* From its first bytes. 0, or 4 for what is no squashfs 4.0, 5 for what is damaged. */
int squashfs_judged(struct squashfs *squashfs, const unsigned char *first, size_t size, uint64_t payload_bytes, struct reason *reason);

#endif
