/* SPDX-License-Identifier: MIT */
/*
 * otamgr-control - gives a command to the running otamgr daemon and shows what it answers.
 *
 * usage: otamgr-control SOCKET COMMAND [ARGUMENT...]
 *
 * A Java process of its own would take seconds on a slow board for a question that is answered in milliseconds. The
 * request is one line, {"arguments":["COMMAND","ARGUMENT",...]}. Lines come back: "o TEXT" for standard output, "e TEXT"
 * for standard error, "p TEXT" for progress, and at last "x STATUS" with the exit status.
 *
 * Progress goes to standard error: one line that is overwritten on a terminal, cut to its width, else (also with TERM=dumb) a line for each new word at its
 * begin, such as the phase of an install.
 *
 * exit status: that of the command, or
 *   1    the daemon went away before the end, or the answer cannot be understood
 *   2    wrong usage
 *   127  no daemon listens on SOCKET
 */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { EXIT_LOST = 1, EXIT_USAGE = 2, EXIT_NO_DAEMON = 127, MAX_REQUEST = 16 * 1024, MAX_LINE = 64 * 1024 };

/* A request that is being put together. */
struct request {
    char text[MAX_REQUEST];
    size_t length;
    int is_too_long;
};

static void add(struct request *request, const char *bytes, size_t count)
{
    if (count > sizeof request->text - request->length) {
        request->is_too_long = 1;
        return;
    }
    memcpy(request->text + request->length, bytes, count);
    request->length += count;
}

/* Adds a string as JSON has it. Bytes beyond ASCII stay as they are: they should be UTF-8, and the daemon finds out. */
static void add_string(struct request *request, const char *string)
{
    add(request, "\"", 1);
    for (const char *at = string; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        if (byte == '"' || byte == '\\') {
            add(request, "\\", 1);
            add(request, at, 1);
        } else if (byte < 0x20) {
            char escaped[8];
            int count = snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)byte);
            add(request, escaped, (size_t)count);
        } else {
            add(request, at, 1);
        }
    }
    add(request, "\"", 1);
}

static int write_all(int to, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t written = write(to, bytes, count);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return -1;
        }
        bytes += written;
        count -= (size_t)written;
    }
    return 0;
}

/* Connects to the daemon; -1 if none listens, with errno. */
static int connected(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    int to;

    if (length >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, length + 1);
    to = socket(AF_UNIX, SOCK_STREAM, 0);
    if (to < 0) {
        return -1;
    }
    if (connect(to, (const struct sockaddr *)&address, sizeof address) != 0) {
        int problem = errno;
        close(to);
        errno = problem;
        return -1;
    }
    return to;
}

/* Whether the cursor is behind a progress line that the next one overwrites. */
static int is_behind_progress;

static void end_progress(void)
{
    if (is_behind_progress) {
        fputs("\r\033[K", stderr);
        is_behind_progress = 0;
    }
}

static void show_progress(const char *text)
{
    static char last_word[64];
    size_t length = strcspn(text, " ");
    const char *terminal = getenv("TERM");

    if (isatty(STDERR_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0) {
        struct winsize size;
        int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
        /* A line that wraps could not be overwritten. */
        fprintf(stderr, "\r\033[K%.*s", columns, text);
        is_behind_progress = 1;
        return;
    }
    if (length >= sizeof last_word) {
        length = sizeof last_word - 1;
    }
    if (strlen(last_word) != length || strncmp(last_word, text, length) != 0) {
        memcpy(last_word, text, length);
        last_word[length] = '\0';
        fprintf(stderr, "%s\n", text);
    }
}

/* The exit status in the last line; -1 if it is none. */
static int status_in(const char *text)
{
    char *end;
    long status = strtol(text, &end, 10);
    return end == text || *end != '\0' || status < 0 || status > 255 ? -1 : (int)status;
}

/* Shows what comes until the last line; returns the exit status. */
static int answered(FILE *from)
{
    static char line[MAX_LINE];

    while (fgets(line, sizeof line, from) != NULL) {
        size_t length = strcspn(line, "\n");
        const char *text = length >= 2 ? line + 2 : "";
        line[length] = '\0';
        switch (line[0]) {
        case 'o':
            end_progress();
            printf("%s\n", text);
            fflush(stdout);
            break;
        case 'e':
            end_progress();
            fprintf(stderr, "otamgr: %s\n", text);
            break;
        case 'p':
            show_progress(text);
            break;
        case 'x':
            end_progress();
            if (status_in(text) >= 0) {
                return status_in(text);
            }
            fprintf(stderr, "otamgr: expected an exit status from the daemon, found \"%s\"\n", text);
            return EXIT_LOST;
        default:
            end_progress();
            fprintf(stderr, "otamgr: expected an answer of the daemon, found \"%s\"; is it of another version?\n", line);
            return EXIT_LOST;
        }
        fflush(stderr);
    }
    end_progress();
    fputs("otamgr: the daemon went away before the end of the command; see its log\n", stderr);
    return EXIT_LOST;
}

int main(int argc, char **argv)
{
    static struct request request;
    FILE *from;
    int to;

    if (argc < 3) {
        fputs("usage: otamgr-control SOCKET COMMAND [ARGUMENT...]\n", stderr);
        return EXIT_USAGE;
    }
    add(&request, "{\"arguments\":[", 14);
    for (int i = 2; i < argc; i++) {
        if (i > 2) {
            add(&request, ",", 1);
        }
        add_string(&request, argv[i]);
    }
    add(&request, "]}\n", 3);
    if (request.is_too_long) {
        fprintf(stderr, "otamgr: expected a command of at most %d bytes\n", MAX_REQUEST);
        return EXIT_USAGE;
    }
    /* A daemon that goes away is noticed by what write() returns. */
    signal(SIGPIPE, SIG_IGN);
    to = connected(argv[1]);
    if (to < 0) {
        if (errno != ENOENT && errno != ECONNREFUSED) {
            fprintf(stderr, "otamgr: %s: %s\n", argv[1], strerror(errno));
        }
        return EXIT_NO_DAEMON;
    }
    from = fdopen(to, "r");
    if (from == NULL || write_all(to, request.text, request.length) != 0) {
        fprintf(stderr, "otamgr: %s: %s\n", argv[1], strerror(errno));
        return EXIT_LOST;
    }
    return answered(from);
}
