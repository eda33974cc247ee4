/* SPDX-License-Identifier: MIT */
#include "squashfs.h"

#include "check.h"

#include <string.h>

/* Of this program and of unsquashfs. */
#define MEMORY_NEEDED (40U << 20)

static uint64_t little_endian(const unsigned char *at, int bytes) {
    uint64_t number = 0;
    while (bytes-- > 0) {
        number = number << 8 | at[bytes];
    }
    return number;
}

int squashfs_judged(struct squashfs *squashfs, const unsigned char *first, size_t size, uint64_t payload_bytes, struct reason *reason) {
    static const char *const compressions[] = {NULL, "gzip", "lzma", "lzo", "xz", "lz4", "zstd"};
    memset(squashfs, 0, sizeof *squashfs);
    if (size < SQUASHFS_SUPERBLOCK || memcmp(first, "hsqs", 4) != 0) {
        return fail(reason, CODE_FORMAT, "the image is no squashfs");
    }
    uint64_t version = little_endian(first + 28, 2), minor = little_endian(first + 30, 2), log = little_endian(first + 22, 2);
    uint64_t compression = little_endian(first + 20, 2);
    squashfs->inodes = (uint32_t)little_endian(first + 4, 4);
    squashfs->block_bytes = (uint32_t)little_endian(first + 12, 4);
    squashfs->bytes = little_endian(first + 40, 8);
    if (version != 4 || minor != 0) {
        return fail(reason, CODE_FORMAT, "the image is a squashfs of version %u.%u, expected 4.0", (unsigned)version, (unsigned)minor);
    }
    if (compression < 1 || compression >= sizeof compressions / sizeof *compressions) {
        return fail(reason, CODE_FORMAT, "the squashfs is compressed with number %u, expected 1 to 6", (unsigned)compression);
    }
    squashfs->compression = compressions[compression];
    if (log < 12 || log > 20 || squashfs->block_bytes != UINT32_C(1) << log || squashfs->inodes == 0 || squashfs->bytes < SQUASHFS_SUPERBLOCK) {
        return fail(reason, CODE_CORRUPT, "the squashfs is damaged: its superblock says blocks of %u bytes, %u inodes", squashfs->block_bytes,
                    squashfs->inodes);
    }
    if (squashfs->bytes > payload_bytes) {
        return fail(reason, CODE_CORRUPT, "the squashfs is cut off: it has %llu of %llu bytes", (unsigned long long)payload_bytes,
                    (unsigned long long)squashfs->bytes);
    }
    return 0;
}

int squashfs_check(struct job *job, struct source *source, uint64_t slot_bytes, struct facts_out *facts, struct reason *reason) {
    struct squashfs squashfs;
    const unsigned char *first;
    size_t size;
    (void)job;
    int code = source_chunk(source, 0, &first, &size, reason);
    if (code == 0) {
        code = squashfs_judged(&squashfs, first, size, source->bytes, reason);
    }
    if (code == 0 && source->bytes >= slot_bytes) {
        code = fail(reason, CODE_TOO_BIG, "the squashfs has %llu bytes, the slot %llu; it must hold it packed and unpacked",
                    (unsigned long long)source->bytes, (unsigned long long)slot_bytes);
    }
    if (code == 0) {
        facts_add_number(facts, "squashfs_bytes", squashfs.bytes);
        facts_add_number(facts, "squashfs_inodes", squashfs.inodes);
        facts_add(facts, "squashfs_compression", squashfs.compression);
        facts_add_number(facts, "memory_needed", MEMORY_NEEDED);
    }
    return code;
}
