/* SPDX-License-Identifier: MIT */
/* A squashfs as far as it is judged before anything is written: which files it has, and what they need. unsquashfs reads the rest. */
#ifndef SQUASHFS_H
#define SQUASHFS_H

#include "say.h"
#include "system.h"

#include <stddef.h>

enum { SQUASHFS_SUPERBLOCK = 96 };

struct squashfs {
    uint64_t bytes; /* that are in use */
    uint32_t inodes, block_bytes;
    unsigned compression;
    bool judged; /* its compression is one that is known here */
    const char *compression_name;
    uint64_t root, inode_table, directory_table; /* root: block and offset in the inode table */
};

/* Bytes of it: all that were asked for, or a reason. */
struct squashfs_bytes {
    int (*read)(void *self, uint64_t offset, void *to, size_t count, struct reason *reason);
    void *self;
};

struct squashfs_judgement {
    uint64_t content_bytes; /* what a file system of 4 KiB blocks and inodes of 256 bytes needs for it */
    struct system_lack lack;
    bool read_only; /* it says itself that its root is to be mounted read-only */
};

/* From its first bytes. 0, or 4 for what is no squashfs 4.0, 5 for what is damaged. */
int squashfs_read(struct squashfs *squashfs, const unsigned char *first, size_t size, uint64_t payload_bytes, struct reason *reason);

/* Of one with judged set: all inodes, and the places that a system must have. 0, or 5 for what is damaged. */
int squashfs_judge(const struct squashfs *squashfs, struct squashfs_bytes bytes, struct squashfs_judgement *judgement,
                   struct reason *reason);

#endif
