/* SPDX-License-Identifier: MIT */
#include "commands.h"

int cmd_verify(int argc, char **argv, struct reason *reason) {
    (void)argc;
    return fail(reason, CODE_UNEXPECTED, "%s is not there yet", argv[0]);
}
