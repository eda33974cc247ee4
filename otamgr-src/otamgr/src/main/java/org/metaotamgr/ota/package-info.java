// SPDX-License-Identifier: MIT
/**
 * What the daemon does with what it is told: runs updates, commits or leaves a trial, reboots, answers for the update
 * path prefix. Everything here happens on one {@link org.metaotamgr.ota.EventLoop}; programs run beside it, and
 * report back to it.
 */
package org.metaotamgr.ota;
