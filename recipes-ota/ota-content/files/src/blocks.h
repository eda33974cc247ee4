/* SPDX-License-Identifier: MIT */
/* A bundle of format 2 after `open`: its index in memory, its frames on descriptor 8. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "check.h"
#include "index.h"

/* Bytes of the compressed payload, from descriptor 8. */
struct payload {
    struct provider from;
    uint64_t offset, bytes;
};

/* What check, write, verify and need have in common. */
struct blocks {
    uint8_t *bytes; /* of the index */
    struct index index;
    struct payload payload;
};

/* To be closed also when it fails. */
int blocks_open(struct blocks *blocks, struct job *job, const struct facts *facts, struct reason *reason);
void blocks_close(struct blocks *blocks);
int payload_read(const struct payload *payload, void *buffer, size_t size, uint64_t offset, struct reason *reason);
/* A slot that cannot be read is none. */
bool slot_opened_if_there(struct slot *slot, const char *name);

#endif
