/* SPDX-License-Identifier: MIT */
#include "feed.h"

#include "facts.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    DROPPED_AT_ONCE = 4096,
    /* What waits in the pipe is lost with this process, and has to be fetched again. */
    PIPE_BYTES = 16384,
    /* Whoever fetches has limits for a link that is slow; here is only that nobody waits for ever. */
    LONGEST_SECONDS = 2 * 86400,
};

void feed_open(struct feed *feed, int requests) {
    *feed = (struct feed){.requests = requests};
    /* Refused for what is no pipe. */
    fcntl(STDIN_FILENO, F_SETPIPE_SZ, PIPE_BYTES);
    alarm(LONGEST_SECONDS);
}

void feed_close(struct feed *feed) { spans_free(&feed->spans); }

int feed_ask(struct feed *feed, struct spans spans, struct reason *reason) {
    spans_free(&feed->spans);
    feed->spans = spans;
    feed->next = 0;
    feed->at = feed->end = 0;
    for (uint32_t i = 0; i < spans.count; i++) {
        char line[80];
        int length = snprintf(line, sizeof line, "fetch 0 %llu %llu\n", (unsigned long long)spans.at[i].offset, (unsigned long long)spans.at[i].bytes);
        /* In one piece, for others write to the same pipe. */
        if (!bytes_written(feed->requests, line, (size_t)length)) {
            return fail_errno(reason, CODE_NEEDS_MORE, "nobody is there who fetches what is needed");
        }
    }
    return 0;
}

static ssize_t received(struct feed *feed, void *buffer, size_t size) {
    uint64_t left = feed->end - feed->at;
    ssize_t got;
    do {
        got = read(STDIN_FILENO, buffer, size < left ? size : (size_t)left);
    } while (got < 0 && errno == EINTR);
    feed->at += got > 0 ? (uint64_t)got : 0;
    return got;
}

static ssize_t feed_read_at(void *context, void *buffer, size_t size, uint64_t offset) {
    struct feed *feed = context;
    uint8_t dropped[DROPPED_AT_ONCE];
    for (;;) {
        if (feed->at == feed->end) {
            if (feed->next == feed->spans.count) {
                break;
            }
            struct span span = feed->spans.at[feed->next++];
            feed->at = span.offset;
            feed->end = span.offset + span.bytes;
        }
        if (feed->at > offset) {
            break;
        }
        if (offset < feed->end && feed->at == offset) {
            return received(feed, buffer, size);
        }
        uint64_t before = (offset < feed->end ? offset : feed->end) - feed->at;
        ssize_t got = received(feed, dropped, before < sizeof dropped ? (size_t)before : sizeof dropped);
        if (got <= 0) {
            return got;
        }
    }
    errno = ENODATA;
    return -1;
}

struct provider feed_provider(struct feed *feed) { return (struct provider){feed_read_at, feed}; }
