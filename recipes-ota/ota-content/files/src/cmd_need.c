/* SPDX-License-Identifier: MIT */
/*
 * ota-content need --folder FOLDER --slot DEVICE [--running DEVICE] [--slot-bytes N] [--progress-fd N]
 *
 * After `open`: which bytes of a bundle of format 2 are still to be fetched, because neither slot has the blocks and the bundle on
 * descriptor 8, which has its full length, has zeros there or something else than was signed. Prints missing=BYTES, ranges=COUNT, and
 * range=OFFSET LENGTH for each, ascending, places in the file; none if everything is there. Nothing is written but to FOLDER.
 */
#include <stdlib.h>

#include "commands.h"
#include "there.h"

enum {
    RANGES_LIMIT = 1024,
    /* What lies between two ranges and costs less than another request. */
    GAP = 1024,
};

/* Prints the ranges, or only counts them. Those with less than `gap` between them are one. */
static uint32_t ranges_joined(const struct blocks *blocks, const struct there *there, uint64_t gap, bool printed, uint64_t *bytes) {
    const struct index *index = &blocks->index;
    uint64_t offset = 0, from = 0, to = 0;
    uint32_t count = 0;
    *bytes = 0;
    for (uint32_t frame = 0; frame <= index->frames; frame++) {
        bool is_last = frame == index->frames;
        if (!is_last && there->is[frame] != FRAME_MISSING && there->is[frame] != FRAME_DAMAGED) {
            offset += index_frame_bytes(index, frame);
            continue;
        }
        if (to > from && (is_last || offset - to > gap)) {
            count++;
            *bytes += to - from;
            if (printed) {
                printf("range=%llu %llu\n", (unsigned long long)(blocks->payload.offset + from), (unsigned long long)(to - from));
            }
            from = offset;
        }
        if (!is_last) {
            from = to > from ? from : offset;
            offset += index_frame_bytes(index, frame);
            to = offset;
        }
    }
    return count;
}

static void ranges_said(const struct blocks *blocks, const struct there *there) {
    uint64_t gap = GAP, bytes;
    uint32_t count;
    while ((count = ranges_joined(blocks, there, gap, false, &bytes)) > RANGES_LIMIT) {
        gap *= 2;
    }
    say_number(stdout, "missing", bytes);
    say_number(stdout, "ranges", count);
    ranges_joined(blocks, there, gap, true, &bytes);
}

int cmd_need(int argc, char **argv, struct reason *reason) {
    struct job job;
    struct blocks blocks = {0};
    struct plan plan = {0};
    struct there there = {0};
    struct slot slot, running;
    struct progress progress;
    uint64_t image_bytes;
    bool has_slot = false, has_running = false;
    int code = job_open(&job, argc, argv, NEEDS_SLOT, reason);
    if (code == 0 && (!facts_are(&job.opened, "image_type", "ext4") || !facts_are(&job.opened, "image_compression", "zstd-blocks"))) {
        code = fail(reason, CODE_FORMAT, "the image is no bundle of format 2, which alone can be fetched in parts");
    }
    if (code == 0) {
        code = blocks_open(&blocks, &job, &job.opened, reason);
    }
    if (code == 0) {
        code = facts_number(&job.opened, "rootfs_bytes", &image_bytes, reason);
    }
    if (code == 0 && blocks.index.image_bytes != image_bytes) {
        code = fail(reason, CODE_CORRUPT, "the block index is about %llu bytes, the manifest about %llu", (unsigned long long)blocks.index.image_bytes,
                    (unsigned long long)image_bytes);
    }
    if (code == 0 && job.slot_bytes != 0 && image_bytes > job.slot_bytes) {
        code = fail(reason, CODE_TOO_BIG, "the image has %llu bytes, the slot has %llu", (unsigned long long)image_bytes, (unsigned long long)job.slot_bytes);
    }
    if (code == 0) {
        has_slot = slot_opened_if_there(&slot, job.slot_name);
        has_running = slot_opened_if_there(&running, job.running_name);
        progress_begin(&progress, job.progress_fd, "compare", 0);
        code = plan_made(&plan, &blocks.index, has_slot ? &slot : NULL, has_running ? &running : NULL, &progress, reason);
    }
    if (code == 0) {
        progress_end(&progress, progress.total, 0, 0);
        progress_begin(&progress, job.progress_fd, "check", plan_payload(&plan));
        code = frames_tried(&there, &blocks, &plan, has_slot ? &slot : NULL, has_running ? &running : NULL, &progress, reason);
    }
    if (code == 0) {
        progress_end(&progress, progress.total, 0, 0);
        say_number(stdout, "had", there.good);
        ranges_said(&blocks, &there);
    }
    free(there.is);
    plan_free(&plan);
    if (has_running) {
        slot_close(&running);
    }
    if (has_slot) {
        slot_close(&slot);
    }
    blocks_close(&blocks);
    job_close(&job);
    return code;
}
