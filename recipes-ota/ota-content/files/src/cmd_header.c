/* SPDX-License-Identifier: MIT */
/* header: the OTA header, from descriptor 7 into a file of ours. same: whether a file that was placed is what was meant. */
#include "commands.h"
#include "facts.h"
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* It has some hundred bytes. */
#define HEADER_LIMIT ((size_t)1 << 20)

/* Up to `room` bytes from the beginning; false where they cannot be read. */
static bool all_read(int fd, unsigned char *bytes, size_t room, size_t *have) {
    ssize_t got = 1;
    *have = 0;
    while (*have < room && got != 0) {
        got = pread(fd, bytes + *have, room - *have, (off_t)*have);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        *have += got > 0 ? (size_t)got : 0;
    }
    return true;
}

int cmd_header(int argc, char **argv, struct reason *reason) {
    if (argc != 3) {
        return fail(reason, CODE_USAGE, "header needs the file to write, and the header's name for people");
    }
    size_t size = 0;
    unsigned char *bytes = malloc(HEADER_LIMIT + 1);
    int code = 0;
    if (bytes == NULL) {
        code = fail(reason, CODE_RESOURCES, "no memory for a header");
    } else if (!all_read(HEADER_FD, bytes, HEADER_LIMIT + 1, &size)) {
        code = fail_errno(reason, CODE_HEADER, "header %.200s is not readable", argv[2]);
    } else if (size == 0) {
        code = fail(reason, CODE_HEADER, "header %.200s is empty", argv[2]);
    } else if (size > HEADER_LIMIT) {
        code = fail(reason, CODE_HEADER, "header %.200s has more than %zu bytes", argv[2], HEADER_LIMIT);
    }
    if (code == 0) {
        int fd = open(argv[1], O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        bool good = fd >= 0 && bytes_written(fd, bytes, size);
        good = (fd < 0 || close(fd) == 0) && good;
        code = good ? 0 : fail_errno(reason, CODE_RESOURCES, "the copy of the header cannot be written");
    }
    free(bytes);
    return code;
}

/* Opened without following a link: what is meant is the file that was placed. */
static int opened(const char *name, uint64_t *size, struct reason *reason) {
    struct stat info;
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        fail(reason, CODE_PLACE, "%.200s is no file that can be read", name);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    *size = (uint64_t)info.st_size;
    return fd;
}

int cmd_same(int argc, char **argv, struct reason *reason) {
    unsigned char bytes[2][8192];
    uint64_t sizes[2] = {0, 0};
    if (argc != 3) {
        return fail(reason, CODE_USAGE, "same needs two files");
    }
    int meant = opened(argv[1], &sizes[0], reason), placed = meant < 0 ? -1 : opened(argv[2], &sizes[1], reason);
    int code = meant < 0 || placed < 0 ? reason->code : 0;
    bool same = code == 0 && sizes[0] == sizes[1];
    if (code == 0) {
        /* From the medium, as far as the file system lets us. */
        fsync(placed);
        posix_fadvise(placed, 0, 0, POSIX_FADV_DONTNEED);
    }
    for (uint64_t at = 0; same && at < sizes[0];) {
        size_t size = sizes[0] - at < sizeof bytes[0] ? (size_t)(sizes[0] - at) : sizeof bytes[0];
        same = pread(meant, bytes[0], size, (off_t)at) == (ssize_t)size && pread(placed, bytes[1], size, (off_t)at) == (ssize_t)size &&
               memcmp(bytes[0], bytes[1], size) == 0;
        at += size;
    }
    if (code == 0 && !same) {
        code = fail(reason, CODE_PLACE, "%.200s reads back differently", argv[2]);
    }
    if (meant >= 0) {
        close(meant);
    }
    if (placed >= 0) {
        close(placed);
    }
    return code;
}
