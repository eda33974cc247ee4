// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

import org.metaotamgr.device.Backoff;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.SlotStatus;

/**
 * Knows what the boot state is, and commits a trial as soon as the device proves healthy. It runs one {@code ota-slot}
 * at a time.
 *
 * <p>What healthy means is up to {@link TrialHealth}. A commit that fails is tried again whenever the connections change
 * for the better, and after a time which grows to {@value #LONGEST_WAIT_SECONDS} s. A trial that is not committed at its
 * deadline is given up: the journal gets what was missing, and the device is to reboot, which uses up one of the boots
 * that the boot loader grants the trial.
 */
final class SlotKeeper {
    private static final int LONGEST_WAIT_SECONDS = 60;
    private static final Duration FIRST_WAIT = Duration.ofSeconds(15);
    private static final Duration LONGEST_WAIT = Duration.ofSeconds(LONGEST_WAIT_SECONDS);
    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    private static final int MAX_NOTE_LENGTH = 200;

    private final EventLoop loop;
    private final Commands commands;
    private final OtamgrConfig config;
    private final TrialHealth health;
    private final EventLog log;
    private final Listener listener;
    private final Backoff commitWait = new Backoff(FIRST_WAIT, LONGEST_WAIT);
    private final Backoff lookWait = new Backoff(FIRST_WAIT, LONGEST_WAIT);
    private final List<Consumer<SlotStatus>> lookers = new ArrayList<>();

    private Optional<SlotStatus> last = Optional.empty();
    private String runningSlot = "";
    private boolean running;
    /** After a failure, a commit waits for the timer or for a change. */
    private boolean commitWaits;
    private boolean commitScheduled;
    private boolean lookScheduled;
    private boolean overdue;
    private boolean gaveUp;
    private String lastCommitProblem = "";

    /** Told what the keeper finds out and decides. */
    interface Listener {
        /** The boot state was looked at, or changed by a commit. */
        void settled(SlotStatus status);

        /**
         * A trial is about to be committed.
         *
         * @param trial the trial
         * @param then to be called, on the event loop, when the commit may go on
         */
        void beforeCommit(SlotStatus trial, Runnable then);

        /**
         * The trial is given up: the device shall reboot. Comes once.
         *
         * @param txn the update on trial
         * @param failure what was missing
         */
        void givenUp(String txn, HealthChecks.Failure failure);
    }

    /** Makes a keeper that has not looked yet. */
    SlotKeeper(EventLoop loop, Commands commands, OtamgrConfig config, TrialHealth health, EventLog log,
            Listener listener) {
        this.loop = loop;
        this.commands = commands;
        this.config = config;
        this.health = health;
        this.log = log;
        this.listener = listener;
    }

    /** Whether the running slot is on trial, so that sysupgrade would refuse any update. */
    boolean isTrial() {
        return is(SlotStatus.State.TRIAL);
    }

    /** Whether the running slot is committed, and nothing is on trial or armed. */
    boolean isCommitted() {
        return is(SlotStatus.State.COMMITTED);
    }

    /** The slot that runs, or empty if that was never known. */
    String runningSlot() {
        return runningSlot;
    }

    private boolean is(SlotStatus.State state) {
        return last.isPresent() && last.get().state() == state;
    }

    /**
     * Looks at the boot state.
     *
     * @param then told a status that was taken after this call
     */
    void look(Consumer<SlotStatus> then) {
        lookers.add(then);
        if (!running) {
            runStatus();
        }
    }

    /**
     * The health may have changed.
     *
     * @param open whether the attribute daemon has accepted otamgr
     * @param state what is known about hubby
     * @param isNews whether hubby tells it by itself
     */
    void health(boolean open, HubbyState state, boolean isNews) {
        boolean wasConnected = health.isConnected();
        boolean wasOpen = health.isOpen();
        health.update(open, state, isNews);
        changed(wasConnected, !wasOpen && open);
    }

    /** The source of updates has answered: the system on trial can receive the next update. */
    void sourceAnswered() {
        boolean wasConnected = health.isConnected();
        health.sourceAnswered();
        changed(wasConnected, false);
    }

    private void changed(boolean wasConnected, boolean opened) {
        boolean better = !wasConnected && health.isConnected() || opened;
        if (better) {
            commitWaits = false;
        }
        if (better && last.isPresent() && isWorthAnotherLook(last.get().state())) {
            look(status -> { });
        } else {
            commitIfHealthy();
        }
    }

    private static boolean isWorthAnotherLook(SlotStatus.State state) {
        return switch (state) {
            case INTERRUPTED, MISMATCH, UNKNOWN -> true;
            case COMMITTED, TRIAL, ARMED -> false;
        };
    }

    private void runStatus() {
        running = true;
        List<Consumer<SlotStatus>> thens = List.copyOf(lookers);
        lookers.clear();
        commands.run(with(config.otaSlot(), "status"), TIMEOUT, outcome -> {
            running = false;
            SlotStatus status = SlotStatus.parse(outcome.output());
            report(status, outcome);
            last = Optional.of(status);
            if (!status.running().isEmpty()) {
                runningSlot = status.running();
            }
            if (status.state() == SlotStatus.State.UNKNOWN) {
                lookAgainLater();
            } else {
                lookWait.reset();
            }
            thens.forEach(then -> then.accept(status));
            settle();
        });
    }

    private void report(SlotStatus status, Commands.Outcome outcome) {
        if (last.isPresent() && last.get().equals(status)) {
            return;
        }
        String line = "slot_status:" + status;
        switch (status.state()) {
            case COMMITTED, TRIAL, ARMED -> log.info(line);
            case INTERRUPTED -> log.warning(line + ",meaning=the boot loader could not run the slot on trial; the "
                    + "trial guard cancels the trial");
            case MISMATCH -> log.error(line + ",meaning=the running slot is neither committed nor on trial; "
                    + "sysupgrade refuses updates until the boot state is repaired");
            case UNKNOWN -> log.error(line + "," + outcome + ",meaning=ota-slot does not know the boot state; "
                    + "sysupgrade refuses updates until it is repaired, and a trial cannot be committed");
        }
    }

    private void lookAgainLater() {
        if (lookScheduled) {
            return;
        }
        lookScheduled = true;
        loop.schedule(lookWait.next(), () -> {
            lookScheduled = false;
            if (is(SlotStatus.State.UNKNOWN)) {
                look(status -> { });
            }
        });
    }

    /** What is left to do after an ota-slot has ended. */
    private void settle() {
        if (!running && !lookers.isEmpty()) {
            runStatus();
        }
        commitIfHealthy();
        last.ifPresent(listener::settled);
    }

    private void commitIfHealthy() {
        if (!isTrial() || gaveUp) {
            return;
        }
        health.watchDeadline(this::deadlinePassed);
        if (overdue) {
            giveUpUnlessRunning();
        } else if (!running && !commitWaits && health.isProven(last.get(), this::commitIfHealthy)) {
            commit(last.get());
        }
    }

    /** Somebody else may have committed the trial: a committed slot is not rebooted. */
    private void deadlinePassed() {
        overdue = true;
        if (isTrial()) {
            look(status -> { });
        }
    }

    /** Whatever runs ends with another call of this one, and with a status that is newer than the deadline. */
    private void giveUpUnlessRunning() {
        if (running) {
            return;
        }
        gaveUp = true;
        running = true;
        SlotStatus trial = last.get();
        HealthChecks.Failure failure = health.giveUp().orElse(new HealthChecks.Failure("commit",
                lastCommitProblem.isEmpty() ? "there was no time for it" : lastCommitProblem));
        log.error("slot_health_failed:slot=" + trial.trial() + ",txn=" + trial.txn() + ",check=" + failure.check()
                + ",reason=" + failure.reason());
        List<String> note = with(config.otaSlot(), "note", "health-failed", "txn=" + trial.txn(),
                "slot=" + trial.trial(), "check=" + failure.check(), "why=" + shortened(failure.reason()));
        commands.run(note, TIMEOUT, outcome -> {
            running = false;
            if (!outcome.isSuccess()) {
                log.warning("journal_note_failed:" + outcome + ",rebooting without it");
            }
            listener.givenUp(trial.txn(), failure);
            settle();
        });
    }

    private void commit(SlotStatus trial) {
        running = true;
        listener.beforeCommit(trial, () -> commitNow(trial));
    }

    private void commitNow(SlotStatus trial) {
        commands.run(with(config.otaSlot(), "commit"), TIMEOUT, outcome -> {
            running = false;
            if (outcome.isSuccess()) {
                log.info("slot_committed:slot=" + trial.trial() + ",txn=" + trial.txn());
                last = Optional.of(trial.afterCommit());
            } else {
                commitFailed(trial, outcome);
            }
            settle();
        });
    }

    private void commitFailed(SlotStatus trial, Commands.Outcome outcome) {
        lastCommitProblem = meaningOfCommit(outcome.exitStatus());
        log.error("slot_commit_failed:slot=" + trial.trial() + ",txn=" + trial.txn() + "," + outcome + ",meaning="
                + lastCommitProblem);
        commitWaits = true;
        if (commitScheduled) {
            return;
        }
        commitScheduled = true;
        loop.schedule(commitWait.next(), () -> {
            commitScheduled = false;
            commitWaits = false;
            // The boot state may have been changed by others, or be the reason of the failure.
            look(status -> { });
        });
    }

    private static String meaningOfCommit(int exitStatus) {
        return switch (exitStatus) {
            case 3 -> "there is no trial";
            case 4 -> "the running slot is not the one on trial";
            case 10 -> "the boot state is unusable";
            case 17 -> "the boot state could not be written";
            default -> "ota-slot did not work";
        };
    }

    /** The journal takes values of 1000 bytes, and a character may have four. */
    private static String shortened(String reason) {
        int end = reason.offsetByCodePoints(0, Math.min(MAX_NOTE_LENGTH, reason.codePointCount(0, reason.length())));
        return end == reason.length() ? reason : reason.substring(0, end) + "...";
    }

    private static List<String> with(List<String> command, String... arguments) {
        List<String> full = new ArrayList<>(command);
        full.addAll(List.of(arguments));
        return full;
    }
}
