/* SPDX-License-Identifier: MIT */
/* Frames of a bundle that somebody fetches while they are written. What is needed is asked for in lines `fetch 0 OFFSET BYTES`, places in the
 * bundle, and comes on standard input: the bytes of one line behind those of the line before, and nothing else.
 *
 * What comes is trusted as little as a file is; it is compared with the signed hashes before it is written. */
#ifndef FEED_H
#define FEED_H

#include "source.h"
#include "spans.h"

struct feed {
    int requests; /* the descriptor for the lines */
    struct spans spans;
    uint32_t next; /* the span that begins when the current one is over */
    uint64_t at, end; /* what of the current one is still to come */
};

void feed_open(struct feed *feed, int requests);
void feed_close(struct feed *feed);
/* Asks for all of these, which from then on belong to the feed, also after a failure. */
int feed_ask(struct feed *feed, struct spans spans, struct reason *reason);
/* Reads of a provider have to be ascending, and within what was asked for. A feed that ends gives 0 bytes. */
struct provider feed_provider(struct feed *feed);

#endif
