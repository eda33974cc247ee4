// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.IntFunction;

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
    private HubbyState hubby = HubbyState.UNKNOWN;
    private final Backoff hubbyWait = new Backoff(HUBBY_FIRST_WAIT, HUBBY_LONGEST_WAIT);
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
            hubbyKnown = false;
            hubbyWait.reset();
            updates.slots().health(open, hubby);
            askHubbyState(connection);
        });
    }

    @Override
    public void disconnected(String reason) {
        loop.execute(() -> {
            open = false;
            connection++;
            hubby = HubbyState.UNKNOWN;
            updates.slots().health(open, hubby);
        });
    }

    @Override
    public void notified(int attributeId, byte[] value) {
        loop.execute(() -> {
            switch (attributeId) {
                case Attributes.HUBBY_STATE -> {
                    // The answer to a get that is still under way is older than this.
                    hubbyKnown = true;
                    hubbyState(value);
                }
                case Attributes.HUBBY_OTA_UPGRADE_PATH -> updates.offered(value);
                case Attributes.HUBBY_COMMAND -> command(value);
                default -> log.warning("notification_unknown:attributeId=" + Integer.toUnsignedString(attributeId));
            }
        });
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
                hubbyState(value);
                return;
            }
            Throwable cause = failure instanceof CompletionException && failure.getCause() != null
                    ? failure.getCause() : failure;
            String error = Printable.of(String.valueOf(cause.getMessage()));
            if (!error.equals(lastHubbyError)) {
                lastHubbyError = error;
                log.warning("get_hubby_state:error=" + error);
            }
            loop.schedule(hubbyWait.next(), () -> askHubbyState(asker));
        }));
    }

    private void hubbyState(byte[] value) {
        lastHubbyError = "";
        if (value.length != 1) {
            log.warning("on_get_hubby_state_len:length=" + value.length);
            hubby = HubbyState.UNKNOWN;
        } else {
            hubby = HubbyState.of(value[0]);
            log.info("hubby_state:value=" + value[0] + ",meaning=" + hubby);
        }
        updates.slots().health(open, hubby);
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
