// SPDX-License-Identifier: MIT
package org.metaotamgr.system.attributes;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.attribute.AttributeClient;
import org.metaotamgr.attribute.AttributeException;
import org.metaotamgr.attribute.AttributeHandler;
import org.metaotamgr.attribute.NotConnectedException;
import org.metaotamgr.attribute.Peer;
import org.metaotamgr.simulator.Attrd;
import org.metaotamgr.simulator.Attribute;
import org.metaotamgr.simulator.SimulatedClient;
import org.metaotamgr.wire.AttributeStatus;

@DisplayName("The attribute client against a whole attrd")
@Timeout(180)
class ClientAgainstAttrdTest {
    private static final int PATIENCE_SECONDS = 60;
    /** Attributes for large values, which none of the update service has. */
    private static final int HUBBY_LARGE = 1102;

    private static final int OTAMGR_LARGE = 1103;

    @TempDir
    Path directory;

    private final List<String> log = new ArrayList<>();
    private final List<AutoCloseable> open = new ArrayList<>();
    private Attrd attrd;

    private Path socket() {
        return directory.resolve("IPC.ATTRD");
    }

    private Attrd.Options options() {
        return new Attrd.Options()
                .rebootReason(directory.resolve("reboot_reason"))
                .attribute(new Attribute(HUBBY_LARGE, "HUBBY_LARGE", Attribute.HUBBY, true, true, false))
                .attribute(new Attribute(OTAMGR_LARGE, "OTAMGR_LARGE", Attribute.OTAMGR, true, false, false));
    }

    private void startAttrd(Attrd.Options options) throws IOException {
        attrd = new Attrd(socket(), options, this::log);
        attrd.start();
    }

    private void log(String source, String line) {
        synchronized (log) {
            log.add(source + ": " + line);
        }
    }

    private <T extends AutoCloseable> T closeLater(T closeable) {
        open.add(0, closeable);
        return closeable;
    }

    @AfterEach
    void close() throws Exception {
        for (AutoCloseable closeable : open) {
            closeable.close();
        }
        if (attrd != null) {
            int writes = attrd.writesIntoClosedSockets();
            attrd.close();
            assertEquals(0, writes, () -> {
                // The log of a client comes on a thread of its own.
                synchronized (log) {
                    return "the original attrd would have died: " + log;
                }
            });
        }
    }

    private AttributeClient.Builder otamgr(AttributeHandler handler) {
        return AttributeClient.builder(socket(), Attribute.OTAMGR)
                .listen(51611, 51612)
                .listen(65012, 65012)
                .listen(HUBBY_LARGE, HUBBY_LARGE)
                .handler(handler)
                .backoff(Duration.ofMillis(20), Duration.ofMillis(100))
                .log(line -> log("otamgr", line));
    }

    private AttributeClient start(AttributeClient.Builder builder) {
        AttributeClient client = closeLater(builder.build());
        client.start();
        return client;
    }

    private SimulatedClient hubby(SimulatedClient.Owner owner) throws IOException {
        return closeLater(new SimulatedClient(socket(), Attribute.HUBBY, List.of(), owner, this::log));
    }

    private SimulatedClient attrc() throws IOException {
        return closeLater(new SimulatedClient(socket(), Attribute.ATTRC, List.of(), new Owner(), this::log));
    }

    private static byte[] value(int size) {
        byte[] value = new byte[size];
        new Random(size).nextBytes(value);
        return value;
    }

    private static <T> T result(CompletableFuture<T> future) throws Exception {
        return future.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    }

    private static AttributeStatus failure(CompletableFuture<?> future) {
        ExecutionException failed = assertThrows(ExecutionException.class, () -> result(future));
        return assertInstanceOf(AttributeException.class, failed.getCause()).status();
    }

    /** Remembers what it is told; serves what otamgr owns. */
    private static class Handler implements AttributeHandler {
        final BlockingQueue<String> events = new LinkedBlockingQueue<>();
        final BlockingQueue<byte[]> values = new LinkedBlockingQueue<>();
        volatile byte[] large = new byte[0];

        @Override
        public void connected(Peer peer) {
            events.add("connected");
        }

        @Override
        public void disconnected(String reason) {
            events.add("disconnected");
        }

        @Override
        public void notified(int attributeId, byte[] value) {
            values.add(value);
            events.add("notified " + attributeId);
        }

        @Override
        public Optional<byte[]> read(int attributeId) {
            switch (attributeId) {
                case Attribute.OTAMGR_OTA_UPD_PATH_PREFIX:
                    return Optional.of("/tmp\0".getBytes(StandardCharsets.UTF_8));
                case OTAMGR_LARGE:
                    return Optional.of(large);
                default:
                    return Optional.empty();
            }
        }

        @Override
        public AttributeStatus written(int attributeId, byte[] value) {
            large = value;
            return AttributeStatus.OK;
        }

        void expect(String event) throws InterruptedException {
            assertEquals(event, events.poll(PATIENCE_SECONDS, TimeUnit.SECONDS));
        }
    }

    /** Serves what hubby owns. */
    private static class Owner implements SimulatedClient.Owner {
        volatile byte[] large = new byte[0];

        @Override
        public byte[] read(int attributeId) {
            return attributeId == HUBBY_LARGE ? large : new byte[] {1};
        }

        @Override
        public AttributeStatus written(int attributeId, byte[] value) {
            large = value;
            return AttributeStatus.OK;
        }
    }

    private void everythingOnce() throws Exception {
        Handler handler = new Handler();
        Owner owner = new Owner();
        SimulatedClient hubby = hubby(owner);
        AttributeClient otamgr = start(otamgr(handler));
        handler.expect("connected");

        assertArrayEquals(new byte[] {1}, result(otamgr.get(Attribute.HUBBY_STATE)));
        hubby.set(Attribute.HUBBY_OTA_UPGRADE_PATH, "/tmp/ota_type_5\0".getBytes(StandardCharsets.UTF_8));
        handler.expect("notified 51612");
        assertArrayEquals("/tmp/ota_type_5\0".getBytes(StandardCharsets.UTF_8), handler.values.remove());
        assertArrayEquals("/tmp\0".getBytes(StandardCharsets.UTF_8), hubby.get(Attribute.OTAMGR_OTA_UPD_PATH_PREFIX));
        for (int size : new int[] {0, 1, 3968, 3969, 9000}) {
            byte[] value = value(size);
            owner.large = value;
            assertArrayEquals(value, result(otamgr.get(HUBBY_LARGE)), "hubby to otamgr " + size);
            handler.large = value;
            assertArrayEquals(value, hubby.get(OTAMGR_LARGE), "otamgr to hubby " + size);
            hubby.set(HUBBY_LARGE, value);
            handler.expect("notified " + HUBBY_LARGE);
            assertArrayEquals(value, handler.values.remove(), "notified " + size);
        }
    }

    @Test
    @DisplayName("gets, serves and is notified")
    void plain() throws Exception {
        startAttrd(options());
        everythingOnce();
    }

    @Test
    @DisplayName("does not mind an attrd whose messages arrive in pieces of 31 bytes")
    void fragmented() throws Exception {
        startAttrd(options().fragment(31));
        everythingOnce();
    }

    @Test
    @DisplayName("does not mind an attrd whose messages arrive glued together")
    void coalesced() throws Exception {
        startAttrd(options().coalesce(3));
        everythingOnce();
    }

    @Test
    @DisplayName("does not mind an attrd whose messages arrive glued together and cut anywhere")
    void coalescedAndFragmented() throws Exception {
        startAttrd(options().coalesce(3).fragment(61));
        everythingOnce();
    }

    @Test
    @DisplayName("carries values of 65534 bytes in both directions")
    void largestValues() throws Exception {
        startAttrd(options());
        Handler handler = new Handler();
        Owner owner = new Owner();
        SimulatedClient hubby = hubby(owner);
        AttributeClient otamgr = start(otamgr(handler));
        handler.expect("connected");
        byte[] value = value(65534);
        result(otamgr.set(HUBBY_LARGE, value));
        assertArrayEquals(value, owner.large);
        handler.expect("notified " + HUBBY_LARGE);
        assertArrayEquals(value, handler.values.remove());
        assertArrayEquals(value, result(otamgr.get(HUBBY_LARGE)));
        hubby.set(OTAMGR_LARGE, value);
        assertArrayEquals(value, handler.large);
        assertArrayEquals(value, hubby.get(OTAMGR_LARGE));
    }

    /** Expects numbers in their order. */
    private static final class InOrder implements AttributeHandler {
        final BlockingQueue<String> wrong = new LinkedBlockingQueue<>();
        final CountDownLatch connected = new CountDownLatch(1);
        final CountDownLatch all;
        final Semaphore window;
        private int next;

        InOrder(int count, int window) {
            this.all = new CountDownLatch(count);
            this.window = new Semaphore(window);
        }

        @Override
        public void connected(Peer peer) {
            connected.countDown();
        }

        @Override
        public void disconnected(String reason) {
            wrong.add(reason);
        }

        @Override
        public void missed() {
            wrong.add("missed");
        }

        @Override
        public void notified(int attributeId, byte[] value) {
            int found = Byte.toUnsignedInt(value[0]) << 8 | Byte.toUnsignedInt(value[1]);
            if (found != next) {
                wrong.add("expected " + next + ", got " + found);
            }
            next++;
            window.release();
            all.countDown();
        }
    }

    /** Sets by several threads at a time would not be in order, so one client sets and does not wait for the end. */
    private AttributeClient setter() throws Exception {
        AttributeClient setter = start(AttributeClient.builder(socket(), Attribute.HUBBY)
                .backoff(Duration.ofMillis(20), Duration.ofMillis(100)));
        while (failsToConnect(setter)) {
            Thread.onSpinWait();
        }
        return setter;
    }

    @Test
    @DisplayName("takes 10,000 notifications, 64 under way at a time, without losing one")
    void manyNotifications() throws Exception {
        startAttrd(options());
        int count = 10_000;
        InOrder handler = new InOrder(count, 64);
        start(otamgr(handler));
        assertTrue(handler.connected.await(PATIENCE_SECONDS, TimeUnit.SECONDS));
        AttributeClient setter = setter();
        for (int i = 0; i < count; i++) {
            assertTrue(
                    handler.window.tryAcquire(PATIENCE_SECONDS, TimeUnit.SECONDS),
                    "stuck after " + i + ": " + handler.wrong);
            setter.set(Attribute.HUBBY_OTA_UPGRADE_PATH, new byte[] {(byte) (i >> 8), (byte) i});
        }
        assertTrue(handler.all.await(PATIENCE_SECONDS, TimeUnit.SECONDS));
        assertEquals(List.of(), List.copyOf(handler.wrong));
    }

    @Test
    @DisplayName(
            "takes 10,000 notifications at 10,000 a second, without a pause and whatever it has answered, and is not dropped")
    void withoutPause() throws Exception {
        startAttrd(options());
        int count = 10_000;
        InOrder handler = new InOrder(count, 0);
        start(otamgr(handler));
        assertTrue(handler.connected.await(PATIENCE_SECONDS, TimeUnit.SECONDS));
        AttributeClient setter = setter();
        long next = System.nanoTime();
        for (int i = 0; i < count; i++) {
            // Ten at once, once in a millisecond and never sooner: what was missed while others ran is not made up for.
            if (i % 10 == 0) {
                while (System.nanoTime() - next < 0) {
                    LockSupport.parkNanos(100_000);
                }
                next = System.nanoTime() + 1_000_000;
            }
            setter.set(Attribute.HUBBY_OTA_UPGRADE_PATH, new byte[] {(byte) (i >> 8), (byte) i});
        }
        assertTrue(handler.all.await(PATIENCE_SECONDS, TimeUnit.SECONDS), () -> String.valueOf(handler.wrong));
        assertEquals(List.of(), List.copyOf(handler.wrong));
    }

    private static boolean failsToConnect(AttributeClient client) throws Exception {
        try {
            result(client.get(Attribute.ATTRD_REVISION));
            return false;
        } catch (ExecutionException e) {
            assertInstanceOf(NotConnectedException.class, e.getCause());
            return true;
        }
    }

    @Test
    @DisplayName("is told who is to blame when a get or set fails")
    void failures() throws Exception {
        startAttrd(options());
        Handler handler = new Handler();
        AttributeClient otamgr = start(otamgr(handler));
        handler.expect("connected");
        assertEquals(AttributeStatus.ATTR_ID_NOT_FOUND, failure(otamgr.get(99999)));
        assertEquals(AttributeStatus.ATTR_ID_NOT_FOUND, failure(otamgr.set(99999, new byte[1])));
        assertEquals(AttributeStatus.OWNER_NOT_AVAILABLE, failure(otamgr.get(Attribute.HUBBY_STATE)));
        assertEquals(AttributeStatus.OWNER_NOT_AVAILABLE, failure(otamgr.set(Attribute.HUBBY_COMMAND, new byte[4])));
        assertEquals(AttributeStatus.FORBIDDEN, failure(otamgr.set(Attribute.HUBBY_STATE, new byte[1])));
    }

    @Test
    @DisplayName("sees a command that another client sets, and answers another client")
    void otherClients() throws Exception {
        startAttrd(options());
        Handler handler = new Handler();
        hubby(new Owner());
        start(otamgr(handler));
        handler.expect("connected");
        SimulatedClient attrc = attrc();
        attrc.set(Attribute.HUBBY_COMMAND, new byte[] {1, 0, 0, 0});
        handler.expect("notified 65012");
        assertArrayEquals("/tmp\0".getBytes(StandardCharsets.UTF_8), attrc.get(Attribute.OTAMGR_OTA_UPD_PATH_PREFIX));
    }

    @Test
    @DisplayName("waits for an attrd that is not there yet, and comes back to one that was restarted")
    void restart() throws Exception {
        Handler handler = new Handler();
        AttributeClient otamgr = start(otamgr(handler));
        assertEquals(AttributeStatus.NO_DAEMON, failure(otamgr.get(Attribute.HUBBY_STATE)));
        for (int i = 0; i < 3; i++) {
            startAttrd(options());
            handler.expect("connected");
            assertArrayEquals(new byte[] {0}, result(otamgr.get(Attribute.ATTRD_REBOOT_REASON)));
            attrd.close();
            handler.expect("disconnected");
        }
        assertTrue(Files.exists(socket()), "a crashed attrd leaves its socket");
        startAttrd(options());
        handler.expect("connected");
    }

    @Test
    @DisplayName("comes back after it was evicted by another process of the same name, without a fight")
    void eviction() throws Exception {
        startAttrd(options());
        Handler handler = new Handler();
        start(otamgr(handler).backoff(Duration.ofMillis(200), Duration.ofMillis(800)));
        handler.expect("connected");
        Handler rival = new Handler();
        start(otamgr(rival).backoff(Duration.ofMillis(200), Duration.ofMillis(800)));
        rival.expect("connected");
        handler.expect("disconnected");
        long start = System.nanoTime();
        for (int i = 0; i < 3; i++) {
            handler.expect("connected");
            rival.expect("disconnected");
            rival.expect("connected");
            handler.expect("disconnected");
        }
        // Each side waited three times: at least half of 200, 400 and 800 ms, one side after the other.
        long millis = (System.nanoTime() - start) / 1_000_000;
        assertTrue(millis >= 700, "6 evictions within " + millis + " ms");
    }

    @Test
    @DisplayName("comes back after attrd dropped it in the middle of a value")
    void droppedInTheMiddle() throws Exception {
        startAttrd(options().fragment(1000));
        Handler handler = new Handler();
        Owner owner = new Owner();
        owner.large = value(60_000);
        hubby(owner);
        AttributeClient otamgr = start(otamgr(handler));
        for (int i = 0; i < 10; i++) {
            handler.expect("connected");
            CompletableFuture<byte[]> get = otamgr.get(HUBBY_LARGE);
            assertEquals(1, attrd.drop(Attribute.OTAMGR));
            assertEquals(AttributeStatus.NO_DAEMON, failure(get));
            handler.expect("disconnected");
        }
        handler.expect("connected");
        assertArrayEquals(owner.large, result(otamgr.get(HUBBY_LARGE)));
    }

    @Test
    @DisplayName("does not close the socket on an attrd that still has to answer")
    void closeWhileAnswersAreDue() throws Exception {
        startAttrd(options());
        CountDownLatch asked = new CountDownLatch(1);
        CountDownLatch answer = new CountDownLatch(1);
        hubby(new Owner() {
            @Override
            public byte[] read(int attributeId) {
                asked.countDown();
                try {
                    assertTrue(answer.await(PATIENCE_SECONDS, TimeUnit.SECONDS));
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
                return new byte[] {2};
            }
        });
        Handler handler = new Handler();
        AttributeClient otamgr = start(otamgr(handler));
        handler.expect("connected");
        CompletableFuture<byte[]> get = otamgr.get(Attribute.HUBBY_STATE);
        assertTrue(asked.await(PATIENCE_SECONDS, TimeUnit.SECONDS));
        CompletableFuture<Void> closed = CompletableFuture.runAsync(otamgr::close);
        answer.countDown();
        assertArrayEquals(new byte[] {2}, result(get));
        result(closed);
        handler.expect("disconnected");
    }

    @Test
    @DisplayName("may be started and closed at any moment without harm to attrd")
    void startAndCloseQuickly() throws Exception {
        startAttrd(options());
        hubby(new Owner());
        for (int i = 0; i < 50; i++) {
            AttributeClient client = otamgr(new Handler()).build();
            client.start();
            for (int spin = 0; spin < i * 20_000; spin++) {
                Thread.onSpinWait();
            }
            client.get(Attribute.HUBBY_STATE);
            client.close();
        }
        assertEquals(0, attrd.writesIntoClosedSockets());
    }
}
