/* SPDX-License-Identifier: MIT */
/* compare: the tree that was unpacked, read back from the medium, with the archive that the check has judged. */
#include "check.h"
#include "commands.h"
#include "tar_stream.h"

#include <fcntl.h>
#include <unistd.h>

int cmd_compare(int argc, char **argv, struct reason *reason) {
    struct job job;
    struct source source = {0};
    struct stream *stream = NULL;
    struct progress progress;
    struct tar_comparison comparison;
    int root = -1, code = job_open(&job, argc, argv, NEEDS_ROOT | AFTER_CHECK, reason);
    if (code == 0 && !facts_are(&job.facts, "format", "tar")) {
        code = fail(reason, CODE_UNEXPECTED, "the check found no tar archive");
    }
    if (code == 0 && (root = open(job.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        code = fail_errno(reason, CODE_DIFFERS, "the new system in %.100s cannot be read back", job.root);
    }
    if (code == 0) {
        code = job_stream(&job, &source, &stream, reason);
    }
    if (code == 0) {
        struct tar_stream from = {.stream = stream, .progress = &progress};
        progress_begin(&progress, job.progress_fd, "verify", source.bytes);
        code = tar_compare(tar_of_stream(&from), root, &comparison, NULL, reason);
        if (code == 0) {
            say_number(stdout, "compared_members", comparison.members);
            say_number(stdout, "verified", comparison.bytes);
            progress_end(&progress, source.bytes, 0, 0);
        }
    }
    if (root >= 0) {
        close(root);
    }
    stream_close(stream);
    source_close(&source);
    job_close(&job);
    return code;
}
