/* SPDX-License-Identifier: MIT */
/*
 * ota-content cipher KEYFILE
 *
 * On a build host: encrypts a payload from standard input to standard output, or decrypts it. KEYFILE has 40 bytes, key and nonce; a command
 * line would be seen by everybody.
 */
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
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
