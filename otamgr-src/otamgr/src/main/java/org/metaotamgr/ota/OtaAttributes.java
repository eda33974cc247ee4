// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Consumer;
import java.util.function.IntFunction;

import org.metaotamgr.attribute.AttributeException;
import org.metaotamgr.attribute.AttributeHandler;
import org.metaotamgr.attribute.Peer;
import org.metaotamgr.device.Backoff;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.ProcessRunner;
import org.metaotamgr.wire.AttributeStatus;

/**
 * What attributes mean to otamgr. Calls come from the attribute client's thread and are passed on to the event loop at
 * once; only the prefix for updates is answered directly, so that the answer never waits for anything.
 */
final class OtaAttributes implements AttributeHandler {
    private static final Duration HUBBY_FIRST_WAIT = Duration.ofSeconds(5);
    private static final Duration HUBBY_LONGEST_WAIT = Duration.ofSeconds(60);
    private static final int COMMAND_LENGTH = 4;
    private static final int MAX_WAITING = 16;

    private final EventLoop loop;
    private final ProcessRunner runner;
    private final OtamgrConfig config;
    private final UpdateManager updates;
    private final IntFunction<CompletableFuture<byte[]>> getter;
    private final EventLog log;
    private final byte[] prefix;

    private boolean open;
    private int connection;
    private boolean hubbyKnown;
    private boolean pathKnown;
    private HubbyState hubby = HubbyState.UNKNOWN;
    private final Backoff hubbyWait = new Backoff(HUBBY_FIRST_WAIT, HUBBY_LONGEST_WAIT);
    private final Backoff pathWait = new Backoff(HUBBY_FIRST_WAIT, HUBBY_LONGEST_WAIT);
    /** What the event loop has not taken yet; bounded, whatever comes and however long the loop takes. */
    private final List<Waiting> waiting = new ArrayList<>();
    private String lastHubbyError = "";
    private boolean factoryTestRuns;

    /**
     * Makes the handler.
     *
     * @param getter gets an attribute; may answer on any thread
     */
    OtaAttributes(EventLoop loop, ProcessRunner runner, OtamgrConfig config, UpdateManager updates,
            IntFunction<CompletableFuture<byte[]>> getter, EventLog log) {
        this.loop = loop;
        this.runner = runner;
        this.config = config;
        this.updates = updates;
        this.getter = getter;
        this.log = log;
        this.prefix = (config.updatePathPrefix() + "\0").getBytes(StandardCharsets.UTF_8);
    }

    @Override
    public void connected(Peer peer) {
        loop.execute(() -> {
            open = true;
            connection++;
            ask();
        });
    }

    @Override
    public void missed() {
        loop.execute(this::ask);
    }

    private void ask() {
        hubbyKnown = false;
        pathKnown = false;
        hubbyWait.reset();
        pathWait.reset();
        updates.slots().health(open, hubby, false);
        askHubbyState(connection);
        askPath(connection);
    }

    @Override
    public void disconnected(String reason) {
        loop.execute(() -> {
            open = false;
            connection++;
            hubby = HubbyState.UNKNOWN;
            updates.slots().health(open, hubby, true);
        });
    }

    /** A notification that waits for the event loop; of states and paths only the newest one matters. */
    private record Waiting(int attributeId, byte[] value) {
    }

    @Override
    public void notified(int attributeId, byte[] value) {
        synchronized (waiting) {
            boolean isNewestOnly =
                    attributeId == Attributes.HUBBY_STATE || attributeId == Attributes.HUBBY_OTA_UPGRADE_PATH;
            boolean isFirst = waiting.isEmpty();
            if (isNewestOnly) {
                waiting.removeIf(one -> one.attributeId() == attributeId);
            }
            if (!isNewestOnly && waiting.size() >= MAX_WAITING) {
                log.warning("notification_dropped:attributeId=" + Integer.toUnsignedString(attributeId)
                        + ",reason=" + MAX_WAITING + " wait already");
                return;
            }
            waiting.add(new Waiting(attributeId, value));
            if (!isFirst) {
                return;
            }
        }
        loop.execute(this::takeNotifications);
    }

    /** What waits for the event loop. */
    int bytesWaiting() {
        synchronized (waiting) {
            return waiting.stream().mapToInt(one -> one.value().length).sum();
        }
    }

    private void takeNotifications() {
        List<Waiting> taken;
        synchronized (waiting) {
            taken = List.copyOf(waiting);
            waiting.clear();
        }
        for (Waiting one : taken) {
            switch (one.attributeId()) {
                case Attributes.HUBBY_STATE -> {
                    // The answer to a get that is still under way is older than this.
                    hubbyKnown = true;
                    hubbyState(one.value(), true);
                }
                case Attributes.HUBBY_OTA_UPGRADE_PATH -> {
                    pathKnown = true;
                    updates.offered(one.value());
                }
                case Attributes.HUBBY_COMMAND -> command(one.value());
                default -> log.warning("notification_unknown:attributeId="
                        + Integer.toUnsignedString(one.attributeId()));
            }
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
     * Values are not replayed after a connect, so the state has to be asked for; until hubby has answered once, again
     * and again: a state that hubby reached before otamgr connected is never notified.
     */
    private void askHubbyState(int asker) {
        if (asker != connection || hubbyKnown) {
            return;
        }
        getter.apply(Attributes.HUBBY_STATE).whenComplete((value, failure) -> loop.execute(() -> {
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
            loop.schedule(hubbyWait.next(), () -> askHubbyState(asker));
        }));
    }

    private static Throwable cause(Throwable failure) {
        return failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
    }

    private static String message(Throwable failure) {
        return Printable.of(String.valueOf(cause(failure).getMessage()));
    }

    /** What was offered while there was no connection is notified to nobody. */
    private void askPath(int asker) {
        if (asker != connection || pathKnown) {
            return;
        }
        getter.apply(Attributes.HUBBY_OTA_UPGRADE_PATH).whenComplete((value, failure) -> loop.execute(() -> {
            if (asker != connection || pathKnown) {
                return;
            }
            if (failure == null) {
                pathKnown = true;
                updates.offeredEarlier(value);
            } else if (cause(failure) instanceof AttributeException refused
                    && refused.status() != AttributeStatus.TIMEOUT) {
                // No hubby, or one that offers nothing; what it offers from now on is notified.
                return;
            } else {
                loop.schedule(pathWait.next(), () -> askPath(asker));
            }
        }));
    }

    /** Asks for hubby's state once more, right before a commit. */
    void askAgain(Consumer<HubbyState> then) {
        int asker = connection;
        getter.apply(Attributes.HUBBY_STATE).whenComplete((value, failure) -> loop.execute(() -> {
            if (asker != connection) {
                then.accept(HubbyState.UNKNOWN);
                return;
            }
            if (failure == null) {
                hubbyState(value, false);
            } else {
                log.warning("get_hubby_state:error=" + message(failure) + ",meaning=hubby was connected, and is not now");
                hubby = HubbyState.UNKNOWN;
                hubbyKnown = false;
                updates.slots().health(open, hubby, true);
                loop.schedule(hubbyWait.next(), () -> askHubbyState(asker));
            }
            then.accept(hubby);
        }));
    }

    private void hubbyState(byte[] value, boolean isNews) {
        lastHubbyError = "";
        if (value.length != 1) {
            log.warning("on_get_hubby_state_len:length=" + value.length);
            hubby = HubbyState.UNKNOWN;
        } else {
            hubby = HubbyState.of(value[0]);
            log.info("hubby_state:value=" + value[0] + ",meaning=" + hubby);
        }
        updates.slots().health(open, hubby, isNews);
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
                updates.rebootRequested();
            }
            case FACTORY_TEST -> factoryTest(code);
            case CLEAR_CREDENTIALS, OTHER -> log.info("on_hubby_command_ignore:command=" + code
                    + ":command was ignored");
        }
    }

    private void factoryTest(String code) {
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

    private final class FactoryTest implements ProcessRunner.ProcessListener {
        @Override
        public void stdout(String line) {
            log.info(Commands.messageOf("factory_test", line));
        }

        @Override
        public void stderr(String line) {
            log.info(Commands.messageOf("factory_test", line));
        }

        @Override
        public void ended(int exitStatus) {
            loop.execute(() -> {
                factoryTestRuns = false;
                log.info("factory_test_ended:exit=" + exitStatus);
            });
        }
    }
}
