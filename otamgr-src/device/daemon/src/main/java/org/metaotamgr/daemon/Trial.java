// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.HealthDirectory;
import org.metaotamgr.agent.Slots;
import org.metaotamgr.agent.TrialDecision;
import org.metaotamgr.device.Backoff;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.SlotStatus;
import org.metaotamgr.device.Waiting;

/**
 * Commits a trial as soon as the device proves healthy, step by step: what {@link Links} says, all health checks, and hubby
 * once more. A check that fails is run again, together with those before it, after a time which grows to
 * {@value #LONGEST_CHECK_WAIT_SECONDS} s; a commit that fails is tried again whenever something can be reached that could
 * not be reached before, and after a time which grows to {@value #LONGEST_COMMIT_WAIT_SECONDS} s.
 *
 * <p>A trial that is not committed at its deadline is given up: the journal gets what was missing, and the device is to
 * reboot, which uses up one of the boots that the boot loader grants the trial. The deadline is a time since power-on, as is
 * the one of the trial guard, so that a daemon which is restarted gains no time by it.
 */
final class Trial {
    private static final int LONGEST_CHECK_WAIT_SECONDS = 30;
    private static final int LONGEST_COMMIT_WAIT_SECONDS = 60;
    private static final Duration CONFIRMATION = Duration.ofSeconds(6);
    private static final Duration SOURCE_ANSWER_HOLDS = Duration.ofSeconds(20);
    private static final Duration NEVER = Duration.ofDays(36_500);
    private static final Duration LONG = Duration.ofDays(1);
    private static final int MAX_NOTE_LENGTH = 200;

    private final AgentDevice device;
    private final OtamgrConfig.Commit config;
    private final HealthDirectory checks;
    private final Links links;
    private final Supplier<CompletableFuture<Boolean>> hubby;
    private Source source = () -> true;
    private final BootClock clock;
    private final Waiting waiting;
    private final BooleanSupplier rebootWaits;
    private final EventLog log;

    private final Backoff checkWait =
            new Backoff(Duration.ofSeconds(5), Duration.ofSeconds(LONGEST_CHECK_WAIT_SECONDS));
    private final Backoff commitWait =
            new Backoff(Duration.ofSeconds(15), Duration.ofSeconds(LONGEST_COMMIT_WAIT_SECONDS));
    /** When to give up, in time since power-on; empty before the first step. */
    private Optional<Duration> deadline = Optional.empty();

    private Duration checkFrom = Duration.ZERO;
    private boolean commitWaits;
    private Optional<Duration> commitAgainAt = Optional.empty();
    private Optional<HealthDirectory.Failure> lastFailure = Optional.empty();
    private String lastCommitProblem = "";
    private String lastWaitingFor = "";

    Trial(
            AgentDevice device,
            OtamgrConfig.Commit config,
            HealthDirectory checks,
            Links links,
            Supplier<CompletableFuture<Boolean>> hubby,
            BootClock clock,
            Waiting waiting,
            BooleanSupplier rebootWaits,
            EventLog log) {
        this.device = device;
        this.config = config;
        this.checks = checks;
        this.links = links;
        this.hubby = hubby;
        this.clock = clock;
        this.waiting = waiting;
        this.rebootWaits = rebootWaits;
        this.log = log;
    }

    /** Asks the source of updates once more. */
    interface Source {
        boolean answers() throws InterruptedException;
    }

    /** Who is asked before a commit, if a source is required and its last answer is not from just now. */
    void confirmWith(Source asked) {
        source = asked;
    }

    /** What a step came to. */
    sealed interface Next {
        /** The trial is committed. */
        record Committed(SlotStatus status) implements Next {}

        /** The boot state has to be looked at, and then the next step is due. */
        record Look() implements Next {}

        /** Nothing can be done for a time, unless something changes. */
        record Wait(Duration time) implements Next {}
    }

    /** Whether the deadline is over: a trial that still goes on after one more look is given up. */
    boolean isOverdue() {
        return deadline.isPresent() && clock.uptime().compareTo(deadline.get()) >= 0;
    }

    /** How long until the deadline. */
    Duration untilDeadline() {
        return deadline.isEmpty() ? LONG : deadline.get().minus(clock.uptime());
    }

    /** Does what can be done now. */
    Next step(SlotStatus trial) throws InterruptedException {
        watchDeadline();
        if (links.takeBetter()) {
            commitWaits = false;
        }
        Duration now = clock.uptime();
        if (isOverdue()) {
            return new Next.Look();
        }
        if (commitAgainAt.filter(at -> at.compareTo(now) <= 0).isPresent()) {
            // The boot state may have been changed by others, or be the reason of the failure.
            commitAgainAt = Optional.empty();
            commitWaits = false;
            return new Next.Look();
        }
        if (commitWaits) {
            return waitFor(commitAgainAt.map(at -> at.minus(now)).orElse(LONG));
        }
        String missing = links.missing();
        if (!missing.isEmpty()) {
            logWaitingFor(trial, missing);
            return waitFor(commitAgainAt.map(at -> at.minus(now)).orElse(LONG));
        }
        Duration unstable = links.unstableFor(now);
        if (unstable.compareTo(Duration.ZERO) > 0) {
            logWaitingFor(trial, "hubby,stable_seconds=" + config.hubbyStable().toSeconds());
            return waitFor(unstable);
        }
        if (checkFrom.compareTo(now) > 0) {
            return waitFor(checkFrom.minus(now));
        }
        return decide(trial);
    }

    private Next decide(SlotStatus trial) throws InterruptedException {
        long breaks = links.breaks();
        // Those who were cut off meanwhile have to prove themselves again.
        TrialDecision.Verdict verdict = device.trialDecision()
                .decide(
                        trial,
                        this::problem,
                        () -> links.breaks() == breaks && isConfirmed() && links.breaks() == breaks && !isOverdue());
        if (verdict instanceof TrialDecision.Verdict.Committed committed) {
            return new Next.Committed(committed.status());
        }
        if (verdict instanceof TrialDecision.Verdict.CommitFailed failed) {
            lastCommitProblem = failed.meaning();
            commitWaits = true;
            if (commitAgainAt.isEmpty()) {
                commitAgainAt = Optional.of(clock.uptime().plus(commitWait.next()));
            }
        }
        return new Next.Wait(Duration.ZERO);
    }

    private Next waitFor(Duration time) {
        Duration left = untilDeadline();
        return new Next.Wait(time.compareTo(left) < 0 ? time : left);
    }

    /** Begins to watch the deadline; only the first call has an effect. */
    private void watchDeadline() {
        if (deadline.isPresent()) {
            return;
        }
        Duration left = config.deadline().minus(clock.uptime());
        if (config.deadline().isZero()) {
            deadline = Optional.of(NEVER);
        } else if (left.isNegative() || left.isZero()) {
            // Nothing could be proven in no time. The trial guard, whose deadline is later, has the last word.
            log.warning("health_deadline:expected otamgr to run within "
                    + config.deadline().toSeconds()
                    + " s after power-on, found it started later; leaving the trial to the trial guard");
            deadline = Optional.of(NEVER);
        } else {
            log.info("health_deadline:seconds=" + left.toSeconds());
            deadline = Optional.of(config.deadline());
        }
    }

    private void logWaitingFor(SlotStatus trial, String what) {
        if (!lastWaitingFor.equals(what)) {
            lastWaitingFor = what;
            log.info("slot_trial:slot=" + trial.trial() + ",txn=" + trial.txn() + ",commit_waits_for=" + what);
        }
    }

    /** The health checks, as far as there is time for them; keeps what is to be said of them at the deadline. */
    private Optional<String> problem(SlotStatus trial) throws InterruptedException {
        Optional<HealthDirectory.Failure> failure = checks.firstFailure(trial, untilDeadline(), rebootWaits);
        if (rebootWaits.getAsBoolean()) {
            return Optional.of("the device is to reboot");
        }
        if (failure.isEmpty()) {
            lastFailure = failure;
            checkWait.reset();
            return Optional.empty();
        }
        // What failed in a whole round says more than what happens to run at the deadline.
        if (!isOverdue() || lastFailure.isEmpty()) {
            lastFailure = failure;
        }
        if (!isOverdue()) {
            Duration again = checkWait.next();
            log.warning("health_check_failed:check=" + failure.get().check() + ",again_in_seconds=" + again.toSeconds()
                    + ",reason=" + failure.get().reason());
            checkFrom = clock.uptime().plus(again);
        }
        return failure.map(HealthDirectory.Failure::reason);
    }

    /** The last step before a commit. */
    private boolean isConfirmed() throws InterruptedException {
        if (config.requireSource()
                && links.sinceSourceAnswered(clock.uptime()).compareTo(SOURCE_ANSWER_HOLDS) > 0
                && !source.answers()) {
            links.sourceLost();
            return false;
        }
        if (!config.requireHubbyConnected()) {
            return true;
        }
        CompletableFuture<Boolean> answer = hubby.get();
        answer.whenComplete((yes, failure) -> waiting.changed());
        Duration left = untilDeadline();
        waiting.await(answer::isDone, CONFIRMATION.compareTo(left) < 0 ? CONFIRMATION : left);
        return answer.isDone() && !answer.isCompletedExceptionally() && answer.join();
    }

    /** Says what was missing, for the log, the journal and the memory of failures. */
    void giveUp(SlotStatus trial) throws InterruptedException {
        Duration now = clock.uptime();
        HealthDirectory.Failure failure = !links.isConnected()
                        || links.unstableFor(now).compareTo(Duration.ZERO) > 0
                ? links.failure(now)
                : lastFailure.orElse(new HealthDirectory.Failure(
                        "commit", lastCommitProblem.isEmpty() ? "there was no time for it" : lastCommitProblem));
        log.error("slot_health_failed:slot=" + trial.trial() + ",txn=" + trial.txn() + ",check=" + failure.check()
                + ",reason=" + failure.reason());
        Slots.Report answer = device.slots()
                .note(List.of(
                        "health-failed",
                        "txn=" + trial.txn(),
                        "slot=" + trial.trial(),
                        "check=" + failure.check(),
                        "why=" + shortened(failure.reason())));
        if (answer.exitStatus() != 0) {
            log.warning("journal_note_failed:" + answer.outcome() + ",rebooting without it");
        }
        device.failures().trialLacks(trial.txn(), "health check " + failure.check() + ": " + failure.reason());
    }

    /** The journal takes values of 1000 bytes, and a character may have four. */
    private static String shortened(String reason) {
        int end = reason.offsetByCodePoints(0, Math.min(MAX_NOTE_LENGTH, reason.codePointCount(0, reason.length())));
        return end == reason.length() ? reason : reason.substring(0, end) + "...";
    }
}
