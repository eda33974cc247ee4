/* SPDX-License-Identifier: MIT */
/* What both programs answer when they are asked how they are used. */
#ifndef OTA_BOOT_LOADER_HELP_H
#define OTA_BOOT_LOADER_HELP_H

#include <stdio.h>
#include <string.h>

/* -1 if nobody asked, else the exit status: the answer was said, or could not be. */
static inline int help_said(int count, char **words, const char *usage) {
    if (count != 2 || (strcmp(words[1], "-h") != 0 && strcmp(words[1], "--help") != 0)) {
        return -1;
    }
    return fputs(usage, stdout) < 0 || fflush(stdout) != 0 ? 1 : 0;
}

#endif
