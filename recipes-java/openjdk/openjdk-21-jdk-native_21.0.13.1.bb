# SPDX-License-Identifier: MIT
SUMMARY = "OpenJDK 21 for the build host: jlink"
DESCRIPTION = "Links the runtime of targets with OpenJDK 21, which needs a jlink of the same feature version."

OPENJDK_FEATURE = "21"
require openjdk-jdk-native.inc
