/* SPDX-License-Identifier: MIT */
/* What a pass over some bytes remembers of them, so that a later pass knows them again: a tag for each piece.
 *
 * The tag is Poly1305 with a key that is drawn for each record and, like the tags, never leaves the private folder. Whoever owns the
 * image sees neither, so he cannot search for a second content with the same tag; that one of his passes is at most
 * 8 * (piece / 16) / 2^106 for each try, 2^-90 for pieces of 128 KiB. It costs a fifth of a SHA-256 where a processor has no
 * instructions for that.
 */
#ifndef RECORD_H
#define RECORD_H

#include "say.h"

#include <stddef.h>

struct record;

/* Pieces of this many bytes; the last one may be shorter. */
int record_new(struct record **record, size_t piece, struct reason *reason);
void record_free(struct record *record);

/* The next piece. */
int record_add(struct record *record, const void *data, size_t size, struct reason *reason);
/* Whether piece number `index` was this. Also false when there was none. */
bool record_knows(struct record *record, uint64_t index, const void *data, size_t size);

size_t record_piece(const struct record *record);
uint64_t record_bytes(const struct record *record);
uint64_t record_count(const struct record *record);

int record_save(const struct record *record, const char *folder, const char *name, struct reason *reason);
int record_load(struct record **record, const char *folder, const char *name, struct reason *reason);
/* For tests and fuzzers: what record_load does with the bytes of a file. */
int record_parse(struct record **record, const unsigned char *bytes, size_t size, struct reason *reason);

#endif
