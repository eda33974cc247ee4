// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Knows what the boot state is, and commits a trial as soon as the device proves healthy. It runs one {@code ota-slot}
 * at a time.
 *
 * <p>A trial is healthy once the attribute daemon has accepted otamgr and, if the configuration asks for it, hubby is
 * connected to the cloud: a device that can be reached can be repaired. A commit that fails is tried again whenever the
 * health changes for the better, and after a time which grows to {@value #LONGEST_WAIT_SECONDS} s, until it works or
 * the trial guard reboots the device.
 */
final class SlotKeeper {
    private static final int LONGEST_WAIT_SECONDS = 60;
    private static final Duration FIRST_WAIT = Duration.ofSeconds(15);
    private static final Duration LONGEST_WAIT = Duration.ofSeconds(LONGEST_WAIT_SECONDS);
    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    private final EventLoop loop;
    private final Commands commands;
    private final OtamgrConfig config;
    private final EventLog log;
    private final Consumer<SlotStatus> listener;
    private final Backoff commitWait = new Backoff(FIRST_WAIT, LONGEST_WAIT);
    private final Backoff lookWait = new Backoff(FIRST_WAIT, LONGEST_WAIT);
    private final List<Consumer<SlotStatus>> lookers = new ArrayList<>();

    private Optional<SlotStatus> last = Optional.empty();
    private boolean running;
    private boolean attrdOpen;
    private HubbyState hubby = HubbyState.UNKNOWN;
    /** After a failure, a commit waits for the timer or for a change. */
    private boolean commitWaits;
    private boolean commitScheduled;
    private boolean lookScheduled;
    private String lastWaitingFor = "";

    /**
     * Makes a keeper that has not looked yet.
     *
     * @param listener told the status after each look and each commit
     */
    SlotKeeper(EventLoop loop, Commands commands, OtamgrConfig config, EventLog log, Consumer<SlotStatus> listener) {
        this.loop = loop;
        this.commands = commands;
        this.config = config;
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
     */
    void health(boolean open, HubbyState state) {
        boolean wasHealthy = isHealthy();
        boolean wasOpen = attrdOpen;
        attrdOpen = open;
        hubby = state;
        boolean better = !wasHealthy && isHealthy() || !wasOpen && open;
        if (better) {
            commitWaits = false;
        }
        if (better && last.isPresent() && isWorthAnotherLook(last.get().state())) {
            look(status -> { });
        } else {
            commitIfHealthy();
        }
    }

    private boolean isHealthy() {
        return attrdOpen && (!config.commitNeedsHubbyConnected() || hubby == HubbyState.CONNECTED);
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
        last.ifPresent(listener);
    }

    private void commitIfHealthy() {
        if (!isTrial()) {
            return;
        }
        if (!isHealthy()) {
            logWaitingFor(attrdOpen ? "hubby" : "attrd");
        } else if (!running && !commitWaits) {
            commit(last.get());
        }
    }

    private void logWaitingFor(String what) {
        if (!lastWaitingFor.equals(what)) {
            lastWaitingFor = what;
            log.info("slot_trial:slot=" + last.get().trial() + ",txn=" + last.get().txn() + ",commit_waits_for=" + what);
        }
    }

    private void commit(SlotStatus trial) {
        running = true;
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
        log.error("slot_commit_failed:slot=" + trial.trial() + ",txn=" + trial.txn() + "," + outcome + ",meaning="
                + meaningOfCommit(outcome.exitStatus()));
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

    private static List<String> with(List<String> command, String argument) {
        List<String> full = new ArrayList<>(command);
        full.add(argument);
        return full;
    }
}
