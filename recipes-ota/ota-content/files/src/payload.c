/* SPDX-License-Identifier: MIT */
#include "blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char kept_name[] = "first";

static bool is_first(const void *context, uint32_t frame) {
    (void)context;
    return frame == 0;
}

static int first_fetched(struct blocks *blocks, const char *path, struct reason *reason) {
    struct payload *payload = &blocks->payload;
    struct spans spans;
    int code = spans_made(&spans, &blocks->index, payload->offset, is_first, NULL, reason);
    if (code == 0) {
        code = feed_ask(payload->feed, spans, reason);
    }
    if (code == 0) {
        code = payload_read(payload, payload->first, payload->first_bytes, 0, reason);
    }
    if (code != 0) {
        return code;
    }
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && bytes_written(fd, payload->first, payload->first_bytes);
    if (fd >= 0) {
        good = close(fd) == 0 && good;
    }
    return good ? 0 : fail_errno(reason, CODE_RESOURCES, "%s cannot be written", path);
}

static int first_loaded(struct payload *payload, const char *path, struct reason *reason) {
    FILE *file = fopen(path, "rbe");
    bool good = file != NULL && fread(payload->first, 1, payload->first_bytes, file) == payload->first_bytes;
    if (file != NULL) {
        fclose(file);
    }
    return good ? 0 : fail_errno(reason, CODE_UNEXPECTED, "%s, which the check leaves, cannot be read", path);
}

int payload_fed(struct blocks *blocks, struct feed *feed, const struct job *job, bool checks, struct reason *reason) {
    struct payload *payload = &blocks->payload;
    char path[512];
    if (job->requests_fd < 0) {
        return 0;
    }
    feed_open(feed, job->requests_fd);
    payload->feed = feed;
    payload->from = feed_provider(feed);
    size_t bytes = index_frame_bytes(&blocks->index, 0);
    payload->first = malloc(bytes);
    if (payload->first == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for the first frame");
    }
    if (!path_in(path, sizeof path, job->folder, kept_name)) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", job->folder);
    }
    payload->first_bytes = bytes;
    int code = checks ? first_fetched(blocks, path, reason) : first_loaded(payload, path, reason);
    payload->has_first = code == 0;
    return code;
}

int payload_decrypted(const struct payload *payload, void *bytes, size_t size, uint64_t offset, struct reason *reason) {
    return payload->is_encrypted ? cipher_applied(&payload->key, bytes, size, offset, reason) : 0;
}

int payload_read(const struct payload *payload, void *buffer, size_t size, uint64_t offset, struct reason *reason) {
    uint8_t *at = buffer;
    if (payload->has_first && offset < payload->first_bytes) {
        size_t part = size < payload->first_bytes - (size_t)offset ? size : payload->first_bytes - (size_t)offset;
        memcpy(at, payload->first + offset, part);
        at += part;
        offset += part;
        size -= part;
    }
    while (size > 0) {
        ssize_t got = payload->from.read_at(payload->from.context, at, size, payload->offset + offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got == 0 && payload->feed != NULL) {
            return fail(reason, CODE_NEEDS_MORE, "the bundle is streamed, and nothing comes any more from byte %llu on; what came is in the slot, try again",
                        (unsigned long long)(payload->offset + offset));
        }
        if (got < 0) {
            return fail_errno(reason, CODE_UNREADABLE, "the bundle cannot be read");
        }
        if (got == 0) {
            return fail(reason, CODE_CORRUPT, "the bundle is cut off at byte %llu of its payload", (unsigned long long)offset);
        }
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}
