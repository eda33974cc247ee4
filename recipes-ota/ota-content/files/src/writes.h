/* SPDX-License-Identifier: MIT */
/* What `write` has written of an image of format 2, so that `verify` knows it again: a tag for each run of blocks.
 *
 * Each of these blocks was compared in memory with what is signed (sink.h), and the tag is taken of that memory, where the block goes to its place.
 * So whatever has the tag is what was signed, at a fifth of the price of a SHA-256. The tag is Poly1305 with a key that is drawn for each
 * write and, like the tags, never leaves the private folder (record.h says what that is worth). It is a short cut and nothing more: where it is
 * not as noted, or was not noted, SHA-256 decides.
 */
#ifndef WRITES_H
#define WRITES_H

#include "say.h"

#include <stddef.h>

enum {
    /* No run goes beyond a multiple of it, so that each lies in one piece of the sweep. */
    WRITES_PIECE = 128,
    /* More are not noted: 24 bytes each. */
    WRITES_LIMIT = 65536,
};

struct writes;

int writes_new(struct writes **writes, struct reason *reason);
void writes_free(struct writes *writes);
/* `count` whole blocks from `block` on, which were compared; those of one call follow each other in the image. */
int writes_add(struct writes *writes, uint32_t block, uint32_t count, const uint8_t *bytes, struct reason *reason);
int writes_save(struct writes *writes, const char *folder, struct reason *reason);

/* NULL and 0, if none were noted. */
int writes_load(struct writes **writes, const char *folder, struct reason *reason);
/* For tests and fuzzers: what writes_load does with the bytes of a file. */
int writes_parse(struct writes **writes, const uint8_t *bytes, size_t size, struct reason *reason);

/* What compares; each thread has its own. */
struct writes_reader;
struct writes_reader *writes_reader_new(const struct writes *writes);
void writes_reader_free(struct writes_reader *reader);
/* How many blocks from `block` on, at most `count`, are a run that was noted and has its tag; 0: they are none. */
uint32_t writes_known(struct writes_reader *reader, uint32_t block, uint32_t count, const uint8_t *bytes);

#endif
