/* SPDX-License-Identifier: MIT */
/* check, write and verify for bundles of format 2. */
#include "blocks.h"
#include "copies.h"
#include "ext4.h"
#include "frame.h"
#include "plan.h"
#include "sink.h"
#include "sweep.h"
#include "there.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* Of this program and its libraries. */
    MEMORY_BASE = 8 << 20,
    PACKED_BYTES = 262144,
    /* Frames that are unpacked in a row before the prefix moves back to the beginning of the memory. When it does, none of the last SINK_LENT
     * blocks is overwritten before as many have followed. */
    WINDOW_FRAMES = 2 * SINK_LENT,
    /* Of what is streamed: compressed bytes that are taken at a time, and blocks after which all of it is known to be on the medium. What came
     * since is fetched again after a cut, at most 256 KiB with what is in the pipe. */
    FED_AT_ONCE = 16384,
    FED_BLOCKS = 32,
    /* Zeros that the kernel writes. */
    ZEROS_AT_ONCE = 256,
};

/* The private copy that `open` has made, where it is: it lies in memory already, so that another copy would be that much again. Nobody but root
 * reaches it, as the facts and tags beside it. */
static int index_mapped(struct blocks *blocks, const char *path, uint64_t size, struct reason *reason) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), code = 0;
    if (fd < 0 || fstat(fd, &info) != 0) {
        code = fail_errno(reason, CODE_UNEXPECTED, "%s cannot be read", path);
    } else if (size == 0 || (uint64_t)info.st_size != size) {
        code = fail(reason, CODE_CORRUPT, "the block index is not the one that was signed");
    } else {
        void *bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (bytes == MAP_FAILED) {
            code = fail(reason, CODE_RESOURCES, "no memory for a block index of %llu bytes", (unsigned long long)size);
        } else {
            blocks->bytes = bytes;
            blocks->mapped = (size_t)size;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return code;
}

/* FOLDER/index, if it is what was signed. */
static int index_loaded(struct blocks *blocks, const char *folder, const struct facts *facts, struct reason *reason) {
    char path[512];
    uint8_t expected[32], found[32];
    uint64_t size;
    int code = facts_number(facts, "index_bytes", &size, reason);
    if (code == 0) {
        code = facts_sha256(facts, "index_sha256", expected, reason);
    }
    if (code != 0) {
        return code;
    }
    if (size > INDEX_LIMIT || !path_in(path, sizeof path, folder, "index")) {
        return fail(reason, CODE_FORMAT, "the block index of the bundle has %llu bytes, expected at most %llu", (unsigned long long)size,
                    (unsigned long long)INDEX_LIMIT);
    }
    struct hasher *hasher = hasher_new();
    code = hasher == NULL ? fail(reason, CODE_RESOURCES, "no memory to hash") : index_mapped(blocks, path, size, reason);
    if (code == 0 && (!hash_of(hasher, blocks->bytes, (size_t)size, found) || memcmp(expected, found, sizeof found) != 0)) {
        code = fail(reason, CODE_CORRUPT, "the block index is not the one that was signed");
    }
    if (code == 0) {
        code = index_read(&blocks->index, blocks->bytes, (size_t)size, reason);
    }
    hasher_free(hasher);
    return code;
}

/* What `open` leaves of a bundle that is encrypted. */
static int content_key_found(struct payload *payload, const struct job *job, const struct facts *facts, struct reason *reason) {
    char path[512];
    if (!path_in(path, sizeof path, job->folder, "content-key")) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", job->folder);
    }
    payload->is_encrypted = access(path, F_OK) == 0;
    if (payload->is_encrypted) {
        return content_key_loaded(&payload->key, path, reason);
    }
    return facts_get(facts, "encryption") == NULL ? 0 : fail(reason, CODE_KEY, "the bundle is encrypted, and was opened without a key");
}

int blocks_open(struct blocks *blocks, struct job *job, const struct facts *facts, struct reason *reason) {
    uint64_t file_bytes;
    *blocks = (struct blocks){0};
    int code = index_loaded(blocks, job->folder, facts, reason);
    if (code == 0) {
        code = provider_of_fd(&blocks->payload.from, IMAGE_FD, &file_bytes, reason);
    }
    if (code == 0) {
        code = facts_number(facts, "payload_offset", &blocks->payload.offset, reason);
    }
    if (code == 0) {
        code = facts_number(facts, "payload_bytes", &blocks->payload.bytes, reason);
    }
    if (code == 0) {
        code = content_key_found(&blocks->payload, job, facts, reason);
    }
    if (code == 0 && blocks->payload.bytes != blocks->index.payload_bytes) {
        code = fail(reason, CODE_CORRUPT, "the frames of the bundle have %llu bytes, its index speaks of %llu", (unsigned long long)blocks->payload.bytes,
                    (unsigned long long)blocks->index.payload_bytes);
    }
    if (code == 0 && index_place(&blocks->index, 0) != 0) {
        code = fail(reason, CODE_FORMAT, "the image in the bundle is no ext4 file system: it begins with zeros");
    }
    return code;
}

void blocks_close(struct blocks *blocks) {
    if (blocks->payload.feed != NULL) {
        feed_close(blocks->payload.feed);
    }
    free(blocks->payload.first);
    OPENSSL_cleanse(&blocks->payload.key, sizeof blocks->payload.key);
    index_free(&blocks->index);
    if (blocks->bytes != NULL) {
        munmap(blocks->bytes, blocks->mapped);
    }
}

/* The first block of the image, from the bundle. */
static int head_unpacked(const struct blocks *blocks, uint8_t head[BLOCK], struct reason *reason) {
    const struct index *index = &blocks->index;
    uint8_t *packed = malloc(FRAME_LIMIT), *plain = malloc(FRAME_LIMIT);
    struct unpacker *unpacker = unpacker_new();
    struct hasher *hasher = hasher_new();
    size_t packed_bytes = index_frame_bytes(index, 0);
    int code = packed == NULL || plain == NULL || unpacker == NULL || hasher == NULL ? fail(reason, CODE_RESOURCES, "no memory to unpack") : 0;
    if (code == 0) {
        code = payload_read(&blocks->payload, packed, packed_bytes, 0, reason);
    }
    if (code == 0 && blocks->payload.feed == NULL && is_zero(packed, packed_bytes)) {
        code = fail(reason, CODE_NEEDS_MORE, "the bundle was fetched in parts, and its first block is not among them; pull it again");
    }
    if (code == 0) {
        code = payload_decrypted(&blocks->payload, packed, packed_bytes, 0, reason);
    }
    if (code == 0) {
        code = frame_unpacked(unpacker, packed, packed_bytes, plain, 0, plain, (size_t)index_frame_blocks(index, 0) * BLOCK, reason);
    }
    if (code == 0 && !block_is(hasher, index, 0, plain)) {
        code = fail(reason, CODE_CORRUPT, "the first block of the image is not the one that was signed; the bundle is damaged");
    }
    if (code == 0) {
        memcpy(head, plain, BLOCK);
    }
    hasher_free(hasher);
    unpacker_free(unpacker);
    free(plain);
    free(packed);
    return code;
}

/* ---- check -------------------------------------------------------------------------------------------------------------------------- */

/* What the check remembers of the frames when it has read all of them: tags of pieces of the payload, which were compared with the signed hashes
 * of their groups. */
static const char frames_name[] = "frames";
enum { TAGGED_BYTES = 65536 };

struct hashing {
    const struct blocks *blocks;
    struct record *tags; /* NULL: not all is read, or there is no use for them */
    EVP_MD_CTX *sha256;
    uint8_t *buffer; /* of TAGGED_BYTES: the piece of the payload in which the last byte lies */
};

static int bytes_hashed(struct hashing *hashing, uint64_t from, uint64_t to, struct reason *reason) {
    const struct payload *payload = &hashing->blocks->payload;
    int code = 0;
    for (uint64_t at = from; code == 0 && at < to;) {
        size_t in = (size_t)(at % TAGGED_BYTES), room = TAGGED_BYTES - in, size = to - at < room ? (size_t)(to - at) : room;
        code = payload_read(payload, hashing->buffer + in, size, at, reason);
        if (code == 0) {
            code = payload_decrypted(payload, hashing->buffer + in, size, at, reason);
        }
        if (code == 0 && EVP_DigestUpdate(hashing->sha256, hashing->buffer + in, size) != 1) {
            code = fail(reason, CODE_UNEXPECTED, "libcrypto computes no SHA-256");
        }
        at += size;
        if (code == 0 && hashing->tags != NULL && (in + size == TAGGED_BYTES || at == payload->bytes)) {
            code = record_add(hashing->tags, hashing->buffer, in + size, reason);
        }
    }
    return code;
}

/* The compressed bytes of every group from which something is needed, before the slot is touched. */
static int groups_hashed(struct hashing *hashing, const struct plan *plan, struct progress *progress, struct reason *reason) {
    const struct index *index = &hashing->blocks->index;
    uint8_t hash[32];
    uint64_t done = 0;
    int code = 0;
    for (uint32_t group = 0; code == 0 && group < index->groups; group++) {
        uint32_t frame = group * index->group_frames, end = index->frames - frame < index->group_frames ? index->frames : frame + index->group_frames;
        uint64_t from = index->group_offset[group], to = index->group_offset[group + 1];
        while (frame < end && group > 0 && !plan_frame_needed(plan, frame)) {
            frame++;
        }
        if (frame == end) {
            record_free(hashing->tags);
            hashing->tags = NULL;
            continue;
        }
        bool hashes = EVP_DigestInit_ex(hashing->sha256, EVP_sha256(), NULL) == 1;
        code = bytes_hashed(hashing, from, to, reason);
        if (code == 0 && (!hashes || EVP_DigestFinal_ex(hashing->sha256, hash, NULL) != 1)) {
            code = fail(reason, CODE_UNEXPECTED, "libcrypto computes no SHA-256");
        }
        if (code == 0 && memcmp(hash, index->group + (size_t)group * GROUP_HASH, GROUP_HASH) != 0) {
            code = fail(reason, CODE_CORRUPT, "the bundle is damaged between the bytes %llu and %llu of its payload", (unsigned long long)from,
                        (unsigned long long)to);
        }
        done += to - from;
        progress_step(progress, done, 0, 0);
    }
    return code;
}

static int groups_checked(const struct blocks *blocks, const struct plan *plan, const char *folder, struct progress *progress, struct reason *reason) {
    struct hashing hashing = {.blocks = blocks, .sha256 = EVP_MD_CTX_new(), .buffer = malloc(TAGGED_BYTES)};
    int code = hashing.buffer == NULL || hashing.sha256 == NULL ? fail(reason, CODE_RESOURCES, "no memory for buffers")
                                                                 : record_new(&hashing.tags, TAGGED_BYTES, reason);
    if (code == 0) {
        code = groups_hashed(&hashing, plan, progress, reason);
    }
    if (code == 0 && hashing.tags != NULL) {
        code = record_save(hashing.tags, folder, frames_name, reason);
    }
    record_free(hashing.tags);
    EVP_MD_CTX_free(hashing.sha256);
    free(hashing.buffer);
    return code;
}

/* Whole bundles are hashed in groups, which is fast. In one that was fetched in parts each needed frame is tried; and as not every file system
 * tells of holes, in one whose groups are not as they should be. Whoever has all the frames that are needed can be installed from. */
static int payload_checked(const struct blocks *blocks, struct plan *plan, struct slot *slot, struct slot *running, const char *folder,
                           struct progress *progress, struct reason *reason) {
    struct there there = {0};
    struct reason trying = {0};
    /* It is not there yet. */
    if (blocks->payload.feed != NULL) {
        return 0;
    }
    bool in_parts = payload_has_holes(&blocks->payload);
    int code = in_parts ? 0 : groups_checked(blocks, plan, folder, progress, reason);
    if (!in_parts && code != CODE_CORRUPT) {
        return code;
    }
    int tried = frames_tried(&there, blocks, plan, slot, running, progress, &trying);
    if (tried != 0) {
        *reason = trying;
        code = tried;
    } else if (there.missing + there.damaged == 0 && there.untried == 0) {
        *reason = (struct reason){0};
        code = 0;
    } else if (in_parts || there.missing > 0) {
        *reason = (struct reason){0};
        code = fail(reason, CODE_NEEDS_MORE, "the bundle was fetched in parts, and %llu bytes that neither slot has are not among them; pull it again",
                    (unsigned long long)(there.missing + there.damaged));
    }
    free(there.is);
    return code;
}

static int file_system_judged(const struct blocks *blocks, uint64_t slot_bytes, struct facts_out *facts, struct reason *reason) {
    const struct index *index = &blocks->index;
    uint8_t head[BLOCK];
    struct ext4 ext4;
    int code = head_unpacked(blocks, head, reason);
    if (code == 0) {
        code = ext4_judged(&ext4, head, sizeof head, reason);
    }
    if (code == 0) {
        code = ext4_is_bootable(&ext4, reason);
    }
    if (code == 0 && ext4.bytes > index->image_bytes) {
        code = fail(reason, CODE_CORRUPT, "the image is cut off: %llu bytes for a file system of %llu bytes", (unsigned long long)index->image_bytes,
                    (unsigned long long)ext4.bytes);
    }
    if (code == 0) {
        struct run last = index_run(index, index->runs - 1);
        bool follows = ((uint64_t)last.first + last.count) * BLOCK > (ext4.bytes + BLOCK - 1) / BLOCK * BLOCK;
        facts_add_number(facts, "content_bytes", index->image_bytes);
        facts_add_number(facts, "filesystem_bytes", ext4.bytes);
        facts_add_number(facts, "free_bytes", ext4.free_bytes);
        ext4_growth_told(&ext4, slot_bytes, follows, facts);
    }
    return code;
}

static bool slot_opened_if_there(struct slot *slot, const char *name) {
    struct reason reason = {0};
    return name != NULL && slot_open(slot, name, false, &reason) == 0;
}

int blocks_of_bundle(struct blocks *blocks, struct job *job, uint64_t slot_bytes, struct reason *reason) {
    uint64_t image_bytes;
    int code = blocks_open(blocks, job, &job->opened, reason);
    if (code == 0) {
        code = facts_number(&job->opened, "rootfs_bytes", &image_bytes, reason);
    }
    if (code == 0 && blocks->index.image_bytes != image_bytes) {
        code = fail(reason, CODE_CORRUPT, "the block index is about %llu bytes, the manifest about %llu", (unsigned long long)blocks->index.image_bytes,
                    (unsigned long long)image_bytes);
    }
    if (code == 0 && slot_bytes != 0 && image_bytes > slot_bytes) {
        code = fail(reason, CODE_TOO_BIG, "the image has %llu bytes, the slot has %llu", (unsigned long long)image_bytes, (unsigned long long)slot_bytes);
    }
    return code;
}

int slots_compared(struct slots *slots, struct plan *plan, const struct blocks *blocks, const struct job *job, struct progress *progress, struct reason *reason) {
    slots->has_slot = slot_opened_if_there(&slots->slot, job->slot_name);
    slots->has_running = slot_opened_if_there(&slots->running, job->running_name);
    progress_begin(progress, job->progress_fd, "compare", 0);
    int code = plan_made(plan, &blocks->index, slots_slot(slots), slots_running(slots), progress, reason);
    if (code == 0) {
        progress_end(progress, progress->total, 0, 0);
    }
    return code;
}

struct slot *slots_slot(struct slots *slots) {
    return slots->has_slot ? &slots->slot : NULL;
}

struct slot *slots_running(struct slots *slots) {
    return slots->has_running ? &slots->running : NULL;
}

void slots_close(struct slots *slots) {
    if (slots->has_running) {
        slot_close(&slots->running);
    }
    if (slots->has_slot) {
        slot_close(&slots->slot);
    }
}

int index_check(struct job *job, uint64_t slot_bytes, struct facts_out *facts, struct reason *reason) {
    struct blocks blocks;
    struct feed feed;
    struct plan plan = {0};
    struct slots slots = {0};
    struct progress progress;
    const char *hash = facts_get(&job->opened, "index_sha256");
    if (!facts_are(&job->opened, "image_type", "ext4") || !facts_are(&job->opened, "image_compression", "zstd-blocks") || hash == NULL) {
        return fail(reason, CODE_FORMAT, "the bundle's image-type or image-compression is not known here; expected ext4 and zstd-blocks");
    }
    int code = blocks_of_bundle(&blocks, job, slot_bytes, reason);
    if (code == 0) {
        code = payload_fed(&blocks, &feed, job, true, reason);
    }
    if (code == 0) {
        facts_add(facts, "format", "ext4");
        facts_add(facts, "as_is", "yes");
        facts_add(facts, "compression", "zstd-blocks");
        facts_add_number(facts, "index_bytes", blocks.index.size);
        facts_add(facts, "index_sha256", hash);
        code = file_system_judged(&blocks, slot_bytes, facts, reason);
    }
    if (code == 0) {
        code = slots_compared(&slots, &plan, &blocks, job, &progress, reason);
    }
    if (code == 0) {
        uint64_t needed = plan_payload(&plan);
        progress_begin(&progress, job->progress_fd, "check", needed);
        code = payload_checked(&blocks, &plan, slots_slot(&slots), slots_running(&slots), job->folder, &progress, reason);
        facts_add_number(facts, "bytes_to_write", plan_writes(&plan));
        facts_add_number(facts, "bundle_bytes_needed", needed + blocks.index.size);
        facts_add_number(facts, "memory_needed", MEMORY_BASE + blocks.index.size + (uint64_t)blocks.index.data_blocks * 17 + slot_bytes / BLOCK * 2);
    }
    if (code == 0) {
        progress_end(&progress, progress.total, 0, 0);
        code = plan_save(&plan, job->folder, reason);
    }
    plan_free(&plan);
    slots_close(&slots);
    blocks_close(&blocks);
    return code;
}

/* ---- write -------------------------------------------------------------------------------------------------------------------------- */

struct writing {
    const struct blocks *blocks;
    struct plan plan;
    struct slot slot, running;
    bool has_running;
    struct sink *sink;
    struct writes *writes;
    struct unpacker *unpacker;
    struct hasher *hasher;
    uint8_t *unverified;
    uint8_t head[BLOCK];
    struct record *tags; /* of the payload; NULL: the check has not read all of it */
    uint8_t *packed;     /* the payload from packed_from to packed_to, the needed frames from packed_frame to packed_end among it */
    uint64_t packed_from, packed_to;
    uint32_t packed_frame, packed_end;
    uint64_t packed_offset; /* of packed_frame */
    uint8_t *window;       /* the blocks before window_data, of which `window_blocks` are there */
    uint32_t window_data, window_blocks, window_room;
    bool undrained;
    uint32_t unsettled; /* blocks that came from a feed and may not be on the medium */
    uint32_t zeros_to; /* zeros before this block are written */
    uint64_t zeroed, copied, needed;
    struct progress progress;
};

/* Where block 0 comes from, before it is destroyed. */
static int head_kept(struct writing *writing, struct reason *reason) {
    struct plan *plan = &writing->plan;
    struct slot *slot = plan->source[0] == FROM_RUNNING ? &writing->running : &writing->slot;
    uint64_t offset = plan->source[0] == IN_PLACE ? 0 : (uint64_t)plan->from[0] * BLOCK;
    uint8_t *buffer = slot_buffer(BLOCK);
    int code = buffer == NULL ? fail(reason, CODE_RESOURCES, "no memory for buffers") : 0;
    bool kept = false;
    if (code == 0 && plan->source[0] != FROM_BUNDLE) {
        struct reason unreadable = {0};
        kept = slot_read(slot, buffer, BLOCK, offset, &unreadable) == 0 && block_is(writing->hasher, &writing->blocks->index, 0, buffer);
        memcpy(writing->head, buffer, BLOCK);
    }
    free(buffer);
    if (code == 0 && !kept) {
        plan->source[0] = WRITTEN;
        code = head_unpacked(writing->blocks, writing->head, reason);
        /* Its frame may be needed for others, too, and is counted then. */
        writing->needed += plan_frame_needed(plan, 0) ? 0 : index_frame_bytes(&writing->blocks->index, 0);
    }
    return code;
}

static int head_destroyed(struct writing *writing, struct reason *reason) {
    uint8_t *zeros = slot_buffer(BLOCK);
    if (zeros == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for buffers");
    }
    memset(zeros, 0, BLOCK);
    int code = slot_write(&writing->slot, zeros, BLOCK, 0, reason);
    free(zeros);
    return code == 0 ? slot_flush(&writing->slot, reason) : code;
}

static int head_written(struct writing *writing, struct reason *reason) {
    uint8_t *head = slot_buffer(BLOCK);
    if (head == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for buffers");
    }
    memcpy(head, writing->head, BLOCK);
    int code = slot_write(&writing->slot, head, BLOCK, 0, reason);
    free(head);
    return code == 0 ? slot_flush(&writing->slot, reason) : code;
}

static void step(struct writing *writing) {
    progress_step(&writing->progress, sink_written(writing->sink) + writing->zeroed, sink_written(writing->sink) + writing->zeroed, writing->copied);
}

/* How many blocks from `block` on are to become zeros. */
static uint32_t zeros_at(const struct writing *writing, uint32_t block) {
    uint32_t count = 0;
    while (block + count < writing->blocks->index.blocks && plan_dirty(&writing->plan, block + count)) {
        count++;
    }
    return count;
}

/* What is worth a call of the kernel of its own. The rest is written together with what lies around it. */
static void zeros_by_kernel(struct writing *writing) {
    const struct index *index = &writing->blocks->index;
    for (uint32_t block = 0, count; block < index->blocks; block += count == 0 ? 1 : count) {
        count = zeros_at(writing, block);
        uint64_t range[2] = {(uint64_t)block * BLOCK, (uint64_t)count * BLOCK};
        if (count < ZEROS_AT_ONCE || range[1] > index->image_bytes - range[0]) {
            continue;
        }
        if (ioctl(writing->slot.fd, BLKZEROOUT, range) != 0) {
            return;
        }
        plan_clean(&writing->plan, block, count);
        writing->zeroed += range[1];
        step(writing);
    }
}

/* All that lie before `block`, and were not written yet. */
static int zeros_written(struct writing *writing, uint32_t block, struct reason *reason) {
    int code = 0;
    for (; code == 0 && writing->zeros_to < block; writing->zeros_to++) {
        if (plan_dirty(&writing->plan, writing->zeros_to)) {
            code = sink_zeros(writing->sink, writing->zeros_to, reason);
            writing->undrained = true;
        }
    }
    return code;
}

/* The blocks before `data` come into the window; all of them are at their place by now. */
static int window_filled(struct writing *writing, uint32_t data, struct reason *reason) {
    const struct index *index = &writing->blocks->index;
    uint32_t wanted = data < index->prefix_blocks ? data : index->prefix_blocks, run = 0;
    int code = 0;
    if (writing->window_data == data && writing->window_blocks >= wanted) {
        if (writing->window_blocks + index->frame_blocks > writing->window_room) {
            memmove(writing->window, writing->window + (size_t)(writing->window_blocks - wanted) * BLOCK, (size_t)wanted * BLOCK);
            writing->window_blocks = wanted;
        }
        return 0;
    }
    if (writing->undrained) {
        code = sink_drain(writing->sink, reason);
        writing->undrained = false;
    }
    for (uint32_t i = 0, count; code == 0 && i < wanted; i += count) {
        uint32_t first = data - wanted + i, place = index_place(index, first);
        count = 1;
        run = index_run_of(index, first);
        uint32_t left = index->run_data[run + 1] - first;
        count = left < wanted - i ? left : wanted - i;
        uint8_t *to = writing->window + (size_t)i * BLOCK;
        uint64_t offset = (uint64_t)place * BLOCK, size = (uint64_t)count * BLOCK, end = index->image_bytes - offset;
        memset(to, 0, (size_t)size);
        code = slot_read(&writing->slot, to, (size_t)(size < end ? size : end), offset, reason);
        if (place == 0) {
            memcpy(to, writing->head, BLOCK);
        }
        for (uint32_t k = 0; code == 0 && k < count; k++) {
            if (!block_is(writing->hasher, index, first + k, to + (size_t)k * BLOCK)) {
                code = fail(reason, CODE_WRITE, "the slot %s does not give back what was written or found in block %u", writing->slot.name,
                            (unsigned)(place + k));
            }
        }
    }
    writing->window_data = data;
    writing->window_blocks = wanted;
    return code;
}

/* Bytes of the payload come to packed + (from - packed_from). Where the check has left tags, whole pieces, each as it was then. */
static int payload_held(struct writing *writing, uint64_t from, uint64_t to, struct reason *reason) {
    const struct payload *payload = &writing->blocks->payload;
    if (writing->tags == NULL) {
        writing->packed_from = from;
        writing->packed_to = to;
        return payload_read(payload, writing->packed, (size_t)(to - from), from, reason);
    }
    uint64_t begin = from - from % TAGGED_BYTES, end = to + (TAGGED_BYTES - 1 - (to - 1) % TAGGED_BYTES), at = begin;
    end = end < payload->bytes ? end : payload->bytes;
    if (begin >= writing->packed_from && begin < writing->packed_to) {
        at = writing->packed_to;
        memmove(writing->packed, writing->packed + (begin - writing->packed_from), (size_t)(at - begin));
    }
    writing->packed_from = begin;
    writing->packed_to = at;
    if (at >= end) {
        return 0;
    }
    uint8_t *bytes = writing->packed + (at - begin);
    int code = payload_read(payload, bytes, (size_t)(end - at), at, reason);
    if (code == 0) {
        code = payload_decrypted(payload, bytes, (size_t)(end - at), at, reason);
    }
    for (size_t size; code == 0 && at < end; at += size, bytes += size) {
        size = end - at < TAGGED_BYTES ? (size_t)(end - at) : TAGGED_BYTES;
        if (!record_knows(writing->tags, at / TAGGED_BYTES, bytes, size)) {
            code = fail(reason, CODE_CORRUPT, "the bundle changed while it was read, between the bytes %llu and %llu of its payload", (unsigned long long)at,
                        (unsigned long long)(at + size));
        }
    }
    writing->packed_to = code == 0 ? end : begin;
    return code;
}

/* The compressed bytes of a frame; those of the needed frames that follow come with them. */
static int frame_read(struct writing *writing, uint32_t frame, const uint8_t **bytes, struct reason *reason) {
    const struct index *index = &writing->blocks->index;
    size_t frame_bytes = index_frame_bytes(index, frame);
    if (frame != writing->packed_frame || frame == writing->packed_end) {
        uint64_t offset = frame == writing->packed_frame ? writing->packed_offset : index_frame_offset(index, frame);
        size_t size = 0;
        uint32_t end = frame;
        size_t most = writing->blocks->payload.feed == NULL ? PACKED_BYTES : FED_AT_ONCE;
        while (end < index->frames && (end == frame || size + index_frame_bytes(index, end) <= most) && plan_frame_needed(&writing->plan, end)) {
            size += index_frame_bytes(index, end);
            end++;
        }
        int code = payload_held(writing, offset, offset + size, reason);
        if (code != 0) {
            return code;
        }
        writing->needed += size;
        writing->packed_frame = frame;
        writing->packed_end = end;
        writing->packed_offset = offset;
    }
    uint64_t offset = writing->packed_offset;
    uint8_t *packed = writing->packed + (offset - writing->packed_from);
    *bytes = packed;
    writing->packed_offset += frame_bytes;
    writing->packed_frame++;
    if (writing->tags != NULL) {
        return 0;
    }
    if (writing->blocks->payload.feed == NULL && is_zero(packed, frame_bytes)) {
        return fail(reason, CODE_NEEDS_MORE, "the slots changed after the check, and block %u is in neither of them nor in the parts of the bundle; pull it again",
                    (unsigned)index_place(index, frame * index->frame_blocks));
    }
    return payload_decrypted(&writing->blocks->payload, packed, frame_bytes, offset, reason);
}

static int frame_written(struct writing *writing, uint32_t frame, struct reason *reason) {
    const struct index *index = &writing->blocks->index;
    uint32_t first = frame * index->frame_blocks, count = index_frame_blocks(index, frame);
    const uint8_t *packed;
    int code = frame_read(writing, frame, &packed, reason);
    if (code == 0) {
        code = window_filled(writing, first, reason);
    }
    if (code != 0) {
        return code;
    }
    uint32_t prefix = writing->window_blocks < index->prefix_blocks ? writing->window_blocks : index->prefix_blocks;
    uint8_t *plain = writing->window + (size_t)writing->window_blocks * BLOCK;
    code = frame_unpacked(writing->unpacker, packed, index_frame_bytes(index, frame), plain - (size_t)prefix * BLOCK, (size_t)prefix * BLOCK, plain,
                          (size_t)count * BLOCK, reason);
    writing->window_data = first + count;
    writing->window_blocks += count;
    uint32_t place = index_place(index, first), run = index_run_of(index, first);
    for (uint32_t i = 0; code == 0 && i < count; i++, place++) {
        if (first + i == index->run_data[run + 1]) {
            run++;
            place = index_run(index, run).first;
        }
        if (writing->plan.source[first + i] == FROM_BUNDLE) {
            const uint8_t *block = plain + (size_t)i * BLOCK;
            code = zeros_written(writing, place, reason);
            /* In frames of one block each one that is unpacked is written, so it can be lent; of others some are not. */
            if (code == 0) {
                code = (index->frame_blocks == 1 ? sink_lend : sink_put)(writing->sink, first + i, place, block, reason);
            }
            writing->undrained = true;
        }
    }
    step(writing);
    return code;
}

static bool is_to_be_fed(const void *context, uint32_t frame) {
    return frame > 0 && plan_frame_needed(context, frame);
}

/* All that is needed, as it is certain now: whatever the slots have is at its place. */
static int frames_asked_for(struct writing *writing, struct reason *reason) {
    const struct payload *payload = &writing->blocks->payload;
    struct spans spans;
    if (payload->feed == NULL) {
        return 0;
    }
    int code = spans_made(&spans, &writing->blocks->index, payload->offset, is_to_be_fed, &writing->plan, reason);
    return code == 0 ? feed_ask(payload->feed, spans, reason) : code;
}

/* The slot is all that is remembered of what came. */
static int fed_is_settled(struct writing *writing, uint32_t frame, struct reason *reason) {
    writing->unsettled += index_frame_blocks(&writing->blocks->index, frame);
    if (writing->blocks->payload.feed == NULL || writing->unsettled < FED_BLOCKS) {
        return 0;
    }
    writing->unsettled = 0;
    writing->undrained = false;
    int code = sink_drain(writing->sink, reason);
    return code == 0 ? slot_settle(&writing->slot, reason) : code;
}

static int frames_written(struct writing *writing, struct reason *reason) {
    int code = frames_asked_for(writing, reason);
    for (uint32_t frame = 0; code == 0 && frame < writing->blocks->index.frames; frame++) {
        if (plan_frame_needed(&writing->plan, frame)) {
            code = frame_written(writing, frame, reason);
            code = code == 0 ? fed_is_settled(writing, frame, reason) : code;
        }
    }
    if (code == 0) {
        code = zeros_written(writing, writing->blocks->index.blocks, reason);
    }
    return code == 0 ? sink_drain(writing->sink, reason) : code;
}

static bool memory_taken(struct writing *writing) {
    const struct index *index = &writing->blocks->index;
    writing->window_room = index->prefix_blocks + (index->frame_blocks == 1 ? WINDOW_FRAMES : 32 * index->frame_blocks);
    writing->window = slot_buffer((size_t)writing->window_room * BLOCK);
    writing->packed = malloc(PACKED_BYTES + 2 * TAGGED_BYTES);
    writing->unverified = calloc(index->data_blocks, 1);
    writing->unpacker = unpacker_new();
    writing->hasher = hasher_new();
    writing->packed_frame = writing->packed_end = UINT32_MAX;
    return writing->window != NULL && writing->packed != NULL && writing->unverified != NULL && writing->unpacker != NULL && writing->hasher != NULL;
}

static int tags_loaded(struct writing *writing, const char *folder, struct reason *reason) {
    char path[512];
    if (!path_in(path, sizeof path, folder, frames_name)) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
    }
    if (access(path, F_OK) != 0) {
        return 0;
    }
    int code = record_load(&writing->tags, folder, frames_name, reason);
    if (code == 0 && (record_piece(writing->tags) != TAGGED_BYTES || record_bytes(writing->tags) != writing->blocks->payload.bytes)) {
        code = fail(reason, CODE_UNEXPECTED, "the record of the frames does not fit to the bundle");
    }
    return code;
}

static int all_written(struct writing *writing, struct reason *reason) {
    struct plan *plan = &writing->plan;
    const struct index *index = &writing->blocks->index;
    int code = head_kept(writing, reason);
    if (code == 0) {
        code = head_destroyed(writing, reason);
    }
    plan->source[0] = WRITTEN;
    if (code == 0) {
        code = writes_new(&writing->writes, reason);
    }
    if (code == 0) {
        code = sink_open(&writing->sink, &writing->slot, index, writing->unverified, writing->writes, writing->tags != NULL, reason);
    }
    if (code == 0) {
        code = copies_made(plan, &writing->slot, writing->has_running ? &writing->running : NULL, writing->sink, &writing->copied, &writing->progress, reason);
    }
    for (uint32_t i = 0; code == 0 && i < index->data_blocks; i++) {
        if (writing->unverified[i] != 0) {
            plan->source[i] = FROM_BUNDLE;
            writing->copied -= BLOCK;
        }
    }
    if (code == 0) {
        zeros_by_kernel(writing);
        code = frames_written(writing, reason);
    }
    if (code == 0) {
        code = slot_flush(&writing->slot, reason);
    }
    return code == 0 ? head_written(writing, reason) : code;
}

int index_write(struct job *job, struct reason *reason) {
    struct blocks blocks;
    struct feed feed;
    struct writing writing = {.blocks = &blocks, .slot = {.fd = -1, .direct = -1}};
    uint64_t written = 0, to_write = 0;
    int code = blocks_open(&blocks, job, &job->facts, reason);
    if (code == 0) {
        code = payload_fed(&blocks, &feed, job, false, reason);
    }
    if (code == 0) {
        code = slot_open(&writing.slot, job->slot_name, true, reason);
    }
    if (code == 0 && writing.slot.bytes < blocks.index.image_bytes) {
        code = fail(reason, CODE_TOO_BIG, "the image has %llu bytes, the slot has %llu", (unsigned long long)blocks.index.image_bytes,
                    (unsigned long long)writing.slot.bytes);
    }
    if (code == 0) {
        writing.has_running = slot_opened_if_there(&writing.running, job->running_name);
        code = plan_load(&writing.plan, &blocks.index, writing.slot.bytes / BLOCK, writing.has_running ? writing.running.bytes / BLOCK : 0, job->folder,
                         reason);
    }
    if (code == 0) {
        code = tags_loaded(&writing, job->folder, reason);
    }
    if (code == 0) {
        to_write = plan_writes(&writing.plan);
        progress_begin(&writing.progress, job->progress_fd, "write", to_write);
    }
    if (code == 0 && to_write > 0) {
        code = memory_taken(&writing) ? all_written(&writing, reason) : fail(reason, CODE_RESOURCES, "no memory to unpack");
        written = writing.sink == NULL ? 0 : sink_written(writing.sink) + writing.zeroed + BLOCK;
    }
    if (code == 0) {
        /* The check has compared every block of the slot with its signed hash. */
        code = reading_noted(job, to_write == 0 && writing.plan.from_medium, reason);
    }
    if (code == 0 && writing.writes != NULL) {
        code = writes_save(writing.writes, job->folder, reason);
    }
    if (code == 0) {
        progress_end(&writing.progress, to_write, written, writing.copied);
        say_number(stdout, "compared", writing.plan.compared);
        say_number(stdout, "skipped", written < blocks.index.image_bytes ? blocks.index.image_bytes - written : 0);
        say_number(stdout, "copied", writing.copied);
        say_number(stdout, "written", written);
        say_number(stdout, "bundle_bytes_needed", writing.needed + blocks.index.size);
    }
    sink_close(writing.sink);
    record_free(writing.tags);
    writes_free(writing.writes);
    unpacker_free(writing.unpacker);
    hasher_free(writing.hasher);
    free(writing.unverified);
    free(writing.packed);
    free(writing.window);
    plan_free(&writing.plan);
    if (writing.has_running) {
        slot_close(&writing.running);
    }
    if (writing.slot.fd >= 0) {
        slot_close(&writing.slot);
    }
    blocks_close(&blocks);
    return code;
}

/* ---- verify ------------------------------------------------------------------------------------------------------------------------- */

_Static_assert(WRITES_PIECE * BLOCK == SWEEP_PIECE, "a run that was noted lies in one piece of the sweep");

struct verifying {
    const struct index *index;
    const char *slot;
    struct hasher *hashers[SWEEP_THREADS];
    struct writes_reader *readers[SWEEP_THREADS]; /* NULL: nothing was written */
};

static int piece_verified(void *context, unsigned thread, uint64_t offset, unsigned char *bytes, size_t size, struct reason *reason) {
    const struct verifying *verifying = context;
    struct writes_reader *reader = verifying->readers[thread];
    uint32_t block = (uint32_t)(offset / BLOCK), run = 0, known;
    for (size_t at = 0; at < size; at += BLOCK, block++) {
        while (reader != NULL && (known = writes_known(reader, block, (uint32_t)((size - at) / BLOCK), bytes + at)) > 0) {
            block += known;
            at += (size_t)known * BLOCK;
        }
        if (at >= size) {
            break;
        }
        uint32_t data = index_data_at(verifying->index, &run, block);
        if (data == INDEX_ZEROS ? !is_zero(bytes + at, BLOCK) : !block_is(verifying->hashers[thread], verifying->index, data, bytes + at)) {
            return fail(reason, CODE_DIFFERS, "the slot %s gives back other bytes than were signed, in block %u of 4096 bytes", verifying->slot,
                        (unsigned)block);
        }
    }
    return 0;
}

int index_verify(struct job *job, struct reason *reason) {
    struct blocks blocks;
    struct slot slot = {.fd = -1, .direct = -1};
    struct progress progress;
    struct verifying verifying = {.slot = job->slot_name};
    struct writes *writes = NULL;
    int code = blocks_open(&blocks, job, &job->facts, reason);
    if (code == 0) {
        verifying.index = &blocks.index;
        code = slot_open(&slot, job->slot_name, false, reason);
    }
    if (code == 0) {
        code = writes_load(&writes, job->folder, reason);
    }
    for (unsigned i = 0; code == 0 && i < SWEEP_THREADS; i++) {
        verifying.hashers[i] = hasher_new();
        verifying.readers[i] = writes == NULL ? NULL : writes_reader_new(writes);
        code = verifying.hashers[i] == NULL || (writes != NULL && verifying.readers[i] == NULL) ? fail(reason, CODE_RESOURCES, "no memory to hash") : 0;
    }
    if (code == 0) {
        uint64_t bytes = blocks.index.image_bytes;
        if (reading_is_noted(job) && bytes > SWEEP_PIECE) {
            bytes = SWEEP_PIECE;
        }
        progress_begin(&progress, job->progress_fd, "verify", bytes);
        code = slot_swept(&slot, bytes, piece_verified, &verifying, &progress, reason);
    }
    if (code == 0) {
        progress_end(&progress, blocks.index.image_bytes, 0, 0);
    }
    for (unsigned i = 0; i < SWEEP_THREADS; i++) {
        hasher_free(verifying.hashers[i]);
        writes_reader_free(verifying.readers[i]);
    }
    writes_free(writes);
    if (slot.fd >= 0) {
        slot_close(&slot);
    }
    blocks_close(&blocks);
    return code;
}
