// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.time.Duration;
import java.util.function.DoubleSupplier;

/** Times to wait between tries: the first one, doubled each time up to the longest. */
public final class Backoff {
    private final Duration first;
    private final Duration longest;
    private Duration next;

    public Backoff(Duration first, Duration longest) {
        this.first = first;
        this.longest = longest;
        reset();
    }

    /**
     * How long to wait after so many waits, for those who keep the number and not the wait.
     *
     * @param first the first wait; zero stays zero
     * @param longest the longest one
     * @param before how many waits there were before this one
     * @return the wait
     */
    public static Duration doubled(Duration first, Duration longest, int before) {
        Duration wait = first;
        for (int i = 0; i < before && !wait.isZero() && wait.compareTo(longest) < 0; i++) {
            wait = twice(wait, longest);
        }
        return wait.compareTo(longest) > 0 ? longest : wait;
    }

    private static Duration twice(Duration wait, Duration longest) {
        // Compared by halves: the longest may be all that a duration can hold.
        return wait.compareTo(longest.dividedBy(2)) > 0 ? longest : wait.multipliedBy(2);
    }

    /**
     * Shortens a wait by a random part of up to a half, so that those who lost the same thing together do not return together.
     *
     * @param wait the wait
     * @param random numbers from 0 to 1, without 1
     * @return between half of it and all of it
     */
    public static Duration spread(Duration wait, DoubleSupplier random) {
        return wait.minusNanos((long) (wait.toNanos() * 0.5 * random.getAsDouble()));
    }

    /** How long to wait before the next try. */
    public Duration next() {
        Duration wait = next;
        next = twice(wait, longest);
        return wait;
    }

    /** Starts again with the first. */
    public void reset() {
        next = doubled(first, longest, 0);
    }
}
