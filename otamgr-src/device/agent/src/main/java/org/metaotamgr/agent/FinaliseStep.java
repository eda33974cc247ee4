// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Optional;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.SlotStatus;

/** Finds out, after a reboot, what became of the update, and commits it if it runs and is healthy. */
final class FinaliseStep {
    private final Slots slots;
    private final FailedUpdates failures;
    private final Finalisation finalisation;
    private final Reports reports;

    FinaliseStep(Slots slots, FailedUpdates failures, Finalisation finalisation, Reports reports) {
        this.slots = slots;
        this.failures = failures;
        this.finalisation = finalisation;
        this.reports = reports;
    }

    Result run(Agent.Health health) throws InterruptedException {
        SlotStatus status = slots.status();
        finalisation.announce(status);
        if (status.state() == SlotStatus.State.TRIAL) {
            Optional<String> problem = health.problem(status);
            if (problem.isPresent()) {
                return new Result(ExitCode.IN_PROGRESS, "the trial goes on: " + Printable.of(problem.get()));
            }
            Slots.Report answer = slots.commit();
            if (answer.exitStatus() != 0) {
                return new Result(ExitCode.UNKNOWN, "the commit failed: " + answer.message());
            }
            status = slots.status();
        }
        failures.settle(status);
        finalisation.settle(status);
        reports.deliver();
        return finalisation.pending().isPresent() ? Result.of(ExitCode.NEEDS_REBOOT) : finalisation.last();
    }
}
