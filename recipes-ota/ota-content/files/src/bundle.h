/* SPDX-License-Identifier: MIT */
/* The layout of a bundle: where its members are. Whether they can be trusted is not looked at here. */
#ifndef BUNDLE_H
#define BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "manifest.h"
#include "say.h"
#include "signature.h"

/* Bytes at places. read gives all of them or something other than 0, with errno or, at the end of the file, with errno 0. */
struct bundle_bytes {
    int (*read)(void *self, uint64_t offset, void *to, size_t count);
    void *self;
    uint64_t size;
};

struct bundle_member {
    char name[101];
    uint64_t offset, bytes;
};

struct bundle {
    struct bundle_member manifest, signature, chain, index, payload; /* chain and index have 0 bytes if there is none */
};

enum { INDEX_LIMIT = 192 << 20 };

/* Larger sizes are nonsense. */
#define BUNDLE_MEMBER_LIMIT UINT64_C(999999999999999)

/* By content, whatever the name: a tar archive whose first member is `manifest`. */
bool bundle_is_recognised(const struct bundle_bytes *bytes);

/* 0, or 5 for what is damaged, or 3 for what cannot be read. The content of the members is not read, apart from the end mark. */
int bundle_read(struct bundle *bundle, const struct bundle_bytes *bytes, struct reason *reason);

/* Whether the signed manifest speaks of the image that is in the bundle, by name and size, and of the index likewise: 0 or 5. */
int bundle_fits(const struct bundle *bundle, const struct manifest *manifest, struct reason *reason);

/* A size or number in a tar header: octal digits, perhaps after blanks, ended by NUL or blank or the end of the field. */
bool tar_octal(const uint8_t *field, size_t length, uint64_t *value);

/* The same, or where the first bit is set, binary with the most significant byte first; not negative, at most limit. */
bool tar_number(const uint8_t *field, size_t length, uint64_t limit, uint64_t *value);

/* Whether the checksum of a tar header is right. */
bool tar_checksum_is_right(const uint8_t header[512]);

#endif
