/* SPDX-License-Identifier: MIT */
#ifndef TAGGER_H
#define TAGGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Private tags (Poly1305) of bytes that were verified, by which they are known again. Keys and tags must never be seen by others. One thread at a time. */
enum { TAG = 16, TAG_KEY = 32 };

struct tagger;

/* NULL if libcrypto offers none, or without memory. */
struct tagger *tagger_new(void);
void tagger_free(struct tagger *tagger);

/* False if libcrypto computes none. */
bool tagged(struct tagger *tagger, const uint8_t key[TAG_KEY], const void *data, size_t size, uint8_t tag[TAG]);

#endif
