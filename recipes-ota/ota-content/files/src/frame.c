/* SPDX-License-Identifier: MIT */
#include "frame.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* Of zstd; each frame would have the same four bytes. */
static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
/* What a trained dictionary begins with. */
static const uint8_t dictionary[4] = {0x37, 0xa4, 0x30, 0xec};

struct unpacker {
    ZSTD_DCtx *zstd;
    uint8_t packed[sizeof magic + FRAME_LIMIT];
};

struct unpacker *unpacker_new(void) {
    struct unpacker *unpacker = malloc(sizeof *unpacker);
    if (unpacker != NULL) {
        memcpy(unpacker->packed, magic, sizeof magic);
        unpacker->zstd = ZSTD_createDCtx();
        if (unpacker->zstd == NULL) {
            free(unpacker);
            unpacker = NULL;
        }
    }
    return unpacker;
}

void unpacker_free(struct unpacker *unpacker) {
    if (unpacker != NULL) {
        ZSTD_freeDCtx(unpacker->zstd);
        free(unpacker);
    }
}

int frame_unpacked(struct unpacker *unpacker, const uint8_t *packed, size_t packed_bytes, const uint8_t *prefix, size_t prefix_bytes, uint8_t *plain,
                   size_t bytes, struct reason *reason) {
    if (packed_bytes == bytes) {
        memcpy(plain, packed, bytes);
        return 0;
    }
    if (packed_bytes > FRAME_LIMIT) {
        return fail(reason, CODE_CORRUPT, "a frame of the bundle has %zu bytes, expected at most %d", packed_bytes, FRAME_LIMIT);
    }
    memcpy(unpacker->packed + sizeof magic, packed, packed_bytes);
    size_t got;
    if (prefix_bytes >= sizeof dictionary && memcmp(prefix, dictionary, sizeof dictionary) == 0) {
        /* Content that looks like a dictionary, and would be taken for one below. The prefix counts for one frame only. */
        got = ZSTD_DCtx_refPrefix(unpacker->zstd, prefix, prefix_bytes);
        if (!ZSTD_isError(got)) {
            got = ZSTD_decompressDCtx(unpacker->zstd, plain, bytes, unpacker->packed, sizeof magic + packed_bytes);
        }
    } else {
        /* Without an object for the prefix of each frame, which zstd would think is not in the cache yet: a quarter less time. */
        got = ZSTD_decompress_usingDict(unpacker->zstd, plain, bytes, unpacker->packed, sizeof magic + packed_bytes, prefix, prefix_bytes);
    }
    if (ZSTD_isError(got)) {
        return fail(reason, CODE_CORRUPT, "a frame of the bundle does not decompress: %s", ZSTD_getErrorName(got));
    }
    return got == bytes ? 0 : fail(reason, CODE_CORRUPT, "a frame of the bundle unpacks to %zu bytes, expected %zu", got, bytes);
}

/* A context that is used again costs a tenth of one that is looked up for each block. */
struct hasher {
    EVP_MD_CTX *context;
    EVP_MD *sha256;
};

struct hasher *hasher_new(void) {
    struct hasher *hasher = malloc(sizeof *hasher);
    if (hasher != NULL) {
        hasher->context = EVP_MD_CTX_new();
        hasher->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        if (hasher->context == NULL || hasher->sha256 == NULL) {
            hasher_free(hasher);
            hasher = NULL;
        }
    }
    return hasher;
}

void hasher_free(struct hasher *hasher) {
    if (hasher != NULL) {
        EVP_MD_CTX_free(hasher->context);
        EVP_MD_free(hasher->sha256);
        free(hasher);
    }
}

bool hash_of(struct hasher *hasher, const void *bytes, size_t size, uint8_t hash[32]) {
    return EVP_DigestInit_ex2(hasher->context, hasher->sha256, NULL) == 1 && EVP_DigestUpdate(hasher->context, bytes, size) == 1 &&
           EVP_DigestFinal_ex(hasher->context, hash, NULL) == 1;
}

bool block_is(struct hasher *hasher, const struct index *index, uint32_t data, const uint8_t *block) {
    uint8_t hash[32];
    return hash_of(hasher, block, BLOCK, hash) && memcmp(hash, index_hash(index, data), index->hash_bytes) == 0;
}

bool is_zero(const uint8_t *bytes, size_t size) { return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0); }
