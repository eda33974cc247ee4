/* SPDX-License-Identifier: MIT */
/* hold: opens the image and its header once, and runs a command that has them on descriptors 8 and 7. */
#include "commands.h"
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GROUPS = 64 };

static const struct option options[] = {
    {"image", required_argument, NULL, 'i'}, {"header", required_argument, NULL, 'h'}, {"as", required_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};

/* With whose rights files are opened: of somebody who may not read them root must not make a copy. */
static int rights_taken(const char *name, gid_t own[GROUPS], int *count, struct reason *reason) {
    gid_t theirs[GROUPS];
    int their_count = GROUPS;
    struct passwd *user = getpwnam(name);
    if (user == NULL) {
        return fail(reason, CODE_USAGE, "hold: there is no user %.100s", name);
    }
    *count = getgroups(GROUPS, own);
    if (*count < 0 || getgrouplist(name, user->pw_gid, theirs, &their_count) < 0 || setgroups((size_t)their_count, theirs) != 0 ||
        setegid(user->pw_gid) != 0 || seteuid(user->pw_uid) != 0) {
        return fail_errno(reason, CODE_UNEXPECTED, "the rights of %.100s cannot be taken", name);
    }
    return 0;
}

static int rights_given_back(const gid_t own[GROUPS], int count, struct reason *reason) {
    if (seteuid(getuid()) != 0 || setegid(getgid()) != 0 || setgroups((size_t)count, own) != 0) {
        return fail_errno(reason, CODE_UNEXPECTED, "the own rights cannot be taken back");
    }
    return 0;
}

/* The descriptor, or -1 and why not. A FIFO or device must not make us wait, nor become a terminal of ours. */
static int opened(const char *what, const char *name, struct reason *reason) {
    struct stat info;
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        switch (errno) {
        case ENOENT:
        case ENOTDIR: fail(reason, CODE_UNREADABLE, "%s %s does not exist", what, name); break;
        case ELOOP: fail(reason, CODE_UNREADABLE, "%s %s is a symbolic link; name the file itself", what, name); break;
        case ENXIO: fail(reason, CODE_UNREADABLE, "%s %s is not a regular file", what, name); break;
        default: fail(reason, CODE_UNREADABLE, "%s %s is not readable: %s", what, name, strerror(errno)); break;
        }
        return -1;
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        fail(reason, CODE_UNREADABLE, "%s %s is not a regular file", what, name);
    } else if (info.st_size == 0) {
        fail(reason, CODE_UNREADABLE, "%s %s is empty", what, name);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

/* Puts what was opened at its place, or says why it is not there. */
static int placed(int fd, int place, const char *refused, const char *why, struct reason *reason) {
    if (fd < 0) {
        /* Whatever our caller has there is not what was named. */
        close(place);
        if (why == NULL ? unsetenv(refused) != 0 : setenv(refused, why, 1) != 0) {
            return fail_errno(reason, CODE_UNEXPECTED, "the environment cannot be set");
        }
        return 0;
    }
    if (unsetenv(refused) != 0 || dup2(fd, place) != place) {
        return fail_errno(reason, CODE_UNEXPECTED, "descriptor %d cannot be used", place);
    }
    close(fd);
    return 0;
}

/* Out of the way of both places. */
static int moved(int fd) {
    if (fd < 0 || fd > IMAGE_FD) {
        return fd;
    }
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, IMAGE_FD + 8);
    close(fd);
    return higher;
}

int cmd_hold(int argc, char **argv, struct reason *reason) {
    const char *image = NULL, *header = NULL, *as = NULL;
    gid_t groups[GROUPS];
    int group_count = 0, code = 0;
    opterr = 0;
    optind = 1;
    int letter;
    while ((letter = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        switch (letter) {
        case 'i': image = optarg; break;
        case 'h': header = optarg; break;
        case 'a': as = optarg; break;
        default: return fail(reason, CODE_USAGE, "hold: unknown option, or one without its value: %.100s", argv[optind - 1]);
        }
    }
    if (optind >= argc) {
        return fail(reason, CODE_USAGE, "hold needs a command to run");
    }
    struct reason image_reason = {0}, header_reason = {0};
    if (as != NULL && (code = rights_taken(as, groups, &group_count, reason)) != 0) {
        return code;
    }
    int image_fd = image == NULL ? -1 : moved(opened("image", image, &image_reason));
    int header_fd = header == NULL ? -1 : moved(opened("header", header, &header_reason));
    if (as != NULL) {
        code = rights_given_back(groups, group_count, reason);
    }
    if (code == 0) {
        code = placed(image_fd, IMAGE_FD, "OTA_IMAGE_REFUSED", image_reason.code == 0 ? NULL : image_reason.text, reason);
    }
    if (code == 0) {
        code = placed(header_fd, HEADER_FD, "OTA_HEADER_REFUSED", header_reason.code == 0 ? NULL : header_reason.text, reason);
    }
    char pid[24];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    if (code == 0 && setenv("OTA_HELD", pid, 1) != 0) {
        code = fail_errno(reason, CODE_UNEXPECTED, "the environment cannot be set");
    }
    if (code == 0) {
        execvp(argv[optind], argv + optind);
        code = fail_errno(reason, CODE_UNEXPECTED, "%s cannot be run", argv[optind]);
    }
    return code;
}
