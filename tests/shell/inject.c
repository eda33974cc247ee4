/* SPDX-License-Identifier: MIT */
/* For the tests: runs a command and lets one system call of it, or of a program that it runs, fail once. It works from outside (ptrace, with
 * a seccomp filter that stops only where something can fail), so it reaches static programs and those of others alike.
 *
 *   inject --list FILE COMMAND...                     every call that could fail: lines PROGRAM CALL COUNT, COUNT the last one of its kind
 *   inject --fail PROGRAM CALL NUMBER ERROR COMMAND... the NUMBERth such call of all processes with this name fails with ERROR
 *                                                     (EIO, ENOSPC, EROFS, ENOMEM, EINTR, EPIPE), or the process is killed (KILL)
 *
 * Reads and writes of a pipe are calls of their own (read-pipe, write-pipe): no disk is behind it that could be full or worn out. Who meets EPIPE
 * also gets the signal. dup2 is not among the calls: onto the first 64 descriptors, for which each process has room, it cannot fail. A call
 * that fails is not done. `close` is done all the same, as Linux does it. What was met is said on descriptor 2 as `inject: ...`.
 * PROGRAM is the name that the kernel has for the process, COMMAND's exit status is ours, 128 + N for one that a signal ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the registers of x86-64 are meant"
#endif

static const struct call {
    long number;
    const char *name;
    int path; /* which argument names a file, or -1 */
} CALLS[] = {
    {SYS_read, "read", -1},
    {SYS_pread64, "pread", -1},
    {SYS_readv, "read", -1},
    {SYS_write, "write", -1},
    {SYS_pwrite64, "pwrite", -1},
    {SYS_pwritev, "pwrite", -1},
    {SYS_pwritev2, "pwrite", -1},
    {SYS_writev, "write", -1},
    {SYS_sendfile, "sendfile", -1},
    {SYS_copy_file_range, "sendfile", -1},
    {SYS_openat, "open", 1},
    {SYS_open, "open", 0},
    {SYS_close, "close", -1},
    {SYS_fsync, "fsync", -1},
    {SYS_fdatasync, "fsync", -1},
    {SYS_syncfs, "fsync", -1},
    {SYS_rename, "rename", 0},
    {SYS_renameat, "rename", 1},
    {SYS_renameat2, "rename", 1},
    {SYS_unlink, "unlink", 0},
    {SYS_unlinkat, "unlink", 1},
    {SYS_rmdir, "unlink", 0},
    {SYS_mkdir, "mkdir", 0},
    {SYS_mkdirat, "mkdir", 1},
    {SYS_mknod, "mknod", 0},
    {SYS_mknodat, "mknod", 1},
    {SYS_symlink, "link", 0},
    {SYS_symlinkat, "link", 0},
    {SYS_link, "link", 0},
    {SYS_linkat, "link", 1},
    {SYS_readlink, "readlink", 0},
    {SYS_readlinkat, "readlink", 1},
    {SYS_chmod, "chmod", 0},
    {SYS_fchmod, "chmod", -1},
    {SYS_fchmodat, "chmod", 1},
    {SYS_chown, "chown", 0},
    {SYS_fchown, "chown", -1},
    {SYS_lchown, "chown", 0},
    {SYS_fchownat, "chown", 1},
    {SYS_utimensat, "utimes", 1},
    {SYS_ftruncate, "truncate", -1},
    {SYS_fallocate, "truncate", -1},
    {SYS_setxattr, "setxattr", 0},
    {SYS_lsetxattr, "setxattr", 0},
    {SYS_fsetxattr, "setxattr", -1},
    {SYS_stat, "stat", 0},
    {SYS_lstat, "stat", 0},
    {SYS_fstat, "stat", -1},
    {SYS_newfstatat, "stat", 1},
    {SYS_statx, "stat", 1},
    {SYS_statfs, "stat", 0},
    {SYS_fstatfs, "stat", -1},
    {SYS_getdents64, "getdents", -1},
    {SYS_lseek, "lseek", -1},
    {SYS_mount, "mount", 1},
    {SYS_umount2, "umount", 0},
    {SYS_ioctl, "ioctl", -1},
    {SYS_flock, "flock", -1},
    {SYS_pipe, "pipe", -1},
    {SYS_pipe2, "pipe", -1},
    {SYS_chdir, "chdir", 0},
    {SYS_mmap, "mmap", -1},
    {SYS_fork, "fork", -1},
    {SYS_vfork, "fork", -1},
    {SYS_clone, "fork", -1},
    {SYS_execve, "execve", 0},
    {SYS_wait4, "wait", -1},
};
enum { CALL_COUNT = sizeof CALLS / sizeof CALLS[0], KINDS = 4096 };

static const struct error {
    const char *name;
    int number;
} ERRORS[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"ENOMEM", ENOMEM}, {"EINTR", EINTR}, {"EPIPE", EPIPE}, {"KILL", 0}};

static struct kind {
    char program[16], call[16];
    long count;
} kinds[KINDS];
static int kind_count;

/* Where the error has to replace what a call that was done has said. */
static pid_t replaced_in;
static long replaced_by;

static void stop(const char *what) {
    fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void filtered(void) {
    struct sock_filter filter[CALL_COUNT + 5];
    size_t size = 0;
    filter[size++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALL_COUNT; i++) {
        filter[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)CALLS[i].number, (unsigned char)(CALL_COUNT - i), 0);
    }
    filter[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog program = {.len = (unsigned short)size, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        stop("seccomp");
    }
}

static void program_of(pid_t pid, char name[16]) {
    char place[64];
    snprintf(place, sizeof place, "/proc/%d/comm", (int)pid);
    int fd = open(place, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, name, 15);
    if (fd >= 0) {
        close(fd);
    }
    name[size > 0 ? size : 0] = '\0';
    for (char *at = name; *at != '\0'; at++) {
        if (*at == '\n') {
            *at = '\0';
            return;
        }
        if (*at == ' ') {
            *at = '_';
        }
    }
}

static void text_of(pid_t pid, unsigned long address, char text[200]) {
    struct iovec here = {.iov_base = text, .iov_len = 199}, there = {.iov_base = (void *)address, .iov_len = 199};
    ssize_t size = process_vm_readv(pid, &here, 1, &there, 1, 0);
    if (size < 0) {
        /* Near the end of a page. */
        here.iov_len = there.iov_len = 4096 - (address & 4095) < 199 ? 4096 - (address & 4095) : 199;
        size = process_vm_readv(pid, &here, 1, &there, 1, 0);
    }
    text[size > 0 ? size : 0] = '\0';
    for (char *at = text; *at != '\0'; at++) {
        if (*at < ' ' || *at > '~') {
            *at = '?';
        }
    }
}

/* Whether a descriptor of a process is a pipe or a socket. */
static int is_pipe(pid_t pid, unsigned long fd) {
    char place[64], target[16] = "";
    snprintf(place, sizeof place, "/proc/%d/fd/%lu", (int)pid, fd);
    ssize_t size = readlink(place, target, sizeof target - 1);
    return size > 0 && (strncmp(target, "pipe:", 5) == 0 || strncmp(target, "socket:", 7) == 0);
}

static const struct call *call_of(long number) {
    for (size_t i = 0; i < CALL_COUNT; i++) {
        if (CALLS[i].number == number) {
            return &CALLS[i];
        }
    }
    return NULL;
}

static unsigned long argument(const struct user_regs_struct *registers, int number) {
    return number == 0 ? registers->rdi : number == 1 ? registers->rsi : registers->rdx;
}

static long counted(const char *program, const char *call) {
    for (int i = 0; i < kind_count; i++) {
        if (strcmp(kinds[i].program, program) == 0 && strcmp(kinds[i].call, call) == 0) {
            return ++kinds[i].count;
        }
    }
    if (kind_count == KINDS) {
        fprintf(stderr, "inject: more than %d kinds of calls\n", KINDS);
        exit(125);
    }
    snprintf(kinds[kind_count].program, sizeof kinds[0].program, "%s", program);
    snprintf(kinds[kind_count].call, sizeof kinds[0].call, "%s", call);
    kinds[kind_count++].count = 1;
    return 1;
}

struct wanted {
    const char *program, *call;
    long number;
    const struct error *error;
    int met;
};

/* How the process goes on: as it was, or to the end of this call. */
static int call_met(pid_t pid, struct wanted *wanted) {
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &registers) != 0) {
        return PTRACE_CONT;
    }
    const struct call *call = call_of((long)registers.orig_rax);
    if (call == NULL) {
        return PTRACE_CONT;
    }
    const char *name = call->name;
    if (strcmp(name, "open") == 0 && (argument(&registers, call->path + 1) & (O_WRONLY | O_RDWR)) != 0) {
        name = "open-write";
    } else if (strcmp(name, "read") == 0 && is_pipe(pid, registers.rdi)) {
        name = "read-pipe";
    } else if (strcmp(name, "write") == 0 && is_pipe(pid, registers.rdi)) {
        name = "write-pipe";
    }
    char program[16], text[200] = "";
    if (call->path >= 0) {
        text_of(pid, argument(&registers, call->path), text);
    }
    if (strcmp(text, "/proc/self/exe") == 0) {
        /* Each static program asks for that and needs it for nothing. */
        return PTRACE_CONT;
    }
    program_of(pid, program);
    long count = counted(program, name);
    if (wanted->error == NULL || wanted->met || count != wanted->number || strcmp(program, wanted->program) != 0 || strcmp(name, wanted->call) != 0) {
        return PTRACE_CONT;
    }
    wanted->met = 1;
    if (strncmp(name, "write", 5) == 0) {
        text_of(pid, registers.rsi, text);
        text[registers.rdx < 199 ? registers.rdx : 199] = '\0';
    } else if (call->path < 0) {
        snprintf(text, sizeof text, "%lld", (long long)registers.rdi);
    }
    fprintf(stderr, "inject: %s[%d] %s #%ld (%s): %s\n", program, (int)pid, name, count, text, wanted->error->name);
    if (wanted->error->number == 0) {
        kill(pid, SIGKILL);
        return PTRACE_CONT;
    }
    if (wanted->error->number == EPIPE) {
        kill(pid, SIGPIPE);
    }
    if (call->number == SYS_close) {
        replaced_in = pid;
        replaced_by = -wanted->error->number;
        return PTRACE_SYSCALL;
    }
    registers.orig_rax = (unsigned long long)-1;
    registers.rax = (unsigned long long)-(long long)wanted->error->number;
    ptrace(PTRACE_SETREGS, pid, NULL, &registers);
    return PTRACE_CONT;
}

static void call_ended(pid_t pid) {
    struct user_regs_struct registers;
    if (pid == replaced_in && ptrace(PTRACE_GETREGS, pid, NULL, &registers) == 0) {
        registers.rax = (unsigned long long)(long long)replaced_by;
        ptrace(PTRACE_SETREGS, pid, NULL, &registers);
    }
    replaced_in = 0;
}

static int traced(pid_t first, struct wanted *wanted) {
    int status, ended = -1;
    pid_t pid;
    while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
        if (pid <= 0) {
            continue;
        }
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid == first) {
                ended = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            }
            continue;
        }
        int signal = WSTOPSIG(status), go = PTRACE_CONT, event = status >> 16;
        if (event == PTRACE_EVENT_SECCOMP) {
            go = call_met(pid, wanted);
            signal = 0;
        } else if (signal == (SIGTRAP | 0x80)) {
            call_ended(pid);
            signal = 0;
        } else if (event != 0 || signal == SIGTRAP) {
            signal = 0;
        } else if (signal == SIGSTOP) {
            /* The first stop of a new process. Nothing here is stopped otherwise. */
            signal = 0;
        }
        ptrace(go, pid, NULL, (void *)(long)signal);
    }
    return ended;
}

int main(int argc, char **argv) {
    struct wanted wanted = {0};
    const char *list = NULL;
    if (argc > 3 && strcmp(argv[1], "--list") == 0) {
        list = argv[2];
        argv += 3;
    } else if (argc > 6 && strcmp(argv[1], "--fail") == 0) {
        wanted = (struct wanted){.program = argv[2], .call = argv[3], .number = strtol(argv[4], NULL, 10)};
        for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++) {
            if (strcmp(ERRORS[i].name, argv[5]) == 0) {
                wanted.error = &ERRORS[i];
            }
        }
        argv += 6;
    }
    if ((list == NULL && wanted.error == NULL) || argv[0] == NULL) {
        fputs("usage: inject --list FILE COMMAND... | --fail PROGRAM CALL NUMBER ERROR COMMAND...\n", stderr);
        return 125;
    }
    /* Before the command changes its root. */
    FILE *listed = list == NULL ? NULL : fopen(list, "we");
    if (list != NULL && listed == NULL) {
        stop(list);
    }
    pid_t child = fork();
    if (child < 0) {
        stop("fork");
    }
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            stop("ptrace");
        }
        raise(SIGSTOP);
        filtered();
        execvp(argv[0], argv);
        stop(argv[0]);
    }
    int status;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
        stop("the child");
    }
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
                   PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)options) != 0) {
        stop("ptrace");
    }
    /* From outside everything looks as if this were the command. */
    for (int fd = 3; fd < 10; fd++) {
        if (listed == NULL || fd != fileno(listed)) {
            close(fd);
        }
    }
    ptrace(PTRACE_CONT, child, NULL, NULL);
    int ended = traced(child, &wanted);
    for (int i = 0; listed != NULL && i < kind_count; i++) {
        fprintf(listed, "%s %s %ld\n", kinds[i].program, kinds[i].call, kinds[i].count);
    }
    if (listed != NULL && fclose(listed) != 0) {
        stop(list);
    }
    if (wanted.error != NULL && !wanted.met) {
        fputs("inject: no such call was met\n", stderr);
    }
    return ended < 0 ? 125 : ended;
}
