/* SPDX-License-Identifier: MIT */
/* limit: runs a program that somebody waits for, and ends it when it takes too long. busybox as OpenEmbedded builds it has no `timeout`. */
#include "commands.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* After it a program that was killed, and waits for a medium that does not answer, is left alone. */
#define PATIENCE 2
#define LONGEST 86400
/* As of timeout(1); none of sysupgrade's. */
#define LIMIT_REACHED 124

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
            return CODE_UNEXPECTED;
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

int cmd_limit(int argc, char **argv, struct reason *reason) {
    char *rest = NULL;
    long seconds = argc >= 2 ? strtol(argv[1], &rest, 10) : 0;
    if (argc < 4 || *rest != '\0' || seconds < 1 || seconds > LONGEST || strcmp(argv[2], "--") != 0) {
        return fail(reason, CODE_USAGE, "limit: expected a number of seconds from 1 to %d, -- and a command", LONGEST);
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
        return fail_errno(reason, CODE_UNEXPECTED, "%s cannot be run", argv[3]);
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
        /* Its own, whatever it is: that of the program. */
        exit(status);
    }
    kill(-child, SIGKILL);
    bool is_gone = waited_for(child, PATIENCE, &signals) >= 0;
    fail(reason, LIMIT_REACHED, "%.100s did not end within %ld s%s", argv[3], seconds, is_gone ? " and was killed" : ", and does not even when it is killed");
    return LIMIT_REACHED;
}
