// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Optional;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.SlotStatus;

/** Finds out, after a reboot, what became of the update, and commits it if it runs and is healthy. */
final class FinaliseStep {
    private final AgentDevice device;
    private final Reports reports;

    FinaliseStep(AgentDevice device, Reports reports) {
        this.device = device;
        this.reports = reports;
    }

    Result run(Agent.Health health) throws InterruptedException {
        SlotStatus status = device.slots().status();
        device.finalisation().announce(status);
        if (status.state() == SlotStatus.State.TRIAL) {
            Optional<String> problem = health.problem(status);
            if (problem.isPresent()) {
                return new Result(ExitCode.IN_PROGRESS, "the trial goes on: " + Printable.of(problem.get()));
            }
            Slots.Answer answer = device.slots().commit();
            if (answer.exitStatus() != 0) {
                return new Result(ExitCode.UNKNOWN, "the commit failed: " + answer.message());
            }
            status = device.slots().status();
        }
        device.failures().settle(status);
        device.finalisation().settle(status);
        reports.deliver();
        return device.finalisation().pending().isPresent()
                ? Result.of(ExitCode.NEEDS_REBOOT)
                : device.finalisation().last();
    }
}
