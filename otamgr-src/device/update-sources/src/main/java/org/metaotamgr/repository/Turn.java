// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

/** What a roll-out says to one device now. */
public enum Turn {
    /** It may begin. */
    NOW,
    /** It may have it, and begins with it when a window is open. */
    CLOSED,
    /** Others are first. */
    LATER,
    /** Nobody begins, for now. */
    HALTED,
    /** Nobody begins any more. */
    RECALLED
}
