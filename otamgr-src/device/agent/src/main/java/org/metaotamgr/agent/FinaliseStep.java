// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import org.metaotamgr.device.Printable;
import org.metaotamgr.device.SlotStatus;

/** Finds out, after a reboot, what became of the update, and commits it if it runs and is healthy. */
final class FinaliseStep {
    private final Slots slots;
    private final TrialDecision decision;
    private final FailedUpdates failures;
    private final Finalisation finalisation;
    private final Reports reports;

    FinaliseStep(
            Slots slots, TrialDecision decision, FailedUpdates failures, Finalisation finalisation, Reports reports) {
        this.slots = slots;
        this.decision = decision;
        this.failures = failures;
        this.finalisation = finalisation;
        this.reports = reports;
    }

    Result run(Agent.Health health) throws InterruptedException {
        SlotStatus status = slots.status();
        finalisation.announce(status);
        if (status.state() == SlotStatus.State.TRIAL) {
            TrialDecision.Verdict verdict = decision.decide(status, health, () -> true);
            if (verdict instanceof TrialDecision.Verdict.NotHealthy not) {
                return new Result(ExitCode.IN_PROGRESS, "the trial goes on: " + Printable.of(not.problem()));
            }
            if (verdict instanceof TrialDecision.Verdict.CommitFailed failed) {
                return new Result(ExitCode.UNKNOWN, "the commit failed: " + failed.message());
            }
            status = slots.status();
        }
        failures.settle(status);
        finalisation.settle(status);
        reports.deliver();
        return finalisation.pending().isPresent() ? Result.of(ExitCode.NEEDS_REBOOT) : finalisation.last();
    }
}
