/* SPDX-License-Identifier: MIT */
#include "erofs.h"
#include "crc32c.h"

#include <string.h>

enum { SUPERBLOCK = 1024, SUPERBLOCK_BYTES = 128, BLOCK = 4096, LOG_BLOCK = 12 };
enum { COMPAT_CHECKSUM = 1 };

/* Features that change how it is read: fs/erofs/erofs_fs.h of Linux, include/erofs_fs.h of U-Boot 2026.01. */
static const struct {
    uint32_t bit;
    bool known;
    const char *name;
} features[] = {
    {0x1, true, "zero_padding"},  {0x2, true, "compr_cfgs or big_pcluster"}, {0x4, true, "chunked_file"},     {0x8, false, "device_table"},
    {0x10, true, "ztailpacking"}, {0x20, true, "fragments or dedupe"},       {0x40, false, "xattr_prefixes"}, {0x80, false, "48bit"},
};

static uint64_t little_endian(const unsigned char *at, int bytes) {
    uint64_t number = 0;
    while (bytes-- > 0) {
        number = number << 8 | at[bytes];
    }
    return number;
}

int erofs_judged(uint64_t *bytes, const unsigned char *head, size_t size, struct reason *reason) {
    static const unsigned char zeros[4];
    *bytes = 0;
    if (size < BLOCK) {
        return fail(reason, CODE_CORRUPT, "the image is cut off within its first 4 KiB");
    }
    const unsigned char *super = head + SUPERBLOCK;
    if (little_endian(super, 4) != 0xe0f5e1e2) {
        return fail(reason, CODE_CORRUPT, "there is no EROFS superblock");
    }
    if (super[12] != LOG_BLOCK) {
        return fail(reason, CODE_FORMAT, "the EROFS has blocks of 2^%u bytes, expected 4096, which every kernel mounts; make it with: mkfs.erofs -b 4096", super[12]);
    }
    if ((little_endian(super + 8, 4) & COMPAT_CHECKSUM) != 0) {
        uint32_t crc = crc32c(CRC32C_BEGIN, super, 4);
        crc = crc32c(crc, zeros, sizeof zeros);
        crc = crc32c(crc, super + 8, BLOCK - SUPERBLOCK - 8);
        uint32_t expected = (uint32_t)little_endian(super + 4, 4);
        if (crc != expected) {
            return fail(reason, CODE_CORRUPT, "the image's EROFS superblock is damaged (checksum %08x, it says %08x)", crc, expected);
        }
    }
    uint32_t left = (uint32_t)little_endian(super + 80, 4);
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        if ((left & features[i].bit) != 0 && !features[i].known) {
            return fail(reason, CODE_FORMAT, "the EROFS in the image has the feature %s, which U-Boot does not know; make it without", features[i].name);
        }
        left &= ~features[i].bit;
    }
    if (left != 0) {
        return fail(reason, CODE_FORMAT, "the EROFS in the image has features that neither Linux nor U-Boot are known to support (incompat %#x); make it with fewer features", left);
    }
    uint64_t blocks = little_endian(super + 36, 4), inodes = little_endian(super + 16, 8);
    if (blocks == 0 || inodes == 0 || little_endian(super + 40, 4) >= blocks) {
        return fail(reason, CODE_CORRUPT, "the image's EROFS superblock is damaged (%llu blocks, %llu inodes)", (unsigned long long)blocks,
                    (unsigned long long)inodes);
    }
    *bytes = blocks * BLOCK;
    return 0;
}
