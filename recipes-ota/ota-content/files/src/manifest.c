/* SPDX-License-Identifier: MIT */
/* lib/otamgr/bundle.py and BundleFile.java judge by the same rules; tests/content compares the three. */
#include "manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECIPIENTS_LIMIT = 49152 };

/* A piece of the manifest. */
struct text {
    const char *at;
    size_t length;
};

/* What is quoted in a reason; the rest of a long value says nothing more. */
enum { QUOTED = 100 };
#define SHOWN(text) ((int)((text).length < QUOTED ? (text).length : QUOTED)), (text).at

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c) {
    return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_name(char c) {
    return is_name_start(c) || (c != '\0' && strchr("._+-", c) != NULL);
}

bool member_name_is_plain(const char *name, size_t length) {
    if (length < 1 || length > 100 || !is_name_start(name[0])) {
        return false;
    }
    for (size_t i = 1; i < length; i++) {
        if (!is_name(name[i])) {
            return false;
        }
    }
    return true;
}

/* ---- versions ---- */

bool version_read(struct version *version, const char *text, size_t length, char *why, size_t room) {
    size_t at = 0;
    int count = 0;
    memset(version, 0, sizeof *version);
    if (length == 0) {
        snprintf(why, room, "it is empty");
        return false;
    }
    for (;;) {
        size_t begin = at;
        uint32_t value = 0;
        while (at < length && is_digit(text[at])) {
            if (at - begin < 9) {
                value = value * 10 + (uint32_t)(text[at] - '0');
            }
            at++;
        }
        if (at == begin) {
            if (count > 0) {
                snprintf(why, room, "a number is missing after a dot");
            } else {
                snprintf(why, room, "it begins with '%c'", text[0]);
            }
            return false;
        }
        if (at - begin > 9) {
            snprintf(why, room, "one of its numbers has %zu digits", at - begin);
            return false;
        }
        if (count == VERSION_NUMBERS) {
            snprintf(why, room, "it has more than %d numbers", VERSION_NUMBERS);
            return false;
        }
        version->number[count++] = value;
        if (at == length || text[at] != '.') {
            break;
        }
        at++;
    }
    if (at == length) {
        return true;
    }
    if (text[at] != '-') {
        snprintf(why, room, "it has '%c' without - before it", text[at]);
        return false;
    }
    at++;
    if (length - at < 1 || length - at > 32) {
        snprintf(why, room, "its suffix has %zu characters, at most 32 and at least one may follow the -", length - at);
        return false;
    }
    for (; at < length; at++) {
        if (!is_name(text[at])) {
            snprintf(why, room, "its suffix holds '%c'", text[at]);
            return false;
        }
    }
    return true;
}

int version_compare(const struct version *one, const struct version *other) {
    for (int i = 0; i < VERSION_NUMBERS; i++) {
        if (one->number[i] != other->number[i]) {
            return one->number[i] < other->number[i] ? -1 : 1;
        }
    }
    return 0;
}

/* ---- values ---- */

static int expected(struct reason *reason, const char *key, struct text value, const char *what) {
    return fail(reason, 4, "the manifest has %s '%.*s', expected %s", key, SHOWN(value), what);
}

static int copied(struct reason *reason, const char *key, struct text value, char *to, size_t room, bool blanks, const char *what) {
    if (value.length < 1 || value.length >= room) {
        return expected(reason, key, value, what);
    }
    for (size_t i = 0; i < value.length; i++) {
        if (!blanks && value.at[i] == ' ') {
            return expected(reason, key, value, what);
        }
        to[i] = value.at[i];
    }
    to[value.length] = '\0';
    return 0;
}

static int number_read(struct reason *reason, const char *key, struct text value, uint64_t *to) {
    uint64_t number = 0;
    bool good = value.length >= 1 && value.length <= 15 && value.at[0] != '0';
    for (size_t i = 0; good && i < value.length; i++) {
        good = is_digit(value.at[i]);
        number = number * 10 + (uint64_t)(value.at[i] - '0');
    }
    if (!good) {
        return expected(reason, key, value, "a number of bytes: 1 to 15 digits that do not begin with 0");
    }
    *to = number;
    return 0;
}

static bool hex_read(struct text value, uint8_t *to, size_t bytes) {
    static const char digits[] = "0123456789abcdef";
    bool good = value.length == 2 * bytes;
    for (size_t i = 0; good && i < 2 * bytes; i++) {
        const char *digit = memchr(digits, value.at[i], 16);
        good = digit != NULL;
        if (good) {
            to[i / 2] = (uint8_t)((i % 2 ? to[i / 2] << 4 : 0) | (digit - digits));
        }
    }
    return good;
}

static int hash_read(struct reason *reason, const char *key, struct text value, uint8_t *to) {
    return hex_read(value, to, 32) ? 0 : expected(reason, key, value, "a SHA-256: 64 hexadecimal digits in lower case");
}

/* Base64 in one line; what it says is read later. */
static bool is_base64(struct text value) {
    size_t end = value.length;
    while (end > 0 && value.length - end < 2 && value.at[end - 1] == '=') {
        end--;
    }
    for (size_t i = 0; i < end; i++) {
        if (!is_name_start(value.at[i]) && value.at[i] != '+' && value.at[i] != '/') {
            return false;
        }
    }
    return end > 0 && value.length % 4 == 0 && value.length <= RECIPIENTS_LIMIT;
}

/* ---- lines ---- */

/* From IMAGE_TYPE on they are keys of format 2 only. */
enum key { FORMAT, COMPATIBLE, VERSION, IMAGE, IMAGE_BYTES, IMAGE_SHA256, ROOTFS_BYTES, ROOTFS_SHA256, DESCRIPTION, IMAGE_TYPE,
           IMAGE_COMPRESSION, INDEX_BYTES, INDEX_SHA256, ENCRYPTION_CIPHER, ENCRYPTION_NONCE, ENCRYPTION_KEY_SHA256,
           ENCRYPTION_RECIPIENTS, KEYS };

static const char *const keys[KEYS] = {
    [FORMAT] = "format", [COMPATIBLE] = "compatible", [VERSION] = "version", [IMAGE] = "image", [IMAGE_BYTES] = "image-bytes",
    [IMAGE_SHA256] = "image-sha256", [ROOTFS_BYTES] = "rootfs-bytes", [ROOTFS_SHA256] = "rootfs-sha256",
    [DESCRIPTION] = "description", [IMAGE_TYPE] = "image-type", [IMAGE_COMPRESSION] = "image-compression",
    [INDEX_BYTES] = "index-bytes", [INDEX_SHA256] = "index-sha256", [ENCRYPTION_CIPHER] = "encryption-cipher",
    [ENCRYPTION_NONCE] = "encryption-nonce", [ENCRYPTION_KEY_SHA256] = "encryption-key-sha256",
    [ENCRYPTION_RECIPIENTS] = "encryption-recipients",
};

static int key_order(const void *one, const void *other) {
    const struct text *a = one, *b = other;
    int order = memcmp(a->at, b->at, a->length < b->length ? a->length : b->length);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* No key twice: two readers might take a different one of them. */
static int keys_are_unique(struct text *found, size_t count, struct reason *reason) {
    qsort(found, count, sizeof *found, key_order);
    for (size_t i = 1; i < count; i++) {
        if (key_order(&found[i - 1], &found[i]) == 0) {
            return fail(reason, 4, "the manifest has the key %.*s twice", SHOWN(found[i]));
        }
    }
    return 0;
}

/* ---- further images ---- */

static const char further_prefix[] = "image.";

static bool is_of_further_image(struct text key) {
    return key.length >= sizeof further_prefix - 1 && memcmp(key.at, further_prefix, sizeof further_prefix - 1) == 0;
}

/* The text up to the next blank, which is taken away with it. */
static struct text word_taken(struct text *left) {
    const char *blank = left->length == 0 ? NULL : memchr(left->at, ' ', left->length);
    struct text word = {left->at, blank == NULL ? left->length : (size_t)(blank - left->at)};
    size_t taken = blank == NULL ? left->length : word.length + 1;
    /* A blank that nothing follows is not passed over. */
    if (blank != NULL && taken == left->length) {
        taken--;
    }
    *left = (struct text){left->at + taken, left->length - taken};
    return word;
}

static bool is_word(struct text text, const char *word) {
    return text.length == strlen(word) && memcmp(text.at, word, text.length) == 0;
}

/* image.NAME=BYTES SHA256 [zstd] [optional] */
static int further_read(struct manifest *to, struct text key, struct text value, struct reason *reason) {
    static const char what[] = "BYTES SHA256, then perhaps zstd, then perhaps optional, with one blank between";
    struct text name = {key.at + sizeof further_prefix - 1, key.length - (sizeof further_prefix - 1)}, left = value;
    char shown[50];
    bool good = name.length >= 1 && name.length < sizeof to->further[0].name && name.at[0] >= 'a' && name.at[0] <= 'z';
    for (size_t i = 0; good && i < name.length; i++) {
        good = is_digit(name.at[i]) || (name.at[i] >= 'a' && name.at[i] <= 'z') || name.at[i] == '-';
    }
    if (!good) {
        return fail(reason, 4, "the manifest has the key '%.*s', expected %sNAME of at most 32 lower case letters, digits and -, a letter first",
                    SHOWN(key), further_prefix);
    }
    if (to->furthers == FURTHER_LIMIT) {
        return fail(reason, 4, "the manifest speaks of more than %d further images", FURTHER_LIMIT);
    }
    struct further_image *image = &to->further[to->furthers++];
    memcpy(image->name, name.at, name.length);
    snprintf(shown, sizeof shown, "%s%s", further_prefix, image->name);
    int code = number_read(reason, shown, word_taken(&left), &image->bytes);
    if (code == 0) {
        code = hash_read(reason, shown, word_taken(&left), image->sha256);
    }
    struct text word = word_taken(&left);
    if (code == 0 && is_word(word, "zstd")) {
        image->is_compressed = true;
        word = word_taken(&left);
    }
    if (code == 0 && is_word(word, "optional")) {
        image->is_optional = true;
        word = word_taken(&left);
    }
    if (code == 0 && (word.length > 0 || left.length > 0)) {
        code = expected(reason, shown, value, what);
    }
    to->further_bytes += image->bytes;
    return code;
}

static int line_read(struct manifest *to, struct text line, struct text values[KEYS], bool there[KEYS], struct text *key, struct reason *reason) {
    const char *equals = memchr(line.at, '=', line.length);
    if (equals != NULL) {
        *key = (struct text){line.at, (size_t)(equals - line.at)};
        struct text value = {equals + 1, line.length - key->length - 1};
        for (int i = 0; i < KEYS; i++) {
            if (strlen(keys[i]) == key->length && memcmp(keys[i], key->at, key->length) == 0) {
                /* Twice is found later; which value counts does not matter then. */
                values[i] = value;
                there[i] = true;
                return 0;
            }
        }
        if (key->length > 2 && memcmp(key->at, "x-", 2) == 0) {
            return 0;
        }
        if (is_of_further_image(*key)) {
            return further_read(to, *key, value, reason);
        }
    }
    return fail(reason, 4, "the manifest has a line that this sysupgrade does not know, which may be a restriction: '%.*s'", SHOWN(line));
}

/* One of a few words. A new one would be a way of unpacking that nobody has built here. */
static int word_read(struct reason *reason, enum key key, const struct text *values, const char *word, char *to) {
    if (values[key].length != strlen(word) || memcmp(values[key].at, word, values[key].length) != 0) {
        return expected(reason, keys[key], values[key], word);
    }
    memcpy(to, word, strlen(word) + 1);
    return 0;
}

/* All of them, or none. */
static int encryption_read(struct manifest *to, const struct text values[KEYS], const bool there[KEYS], struct reason *reason) {
    char cipher[16];
    int code;
    if (!there[ENCRYPTION_CIPHER] && !there[ENCRYPTION_NONCE] && !there[ENCRYPTION_KEY_SHA256] && !there[ENCRYPTION_RECIPIENTS]) {
        return 0;
    }
    to->is_encrypted = true;
    if ((code = word_read(reason, ENCRYPTION_CIPHER, values, "aes-256-ctr", cipher)) != 0) {
        return code;
    }
    if (!hex_read(values[ENCRYPTION_NONCE], to->encryption_nonce, sizeof to->encryption_nonce)) {
        return expected(reason, keys[ENCRYPTION_NONCE], values[ENCRYPTION_NONCE], "8 bytes: 16 hexadecimal digits in lower case");
    }
    if (!is_base64(values[ENCRYPTION_RECIPIENTS])) {
        return expected(reason, keys[ENCRYPTION_RECIPIENTS], values[ENCRYPTION_RECIPIENTS], "a CMS EnvelopedData in Base64, at most 48 KiB");
    }
    to->recipients = values[ENCRYPTION_RECIPIENTS].at;
    to->recipients_length = values[ENCRYPTION_RECIPIENTS].length;
    return hash_read(reason, keys[ENCRYPTION_KEY_SHA256], values[ENCRYPTION_KEY_SHA256], to->encryption_key_sha256);
}

static int format_read(struct manifest *to, const struct text values[KEYS], const bool there[KEYS], struct reason *reason) {
    static const char name[] = "otamgr-bundle-";
    const struct text *format = &values[FORMAT];
    int code;
    if (format->length != sizeof name || memcmp(format->at, name, sizeof name - 1) != 0 ||
        (format->at[format->length - 1] != '1' && format->at[format->length - 1] != '2')) {
        return expected(reason, keys[FORMAT], *format, "otamgr-bundle-1 or otamgr-bundle-2");
    }
    to->format = format->at[format->length - 1] - '0';
    if (to->format == 2) {
        if ((code = word_read(reason, IMAGE_TYPE, values, "ext4", to->image_type)) != 0 ||
            (code = word_read(reason, IMAGE_COMPRESSION, values, "zstd-blocks", to->image_compression)) != 0 ||
            (code = number_read(reason, keys[INDEX_BYTES], values[INDEX_BYTES], &to->index_bytes)) != 0 ||
            (code = encryption_read(to, values, there, reason)) != 0) {
            return code;
        }
        return hash_read(reason, keys[INDEX_SHA256], values[INDEX_SHA256], to->index_sha256);
    }
    for (int key = IMAGE_TYPE; key < KEYS; key++) {
        if (there[key]) {
            return fail(reason, 4, "the manifest of format 1 has the key %s of format 2", keys[key]);
        }
    }
    if (to->furthers > 0) {
        return fail(reason, 4, "the manifest of format 1 has the key %s%s of format 2", further_prefix, to->further[0].name);
    }
    return 0;
}

static int values_read(struct manifest *to, const struct text values[KEYS], const bool there[KEYS], struct reason *reason) {
    char why[200], what[400];
    int code;
    if ((code = format_read(to, values, there, reason)) != 0) {
        return code;
    }
    if ((code = copied(reason, keys[COMPATIBLE], values[COMPATIBLE], to->compatible, sizeof to->compatible, false,
                       "the name of a board: 1 to 64 characters without blanks")) != 0) {
        return code;
    }
    if (!version_read(&to->numbers, values[VERSION].at, values[VERSION].length, why, sizeof why)) {
        snprintf(what, sizeof what, "numbers of at most 9 digits with dots such as 1.4.2, perhaps with - and a suffix such as -rc1: %s",
                 why);
        return expected(reason, keys[VERSION], values[VERSION], what);
    }
    memcpy(to->version, values[VERSION].at, values[VERSION].length);
    if (!member_name_is_plain(values[IMAGE].at, values[IMAGE].length)) {
        return expected(reason, keys[IMAGE], values[IMAGE],
                        "the name of a file: at most 100 letters, digits and . _ + -, beginning with a letter or digit");
    }
    memcpy(to->image, values[IMAGE].at, values[IMAGE].length);
    if ((code = number_read(reason, keys[IMAGE_BYTES], values[IMAGE_BYTES], &to->image_bytes)) != 0 ||
        (code = hash_read(reason, keys[IMAGE_SHA256], values[IMAGE_SHA256], to->image_sha256)) != 0) {
        return code;
    }
    if (to->further_bytes >= to->image_bytes) {
        return fail(reason, 4, "the manifest has further images of %llu bytes in a payload of %llu", (unsigned long long)to->further_bytes,
                    (unsigned long long)to->image_bytes);
    }
    to->has_rootfs = to->format == 2 || there[ROOTFS_BYTES] || there[ROOTFS_SHA256];
    if (to->has_rootfs && ((code = number_read(reason, keys[ROOTFS_BYTES], values[ROOTFS_BYTES], &to->rootfs_bytes)) != 0 ||
                           (code = hash_read(reason, keys[ROOTFS_SHA256], values[ROOTFS_SHA256], to->rootfs_sha256)) != 0)) {
        return code;
    }
    if (there[DESCRIPTION]) {
        return copied(reason, keys[DESCRIPTION], values[DESCRIPTION], to->description, sizeof to->description, true,
                      "free text of 1 to 1000 characters");
    }
    return 0;
}

int manifest_read(struct manifest *manifest, const char *text, size_t length, struct reason *reason) {
    struct text values[KEYS], *found;
    bool there[KEYS] = {false};
    size_t count = 0, lines = 0;
    int code = 0;
    memset(manifest, 0, sizeof *manifest);
    for (int i = 0; i < KEYS; i++) {
        values[i] = (struct text){"", 0};
    }
    if (length < 1 || length > MANIFEST_LIMIT) {
        return fail(reason, 4, "the manifest has %zu bytes, expected 1 to %d", length, MANIFEST_LIMIT);
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n') {
            lines++;
        } else if (text[i] < 0x20 || text[i] > 0x7e) {
            lines = 0;
            break;
        }
    }
    if (lines == 0 || text[length - 1] != '\n') {
        return fail(reason, 4, "the manifest is no text: expected lines KEY=VALUE of printable ASCII, each ended by a newline");
    }
    found = calloc(lines, sizeof *found);
    if (found == NULL) {
        return fail(reason, 1, "no memory for %zu lines of a manifest", lines);
    }
    for (const char *at = text; code == 0 && count < lines;) {
        const char *end = memchr(at, '\n', length - (size_t)(at - text));
        code = line_read(manifest, (struct text){at, (size_t)(end - at)}, values, there, &found[count], reason);
        count++;
        at = end + 1;
    }
    if (code == 0) {
        code = keys_are_unique(found, count, reason);
    }
    free(found);
    return code != 0 ? code : values_read(manifest, values, there, reason);
}
