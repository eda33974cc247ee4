/* SPDX-License-Identifier: MIT */
/* What unpacked content is, by its first bytes. Asked once, in the check; everything later goes by what the check wrote down. */
#ifndef FORMAT_H
#define FORMAT_H

#include "stream.h"

enum format { FORMAT_EXT4, FORMAT_TAR, FORMAT_SQUASHFS, FORMAT_EROFS };

const char *format_name(enum format format);
bool format_named(const char *name, enum format *format);

/* first: PEEK bytes, fewer only if there are no more. What is known but not taken is refused with a sentence of its own. */
int format_recognised(const unsigned char *first, size_t size, enum compression compression, bool authenticated, enum format *format,
                      struct reason *reason);

#endif
