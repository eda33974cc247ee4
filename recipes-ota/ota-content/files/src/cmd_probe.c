/* SPDX-License-Identifier: MIT */
/* probe: binary headers as facts, for scripts that only look. */
#include "commands.h"
#include "ext4.h"
#include "slot.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* Copies of 16 MiB are far more than any board has. */
#define ENV_LIMIT (UINT64_C(16) << 20)

static int bytes_read(const char *name, uint64_t offset, unsigned char *bytes, size_t size, struct reason *reason) {
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return fail_errno(reason, CODE_UNREADABLE, "%.150s cannot be read", name);
    }
    size_t have = 0;
    ssize_t got = 0;
    while (have < size && (got = pread(fd, bytes + have, size - have, (off_t)(offset + have))) > 0) {
        have += (size_t)got;
    }
    int code = 0;
    if (got < 0) {
        code = fail_errno(reason, CODE_UNREADABLE, "%.150s cannot be read at byte %llu", name, (unsigned long long)(offset + have));
    } else if (have < size) {
        code = fail(reason, CODE_UNREADABLE, "%.150s ends at byte %llu, before %llu", name, (unsigned long long)(offset + have),
                    (unsigned long long)(offset + size));
    }
    close(fd);
    return code;
}

static bool copy_fits(const unsigned char *bytes, size_t size, size_t header) {
    uint32_t says = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    return says == (uint32_t)crc32(0, bytes + header, (uInt)(size - header));
}

/* Memory of that size with what is in the environment there. To be freed, also after a failure. */
static int env_read(const char *name, uint64_t offset, uint64_t size, uint64_t room, unsigned char **bytes, struct reason *reason) {
    *bytes = malloc((size_t)room);
    if (*bytes == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for an environment of %llu bytes", (unsigned long long)size);
    }
    return bytes_read(name, offset, *bytes, (size_t)size, reason);
}

/* One copy of U-Boot's environment: a CRC-32, where there are two copies a byte that tells the newer one, and the variables. */
static int env_copy_probed(const char *name, uint64_t offset, uint64_t size, unsigned number, bool redundant, struct reason *reason) {
    char key[32];
    unsigned char *bytes;
    int code = env_read(name, offset, size, size, &bytes, reason);
    if (code == 0) {
        size_t begin = redundant ? 5 : 4;
        snprintf(key, sizeof key, "copy%u_crc", number);
        say_fact(stdout, key, copy_fits(bytes, (size_t)size, begin) ? "good" : "bad");
        if (redundant) {
            snprintf(key, sizeof key, "copy%u_flag", number);
            say_number(stdout, key, bytes[4]);
        }
        /* Until two zeros: what is in use. */
        size_t end = begin;
        while (end + 1 < size && (bytes[end] != 0 || bytes[end + 1] != 0)) {
            end++;
        }
        snprintf(key, sizeof key, "copy%u_used", number);
        say_number(stdout, key, end + 1 - begin);
    }
    free(bytes);
    return code;
}

static int place_understood(char **words, uint64_t *offset, uint64_t *size, struct reason *reason) {
    if (!number_understood(words[0], offset) || !number_understood(words[1], size) || *size < 16 || *size > ENV_LIMIT || *offset > INT64_MAX - ENV_LIMIT) {
        return fail(reason, CODE_USAGE, "probe: %.40s and %.40s are no offset and size", words[0], words[1]);
    }
    return 0;
}

static int env_probed(int argc, char **argv, struct reason *reason) {
    if (argc < 3 || argc > 6 || argc % 3 != 0) {
        return fail(reason, CODE_USAGE, "probe env needs FILE OFFSET SIZE, once or for both copies");
    }
    for (int i = 0; i < argc; i += 3) {
        uint64_t offset, size;
        int code = place_understood(argv + i + 1, &offset, &size, reason);
        if (code != 0) {
            return code;
        }
        code = env_copy_probed(argv[i], offset, size, (unsigned)i / 3 + 1, argc == 6, reason);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

static bool all_are(unsigned char value, const unsigned char *bytes, size_t size) { return bytes[0] == value && memcmp(bytes, bytes + 1, size - 1) == 0; }

/* NAME=VALUE lines as fw_printenv shows them, until the first empty one. */
static int variables_written(const char *name, const unsigned char *bytes, size_t size, struct reason *reason) {
    FILE *file = fopen(name, "wbe");
    bool good = file != NULL;
    for (size_t at = 0; good && at < size && bytes[at] != 0;) {
        const unsigned char *end = memchr(bytes + at, 0, size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - bytes) - at;
        good = fwrite(bytes + at, 1, length, file) == length && fputc('\n', file) != EOF;
        at += length + 1;
    }
    good = file != NULL && fclose(file) == 0 && good;
    return good ? 0 : fail_errno(reason, CODE_RESOURCES, "%.150s cannot be written", name);
}

/* One of two copies, and where it is not good, what it is instead: how somebody has it who does not know what its writer does. */
static int env_copy_judged(const char *name, uint64_t offset, uint64_t size, const char *variables, struct reason *reason) {
    static const uint64_t usual[] = {4096, 8192, 16384, 32768, 65536, 131072, 262144};
    uint64_t other = size;
    unsigned char *bytes;
    int code = env_read(name, offset, size, size > usual[6] ? size : usual[6], &bytes, reason);
    if (code == 0 && copy_fits(bytes, (size_t)size, 5)) {
        say_fact(stdout, "state", "good");
        say_number(stdout, "generation", bytes[4]);
        code = variables_written(variables, bytes + 5, (size_t)size - 5, reason);
    } else if (code == 0 && copy_fits(bytes, (size_t)size, 4)) {
        say_fact(stdout, "state", "single");
    } else if (code == 0) {
        const char *state = all_are(0, bytes, (size_t)size) || all_are(0xff, bytes, (size_t)size) ? "blank" : "bad";
        struct reason ends = {0};
        for (size_t i = 0; i < sizeof usual / sizeof *usual && other == size; i++) {
            if (usual[i] != size && bytes_read(name, offset, bytes, (size_t)usual[i], &ends) == 0 &&
                (copy_fits(bytes, (size_t)usual[i], 5) || copy_fits(bytes, (size_t)usual[i], 4))) {
                other = usual[i];
                state = "other-size";
            }
        }
        say_fact(stdout, "state", state);
    }
    if (code == 0) {
        say_number(stdout, "size", other);
    }
    free(bytes);
    return code;
}

static int ext4_probed(const char *name, struct reason *reason) {
    unsigned char head[HELD_BACK];
    struct ext4 ext4;
    int code = bytes_read(name, 0, head, sizeof head, reason);
    if (code == 0) {
        bool blank = head[0] == 0 && memcmp(head, head + 1, sizeof head - 1) == 0;
        say_fact(stdout, "blank", blank ? "yes" : "no");
        if (blank) {
            return fail(reason, CODE_CORRUPT, "%.150s begins with 4 KiB of zeros: an update took the file system away and did not end", name);
        }
        code = ext4_judged(&ext4, head, sizeof head, reason);
    }
    if (code == 0) {
        say_number(stdout, "filesystem_bytes", ext4.bytes);
        say_number(stdout, "block_bytes", ext4.block_bytes);
        say_number(stdout, "free_bytes", ext4.free_bytes);
        say_number(stdout, "features_compat", ext4.compat);
        say_number(stdout, "features_incompat", ext4.incompat);
        say_number(stdout, "features_ro_compat", ext4.ro_compat);
        say_fact(stdout, "checksum", ext4.has_checksum ? "good" : "none");
        say_fact(stdout, "clean", ext4.clean ? "yes" : "no");
        say_fact(stdout, "needs_recovery", ext4.needs_recovery ? "yes" : "no");
        say_fact(stdout, "resize_inode", ext4.resize_inode ? "yes" : "no");
        struct reason why;
        bool bootable = ext4_is_bootable(&ext4, &why) == 0;
        say_fact(stdout, "bootable", bootable ? "yes" : "no");
        if (!bootable) {
            say_fact(stdout, "why_not", why.text);
        }
    }
    return code;
}

int cmd_probe(int argc, char **argv, struct reason *reason) {
    if (argc >= 3 && strcmp(argv[1], "env") == 0) {
        return env_probed(argc - 2, argv + 2, reason);
    }
    if (argc == 6 && strcmp(argv[1], "env-copy") == 0) {
        uint64_t offset, size;
        int code = place_understood(argv + 3, &offset, &size, reason);
        return code == 0 ? env_copy_judged(argv[2], offset, size, argv[5], reason) : code;
    }
    if (argc == 3 && strcmp(argv[1], "ext4") == 0) {
        return ext4_probed(argv[2], reason);
    }
    return fail(reason, CODE_USAGE, "probe env FILE OFFSET SIZE [FILE OFFSET SIZE], probe env-copy FILE OFFSET SIZE VARIABLES, or probe ext4 DEVICE");
}
