/* SPDX-License-Identifier: MIT */
/* Blocks on their way into the slot: a thread compares them with their hashes and writes them, while the caller prepares the next.
 *
 * It holds SINK_LENT blocks, so what is lost with the process, and is done again, is at most 256 KiB. */
#ifndef SINK_H
#define SINK_H

#include "index.h"
#include "slot.h"
#include "writes.h"

struct sink;

/* unverified[data] is set, and the block not written, where a block of sink_try is not what the index says. What is written comes into `writes`.
 *
 * authentic: what comes by sink_put and sink_lend was unpacked from bytes that were compared with a signed SHA-256, so that nobody chose it. What may
 * still be wrong is memory, and for that the signed quick hash of the block is enough, at a quarter of the price. */
int sink_open(struct sink **sink, struct slot *slot, const struct index *index, uint8_t *unverified, struct writes *writes, bool authentic,
              struct reason *reason);
void sink_close(struct sink *sink);

/* The block goes to its place `block` in the slot. With another hash than the index has for `data`, it is an error of the bundle. */
int sink_put(struct sink *sink, uint32_t data, uint32_t block, const uint8_t *bytes, struct reason *reason);
/* The same, and the bytes stay as they are until SINK_LENT more blocks were put, or all is drained. */
enum { SINK_LENT = 64 };
int sink_lend(struct sink *sink, uint32_t data, uint32_t block, const uint8_t *bytes, struct reason *reason);
/* Zeros go there. */
int sink_zeros(struct sink *sink, uint32_t block, struct reason *reason);
/* As sink_put for a block that may be wrong. */
int sink_try(struct sink *sink, uint32_t data, uint32_t block, const uint8_t *bytes, struct reason *reason);
/* Everything that was put is written. */
int sink_drain(struct sink *sink, struct reason *reason);
/* As far as the caller has heard: all of it, when it is drained. */
uint64_t sink_written(const struct sink *sink);

#endif
