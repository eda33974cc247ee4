/* SPDX-License-Identifier: MIT */
/* For the tests, by LD_PRELOAD: what can go wrong between the content engine and the kernel, at a place that the test names.
 *
 *   OTA_FAULT=pause:N   when N bytes are written: `reached` into /tmp/reached, then waits for a line from /tmp/go, once
 *   OTA_FAULT=fail:N    from N bytes on every write fails as that of a medium that is worn out
 *   OTA_FAULT=lose:N    the write that passes N bytes reports success and does nothing
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static size_t written, limit;
static char kind;

__attribute__((constructor)) static void begun(void) {
    const char *fault = getenv("OTA_FAULT");
    const char *number = fault == NULL ? NULL : strchr(fault, ':');
    if (number != NULL) {
        kind = fault[0];
        limit = strtoul(number + 1, NULL, 10);
    }
}

static void paused(void) {
    char line[16];
    int reached = open("/tmp/reached", O_WRONLY), go;
    if (reached < 0 || write(reached, "reached\n", 8) != 8 || (go = open("/tmp/go", O_RDONLY)) < 0 || read(go, line, sizeof line) < 0) {
        abort();
    }
}

/* 0: to be done; 1: not, but it looks so; -1: an error. */
static int met(size_t size) {
    size_t before = written;
    if (kind == 0) {
        return 0;
    }
    written += size;
    if (kind == 'f' && written > limit) {
        errno = EIO;
        return -1;
    }
    if (before <= limit && written > limit) {
        if (kind == 'p') {
            paused();
        }
        return kind == 'l' ? 1 : 0;
    }
    return 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    int fault = met(size);
    if (real == NULL) {
        real = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    }
    return fault != 0 ? (fault > 0 ? (ssize_t)size : -1) : real(fd, bytes, size, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    static ssize_t (*real)(int, const struct iovec *, int, off64_t);
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        size += parts[i].iov_len;
    }
    int fault = met(size);
    if (real == NULL) {
        real = (ssize_t(*)(int, const struct iovec *, int, off64_t))dlsym(RTLD_NEXT, "pwritev64");
    }
    return fault != 0 ? (fault > 0 ? (ssize_t)size : -1) : real(fd, parts, count, offset);
}

ssize_t write(int fd, const void *bytes, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    int fault = fd == 1 ? met(size) : 0;
    if (real == NULL) {
        real = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    }
    return fault != 0 ? (fault > 0 ? (ssize_t)size : -1) : real(fd, bytes, size);
}
