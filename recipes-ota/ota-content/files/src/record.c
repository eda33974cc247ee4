/* SPDX-License-Identifier: MIT */
#include "record.h"

#include "array.h"
#include "facts.h"
#include "tagger.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of 16 TiB in pieces of 64 KiB; a file that says more is no record. */
#define COUNT_LIMIT (UINT64_C(1) << 28)

/* The file: this, then the tags. Written and read by the same program on the same machine. */
struct head {
    char magic[8];
    uint64_t piece, bytes, count;
    unsigned char key[TAG_KEY];
};
static const char magic[8] = "otarec1";

struct record {
    struct head head;
    unsigned char (*tags)[TAG];
    size_t room;
    bool closed; /* a short piece was the last */
    struct tagger *tagger;
};

static int record_made(struct record **made, struct reason *reason) {
    struct record *record = calloc(1, sizeof *record);
    if (record == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for a record of what was read");
    }
    record->tagger = tagger_new();
    if (record->tagger == NULL) {
        record_free(record);
        return fail(reason, CODE_UNEXPECTED, "libcrypto offers no Poly1305, which the record of what was read needs");
    }
    *made = record;
    return 0;
}

int record_new(struct record **record, size_t piece, struct reason *reason) {
    int code = record_made(record, reason);
    if (code != 0) {
        return code;
    }
    memcpy((*record)->head.magic, magic, sizeof magic);
    (*record)->head.piece = piece;
    if (RAND_priv_bytes((*record)->head.key, TAG_KEY) != 1) {
        record_free(*record);
        *record = NULL;
        return fail(reason, CODE_UNEXPECTED, "libcrypto draws no random numbers");
    }
    return 0;
}

void record_free(struct record *record) {
    if (record != NULL) {
        tagger_free(record->tagger);
        free(record->tags);
        OPENSSL_cleanse(&record->head, sizeof record->head);
        free(record);
    }
}

int record_add(struct record *record, const void *data, size_t size, struct reason *reason) {
    if (size == 0 || size > record->head.piece || record->closed) {
        return fail(reason, CODE_UNEXPECTED, "a piece of %zu bytes does not fit into a record of %llu", size,
                    (unsigned long long)record->head.piece);
    }
    if (record->head.count == record->room) {
        if (record->room >= COUNT_LIMIT) {
            return fail(reason, CODE_TOO_BIG, "more than %zu pieces cannot be recorded", record->room);
        }
        void *tags = array_grown(record->tags, &record->room, record->room + 1, TAG, COUNT_LIMIT);
        if (tags == NULL) {
            return fail(reason, CODE_RESOURCES, "no memory for a record of more than %zu pieces", record->room);
        }
        record->tags = tags;
    }
    if (!tagged(record->tagger, record->head.key, data, size, record->tags[record->head.count])) {
        return fail(reason, CODE_UNEXPECTED, "libcrypto computes no Poly1305");
    }
    record->head.count++;
    record->head.bytes += size;
    record->closed = size < record->head.piece;
    return 0;
}

bool record_knows(struct record *record, uint64_t index, const void *data, size_t size) {
    unsigned char tag[TAG];
    if (index >= record->head.count) {
        return false;
    }
    uint64_t left = record->head.bytes - index * record->head.piece;
    return size == (left < record->head.piece ? left : record->head.piece) && tagged(record->tagger, record->head.key, data, size, tag) &&
           CRYPTO_memcmp(tag, record->tags[index], TAG) == 0;
}

size_t record_piece(const struct record *record) { return (size_t)record->head.piece; }
uint64_t record_bytes(const struct record *record) { return record->head.bytes; }
uint64_t record_count(const struct record *record) { return record->head.count; }

int record_save(const struct record *record, const char *folder, const char *name, struct reason *reason) {
    char path[512];
    if (!path_in(path, sizeof path, folder, name)) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
    }
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno(reason, CODE_RESOURCES, "%s cannot be written", path);
    }
    bool good = bytes_written(fd, &record->head, sizeof record->head) && bytes_written(fd, record->tags, (size_t)record->head.count * TAG);
    good = close(fd) == 0 && good;
    if (!good) {
        int code = fail_errno(reason, CODE_RESOURCES, "%s cannot be written", path);
        unlink(path);
        return code;
    }
    return 0;
}

int record_parse(struct record **parsed, const unsigned char *bytes, size_t size, struct reason *reason) {
    struct head head;
    *parsed = NULL;
    if (size < sizeof head) {
        return fail(reason, CODE_UNEXPECTED, "the record of what was read has %zu bytes", size);
    }
    memcpy(&head, bytes, sizeof head);
    if (memcmp(head.magic, magic, sizeof magic) != 0 || head.piece == 0 || head.piece > (1U << 24) || head.count > COUNT_LIMIT ||
        head.count > (SIZE_MAX - sizeof head) / TAG || size != sizeof head + (size_t)head.count * TAG ||
        head.bytes > head.count * head.piece || (head.count > 0 && head.bytes <= (head.count - 1) * head.piece)) {
        return fail(reason, CODE_UNEXPECTED, "the record of what was read is not understood");
    }
    struct record *record;
    int code = record_made(&record, reason);
    if (code != 0) {
        return code;
    }
    record->head = head;
    record->room = (size_t)head.count;
    record->closed = true;
    if (head.count > 0) {
        record->tags = malloc((size_t)head.count * TAG);
        if (record->tags == NULL) {
            record_free(record);
            return fail(reason, CODE_RESOURCES, "no memory for a record of %llu pieces", (unsigned long long)head.count);
        }
        memcpy(record->tags, bytes + sizeof head, (size_t)head.count * TAG);
    }
    *parsed = record;
    return 0;
}

int record_load(struct record **record, const char *folder, const char *name, struct reason *reason) {
    char path[512];
    struct stat info;
    *record = NULL;
    if (!path_in(path, sizeof path, folder, name)) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
    }
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        int code = fail_errno(reason, CODE_UNEXPECTED, "%s, which an earlier step leaves, cannot be read", path);
        if (fd >= 0) {
            close(fd);
        }
        return code;
    }
    uint64_t size = (uint64_t)info.st_size;
    unsigned char *bytes = size > SIZE_MAX ? NULL : malloc(size == 0 ? 1 : (size_t)size);
    if (bytes == NULL) {
        close(fd);
        return fail(reason, CODE_RESOURCES, "no memory to read %s", path);
    }
    size_t have = 0;
    ssize_t got;
    while (have < size && (got = read(fd, bytes + have, (size_t)size - have)) > 0) {
        have += (size_t)got;
    }
    close(fd);
    int code = record_parse(record, bytes, have, reason);
    free(bytes);
    return code;
}
