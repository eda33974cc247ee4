/* SPDX-License-Identifier: MIT */
/* An EROFS as far as it is judged before anything is written: whether it is whole, and whether Linux and U-Boot know what it uses. */
#ifndef EROFS_H
#define EROFS_H

#include "say.h"

#include <stddef.h>
#include <stdint.h>

/* From its first bytes, PEEK of them. 0, or 4 for what nobody could start, 5 for what is damaged. */
int erofs_judged(uint64_t *bytes, const unsigned char *head, size_t size, struct reason *reason);

#endif
