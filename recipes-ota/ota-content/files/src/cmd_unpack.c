/* SPDX-License-Identifier: MIT */
/* unpack: the archive or further image that the check has judged, without its compression, to standard output. */
#include "check.h"
#include "commands.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PART 262144

static int written(const unsigned char *data, size_t size, struct reason *reason) {
    while (size > 0) {
        ssize_t count = write(STDOUT_FILENO, data, size);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(reason, CODE_WRITE, "the program that takes what is unpacked does not take it");
        }
        data += count;
        size -= (size_t)count;
    }
    return 0;
}

int cmd_unpack(int argc, char **argv, struct reason *reason) {
    struct job job;
    struct source source = {0};
    struct stream *stream = NULL;
    struct progress progress;
    unsigned char *part = malloc(PART);
    int code = job_open(&job, argc, argv, AFTER_CHECK, reason);
    if (code == 0 && part == NULL) {
        code = fail(reason, CODE_RESOURCES, "no memory to unpack the archive");
    }
    if (code == 0 && !facts_are(&job.facts, "format", "tar") && !job_is_further(&job.facts)) {
        code = fail(reason, CODE_UNEXPECTED, "the check found no tar archive, and no further image");
    }
    if (code == 0) {
        code = job_stream(&job, &source, &stream, reason);
    }
    if (code == 0) {
        size_t got = PART;
        progress_begin(&progress, job.progress_fd, "write", source.bytes);
        while (code == 0 && got == PART) {
            code = stream_read(stream, part, PART, &got, reason);
            if (code == 0) {
                code = written(part, got, reason);
            }
            progress_step(&progress, source.position, stream_position(stream), 0);
        }
        if (code == 0) {
            progress_end(&progress, source.position, stream_position(stream), 0);
        }
    }
    stream_close(stream);
    source_close(&source);
    job_close(&job);
    free(part);
    return code;
}
