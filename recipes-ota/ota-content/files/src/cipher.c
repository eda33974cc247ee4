/* SPDX-License-Identifier: MIT */
/* What is deprecated since OpenSSL 3 are engines, and Debian 12 has no other way to a token. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "cipher.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/crypto.h>
#ifndef OPENSSL_NO_ENGINE
#include <openssl/engine.h>
#endif
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/store.h>
#include <openssl/ui.h>

enum { CIPHER_BLOCK = 16 };

int cipher_applied(const struct content_key *key, uint8_t *bytes, size_t size, uint64_t offset, struct reason *reason) {
    uint8_t counter[CIPHER_BLOCK], passed[CIPHER_BLOCK] = {0};
    uint64_t number = offset / CIPHER_BLOCK;
    int inside = (int)(offset % CIPHER_BLOCK), done = 0;
    memcpy(counter, key->nonce, CONTENT_NONCE);
    for (size_t i = 0; i < 8; i++) {
        counter[CONTENT_NONCE + i] = (uint8_t)(number >> (56 - 8 * i));
    }
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool good = context != NULL && size <= INT32_MAX && EVP_EncryptInit_ex(context, EVP_aes_256_ctr(), NULL, key->key, counter) == 1 &&
                (inside == 0 || EVP_EncryptUpdate(context, passed, &done, passed, inside) == 1) &&
                EVP_EncryptUpdate(context, bytes, &done, bytes, (int)size) == 1 && done == (int)size;
    EVP_CIPHER_CTX_free(context);
    return good ? 0 : fail(reason, CODE_UNEXPECTED, "libcrypto does no AES-256 in counter mode");
}

int content_key_loaded(struct content_key *key, const char *path, struct reason *reason) {
    FILE *file = fopen(path, "rbe");
    bool good = file != NULL && fread(key->key, 1, CONTENT_KEY, file) == CONTENT_KEY &&
                fread(key->nonce, 1, CONTENT_NONCE, file) == CONTENT_NONCE && fgetc(file) == EOF;
    if (file != NULL) {
        fclose(file);
    }
    return good ? 0 : fail(reason, CODE_UNREADABLE, "%.200s cannot be read, expected %d bytes: key and nonce", path, CONTENT_KEY + CONTENT_NONCE);
}

/* Of a device nobody is asked for a passphrase. */
static int no_passphrase(char *buffer, int size, int writes, void *context) {
    (void)buffer, (void)size, (void)writes, (void)context;
    return -1;
}

static const char pkcs11[] = "pkcs11:";

static bool is_in_a_token(const char *device) {
    return strncmp(device, pkcs11, sizeof pkcs11 - 1) == 0;
}

/* A key in a token by a provider that is configured, such as pkcs11-provider. */
static EVP_PKEY *key_of_provider(const char *uri) {
    EVP_PKEY *key = NULL;
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, UI_null(), NULL, NULL, NULL);
    while (store != NULL && key == NULL && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *found = OSSL_STORE_load(store);
        if (found != NULL && OSSL_STORE_INFO_get_type(found) == OSSL_STORE_INFO_PKEY) {
            key = OSSL_STORE_INFO_get1_PKEY(found);
        }
        OSSL_STORE_INFO_free(found);
    }
    OSSL_STORE_close(store);
    return key;
}

/* The same by the engine of libp11. Neither is linked with this program; a device without such keys needs none. */
static EVP_PKEY *key_of_engine(const char *uri, bool *is_there) {
    EVP_PKEY *key = NULL;
#ifndef OPENSSL_NO_ENGINE
    ENGINE *engine = ENGINE_by_id("pkcs11");
    *is_there = engine != NULL;
    /* It would say the URI with the PIN in it. */
    if (engine != NULL && ENGINE_ctrl_cmd_string(engine, "QUIET", NULL, 0) == 1 && ENGINE_init(engine) == 1) {
        key = ENGINE_load_private_key(engine, uri, (UI_METHOD *)UI_null(), NULL);
        /* The key keeps what it needs. */
        ENGINE_finish(engine);
    }
    ENGINE_free(engine);
#else
    (void)uri;
    *is_there = false;
#endif
    return key;
}

/* A path is no URI, and a file of that name is what is opened, whatever its name looks like. */
static int private_key(const char *device, EVP_PKEY **key, struct reason *reason) {
    if (is_in_a_token(device)) {
        bool is_there = false;
        /* What follows the question mark may be a PIN, which is nobody's business. */
        int shown = (int)strcspn(device, "?");
        *key = key_of_provider(device);
        if (*key == NULL) {
            *key = key_of_engine(device, &is_there);
        }
        ERR_clear_error();
        if (*key != NULL) {
            return 0;
        }
        return is_there ? fail(reason, CODE_KEY, "the bundle is encrypted, and this device's key %.*s cannot be read; expected a private key in a token that is "
                               "there, and its PIN (pin-source or pin-value)", shown < 200 ? shown : 200, device)
                        : fail(reason, CODE_KEY, "the bundle is encrypted, and this device's key %.*s cannot be read: expected a provider of OpenSSL for pkcs11: that is "
                               "configured, or its engine pkcs11, found neither", shown < 200 ? shown : 200, device);
    }
    BIO *file = BIO_new_file(device, "rb");
    *key = file != NULL ? PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL) : NULL;
    BIO_free(file);
    ERR_clear_error();
    return *key != NULL ? 0
                        : fail(reason, CODE_KEY, "the bundle is encrypted, and this device's key %.200s cannot be read; expected a private key, PEM without a "
                               "passphrase, 64 hexadecimal digits, or the URI of a key in a token", device);
}

static int digit(int character) {
    return character >= '0' && character <= '9' ? character - '0' : character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

int shared_key_loaded(struct shared_key *key, const char *path) {
    uint8_t hash[EVP_MAX_MD_SIZE];
    char text[2 * SHARED_KEY + 2];
    unsigned hashed = 0;
    FILE *file = fopen(path, "rbe");
    size_t size = file != NULL ? fread(text, 1, sizeof text, file) : 0;
    bool good = size == 2 * SHARED_KEY || (size == 2 * SHARED_KEY + 1 && text[size - 1] == '\n');
    if (file != NULL) {
        fclose(file);
    }
    for (size_t i = 0; good && i < SHARED_KEY; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        good = high >= 0 && low >= 0;
        key->key[i] = (uint8_t)(good ? high << 4 | low : 0);
    }
    good = good && EVP_Digest(key->key, SHARED_KEY, hash, &hashed, EVP_sha256(), NULL) == 1;
    if (good) {
        memcpy(key->id, hash, SHARED_KEY_ID);
    }
    OPENSSL_cleanse(text, sizeof text);
    return good ? 0 : -1;
}

int content_key_unwrapped(struct content_key *key, const uint8_t *cms, size_t length, const uint8_t expected[32], const char *device,
                          struct reason *reason) {
    uint8_t hash[EVP_MAX_MD_SIZE], wrapped[CONTENT_KEY + 1];
    struct shared_key shared;
    unsigned hashed = 0;
    int code = 0;
    if (device == NULL || device[0] == '\0') {
        return fail(reason, CODE_KEY, "the bundle is encrypted, and this device has no key: DECRYPTION_KEY in sysupgrade.conf names none");
    }
    EVP_PKEY *own = NULL;
    bool is_shared = !is_in_a_token(device) && shared_key_loaded(&shared, device) == 0;
    if (!is_shared && (code = private_key(device, &own, reason)) != 0) {
        return code;
    }
    const uint8_t *at = cms;
    CMS_ContentInfo *enveloped = d2i_CMS_ContentInfo(NULL, &at, (long)length);
    BIO *out = BIO_new(BIO_s_mem());
    if (enveloped == NULL || at != cms + length || OBJ_obj2nid(CMS_get0_type(enveloped)) != NID_pkcs7_enveloped) {
        code = fail(reason, CODE_FORMAT, "the manifest's encryption-recipients are no CMS EnvelopedData");
    } else if (out == NULL) {
        code = fail(reason, CODE_RESOURCES, "no memory to decrypt the key of the bundle");
    } else if ((is_shared && CMS_decrypt_set1_key(enveloped, shared.key, SHARED_KEY, shared.id, SHARED_KEY_ID) != 1) ||
               CMS_decrypt(enveloped, own, NULL, NULL, out, CMS_BINARY) != 1 || BIO_read(out, wrapped, sizeof wrapped) != CONTENT_KEY ||
               EVP_Digest(wrapped, CONTENT_KEY, hash, &hashed, EVP_sha256(), NULL) != 1 || hashed != 32 || memcmp(hash, expected, 32) != 0) {
        /* Of RSA a wrong key gives other bytes instead of an error. */
        size_t shown = is_in_a_token(device) ? strcspn(device, "?") : strlen(device);
        code = fail(reason, CODE_KEY, "the bundle is encrypted, and not for this device's key %.*s", (int)(shown < 200 ? shown : 200), device);
    } else {
        memcpy(key->key, wrapped, CONTENT_KEY);
    }
    OPENSSL_cleanse(wrapped, sizeof wrapped);
    OPENSSL_cleanse(&shared, sizeof shared);
    BIO_free(out);
    CMS_ContentInfo_free(enveloped);
    EVP_PKEY_free(own);
    ERR_clear_error();
    return code;
}
