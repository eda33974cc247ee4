// SPDX-License-Identifier: MIT
/**
 * The command line of an agent, {@code otamgr check} and its likes, and the local socket over which a running daemon
 * takes them.
 */
package org.metaotamgr.control;
