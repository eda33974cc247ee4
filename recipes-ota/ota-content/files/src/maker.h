/* SPDX-License-Identifier: MIT */
/* Makes the block index and the payload of a bundle of format 2 from an image. For build hosts. */
#ifndef MAKER_H
#define MAKER_H

#include "index.h"

#include <stdio.h>

struct maker {
    /* What is wanted; zeros become the defaults. */
    uint32_t frame_blocks, group_frames, threads;
    int32_t prefix_blocks; /* -1: the default */
    size_t hash_bytes;
    int level;
    /* What was made. */
    uint64_t image_bytes, payload_bytes, index_bytes;
    uint32_t data_blocks, frames;
    uint8_t image_sha256[32], payload_sha256[32], index_sha256[32];
};

/* The image is read once from its beginning to its end, from whatever it is; the files are written from where they are. */
int maker_run(struct maker *maker, FILE *image, FILE *index, FILE *payload, struct reason *reason);

#endif
