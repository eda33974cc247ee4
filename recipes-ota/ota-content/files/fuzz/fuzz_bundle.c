/* SPDX-License-Identifier: MIT */
/* The layout of a bundle: whatever is found lies within it. */
#include <stdlib.h>

#include "bundle.h"
#include "memory.h"
#include "sums.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(const struct bundle_member *member, size_t size) {
    if (member->bytes > 0 && (member->offset > size || member->bytes > size - member->offset)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory = {.bytes = data, .size = size};
    struct bundle_bytes bytes = {.read = memory_read_at, .self = &memory, .size = size};
    struct bundle bundle;
    struct manifest manifest;
    struct reason reason = {0};
    (void)bundle_is_recognised(&bytes);
    if (bundle_read(&bundle, &bytes, &reason) == 0) {
        within(&bundle.manifest, size);
        within(&bundle.signature, size);
        within(&bundle.chain, size);
        within(&bundle.index, size);
        within(&bundle.payload, size);
        if (manifest_read(&manifest, (const char *)data + bundle.manifest.offset, (size_t)bundle.manifest.bytes, &reason) == 0) {
            (void)bundle_fits(&bundle, &manifest, &reason);
        }
    } else if (reason.code != 5 || reason.text[0] == '\0') {
        abort();
    }
    return 0;
}
