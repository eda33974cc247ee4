/* SPDX-License-Identifier: MIT */
#include "tar.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "bundle.h"
#include "tar_xattr.h"

/* Longer ones than 2^53 bytes nobody has; sums of them do not overflow. */
#define SIZE_LIMIT (UINT64_C(1) << 53)
/* The largest identity; (uint32_t)-1 means "leave it". */
#define OWNER_LIMIT UINT64_C(4294967294)
#define TIME_LIMIT (INT64_C(1) << 53)
/* What seven octal digits hold. */
#define OCTAL_OWNER_LIMIT UINT64_C(2097151)

enum { PIECE = 65536 };

/* What the records of a pax header say; fields that are there are marked. */
struct said {
    bool path, linkpath, size, uid, gid, mtime, mtime_fraction, major, minor;
    const char *path_text, *linkpath_text;
    size_t path_length, linkpath_length;
    uint64_t size_value, uid_value, gid_value, major_value, minor_value;
    int64_t mtime_value;
    /* GNU.sparse: 0.0 lists offset and numbytes in turn, 0.1 has a map, 1.0 has the map in the content. */
    bool sparse_major, sparse_size, sparse_real, sparse_name, sparse_map, sparse_blocks, sparse_offset_waits;
    uint64_t sparse_major_value, sparse_minor_value, sparse_real_value, sparse_blocks_value, sparse_offset_value;
    const char *sparse_name_text;
    size_t sparse_name_length;
};

/* Text of pax records, of one member or of all that follow. */
struct records {
    char *text;
    size_t length;
};

struct tar {
    struct tar_input input;
    uint64_t at; /* of the next byte to read */
    struct tar_member member;
    bool begun, ended;
    uint64_t ordinal;
    uint64_t left, padding; /* of the member's content in the archive, and what follows it up to a block */
    struct records global, own;
    struct said said;
    char long_name[TAR_NAME_LIMIT + 1], long_link[TAR_NAME_LIMIT + 1];
    bool has_long_name, has_long_link;
    char name[TAR_NAME_LIMIT + 1], link[TAR_NAME_LIMIT + 1], raw[TAR_NAME_LIMIT + 1];
    struct tar_xattr xattrs[TAR_XATTRS_LIMIT];
    struct xattr *xattr; /* to try one */
    struct tar_extent *extents;
    size_t extent_count, extent_room, extent; /* extent: the one that is read */
    uint64_t extent_done;
    uint8_t header[TAR_BLOCK];
    uint8_t piece[PIECE];
};

/* ---- reading ---- */

static int cut_off(struct tar *tar, struct reason *reason) {
    return fail(reason, CODE_CORRUPT, "the tar archive is cut off: it ends at byte %" PRIu64 " without its end mark", tar->at);
}

static int read_all(struct tar *tar, void *to, size_t count, struct reason *reason) {
    size_t got = 0;
    int code = tar->input.read(tar->input.self, to, count, &got, reason);
    if (code != 0) {
        return code;
    }
    tar->at += got;
    return got == count ? 0 : cut_off(tar, reason);
}

static int skip(struct tar *tar, uint64_t count, struct reason *reason) {
    while (count > 0) {
        size_t part = count < PIECE ? (size_t)count : PIECE;
        int code = read_all(tar, tar->piece, part, reason);
        if (code != 0) {
            return code;
        }
        count -= part;
    }
    return 0;
}

static uint64_t padding_of(uint64_t size) {
    return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
}

/* The member's name for people: the one that was found so far. */
static const char *shown(const struct tar *tar) {
    return tar->raw[0] != '\0' ? tar->raw : "?";
}

static int damaged(struct tar *tar, struct reason *reason, const char *what) {
    return fail(reason, CODE_CORRUPT, "the tar archive is damaged: %s (member %.150s, header before byte %" PRIu64 ")", what, shown(tar),
                tar->at);
}

static int refused(struct tar *tar, struct reason *reason, const char *what) {
    return fail(reason, CODE_FORMAT, "the tar archive holds what cannot be unpacked as it is meant: %s (member %.150s)", what, shown(tar));
}

static void needs(struct tar *tar, const char *what) {
    if (tar->member.needs[0] == '\0') {
        snprintf(tar->member.needs, sizeof tar->member.needs, "%s", what);
    }
}

static bool all_zero(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* ---- numbers ---- */

/* A field of a header that may be empty, which is 0. */
static bool field_number(const uint8_t *field, size_t length, uint64_t limit, uint64_t *value) {
    for (size_t i = 0;; i++) {
        if (i == length || field[i] == '\0') {
            *value = 0;
            return true;
        }
        if (field[i] != ' ') {
            return tar_number(field, length, limit, value);
        }
    }
}

/* The same for times, which may be negative in the binary form. */
static bool field_time(const uint8_t *field, size_t length, int64_t *value) {
    uint64_t number;
    if (field[0] != 0xff) {
        if (!field_number(field, length, (uint64_t)TIME_LIMIT, &number)) {
            return false;
        }
        *value = (int64_t)number;
        return true;
    }
    number = UINT64_MAX;
    for (size_t i = 1; i < length; i++) {
        if (number >> 55 != 0x1ff) {
            return false;
        }
        number = number << 8 | field[i];
    }
    /* Two's complement without relying on the compiler. */
    if (UINT64_MAX - number > (uint64_t)TIME_LIMIT) {
        return false;
    }
    *value = -(int64_t)(UINT64_MAX - number) - 1;
    return true;
}

bool decimal_read(const char *text, size_t length, uint64_t limit, uint64_t *value) {
    uint64_t number = 0;
    if (length < 1 || length > 19) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(text[i] - '0');
        if (number > limit) {
            return false;
        }
    }
    *value = number;
    return true;
}

/* Seconds with a fraction, which is left out: rounded down. */
static bool decimal_time(const char *text, size_t length, int64_t *value, bool *fraction) {
    uint64_t number;
    size_t whole = 0;
    bool negative = length > 0 && text[0] == '-';
    *fraction = false;
    if (negative) {
        text++;
        length--;
    }
    while (whole < length && text[whole] != '.') {
        whole++;
    }
    for (size_t i = whole + 1; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        *fraction = *fraction || text[i] != '0';
    }
    if (!decimal_read(text, whole, (uint64_t)TIME_LIMIT, &number)) {
        return false;
    }
    *value = negative ? -(int64_t)number - (*fraction ? 1 : 0) : (int64_t)number;
    return true;
}

/* ---- pax records ---- */

/* Those that change nothing in what is unpacked here: names of owners, for owners are numbers; times that are not kept. */
static const char *const harmless[] = {
    "uname", "gname", "atime", "ctime", "comment", "LIBARCHIVE.creationtime", "LIBARCHIVE.symlinktype", "SCHILY.dev", "SCHILY.ino",
    "SCHILY.nlink", "SCHILY.filetype",
};

static bool is(const char *key, size_t length, const char *word) {
    return strlen(word) == length && memcmp(key, word, length) == 0;
}

static bool begins(const char *key, size_t length, const char *word) {
    return length > strlen(word) && memcmp(key, word, strlen(word)) == 0;
}

static int extent_add(struct tar *tar, uint64_t offset, uint64_t bytes, struct reason *reason) {
    if (tar->extent_count == tar->extent_room) {
        if (tar->extent_room >= TAR_EXTENTS_LIMIT) {
            return refused(tar, reason, "a sparse file of too many pieces");
        }
        struct tar_extent *extents = array_grown(tar->extents, &tar->extent_room, tar->extent_count + 1, sizeof *extents, TAR_EXTENTS_LIMIT);
        if (extents == NULL) {
            return fail(reason, CODE_RESOURCES, "no memory for the pieces of a sparse file in the archive");
        }
        tar->extents = extents;
    }
    tar->extents[tar->extent_count++] = (struct tar_extent){offset, bytes};
    return 0;
}

/* "offset,bytes,offset,bytes": GNU.sparse.map. */
static int sparse_map(struct tar *tar, const char *text, size_t length, struct reason *reason) {
    uint64_t value, offset = 0;
    bool second = false;
    tar->extent_count = 0;
    for (size_t begin = 0; begin <= length;) {
        const char *comma = memchr(text + begin, ',', length - begin);
        size_t end = comma != NULL ? (size_t)(comma - text) : length;
        if (!decimal_read(text + begin, end - begin, SIZE_LIMIT, &value)) {
            return damaged(tar, reason, "GNU.sparse.map is no list of numbers");
        }
        if (second) {
            int code = extent_add(tar, offset, value, reason);
            if (code != 0) {
                return code;
            }
        }
        offset = value;
        second = !second;
        begin = end + 1;
    }
    return second ? damaged(tar, reason, "GNU.sparse.map ends within a pair") : 0;
}

static int sparse_record(struct tar *tar, const char *key, size_t key_length, const char *value, size_t length, struct reason *reason) {
    struct said *said = &tar->said;
    bool good = true;
    if (is(key, key_length, "GNU.sparse.major")) {
        good = decimal_read(value, length, 9, &said->sparse_major_value);
        said->sparse_major = true;
    } else if (is(key, key_length, "GNU.sparse.minor")) {
        good = decimal_read(value, length, 9, &said->sparse_minor_value);
    } else if (is(key, key_length, "GNU.sparse.name")) {
        said->sparse_name = true;
        said->sparse_name_text = value;
        said->sparse_name_length = length;
    } else if (is(key, key_length, "GNU.sparse.realsize") || is(key, key_length, "GNU.sparse.size")) {
        said->sparse_real = true;
        good = decimal_read(value, length, SIZE_LIMIT, &said->sparse_real_value);
    } else if (is(key, key_length, "GNU.sparse.numblocks")) {
        said->sparse_blocks = true;
        good = decimal_read(value, length, TAR_EXTENTS_LIMIT, &said->sparse_blocks_value);
    } else if (is(key, key_length, "GNU.sparse.map")) {
        said->sparse_map = true;
        return sparse_map(tar, value, length, reason);
    } else if (is(key, key_length, "GNU.sparse.offset")) {
        good = !said->sparse_offset_waits && decimal_read(value, length, SIZE_LIMIT, &said->sparse_offset_value);
        said->sparse_offset_waits = true;
        said->sparse_map = true;
    } else if (is(key, key_length, "GNU.sparse.numbytes")) {
        uint64_t bytes;
        good = said->sparse_offset_waits && decimal_read(value, length, SIZE_LIMIT, &bytes);
        said->sparse_offset_waits = false;
        if (good) {
            return extent_add(tar, said->sparse_offset_value, bytes, reason);
        }
    } else {
        return refused(tar, reason, "a record GNU.sparse that is not known");
    }
    return good ? 0 : damaged(tar, reason, "a record GNU.sparse whose value is none");
}

static int xattr_record(struct tar *tar, struct tar_xattr xattr, struct reason *reason) {
    if (tar->member.xattr_count == TAR_XATTRS_LIMIT) {
        return refused(tar, reason, "too many extended attributes");
    }
    /* Now, and not when it is compared: then the slot is written. */
    if (!xattr_read(tar->xattr, &xattr)) {
        return refused(tar, reason, "an extended attribute or ACL that is none, or has names of users instead of numbers");
    }
    tar->xattrs[tar->member.xattr_count++] = xattr;
    return 0;
}

/* One record. global: of a header for all members that follow. */
static int record_read(struct tar *tar, const char *key, size_t key_length, const char *value, size_t length, bool global,
                       struct reason *reason) {
    struct said *said = &tar->said;
    char what[120];
    bool good = true;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        if (is(key, key_length, harmless[i])) {
            return 0;
        }
    }
    if (is(key, key_length, "hdrcharset")) {
        /* Names are bytes here, whatever they mean. */
        return is(value, length, "BINARY") || is(value, length, "ISO-IR 10646 2000 UTF-8")
                   ? 0
                   : refused(tar, reason, "names in a character set that is not known (pax record hdrcharset)");
    }
    bool sparse = begins(key, key_length, "GNU.sparse.");
    if (global) {
        /* GNU tar heeds it, libarchive and busybox do not. */
        snprintf(what, sizeof what, "a pax record %.*s for all members that follow", (int)(key_length < 40 ? key_length : 40), key);
        return refused(tar, reason, what);
    }
    snprintf(what, sizeof what, "pax record %.*s", (int)(key_length < 60 ? key_length : 60), key);
    if (sparse) {
        needs(tar, what);
        return sparse_record(tar, key, key_length, value, length, reason);
    }
    if (is(key, key_length, "path")) {
        said->path = true;
        said->path_text = value;
        said->path_length = length;
    } else if (is(key, key_length, "linkpath")) {
        said->linkpath = true;
        said->linkpath_text = value;
        said->linkpath_length = length;
    } else if (is(key, key_length, "size")) {
        said->size = true;
        good = decimal_read(value, length, SIZE_LIMIT, &said->size_value);
    } else if (is(key, key_length, "uid")) {
        said->uid = true;
        good = decimal_read(value, length, OWNER_LIMIT, &said->uid_value);
    } else if (is(key, key_length, "gid")) {
        said->gid = true;
        good = decimal_read(value, length, OWNER_LIMIT, &said->gid_value);
    } else if (is(key, key_length, "mtime")) {
        said->mtime = true;
        good = decimal_time(value, length, &said->mtime_value, &said->mtime_fraction);
    } else if (is(key, key_length, "SCHILY.devmajor")) {
        said->major = true;
        good = decimal_read(value, length, 4095, &said->major_value);
    } else if (is(key, key_length, "SCHILY.devminor")) {
        said->minor = true;
        good = decimal_read(value, length, 1048575, &said->minor_value);
    } else {
        static const struct {
            const char *begin;
            enum tar_xattr_form form;
            bool whole;
        } attributes[] = {
            {"SCHILY.xattr.", TAR_XATTR_RAW, false},
            {"LIBARCHIVE.xattr.", TAR_XATTR_BASE64, false},
            {"RHT.security.selinux", TAR_XATTR_RAW, true},
            {"SCHILY.acl.access", TAR_XATTR_ACL_ACCESS, true},
            {"SCHILY.acl.default", TAR_XATTR_ACL_DEFAULT, true},
        };
        for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
            size_t begin = strlen(attributes[i].begin);
            if (attributes[i].whole ? is(key, key_length, attributes[i].begin) : begins(key, key_length, attributes[i].begin)) {
                struct tar_xattr xattr = {.name = key + begin, .name_length = key_length - begin, .value = (const uint8_t *)value,
                                          .length = length};
                xattr.form = attributes[i].form;
                if (is(key, key_length, "RHT.security.selinux")) {
                    static const char selinux[] = "security.selinux";
                    xattr.name = selinux;
                    xattr.name_length = sizeof selinux - 1;
                    /* With a zero at its end or not, as the program likes. */
                    while (xattr.length > 0 && xattr.value[xattr.length - 1] == '\0') {
                        xattr.length--;
                    }
                }
                needs(tar, what);
                return xattr_record(tar, xattr, reason);
            }
        }
        snprintf(what, sizeof what, "a pax record %.*s that is not known, which may change what the member is",
                 (int)(key_length < 40 ? key_length : 40), key);
        return refused(tar, reason, what);
    }
    if (!good) {
        snprintf(what, sizeof what, "the pax record %.*s has the value '%.*s'", (int)(key_length < 40 ? key_length : 40), key,
                 (int)(length < 30 ? length : 30), value);
        return refused(tar, reason, what);
    }
    return 0;
}

/* "LENGTH KEY=VALUE\n", one after the other. */
static int records_read(struct tar *tar, const struct records *records, bool global, struct reason *reason) {
    size_t at = 0;
    while (at < records->length) {
        const char *text = records->text + at;
        size_t left = records->length - at;
        const char *blank = memchr(text, ' ', left < 20 ? left : 20);
        uint64_t length;
        if (blank == NULL || !decimal_read(text, (size_t)(blank - text), left, &length) || length < (uint64_t)(blank - text) + 4 ||
            text[length - 1] != '\n') {
            return damaged(tar, reason, "a pax header is no list of records");
        }
        const char *key = blank + 1, *end = text + length - 1;
        const char *equals = memchr(key, '=', (size_t)(end - key));
        if (equals == NULL || equals == key) {
            return damaged(tar, reason, "a pax record without a key");
        }
        int code = record_read(tar, key, (size_t)(equals - key), equals + 1, (size_t)(end - equals - 1), global, reason);
        if (code != 0) {
            return code;
        }
        at += (size_t)length;
    }
    return 0;
}

/* Adds the content of a pax header to records. */
static int records_add(struct tar *tar, struct records *records, uint64_t size, struct reason *reason) {
    if (size > TAR_RECORDS_LIMIT || records->length + size > TAR_RECORDS_LIMIT) {
        return refused(tar, reason, "a pax header of more than 1 MiB");
    }
    char *text = realloc(records->text, records->length + (size_t)size + 1);
    if (text == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for a pax header in the archive");
    }
    records->text = text;
    int code = read_all(tar, text + records->length, (size_t)size, reason);
    if (code == 0) {
        records->length += (size_t)size;
        code = skip(tar, padding_of(size), reason);
    }
    return code;
}

/* ---- names ---- */

/* A name without what does not count. One that leaves the root is refused: programs take it to different places. */
static int name_cleaned(struct tar *tar, const char *from, size_t length, char *to, struct reason *reason) {
    size_t done = 0;
    if (length == 0 || length > TAR_NAME_LIMIT) {
        return refused(tar, reason, length == 0 ? "an empty name" : "a name of more than 4096 bytes");
    }
    if (memchr(from, '\0', length) != NULL) {
        return damaged(tar, reason, "a name with a zero in it");
    }
    for (size_t begin = 0; begin < length;) {
        const char *slash = memchr(from + begin, '/', length - begin);
        size_t end = slash != NULL ? (size_t)(slash - from) : length, count = end - begin;
        if (count == 2 && memcmp(from + begin, "..", 2) == 0) {
            return refused(tar, reason, "a name with .. in it");
        }
        if (count > 255) {
            return refused(tar, reason, "a part of a name with more than 255 bytes");
        }
        if (count > 0 && !(count == 1 && from[begin] == '.')) {
            if (done > 0) {
                to[done++] = '/';
            }
            memcpy(to + done, from + begin, count);
            done += count;
        }
        begin = end + 1;
    }
    to[done] = '\0';
    return 0;
}

static size_t text_length(const uint8_t *field, size_t room) {
    const uint8_t *end = memchr(field, '\0', room);
    return end != NULL ? (size_t)(end - field) : room;
}

/* The name as the last header that speaks of it has it, into raw. */
static int name_found(struct tar *tar, bool gnu, struct reason *reason) {
    const uint8_t *header = tar->header;
    const char *from = NULL;
    size_t length = 0;
    if (tar->said.sparse_name) {
        from = tar->said.sparse_name_text;
        length = tar->said.sparse_name_length;
    } else if (tar->said.path) {
        from = tar->said.path_text;
        length = tar->said.path_length;
    } else if (tar->has_long_name) {
        from = tar->long_name;
        length = strlen(tar->long_name);
    }
    if (from != NULL) {
        if (length > TAR_NAME_LIMIT) {
            return refused(tar, reason, "a name of more than 4096 bytes");
        }
        /* A zero would end the name in one program and not in the other. */
        if (memchr(from, '\0', length) != NULL) {
            return damaged(tar, reason, "a name with a zero in it");
        }
        memcpy(tar->raw, from, length);
        tar->raw[length] = '\0';
        return 0;
    }
    size_t prefix = text_length(header + 345, 155);
    if (prefix > 0 && gnu) {
        /* Times of an incremental dump lie there; busybox takes them for a part of the name. */
        needs(tar, "GNU header of an incremental dump");
        prefix = 0;
    }
    if (prefix > 0) {
        memcpy(tar->raw, header + 345, prefix);
        tar->raw[prefix++] = '/';
    }
    length = text_length(header, 100);
    memcpy(tar->raw + prefix, header, length);
    tar->raw[prefix + length] = '\0';
    return 0;
}

static int link_found(struct tar *tar, struct reason *reason) {
    const char *from = (const char *)tar->header + 157;
    size_t length = text_length(tar->header + 157, 100);
    if (tar->said.linkpath) {
        from = tar->said.linkpath_text;
        length = tar->said.linkpath_length;
    } else if (tar->has_long_link) {
        from = tar->long_link;
        length = strlen(tar->long_link);
    }
    if (tar->member.kind == TAR_LINK) {
        return name_cleaned(tar, from, length, tar->link, reason);
    }
    if (length < 1 || length > TAR_NAME_LIMIT - 1 || memchr(from, '\0', length) != NULL) {
        return refused(tar, reason, "a symbolic link to nothing, or to a name that is too long");
    }
    memcpy(tar->link, from, length);
    tar->link[length] = '\0';
    return 0;
}

/* GNU: the name of the next member, as the content of a member of its own. */
static int long_name_read(struct tar *tar, uint64_t size, char *to, bool *there, struct reason *reason) {
    if (size < 1 || size > TAR_NAME_LIMIT + 1 || *there) {
        return refused(tar, reason, *there ? "two long names for one member" : "a name of more than 4096 bytes");
    }
    int code = read_all(tar, tar->piece, (size_t)size, reason);
    if (code != 0) {
        return code;
    }
    size_t length = text_length(tar->piece, (size_t)size);
    if (!all_zero(tar->piece + length, (size_t)size - length)) {
        return damaged(tar, reason, "a name with a zero in it");
    }
    if (length > TAR_NAME_LIMIT) {
        return refused(tar, reason, "a name of more than 4096 bytes");
    }
    memcpy(to, tar->piece, length);
    to[length] = '\0';
    *there = true;
    return skip(tar, padding_of(size), reason);
}

/* ---- sparse files ---- */

/* In order, within the file, and as much content as there is. */
static int extents_are_sound(struct tar *tar, struct reason *reason) {
    uint64_t end = 0, content = 0;
    for (size_t i = 0; i < tar->extent_count; i++) {
        const struct tar_extent *extent = &tar->extents[i];
        if (extent->offset < end || extent->offset > tar->member.size || extent->bytes > tar->member.size - extent->offset) {
            return damaged(tar, reason, "the pieces of a sparse file are not in order, or not within it");
        }
        end = extent->offset + extent->bytes;
        content += extent->bytes;
    }
    return content == tar->left ? 0 : damaged(tar, reason, "the pieces of a sparse file are not as large as its content");
}

/* GNU: four pieces in the header, 21 in each block that follows. */
static int old_sparse_read(struct tar *tar, struct reason *reason) {
    const uint8_t *at = tar->header + 386;
    size_t count = 4;
    bool more = tar->header[482] != 0, done = false;
    uint64_t offset, bytes;
    int code;
    if (!tar_number(tar->header + 483, 12, SIZE_LIMIT, &tar->member.size)) {
        return damaged(tar, reason, "a sparse file without its size");
    }
    for (;;) {
        for (size_t i = 0; i < count && !done; i++, at += 24) {
            /* An empty entry ends the list. */
            if (at[0] == '\0' && at[12] == '\0') {
                done = true;
                break;
            }
            if (!tar_number(at, 12, SIZE_LIMIT, &offset) || !tar_number(at + 12, 12, SIZE_LIMIT, &bytes)) {
                return damaged(tar, reason, "a piece of a sparse file without place and size");
            }
            if ((code = extent_add(tar, offset, bytes, reason)) != 0) {
                return code;
            }
        }
        if (!more) {
            return extents_are_sound(tar, reason);
        }
        if (done) {
            return damaged(tar, reason, "the list of a sparse file's pieces goes on behind its end");
        }
        if ((code = read_all(tar, tar->piece, TAR_BLOCK, reason)) != 0) {
            return code;
        }
        at = tar->piece;
        count = 21;
        more = tar->piece[504] != 0;
    }
}

/* pax, 1.0: the map is at the beginning of the content, decimal numbers on lines of their own, filled up to a block. */
static int sparse_lines_read(struct tar *tar, struct reason *reason) {
    uint64_t wanted = 1, numbers = 0, value = 0, offset = 0;
    size_t digits = 0;
    int code;
    while (numbers < wanted) {
        if (tar->left < TAR_BLOCK) {
            return damaged(tar, reason, "the map of a sparse file does not end");
        }
        if ((code = read_all(tar, tar->header, TAR_BLOCK, reason)) != 0) {
            return code;
        }
        tar->left -= TAR_BLOCK;
        for (size_t i = 0; i < TAR_BLOCK && numbers < wanted; i++) {
            uint8_t byte = tar->header[i];
            if (byte >= '0' && byte <= '9' && digits < 16) {
                value = value * 10 + (uint64_t)(byte - '0');
                digits++;
                continue;
            }
            if (byte != '\n' || digits == 0 || value > SIZE_LIMIT) {
                return damaged(tar, reason, "the map of a sparse file is no list of numbers");
            }
            if (numbers == 0) {
                if (value > TAR_EXTENTS_LIMIT) {
                    return refused(tar, reason, "a sparse file of too many pieces");
                }
                wanted = 1 + 2 * value;
            } else if (numbers % 2 == 1) {
                offset = value;
            } else if ((code = extent_add(tar, offset, value, reason)) != 0) {
                return code;
            }
            numbers++;
            value = 0;
            digits = 0;
        }
    }
    return 0;
}

static int sparse_found(struct tar *tar, struct reason *reason) {
    const struct said *said = &tar->said;
    int code;
    if (!said->sparse_real || said->sparse_offset_waits) {
        return damaged(tar, reason, "a sparse file without its size, or with half a piece");
    }
    tar->member.size = said->sparse_real_value;
    if (said->sparse_major && said->sparse_major_value == 1 && said->sparse_minor_value == 0) {
        if (said->sparse_map) {
            return damaged(tar, reason, "a sparse file with two maps");
        }
        if ((code = sparse_lines_read(tar, reason)) != 0) {
            return code;
        }
    } else if (said->sparse_major && said->sparse_major_value != 0) {
        return refused(tar, reason, "a sparse file of a GNU.sparse version that is not known");
    } else if (said->sparse_blocks && said->sparse_blocks_value != tar->extent_count) {
        return damaged(tar, reason, "a sparse file with more or fewer pieces than it says");
    }
    return extents_are_sound(tar, reason);
}

/* ---- members ---- */

/* Number of a header and of its pax record; busybox reads the header's only. */
static uint64_t number_decided(struct tar *tar, const char *record, uint64_t header, bool said, uint64_t value) {
    char what[60];
    if (!said) {
        return header;
    }
    if (value != header) {
        snprintf(what, sizeof what, "pax record %s=%" PRIu64, record, value);
        needs(tar, what);
    }
    return value;
}

static int numbers_found(struct tar *tar, uint64_t size, struct reason *reason) {
    struct tar_member *member = &tar->member;
    const struct said *said = &tar->said;
    uint64_t mode, uid, gid, major = 0, minor = 0;
    int64_t mtime;
    if (!field_number(tar->header + 100, 8, UINT32_MAX, &mode) || !field_time(tar->header + 136, 12, &mtime)) {
        return damaged(tar, reason, "mode or time in the header is no number");
    }
    if (!field_number(tar->header + 108, 8, OWNER_LIMIT, &uid) || !field_number(tar->header + 116, 8, OWNER_LIMIT, &gid)) {
        return refused(tar, reason, "an owner or group that is no number, or larger than 4294967294");
    }
    bool device = member->kind == TAR_CHARACTER || member->kind == TAR_BLOCK_DEVICE;
    if (device && (!field_number(tar->header + 329, 8, 4095, &major) || !field_number(tar->header + 337, 8, 1048575, &minor))) {
        return refused(tar, reason, "a device whose numbers are none, or larger than 4095 and 1048575");
    }
    member->mode = (uint32_t)mode & 07777;
    member->uid = number_decided(tar, "uid", uid, said->uid, said->uid_value);
    member->gid = number_decided(tar, "gid", gid, said->gid, said->gid_value);
    member->mtime = member->mtime_rounded = mtime;
    if (said->mtime) {
        /* A fraction may be rounded in the header, which is all that busybox reads. */
        if (said->mtime_value != mtime && !(said->mtime_fraction && said->mtime_value == mtime - 1)) {
            char what[60];
            snprintf(what, sizeof what, "pax record mtime=%" PRId64, said->mtime_value);
            needs(tar, what);
            member->mtime_rounded = said->mtime_value;
        }
        member->mtime = said->mtime_value;
    }
    if (device) {
        member->major = (uint32_t)number_decided(tar, "SCHILY.devmajor", major, said->major, said->major_value);
        member->minor = (uint32_t)number_decided(tar, "SCHILY.devminor", minor, said->minor, said->minor_value);
    }
    size = number_decided(tar, "size", size, said->size, said->size_value);
    if (member->kind == TAR_FILE) {
        member->size = size;
        tar->left = size;
        tar->padding = padding_of(size);
    } else if (size != 0) {
        /* Some programs look for content then, others do not. */
        return refused(tar, reason, "a size for what is no file");
    }
    return 0;
}

static int kind_found(struct tar *tar, uint8_t type, struct reason *reason) {
    static const char kinds[] = "0123456";
    static const enum tar_kind meant[] = {TAR_FILE, TAR_LINK, TAR_SYMLINK, TAR_CHARACTER, TAR_BLOCK_DEVICE, TAR_DIRECTORY, TAR_FIFO};
    if (type == '\0' || type == '7' || type == 'S') {
        tar->member.kind = TAR_FILE;
        return 0;
    }
    const char *found = strchr(kinds, type);
    if (found == NULL) {
        char what[60];
        snprintf(what, sizeof what, type > ' ' && type < 0x7f ? "a member of type %c" : "a member of type 0x%02x", type);
        return refused(tar, reason, what);
    }
    tar->member.kind = meant[found - kinds];
    return 0;
}

static int member_found(struct tar *tar, uint64_t size, struct reason *reason) {
    uint8_t type = tar->header[156];
    bool gnu = memcmp(tar->header + 257, "ustar  ", 7) == 0;
    int code;
    tar->member.name = tar->name;
    tar->member.link = tar->link;
    tar->member.xattrs = tar->xattrs;
    if ((code = records_read(tar, &tar->global, true, reason)) != 0 || (code = records_read(tar, &tar->own, false, reason)) != 0 ||
        (code = name_found(tar, gnu, reason)) != 0 || (code = name_cleaned(tar, tar->raw, strlen(tar->raw), tar->name, reason)) != 0 ||
        (code = kind_found(tar, type, reason)) != 0) {
        return code;
    }
    size_t length = strlen(tar->raw);
    if (tar->member.kind != TAR_DIRECTORY && (tar->raw[length - 1] == '/' || tar->name[0] == '\0')) {
        return refused(tar, reason, "what is no directory has a name that ends with /");
    }
    if ((code = numbers_found(tar, size, reason)) != 0) {
        return code;
    }
    if (tar->member.kind == TAR_LINK || tar->member.kind == TAR_SYMLINK) {
        if ((code = link_found(tar, reason)) != 0) {
            return code;
        }
    }
    bool by_records = tar->said.sparse_major || tar->said.sparse_real || tar->said.sparse_map || tar->said.sparse_name;
    if (by_records || type == 'S') {
        if (tar->member.kind != TAR_FILE || (by_records && type == 'S') || (type == 'S' && !gnu)) {
            return damaged(tar, reason, "a sparse file that is none");
        }
        tar->member.sparse = true;
        needs(tar, "sparse file of GNU (type S)");
        code = by_records ? sparse_found(tar, reason) : old_sparse_read(tar, reason);
    }
    return code;
}

/* What is left of the member before, and all that its headers said. */
static int member_left(struct tar *tar, struct reason *reason) {
    int code = skip(tar, tar->left, reason);
    if (code == 0) {
        code = skip(tar, tar->padding, reason);
    }
    tar->left = tar->padding = 0;
    tar->own.length = 0;
    memset(&tar->said, 0, sizeof tar->said);
    memset(&tar->member, 0, sizeof tar->member);
    tar->has_long_name = tar->has_long_link = false;
    tar->raw[0] = tar->name[0] = tar->link[0] = '\0';
    tar->extent_count = tar->extent = 0;
    tar->extent_done = 0;
    return code;
}

/* After the first block of zeros: a second one, and nothing else up to the end. */
static int end_found(struct tar *tar, struct reason *reason) {
    size_t got;
    int code = read_all(tar, tar->header, TAR_BLOCK, reason);
    if (code != 0) {
        return code;
    }
    if (!all_zero(tar->header, TAR_BLOCK)) {
        return fail(reason, CODE_CORRUPT, "the tar archive is damaged: one block of zeros before byte %" PRIu64 ", its end mark has two",
                    tar->at);
    }
    do {
        if ((code = tar->input.read(tar->input.self, tar->piece, PIECE, &got, reason)) != 0) {
            return code;
        }
        if (!all_zero(tar->piece, got)) {
            return fail(reason, CODE_CORRUPT, "the tar archive is damaged: something follows its end mark at byte %" PRIu64, tar->at);
        }
        tar->at += got;
    } while (got == PIECE);
    tar->ended = true;
    return 0;
}

int tar_next(struct tar *tar, const struct tar_member **member, struct reason *reason) {
    bool headers = false;
    int code;
    *member = NULL;
    if (tar->ended) {
        return 0;
    }
    if ((code = member_left(tar, reason)) != 0) {
        return code;
    }
    for (;;) {
        uint64_t size;
        if ((code = read_all(tar, tar->header, TAR_BLOCK, reason)) != 0) {
            return code;
        }
        if (all_zero(tar->header, TAR_BLOCK)) {
            return headers ? damaged(tar, reason, "a header that speaks of a next member, which does not come") : end_found(tar, reason);
        }
        tar->member.at = tar->at - TAR_BLOCK;
        if (memcmp(tar->header + 257, "ustar", 5) != 0 || !tar_checksum_is_right(tar->header)) {
            return fail(reason, CODE_CORRUPT, "the tar archive is damaged: expected a header with a right checksum at byte %" PRIu64,
                        tar->member.at);
        }
        if (!field_number(tar->header + 124, 12, SIZE_LIMIT, &size)) {
            return damaged(tar, reason, "a size that is no number");
        }
        switch (tar->header[156]) {
        case 'g':
            if ((code = records_add(tar, &tar->global, size, reason)) != 0) {
                return code;
            }
            break;
        case 'x':
            if (tar->own.length > 0) {
                return damaged(tar, reason, "two pax headers for one member");
            }
            code = records_add(tar, &tar->own, size, reason);
            headers = true;
            break;
        case 'L':
            code = long_name_read(tar, size, tar->long_name, &tar->has_long_name, reason);
            headers = true;
            break;
        case 'K':
            code = long_name_read(tar, size, tar->long_link, &tar->has_long_link, reason);
            headers = true;
            break;
        default:
            if ((code = member_found(tar, size, reason)) != 0) {
                return code;
            }
            tar->member.ordinal = tar->ordinal++;
            *member = &tar->member;
            return 0;
        }
        if (code != 0) {
            return code;
        }
    }
}

int tar_data(struct tar *tar, uint64_t *offset, const uint8_t **data, size_t *count, struct reason *reason) {
    uint64_t most = tar->left;
    *count = 0;
    if (tar->left == 0) {
        return 0;
    }
    if (tar->member.sparse) {
        /* They are as large as what is left, together; empty ones may be among them. */
        while (tar->extents[tar->extent].bytes == tar->extent_done) {
            tar->extent++;
            tar->extent_done = 0;
        }
        *offset = tar->extents[tar->extent].offset + tar->extent_done;
        most = tar->extents[tar->extent].bytes - tar->extent_done;
    } else {
        *offset = tar->member.size - tar->left;
    }
    *count = most < PIECE ? (size_t)most : PIECE;
    int code = read_all(tar, tar->piece, *count, reason);
    if (code != 0) {
        *count = 0;
        return code;
    }
    tar->left -= *count;
    tar->extent_done += *count;
    *data = tar->piece;
    return 0;
}

int tar_open(struct tar **tar, struct tar_input input, struct reason *reason) {
    *tar = calloc(1, sizeof **tar);
    if (*tar == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory to read the archive");
    }
    (*tar)->input = input;
    (*tar)->xattr = malloc(sizeof *(*tar)->xattr);
    if ((*tar)->xattr == NULL) {
        tar_close(*tar);
        *tar = NULL;
        return fail(reason, CODE_RESOURCES, "no memory to read the archive");
    }
    return 0;
}

void tar_close(struct tar *tar) {
    if (tar != NULL) {
        free(tar->global.text);
        free(tar->own.text);
        free(tar->extents);
        free(tar->xattr);
        free(tar);
    }
}
