// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.IntFunction;
import org.metaotamgr.attribute.AttributeException;
import org.metaotamgr.attribute.AttributeHandler;
import org.metaotamgr.attribute.Peer;
import org.metaotamgr.device.Backoff;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.ProcessRunner;
import org.metaotamgr.device.Programs;
import org.metaotamgr.wire.AttributeStatus;

/**
 * What attributes mean to otamgr: attributes in, {@link Orders} and {@link Links} out. Nothing here waits for anything: the
 * prefix for updates is answered at once, whatever the engine does, and of what is told only the newest is kept.
 */
final class OtaAttributes implements AttributeHandler {
    private static final Duration HUBBY_FIRST_WAIT = Duration.ofSeconds(5);
    private static final Duration HUBBY_LONGEST_WAIT = Duration.ofSeconds(60);
    private static final int COMMAND_LENGTH = 4;

    private final ProcessRunner runner;
    private final OtamgrConfig config;
    private final Orders orders;
    private final Links links;
    private final IntFunction<CompletableFuture<byte[]>> getter;
    private final BootClock clock;
    private final EventLog log;
    private final byte[] prefix;

    private boolean open;
    private int connection;
    private boolean hubbyKnown;
    private boolean pathKnown;
    private HubbyState hubby = HubbyState.UNKNOWN;
    private final Backoff hubbyWait = new Backoff(HUBBY_FIRST_WAIT, HUBBY_LONGEST_WAIT);
    private final Backoff pathWait = new Backoff(HUBBY_FIRST_WAIT, HUBBY_LONGEST_WAIT);
    /** When to ask again, in time since power-on. */
    private Optional<Duration> askHubbyAt = Optional.empty();

    private Optional<Duration> askPathAt = Optional.empty();
    private String lastHubbyError = "";
    private boolean factoryTestRuns;

    /**
     * Makes the handler.
     *
     * @param getter gets an attribute; may answer on any thread
     */
    OtaAttributes(
            ProcessRunner runner,
            OtamgrConfig config,
            Orders orders,
            Links links,
            IntFunction<CompletableFuture<byte[]>> getter,
            BootClock clock,
            EventLog log) {
        this.runner = runner;
        this.config = config;
        this.orders = orders;
        this.links = links;
        this.getter = getter;
        this.clock = clock;
        this.log = log;
        this.prefix = (config.updatePathPrefix() + "\0").getBytes(StandardCharsets.UTF_8);
    }

    @Override
    public void connected(Peer peer) {
        synchronized (this) {
            open = true;
            connection++;
        }
        ask();
    }

    @Override
    public void missed() {
        ask();
    }

    /**
     * Values are not replayed after a connect, so the state has to be asked for, and what was offered while nobody listened;
     * until hubby has answered once, again and again: a state that hubby reached before otamgr connected is never notified.
     */
    private void ask() {
        int asker;
        synchronized (this) {
            hubbyKnown = false;
            pathKnown = false;
            hubbyWait.reset();
            pathWait.reset();
            asker = connection;
            links.update(open, hubby, false);
        }
        askHubbyState(asker);
        askPath(asker);
    }

    @Override
    public synchronized void disconnected(String reason) {
        open = false;
        connection++;
        hubby = HubbyState.UNKNOWN;
        links.update(open, hubby, true);
    }

    @Override
    public void notified(int attributeId, byte[] value) {
        switch (attributeId) {
            case Attributes.HUBBY_STATE -> {
                synchronized (this) {
                    // The answer to a get that is still under way is older than this.
                    hubbyKnown = true;
                    hubbyState(value, true);
                }
            }
            case Attributes.HUBBY_OTA_UPGRADE_PATH -> {
                synchronized (this) {
                    pathKnown = true;
                }
                orders.offered(value);
            }
            case Attributes.HUBBY_COMMAND -> command(value);
            default -> log.warning("notification_unknown:attributeId=" + Integer.toUnsignedString(attributeId));
        }
    }

    @Override
    public Optional<byte[]> read(int attributeId) {
        return attributeId == Attributes.OTAMGR_OTA_UPD_PATH_PREFIX ? Optional.of(prefix.clone()) : Optional.empty();
    }

    @Override
    public AttributeStatus written(int attributeId, byte[] value) {
        return AttributeStatus.FORBIDDEN;
    }

    /**
     * Asks again what was not answered.
     *
     * @param now the time since power-on
     * @return how long until there is something to ask
     */
    Optional<Duration> askAgain(Duration now) {
        boolean asksHubby;
        boolean asksPath;
        int asker;
        synchronized (this) {
            asker = connection;
            asksHubby = askHubbyAt.filter(at -> at.compareTo(now) <= 0).isPresent();
            asksPath = askPathAt.filter(at -> at.compareTo(now) <= 0).isPresent();
        }
        if (asksHubby) {
            askHubbyState(asker);
        }
        if (asksPath) {
            askPath(asker);
        }
        synchronized (this) {
            Optional<Duration> first = askHubbyAt.isPresent() && askPathAt.isPresent()
                    ? Optional.of(askHubbyAt.get().compareTo(askPathAt.get()) < 0 ? askHubbyAt.get() : askPathAt.get())
                    : askHubbyAt.or(() -> askPathAt);
            return first.map(at -> at.minus(now));
        }
    }

    private void askHubbyState(int asker) {
        synchronized (this) {
            askHubbyAt = Optional.empty();
            if (asker != connection || hubbyKnown) {
                return;
            }
        }
        getter.apply(Attributes.HUBBY_STATE).whenComplete((value, failure) -> {
            synchronized (this) {
                if (asker != connection || hubbyKnown) {
                    return;
                }
                if (failure == null) {
                    hubbyKnown = true;
                    hubbyState(value, false);
                    return;
                }
                String error = message(failure);
                if (!error.equals(lastHubbyError)) {
                    lastHubbyError = error;
                    log.warning("get_hubby_state:error=" + error);
                }
                askHubbyAt = Optional.of(clock.uptime().plus(hubbyWait.next()));
                // Wakes the engine, whose next wait ends then.
                links.update(open, hubby, false);
            }
        });
    }

    private void askPath(int asker) {
        synchronized (this) {
            askPathAt = Optional.empty();
            if (asker != connection || pathKnown) {
                return;
            }
        }
        getter.apply(Attributes.HUBBY_OTA_UPGRADE_PATH).whenComplete((value, failure) -> {
            synchronized (this) {
                if (asker != connection || pathKnown) {
                    return;
                }
                if (failure != null) {
                    // No hubby, or one that offers nothing; what it offers from now on is notified.
                    if (!(cause(failure) instanceof AttributeException refused)
                            || refused.status() == AttributeStatus.TIMEOUT) {
                        askPathAt = Optional.of(clock.uptime().plus(pathWait.next()));
                        links.update(open, hubby, false);
                    }
                    return;
                }
                pathKnown = true;
            }
            orders.offeredEarlier(value);
        });
    }

    /**
     * Asks for hubby's state once more, right before a commit: what it said earlier may be over, as nobody tells of its end.
     *
     * @return whether it is connected; done on any thread
     */
    CompletableFuture<Boolean> confirmHubby() {
        int asker;
        synchronized (this) {
            asker = connection;
        }
        return getter.apply(Attributes.HUBBY_STATE).handle((value, failure) -> {
            synchronized (this) {
                if (asker != connection) {
                    return false;
                }
                if (failure == null) {
                    hubbyState(value, false);
                } else {
                    log.warning("get_hubby_state:error=" + message(failure)
                            + ",meaning=hubby was connected, and is not now");
                    hubby = HubbyState.UNKNOWN;
                    hubbyKnown = false;
                    askHubbyAt = Optional.of(clock.uptime().plus(hubbyWait.next()));
                    links.update(open, hubby, true);
                }
                return hubby == HubbyState.CONNECTED;
            }
        });
    }

    private static Throwable cause(Throwable failure) {
        return failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
    }

    private static String message(Throwable failure) {
        return Printable.of(String.valueOf(cause(failure).getMessage()));
    }

    private void hubbyState(byte[] value, boolean isNews) {
        lastHubbyError = "";
        if (value.length != 1) {
            log.warning("on_get_hubby_state_len:length=" + value.length);
            hubby = HubbyState.UNKNOWN;
        } else {
            HubbyState before = hubby;
            hubby = HubbyState.of(value[0]);
            // A hubby that says the same hundreds of times a second fills no log.
            if (!isNews || hubby != before) {
                log.info("hubby_state:value=" + value[0] + ",meaning=" + hubby);
            }
        }
        links.update(open, hubby, isNews);
    }

    private void command(byte[] value) {
        if (value.length != COMMAND_LENGTH) {
            log.warning("command_attribute_bad_size:length=" + value.length);
        }
        if (value.length == 0) {
            return;
        }
        String code = String.format("%02x", value[0]);
        switch (HubbyCommand.of(value[0])) {
            case REBOOT -> {
                log.info("hubby_command:command=" + code + ",meaning=reboot");
                orders.rebootRequested();
            }
            case FACTORY_TEST -> factoryTest(code);
            case CLEAR_CREDENTIALS, OTHER -> log.info(
                    "on_hubby_command_ignore:command=" + code + ":command was ignored");
        }
    }

    private synchronized void factoryTest(String code) {
        if (config.factoryTest().isEmpty()) {
            log.info("on_hubby_command_ignore:command=" + code + ":no factory test program is configured");
        } else if (factoryTestRuns) {
            log.info("on_hubby_command_ignore:command=" + code + ":the factory test program runs already");
        } else {
            log.info("hubby_command:command=" + code + ",meaning=factory test");
            startFactoryTest();
        }
    }

    /** It may run as long as it likes. */
    private void startFactoryTest() {
        try {
            ProcessRunner.RunningProcess process = runner.start(config.factoryTest(), Map.of(), new FactoryTest());
            factoryTestRuns = true;
            log.info("factory_test_started:pid=" + process.pid());
        } catch (IOException e) {
            log.error("factory_test_failed:error=" + Printable.of(e.getMessage()));
        }
    }

    private synchronized void factoryTestEnded(int exitStatus) {
        factoryTestRuns = false;
        log.info("factory_test_ended:exit=" + exitStatus);
    }

    private final class FactoryTest implements ProcessRunner.ProcessListener {
        @Override
        public void stdout(String line) {
            log.info(Programs.messageOf("factory_test", line));
        }

        @Override
        public void stderr(String line) {
            log.info(Programs.messageOf("factory_test", line));
        }

        @Override
        public void ended(int exitStatus) {
            factoryTestEnded(exitStatus);
        }
    }
}
