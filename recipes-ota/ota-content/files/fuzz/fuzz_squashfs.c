/* SPDX-License-Identifier: MIT */
/* The superblock, all inodes and the folders that lead to what a system must have. */
#include <stdlib.h>

#include "memory.h"
#include "squashfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_part(void *self, uint64_t offset, void *to, size_t count, struct reason *reason) {
    return memory_read_at(self, offset, to, count) == 0 ? 0 : fail(reason, CODE_CORRUPT, "it ends");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory = {.bytes = data, .size = size};
    struct squashfs squashfs;
    struct squashfs_judgement judgement;
    struct reason reason = {0};
    int code = squashfs_read(&squashfs, data, size, size, &reason);
    if (code == 0 && squashfs.judged) {
        code = squashfs_judge(&squashfs, (struct squashfs_bytes){.read = read_part, .self = &memory}, &judgement, &reason);
    }
    if (code != 0 && ((code != 4 && code != 5) || reason.text[0] == '\0')) {
        abort();
    }
    return 0;
}
