/* SPDX-License-Identifier: MIT */
/* A bundle of format 2 after `open`: its index in memory, its frames on descriptor 8. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "check.h"
#include "cipher.h"
#include "feed.h"
#include "index.h"
#include "plan.h"

/* Bytes of the compressed payload, from descriptor 8. Of a bundle that is streamed they come from the feed, but for the first frame: the check
 * looks at it, and keeps it in FOLDER/first. */
struct payload {
    struct provider from;
    uint64_t offset, bytes;
    struct feed *feed; /* NULL: it is all on descriptor 8 */
    uint8_t *first;
    size_t first_bytes;
    bool has_first;
    bool is_encrypted;
    struct content_key key;
};

/* What check, write, verify and need have in common. */
struct blocks {
    uint8_t *bytes; /* of the index: FOLDER/index */
    size_t mapped;
    struct index index;
    struct payload payload;
};

/* To be closed also when it fails. */
int blocks_open(struct blocks *blocks, struct job *job, const struct facts *facts, struct reason *reason);
void blocks_close(struct blocks *blocks);
/* Without a feed nothing happens. check: asks for the first frame and keeps it. write: takes what the check has kept. */
int payload_fed(struct blocks *blocks, struct feed *feed, const struct job *job, bool checks, struct reason *reason);
int payload_read(const struct payload *payload, void *buffer, size_t size, uint64_t offset, struct reason *reason);
/* What was read from there, as it was before it was encrypted. Not for what is all zeros, which nobody has fetched. */
int payload_decrypted(const struct payload *payload, void *bytes, size_t size, uint64_t offset, struct reason *reason);
/* blocks_open, and what the manifest says of the image has to be what the index is about. A slot_bytes of 0 is not known. */
int blocks_of_bundle(struct blocks *blocks, struct job *job, uint64_t slot_bytes, struct reason *reason);

/* Both slots, as far as they are there: a slot that cannot be read is none. */
struct slots {
    struct slot slot, running;
    bool has_slot, has_running;
};
/* Opens them and plans what each gives; both may be closed also when it fails. */
int slots_compared(struct slots *slots, struct plan *plan, const struct blocks *blocks, const struct job *job, struct progress *progress, struct reason *reason);
struct slot *slots_slot(struct slots *slots);    /* NULL: none */
struct slot *slots_running(struct slots *slots); /* NULL: none */
void slots_close(struct slots *slots);

#endif
