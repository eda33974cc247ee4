/* SPDX-License-Identifier: MIT */
#include "there.h"

#include "frame.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    AT_ONCE = 64,
    /* More than a prefix and a frame have; the last blocks that were unpacked or read are kept, each at its number modulo this. */
    KEPT = 128,
    /* A running slot changes now and then. */
    ROUNDS = 4,
};
_Static_assert(KEPT > PREFIX_BLOCKS_LIMIT + FRAME_BLOCKS_LIMIT, "a prefix and its frame are kept together");

struct trial {
    const struct blocks *blocks;
    struct plan *plan;
    struct slot *slot, *running;
    struct there *there;
    struct unpacker *unpacker;
    struct hasher *hasher;
    uint8_t *packed, *window, *buffer, *kept;
    uint32_t kept_data[KEPT];
    bool changed; /* a slot gave back another block than it did before */
};

bool payload_has_holes(const struct payload *payload) {
    off_t end = (off_t)(payload->offset + payload->bytes), hole = lseek(IMAGE_FD, (off_t)payload->offset, SEEK_HOLE);
    return hole >= 0 && hole < end;
}

/* Where the plan finds a block, or NULL. */
static struct slot *place_of(const struct trial *trial, uint32_t data, uint64_t *offset) {
    const struct plan *plan = trial->plan;
    switch (plan->source[data]) {
    case IN_PLACE: *offset = (uint64_t)index_place(plan->index, data) * BLOCK; return trial->slot;
    case FROM_SLOT: *offset = (uint64_t)plan->from[data] * BLOCK; return trial->slot;
    case FROM_RUNNING: *offset = (uint64_t)plan->from[data] * BLOCK; return trial->running;
    default: return NULL;
    }
}

/* How many blocks from `data` on, at most `most`, lie side by side in one slot; 0 if it is in none. */
static uint32_t side_by_side(const struct trial *trial, uint32_t data, uint32_t most, struct slot **slot, uint64_t *offset) {
    uint32_t count = 0;
    *slot = place_of(trial, data, offset);
    while (*slot != NULL && count < most) {
        uint64_t next;
        if (count > 0 && (place_of(trial, data + count, &next) != *slot || next != *offset + (uint64_t)count * BLOCK)) {
            break;
        }
        count++;
    }
    return count;
}

/* The first blocks that a slot holds side by side from `data` on, into the buffer; one that is not as it should be comes from the bundle. The
 * last block of an image may reach beyond its end, and the slot's. */
static void slot_asked(struct trial *trial, struct slot *slot, uint64_t offset, uint32_t data, uint32_t count) {
    struct reason unreadable = {0};
    uint64_t size = (uint64_t)count * BLOCK, left = offset < slot->bytes ? slot->bytes - offset : 0;
    memset(trial->buffer, 0, (size_t)size);
    bool is_read = slot_read(slot, trial->buffer, (size_t)(size < left ? size : left), offset, &unreadable) == 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_read || !block_is(trial->hasher, trial->plan->index, data + i, trial->buffer + (size_t)i * BLOCK)) {
            trial->plan->source[data + i] = FROM_BUNDLE;
            trial->changed = true;
        }
    }
}

/* What was found by its quick hash is taken for certain only now. */
static void plan_verified(struct trial *trial) {
    struct plan *plan = trial->plan;
    uint32_t blocks = plan->index->data_blocks;
    for (uint32_t i = 0, count; i < blocks; i += count) {
        struct slot *slot;
        uint64_t offset = 0;
        count = 1;
        /* As copies_begun in copies.c: block 0 of the slot is zeroed before anything is copied. */
        if (plan->source[i] == FROM_SLOT && (plan->from[i] == 0 || plan->from[i] == index_place(plan->index, i))) {
            plan->source[i] = FROM_BUNDLE;
        }
        if (plan->source[i] != FROM_SLOT && plan->source[i] != FROM_RUNNING) {
            continue;
        }
        uint32_t most = blocks - i < AT_ONCE ? blocks - i : AT_ONCE;
        count = side_by_side(trial, i, most, &slot, &offset);
        if (count == 0) {
            plan->source[i] = FROM_BUNDLE;
            count = 1;
            continue;
        }
        slot_asked(trial, slot, offset, i, count);
    }
}

static uint8_t *kept(const struct trial *trial, uint32_t data) { return trial->kept + (size_t)(data % KEPT) * BLOCK; }

static void keep(struct trial *trial, uint32_t data, const uint8_t *block) {
    memcpy(kept(trial, data), block, BLOCK);
    trial->kept_data[data % KEPT] = data;
}

/* The blocks before `data` into the window, as the frame was compressed with them; false if one of them is nowhere. */
static bool prefix_filled(struct trial *trial, uint32_t data, uint32_t wanted) {
    for (uint32_t i = data - wanted, count; i < data; i += count) {
        struct slot *slot;
        uint64_t offset = 0;
        count = 1;
        if (trial->kept_data[i % KEPT] != i) {
            count = side_by_side(trial, i, data - i < AT_ONCE ? data - i : AT_ONCE, &slot, &offset);
            if (count == 0) {
                return false;
            }
            slot_asked(trial, slot, offset, i, count);
            for (uint32_t k = 0; k < count; k++) {
                if (trial->plan->source[i + k] == FROM_BUNDLE) {
                    return false;
                }
                keep(trial, i + k, trial->buffer + (size_t)k * BLOCK);
            }
        }
        for (uint32_t k = 0; k < count; k++) {
            memcpy(trial->window + (size_t)(wanted - (data - i) + k) * BLOCK, kept(trial, i + k), BLOCK);
        }
    }
    return true;
}

static enum frame_is frame_tried(struct trial *trial, uint32_t frame, size_t packed_bytes, uint64_t offset) {
    const struct index *index = &trial->blocks->index;
    uint32_t first = frame * index->frame_blocks, count = index_frame_blocks(index, frame);
    uint32_t wanted = first < index->prefix_blocks ? first : index->prefix_blocks;
    struct reason damaged = {0};
    if (is_zero(trial->packed, packed_bytes)) {
        return FRAME_MISSING;
    }
    if (payload_decrypted(&trial->blocks->payload, trial->packed, packed_bytes, offset, &damaged) != 0) {
        return FRAME_DAMAGED;
    }
    if (!prefix_filled(trial, first, wanted)) {
        return FRAME_UNTRIED;
    }
    uint8_t *plain = trial->window + (size_t)wanted * BLOCK;
    if (frame_unpacked(trial->unpacker, trial->packed, packed_bytes, trial->window, (size_t)wanted * BLOCK, plain, (size_t)count * BLOCK, &damaged) != 0) {
        return FRAME_DAMAGED;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!block_is(trial->hasher, index, first + i, plain + (size_t)i * BLOCK)) {
            return FRAME_DAMAGED;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        keep(trial, first + i, plain + (size_t)i * BLOCK);
    }
    return FRAME_GOOD;
}

static int all_tried(struct trial *trial, struct progress *progress, struct reason *reason) {
    const struct index *index = &trial->blocks->index;
    struct there *there = trial->there;
    uint64_t offset = 0, done = 0;
    int code = 0;
    there->missing = there->damaged = there->good = 0;
    there->untried = 0;
    for (size_t i = 0; i < KEPT; i++) {
        trial->kept_data[i] = UINT32_MAX;
    }
    for (uint32_t frame = 0; code == 0 && frame < index->frames; frame++) {
        uint32_t bytes = index_frame_bytes(index, frame);
        enum frame_is is = FRAME_UNUSED;
        /* The first block says what the file system is, and is looked at in any case. */
        if (frame == 0 || plan_frame_needed(trial->plan, frame)) {
            code = payload_read(&trial->blocks->payload, trial->packed, bytes, offset, reason);
            is = code == 0 ? frame_tried(trial, frame, bytes, offset) : FRAME_UNTRIED;
            done += bytes;
            progress_step(progress, done, 0, 0);
        }
        there->is[frame] = (uint8_t)is;
        there->missing += is == FRAME_MISSING ? bytes : 0;
        there->damaged += is == FRAME_DAMAGED ? bytes : 0;
        there->good += is == FRAME_GOOD ? bytes : 0;
        there->untried += is == FRAME_UNTRIED;
        offset += bytes;
    }
    return code;
}

int frames_tried(struct there *there, const struct blocks *blocks, struct plan *plan, struct slot *slot, struct slot *running, struct progress *progress,
                 struct reason *reason) {
    struct trial trial = {.blocks = blocks, .plan = plan, .slot = slot, .running = running, .there = there};
    const struct index *index = &blocks->index;
    *there = (struct there){.is = calloc(index->frames, 1)};
    trial.unpacker = unpacker_new();
    trial.hasher = hasher_new();
    trial.packed = malloc(FRAME_LIMIT);
    trial.window = malloc((size_t)(PREFIX_BLOCKS_LIMIT + FRAME_BLOCKS_LIMIT) * BLOCK);
    trial.buffer = slot_buffer((size_t)AT_ONCE * BLOCK);
    trial.kept = malloc((size_t)KEPT * BLOCK);
    int code = there->is == NULL || trial.unpacker == NULL || trial.hasher == NULL || trial.packed == NULL || trial.window == NULL ||
                       trial.buffer == NULL || trial.kept == NULL
                   ? fail(reason, CODE_RESOURCES, "no memory to look at the frames of the bundle")
                   : 0;
    if (code == 0) {
        plan_verified(&trial);
    }
    trial.changed = true;
    for (int round = 0; code == 0 && round < ROUNDS && trial.changed; round++) {
        trial.changed = false;
        code = all_tried(&trial, progress, reason);
    }
    free(trial.kept);
    free(trial.buffer);
    free(trial.window);
    free(trial.packed);
    hasher_free(trial.hasher);
    unpacker_free(trial.unpacker);
    return code;
}
