/* SPDX-License-Identifier: MIT */
/* floor IMAGE.zst DEVICE: the least that sysupgrade's promises cost, for scripts/bench. The bundle is read whole and its SHA-256 computed before
 * the slot is touched; it is read again, known again by a tag (Poly1305, a random key), and unpacked by zstd's library; what is not zeros is
 * written past the page cache, read back likewise and known by a tag again. One thread, large pieces, nothing else: no signature, format, index,
 * hash of a block, search in the slots, file system, header or environment. Whoever promises what sysupgrade does needs this at least.
 *
 * Prints the processor time of each part. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

enum { BLOCK = 4096, PIECE = 1 << 20, TAG = 16, KEY = 32 };
enum part { READ_BUNDLE, HASH_BUNDLE, TAG_BUNDLE, UNPACK, FIND_ZEROS, WRITE, READ_BACK, TAG_SLOT, OTHER, PARTS };
static const char *const names[PARTS] = {"read-bundle", "hash-bundle", "tag-bundle", "unpack", "find-zeros", "write", "read-back", "tag-slot", "other"};

static double spent[PARTS];

static double processor(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What was spent since the last call belongs to this part. */
static void counts_for(enum part part) {
    static double last;
    double now = processor();
    spent[part] += now - last;
    last = now;
}

static void needed(bool good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

static bool is_zero(const unsigned char *block) { return block[0] == 0 && memcmp(block, block + 1, BLOCK - 1) == 0; }

/* Where the run of blocks ends that are all zeros, or all not. */
static size_t run_from(const unsigned char *piece, size_t at, size_t size, bool *zeros) {
    size_t end = at;
    *zeros = is_zero(piece + at);
    while (end < size && is_zero(piece + end) == *zeros) {
        end += BLOCK;
    }
    return end < size ? end : size;
}

static EVP_MAC_CTX *poly1305;
static unsigned char key[KEY];

static void tagged(const unsigned char *bytes, size_t size, unsigned char tag[TAG]) {
    size_t length;
    needed(EVP_MAC_init(poly1305, key, KEY, NULL) == 1 && EVP_MAC_update(poly1305, bytes, size) == 1 &&
               EVP_MAC_final(poly1305, tag, &length, TAG) == 1,
           "Poly1305");
}

/* Tags in their order. */
struct tags {
    unsigned char (*tag)[TAG];
    size_t count, room, known;
};

static void tag_kept(struct tags *tags, const unsigned char *bytes, size_t size) {
    if (tags->count == tags->room) {
        tags->room = tags->room == 0 ? 1024 : 2 * tags->room;
        tags->tag = realloc(tags->tag, tags->room * TAG);
        needed(tags->tag != NULL, "memory");
    }
    tagged(bytes, size, tags->tag[tags->count++]);
}

static void tag_known(struct tags *tags, const unsigned char *bytes, size_t size, const char *what) {
    unsigned char tag[TAG];
    tagged(bytes, size, tag);
    if (tags->known == tags->count || memcmp(tag, tags->tag[tags->known++], TAG) != 0) {
        fprintf(stderr, "floor: %s does not read back as it was\n", what);
        exit(1);
    }
}

int main(int argc, char **argv) {
    needed(argc == 3, "floor IMAGE.zst DEVICE");
    int image = open(argv[1], O_RDONLY), slot = open(argv[2], O_RDWR | O_DIRECT);
    unsigned char *piece = aligned_alloc(BLOCK, PIECE), *packed = malloc(PIECE), hash[32];
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    EVP_MD_CTX *sha256 = EVP_MD_CTX_new();
    struct tags bundle = {0}, written = {0};
    ZSTD_inBuffer in = {packed, 0, 0};
    uint64_t at = 0, bytes = 0;
    ssize_t got;
    poly1305 = EVP_MAC_CTX_new(EVP_MAC_fetch(NULL, "POLY1305", NULL));
    needed(image >= 0 && slot >= 0 && piece != NULL && packed != NULL && zstd != NULL && poly1305 != NULL, "open");
    needed(RAND_priv_bytes(key, KEY) == 1 && EVP_DigestInit_ex(sha256, EVP_sha256(), NULL) == 1, "SHA-256");
    counts_for(OTHER);
    while ((got = read(image, packed, PIECE)) > 0) {
        counts_for(READ_BUNDLE);
        needed(EVP_DigestUpdate(sha256, packed, (size_t)got) == 1, "SHA-256");
        counts_for(HASH_BUNDLE);
        tag_kept(&bundle, packed, (size_t)got);
        counts_for(TAG_BUNDLE);
    }
    needed(got == 0 && lseek(image, 0, SEEK_SET) == 0 && EVP_DigestFinal_ex(sha256, hash, NULL) == 1, argv[1]);
    counts_for(OTHER);
    for (bool over = false; !over;) {
        ZSTD_outBuffer out = {piece, PIECE, 0};
        while (out.pos < PIECE) {
            if (in.pos == in.size) {
                got = read(image, packed, PIECE);
                needed(got >= 0, argv[1]);
                counts_for(READ_BUNDLE);
                in = (ZSTD_inBuffer){packed, (size_t)got, 0};
                over = got == 0;
                if (over) {
                    break;
                }
                tag_known(&bundle, packed, (size_t)got, argv[1]);
                counts_for(TAG_BUNDLE);
            }
            needed(!ZSTD_isError(ZSTD_decompressStream(zstd, &out, &in)), "zstd");
            counts_for(UNPACK);
        }
        for (size_t from = 0, to; from < out.pos; from = to) {
            bool zeros;
            to = run_from(piece, from, out.pos, &zeros);
            counts_for(FIND_ZEROS);
            if (zeros) {
                uint64_t range[2] = {at + from, to - from};
                needed(ioctl(slot, BLKZEROOUT, range) == 0, argv[2]);
            } else {
                needed(pwrite(slot, piece + from, to - from, (off_t)(at + from)) == (ssize_t)(to - from), argv[2]);
            }
            counts_for(WRITE);
            if (!zeros) {
                tag_kept(&written, piece + from, to - from);
                counts_for(TAG_SLOT);
            }
        }
        at += out.pos;
    }
    needed(fsync(slot) == 0, argv[2]);
    counts_for(WRITE);
    for (bytes = at, at = 0; at < bytes;) {
        size_t size = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
        needed(pread(slot, piece, size, (off_t)at) == (ssize_t)size, argv[2]);
        counts_for(READ_BACK);
        for (size_t from = 0, to; from < size; from = to) {
            bool zeros;
            to = run_from(piece, from, size, &zeros);
            counts_for(FIND_ZEROS);
            if (!zeros) {
                tag_known(&written, piece + from, to - from, argv[2]);
                counts_for(TAG_SLOT);
            }
        }
        at += size;
    }
    needed(written.known == written.count, argv[2]);
    counts_for(OTHER);
    for (int i = 0; i < PARTS; i++) {
        printf("%s=%.6f\n", names[i], spent[i]);
    }
    return 0;
}
