/* SPDX-License-Identifier: MIT */
/* head: the first 4 KiB of the slot, without which nothing can mount it. */
#include "check.h"
#include "commands.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char name[] = "head";

static int head_cleared(struct slot *slot, unsigned char *buffer, struct reason *reason) {
    memset(buffer, 0, HELD_BACK);
    int code = slot_write(slot, buffer, HELD_BACK, 0, reason);
    return code == 0 ? slot_flush(slot, reason) : code;
}

static int head_noted(const struct job *job, const unsigned char *bytes, struct reason *reason) {
    char path[512];
    if (!path_in(path, sizeof path, job->folder, name)) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", job->folder);
    }
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && bytes_written(fd, bytes, HELD_BACK);
    if (fd >= 0) {
        good = close(fd) == 0 && good;
    }
    return good ? 0 : fail_errno(reason, CODE_RESOURCES, "%s cannot be written", path);
}

/* Whether it is what was noted; what was not noted may be anything. */
static bool head_is_noted(const struct job *job, const unsigned char *bytes) {
    char path[512];
    unsigned char before[HELD_BACK];
    FILE *file = path_in(path, sizeof path, job->folder, name) ? fopen(path, "rbe") : NULL;
    bool same = file != NULL && fread(before, 1, sizeof before, file) == sizeof before && memcmp(before, bytes, sizeof before) == 0;
    if (file != NULL) {
        fclose(file);
    }
    return same;
}

int cmd_head(int argc, char **argv, struct reason *reason) {
    struct job job = {0};
    struct slot slot = {.fd = -1, .direct = -1};
    struct reason unreadable = {0};
    const char *task = argc >= 2 ? argv[1] : "";
    bool notes = strcmp(task, "note") == 0, judges = strcmp(task, "judge") == 0;
    if (!notes && !judges && strcmp(task, "clear") != 0) {
        return fail(reason, CODE_USAGE, "head: expected note, judge or clear");
    }
    int code = job_open(&job, argc - 1, argv + 1, NEEDS_SLOT | AFTER_CHECK, reason);
    unsigned char *bytes = slot_buffer(HELD_BACK);
    if (code == 0 && bytes == NULL) {
        code = fail(reason, CODE_RESOURCES, "no memory for buffers");
    }
    if (code == 0) {
        code = slot_open(&slot, job.slot_name, !notes, reason);
    }
    if (code == 0 && notes) {
        code = slot_read(&slot, bytes, HELD_BACK, 0, reason);
        code = code == 0 ? head_noted(&job, bytes, reason) : code;
    } else if (code == 0 && judges && slot_read(&slot, bytes, HELD_BACK, 0, &unreadable) == 0 && head_is_noted(&job, bytes)) {
        say_fact(stdout, "touched", "no");
    } else if (code == 0) {
        code = head_cleared(&slot, bytes, reason);
        say_fact(stdout, "touched", "yes");
    }
    slot_close(&slot);
    free(bytes);
    job_close(&job);
    return code;
}
