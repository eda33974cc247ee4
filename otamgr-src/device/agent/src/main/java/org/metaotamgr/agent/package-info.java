// SPDX-License-Identifier: MIT
/**
 * The update agent: where updates come from ({@link org.metaotamgr.agent.UpdateSource}), and what is done with them. The
 * words follow aktualizr-lite: check in, pick a target, pull, install, run (finalise after the reboot).
 */
package org.metaotamgr.agent;
