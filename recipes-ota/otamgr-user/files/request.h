/* SPDX-License-Identifier: MIT */
/* What otamgr-root may be asked for. The whole of what a stolen daemon can say is in request.c. */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>

enum {
    REQUEST_BYTES = 16384, /* of one request, its end included */
    REQUEST_WORDS = 24,
    REQUEST_REASON = 160
};

enum verb { VERB_NONE, VERB_SYSUPGRADE, VERB_SLOT, VERB_HEALTH, VERB_REBOOT, VERB_REASON, VERB_ATTRD };

struct request {
    enum verb verb;
    size_t count;
    const char *words[REQUEST_WORDS + 1]; /* the verb first, NULL behind the last one */
    const char *image, *header;           /* of VERB_SYSUPGRADE; header may be NULL */
    bool fed;                             /* whether it is fed what it writes */
};

/* Whether these bytes hold the end of a request: words that each end with a zero, and an empty one. */
int request_is_whole(const char *bytes, size_t length);

/* Understands them. 0, or -1 with the reason. Words point into bytes. */
int request_parsed(const char *bytes, size_t length, struct request *request, char reason[REQUEST_REASON]);

#endif
