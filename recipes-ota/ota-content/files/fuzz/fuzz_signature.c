/* SPDX-License-Identifier: MIT */
/*
 * Keys, signature, chain and a list of who is revoked as a stranger gives them; parts that begin with their length in two bytes. The signature is over
 * the text "signed". Whoever is said to have signed was in the keys.
 */
#include <stdlib.h>
#include <string.h>

#include "signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t part(const uint8_t **data, size_t *size, const uint8_t **to) {
    if (*size < 2) {
        *size = 0;
        return 0;
    }
    size_t length = (size_t)(*data)[0] << 8 | (*data)[1];
    *data += 2;
    *size -= 2;
    if (length > *size) {
        length = *size;
    }
    *to = *data;
    *data += length;
    *size -= length;
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *keys = (const uint8_t *)"", *signature = keys, *chain = keys, *revoked = keys;
    size_t keys_length = part(&data, &size, &keys);
    size_t signature_length = part(&data, &size, &signature);
    size_t chain_length = part(&data, &size, &chain);
    size_t revoked_length = part(&data, &size, &revoked);
    struct reason reason = {0};
    char signer[SIGNER_LIMIT];
    struct trust *trust = trust_new();
    if (trust == NULL) {
        return 0;
    }
    if (trust_add(trust, "keys.pem", keys, keys_length, &reason) == 0 &&
        trust_revoke(trust, "ours.revoked", revoked, revoked_length, &reason) == 0) {
        int code = signature_check(trust, "signed", 6, signature, signature_length, chain, chain_length, signer, &reason);
        if (code == 0 ? strncmp(signer, "keys.pem", 8) != 0 : (code != 6 && code != 1) || reason.text[0] == '\0') {
            abort();
        }
    }
    trust_free(trust);
    return 0;
}
