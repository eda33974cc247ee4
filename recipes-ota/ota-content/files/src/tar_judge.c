/* SPDX-License-Identifier: MIT */
/* Whether an archive makes a system: /etc, /sbin/init and a kernel in /boot, found as they will be found in it, through links. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "tar.h"

enum { LINKS_LIMIT = 4 << 20, FOLLOWED_LIMIT = 40, FILE_BLOCK = 4096, INODE = 256, REPLACED_LIMIT = 256 };

/* All symbolic links: name and text, each ended by a zero, one after the other. The last one of a name counts. */
struct links {
    char *text;
    size_t length, room;
};

static int link_added(struct links *links, const char *name, const char *text, struct reason *reason) {
    size_t first = strlen(name) + 1, second = strlen(text) + 1;
    if (links->length + first + second > LINKS_LIMIT) {
        return fail(reason, CODE_FORMAT, "the tar archive has more than %d bytes of symbolic links", LINKS_LIMIT);
    }
    if (links->length + first + second > links->room) {
        char *grown = array_grown(links->text, &links->room, links->length + first + second, 1, LINKS_LIMIT);
        if (grown == NULL) {
            return fail(reason, CODE_RESOURCES, "no memory for the symbolic links of the archive");
        }
        links->text = grown;
    }
    memcpy(links->text + links->length, name, first);
    memcpy(links->text + links->length + first, text, second);
    links->length += first + second;
    return 0;
}

static const char *link_text(const struct links *links, const char *name) {
    const char *text = NULL;
    for (size_t at = 0; at < links->length;) {
        const char *found = links->text + at;
        const char *its_text = found + strlen(found) + 1;
        if (strcmp(found, name) == 0) {
            text = its_text;
        }
        at = (size_t)(its_text + strlen(its_text) + 1 - links->text);
    }
    return text;
}

/* What a path of the new system is, with all links followed; an absolute link means the new root. */
static enum tar_entry resolved(const struct tar_names *names, const struct links *links, const char *path) {
    static char here[TAR_NAME_LIMIT + 1], rest[2 * TAR_NAME_LIMIT + 2], next[2 * TAR_NAME_LIMIT + 2];
    size_t length = 0;
    enum tar_entry entry = TAR_ENTRY_DIRECTORY;
    snprintf(rest, sizeof rest, "%s", path);
    here[0] = '\0';
    for (int followed = 0; rest[0] != '\0';) {
        char *slash = strchr(rest, '/');
        size_t part = slash != NULL ? (size_t)(slash - rest) : strlen(rest);
        size_t behind = slash != NULL ? part + 1 : part;
        if (part == 0 || (part == 1 && rest[0] == '.')) {
            /* Nothing, or here. */
        } else if (part == 2 && memcmp(rest, "..", 2) == 0) {
            char *last = strrchr(here, '/');
            length = last != NULL ? (size_t)(last - here) : 0;
            here[length] = '\0';
            entry = TAR_ENTRY_DIRECTORY;
        } else {
            if (entry != TAR_ENTRY_DIRECTORY || length + 1 + part > TAR_NAME_LIMIT) {
                return TAR_ENTRY_NONE;
            }
            size_t parent = length;
            if (length > 0) {
                here[length++] = '/';
            }
            memcpy(here + length, rest, part);
            length += part;
            here[length] = '\0';
            entry = tar_names_find(names, here, length);
            if (entry == TAR_ENTRY_NONE) {
                return TAR_ENTRY_NONE;
            }
            if (entry == TAR_ENTRY_SYMLINK) {
                const char *text = link_text(links, here);
                if (text == NULL || ++followed > FOLLOWED_LIMIT ||
                    (size_t)snprintf(next, sizeof next, "%s/%s", text, rest + behind) >= sizeof next) {
                    return TAR_ENTRY_NONE;
                }
                length = text[0] == '/' ? 0 : parent;
                here[length] = '\0';
                entry = TAR_ENTRY_DIRECTORY;
                memcpy(rest, next, strlen(next) + 1);
                continue;
            }
        }
        memmove(rest, rest + behind, strlen(rest + behind) + 1);
    }
    return entry;
}

static uint64_t blocks(uint64_t bytes) {
    return (bytes + FILE_BLOCK - 1) / FILE_BLOCK * FILE_BLOCK;
}

/* Bytes of the file system that this member takes; those of its content are counted as they come. */
static uint64_t taken(const struct tar_member *member) {
    /* Its entry in a directory. */
    uint64_t bytes = 8 + (strlen(member->name) + 3) / 4 * 4 / 4;
    if (member->kind != TAR_LINK) {
        bytes += INODE;
    }
    if (member->kind == TAR_DIRECTORY || (member->kind == TAR_SYMLINK && strlen(member->link) > 59) || member->xattr_count > 0) {
        bytes += FILE_BLOCK;
    }
    return bytes;
}

static int content_counted(struct tar *tar, const struct tar_member *member, struct tar_judgement *judgement, struct reason *reason) {
    uint64_t offset, block = UINT64_MAX;
    const uint8_t *data;
    size_t count;
    if (!member->sparse) {
        judgement->content_bytes += blocks(member->size);
        return 0;
    }
    for (;;) {
        int code = tar_data(tar, &offset, &data, &count, reason);
        if (code != 0 || count == 0) {
            return code;
        }
        /* A block that two pieces share is one. */
        uint64_t first = offset / FILE_BLOCK, last = (offset + count - 1) / FILE_BLOCK;
        judgement->content_bytes += (last - first + (first == block ? 0 : 1)) * FILE_BLOCK;
        block = last;
    }
}

struct places {
    const struct tar_names *names;
    const struct links *links;
};

static enum system_entry place_of(void *self, const char *path) {
    const struct places *places = self;
    switch (resolved(places->names, places->links, path)) {
    case TAR_ENTRY_NONE: return SYSTEM_NONE;
    case TAR_ENTRY_DIRECTORY: return SYSTEM_DIRECTORY;
    case TAR_ENTRY_FILE: return SYSTEM_FILE;
    case TAR_ENTRY_PROGRAM: return SYSTEM_PROGRAM;
    default: return SYSTEM_OTHER;
    }
}

int tar_judge(struct tar_input input, struct tar_judgement *judgement, struct reason *reason) {
    struct links links = {0};
    struct tar *tar = NULL;
    const struct tar_member *member;
    uint64_t replaced, replacements = 0;
    memset(judgement, 0, sizeof *judgement);
    judgement->lack.what = "";
    struct tar_names *names = tar_names_new();
    int code = names != NULL ? tar_open(&tar, input, reason) : fail(reason, CODE_RESOURCES, "no memory to judge the archive");
    while (code == 0 && (code = tar_next(tar, &member, reason)) == 0 && member != NULL) {
        if ((code = tar_names_add(names, member, &replaced, reason)) != 0) {
            break;
        }
        if (replaced != TAR_NOT_REPLACED && member->kind != TAR_DIRECTORY && ++replacements > REPLACED_LIMIT) {
            code = fail(reason, CODE_FORMAT, "the tar archive has more than %d members that later ones replace", REPLACED_LIMIT);
            break;
        }
        judgement->members++;
        judgement->content_bytes += taken(member);
        if (judgement->needs[0] == '\0' && member->needs[0] != '\0') {
            snprintf(judgement->needs, sizeof judgement->needs, "%s (member %.150s)", member->needs, member->name);
        }
        if (member->kind == TAR_SYMLINK) {
            code = link_added(&links, member->name, member->link, reason);
        } else if (member->kind == TAR_LINK && tar_names_find(names, member->name, strlen(member->name)) == TAR_ENTRY_SYMLINK) {
            static char text[TAR_NAME_LIMIT + 1];
            const char *its_text = link_text(&links, member->link);
            snprintf(text, sizeof text, "%s", its_text != NULL ? its_text : "");
            code = link_added(&links, member->name, text, reason);
        } else if (member->kind == TAR_FILE) {
            judgement->files++;
            if (member->size > judgement->largest_file) {
                judgement->largest_file = member->size;
            }
            code = content_counted(tar, member, judgement, reason);
        }
    }
    if (code == 0) {
        struct places places = {names, &links};
        system_judged(place_of, &places, &judgement->lack);
        judgement->memory = tar_names_memory(names) + links.room;
    }
    tar_close(tar);
    tar_names_free(names);
    free(links.text);
    return code;
}
