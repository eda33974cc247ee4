/* SPDX-License-Identifier: MIT */
/* write: the file system into the slot, only what differs, its first 4 KiB last. */
#include "check.h"
#include "commands.h"
#include "ring.h"

#include <stdlib.h>
#include <string.h>

/* What is compared. */
#define BLOCK 4096
/* So few equal blocks between two that differ are written with them: one write instead of two. */
#define GAP 2
/* Ranges that are looked at to guess whether the slot holds this image already. */
#define SAMPLES 32
/* After so many pieces without one equal block only one block of a piece is looked at. */
#define HOPELESS 4

struct writing {
    struct job *job;
    struct slot slot;
    struct record *ranges;
    uint64_t bytes; /* of the content */
    unsigned char *old; /* of the slot, PIECE bytes */
    unsigned char first[HELD_BACK];
    unsigned char *differs; /* a bit for each range; NULL: not known */
    uint64_t last_differing; /* the byte behind the last range that differs */
    uint64_t skipped, written;
    unsigned hopeless; /* pieces one after the other without an equal block */
    struct progress progress;
};

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Whether the slot holds this range. One that cannot be read differs. */
static bool range_is_there(struct writing *writing, uint64_t index) {
    struct reason ignored;
    uint64_t at = index * RANGE;
    size_t size = (size_t)least(RANGE, writing->bytes - at);
    return slot_read(&writing->slot, writing->old, size, at, &ignored) == 0 && record_knows(writing->ranges, index, writing->old, size);
}

static bool looks_the_same(struct writing *writing) {
    uint64_t count = record_count(writing->ranges), step = count / SAMPLES + 1;
    /* Not the first one: its superblock may have been taken away. */
    for (uint64_t index = count > 1 ? 1 : 0; index < count; index += step) {
        if (!range_is_there(writing, index)) {
            return false;
        }
    }
    return count > 1;
}

struct scan {
    struct slot *slot;
    uint64_t at, bytes;
    bool unreadable; /* the piece before */
};

static int scan_fill(void *context, void *buffer, size_t size, size_t *got, struct reason *reason) {
    struct scan *scan = context;
    *got = (size_t)least(size, scan->bytes - scan->at);
    if (*got > 0 && slot_read(scan->slot, buffer, *got, scan->at, reason) != 0) {
        return reason->code;
    }
    scan->at += *got;
    return 0;
}

/* Which ranges differ, by their tags: nothing has to be unpacked for this. A slot that cannot be read everywhere is compared the other
 * way, piece by piece. */
static void slot_scanned(struct writing *writing) {
    struct scan scan = {.slot = &writing->slot, .bytes = writing->bytes};
    struct reason reason;
    struct ring *ring;
    uint64_t count = record_count(writing->ranges), index = 0;
    unsigned char *differs = calloc((size_t)(count / 8 + 1), 1), *data;
    size_t size;
    if (differs == NULL || ring_open(&ring, scan_fill, &scan, PIECE, &reason) != 0) {
        free(differs);
        return;
    }
    int code;
    while ((code = ring_next(ring, &data, &size, &reason)) == 0 && size > 0) {
        for (size_t at = 0; at < size; at += RANGE, index++) {
            size_t range = (size_t)least(RANGE, size - at);
            if (!record_knows(writing->ranges, index, data + at, range)) {
                differs[index / 8] = (unsigned char)(differs[index / 8] | 1U << (index % 8));
                writing->last_differing = index * RANGE + range;
            }
        }
    }
    ring_close(ring);
    if (code != 0 || index != count) {
        free(differs);
        return;
    }
    writing->differs = differs;
}

static bool range_differs(const struct writing *writing, uint64_t index) {
    return (writing->differs[index / 8] >> (index % 8) & 1) != 0;
}

static int run_written(struct writing *writing, const unsigned char *data, uint64_t offset, size_t from, size_t to, struct reason *reason) {
    writing->written += to - from;
    return slot_write(&writing->slot, data + from, to - from, offset + from, reason);
}

/* Writes the blocks of data[from, to) that differ from `old`, neighbours together. Returns how many are equal in *equal. */
static int blocks_written(struct writing *writing, const unsigned char *data, uint64_t offset, size_t from, size_t to, size_t *equal,
                          struct reason *reason) {
    size_t begin = to, end = to; /* of what is to be written */
    *equal = 0;
    for (size_t at = from; at < to; at += BLOCK) {
        size_t size = to - at < BLOCK ? to - at : BLOCK;
        if (memcmp(data + at, writing->old + at, size) == 0) {
            *equal += size;
            continue;
        }
        if (begin < to && at - end > (size_t)GAP * BLOCK) {
            int code = run_written(writing, data, offset, begin, end, reason);
            if (code != 0) {
                return code;
            }
            begin = to;
        }
        if (begin == to) {
            begin = at;
        } else {
            *equal -= at - end; /* the gap is written, too */
        }
        end = at + size;
    }
    return begin < to ? run_written(writing, data, offset, begin, end, reason) : 0;
}

/* One piece of content; offset is a multiple of PIECE. */
static int piece_written(struct writing *writing, const unsigned char *data, size_t size, uint64_t offset, struct reason *reason) {
    size_t from = 0, equal = 0;
    struct reason unreadable;
    if (offset == 0) {
        from = HELD_BACK;
        memcpy(writing->first, data, HELD_BACK);
    }
    if (writing->differs != NULL) {
        /* Runs of ranges that differ. */
        for (size_t at = 0; at < size;) {
            size_t end = at;
            while (end < size && range_differs(writing, (offset + end) / RANGE)) {
                end += RANGE;
            }
            if (end > size) {
                end = size;
            }
            if (end == at) {
                size_t next = size - at < RANGE ? size : at + RANGE;
                writing->skipped += next - (at > from ? at : least(from, next));
                at = next;
                continue;
            }
            size_t begin = at > from ? at : from;
            int code = slot_read(&writing->slot, writing->old + at, end - at, offset + at, &unreadable) != 0
                           ? run_written(writing, data, offset, begin, end, reason)
                           : blocks_written(writing, data, offset, begin, end, &equal, reason);
            if (code != 0) {
                return code;
            }
            writing->skipped += equal;
            equal = 0;
            at = end;
        }
        return 0;
    }
    if (writing->hopeless >= HOPELESS) {
        size_t probe = size / 2 / BLOCK * BLOCK, length = size - probe < BLOCK ? size - probe : BLOCK;
        if (slot_read(&writing->slot, writing->old, length, offset + probe, &unreadable) != 0 || memcmp(data + probe, writing->old, length) != 0) {
            return run_written(writing, data, offset, from, size, reason);
        }
        writing->hopeless = 0;
    }
    if (slot_read(&writing->slot, writing->old, size, offset, &unreadable) != 0) {
        return run_written(writing, data, offset, from, size, reason);
    }
    int code = blocks_written(writing, data, offset, from, size, &equal, reason);
    writing->skipped += equal;
    writing->hopeless = equal == 0 ? writing->hopeless + 1 : 0;
    return code;
}

static int stream_fill(void *context, void *buffer, size_t size, size_t *got, struct reason *reason) {
    return stream_read(context, buffer, size, got, reason);
}

static int content_written(struct writing *writing, struct stream *stream, uint64_t until, struct reason *reason) {
    struct ring *ring;
    unsigned char *data;
    size_t size;
    uint64_t at = 0;
    int code = ring_open(&ring, stream_fill, stream, PIECE, reason);
    while (code == 0 && at < until && (code = ring_next(ring, &data, &size, reason)) == 0 && size > 0) {
        if (size > writing->bytes - at) {
            code = fail(reason, CODE_CORRUPT, "the image unpacks to more than the %llu bytes that it had when it was checked",
                        (unsigned long long)writing->bytes);
            break;
        }
        code = piece_written(writing, data, size, at, reason);
        at += size;
        progress_step(&writing->progress, at, writing->written, 0);
    }
    if (code == 0 && at < until) {
        code = fail(reason, CODE_CORRUPT, "the image unpacks to %llu bytes, %llu when it was checked", (unsigned long long)at,
                    (unsigned long long)writing->bytes);
    }
    ring_close(ring);
    if (code == 0) {
        writing->skipped += writing->bytes - at;
    }
    return code;
}

/* From here until the last write nothing can mount the slot. */
static int slot_invalidated(struct writing *writing, struct reason *reason) {
    static const unsigned char zeros[HELD_BACK];
    struct reason ignored;
    if (slot_read(&writing->slot, writing->old, HELD_BACK, 0, &ignored) == 0 && memcmp(writing->old, zeros, HELD_BACK) == 0) {
        return 0;
    }
    memset(writing->old, 0, HELD_BACK);
    int code = slot_write(&writing->slot, writing->old, HELD_BACK, 0, reason);
    return code == 0 ? slot_flush(&writing->slot, reason) : code;
}

static int file_system_written(struct writing *writing, struct reason *reason) {
    struct source source = {0};
    struct stream *stream = NULL;
    const unsigned char *head;
    size_t head_size;
    writing->slot.cached = 0;
    if (looks_the_same(writing)) {
        slot_scanned(writing);
    }
    uint64_t until = writing->differs == NULL ? writing->bytes : writing->last_differing;
    int code = slot_invalidated(writing, reason);
    if (code == 0) {
        code = job_stream(writing->job, &source, &stream, reason);
    }
    if (code == 0) {
        code = stream_peek(stream, &head, &head_size, reason);
    }
    if (code == 0 && head_size < HELD_BACK) {
        code = fail(reason, CODE_CORRUPT, "the image unpacks to %zu bytes, %llu when it was checked", head_size, (unsigned long long)writing->bytes);
    }
    if (code == 0) {
        memcpy(writing->first, head, HELD_BACK);
        if (until > 0) {
            code = content_written(writing, stream, until, reason);
        } else {
            writing->skipped = writing->bytes - HELD_BACK;
        }
    }
    stream_close(stream);
    source_close(&source);
    if (code == 0) {
        code = slot_flush(&writing->slot, reason);
    }
    if (code == 0) {
        memcpy(writing->old, writing->first, HELD_BACK);
        writing->written += HELD_BACK;
        code = slot_write(&writing->slot, writing->old, HELD_BACK, 0, reason);
    }
    if (code == 0) {
        code = slot_flush(&writing->slot, reason);
    }
    bool whole = writing->differs != NULL && writing->written == HELD_BACK && writing->slot.cached < BLOCK;
    return code == 0 ? reading_noted(writing->job, whole, reason) : code;
}

int cmd_write(int argc, char **argv, struct reason *reason) {
    struct job job;
    struct writing writing = {.job = &job, .slot = {.fd = -1, .direct = -1}};
    int code = job_open(&job, argc, argv, NEEDS_SLOT | AFTER_CHECK, reason);
    if (code == 0 && facts_are(&job.facts, "bundle", "2")) {
        code = index_write == NULL ? fail(reason, CODE_FORMAT, "the bundle has format 2, which this build does not read") : index_write(&job, reason);
        job_close(&job);
        return code;
    }
    if (code == 0 && !facts_are(&job.facts, "as_is", "yes")) {
        code = fail(reason, CODE_USAGE, "write is for file systems that are written as they are; the check found another format");
    }
    if (code == 0) {
        code = facts_number(&job.facts, "content_bytes", &writing.bytes, reason);
    }
    if (code == 0) {
        code = record_load(&writing.ranges, job.folder, "ranges", reason);
    }
    if (code == 0 && (record_piece(writing.ranges) != RANGE || record_bytes(writing.ranges) != writing.bytes || writing.bytes < HELD_BACK)) {
        code = fail(reason, CODE_UNEXPECTED, "the record of the content does not fit to the facts of the check");
    }
    if (code == 0) {
        code = slot_open(&writing.slot, job.slot_name, true, reason);
    }
    if (code == 0 && writing.bytes > writing.slot.bytes) {
        code = fail(reason, CODE_TOO_BIG, "the image has %llu bytes, the slot has %llu", (unsigned long long)writing.bytes,
                    (unsigned long long)writing.slot.bytes);
    }
    if (code == 0 && (writing.old = slot_buffer(PIECE)) == NULL) {
        code = fail(reason, CODE_RESOURCES, "no memory to compare the slot");
    }
    if (code == 0) {
        progress_begin(&writing.progress, job.progress_fd, "write", writing.bytes);
        code = file_system_written(&writing, reason);
    }
    if (code == 0) {
        progress_end(&writing.progress, writing.bytes, writing.written, 0);
        say_number(stdout, "compared", writing.bytes);
        say_number(stdout, "skipped", writing.skipped);
        say_number(stdout, "copied", 0);
        say_number(stdout, "written", writing.written);
    }
    slot_close(&writing.slot);
    free(writing.old);
    free(writing.differs);
    record_free(writing.ranges);
    job_close(&job);
    return code;
}
