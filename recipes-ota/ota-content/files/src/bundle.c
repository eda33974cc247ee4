/* SPDX-License-Identifier: MIT */
/* lib/otamgr/bundle.py and BundleFile.java judge by the same rules; tests/content compares the three. */
#include "bundle.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { BLOCK = 512 };

/* ---- tar headers ---- */

bool tar_octal(const uint8_t *field, size_t length, uint64_t *value) {
    size_t at = 0;
    uint64_t number = 0;
    while (at < length && field[at] == ' ') {
        at++;
    }
    if (at == length || field[at] < '0' || field[at] > '7') {
        return false;
    }
    for (; at < length && field[at] >= '0' && field[at] <= '7'; at++) {
        if (number >> 61 != 0) {
            return false;
        }
        number = number * 8 + (uint64_t)(field[at] - '0');
    }
    for (; at < length; at++) {
        if (field[at] != '\0' && field[at] != ' ') {
            return false;
        }
    }
    *value = number;
    return true;
}

bool tar_number(const uint8_t *field, size_t length, uint64_t limit, uint64_t *value) {
    if (field[0] != 0x80) {
        return tar_octal(field, length, value) && *value <= limit;
    }
    uint64_t number = 0;
    for (size_t i = 1; i < length; i++) {
        if (number >> 56 != 0) {
            return false;
        }
        number = number << 8 | field[i];
    }
    *value = number;
    return number <= limit;
}

bool tar_checksum_is_right(const uint8_t header[BLOCK]) {
    uint64_t said;
    uint32_t sum = 0;
    /* That of the header with blanks in place of the checksum. */
    for (size_t i = 0; i < BLOCK; i++) {
        sum += i >= 148 && i < 156 ? ' ' : header[i];
    }
    return tar_octal(header + 148, 8, &said) && said == sum;
}

/* ---- the layout ---- */

static int unreadable(struct reason *reason, uint64_t offset) {
    return errno != 0 ? fail(reason, 3, "the bundle cannot be read at byte %" PRIu64 ": %s", offset, strerror(errno))
                      : fail(reason, 5, "the bundle ends at byte %" PRIu64, offset);
}

bool bundle_is_recognised(const struct bundle_bytes *bytes) {
    uint8_t header[BLOCK];
    return bytes->size >= BLOCK && bytes->read(bytes->self, 0, header, BLOCK) == 0 && memcmp(header, "manifest", 9) == 0 &&
           memcmp(header + 257, "ustar", 5) == 0;
}

static const char layout[] = "the bundle is damaged: expected manifest, manifest.sig, perhaps manifest.crt, perhaps index, and an image";

/* The header at this place: of a plain file with a plain name. Sizes of 8 GiB and more do not fit into octal digits. */
static int member_read(struct bundle_member *member, const struct bundle_bytes *bytes, uint64_t at, const char *wanted,
                       struct reason *reason) {
    uint8_t header[BLOCK];
    size_t length = 0;
    const char *wrong = NULL;
    if (bytes->size < BLOCK || at > bytes->size - BLOCK) {
        return fail(reason, 5, "%s; it ends where %s should be", layout, wanted);
    }
    if (bytes->read(bytes->self, at, header, BLOCK) != 0) {
        return unreadable(reason, at);
    }
    while (length < 100 && header[length] != '\0') {
        length++;
    }
    if (memcmp(header + 257, "ustar", 5) != 0 || !tar_checksum_is_right(header)) {
        wrong = "is no header of an archive, or its checksum is wrong";
    } else if (header[156] != '0' && header[156] != '\0') {
        wrong = "is no plain file";
    } else if (header[345] != '\0' || !member_name_is_plain((const char *)header, length)) {
        wrong = "has a name that members of a bundle do not have";
    } else if (!tar_number(header + 124, 12, BUNDLE_MEMBER_LIMIT, &member->bytes) ||
               (header[124] == 0x80 && member->bytes >> 33 == 0)) {
        wrong = "has a size that is no number, or not written as tar does";
    }
    if (wrong != NULL) {
        return fail(reason, 5, "%s; where %s should be, at byte %" PRIu64 ", what is there %s", layout, wanted, at, wrong);
    }
    memcpy(member->name, header, length);
    member->name[length] = '\0';
    member->offset = at + BLOCK;
    return 0;
}

static uint64_t next_to(const struct bundle_member *member) {
    return member->offset + (member->bytes + BLOCK - 1) / BLOCK * BLOCK;
}

static int small(const struct bundle_member *member, const struct bundle_bytes *bytes, uint64_t limit, struct reason *reason) {
    if (member->bytes < 1 || member->bytes > limit) {
        return fail(reason, 5, "the member %s of the bundle has %" PRIu64 " bytes, expected 1 to %" PRIu64, member->name,
                    member->bytes, limit);
    }
    if (member->bytes > bytes->size - member->offset) {
        return fail(reason, 5, "the bundle ends within its member %s", member->name);
    }
    return 0;
}

static int named(const struct bundle_member *member, const char *name, struct reason *reason) {
    return strcmp(member->name, name) == 0
               ? 0
               : fail(reason, 5, "%s; found %s where %s should be", layout, member->name, name);
}

int bundle_read(struct bundle *bundle, const struct bundle_bytes *bytes, struct reason *reason) {
    uint8_t end[2 * BLOCK];
    int code;
    memset(bundle, 0, sizeof *bundle);
    errno = 0;
    if ((code = member_read(&bundle->manifest, bytes, 0, "manifest", reason)) != 0 ||
        (code = named(&bundle->manifest, "manifest", reason)) != 0 ||
        (code = small(&bundle->manifest, bytes, MANIFEST_LIMIT, reason)) != 0 ||
        (code = member_read(&bundle->signature, bytes, next_to(&bundle->manifest), "manifest.sig", reason)) != 0 ||
        (code = named(&bundle->signature, "manifest.sig", reason)) != 0 ||
        (code = small(&bundle->signature, bytes, SIGNATURE_LIMIT, reason)) != 0 ||
        (code = member_read(&bundle->payload, bytes, next_to(&bundle->signature), "the image", reason)) != 0) {
        return code;
    }
    if (strcmp(bundle->payload.name, "manifest.crt") == 0) {
        bundle->chain = bundle->payload;
        if ((code = small(&bundle->chain, bytes, CHAIN_LIMIT, reason)) != 0 ||
            (code = member_read(&bundle->payload, bytes, next_to(&bundle->chain), "the image", reason)) != 0) {
            return code;
        }
    }
    if (strcmp(bundle->payload.name, "index") == 0) {
        bundle->index = bundle->payload;
        if ((code = small(&bundle->index, bytes, INDEX_LIMIT, reason)) != 0 ||
            (code = member_read(&bundle->payload, bytes, next_to(&bundle->index), "the image", reason)) != 0) {
            return code;
        }
    }
    static const char *const taken[] = {"manifest", "manifest.sig", "manifest.crt", "index"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (strcmp(bundle->payload.name, taken[i]) == 0) {
            return fail(reason, 5, "%s; found %s where the image should be", layout, taken[i]);
        }
    }
    uint64_t after = next_to(&bundle->payload);
    if (bundle->payload.bytes < 1) {
        return fail(reason, 5, "the image %s in the bundle is empty", bundle->payload.name);
    }
    if (bytes->size < after + sizeof end) {
        return fail(reason, 5, "the bundle is cut off: %" PRIu64 " bytes, its image %s needs it to have %" PRIu64, bytes->size,
                    bundle->payload.name, after + (uint64_t)sizeof end);
    }
    if (bytes->read(bytes->self, after, end, sizeof end) != 0) {
        return unreadable(reason, after);
    }
    for (size_t i = 0; i < sizeof end; i++) {
        if (end[i] != 0) {
            return fail(reason, 5, "the bundle holds more than one image: something follows %s", bundle->payload.name);
        }
    }
    return 0;
}

int bundle_fits(const struct bundle *bundle, const struct manifest *manifest, struct reason *reason) {
    if (strcmp(bundle->payload.name, manifest->image) != 0 || bundle->payload.bytes != manifest->image_bytes) {
        return fail(reason, 5, "the manifest speaks of %s with %" PRIu64 " bytes, the bundle holds %s with %" PRIu64, manifest->image,
                    manifest->image_bytes, bundle->payload.name, bundle->payload.bytes);
    }
    if (bundle->index.bytes != manifest->index_bytes) {
        return fail(reason, 5, "the manifest of format %d speaks of an index of %" PRIu64 " bytes, the bundle holds one of %" PRIu64,
                    manifest->format, manifest->index_bytes, bundle->index.bytes);
    }
    return 0;
}
