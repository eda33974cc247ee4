/* SPDX-License-Identifier: MIT */
/* A thread that fills buffers while the caller works on those before: unpacking beside writing, reading beside hashing. */
#ifndef RING_H
#define RING_H

#include "say.h"

#include <stddef.h>

struct ring;

/* Fills the buffer; less comes only at the end. Runs in the thread, so nothing else may use its context meanwhile. */
typedef int ring_fill(void *context, void *buffer, size_t size, size_t *got, struct reason *reason);

/* Buffers of `piece` bytes, a multiple of SLOT_ALIGNMENT, aligned to it. */
int ring_open(struct ring **ring, ring_fill *fill, void *context, size_t piece, struct reason *reason);
/* The next piece, good until the next call; size 0 at the end. */
int ring_next(struct ring *ring, unsigned char **data, size_t *size, struct reason *reason);
/* Ends the thread, after the piece that it is at. */
void ring_close(struct ring *ring);

#endif
