/* SPDX-License-Identifier: MIT */
#include "writes.h"

#include "array.h"
#include "facts.h"
#include "index.h"
#include "tagger.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The file: this, then the runs, ascending. Written and read by the same program on the same machine. */
struct head {
    char magic[8];
    uint64_t count;
    uint8_t key[TAG_KEY];
};
static const char magic[8] = "otawrt1";
static const char file_name[] = "writes";

struct noted {
    uint32_t block, count;
    uint8_t tag[TAG];
};

struct writes_reader {
    const struct writes *writes;
    struct tagger *tagger;
    size_t next; /* the run that the last answer came from, or the one behind it */
};

struct writes {
    struct head head;
    struct noted *runs;
    size_t room;
    struct writes_reader *writer;
};

struct writes_reader *writes_reader_new(const struct writes *writes) {
    struct writes_reader *reader = calloc(1, sizeof *reader);
    if (reader != NULL) {
        reader->writes = writes;
        reader->tagger = tagger_new();
        if (reader->tagger == NULL) {
            writes_reader_free(reader);
            reader = NULL;
        }
    }
    return reader;
}

void writes_reader_free(struct writes_reader *reader) {
    if (reader != NULL) {
        tagger_free(reader->tagger);
        free(reader);
    }
}

static bool run_tagged(const struct writes_reader *reader, const uint8_t *bytes, uint32_t count, uint8_t tag[TAG]) {
    return tagged(reader->tagger, reader->writes->head.key, bytes, (size_t)count * BLOCK, tag);
}

int writes_new(struct writes **made, struct reason *reason) {
    struct writes *writes = calloc(1, sizeof *writes);
    *made = writes;
    if (writes == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for a record of what is written");
    }
    memcpy(writes->head.magic, magic, sizeof magic);
    writes->writer = writes_reader_new(writes);
    if (writes->writer == NULL || RAND_priv_bytes(writes->head.key, TAG_KEY) != 1) {
        return fail(reason, CODE_UNEXPECTED, "libcrypto offers no Poly1305 or no random numbers, which the record of what is written needs");
    }
    return 0;
}

void writes_free(struct writes *writes) {
    if (writes != NULL) {
        writes_reader_free(writes->writer);
        free(writes->runs);
        OPENSSL_cleanse(&writes->head, sizeof writes->head);
        free(writes);
    }
}

static bool room_made(struct writes *writes) {
    if (writes->head.count < writes->room) {
        return true;
    }
    struct noted *runs = array_grown(writes->runs, &writes->room, writes->room + 1, sizeof *runs, SIZE_MAX);
    if (runs != NULL) {
        writes->runs = runs;
    }
    return runs != NULL;
}

int writes_add(struct writes *writes, uint32_t block, uint32_t count, const uint8_t *bytes, struct reason *reason) {
    while (count > 0 && writes->head.count < WRITES_LIMIT) {
        uint32_t left = WRITES_PIECE - block % WRITES_PIECE, part = count < left ? count : left;
        if (!room_made(writes)) {
            return fail(reason, CODE_RESOURCES, "no memory for a record of what is written");
        }
        struct noted *run = &writes->runs[writes->head.count];
        *run = (struct noted){.block = block, .count = part};
        if (!run_tagged(writes->writer, bytes, part, run->tag)) {
            return fail(reason, CODE_UNEXPECTED, "libcrypto computes no Poly1305");
        }
        writes->head.count++;
        block += part;
        count -= part;
        bytes += (size_t)part * BLOCK;
    }
    return 0;
}

static int by_block(const void *one, const void *other) {
    uint32_t a = ((const struct noted *)one)->block, b = ((const struct noted *)other)->block;
    return (a > b) - (a < b);
}

/* A block that was written twice is known by neither: SHA-256 decides. */
static void ordered(struct writes *writes) {
    size_t kept = 0, count = (size_t)writes->head.count;
    uint64_t end = 0;
    if (count > 0) {
        qsort(writes->runs, count, sizeof *writes->runs, by_block);
    }
    for (size_t i = 0; i < count; i++) {
        struct noted run = writes->runs[i];
        bool meets = run.block < end || (i + 1 < count && writes->runs[i + 1].block < (uint64_t)run.block + run.count);
        end = (uint64_t)run.block + run.count > end ? (uint64_t)run.block + run.count : end;
        if (!meets) {
            writes->runs[kept++] = run;
        }
    }
    writes->head.count = kept;
}

int writes_save(struct writes *writes, const char *folder, struct reason *reason) {
    char path[512];
    if (!path_in(path, sizeof path, folder, file_name)) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
    }
    ordered(writes);
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && bytes_written(fd, &writes->head, sizeof writes->head) &&
                bytes_written(fd, writes->runs, (size_t)writes->head.count * sizeof *writes->runs);
    if (fd >= 0) {
        good = close(fd) == 0 && good;
    }
    if (!good) {
        int code = fail_errno(reason, CODE_RESOURCES, "%s cannot be written", path);
        unlink(path);
        return code;
    }
    return 0;
}

static bool are_runs(const struct writes *writes) {
    uint64_t end = 0;
    for (size_t i = 0; i < writes->head.count; i++) {
        const struct noted *run = &writes->runs[i];
        if (run->block < end || run->count < 1 || run->count > WRITES_PIECE - run->block % WRITES_PIECE) {
            return false;
        }
        end = (uint64_t)run->block + run->count;
    }
    return true;
}

int writes_parse(struct writes **parsed, const uint8_t *bytes, size_t size, struct reason *reason) {
    struct writes *writes = calloc(1, sizeof *writes);
    *parsed = writes;
    if (writes == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for a record of what was written");
    }
    if (size >= sizeof writes->head) {
        memcpy(&writes->head, bytes, sizeof writes->head);
    }
    uint64_t count = writes->head.count;
    bool good = memcmp(writes->head.magic, magic, sizeof magic) == 0 && count <= WRITES_LIMIT &&
                size == sizeof writes->head + (size_t)count * sizeof *writes->runs;
    writes->head.count = good ? count : 0;
    if (good && count > 0) {
        writes->runs = malloc((size_t)count * sizeof *writes->runs);
        good = writes->runs != NULL;
        if (good) {
            memcpy(writes->runs, bytes + sizeof writes->head, (size_t)count * sizeof *writes->runs);
        }
    }
    if (!good || !are_runs(writes)) {
        writes_free(writes);
        *parsed = NULL;
        return fail(reason, CODE_UNEXPECTED, "the record of what was written is not understood");
    }
    return 0;
}

int writes_load(struct writes **writes, const char *folder, struct reason *reason) {
    char path[512];
    size_t most = sizeof(struct head) + (size_t)WRITES_LIMIT * sizeof(struct noted), have = 0;
    *writes = NULL;
    if (!path_in(path, sizeof path, folder, file_name)) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
    }
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? 0 : fail_errno(reason, CODE_UNEXPECTED, "%s, which an earlier step leaves, cannot be read", path);
    }
    off_t end = lseek(fd, 0, SEEK_END);
    size_t size = end < 0 || (uint64_t)end > most ? 0 : (size_t)end;
    uint8_t *bytes = malloc(size + 1);
    ssize_t got;
    while (bytes != NULL && have < size && (got = pread(fd, bytes + have, size - have, (off_t)have)) > 0) {
        have += (size_t)got;
    }
    close(fd);
    int code = bytes == NULL ? fail(reason, CODE_RESOURCES, "no memory to read %s", path) : writes_parse(writes, bytes, have, reason);
    free(bytes);
    return code;
}

/* The run that begins at `block`, or NULL. */
static const struct noted *run_at(struct writes_reader *reader, uint32_t block) {
    const struct writes *writes = reader->writes;
    size_t count = (size_t)writes->head.count, low = 0, high = count;
    if (reader->next >= count || writes->runs[reader->next].block != block) {
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (writes->runs[middle].block < block) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        reader->next = low;
    }
    return reader->next < count && writes->runs[reader->next].block == block ? &writes->runs[reader->next] : NULL;
}

uint32_t writes_known(struct writes_reader *reader, uint32_t block, uint32_t count, const uint8_t *bytes) {
    uint8_t tag[TAG];
    const struct noted *run = run_at(reader, block);
    if (run == NULL || run->count > count || !run_tagged(reader, bytes, run->count, tag) || CRYPTO_memcmp(tag, run->tag, TAG) != 0) {
        return 0;
    }
    reader->next++;
    return run->count;
}
