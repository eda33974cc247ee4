# SPDX-License-Identifier: MIT
OPENJDK_FEATURE = "17"
require openjdk-jre-headless.inc

COMPATIBLE_HOST = "(aarch64|x86_64).*-linux"
