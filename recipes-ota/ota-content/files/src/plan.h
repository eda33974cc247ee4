/* SPDX-License-Identifier: MIT */
/* Where each block of an image of format 2 comes from: it is at its place, one of the slots has it elsewhere, or it is in the bundle.
 *
 * A plan is a guess that costs little: whatever it says, a block's SHA-256 is compared before the block is written, and what is not as
 * the plan says comes from the bundle. Memory: 9 to 13 bytes for each block of the image, and one for each of the slot.
 */
#ifndef PLAN_H
#define PLAN_H

#include "index.h"
#include "slot.h"

enum source_of_block {
    FROM_BUNDLE,
    IN_PLACE, /* its SHA-256 was compared */
    FROM_RUNNING,
    FROM_SLOT,
    WRITTEN,
};

struct plan {
    const struct index *index;
    uint8_t *source;  /* of each data block */
    uint32_t *from;   /* for FROM_RUNNING and FROM_SLOT: the number of the block there */
    uint8_t *dirty;   /* a bit for each block of the image: zeros in the image, but not in the slot */
    uint64_t compared; /* bytes of the slot that were looked at */
    bool from_medium;  /* and they did not come from the page cache */
};

/* The slots may be NULL. Each is sampled first, and one that shares nothing with the image is not read. */
int plan_made(struct plan *plan, const struct index *index, struct slot *slot, struct slot *running, struct progress *progress, struct reason *reason);
void plan_free(struct plan *plan);

bool plan_dirty(const struct plan *plan, uint32_t block);
/* These are zeros by now. */
void plan_clean(struct plan *plan, uint32_t block, uint32_t count);
bool plan_frame_needed(const struct plan *plan, uint32_t frame);
/* Bytes of the payload that the plan needs. */
uint64_t plan_payload(const struct plan *plan);
/* Bytes that it writes. */
uint64_t plan_writes(const struct plan *plan);

int plan_save(const struct plan *plan, const char *folder, struct reason *reason);
/* slot_blocks, running_blocks: how many blocks the slots have. */
int plan_load(struct plan *plan, const struct index *index, uint64_t slot_blocks, uint64_t running_blocks, const char *folder, struct reason *reason);
/* For tests and fuzzers: what plan_load does with the bytes of a file. */
int plan_parse(struct plan *plan, const struct index *index, uint64_t slot_blocks, uint64_t running_blocks, const uint8_t *bytes, size_t size,
               struct reason *reason);

#endif
