/* SPDX-License-Identifier: MIT */
/* Which frames of a bundle are there. A bundle that was pulled in parts has its full length, and zeros where nothing was fetched: no frame
 * consists of zeros. What is not zeros is unpacked and compared with the signed hashes, as when it is written. */
#ifndef THERE_H
#define THERE_H

#include "blocks.h"
#include "plan.h"

enum frame_is {
    FRAME_UNUSED, /* nothing in it is needed */
    FRAME_GOOD,
    FRAME_MISSING,
    FRAME_DAMAGED,
    FRAME_UNTRIED, /* it is there, but what it was compressed with is not */
};

struct there {
    uint8_t *is; /* enum frame_is of each frame */
    uint64_t missing, damaged, good; /* compressed bytes of the frames that are so */
    uint32_t untried;
};

/* Whether the file on descriptor 8 has holes, as far as its file system tells. */
bool payload_has_holes(const struct payload *payload);

/* Compares each block that the plan takes from a slot with its hash, after which nothing in the plan is a guess; then tries the needed
 * frames, and the first one. Nothing is written. The slots may be NULL. there->is is for free(3), also after a failure. */
int frames_tried(struct there *there, const struct blocks *blocks, struct plan *plan, struct slot *slot, struct slot *running, struct progress *progress,
                 struct reason *reason);

#endif
