// SPDX-License-Identifier: MIT
/**
 * Stand-ins for Afero's attrd and hubby, which exist only as a part of the Afero platform: they speak the real protocol
 * over a real socket, so that the daemon can be tested and shown without that platform. Never installed on a device.
 */
package org.metaotamgr.simulator;
