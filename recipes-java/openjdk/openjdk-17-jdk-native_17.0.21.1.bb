# SPDX-License-Identifier: MIT
SUMMARY = "OpenJDK 17 for the build host: javac, jar and jlink"
DESCRIPTION = "Compiles the Java sources of this layer and links the runtime of targets with OpenJDK 17."

OPENJDK_FEATURE = "17"
require openjdk-jdk-native.inc
