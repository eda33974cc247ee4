/* SPDX-License-Identifier: MIT */
/*
 * ota-content open --keys DIR [--decrypt KEY] FOLDER
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

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "bundle.h"
#include "cipher.h"
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

/* Reads a member, if it is there, and leaves the same bytes in FOLDER. */
static int member_copied(const struct bundle_bytes *image, const struct bundle_member *member, const char *folder, const char *name,
                         struct content *to, struct reason *reason) {
    char path[512];
    if (!path_in(path, sizeof path, folder, name)) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
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

/* The block index, which is too large to be held: what is copied is what is hashed. */
static int index_copied(const struct bundle_bytes *image, const struct bundle_member *member, const struct manifest *manifest,
                        const char *folder, struct reason *reason) {
    enum { PIECE = 65536 };
    char path[512];
    uint8_t hash[EVP_MAX_MD_SIZE], *piece = NULL;
    unsigned length = 0;
    int fd = -1, code = 0;
    if (!path_in(path, sizeof path, folder, "index")) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
    }
    if (member->bytes == 0) {
        return 0;
    }
    EVP_MD_CTX *sha256 = EVP_MD_CTX_new();
    piece = malloc(PIECE);
    if (sha256 == NULL || piece == NULL || EVP_DigestInit_ex(sha256, EVP_sha256(), NULL) != 1) {
        code = fail(reason, CODE_RESOURCES, "no memory to copy the index");
    } else if ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0) {
        code = fail_errno(reason, CODE_RESOURCES, "%s cannot be written", path);
    }
    for (uint64_t at = 0; code == 0 && at < member->bytes; at += PIECE) {
        size_t count = member->bytes - at < PIECE ? (size_t)(member->bytes - at) : PIECE;
        if (image->read(image->self, member->offset + at, piece, count) != 0) {
            code = errno != 0 ? fail_errno(reason, CODE_UNREADABLE, "the bundle's index cannot be read")
                              : fail(reason, CODE_CORRUPT, "the bundle ends within its member index");
        } else if (EVP_DigestUpdate(sha256, piece, count) != 1 || write(fd, piece, count) != (ssize_t)count) {
            code = fail_errno(reason, CODE_RESOURCES, "%s cannot be written", path);
        }
    }
    if (code == 0 && (EVP_DigestFinal_ex(sha256, hash, &length) != 1 || length != sizeof manifest->index_sha256 ||
                      memcmp(hash, manifest->index_sha256, length) != 0)) {
        code = fail(reason, CODE_CORRUPT, "the index in the bundle is not the one that was signed");
    }
    if (fd >= 0 && close(fd) != 0 && code == 0) {
        code = fail_errno(reason, CODE_RESOURCES, "%s cannot be written", path);
    }
    if (code != 0) {
        unlink(path);
    }
    EVP_MD_CTX_free(sha256);
    free(piece);
    return code;
}

/* What an earlier run has left does not speak of this image. */
static bool leftovers_removed(const char *folder) {
    static const char *const left[] = {"opened", "manifest", "manifest.sig", "manifest.crt", "index", "content-key", "facts", "chunks", "ranges"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        char path[512];
        if (!path_in(path, sizeof path, folder, left[i]) || (unlink(path) != 0 && errno != ENOENT)) {
            return false;
        }
    }
    return true;
}

/* FOLDER/image.NAME, where the steps work for a further image. */
static bool further_folder(char *path, size_t room, const char *folder, const struct further_image *image) {
    char name[sizeof image->name + sizeof "image."];
    snprintf(name, sizeof name, "image.%s", image->name);
    return path_in(path, room, folder, name);
}

static int furthers_begun(const struct manifest *manifest, const char *folder, struct reason *reason) {
    for (size_t i = 0; i < manifest->furthers; i++) {
        char path[512];
        if (!further_folder(path, sizeof path, folder, &manifest->further[i]) || (mkdir(path, 0700) != 0 && errno != EEXIST) ||
            !leftovers_removed(path)) {
            return fail_errno(reason, CODE_RESOURCES, "%.100s/image.%s cannot be made", folder, manifest->further[i].name);
        }
    }
    return 0;
}

static int content_key_kept(const struct content_key *key, const char *folder, struct reason *reason) {
    char path[512];
    if (!path_in(path, sizeof path, folder, "content-key")) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && bytes_written(fd, key->key, sizeof key->key) && bytes_written(fd, key->nonce, sizeof key->nonce);
    if (fd >= 0) {
        good = close(fd) == 0 && good;
    }
    return good ? 0 : fail_errno(reason, CODE_RESOURCES, "%s cannot be written", path);
}

/* The key of an encrypted payload, for the steps that follow: FOLDER is root's own. */
static int content_key_left(const struct manifest *manifest, const char *device, const char *folder, struct reason *reason) {
    struct content_key key;
    uint8_t *cms = malloc(manifest->recipients_length);
    if (cms == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for the key of the bundle");
    }
    int length = EVP_DecodeBlock(cms, (const uint8_t *)manifest->recipients, (int)manifest->recipients_length), code;
    for (size_t i = 1; length > 0 && i <= 2 && manifest->recipients[manifest->recipients_length - i] == '='; i++) {
        length--;
    }
    memcpy(key.nonce, manifest->encryption_nonce, sizeof key.nonce);
    code = length > 0 ? content_key_unwrapped(&key, cms, (size_t)length, manifest->encryption_key_sha256, device, reason)
                      : fail(reason, CODE_FORMAT, "the manifest's encryption-recipients are no Base64");
    if (code == 0) {
        code = content_key_kept(&key, folder, reason);
    }
    for (size_t i = 0; code == 0 && i < manifest->furthers; i++) {
        char path[512];
        code = further_folder(path, sizeof path, folder, &manifest->further[i]) ? content_key_kept(&key, path, reason)
                                                                                 : fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
    }
    OPENSSL_cleanse(&key, sizeof key);
    free(cms);
    return code;
}

/* What check, write, verify and unpack need of each further image, as if it were the only one. */
static int furthers_written(const char *folder, const struct bundle *bundle, const struct manifest *manifest, struct reason *reason) {
    uint64_t at = manifest->image_bytes - manifest->further_bytes;
    for (size_t i = 0; i < manifest->furthers; i++) {
        const struct further_image *image = &manifest->further[i];
        struct facts_out facts;
        char path[512], hash[65];
        int code = further_folder(path, sizeof path, folder, image) ? facts_begin(&facts, path, "opened", reason)
                                                                    : fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
        if (code != 0) {
            return code;
        }
        hex(hash, image->sha256, sizeof image->sha256);
        facts_add(&facts, "bundle", "further");
        facts_add(&facts, "image", image->name);
        facts_add(&facts, "image_sha256", hash);
        facts_add_number(&facts, "payload_offset", bundle->payload.offset + at);
        facts_add_number(&facts, "payload_bytes", image->bytes);
        facts_add(&facts, "compression", image->is_compressed ? "zstd" : "none");
        facts_add(&facts, "optional", image->is_optional ? "yes" : "no");
        /* Its place in the payload, which an encrypted one depends on. */
        facts_add_number(&facts, "cipher_offset", at);
        facts_add(&facts, "encryption", manifest->is_encrypted ? "yes" : "no");
        code = facts_end(&facts, false, reason);
        if (code != 0) {
            return code;
        }
        at += image->bytes;
    }
    return 0;
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
    /* Of the frames; those of the further images follow. */
    facts_add_number(&facts, "payload_bytes", bundle->payload.bytes - manifest->further_bytes);
    if (manifest->furthers > 0) {
        char names[FURTHER_LIMIT * sizeof manifest->further[0].name];
        size_t length = 0;
        for (size_t i = 0; i < manifest->furthers; i++) {
            length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", i > 0 ? " " : "", manifest->further[i].name);
        }
        facts_add(&facts, "images", names);
    }
    if (manifest->has_rootfs) {
        facts_add_number(&facts, "rootfs_bytes", manifest->rootfs_bytes);
        hex(hash, manifest->rootfs_sha256, sizeof manifest->rootfs_sha256);
        facts_add(&facts, "rootfs_sha256", hash);
    }
    if (manifest->format == 2) {
        facts_add(&facts, "image_type", manifest->image_type);
        facts_add(&facts, "image_compression", manifest->image_compression);
        facts_add_number(&facts, "index_bytes", manifest->index_bytes);
        hex(hash, manifest->index_sha256, sizeof manifest->index_sha256);
        facts_add(&facts, "index_sha256", hash);
    }
    if (manifest->is_encrypted) {
        facts_add(&facts, "encryption", "aes-256-ctr");
    }
    if (manifest->description[0] != '\0') {
        facts_add(&facts, "description", manifest->description);
    }
    return facts_end(&facts, true, reason);
}

/* decrypt: the private key of the device, perhaps an empty name; NULL where nobody wants to read the payload. */
static int bundle_opened(const struct bundle_bytes *image, const char *keys, const char *decrypt, const char *folder, struct reason *reason) {
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
        (code = bundle_fits(&bundle, &manifest, reason)) == 0 &&
        (code = furthers_begun(&manifest, folder, reason)) == 0 &&
        (code = manifest.is_encrypted && decrypt != NULL ? content_key_left(&manifest, decrypt, folder, reason) : 0) == 0 &&
        (code = index_copied(image, &bundle.index, &manifest, folder, reason)) == 0 &&
        (code = furthers_written(folder, &bundle, &manifest, reason)) == 0) {
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
    bool decrypts = argc == 6 && strcmp(argv[3], "--decrypt") == 0;
    if ((argc != 4 && !decrypts) || strcmp(argv[1], "--keys") != 0) {
        return fail(reason, CODE_USAGE, "usage: ota-content open --keys DIR [--decrypt KEY] FOLDER");
    }
    const char *keys = argv[2], *decrypt = decrypts ? argv[4] : NULL, *folder = argv[argc - 1];
    if (!leftovers_removed(folder)) {
        return fail_errno(reason, CODE_UNEXPECTED, "what an earlier run has left in %.100s cannot be removed", folder);
    }
    if (fstat(fd, &is) != 0 || !S_ISREG(is.st_mode)) {
        return fail(reason, CODE_UNREADABLE, "descriptor %d is no regular file; it must be the image that `hold` has opened", fd);
    }
    struct bundle_bytes image = {.read = read_fully, .self = &fd, .size = (uint64_t)is.st_size};
    if (bundle_is_recognised(&image)) {
        return bundle_opened(&image, keys, decrypt, folder, reason);
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
