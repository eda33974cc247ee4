/* SPDX-License-Identifier: MIT */
/* An image in memory, for the fuzzers. */
#ifndef FUZZ_IMAGE_H
#define FUZZ_IMAGE_H

#include "source.h"

#include <string.h>

struct fuzz_image {
    const unsigned char *bytes;
    size_t size;
};

static inline ssize_t image_read_at(void *context, void *buffer, size_t size, uint64_t offset) {
    const struct fuzz_image *memory = context;
    if (offset >= memory->size) {
        return 0;
    }
    size_t left = memory->size - (size_t)offset;
    /* Short reads happen. */
    size_t got = size < left ? size : left;
    got = got > 5000 ? got - 777 : got;
    memcpy(buffer, memory->bytes + offset, got);
    return (ssize_t)got;
}

static inline struct provider provider_of_image(struct fuzz_image *memory) {
    return (struct provider){.read_at = image_read_at, .context = memory};
}

/* A promise that is broken ends the fuzzer. */
#define PROMISE(condition) do { if (!(condition)) __builtin_trap(); } while (0)

#endif
