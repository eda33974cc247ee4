/* SPDX-License-Identifier: MIT */
/* attributes FROM TO: capabilities, access lists and other extended attributes of one file for another, all of them and no others, and the
 * flags of chattr. Prints `lost=FLAGS` for those of a folder that would not let files be put into it. */
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

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

/* Those that somebody sets, and not the file system itself. */
static const struct flag {
    unsigned bit;
    char letter;
} flags[] = {{FS_APPEND_FL, 'a'}, {FS_NOATIME_FL, 'A'}, {FS_NODUMP_FL, 'd'}, {FS_DIRSYNC_FL, 'D'}, {FS_IMMUTABLE_FL, 'i'}, {FS_SYNC_FL, 'S'}};

/* The flags of a file or folder; nothing else has any, nor have all file systems. */
static unsigned flags_read(int fd, unsigned *others) {
    /* The kernel takes an int, whatever the number of the call says. */
    unsigned found = 0, ours = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &found) != 0) {
        found = 0;
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        ours |= found & flags[i].bit;
    }
    *others = found & ~ours;
    return ours;
}

static void letters_of(unsigned set, char letters[8]) {
    size_t size = 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if ((set & flags[i].bit) != 0) {
            letters[size++] = flags[i].letter;
        }
    }
    letters[size] = '\0';
}

static int flags_set(int from, int to, bool is_folder, struct reason *reason) {
    unsigned ignored, others, wanted = flags_read(from, &ignored), found = flags_read(to, &others);
    char letters[8];
    unsigned closed = is_folder ? wanted & (FS_IMMUTABLE_FL | FS_APPEND_FL) : 0;
    if (closed != 0) {
        letters_of(closed, letters);
        printf("lost=%s\n", letters);
        wanted &= ~closed;
    }
    unsigned all = others | wanted;
    if (wanted != found && ioctl(to, FS_IOC_SETFLAGS, &all) != 0) {
        letters_of(wanted, letters);
        return fail_errno(reason, CODE_UNEXPECTED, "its flags (chattr +%s) are lost, the new file system does not take them", letters);
    }
    return 0;
}

static int flags_copied(const char *from, const char *to, struct reason *reason) {
    struct stat info, other;
    if (lstat(from, &info) != 0 || lstat(to, &other) != 0) {
        return fail_errno(reason, CODE_UNEXPECTED, "%.200s cannot be looked at", from);
    }
    if ((!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) || ((info.st_mode ^ other.st_mode) & S_IFMT) != 0) {
        return 0;
    }
    int from_fd = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int to_fd = from_fd < 0 ? -1 : open(to, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int code = to_fd < 0 ? fail_errno(reason, CODE_UNEXPECTED, "%.200s cannot be opened", from_fd < 0 ? from : to)
                         : flags_set(from_fd, to_fd, S_ISDIR(info.st_mode), reason);
    if (to_fd >= 0) {
        close(to_fd);
    }
    if (from_fd >= 0) {
        close(from_fd);
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
    /* Last: after them nothing may be changed any more. */
    return code != 0 ? code : flags_copied(argv[1], argv[2], reason);
}
