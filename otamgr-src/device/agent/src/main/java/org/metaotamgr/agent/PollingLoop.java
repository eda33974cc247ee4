// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Duration;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.util.Optional;
import java.util.function.DoubleSupplier;
import org.metaotamgr.device.Backoff;
import org.metaotamgr.device.EventLog;

/**
 * Asks a source again and again, and takes what it offers, within the limits of {@link Polling}. One thread calls
 * {@link #run()}.
 */
public final class PollingLoop {
    /** A bundle that is pulled in parts lacks some, when a slot has changed since. */
    private static final int MAX_PULLS = 5;

    private static final long MEGABYTE = 1_000_000;
    private static final long NANOS_OF_MILLI = 1_000_000;

    /** Time, as the loop sees it. */
    public interface Time {
        /**
         * The device's local time.
         *
         * @return the time of day; it may be wrong, and jump
         */
        LocalDateTime now();

        /**
         * Waits.
         *
         * @param time how long
         * @throws InterruptedException if the loop shall end
         */
        void pause(Duration time) throws InterruptedException;

        /** Ends a pause, or the next one if there is none; called by other threads. */
        default void wake() {}
    }

    /** Time of the device. */
    public static final class RealTime implements Time {
        private boolean isAwake;

        /** Makes it. */
        public RealTime() {}

        @Override
        public LocalDateTime now() {
            return LocalDateTime.now(ZoneId.systemDefault());
        }

        @Override
        public synchronized void pause(Duration time) throws InterruptedException {
            long end = System.nanoTime() + time.toNanos();
            for (long left = time.toMillis(); !isAwake && left > 0; left = (end - System.nanoTime()) / NANOS_OF_MILLI) {
                wait(left);
            }
            isAwake = false;
        }

        @Override
        public synchronized void wake() {
            isAwake = true;
            notifyAll();
        }
    }

    /** What the loop tells those around it. */
    public interface Listener {
        /** The source has answered, whatever it said: the link to it works. */
        void answered();

        /**
         * An update is armed: the device shall reboot.
         *
         * @param result with the name of the target
         */
        void armed(Result result);

        /**
         * Whether something may be pulled and installed now; if not, the source is only asked.
         *
         * @return true unless a trial goes on or the device is about to reboot
         */
        default boolean mayTake() {
            return true;
        }
    }

    private final Agent agent;
    private final Polling polling;
    private final Time time;
    private final MeteredLink link;
    private final Rhythm rhythm;
    private final Listener listener;
    private final EventLog log;
    private final Backoff backoff;
    private boolean isOver;
    private String lastDeferral = "";

    /**
     * Makes a loop.
     *
     * @param agent what does the steps
     * @param polling the limits
     * @param time the time
     * @param link tells whether the link costs money
     * @param random numbers from 0 to 1
     * @param listener receives what happens
     * @param log where to tell about it
     */
    public PollingLoop(
            Agent agent,
            Polling polling,
            Time time,
            MeteredLink link,
            DoubleSupplier random,
            Listener listener,
            EventLog log) {
        this.agent = agent;
        this.polling = polling;
        this.time = time;
        this.link = link;
        this.rhythm = new Rhythm(polling, random, time::now);
        this.listener = listener;
        this.log = log;
        this.backoff = new Backoff(polling.firstBackoff(), polling.longestBackoff());
    }

    /**
     * Goes on until an update is armed.
     *
     * @throws InterruptedException if the thread was interrupted
     */
    public void run() throws InterruptedException {
        if (polling.automatic() == Polling.Automatic.OFF) {
            // Nobody asks, so that nobody can be asked for an answer.
            listener.answered();
            return;
        }
        // A trial, an end that was not reported to the source, and somebody who plugs a stick in do not wait for a
        // whole interval.
        pause(rhythm.first(!agent.isRemote() || agent.isAwaited() || !listener.mayTake()));
        while (!isOver) {
            Duration wait;
            try {
                wait = round();
            } catch (RuntimeException e) {
                // Whatever a source does wrong, the next update may repair it.
                log.internalError(e);
                wait = rhythm.jittered(backoff.next());
            }
            if (!isOver) {
                pause(wait);
            }
        }
    }

    private void pause(Duration wait) throws InterruptedException {
        agent.checksAgainAt(time.now().plus(wait));
        time.pause(wait);
    }

    /** One round; returns how long to wait for the next one. */
    Duration round() throws InterruptedException {
        CheckInResult checkIn = agent.checkIn();
        Result result = checkIn.result();
        if (result.code() == ExitCode.IN_PROGRESS) {
            // Somebody gave a command; nothing has failed.
            return polling.firstBackoff();
        }
        if (result.code() == ExitCode.DEFERRED && checkIn.offers().isEmpty()) {
            return agent.vetoWait();
        }
        if (result.problem().isPresent() && result.problem().get().reason().isTransient()) {
            return after(result.problem().get());
        }
        if (result.problem().isEmpty()) {
            listener.answered();
        }
        Duration usual = rhythm.usual(checkIn.askAgain());
        if (checkIn.selected().isEmpty() || polling.automatic() == Polling.Automatic.CHECK || !listener.mayTake()) {
            backoff.reset();
            return usual;
        }
        return take(checkIn.selected().get(), usual);
    }

    private Duration take(Target target, Duration usual) throws InterruptedException {
        Optional<Duration> wait = Optional.empty();
        for (int pulls = 0; wait.isEmpty() && pulls < MAX_PULLS; pulls++) {
            wait = pulledAndInstalled(target, usual);
        }
        return wait.orElse(usual);
    }

    /** Returns how long to wait for the next round; nothing if more has to be pulled than there was. */
    private Optional<Duration> pulledAndInstalled(Target target, Duration usual) throws InterruptedException {
        if (polling.windowForPull() && !isOpen()) {
            return Optional.of(untilOpen(usual, "pull", target));
        }
        Result pulled;
        try {
            refuseMetered(target, leastOf(target));
            pulled = agent.pull(target, new Watched(target));
        } catch (SourceException e) {
            deferred("pull", target, e.getMessage());
            return Optional.of(usual);
        }
        if (pulled.code() != ExitCode.OK) {
            return Optional.of(waitAfter(pulled, usual));
        }
        backoff.reset();
        if (polling.automatic() != Polling.Automatic.INSTALL) {
            return Optional.of(usual);
        }
        if (!isOpen()) {
            return Optional.of(untilOpen(usual, "install", target));
        }
        Result installed = agent.install(target, progress -> {}, new Watched(target));
        if (installed.code() == ExitCode.NEEDS_REBOOT) {
            isOver = true;
            listener.armed(installed);
            return Optional.of(usual);
        }
        return installed.code() == ExitCode.NOT_PULLED ? Optional.empty() : Optional.of(waitAfter(installed, usual));
    }

    private Duration waitAfter(Result result, Duration usual) {
        if (result.problem().isPresent()) {
            SourceException problem = result.problem().get();
            boolean isAgain = problem.reason().isTransient() || problem.reason().isCounted();
            return problem.reason() == SourceException.Reason.DEFERRED || !isAgain ? usual : after(problem);
        }
        return switch (result.code()) {
            case IN_PROGRESS -> polling.firstBackoff();
            case DEFERRED -> agent.vetoWait();
            default -> usual;
        };
    }

    private Duration after(SourceException problem) {
        Duration wait = rhythm.jittered(backoff.next());
        Duration asked = problem.retryAfter().orElse(Duration.ZERO);
        wait = asked.compareTo(wait) > 0 ? Rhythm.bounded(asked) : wait;
        log.info("source_again:seconds=" + wait.toSeconds() + ",reason=" + problem.reason());
        return wait;
    }

    /** Ends what is fetched over a link that costs money when it gets too much. */
    private final class Watched implements PullProgress {
        private final Target target;
        private long fetched;

        Watched(Target target) {
            this.target = target;
        }

        @Override
        public void pulled(long bytes) throws SourceException {
            refuseMetered(target, Math.max(fetched, leastOf(target)));
            if (!listener.mayTake()) {
                throw new SourceException(SourceException.Reason.DEFERRED, "the device is about to reboot");
            }
        }

        @Override
        public void fetched(long bytes) {
            fetched += bytes;
        }

        @Override
        public void needed(long bytes) throws SourceException {
            refuseMetered(target, fetched + bytes);
        }

        @Override
        public boolean counts() {
            return agent.isRemote() && link.isMetered();
        }
    }

    /** What is needed for certain, as long as the source has not said it. */
    private long leastOf(Target target) {
        return agent.saysWhatIsNeeded() ? 0 : target.bytes();
    }

    /** needed: how much of it, as far as that is known. Nothing at all is fetched where nothing is allowed. */
    private void refuseMetered(Target target, long needed) throws SourceException {
        if (agent.isRemote() && Math.max(needed, 1) > polling.meteredBytes() && link.isMetered()) {
            throw new SourceException(
                    SourceException.Reason.DEFERRED,
                    "the link costs money, and " + (needed == 0 ? target.bytes() : needed)
                            + " bytes are more than the " + polling.meteredBytes() / MEGABYTE
                            + " MB that may be pulled over it");
        }
    }

    private boolean isOpen() {
        // Time zones are not even loaded where nobody needs them.
        return polling.windows().isEmpty() || Window.isOpen(polling.windows(), time.now());
    }

    private Duration untilOpen(Duration usual, String what, Target target) {
        Duration wait = Window.untilOpen(polling.windows(), time.now());
        deferred(what, target, "no window is open");
        return wait.compareTo(usual) < 0 ? wait : usual;
    }

    private void deferred(String what, Target target, String reason) {
        String line = "deferred:step=" + what + ",target=" + target.name() + ",reason=" + reason;
        if (!line.equals(lastDeferral)) {
            lastDeferral = line;
            log.info(line);
        }
    }
}
