/* SPDX-License-Identifier: MIT */
/* Any bytes as the beginning of an unpacked image. A checksum that is wrong is made right, or nothing would come behind it. */
#include "image.h"

#include "ext4.h"
#include "format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t crc32c(const unsigned char *bytes, size_t size) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? UINT32_C(0x82f63b78) : 0);
        }
    }
    return crc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned char head[PEEK];
    struct ext4 ext4;
    struct reason reason;
    enum format format;
    size = size < PEEK ? size : PEEK;
    memcpy(head, data, size);
    (void)compression_recognised(head, size);
    (void)format_recognised(head, size, COMPRESSION_NONE, (size & 1) != 0, &format, &reason);
    for (int pass = 0; pass < 2; pass++) {
        int code = ext4_judged(&ext4, head, size, &reason);
        if (code == 0) {
            PROMISE(ext4.bytes / ext4.block_bytes == ext4.blocks && ext4.bytes <= INT64_MAX && ext4.free_bytes <= ext4.bytes);
            (void)ext4_is_bootable(&ext4, &reason);
        }
        if (size < 2048) {
            break;
        }
        uint32_t crc = crc32c(head + 1024, 0x3fc);
        for (int i = 0; i < 4; i++) {
            head[1024 + 0x3fc + i] = (unsigned char)(crc >> (8 * i));
        }
    }
    return 0;
}
