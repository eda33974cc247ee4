/* SPDX-License-Identifier: MIT */
/* otamgr-root: does for the daemon, which is not root, the few things that need root. docs/decisions/0011 says why and how. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "request.h"

enum {
    EXIT_USAGE = 2,
    EXIT_GONE = 125,
    EXIT_REFUSED = 126,
    EXIT_ABSENT = 127,
    PATIENCE = 5,       /* seconds for a request to come, or for attrd to accept */
    AT_ONCE = 8,        /* requests */
    OUTPUTS = 2,        /* descriptors that a caller hands over, */
    STREAMS = 3,        /* and what a program is fed with behind them */
    HEALTH_PATH = 4096, /* bytes */
};

static const char usage[] =
    "usage: otamgr-root serve --user USER [--pid-file FILE]\n"
    "       otamgr-root ask WORD...\n"
    "       otamgr-root drop --user USER -- COMMAND ARGUMENT...\n"
    "\n"
    "Does for the otamgr daemon, which is not root, what needs root, and nothing else.\n"
    "\n"
    "  serve   listens for USER, as root; with a file for its process id, in the background\n"
    "  ask     asks for one thing and waits for its end, whose exit status it has:\n"
    "            sysupgrade --needs -q FILE\n"
    "            sysupgrade [--stream] --no-reboot --txn ID [--header FILE] FILE\n"
    "            ota-slot status | commit | rollback | note EVENT KEY=VALUE...\n"
    "            health NAME, with OTA_SLOT and OTA_TXN in the environment\n"
    "            reboot\n"
    "            reason WORD\n"
    "          Standard output and error must be pipes or sockets, unless root asks.\n"
    "          126: refused, 127: nobody serves, 125: who served is gone\n"
    "  drop    runs COMMAND as USER, without any capability and without a way to get one; as it is where root does not ask\n"
    "\n"
    "example: otamgr-root ask ota-slot status\n";

/* Where things are. Root may say otherwise, for tests; what starts us cleans the environment. */
static const char *place(const char *variable, const char *usual) {
    const char *said = geteuid() == 0 || strcmp(variable, "OTAMGR_ROOT_SOCKET") == 0 ? getenv(variable) : NULL;
    return said != NULL && said[0] == '/' ? said : usual;
}

static const char *socket_place(void) { return place("OTAMGR_ROOT_SOCKET", "/run/otamgr-root"); }

static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fputs("otamgr-root: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
}

static int address_of(const char *path, struct sockaddr_un *address) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address->sun_path, path, strlen(path) + 1);
    return 0;
}

/* Sends these bytes, with descriptors beside the first of them. */
static int sent(int to, const void *bytes, size_t length, const int *fds, size_t count) {
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int) * STREAMS)];
    } control = {0};
    struct iovec piece = {.iov_base = (void *)bytes, .iov_len = length};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
    }
    while (piece.iov_len > 0) {
        ssize_t done = sendmsg(to, &message, MSG_NOSIGNAL);
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -1;
        }
        piece.iov_base = (char *)piece.iov_base + done;
        piece.iov_len -= (size_t)done;
        message.msg_control = NULL;
        message.msg_controllen = 0;
    }
    return 0;
}

static void answered(int to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void answered(int to, const char *format, ...) {
    char line[REQUEST_REASON + 64];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(line, sizeof line - 1, format, values);
    va_end(values);
    if (length > 0) {
        size_t whole = (size_t)length < sizeof line - 1 ? (size_t)length : sizeof line - 2;
        line[whole] = '\n';
        /* Who has gone does not want to know. */
        (void)sent(to, line, whole + 1, NULL, 0);
    }
}

/* ---- serve: one request, in a process of its own ---- */

struct service {
    const char *user;
    uid_t uid;
    gid_t gid;
};

/* Reads a request and the descriptors beside it. 0, or -1 with the reason. */
static int received(int from, char bytes[REQUEST_BYTES], size_t *length, int fds[STREAMS], size_t *count, char reason[REQUEST_REASON]) {
    *length = *count = 0;
    do {
        union {
            struct cmsghdr head;
            char room[CMSG_SPACE(sizeof(int) * STREAMS)];
        } control;
        struct iovec piece = {.iov_base = bytes + *length, .iov_len = REQUEST_BYTES - *length};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
        ssize_t got = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
        if (got <= 0) {
            if (got < 0 && errno == EINTR) {
                continue;
            }
            snprintf(reason, REQUEST_REASON, "%s", got == 0 ? "the request ended early" : "no request came in time");
            return -1;
        }
        for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head != NULL; head = CMSG_NXTHDR(&message, head)) {
            if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
                size_t here = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < here; i++) {
                    int fd;
                    memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
                    if (*count < STREAMS) {
                        fds[(*count)++] = fd;
                    } else {
                        close(fd);
                    }
                }
            }
        }
        *length += (size_t)got;
    } while (!request_is_whole(bytes, *length) && *length < REQUEST_BYTES);
    return 0;
}

/* attrd, connected. */
static void attrd_handed_over(int to) {
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Ends this process if attrd does not accept. */
    alarm(PATIENCE);
    if (fd < 0 || address_of(place("OTAMGR_ROOT_ATTRD", "/var/run/IPC.ATTRD"), &address) != 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        answered(to, "refused attrd: %s", strerror(errno));
    } else if (sent(to, "attrd\n", 6, &fd, 1) != 0) {
        answered(to, "refused the descriptor cannot be handed over: %s", strerror(errno));
    }
}

/* The old reason or the new one, whatever happens: one word without line end, as attrd passes every byte on. */
static void reason_written(int to, const char *word) {
    const char *name = place("OTAMGR_ROOT_REASON", "/afero_nv/reboot_reason");
    char fresh[HEALTH_PATH];
    snprintf(fresh, sizeof fresh, "%s.new", name);
    if (unlink(fresh) != 0 && errno != ENOENT) {
        answered(to, "refused %s: %s", fresh, strerror(errno));
        return;
    }
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    bool good = fd >= 0 && fchmod(fd, 0644) == 0 && write(fd, word, strlen(word)) == (ssize_t)strlen(word) && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0 && close(fd) != 0 && good) {
        good = false;
        error = errno;
    }
    if (good && rename(fresh, name) != 0) {
        good = false;
        error = errno;
    }
    if (!good) {
        unlink(fresh);
        answered(to, "refused %s: %s", name, strerror(error));
        return;
    }
    sync();
    answered(to, "end 0");
}

/* The file of a health check, if nobody but root could have put it there. */
static bool is_health_check(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == 0 && (info.st_mode & 022) == 0;
}

/* Becomes the program. Only returns if that failed. */
static void program_begun(const struct service *service, const struct request *request) {
    char slot[16], txn[64], header[REQUEST_BYTES], path[HEALTH_PATH];
    const char *words[REQUEST_WORDS + 16];
    size_t count = 0;
    char *environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL, NULL, NULL};
    switch (request->verb) {
    case VERB_SYSUPGRADE:
        environment[2] = "SYSUPGRADE_PROGRESS=/dev/stdout";
        /* As sysupgrade names it. */
        size_t length = strlen(request->image);
        bool is_img = length > 4 && strcmp(request->image + length - 4, ".img") == 0;
        snprintf(header, sizeof header, "%.*s.hdr", (int)(is_img ? length - 4 : length), request->image);
        const char *held[] = {place("OTAMGR_ROOT_CONTENT", "/usr/lib/otamgr/ota-content"), "hold", "--as", service->user, "--image", request->image,
                              "--header", request->header != NULL ? request->header : header, "--", "/bin/sh",
                              place("OTAMGR_ROOT_SYSUPGRADE", "/sbin/sysupgrade")};
        for (; count < sizeof held / sizeof *held; count++) {
            words[count] = held[count];
        }
        break;
    case VERB_SLOT: words[count++] = place("OTAMGR_ROOT_SLOT", "/sbin/ota-slot"); break;
    case VERB_REBOOT: words[count++] = place("OTAMGR_ROOT_REBOOT", "/sbin/reboot"); break;
    case VERB_HEALTH:
        snprintf(path, sizeof path, "%s/%s", place("OTAMGR_ROOT_HEALTH", "/etc/otamgr/health.d"), request->words[1]);
        if (!is_health_check(path)) {
            complain("%s: expected a file of root's that nobody else may write", path);
            return;
        }
        snprintf(slot, sizeof slot, "OTA_SLOT=%s", request->words[2]);
        snprintf(txn, sizeof txn, "OTA_TXN=%s", strcmp(request->words[3], "-") == 0 ? "" : request->words[3]);
        environment[2] = slot;
        environment[3] = txn;
        words[count++] = path;
        break;
    default: return;
    }
    for (size_t i = 1; i < request->count && request->verb != VERB_HEALTH; i++) {
        words[count++] = request->words[i];
    }
    words[count] = NULL;
    execve(words[0], (char *const *)words, environment);
    complain("%s: %s", words[0], strerror(errno));
}

static void child_begun(const struct service *service, const struct request *request, const int streams[STREAMS]) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL);
    }
    setsid();
    int input = request->fed ? streams[OUTPUTS] : open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0 || dup2(streams[0], 1) < 0 || dup2(streams[1], 2) < 0 || dup2(input, 0) < 0 || chdir("/") != 0) {
        _exit(EXIT_REFUSED);
    }
    umask(022);
    program_begun(service, request);
    _exit(EXIT_REFUSED);
}

/* How many descriptors go with a request. */
static size_t streams_of(bool fed) {
    return fed ? STREAMS : OUTPUTS;
}

/* Runs the program until it ends, or until nobody waits for it any more: then it is killed with all that it started. */
static void program_run(int to, const struct service *service, const struct request *request, const int streams[STREAMS]) {
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    int ended = signalfd(-1, &ends, SFD_CLOEXEC);
    pid_t pid = ended < 0 ? -1 : fork();
    if (pid < 0) {
        answered(to, "refused %s cannot be run: %s", request->words[0], strerror(errno));
        return;
    }
    if (pid == 0) {
        child_begun(service, request, streams);
    }
    for (size_t i = 0; i < streams_of(request->fed); i++) {
        /* Who reads or writes them is to see their end. */
        close(streams[i]);
    }
    answered(to, "pid %ld", (long)pid);
    int status;
    struct pollfd looked[] = {{.fd = to, .events = POLLIN | POLLRDHUP}, {.fd = ended, .events = POLLIN}};
    for (;;) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            answered(to, "end %d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
            return;
        }
        if (poll(looked, 2, -1) < 0 && errno != EINTR) {
            break;
        }
        if (looked[0].revents != 0) {
            break;
        }
        if (looked[1].revents != 0) {
            struct signalfd_siginfo info;
            (void)!read(ended, &info, sizeof info);
        }
    }
    /* It may not have a group of its own yet. */
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
}

/* Some files of the kernel ask who writes, and not who opened: what root's programs write goes into pipes and sockets alone. */
static bool are_pipes(const int fds[STREAMS], size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct stat info;
        if (fstat(fds[i], &info) != 0 || (!S_ISFIFO(info.st_mode) && !S_ISSOCK(info.st_mode))) {
            return false;
        }
    }
    return true;
}

static void request_done(int to, const struct service *service) {
    static char bytes[REQUEST_BYTES];
    char reason[REQUEST_REASON] = "";
    struct request request;
    struct ucred peer;
    socklen_t size = sizeof peer;
    size_t length, count;
    int fds[STREAMS] = {-1, -1, -1};
    struct timeval patience = {.tv_sec = PATIENCE};
    alarm(2 * PATIENCE);
    if (setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 || setsockopt(to, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        received(to, bytes, &length, fds, &count, reason) != 0) {
        answered(to, "refused %s", reason);
        return;
    }
    /* Read before, for a socket that is closed with something unread takes the answer with it. */
    if (getsockopt(to, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || (peer.uid != 0 && peer.uid != service->uid)) {
        answered(to, "refused expected root or %s", service->user);
        return;
    }
    if (request_parsed(bytes, length, &request, reason) != 0) {
        answered(to, "refused %s", reason);
        return;
    }
    alarm(0);
    if (request.verb == VERB_ATTRD) {
        attrd_handed_over(to);
    } else if (request.verb == VERB_REASON) {
        reason_written(to, request.words[1]);
    } else if (count != streams_of(request.fed) || (peer.uid != 0 && !are_pipes(fds, count))) {
        answered(to, "refused expected pipes or sockets for standard output and error%s", request.fed ? ", and for standard input" : "");
    } else {
        program_run(to, service, &request, fds);
    }
}

enum { FOLDERS_IN_EACH_OTHER = 8 };

/* To be read from its beginning; the descriptor stays the caller's. */
static DIR *folder_read(int fd) {
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return again < 0 ? NULL : fdopendir(again);
}

/* What is in a folder of the user's and of the number that the user had in the system of before gets the one of today. Nothing of root's
 * does, as other names of root's files may lie there. Each is opened once, links are not followed. */
static int taken_over(int folder, uid_t before, const struct service *service) {
    DIR *open_ones[FOLDERS_IN_EACH_OTHER];
    int depth = 0, result = 0;
    open_ones[0] = folder_read(folder);
    if (open_ones[0] == NULL) {
        complain("a folder of %s: %s", service->user, strerror(errno));
        return -1;
    }
    while (depth >= 0) {
        struct stat info;
        const struct dirent *entry = result == 0 ? readdir(open_ones[depth]) : NULL;
        if (entry == NULL) {
            closedir(open_ones[depth--]);
            continue;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        int fd = openat(dirfd(open_ones[depth]), entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &info) != 0 ||
            (info.st_uid == before && fchownat(fd, "", service->uid, service->gid, AT_EMPTY_PATH) != 0)) {
            complain("%s: %s", entry->d_name, strerror(errno));
            result = -1;
        } else if (S_ISDIR(info.st_mode) && (info.st_uid == before || info.st_uid == service->uid)) {
            if (depth + 1 == FOLDERS_IN_EACH_OTHER) {
                complain("%s: expected at most %d folders in each other", entry->d_name, FOLDERS_IN_EACH_OTHER);
                result = -1;
            } else if ((open_ones[depth + 1] = folder_read(fd)) == NULL) {
                complain("%s: %s", entry->d_name, strerror(errno));
                result = -1;
            } else {
                depth++;
            }
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    return result;
}

/* A folder of the user's, in one of root's, so that nobody can put a link there. Its owner is changed last: a power cut before leaves it to
 * be done again. */
static int folder_made(const char *path, mode_t mode, const struct service *service) {
    struct stat info;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        complain("%s: %s", path, strerror(errno));
        return -1;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        complain("%s: expected a folder", path);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    bool is_another = info.st_uid != 0 && info.st_uid != service->uid;
    if ((is_another && taken_over(fd, info.st_uid, service) != 0) || fchown(fd, service->uid, service->gid) != 0 || fchmod(fd, mode) != 0) {
        complain("%s: cannot be made a folder of %s", path, service->user);
        close(fd);
        return -1;
    }
    if (is_another) {
        complain("%s: was of user %lu, is of %s", path, (unsigned long)info.st_uid, service->user);
    }
    close(fd);
    return 0;
}

/* Goes on in the background; who started us may rely on being served from now on. */
static int background(const char *pid_file) {
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        return 0;
    }
    FILE *file = pid < 0 ? NULL : fopen(pid_file, "we");
    if (file == NULL || fprintf(file, "%ld\n", (long)pid) < 0 || fclose(file) != 0) {
        complain("%s: %s", pid_file, strerror(errno));
        if (pid > 0) {
            kill(pid, SIGKILL);
        }
        exit(1);
    }
    exit(0);
}

/* What is received must not get the numbers that a program is given later. */
static bool three_are_open(void) {
    int fd;
    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= 2);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

static int serve(struct service *service, const char *pid_file) {
    struct sockaddr_un address;
    const char *path = socket_place();
    int fd = three_are_open() ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0 || address_of(path, &address) != 0 || (unlink(path) != 0 && errno != ENOENT)) {
        complain("%s: %s", path, strerror(errno));
        return 1;
    }
    /* Without the one updates are not remembered, without the other there are no commands: the daemon says so, and goes on. */
    (void)folder_made(place("OTAMGR_ROOT_STORAGE", "/data/otamgr-agent"), 0755, service);
    (void)folder_made(place("OTAMGR_ROOT_RUN", "/run/otamgr-agent"), 0755, service);
    mode_t before = umask(0177);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || chown(path, 0, service->gid) != 0 || chmod(path, 0660) != 0 || listen(fd, AT_ONCE) != 0) {
        complain("%s: %s", path, strerror(errno));
        return 1;
    }
    umask(before);
    if (pid_file != NULL && background(pid_file) != 0) {
        return 1;
    }
    int busy = 0;
    for (;;) {
        while (busy > 0 && waitpid(-1, NULL, busy < AT_ONCE ? WNOHANG : 0) > 0) {
            busy--;
        }
        int to = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (to < 0) {
            if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }
            complain("%s: %s", path, strerror(errno));
            return 1;
        }
        pid_t pid = fork();
        if (pid == 0) {
            close(fd);
            request_done(to, service);
            _exit(0);
        }
        if (pid > 0) {
            busy++;
        }
        close(to);
    }
}

/* ---- ask ---- */

/* Appends a word and its zero. */
static bool appended(char *bytes, size_t *length, const char *word) {
    size_t size = strlen(word) + 1;
    if (*length + size + 1 > REQUEST_BYTES) {
        return false;
    }
    memcpy(bytes + *length, word, size);
    *length += size;
    return true;
}

static int ask(char **words) {
    static char bytes[REQUEST_BYTES];
    static const int streams[STREAMS] = {1, 2, 0};
    struct sockaddr_un address;
    size_t length = 0;
    bool good = true;
    for (char **word = words; *word != NULL; word++) {
        /* An empty word would be the end. */
        good = good && (*word)[0] != '\0' && appended(bytes, &length, *word);
    }
    if (strcmp(words[0], "health") == 0) {
        const char *slot = getenv("OTA_SLOT"), *txn = getenv("OTA_TXN");
        good = good && slot != NULL && slot[0] != '\0' && appended(bytes, &length, slot) && appended(bytes, &length, txn == NULL || txn[0] == '\0' ? "-" : txn);
    }
    if (!good) {
        complain("the words are empty or too long");
        return EXIT_REFUSED;
    }
    bytes[length++] = '\0';
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || address_of(socket_place(), &address) != 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        complain("nobody serves at %s: %s", socket_place(), strerror(errno));
        return EXIT_ABSENT;
    }
    bool fed = strcmp(words[0], "sysupgrade") == 0 && words[1] != NULL && strcmp(words[1], "--stream") == 0;
    if (sent(fd, bytes, length, streams, streams_of(fed)) != 0) {
        complain("the request cannot be sent: %s", strerror(errno));
        return EXIT_GONE;
    }
    if (fed) {
        /* Who feeds is to see the end of who is fed. */
        close(0);
    }
    FILE *answers = fdopen(fd, "r");
    char line[REQUEST_REASON + 128];
    while (answers != NULL && fgets(line, sizeof line, answers) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "end ", 4) == 0) {
            return (int)strtol(line + 4, NULL, 10);
        }
        if (strncmp(line, "refused ", 8) == 0) {
            complain("%s", line + 8);
            return EXIT_REFUSED;
        }
    }
    complain("who served is gone");
    return EXIT_GONE;
}

/* ---- drop ---- */

static int drop(const struct service *service, char **command) {
    if (geteuid() != 0) {
        /* Nothing to give up. */
        execvp(command[0], command);
        complain("%s: %s", command[0], strerror(errno));
        return EXIT_ABSENT;
    }
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
            complain("capability %d cannot be given up: %s", capability, strerror(errno));
            return 1;
        }
    }
    if (initgroups(service->user, service->gid) != 0 || setgid(service->gid) != 0 || setuid(service->uid) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        complain("cannot become %s: %s", service->user, strerror(errno));
        return 1;
    }
    if (setuid(0) == 0) {
        complain("root could be taken back");
        return 1;
    }
    execvp(command[0], command);
    complain("%s: %s", command[0], strerror(errno));
    return EXIT_ABSENT;
}

static bool user_found(const char *name, struct service *service) {
    struct passwd *user = getpwnam(name);
    if (user == NULL || user->pw_uid == 0) {
        complain("expected a user other than root, found %s%s", name, user == NULL ? ", who does not exist" : "");
        return false;
    }
    *service = (struct service){.user = name, .uid = user->pw_uid, .gid = user->pw_gid};
    return true;
}

int main(int argc, char **argv) {
    struct service service;
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (strcmp(verb, "ask") == 0 && argc > 2) {
        return ask(argv + 2);
    }
    bool is_user_said = argc > 3 && strcmp(argv[2], "--user") == 0;
    bool is_file_said = argc == 6 && strcmp(argv[4], "--pid-file") == 0;
    if (strcmp(verb, "serve") == 0 && is_user_said && (argc == 4 || is_file_said)) {
        return user_found(argv[3], &service) ? serve(&service, is_file_said ? argv[5] : NULL) : EXIT_USAGE;
    }
    if (strcmp(verb, "drop") == 0 && is_user_said && argc > 5 && strcmp(argv[4], "--") == 0) {
        return user_found(argv[3], &service) ? drop(&service, argv + 5) : EXIT_USAGE;
    }
    fputs(usage, stderr);
    return EXIT_USAGE;
}
