// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.Optional;
import org.metaotamgr.device.Backoff;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.BoundedFile;
import org.metaotamgr.device.DurableFile;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.SlotStatus;

/**
 * Remembers across reboots which updates failed, so that one which the cloud pushes again and again is not installed
 * again and again. An update is known by the hash of its header, or by its {@link Target#id()}. Counted are trials
 * that ended without a commit, refusals of sysupgrade that are about the image, and installs that failed when the
 * other slot was destroyed for them already; a power cut while the slot is written is none of these.
 *
 * <p>Waits are measured since power-on, as devices without a clock have no other time that can be trusted. In a later
 * boot the whole uptime has been waited: a reboot never shortens a wait, and a clock that jumps does not matter.
 *
 * <p>The file is the memory: it is read each time, so that removing it is all it takes to forget. Only while it cannot
 * be written, the memory of this process counts.
 */
public final class FailedUpdates {
    public static final String FILE_NAME = "failed-updates.json";
    /** No update has to wait longer. */
    public static final Duration LONGEST_WAIT = Duration.ofDays(1);

    private static final int MAX_FILE_SIZE = 256 * 1024;

    /** What to do with an update. */
    public enum Decision {
        /** It may be installed. */
        INSTALL,
        /** It may be installed after the wait. */
        WAIT,
        /** It is not installed any more. */
        REFUSE
    }

    /**
     * What to do with an update, and why.
     *
     * @param decision what to do
     * @param remaining how long it has to wait, else zero
     * @param reason why, in one line, else empty
     */
    public record Verdict(Decision decision, Duration remaining, String reason) {}

    private final Path file;
    private final DurableFile durable;
    private final RetryPolicy config;
    private final Clock clock;
    private final BootClock boot;
    private final EventLog log;
    private Optional<FailureMemory> unsaved = Optional.empty();
    private String lastReadProblem = "";

    public FailedUpdates(RetryPolicy config, FileOperations files, Clock clock, BootClock boot, EventLog log) {
        this.file = config.directory().resolve(FILE_NAME);
        this.durable = new DurableFile(file, files);
        this.config = config;
        this.clock = clock;
        this.boot = boot;
        this.log = log;
    }

    /** Logs what is remembered. */
    public synchronized void report() {
        for (FailureMemory.Failed one : load().failed()) {
            Verdict verdict = verdict(one);
            log.info("ota_failed_before:header_sha256=" + one.headerSha256() + ",failures=" + one.failures()
                    + switch (verdict.decision()) {
                        case INSTALL -> ",next=it may be tried again";
                        case WAIT -> ",next=it may be tried again in "
                                + verdict.remaining().toSeconds() + " s";
                        case REFUSE -> ",next=it is refused";
                    } + ",last=" + one.reason());
        }
    }

    /** What to do with the update that has this header. */
    public synchronized Verdict verdict(String headerSha256) {
        return load().failedWith(headerSha256)
                .map(this::verdict)
                .orElse(new Verdict(Decision.INSTALL, Duration.ZERO, ""));
    }

    private Verdict verdict(FailureMemory.Failed update) {
        String reason = "this update failed " + update.failures() + (update.failures() == 1 ? " time" : " times")
                + ", last: " + update.reason();
        if (update.failures() >= config.attempts()) {
            return new Verdict(Decision.REFUSE, Duration.ZERO, reason);
        }
        Duration since = boot.bootId().equals(update.bootId()) ? boot.uptime().minus(update.uptime()) : boot.uptime();
        Duration left = Backoff.doubled(config.backoff(), LONGEST_WAIT, update.failures() - 1)
                .minus(since);
        return left.isNegative() || left.isZero()
                ? new Verdict(Decision.INSTALL, Duration.ZERO, reason)
                : new Verdict(Decision.WAIT, left, reason);
    }

    /**
     * Remembers which update an id stands for; when this returns, that is on the storage, or an error is logged.
     *
     * @param fromSlot the slot that runs, or empty
     */
    public synchronized void starting(String txn, String headerSha256, String fromSlot) {
        save(load().withStarted(new FailureMemory.Started(txn, headerSha256, fromSlot, "")));
    }

    /** sysupgrade ended without arming the update, for a reason that says nothing about the update. */
    public synchronized void notArmed(String txn) {
        save(load().withoutStarted(txn));
    }

    /** sysupgrade ended without arming the update, because of the update. */
    public synchronized void refused(String txn, String reason) {
        FailureMemory memory = load();
        memory.startedAs(txn).ifPresent(update -> save(failed(memory, update, reason)));
    }

    /** The trial of an update is about to end without a commit. */
    public synchronized void trialLacks(String txn, String problem) {
        FailureMemory memory = load();
        memory.startedAs(txn)
                .ifPresent(update -> save(memory.withStarted(new FailureMemory.Started(
                        txn, update.headerSha256(), update.fromSlot(), Printable.of(problem)))));
    }

    /**
     * Finds out how trials ended.
     *
     * @return whether one ended that was remembered as started
     */
    public synchronized boolean settle(SlotStatus status) {
        FailureMemory before = load();
        FailureMemory after = before;
        for (FailureMemory.Started update : before.started()) {
            switch (UpdateOutcome.of(update.txn(), update.fromSlot(), status)) {
                case COMMITTED -> {
                    after = after.withoutStarted(update.txn()).withoutFailed(update.headerSha256());
                    log.info("ota_succeeded:txn=" + update.txn() + ",header_sha256=" + update.headerSha256());
                }
                case ROLLED_BACK -> {
                    String reason = reasonOf(update, status);
                    after = failed(after, update, reason);
                    log.warning("ota_trial_failed:txn=" + update.txn() + ",header_sha256=" + update.headerSha256()
                            + ",failures="
                            + after.failedWith(update.headerSha256())
                                    .orElseThrow()
                                    .failures()
                            + ",reason=" + reason);
                }
                    // One that was never armed may still be written, by a sysupgrade that outlived its daemon.
                case NEVER_ARMED, ARMED, ON_TRIAL, UNKNOWN -> {}
            }
        }
        if (after.equals(before)) {
            return false;
        }
        save(after);
        return true;
    }

    private static String reasonOf(FailureMemory.Started update, SlotStatus status) {
        String end = UpdateOutcome.reason(update.txn(), status);
        return update.problem().isEmpty() ? end : end + ", " + update.problem();
    }

    private FailureMemory failed(FailureMemory memory, FailureMemory.Started update, String reason) {
        int failures = memory.failedWith(update.headerSha256())
                .map(FailureMemory.Failed::failures)
                .orElse(0);
        return memory.withoutStarted(update.txn())
                .withFailed(new FailureMemory.Failed(
                        update.headerSha256(),
                        failures == Integer.MAX_VALUE ? failures : failures + 1,
                        Printable.of(reason),
                        clock.instant().truncatedTo(ChronoUnit.SECONDS).toString(),
                        boot.bootId(),
                        boot.uptime()));
    }

    private FailureMemory load() {
        if (unsaved.isPresent()) {
            return unsaved.get();
        }
        try {
            FailureMemory memory = FailureMemory.ofJson(BoundedFile.read(file, MAX_FILE_SIZE));
            lastReadProblem = "";
            return memory;
        } catch (NoSuchFileException e) {
            return FailureMemory.EMPTY;
        } catch (IOException e) {
            String problem = Printable.of(String.valueOf(e.getMessage()));
            if (!problem.equals(lastReadProblem)) {
                lastReadProblem = problem;
                log.warning("ota_memory:file=" + file + ",error=" + problem + ",meaning=which updates failed before is "
                        + "forgotten");
            }
            return FailureMemory.EMPTY;
        }
    }

    private void save(FailureMemory memory) {
        if (unsaved.isEmpty() && memory.equals(load())) {
            return;
        }
        try {
            // Its parent is left alone: that is where the file system for data has to be mounted.
            if (!Files.isDirectory(config.directory())) {
                Files.createDirectory(config.directory());
            }
            durable.write(memory.toJson());
            unsaved = Optional.empty();
        } catch (IOException e) {
            unsaved = Optional.of(memory);
            log.error("ota_memory:file=" + file + ",error=" + Printable.of(e.toString()) + ",meaning=which updates "
                    + "failed is forgotten when otamgr ends");
        }
    }
}
