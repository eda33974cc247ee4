// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.time.Duration;
import java.util.Optional;
import java.util.function.Consumer;

import org.metaotamgr.device.Backoff;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.SlotStatus;

/**
 * Judges whether the slot on trial is good enough to be kept: as far as the configuration asks for it, the attribute
 * daemon has accepted otamgr, hubby is connected, and the source of updates has answered; and then all health checks have
 * passed. A slot that could not receive the
 * next update must not be kept.
 *
 * <p>A check that fails is run again, together with those before it, after a time which grows to
 * {@value #LONGEST_WAIT_SECONDS} s, until the deadline of the configuration. That one is a time since power-on, as is
 * the one of the trial guard, so that a daemon which is restarted gains no time by it.
 */
final class TrialHealth {
    private static final int LONGEST_WAIT_SECONDS = 30;
    private static final Duration FIRST_WAIT = Duration.ofSeconds(5);
    private static final Duration LONGEST_WAIT = Duration.ofSeconds(LONGEST_WAIT_SECONDS);

    private final EventLoop loop;
    private final HealthChecks checks;
    private final OtamgrConfig.Commit config;
    private final BootClock clock;
    private final EventLog log;
    private final Backoff wait = new Backoff(FIRST_WAIT, LONGEST_WAIT);

    private Confirmation confirmation = then -> then.accept(HubbyState.CONNECTED);
    private boolean attrdOpen;
    private boolean sourceAnswered;
    private HubbyState hubby = HubbyState.UNKNOWN;
    /** Since when hubby is connected without a break, in time since power-on. */
    private Duration hubbySince = Duration.ZERO;
    private boolean settling;
    private boolean confirming;
    private boolean confirmed;
    private boolean checking;
    private boolean waiting;
    private boolean passed;
    private Optional<HealthChecks.Failure> lastFailure = Optional.empty();
    private boolean watching;
    private String lastWaitingFor = "";

    TrialHealth(EventLoop loop, HealthChecks checks, OtamgrConfig.Commit config, BootClock clock, EventLog log) {
        this.loop = loop;
        this.checks = checks;
        this.config = config;
        this.clock = clock;
        this.log = log;
    }

    /** Asks hubby how it is now: what it said earlier may be over, as nobody tells of its end. */
    interface Confirmation {
        /**
         * Asks.
         *
         * @param then told the answer on the event loop, {@link HubbyState#UNKNOWN} if there is none
         */
        void ask(Consumer<HubbyState> then);
    }

    /** Who is asked before a commit. */
    void confirmWith(Confirmation asked) {
        confirmation = asked;
    }

    /**
     * What is known about the attribute daemon and hubby.
     *
     * @param isNews whether hubby tells it by itself; if it repeats what it said before, it may be a new hubby
     */
    void update(boolean open, HubbyState state, boolean isNews) {
        if (state != hubby || isNews || open != attrdOpen) {
            hubbySince = clock.uptime();
        }
        attrdOpen = open;
        hubby = state;
        if (!isConnected() || !isStable()) {
            passed = false;
            confirmed = false;
        }
    }

    private Duration unstableFor() {
        return config.hubbyStable().minus(clock.uptime().minus(hubbySince));
    }

    private boolean isStable() {
        return !config.requireHubbyConnected() || config.hubbyStable().isZero() || unstableFor().isNegative()
                || unstableFor().isZero();
    }

    /** The source of updates, if it is one that is asked, has answered. */
    void sourceAnswered() {
        sourceAnswered = true;
    }

    /** Whether the attribute daemon has accepted otamgr. */
    boolean isOpen() {
        return attrdOpen;
    }

    /** Whether everything but the checks is as it should be. */
    boolean isConnected() {
        return (attrdOpen || !config.requireAttributes())
                && (!config.requireHubbyConnected() || hubby == HubbyState.CONNECTED)
                && (sourceAnswered || !config.requireSource());
    }

    /**
     * Whether a trial may be committed now. If that is not known, finding out is begun. A yes holds for one commit.
     *
     * @param trial the trial
     * @param changed called later, when it is worth to ask again
     */
    boolean isProven(SlotStatus trial, Runnable changed) {
        if (!isConnected()) {
            logWaitingFor(trial, missing());
            return false;
        }
        if (!isStable()) {
            awaitStability(trial, changed);
            return false;
        }
        if (confirmed) {
            confirmed = false;
            passed = false;
            return true;
        }
        if (passed) {
            confirm(changed);
            return false;
        }
        if (!checking && !waiting) {
            checking = true;
            checks.run(trial, failure -> checked(failure, changed));
        }
        return false;
    }

    private void awaitStability(SlotStatus trial, Runnable changed) {
        logWaitingFor(trial, "hubby,stable_seconds=" + config.hubbyStable().toSeconds());
        if (settling) {
            return;
        }
        settling = true;
        loop.schedule(unstableFor(), () -> {
            settling = false;
            changed.run();
        });
    }

    /** The last step before a commit. */
    private void confirm(Runnable changed) {
        if (!config.requireHubbyConnected()) {
            confirmed = true;
            loop.execute(changed);
            return;
        }
        if (confirming) {
            return;
        }
        confirming = true;
        confirmation.ask(state -> {
            confirming = false;
            confirmed = state == HubbyState.CONNECTED && passed && isConnected() && isStable();
            passed = confirmed;
            changed.run();
        });
    }

    private String missing() {
        if (config.requireAttributes() && !attrdOpen) {
            return "attrd";
        }
        return config.requireHubbyConnected() && hubby != HubbyState.CONNECTED ? "hubby" : "source";
    }

    private void logWaitingFor(SlotStatus trial, String what) {
        if (!lastWaitingFor.equals(what)) {
            lastWaitingFor = what;
            log.info("slot_trial:slot=" + trial.trial() + ",txn=" + trial.txn() + ",commit_waits_for=" + what);
        }
    }

    private void checked(Optional<HealthChecks.Failure> failure, Runnable changed) {
        checking = false;
        lastFailure = failure;
        if (failure.isEmpty()) {
            wait.reset();
            // Those who were cut off meanwhile have to prove themselves again.
            passed = isConnected() && isStable();
            changed.run();
            return;
        }
        Duration again = wait.next();
        log.warning("health_check_failed:check=" + failure.get().check() + ",again_in_seconds=" + again.toSeconds()
                + ",reason=" + failure.get().reason());
        waiting = true;
        loop.schedule(again, () -> {
            waiting = false;
            changed.run();
        });
    }

    /**
     * Begins to watch the deadline of a trial; only the first call has an effect.
     *
     * @param passedBy called at the deadline, whatever has become of the trial until then
     */
    void watchDeadline(Runnable passedBy) {
        if (watching || config.deadline().isZero()) {
            return;
        }
        watching = true;
        Duration left = config.deadline().minus(clock.uptime());
        if (left.isNegative() || left.isZero()) {
            // Nothing could be proven in no time. The trial guard, whose deadline is later, has the last word.
            log.warning("health_deadline:expected otamgr to run within " + config.deadline().toSeconds()
                    + " s after power-on, found it started later; leaving the trial to the trial guard");
            return;
        }
        log.info("health_deadline:seconds=" + left.toSeconds());
        loop.schedule(left, passedBy);
    }

    /** Ends the checks, and says what is missing now. */
    Optional<HealthChecks.Failure> giveUp() {
        Optional<HealthChecks.Failure> unfinished = checks.stop();
        if (!isConnected()) {
            String missing = missing();
            return Optional.of(new HealthChecks.Failure(missing, switch (missing) {
                case "attrd" -> "the attribute daemon has not accepted otamgr";
                case "hubby" -> "hubby is not connected to the cloud, its state is " + hubby;
                default -> "the source of updates has not answered";
            }));
        }
        if (!isStable()) {
            return Optional.of(new HealthChecks.Failure("hubby", "hubby has been connected for only "
                    + clock.uptime().minus(hubbySince).toSeconds() + " s, expected "
                    + config.hubbyStable().toSeconds() + " s"));
        }
        // What failed in the last whole round says more than what happens to run just now.
        return lastFailure.or(() -> unfinished);
    }
}
