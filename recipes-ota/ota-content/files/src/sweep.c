/* SPDX-License-Identifier: MIT */
#include "sweep.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sweep {
    struct slot *slot;
    uint64_t bytes, next, done;
    sweep_piece *piece;
    void *context;
    struct progress *progress;
    pthread_mutex_t lock;
    struct reason reason;
};

struct sweeper {
    struct sweep *sweep;
    unsigned number;
};

static void *swept(void *argument) {
    const struct sweeper *sweeper = argument;
    struct sweep *sweep = sweeper->sweep;
    struct reason reason = {0};
    unsigned char *buffer = slot_buffer(SWEEP_PIECE);
    size_t size = 0;
    if (buffer == NULL) {
        fail(&reason, CODE_RESOURCES, "no memory for buffers");
    }
    for (;;) {
        pthread_mutex_lock(&sweep->lock);
        if (reason.code != 0 && sweep->reason.code == 0) {
            sweep->reason = reason;
        }
        sweep->done += size;
        if (sweep->progress != NULL && size > 0) {
            progress_step(sweep->progress, sweep->done, 0, 0);
        }
        uint64_t at = sweep->next;
        size = sweep->bytes - at < SWEEP_PIECE ? (size_t)(sweep->bytes - at) : SWEEP_PIECE;
        bool over = sweep->reason.code != 0 || size == 0;
        sweep->next += over ? 0 : size;
        pthread_mutex_unlock(&sweep->lock);
        if (over) {
            break;
        }
        if (slot_read(sweep->slot, buffer, size, at, &reason) == 0) {
            memset(buffer + size, 0, (SLOT_ALIGNMENT - size % SLOT_ALIGNMENT) % SLOT_ALIGNMENT);
            sweep->piece(sweep->context, sweeper->number, at, buffer, size, &reason);
        }
    }
    free(buffer);
    return NULL;
}

int slot_swept(struct slot *slot, uint64_t bytes, sweep_piece *piece, void *context, struct progress *progress, struct reason *reason) {
    struct sweep sweep = {.slot = slot, .bytes = bytes, .piece = piece, .context = context, .progress = progress, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct sweeper sweepers[SWEEP_THREADS];
    pthread_t threads[SWEEP_THREADS];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned wanted = processors < 1 ? 1 : processors > SWEEP_THREADS ? SWEEP_THREADS : (unsigned)processors, started = 1;
    for (unsigned i = 0; i < wanted; i++) {
        sweepers[i] = (struct sweeper){&sweep, i};
    }
    /* What has no thread is done by this one. */
    while (started < wanted && pthread_create(&threads[started], NULL, swept, &sweepers[started]) == 0) {
        started++;
    }
    swept(&sweepers[0]);
    for (unsigned i = 1; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    if (sweep.reason.code != 0) {
        *reason = sweep.reason;
    }
    return sweep.reason.code;
}
