/* SPDX-License-Identifier: MIT */
/* What the sub-commands check, write, verify, unpack, stage and compare share. */
#ifndef CHECK_H
#define CHECK_H

#include "facts.h"
#include "slot.h"
#include "source.h"
#include "stream.h"

/* Arguments of all of them. */
struct job {
    const char *folder, *slot_name, *running_name, *root;
    uint64_t slot_bytes; /* 0: that of the device */
    int progress_fd;
    struct facts opened; /* check: FOLDER/opened */
    struct facts facts;  /* the others: FOLDER/facts */
    struct progress progress;
};

enum { NEEDS_SLOT = 1, NEEDS_ROOT = 2, AFTER_CHECK = 4 };

/* Reads --folder, --slot, --running, --slot-bytes, --root, --progress-fd, and what an earlier step left in the folder. */
int job_open(struct job *job, int argc, char **argv, int needs, struct reason *reason);
void job_close(struct job *job);
/* After check: the payload as the check recorded it, unpacked. */
int job_stream(struct job *job, struct source *source, struct stream **stream, struct reason *reason);

/* Judging content by its format. What they find goes to `facts`; the common facts are there already. They read the stream, or the
 * source, to its end. */
int ext4_check(struct job *job, struct stream *stream, struct facts_out *facts, struct reason *reason);
int tar_check(struct job *job, struct stream *stream, struct facts_out *facts, struct reason *reason) __attribute__((weak));
int squashfs_check(struct job *job, struct source *source, struct facts_out *facts, struct reason *reason) __attribute__((weak));
/* Format 2: everything that the sub-command does, for FOLDER/opened says bundle=2. */
int index_check(struct job *job, struct facts_out *facts, struct reason *reason) __attribute__((weak));
int index_write(struct job *job, struct reason *reason) __attribute__((weak));
int index_verify(struct job *job, struct reason *reason) __attribute__((weak));

#endif
