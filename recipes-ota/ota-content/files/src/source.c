/* SPDX-License-Identifier: MIT */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char record_name[] = "chunks";

static ssize_t fd_read_at(void *context, void *buffer, size_t size, uint64_t offset) {
    return pread((int)(intptr_t)context, buffer, size, (off_t)offset);
}

int provider_of_fd(struct provider *from, int fd, uint64_t *bytes, struct reason *reason) {
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return fail_errno(reason, CODE_UNREADABLE, "the image is not open on descriptor %d", fd);
    }
    if (!S_ISREG(info.st_mode)) {
        return fail(reason, CODE_UNREADABLE, "the image on descriptor %d is not a regular file", fd);
    }
    *from = (struct provider){.read_at = fd_read_at, .context = (void *)(intptr_t)fd};
    *bytes = (uint64_t)info.st_size;
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return 0;
}

static int source_made(struct source *source, struct provider from, uint64_t offset, uint64_t bytes, struct reason *reason) {
    *source = (struct source){.from = from, .offset = offset, .bytes = bytes};
    if (bytes == 0) {
        return fail(reason, CODE_UNREADABLE, "the image is empty");
    }
    if (bytes > INT64_MAX || offset > INT64_MAX - bytes) {
        return fail(reason, CODE_CORRUPT, "the image cannot have %llu bytes", (unsigned long long)bytes);
    }
    source->chunk = malloc(CHUNK);
    if (source->chunk == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory to read the image");
    }
    return 0;
}

int source_records(struct source *source, struct provider from, uint64_t offset, uint64_t bytes, bool hashes, struct reason *reason) {
    int code = source_made(source, from, offset, bytes, reason);
    if (code == 0) {
        code = record_new(&source->chunks, CHUNK, reason);
    }
    if (code == 0 && hashes) {
        source->sha256 = EVP_MD_CTX_new();
        if (source->sha256 == NULL || EVP_DigestInit_ex(source->sha256, EVP_sha256(), NULL) != 1) {
            code = fail(reason, CODE_UNEXPECTED, "libcrypto offers no SHA-256");
        }
    }
    if (code != 0) {
        source_close(source);
    }
    return code;
}

int source_verifies(struct source *source, struct reason *reason) {
    if (record_bytes(source->chunks) != source->bytes) {
        return fail(reason, CODE_UNEXPECTED, "%llu of %llu bytes of the image are recorded", (unsigned long long)record_bytes(source->chunks),
                    (unsigned long long)source->bytes);
    }
    source->verifies = true;
    source->position = 0;
    source->shown = 0;
    return 0;
}

int source_loads(struct source *source, struct provider from, uint64_t offset, uint64_t bytes, const char *folder, struct reason *reason) {
    int code = source_made(source, from, offset, bytes, reason);
    if (code == 0) {
        code = record_load(&source->chunks, folder, record_name, reason);
    }
    if (code == 0 && record_piece(source->chunks) != CHUNK) {
        code = fail(reason, CODE_UNEXPECTED, "the record of the image has pieces of %zu bytes, expected %d", record_piece(source->chunks), CHUNK);
    }
    if (code == 0) {
        code = source_verifies(source, reason);
    }
    if (code != 0) {
        source_close(source);
    }
    return code;
}

int source_save(const struct source *source, const char *folder, struct reason *reason) {
    return record_save(source->chunks, folder, record_name, reason);
}

void source_close(struct source *source) {
    record_free(source->chunks);
    EVP_MD_CTX_free(source->sha256);
    free(source->chunk);
    source->chunks = NULL;
    source->sha256 = NULL;
    source->chunk = NULL;
    OPENSSL_cleanse(&source->key, sizeof source->key);
}

void source_decrypts(struct source *source, const struct content_key *key, uint64_t cipher_offset) {
    source->is_encrypted = true;
    source->key = *key;
    source->cipher_offset = cipher_offset;
}

static int chunk_read(struct source *source, uint64_t position, size_t size, struct reason *reason) {
    size_t have = 0;
    while (have < size) {
        ssize_t got = source->from.read_at(source->from.context, source->chunk + have, size - have, source->offset + position + have);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(reason, CODE_UNREADABLE, "the image cannot be read at byte %llu",
                              (unsigned long long)(source->offset + position + have));
        }
        if (got == 0) {
            return fail(reason, CODE_CORRUPT, "the image ends at byte %llu, expected %llu: it became shorter while it was read",
                        (unsigned long long)(source->offset + position + have), (unsigned long long)(source->offset + source->bytes));
        }
        have += (size_t)got;
    }
    return source->is_encrypted ? cipher_applied(&source->key, source->chunk, size, source->cipher_offset + position, reason) : 0;
}

int source_chunk(struct source *source, uint64_t index, const unsigned char **data, size_t *size, struct reason *reason) {
    if (!source->verifies || index > (source->bytes - 1) / CHUNK) {
        return fail(reason, CODE_UNEXPECTED, "the image has no chunk %llu that is recorded", (unsigned long long)index);
    }
    uint64_t position = index * CHUNK, left = source->bytes - position;
    *size = left < CHUNK ? (size_t)left : CHUNK;
    *data = source->chunk;
    int code = chunk_read(source, position, *size, reason);
    if (code == 0 && !record_knows(source->chunks, index, source->chunk, *size)) {
        code = fail(reason, CODE_CORRUPT, "the image changed after it was checked, at byte %llu to %llu",
                    (unsigned long long)(source->offset + position), (unsigned long long)(source->offset + position + *size));
    }
    return code;
}

int source_next(struct source *source, const unsigned char **data, size_t *size, struct reason *reason) {
    uint64_t left = source->bytes - source->position;
    *data = source->chunk;
    if (source->shown > 0) {
        *size = source->shown;
        source->shown = 0;
        return 0;
    }
    *size = left < CHUNK ? (size_t)left : CHUNK;
    if (left == 0) {
        return 0;
    }
    int code;
    if (source->verifies) {
        code = source_chunk(source, source->position / CHUNK, data, size, reason);
    } else {
        code = chunk_read(source, source->position, *size, reason);
        if (code == 0) {
            code = record_add(source->chunks, source->chunk, *size, reason);
        }
        if (code == 0 && source->sha256 != NULL &&
            (EVP_DigestUpdate(source->sha256, source->chunk, *size) != 1 ||
             (left == *size && EVP_DigestFinal_ex(source->sha256, source->hash, NULL) != 1))) {
            code = fail(reason, CODE_UNEXPECTED, "libcrypto computes no SHA-256");
        }
    }
    if (code == 0) {
        source->position += *size;
    }
    return code;
}

int source_peek(struct source *source, const unsigned char **data, size_t *size, struct reason *reason) {
    if (source->position != 0) {
        return fail(reason, CODE_UNEXPECTED, "the beginning of the image was read already");
    }
    int code = source_next(source, data, size, reason);
    source->shown = code == 0 ? *size : 0;
    return code;
}
