/* SPDX-License-Identifier: MIT */
/* What readers read, from memory. */
#ifndef FUZZ_MEMORY_H
#define FUZZ_MEMORY_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "say.h"

struct memory {
    const uint8_t *bytes;
    size_t size, at;
};

/* As of a stream: all that was asked for, less at the end. */
static inline int memory_read(void *self, void *buffer, size_t size, size_t *got, struct reason *reason) {
    struct memory *memory = self;
    (void)reason;
    *got = size < memory->size - memory->at ? size : memory->size - memory->at;
    memcpy(buffer, memory->bytes + memory->at, *got);
    memory->at += *got;
    return 0;
}

/* As of a file: all or nothing. */
static inline int memory_read_at(void *self, uint64_t offset, void *to, size_t count) {
    const struct memory *memory = self;
    if (offset > memory->size || count > memory->size - (size_t)offset) {
        errno = 0;
        return -1;
    }
    memcpy(to, memory->bytes + offset, count);
    return 0;
}

#endif
