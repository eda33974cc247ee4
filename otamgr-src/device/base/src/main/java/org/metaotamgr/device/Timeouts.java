// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.time.Duration;

/** How long programs of the device may take. */
public final class Timeouts {
    /** sysupgrade: longer than any image takes to be written; also how long one that outlived its daemon is looked for. */
    public static final Duration SYSUPGRADE = Duration.ofHours(2);
    /** ota-slot. */
    public static final Duration OTA_SLOT = Duration.ofSeconds(30);
    /** The program that saves logs before a reboot. */
    public static final Duration LOGS = Duration.ofSeconds(30);
    /** The program that reboots. */
    public static final Duration REBOOT = Duration.ofSeconds(60);

    private Timeouts() {}
}
