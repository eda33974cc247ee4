/* SPDX-License-Identifier: MIT */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "say.h"

/* argv[0] is the name of the sub-command. Each returns 0 or what fail() returned. */
typedef int command(int argc, char **argv, struct reason *reason);

/* Each is in cmd_NAME.c. */
command cmd_attributes, cmd_hold, cmd_check, cmd_write, cmd_verify, cmd_probe, cmd_head, cmd_header, cmd_same;
/* Weak, so that a build without their files knows that it lacks them. */
__attribute__((weak)) command cmd_open, cmd_verify_file, cmd_unpack, cmd_stage, cmd_compare, cmd_index, cmd_need, cmd_cipher, cmd_wrap;

#endif
