/* SPDX-License-Identifier: MIT */
/* The payload: a range of the image, which is open already and has no name here.
 *
 * Its owner may change the image at any time. The first pass reads each byte once, hashes it and records a tag of each chunk; every
 * later pass reads a chunk into memory of its own, compares it with the tag, and only then hands it out. So what is used is what
 * was judged, and a change is an error of the later pass.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include "cipher.h"
#include "record.h"
#include "say.h"

#include <openssl/evp.h>
#include <stddef.h>
#include <sys/types.h>

#define CHUNK 131072
#define IMAGE_FD 8
#define HEADER_FD 7

/* Where the bytes come from: reads like pread(2), sets errno. */
struct provider {
    ssize_t (*read_at)(void *context, void *buffer, size_t size, uint64_t offset);
    void *context;
};

struct source {
    struct provider from;
    uint64_t offset, bytes; /* the payload in the image */
    uint64_t position;      /* of the next chunk, in the payload */
    struct record *chunks;
    bool verifies;          /* chunks are compared with the record, otherwise recorded */
    size_t shown;           /* bytes of the first chunk that was only looked at */
    EVP_MD_CTX *sha256; /* of the first pass */
    unsigned char hash[32];
    unsigned char *chunk;
    /* Of one that is encrypted: what is hashed, recorded and handed out is what it was before. */
    bool is_encrypted;
    struct content_key key;
    uint64_t cipher_offset;
};

/* Descriptor 8, or any other one. The size is that of the file. */
int provider_of_fd(struct provider *from, int fd, uint64_t *bytes, struct reason *reason);

/* Before its first byte is read: it is encrypted, as from that place of a payload on. */
void source_decrypts(struct source *source, const struct content_key *key, uint64_t cipher_offset);
/* The first pass. With hashes set the SHA-256 of the payload is in `hash` when the last chunk was read. */
int source_records(struct source *source, struct provider from, uint64_t offset, uint64_t bytes, bool hashes, struct reason *reason);
/* A later pass, of a source of the first pass that is complete. */
int source_verifies(struct source *source, struct reason *reason);
/* A later pass in another process: with FOLDER/chunks as source_save left it. */
int source_loads(struct source *source, struct provider from, uint64_t offset, uint64_t bytes, const char *folder, struct reason *reason);
int source_save(const struct source *source, const char *folder, struct reason *reason);
void source_close(struct source *source);

/* The next chunk, good until the next call; size 0 at the end. */
int source_next(struct source *source, const unsigned char **data, size_t *size, struct reason *reason);
/* The first chunk, which the next source_next gives again. Before the first source_next. */
int source_peek(struct source *source, const unsigned char **data, size_t *size, struct reason *reason);
/* Verifying sources only: chunk number `index`, in any order. */
int source_chunk(struct source *source, uint64_t index, const unsigned char **data, size_t *size, struct reason *reason);

#endif
