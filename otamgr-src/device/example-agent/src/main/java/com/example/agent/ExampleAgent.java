// SPDX-License-Identifier: MIT
package com.example.agent;

import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.Optional;
import org.metaotamgr.agent.Agent;
import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.CheckInResult;
import org.metaotamgr.agent.ConfigFiles;
import org.metaotamgr.agent.ExitCode;
import org.metaotamgr.agent.HealthDirectory;
import org.metaotamgr.agent.Result;
import org.metaotamgr.agent.Sources;
import org.metaotamgr.agent.Target;
import org.metaotamgr.device.EventLog;

/** An agent of a product: like otamgr, but it installs only while the machine is idle, and no version that ends in -beta. */
public final class ExampleAgent {
    private static final Path IDLE = Path.of("/run/machine-idle");

    private ExampleAgent() {}

    /**
     * Runs until the device reboots into an update.
     *
     * @param arguments none
     * @throws Exception whatever goes wrong; the supervisor starts the agent again
     */
    public static void main(String[] arguments) throws Exception {
        EventLog log = (severity, line) -> System.err.println(line);
        AgentConfig config = AgentConfig.of(ConfigFiles.readUsual(log::warning));
        AgentDevice device = AgentDevice.real(config, new SecureRandom()::nextInt, log);
        HealthDirectory health = HealthDirectory.real(Path.of("/etc/otamgr/health.d"), Duration.ofSeconds(60), log);
        try (Agent agent = new Agent(Sources.open(config, device), device)) {
            // After a reboot: commit the new system once it is healthy. One that never is, ends by the trial guard.
            for (Result end = agent.finalise(health);
                    end.code() == ExitCode.IN_PROGRESS;
                    end = agent.finalise(health)) {
                Thread.sleep(5_000);
            }
            while (true) {
                CheckInResult checkIn = agent.checkIn();
                Optional<Target> target =
                        checkIn.selected().filter(one -> !one.version().endsWith("-beta"));
                if (target.isPresent()
                        && agent.pull(target.get(), bytes -> {}).isSuccess()
                        && Files.exists(IDLE)
                        && agent.install(target.get(), progress -> {}).code() == ExitCode.NEEDS_REBOOT) {
                    new ProcessBuilder("/sbin/reboot").inheritIO().start().waitFor();
                    return;
                }
                Thread.sleep(60_000);
            }
        }
    }
}
