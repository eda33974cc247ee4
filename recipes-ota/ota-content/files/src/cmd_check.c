/* SPDX-License-Identifier: MIT */
/* check: reads the payload whole and judges it, before anything is written. */
#include "check.h"
#include "commands.h"
#include "erofs.h"
#include "ext4.h"
#include "format.h"
#include "ring.h"

#include <string.h>
#include <unistd.h>

/* Of this program and what it holds in memory besides the decompressor. */
#define MEMORY_BASE (8U << 20)

static int stream_fill(void *context, void *buffer, size_t size, size_t *got, struct reason *reason) {
    return stream_read(context, buffer, size, got, reason);
}

static bool all_zero(const unsigned char *data, size_t size) { return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0); }

static int rootfs_compared(const struct facts *opened, uint64_t bytes, const char *sha256, struct reason *reason) {
    uint64_t expected;
    int code = facts_number(opened, "rootfs_bytes", &expected, reason);
    if (code == 0 && (bytes != expected || !facts_are(opened, "rootfs_sha256", sha256))) {
        code = fail(reason, CODE_CORRUPT, "the image unpacks to %llu bytes with SHA-256 %s, the manifest says %llu and %s", (unsigned long long)bytes,
                    sha256, (unsigned long long)expected, facts_get(opened, "rootfs_sha256"));
    }
    return code;
}

struct pass {
    struct record *ranges;
    EVP_MD_CTX *sha256; /* only where the manifest has a hash to compare with */
    uint64_t file_system_bytes;
    uint64_t bytes;
    bool follows; /* something other than zeros comes behind the file system */
};

/* Everything that is learnt from the content, in one pass. */
static int content_passed(struct pass *pass, struct ring *ring, uint64_t slot_bytes, struct progress *progress, struct reason *reason) {
    unsigned char *data;
    size_t size;
    for (;;) {
        int code = ring_next(ring, &data, &size, reason);
        if (code != 0 || size == 0) {
            return code;
        }
        if (size > slot_bytes - pass->bytes) {
            return fail(reason, CODE_TOO_BIG, "the image has more than %llu bytes, the slot has %llu", (unsigned long long)(pass->bytes + size - 1),
                        (unsigned long long)slot_bytes);
        }
        for (size_t at = 0; at < size; at += RANGE) {
            code = record_add(pass->ranges, data + at, size - at < RANGE ? size - at : RANGE, reason);
            if (code != 0) {
                return code;
            }
        }
        if (pass->sha256 != NULL && EVP_DigestUpdate(pass->sha256, data, size) != 1) {
            return fail(reason, CODE_UNEXPECTED, "libcrypto computes no SHA-256");
        }
        if (pass->bytes + size > pass->file_system_bytes && !pass->follows) {
            size_t behind = pass->bytes >= pass->file_system_bytes ? 0 : (size_t)(pass->file_system_bytes - pass->bytes);
            pass->follows = !all_zero(data + behind, size - behind);
        }
        pass->bytes += size;
        progress_step(progress, pass->bytes, 0, 0);
    }
}

/* Of a file system that is written as it is: the tags of all of its content. */
static int content_recorded(struct job *job, struct stream *stream, struct pass *pass, uint64_t slot_bytes, struct facts_out *facts,
                            struct reason *reason) {
    struct ring *ring = NULL;
    struct progress progress;
    if (pass->file_system_bytes > slot_bytes) {
        return fail(reason, CODE_TOO_BIG, "the file system in the image has %llu bytes, the slot has %llu",
                    (unsigned long long)pass->file_system_bytes, (unsigned long long)slot_bytes);
    }
    int code = record_new(&pass->ranges, RANGE, reason);
    if (code == 0 && facts_get(&job->opened, "rootfs_sha256") != NULL) {
        pass->sha256 = EVP_MD_CTX_new();
        if (pass->sha256 == NULL || EVP_DigestInit_ex(pass->sha256, EVP_sha256(), NULL) != 1) {
            code = fail(reason, CODE_UNEXPECTED, "libcrypto offers no SHA-256");
        }
    }
    if (code == 0) {
        progress_begin(&progress, job->progress_fd, "check", pass->file_system_bytes);
        code = ring_open(&ring, stream_fill, stream, PIECE, reason);
    }
    if (code == 0) {
        code = content_passed(pass, ring, slot_bytes, &progress, reason);
    }
    /* Before anything else looks at the stream. */
    ring_close(ring);
    if (code == 0 && pass->bytes < pass->file_system_bytes) {
        code = fail(reason, CODE_CORRUPT, "the image is cut off: %llu bytes for a file system of %llu bytes", (unsigned long long)pass->bytes,
                    (unsigned long long)pass->file_system_bytes);
    }
    if (code == 0 && pass->bytes < HELD_BACK && !job_is_further(&job->opened)) {
        code = fail(reason, CODE_CORRUPT, "the image is cut off within its first 4 KiB");
    }
    if (code == 0 && pass->sha256 != NULL) {
        unsigned char hash[32];
        char sha256[65];
        if (EVP_DigestFinal_ex(pass->sha256, hash, NULL) != 1) {
            code = fail(reason, CODE_UNEXPECTED, "libcrypto computes no SHA-256");
        } else {
            hex(sha256, hash, sizeof hash);
            code = rootfs_compared(&job->opened, pass->bytes, sha256, reason);
            facts_add(facts, "content_sha256", sha256);
        }
    }
    if (code == 0) {
        code = record_save(pass->ranges, job->folder, "ranges", reason);
    }
    if (code == 0) {
        facts_add_number(facts, "image_bytes", pass->bytes);
        facts_add_number(facts, "content_bytes", pass->bytes);
        facts_add_number(facts, "filesystem_bytes", pass->file_system_bytes);
        facts_add(facts, "as_is", "yes");
        facts_add_number(facts, "bytes_to_write", pass->bytes);
        facts_add_number(facts, "memory_needed", MEMORY_BASE + stream_memory(stream) + record_count(pass->ranges) * 16);
        progress_end(&progress, pass->bytes, 0, 0);
    }
    EVP_MD_CTX_free(pass->sha256);
    record_free(pass->ranges);
    return code;
}

int ext4_check(struct job *job, struct stream *stream, uint64_t slot_bytes, struct facts_out *facts, struct reason *reason) {
    const unsigned char *head;
    size_t size;
    struct ext4 ext4;
    struct pass pass = {0};
    int code = stream_peek(stream, &head, &size, reason);
    if (code == 0 && size < HELD_BACK) {
        code = fail(reason, CODE_CORRUPT, "the image is cut off within its first 4 KiB");
    }
    if (code == 0) {
        code = ext4_judged(&ext4, head, size, reason);
    }
    if (code == 0) {
        code = ext4_is_bootable(&ext4, reason);
    }
    if (code == 0) {
        pass.file_system_bytes = ext4.bytes;
        code = content_recorded(job, stream, &pass, slot_bytes, facts, reason);
    }
    if (code == 0) {
        facts_add_number(facts, "block_bytes", ext4.block_bytes);
        facts_add_number(facts, "free_bytes", ext4.free_bytes);
        facts_add_number(facts, "features_compat", ext4.compat);
        facts_add_number(facts, "features_incompat", ext4.incompat);
        facts_add_number(facts, "features_ro_compat", ext4.ro_compat);
        ext4_growth_told(&ext4, slot_bytes, pass.follows, facts);
    }
    return code;
}

static int erofs_check(struct job *job, struct stream *stream, uint64_t slot_bytes, struct facts_out *facts, struct reason *reason) {
    const unsigned char *head;
    size_t size;
    struct pass pass = {0};
    int code = stream_peek(stream, &head, &size, reason);
    if (code == 0) {
        code = erofs_judged(&pass.file_system_bytes, head, size, reason);
    }
    return code == 0 ? content_recorded(job, stream, &pass, slot_bytes, facts, reason) : code;
}

/* One with a read-only root is written as it is, any other is unpacked. It reads the source itself, from the beginning. */
static int squashfs_checked(struct job *job, struct source *source, uint64_t slot_bytes, struct facts_out *facts, struct reason *reason) {
    struct pass pass = {0};
    struct stream *stream = NULL;
    int code = source_verifies(source, reason);
    if (code == 0) {
        code = squashfs_check == NULL ? fail(reason, CODE_FORMAT, "the image is a squashfs, which this build does not read")
                                      : squashfs_check(source, slot_bytes, facts, &pass.file_system_bytes, reason);
    }
    if (code == 0 && pass.file_system_bytes != 0) {
        code = source_verifies(source, reason);
        if (code == 0) {
            code = stream_open(&stream, source, COMPRESSION_NONE, true, reason);
        }
        if (code == 0) {
            code = content_recorded(job, stream, &pass, slot_bytes, facts, reason);
        }
        stream_close(stream);
    }
    return code;
}

/* The signed hash proves the bytes before anything else looks at them. */
static int payload_authenticated(struct job *job, struct source *source, struct reason *reason) {
    unsigned char expected[32];
    const unsigned char *data;
    size_t size;
    struct progress progress;
    int code = facts_sha256(&job->opened, "image_sha256", expected, reason);
    progress_begin(&progress, job->progress_fd, "check", source->bytes);
    while (code == 0 && (code = source_next(source, &data, &size, reason)) == 0 && size > 0) {
        progress_step(&progress, source->position, 0, 0);
    }
    if (code == 0 && memcmp(expected, source->hash, sizeof expected) != 0) {
        char found[65];
        off_t hole = lseek(IMAGE_FD, (off_t)source->offset, SEEK_HOLE);
        if (job_is_further(&job->opened) && hole >= 0 && (uint64_t)hole < source->offset + source->bytes) {
            return fail(reason, CODE_NEEDS_MORE, "the bundle was fetched in parts, and not all of its image %s is among them; pull it again",
                        facts_get(&job->opened, "image"));
        }
        hex(found, source->hash, sizeof source->hash);
        code = fail(reason, CODE_CORRUPT, "the image %s in the bundle is not the one that was signed (SHA-256 %s, the manifest says %s)",
                    facts_get(&job->opened, "image"), found, facts_get(&job->opened, "image_sha256"));
    }
    return code == 0 ? source_verifies(source, reason) : code;
}

/* A further image: nothing is known of it but its bytes, so what is compressed is what the manifest calls so. */
static int further_judged(struct job *job, struct source *source, uint64_t slot_bytes, struct facts_out *facts, struct reason *reason) {
    struct pass pass = {0};
    struct stream *stream = NULL;
    enum compression compression;
    const char *name = facts_get(&job->opened, "compression"), *encryption = facts_get(&job->opened, "encryption");
    uint64_t cipher_offset;
    if (name == NULL || encryption == NULL || !compression_named(name, &compression)) {
        return fail(reason, CODE_UNEXPECTED, "what was opened is no further image");
    }
    int code = facts_number(&job->opened, "cipher_offset", &cipher_offset, reason);
    if (code == 0) {
        code = stream_open(&stream, source, compression, true, reason);
    }
    if (code == 0) {
        facts_add(facts, "format", "raw");
        facts_add(facts, "compression", name);
        facts_add(facts, "encryption", encryption);
        facts_add_number(facts, "cipher_offset", cipher_offset);
        code = content_recorded(job, stream, &pass, slot_bytes, facts, reason);
    }
    stream_close(stream);
    return code;
}

static int payload_judged(struct job *job, struct source *source, bool authenticated, uint64_t slot_bytes, struct facts_out *facts,
                          struct reason *reason) {
    const unsigned char *first;
    size_t size;
    struct stream *stream = NULL;
    enum compression compression = COMPRESSION_NONE;
    enum format format = FORMAT_EXT4;
    int code = source_peek(source, &first, &size, reason);
    if (code == 0) {
        compression = compression_recognised(first, size);
        code = stream_open(&stream, source, compression, authenticated, reason);
    }
    if (code == 0) {
        code = stream_peek(stream, &first, &size, reason);
    }
    if (code == 0) {
        code = format_recognised(first, size, compression, authenticated, &format, reason);
    }
    if (code == 0) {
        facts_add(facts, "format", format_name(format));
        facts_add(facts, "compression", compression_name(compression));
        switch (format) {
        case FORMAT_EXT4: code = ext4_check(job, stream, slot_bytes, facts, reason); break;
        case FORMAT_TAR:
            code = tar_check == NULL ? fail(reason, CODE_FORMAT, "the image is a tar archive, which this build does not read")
                                     : tar_check(job, stream, slot_bytes, facts, reason);
            break;
        case FORMAT_SQUASHFS: code = squashfs_checked(job, source, slot_bytes, facts, reason); break;
        case FORMAT_EROFS: code = erofs_check(job, stream, slot_bytes, facts, reason); break;
        }
    }
    stream_close(stream);
    return code;
}

static int payload_checked(struct job *job, uint64_t slot_bytes, struct facts_out *facts, struct reason *reason) {
    struct provider from;
    struct source source = {0};
    uint64_t file_bytes, offset, bytes;
    bool authenticated = !facts_are(&job->opened, "bundle", "no");
    int code = provider_of_fd(&from, IMAGE_FD, &file_bytes, reason);
    if (code == 0) {
        code = facts_number(&job->opened, "payload_offset", &offset, reason);
    }
    if (code == 0) {
        code = facts_number(&job->opened, "payload_bytes", &bytes, reason);
    }
    if (code == 0 && (offset > file_bytes || bytes > file_bytes - offset)) {
        code = fail(reason, CODE_CORRUPT, "the image is cut off: %llu bytes, expected at least %llu", (unsigned long long)file_bytes,
                    (unsigned long long)(offset + bytes));
    }
    if (code == 0) {
        facts_add_number(facts, "payload_offset", offset);
        facts_add_number(facts, "payload_bytes", bytes);
        facts_add(facts, "authenticated", authenticated ? "yes" : "no");
        if (facts_are(&job->opened, "bundle", "2")) {
            return index_check == NULL ? fail(reason, CODE_FORMAT, "the bundle has format 2, which this build does not read")
                                       : index_check(job, slot_bytes, facts, reason);
        }
        code = source_records(&source, from, offset, bytes, authenticated, reason);
    }
    if (code == 0) {
        code = job_decrypts(job, &job->opened, &source, reason);
    }
    if (code == 0 && authenticated) {
        code = payload_authenticated(job, &source, reason);
    }
    if (code == 0) {
        code = job_is_further(&job->opened) ? further_judged(job, &source, slot_bytes, facts, reason)
                                            : payload_judged(job, &source, authenticated, slot_bytes, facts, reason);
    }
    if (code == 0) {
        code = source_save(&source, job->folder, reason);
    }
    source_close(&source);
    return code;
}

/* What an earlier run left must not be mistaken for ours. */
static void leftovers_removed(const char *folder) {
    static const char *const names[] = {"facts", "chunks", "ranges", "written", "writes", "frames"};
    char path[512];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (path_in(path, sizeof path, folder, names[i])) {
            unlink(path);
        }
    }
}

int cmd_check(int argc, char **argv, struct reason *reason) {
    struct job job;
    struct facts_out facts = {0};
    struct slot slot;
    int code = job_open(&job, argc, argv, NEEDS_SLOT, reason);
    uint64_t slot_bytes = job.slot_bytes;
    if (code == 0 && slot_bytes == 0) {
        code = slot_open(&slot, job.slot_name, false, reason);
        if (code == 0) {
            slot_bytes = slot.bytes;
            slot_close(&slot);
        }
    }
    if (code == 0) {
        leftovers_removed(job.folder);
        code = facts_begin(&facts, job.folder, "facts", reason);
    }
    if (code == 0) {
        const char *bundle = facts_get(&job.opened, "bundle");
        facts_add(&facts, "bundle", bundle == NULL ? "" : bundle);
        facts_add_number(&facts, "slot_bytes", slot_bytes);
        code = payload_checked(&job, slot_bytes, &facts, reason);
    }
    if (code == 0) {
        code = facts_end(&facts, true, reason);
    }
    facts_give_up(&facts);
    job_close(&job);
    return code;
}
