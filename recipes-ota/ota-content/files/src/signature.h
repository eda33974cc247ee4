/* SPDX-License-Identifier: MIT */
/* Detached signatures, and who is trusted to make them. */
#ifndef SIGNATURE_H
#define SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "say.h"

enum { SIGNATURE_LIMIT = 1024, CHAIN_LIMIT = 65536, SIGNER_LIMIT = 320 };

/* Public keys and certificates that are trusted. */
struct trust;

/* An empty one; NULL if there is no memory. */
struct trust *trust_new(void);
void trust_free(struct trust *trust);

/* Adds each public key and certificate in this PEM text; what else is in there is passed over. name is the file's. */
int trust_add(struct trust *trust, const char *name, const void *pem, size_t length, struct reason *reason);

/*
 * Takes back what is trusted: lines with the SHA-256 of a public key (DER, SubjectPublicKeyInfo) or of a certificate, with # for
 * comments. Whatever has such a key is trusted no more, whoever vouches for it. 0, or 6 for what is no such list.
 */
int trust_revoke(struct trust *trust, const char *name, const void *text, size_t length, struct reason *reason);

/* Adds all files *.pem of a folder, and takes back what its files *.revoked name. A folder that is missing trusts nobody. */
int trust_add_folder(struct trust *trust, const char *folder, struct reason *reason);

/*
 * Whether a trusted public key has made the signature over the message, or the key of the first certificate in chain (PEM, may be
 * empty), from which the others lead to a trusted one. Further signatures may stand in chain, PEM blocks OTA SIGNATURE each with its
 * certificates behind it; one that is good is enough. signer then says who. 0, or 6 with a reason.
 */
int signature_check(const struct trust *trust, const void *message, size_t message_length, const void *signature,
                    size_t signature_length, const void *chain, size_t chain_length, char signer[SIGNER_LIMIT],
                    struct reason *reason);

#endif
