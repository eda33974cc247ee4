/* SPDX-License-Identifier: MIT */
#include "tar_xattr.h"

#include <stdlib.h>
#include <string.h>

enum { ACL_ENTRIES = 128 };

/* The kernel's tags of ACL entries, in the order in which it wants them. */
enum { ACL_USER_OBJ = 1, ACL_USER = 2, ACL_GROUP_OBJ = 4, ACL_GROUP = 8, ACL_MASK = 16, ACL_OTHER = 32 };

struct acl_entry {
    unsigned tag, permissions;
    uint32_t id;
};

/* ---- attributes of libarchive ---- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool name_decoded(struct xattr *to, const char *name, size_t length) {
    size_t done = 0;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        if (c == '%') {
            int high = length - i > 2 ? hex_digit(name[i + 1]) : -1, low = length - i > 2 ? hex_digit(name[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || done == sizeof to->name - 1) {
            return false;
        }
        to->name[done++] = c;
    }
    to->name[done] = '\0';
    return done > 0;
}

/* With or without = at its end. */
static bool base64_decoded(struct xattr *to, const uint8_t *text, size_t length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int count = 0;
    while (length > 0 && text[length - 1] == '=') {
        length--;
    }
    for (size_t i = 0; i < length; i++) {
        const char *digit = memchr(digits, text[i], 64);
        if (digit == NULL) {
            return false;
        }
        bits = (bits << 6 | (uint32_t)(digit - digits)) & 0xffffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            if (to->length == sizeof to->value) {
                return false;
            }
            to->value[to->length++] = (uint8_t)(bits >> count);
        }
    }
    return length % 4 != 1;
}

/* ---- ACLs ---- */

static bool is(const char *text, size_t length, const char *word, const char *letter) {
    return (length == strlen(word) && memcmp(text, word, length) == 0) || (length == 1 && text[0] == letter[0]);
}

static bool id_read(const char *text, size_t length, uint32_t *id) {
    uint64_t number = 0;
    if (length > 10 || !decimal_read(text, length, UINT32_MAX - 1, &number)) {
        return false;
    }
    *id = (uint32_t)number;
    return true;
}

/* "user:NAME:rwx", with the number of the user as NAME or behind it, "user:NAME:rwx:NUMBER". */
static bool entry_read(struct acl_entry *entry, const char *text, size_t length) {
    const char *part[4] = {text, NULL, NULL, NULL};
    size_t lengths[4] = {0}, parts = 1;
    for (size_t i = 0; i < length; i++) {
        if (text[i] != ':') {
            lengths[parts - 1]++;
        } else if (parts == 4) {
            return false;
        } else {
            part[parts++] = text + i + 1;
        }
    }
    if (parts < 3 || lengths[2] != 3) {
        return false;
    }
    entry->permissions = 0;
    for (int i = 0; i < 3; i++) {
        if (part[2][i] != "rwx"[i] && part[2][i] != '-') {
            return false;
        }
        entry->permissions = entry->permissions << 1 | (part[2][i] != '-');
    }
    bool named = lengths[1] > 0;
    if (is(part[0], lengths[0], "user", "u")) {
        entry->tag = named ? ACL_USER : ACL_USER_OBJ;
    } else if (is(part[0], lengths[0], "group", "g")) {
        entry->tag = named ? ACL_GROUP : ACL_GROUP_OBJ;
    } else if (!named && is(part[0], lengths[0], "mask", "m")) {
        entry->tag = ACL_MASK;
    } else if (!named && is(part[0], lengths[0], "other", "o")) {
        entry->tag = ACL_OTHER;
    } else {
        return false;
    }
    entry->id = UINT32_MAX;
    if (!named) {
        return parts == 3;
    }
    return parts == 4 ? id_read(part[3], lengths[3], &entry->id) : id_read(part[1], lengths[1], &entry->id);
}

static int entry_order(const void *one, const void *other) {
    const struct acl_entry *a = one, *b = other;
    return a->tag != b->tag ? (a->tag > b->tag) - (a->tag < b->tag) : (a->id > b->id) - (a->id < b->id);
}

static void put(struct xattr *to, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) {
        to->value[to->length++] = (uint8_t)(value >> (8 * i));
    }
}

/* The attribute system.posix_acl_...: version 2, then tag, permissions and id of each entry. */
static bool acl_read(struct xattr *to, const char *text, size_t length) {
    struct acl_entry entries[ACL_ENTRIES];
    size_t count = 0;
    for (size_t begin = 0; begin < length;) {
        size_t end = begin;
        while (end < length && text[end] != ',' && text[end] != '\n') {
            end++;
        }
        if (end > begin) {
            if (count == ACL_ENTRIES || !entry_read(&entries[count++], text + begin, end - begin)) {
                return false;
            }
        }
        begin = end + 1;
    }
    qsort(entries, count, sizeof *entries, entry_order);
    unsigned tags = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && entry_order(&entries[i - 1], &entries[i]) == 0) {
            return false;
        }
        tags |= entries[i].tag;
    }
    unsigned basis = ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER;
    if ((tags & basis) != basis || ((tags & (ACL_USER | ACL_GROUP)) != 0 && (tags & ACL_MASK) == 0)) {
        return false;
    }
    if (tags == basis) {
        return true;
    }
    put(to, 2, 4);
    for (size_t i = 0; i < count; i++) {
        put(to, entries[i].tag, 2);
        put(to, entries[i].permissions, 2);
        put(to, entries[i].id, 4);
    }
    return true;
}

bool xattr_read(struct xattr *xattr, const struct tar_xattr *from) {
    xattr->length = 0;
    switch (from->form) {
    case TAR_XATTR_RAW:
        if (from->name_length < 1 || from->name_length >= sizeof xattr->name || from->length > sizeof xattr->value ||
            memchr(from->name, '\0', from->name_length) != NULL) {
            return false;
        }
        memcpy(xattr->name, from->name, from->name_length);
        xattr->name[from->name_length] = '\0';
        memcpy(xattr->value, from->value, from->length);
        xattr->length = from->length;
        return true;
    case TAR_XATTR_BASE64:
        return name_decoded(xattr, from->name, from->name_length) && base64_decoded(xattr, from->value, from->length);
    case TAR_XATTR_ACL_ACCESS:
        strcpy(xattr->name, "system.posix_acl_access");
        return acl_read(xattr, (const char *)from->value, from->length);
    case TAR_XATTR_ACL_DEFAULT:
        strcpy(xattr->name, "system.posix_acl_default");
        return acl_read(xattr, (const char *)from->value, from->length);
    }
    return false;
}
