/* SPDX-License-Identifier: MIT */
/* One frame of the payload of format 2, unpacked. Its bytes are not trusted; the hashes of the blocks judge what comes out. */
#ifndef FRAME_H
#define FRAME_H

#include "index.h"

#include <openssl/evp.h>

enum { FRAME_LIMIT = FRAME_BLOCKS_LIMIT * BLOCK };

struct unpacker;
struct unpacker *unpacker_new(void);
void unpacker_free(struct unpacker *unpacker);

/* Exactly `bytes` come out, or 5. prefix: the blocks before, packed and plain at most FRAME_LIMIT. */
int frame_unpacked(struct unpacker *unpacker, const uint8_t *packed, size_t packed_bytes, const uint8_t *prefix, size_t prefix_bytes, uint8_t *plain,
                   size_t bytes, struct reason *reason);

/* Whether a block is what the index says; each thread has a hasher of its own. */
struct hasher;
struct hasher *hasher_new(void);
void hasher_free(struct hasher *hasher);
bool hash_of(struct hasher *hasher, const void *bytes, size_t size, uint8_t hash[32]);
bool block_is(struct hasher *hasher, const struct index *index, uint32_t data, const uint8_t *block);

bool is_zero(const uint8_t *bytes, size_t size);

#endif
