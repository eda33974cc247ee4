/* SPDX-License-Identifier: MIT */
/* The block index of a bundle of format 2: docs/bundles.md has its layout. Whether it is signed is not looked at here. */
#ifndef INDEX_H
#define INDEX_H

#include "say.h"

#include <stddef.h>

enum {
    BLOCK = 4096,
    INDEX_HEADER = 128,
    FRAME_BLOCKS_LIMIT = 16,
    PREFIX_BLOCKS_LIMIT = 64,
    GROUP_FRAMES_LIMIT = 65536,
    HASH_LIMIT = 32,
    HASH_LEAST = 16,
    GROUP_HASH = 32,
};
#define IMAGE_LIMIT (UINT64_C(16) << 30)
#define INDEX_LIMIT (UINT64_C(192) << 20)

/* Data blocks are the blocks that are not all zeros, numbered in their order. The bytes stay where the caller has them. */
struct index {
    const uint8_t *bytes;
    size_t size;
    uint64_t image_bytes, payload_bytes;
    uint32_t blocks; /* of the image, zeros included */
    uint32_t runs, data_blocks, frames, groups;
    uint32_t frame_blocks, prefix_blocks, group_frames;
    size_t hash_bytes;
    const uint8_t *run, *hash, *group, *quick, *frame;
    uint32_t *run_data;      /* the data block with which each run begins; one more at the end */
    uint64_t *group_offset; /* where the frames of each group begin in the payload; one more at the end */
};

/* 0, or 4 for what is no index or of a version that is not known, 5 for what contradicts itself. Everything below may then be called
 * with numbers below those in the header. */
int index_read(struct index *index, const void *bytes, size_t size, struct reason *reason);
void index_free(struct index *index);

struct run {
    uint32_t first, count;
};
struct run index_run(const struct index *index, uint32_t number);
/* The run that holds a data block. */
uint32_t index_run_of(const struct index *index, uint32_t data);
/* Where a data block lies in the image. */
uint32_t index_place(const struct index *index, uint32_t data);
/* Which data block lies at a block of the image, or INDEX_ZEROS; `run` remembers where the last answer came from, 0 at first. */
#define INDEX_ZEROS UINT32_MAX
uint32_t index_data_at(const struct index *index, uint32_t *run, uint32_t block);
const uint8_t *index_hash(const struct index *index, uint32_t data);
uint32_t index_quick(const struct index *index, uint32_t data);

/* The compressed bytes of a frame, and how many blocks it holds. */
uint32_t index_frame_bytes(const struct index *index, uint32_t frame);
uint32_t index_frame_blocks(const struct index *index, uint32_t frame);
/* Where it begins in the payload; takes up to group_frames steps. */
uint64_t index_frame_offset(const struct index *index, uint32_t frame);

/* What a search compares before it spends a SHA-256. */
uint32_t quick_hash(const void *bytes, size_t size);

/* For the maker and tests: the header. */
void index_write_header(uint8_t header[INDEX_HEADER], const struct index *index);
void put16(uint8_t *at, uint32_t value);
void put32(uint8_t *at, uint32_t value);
void put64(uint8_t *at, uint64_t value);

#endif
