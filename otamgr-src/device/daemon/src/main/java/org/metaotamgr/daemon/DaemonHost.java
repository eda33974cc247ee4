// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.util.Optional;
import org.metaotamgr.agent.Agent;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.ExitCode;
import org.metaotamgr.agent.Result;
import org.metaotamgr.control.AgentCommands;
import org.metaotamgr.control.Answer;
import org.metaotamgr.device.SlotStatus;

/** What commands need of the daemon around them. Called on their threads. */
final class DaemonHost implements AgentCommands.Host {
    private static final long LOOK_MILLIS = 1000;
    /** Longer than any trial. */
    private static final int MAX_LOOKS = 900;

    private final Orders orders;
    private final AgentDevice device;
    private final Optional<Agent> agent;

    DaemonHost(Orders orders, AgentDevice device, Optional<Agent> agent) {
        this.orders = orders;
        this.device = device;
        this.agent = agent;
    }

    /** The daemon finalises by itself, as soon as the health is proven; here that is waited for, and told to the source. */
    @Override
    public Result finalise(Answer answer) throws InterruptedException {
        for (int looks = 0; looks < MAX_LOOKS && answer.isWanted(); looks++) {
            if (device.finalisation().pending().isEmpty()) {
                if (agent.isPresent()) {
                    agent.get().tellEnds();
                }
                return device.finalisation().last();
            }
            SlotStatus status = device.slots().status();
            if (status.state() == SlotStatus.State.ARMED) {
                return new Result(ExitCode.NEEDS_REBOOT, "an update is armed, and starts with the next reboot");
            }
            answer.progress(
                    status.state() == SlotStatus.State.TRIAL
                            ? "slot " + status.trial() + " is on trial, waiting for its commit"
                            : "finding out how it ended");
            Thread.sleep(LOOK_MILLIS);
        }
        return new Result(ExitCode.IN_PROGRESS, "the update has not come to its end yet");
    }

    @Override
    public void armedByCommand() {
        orders.armedByCommand();
    }
}
