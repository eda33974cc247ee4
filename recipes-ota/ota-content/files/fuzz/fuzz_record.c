/* SPDX-License-Identifier: MIT */
/* Any bytes as a record, as tags of what was written, or as facts of an earlier step; and a record of any bytes knows them, and no others. */
#include "image.h"

#include "facts.h"
#include "index.h"
#include "writes.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void facts_looked_at(const uint8_t *data, size_t size) {
    struct facts facts;
    struct reason reason;
    uint64_t number;
    unsigned char hash[32];
    if (facts_parse(&facts, (const char *)data, size, &reason) == 0) {
        (void)facts_get(&facts, "format");
        (void)facts_number(&facts, "payload_bytes", &number, &reason);
        (void)facts_sha256(&facts, "image_sha256", hash, &reason);
    }
    facts_free(&facts);
}

static void recorded(const uint8_t *data, size_t size) {
    struct record *record;
    struct reason reason;
    size_t piece = 1 + data[0] % 64U;
    PROMISE(record_new(&record, piece, &reason) == 0);
    for (size_t at = 0; at < size; at += piece) {
        PROMISE(record_add(record, data + at, size - at < piece ? size - at : piece, &reason) == 0);
    }
    if (size % piece != 0) {
        PROMISE(record_add(record, data, 1, &reason) != 0);
    }
    PROMISE(record_bytes(record) == size && record_count(record) == (size + piece - 1) / piece);
    unsigned char other[64];
    for (size_t at = 0; at < size; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        PROMISE(record_knows(record, at / piece, data + at, part));
        memcpy(other, data + at, part);
        other[part / 2] ^= 4;
        PROMISE(!record_knows(record, at / piece, other, part));
        PROMISE(!record_knows(record, at / piece, data + at, part - 1));
    }
    PROMISE(!record_knows(record, record_count(record), data, 1));
    record_free(record);
}

/* Runs that were noted are known where they lie, and only as they were. */
static void noted(const uint8_t *data, size_t size) {
    static uint8_t bytes[3 * BLOCK];
    struct writes *writes;
    struct reason reason;
    if (writes_parse(&writes, data, size, &reason) == 0) {
        struct writes_reader *reader = writes_reader_new(writes);
        PROMISE(reader != NULL);
        for (uint32_t block = 0; block < 300; block++) {
            (void)writes_known(reader, block, 3, bytes);
        }
        writes_reader_free(reader);
        writes_free(writes);
    }
    if (size < 8) {
        return;
    }
    uint32_t block = data[0] * 256U + data[1], count = 1 + data[2] % 3U;
    for (size_t at = 0; at < sizeof bytes; at++) {
        bytes[at] = data[at % size];
    }
    PROMISE(writes_new(&writes, &reason) == 0 && writes_add(writes, block, count, bytes, &reason) == 0);
    struct writes_reader *reader = writes_reader_new(writes);
    PROMISE(reader != NULL);
    uint32_t known = writes_known(reader, block, count, bytes);
    PROMISE(known >= 1 && known <= count && writes_known(reader, block, known - 1, bytes) == 0 && writes_known(reader, block + 3, 3, bytes) == 0);
    bytes[(data[3] * 256U + data[4]) % (known * BLOCK)] ^= 1;
    PROMISE(writes_known(reader, block, count, bytes) == 0);
    writes_reader_free(reader);
    writes_free(writes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct record *record;
    struct reason reason;
    facts_looked_at(data, size);
    noted(data, size);
    if (record_parse(&record, data, size, &reason) == 0) {
        (void)record_knows(record, 0, data, size);
        (void)record_knows(record, record_count(record) - 1, data, size % 64);
        record_free(record);
    }
    if (size > 0 && size < 4096) {
        recorded(data, size);
    }
    return 0;
}
