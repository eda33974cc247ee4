// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.security.SecureRandom;
import java.time.Clock;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicReference;

import org.metaotamgr.agent.FailedUpdates;
import org.metaotamgr.agent.TransactionIds;
import org.metaotamgr.attribute.AttributeClient;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.ProcessRunner;
import org.metaotamgr.device.SystemProcessRunner;

/** The running daemon: connected to the attribute daemon, or trying to be. */
public final class Otamgr implements AutoCloseable {
    private static final String OWN_NAME = "IPC.OTAMGR";
    private static final Duration FIRST_RECONNECT = Duration.ofMillis(250);
    private static final Duration LONGEST_RECONNECT = Duration.ofSeconds(5);

    private final AttributeClient client;
    private final SystemEventLoop loop;

    private Otamgr(AttributeClient client, SystemEventLoop loop) {
        this.client = client;
        this.loop = loop;
    }

    /**
     * Starts the daemon in threads of its own.
     *
     * @param config what to do it with
     * @param log where to tell about it
     * @return the running daemon
     */
    public static Otamgr start(OtamgrConfig config, EventLog log) {
        SystemEventLoop loop = new SystemEventLoop(log);
        ProcessRunner runner = new SystemProcessRunner(log);
        Commands commands = new Commands(loop, runner, log);
        FileOperations files = new FileOperations.Real();
        BootClock boot = new BootClock.Kernel();
        RebootReason reasons = new RebootReason(config.rebootReason(), files);
        Rebooter rebooter = new Rebooter(loop, commands, config, reasons, log);
        SecureRandom random = new SecureRandom();
        UpdateManager updates = new UpdateManager(loop, runner, commands, config, rebooter,
                new TransactionIds(Clock.systemUTC(), random::nextInt),
                new FailedUpdates(config.retry(), files, Clock.systemUTC(), boot, log),
                new TrialHealth(loop, new HealthChecks(loop, runner, config.commit(), log), config.commit(), boot, log),
                log);
        TrialGuard.warnIfEarlier(TrialGuard.CONFIGURATION, config.commit().deadline(), log);
        AtomicReference<AttributeClient> client = new AtomicReference<>();
        client.set(AttributeClient.builder(config.attrdSocket(), OWN_NAME)
                .listen(Attributes.HUBBY_STATE, Attributes.HUBBY_OTA_UPGRADE_PATH)
                .listen(Attributes.HUBBY_COMMAND, Attributes.HUBBY_COMMAND)
                .handler(new OtaAttributes(loop, runner, config, updates, id -> client.get().get(id), log))
                .backoff(FIRST_RECONNECT, LONGEST_RECONNECT)
                .log(line -> log.info("attribute_client:" + Printable.of(line)))
                .build());
        client.get().start();
        // Its ota-slot is also what makes later starts of programs fast: the first one takes five times as long. That
        // is over before hubby can offer anything.
        loop.execute(updates::start);
        return new Otamgr(client.get(), loop);
    }

    /**
     * Disconnects properly and stops. A running sysupgrade is left alone: it is safe to kill at any time, but what it
     * has written would be lost. The next daemon finds it.
     */
    @Override
    public void close() {
        client.close();
        loop.close();
    }
}
