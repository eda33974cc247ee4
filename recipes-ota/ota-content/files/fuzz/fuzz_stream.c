/* SPDX-License-Identifier: MIT */
/* Any bytes as a payload, of any compression: unpacked while they are recorded, and again from the record, in other pieces. Both give
 * the same, and what differs from the record comes out never. The first byte tells how: compression, whether it is signed, sizes. */
#include "image.h"

#include "format.h"
#include "stream.h"

#include <stdlib.h>

#define MOST 300000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int unpacked(struct source *source, enum compression compression, bool authenticated, bool peeks, size_t piece, unsigned char *out,
                    size_t *total) {
    struct reason reason = {0};
    struct stream *stream;
    *total = 0;
    int code = stream_open(&stream, source, compression, authenticated, &reason);
    PROMISE(code == 0);
    const unsigned char *head = NULL;
    size_t head_size = 0;
    if (peeks) {
        code = stream_peek(stream, &head, &head_size, &reason);
        enum format format;
        struct reason ignored;
        if (code == 0) {
            PROMISE(head_size <= PEEK);
            (void)format_recognised(head, head_size, compression, authenticated, &format, &ignored);
        }
    }
    size_t got = 1;
    while (code == 0 && got > 0 && *total < MOST) {
        size_t room = MOST - *total < piece ? MOST - *total : piece;
        code = stream_read(stream, out + *total, room, &got, &reason);
        if (code == 0) {
            PROMISE(got <= room);
            *total += got;
            PROMISE(stream_position(stream) == *total);
        }
    }
    PROMISE(code == 0 || (reason.code == code && reason.text[0] != '\0'));
    (void)stream_memory(stream);
    stream_close(stream);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned char first[MOST], second[MOST];
    if (size < 2) {
        return 0;
    }
    enum compression compression = (enum compression)(data[0] & 3);
    bool authenticated = (data[0] & 4) != 0, peeks = (data[0] & 8) != 0;
    size_t piece = (size_t)1 << (data[0] >> 4);
    unsigned char *copy = malloc(size - 1);
    memcpy(copy, data + 1, size - 1);
    struct fuzz_image memory = {copy, size - 1};
    struct source source;
    struct reason reason;
    PROMISE(source_records(&source, provider_of_image(&memory), 0, size - 1, authenticated, &reason) == 0);
    const unsigned char *beginning;
    size_t beginning_size;
    PROMISE(source_peek(&source, &beginning, &beginning_size, &reason) == 0);
    (void)compression_recognised(beginning, beginning_size);
    size_t first_size, second_size;
    int code = unpacked(&source, compression, authenticated, peeks, piece < 64 ? 64 : piece, first, &first_size);
    if (code == 0 && first_size < MOST) {
        /* The end of the content is the end of the payload. */
        PROMISE(source.position == source.bytes);
        PROMISE(source_verifies(&source, &reason) == 0);
        PROMISE(unpacked(&source, compression, authenticated, !peeks, 4096, second, &second_size) == 0);
        PROMISE(second_size == first_size && memcmp(first, second, first_size) == 0);
        copy[(size - 2) / 2] ^= 1;
        PROMISE(source_verifies(&source, &reason) == 0);
        PROMISE(unpacked(&source, compression, authenticated, peeks, 4096, second, &second_size) != 0);
        PROMISE(memcmp(first, second, second_size) == 0);
    }
    source_close(&source);
    free(copy);
    return 0;
}
