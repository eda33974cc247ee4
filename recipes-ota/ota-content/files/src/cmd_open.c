/* SPDX-License-Identifier: MIT */
/*
 * ota-content open --keys DIR FOLDER
 *
 * The image on descriptor 8: no bundle, or one whose manifest is signed by who is trusted, is understood, and speaks of the image
 * in it. What is judged is what was copied into memory, once; the same bytes go into FOLDER. Of the payload nothing is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle.h"
#include "commands.h"
#include "facts.h"
#include "source.h"

/* A member in memory. */
struct content {
    uint8_t *bytes;
    size_t length;
};

static int read_fully(void *self, uint64_t offset, void *to, size_t count) {
    int fd = *(const int *)self;
    uint8_t *at = to;
    while (count > 0) {
        ssize_t got = pread(fd, at, count, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got < 0 ? errno : 0;
            return -1;
        }
        at += got;
        offset += (uint64_t)got;
        count -= (size_t)got;
    }
    return 0;
}

/* Reads a member, and leaves the same bytes in FOLDER. One that is not in the bundle is not in the folder either. */
static int member_copied(const struct bundle_bytes *image, const struct bundle_member *member, const char *folder, const char *name,
                         struct content *to, struct reason *reason) {
    char path[512];
    if (!path_in(path, sizeof path, folder, name)) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        return fail_errno(reason, CODE_UNEXPECTED, "%s cannot be removed", path);
    }
    if (member->bytes == 0) {
        return 0;
    }
    to->length = (size_t)member->bytes;
    to->bytes = malloc(to->length);
    if (to->bytes == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for %zu bytes of the bundle's %s", to->length, name);
    }
    if (image->read(image->self, member->offset, to->bytes, to->length) != 0) {
        return errno != 0 ? fail_errno(reason, CODE_UNREADABLE, "the bundle's %s cannot be read", name)
                          : fail(reason, CODE_CORRUPT, "the bundle ends within its member %s", name);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, to->bytes, to->length) == (ssize_t)to->length;
    if (fd >= 0) {
        good = close(fd) == 0 && good;
    }
    return good ? 0 : fail_errno(reason, CODE_RESOURCES, "%s cannot be written", path);
}

static int facts_written(const char *folder, const struct bundle *bundle, const struct manifest *manifest, const char *signer,
                         struct reason *reason) {
    struct facts_out facts;
    char hash[65];
    int code = facts_begin(&facts, folder, "opened", reason);
    if (code != 0) {
        return code;
    }
    facts_add_number(&facts, "bundle", (uint64_t)manifest->format);
    facts_add(&facts, "signed_by", signer);
    facts_add(&facts, "compatible", manifest->compatible);
    facts_add(&facts, "version", manifest->version);
    facts_add(&facts, "image", manifest->image);
    facts_add_number(&facts, "image_bytes", manifest->image_bytes);
    hex(hash, manifest->image_sha256, sizeof manifest->image_sha256);
    facts_add(&facts, "image_sha256", hash);
    facts_add_number(&facts, "payload_offset", bundle->payload.offset);
    facts_add_number(&facts, "payload_bytes", bundle->payload.bytes);
    if (manifest->has_rootfs) {
        facts_add_number(&facts, "rootfs_bytes", manifest->rootfs_bytes);
        hex(hash, manifest->rootfs_sha256, sizeof manifest->rootfs_sha256);
        facts_add(&facts, "rootfs_sha256", hash);
    }
    if (manifest->description[0] != '\0') {
        facts_add(&facts, "description", manifest->description);
    }
    return facts_end(&facts, true, reason);
}

static int bundle_opened(const struct bundle_bytes *image, const char *keys, const char *folder, struct reason *reason) {
    struct bundle bundle;
    struct manifest manifest;
    struct content text = {0}, signature = {0}, chain = {0};
    char signer[SIGNER_LIMIT];
    struct trust *trust = trust_new();
    int code = trust != NULL ? 0 : fail(reason, CODE_RESOURCES, "no memory for keys");
    /* Nothing is believed before it is verified: the signature comes before the manifest is understood. */
    if (code == 0 && (code = bundle_read(&bundle, image, reason)) == 0 &&
        (code = member_copied(image, &bundle.manifest, folder, "manifest", &text, reason)) == 0 &&
        (code = member_copied(image, &bundle.signature, folder, "manifest.sig", &signature, reason)) == 0 &&
        (code = member_copied(image, &bundle.chain, folder, "manifest.crt", &chain, reason)) == 0 &&
        (code = trust_add_folder(trust, keys, reason)) == 0 &&
        (code = signature_check(trust, text.bytes, text.length, signature.bytes, signature.length, chain.bytes, chain.length, signer,
                                reason)) == 0 &&
        (code = manifest_read(&manifest, (const char *)text.bytes, text.length, reason)) == 0 &&
        (code = bundle_fits(&bundle, &manifest, reason)) == 0) {
        code = facts_written(folder, &bundle, &manifest, signer, reason);
    }
    free(text.bytes);
    free(signature.bytes);
    free(chain.bytes);
    trust_free(trust);
    return code;
}

int cmd_open(int argc, char **argv, struct reason *reason) {
    struct stat is;
    int fd = IMAGE_FD;
    if (argc != 4 || strcmp(argv[1], "--keys") != 0) {
        return fail(reason, CODE_USAGE, "usage: ota-content open --keys DIR FOLDER");
    }
    const char *keys = argv[2], *folder = argv[3];
    char opened[512];
    /* What an earlier run has left does not speak of this image. */
    if (!path_in(opened, sizeof opened, folder, "opened") || (unlink(opened) != 0 && errno != ENOENT)) {
        return fail_errno(reason, CODE_UNEXPECTED, "%.100s/opened cannot be removed", folder);
    }
    if (fstat(fd, &is) != 0 || !S_ISREG(is.st_mode)) {
        return fail(reason, CODE_UNREADABLE, "descriptor %d is no regular file; it must be the image that `hold` has opened", fd);
    }
    struct bundle_bytes image = {.read = read_fully, .self = &fd, .size = (uint64_t)is.st_size};
    if (bundle_is_recognised(&image)) {
        return bundle_opened(&image, keys, folder, reason);
    }
    struct facts_out facts;
    int code = facts_begin(&facts, folder, "opened", reason);
    if (code != 0) {
        return code;
    }
    facts_add(&facts, "bundle", "no");
    facts_add_number(&facts, "payload_offset", 0);
    facts_add_number(&facts, "payload_bytes", image.size);
    return facts_end(&facts, true, reason);
}
