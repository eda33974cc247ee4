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

enum { SHARED_KEY = 32, SHARED_KEY_ID = 8 };

/* A key that many devices have, and the name under which messages have something for it: the first bytes of its SHA-256. */
struct shared_key {
    uint8_t key[SHARED_KEY], id[SHARED_KEY_ID];
};

/* From a file of 64 hexadecimal digits in lower case: 0, or -1 when it is none. */
int shared_key_loaded(struct shared_key *key, const char *path);

/*
 * The key in a CMS EnvelopedData (DER), for the key that `device` names: a file with a private key (PEM) or with a shared one, or the URI of
 * a private key in a token. It must have the expected SHA-256. 0, or 23.
 */
int content_key_unwrapped(struct content_key *key, const uint8_t *cms, size_t length, const uint8_t expected[32], const char *device,
                          struct reason *reason);

#endif
