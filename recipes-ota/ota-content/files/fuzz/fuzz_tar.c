/* SPDX-License-Identifier: MIT */
/* An archive of a root file system: each member, its content, and what is judged of all. */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "sums.h"
#include "tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a program that unpacks relies on. */
static void sound(const struct tar_member *member) {
    for (const char *part = member->name; part != NULL;) {
        const char *slash = strchr(part, '/');
        size_t length = slash != NULL ? (size_t)(slash - part) : strlen(part);
        if ((length == 0 && part != member->name) || (length == 2 && memcmp(part, "..", 2) == 0) || (length == 1 && *part == '.')) {
            abort();
        }
        part = slash != NULL ? slash + 1 : NULL;
    }
    if (member->name[0] == '/' || (member->mode & ~07777U) != 0 || (member->kind != TAR_FILE && member->size != 0)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory = {.bytes = data, .size = size};
    struct tar_input input = {.read = memory_read, .self = &memory};
    struct tar_judgement judgement;
    struct reason reason = {0}, other = {0};
    struct tar *tar;
    const struct tar_member *member = NULL;
    uint64_t members = 0;
    int judged = tar_judge(input, &judgement, &reason);
    if (judged != 0 && ((judged != 4 && judged != 5) || reason.text[0] == '\0')) {
        abort();
    }
    memory.at = 0;
    int code = tar_open(&tar, input, &other);
    while (code == 0 && (code = tar_next(tar, &member, &other)) == 0 && member != NULL) {
        uint64_t offset, end = 0;
        const uint8_t *piece;
        size_t count = 0;
        sound(member);
        members++;
        while ((code = tar_data(tar, &offset, &piece, &count, &other)) == 0 && count > 0) {
            if (offset < end || offset + count > member->size) {
                abort();
            }
            end = offset + count;
        }
    }
    /* Reading all content changes nothing in what is read. */
    if (judged == 0 && (code != 0 || members != judgement.members)) {
        abort();
    }
    tar_close(tar);
    return 0;
}
