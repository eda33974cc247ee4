/* SPDX-License-Identifier: MIT */
#include "squashfs.h"

#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { METADATA = 8192, NAME = 256, PATH = 4096, FOLLOWED = 40, FILE_BLOCK = 4096, INODE = 256, INODES_LIMIT = 1 << 22 };
enum { GZIP = 1, XZ = 4, ZSTD = 6 };
enum { DIR = 1, REG, SYMLINK, BLOCK_DEVICE, CHARACTER, FIFO, SOCKET, EXTENDED = 7 };

#define XZ_MEMORY (UINT64_C(64) << 20)
/* Bytes of metadata for one question: more is no folder of a system. */
#define WALK_LIMIT (UINT64_C(64) << 20)

static uint64_t little_endian(const unsigned char *at, int bytes) {
    uint64_t number = 0;
    while (bytes-- > 0) {
        number = number << 8 | at[bytes];
    }
    return number;
}

int squashfs_read(struct squashfs *squashfs, const unsigned char *first, size_t size, uint64_t payload_bytes, struct reason *reason) {
    static const char *const compressions[] = {NULL, "gzip", "lzma", "lzo", "xz", "lz4", "zstd"};
    memset(squashfs, 0, sizeof *squashfs);
    if (size < SQUASHFS_SUPERBLOCK || memcmp(first, "hsqs", 4) != 0) {
        return fail(reason, CODE_FORMAT, "the image is no squashfs");
    }
    uint64_t version = little_endian(first + 28, 2), minor = little_endian(first + 30, 2), log = little_endian(first + 22, 2);
    squashfs->compression = (unsigned)little_endian(first + 20, 2);
    squashfs->inodes = (uint32_t)little_endian(first + 4, 4);
    squashfs->block_bytes = (uint32_t)little_endian(first + 12, 4);
    squashfs->root = little_endian(first + 32, 8);
    squashfs->bytes = little_endian(first + 40, 8);
    squashfs->inode_table = little_endian(first + 64, 8);
    squashfs->directory_table = little_endian(first + 72, 8);
    if (version != 4 || minor != 0) {
        return fail(reason, CODE_FORMAT, "the image is a squashfs of version %u.%u, expected 4.0", (unsigned)version, (unsigned)minor);
    }
    if (squashfs->compression < 1 || squashfs->compression >= sizeof compressions / sizeof *compressions) {
        return fail(reason, CODE_FORMAT, "the squashfs is compressed with number %u, expected 1 to 6", squashfs->compression);
    }
    squashfs->compression_name = compressions[squashfs->compression];
    if (log < 12 || log > 20 || squashfs->block_bytes != UINT32_C(1) << log || squashfs->inodes == 0 || squashfs->inodes > INODES_LIMIT ||
        squashfs->bytes < SQUASHFS_SUPERBLOCK) {
        return fail(reason, CODE_CORRUPT, "the squashfs is damaged: its superblock says blocks of %u bytes, %u inodes",
                    squashfs->block_bytes,
                    squashfs->inodes);
    }
    if (squashfs->bytes > payload_bytes) {
        return fail(reason, CODE_CORRUPT, "the squashfs is cut off: it has %llu of %llu bytes", (unsigned long long)payload_bytes,
                    (unsigned long long)squashfs->bytes);
    }
    if (squashfs->inode_table >= squashfs->bytes || squashfs->directory_table >= squashfs->bytes) {
        return fail(reason, CODE_CORRUPT, "the squashfs is damaged: its tables lie behind its end");
    }
    squashfs->judged = squashfs->compression == GZIP || squashfs->compression == XZ || squashfs->compression == ZSTD;
    return 0;
}

/* ---- metadata: blocks of up to 8 KiB of content, one after the other ---- */

struct metadata {
    const struct squashfs *squashfs;
    struct squashfs_bytes bytes;
    uint64_t next; /* where the next block begins */
    uint64_t walked;
    size_t at, size; /* in content */
    unsigned char content[METADATA], packed[METADATA];
};

static int damaged(struct reason *reason, const char *what) {
    return fail(reason, CODE_CORRUPT, "the squashfs is damaged: %s", what);
}

static bool block_unpacked(struct metadata *metadata, size_t packed) {
    unsigned char *content = metadata->content;
    metadata->size = 0;
    if (metadata->squashfs->compression == GZIP) {
        uLongf size = METADATA;
        if (uncompress(content, &size, metadata->packed, (uLong)packed) != Z_OK) {
            return false;
        }
        metadata->size = size;
    } else if (metadata->squashfs->compression == XZ) {
        uint64_t memory = XZ_MEMORY;
        size_t in = 0, out = 0;
        if (lzma_stream_buffer_decode(&memory, 0, NULL, metadata->packed, &in, packed, content, &out, METADATA) != LZMA_OK ||
            in != packed) {
            return false;
        }
        metadata->size = out;
    } else {
        size_t size = ZSTD_decompress(content, METADATA, metadata->packed, packed);
        if (ZSTD_isError(size)) {
            return false;
        }
        metadata->size = size;
    }
    return metadata->size > 0;
}

static int block_read(struct metadata *metadata, struct reason *reason) {
    unsigned char header[2];
    uint64_t bytes = metadata->squashfs->bytes;
    if (metadata->next > bytes || bytes - metadata->next < sizeof header) {
        return damaged(reason, "a table lies behind its end");
    }
    int code = metadata->bytes.read(metadata->bytes.self, metadata->next, header, sizeof header, reason);
    if (code != 0) {
        return code;
    }
    size_t size = (size_t)little_endian(header, 2);
    bool plain = (size & 0x8000) != 0;
    size &= 0x7fff;
    if (size < 1 || size > METADATA || size > bytes - metadata->next - sizeof header) {
        return damaged(reason, "a block of a table is larger than 8 KiB, or lies behind its end");
    }
    code = metadata->bytes.read(metadata->bytes.self, metadata->next + sizeof header, plain ? metadata->content : metadata->packed, size,
                                reason);
    if (code != 0) {
        return code;
    }
    metadata->next += sizeof header + size;
    metadata->at = 0;
    metadata->size = size;
    if (!plain && !block_unpacked(metadata, size)) {
        return damaged(reason, "a block of a table does not decompress");
    }
    return 0;
}

/* The next bytes; NULL where they go nowhere. */
static int metadata_read(struct metadata *metadata, unsigned char *to, uint64_t count, struct reason *reason) {
    metadata->walked += count;
    if (metadata->walked > WALK_LIMIT) {
        return damaged(reason, "a table or folder is larger than 64 MiB");
    }
    while (count > 0) {
        if (metadata->at == metadata->size) {
            int code = block_read(metadata, reason);
            if (code != 0) {
                return code;
            }
        }
        size_t part = metadata->size - metadata->at;
        if (part > count) {
            part = (size_t)count;
        }
        if (to != NULL) {
            memcpy(to, metadata->content + metadata->at, part);
            to += part;
        }
        metadata->at += part;
        count -= part;
    }
    return 0;
}

static int metadata_sought(struct metadata *metadata, uint64_t table, uint64_t block, uint64_t offset, struct reason *reason) {
    metadata->next = table + block;
    metadata->at = metadata->size = 0;
    metadata->walked = 0;
    if (offset >= METADATA) {
        return damaged(reason, "a place in a table lies beyond its block");
    }
    return metadata_read(metadata, NULL, offset, reason);
}

/* ---- inodes ---- */

struct inode {
    unsigned type; /* DIR to SOCKET */
    unsigned mode;
    uint64_t size;
    uint64_t block, offset; /* DIR: of its list */
    bool xattrs;
    char text[PATH]; /* SYMLINK */
};

/* The inode at the place where metadata stands; all of it is read. */
static int inode_read(struct metadata *metadata, struct inode *inode, struct reason *reason) {
    /* Without what follows them: lists of blocks, the text of links, indexes of folders. */
    static const unsigned char sizes[] = {0, 16, 16, 8, 8, 8, 4, 4, 24, 40, 8, 12, 12, 8, 8};
    unsigned char head[16 + 40];
    const unsigned char *body = head + 16;
    int code = metadata_read(metadata, head, 16, reason);
    if (code != 0) {
        return code;
    }
    unsigned type = (unsigned)little_endian(head, 2);
    if (type < 1 || type >= sizeof sizes) {
        return damaged(reason, "an inode has a type that is none");
    }
    if ((code = metadata_read(metadata, head + 16, sizes[type], reason)) != 0) {
        return code;
    }
    bool extended = type > EXTENDED;
    inode->type = extended ? type - EXTENDED : type;
    inode->size = 0;
    inode->mode = (unsigned)little_endian(head + 2, 2);
    inode->xattrs = false;
    inode->text[0] = '\0';
    if (inode->type == DIR) {
        inode->size = extended ? little_endian(body + 4, 4) : little_endian(body + 8, 2);
        inode->block = extended ? little_endian(body + 8, 4) : little_endian(body, 4);
        inode->offset = extended ? little_endian(body + 18, 2) : little_endian(body + 10, 2);
        for (uint64_t i = extended ? little_endian(body + 16, 2) : 0; i > 0; i--) {
            if ((code = metadata_read(metadata, head, 12, reason)) != 0 ||
                (code = metadata_read(metadata, NULL, little_endian(head + 8, 4) + 1, reason)) != 0) {
                return code;
            }
        }
    } else if (inode->type == REG) {
        inode->size = extended ? little_endian(body + 8, 8) : little_endian(body + 12, 4);
        inode->xattrs = extended && little_endian(body + 36, 4) != UINT32_MAX;
        bool fragment = little_endian(body + (extended ? 28 : 4), 4) != UINT32_MAX;
        uint64_t blocks = inode->size / metadata->squashfs->block_bytes;
        if (!fragment && inode->size % metadata->squashfs->block_bytes != 0) {
            blocks++;
        }
        if (blocks > WALK_LIMIT / 4) {
            return damaged(reason, "a file has more blocks than there can be");
        }
        return metadata_read(metadata, NULL, blocks * 4, reason);
    } else if (inode->type == SYMLINK) {
        inode->size = little_endian(body + 4, 4);
        if (inode->size < 1 || inode->size >= PATH) {
            return damaged(reason, "a symbolic link has no text, or one of more than 4095 bytes");
        }
        if ((code = metadata_read(metadata, (unsigned char *)inode->text, inode->size, reason)) != 0) {
            return code;
        }
        inode->text[inode->size] = '\0';
        return extended ? metadata_read(metadata, NULL, 4, reason) : 0;
    }
    return 0;
}

static int inode_at(struct metadata *metadata, uint64_t place, struct inode *inode, struct reason *reason) {
    int code = metadata_sought(metadata, metadata->squashfs->inode_table, place >> 16, place & 0xffff, reason);
    return code != 0 ? code : inode_read(metadata, inode, reason);
}

/* ---- names ---- */

/* The place of this name's inode; found is false if the folder does not have it. */
static int name_looked_up(struct metadata *metadata, const struct inode *folder, const char *name, size_t length, uint64_t *place,
                          bool *found, struct reason *reason) {
    unsigned char head[12], text[NAME];
    *found = false;
    /* What the size counts besides the list itself. */
    uint64_t left = folder->size < 3 ? 0 : folder->size - 3;
    int code = left == 0 ? 0 : metadata_sought(metadata, metadata->squashfs->directory_table, folder->block, folder->offset, reason);
    while (code == 0 && left >= sizeof head) {
        if ((code = metadata_read(metadata, head, sizeof head, reason)) != 0) {
            return code;
        }
        left -= sizeof head;
        uint64_t count = little_endian(head, 4) + 1, block = little_endian(head + 4, 4);
        if (count > 256) {
            return damaged(reason, "a folder has more names in a row than there can be");
        }
        for (; count > 0; count--) {
            if (left < 8 || (code = metadata_read(metadata, head, 8, reason)) != 0) {
                return code != 0 ? code : damaged(reason, "a folder ends within a name");
            }
            uint64_t size = little_endian(head + 6, 2) + 1;
            left -= 8;
            if (size > NAME || size > left) {
                return damaged(reason, "a folder has a name that is too long");
            }
            if ((code = metadata_read(metadata, text, size, reason)) != 0) {
                return code;
            }
            left -= size;
            if (size == length && memcmp(text, name, length) == 0) {
                *place = block << 16 | little_endian(head, 2);
                *found = true;
                return 0;
            }
        }
    }
    return code;
}

struct looking {
    struct metadata *metadata;
    struct inode inode;
    struct reason *reason;
    int code;
    uint64_t folders[PATH / 2]; /* places of the folders that lead here, for .. */
    char rest[2 * PATH], next[2 * PATH];
};

/* What a path is with all links followed; an absolute link means the new root. */
static enum system_entry place_of(void *self, const char *path) {
    struct looking *looking = self;
    struct inode *inode = &looking->inode;
    size_t depth = 0;
    bool found;
    looking->folders[0] = looking->metadata->squashfs->root;
    snprintf(looking->rest, sizeof looking->rest, "%s", path);
    uint64_t place = looking->folders[0];
    for (int followed = 0; looking->code == 0 && looking->rest[0] != '\0';) {
        char *rest = looking->rest, *slash = strchr(rest, '/');
        size_t part = slash != NULL ? (size_t)(slash - rest) : strlen(rest), behind = slash != NULL ? part + 1 : part;
        if (part == 2 && memcmp(rest, "..", 2) == 0) {
            depth -= depth > 0;
            place = looking->folders[depth];
        } else if (part > 0 && !(part == 1 && rest[0] == '.')) {
            if ((looking->code = inode_at(looking->metadata, place, inode, looking->reason)) != 0 || inode->type != DIR) {
                return SYSTEM_NONE;
            }
            looking->code = name_looked_up(looking->metadata, inode, rest, part, &place, &found, looking->reason);
            if (looking->code != 0 || !found || (looking->code = inode_at(looking->metadata, place, inode, looking->reason)) != 0) {
                return SYSTEM_NONE;
            }
            if (inode->type == SYMLINK) {
                if (++followed > FOLLOWED ||
                    (size_t)snprintf(looking->next, sizeof looking->next, "%s/%s", inode->text, rest + behind) >= sizeof looking->next) {
                    return SYSTEM_NONE;
                }
                if (inode->text[0] == '/') {
                    depth = 0;
                }
                place = looking->folders[depth];
                memcpy(looking->rest, looking->next, strlen(looking->next) + 1);
                continue;
            }
            if (inode->type == DIR) {
                if (depth + 1 == sizeof looking->folders / sizeof *looking->folders) {
                    return SYSTEM_NONE;
                }
                looking->folders[++depth] = place;
            }
        }
        memmove(rest, rest + behind, strlen(rest + behind) + 1);
    }
    if (looking->code == 0) {
        looking->code = inode_at(looking->metadata, place, inode, looking->reason);
    }
    if (looking->code != 0) {
        return SYSTEM_NONE;
    }
    if (inode->type != REG || inode->size == 0) {
        return inode->type == DIR ? SYSTEM_DIRECTORY : SYSTEM_OTHER;
    }
    return (inode->mode & 0111) != 0 ? SYSTEM_PROGRAM : SYSTEM_FILE;
}

int squashfs_judge(const struct squashfs *squashfs, struct squashfs_bytes bytes, struct squashfs_judgement *judgement,
                   struct reason *reason) {
    struct metadata *metadata = calloc(1, sizeof *metadata);
    struct looking *looking = calloc(1, sizeof *looking);
    memset(judgement, 0, sizeof *judgement);
    judgement->lack.what = "";
    int code = metadata == NULL || looking == NULL ? fail(reason, CODE_RESOURCES, "no memory to judge the squashfs") : 0;
    if (code == 0) {
        metadata->squashfs = squashfs;
        metadata->bytes = bytes;
        looking->metadata = metadata;
        looking->reason = reason;
        code = metadata_sought(metadata, squashfs->inode_table, 0, 0, reason);
    }
    for (uint32_t i = 0; code == 0 && i < squashfs->inodes; i++) {
        struct inode *inode = &looking->inode;
        metadata->walked = 0;
        if ((code = inode_read(metadata, inode, reason)) != 0) {
            break;
        }
        if (inode->size > UINT64_C(1) << 53) {
            code = damaged(reason, "a file is larger than there can be");
            break;
        }
        /* Its name in a folder too. */
        judgement->content_bytes += INODE + 16;
        if (inode->type == REG) {
            judgement->content_bytes += (inode->size + FILE_BLOCK - 1) / FILE_BLOCK * FILE_BLOCK + (inode->xattrs ? FILE_BLOCK : 0);
        } else if (inode->type == DIR || (inode->type == SYMLINK && inode->size > 59)) {
            judgement->content_bytes += FILE_BLOCK;
        }
    }
    if (code == 0) {
        system_judged(place_of, looking, &judgement->lack);
        judgement->read_only = place_of(looking, SYSTEM_READ_ONLY) == SYSTEM_FILE;
        code = looking->code;
    }
    free(metadata);
    free(looking);
    return code;
}
