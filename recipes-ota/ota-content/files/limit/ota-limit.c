/* SPDX-License-Identifier: MIT */
/* ota-limit: runs a program that somebody waits for, and ends it when it takes too long. busybox as OpenEmbedded builds it has no `timeout`.
 * A program of its own, because an update runs some twenty, and loading the content engine's libraries takes longer than most of these. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* After it a program that was killed, and waits for a medium that does not answer, is left alone. */
#define PATIENCE 2
#define LONGEST 86400
/* Of sysupgrade --help. */
#define UNEXPECTED 1
#define USAGE 2
/* As of timeout(1); none of sysupgrade's. */
#define LIMIT_REACHED 124

static const char usage[] = "Usage: ota-limit SECONDS -- COMMAND ARGUMENT...        SECONDS from 1 to 86400; 124 when the command had to be ended\n";

static time_t now(void) {
    struct timespec time;
    return clock_gettime(CLOCK_MONOTONIC, &time) == 0 ? time.tv_sec : 0;
}

/* Its status, or -1 when it has not ended after so many seconds. Signals that end us are handed on. */
static int waited_for(pid_t child, time_t seconds, const sigset_t *signals) {
    time_t end = now() + seconds;
    for (;;) {
        int status;
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child) {
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
        if (ended < 0 && errno == EINTR) {
            continue;
        }
        if (ended < 0) {
            return UNEXPECTED;
        }
        time_t left = end - now();
        if (left <= 0) {
            return -1;
        }
        int signal = sigtimedwait(signals, NULL, &(struct timespec){.tv_sec = left});
        if (signal > 0 && signal != SIGCHLD) {
            kill(-child, signal);
        }
    }
}

int main(int argc, char **argv) {
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    char *rest = NULL;
    long seconds = argc >= 2 ? strtol(argv[1], &rest, 10) : 0;
    if (argc < 4 || *rest != '\0' || seconds < 1 || seconds > LONGEST || strcmp(argv[2], "--") != 0) {
        fputs(usage, stderr);
        return USAGE;
    }
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, &before);
    /* Who ignores it would never hear of it. */
    signal(SIGCHLD, SIG_DFL);
    pid_t child = fork();
    if (child < 0) {
        perror("ota-limit: fork");
        return UNEXPECTED;
    }
    if (child == 0) {
        /* A group of its own, so that what it has started ends with it. */
        setpgid(0, 0);
        sigprocmask(SIG_SETMASK, &before, NULL);
        execvp(argv[3], argv + 3);
        _exit(errno == ENOENT ? 127 : 126);
    }
    setpgid(child, child);
    int status = waited_for(child, seconds, &signals);
    if (status >= 0) {
        return status;
    }
    kill(-child, SIGKILL);
    bool is_gone = waited_for(child, PATIENCE, &signals) >= 0;
    fprintf(stderr, "%.100s did not end within %ld s%s\n", argv[3], seconds, is_gone ? " and was killed" : ", and does not even when it is killed");
    return LIMIT_REACHED;
}
