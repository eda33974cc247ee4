/* SPDX-License-Identifier: MIT */
/* The unpacked content of a payload, as a stream with bounded memory. */
#ifndef STREAM_H
#define STREAM_H

#include "source.h"

enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD, COMPRESSION_XZ };

const char *compression_name(enum compression compression);
bool compression_named(const char *name, enum compression *compression);
/* What a payload is compressed with, by its first bytes. Whatever is not known counts as not compressed. */
enum compression compression_recognised(const unsigned char *first, size_t size);

/* The most that a decompressor may keep in memory of what it has unpacked: what zstd itself takes without being asked. */
#define WINDOW_LIMIT (UINT64_C(128) << 20)
/* The first bytes that stream_peek can show. */
#define PEEK 4096

struct stream;

/* authenticated: a signed hash proves the payload, so it needs no checksums of its own. The source stays the caller's. */
int stream_open(struct stream **stream, struct source *source, enum compression compression, bool authenticated, struct reason *reason);
void stream_close(struct stream *stream);
/* Fills the buffer; less comes only at the end, which is reached when the payload is complete and nothing follows it. */
int stream_read(struct stream *stream, void *buffer, size_t size, size_t *got, struct reason *reason);
/* The first PEEK bytes, fewer only if there are no more. Before the first stream_read; takes nothing away. */
int stream_peek(struct stream *stream, const unsigned char **data, size_t *size, struct reason *reason);
/* Bytes of memory that the decompressor needs at most, for what was read so far. */
uint64_t stream_memory(const struct stream *stream);
/* Bytes of content that were read. */
uint64_t stream_position(const struct stream *stream);
/* What it reads; for progress. */
const struct source *stream_source(const struct stream *stream);

#endif
