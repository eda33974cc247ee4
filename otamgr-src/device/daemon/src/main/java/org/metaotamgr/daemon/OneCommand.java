// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.PrintStream;
import java.security.SecureRandom;
import java.util.List;
import java.util.Optional;
import org.metaotamgr.agent.Agent;
import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.ExitCode;
import org.metaotamgr.agent.HealthDirectory;
import org.metaotamgr.agent.Result;
import org.metaotamgr.agent.Sources;
import org.metaotamgr.control.AgentCommands;
import org.metaotamgr.control.Answer;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.SlotStatus;

/** Carries out a command without a daemon, for products that have none, and for the time when it does not run. */
final class OneCommand {
    private OneCommand() {}

    static int run(OtamgrConfig config, List<String> command, PrintStream out, PrintStream err, EventLog log)
            throws ConfigException {
        if (command.equals(List.of("watch")) || command.equals(List.of("watch", "--json"))) {
            err.print("otamgr: no daemon runs, so nothing happens that could be watched; start it first\n");
            return ExitCode.UNKNOWN.status();
        }
        AgentDevice device = AgentDevice.real(config.agent(), new SecureRandom()::nextInt, log);
        Optional<Agent> agent = config.agent().sourceType().equals(AgentConfig.HUBBY)
                ? Optional.empty()
                : Optional.of(new Agent(Sources.open(config.agent(), device), device));
        HealthDirectory health = HealthDirectory.real(
                config.commit().healthDirectory(),
                config.rootHelper(),
                config.commit().checkTimeout(),
                log);
        AgentCommands.Host host = new AgentCommands.Host() {
            @Override
            public Result finalise(Answer answer) throws InterruptedException {
                return agent.isPresent()
                        ? agent.get().finalise(health)
                        : new Result(
                                ExitCode.CHECK_IN_FAILED, "what hubby brought is finalised by the daemon: start it");
            }

            @Override
            public void armedByCommand() throws InterruptedException {
                SlotStatus status = device.slots().status();
                log.info("slot_status:" + status);
            }
        };
        Answer answer = new Answer() {
            @Override
            public void out(String line) {
                out.print(line + "\n");
                out.flush();
            }

            @Override
            public void err(String line) {
                err.print("otamgr: " + line + "\n");
                err.flush();
            }

            @Override
            public void progress(String line) {
                err.print(line + "\n");
                err.flush();
            }

            @Override
            public boolean isWanted() {
                return true;
            }
        };
        try {
            return new AgentCommands(device, agent, host).run(command, answer);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return ExitCode.UNKNOWN.status();
        } finally {
            agent.ifPresent(Agent::close);
        }
    }
}
