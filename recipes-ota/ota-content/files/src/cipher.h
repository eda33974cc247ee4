/* SPDX-License-Identifier: MIT */
/*
 * Payloads that are encrypted: AES-256 in counter mode over the bytes of the payload, so that a range of it can be read by itself. What
 * comes out is no more trusted than a payload that never was encrypted; the signed index judges it.
 */
#ifndef CIPHER_H
#define CIPHER_H

#include <stddef.h>
#include <stdint.h>

#include "say.h"

enum { CONTENT_KEY = 32, CONTENT_NONCE = 8 };

/* Of one payload and no other: the counter of its 16 bytes n is the nonce and n, so none is used twice. */
struct content_key {
    uint8_t key[CONTENT_KEY], nonce[CONTENT_NONCE];
};

/* From a file of 40 bytes, key and nonce: 0 or 3. */
int content_key_loaded(struct content_key *key, const char *path, struct reason *reason);

/* Encrypts or decrypts the bytes from a place of the payload on, which is the same. */
int cipher_applied(const struct content_key *key, uint8_t *bytes, size_t size, uint64_t offset, struct reason *reason);

/*
 * The key in a CMS EnvelopedData (DER), for the private key that `device` names: a file (PEM), or the URI of one in a token. It must have the
 * expected SHA-256. 0, or 23.
 */
int content_key_unwrapped(struct content_key *key, const uint8_t *cms, size_t length, const uint8_t expected[32], const char *device,
                          struct reason *reason);

#endif
