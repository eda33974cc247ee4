/* SPDX-License-Identifier: MIT */
#include "cipher.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/crypto.h>
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

/* A path is no URI, and a file of that name is what is opened, whatever its name looks like. */
static EVP_PKEY *private_key(const char *device) {
    EVP_PKEY *key = NULL;
    if (strncmp(device, "pkcs11:", 7) != 0) {
        BIO *file = BIO_new_file(device, "rb");
        key = file != NULL ? PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL) : NULL;
        BIO_free(file);
        return key;
    }
    OSSL_STORE_CTX *store = OSSL_STORE_open(device, UI_null(), NULL, NULL, NULL);
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

int content_key_unwrapped(struct content_key *key, const uint8_t *cms, size_t length, const uint8_t expected[32], const char *device,
                          struct reason *reason) {
    uint8_t hash[EVP_MAX_MD_SIZE], wrapped[CONTENT_KEY + 1];
    unsigned hashed = 0;
    int code = 0;
    if (device == NULL || device[0] == '\0') {
        return fail(reason, CODE_KEY, "the bundle is encrypted, and this device has no key: DECRYPTION_KEY in sysupgrade.conf names none");
    }
    EVP_PKEY *own = private_key(device);
    if (own == NULL) {
        ERR_clear_error();
        return fail(reason, CODE_KEY, "the bundle is encrypted, and this device's key %.200s cannot be read; expected a private key, PEM without a "
                    "passphrase, or the URI of one in a token", device);
    }
    const uint8_t *at = cms;
    CMS_ContentInfo *enveloped = d2i_CMS_ContentInfo(NULL, &at, (long)length);
    BIO *out = BIO_new(BIO_s_mem());
    if (enveloped == NULL || at != cms + length || OBJ_obj2nid(CMS_get0_type(enveloped)) != NID_pkcs7_enveloped) {
        code = fail(reason, CODE_FORMAT, "the manifest's encryption-recipients are no CMS EnvelopedData");
    } else if (out == NULL) {
        code = fail(reason, CODE_RESOURCES, "no memory to decrypt the key of the bundle");
    } else if (CMS_decrypt(enveloped, own, NULL, NULL, out, CMS_BINARY) != 1 || BIO_read(out, wrapped, sizeof wrapped) != CONTENT_KEY ||
               EVP_Digest(wrapped, CONTENT_KEY, hash, &hashed, EVP_sha256(), NULL) != 1 || hashed != 32 || memcmp(hash, expected, 32) != 0) {
        /* Of RSA a wrong key gives other bytes instead of an error. */
        code = fail(reason, CODE_KEY, "the bundle is encrypted, and not for this device's key %.200s", device);
    } else {
        memcpy(key->key, wrapped, CONTENT_KEY);
    }
    OPENSSL_cleanse(wrapped, sizeof wrapped);
    BIO_free(out);
    CMS_ContentInfo_free(enveloped);
    EVP_PKEY_free(own);
    ERR_clear_error();
    return code;
}
