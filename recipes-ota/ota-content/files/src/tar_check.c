/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "tar_stream.h"

/* Of this program, and of the tar that unpacks. */
#define MEMORY_BASE (8U << 20)
#define MEMORY_TAR (8U << 20)

static int stream_part(void *self, void *buffer, size_t size, size_t *got, struct reason *reason) {
    struct tar_stream *from = self;
    int code = stream_read(from->stream, buffer, size, got, reason);
    if (code == 0 && from->progress != NULL) {
        progress_step(from->progress, stream_source(from->stream)->position, 0, 0);
    }
    return code;
}

struct tar_input tar_of_stream(struct tar_stream *stream) {
    return (struct tar_input){.read = stream_part, .self = stream};
}

int tar_check(struct job *job, struct stream *stream, uint64_t slot_bytes, struct facts_out *facts, struct reason *reason) {
    struct tar_judgement judgement;
    struct progress progress;
    struct tar_stream from = {.stream = stream, .progress = &progress};
    uint64_t bytes = stream_source(stream)->bytes;
    progress_begin(&progress, job->progress_fd, "check", bytes);
    int code = tar_judge(tar_of_stream(&from), &judgement, reason);
    if (code == 0 && judgement.content_bytes >= slot_bytes) {
        code = fail(reason, CODE_TOO_BIG, "the files in the image need %llu bytes, the slot has %llu",
                    (unsigned long long)judgement.content_bytes,
                    (unsigned long long)slot_bytes);
    }
    if (code != 0) {
        return code;
    }
    /* Metadata and journal of the file system that is made. */
    uint64_t metadata = slot_bytes / 32;
    facts_add_number(facts, "content_bytes", judgement.content_bytes);
    facts_add_number(facts, "free_bytes", slot_bytes - judgement.content_bytes);
    facts_add_number(facts, "bytes_to_write", judgement.content_bytes + metadata);
    facts_add_number(facts, "memory_needed", MEMORY_BASE + MEMORY_TAR + stream_memory(stream) + judgement.memory);
    facts_add_number(facts, "archive_members", judgement.members);
    facts_add(facts, "archive_needs", judgement.needs);
    facts_add(facts, "lacks", judgement.lack.what);
    facts_add(facts, "lacks_reason", judgement.lack.reason);
    progress_end(&progress, bytes, 0, 0);
    return 0;
}
