/* SPDX-License-Identifier: MIT */
/*
 * Ed25519, and ECDSA P-256 with SHA-256. Two algorithms are all that is accepted: whatever else a key in the folder may be, it is
 * not used. lib/otamgr/bundle.py judges by the same rules.
 */
#include "signature.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

enum { PEM_FILE_LIMIT = 1 << 20, PEM_BLOCKS_LIMIT = 4096, NAME_SHOWN = 128, SECURITY_LEVEL = 2 };

#define ALGORITHMS "Ed25519 or ECDSA P-256"

/* A public key or a certificate, and the name of its file. */
struct trusted {
    EVP_PKEY *key;
    X509 *certificate;
    char file[NAME_SHOWN];
};

struct trust {
    struct trusted *items;
    size_t count, room;
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

/* The next public key or certificate in a PEM text; false at its end. What cannot be read is counted as strange. */
static bool pem_next(BIO *text, EVP_PKEY **key, X509 **certificate, size_t *strange) {
    *key = NULL;
    *certificate = NULL;
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
            *key = key_read(der, (size_t)length);
        } else if (header[0] == '\0' && length > 0 && strcmp(name, "CERTIFICATE") == 0) {
            const uint8_t *at = der;
            *certificate = d2i_X509(NULL, &at, length);
            if (*certificate != NULL && at != der + length) {
                X509_free(*certificate);
                *certificate = NULL;
            }
        }
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
        if (*key != NULL || *certificate != NULL) {
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
    free(trust);
}

int trust_add(struct trust *trust, const char *name, const void *pem, size_t length, struct reason *reason) {
    EVP_PKEY *key;
    X509 *certificate;
    if (length > PEM_FILE_LIMIT) {
        return fail(reason, 6, "%s has %zu bytes, expected keys and certificates of at most %d", name, length, PEM_FILE_LIMIT);
    }
    BIO *text = BIO_new_mem_buf(pem, (int)length);
    if (text == NULL) {
        return fail(reason, 1, "no memory for %s", name);
    }
    while (pem_next(text, &key, &certificate, &trust->strange)) {
        if (trust->count == trust->room) {
            size_t room = trust->room ? trust->room * 2 : 8;
            struct trusted *items = trust->count < PEM_BLOCKS_LIMIT ? realloc(trust->items, room * sizeof *items) : NULL;
            if (items == NULL) {
                EVP_PKEY_free(key);
                X509_free(certificate);
                BIO_free(text);
                return fail(reason, 6, "too many keys and certificates at %s, expected at most %d", name, PEM_BLOCKS_LIMIT);
            }
            trust->items = items;
            trust->room = room;
        }
        struct trusted *item = &trust->items[trust->count++];
        item->key = key;
        item->certificate = certificate;
        snprintf(item->file, sizeof item->file, "%s", name);
        trust->keys += key != NULL;
        trust->certificates += certificate != NULL;
    }
    BIO_free(text);
    return 0;
}

/* What cannot be read trusts nobody, and does not keep others from being trusted. */
static int file_added(struct trust *trust, int folder, const char *path, const char *name, struct reason *reason) {
    struct stat is;
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0 || fstat(file, &is) != 0 || !S_ISREG(is.st_mode)) {
        if (file >= 0) {
            close(file);
        }
        trust->strange++;
        return 0;
    }
    size_t room = PEM_FILE_LIMIT + 1, length = 0;
    char *pem = malloc(room);
    ssize_t count = pem == NULL ? -1 : 1;
    while (count > 0 && length < room) {
        count = read(file, pem + length, room - length);
        if (count < 0 && errno == EINTR) {
            count = 1;
        } else if (count > 0) {
            length += (size_t)count;
        }
    }
    close(file);
    int code = 0;
    if (count < 0 || length > PEM_FILE_LIMIT) {
        trust->strange++;
    } else {
        code = trust_add(trust, path, pem, length, reason);
    }
    free(pem);
    return code;
}

static int is_pem_file(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 4 && strcmp(entry->d_name + length - 4, ".pem") == 0;
}

int trust_add_folder(struct trust *trust, const char *folder, struct reason *reason) {
    struct dirent **entries = NULL;
    int code = 0;
    snprintf(trust->folder, sizeof trust->folder, "%s", folder);
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0 && errno == ENOENT) {
        return 0;
    }
    int count = at < 0 ? -1 : scandir(folder, &entries, is_pem_file, alphasort);
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
        if (trust->items[i].certificate != NULL) {
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

/* The certificates of a chain: the leaf, and the others. Only certificates are taken, whatever else is in there. */
static X509 *chain_read(const void *chain, size_t length, STACK_OF(X509) *others) {
    X509 *leaf = NULL, *certificate;
    EVP_PKEY *key;
    size_t strange = 0;
    BIO *text = BIO_new_mem_buf(chain, (int)length);
    while (text != NULL && pem_next(text, &key, &certificate, &strange)) {
        EVP_PKEY_free(key);
        if (certificate == NULL) {
            continue;
        }
        if (leaf == NULL) {
            leaf = certificate;
        } else if (sk_X509_push(others, certificate) <= 0) {
            X509_free(certificate);
        }
    }
    BIO_free(text);
    return leaf;
}

int signature_check(const struct trust *trust, const void *message, size_t message_length, const void *signature,
                    size_t signature_length, const void *chain, size_t chain_length, char signer[SIGNER_LIMIT],
                    struct reason *reason) {
    char subject[160];
    int code;
    signer[0] = '\0';
    for (size_t i = 0; i < trust->count; i++) {
        if (trust->items[i].key != NULL &&
            key_made(trust->items[i].key, message, message_length, signature, signature_length)) {
            snprintf(signer, SIGNER_LIMIT, "%s", trust->items[i].file);
            return 0;
        }
    }
    if (trust->count == 0) {
        return fail(reason, 6, "the signature cannot be checked: no public key or certificate in %s (files *.pem, %s)%s", trust->folder,
                    ALGORITHMS, trust->strange > 0 ? ", only what is neither" : "");
    }
    if (chain_length == 0) {
        return fail(reason, 6, "the signature is by none of the public keys in %s (%zu there, %s), and no certificate came with it",
                    trust->folder, trust->keys, ALGORITHMS);
    }
    if (chain_length > CHAIN_LIMIT) {
        return fail(reason, 6, "the certificates of the signer have %zu bytes, expected at most %d", chain_length, CHAIN_LIMIT);
    }
    STACK_OF(X509) *others = sk_X509_new_null();
    X509 *leaf = others != NULL ? chain_read(chain, chain_length, others) : NULL;
    EVP_PKEY *key = leaf != NULL ? certificate_key(leaf) : NULL;
    if (key == NULL || !key_made(key, message, message_length, signature, signature_length)) {
        code = fail(reason, 6, "the signature is neither by a public key in %s nor by the certificate that came with it (%s)",
                    trust->folder, ALGORITHMS);
    } else {
        subject_of(leaf, subject, sizeof subject);
        const char *why = why_it_may_not_sign(leaf);
        code = why != NULL ? fail(reason, 6, "the certificate of the signer (%s) %s", subject, why)
                           : chain_check(trust, leaf, others, subject, signer, reason);
    }
    EVP_PKEY_free(key);
    X509_free(leaf);
    sk_X509_pop_free(others, X509_free);
    ERR_clear_error();
    return code;
}
