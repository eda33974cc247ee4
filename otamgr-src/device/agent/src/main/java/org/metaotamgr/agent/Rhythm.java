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
    private boolean isScattering;

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
     * How long to wait after the start: not long, as somebody may wait for it. Those that started together are scattered by
     * the wait after it.
     *
     * @return the time
     */
    public Duration first() {
        isScattering = polling.jitterPercent() > 0;
        Duration spread =
                polling.interval().multipliedBy(polling.jitterPercent()).dividedBy(100);
        Duration most = spread.compareTo(LONGEST_FIRST) > 0 ? LONGEST_FIRST : spread;
        return Duration.ofMillis((long) (most.toMillis() * random.getAsDouble()));
    }

    /**
     * How long to wait for the next check. Jitter alone would need some hundred checks to scatter what began together, so
     * the first of these waits may be anything up to the interval.
     *
     * @param asked what the source asked for, if anything
     * @return the time
     */
    public Duration usual(Optional<Duration> asked) {
        Duration wait = bounded(asked.orElse(polling.interval()));
        if (isScattering) {
            isScattering = false;
            return bounded(Duration.ofMillis((long) (wait.toMillis() * random.getAsDouble())));
        }
        return jittered(wait);
    }

    Duration jittered(Duration wait) {
        double factor = 1 + (2 * random.getAsDouble() - 1) * polling.jitterPercent() / 100;
        return Duration.ofMillis((long) (wait.toMillis() * factor));
    }

    static Duration bounded(Duration wait) {
        return wait.compareTo(SHORTEST) < 0 ? SHORTEST : wait.compareTo(LONGEST) > 0 ? LONGEST : wait;
    }
}
