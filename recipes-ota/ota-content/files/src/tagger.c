/* SPDX-License-Identifier: MIT */
#include "tagger.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct tagger {
    EVP_MAC *mac;
    EVP_MAC_CTX *context;
};

struct tagger *tagger_new(void) {
    struct tagger *tagger = calloc(1, sizeof *tagger);
    if (tagger != NULL) {
        tagger->mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
        tagger->context = tagger->mac == NULL ? NULL : EVP_MAC_CTX_new(tagger->mac);
        if (tagger->context == NULL) {
            tagger_free(tagger);
            tagger = NULL;
        }
    }
    return tagger;
}

void tagger_free(struct tagger *tagger) {
    if (tagger != NULL) {
        EVP_MAC_CTX_free(tagger->context);
        EVP_MAC_free(tagger->mac);
        free(tagger);
    }
}

bool tagged(struct tagger *tagger, const uint8_t key[TAG_KEY], const void *data, size_t size, uint8_t tag[TAG]) {
    size_t length = 0;
    return EVP_MAC_init(tagger->context, key, TAG_KEY, NULL) == 1 && EVP_MAC_update(tagger->context, data, size) == 1 &&
           EVP_MAC_final(tagger->context, tag, &length, TAG) == 1 && length == TAG;
}
