// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Clock;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.function.IntSupplier;

/**
 * Makes the ids of updates, {@code 20260131T235959Z-1a2b3c4d-5e6f}: the time, the begin of what the update is known by, and a
 * random number, because a device without a clock lives through the same seconds after every boot.
 */
public final class TransactionIds {
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'", Locale.ROOT).withZone(ZoneOffset.UTC);

    private final Clock clock;
    private final IntSupplier random;

    public TransactionIds(Clock clock, IntSupplier random) {
        this.clock = clock;
        this.random = random;
    }

    /** A new id: at most 40 letters, digits and hyphens. */
    public String next(String id) {
        return TIME.format(clock.instant()) + "-" + id.substring(0, 8) + "-"
                + String.format("%04x", random.getAsInt() & 0xffff);
    }
}
