// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Duration;
import java.util.Optional;
import java.util.function.DoubleSupplier;

/** When a device asks, so that a fleet does not ask together, also not after the power came back to all of it. */
public final class Rhythm {
    private static final Duration SHORTEST = Duration.ofSeconds(5);
    private static final Duration LONGEST = Duration.ofDays(30);
    private static final Duration LONGEST_FIRST = Duration.ofSeconds(30);

    private final Polling polling;
    private final DoubleSupplier random;

    /**
     * Makes it.
     *
     * @param polling the limits
     * @param random numbers from 0 to 1
     */
    public Rhythm(Polling polling, DoubleSupplier random) {
        this.polling = polling;
        this.random = random;
    }

    /**
     * How long to wait after the start. Those that started together are scattered over the whole interval, so that the power which
     * comes back to all of them is no burst for the server; jitter alone would need some hundred checks for that.
     *
     * @param isAwaited whether somebody waits for this one: then it does not take long
     * @return the time
     */
    public Duration first(boolean isAwaited) {
        if (polling.jitterPercent() == 0) {
            return Duration.ZERO;
        }
        Duration most = polling.interval();
        if (isAwaited && most.compareTo(LONGEST_FIRST) > 0) {
            most = LONGEST_FIRST;
        }
        return Duration.ofMillis((long) (most.toMillis() * random.getAsDouble()));
    }

    /**
     * How long to wait for the next check.
     *
     * @param asked what the source asked for, if anything
     * @return the time
     */
    public Duration usual(Optional<Duration> asked) {
        return jittered(bounded(asked.orElse(polling.interval())));
    }

    Duration jittered(Duration wait) {
        double factor = 1 + (2 * random.getAsDouble() - 1) * polling.jitterPercent() / 100;
        return Duration.ofMillis((long) (wait.toMillis() * factor));
    }

    static Duration bounded(Duration wait) {
        return wait.compareTo(SHORTEST) < 0 ? SHORTEST : wait.compareTo(LONGEST) > 0 ? LONGEST : wait;
    }
}
