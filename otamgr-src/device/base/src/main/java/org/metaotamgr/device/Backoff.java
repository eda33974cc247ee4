// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.time.Duration;

/** Times to wait between tries: the first one, doubled each time up to the longest. */
public final class Backoff {
    private final Duration first;
    private final Duration longest;
    private Duration next;

    public Backoff(Duration first, Duration longest) {
        this.first = first;
        this.longest = longest;
        this.next = first;
    }

    /** How long to wait before the next try. */
    public Duration next() {
        Duration wait = next;
        Duration doubled = next.multipliedBy(2);
        next = doubled.compareTo(longest) > 0 ? longest : doubled;
        return wait;
    }

    /** Starts again with the first. */
    public void reset() {
        next = first;
    }
}
