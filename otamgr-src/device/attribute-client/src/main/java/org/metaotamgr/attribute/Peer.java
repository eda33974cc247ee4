// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

/**
 * The process at the other end of the socket, as the kernel knows it (SO_PEERCRED).
 *
 * @param pid process id, or -1 if the kernel did not tell
 * @param uid effective user id, or -1 if the kernel did not tell
 * @param gid effective group id, or -1 if the kernel did not tell
 */
public record Peer(long pid, long uid, long gid) {}
