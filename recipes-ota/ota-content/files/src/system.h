/* SPDX-License-Identifier: MIT */
/* What a system must have, whatever it comes as: /etc, /sbin/init, and a kernel in /boot that the boot script starts. */
#ifndef SYSTEM_H
#define SYSTEM_H

#include <stddef.h>

/* A system that has this file is mounted read-only, with an overlay of its own on /etc. */
#define SYSTEM_READ_ONLY "boot/ota-read-only"

/* A file and a program, which may be executed, hold something; an empty file is something else. */
enum system_entry { SYSTEM_NONE, SYSTEM_DIRECTORY, SYSTEM_FILE, SYSTEM_PROGRAM, SYSTEM_OTHER };

struct system_lack {
    const char *what; /* "etc", "init", "kernel", or empty */
    char reason[320];
};

/* entry: what a path is with all links followed, as the new system will follow them. */
void system_judged(enum system_entry (*entry)(void *self, const char *path), void *self, struct system_lack *lack);

#endif
