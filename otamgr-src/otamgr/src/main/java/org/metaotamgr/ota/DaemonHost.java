// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.util.Optional;
import java.util.concurrent.CountDownLatch;

import org.metaotamgr.agent.Agent;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.ExitCode;
import org.metaotamgr.agent.PollingLoop;
import org.metaotamgr.agent.Result;
import org.metaotamgr.control.AgentCommands;
import org.metaotamgr.control.Answer;
import org.metaotamgr.device.SlotStatus;

/** What commands and the polling loop need of the daemon around them. Called on their threads. */
final class DaemonHost implements AgentCommands.Host, PollingLoop.Listener {
    private static final long LOOK_MILLIS = 1000;
    /** Longer than any trial. */
    private static final int MAX_LOOKS = 900;

    private final EventLoop loop;
    private final UpdateManager updates;
    private final AgentDevice device;
    private final Optional<Agent> agent;

    DaemonHost(EventLoop loop, UpdateManager updates, AgentDevice device, Optional<Agent> agent) {
        this.loop = loop;
        this.updates = updates;
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
            answer.progress(status.state() == SlotStatus.State.TRIAL
                    ? "slot " + status.trial() + " is on trial, waiting for its commit" : "finding out how it ended");
            Thread.sleep(LOOK_MILLIS);
        }
        return new Result(ExitCode.IN_PROGRESS, "the update has not come to its end yet");
    }

    @Override
    public void armedByCommand() throws InterruptedException {
        CountDownLatch known = new CountDownLatch(1);
        loop.execute(() -> {
            updates.armedByAgent(false);
            known.countDown();
        });
        known.await();
    }

    @Override
    public void answered() {
        loop.execute(updates.slots()::sourceAnswered);
    }

    @Override
    public void armed(Result result) {
        loop.execute(() -> updates.armedByAgent(true));
    }
}
