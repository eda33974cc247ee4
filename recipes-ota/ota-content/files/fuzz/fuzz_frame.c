/* SPDX-License-Identifier: MIT */
/* Any bytes as a frame, after any prefix: what comes out has the size that was asked for, or is an error, and nothing else is touched. */
#include "image.h"

#include "frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct unpacker *unpacker;
    static struct hasher *hasher;
    struct reason reason;
    if (unpacker == NULL) {
        unpacker = unpacker_new();
        hasher = hasher_new();
    }
    PROMISE(unpacker != NULL && hasher != NULL);
    if (size < 3) {
        return 0;
    }
    size_t bytes = (size_t)(1 + data[0] % 3) * BLOCK, prefix_bytes = (size_t)(data[1] % 3) * BLOCK;
    const uint8_t *packed = data + 2;
    size_t packed_bytes = size - 2;
    /* Of exactly these sizes, so that a byte too much is noticed. */
    uint8_t *plain = malloc(bytes), *prefix = malloc(prefix_bytes + 1);
    PROMISE(plain != NULL && prefix != NULL);
    for (size_t i = 0; i < prefix_bytes; i++) {
        prefix[i] = (uint8_t)(i * 7 ^ i >> 5);
    }
    int code = frame_unpacked(unpacker, packed, packed_bytes, prefix, prefix_bytes, plain, bytes, &reason);
    PROMISE(code == 0 || code == CODE_CORRUPT);
    if (code == 0) {
        uint8_t hash[32];
        PROMISE(hash_of(hasher, plain, bytes, hash));
        (void)is_zero(plain, bytes);
        (void)quick_hash(plain, bytes);
    }
    free(prefix);
    free(plain);
    return 0;
}
