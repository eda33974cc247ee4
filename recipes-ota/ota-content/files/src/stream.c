/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* The longest header of a zstd frame (RFC 8878): magic number, descriptor, window, dictionary, content size. */
#define ZSTD_HEADER 18

struct stream {
    struct source *source;
    enum compression compression;
    bool authenticated;
    const unsigned char *in; /* what is left of the source's chunk */
    size_t in_size;
    bool source_ended, ended;
    bool between; /* members, frames or streams: the payload may end here */
    bool begun;   /* one of them was complete, or has begun */
    uint64_t position, window;
    unsigned char peeked[PEEK];
    size_t peeked_size, peeked_at;
    z_stream gzip;
    bool gzip_open;
    ZSTD_DStream *zstd;
    unsigned char header[ZSTD_HEADER];
    size_t header_size, header_at; /* collected, and given to the decompressor */
    uint64_t skip;                 /* rest of a skippable frame */
    lzma_stream xz;
    bool xz_open;
};

static const char *const names[] = {"none", "gzip", "zstd", "xz"};

const char *compression_name(enum compression compression) { return names[compression]; }

bool compression_named(const char *name, enum compression *compression) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *compression = (enum compression)i;
            return true;
        }
    }
    return false;
}

static uint32_t little_endian_32(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

#define ZSTD_FRAME UINT32_C(0xfd2fb528)
#define ZSTD_SKIPPABLE UINT32_C(0x184d2a50)

enum compression compression_recognised(const unsigned char *first, size_t size) {
    if (size >= 3 && memcmp(first, "\x1f\x8b\x08", 3) == 0) {
        return COMPRESSION_GZIP;
    }
    /* pzstd begins with a skippable frame. */
    if (size >= 4 && (little_endian_32(first) == ZSTD_FRAME || (little_endian_32(first) & ~UINT32_C(15)) == ZSTD_SKIPPABLE)) {
        return COMPRESSION_ZSTD;
    }
    if (size >= 6 && memcmp(first, "\xfd" "7zXZ\0", 6) == 0) {
        return COMPRESSION_XZ;
    }
    return COMPRESSION_NONE;
}

/* What the decompressor would say of memory that ran out is said in one way for all. */
static int no_memory(const struct stream *stream, struct reason *reason) {
    return fail(reason, CODE_RESOURCES, "no memory to unpack the image (%s)", compression_name(stream->compression));
}

static int damaged(const struct stream *stream, const char *what, struct reason *reason) {
    return fail(reason, CODE_CORRUPT, "the image does not decompress (%s: %s, after %llu unpacked bytes)",
                compression_name(stream->compression), what, (unsigned long long)stream->position);
}

int stream_open(struct stream **opened, struct source *source, enum compression compression, bool authenticated, struct reason *reason) {
    struct stream *stream = calloc(1, sizeof *stream);
    *opened = NULL;
    if (stream == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory to unpack the image");
    }
    stream->source = source;
    stream->compression = compression;
    stream->authenticated = authenticated;
    stream->between = true;
    bool made = true;
    switch (compression) {
    case COMPRESSION_NONE:
        break;
    case COMPRESSION_GZIP:
        /* The largest window, and nothing but gzip. */
        made = stream->gzip_open = inflateInit2(&stream->gzip, 15 + 16) == Z_OK;
        stream->window = 1 << 15;
        break;
    case COMPRESSION_ZSTD:
        stream->zstd = ZSTD_createDStream();
        made = stream->zstd != NULL && !ZSTD_isError(ZSTD_DCtx_setParameter(stream->zstd, ZSTD_d_windowLogMax, 27));
        break;
    case COMPRESSION_XZ:
        stream->xz = (lzma_stream)LZMA_STREAM_INIT;
        /* Some more than the dictionary. */
        made = stream->xz_open = lzma_stream_decoder(&stream->xz, WINDOW_LIMIT + (UINT64_C(1) << 20),
                                                     LZMA_CONCATENATED | LZMA_TELL_NO_CHECK | LZMA_TELL_UNSUPPORTED_CHECK) == LZMA_OK;
        break;
    }
    if (!made) {
        int code = no_memory(stream, reason);
        stream_close(stream);
        return code;
    }
    *opened = stream;
    return 0;
}

void stream_close(struct stream *stream) {
    if (stream == NULL) {
        return;
    }
    if (stream->gzip_open) {
        inflateEnd(&stream->gzip);
    }
    if (stream->xz_open) {
        lzma_end(&stream->xz);
    }
    ZSTD_freeDStream(stream->zstd);
    free(stream);
}

/* Makes sure that there is input, unless the payload has ended. */
static int filled(struct stream *stream, struct reason *reason) {
    if (stream->in_size > 0 || stream->source_ended) {
        return 0;
    }
    int code = source_next(stream->source, &stream->in, &stream->in_size, reason);
    stream->source_ended = code == 0 && stream->in_size == 0;
    return code;
}

static void taken(struct stream *stream, size_t size) {
    stream->in += size;
    stream->in_size -= size;
}

static int cut_off(const struct stream *stream, struct reason *reason) {
    return damaged(stream, stream->begun ? "it is cut off" : "it holds nothing", reason);
}

static int plain_step(struct stream *stream, unsigned char *out, size_t room, size_t *got, struct reason *reason) {
    int code = filled(stream, reason);
    if (code != 0) {
        return code;
    }
    *got = stream->in_size < room ? stream->in_size : room;
    memcpy(out, stream->in, *got);
    taken(stream, *got);
    stream->ended = stream->source_ended;
    return 0;
}

static int gzip_step(struct stream *stream, unsigned char *out, size_t room, size_t *got, struct reason *reason) {
    int code = filled(stream, reason);
    if (code != 0) {
        return code;
    }
    if (stream->source_ended) {
        if (!stream->between || !stream->begun) {
            return cut_off(stream, reason);
        }
        stream->ended = true;
        return 0;
    }
    if (stream->between && stream->begun) {
        /* What pads a file to whole blocks; gzip passes over it too. */
        if (*stream->in == 0) {
            taken(stream, 1);
            stream->skip++;
            return 0;
        }
        if (stream->skip > 0 || *stream->in != 0x1f) {
            return damaged(stream, "something follows its end", reason);
        }
        if (inflateReset(&stream->gzip) != Z_OK) {
            return damaged(stream, "zlib does not begin again", reason);
        }
    }
    stream->between = false;
    stream->begun = true;
    stream->gzip.next_in = (z_const Bytef *)stream->in;
    stream->gzip.avail_in = (uInt)stream->in_size;
    stream->gzip.next_out = out;
    stream->gzip.avail_out = (uInt)(room < (1U << 30) ? room : (1U << 30));
    uInt asked = stream->gzip.avail_out;
    int result = inflate(&stream->gzip, Z_NO_FLUSH);
    *got = asked - stream->gzip.avail_out;
    taken(stream, stream->in_size - stream->gzip.avail_in);
    switch (result) {
    case Z_OK:
        return 0;
    case Z_STREAM_END:
        stream->between = true;
        return 0;
    case Z_MEM_ERROR:
        return no_memory(stream, reason);
    case Z_NEED_DICT:
        return damaged(stream, "it needs a dictionary", reason);
    default:
        return damaged(stream, stream->gzip.msg != NULL ? stream->gzip.msg : "data error", reason);
    }
}

/* The bytes of a frame's header that are needed to tell how long it is, and then all of it. */
static size_t zstd_header_size(const unsigned char *header, size_t have) {
    if (have < 4) {
        return 4;
    }
    if ((little_endian_32(header) & ~UINT32_C(15)) == ZSTD_SKIPPABLE) {
        return 8;
    }
    if (have < 5) {
        return 5;
    }
    static const unsigned char dictionary[4] = {0, 1, 2, 4}, content[4] = {0, 2, 4, 8};
    unsigned char descriptor = header[4];
    bool single = (descriptor & 32) != 0;
    size_t content_size = content[descriptor >> 6];
    return 5 + (single ? 0U : 1U) + dictionary[descriptor & 3] + (single && content_size == 0 ? 1U : content_size);
}

static int zstd_frame_judged(struct stream *stream, struct reason *reason) {
    const unsigned char *header = stream->header;
    unsigned char descriptor = header[4];
    static const unsigned char dictionary[4] = {0, 1, 2, 4};
    const unsigned char *at = header + 5;
    if ((descriptor & 8) != 0) {
        return damaged(stream, "a frame has a bit that is reserved", reason);
    }
    uint64_t window = 0;
    bool single = (descriptor & 32) != 0;
    if (!single) {
        uint64_t base = UINT64_C(1) << (10 + (*at >> 3));
        window = base + base / 8 * (*at & 7);
        at++;
    }
    for (unsigned i = 0; i < dictionary[descriptor & 3]; i++) {
        if (at[i] != 0) {
            return fail(reason, CODE_FORMAT, "the zstd image was made with a dictionary, which this system does not have; compress it without");
        }
    }
    at += dictionary[descriptor & 3];
    if (single) {
        switch (descriptor >> 6) {
        case 0: window = *at; break;
        case 1: window = (uint64_t)at[0] + ((uint64_t)at[1] << 8) + 256; break;
        case 2: window = little_endian_32(at); break;
        default: window = little_endian_32(at) | (uint64_t)little_endian_32(at + 4) << 32; break;
        }
    }
    if (window > WINDOW_LIMIT) {
        return fail(reason, CODE_FORMAT, "the zstd image needs a window of %llu bytes to unpack, at most %llu are taken; compress it with --long=27 or less",
                    (unsigned long long)window, (unsigned long long)WINDOW_LIMIT);
    }
    if ((descriptor & 4) == 0 && !stream->authenticated) {
        return fail(reason, CODE_CORRUPT, "the zstd image carries no checksum, so it cannot be told whether it is whole; compress it with: zstd --check");
    }
    if (window > stream->window) {
        stream->window = window;
    }
    return 0;
}

/* Collects the header of the next frame, judges it, and leaves it for the decompressor. */
static int zstd_frame_begins(struct stream *stream, struct reason *reason) {
    size_t wanted;
    while ((wanted = zstd_header_size(stream->header, stream->header_size)) > stream->header_size) {
        int code = filled(stream, reason);
        if (code != 0) {
            return code;
        }
        if (stream->source_ended) {
            if (stream->header_size > 0 || !stream->begun) {
                return cut_off(stream, reason);
            }
            stream->ended = true;
            return 0;
        }
        stream->header[stream->header_size++] = *stream->in;
        taken(stream, 1);
        if (stream->header_size == 4) {
            uint32_t magic = little_endian_32(stream->header);
            if (magic != ZSTD_FRAME && (magic & ~UINT32_C(15)) != ZSTD_SKIPPABLE) {
                if (stream->begun) {
                    return damaged(stream, "something follows its end", reason);
                }
                return fail(reason, CODE_FORMAT, "the image begins like zstd, but what follows its skippable frame is not; supported are gzip, zstd and xz");
            }
        }
    }
    if (little_endian_32(stream->header) != ZSTD_FRAME) {
        stream->skip = little_endian_32(stream->header + 4);
        stream->header_size = 0;
        return 0;
    }
    int code = zstd_frame_judged(stream, reason);
    if (code == 0) {
        stream->between = false;
        stream->begun = true;
        stream->header_at = 0;
    }
    return code;
}

static int zstd_step(struct stream *stream, unsigned char *out, size_t room, size_t *got, struct reason *reason) {
    if (stream->skip > 0) {
        int code = filled(stream, reason);
        if (code == 0 && stream->source_ended) {
            code = cut_off(stream, reason);
        }
        if (code == 0) {
            size_t size = stream->skip < stream->in_size ? (size_t)stream->skip : stream->in_size;
            taken(stream, size);
            stream->skip -= size;
        }
        return code;
    }
    if (stream->between) {
        return zstd_frame_begins(stream, reason);
    }
    ZSTD_inBuffer in;
    bool of_header = stream->header_at < stream->header_size;
    if (of_header) {
        in = (ZSTD_inBuffer){stream->header, stream->header_size, stream->header_at};
    } else {
        int code = filled(stream, reason);
        if (code != 0) {
            return code;
        }
        in = (ZSTD_inBuffer){stream->in, stream->in_size, 0};
    }
    ZSTD_outBuffer to = {out, room, 0};
    size_t result = ZSTD_decompressStream(stream->zstd, &to, &in);
    if (of_header) {
        stream->header_at = in.pos;
    } else {
        taken(stream, in.pos);
    }
    *got = to.pos;
    if (ZSTD_isError(result)) {
        return damaged(stream, ZSTD_getErrorName(result), reason);
    }
    if (result == 0) {
        stream->between = true;
        stream->header_size = stream->header_at = 0;
    } else if (stream->source_ended && to.pos == 0) {
        return cut_off(stream, reason);
    }
    return 0;
}

static int xz_step(struct stream *stream, unsigned char *out, size_t room, size_t *got, struct reason *reason) {
    int code = filled(stream, reason);
    if (code != 0) {
        return code;
    }
    stream->begun = stream->begun || !stream->source_ended;
    stream->xz.next_in = stream->in;
    stream->xz.avail_in = stream->in_size;
    stream->xz.next_out = out;
    stream->xz.avail_out = room;
    lzma_ret result = lzma_code(&stream->xz, stream->source_ended ? LZMA_FINISH : LZMA_RUN);
    *got = room - stream->xz.avail_out;
    taken(stream, stream->in_size - stream->xz.avail_in);
    uint64_t memory = lzma_memusage(&stream->xz);
    if (memory > stream->window) {
        stream->window = memory;
    }
    switch (result) {
    case LZMA_OK:
        return 0;
    case LZMA_STREAM_END:
        stream->ended = true;
        return 0;
    case LZMA_NO_CHECK:
        if (stream->authenticated) {
            return 0;
        }
        return fail(reason, CODE_CORRUPT, "the xz image carries no checksum, so it cannot be told whether it is whole; compress it with: xz --check=crc32");
    case LZMA_UNSUPPORTED_CHECK:
        return fail(reason, CODE_FORMAT, "the xz image has a kind of checksum that this system does not know; compress it with: xz --check=crc32");
    case LZMA_MEM_ERROR:
        return no_memory(stream, reason);
    case LZMA_MEMLIMIT_ERROR:
        return fail(reason, CODE_FORMAT, "the xz image needs %llu bytes of memory to unpack, at most %llu are taken; compress it with a smaller dictionary, such as xz -6",
                    (unsigned long long)memory, (unsigned long long)(WINDOW_LIMIT + (UINT64_C(1) << 20)));
    case LZMA_FORMAT_ERROR:
        return damaged(stream, "something follows its end", reason);
    case LZMA_OPTIONS_ERROR:
        return fail(reason, CODE_FORMAT, "the xz image uses options that this system does not know; compress it with: xz -6 --check=crc32");
    case LZMA_BUF_ERROR:
        return cut_off(stream, reason);
    default:
        return damaged(stream, "data error", reason);
    }
}

static int content_read(struct stream *stream, unsigned char *out, size_t size, size_t *total, struct reason *reason) {
    *total = 0;
    while (*total < size && !stream->ended) {
        size_t got = 0;
        int code;
        switch (stream->compression) {
        case COMPRESSION_GZIP: code = gzip_step(stream, out + *total, size - *total, &got, reason); break;
        case COMPRESSION_ZSTD: code = zstd_step(stream, out + *total, size - *total, &got, reason); break;
        case COMPRESSION_XZ: code = xz_step(stream, out + *total, size - *total, &got, reason); break;
        default: code = plain_step(stream, out + *total, size - *total, &got, reason); break;
        }
        if (code != 0) {
            return code;
        }
        *total += got;
        stream->position += got;
    }
    return 0;
}

int stream_peek(struct stream *stream, const unsigned char **data, size_t *size, struct reason *reason) {
    int code = 0;
    if (stream->peeked_size == 0) {
        code = content_read(stream, stream->peeked, PEEK, &stream->peeked_size, reason);
    }
    *data = stream->peeked;
    *size = stream->peeked_size;
    return code;
}

int stream_read(struct stream *stream, void *buffer, size_t size, size_t *got, struct reason *reason) {
    size_t shown = stream->peeked_size - stream->peeked_at;
    if (shown > size) {
        shown = size;
    }
    memcpy(buffer, stream->peeked + stream->peeked_at, shown);
    stream->peeked_at += shown;
    int code = content_read(stream, (unsigned char *)buffer + shown, size - shown, got, reason);
    *got += shown;
    return code;
}

uint64_t stream_memory(const struct stream *stream) {
    uint64_t own = sizeof *stream + CHUNK;
    switch (stream->compression) {
    case COMPRESSION_GZIP: return own + 65536;
    /* The window, twice a block of 128 KiB, and the tables. */
    case COMPRESSION_ZSTD: return own + stream->window + 524288;
    case COMPRESSION_XZ: return own + stream->window;
    default: return own;
    }
}

const struct source *stream_source(const struct stream *stream) { return stream->source; }

uint64_t stream_position(const struct stream *stream) { return stream->position - (stream->peeked_size - stream->peeked_at); }
