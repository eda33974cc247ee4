/* SPDX-License-Identifier: MIT */
/* Facts: KEY=VALUE lines in a file of the private folder, which hands them from one sub-command to the next.
 *
 * FOLDER/opened   written by `open`, read by `check`:
 *     bundle=no|1|2
 *     payload_offset=N payload_bytes=N        where the payload lies in descriptor 8 (no bundle: 0 and all of it)
 *     image=NAME image_sha256=HEX             bundles: its name, and the signed hash of the payload
 *     rootfs_bytes=N rootfs_sha256=HEX        if the manifest has them
 *     images=NAME NAME...                     further images; each has a folder of its own, FOLDER/image.NAME, with an
 *                                             `opened` of bundle=further
 * FOLDER/facts    written by `check`, read by write, verify, unpack, stage and compare: what `check` prints, and for readers
 *     as_is=yes                               a file system that is written as it is, not unpacked
 *     format=ext4|tar|squashfs|erofs compression=none|gzip|zstd|xz payload_offset=N payload_bytes=N authenticated=yes|no
 * FOLDER/chunks   written by `check`: the tags of the payload's chunks (record.h)
 * FOLDER/ranges   written by `check` for ext4: the tags of the unpacked content's ranges (record.h)
 * FOLDER/index    format 2: the signed block index
 * FOLDER/first    format 2, streamed: the first frame, written by `check`, read by `write`
 */
#ifndef FACTS_H
#define FACTS_H

#include "say.h"

#include <stddef.h>

struct facts {
    char *text; /* lines, each ended by a zero */
    size_t size;
};

int facts_read(struct facts *facts, const char *folder, const char *name, struct reason *reason);
/* For tests and fuzzers; text is copied. */
int facts_parse(struct facts *facts, const char *text, size_t size, struct reason *reason);
void facts_free(struct facts *facts);
/* NULL when it is not there. */
const char *facts_get(const struct facts *facts, const char *key);
bool facts_are(const struct facts *facts, const char *key, const char *value);
int facts_number(const struct facts *facts, const char *key, uint64_t *value, struct reason *reason);
/* 64 hexadecimal digits into 32 bytes. */
int facts_sha256(const struct facts *facts, const char *key, unsigned char hash[32], struct reason *reason);

/* Facts that are written to FOLDER/NAME and, if wanted, printed when they are complete. */
struct facts_out {
    FILE *file;
    char path[512];
};

int facts_begin(struct facts_out *out, const char *folder, const char *name, struct reason *reason);
void facts_add(struct facts_out *out, const char *key, const char *value);
void facts_add_number(struct facts_out *out, const char *key, uint64_t value);
/* Puts the file in its place; nothing is there before. Prints it too where `shown` is set. */
int facts_end(struct facts_out *out, bool shown, struct reason *reason);
void facts_give_up(struct facts_out *out);

/* FOLDER/NAME, or false when that is too long. */
bool path_in(char *path, size_t size, const char *folder, const char *name);

/* Writes all of it, however many calls that takes; errno says why it does not. */
bool bytes_written(int fd, const void *bytes, size_t size);
/* A decimal number without anything else; false also when it does not fit. */
bool number_understood(const char *text, uint64_t *value);

#endif
