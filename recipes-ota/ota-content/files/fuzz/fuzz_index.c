/* SPDX-License-Identifier: MIT */
/* Any bytes as a block index: whatever is read may be used without a further check. And as the plan of an earlier step. */
#include "image.h"

#include "index.h"
#include "plan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void index_looked_at(const struct index *index) {
    uint32_t run = 0;
    uint64_t blocks = 0, offset = 0;
    for (uint32_t i = 0; i < index->runs; i++) {
        struct run here = index_run(index, i);
        PROMISE(here.count > 0 && (uint64_t)here.first + here.count <= index->blocks);
        PROMISE(index_data_at(index, &run, here.first) == index->run_data[i]);
        PROMISE(here.first == 0 || index_data_at(index, &run, here.first - 1) == INDEX_ZEROS || i > 0);
        blocks += here.count;
    }
    PROMISE(blocks == index->data_blocks);
    for (uint32_t i = 0; i < index->data_blocks; i += 1 + index->data_blocks / 64) {
        uint32_t place = index_place(index, i);
        PROMISE(place < index->blocks && index_data_at(index, &run, place) == i);
        PROMISE(index_hash(index, i) + index->hash_bytes <= index->bytes + index->size);
        (void)index_quick(index, i);
    }
    for (uint32_t i = 0; i < index->frames; i++) {
        PROMISE(index->frames > 4096 || index_frame_offset(index, i) == offset);
        PROMISE(index_frame_bytes(index, i) <= index_frame_blocks(index, i) * BLOCK);
        offset += index_frame_bytes(index, i);
    }
    PROMISE(offset == index->payload_bytes);
}

static void plan_looked_at(const struct index *index, const uint8_t *data, size_t size) {
    struct plan plan;
    struct reason reason;
    if (plan_parse(&plan, index, 9, 5, data, size, &reason) == 0) {
        for (uint32_t i = 0; i < index->data_blocks; i++) {
            PROMISE(plan.source[i] != FROM_SLOT || plan.from[i] < 9);
            PROMISE(plan.source[i] != FROM_RUNNING || plan.from[i] < 5);
        }
        PROMISE(plan_payload(&plan) <= index->payload_bytes);
        (void)plan_writes(&plan);
        plan_free(&plan);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct index index;
    struct reason reason;
    int code = index_read(&index, data, size, &reason);
    PROMISE(code == 0 || code == CODE_FORMAT || code == CODE_CORRUPT || code == CODE_RESOURCES);
    if (code == 0) {
        index_looked_at(&index);
        plan_looked_at(&index, data, size);
        index_free(&index);
    }
    /* The same as an index whose numbers fit each other, which mutation seldom finds, with what follows as its sections. */
    if (size > 8) {
        uint32_t data_blocks = 1 + data[0] % 40U, runs = 1 + data[1] % 4U, frame_blocks = 1 + data[2] % 3U;
        struct index made = {.image_bytes = (uint64_t)(1 + data[3]) * BLOCK, .payload_bytes = (uint64_t)data[4] << 8 | data[5], .runs = runs,
                             .data_blocks = data_blocks, .frame_blocks = frame_blocks, .prefix_blocks = 2, .group_frames = 4, .hash_bytes = 16};
        made.frames = (data_blocks + frame_blocks - 1) / frame_blocks;
        made.groups = (made.frames + 3) / 4;
        size_t whole = INDEX_HEADER + runs * 8 + data_blocks * 20 + made.groups * GROUP_HASH + made.frames * 2;
        uint8_t *bytes = calloc(1, whole);
        PROMISE(bytes != NULL);
        index_write_header(bytes, &made);
        memcpy(bytes + INDEX_HEADER, data + 6, size - 6 < whole - INDEX_HEADER ? size - 6 : whole - INDEX_HEADER);
        if (data[6] & 1) {
            /* Runs side by side and frames of one byte, so that more is reached. */
            uint32_t first = 0;
            for (uint32_t i = 0; i < runs; i++) {
                uint32_t count = i + 1 < runs ? 1 : data_blocks + 1 > runs ? data_blocks + 1 - runs : 1;
                put32(bytes + INDEX_HEADER + i * 8, first);
                put32(bytes + INDEX_HEADER + i * 8 + 4, count);
                first += count + 1;
            }
            memset(bytes + whole - made.frames * 2, 0, made.frames * 2);
            made.payload_bytes = made.frames;
            index_write_header(bytes, &made);
        }
        if (index_read(&index, bytes, whole, &reason) == 0) {
            index_looked_at(&index);
            index_free(&index);
        }
        free(bytes);
    }
    return 0;
}
