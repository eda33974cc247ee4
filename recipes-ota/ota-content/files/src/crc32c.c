/* SPDX-License-Identifier: MIT */
#include "crc32c.h"

uint32_t crc32c(uint32_t crc, const unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (UINT32_C(0x82f63b78) & (0U - (crc & 1)));
        }
    }
    return crc;
}
