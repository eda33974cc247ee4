/* SPDX-License-Identifier: MIT */
#include "maker.h"

#include "array.h"
#include "frame.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum {
    DEFAULT_FRAME_BLOCKS = 1,
    DEFAULT_PREFIX_BLOCKS = 24,
    DEFAULT_GROUP_FRAMES = 512,
    DEFAULT_LEVEL = 9,
    THREADS_LIMIT = 64,
    MAGIC = 4, /* of a zstd frame; not in the payload */
};

/* Frames of one group, compressed by one thread. */
struct batch {
    enum { EMPTY, FILLED, BUSY, DONE } state;
    uint8_t *plain; /* prefix_blocks of what came before, then the blocks of the group */
    uint32_t history, blocks;
    uint8_t *packed;
    size_t packed_bytes;
    uint8_t *hashes, *quick, *sizes;
    uint8_t group[GROUP_HASH];
    struct reason reason;
};

struct work {
    struct maker *maker;
    uint32_t frame_blocks, prefix_blocks, group_frames, threads, group_blocks;
    struct batch *batches;
    uint32_t batch_count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t next_to_take; /* batches are taken in their order */
    bool over;
    /* What goes into the index. */
    struct buffer {
        uint8_t *bytes;
        size_t size, room;
    } runs, hashes, groups, quick, sizes;
    FILE *payload;
    EVP_MD_CTX *payload_sha256;
};

static int no_memory(struct reason *reason) { return fail(reason, CODE_RESOURCES, "no memory for the block index"); }

static int no_sha256(struct reason *reason) { return fail(reason, CODE_UNEXPECTED, "libcrypto computes no SHA-256"); }

static int append(struct buffer *buffer, const void *bytes, size_t size, struct reason *reason) {
    if (size > buffer->room - buffer->size) {
        uint8_t *more = array_grown(buffer->bytes, &buffer->room, buffer->size + size, 1, SIZE_MAX);
        if (more == NULL) {
            return no_memory(reason);
        }
        buffer->bytes = more;
    }
    if (size > 0) {
        memcpy(buffer->bytes + buffer->size, bytes, size);
    }
    buffer->size += size;
    return 0;
}

static int hashed(EVP_MD_CTX *context, const void *bytes, size_t size, uint8_t hash[32], struct reason *reason) {
    if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1 || EVP_DigestUpdate(context, bytes, size) != 1 ||
        EVP_DigestFinal_ex(context, hash, NULL) != 1) {
        return no_sha256(reason);
    }
    return 0;
}

static int frame_packed(ZSTD_CCtx *zstd, struct batch *batch, const uint8_t *prefix, size_t prefix_bytes, const uint8_t *plain, size_t bytes,
                        uint32_t frame, uint8_t *scratch, size_t scratch_bytes) {
    size_t size = ZSTD_CCtx_refPrefix(zstd, prefix, prefix_bytes);
    if (!ZSTD_isError(size)) {
        size = ZSTD_compress2(zstd, scratch, scratch_bytes, plain, bytes);
    }
    if (ZSTD_isError(size)) {
        return fail(&batch->reason, CODE_UNEXPECTED, "libzstd does not compress: %s", ZSTD_getErrorName(size));
    }
    const uint8_t *kept = scratch + MAGIC;
    size -= MAGIC;
    if (size >= bytes) {
        kept = plain;
        size = bytes;
    }
    memcpy(batch->packed + batch->packed_bytes, kept, size);
    batch->packed_bytes += size;
    put16(batch->sizes + (size_t)frame * 2, (uint32_t)size - 1);
    return 0;
}

static int batch_packed(const struct work *work, struct batch *batch, ZSTD_CCtx *zstd, EVP_MD_CTX *sha256, uint8_t *scratch, size_t scratch_bytes) {
    const uint8_t *blocks = batch->plain + (size_t)work->prefix_blocks * BLOCK;
    uint8_t hash[32];
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < batch->blocks; i++) {
        const uint8_t *block = blocks + (size_t)i * BLOCK;
        code = hashed(sha256, block, BLOCK, hash, &batch->reason);
        memcpy(batch->hashes + (size_t)i * work->maker->hash_bytes, hash, work->maker->hash_bytes);
        put32(batch->quick + (size_t)i * 4, quick_hash(block, BLOCK));
    }
    batch->packed_bytes = 0;
    for (uint32_t i = 0; code == 0 && i < batch->blocks; i += work->frame_blocks) {
        uint32_t count = batch->blocks - i < work->frame_blocks ? batch->blocks - i : work->frame_blocks;
        uint32_t before = batch->history + i < work->prefix_blocks ? batch->history + i : work->prefix_blocks;
        const uint8_t *plain = blocks + (size_t)i * BLOCK;
        code = frame_packed(zstd, batch, plain - (size_t)before * BLOCK, (size_t)before * BLOCK, plain, (size_t)count * BLOCK, i / work->frame_blocks,
                            scratch, scratch_bytes);
    }
    return code == 0 ? hashed(sha256, batch->packed, batch->packed_bytes, batch->group, &batch->reason) : code;
}

static void *packer(void *context) {
    struct work *work = context;
    size_t scratch_bytes = ZSTD_compressBound((size_t)work->frame_blocks * BLOCK);
    uint8_t *scratch = malloc(scratch_bytes);
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    EVP_MD_CTX *sha256 = EVP_MD_CTX_new();
    bool ready = scratch != NULL && zstd != NULL && sha256 != NULL &&
                 !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, work->maker->level)) &&
                 !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 0)) &&
                 !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 0)) &&
                 !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_dictIDFlag, 0));
    pthread_mutex_lock(&work->lock);
    for (;;) {
        struct batch *batch = &work->batches[work->next_to_take];
        if (batch->state == FILLED) {
            batch->state = BUSY;
            work->next_to_take = (work->next_to_take + 1) % work->batch_count;
            pthread_mutex_unlock(&work->lock);
            if (!ready) {
                no_memory(&batch->reason);
            } else {
                batch_packed(work, batch, zstd, sha256, scratch, scratch_bytes);
            }
            pthread_mutex_lock(&work->lock);
            batch->state = DONE;
            pthread_cond_broadcast(&work->changed);
        } else if (work->over) {
            break;
        } else {
            pthread_cond_wait(&work->changed, &work->lock);
        }
    }
    pthread_mutex_unlock(&work->lock);
    EVP_MD_CTX_free(sha256);
    ZSTD_freeCCtx(zstd);
    free(scratch);
    return NULL;
}

/* Waits for a batch and puts what it holds where it goes; nothing if it is empty. */
static int batch_taken(struct work *work, struct batch *batch, struct reason *reason) {
    pthread_mutex_lock(&work->lock);
    bool filled = batch->state != EMPTY;
    while (filled && batch->state != DONE) {
        pthread_cond_wait(&work->changed, &work->lock);
    }
    batch->state = EMPTY;
    pthread_mutex_unlock(&work->lock);
    if (!filled) {
        return 0;
    }
    if (batch->reason.code != 0) {
        *reason = batch->reason;
        return reason->code;
    }
    size_t frames = (batch->blocks + work->frame_blocks - 1) / work->frame_blocks;
    int code = append(&work->hashes, batch->hashes, batch->blocks * work->maker->hash_bytes, reason);
    if (code == 0) {
        code = append(&work->quick, batch->quick, (size_t)batch->blocks * 4, reason);
    }
    if (code == 0) {
        code = append(&work->sizes, batch->sizes, frames * 2, reason);
    }
    if (code == 0) {
        code = append(&work->groups, batch->group, GROUP_HASH, reason);
    }
    if (code == 0 && EVP_DigestUpdate(work->payload_sha256, batch->packed, batch->packed_bytes) != 1) {
        code = no_sha256(reason);
    }
    if (code == 0 && fwrite(batch->packed, 1, batch->packed_bytes, work->payload) != batch->packed_bytes) {
        code = fail_errno(reason, CODE_WRITE, "the payload cannot be written");
    }
    work->maker->payload_bytes += batch->packed_bytes;
    return code;
}

static void batch_given(struct work *work, struct batch *batch) {
    pthread_mutex_lock(&work->lock);
    batch->state = FILLED;
    pthread_cond_broadcast(&work->changed);
    pthread_mutex_unlock(&work->lock);
}


struct reader {
    struct work *work;
    uint32_t block, batch, run_first, run_count, history;
    uint64_t data_blocks;
};

static int run_ended(struct reader *reader, struct reason *reason) {
    uint8_t run[8];
    if (reader->run_count == 0) {
        return 0;
    }
    put32(run, reader->run_first);
    put32(run + 4, reader->run_count);
    reader->run_count = 0;
    return append(&reader->work->runs, run, sizeof run, reason);
}

/* The next batch, which begins with the end of the one before. */
static int batch_begun(struct reader *reader, struct reason *reason) {
    struct work *work = reader->work;
    struct batch *last = &work->batches[reader->batch], *next;
    size_t history = (size_t)work->prefix_blocks * BLOCK;
    reader->batch = (reader->batch + 1) % work->batch_count;
    next = &work->batches[reader->batch];
    int code = batch_taken(work, next, reason);
    if (code == 0) {
        reader->history = reader->history + last->blocks < work->prefix_blocks ? reader->history + last->blocks : work->prefix_blocks;
        next->history = reader->history;
        next->blocks = 0;
        /* Others only read what is there. */
        memcpy(next->plain, last->plain + (size_t)last->blocks * BLOCK, history);
        batch_given(work, last);
    }
    return code;
}

static int block_read(struct reader *reader, const uint8_t *block, struct reason *reason) {
    struct work *work = reader->work;
    struct batch *batch = &work->batches[reader->batch];
    int code = 0;
    if (is_zero(block, BLOCK)) {
        reader->block++;
        return run_ended(reader, reason);
    }
    if (batch->blocks == work->group_blocks) {
        code = batch_begun(reader, reason);
        batch = &work->batches[reader->batch];
    }
    if (code == 0) {
        memcpy(batch->plain + (size_t)(work->prefix_blocks + batch->blocks) * BLOCK, block, BLOCK);
        batch->blocks++;
        if (reader->run_count == 0) {
            reader->run_first = reader->block;
        }
        reader->run_count++;
        reader->block++;
        reader->data_blocks++;
    }
    return code;
}

static int image_read(struct work *work, FILE *image, struct reason *reason) {
    enum { PIECE = 64 * BLOCK };
    struct reader reader = {.work = work};
    uint8_t *piece = malloc(PIECE);
    EVP_MD_CTX *sha256 = EVP_MD_CTX_new();
    int code = 0;
    if (piece == NULL || sha256 == NULL || EVP_DigestInit_ex(sha256, EVP_sha256(), NULL) != 1) {
        code = no_memory(reason);
    }
    for (size_t got = PIECE; code == 0 && got == PIECE;) {
        got = fread(piece, 1, PIECE, image);
        if (ferror(image)) {
            code = fail_errno(reason, CODE_UNREADABLE, "the image cannot be read");
        } else if (EVP_DigestUpdate(sha256, piece, got) != 1) {
            code = no_sha256(reason);
        }
        work->maker->image_bytes += got;
        if (code == 0 && work->maker->image_bytes > IMAGE_LIMIT) {
            code = fail(reason, CODE_TOO_BIG, "the image has more than %llu bytes", (unsigned long long)IMAGE_LIMIT);
        }
        size_t whole = (got + BLOCK - 1) / BLOCK * BLOCK;
        memset(piece + got, 0, whole - got);
        for (size_t at = 0; code == 0 && at < whole; at += BLOCK) {
            code = block_read(&reader, piece + at, reason);
        }
    }
    if (code == 0) {
        code = run_ended(&reader, reason);
    }
    if (code == 0 && EVP_DigestFinal_ex(sha256, work->maker->image_sha256, NULL) != 1) {
        code = no_sha256(reason);
    }
    if (code == 0 && (work->maker->image_bytes < BLOCK || reader.data_blocks == 0)) {
        code = fail(reason, CODE_FORMAT, "the image has %llu bytes and nothing but zeros", (unsigned long long)work->maker->image_bytes);
    }
    if (code == 0) {
        work->maker->data_blocks = (uint32_t)reader.data_blocks;
        batch_given(work, &work->batches[reader.batch]);
        for (uint32_t i = 1; code == 0 && i <= work->batch_count; i++) {
            code = batch_taken(work, &work->batches[(reader.batch + i) % work->batch_count], reason);
        }
    }
    EVP_MD_CTX_free(sha256);
    free(piece);
    return code;
}

static int index_written(struct work *work, FILE *file, struct reason *reason) {
    struct maker *maker = work->maker;
    struct index made = {
        .image_bytes = maker->image_bytes,
        .payload_bytes = maker->payload_bytes,
        .runs = (uint32_t)(work->runs.size / 8),
        .data_blocks = maker->data_blocks,
        .frames = (uint32_t)(work->sizes.size / 2),
        .groups = (uint32_t)(work->groups.size / GROUP_HASH),
        .frame_blocks = work->frame_blocks,
        .prefix_blocks = work->prefix_blocks,
        .group_frames = work->group_frames,
        .hash_bytes = maker->hash_bytes,
    };
    struct buffer whole = {0};
    uint8_t header[INDEX_HEADER];
    index_write_header(header, &made);
    int code = append(&whole, header, sizeof header, reason);
    const struct buffer *sections[] = {&work->runs, &work->hashes, &work->groups, &work->quick, &work->sizes};
    for (size_t i = 0; code == 0 && i < sizeof sections / sizeof *sections; i++) {
        code = append(&whole, sections[i]->bytes, sections[i]->size, reason);
    }
    struct index read;
    if (code == 0) {
        /* A device must be able to read it. */
        code = index_read(&read, whole.bytes, whole.size, reason);
    }
    if (code == 0) {
        maker->frames = read.frames;
        index_free(&read);
        EVP_MD_CTX *sha256 = EVP_MD_CTX_new();
        code = sha256 == NULL ? no_memory(reason) : hashed(sha256, whole.bytes, whole.size, maker->index_sha256, reason);
        EVP_MD_CTX_free(sha256);
    }
    if (code == 0 && fwrite(whole.bytes, 1, whole.size, file) != whole.size) {
        code = fail_errno(reason, CODE_WRITE, "the block index cannot be written");
    }
    maker->index_bytes = whole.size;
    free(whole.bytes);
    return code;
}

static bool understood(struct work *work) {
    struct maker *maker = work->maker;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    work->threads = maker->threads != 0 ? maker->threads : processors > 0 ? (uint32_t)processors : 1;
    work->threads = work->threads < THREADS_LIMIT ? work->threads : THREADS_LIMIT;
    work->frame_blocks = maker->frame_blocks != 0 ? maker->frame_blocks : DEFAULT_FRAME_BLOCKS;
    work->prefix_blocks = maker->prefix_blocks >= 0 ? (uint32_t)maker->prefix_blocks : DEFAULT_PREFIX_BLOCKS;
    work->group_frames = maker->group_frames != 0 ? maker->group_frames : DEFAULT_GROUP_FRAMES;
    maker->hash_bytes = maker->hash_bytes != 0 ? maker->hash_bytes : HASH_LIMIT;
    maker->level = maker->level != 0 ? maker->level : DEFAULT_LEVEL;
    work->group_blocks = work->group_frames * work->frame_blocks;
    return work->frame_blocks <= FRAME_BLOCKS_LIMIT && work->prefix_blocks <= PREFIX_BLOCKS_LIMIT && work->group_frames <= GROUP_FRAMES_LIMIT &&
           maker->hash_bytes >= HASH_LEAST && maker->hash_bytes <= HASH_LIMIT && maker->level >= 1 && maker->level <= ZSTD_maxCLevel();
}

static bool batches_made(struct work *work) {
    work->batch_count = work->threads + 2;
    work->batches = calloc(work->batch_count, sizeof *work->batches);
    for (uint32_t i = 0; work->batches != NULL && i < work->batch_count; i++) {
        struct batch *batch = &work->batches[i];
        batch->plain = calloc(work->prefix_blocks + work->group_blocks, BLOCK);
        batch->packed = malloc((size_t)work->group_blocks * BLOCK);
        batch->hashes = malloc(work->group_blocks * work->maker->hash_bytes);
        batch->quick = malloc((size_t)work->group_blocks * 4);
        batch->sizes = malloc((size_t)work->group_frames * 2);
        if (batch->plain == NULL || batch->packed == NULL || batch->hashes == NULL || batch->quick == NULL || batch->sizes == NULL) {
            return false;
        }
    }
    return work->batches != NULL;
}

static void batches_freed(struct work *work) {
    for (uint32_t i = 0; work->batches != NULL && i < work->batch_count; i++) {
        struct batch *batch = &work->batches[i];
        free(batch->plain);
        free(batch->packed);
        free(batch->hashes);
        free(batch->quick);
        free(batch->sizes);
    }
    free(work->batches);
    free(work->runs.bytes);
    free(work->hashes.bytes);
    free(work->groups.bytes);
    free(work->quick.bytes);
    free(work->sizes.bytes);
}

int maker_run(struct maker *maker, FILE *image, FILE *index, FILE *payload, struct reason *reason) {
    struct work work = {.maker = maker, .payload = payload, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t threads[THREADS_LIMIT];
    uint32_t running = 0;
    int code = 0;
    maker->image_bytes = maker->payload_bytes = maker->index_bytes = 0;
    if (!understood(&work)) {
        return fail(reason, CODE_USAGE, "expected frames of 1 to %d blocks, a prefix of 0 to %d blocks, hashes of %d to %d bytes, "
                    "a level of 1 to %d", FRAME_BLOCKS_LIMIT, PREFIX_BLOCKS_LIMIT, HASH_LEAST, HASH_LIMIT, ZSTD_maxCLevel());
    }
    work.payload_sha256 = EVP_MD_CTX_new();
    if (!batches_made(&work) || work.payload_sha256 == NULL || EVP_DigestInit_ex(work.payload_sha256, EVP_sha256(), NULL) != 1) {
        code = no_memory(reason);
    }
    while (code == 0 && running < work.threads) {
        if (pthread_create(&threads[running], NULL, packer, &work) != 0) {
            code = fail(reason, CODE_RESOURCES, "no thread can be started");
        } else {
            running++;
        }
    }
    if (code == 0) {
        code = image_read(&work, image, reason);
    }
    pthread_mutex_lock(&work.lock);
    work.over = true;
    pthread_cond_broadcast(&work.changed);
    pthread_mutex_unlock(&work.lock);
    for (uint32_t i = 0; i < running; i++) {
        pthread_join(threads[i], NULL);
    }
    if (code == 0 && EVP_DigestFinal_ex(work.payload_sha256, maker->payload_sha256, NULL) != 1) {
        code = no_sha256(reason);
    }
    if (code == 0) {
        code = index_written(&work, index, reason);
    }
    EVP_MD_CTX_free(work.payload_sha256);
    batches_freed(&work);
    return code;
}
