/* SPDX-License-Identifier: MIT */
/*
 * stage: the squashfs that the check has judged into the tail of the slot, from where unsquashfs reads it (-offset). Only root can
 * change it there, and no other room is needed.
 */
#include "check.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>

/* Offsets of file systems that end before it. */
#define STAGE_ALIGNMENT UINT64_C(1048576)

static int staged(struct source *source, struct slot *slot, uint64_t offset, struct progress *progress, struct reason *reason) {
    unsigned char *buffer = slot_buffer(CHUNK);
    const unsigned char *data;
    size_t size = 0;
    int code = buffer == NULL ? fail(reason, CODE_RESOURCES, "no memory to copy the squashfs") : 0;
    for (uint64_t at = 0; code == 0 && (code = source_next(source, &data, &size, reason)) == 0 && size > 0; at += size) {
        memcpy(buffer, data, size);
        code = slot_write(slot, buffer, size, offset + at, reason);
        progress_step(progress, at + size, at + size, 0);
    }
    free(buffer);
    return code == 0 ? slot_flush(slot, reason) : code;
}

/* From the medium: unsquashfs would not notice every flipped bit. */
static int read_back(struct source *source, struct slot *slot, uint64_t offset, struct reason *reason) {
    unsigned char *buffer = slot_buffer(CHUNK);
    uint64_t index = 0;
    int code = buffer == NULL ? fail(reason, CODE_RESOURCES, "no memory to read back the squashfs") : 0;
    for (uint64_t at = 0; code == 0 && at < source->bytes; at += CHUNK, index++) {
        size_t size = source->bytes - at < CHUNK ? (size_t)(source->bytes - at) : CHUNK;
        code = slot_read(slot, buffer, size, offset + at, reason);
        if (code == 0 && !record_knows(source->chunks, index, buffer, size)) {
            code = fail(reason, CODE_DIFFERS,
                        "the slot %s reads back differently from what was written at byte %llu: the medium is worn out",
                        slot->name, (unsigned long long)(offset + at));
        }
    }
    free(buffer);
    return code;
}

int cmd_stage(int argc, char **argv, struct reason *reason) {
    struct job job;
    struct source source = {0};
    struct slot slot = {.fd = -1, .direct = -1};
    struct progress progress;
    uint64_t offset = 0;
    int code = job_open(&job, argc, argv, NEEDS_SLOT | AFTER_CHECK, reason);
    if (code == 0 && (!facts_are(&job.facts, "format", "squashfs") || facts_are(&job.facts, "as_is", "yes"))) {
        code = fail(reason, CODE_UNEXPECTED, "the check found no squashfs that is to be unpacked");
    }
    if (code == 0) {
        code = job_source(&job, &source, reason);
    }
    if (code == 0) {
        code = slot_open(&slot, job.slot_name, true, reason);
    }
    if (code == 0 && source.bytes + STAGE_ALIGNMENT >= slot.bytes) {
        code = fail(reason, CODE_TOO_BIG, "the squashfs has %llu bytes, the slot %llu; it must hold it packed and unpacked",
                    (unsigned long long)source.bytes, (unsigned long long)slot.bytes);
    }
    if (code == 0) {
        offset = (slot.bytes - source.bytes) / STAGE_ALIGNMENT * STAGE_ALIGNMENT;
        progress_begin(&progress, job.progress_fd, "write", source.bytes);
        code = staged(&source, &slot, offset, &progress, reason);
    }
    if (code == 0) {
        code = read_back(&source, &slot, offset, reason);
    }
    if (code == 0) {
        progress_end(&progress, source.bytes, source.bytes, 0);
        say_number(stdout, "stage_offset", offset);
        say_number(stdout, "stage_bytes", source.bytes);
    }
    slot_close(&slot);
    source_close(&source);
    job_close(&job);
    return code;
}
