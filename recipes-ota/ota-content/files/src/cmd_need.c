/* SPDX-License-Identifier: MIT */
/*
 * ota-content need --folder FOLDER --slot DEVICE [--running DEVICE] [--slot-bytes N] [--progress-fd N]
 *
 * After `open`: which bytes of a bundle of format 2 are still to be fetched, because neither slot has the blocks and the bundle on
 * descriptor 8, which has its full length, has zeros there or something else than was signed. Prints missing=BYTES, ranges=COUNT, and
 * range=OFFSET LENGTH for each, ascending, places in the file; none if everything is there. Of further images: those that are not as they
 * were signed, each as a whole. Nothing is written but to FOLDER.
 */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "manifest.h"
#include "spans.h"
#include "there.h"

static bool is_lacking(const void *context, uint32_t frame) {
    const struct there *there = context;
    return there->is[frame] == FRAME_MISSING || there->is[frame] == FRAME_DAMAGED;
}

/* The further images that are not there as they were signed, each as one span. */
struct furthers {
    struct span at[FURTHER_LIMIT];
    size_t count;
    uint64_t bytes, had;
};

static int further_tried(struct furthers *furthers, struct job *job, struct reason *reason) {
    struct provider from;
    struct source source = {0};
    unsigned char expected[32];
    const unsigned char *data;
    uint64_t file_bytes;
    size_t size = 1;
    struct span span;
    int code = facts_number(&job->opened, "payload_offset", &span.offset, reason);
    if (code == 0) {
        code = facts_number(&job->opened, "payload_bytes", &span.bytes, reason);
    }
    if (code == 0) {
        code = facts_sha256(&job->opened, "image_sha256", expected, reason);
    }
    if (code == 0) {
        code = provider_of_fd(&from, IMAGE_FD, &file_bytes, reason);
    }
    if (code == 0) {
        code = source_records(&source, from, span.offset, span.bytes, true, reason);
    }
    if (code == 0) {
        code = job_decrypts(job, &job->opened, &source, reason);
    }
    while (code == 0 && size > 0) {
        code = source_next(&source, &data, &size, reason);
    }
    if (code == 0 && memcmp(expected, source.hash, sizeof expected) == 0) {
        furthers->had += span.bytes;
    } else if (code == 0) {
        furthers->at[furthers->count++] = span;
        furthers->bytes += span.bytes;
    }
    source_close(&source);
    return code;
}

static int furthers_tried(struct furthers *furthers, const struct job *job, struct reason *reason) {
    const char *left = facts_get(&job->opened, "images");
    int code = 0;
    while (code == 0 && left != NULL && *left != '\0' && furthers->count < FURTHER_LIMIT) {
        size_t length = strcspn(left, " ");
        char name[80], path[512];
        snprintf(name, sizeof name, "image.%.*s", (int)length, left);
        struct job further = {.folder = path};
        code = path_in(path, sizeof path, job->folder, name) ? facts_read(&further.opened, path, "opened", reason)
                                                             : fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", job->folder);
        if (code == 0) {
            code = further_tried(furthers, &further, reason);
        }
        job_close(&further);
        left += length + (left[length] == ' ');
    }
    return code;
}

static int ranges_said(const struct blocks *blocks, const struct there *there, const struct furthers *furthers, struct reason *reason) {
    struct spans spans;
    int code = spans_made(&spans, &blocks->index, blocks->payload.offset, is_lacking, there, reason);
    if (code == 0) {
        say_number(stdout, "had", there->good + furthers->had);
        say_number(stdout, "missing", spans.bytes + furthers->bytes);
        say_number(stdout, "ranges", spans.count + furthers->count);
        for (uint32_t i = 0; i < spans.count; i++) {
            printf("range=%llu %llu\n", (unsigned long long)spans.at[i].offset, (unsigned long long)spans.at[i].bytes);
        }
    }
    for (size_t i = 0; code == 0 && i < furthers->count; i++) {
        printf("range=%llu %llu\n", (unsigned long long)furthers->at[i].offset, (unsigned long long)furthers->at[i].bytes);
    }
    spans_free(&spans);
    return code;
}

int cmd_need(int argc, char **argv, struct reason *reason) {
    struct job job;
    struct blocks blocks = {0};
    struct plan plan = {0};
    struct there there = {0};
    struct furthers furthers = {0};
    struct slots slots = {0};
    struct progress progress;
    int code = job_open(&job, argc, argv, NEEDS_SLOT, reason);
    if (code == 0 && (!facts_are(&job.opened, "image_type", "ext4") || !facts_are(&job.opened, "image_compression", "zstd-blocks"))) {
        code = fail(reason, CODE_FORMAT, "the image is no bundle of format 2, which alone can be fetched in parts");
    }
    if (code == 0) {
        code = blocks_of_bundle(&blocks, &job, job.slot_bytes, reason);
    }
    if (code == 0) {
        code = slots_compared(&slots, &plan, &blocks, &job, &progress, reason);
    }
    if (code == 0) {
        progress_begin(&progress, job.progress_fd, "check", plan_payload(&plan));
        code = frames_tried(&there, &blocks, &plan, slots_slot(&slots), slots_running(&slots), &progress, reason);
    }
    if (code == 0) {
        progress_end(&progress, progress.total, 0, 0);
        code = furthers_tried(&furthers, &job, reason);
    }
    if (code == 0) {
        code = ranges_said(&blocks, &there, &furthers, reason);
    }
    free(there.is);
    plan_free(&plan);
    slots_close(&slots);
    blocks_close(&blocks);
    job_close(&job);
    return code;
}
