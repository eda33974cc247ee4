/* SPDX-License-Identifier: MIT */
#include "request.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { NAME_LIMIT = 64, TXN_LIMIT = 40, PATH_LIMIT = 4095, VALUE_LIMIT = 2048 };

static const struct {
    const char *name;
    enum verb verb;
} verbs[] = {{"sysupgrade", VERB_SYSUPGRADE}, {"ota-slot", VERB_SLOT}, {"health", VERB_HEALTH},
             {"reboot", VERB_REBOOT},         {"reason", VERB_REASON}, {"attrd", VERB_ATTRD}};

static const char letters[] = "abcdefghijklmnopqrstuvwxyz", more_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", digits[] = "0123456789";

/* Whether a word has 1 to limit characters, all of them letters (large ones too, and digits, if so said) or of others. */
static bool made_of(const char *word, size_t limit, bool all, const char *others) {
    size_t length = strlen(word);
    if (length < 1 || length > limit) {
        return false;
    }
    for (const char *at = word; *at != '\0'; at++) {
        if (strchr(letters, *at) == NULL && strchr(others, *at) == NULL &&
            !(all && (strchr(more_letters, *at) != NULL || strchr(digits, *at) != NULL))) {
            return false;
        }
    }
    return true;
}

static bool is_txn(const char *word) { return made_of(word, TXN_LIMIT, true, "._-") && strcmp(word, "none") != 0; }

/* A file is named from the root, so it cannot be taken for an option. */
static bool is_path(const char *word) { return word[0] == '/' && strlen(word) <= PATH_LIMIT; }

/* What comes into the journal is one line. */
static bool is_note(const char *word) {
    const char *equals = strchr(word, '=');
    if (equals == NULL || equals == word || strlen(word) > VALUE_LIMIT) {
        return false;
    }
    for (const char *at = word; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f || (at < equals && strchr(letters, *at) == NULL && *at != '_')) {
            return false;
        }
    }
    return true;
}

static bool sysupgrade_understood(struct request *request) {
    const char **words = request->words;
    size_t count = request->count;
    if (count == 4 && strcmp(words[1], "--needs") == 0 && strcmp(words[2], "-q") == 0) {
        request->image = words[3];
        return is_path(words[3]);
    }
    if (count > 1 && strcmp(words[1], "--stream") == 0) {
        request->fed = true;
        words++;
        count--;
    }
    if ((count != 5 && count != 7) || strcmp(words[1], "--no-reboot") != 0 || strcmp(words[2], "--txn") != 0 || !is_txn(words[3])) {
        return false;
    }
    if (count == 7) {
        request->header = words[5];
        if (strcmp(words[4], "--header") != 0 || !is_path(words[5])) {
            return false;
        }
    }
    request->image = words[count - 1];
    return is_path(request->image);
}

static bool slot_understood(const struct request *request) {
    const char *const *words = request->words;
    if (request->count == 2) {
        return strcmp(words[1], "status") == 0 || strcmp(words[1], "commit") == 0 || strcmp(words[1], "rollback") == 0;
    }
    if (request->count < 4 || strcmp(words[1], "note") != 0 || !made_of(words[2], NAME_LIMIT, false, "-")) {
        return false;
    }
    for (size_t i = 3; i < request->count; i++) {
        if (!is_note(words[i])) {
            return false;
        }
    }
    return true;
}

static bool understood(struct request *request) {
    const char *const *words = request->words;
    switch (request->verb) {
    case VERB_SYSUPGRADE: return sysupgrade_understood(request);
    case VERB_SLOT: return slot_understood(request);
    case VERB_HEALTH:
        return request->count == 4 && made_of(words[1], NAME_LIMIT, true, "_-") && (strcmp(words[2], "a") == 0 || strcmp(words[2], "b") == 0) &&
               (strcmp(words[3], "-") == 0 || is_txn(words[3]));
    case VERB_REASON: return request->count == 2 && made_of(words[1], NAME_LIMIT, false, "_");
    case VERB_REBOOT:
    case VERB_ATTRD: return request->count == 1;
    default: return false;
    }
}

int request_is_whole(const char *bytes, size_t length) {
    return length >= 2 && bytes[length - 1] == '\0' && bytes[length - 2] == '\0';
}

int request_parsed(const char *bytes, size_t length, struct request *request, char reason[REQUEST_REASON]) {
    *request = (struct request){.verb = VERB_NONE};
    if (length > REQUEST_BYTES || !request_is_whole(bytes, length)) {
        snprintf(reason, REQUEST_REASON, "expected words that end with zeros, and an empty one, of at most %d bytes", REQUEST_BYTES);
        return -1;
    }
    for (size_t at = 0; bytes[at] != '\0'; at += strlen(bytes + at) + 1) {
        if (request->count == REQUEST_WORDS) {
            snprintf(reason, REQUEST_REASON, "expected at most %d words", REQUEST_WORDS);
            return -1;
        }
        request->words[request->count++] = bytes + at;
    }
    const char *last = request->count > 0 ? request->words[request->count - 1] : bytes;
    if (request->count == 0 || (size_t)(last - bytes) + strlen(last) + 2 != length) {
        snprintf(reason, REQUEST_REASON, "expected one request, and nothing behind it");
        return -1;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(request->words[0], verbs[i].name) == 0) {
            request->verb = verbs[i].verb;
        }
    }
    if (!understood(request)) {
        snprintf(reason, REQUEST_REASON, "%s", request->verb == VERB_NONE ? "expected sysupgrade, ota-slot, health, reboot, reason or attrd"
                                                                            : "expected other words behind the first one; otamgr-root --help lists them");
        request->verb = VERB_NONE;
        return -1;
    }
    return 0;
}
