/* SPDX-License-Identifier: MIT */
/* Manifests of bundles: docs/bundles.md has the keys. Whether a manifest is signed is not looked at here. */
#ifndef MANIFEST_H
#define MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "say.h"

enum { MANIFEST_LIMIT = 65536, VERSION_NUMBERS = 8, VERSION_LIMIT = 128, FURTHER_LIMIT = 8 };

/* A version, for comparing: a number that is missing is 0, the suffix does not count. */
struct version {
    uint32_t number[VERSION_NUMBERS];
};

/* An image beside the root file system: its bytes follow those of the one before in the payload, the first one's the frames. */
struct further_image {
    char name[33];
    uint64_t bytes; /* as it is in the payload, before that is encrypted */
    uint8_t sha256[32];
    bool is_compressed; /* with zstd */
    bool is_optional;   /* a device that has no target for it goes without */
};

struct manifest {
    int format; /* 1 or 2 */
    char compatible[65];
    char version[VERSION_LIMIT];
    struct version numbers;
    char image[101]; /* what follows is of the payload, as it is in the bundle */
    uint64_t image_bytes;
    uint8_t image_sha256[32];
    bool has_rootfs; /* the two that follow are there */
    uint64_t rootfs_bytes;
    uint8_t rootfs_sha256[32];
    char image_type[16], image_compression[16]; /* format 2; empty in format 1 */
    uint64_t index_bytes;
    uint8_t index_sha256[32];
    bool is_encrypted; /* what follows is there */
    uint8_t encryption_nonce[8];
    uint8_t encryption_key_sha256[32];
    const char *recipients; /* Base64, in the text that was read */
    size_t recipients_length;
    struct further_image further[FURTHER_LIMIT]; /* format 2, in the order of the payload */
    size_t furthers;
    uint64_t further_bytes; /* the sum of theirs */
    char description[1001];
};

/* 0, or the code of a refusal: 4. */
int manifest_read(struct manifest *manifest, const char *text, size_t length, struct reason *reason);

/* Reads a version; where it is none, why says what is wrong with it, in words. */
bool version_read(struct version *version, const char *text, size_t length, char *why, size_t room);

/* Below 0, 0 or above 0, as one is older than, as new as or newer than other. */
int version_compare(const struct version *one, const struct version *other);

/* Whether a name may be that of a member of a bundle: [A-Za-z0-9][A-Za-z0-9._+-]*, at most 100 bytes. */
bool member_name_is_plain(const char *name, size_t length);

#endif
