/* SPDX-License-Identifier: MIT */
/* floor IMAGE.zst DEVICE: the least that sysupgrade's promises cost, for scripts/bench. Decompresses with zstd's library, hashes each block
 * that is not zeros with SHA-256, writes it past the page cache, reads all of it back likewise and hashes that. No signature, format,
 * index, second reading of the payload, file system, header or environment: whoever promises that much needs this at least. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <zstd.h>

enum { BLOCK = 4096, PIECE = 1 << 20 };

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
    return end;
}

int main(int argc, char **argv) {
    needed(argc == 3, "floor IMAGE.zst DEVICE");
    int image = open(argv[1], O_RDONLY), slot = open(argv[2], O_RDWR | O_DIRECT);
    unsigned char *piece = aligned_alloc(BLOCK, PIECE), *packed = malloc(PIECE), hash[2][32];
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    EVP_MD_CTX *sha256[2] = {EVP_MD_CTX_new(), EVP_MD_CTX_new()};
    ZSTD_inBuffer in = {packed, 0, 0};
    uint64_t at = 0, bytes = 0;
    needed(image >= 0 && slot >= 0 && piece != NULL && packed != NULL && zstd != NULL, "open");
    for (int i = 0; i < 2; i++) {
        needed(EVP_DigestInit_ex(sha256[i], EVP_sha256(), NULL) == 1, "SHA-256");
    }
    for (bool over = false; !over;) {
        ZSTD_outBuffer out = {piece, PIECE, 0};
        while (out.pos < PIECE) {
            if (in.pos == in.size) {
                ssize_t got = read(image, packed, PIECE);
                needed(got >= 0, argv[1]);
                in = (ZSTD_inBuffer){packed, (size_t)got, 0};
                over = got == 0;
                if (over) {
                    break;
                }
            }
            needed(!ZSTD_isError(ZSTD_decompressStream(zstd, &out, &in)), "zstd");
        }
        for (size_t from = 0, to; from < out.pos; from = to) {
            bool zeros;
            to = run_from(piece, from, out.pos, &zeros);
            if (zeros) {
                uint64_t range[2] = {at + from, to - from};
                needed(ioctl(slot, BLKZEROOUT, range) == 0, argv[2]);
            } else {
                needed(EVP_DigestUpdate(sha256[0], piece + from, to - from) == 1, "SHA-256");
                needed(pwrite(slot, piece + from, to - from, (off_t)(at + from)) == (ssize_t)(to - from), argv[2]);
            }
        }
        at += out.pos;
    }
    needed(fsync(slot) == 0, argv[2]);
    for (bytes = at, at = 0; at < bytes;) {
        size_t size = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
        needed(pread(slot, piece, size, (off_t)at) == (ssize_t)size, argv[2]);
        for (size_t from = 0, to; from < size; from = to) {
            bool zeros;
            to = run_from(piece, from, size, &zeros);
            needed(zeros || EVP_DigestUpdate(sha256[1], piece + from, to - from) == 1, "SHA-256");
        }
        at += size;
    }
    for (int i = 0; i < 2; i++) {
        needed(EVP_DigestFinal_ex(sha256[i], hash[i], NULL) == 1, "SHA-256");
    }
    if (memcmp(hash[0], hash[1], sizeof hash[0]) != 0) {
        fprintf(stderr, "floor: %s does not read back as it was written\n", argv[2]);
        return 1;
    }
    return 0;
}
