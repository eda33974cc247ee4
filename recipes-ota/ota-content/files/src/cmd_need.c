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
#include "spans.h"
#include "there.h"

static bool is_lacking(const void *context, uint32_t frame) {
    const struct there *there = context;
    return there->is[frame] == FRAME_MISSING || there->is[frame] == FRAME_DAMAGED;
}

static int ranges_said(const struct blocks *blocks, const struct there *there, struct reason *reason) {
    struct spans spans;
    int code = spans_made(&spans, &blocks->index, blocks->payload.offset, is_lacking, there, reason);
    if (code == 0) {
        say_number(stdout, "had", there->good);
        say_number(stdout, "missing", spans.bytes);
        say_number(stdout, "ranges", spans.count);
        for (uint32_t i = 0; i < spans.count; i++) {
            printf("range=%llu %llu\n", (unsigned long long)spans.at[i].offset, (unsigned long long)spans.at[i].bytes);
        }
    }
    spans_free(&spans);
    return code;
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
        code = ranges_said(&blocks, &there, reason);
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
