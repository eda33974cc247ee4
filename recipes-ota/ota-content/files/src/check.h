/* SPDX-License-Identifier: MIT */
/* What the sub-commands check, write, verify, unpack, stage and compare share. */
#ifndef CHECK_H
#define CHECK_H

#include "facts.h"
#include "slot.h"
#include "source.h"
#include "stream.h"

/* Of an ext4's unpacked content, what FOLDER/ranges has tags of. */
#define RANGE 65536
/* What is unpacked, read and written at a time. */
#define PIECE 1048576

struct job {
    const char *folder, *slot_name, *running_name, *root;
    uint64_t slot_bytes; /* 0: that of the device */
    int progress_fd;
    int requests_fd; /* where frames are asked for that are streamed; -1: none are */
    struct facts opened; /* check: FOLDER/opened */
    struct facts facts;  /* the others: FOLDER/facts */
};

enum { NEEDS_SLOT = 1, NEEDS_ROOT = 2, AFTER_CHECK = 4 };

/* Reads --folder, --slot, --running, --slot-bytes, --root, --progress-fd, --requests-fd, and what an earlier step left in the folder. To be closed
 * also when it fails. */
int job_open(struct job *job, int argc, char **argv, int needs, struct reason *reason);
void job_close(struct job *job);
/* Whether it is about a further image of a bundle, whose bytes are nothing but bytes. */
bool job_is_further(const struct facts *facts);
/* Where a further image is encrypted, its source decrypts. facts: FOLDER/opened, or FOLDER/facts, which has the same. */
int job_decrypts(const struct job *job, const struct facts *facts, struct source *source, struct reason *reason);
/* After check: the payload, each chunk as the check recorded it; and the same unpacked. */
int job_source(struct job *job, struct source *source, struct reason *reason);
int job_stream(struct job *job, struct source *source, struct stream **stream, struct reason *reason);

/* Whether all that is in the slot was read from the medium and compared, and not written since: written by write, read by verify, which then
 * need not read it once more. */
int reading_noted(const struct job *job, bool whole, struct reason *reason);
bool reading_is_noted(const struct job *job);

/* Judging content by its format. They read the stream, or the source, to its end and add what they find to `facts`; the facts that all
 * have in common are there already. slot_bytes is that of the slot. */
int ext4_check(struct job *job, struct stream *stream, uint64_t slot_bytes, struct facts_out *facts, struct reason *reason);
int tar_check(struct job *job, struct stream *stream, uint64_t slot_bytes, struct facts_out *facts, struct reason *reason)
    __attribute__((weak));
/* as_is: its bytes, if it is one that is written as it is; 0 for one that is unpacked. */
int squashfs_check(struct source *source, uint64_t slot_bytes, struct facts_out *facts, uint64_t *as_is, struct reason *reason)
    __attribute__((weak));
/* Format 2, when FOLDER/opened says bundle=2: all of what the sub-command does, the facts in common excepted. */
int index_check(struct job *job, uint64_t slot_bytes, struct facts_out *facts, struct reason *reason) __attribute__((weak));
int index_write(struct job *job, struct reason *reason) __attribute__((weak));
int index_verify(struct job *job, struct reason *reason) __attribute__((weak));

#endif
