/* SPDX-License-Identifier: MIT */
/* A slot read from its beginning to its end past the page cache, by as many threads as there are processors. */
#ifndef SWEEP_H
#define SWEEP_H

#include "slot.h"

enum { SWEEP_THREADS = 4, SWEEP_PIECE = 524288 };

/* Given pieces in any order, from several threads; `thread` is below SWEEP_THREADS. The memory behind the piece, up to the next multiple of
 * SLOT_ALIGNMENT, is zeroed. */
typedef int sweep_piece(void *context, unsigned thread, uint64_t offset, unsigned char *data, size_t size, struct reason *reason);

/* Ends with the first failure of any piece. */
int slot_swept(struct slot *slot, uint64_t bytes, sweep_piece *piece, void *context, struct progress *progress, struct reason *reason);

#endif
