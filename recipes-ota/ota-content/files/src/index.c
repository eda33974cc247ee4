/* SPDX-License-Identifier: MIT */
#include "index.h"

#include <stdlib.h>
#include <string.h>

static const char magic[8] = {'O', 'T', 'A', 'I', 'N', 'D', 'E', 'X'};
enum { VERSION_1 = 1, ZSTD_WITHOUT_MAGIC = 1, SHA256_HASH = 1, XXH32_HASH = 1, RESERVED_FROM = 72 };

static uint32_t get16(const uint8_t *at) { return (uint32_t)(at[0] | at[1] << 8); }

static uint32_t get32(const uint8_t *at) { return get16(at) | get16(at + 2) << 16; }

static uint64_t get64(const uint8_t *at) { return get32(at) | (uint64_t)get32(at + 4) << 32; }

void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

void put32(uint8_t *at, uint32_t value) {
    put16(at, value);
    put16(at + 2, value >> 16);
}

void put64(uint8_t *at, uint64_t value) {
    put32(at, (uint32_t)value);
    put32(at + 4, (uint32_t)(value >> 32));
}

static int damaged(struct reason *reason, const char *what, uint64_t found) {
    return fail(reason, CODE_CORRUPT, "the block index of the bundle contradicts itself: %s (%llu)", what, (unsigned long long)found);
}

static int header_read(struct index *index, struct reason *reason) {
    const uint8_t *b = index->bytes;
    if (index->size < INDEX_HEADER || memcmp(b, magic, sizeof magic) != 0) {
        return fail(reason, CODE_FORMAT, "the bundle's member index is no block index");
    }
    if (get16(b + 8) != VERSION_1 || get16(b + 10) != INDEX_HEADER || get32(b + 12) != 0 || get32(b + 16) != BLOCK ||
        get16(b + 28) != ZSTD_WITHOUT_MAGIC || get16(b + 30) != SHA256_HASH || get16(b + 34) != XXH32_HASH) {
        return fail(reason, CODE_FORMAT,
                    "the block index of the bundle is of a kind that is not known here (version %u, flags %u, blocks of %u bytes, "
                    "compression %u, hashes %u and %u); this program knows version 1",
                    (unsigned)get16(b + 8), (unsigned)get32(b + 12), (unsigned)get32(b + 16), (unsigned)get16(b + 28), (unsigned)get16(b + 30),
                    (unsigned)get16(b + 34));
    }
    for (size_t at = RESERVED_FROM; at < INDEX_HEADER; at++) {
        if (b[at] != 0) {
            return fail(reason, CODE_FORMAT, "the block index of the bundle has something at byte %zu, where version 1 has zeros", at);
        }
    }
    index->frame_blocks = get32(b + 20);
    index->prefix_blocks = get32(b + 24);
    index->hash_bytes = get16(b + 32);
    index->group_frames = get32(b + 36);
    index->image_bytes = get64(b + 40);
    index->payload_bytes = get64(b + 48);
    index->runs = get32(b + 56);
    index->data_blocks = get32(b + 60);
    index->frames = get32(b + 64);
    index->groups = get32(b + 68);
    if (index->frame_blocks < 1 || index->frame_blocks > FRAME_BLOCKS_LIMIT) {
        return damaged(reason, "blocks in a frame", index->frame_blocks);
    }
    if (index->prefix_blocks > PREFIX_BLOCKS_LIMIT) {
        return damaged(reason, "blocks in a prefix", index->prefix_blocks);
    }
    if (index->hash_bytes < HASH_LEAST || index->hash_bytes > HASH_LIMIT) {
        return damaged(reason, "bytes of a hash", index->hash_bytes);
    }
    if (index->group_frames < 1 || index->group_frames > GROUP_FRAMES_LIMIT) {
        return damaged(reason, "frames in a group", index->group_frames);
    }
    if (index->image_bytes < BLOCK || index->image_bytes > IMAGE_LIMIT) {
        return damaged(reason, "bytes of the image", index->image_bytes);
    }
    index->blocks = (uint32_t)((index->image_bytes + BLOCK - 1) / BLOCK);
    if (index->data_blocks < 1 || index->data_blocks > index->blocks) {
        return damaged(reason, "data blocks", index->data_blocks);
    }
    if (index->runs < 1 || index->runs > index->data_blocks) {
        return damaged(reason, "runs", index->runs);
    }
    if (index->frames != (index->data_blocks + index->frame_blocks - 1) / index->frame_blocks) {
        return damaged(reason, "frames", index->frames);
    }
    if (index->groups != (index->frames + index->group_frames - 1) / index->group_frames) {
        return damaged(reason, "groups", index->groups);
    }
    return 0;
}

/* Nothing here is above 2^32 * 36, whatever the header says. */
static int sections_found(struct index *index, struct reason *reason) {
    uint64_t at = INDEX_HEADER, run, hash, group, quick, frame;
    run = at;
    at += (uint64_t)index->runs * 8;
    hash = at;
    at += (uint64_t)index->data_blocks * index->hash_bytes;
    group = at;
    at += (uint64_t)index->groups * GROUP_HASH;
    quick = at;
    at += (uint64_t)index->data_blocks * 4;
    frame = at;
    at += (uint64_t)index->frames * 2;
    if (at != index->size) {
        return fail(reason, CODE_CORRUPT, "the block index of the bundle has %zu bytes, its header speaks of %llu", index->size, (unsigned long long)at);
    }
    index->run = index->bytes + run;
    index->hash = index->bytes + hash;
    index->group = index->bytes + group;
    index->quick = index->bytes + quick;
    index->frame = index->bytes + frame;
    return 0;
}

static int runs_read(struct index *index, struct reason *reason) {
    uint64_t next = 0, data = 0;
    index->run_data = calloc((size_t)index->runs + 1, sizeof *index->run_data);
    if (index->run_data == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for a block index with %u runs", (unsigned)index->runs);
    }
    for (uint32_t i = 0; i < index->runs; i++) {
        struct run run = index_run(index, i);
        if (run.count == 0 || (i > 0 && run.first <= next) || run.first >= index->blocks || run.count > index->blocks - run.first) {
            return damaged(reason, "the run at block", run.first);
        }
        index->run_data[i] = (uint32_t)data;
        next = (uint64_t)run.first + run.count;
        data += run.count;
    }
    index->run_data[index->runs] = (uint32_t)data;
    return data == index->data_blocks ? 0 : damaged(reason, "data blocks in all runs", data);
}

static int frames_read(struct index *index, struct reason *reason) {
    uint64_t offset = 0;
    index->group_offset = calloc((size_t)index->groups + 1, sizeof *index->group_offset);
    if (index->group_offset == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for a block index with %u groups of frames", (unsigned)index->groups);
    }
    for (uint32_t i = 0; i < index->frames; i++) {
        if (i % index->group_frames == 0) {
            index->group_offset[i / index->group_frames] = offset;
        }
        uint32_t bytes = index_frame_bytes(index, i);
        if (bytes > index_frame_blocks(index, i) * BLOCK) {
            return damaged(reason, "bytes of a frame", bytes);
        }
        offset += bytes;
    }
    index->group_offset[index->groups] = offset;
    return offset == index->payload_bytes ? 0 : damaged(reason, "bytes of all frames", offset);
}

int index_read(struct index *index, const void *bytes, size_t size, struct reason *reason) {
    *index = (struct index){.bytes = bytes, .size = size};
    int code = header_read(index, reason);
    if (code == 0) {
        code = sections_found(index, reason);
    }
    if (code == 0) {
        code = runs_read(index, reason);
    }
    if (code == 0) {
        code = frames_read(index, reason);
    }
    if (code != 0) {
        index_free(index);
    }
    return code;
}

void index_free(struct index *index) {
    free(index->run_data);
    free(index->group_offset);
    *index = (struct index){0};
}

struct run index_run(const struct index *index, uint32_t number) {
    const uint8_t *at = index->run + (size_t)number * 8;
    return (struct run){get32(at), get32(at + 4)};
}

uint32_t index_run_of(const struct index *index, uint32_t data) {
    uint32_t low = 0, high = index->runs;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (index->run_data[middle] <= data) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t index_place(const struct index *index, uint32_t data) {
    uint32_t run = index_run_of(index, data);
    return index_run(index, run).first + (data - index->run_data[run]);
}

uint32_t index_data_at(const struct index *index, uint32_t *run, uint32_t block) {
    struct run here = index_run(index, *run);
    bool is_last = *run + 1 == index->runs;
    if (block < here.first || (!is_last && block >= index_run(index, *run + 1).first)) {
        uint32_t low = 0, high = index->runs;
        while (high - low > 1) {
            uint32_t middle = low + (high - low) / 2;
            if (index_run(index, middle).first <= block) {
                low = middle;
            } else {
                high = middle;
            }
        }
        *run = low;
        here = index_run(index, low);
    }
    return block >= here.first && block - here.first < here.count ? index->run_data[*run] + (block - here.first) : INDEX_ZEROS;
}

const uint8_t *index_hash(const struct index *index, uint32_t data) { return index->hash + (size_t)data * index->hash_bytes; }

uint32_t index_quick(const struct index *index, uint32_t data) { return get32(index->quick + (size_t)data * 4); }

uint32_t index_frame_bytes(const struct index *index, uint32_t frame) { return get16(index->frame + (size_t)frame * 2) + 1; }

uint32_t index_frame_blocks(const struct index *index, uint32_t frame) {
    uint32_t left = index->data_blocks - frame * index->frame_blocks;
    return left < index->frame_blocks ? left : index->frame_blocks;
}

uint64_t index_frame_offset(const struct index *index, uint32_t frame) {
    uint32_t group = frame / index->group_frames;
    uint64_t offset = index->group_offset[group];
    for (uint32_t i = group * index->group_frames; i < frame; i++) {
        offset += index_frame_bytes(index, i);
    }
    return offset;
}

void index_write_header(uint8_t header[INDEX_HEADER], const struct index *index) {
    memset(header, 0, INDEX_HEADER);
    memcpy(header, magic, sizeof magic);
    put16(header + 8, VERSION_1);
    put16(header + 10, INDEX_HEADER);
    put32(header + 16, BLOCK);
    put32(header + 20, index->frame_blocks);
    put32(header + 24, index->prefix_blocks);
    put16(header + 28, ZSTD_WITHOUT_MAGIC);
    put16(header + 30, SHA256_HASH);
    put16(header + 32, (uint32_t)index->hash_bytes);
    put16(header + 34, XXH32_HASH);
    put32(header + 36, index->group_frames);
    put64(header + 40, index->image_bytes);
    put64(header + 48, index->payload_bytes);
    put32(header + 56, index->runs);
    put32(header + 60, index->data_blocks);
    put32(header + 64, index->frames);
    put32(header + 68, index->groups);
}
