/* SPDX-License-Identifier: MIT */
#include "blocks.h"

#include <errno.h>

int payload_read(const struct payload *payload, void *buffer, size_t size, uint64_t offset, struct reason *reason) {
    uint8_t *at = buffer;
    while (size > 0) {
        ssize_t got = payload->from.read_at(payload->from.context, at, size, payload->offset + offset);
        if (got < 0 && errno == EINTR) {
            continue;
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
