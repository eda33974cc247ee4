/* SPDX-License-Identifier: MIT */
/* index: on a build host, makes the block index and the payload of a bundle from the image on standard input. */
#include "commands.h"
#include "facts.h"
#include "maker.h"

#include <string.h>

static int file_made(FILE **file, const char *name, struct reason *reason) {
    *file = fopen(name, "wbe");
    return *file == NULL ? fail_errno(reason, CODE_WRITE, "%s cannot be written", name) : 0;
}

static int file_ended(FILE *file, const char *name, int code, struct reason *reason) {
    if (file != NULL && fclose(file) != 0 && code == 0) {
        return fail_errno(reason, CODE_WRITE, "%s cannot be written", name);
    }
    return code;
}

static void say_hash(const char *key, const uint8_t hash[32]) {
    char text[65];
    hex(text, hash, 32);
    say_fact(stdout, key, text);
}

int cmd_index(int argc, char **argv, struct reason *reason) {
    struct maker maker = {.prefix_blocks = -1};
    const char *index_name = NULL, *payload_name = NULL;
    FILE *index = NULL, *payload = NULL;
    for (int i = 1; i < argc; i += 2) {
        uint64_t number = 0;
        if (i + 1 >= argc) {
            return fail(reason, CODE_USAGE, "%s: expected something after %s", argv[0], argv[i]);
        }
        if (strcmp(argv[i], "--index") == 0) {
            index_name = argv[i + 1];
        } else if (strcmp(argv[i], "--payload") == 0) {
            payload_name = argv[i + 1];
        } else if (!number_understood(argv[i + 1], &number) || number > 100000) {
            return fail(reason, CODE_USAGE, "%s: expected a number after %s, found %s", argv[0], argv[i], argv[i + 1]);
        } else if (strcmp(argv[i], "--level") == 0) {
            maker.level = (int)number;
        } else if (strcmp(argv[i], "--threads") == 0) {
            maker.threads = (uint32_t)number;
        } else if (strcmp(argv[i], "--frame-blocks") == 0) {
            maker.frame_blocks = (uint32_t)number;
        } else if (strcmp(argv[i], "--prefix-blocks") == 0) {
            maker.prefix_blocks = (int32_t)number;
        } else if (strcmp(argv[i], "--group-frames") == 0) {
            maker.group_frames = (uint32_t)number;
        } else if (strcmp(argv[i], "--hash-bytes") == 0) {
            maker.hash_bytes = (size_t)number;
        } else {
            return fail(reason, CODE_USAGE, "%s: %s is not known", argv[0], argv[i]);
        }
    }
    if (index_name == NULL || payload_name == NULL) {
        return fail(reason, CODE_USAGE, "%s: expected --index FILE and --payload FILE", argv[0]);
    }
    int code = file_made(&index, index_name, reason);
    if (code == 0) {
        code = file_made(&payload, payload_name, reason);
    }
    if (code == 0) {
        code = maker_run(&maker, stdin, index, payload, reason);
    }
    code = file_ended(index, index_name, code, reason);
    code = file_ended(payload, payload_name, code, reason);
    if (code == 0) {
        say_number(stdout, "rootfs_bytes", maker.image_bytes);
        say_hash("rootfs_sha256", maker.image_sha256);
        say_number(stdout, "image_bytes", maker.payload_bytes);
        say_hash("image_sha256", maker.payload_sha256);
        say_number(stdout, "index_bytes", maker.index_bytes);
        say_hash("index_sha256", maker.index_sha256);
        say_number(stdout, "data_blocks", maker.data_blocks);
        say_number(stdout, "frames", maker.frames);
    }
    return code;
}
