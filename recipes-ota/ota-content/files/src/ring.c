/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include "slot.h"

#include <pthread.h>
#include <stdlib.h>

/* Enough that neither side waits for the other's hiccups. */
#define PIECES 4

struct ring {
    ring_fill *fill;
    void *context;
    size_t piece;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned char *buffers[PIECES];
    size_t sizes[PIECES];
    unsigned filled, emptied; /* pieces, counted */
    bool held;                /* the caller has piece number `emptied` */
    bool ended, closing;
    struct reason reason; /* code 0: all is well */
};

static void *run(void *argument) {
    struct ring *ring = argument;
    pthread_mutex_lock(&ring->lock);
    while (!ring->closing && !ring->ended) {
        if (ring->filled - ring->emptied == PIECES) {
            pthread_cond_wait(&ring->changed, &ring->lock);
            continue;
        }
        unsigned place = ring->filled % PIECES;
        pthread_mutex_unlock(&ring->lock);
        struct reason reason = {0};
        size_t got = 0;
        int code = ring->fill(ring->context, ring->buffers[place], ring->piece, &got, &reason);
        pthread_mutex_lock(&ring->lock);
        if (code != 0) {
            ring->reason = reason;
            ring->ended = true;
        } else {
            ring->sizes[place] = got;
            ring->filled += got > 0;
            ring->ended = got < ring->piece;
        }
        pthread_cond_broadcast(&ring->changed);
    }
    pthread_mutex_unlock(&ring->lock);
    return NULL;
}

int ring_open(struct ring **opened, ring_fill *fill, void *context, size_t piece, struct reason *reason) {
    struct ring *ring = calloc(1, sizeof *ring);
    *opened = NULL;
    if (ring == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for buffers");
    }
    ring->fill = fill;
    ring->context = context;
    ring->piece = piece;
    bool made = true;
    for (size_t i = 0; i < PIECES; i++) {
        ring->buffers[i] = slot_buffer(piece);
        made = made && ring->buffers[i] != NULL;
    }
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->changed, NULL);
    if (!made || pthread_create(&ring->thread, NULL, run, ring) != 0) {
        for (size_t i = 0; i < PIECES; i++) {
            free(ring->buffers[i]);
        }
        free(ring);
        return fail(reason, CODE_RESOURCES, "no memory for %d buffers of %zu bytes and a thread", PIECES, piece);
    }
    *opened = ring;
    return 0;
}

int ring_next(struct ring *ring, unsigned char **data, size_t *size, struct reason *reason) {
    int code = 0;
    pthread_mutex_lock(&ring->lock);
    if (ring->held) {
        ring->held = false;
        ring->emptied++;
        pthread_cond_broadcast(&ring->changed);
    }
    while (ring->filled == ring->emptied && !ring->ended) {
        pthread_cond_wait(&ring->changed, &ring->lock);
    }
    if (ring->filled != ring->emptied) {
        *data = ring->buffers[ring->emptied % PIECES];
        *size = ring->sizes[ring->emptied % PIECES];
        ring->held = true;
    } else {
        *size = 0;
        if (ring->reason.code != 0) {
            *reason = ring->reason;
            code = reason->code;
        }
    }
    pthread_mutex_unlock(&ring->lock);
    return code;
}

void ring_close(struct ring *ring) {
    if (ring == NULL) {
        return;
    }
    pthread_mutex_lock(&ring->lock);
    ring->closing = true;
    pthread_cond_broadcast(&ring->changed);
    pthread_mutex_unlock(&ring->lock);
    pthread_join(ring->thread, NULL);
    pthread_cond_destroy(&ring->changed);
    pthread_mutex_destroy(&ring->lock);
    for (size_t i = 0; i < PIECES; i++) {
        free(ring->buffers[i]);
    }
    free(ring);
}
