/* SPDX-License-Identifier: MIT */
#include "ext4.h"
#include "crc32c.h"

#include <string.h>
#include <unistd.h>

#define SUPERBLOCK 1024
#define SUPERBLOCK_BYTES 1024

enum { COMPAT, INCOMPAT, RO_COMPAT };
enum { LINUX = 1, UBOOT = 2 };

/* Features, and who can use a file system that has them. LINUX: fs/ext4/ext4.h of Linux 5.10, EXT4_FEATURE_INCOMPAT_SUPP and
 * EXT4_FEATURE_RO_COMPAT_SUPP (the slot has to be mounted for writing, so both count); orphan_present, since 5.15, is only set while a
 * file system with orphan_file is mounted. UBOOT: what a kernel can be read from. include/ext4fs.h of U-Boot 2026.01 names what its
 * driver knows (EXT4_FEATURE_INCOMPAT_SUPP, EXT4_FEATURE_INCOMPAT_SUPP_LAZY_RO); of others it complains, older ones do not even
 * that, and all go on. So only those count that change where descriptors or the content of plain files lie. Features of the third
 * kind, compatible ones, may be ignored by definition. */
static const struct {
    unsigned char kind, who;
    uint32_t bit;
    const char *name;
} features[] = {
    {INCOMPAT, 0, 0x1, "compression"},
    {INCOMPAT, LINUX | UBOOT, 0x2, "filetype"},
    {INCOMPAT, LINUX | UBOOT, 0x4, "needs_recovery"},
    {INCOMPAT, 0, 0x8, "journal_dev"},
    {INCOMPAT, LINUX, 0x10, "meta_bg"},
    {INCOMPAT, LINUX | UBOOT, 0x40, "extent"},
    {INCOMPAT, LINUX | UBOOT, 0x80, "64bit"},
    {INCOMPAT, LINUX | UBOOT, 0x100, "mmp"},
    {INCOMPAT, LINUX | UBOOT, 0x200, "flex_bg"},
    {INCOMPAT, LINUX | UBOOT, 0x400, "ea_inode"},
    {INCOMPAT, 0, 0x1000, "dirdata"},
    {INCOMPAT, LINUX | UBOOT, 0x2000, "metadata_csum_seed"},
    {INCOMPAT, LINUX | UBOOT, 0x4000, "large_dir"},
    {INCOMPAT, LINUX, 0x8000, "inline_data"},
    {INCOMPAT, LINUX | UBOOT, 0x10000, "encrypt"},
    {INCOMPAT, LINUX | UBOOT, 0x20000, "casefold"},
    {RO_COMPAT, LINUX | UBOOT, 0x1, "sparse_super"},
    {RO_COMPAT, LINUX | UBOOT, 0x2, "large_file"},
    {RO_COMPAT, LINUX | UBOOT, 0x4, "btree_dir"},
    {RO_COMPAT, LINUX | UBOOT, 0x8, "huge_file"},
    {RO_COMPAT, LINUX | UBOOT, 0x10, "uninit_bg"},
    {RO_COMPAT, LINUX | UBOOT, 0x20, "dir_nlink"},
    {RO_COMPAT, LINUX | UBOOT, 0x40, "extra_isize"},
    {RO_COMPAT, LINUX | UBOOT, 0x100, "quota"},
    {RO_COMPAT, LINUX | UBOOT, 0x200, "bigalloc"},
    {RO_COMPAT, LINUX | UBOOT, 0x400, "metadata_csum"},
    {RO_COMPAT, 0, 0x800, "replica"},
    {RO_COMPAT, 0, 0x1000, "read-only"},
    {RO_COMPAT, LINUX | UBOOT, 0x2000, "project"},
    {RO_COMPAT, 0, 0x4000, "shared_blocks"},
    {RO_COMPAT, LINUX | UBOOT, 0x8000, "verity"},
    {RO_COMPAT, LINUX | UBOOT, 0x10000, "orphan_present"},
};

static uint32_t number_16(const unsigned char *at) { return (uint32_t)at[0] | (uint32_t)at[1] << 8; }

static uint32_t number_32(const unsigned char *at) { return number_16(at) | number_16(at + 2) << 16; }

/* What Linux looks at before it mounts (ext4_fill_super), as far as it is in the superblock: numbers that no mke2fs makes. */
static int geometry_judged(const unsigned char *super, bool wide, uint64_t blocks, uint64_t block_bytes, struct reason *reason) {
    uint32_t revision = number_32(super + 0x4c), first_block = number_32(super + 0x14);
    uint32_t per_group = number_32(super + 0x20), inodes_per_group = number_32(super + 0x28), inodes = number_32(super);
    uint32_t inode_bytes = revision == 0 ? 128 : number_16(super + 0x58), descriptor_bytes = wide ? number_16(super + 0xfe) : 32;
    /* A group has as many clusters as a block has bits. */
    bool bigalloc = (number_32(super + 0x64) & 0x200) != 0;
    uint32_t log_cluster = number_32(super + 0x1c), log_block = number_32(super + 0x18);
    uint64_t ratio = bigalloc && log_cluster >= log_block && log_cluster - log_block < 16 ? UINT64_C(1) << (log_cluster - log_block) : 1;
    const char *wrong = NULL;
    if (revision > 1) {
        wrong = "its revision";
    } else if (inode_bytes < 128 || inode_bytes > block_bytes || (inode_bytes & (inode_bytes - 1)) != 0) {
        wrong = "the size of its inodes";
    } else if (per_group < 8 || per_group > block_bytes * 8 * ratio) {
        wrong = "its blocks in a group";
    } else if (inodes_per_group < block_bytes / inode_bytes || inodes_per_group > block_bytes * 8) {
        wrong = "its inodes in a group";
    } else if (descriptor_bytes < (wide ? 64 : 32) || descriptor_bytes > 1024 || (descriptor_bytes & (descriptor_bytes - 1)) != 0) {
        wrong = "the size of its descriptors";
    } else if (first_block >= blocks || first_block > (block_bytes == 1024 ? 1 : 0) || (block_bytes == 1024 && ratio == 1 && first_block == 0)) {
        wrong = "its first block";
    } else if ((blocks - first_block + per_group - 1) / per_group * inodes_per_group != inodes) {
        wrong = "its number of inodes";
    }
    return wrong == NULL ? 0 : fail(reason, CODE_CORRUPT, "the image's ext4 superblock is damaged (%s cannot be)", wrong);
}

int ext4_judged(struct ext4 *ext4, const unsigned char *head, size_t size, struct reason *reason) {
    *ext4 = (struct ext4){0};
    if (size < SUPERBLOCK + SUPERBLOCK_BYTES) {
        return fail(reason, CODE_CORRUPT, "the image is cut off within its first 4 KiB");
    }
    const unsigned char *super = head + SUPERBLOCK;
    if (number_16(super + 0x38) != 0xef53) {
        return fail(reason, CODE_CORRUPT, "there is no ext4 superblock (magic number %04x, expected ef53)", number_16(super + 0x38));
    }
    ext4->compat = number_32(super + 0x5c);
    ext4->incompat = number_32(super + 0x60);
    ext4->ro_compat = number_32(super + 0x64);
    bool wide = (ext4->incompat & 0x80) != 0;
    uint32_t log_block = number_32(super + 0x18);
    uint64_t blocks = number_32(super + 0x04), free_blocks = number_32(super + 0x0c);
    if (wide) {
        blocks |= (uint64_t)number_32(super + 0x150) << 32;
        free_blocks |= (uint64_t)number_32(super + 0x158) << 32;
    }
    ext4->has_checksum = (ext4->ro_compat & 0x400) != 0;
    if (ext4->has_checksum) {
        uint32_t expected = number_32(super + 0x3fc), found = crc32c(CRC32C_BEGIN, super, 0x3fc);
        if (super[0x175] != 1 || expected != found) {
            return fail(reason, CODE_CORRUPT, "the image's ext4 superblock is damaged (checksum %08x, it says %08x)", found, expected);
        }
    }
    /* ext4 itself ends at 2^48 blocks, and an offset in a file at 2^63 bytes. */
    if (log_block > 6 || blocks == 0 || blocks > (UINT64_C(1) << 46) || free_blocks > blocks) {
        return fail(reason, CODE_CORRUPT, "the image's ext4 superblock is damaged (%llu blocks of 1024 << %u bytes, %llu of them free)",
                    (unsigned long long)blocks, log_block, (unsigned long long)free_blocks);
    }
    /* A journal alone has nothing of it, and is refused by its name. */
    int code = (ext4->incompat & 8) != 0 ? 0 : geometry_judged(super, wide, blocks, UINT64_C(1024) << log_block, reason);
    if (code != 0) {
        return code;
    }
    ext4->has_errors = (number_16(super + 0x3a) & 2) != 0;
    ext4->blocks = blocks;
    ext4->block_bytes = UINT64_C(1024) << log_block;
    ext4->bytes = blocks * ext4->block_bytes;
    /* The kernel keeps 2 %, at most 4096 blocks, for itself (ext4_calculate_resv_clusters). */
    uint64_t kept = blocks / 50 > 4096 ? 4096 : blocks / 50;
    ext4->free_bytes = free_blocks > kept ? (free_blocks - kept) * ext4->block_bytes : 0;
    ext4->needs_recovery = (ext4->incompat & 4) != 0;
    /* has_journal, without an inode that holds it. */
    ext4->external_journal = (ext4->compat & 4) != 0 && number_32(super + 0xe0) == 0;
    ext4->resize_inode = (ext4->compat & 0x10) != 0;
    ext4->clean = (number_16(super + 0x3a) & 3) == 1;
    return 0;
}

int ext4_is_bootable(const struct ext4 *ext4, struct reason *reason) {
    uint32_t left[3] = {0, ext4->incompat, ext4->ro_compat};
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        uint32_t *of_kind = &left[features[i].kind];
        if ((*of_kind & features[i].bit) == 0) {
            continue;
        }
        *of_kind &= ~features[i].bit;
        if ((features[i].who & LINUX) == 0) {
            return fail(reason, CODE_FORMAT, "the file system in the image has the feature %s, with which Linux does not mount it for writing; make it without (mke2fs -O ^%s)",
                        features[i].name, features[i].name);
        }
        if ((features[i].who & UBOOT) == 0) {
            return fail(reason, CODE_FORMAT, "the file system in the image has the feature %s, with which U-Boot cannot read the kernel; make it without (mke2fs -O ^%s)",
                        features[i].name, features[i].name);
        }
    }
    if (ext4->block_bytes > (uint64_t)sysconf(_SC_PAGESIZE)) {
        return fail(reason, CODE_FORMAT, "the file system in the image has blocks of %llu bytes, larger than a page here (%ld), so it cannot be mounted; make it with mke2fs -b 4096",
                    (unsigned long long)ext4->block_bytes, sysconf(_SC_PAGESIZE));
    }
    if (ext4->has_errors) {
        return fail(reason, CODE_FORMAT, "the file system in the image is marked as one with errors; make the image anew, or repair it: e2fsck -f");
    }
    if (ext4->external_journal) {
        return fail(reason, CODE_FORMAT, "the file system in the image has its journal on another device, so it cannot be mounted; make it with a journal inside");
    }
    if (left[INCOMPAT] != 0 || left[RO_COMPAT] != 0) {
        return fail(reason, CODE_FORMAT, "the file system in the image has features that neither Linux nor U-Boot are known to support (incompat %#x, ro_compat %#x); make it with mke2fs and fewer features",
                    left[INCOMPAT], left[RO_COMPAT]);
    }
    return 0;
}

void ext4_growth_told(const struct ext4 *ext4, uint64_t slot_bytes, bool follows, struct facts_out *facts) {
    /* needs_recovery: not before its journal was replayed. resize_inode: without it resize2fs could turn to meta_bg, which U-Boot
     * cannot read. */
    bool grows = !ext4->needs_recovery && ext4->resize_inode && !follows;
    facts_add_number(facts, "growth", grows ? slot_bytes - ext4->bytes : 0);
    facts_add(facts, "needs_recovery", ext4->needs_recovery ? "yes" : "no");
    facts_add(facts, "resize_inode", ext4->resize_inode ? "yes" : "no");
    facts_add(facts, "follows", follows ? "yes" : "no");
}
