// SPDX-License-Identifier: MIT
/** The command line of the daemon. */
package org.metaotamgr.daemon;
