/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include "facts.h"
#include "frame.h"
#include "sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Places of a slot that are sampled, and blocks at each: of a slot that has a hundredth of the image, all are missed once in 20,000. */
    SAMPLES = 128,
    SAMPLE_BLOCKS = 8,
    /* A run that was cut off has written the first blocks first. */
    FIRST_BLOCKS = 16,
};
#define NOWHERE UINT32_MAX

/* Whom a quick hash belongs to: data block + 1, or 0; half as many places again as data blocks. Of blocks with the same quick hash the first
 * one is here, and stands for the others. */
struct table {
    uint32_t *places;
    uint32_t size;
};

/* Where the search for a quick hash begins. */
static uint32_t place_of(const struct table *table, uint32_t quick) { return (uint32_t)((uint64_t)quick * table->size >> 32); }

static uint32_t place_after(const struct table *table, uint32_t at) { return at + 1 < table->size ? at + 1 : 0; }

struct search {
    struct plan *plan;
    struct table table;
    struct hasher *hashers[SWEEP_THREADS];
    _Atomic uint32_t *found; /* of each data block that is in the table: where */
    bool in_slot;            /* the slot is swept that is written to: blocks may be at their place */
    uint64_t slot_bytes;
};

static int no_memory(struct reason *reason, const struct index *index) {
    return fail(reason, CODE_RESOURCES, "no memory to look for %u blocks", (unsigned)index->data_blocks);
}

static bool table_made(struct table *table, const struct index *index) {
    uint32_t size = index->data_blocks + index->data_blocks / 2 + 16;
    *table = (struct table){calloc(size, sizeof *table->places), size};
    if (table->places == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < index->data_blocks; i++) {
        uint32_t quick = index_quick(index, i), at = place_of(table, quick);
        while (table->places[at] != 0 && index_quick(index, table->places[at] - 1) != quick) {
            at = place_after(table, at);
        }
        if (table->places[at] == 0) {
            table->places[at] = i + 1;
        }
    }
    return true;
}

/* The data block that stands for all with this quick hash, or NOWHERE. */
static uint32_t table_get(const struct table *table, const struct index *index, uint32_t quick) {
    uint32_t at = place_of(table, quick);
    while (table->places[at] != 0) {
        if (index_quick(index, table->places[at] - 1) == quick) {
            return table->places[at] - 1;
        }
        at = place_after(table, at);
    }
    return NOWHERE;
}

static void set_dirty(struct plan *plan, uint32_t block, bool dirty) {
    uint8_t bit = (uint8_t)(1U << block % 8);
    plan->dirty[block / 8] = (uint8_t)(dirty ? plan->dirty[block / 8] | bit : plan->dirty[block / 8] & ~bit);
}

bool plan_dirty(const struct plan *plan, uint32_t block) { return (plan->dirty[block / 8] >> block % 8 & 1) != 0; }

void plan_clean(struct plan *plan, uint32_t block, uint32_t count) {
    for (uint32_t end = block + count; block < end; block++) {
        plan->dirty[block / 8] &= (uint8_t)~(1U << block % 8);
    }
}

/* Blocks of a piece, which begins at a multiple of eight blocks, so that no two threads touch a byte of `dirty`. */
static int piece_searched(void *context, unsigned thread, uint64_t offset, unsigned char *data, size_t size, struct reason *reason) {
    struct search *search = context;
    struct plan *plan = search->plan;
    const struct index *index = plan->index;
    uint32_t block = (uint32_t)(offset / BLOCK), run = 0;
    (void)reason;
    for (size_t at = 0; at < size; at += BLOCK, block++) {
        const uint8_t *bytes = data + at;
        bool whole = size - at >= BLOCK, zeros = is_zero(bytes, BLOCK);
        uint32_t quick = zeros ? 0 : quick_hash(bytes, BLOCK);
        if (search->in_slot && block < index->blocks) {
            uint32_t data_block = index_data_at(index, &run, block);
            if (data_block == INDEX_ZEROS) {
                set_dirty(plan, block, !zeros);
            } else if (!zeros && index_quick(index, data_block) == quick && block_is(search->hashers[thread], index, data_block, bytes)) {
                plan->source[data_block] = IN_PLACE;
            }
        }
        if (!zeros && whole) {
            uint32_t stands = table_get(&search->table, index, quick);
            if (stands != NOWHERE) {
                uint32_t nowhere = NOWHERE;
                __atomic_compare_exchange_n((uint32_t *)&search->found[stands], &nowhere, block, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
            }
        }
    }
    return 0;
}

/* Whether some blocks of a slot, spread over it, are in the image, or in_slot zeros where the image has zeros: those need not be written. */
static int slot_sampled(struct search *search, struct slot *slot, bool in_slot, bool *shares, struct reason *reason) {
    const struct index *index = search->plan->index;
    unsigned char *buffer = slot_buffer(SAMPLE_BLOCKS * BLOCK);
    uint64_t blocks = slot->bytes / BLOCK, step = blocks / SAMPLES > SAMPLE_BLOCKS ? blocks / SAMPLES : SAMPLE_BLOCKS;
    uint32_t run = 0;
    int code = buffer == NULL ? no_memory(reason, index) : 0;
    *shares = false;
    for (uint64_t at = 0; code == 0 && at < blocks && !*shares; at += step) {
        size_t count = blocks - at < SAMPLE_BLOCKS ? (size_t)(blocks - at) : SAMPLE_BLOCKS;
        code = slot_read(slot, buffer, count * BLOCK, at * BLOCK, reason);
        for (size_t i = 0; code == 0 && i < count; i++) {
            const uint8_t *bytes = buffer + i * BLOCK;
            if (!is_zero(bytes, BLOCK)) {
                *shares = *shares || table_get(&search->table, index, quick_hash(bytes, BLOCK)) != NOWHERE;
            } else if (in_slot && at + i < index->blocks) {
                *shares = *shares || index_data_at(index, &run, (uint32_t)(at + i)) == INDEX_ZEROS;
            }
        }
    }
    for (uint32_t i = 1; code == 0 && !*shares && i < FIRST_BLOCKS && i < index->data_blocks; i++) {
        uint64_t offset = (uint64_t)index_place(index, i) * BLOCK;
        if (offset + BLOCK <= slot->bytes) {
            code = slot_read(slot, buffer, BLOCK, offset, reason);
            *shares = code == 0 && quick_hash(buffer, BLOCK) == index_quick(index, i);
        }
    }
    free(buffer);
    return code;
}

/* What was found becomes the source of blocks that have none: in `from` what the slot has, of each block that stands for others, and in
 * `in_running` the same of the running slot, which is never overwritten and so the better source. The one that stands for others comes first, and
 * its place stays what the others ask for. */
static void found_taken(struct search *search, const uint32_t *in_running) {
    struct plan *plan = search->plan;
    for (uint32_t i = 0; i < plan->index->data_blocks; i++) {
        if (plan->source[i] != FROM_BUNDLE) {
            continue;
        }
        uint32_t stands = table_get(&search->table, plan->index, index_quick(plan->index, i));
        if (in_running != NULL && in_running[stands] != NOWHERE) {
            plan->source[i] = FROM_RUNNING;
            plan->from[i] = in_running[stands];
        } else if (plan->from[stands] != NOWHERE) {
            plan->source[i] = FROM_SLOT;
            plan->from[i] = plan->from[stands];
        }
    }
}

static void nowhere_yet(uint32_t *found, const struct index *index) {
    for (uint32_t i = 0; i < index->data_blocks; i++) {
        found[i] = NOWHERE;
    }
}

/* Of what is found nowhere yet, where it is. */
static int slot_searched(struct search *search, struct slot *slot, uint32_t *found, bool in_slot, struct progress *progress, struct reason *reason) {
    search->found = (_Atomic uint32_t *)found;
    search->in_slot = in_slot;
    uint64_t bytes = slot->bytes < (uint64_t)NOWHERE * BLOCK ? slot->bytes : (uint64_t)(NOWHERE - 1) * BLOCK;
    if (in_slot) {
        search->plan->compared = bytes < search->plan->index->image_bytes ? bytes : search->plan->index->image_bytes;
    }
    slot->cached = 0;
    int code = slot_swept(slot, bytes, piece_searched, search, progress, reason);
    if (in_slot) {
        search->plan->from_medium = slot->cached < BLOCK;
    }
    return code;
}

static int searched(struct search *search, struct slot *slot, struct slot *running, struct progress *progress, struct reason *reason) {
    struct plan *plan = search->plan;
    bool slot_shares = false, running_shares = false;
    int code = slot == NULL ? 0 : slot_sampled(search, slot, true, &slot_shares, reason);
    if (code == 0 && running != NULL) {
        struct reason unreadable = {0};
        /* A running slot that cannot be read is none. */
        if (slot_sampled(search, running, false, &running_shares, &unreadable) != 0) {
            running_shares = false;
        }
    }
    if (progress != NULL) {
        progress->total = slot_shares ? slot->bytes : running_shares ? running->bytes : 0;
    }
    if (code != 0 || (!slot_shares && !running_shares)) {
        return code;
    }
    nowhere_yet(plan->from, plan->index);
    if (slot_shares) {
        code = slot_searched(search, slot, plan->from, true, progress, reason);
    }
    bool missing = false;
    for (uint32_t i = 0; i < plan->index->data_blocks && !missing; i++) {
        missing = plan->source[i] == FROM_BUNDLE;
    }
    if (code != 0 || !missing) {
        return code;
    }
    uint32_t *in_running = NULL;
    if (running_shares) {
        struct reason unreadable = {0};
        in_running = malloc((size_t)plan->index->data_blocks * sizeof *in_running);
        if (in_running == NULL) {
            return no_memory(reason, plan->index);
        }
        nowhere_yet(in_running, plan->index);
        if (slot_searched(search, running, in_running, false, slot_shares ? NULL : progress, &unreadable) != 0) {
            free(in_running);
            in_running = NULL;
        }
    }
    found_taken(search, in_running);
    free(in_running);
    return 0;
}

int plan_made(struct plan *plan, const struct index *index, struct slot *slot, struct slot *running, struct progress *progress, struct reason *reason) {
    struct search search = {.plan = plan};
    size_t bits = ((size_t)index->blocks + 7) / 8;
    *plan = (struct plan){
        .index = index,
        .source = calloc(index->data_blocks, 1),
        .from = calloc(index->data_blocks, sizeof *plan->from),
        .dirty = malloc(bits),
    };
    bool ready = plan->source != NULL && plan->from != NULL && plan->dirty != NULL && table_made(&search.table, index);
    for (unsigned i = 0; i < SWEEP_THREADS; i++) {
        search.hashers[i] = hasher_new();
        ready = ready && search.hashers[i] != NULL;
    }
    int code = ready ? 0 : no_memory(reason, index);
    if (code == 0) {
        /* Unless it is looked at, nothing in a slot is as it should be. */
        memset(plan->dirty, 0xff, bits);
        code = searched(&search, slot, running, progress, reason);
    }
    for (uint32_t i = 0; code == 0 && i < index->runs; i++) {
        struct run run = index_run(index, i);
        for (uint32_t k = 0; k < run.count; k++) {
            set_dirty(plan, run.first + k, false);
        }
    }
    for (unsigned i = 0; i < SWEEP_THREADS; i++) {
        hasher_free(search.hashers[i]);
    }
    free(search.table.places);
    if (code != 0) {
        plan_free(plan);
    }
    return code;
}

void plan_free(struct plan *plan) {
    free(plan->source);
    free(plan->from);
    free(plan->dirty);
    *plan = (struct plan){0};
}

bool plan_frame_needed(const struct plan *plan, uint32_t frame) {
    uint32_t first = frame * plan->index->frame_blocks, count = index_frame_blocks(plan->index, frame);
    for (uint32_t i = 0; i < count; i++) {
        if (plan->source[first + i] == FROM_BUNDLE) {
            return true;
        }
    }
    return false;
}

uint64_t plan_payload(const struct plan *plan) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < plan->index->frames; i++) {
        bytes += plan_frame_needed(plan, i) ? index_frame_bytes(plan->index, i) : 0;
    }
    return bytes;
}

uint64_t plan_writes(const struct plan *plan) {
    uint64_t blocks = 0;
    for (uint32_t i = 0; i < plan->index->data_blocks; i++) {
        blocks += plan->source[i] != IN_PLACE;
    }
    for (uint32_t i = 0; i < plan->index->blocks; i++) {
        blocks += plan_dirty(plan, i);
    }
    return blocks * BLOCK;
}

/* ---- from check to write ------------------------------------------------------------------------------------------------------------ */

static const char plan_magic[8] = "otaplan2";

/* Of one machine and one run, so as this processor has it. */
struct plan_head {
    char magic[sizeof plan_magic];
    uint32_t data_blocks, blocks;
    uint64_t compared, from_medium;
};

int plan_save(const struct plan *plan, const char *folder, struct reason *reason) {
    char path[512];
    struct plan_head head = {.data_blocks = plan->index->data_blocks, .blocks = plan->index->blocks, .compared = plan->compared,
                             .from_medium = plan->from_medium};
    memcpy(head.magic, plan_magic, sizeof head.magic);
    if (!path_in(path, sizeof path, folder, "plan")) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
    }
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && bytes_written(fd, &head, sizeof head) && bytes_written(fd, plan->from, (size_t)head.data_blocks * sizeof *plan->from) &&
                bytes_written(fd, plan->source, head.data_blocks) && bytes_written(fd, plan->dirty, ((size_t)head.blocks + 7) / 8);
    if (fd >= 0) {
        good = close(fd) == 0 && good;
    }
    return good ? 0 : fail_errno(reason, CODE_RESOURCES, "%s cannot be written", path);
}

int plan_parse(struct plan *plan, const struct index *index, uint64_t slot_blocks, uint64_t running_blocks, const uint8_t *bytes, size_t size,
               struct reason *reason) {
    struct plan_head head;
    size_t bits = ((size_t)index->blocks + 7) / 8, from_bytes = (size_t)index->data_blocks * sizeof *plan->from;
    *plan = (struct plan){.index = index};
    if (size != sizeof head + from_bytes + index->data_blocks + bits) {
        return fail(reason, CODE_UNEXPECTED, "the plan of the check has %zu bytes, which is not that of this image", size);
    }
    memcpy(&head, bytes, sizeof head);
    if (memcmp(head.magic, plan_magic, sizeof head.magic) != 0 || head.data_blocks != index->data_blocks || head.blocks != index->blocks) {
        return fail(reason, CODE_UNEXPECTED, "the plan of the check is not that of this image");
    }
    plan->compared = head.compared;
    plan->from_medium = head.from_medium != 0;
    plan->from = malloc(from_bytes);
    plan->source = malloc(index->data_blocks);
    plan->dirty = malloc(bits);
    if (plan->from == NULL || plan->source == NULL || plan->dirty == NULL) {
        plan_free(plan);
        return no_memory(reason, index);
    }
    memcpy(plan->from, bytes + sizeof head, from_bytes);
    memcpy(plan->source, bytes + sizeof head + from_bytes, index->data_blocks);
    memcpy(plan->dirty, bytes + sizeof head + from_bytes + index->data_blocks, bits);
    for (uint32_t i = 0; i < index->data_blocks; i++) {
        uint8_t source = plan->source[i];
        if (source > FROM_SLOT || (source == FROM_SLOT && plan->from[i] >= slot_blocks) || (source == FROM_RUNNING && plan->from[i] >= running_blocks)) {
            plan->source[i] = FROM_BUNDLE;
        }
    }
    return 0;
}

int plan_load(struct plan *plan, const struct index *index, uint64_t slot_blocks, uint64_t running_blocks, const char *folder, struct reason *reason) {
    char path[512];
    size_t room = sizeof(struct plan_head) + (size_t)index->data_blocks * (sizeof *plan->from + 1) + ((size_t)index->blocks + 7) / 8, size = 0;
    uint8_t *bytes = malloc(room + 1);
    *plan = (struct plan){0};
    if (bytes == NULL) {
        return no_memory(reason, index);
    }
    FILE *file = path_in(path, sizeof path, folder, "plan") ? fopen(path, "rbe") : NULL;
    if (file != NULL) {
        size = fread(bytes, 1, room + 1, file);
        fclose(file);
    }
    int code = file == NULL ? fail_errno(reason, CODE_UNEXPECTED, "the plan of the check cannot be read; check comes before write")
                            : plan_parse(plan, index, slot_blocks, running_blocks, bytes, size, reason);
    free(bytes);
    return code;
}
