// SPDX-License-Identifier: MIT
/**
 * What the daemon does with what it is told. {@link org.metaotamgr.daemon.Engine} does one thing after the other, on one
 * thread; attributes and commands come on threads of their own, and leave {@link org.metaotamgr.daemon.Orders}.
 */
package org.metaotamgr.daemon;
