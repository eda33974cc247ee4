// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.IOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Clock;
import java.time.Duration;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import org.metaotamgr.agent.Agent;
import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.MeteredLink;
import org.metaotamgr.agent.Polling;
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
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.SystemProcessRunner;
import org.metaotamgr.device.Waiting;

/** The running daemon: connected to the attribute daemon, or trying to be, and asking a source of updates, if there is one. */
public final class Otamgr implements AutoCloseable {
    /** How long the engine may take to notice that it is stopped. */
    private static final Duration LAST_STEP = Duration.ofSeconds(2);

    private static final String OWN_NAME = "IPC.OTAMGR";
    private static final Duration FIRST_RECONNECT = Duration.ofMillis(250);
    private static final Duration LONGEST_RECONNECT = Duration.ofSeconds(5);

    /** What has to be closed, in the order in which it was made. */
    private final List<Runnable> closers = new ArrayList<>();

    private Otamgr() {}

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
        Waiting waiting = new Waiting.Real();
        ProcessRunner runner = new SystemProcessRunner(log);
        Programs programs = new Programs(runner, waiting);
        FileOperations files = new FileOperations.Real();
        BootClock boot = new BootClock.Kernel();
        SecureRandom random = new SecureRandom();
        // Windows of a repository are meant in the device's local time.
        Clock clock = Clock.system(ZoneId.systemDefault());
        AgentDevice device = AgentDevice.of(
                config.agent(), SystemFacts.OF_DEVICE, programs, files, clock, boot, random::nextInt, log);
        boolean isHubby = config.agent().sourceType().equals(AgentConfig.HUBBY);
        Optional<Agent> agent =
                isHubby ? Optional.empty() : Optional.of(new Agent(Sources.open(config.agent(), device), device));
        AtomicReference<AttributeClient> client = new AtomicReference<>();
        Assembly made = Assembly.of(new Assembly.Environment(
                config,
                device,
                programs,
                runner,
                files,
                boot,
                waiting,
                System::nanoTime,
                id -> client.get().get(id),
                log));
        TrialGuard.warnIfEarlier(TrialGuard.CONFIGURATION, config.commit().deadline(), log);
        if (config.attributes()) {
            otamgr.connect(config, made.attributes(), client, log);
        }
        Optional<PollingLoop> polling = agent.map(one -> polling(one, device, config.agent(), made, random, log));
        otamgr.run(made.engine(), polling, log);
        otamgr.listen(
                config.control(), new AgentCommands(device, agent, new DaemonHost(made.orders(), device, agent)), log);
        return otamgr;
    }

    private void connect(
            OtamgrConfig config, OtaAttributes attributes, AtomicReference<AttributeClient> client, EventLog log) {
        AttributeClient.Builder builder = AttributeClient.builder(config.attrdSocket(), OWN_NAME);
        config.rootHelper().ifPresent(helper -> builder.through(helper.socket()));
        client.set(builder.listen(Attributes.HUBBY_STATE, Attributes.HUBBY_OTA_UPGRADE_PATH)
                .listen(Attributes.HUBBY_COMMAND, Attributes.HUBBY_COMMAND)
                .handler(attributes)
                .backoff(FIRST_RECONNECT, LONGEST_RECONNECT)
                .log(line -> log.info("attribute_client:" + Printable.of(line)))
                .build());
        client.get().start();
        closers.add(client.get()::close);
    }

    private static PollingLoop polling(
            Agent agent, AgentDevice device, AgentConfig config, Assembly made, SecureRandom random, EventLog log) {
        Polling polling = config.polling();
        log.info("source:name=" + agent.sourceName() + ",automatic=" + polling.automatic() + ",interval_seconds="
                + polling.interval().toSeconds());
        if (agent.isRemote() && polling.automatic() != Polling.Automatic.OFF) {
            made.trial().confirmWith(() -> agent.checkIn().result().problem().isEmpty());
        } else {
            // There is nobody to be reached.
            made.engine().answered();
            made.trial().confirmWith(() -> true);
        }
        device.finalisation().onEnd(made.engine()::wake);
        return new PollingLoop(
                agent,
                polling,
                made.engine(),
                new MeteredLink(polling.meteredInterfaces(), Path.of("/proc/net")),
                random::nextDouble,
                made.engine(),
                log);
    }

    /** On the one thread that does everything but talking. */
    private void run(Engine engine, Optional<PollingLoop> polling, EventLog log) {
        Thread thread = new Thread(
                () -> {
                    try {
                        engine.run(polling);
                    } catch (InterruptedException e) {
                        // The daemon ends; what was begun goes on with the next one.
                        log.info("engine_stopped:");
                    }
                },
                "otamgr-engine");
        thread.setDaemon(true);
        thread.start();
        closers.add(() -> {
            engine.stop();
            ended(thread);
        });
    }

    /** What it has to say comes before the daemon's last line. */
    private static void ended(Thread thread) {
        try {
            thread.join(LAST_STEP.toMillis());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
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
