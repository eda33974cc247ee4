// SPDX-License-Identifier: MIT
package org.metaotamgr.fleetsimulator;

import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.Comparator;
import java.util.Optional;
import java.util.SplittableRandom;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.Polling;
import org.metaotamgr.agent.Rhythm;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.agent.Version;

/**
 * A device: its source and rhythm are those of the daemon; that a pull takes minutes, and an install and reboot some more, is
 * simulated. One thread at a time.
 */
final class SimulatedDevice {
    private static final Duration SHORTEST_PULL = Duration.ofSeconds(30);
    private static final int PULL_SECONDS = 270;
    private static final Duration INSTALL_AND_REBOOT = Duration.ofSeconds(90);

    private final UpdateSource source;
    private final DeviceClock clock;
    private final Polling polling;
    private final SplittableRandom random;
    private Rhythm rhythm;
    private String version = "1.0";
    private Optional<Target> pulled = Optional.empty();
    private Instant next;

    /** The clock of one device. */
    static final class DeviceClock extends Clock {
        private Instant now = Instant.EPOCH;

        @Override
        public ZoneId getZone() {
            return ZoneOffset.UTC;
        }

        @Override
        public Clock withZone(ZoneId zone) {
            throw new UnsupportedOperationException("one zone is enough");
        }

        @Override
        public Instant instant() {
            return now;
        }
    }

    /** What a step did. */
    enum Step {
        /** Asked, and nothing came of it. */
        ASKED,
        /** Began to install. */
        STARTED,
        /** Was not answered as it should be. */
        FAILED
    }

    /**
     * Makes it.
     *
     * @param source its source
     * @param clock the clock that the source was made with
     * @param polling its rhythm
     * @param random what it draws from
     * @param start when it is switched on
     */
    SimulatedDevice(UpdateSource source, DeviceClock clock, Polling polling, SplittableRandom random, Instant start) {
        this.source = source;
        this.clock = clock;
        this.polling = polling;
        this.random = random;
        switchOn(start, false);
    }

    private void switchOn(Instant at, boolean isTrial) {
        clock.now = at;
        rhythm = new Rhythm(polling, random::nextDouble, () -> LocalDateTime.ofInstant(clock.now, ZoneOffset.UTC));
        next = at.plus(rhythm.first(isTrial));
    }

    Instant next() {
        return next;
    }

    Step step() throws InterruptedException {
        clock.now = next;
        try {
            return pulled.isPresent() ? install(pulled.get()) : check();
        } catch (SourceException e) {
            System.err.println(next + " " + e.getMessage());
            next = next.plus(polling.firstBackoff());
            return Step.FAILED;
        }
    }

    private Step check() throws SourceException, InterruptedException {
        CheckResult result = source.check(
                new InstalledSystem(Optional.empty(), Optional.of(version), Optional.of("board"), Optional.empty()));
        Duration usual = rhythm.usual(result.askAgain());
        if (result instanceof CheckResult.Offers offers) {
            pulled = offers.targets().stream()
                    .filter(target -> new Version(target.version()).compareTo(new Version(version)) > 0)
                    .max(Comparator.comparing(target -> new Version(target.version())));
        }
        next = next.plus(
                pulled.isPresent()
                        ? SHORTEST_PULL.plus(Duration.ofMillis((long) (1000 * PULL_SECONDS * random.nextDouble())))
                        : usual);
        return Step.ASKED;
    }

    private Step install(Target target) throws SourceException, InterruptedException {
        pulled = Optional.empty();
        if (!source.isStillOffered(target)) {
            next = next.plus(rhythm.usual(Optional.empty()));
            return Step.ASKED;
        }
        version = target.version();
        switchOn(next.plus(INSTALL_AND_REBOOT), true);
        return Step.STARTED;
    }
}
