// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Duration;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.Optional;
import java.util.function.DoubleSupplier;
import java.util.function.Supplier;

/**
 * When a device asks, so that a fleet does not ask together, also not after the power came back to all of it: each asks at a place of its
 * own in every interval, which it draws when it starts. Whatever a publication adds is then spread over one interval exactly, and not by
 * a new chance at each check.
 */
public final class Rhythm {
    private static final Duration SHORTEST = Duration.ofSeconds(5);
    private static final Duration LONGEST = Duration.ofDays(30);
    private static final Duration LONGEST_FIRST = Duration.ofSeconds(30);
    /** A place that is nearer than this part of an interval is the one of the check that was just made. */
    private static final int NEAR = 10;

    private final Polling polling;
    private final DoubleSupplier random;
    private final Supplier<LocalDateTime> now;
    /** Where in each interval, 0 to 1. */
    private final double place;

    /**
     * Makes it.
     *
     * @param polling the limits
     * @param random numbers from 0 to 1
     * @param now the time; what it is called does not matter, so a wrong one will do, and one that jumps costs one interval
     */
    public Rhythm(Polling polling, DoubleSupplier random, Supplier<LocalDateTime> now) {
        this.polling = polling;
        this.random = random;
        this.now = now;
        this.place = random.getAsDouble();
    }

    /**
     * How long to wait after the start. Those that started together are scattered over the whole interval, so that the power which
     * comes back to all of them is no burst for the server.
     *
     * @param isAwaited whether somebody waits for this one: then it does not take long
     * @return the time
     */
    public Duration first(boolean isAwaited) {
        if (polling.jitterPercent() == 0) {
            return Duration.ZERO;
        }
        if (isAwaited) {
            Duration most = polling.interval().compareTo(LONGEST_FIRST) > 0 ? LONGEST_FIRST : polling.interval();
            return Duration.ofMillis((long) (most.toMillis() * random.getAsDouble()));
        }
        return Duration.ofMillis(untilPlace(polling.interval().toMillis()));
    }

    /**
     * How long to wait for the next check: until this device's place, but never more than an interval and a tenth.
     *
     * @param asked what the source asked for, if anything
     * @return the time
     */
    public Duration usual(Optional<Duration> asked) {
        Duration interval = bounded(asked.orElse(polling.interval()));
        if (polling.jitterPercent() == 0) {
            return interval;
        }
        long length = interval.toMillis();
        long wait = untilPlace(length);
        return Duration.ofMillis(wait < length / NEAR ? wait + length : wait);
    }

    /** From now on, in milliseconds; less than an interval. */
    private long untilPlace(long interval) {
        long at = now.get().toInstant(ZoneOffset.UTC).toEpochMilli();
        return Math.floorMod((long) (place * interval) - at, interval);
    }

    Duration jittered(Duration wait) {
        double factor = 1 + (2 * random.getAsDouble() - 1) * polling.jitterPercent() / 100;
        return Duration.ofMillis((long) (wait.toMillis() * factor));
    }

    static Duration bounded(Duration wait) {
        return wait.compareTo(SHORTEST) < 0 ? SHORTEST : wait.compareTo(LONGEST) > 0 ? LONGEST : wait;
    }
}
