/* SPDX-License-Identifier: MIT */
#include "facts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Some thirty lines of a hundred characters. */
#define FACTS_LIMIT 65536

bool path_in(char *path, size_t size, const char *folder, const char *name) {
    int length = snprintf(path, size, "%s/%s", folder, name);
    return length > 0 && (size_t)length < size;
}

bool number_understood(const char *text, uint64_t *value) {
    uint64_t sum = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(*text - '0');
        if (sum > (UINT64_MAX - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

int facts_parse(struct facts *facts, const char *text, size_t size, struct reason *reason) {
    *facts = (struct facts){0};
    if (size == 0 || size > FACTS_LIMIT || text[size - 1] != '\n' || memchr(text, '\0', size) != NULL) {
        return fail(reason, CODE_UNEXPECTED, "facts of an earlier step are not understood: %zu bytes, expected lines KEY=VALUE", size);
    }
    facts->text = malloc(size);
    if (facts->text == NULL) {
        return fail(reason, CODE_RESOURCES, "no memory for the facts of an earlier step");
    }
    memcpy(facts->text, text, size);
    facts->size = size;
    for (size_t i = 0; i < size; i++) {
        if (facts->text[i] == '\n') {
            facts->text[i] = '\0';
        }
    }
    return 0;
}

int facts_read(struct facts *facts, const char *folder, const char *name, struct reason *reason) {
    char path[512];
    *facts = (struct facts){0};
    if (!path_in(path, sizeof path, folder, name)) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
    }
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(reason, CODE_UNEXPECTED, "%s, which an earlier step leaves, cannot be read", path);
    }
    char *text = malloc(FACTS_LIMIT + 1);
    if (text == NULL) {
        close(fd);
        return fail(reason, CODE_RESOURCES, "no memory to read %s", path);
    }
    size_t size = 0;
    ssize_t got;
    while (size <= FACTS_LIMIT && (got = read(fd, text + size, FACTS_LIMIT + 1 - size)) > 0) {
        size += (size_t)got;
    }
    close(fd);
    int code = facts_parse(facts, text, size, reason);
    free(text);
    return code;
}

void facts_free(struct facts *facts) {
    free(facts->text);
    *facts = (struct facts){0};
}

const char *facts_get(const struct facts *facts, const char *key) {
    size_t length = strlen(key);
    for (size_t at = 0; at < facts->size; at += strlen(facts->text + at) + 1) {
        if (strncmp(facts->text + at, key, length) == 0 && facts->text[at + length] == '=') {
            return facts->text + at + length + 1;
        }
    }
    return NULL;
}

bool facts_are(const struct facts *facts, const char *key, const char *value) {
    const char *found = facts_get(facts, key);
    return found != NULL && strcmp(found, value) == 0;
}

int facts_number(const struct facts *facts, const char *key, uint64_t *value, struct reason *reason) {
    const char *found = facts_get(facts, key);
    if (found == NULL || !number_understood(found, value)) {
        return fail(reason, CODE_UNEXPECTED, "%s=%.40s of an earlier step is no number", key, found == NULL ? "" : found);
    }
    return 0;
}

int facts_sha256(const struct facts *facts, const char *key, unsigned char hash[32], struct reason *reason) {
    const char *found = facts_get(facts, key);
    if (found == NULL || strlen(found) != 64) {
        return fail(reason, CODE_UNEXPECTED, "%s=%.70s of an earlier step is no SHA-256", key, found == NULL ? "" : found);
    }
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 32; i++) {
        const char *high = strchr(digits, found[2 * i]), *low = strchr(digits, found[2 * i + 1]);
        if (high == NULL || low == NULL) {
            return fail(reason, CODE_UNEXPECTED, "%s=%.70s of an earlier step is no SHA-256", key, found);
        }
        hash[i] = (unsigned char)((high - digits) << 4 | (low - digits));
    }
    return 0;
}

int facts_begin(struct facts_out *out, const char *folder, const char *name, struct reason *reason) {
    *out = (struct facts_out){0};
    if (!path_in(out->path, sizeof out->path - 4, folder, name)) {
        return fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", folder);
    }
    char fresh[sizeof out->path + 4];
    snprintf(fresh, sizeof fresh, "%s.new", out->path);
    unlink(out->path);
    unlink(fresh);
    int fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || (out->file = fdopen(fd, "w+")) == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return fail_errno(reason, CODE_RESOURCES, "%s cannot be written", fresh);
    }
    return 0;
}

void facts_add(struct facts_out *out, const char *key, const char *value) {
    say_fact(out->file, key, value);
}

void facts_add_number(struct facts_out *out, const char *key, uint64_t value) {
    say_number(out->file, key, value);
}

int facts_end(struct facts_out *out, bool shown, struct reason *reason) {
    char fresh[sizeof out->path + 4];
    snprintf(fresh, sizeof fresh, "%s.new", out->path);
    bool good = fflush(out->file) == 0 && ferror(out->file) == 0;
    if (good && shown) {
        char line[1024];
        rewind(out->file);
        while (fgets(line, sizeof line, out->file) != NULL) {
            fputs(line, stdout);
        }
        good = fflush(stdout) == 0;
    }
    good = fclose(out->file) == 0 && good;
    out->file = NULL;
    if (!good || rename(fresh, out->path) != 0) {
        return fail_errno(reason, CODE_RESOURCES, "%s cannot be written", out->path);
    }
    return 0;
}

void facts_give_up(struct facts_out *out) {
    if (out->file != NULL) {
        char fresh[sizeof out->path + 4];
        snprintf(fresh, sizeof fresh, "%s.new", out->path);
        fclose(out->file);
        unlink(fresh);
        out->file = NULL;
    }
}

bool bytes_written(int fd, const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    while (size > 0) {
        ssize_t done = write(fd, at, size);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return false;
        }
        at += done;
        size -= (size_t)done;
    }
    return true;
}
