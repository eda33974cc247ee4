/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "squashfs.h"

#include <string.h>

/* Of this program and of unsquashfs. */
#define MEMORY_NEEDED (40U << 20)

/* Verified chunks. */
static int source_part(void *self, uint64_t offset, void *to, size_t count, struct reason *reason) {
    struct source *source = self;
    unsigned char *at = to;
    while (count > 0) {
        const unsigned char *data;
        size_t size, in = (size_t)(offset % CHUNK);
        int code = source_chunk(source, offset / CHUNK, &data, &size, reason);
        if (code != 0) {
            return code;
        }
        if (in >= size) {
            return fail(reason, CODE_CORRUPT, "the squashfs is damaged: it ends at byte %llu", (unsigned long long)offset);
        }
        size_t part = size - in < count ? size - in : count;
        memcpy(at, data + in, part);
        at += part;
        offset += part;
        count -= part;
    }
    return 0;
}

int squashfs_check(struct source *source, uint64_t slot_bytes, struct facts_out *facts, uint64_t *as_is, struct reason *reason) {
    struct squashfs squashfs;
    /* One of another compression is judged when it is unpacked and mounted. */
    struct squashfs_judgement judgement = {.lack = {.what = ""}};
    const unsigned char *first;
    size_t size;
    *as_is = 0;
    int code = source_chunk(source, 0, &first, &size, reason);
    if (code == 0) {
        code = squashfs_read(&squashfs, first, size, source->bytes, reason);
    }
    if (code == 0 && squashfs.judged) {
        code = squashfs_judge(&squashfs, (struct squashfs_bytes){.read = source_part, .self = source}, &judgement, reason);
    } else {
        judgement.content_bytes = source->bytes;
    }
    if (code == 0 && judgement.read_only) {
        *as_is = squashfs.bytes;
        facts_add_number(facts, "squashfs_inodes", squashfs.inodes);
        facts_add(facts, "squashfs_compression", squashfs.compression_name);
        facts_add(facts, "lacks", judgement.lack.what);
        facts_add(facts, "lacks_reason", judgement.lack.reason);
        return 0;
    }
    /* Inode tables, bitmaps and journal of the new file system are at least as much. */
    uint64_t room = slot_bytes - slot_bytes / 32;
    if (code == 0 && (source->bytes >= room || judgement.content_bytes >= room - source->bytes)) {
        code = fail(reason, CODE_TOO_BIG,
                    "the squashfs has %llu bytes, its files need %llu, and the slot has %llu; it must hold both at once, and a file system",
                    (unsigned long long)source->bytes, (unsigned long long)judgement.content_bytes, (unsigned long long)slot_bytes);
    }
    if (code == 0) {
        facts_add_number(facts, "squashfs_bytes", squashfs.bytes);
        facts_add_number(facts, "squashfs_inodes", squashfs.inodes);
        facts_add(facts, "squashfs_compression", squashfs.compression_name);
        facts_add_number(facts, "content_bytes", judgement.content_bytes);
        facts_add_number(facts, "free_bytes", slot_bytes - judgement.content_bytes);
        facts_add_number(facts, "bytes_to_write", squashfs.judged ? judgement.content_bytes + source->bytes + slot_bytes / 32 : slot_bytes);
        facts_add_number(facts, "memory_needed", MEMORY_NEEDED);
        facts_add(facts, "lacks", judgement.lack.what);
        facts_add(facts, "lacks_reason", judgement.lack.reason);
    }
    return code;
}
