/* SPDX-License-Identifier: MIT */
/* What goes out: reasons for people, facts for the shell, progress for programs. */
#ifndef SAY_H
#define SAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The exit codes of sysupgrade --help. */
enum {
    CODE_UNEXPECTED = 1,
    CODE_USAGE = 2,
    CODE_UNREADABLE = 3,
    CODE_FORMAT = 4,
    CODE_CORRUPT = 5,
    CODE_SIGNATURE = 6,
    CODE_INCOMPATIBLE = 7,
    CODE_TOO_BIG = 8,
    CODE_WRITE = 13,
    CODE_DIFFERS = 14,
    CODE_PLACE = 15,
    CODE_HEADER = 18,
    CODE_RESOURCES = 21,
    CODE_NEEDS_MORE = 22,
    CODE_KEY = 23,
};

/* Why something failed. Functions that can fail return 0 or a code, and say why in here; nothing below main ends the process. */
struct reason {
    int code;
    char text[400];
};

/* Returns code. What the text holds of foreign bytes is made printable when it is shown. */
int fail(struct reason *reason, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with ": " and what errno says. */
int fail_errno(struct reason *reason, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* One line on standard error. */
void say_reason(const struct reason *reason);

/* KEY=VALUE; whatever is no plain printable character, or means something to a shell, becomes a question mark. */
void say_fact(FILE *out, const char *key, const char *value);
void say_number(FILE *out, const char *key, uint64_t value);

/* Lower-case hexadecimal with a final zero, 2 * size + 1 bytes. */
void hex(char *text, const unsigned char *bytes, size_t size);

/* JSON lines {"phase":..,"percent":..,"bytes":..,"written":..,"copied":..}, at most one for each percent and for each 200 ms. A
 * reader that stops reading loses lines, and stops nothing. */
struct progress {
    int fd; /* -1: nobody wants to know */
    const char *phase;
    uint64_t total;
    unsigned percent;
    uint64_t said_at;
};

void progress_begin(struct progress *progress, int fd, const char *phase, uint64_t total);
void progress_step(struct progress *progress, uint64_t bytes, uint64_t written, uint64_t copied);
void progress_end(struct progress *progress, uint64_t bytes, uint64_t written, uint64_t copied);

/* The number of --progress-fd N; false when it is none, or not open. */
bool progress_fd_understood(const char *text, int *fd);

#endif
