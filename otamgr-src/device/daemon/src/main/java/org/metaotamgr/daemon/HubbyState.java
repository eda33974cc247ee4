// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.util.Locale;

/** What attribute 51611 says about the connection between hubby and the cloud (attribute protocol, section 9). */
enum HubbyState {
    /** Not known, or not yet. */
    UNKNOWN,
    /** Connected to the cloud. */
    CONNECTED,
    /** Cannot connect now, and keeps trying. */
    UNREACHABLE;

    /** The state for the one byte of the attribute's value; what is not defined counts as unknown. */
    static HubbyState of(byte value) {
        return switch (value) {
            case 1 -> CONNECTED;
            case 2 -> UNREACHABLE;
            default -> UNKNOWN;
        };
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
