/* SPDX-License-Identifier: MIT */
#include "spans.h"

#include <stdlib.h>

enum {
    SPANS_LIMIT = 1024,
    /* What lies between two spans and costs less than another request. */
    GAP = 1024,
};

/* How many there are if those with at most `gap` bytes between them are one; the first SPANS_LIMIT of them go to `at`. */
static uint32_t joined(struct span *at, const struct index *index, uint64_t payload, uint64_t gap, bool (*wanted)(const void *context, uint32_t frame),
                       const void *context) {
    uint64_t offset = payload;
    uint32_t count = 0;
    struct span span = {0};
    for (uint32_t frame = 0; frame < index->frames; frame++) {
        uint32_t bytes = index_frame_bytes(index, frame);
        if (wanted(context, frame)) {
            if (count > 0 && offset - (span.offset + span.bytes) <= gap) {
                span.bytes = offset + bytes - span.offset;
            } else {
                span = (struct span){offset, bytes};
                count++;
            }
            if (count <= SPANS_LIMIT) {
                at[count - 1] = span;
            }
        }
        offset += bytes;
    }
    return count;
}

int spans_made(struct spans *spans, const struct index *index, uint64_t payload, bool (*wanted)(const void *context, uint32_t frame), const void *context,
               struct reason *reason) {
    uint64_t gap = GAP;
    *spans = (struct spans){.at = calloc(SPANS_LIMIT, sizeof *spans->at)};
    if (spans->at == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for the ranges of the bundle that are needed");
    }
    while ((spans->count = joined(spans->at, index, payload, gap, wanted, context)) > SPANS_LIMIT) {
        gap *= 2;
    }
    for (uint32_t i = 0; i < spans->count; i++) {
        spans->bytes += spans->at[i].bytes;
    }
    return 0;
}

void spans_free(struct spans *spans) {
    free(spans->at);
    *spans = (struct spans){0};
}
