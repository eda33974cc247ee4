/* SPDX-License-Identifier: MIT */
/*
 * ota-content cipher KEYFILE
 * ota-content wrap KEYFILE [--shared FILE | CERTIFICATE]...
 *
 * On a build host: encrypts a payload from standard input to standard output, or decrypts it; and puts the key, without the nonce, into a CMS
 * EnvelopedData for everybody who has the private key of one of the certificates, or one of the shared keys. KEYFILE has 40 bytes, key and
 * nonce; a command line would be seen by everybody.
 */
#include <fcntl.h>
#include <openssl/cms.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cipher.h"
#include "commands.h"
#include "facts.h"

enum { AT_ONCE = 1 << 20 };

int cmd_cipher(int argc, char **argv, struct reason *reason) {
    struct content_key key;
    uint64_t offset = 0;
    int code;
    if (argc != 2) {
        return fail(reason, CODE_USAGE, "usage: ota-content cipher KEYFILE <PAYLOAD >PAYLOAD");
    }
    if ((code = content_key_loaded(&key, argv[1], reason)) != 0) {
        return code;
    }
    uint8_t *bytes = malloc(AT_ONCE);
    size_t size = bytes == NULL ? 0 : fread(bytes, 1, AT_ONCE, stdin);
    if (bytes == NULL) {
        code = fail(reason, CODE_RESOURCES, "no memory for a buffer");
    }
    while (code == 0 && size > 0) {
        code = cipher_applied(&key, bytes, size, offset, reason);
        if (code == 0 && fwrite(bytes, 1, size, stdout) != size) {
            code = fail_errno(reason, CODE_WRITE, "cannot write to standard output");
        }
        offset += size;
        size = code == 0 ? fread(bytes, 1, AT_ONCE, stdin) : 0;
    }
    if (code == 0 && ferror(stdin)) {
        code = fail_errno(reason, CODE_UNREADABLE, "cannot read from standard input");
    } else if (code == 0 && fflush(stdout) != 0) {
        code = fail_errno(reason, CODE_WRITE, "cannot write to standard output");
    }
    free(bytes);
    OPENSSL_cleanse(&key, sizeof key);
    return code;
}

static bool certificate_added(CMS_ContentInfo *made, const char *path) {
    BIO *file = BIO_new_file(path, "rb");
    X509 *certificate = file != NULL ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
    CMS_RecipientInfo *added = certificate != NULL ? CMS_add1_recipient_cert(made, certificate, CMS_KEY_PARAM) : NULL;
    bool good = added != NULL;
    if (good && EVP_PKEY_is_a(X509_get0_pubkey(certificate), "RSA")) {
        EVP_PKEY_CTX *context = CMS_RecipientInfo_get0_pkey_ctx(added);
        good = EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) > 0 && EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) > 0;
    }
    X509_free(certificate);
    BIO_free(file);
    return good;
}

/* The message keeps the memory that it is given. */
static bool shared_added(CMS_ContentInfo *made, const char *path) {
    struct shared_key shared;
    uint8_t *key = NULL, *id = NULL;
    bool good = shared_key_loaded(&shared, path) == 0 && (key = OPENSSL_memdup(shared.key, SHARED_KEY)) != NULL &&
                (id = OPENSSL_memdup(shared.id, SHARED_KEY_ID)) != NULL &&
                CMS_add0_recipient_key(made, NID_undef, key, SHARED_KEY, id, SHARED_KEY_ID, NULL, NULL, NULL) != NULL;
    if (!good) {
        OPENSSL_clear_free(key, SHARED_KEY);
        OPENSSL_free(id);
    }
    OPENSSL_cleanse(&shared, sizeof shared);
    return good;
}

int cmd_wrap(int argc, char **argv, struct reason *reason) {
    struct content_key key;
    int code;
    if (argc < 3) {
        return fail(reason, CODE_USAGE, "usage: ota-content wrap KEYFILE [--shared FILE | CERTIFICATE]... >CMS");
    }
    if ((code = content_key_loaded(&key, argv[1], reason)) != 0) {
        return code;
    }
    BIO *content = BIO_new_mem_buf(key.key, CONTENT_KEY), *out = BIO_new_fp(stdout, BIO_NOCLOSE);
    CMS_ContentInfo *made = CMS_encrypt(NULL, NULL, EVP_aes_256_cbc(), CMS_PARTIAL | CMS_BINARY);
    if (content == NULL || out == NULL || made == NULL) {
        code = fail(reason, CODE_RESOURCES, "no memory for a message");
    }
    for (int i = 2; code == 0 && i < argc; i++) {
        if (strcmp(argv[i], "--shared") != 0) {
            if (!certificate_added(made, argv[i])) {
                code = fail(reason, CODE_FORMAT, "%.200s: expected a certificate with a key of RSA or of an elliptic curve, PEM", argv[i]);
            }
        } else if (++i == argc || !shared_added(made, argv[i])) {
            code = fail(reason, CODE_FORMAT, "%.200s: expected a shared key, 64 hexadecimal digits in lower case", i < argc ? argv[i] : "--shared");
        }
    }
    if (code == 0 && (CMS_final(made, content, NULL, CMS_BINARY) != 1 || i2d_CMS_bio(out, made) != 1 || BIO_flush(out) != 1)) {
        code = fail(reason, CODE_UNEXPECTED, "libcrypto cannot make a CMS message: %.100s", ERR_reason_error_string(ERR_peek_last_error()));
    }
    CMS_ContentInfo_free(made);
    BIO_free(content);
    BIO_free(out);
    ERR_clear_error();
    OPENSSL_cleanse(&key, sizeof key);
    return code;
}
