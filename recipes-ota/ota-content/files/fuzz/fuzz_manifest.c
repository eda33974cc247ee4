/* SPDX-License-Identifier: MIT */
/* A manifest, and a version that was read from one. */
#include <stdlib.h>
#include <string.h>

#include "manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct manifest manifest;
    struct version version;
    struct reason reason = {0};
    char why[100];
    if (manifest_read(&manifest, (const char *)data, size, &reason) == 0) {
        if (!version_read(&version, manifest.version, strlen(manifest.version), why, sizeof why) ||
            version_compare(&version, &manifest.numbers) != 0 || !member_name_is_plain(manifest.image, strlen(manifest.image)) ||
            manifest.image_bytes == 0 || (manifest.format == 2) != (manifest.index_bytes != 0) ||
            (manifest.is_encrypted && (manifest.format != 2 || manifest.recipients_length % 4 != 0 || manifest.recipients_length == 0 ||
                                       manifest.recipients < (const char *)data ||
                                       manifest.recipients + manifest.recipients_length > (const char *)data + size))) {
            abort();
        }
    } else if (reason.code != 4 || reason.text[0] == '\0') {
        abort();
    }
    (void)version_read(&version, (const char *)data, size, why, sizeof why);
    return 0;
}
