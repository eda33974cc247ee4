/* SPDX-License-Identifier: MIT */
#include "format.h"

#include <string.h>
#include <strings.h>

static const char *const names[] = {"ext4", "tar", "squashfs", "erofs"};

const char *format_name(enum format format) { return names[format]; }

bool format_named(const char *name, enum format *format) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *format = (enum format)i;
            return true;
        }
    }
    return false;
}

static bool has(const unsigned char *first, size_t size, size_t at, const char *magic, size_t length) {
    return size >= at + length && memcmp(first + at, magic, length) == 0;
}

/* What people deliver by mistake, and what they should do. */
static const struct {
    size_t at;
    const char *magic;
    size_t length;
    const char *sentence;
} others[] = {
    {0, "BZh", 3, "the image is compressed with bzip2; supported are gzip, zstd and xz"},
    {0, "\x04\x22\x4d\x18", 4, "the image is compressed with lz4; supported are gzip, zstd and xz"},
    {0, "\x02\x21\x4c\x18", 4, "the image is compressed with lz4; supported are gzip, zstd and xz"},
    {0, "\x89LZO", 4, "the image is compressed with lzop; supported are gzip, zstd and xz"},
    {0, "\x5d\0\0", 3, "the image is compressed with lzma; supported are gzip, zstd and xz"},
    {0, "LZIP", 4, "the image is compressed with lzip; supported are gzip, zstd and xz"},
    {0, "PK\3\4", 4, "the image is a zip archive; unpack it and deliver the image that is in it"},
    {0, "\x37\x7a\xbc\xaf\x27\x1c", 6, "the image is a 7z archive; unpack it and deliver the image that is in it"},
    {0, "\x3a\xff\x26\xed", 4, "the image is an Android sparse image; turn it into a plain one with: simg2img"},
    {0, "070701", 6, "the image is a cpio archive, as an initramfs or an .swu of SWUpdate is; deliver the root file system, as ext4 or tar"},
    {0, "070702", 6, "the image is a cpio archive, as an initramfs or an .swu of SWUpdate is; deliver the root file system, as ext4 or tar"},
    {0, "UBI#", 4, "the image is a UBI image, for raw flash; deliver the root file system as ext4 or tar"},
    {0, "\x31\x18\x10\x06", 4, "the image is a UBIFS, for raw flash; deliver the root file system as ext4 or tar"},
    {0, "\x85\x19", 2, "the image is a JFFS2, for raw flash; deliver the root file system as ext4 or tar"},
    {1024, "\x10\x20\xf5\xf2", 4, "the image is an F2FS; deliver the root file system as ext4 or tar"},
    {0, "\x45\x3d\xcd\x28", 4, "the image is a cramfs, which nothing can be written to; deliver the root file system as ext4 or tar"},
    {0, "XFSB", 4, "the image is an XFS; deliver the root file system as ext4 or tar"},
    {0, "\xd0\x0d\xfe\xed", 4, "the image is a device tree or a FIT image with a kernel; deliver the root file system, as ext4 or tar"},
    {0, "\x27\x05\x19\x56", 4, "the image is a uImage with a kernel; deliver the root file system, as ext4 or tar"},
    {0, "\x7f" "ELF", 4, "the image is a program; deliver the root file system, as ext4 or tar"},
    {0, "QFI\xfb", 4, "the image is a qcow2 disk; turn it into a plain image of the root file system"},
    {512, "EFI PART", 8, "the image is a whole disk with a partition table, as .wic files are; deliver the root file system alone, as ext4 or tar"},
    {0, "\x1f\x8b\x08", 3, "the image is compressed twice (inside: gzip); compress it once"},
    {0, "\x28\xb5\x2f\xfd", 4, "the image is compressed twice (inside: zstd); compress it once"},
    {0, "\xfd" "7zXZ\0", 6, "the image is compressed twice (inside: xz); compress it once"},
};

static bool is_web_page(const unsigned char *first, size_t size) {
    size_t at = 0;
    if (has(first, size, 0, "\xef\xbb\xbf", 3)) {
        at = 3;
    }
    while (at < size && memchr(" \t\r\n", first[at], 4) != NULL) {
        at++;
    }
    static const char *const tags[] = {"<!doctype", "<html", "<head", "<?xml", "<body"};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        size_t length = strlen(tags[i]);
        if (size - at >= length && strncasecmp((const char *)first + at, tags[i], length) == 0) {
            return true;
        }
    }
    return false;
}

/* A table of an old kind has four entries at 446, with a flag of 0 or 128 and a type. */
static bool is_partitioned(const unsigned char *first, size_t size) {
    if (!has(first, size, 510, "\x55\xaa", 2)) {
        return false;
    }
    bool used = false;
    for (size_t at = 446; at < 510; at += 16) {
        if ((first[at] & 127) != 0) {
            return false;
        }
        used = used || first[at + 4] != 0;
    }
    return used;
}

int format_recognised(const unsigned char *first, size_t size, enum compression compression, bool authenticated, enum format *format,
                      struct reason *reason) {
    const char *packed = compression_name(compression);
    if (size == 0) {
        return fail(reason, CODE_CORRUPT, "the image does not decompress (%s), it holds nothing", packed);
    }
    if (has(first, size, 1080, "\x53\xef", 2)) {
        *format = FORMAT_EXT4;
        return 0;
    }
    if (has(first, size, 257, "ustar", 5)) {
        *format = FORMAT_TAR;
        return 0;
    }
    if (has(first, size, 0, "hsqs", 4)) {
        if (!authenticated) {
            return fail(reason, CODE_FORMAT, "the image is a squashfs, which carries no checksums, so it cannot be told whether it is whole; deliver it in a signed bundle, or use ext4 or tar");
        }
        if (compression != COMPRESSION_NONE) {
            return fail(reason, CODE_FORMAT, "the squashfs is compressed with %s once more; deliver it as it is", packed);
        }
        *format = FORMAT_SQUASHFS;
        return 0;
    }
    if (has(first, size, 1024, "\xe2\xe1\xf5\xe0", 4)) {
        if (!authenticated) {
            return fail(reason, CODE_FORMAT, "the image is an EROFS, whose files carry no checksums, so it cannot be told whether it is whole; deliver it in a signed bundle, or use ext4 or tar");
        }
        *format = FORMAT_EROFS;
        return 0;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (has(first, size, others[i].at, others[i].magic, others[i].length)) {
            return fail(reason, CODE_FORMAT, "%s", others[i].sentence);
        }
    }
    if (is_web_page(first, size)) {
        return fail(reason, CODE_FORMAT, "the image is a web page, not an image; look at it: a server or proxy sent it instead of the file");
    }
    if (is_partitioned(first, size)) {
        return fail(reason, CODE_FORMAT, "the image is a whole disk with a partition table, as .wic files are; deliver the root file system alone, as ext4 or tar");
    }
    if (compression != COMPRESSION_NONE && size < PEEK) {
        return fail(reason, CODE_CORRUPT, "the image does not decompress (%s), it ends after %zu bytes", packed, size);
    }
    return fail(reason, CODE_FORMAT, "the image is neither an ext4 file system nor a tar archive (compression: %s)", packed);
}
