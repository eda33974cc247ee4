/* SPDX-License-Identifier: MIT */
/* A mutator that makes the checksums of tar headers right again: without it hardly any change would be read. */
#ifndef FUZZ_SUMS_H
#define FUZZ_SUMS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    size = LLVMFuzzerMutate(data, size, max_size);
    /* One in eight stays wrong. */
    for (size_t at = 0; seed % 8 != 0 && size - at >= 512 && at < size; at += 512) {
        if (memcmp(data + at + 257, "ustar", 5) == 0) {
            unsigned sum = 0;
            memset(data + at + 148, ' ', 8);
            for (size_t i = 0; i < 512; i++) {
                sum += data[at + i];
            }
            snprintf((char *)data + at + 148, 8, "%06o", sum & 0777777);
            data[at + 155] = ' ';
        }
    }
    return size;
}

#endif
