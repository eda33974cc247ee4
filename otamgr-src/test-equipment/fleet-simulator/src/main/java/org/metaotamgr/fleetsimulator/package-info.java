// SPDX-License-Identifier: MIT
/** Thousands of devices in one process, whose time is simulated and whose requests are real. */
package org.metaotamgr.fleetsimulator;
