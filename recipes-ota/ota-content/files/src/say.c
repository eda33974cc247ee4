/* SPDX-License-Identifier: MIT */
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int fail(struct reason *reason, int code, const char *format, ...) {
    va_list values;
    va_start(values, format);
    reason->code = code;
    vsnprintf(reason->text, sizeof reason->text, format, values);
    va_end(values);
    return code;
}

int fail_errno(struct reason *reason, int code, const char *format, ...) {
    const char *why = strerror(errno);
    va_list values;
    va_start(values, format);
    reason->code = code;
    int length = vsnprintf(reason->text, sizeof reason->text, format, values);
    va_end(values);
    if (length >= 0 && (size_t)length < sizeof reason->text) {
        snprintf(reason->text + length, sizeof reason->text - (size_t)length, ": %s", why);
    }
    return code;
}

void say_reason(const struct reason *reason) {
    char line[sizeof reason->text + 1];
    size_t length = 0;
    for (const char *at = reason->text; *at != '\0'; at++) {
        line[length++] = (unsigned char)*at < ' ' || *at == 127 ? ' ' : *at;
    }
    line[length++] = '\n';
    /* In one piece, for others write there too. */
    ssize_t ignored = write(STDERR_FILENO, line, length);
    (void)ignored;
}

void say_fact(FILE *out, const char *key, const char *value) {
    fputs(key, out);
    fputc('=', out);
    for (const char *at = value; *at != '\0'; at++) {
        fputc(*at >= ' ' && *at <= '~' && strchr("\"'`\\$", *at) == NULL ? *at : '?', out);
    }
    fputc('\n', out);
}

void say_number(FILE *out, const char *key, uint64_t value) {
    fprintf(out, "%s=%llu\n", key, (unsigned long long)value);
}

void hex(char *text, const unsigned char *bytes, size_t size) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * size] = '\0';
}

static uint64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void progress_line(struct progress *progress, uint64_t bytes, uint64_t written, uint64_t copied) {
    char line[200];
    int length = snprintf(line, sizeof line, "{\"phase\":\"%s\",\"percent\":%u,\"bytes\":%llu,\"written\":%llu,\"copied\":%llu}\n",
                          progress->phase, progress->percent, (unsigned long long)bytes, (unsigned long long)written,
                          (unsigned long long)copied);
    struct pollfd ready = {.fd = progress->fd, .events = POLLOUT};
    /* Writable means room for a whole line in a pipe. */
    if (length > 0 && poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0) {
        ssize_t ignored = write(progress->fd, line, (size_t)length);
        (void)ignored;
    }
}

void progress_begin(struct progress *progress, int fd, const char *phase, uint64_t total) {
    *progress = (struct progress){.fd = fd, .phase = phase, .total = total == 0 ? 1 : total};
    if (fd >= 0) {
        progress->said_at = milliseconds();
        progress_line(progress, 0, 0, 0);
    }
}

void progress_step(struct progress *progress, uint64_t bytes, uint64_t written, uint64_t copied) {
    if (progress->fd < 0) {
        return;
    }
    /* No overflow: 100 * 2^56 is 64 PiB. */
    unsigned percent = bytes >= progress->total ? 99 : (unsigned)(bytes * 100 / progress->total);
    if (percent <= progress->percent) {
        return;
    }
    uint64_t now = milliseconds();
    if (now - progress->said_at < 200) {
        return;
    }
    progress->percent = percent;
    progress->said_at = now;
    progress_line(progress, bytes, written, copied);
}

void progress_end(struct progress *progress, uint64_t bytes, uint64_t written, uint64_t copied) {
    if (progress->fd >= 0) {
        progress->percent = 100;
        progress_line(progress, bytes, written, copied);
    }
}

bool progress_fd_understood(const char *text, int *fd) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 || value > 1023 || fcntl((int)value, F_GETFD) < 0) {
        return false;
    }
    *fd = (int)value;
    return true;
}
