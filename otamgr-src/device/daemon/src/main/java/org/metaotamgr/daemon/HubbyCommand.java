// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

/** The first byte of attribute 65012 (attribute protocol, section 9). */
enum HubbyCommand {
    /** 1: reboot the device. */
    REBOOT,
    /** 2: forget the Wi-Fi credentials; hubby does that itself. */
    CLEAR_CREDENTIALS,
    /** 3: enter the factory test mode. */
    FACTORY_TEST,
    /** Anything else, for others or for nobody. */
    OTHER;

    static HubbyCommand of(byte value) {
        return switch (value) {
            case 1 -> REBOOT;
            case 2 -> CLEAR_CREDENTIALS;
            case 3 -> FACTORY_TEST;
            default -> OTHER;
        };
    }
}
