/* SPDX-License-Identifier: MIT */
/* Arrays that grow. */
#ifndef ARRAY_H
#define ARRAY_H

#include <stddef.h>

/* Makes room for `needed` items of `size` bytes, and so much more that it is not asked for each of them; for no more than `most`. Sets *room. NULL,
   and nothing has changed, when that is too few or there is no memory. */
void *array_grown(void *items, size_t *room, size_t needed, size_t size, size_t most);

#endif
