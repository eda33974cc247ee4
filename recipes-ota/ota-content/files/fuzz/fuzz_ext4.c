/* SPDX-License-Identifier: MIT */
/* Any bytes as the beginning of an unpacked image. A checksum that is wrong is made right, or nothing would come behind it. */
#include "image.h"

#include "crc32c.h"
#include "erofs.h"
#include "ext4.h"
#include "format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned char head[PEEK];
    struct ext4 ext4;
    struct reason reason;
    enum format format;
    size = size < PEEK ? size : PEEK;
    memcpy(head, data, size);
    (void)compression_recognised(head, size);
    (void)format_recognised(head, size, COMPRESSION_NONE, (size & 1) != 0, &format, &reason);
    uint64_t bytes;
    for (int pass = 0; pass < 2; pass++) {
        if (erofs_judged(&bytes, head, size, &reason) == 0) {
            PROMISE(bytes > 0 && bytes % 4096 == 0 && bytes <= UINT64_C(1) << 44);
        }
        if (size == PEEK && pass == 0) {
            memset(head + 1024 + 4, 0, 4);
            uint32_t sum = crc32c(CRC32C_BEGIN, head + 1024, PEEK - 1024);
            for (int i = 0; i < 4; i++) {
                head[1024 + 4 + i] = (unsigned char)(sum >> (8 * i));
            }
        }
    }
    memcpy(head, data, size);
    for (int pass = 0; pass < 2; pass++) {
        int code = ext4_judged(&ext4, head, size, &reason);
        if (code == 0) {
            PROMISE(ext4.bytes / ext4.block_bytes == ext4.blocks && ext4.bytes <= INT64_MAX && ext4.free_bytes <= ext4.bytes);
            (void)ext4_is_bootable(&ext4, &reason);
        }
        if (size < 2048) {
            break;
        }
        uint32_t crc = crc32c(CRC32C_BEGIN, head + 1024, 0x3fc);
        for (int i = 0; i < 4; i++) {
            head[1024 + 0x3fc + i] = (unsigned char)(crc >> (8 * i));
        }
    }
    return 0;
}
