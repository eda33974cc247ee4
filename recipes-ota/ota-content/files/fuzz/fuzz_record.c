/* SPDX-License-Identifier: MIT */
/* Any bytes as a record or as facts of an earlier step; and a record of any bytes knows them, and no others. */
#include "image.h"

#include "facts.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct record *record;
    struct reason reason;
    facts_looked_at(data, size);
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
