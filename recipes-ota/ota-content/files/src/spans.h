/* SPDX-License-Identifier: MIT */
/* Which bytes of a bundle hold some of its frames: ascending, few, and one where little lies between two. */
#ifndef SPANS_H
#define SPANS_H

#include "index.h"

struct span {
    uint64_t offset, bytes; /* places in the file */
};

struct spans {
    struct span *at;
    uint32_t count;
    uint64_t bytes; /* of all */
};

/* At most 1,024 of them. payload: where the frames begin in the file. */
int spans_made(struct spans *spans, const struct index *index, uint64_t payload, bool (*wanted)(const void *context, uint32_t frame), const void *context,
               struct reason *reason);
void spans_free(struct spans *spans);

#endif
