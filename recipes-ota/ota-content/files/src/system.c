/* SPDX-License-Identifier: MIT */
#include "system.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What the boot script starts (o_kernels in boot.cmd.in), and what people take for it. ota-verified says that the kernel is in the signed image
 * behind the file system. */
static const char *const kernels[] = {"Image", "zImage", "uImage", "fitImage", "bzImage", "ota-verified"};
static const char *const no_kernels[] = {"Image.gz", "vmlinuz", "vmlinux"};

static bool is_file(enum system_entry entry) { return entry == SYSTEM_FILE || entry == SYSTEM_PROGRAM; }

void system_judged(enum system_entry (*entry)(void *self, const char *path), void *self, struct system_lack *lack) {
    char path[40];
    lack->what = "";
    lack->reason[0] = '\0';
    if (entry(self, "etc") != SYSTEM_DIRECTORY) {
        lack->what = "etc";
        snprintf(lack->reason, sizeof lack->reason, "the image has no /etc");
        return;
    }
    enum system_entry init = entry(self, "sbin/init");
    if (init != SYSTEM_PROGRAM) {
        lack->what = "init";
        snprintf(lack->reason, sizeof lack->reason, "the image has no /sbin/init%s", init == SYSTEM_FILE ? " that may be executed (its mode)" : "");
        return;
    }
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        snprintf(path, sizeof path, "boot/%s", kernels[i]);
        if (is_file(entry(self, path))) {
            return;
        }
    }
    lack->what = "kernel";
    snprintf(lack->reason, sizeof lack->reason, "the image has no kernel in /boot (one of: Image zImage uImage fitImage bzImage)");
    for (size_t i = 0; i < sizeof no_kernels / sizeof *no_kernels; i++) {
        snprintf(path, sizeof path, "boot/%s", no_kernels[i]);
        if (is_file(entry(self, path))) {
            size_t length = strlen(lack->reason);
            snprintf(lack->reason + length, sizeof lack->reason - length, "; /boot/%s is there, which the boot script does not start",
                     no_kernels[i]);
            return;
        }
    }
}
