/* SPDX-License-Identifier: MIT */
#include "array.h"

#include <stdint.h>
#include <stdlib.h>

enum { FIRST = 64 };

void *array_grown(void *items, size_t *room, size_t needed, size_t size, size_t most) {
    if (most > SIZE_MAX / size) {
        most = SIZE_MAX / size;
    }
    if (needed > most) {
        return NULL;
    }
    size_t wanted = *room > most / 2 ? most : *room * 2;
    if (wanted < FIRST && FIRST <= most) {
        wanted = FIRST;
    }
    if (wanted < needed) {
        wanted = needed;
    }
    void *more = realloc(items, wanted * size);
    if (more != NULL) {
        *room = wanted;
    }
    return more;
}
