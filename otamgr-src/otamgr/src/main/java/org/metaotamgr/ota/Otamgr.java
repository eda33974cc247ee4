// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.io.IOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;

import org.metaotamgr.agent.Agent;
import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.MeteredLink;
import org.metaotamgr.agent.PollingLoop;
import org.metaotamgr.agent.Sources;
import org.metaotamgr.agent.SystemFacts;
import org.metaotamgr.attribute.AttributeClient;
import org.metaotamgr.control.AgentCommands;
import org.metaotamgr.control.ControlServer;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.ProcessRunner;
import org.metaotamgr.device.SystemProcessRunner;

/** The running daemon: connected to the attribute daemon, or trying to be, and asking a source of updates, if there is one. */
public final class Otamgr implements AutoCloseable {
    private static final String OWN_NAME = "IPC.OTAMGR";
    private static final Duration FIRST_RECONNECT = Duration.ofMillis(250);
    private static final Duration LONGEST_RECONNECT = Duration.ofSeconds(5);

    /** What has to be closed, in the order in which it was made. */
    private final List<Runnable> closers = new ArrayList<>();

    private Otamgr() {
    }

    /**
     * Starts the daemon in threads of its own.
     *
     * @param config what to do it with
     * @param log where to tell about it
     * @return the running daemon
     * @throws ConfigException if the source that is configured does not exist, or cannot use its configuration
     */
    public static Otamgr start(OtamgrConfig config, EventLog log) throws ConfigException {
        Otamgr otamgr = new Otamgr();
        SystemEventLoop loop = new SystemEventLoop(log);
        otamgr.closers.add(loop::close);
        ProcessRunner runner = new SystemProcessRunner(log);
        Commands commands = new Commands(loop, runner, log);
        FileOperations files = new FileOperations.Real();
        BootClock boot = new BootClock.Kernel();
        RebootReason reasons = new RebootReason(config.rebootReason(), files);
        Rebooter rebooter = new Rebooter(loop, commands, config, reasons, log);
        SecureRandom random = new SecureRandom();
        AgentDevice device = AgentDevice.of(config.agent(), SystemFacts.OF_DEVICE, runner, files, Clock.systemUTC(),
                boot, random::nextInt, log);
        boolean isHubby = config.agent().sourceType().equals(AgentConfig.HUBBY);
        Optional<Agent> agent = isHubby ? Optional.empty()
                : Optional.of(new Agent(Sources.open(config.agent(), device), device));
        TrialHealth health =
                new TrialHealth(loop, new HealthChecks(loop, runner, config.commit(), log), config.commit(), boot, log);
        UpdateManager updates = new UpdateManager(loop, runner, commands, config, rebooter, device.ids(),
                device.failures(), health, new HandlerCalls(loop, device), log);
        TrialGuard.warnIfEarlier(TrialGuard.CONFIGURATION, config.commit().deadline(), log);
        if (config.attributes()) {
            otamgr.connect(config, loop, runner, updates, health, log);
        }
        // Its ota-slot is also what makes later starts of programs fast: the first one takes five times as long. That
        // is over before hubby can offer anything.
        loop.execute(updates::start);
        DaemonHost host = new DaemonHost(loop, updates, device, agent);
        agent.ifPresent(one -> otamgr.poll(one, device, config.agent(), host, random, log));
        otamgr.listen(config.control(), new AgentCommands(device, agent, host), log);
        return otamgr;
    }

    private void connect(OtamgrConfig config, EventLoop loop, ProcessRunner runner, UpdateManager updates,
            TrialHealth health, EventLog log) {
        AtomicReference<AttributeClient> client = new AtomicReference<>();
        OtaAttributes attributes = new OtaAttributes(loop, runner, config, updates, id -> client.get().get(id), log);
        health.confirmWith(attributes::askAgain);
        client.set(AttributeClient.builder(config.attrdSocket(), OWN_NAME)
                .listen(Attributes.HUBBY_STATE, Attributes.HUBBY_OTA_UPGRADE_PATH)
                .listen(Attributes.HUBBY_COMMAND, Attributes.HUBBY_COMMAND)
                .handler(attributes)
                .backoff(FIRST_RECONNECT, LONGEST_RECONNECT)
                .log(line -> log.info("attribute_client:" + Printable.of(line)))
                .build());
        client.get().start();
        closers.add(client.get()::close);
    }

    private void poll(Agent agent, AgentDevice device, AgentConfig config, DaemonHost host, SecureRandom random, EventLog log) {
        log.info("source:name=" + agent.sourceName() + ",automatic=" + config.polling().automatic()
                + ",interval_seconds=" + config.polling().interval().toSeconds());
        if (!agent.isRemote()) {
            // There is nobody to be reached.
            host.answered();
        }
        PollingLoop.Time time = new PollingLoop.RealTime();
        device.finalisation().onEnd(time::wake);
        PollingLoop polling = new PollingLoop(agent, config.polling(), time, new MeteredLink(config.polling().meteredInterfaces(), Path.of("/proc/net")), random::nextDouble, host, log);
        Thread thread = new Thread(() -> {
            try {
                polling.run();
            } catch (InterruptedException e) {
                // The daemon ends; what was begun goes on with the next one.
                return;
            }
        }, "otamgr-polling");
        thread.setDaemon(true);
        thread.start();
    }

    private void listen(Path socket, AgentCommands commands, EventLog log) {
        try {
            closers.add(ControlServer.start(socket, commands, log)::close);
            log.info("control:socket=" + socket);
        } catch (IOException e) {
            log.warning("control:socket=" + socket + ",error=" + Printable.of(e.toString())
                    + ",meaning=the daemon takes no commands");
        }
    }

    /**
     * Disconnects properly and stops. A running sysupgrade is left alone: it is safe to kill at any time, but what it
     * has written would be lost. The next daemon finds it.
     */
    @Override
    public void close() {
        Collections.reverse(closers);
        closers.forEach(Runnable::run);
        closers.clear();
    }
}
