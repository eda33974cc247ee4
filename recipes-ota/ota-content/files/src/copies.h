/* SPDX-License-Identifier: MIT */
/* The part of a plan that moves blocks within the slot, and into it from the running one, so that none is overwritten before it was
 * read. What cannot be moved within bounds is left to the bundle. */
#ifndef COPIES_H
#define COPIES_H

#include "plan.h"
#include "sink.h"

/* Afterwards no source is FROM_RUNNING or FROM_SLOT: each is WRITTEN or FROM_BUNDLE, and the sink is drained. *copied grows by the bytes
 * that were handed to the sink. running may be NULL. */
int copies_made(struct plan *plan, struct slot *slot, struct slot *running, struct sink *sink, uint64_t *copied, struct progress *progress,
                struct reason *reason);

#endif
