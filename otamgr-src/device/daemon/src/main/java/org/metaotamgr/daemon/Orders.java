// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.FailedUpdates;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.Waiting;

/**
 * What the device was told to do and has not done yet. Orders come from any thread and are answered at once in the log; the
 * engine takes them when it can.
 *
 * <p>One update can wait; a newer one takes its place. An update that is offered while the same one is written (same path,
 * same header) is ignored, and while the device is about to reboot any is refused. Nothing is lost by that: a header that
 * is missing after the reboot makes the cloud push again. An update that failed before may have to wait, or is refused:
 * that is up to {@link FailedUpdates}. A reboot command waits until what is being written has ended.
 */
final class Orders {
    private static final int MAX_UNUSABLE = 8;

    /** What the engine is doing. */
    enum Phase {
        /** Finding out where the device stands. */
        STARTING,
        /** Nothing that an order would have to wait for. */
        READY,
        /** An update is looked at or written. */
        BUSY,
        /** A command has armed a slot; the device reboots when it is told to, by whomever. */
        ARMED_BY_COMMAND,
        /** The device is about to reboot. */
        ENDING
    }

    private final AgentDevice device;
    private final OtamgrConfig config;
    private final BootClock clock;
    private final Waiting waiting;
    private final EventLog log;

    private Phase phase = Phase.STARTING;
    private boolean isTrial;
    private Optional<UpdateCandidate> current = Optional.empty();
    private Optional<UpdateCandidate> next = Optional.empty();
    /** When the one that waits may begin, in time since power-on. */
    private Duration nextFrom = Duration.ZERO;
    /** The last update that hubby has offered to this daemon. */
    private Optional<UpdateCandidate> heard = Optional.empty();

    private final Deque<String> unusable = new ArrayDeque<>();
    private boolean rebootWaits;

    Orders(AgentDevice device, OtamgrConfig config, BootClock clock, Waiting waiting, EventLog log) {
        this.device = device;
        this.config = config;
        this.clock = clock;
        this.waiting = waiting;
        this.log = log;
    }

    // ---- what is ordered, from any thread ----

    /**
     * What hubby says it offered before this connection to attrd: an update that was offered while nobody listened is
     * taken, and what was heard of already is no new offer.
     */
    void offeredEarlier(byte[] value) {
        if (UpdatePath.untilNul(value).length == 0) {
            return;
        }
        try {
            UpdateCandidate candidate = UpdateCandidate.examine(UpdatePath.parse(value), config.allowedPrefixes());
            if (isHeard(candidate) || device.history().isInstalled(candidate.headerSha256())) {
                return;
            }
        } catch (UpdateRefusedException e) {
            // Files that have gone since belong to an update that is over.
            log.info("ota_not_offered_any_more:path=" + Printable.of(UpdatePath.untilNul(value)) + ",reason="
                    + e.getMessage());
            return;
        }
        offered(value);
    }

    private synchronized boolean isHeard(UpdateCandidate candidate) {
        return heard.equals(Optional.of(candidate));
    }

    /** Hubby offers an update: the value of attribute 51612. */
    void offered(byte[] value) {
        String shown = Printable.of(UpdatePath.untilNul(value));
        log.info("ota_notification:path=" + shown);
        UpdateCandidate candidate;
        try {
            candidate = UpdateCandidate.examine(UpdatePath.parse(value), config.allowedPrefixes());
        } catch (UpdateRefusedException e) {
            log.error("ota_refused:path=" + shown + ",reason=" + e.getMessage());
            synchronized (this) {
                if (unusable.size() < MAX_UNUSABLE) {
                    unusable.add(e.getMessage());
                }
            }
            waiting.changed();
            return;
        }
        FailedUpdates.Verdict verdict = device.failures().verdict(candidate.headerSha256());
        boolean wasLeft = device.history()
                .left()
                .filter(left -> left.id().equals(candidate.headerSha256()))
                .isPresent();
        Duration now = clock.uptime();
        synchronized (this) {
            heard = Optional.of(candidate);
            if (wasLeft) {
                log.warning(
                        "ota_refused:path=" + shown + ",reason=the device was rolled back from this update by hand");
            } else if (verdict.decision() == FailedUpdates.Decision.REFUSE) {
                refuse(candidate, verdict.reason());
            } else if (current.equals(Optional.of(candidate))) {
                log.info("ota_ignored:path=" + shown + ",reason=this update is being written already");
            } else {
                accept(candidate, verdict, now);
            }
        }
        waiting.changed();
    }

    private void accept(UpdateCandidate candidate, FailedUpdates.Verdict verdict, Duration now) {
        switch (phase) {
            case READY -> {
                if (rebootWaits) {
                    log.warning(
                            "ota_refused:path=" + candidate.path().text() + ",reason=the device is about to reboot");
                } else if (isTrial) {
                    keep(candidate, now, "the trial has to be committed first");
                } else if (verdict.decision() == FailedUpdates.Decision.WAIT) {
                    delay(candidate, verdict.reason(), verdict.remaining(), now);
                } else {
                    replaceNext(candidate);
                    next = Optional.of(candidate);
                    nextFrom = now;
                }
            }
            case STARTING, BUSY -> keep(candidate, now, "another one is being written or looked at");
            case ARMED_BY_COMMAND, ENDING -> log.warning(
                    "ota_refused:path=" + candidate.path().text() + ",reason=the device is about to reboot");
        }
    }

    private void refuse(UpdateCandidate candidate, String reason) {
        log.error("ota_refused:path=" + candidate.path().text() + ",reason=" + reason);
    }

    private void keep(UpdateCandidate candidate, Duration from, String reason) {
        if (next.equals(Optional.of(candidate))) {
            log.info("ota_ignored:path=" + candidate.path().text() + ",reason=this update waits already");
            return;
        }
        replaceNext(candidate);
        next = Optional.of(candidate);
        nextFrom = from;
        log.info("ota_queued:path=" + candidate.path().text() + ",reason=" + reason);
    }

    private void delay(UpdateCandidate candidate, String reason, Duration wait, Duration now) {
        // Uptime is counted in seconds.
        keep(candidate, now.plus(wait).plusSeconds(1), reason + "; it is tried again in " + wait.toSeconds() + " s");
    }

    private void replaceNext(UpdateCandidate newer) {
        if (!next.equals(Optional.of(newer))) {
            dropNext("a newer one takes its place");
        }
    }

    /** The device was told to reboot. */
    void rebootRequested() {
        synchronized (this) {
            if (phase == Phase.ENDING || rebootWaits && phase == Phase.READY) {
                log.info("reboot_ignored:reason=the device is about to reboot already");
                return;
            }
            rebootWaits = true;
            if (phase == Phase.STARTING || phase == Phase.BUSY) {
                log.info("reboot_deferred:reason=the device reboots when what runs now has ended");
            }
        }
        waiting.changed();
    }

    /** A command has armed a slot. */
    void armedByCommand() {
        synchronized (this) {
            if (phase == Phase.ENDING) {
                return;
            }
            dropNext("another system is armed");
            phase = Phase.ARMED_BY_COMMAND;
        }
        waiting.changed();
    }

    // ---- for the engine ----

    synchronized Phase phase() {
        return phase;
    }

    synchronized void is(Phase now) {
        phase = now;
        current = Optional.empty();
    }

    /** An update is looked at or written from now on. */
    synchronized void isBusyWith(UpdateCandidate candidate) {
        phase = Phase.BUSY;
        current = Optional.of(candidate);
    }

    /** What was written has ended, and everybody is about to hear of it: offered from now on it is no repetition. */
    synchronized void isWritten() {
        current = Optional.empty();
    }

    /** Whether the running slot is on trial, so that sysupgrade would refuse any update. */
    synchronized void isTrial(boolean trial) {
        isTrial = trial;
    }

    synchronized boolean rebootWaits() {
        return rebootWaits;
    }

    /** The reboot command is carried out, or needs not be. */
    synchronized void rebootTaken() {
        rebootWaits = false;
    }

    synchronized void dropNext(String reason) {
        next.ifPresent(
                dropped -> log.warning("ota_dropped:path=" + dropped.path().text() + ",reason=" + reason));
        next = Optional.empty();
    }

    /** Why something that hubby offered is not even looked at; empty if the handler was told of all. */
    synchronized Optional<String> takeUnusable() {
        return Optional.ofNullable(unusable.poll());
    }

    /** Whether the engine has something to do. */
    synchronized boolean isWaiting(Duration now) {
        return !unusable.isEmpty() || rebootWaits && phase != Phase.ENDING || isDue(now);
    }

    private boolean isDue(Duration now) {
        return next.isPresent() && !isTrial && phase == Phase.READY && nextFrom.compareTo(now) <= 0;
    }

    /** How long until the update that waits may begin. */
    synchronized Optional<Duration> untilNext(Duration now) {
        return next.isPresent() && !isTrial && phase == Phase.READY
                ? Optional.of(nextFrom.minus(now))
                : Optional.empty();
    }

    /** The update whose turn it is. */
    Optional<UpdateCandidate> takeDue(Duration now) {
        UpdateCandidate taken;
        synchronized (this) {
            if (!isDue(now)) {
                return Optional.empty();
            }
            taken = next.get();
            next = Optional.empty();
        }
        return inTime(taken, now);
    }

    /** The update that takes the place of one that could not begin; that one, if no other waits. */
    Optional<UpdateCandidate> takeInstead(UpdateCandidate candidate, Duration now) {
        UpdateCandidate taken;
        synchronized (this) {
            taken = next.orElse(candidate);
            next = Optional.empty();
        }
        return inTime(taken, now);
    }

    /** The files of an update that waited may have changed or gone, and it may have failed meanwhile. */
    private Optional<UpdateCandidate> inTime(UpdateCandidate waited, Duration now) {
        UpdateCandidate candidate;
        try {
            candidate = UpdateCandidate.examine(waited.path(), config.allowedPrefixes());
        } catch (UpdateRefusedException e) {
            refuse(waited, e.getMessage());
            return Optional.empty();
        }
        FailedUpdates.Verdict verdict = device.failures().verdict(candidate.headerSha256());
        switch (verdict.decision()) {
            case INSTALL -> {
                return Optional.of(candidate);
            }
            case WAIT -> putOff(candidate, verdict.reason(), verdict.remaining(), now);
            case REFUSE -> refuse(candidate, verdict.reason());
        }
        return Optional.empty();
    }

    /** An update has to wait. */
    synchronized void putOff(UpdateCandidate candidate, String reason, Duration wait, Duration now) {
        delay(candidate, reason, wait, now);
    }
}
