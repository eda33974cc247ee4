/* SPDX-License-Identifier: MIT */
/*
 * What the engine's readers say of generated inputs, a line for each: "yes", with what was found, or "no". A case is a letter, b for a
 * bundle or m for a manifest, its length in four bytes, most significant first, and its bytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"

struct memory {
    const uint8_t *bytes;
    size_t size;
};

static int read_at(void *self, uint64_t offset, void *to, size_t count) {
    const struct memory *memory = self;
    if (offset > memory->size || count > memory->size - (size_t)offset) {
        errno = 0;
        return -1;
    }
    memcpy(to, memory->bytes + offset, count);
    return 0;
}

static void bundle_judged(const uint8_t *data, size_t size) {
    struct memory memory = {data, size};
    struct bundle_bytes bytes = {.read = read_at, .self = &memory, .size = size};
    struct bundle bundle;
    struct reason reason = {0};
    if (bundle_read(&bundle, &bytes, &reason) == 0) {
        printf("yes %s %" PRIu64 " %" PRIu64 "\n", bundle.payload.name, bundle.payload.offset, bundle.payload.bytes);
    } else {
        puts("no");
    }
}

static void manifest_judged(const uint8_t *data, size_t size) {
    struct manifest manifest;
    struct reason reason = {0};
    if (manifest_read(&manifest, (const char *)data, size, &reason) == 0) {
        printf("yes %d %s %s %" PRIu64, manifest.format, manifest.compatible, manifest.image, manifest.image_bytes);
        for (size_t i = 0; i < manifest.furthers; i++) {
            printf(" %s %" PRIu64 " %d%d", manifest.further[i].name, manifest.further[i].bytes, manifest.further[i].is_compressed,
                   manifest.further[i].is_optional);
        }
        puts("");
    } else {
        puts("no");
    }
}

int main(void) {
    uint8_t head[5];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        size_t size = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
        uint8_t *data = malloc(size + 1);
        if (data == NULL || fread(data, 1, size, stdin) != size) {
            return 1;
        }
        if (head[0] == 'b') {
            bundle_judged(data, size);
        } else {
            manifest_judged(data, size);
        }
        free(data);
    }
    return ferror(stdin) || fflush(stdout) != 0;
}
