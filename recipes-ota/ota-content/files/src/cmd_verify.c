/* SPDX-License-Identifier: MIT */
/* verify: the slot, read back from the medium, holds what the check has seen. */
#include "check.h"
#include "commands.h"
#include "ring.h"

#include <string.h>

struct reading {
    struct slot slot;
    uint64_t at, bytes;
};

static int slot_fill(void *context, void *buffer, size_t size, size_t *got, struct reason *reason) {
    struct reading *reading = context;
    uint64_t left = reading->bytes - reading->at;
    *got = left < size ? (size_t)left : size;
    int code = *got == 0 ? 0 : slot_read(&reading->slot, buffer, *got, reading->at, reason);
    reading->at += *got;
    return code;
}

static int slot_compared(struct reading *reading, struct record *ranges, int progress_fd, struct reason *reason) {
    struct ring *ring;
    struct progress progress;
    unsigned char *data;
    size_t size;
    uint64_t index = 0, at = 0;
    progress_begin(&progress, progress_fd, "verify", reading->bytes);
    int code = ring_open(&ring, slot_fill, reading, PIECE, reason);
    while (code == 0 && (code = ring_next(ring, &data, &size, reason)) == 0 && size > 0) {
        for (size_t in = 0; code == 0 && in < size; in += RANGE, index++) {
            size_t range = size - in < RANGE ? size - in : RANGE;
            if (!record_knows(ranges, index, data + in, range)) {
                code = fail(reason, CODE_DIFFERS, "the slot %s reads back differently from what was written, between the bytes %llu and %llu: the medium is worn out",
                            reading->slot.name, (unsigned long long)(at + in), (unsigned long long)(at + in + range));
            }
        }
        at += size;
        progress_step(&progress, at, 0, 0);
    }
    ring_close(ring);
    if (code == 0 && at != reading->bytes) {
        code = fail(reason, CODE_DIFFERS, "the slot %s ends after %llu of %llu bytes", reading->slot.name, (unsigned long long)at,
                    (unsigned long long)reading->bytes);
    }
    if (code == 0) {
        progress_end(&progress, at, 0, 0);
    }
    return code;
}

int cmd_verify(int argc, char **argv, struct reason *reason) {
    struct job job;
    struct reading reading = {.slot = {.fd = -1, .direct = -1}};
    struct record *ranges = NULL;
    int code = job_open(&job, argc, argv, NEEDS_SLOT | AFTER_CHECK, reason);
    if (code == 0 && facts_are(&job.facts, "bundle", "2")) {
        code = index_verify == NULL ? fail(reason, CODE_FORMAT, "the bundle has format 2, which this build does not read") : index_verify(&job, reason);
        job_close(&job);
        return code;
    }
    if (code == 0) {
        code = facts_number(&job.facts, "content_bytes", &reading.bytes, reason);
    }
    if (code == 0) {
        code = record_load(&ranges, job.folder, "ranges", reason);
    }
    if (code == 0 && (record_piece(ranges) != RANGE || record_bytes(ranges) != reading.bytes)) {
        code = fail(reason, CODE_UNEXPECTED, "the record of the content does not fit to the facts of the check");
    }
    if (code == 0) {
        if (reading_is_noted(&job) && reading.bytes > RANGE) {
            reading.bytes = RANGE;
        }
        code = slot_open(&reading.slot, job.slot_name, false, reason);
    }
    if (code == 0) {
        code = slot_compared(&reading, ranges, job.progress_fd, reason);
    }
    if (code == 0) {
        say_number(stdout, "verified", reading.bytes);
    }
    slot_close(&reading.slot);
    record_free(ranges);
    job_close(&job);
    return code;
}
