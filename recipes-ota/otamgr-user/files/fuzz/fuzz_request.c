/* SPDX-License-Identifier: MIT */
/* What a stolen daemon may say to otamgr-root: whatever is understood is what the grammar has, and nothing else. */
#include "request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hold(int good) {
    if (!good) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct request request;
    char reason[REQUEST_REASON] = "";
    /* A copy of exactly this size, for AddressSanitizer. */
    char *bytes = malloc(size > 0 ? size : 1);
    hold(bytes != NULL);
    memcpy(bytes, data, size);
    if (request_parsed(bytes, size, &request, reason) != 0) {
        hold(request.verb == VERB_NONE && reason[0] != '\0');
        free(bytes);
        return 0;
    }
    size_t words = 0, length = 1;
    for (; request.words[words] != NULL; words++) {
        length += strlen(request.words[words]) + 1;
    }
    hold(words == request.count && words >= 1 && length == size);
    if (request.verb == VERB_SYSUPGRADE) {
        hold(request.image[0] == '/' && (request.header == NULL || request.header[0] == '/'));
        for (size_t i = 1; i < words; i++) {
            const char *word = request.words[i];
            hold(word[0] != '-' || strcmp(word, "--needs") == 0 || strcmp(word, "-q") == 0 || strcmp(word, "--no-reboot") == 0 || strcmp(word, "--txn") == 0 ||
                 strcmp(word, "--header") == 0 || (i == 3 && words >= 5));
        }
    } else if (request.verb == VERB_HEALTH || request.verb == VERB_REASON) {
        hold(strchr(request.words[1], '/') == NULL && strchr(request.words[1], '.') == NULL);
    } else if (request.verb != VERB_SLOT) {
        hold(words == 1);
    }
    free(bytes);
    return 0;
}
