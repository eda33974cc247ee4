// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Optional;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.SlotStatus;

/**
 * Decides whether a system on trial is committed, and commits it: for the daemon, which asks again until the deadline, for
 * the command {@code otamgr run}, and for agents of a product's own. Nobody else commits.
 */
public final class TrialDecision {
    private final Slots slots;
    private final Finalisation finalisation;
    private final EventLog log;

    TrialDecision(Slots slots, Finalisation finalisation, EventLog log) {
        this.slots = slots;
        this.finalisation = finalisation;
        this.log = log;
    }

    /** Asked last, right before the commit. */
    @FunctionalInterface
    public interface Confirmation {
        /**
         * Whether what was good when the decision began is so still.
         *
         * @return whether the trial may be committed
         * @throws InterruptedException if the thread was interrupted
         */
        boolean holds() throws InterruptedException;
    }

    /** What was decided. */
    public sealed interface Verdict {
        /**
         * The trial is committed.
         *
         * @param status the boot state by that
         */
        record Committed(SlotStatus status) implements Verdict {}

        /**
         * The system is not healthy, or not yet.
         *
         * @param problem why, in one line
         */
        record NotHealthy(String problem) implements Verdict {}

        /** Something was lost while the health checks ran. */
        record NotConfirmed() implements Verdict {}

        /**
         * It deserves the commit, and did not get it.
         *
         * @param meaning why
         * @param message what {@code ota-slot} said last
         */
        record CommitFailed(String meaning, String message) implements Verdict {}
    }

    /**
     * Decides now.
     *
     * @param trial the boot state, which is that of a trial
     * @param health judges the system
     * @param confirmation asked once it is healthy
     * @return what was decided
     * @throws InterruptedException if the thread was interrupted
     */
    public Verdict decide(SlotStatus trial, Agent.Health health, Confirmation confirmation)
            throws InterruptedException {
        Optional<String> problem = health.problem(trial);
        if (problem.isPresent()) {
            return new Verdict.NotHealthy(problem.get());
        }
        if (!confirmation.holds()) {
            return new Verdict.NotConfirmed();
        }
        finalisation.announce(trial);
        Slots.Report answer = slots.commit();
        if (answer.exitStatus() == 0) {
            log.info("slot_committed:slot=" + trial.trial() + ",txn=" + trial.txn());
            return new Verdict.Committed(trial.afterCommit());
        }
        String meaning = meaningOf(answer.exitStatus());
        log.error("slot_commit_failed:slot=" + trial.trial() + ",txn=" + trial.txn() + "," + answer.outcome()
                + ",meaning=" + meaning);
        return new Verdict.CommitFailed(meaning, answer.message());
    }

    private static String meaningOf(int exitStatus) {
        return switch (exitStatus) {
            case 3 -> "there is no trial";
            case 4 -> "the running slot is not the one on trial";
            case 10 -> "the boot state is unusable";
            case 17 -> "the boot state could not be written";
            default -> "ota-slot did not work";
        };
    }
}
