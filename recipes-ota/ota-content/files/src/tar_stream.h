/* SPDX-License-Identifier: MIT */
/* The unpacked payload as an archive, with progress. */
#ifndef TAR_STREAM_H
#define TAR_STREAM_H

#include "stream.h"
#include "tar.h"

struct tar_stream {
    struct stream *stream;
    struct progress *progress; /* of what is read of the payload; NULL: none */
};

struct tar_input tar_of_stream(struct tar_stream *stream);

#endif
