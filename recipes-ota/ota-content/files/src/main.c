/* SPDX-License-Identifier: MIT */
/* ota-content: everything that sysupgrade does with the bytes of an image. */
#include "commands.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "0.2.0"
#endif

static const struct {
    const char *name;
    command *run;
} commands[] = {
    {"hold", cmd_hold},     {"open", cmd_open},     {"verify-file", cmd_verify_file},
    {"check", cmd_check},   {"write", cmd_write},   {"verify", cmd_verify},
    {"unpack", cmd_unpack}, {"stage", cmd_stage},   {"compare", cmd_compare},
    {"probe", cmd_probe},   {"index", cmd_index},   {"attributes", cmd_attributes},
    {"need", cmd_need},     {"head", cmd_head},     {"header", cmd_header},
    {"same", cmd_same},     {"cipher", cmd_cipher}, {"wrap", cmd_wrap},
};

static const char usage[] =
    "Usage: ota-content SUB-COMMAND ...        a part of sysupgrade; it reads the image from descriptor 8\n"
    "  hold [--as USER] [--image NAME] [--header NAME] -- COMMAND ARGUMENT...\n"
    "  open --keys DIR [--decrypt KEY] FOLDER\n"
    "  verify-file --keys DIR FILE SIGNATURE [CERTIFICATES]\n"
    "  check --folder FOLDER --slot DEVICE [--running DEVICE] [--slot-bytes N] [--progress-fd N] [--requests-fd N]\n"
    "  need --folder FOLDER --slot DEVICE [--running DEVICE] [--slot-bytes N] [--progress-fd N]\n"
    "  write --folder FOLDER --slot DEVICE [--running DEVICE] [--progress-fd N] [--requests-fd N]\n"
    "  verify --folder FOLDER --slot DEVICE [--progress-fd N]\n"
    "  unpack --folder FOLDER\n"
    "  stage --folder FOLDER --slot DEVICE\n"
    "  compare --folder FOLDER --root DIR\n"
    "  attributes FROM TO\n"
    "  head note|judge|clear --folder FOLDER --slot DEVICE\n"
    "  header FILE NAME | same FILE FILE\n"
    "  cipher KEYFILE                          on a build host: encrypts standard input\n"
    "  wrap KEYFILE [--shared FILE | CERTIFICATE]...    and puts its key into a CMS message\n"
    "  probe env FILE OFFSET SIZE ... | probe env-copy FILE OFFSET SIZE VARIABLES | probe ext4 DEVICE\n"
    "Exit codes are those of sysupgrade --help.\n";

/* A sysupgrade that is killed must leave nobody behind who goes on writing and completes a slot that nobody will verify. */
/* Whatever it is that reads or writes a whole slot, it has ended or is ended by then: an image of 8 GiB at 2 MiB/s takes a bit more than an hour. */
#define LONGEST_SECONDS 7200

static bool ends_with_its_parent(command *run) {
    const char *held = getenv("OTA_HELD");
    if (held == NULL || (run != cmd_write && run != cmd_stage && run != cmd_unpack)) {
        return true;
    }
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == (pid_t)strtol(held, NULL, 10);
}

int main(int argc, char **argv) {
    struct reason reason = {0};
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        puts("ota-content " VERSION);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            if (commands[i].run == NULL) {
                fail(&reason, CODE_USAGE, "ota-content was built without its sub-command %s", argv[1]);
                say_reason(&reason);
                return CODE_USAGE;
            }
            /* What it runs keeps what it would have had without us. */
            if (commands[i].run != cmd_hold) {
                umask(077);
                /* A reader that goes away stops nothing. */
                signal(SIGPIPE, SIG_IGN);
                alarm(LONGEST_SECONDS);
            }
            /* Nothing is torn down at the end: an engine that openssl.cnf names would call the module of its token, which has gone before it. */
            OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
            int code = ends_with_its_parent(commands[i].run) ? commands[i].run(argc - 1, argv + 1, &reason)
                                                             : fail(&reason, CODE_UNEXPECTED, "%s must be run by the sysupgrade that holds the image", argv[1]);
            if (code == 0 && (fflush(stdout) != 0 || ferror(stdout) != 0)) {
                code = fail_errno(&reason, CODE_UNEXPECTED, "standard output cannot be written");
            }
            if (code != 0) {
                say_reason(&reason);
            }
            return code;
        }
    }
    fputs(usage, stderr);
    return CODE_USAGE;
}
