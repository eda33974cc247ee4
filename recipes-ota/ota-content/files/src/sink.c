/* SPDX-License-Identifier: MIT */
#include "sink.h"

#include "frame.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Instead of the number of a data block: zeros, which have no hash. Instead of a place: the block is not to be written. */
#define ZEROS UINT32_MAX
#define NOWHERE UINT32_MAX

enum {
    /* What is on its way, and lost with the process. */
    ROOM = SINK_LENT,
    /* The thread is woken when there are so many, and takes no more at a time: the caller can go on meanwhile, and each waking costs as much as
     * comparing ten blocks. */
    TAKEN_AT_ONCE = 48,
    /* The thread hears of blocks in steps. */
    STEP = 8,
};
_Static_assert((int)TAKEN_AT_ONCE <= (int)SLOT_PARTS && TAKEN_AT_ONCE <= ROOM - STEP, "who waits for room waits for a thread that has work");

struct entry {
    const uint8_t *at;
    uint32_t data, block;
    bool is_try;
};

struct sink {
    struct slot *slot;
    const struct index *index;
    uint8_t *unverified;
    struct writes *writes; /* the thread's */
    bool authentic;
    struct hasher *hasher;
    struct entry entries[ROOM]; /* number n at n % ROOM */
    uint8_t *bytes;             /* of the blocks that were copied */
    uint8_t *zeros;             /* as many as there may be entries */
    uint32_t put;               /* the caller's: how many entries there have ever been */
    uint32_t given, done;       /* of these, so many the thread may take, and has written */
    bool drains;                /* the caller waits for all: the thread takes what there is */
    bool waits, sleeps;         /* the caller does; the thread does */
    bool over, started;
    uint64_t written, written_seen; /* the thread's; what the caller knows of it without waiting */
    struct reason reason;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static struct entry *entry(struct sink *sink, uint32_t number) { return &sink->entries[number % ROOM]; }

static bool block_is_right(const struct sink *sink, uint32_t data, const uint8_t *bytes, bool is_try) {
    return sink->authentic && !is_try ? quick_hash(bytes, BLOCK) == index_quick(sink->index, data) : block_is(sink->hasher, sink->index, data, bytes);
}

static int blocks_verified(struct sink *sink, uint32_t first, uint32_t count, struct reason *reason) {
    for (uint32_t i = 0; i < count; i++) {
        struct entry *one = entry(sink, first + i);
        if (one->data == ZEROS || block_is_right(sink, one->data, one->at, one->is_try)) {
            continue;
        }
        if (!one->is_try) {
            return fail(reason, CODE_CORRUPT, "block %u of the image is not the one that was signed; the bundle is damaged, or changed while it was read",
                        (unsigned)one->block);
        }
        sink->unverified[one->data] = 1;
        one->block = NOWHERE;
    }
    return 0;
}

/* Blocks that follow each other in memory, and are all zeros or all not, are one part. */
static bool is_same_part(const struct entry *one, const struct entry *before) {
    return one->at == before->at + BLOCK && (one->data == ZEROS) == (before->data == ZEROS);
}

/* From entry `first` on, as many of `most` as follow each other in the slot. */
static int run_written(struct sink *sink, uint32_t first, uint32_t most, uint32_t *count, uint64_t *written, struct reason *reason) {
    struct iovec parts[TAKEN_AT_ONCE];
    const struct entry *begins[TAKEN_AT_ONCE], *begin = entry(sink, first);
    uint64_t offset = (uint64_t)begin->block * BLOCK, left = sink->index->image_bytes - offset, size = 0;
    int used = 0;
    *count = 0;
    for (uint32_t i = 0; i < most; i++, ++*count) {
        const struct entry *one = entry(sink, first + i);
        if (one->block == NOWHERE || one->block - begin->block != i) {
            break;
        }
        if (i == 0 || !is_same_part(one, entry(sink, first + i - 1))) {
            begins[used] = one;
            parts[used++] = (struct iovec){(void *)(uintptr_t)one->at, 0};
        }
        size_t bytes = left - size < BLOCK ? (size_t)(left - size) : BLOCK;
        parts[used - 1].iov_len += bytes;
        size += bytes;
    }
    int code = slot_write_parts(sink->slot, parts, used, offset, reason);
    for (int i = 0; code == 0 && i < used; i++) {
        if (begins[i]->data != ZEROS) {
            code = writes_add(sink->writes, begins[i]->block, (uint32_t)(parts[i].iov_len / BLOCK), begins[i]->at, reason);
        }
    }
    *written += size;
    return code;
}

static int blocks_written(struct sink *sink, uint32_t first, uint32_t count, uint64_t *written, struct reason *reason) {
    int code = blocks_verified(sink, first, count, reason);
    for (uint32_t i = 0, run; code == 0 && i < count; i += run) {
        run = 1;
        if (entry(sink, first + i)->block != NOWHERE) {
            code = run_written(sink, first + i, count - i, &run, written, reason);
        }
    }
    return code;
}

static bool has_work(const struct sink *sink) {
    uint32_t waiting = sink->given - sink->done;
    return waiting >= TAKEN_AT_ONCE || (waiting > 0 && sink->drains);
}

static void *writer(void *argument) {
    struct sink *sink = argument;
    pthread_mutex_lock(&sink->lock);
    while (!sink->over) {
        if (!has_work(sink)) {
            sink->sleeps = true;
            pthread_cond_wait(&sink->changed, &sink->lock);
            sink->sleeps = false;
            continue;
        }
        uint32_t first = sink->done, waiting = sink->given - first, count = waiting < TAKEN_AT_ONCE ? waiting : TAKEN_AT_ONCE;
        bool failed = sink->reason.code != 0;
        struct reason reason = {0};
        uint64_t written = 0;
        pthread_mutex_unlock(&sink->lock);
        if (!failed) {
            blocks_written(sink, first, count, &written, &reason);
        }
        pthread_mutex_lock(&sink->lock);
        sink->written += written;
        sink->done += count;
        if (reason.code != 0) {
            sink->reason = reason;
        }
        if (sink->waits) {
            /* Whoever is woken finds the lock free. */
            pthread_mutex_unlock(&sink->lock);
            pthread_cond_broadcast(&sink->changed);
            pthread_mutex_lock(&sink->lock);
        }
    }
    pthread_mutex_unlock(&sink->lock);
    return NULL;
}

int sink_open(struct sink **opened, struct slot *slot, const struct index *index, uint8_t *unverified, struct writes *writes, bool authentic,
              struct reason *reason) {
    struct sink *sink = calloc(1, sizeof *sink);
    *opened = sink;
    if (sink == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for buffers");
    }
    sink->slot = slot;
    sink->index = index;
    sink->unverified = unverified;
    sink->writes = writes;
    sink->authentic = authentic;
    sink->hasher = hasher_new();
    sink->bytes = slot_buffer((size_t)ROOM * BLOCK);
    sink->zeros = slot_buffer((size_t)ROOM * BLOCK);
    pthread_mutex_init(&sink->lock, NULL);
    pthread_cond_init(&sink->changed, NULL);
    if (sink->hasher == NULL || sink->bytes == NULL || sink->zeros == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for buffers");
    }
    memset(sink->zeros, 0, (size_t)ROOM * BLOCK);
    if (pthread_create(&sink->thread, NULL, writer, sink) != 0) {
        return fail(reason, CODE_RESOURCES, "no thread can be started");
    }
    sink->started = true;
    return 0;
}

void sink_close(struct sink *sink) {
    if (sink == NULL) {
        return;
    }
    if (sink->started) {
        pthread_mutex_lock(&sink->lock);
        sink->over = true;
        pthread_cond_broadcast(&sink->changed);
        pthread_mutex_unlock(&sink->lock);
        pthread_join(sink->thread, NULL);
    }
    hasher_free(sink->hasher);
    free(sink->bytes);
    free(sink->zeros);
    pthread_mutex_destroy(&sink->lock);
    pthread_cond_destroy(&sink->changed);
    free(sink);
}

/* Tells the thread of all that was put, and waits until it has done it but for `left`. */
static int handed_over(struct sink *sink, uint32_t left, struct reason *reason) {
    pthread_mutex_lock(&sink->lock);
    sink->given = sink->put;
    sink->drains = left == 0;
    bool wakes = sink->sleeps && has_work(sink);
    if (wakes) {
        pthread_mutex_unlock(&sink->lock);
        pthread_cond_broadcast(&sink->changed);
        pthread_mutex_lock(&sink->lock);
    }
    while (sink->put - sink->done > left) {
        sink->waits = true;
        pthread_cond_wait(&sink->changed, &sink->lock);
        sink->waits = false;
    }
    sink->drains = false;
    sink->written_seen = sink->written;
    int code = sink->reason.code;
    if (code != 0) {
        *reason = sink->reason;
    }
    pthread_mutex_unlock(&sink->lock);
    return code;
}

static int added(struct sink *sink, uint32_t data, uint32_t block, const uint8_t *bytes, bool is_try, struct reason *reason) {
    *entry(sink, sink->put) = (struct entry){bytes, data, block, is_try};
    sink->put++;
    return sink->put % STEP == 0 ? handed_over(sink, ROOM - STEP, reason) : 0;
}

static const uint8_t *kept(struct sink *sink, const uint8_t *bytes) { return memcpy(sink->bytes + (size_t)(sink->put % ROOM) * BLOCK, bytes, BLOCK); }

int sink_put(struct sink *sink, uint32_t data, uint32_t block, const uint8_t *bytes, struct reason *reason) {
    return added(sink, data, block, kept(sink, bytes), false, reason);
}

int sink_try(struct sink *sink, uint32_t data, uint32_t block, const uint8_t *bytes, struct reason *reason) {
    return added(sink, data, block, kept(sink, bytes), true, reason);
}

int sink_lend(struct sink *sink, uint32_t data, uint32_t block, const uint8_t *bytes, struct reason *reason) {
    return added(sink, data, block, bytes, false, reason);
}

int sink_zeros(struct sink *sink, uint32_t block, struct reason *reason) {
    return added(sink, ZEROS, block, sink->zeros + (size_t)(sink->put % ROOM) * BLOCK, false, reason);
}

int sink_drain(struct sink *sink, struct reason *reason) { return handed_over(sink, 0, reason); }

uint64_t sink_written(const struct sink *sink) { return sink->written_seen; }
