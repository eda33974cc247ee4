/* SPDX-License-Identifier: MIT */
/* attributes FROM TO: capabilities, access lists and other extended attributes of one file for another, all of them and no others. */
#include "commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

/* Of the kernel: XATTR_LIST_MAX and XATTR_SIZE_MAX. */
#define BYTES_LIMIT 65536

/* Names, each ended by a zero; a file system without attributes has none. */
static int names_read(const char *path, char *names, ssize_t *size, struct reason *reason) {
    *size = llistxattr(path, names, BYTES_LIMIT);
    if (*size < 0 && errno == ENOTSUP) {
        *size = 0;
    }
    return *size < 0 ? fail_errno(reason, CODE_UNEXPECTED, "the attributes of %.200s cannot be read", path) : 0;
}

static bool is_among(const char *name, const char *names, ssize_t size) {
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
        if (strcmp(names + at, name) == 0) {
            return true;
        }
    }
    return false;
}

static int attributes_copied(const char *from, const char *to, char *names, char *others, char *value, struct reason *reason) {
    ssize_t size, other_size;
    int code = names_read(from, names, &size, reason);
    if (code == 0) {
        code = names_read(to, others, &other_size, reason);
    }
    /* What a new file gets from the folder that it is made in. */
    for (ssize_t at = 0; code == 0 && at < other_size; at += (ssize_t)strlen(others + at) + 1) {
        if (!is_among(others + at, names, size) && lremovexattr(to, others + at) != 0 && errno != ENODATA) {
            code = fail_errno(reason, CODE_UNEXPECTED, "its attribute %.60s cannot be taken away", others + at);
        }
    }
    for (ssize_t at = 0; code == 0 && at < size; at += (ssize_t)strlen(names + at) + 1) {
        ssize_t bytes = lgetxattr(from, names + at, value, BYTES_LIMIT);
        if (bytes < 0) {
            code = fail_errno(reason, CODE_UNEXPECTED, "its attribute %.60s cannot be read", names + at);
        } else if (lsetxattr(to, names + at, value, (size_t)bytes, 0) != 0) {
            code = fail_errno(reason, CODE_UNEXPECTED, "its attribute %.60s is lost, the new file system does not take it", names + at);
        }
    }
    return code;
}

int cmd_attributes(int argc, char **argv, struct reason *reason) {
    if (argc != 3) {
        return fail(reason, CODE_USAGE, "usage: ota-content attributes FROM TO");
    }
    char *memory = malloc(3 * BYTES_LIMIT);
    if (memory == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for attributes");
    }
    int code = attributes_copied(argv[1], argv[2], memory, memory + BYTES_LIMIT, memory + 2 * BYTES_LIMIT, reason);
    free(memory);
    return code;
}
