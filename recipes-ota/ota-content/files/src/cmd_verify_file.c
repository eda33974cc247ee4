/* SPDX-License-Identifier: MIT */
/*
 * ota-content verify-file --keys DIR FILE SIGNATURE [CHAIN]
 *
 * A detached signature over any file, by the same rules as that of a bundle's manifest. Prints signed_by=.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "signature.h"

/* Ed25519 takes what is signed in one piece: it has to fit into the memory of a small board. */
enum { SIGNED_LIMIT = 16 << 20 };

struct content {
    uint8_t *bytes;
    size_t length;
};

static int file_read(const char *path, size_t limit, struct content *to, struct reason *reason) {
    struct stat is;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &is) != 0) {
        fail_errno(reason, CODE_UNREADABLE, "%.200s cannot be read", path);
    } else if (!S_ISREG(is.st_mode)) {
        fail(reason, CODE_UNREADABLE, "%.200s is no regular file", path);
    } else if ((uint64_t)is.st_size > limit) {
        fail(reason, CODE_SIGNATURE, "%.200s has %lld bytes, expected at most %zu", path, (long long)is.st_size, limit);
    } else if ((to->bytes = malloc((size_t)is.st_size + 1)) == NULL) {
        fail(reason, CODE_RESOURCES, "no memory for %lld bytes of %.200s", (long long)is.st_size, path);
    } else {
        ssize_t got = 1;
        while (got > 0 && to->length <= (size_t)is.st_size) {
            got = read(fd, to->bytes + to->length, (size_t)is.st_size + 1 - to->length);
            if (got > 0) {
                to->length += (size_t)got;
            } else if (got < 0 && errno == EINTR) {
                got = 1;
            }
        }
        if (got == 0) {
            close(fd);
            return 0;
        }
        if (got < 0) {
            fail_errno(reason, CODE_UNREADABLE, "%.200s cannot be read", path);
        } else {
            fail(reason, CODE_SIGNATURE, "%.200s grew while it was read", path);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return reason->code;
}

int cmd_verify_file(int argc, char **argv, struct reason *reason) {
    struct content file = {0}, signature = {0}, chain = {0};
    char signer[SIGNER_LIMIT];
    if (argc < 5 || argc > 6 || strcmp(argv[1], "--keys") != 0) {
        return fail(reason, CODE_USAGE, "usage: ota-content verify-file --keys DIR FILE SIGNATURE [CHAIN]");
    }
    struct trust *trust = trust_new();
    int code = trust != NULL ? 0 : fail(reason, CODE_RESOURCES, "no memory for keys");
    if (code == 0 && (code = file_read(argv[3], SIGNED_LIMIT, &file, reason)) == 0 &&
        (code = file_read(argv[4], SIGNATURE_LIMIT, &signature, reason)) == 0 &&
        (code = argc == 6 ? file_read(argv[5], CHAIN_LIMIT, &chain, reason) : 0) == 0 &&
        (code = trust_add_folder(trust, argv[2], reason)) == 0 &&
        (code = signature_check(trust, file.bytes, file.length, signature.bytes, signature.length, chain.bytes, chain.length, signer,
                                reason)) == 0) {
        say_fact(stdout, "signed_by", signer);
        if (fflush(stdout) != 0) {
            code = fail_errno(reason, CODE_UNEXPECTED, "cannot write to standard output");
        }
    }
    trust_free(trust);
    free(file.bytes);
    free(signature.bytes);
    free(chain.bytes);
    return code;
}
