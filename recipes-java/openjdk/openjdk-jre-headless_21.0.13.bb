# SPDX-License-Identifier: MIT
#
# Where OpenJDK 17 is not good enough: on 32-bit ARM Debian 12 counts time in 32 bits and reads the time of a file after January 2038 as
# one of 1903, and it has no packages for riscv64.
OPENJDK_FEATURE = "21"
require openjdk-jre-headless.inc

COMPATIBLE_HOST = "(arm|riscv64).*-linux"
