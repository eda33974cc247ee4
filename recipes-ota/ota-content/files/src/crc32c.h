/* SPDX-License-Identifier: MIT */
/* CRC-32C as ext4 and EROFS use it: begun with ones, not inverted at the end. */
#ifndef CRC32C_H
#define CRC32C_H

#include <stddef.h>
#include <stdint.h>

#define CRC32C_BEGIN UINT32_MAX

uint32_t crc32c(uint32_t crc, const unsigned char *bytes, size_t size);

#endif
