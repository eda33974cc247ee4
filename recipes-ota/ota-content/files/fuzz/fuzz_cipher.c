/* SPDX-License-Identifier: MIT */
/*
 * The wrapped key of an encrypted bundle. Only what was signed gets here, but whoever may sign for one board must not get further than that:
 * the private key is one that is known to all, the first bytes choose it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cipher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of nobody. */
static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPg1+SJoy/5sogc5G\n"
                          "i4G9lZSKEPRutoV0lHYnmvizYqihRANCAARX+dlz4Guwc0Ih189t3cd9tT2XGj20\n"
                          "geijzEpLJ1Gi9+FEFOulGd0ugvHb75yJC5ZuzoSnvS4BuBCU02G46Bal\n"
                          "-----END PRIVATE KEY-----\n";

static const char *key_file(void) {
    static char name[] = "/tmp/fuzz-cipher-XXXXXX";
    static int fd = -1;
    if (fd < 0) {
        fd = mkstemp(name);
        if (fd < 0 || write(fd, pem, sizeof pem - 1) != (ssize_t)(sizeof pem - 1)) {
            abort();
        }
    }
    return name;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct content_key key = {0};
    struct reason reason = {0};
    uint8_t expected[32] = {0};
    if (size < sizeof expected) {
        return 0;
    }
    memcpy(expected, data, sizeof expected);
    int code = content_key_unwrapped(&key, data + sizeof expected, size - sizeof expected, expected, key_file(), &reason);
    if (code == 0 ? reason.code != 0 : (code != 4 && code != 23) || reason.text[0] == '\0') {
        abort();
    }
    /* From any place on it is the same as from the beginning. */
    uint8_t whole[96] = {0}, part[96] = {0};
    size_t at = data[0] % sizeof whole;
    if (cipher_applied(&key, whole, sizeof whole, 0, &reason) != 0 || cipher_applied(&key, part, sizeof part - at, at, &reason) != 0 ||
        memcmp(whole + at, part, sizeof part - at) != 0) {
        abort();
    }
    return 0;
}
