/* SPDX-License-Identifier: MIT */
/*
 * Which names an archive has, in 16 bytes each: a keyed hash of the name, the number of its last member, and what it is. Whoever
 * makes an archive does not know the key, so he cannot make two names that look the same.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tar.h"

enum { NAMES_LIMIT = 1 << 20, FIRST_ROOM = 1024, IMPLICIT = 1, LINKED = 2 };

struct slot {
    uint64_t hash; /* 0: free */
    uint32_t ordinal;
    uint8_t entry; /* enum tar_entry */
    uint8_t flags;
};

struct tar_names {
    struct slot *slots;
    size_t count, room; /* room is a power of two */
    uint64_t key[2];
    size_t parent_length;
    char parent[TAR_NAME_LIMIT + 1]; /* is known to be a directory */
};

/* ---- SipHash-2-4 ---- */

static uint64_t turned(uint64_t value, int by) {
    return value << by | value >> (64 - by);
}

static void rounds(uint64_t v[4], int count) {
    while (count-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = turned(v[1], 13) ^ v[0];
        v[3] = turned(v[3], 16) ^ v[2];
        v[0] = turned(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = turned(v[1], 17) ^ v[2];
        v[3] = turned(v[3], 21) ^ v[0];
        v[2] = turned(v[2], 32);
    }
}

static uint64_t hashed(const struct tar_names *names, const char *text, size_t length) {
    uint64_t v[4] = {names->key[0] ^ UINT64_C(0x736f6d6570736575), names->key[1] ^ UINT64_C(0x646f72616e646f6d),
                     names->key[0] ^ UINT64_C(0x6c7967656e657261), names->key[1] ^ UINT64_C(0x7465646279746573)};
    uint64_t word = 0;
    for (size_t i = 0; i < length; i++) {
        word |= (uint64_t)(uint8_t)text[i] << (i % 8 * 8);
        if (i % 8 == 7) {
            v[3] ^= word;
            rounds(v, 2);
            v[0] ^= word;
            word = 0;
        }
    }
    word |= (uint64_t)length << 56;
    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
    v[2] ^= 0xff;
    rounds(v, 4);
    uint64_t hash = v[0] ^ v[1] ^ v[2] ^ v[3];
    return hash != 0 ? hash : 1;
}

/* ---- the table ---- */

struct tar_names *tar_names_new(void) {
    struct tar_names *names = calloc(1, sizeof *names);
    if (names == NULL) {
        return NULL;
    }
    names->room = FIRST_ROOM;
    names->slots = calloc(names->room, sizeof *names->slots);
    if (names->slots == NULL || getrandom(names->key, sizeof names->key, 0) != (ssize_t)sizeof names->key) {
        tar_names_free(names);
        return NULL;
    }
    return names;
}

void tar_names_free(struct tar_names *names) {
    if (names != NULL) {
        free(names->slots);
        free(names);
    }
}

uint64_t tar_names_memory(const struct tar_names *names) {
    return sizeof *names + names->room * sizeof *names->slots;
}

/* The slot of this hash, or the free one where it would be. */
static struct slot *place(struct slot *slots, size_t room, uint64_t hash) {
    size_t at = (size_t)hash & (room - 1);
    while (slots[at].hash != 0 && slots[at].hash != hash) {
        at = (at + 1) & (room - 1);
    }
    return &slots[at];
}

static struct slot *found(const struct tar_names *names, const char *name, size_t length) {
    struct slot *slot = place(names->slots, names->room, hashed(names, name, length));
    return slot->hash != 0 ? slot : NULL;
}

static int added(struct tar_names *names, const char *name, size_t length, uint64_t ordinal, enum tar_entry entry, uint8_t flags,
                 struct reason *reason) {
    if (names->count >= NAMES_LIMIT) {
        return fail(reason, CODE_FORMAT, "the tar archive has more than %d names", NAMES_LIMIT);
    }
    if (names->count >= names->room / 4 * 3) {
        struct slot *slots = calloc(names->room * 2, sizeof *slots);
        if (slots == NULL) {
            return fail(reason, CODE_RESOURCES, "no memory for the %zu names of the archive", names->count);
        }
        for (size_t i = 0; i < names->room; i++) {
            if (names->slots[i].hash != 0) {
                *place(slots, names->room * 2, names->slots[i].hash) = names->slots[i];
            }
        }
        free(names->slots);
        names->slots = slots;
        names->room *= 2;
    }
    uint64_t hash = hashed(names, name, length);
    *place(names->slots, names->room, hash) =
        (struct slot){.hash = hash, .ordinal = (uint32_t)ordinal, .entry = (uint8_t)entry, .flags = flags};
    names->count++;
    return 0;
}

enum tar_entry tar_names_find(const struct tar_names *names, const char *name, size_t length) {
    const struct slot *slot = length == 0 ? NULL : found(names, name, length);
    if (length == 0) {
        return TAR_ENTRY_DIRECTORY;
    }
    return slot != NULL ? (enum tar_entry)slot->entry : TAR_ENTRY_NONE;
}

/* All above this name are directories; those that no member has made are made by whoever unpacks. */
static int parents_added(struct tar_names *names, const char *name, struct reason *reason) {
    const char *last = strrchr(name, '/');
    size_t length = last != NULL ? (size_t)(last - name) : 0;
    if (length == names->parent_length && memcmp(name, names->parent, length) == 0) {
        return 0;
    }
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t part = (size_t)(slash - name);
        const struct slot *slot = found(names, name, part);
        if (slot == NULL) {
            int code = added(names, name, part, 0, TAR_ENTRY_DIRECTORY, IMPLICIT, reason);
            if (code != 0) {
                return code;
            }
        } else if (slot->entry != TAR_ENTRY_DIRECTORY) {
            return fail(reason, CODE_FORMAT, "the tar archive has the member %.150s beneath %.*s, which is %s in it", name,
                        (int)(part < 150 ? part : 150), name,
                        slot->entry == TAR_ENTRY_SYMLINK ? "a symbolic link" : "no directory");
        }
    }
    memcpy(names->parent, name, length);
    names->parent_length = length;
    return 0;
}

int tar_names_add(struct tar_names *names, const struct tar_member *member, uint64_t *replaced, struct reason *reason) {
    enum tar_entry entry = member->kind == TAR_DIRECTORY                      ? TAR_ENTRY_DIRECTORY
                           : member->kind == TAR_SYMLINK                      ? TAR_ENTRY_SYMLINK
                           : member->kind != TAR_FILE || member->size == 0    ? TAR_ENTRY_OTHER
                           : (member->mode & 0111) != 0                       ? TAR_ENTRY_PROGRAM
                                                                              : TAR_ENTRY_FILE;
    uint8_t flags = 0;
    size_t length = strlen(member->name);
    int code;
    *replaced = TAR_NOT_REPLACED;
    if (member->ordinal >= UINT32_MAX) {
        return fail(reason, CODE_FORMAT, "the tar archive has too many members");
    }
    if (length > 0 && (code = parents_added(names, member->name, reason)) != 0) {
        return code;
    }
    if (member->kind == TAR_LINK) {
        struct slot *target = member->link[0] != '\0' ? found(names, member->link, strlen(member->link)) : NULL;
        if (target == NULL || target->entry == TAR_ENTRY_DIRECTORY || strcmp(member->link, member->name) == 0) {
            return fail(reason, CODE_CORRUPT, "the tar archive is damaged: %.150s is another name of %.150s, which %s", member->name,
                        member->link, target == NULL ? "is not in it before" : "cannot have one");
        }
        target->flags |= LINKED;
        entry = (enum tar_entry)target->entry;
        flags = LINKED;
    }
    /* The root is a name as well, which no parents lead to. */
    struct slot *slot = found(names, member->name, length);
    if (slot == NULL) {
        return added(names, member->name, length, member->ordinal, entry, flags, reason);
    }
    if ((slot->entry == TAR_ENTRY_DIRECTORY) != (entry == TAR_ENTRY_DIRECTORY)) {
        return fail(reason, CODE_FORMAT, "the tar archive has %.150s twice, as a directory and as something else", member->name);
    }
    if (slot->flags & LINKED) {
        return fail(reason, CODE_FORMAT, "the tar archive has %.150s twice, and other names of it", member->name);
    }
    if (!(slot->flags & IMPLICIT)) {
        *replaced = slot->ordinal;
    }
    slot->ordinal = (uint32_t)member->ordinal;
    slot->entry = (uint8_t)entry;
    slot->flags = flags;
    return 0;
}
