/* SPDX-License-Identifier: MIT */
/*
 * Ed25519, and ECDSA P-256 with SHA-256. Two algorithms are all that is accepted: whatever else a key in the folder may be, it is
 * not used. lib/otamgr/bundle.py judges by the same rules.
 */
#include "signature.h"

#include "array.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

enum { PEM_FILE_LIMIT = 1 << 20, PEM_BLOCKS_LIMIT = 4096, REVOKED_LIMIT = 8192, NAME_SHOWN = 128, SECURITY_LEVEL = 2, FINGERPRINT = 32, SIGNERS_LIMIT = 8 };

#define ALGORITHMS "Ed25519 or ECDSA P-256"

/* A public key or a certificate, and the name of its file. */
struct trusted {
    EVP_PKEY *key;
    X509 *certificate;
    char file[NAME_SHOWN];
};

/* Of a public key or a certificate that is trusted no more, and the name of the file that says so. */
struct revoked {
    uint8_t fingerprint[FINGERPRINT];
    char file[NAME_SHOWN];
};

struct trust {
    struct trusted *items;
    size_t count, room;
    struct revoked *revoked;
    size_t revoked_count, revoked_room;
    size_t keys, certificates, strange;
    char folder[NAME_SHOWN];
};

/* ---- keys ---- */

/* The DER form of a public key begins alike for all keys of a kind. With explicit parameters a key of P-256 could be anything. */
static const struct {
    int kind;
    size_t beginning, length;
    uint8_t bytes[28];
} kinds[] = {
    {EVP_PKEY_ED25519, 12, 44, {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}},
#define P256 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07
    {EVP_PKEY_EC, 27, 91, {0x30, 0x59, P256, 0x03, 0x42, 0x00, 0x04}},
    {EVP_PKEY_EC, 27, 59, {0x30, 0x39, P256, 0x03, 0x22, 0x00, 0x02}},
    {EVP_PKEY_EC, 27, 59, {0x30, 0x39, P256, 0x03, 0x22, 0x00, 0x03}},
#undef P256
};

/* NULL unless it is a key of a kind that is accepted. */
static EVP_PKEY *key_read(const uint8_t *der, size_t length) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (length == kinds[i].length && memcmp(der, kinds[i].bytes, kinds[i].beginning) == 0) {
            const uint8_t *at = der;
            EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)length);
            if (key != NULL && EVP_PKEY_get_base_id(key) == kinds[i].kind) {
                return key;
            }
            EVP_PKEY_free(key);
        }
    }
    return NULL;
}

static EVP_PKEY *certificate_key(const X509 *certificate) {
    uint8_t *der = NULL;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    EVP_PKEY *key = length > 0 ? key_read(der, (size_t)length) : NULL;
    OPENSSL_free(der);
    return key;
}

static bool key_made(EVP_PKEY *key, const void *message, size_t message_length, const void *signature, size_t signature_length) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *hash = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    bool made = context != NULL && EVP_DigestVerifyInit(context, NULL, hash, NULL, key) == 1 &&
                EVP_DigestVerify(context, signature, signature_length, message, message_length) == 1;
    EVP_MD_CTX_free(context);
    return made;
}

/* ---- PEM ---- */

/* What is in a PEM text: a public key, a certificate, or a signature. */
struct pem_block {
    EVP_PKEY *key;
    X509 *certificate;
    uint8_t *signature;
    size_t length;
};

static void block_free(struct pem_block *block) {
    EVP_PKEY_free(block->key);
    X509_free(block->certificate);
    OPENSSL_free(block->signature);
    *block = (struct pem_block){0};
}

/* The next block of a PEM text; false at its end. What cannot be read is counted as strange. */
static bool pem_next(BIO *text, struct pem_block *block, size_t *strange) {
    *block = (struct pem_block){0};
    for (int blocks = 0; blocks < PEM_BLOCKS_LIMIT; blocks++) {
        char *name = NULL, *header = NULL;
        uint8_t *der = NULL;
        long length = 0;
        ERR_clear_error();
        if (PEM_read_bio(text, &name, &header, &der, &length) != 1) {
            if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE || BIO_pending(text) == 0) {
                ERR_clear_error();
                return false;
            }
            ++*strange;
            continue;
        }
        if (header[0] == '\0' && length > 0 && strcmp(name, "PUBLIC KEY") == 0) {
            block->key = key_read(der, (size_t)length);
        } else if (header[0] == '\0' && length > 0 && strcmp(name, "CERTIFICATE") == 0) {
            const uint8_t *at = der;
            block->certificate = d2i_X509(NULL, &at, length);
            if (block->certificate != NULL && at != der + length) {
                X509_free(block->certificate);
                block->certificate = NULL;
            }
        } else if (header[0] == '\0' && length > 0 && length <= SIGNATURE_LIMIT && strcmp(name, "OTA SIGNATURE") == 0) {
            block->signature = der;
            block->length = (size_t)length;
            der = NULL;
        }
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
        if (block->key != NULL || block->certificate != NULL || block->signature != NULL) {
            return true;
        }
        ++*strange;
    }
    return false;
}

/* ---- who is trusted ---- */

struct trust *trust_new(void) {
    return calloc(1, sizeof(struct trust));
}

void trust_free(struct trust *trust) {
    if (trust == NULL) {
        return;
    }
    for (size_t i = 0; i < trust->count; i++) {
        EVP_PKEY_free(trust->items[i].key);
        X509_free(trust->items[i].certificate);
    }
    free(trust->items);
    free(trust->revoked);
    free(trust);
}

int trust_add(struct trust *trust, const char *name, const void *pem, size_t length, struct reason *reason) {
    struct pem_block block;
    if (length > PEM_FILE_LIMIT) {
        return fail(reason, 6, "%s has %zu bytes, expected keys and certificates of at most %d", name, length, PEM_FILE_LIMIT);
    }
    BIO *text = BIO_new_mem_buf(pem, (int)length);
    if (text == NULL) {
        return fail(reason, 1, "no memory for %s", name);
    }
    while (pem_next(text, &block, &trust->strange)) {
        if (block.signature != NULL) {
            block_free(&block);
            trust->strange++;
            continue;
        }
        if (trust->count == trust->room) {
            struct trusted *items = array_grown(trust->items, &trust->room, trust->count + 1, sizeof *items, PEM_BLOCKS_LIMIT);
            if (items == NULL) {
                block_free(&block);
                BIO_free(text);
                return trust->count < PEM_BLOCKS_LIMIT
                           ? fail(reason, 1, "no memory for %s", name)
                           : fail(reason, 6, "too many keys and certificates at %s, expected at most %d", name, PEM_BLOCKS_LIMIT);
            }
            trust->items = items;
        }
        struct trusted *item = &trust->items[trust->count++];
        item->key = block.key;
        item->certificate = block.certificate;
        snprintf(item->file, sizeof item->file, "%s", name);
        trust->keys += block.key != NULL;
        trust->certificates += block.certificate != NULL;
    }
    BIO_free(text);
    return 0;
}

/* A fingerprint: 32 pairs of hexadecimal digits, perhaps with colons between them. */
static bool fingerprint_read(const char *at, const char *end, uint8_t to[FINGERPRINT]) {
    for (size_t i = 0; i < FINGERPRINT; i++) {
        unsigned value = 0;
        if (i > 0 && at < end && *at == ':') {
            at++;
        }
        for (int digit = 0; digit < 2; digit++, at++) {
            const char *known = "0123456789abcdef", *found = at < end && *at != '\0' ? strchr(known, *at | 0x20) : NULL;
            if (found == NULL || (*at != *found && (*at < 'A' || *at > 'F'))) {
                return false;
            }
            value = value * 16 + (unsigned)(found - known);
        }
        to[i] = (uint8_t)value;
    }
    return at == end;
}

int trust_revoke(struct trust *trust, const char *name, const void *text, size_t length, struct reason *reason) {
    const char *at = text, *end = at + length;
    for (size_t line = 1; at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *next = newline != NULL ? newline + 1 : end;
        const char *last = newline != NULL ? newline : end, *comment = memchr(at, '#', (size_t)(last - at));
        uint8_t fingerprint[FINGERPRINT];
        last = comment != NULL ? comment : last;
        while (at < last && (*at == ' ' || *at == '\t')) {
            at++;
        }
        while (last > at && (last[-1] == ' ' || last[-1] == '\t' || last[-1] == '\r')) {
            last--;
        }
        if (at < last) {
            if (!fingerprint_read(at, last, fingerprint)) {
                return fail(reason, 6, "%s says who is trusted no more, and its line %zu is no fingerprint: expected a SHA-256, 64 "
                            "hexadecimal digits; nobody is trusted until it is corrected", name, line);
            }
            if (trust->revoked_count == trust->revoked_room) {
                struct revoked *more = array_grown(trust->revoked, &trust->revoked_room, trust->revoked_count + 1, sizeof *more, REVOKED_LIMIT);
                if (more == NULL) {
                    return trust->revoked_count < REVOKED_LIMIT
                               ? fail(reason, 1, "no memory for %s", name)
                               : fail(reason, 6, "too many fingerprints at %s, expected at most %d", name, REVOKED_LIMIT);
                }
                trust->revoked = more;
            }
            struct revoked *item = &trust->revoked[trust->revoked_count++];
            memcpy(item->fingerprint, fingerprint, sizeof fingerprint);
            snprintf(item->file, sizeof item->file, "%s", name);
        }
        at = next;
    }
    return 0;
}

static const char *revoked_by(const struct trust *trust, const uint8_t *der, int length) {
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned count = 0;
    if (length <= 0 || EVP_Digest(der, (size_t)length, hash, &count, EVP_sha256(), NULL) != 1 || count != FINGERPRINT) {
        return "?";
    }
    for (size_t i = 0; i < trust->revoked_count; i++) {
        if (memcmp(trust->revoked[i].fingerprint, hash, FINGERPRINT) == 0) {
            return trust->revoked[i].file;
        }
    }
    return NULL;
}

/* The file that says that this key is trusted no more, or NULL. A point has two forms, and the fingerprint is that of the long one. */
static const char *key_revoked(const struct trust *trust, EVP_PKEY *key) {
    uint8_t *der = NULL;
    if (trust->revoked_count == 0) {
        return NULL;
    }
    EVP_PKEY *own = key != NULL ? EVP_PKEY_dup(key) : NULL;
    if (own != NULL && EVP_PKEY_get_base_id(own) == EVP_PKEY_EC) {
        EVP_PKEY_set_utf8_string_param(own, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed");
    }
    int length = own != NULL ? i2d_PUBKEY(own, &der) : 0;
    const char *file = revoked_by(trust, der, length);
    OPENSSL_free(der);
    EVP_PKEY_free(own);
    return file;
}

static const char *certificate_revoked(const struct trust *trust, X509 *certificate) {
    uint8_t *der = NULL;
    if (trust->revoked_count == 0) {
        return NULL;
    }
    int length = i2d_X509(certificate, &der);
    const char *file = revoked_by(trust, der, length);
    OPENSSL_free(der);
    return file != NULL ? file : key_revoked(trust, X509_get0_pubkey(certificate));
}

static char *file_read(int folder, const char *name, size_t *length) {
    struct stat is;
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool plain = file >= 0 && fstat(file, &is) == 0 && S_ISREG(is.st_mode);
    size_t room = PEM_FILE_LIMIT + 1;
    char *text = plain ? malloc(room) : NULL;
    ssize_t count = text == NULL ? -1 : 1;
    *length = 0;
    while (count > 0 && *length < room) {
        count = read(file, text + *length, room - *length);
        if (count < 0 && errno == EINTR) {
            count = 1;
        } else if (count > 0) {
            *length += (size_t)count;
        }
    }
    if (file >= 0) {
        close(file);
    }
    if (count < 0 || *length > PEM_FILE_LIMIT) {
        free(text);
        text = NULL;
    }
    return text;
}

static bool ends_with(const char *name, const char *ending) {
    size_t length = strlen(name), end = strlen(ending);
    return name[0] != '.' && length > end && strcmp(name + length - end, ending) == 0;
}

/*
 * A key that cannot be read trusts nobody, and does not keep others from being trusted. A list of those who are trusted no more that
 * cannot be read may name anybody.
 */
static int file_added(struct trust *trust, int folder, const char *path, const char *name, struct reason *reason) {
    bool revokes = ends_with(name, ".revoked");
    size_t length;
    int code = 0;
    char *text = file_read(folder, name, &length);
    if (text == NULL && revokes) {
        code = fail(reason, 6, "%s says who is trusted no more and cannot be read, expected a file of at most %d bytes; nobody is trusted "
                    "until it is corrected", path, PEM_FILE_LIMIT);
    } else if (text == NULL) {
        trust->strange++;
    } else {
        code = revokes ? trust_revoke(trust, path, text, length, reason) : trust_add(trust, path, text, length, reason);
    }
    free(text);
    return code;
}

static int is_of_trust(const struct dirent *entry) {
    return ends_with(entry->d_name, ".pem") || ends_with(entry->d_name, ".revoked");
}

int trust_add_folder(struct trust *trust, const char *folder, struct reason *reason) {
    struct dirent **entries = NULL;
    int code = 0;
    snprintf(trust->folder, sizeof trust->folder, "%s", folder);
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0 && errno == ENOENT) {
        return 0;
    }
    int count = at < 0 ? -1 : scandir(folder, &entries, is_of_trust, alphasort);
    if (count < 0) {
        code = fail(reason, 6, "%s cannot be read: %s", folder, strerror(errno));
    }
    for (int i = 0; i < count; i++) {
        char path[NAME_SHOWN];
        snprintf(path, sizeof path, "%s/%.60s", folder, entries[i]->d_name);
        if (code == 0) {
            code = file_added(trust, at, path, entries[i]->d_name, reason);
        }
        free(entries[i]);
    }
    free(entries);
    if (at >= 0) {
        close(at);
    }
    return code;
}

/* ---- certificates ---- */

/* Printable, and no quotes: it goes into reasons and facts. */
static void subject_of(const X509 *certificate, char *to, size_t room) {
    BIO *text = BIO_new(BIO_s_mem());
    int length = 0;
    if (text != NULL && X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_ONELINE) >= 0) {
        length = BIO_read(text, to, (int)room - 1);
    }
    BIO_free(text);
    to[length > 0 ? length : 0] = '\0';
    for (char *at = to; *at != '\0'; at++) {
        if (*at < 0x20 || *at > 0x7e || *at == '"' || *at == '\'' || *at == '\\' || *at == '`' || *at == '$') {
            *at = '?';
        }
    }
}

/*
 * Where a certificate says what it is for, that must include signing code: a web server's certificate of the same authority must
 * not sign updates.
 */
static const char *why_it_may_not_sign(X509 *certificate) {
    uint32_t flags = X509_get_extension_flags(certificate);
    if (flags & EXFLAG_INVALID) {
        return "has an extension that cannot be read";
    }
    if ((flags & EXFLAG_KUSAGE) && !(X509_get_key_usage(certificate) & KU_DIGITAL_SIGNATURE)) {
        return "is not for signing code: its keyUsage lacks digitalSignature";
    }
    if ((flags & EXFLAG_XKUSAGE) && !(X509_get_extended_key_usage(certificate) & XKU_CODE_SIGN)) {
        return "is not for signing code: its extendedKeyUsage lacks codeSigning";
    }
    return NULL;
}

/* What openssl says of a chain, with what was expected where its own words leave that open. */
static const char *chain_complaint(int error) {
    switch (error) {
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
        return "a key in it is too small, expected security level 2: RSA of 2048 bits or more, or P-256";
    case X509_V_ERR_CA_MD_TOO_WEAK:
        return "a certificate in it is signed with a weak hash, expected SHA-256 or better, found one such as MD5 or SHA-1";
    case X509_V_ERR_INVALID_CA:
        return "it is issued by a certificate that is no authority (basicConstraints CA:TRUE is missing)";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return "no certificate there has issued it or one of those that came with it";
    default:
        return X509_verify_cert_error_string(error);
    }
}

static const char *file_of(const struct trust *trust, const X509 *certificate) {
    for (size_t i = 0; i < trust->count; i++) {
        if (trust->items[i].certificate != NULL && X509_cmp(trust->items[i].certificate, certificate) == 0) {
            return trust->items[i].file;
        }
    }
    return "?";
}

/*
 * Without a look at the clock: that of a device is wrong after a power cut, and a device must accept updates also after years in a
 * drawer. Only what is in trust ends a chain, not what the system trusts for web sites.
 */
static int chain_check(const struct trust *trust, X509 *leaf, STACK_OF(X509) *others, const char *subject, char signer[SIGNER_LIMIT],
                       struct reason *reason) {
    int code = 0;
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    bool ready = store != NULL && context != NULL;
    for (size_t i = 0; ready && i < trust->count; i++) {
        if (trust->items[i].certificate != NULL && certificate_revoked(trust, trust->items[i].certificate) == NULL) {
            ready = X509_STORE_add_cert(store, trust->items[i].certificate) == 1;
        }
    }
    if (!ready || X509_STORE_CTX_init(context, store, leaf, others) != 1) {
        code = fail(reason, 1, "no memory to check the certificate of the signer");
    } else {
        X509_VERIFY_PARAM *rules = X509_STORE_CTX_get0_param(context);
        X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
        X509_VERIFY_PARAM_set_auth_level(rules, SECURITY_LEVEL);
        X509_VERIFY_PARAM_set_depth(rules, 16);
        if (X509_verify_cert(context) != 1) {
            code = fail(reason, 6, "the certificate of the signer (%s) leads to none of the certificates in %s (%zu there): %s", subject,
                        trust->folder, trust->certificates, chain_complaint(X509_STORE_CTX_get_error(context)));
        } else {
            STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(context);
            snprintf(signer, SIGNER_LIMIT, "%s (%s)", file_of(trust, sk_X509_value(chain, sk_X509_num(chain) - 1)), subject);
        }
    }
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return code;
}

/* A signature, and the certificates that came with it: that of the key that made it, and the others. */
struct signer {
    const uint8_t *signature;
    size_t length;
    struct pem_block own; /* of a further one */
    X509 *leaf;
    STACK_OF(X509) * others;
    const char *revoked; /* a certificate is, says this file */
    bool is_alone;       /* no certificate came */
};

/*
 * The certificates of the first signature, and further signatures each with its own behind it. A device that knows of one signature
 * only passes over the others. Those of whom nothing is believed any more are left out.
 */
static int signers_read(const struct trust *trust, const void *chain, size_t length, struct signer signers[SIGNERS_LIMIT], size_t *count,
                        struct reason *reason) {
    struct pem_block block;
    size_t strange = 0;
    int code = 0;
    BIO *text = BIO_new_mem_buf(chain, (int)length);
    bool ready = text != NULL && (signers[0].others = sk_X509_new_null()) != NULL;
    while (ready && code == 0 && pem_next(text, &block, &strange)) {
        struct signer *last = &signers[*count - 1];
        const char *file = block.certificate != NULL ? certificate_revoked(trust, block.certificate) : NULL;
        if (block.signature != NULL && *count == SIGNERS_LIMIT) {
            code = fail(reason, 6, "more than %d signatures came with it", SIGNERS_LIMIT);
        } else if (block.signature != NULL) {
            last = &signers[(*count)++];
            last->own = block;
            last->signature = block.signature;
            last->length = block.length;
            ready = (last->others = sk_X509_new_null()) != NULL;
            block = (struct pem_block){0};
        } else if (file != NULL) {
            last->revoked = file;
        } else if (block.certificate != NULL && last->leaf == NULL && last->revoked == NULL) {
            last->leaf = block.certificate;
            block.certificate = NULL;
        } else if (block.certificate != NULL && sk_X509_push(last->others, block.certificate) > 0) {
            block.certificate = NULL;
        }
        block_free(&block);
    }
    BIO_free(text);
    return ready || code != 0 ? code : fail(reason, 1, "no memory for the certificates of the signer");
}

/* One signature: 0, or 6 with a reason. */
static int signer_check(const struct trust *trust, const void *message, size_t message_length, const struct signer *by,
                        char signer[SIGNER_LIMIT], struct reason *reason) {
    char subject[160];
    int code;
    for (size_t i = 0; i < trust->count; i++) {
        const struct trusted *item = &trust->items[i];
        if (item->key != NULL && key_made(item->key, message, message_length, by->signature, by->length)) {
            const char *file = key_revoked(trust, item->key);
            if (file != NULL) {
                return fail(reason, 6, "the signature is by the key in %s, which is trusted no more, says %s", item->file, file);
            }
            snprintf(signer, SIGNER_LIMIT, "%s", item->file);
            return 0;
        }
    }
    EVP_PKEY *key = by->leaf != NULL ? certificate_key(by->leaf) : NULL;
    if (by->is_alone) {
        code = fail(reason, 6, "the signature is by none of the public keys in %s (%zu there, %s), and no certificate came with it",
                    trust->folder, trust->keys, ALGORITHMS);
    } else if (key == NULL && by->revoked != NULL) {
        code = fail(reason, 6, "the certificate of the signer is trusted no more, says %s", by->revoked);
    } else if (key == NULL || !key_made(key, message, message_length, by->signature, by->length)) {
        code = fail(reason, 6, "the signature is neither by a public key in %s nor by the certificate that came with it (%s)",
                    trust->folder, ALGORITHMS);
    } else {
        subject_of(by->leaf, subject, sizeof subject);
        const char *why = why_it_may_not_sign(by->leaf);
        code = why != NULL ? fail(reason, 6, "the certificate of the signer (%s) %s", subject, why)
                           : chain_check(trust, by->leaf, by->others, subject, signer, reason);
        if (code == 6 && why == NULL && by->revoked != NULL) {
            code = fail(reason, 6, "the certificate of the signer (%s) was issued by one that is trusted no more, says %s", subject,
                        by->revoked);
        }
    }
    EVP_PKEY_free(key);
    return code;
}

int signature_check(const struct trust *trust, const void *message, size_t message_length, const void *signature,
                    size_t signature_length, const void *chain, size_t chain_length, char signer[SIGNER_LIMIT],
                    struct reason *reason) {
    struct signer signers[SIGNERS_LIMIT] = {{.signature = signature, .length = signature_length, .is_alone = chain_length == 0}};
    size_t count = 1;
    int code;
    signer[0] = '\0';
    if (trust->count == 0) {
        return fail(reason, 6, "the signature cannot be checked: no public key or certificate in %s (files *.pem, %s)%s", trust->folder,
                    ALGORITHMS, trust->strange > 0 ? ", only what is neither" : "");
    }
    code = signer_check(trust, message, message_length, &signers[0], signer, reason);
    if (code != 6 || chain_length == 0) {
        return code;
    }
    if (chain_length > CHAIN_LIMIT) {
        return fail(reason, 6, "the certificates of the signer have %zu bytes, expected at most %d", chain_length, CHAIN_LIMIT);
    }
    code = signers_read(trust, chain, chain_length, signers, &count, reason);
    if (code == 0) {
        /* One that is trusted is enough; of several that are not, the reason is that of the first. */
        code = signer_check(trust, message, message_length, &signers[0], signer, reason);
        for (size_t i = 1; code == 6 && i < count; i++) {
            struct reason other;
            if (signer_check(trust, message, message_length, &signers[i], signer, &other) == 0) {
                code = 0;
            }
        }
    }
    if (code == 6 && count > 1) {
        struct reason first = *reason;
        fail(reason, 6, "%.300s; so it is with %zu more", first.text, count - 1);
    }
    for (size_t i = 0; i < count; i++) {
        block_free(&signers[i].own);
        X509_free(signers[i].leaf);
        sk_X509_pop_free(signers[i].others, X509_free);
    }
    ERR_clear_error();
    return code;
}
