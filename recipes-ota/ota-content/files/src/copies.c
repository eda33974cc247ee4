/* SPDX-License-Identifier: MIT */
#include "copies.h"

#include <stdlib.h>
#include <string.h>

enum {
    AT_ONCE = 32,
    /* Blocks that are read before their turn, where some wait for each other in a ring. */
    STASH = 1024,
    STASH_AT_ONCE = 64,
    /* Sweeps over all blocks; whatever still waits after them comes from the bundle. */
    ROUNDS = 64,
    /* What more than so many blocks are copies of is never overwritten by a copy. */
    READERS_LIMIT = UINT16_MAX,
};

/* A source that only exists here: it was read already. */
enum { STASHED = WRITTEN + 1 };

struct copies {
    struct plan *plan;
    struct slot *slot, *running;
    struct sink *sink;
    uint16_t *readers; /* of each block of the slot: copies that have yet to read it */
    uint64_t slot_blocks;
    uint8_t *buffer, *stash;
    uint32_t stash_free[STASH], stash_free_count;
    uint32_t run_hint;
    uint64_t *copied;
    struct progress *progress;
};

static bool waits(const struct copies *copies, uint32_t data) {
    uint8_t source = copies->plan->source[data];
    return source == FROM_RUNNING || source == FROM_SLOT || source == STASHED;
}

static void source_read(struct copies *copies, uint32_t block) {
    if (copies->readers[block] < READERS_LIMIT) {
        copies->readers[block]--;
    }
}

static void given_up(struct copies *copies, uint32_t data) {
    struct plan *plan = copies->plan;
    if (plan->source[data] == FROM_SLOT) {
        source_read(copies, plan->from[data]);
    } else if (plan->source[data] == STASHED) {
        copies->stash_free[copies->stash_free_count++] = plan->from[data];
    }
    plan->source[data] = FROM_BUNDLE;
}

/* Whether nothing but copies of the run that is being read, blocks first to last, still needs what lies where `data` goes. */
static bool is_free(const struct copies *copies, uint32_t data, uint32_t first, uint32_t last, bool run_in_slot) {
    uint32_t place = index_place(copies->plan->index, data);
    uint16_t readers = place < copies->slot_blocks ? copies->readers[place] : 0;
    if (readers == 0) {
        return true;
    }
    uint32_t from = copies->plan->from[first];
    return run_in_slot && readers == 1 && place >= from && place - from <= last - first;
}

static int copied(struct copies *copies, uint32_t data, const uint8_t *bytes, struct reason *reason) {
    struct plan *plan = copies->plan;
    plan->source[data] = WRITTEN;
    *copies->copied += BLOCK;
    int code = sink_try(copies->sink, data, index_place(plan->index, data), bytes, reason);
    progress_step(copies->progress, *copies->copied, *copies->copied, *copies->copied);
    return code;
}

/* Copies `data` and its neighbours in the direction, as far as they lie side by side in the source too. */
static int run_copied(struct copies *copies, uint32_t data, bool upwards, struct reason *reason) {
    struct plan *plan = copies->plan;
    uint32_t first = data, last = data;
    uint8_t source = plan->source[data];
    bool in_slot = source == FROM_SLOT;
    if (source == STASHED) {
        uint32_t at = plan->from[data];
        copies->stash_free[copies->stash_free_count++] = at;
        return copied(copies, data, copies->stash + (size_t)at * BLOCK, reason);
    }
    while (last - first + 1 < AT_ONCE) {
        uint32_t next = upwards ? last + 1 : first - 1;
        if ((upwards ? next == plan->index->data_blocks : first == 0) || plan->source[next] != source ||
            (upwards ? plan->from[next] != plan->from[last] + 1 : plan->from[next] + 1 != plan->from[first]) ||
            !is_free(copies, next, first, last, in_slot)) {
            break;
        }
        if (upwards) {
            last = next;
        } else {
            first = next;
        }
    }
    uint32_t count = last - first + 1;
    struct reason unreadable = {0};
    int code = slot_read(in_slot ? copies->slot : copies->running, copies->buffer, (size_t)count * BLOCK, (uint64_t)plan->from[first] * BLOCK, &unreadable);
    if (code != 0) {
        /* The bundle has them, too. */
        for (uint32_t i = first; i <= last; i++) {
            given_up(copies, i);
        }
        return 0;
    }
    for (uint32_t i = 0; code == 0 && i < count; i++) {
        if (in_slot) {
            source_read(copies, plan->from[first + i]);
        }
        code = copied(copies, first + i, copies->buffer + (size_t)i * BLOCK, reason);
    }
    return code;
}

/* Copies a block, then what had to wait for that, and so on. */
static int chain_copied(struct copies *copies, uint32_t data, bool upwards, bool *progressed, struct reason *reason) {
    const struct plan *plan = copies->plan;
    while (data != INDEX_ZEROS && waits(copies, data) && is_free(copies, data, data, data, false)) {
        uint32_t from = plan->from[data];
        bool in_slot = plan->source[data] == FROM_SLOT;
        int code = run_copied(copies, data, upwards, reason);
        *progressed = true;
        if (code != 0) {
            return code;
        }
        data = in_slot && from < plan->index->blocks ? index_data_at(plan->index, &copies->run_hint, from) : INDEX_ZEROS;
    }
    return 0;
}

static int swept(struct copies *copies, bool upwards, bool *progressed, uint32_t *waiting, struct reason *reason) {
    uint32_t count = copies->plan->index->data_blocks;
    int code = 0;
    *waiting = 0;
    for (uint32_t i = 0; code == 0 && i < count; i++) {
        uint32_t data = upwards ? i : count - 1 - i;
        if (waits(copies, data)) {
            code = chain_copied(copies, data, upwards, progressed, reason);
            *waiting += waits(copies, data);
        }
    }
    return code;
}

/* All that wait, wait for each other. */
static void some_stashed(struct copies *copies) {
    struct plan *plan = copies->plan;
    struct reason unreadable = {0};
    uint32_t done = 0;
    for (uint32_t i = 0; i < plan->index->data_blocks && done < STASH_AT_ONCE; i++) {
        if (plan->source[i] != FROM_SLOT) {
            continue;
        }
        done++;
        if (copies->stash_free_count == 0 || slot_read(copies->slot, copies->buffer, BLOCK, (uint64_t)plan->from[i] * BLOCK, &unreadable) != 0) {
            given_up(copies, i);
            continue;
        }
        uint32_t at = copies->stash_free[--copies->stash_free_count];
        memcpy(copies->stash + (size_t)at * BLOCK, copies->buffer, BLOCK);
        source_read(copies, plan->from[i]);
        plan->from[i] = at;
        plan->source[i] = STASHED;
    }
}

static int copies_begun(struct copies *copies, struct reason *reason) {
    struct plan *plan = copies->plan;
    copies->slot_blocks = copies->slot->bytes / BLOCK;
    copies->readers = calloc((size_t)copies->slot_blocks + 1, sizeof *copies->readers);
    copies->buffer = slot_buffer((size_t)AT_ONCE * BLOCK);
    copies->stash = malloc((size_t)STASH * BLOCK);
    if (copies->readers == NULL || copies->buffer == NULL || copies->stash == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory to copy blocks");
    }
    while (copies->stash_free_count < STASH) {
        copies->stash_free[copies->stash_free_count] = copies->stash_free_count;
        copies->stash_free_count++;
    }
    for (uint32_t i = 0; i < plan->index->data_blocks; i++) {
        if (plan->source[i] == FROM_RUNNING && copies->running == NULL) {
            plan->source[i] = FROM_BUNDLE;
        }
        if (plan->source[i] != FROM_SLOT) {
            continue;
        }
        uint32_t from = plan->from[i];
        /* Block 0 is zeroed by now; and a block that is not at its place, but was found there, had another SHA-256. */
        if (from == 0 || from >= copies->slot_blocks || from == index_place(plan->index, i)) {
            plan->source[i] = FROM_BUNDLE;
        } else if (copies->readers[from] < READERS_LIMIT) {
            copies->readers[from]++;
        }
    }
    return 0;
}

int copies_made(struct plan *plan, struct slot *slot, struct slot *running, struct sink *sink, uint64_t *bytes, struct progress *progress,
                struct reason *reason) {
    struct copies copies = {.plan = plan, .slot = slot, .running = running, .sink = sink, .copied = bytes, .progress = progress};
    uint32_t waiting = 1;
    int code = copies_begun(&copies, reason);
    for (int round = 0; code == 0 && waiting > 0 && round < ROUNDS; round++) {
        bool progressed = false;
        code = swept(&copies, round % 2 == 0, &progressed, &waiting, reason);
        if (code == 0 && waiting > 0 && !progressed) {
            some_stashed(&copies);
        }
    }
    for (uint32_t i = 0; code == 0 && i < plan->index->data_blocks; i++) {
        if (waits(&copies, i)) {
            given_up(&copies, i);
        }
    }
    if (code == 0) {
        code = sink_drain(sink, reason);
    }
    free(copies.stash);
    free(copies.buffer);
    free(copies.readers);
    return code;
}
