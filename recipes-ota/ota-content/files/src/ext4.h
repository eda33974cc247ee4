/* SPDX-License-Identifier: MIT */
/* What the superblock of an ext4 file system says, judged. */
#ifndef EXT4_H
#define EXT4_H

#include "facts.h"

#include <stddef.h>

struct ext4 {
    uint64_t bytes, blocks, block_bytes, free_bytes; /* free for files: without what the kernel keeps for itself */
    uint32_t compat, incompat, ro_compat;
    bool external_journal, has_errors;
    bool needs_recovery, resize_inode, has_checksum, clean;
};

/* head: the first 4 KiB of the file system. */
int ext4_judged(struct ext4 *ext4, const unsigned char *head, size_t size, struct reason *reason);
/* Whether a board can boot from it: every feature is known to Linux 5.10 and to U-Boot. */
int ext4_is_bootable(const struct ext4 *ext4, struct reason *reason);
/* By how much it may grow in its slot, and what keeps it from growing. `follows`: something lies behind it in the image. */
void ext4_growth_told(const struct ext4 *ext4, uint64_t slot_bytes, bool follows, struct facts_out *facts);

#endif
