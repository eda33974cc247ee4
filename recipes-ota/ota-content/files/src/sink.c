/* SPDX-License-Identifier: MIT */
#include "sink.h"

#include "frame.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Instead of the number of a data block: zeros, which have no hash. Instead of a place: the block is not to be written. */
#define ZEROS UINT32_MAX
#define NOWHERE UINT32_MAX

struct piece {
    uint8_t *bytes; /* of the blocks that were copied */
    const uint8_t *at[SINK_BLOCKS];
    uint32_t data[SINK_BLOCKS], block[SINK_BLOCKS], count;
    bool tries[SINK_BLOCKS];
};

struct sink {
    struct slot *slot;
    const struct index *index;
    uint8_t *unverified;
    struct writes *writes; /* the thread's */
    bool authentic;
    struct hasher *hasher;
    struct piece pieces[2];
    uint8_t *zeros; /* as many as a piece has blocks */
    unsigned filling; /* the caller's; the other one is the thread's */
    bool busy, over, started;
    uint64_t written, written_seen; /* the thread's; what the caller knows of it without waiting */
    struct reason reason;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static bool block_is_right(const struct sink *sink, uint32_t data, const uint8_t *bytes, bool is_try) {
    return sink->authentic && !is_try ? quick_hash(bytes, BLOCK) == index_quick(sink->index, data) : block_is(sink->hasher, sink->index, data, bytes);
}

static int piece_verified(struct sink *sink, struct piece *piece, struct reason *reason) {
    for (uint32_t i = 0; i < piece->count; i++) {
        uint32_t data = piece->data[i];
        if (data == ZEROS || block_is_right(sink, data, piece->at[i], piece->tries[i])) {
            continue;
        }
        if (!piece->tries[i]) {
            return fail(reason, CODE_CORRUPT, "block %u of the image is not the one that was signed; the bundle is damaged, or changed while it was read",
                        (unsigned)piece->block[i]);
        }
        sink->unverified[data] = 1;
        piece->block[i] = NOWHERE;
    }
    return 0;
}

/* Blocks of a piece that follow each other in memory, and are all zeros or all not, are one part. */
static bool is_same_part(const struct piece *piece, uint32_t i) {
    return piece->at[i] == piece->at[i - 1] + BLOCK && (piece->data[i] == ZEROS) == (piece->data[i - 1] == ZEROS);
}

/* From block `first` of a piece on, as many as follow each other in the slot. */
static int run_written(struct sink *sink, const struct piece *piece, uint32_t first, uint32_t *count, uint64_t *written, struct reason *reason) {
    struct iovec parts[SLOT_PARTS];
    uint64_t offset = (uint64_t)piece->block[first] * BLOCK, left = sink->index->image_bytes - offset, size = 0;
    uint32_t part_first[SLOT_PARTS];
    int used = 0;
    *count = 0;
    for (uint32_t i = first; i < piece->count && piece->block[i] != NOWHERE && piece->block[i] - piece->block[first] == i - first; i++, ++*count) {
        size_t bytes = left - size < BLOCK ? (size_t)(left - size) : BLOCK;
        if (i == first || !is_same_part(piece, i)) {
            part_first[used] = i;
            parts[used++] = (struct iovec){(void *)(uintptr_t)piece->at[i], 0};
        }
        parts[used - 1].iov_len += bytes;
        size += bytes;
    }
    int code = slot_write_parts(sink->slot, parts, used, offset, reason);
    for (int i = 0; code == 0 && i < used; i++) {
        uint32_t at = part_first[i];
        if (piece->data[at] != ZEROS) {
            code = writes_add(sink->writes, piece->block[at], (uint32_t)(parts[i].iov_len / BLOCK), piece->at[at], reason);
        }
    }
    *written += size;
    return code;
}

static int piece_written(struct sink *sink, struct piece *piece, uint64_t *written, struct reason *reason) {
    int code = piece_verified(sink, piece, reason);
    for (uint32_t i = 0, count; code == 0 && i < piece->count; i += count) {
        count = 1;
        if (piece->block[i] != NOWHERE) {
            code = run_written(sink, piece, i, &count, written, reason);
        }
    }
    return code;
}

static void *writer(void *argument) {
    struct sink *sink = argument;
    pthread_mutex_lock(&sink->lock);
    while (!sink->over) {
        if (!sink->busy) {
            pthread_cond_wait(&sink->changed, &sink->lock);
            continue;
        }
        struct piece *piece = &sink->pieces[1 - sink->filling];
        struct reason reason = {0};
        uint64_t written = 0;
        pthread_mutex_unlock(&sink->lock);
        piece_written(sink, piece, &written, &reason);
        piece->count = 0;
        pthread_mutex_lock(&sink->lock);
        sink->written += written;
        if (reason.code != 0 && sink->reason.code == 0) {
            sink->reason = reason;
        }
        sink->busy = false;
        /* Whoever is woken finds the lock free: half of the calls of the kernel that a piece takes otherwise. */
        pthread_mutex_unlock(&sink->lock);
        pthread_cond_signal(&sink->changed);
        pthread_mutex_lock(&sink->lock);
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
    sink->pieces[0].bytes = slot_buffer((size_t)SINK_BLOCKS * BLOCK);
    sink->pieces[1].bytes = slot_buffer((size_t)SINK_BLOCKS * BLOCK);
    sink->zeros = slot_buffer((size_t)SINK_BLOCKS * BLOCK);
    pthread_mutex_init(&sink->lock, NULL);
    pthread_cond_init(&sink->changed, NULL);
    if (sink->hasher == NULL || sink->pieces[0].bytes == NULL || sink->pieces[1].bytes == NULL || sink->zeros == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for buffers");
    }
    memset(sink->zeros, 0, (size_t)SINK_BLOCKS * BLOCK);
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
    free(sink->pieces[0].bytes);
    free(sink->pieces[1].bytes);
    free(sink->zeros);
    pthread_mutex_destroy(&sink->lock);
    pthread_cond_destroy(&sink->changed);
    free(sink);
}

/* Waits for the thread; gives it what was filled, if there is something. */
static int handed_over(struct sink *sink, struct reason *reason) {
    pthread_mutex_lock(&sink->lock);
    while (sink->busy) {
        pthread_cond_wait(&sink->changed, &sink->lock);
    }
    sink->written_seen = sink->written;
    bool wakes = sink->reason.code == 0 && sink->pieces[sink->filling].count > 0;
    if (wakes) {
        sink->filling = 1 - sink->filling;
        sink->busy = true;
    }
    int code = sink->reason.code;
    if (code != 0) {
        *reason = sink->reason;
        sink->pieces[sink->filling].count = 0;
    }
    pthread_mutex_unlock(&sink->lock);
    if (wakes) {
        pthread_cond_signal(&sink->changed);
    }
    return code;
}

static int added(struct sink *sink, uint32_t data, uint32_t block, const uint8_t *bytes, bool tries, struct reason *reason) {
    struct piece *piece = &sink->pieces[sink->filling];
    piece->data[piece->count] = data;
    piece->block[piece->count] = block;
    piece->at[piece->count] = bytes;
    piece->tries[piece->count] = tries;
    piece->count++;
    return piece->count == SINK_BLOCKS ? handed_over(sink, reason) : 0;
}

static const uint8_t *kept(struct sink *sink, const uint8_t *bytes) {
    struct piece *piece = &sink->pieces[sink->filling];
    return memcpy(piece->bytes + (size_t)piece->count * BLOCK, bytes, BLOCK);
}

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
    return added(sink, ZEROS, block, sink->zeros + (size_t)sink->pieces[sink->filling].count * BLOCK, false, reason);
}

int sink_drain(struct sink *sink, struct reason *reason) {
    int code = handed_over(sink, reason);
    return code == 0 ? handed_over(sink, reason) : code;
}

uint64_t sink_written(const struct sink *sink) { return sink->written_seen; }
