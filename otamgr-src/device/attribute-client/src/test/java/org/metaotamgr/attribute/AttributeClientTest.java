// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.wire.AttributeStatus;
import org.metaotamgr.wire.Incoming;
import org.metaotamgr.wire.ListenRange;
import org.metaotamgr.wire.Message;
import org.metaotamgr.wire.Opcode;
import org.newsclub.net.unix.AFUNIXServerSocket;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;

@DisplayName("The attribute client")
@Timeout(120)
class AttributeClientTest {
    private static final int STATE = 51611;
    private static final int PATH = 51612;
    private static final int PREFIX = 51618;
    private static final byte[] ONE = {1};

    @TempDir
    Path directory;

    private final List<String> log = new ArrayList<>();
    private final Recorder recorder = new Recorder();
    private Path socket;
    private FakeDaemon daemon;
    private AttributeClient client;

    @BeforeEach
    void listen() throws IOException {
        socket = directory.resolve("IPC.ATTRD");
        daemon = new FakeDaemon(socket);
    }

    @AfterEach
    void close() throws IOException {
        // The daemon first: a test that failed may have left requests that nobody will answer.
        daemon.close();
        if (client != null) {
            client.close();
        }
    }

    private AttributeClient.Builder builder(AttributeHandler handler) {
        return AttributeClient.builder(socket, "IPC.OTAMGR")
                .listen(STATE, PATH)
                .listen(65012, 65012)
                .handler(handler)
                .backoff(Duration.ofMillis(10), Duration.ofMillis(50))
                .log(this::log);
    }

    private void log(String line) {
        synchronized (log) {
            log.add(line);
        }
    }

    private FakeDaemon.Connection connect(AttributeHandler handler) throws Exception {
        client = builder(handler).build();
        client.start();
        FakeDaemon.Connection connection = daemon.acceptOpen();
        if (handler instanceof Recorder told) {
            told.expect("connected");
        }
        return connection;
    }

    private static byte[] value(int size) {
        byte[] value = new byte[size];
        new Random(size).nextBytes(value);
        return value;
    }

    private static <T> T result(CompletableFuture<T> future) throws Exception {
        return future.get(FakeDaemon.PATIENCE_SECONDS, TimeUnit.SECONDS);
    }

    private static AttributeException failure(CompletableFuture<?> future) {
        ExecutionException failed = assertThrows(ExecutionException.class, () -> result(future));
        return assertInstanceOf(AttributeException.class, failed.getCause());
    }

    /** Sends a value to the client as the daemon does, waiting for each ack. */
    private void transfer(
            FakeDaemon.Connection connection, Opcode opcode, int operationId, int attributeId, byte[] value)
            throws Exception {
        int id = 100;
        int transaction = 0;
        int at = 0;
        do {
            int end = Math.min(value.length, at + 3968);
            connection.ask(
                    id,
                    new Message.Packet(
                            opcode,
                            transaction,
                            operationId,
                            attributeId,
                            value.length,
                            at,
                            Arrays.copyOfRange(value, at, end)));
            Message.Ack ack = daemon.codec.ack(connection.answerTo(id));
            assertEquals(0, ack.status());
            transaction = ack.transactionId();
            at = end;
            id++;
        } while (at < value.length);
    }

    /** Receives a value from the client as the daemon does. */
    private byte[] collect(FakeDaemon.Connection connection, Opcode opcode, int operationId) throws Exception {
        ByteArrayOutputStream value = new ByteArrayOutputStream();
        int size;
        do {
            Incoming.Request request = connection.request();
            Message.Packet packet = assertInstanceOf(Message.Packet.class, request.message());
            assertEquals(opcode, packet.opcode());
            if (operationId != 0) {
                assertEquals(operationId, packet.operationId());
            }
            assertEquals(value.size(), packet.position());
            assertEquals(value.size() == 0 ? 0 : 321, packet.transactionId());
            value.write(packet.chunk());
            size = packet.size();
            connection.answer(request, new Message.Ack(0, 321));
        } while (value.size() < size);
        return value.toByteArray();
    }

    // ---- connecting ----

    @Test
    @DisplayName("a connection that somebody else has made is used as an own one, and asked for again when it is gone")
    void handedOver() throws Exception {
        Path place = directory.resolve("helper");
        try (AFUNIXServerSocket helper = AFUNIXServerSocket.newInstance()) {
            helper.bind(AFUNIXSocketAddress.of(place));
            Thread helping = new Thread(() -> {
                try {
                    handOver(helper, false);
                    handOver(helper, true);
                    handOver(helper, true);
                } catch (IOException e) {
                    // The test has ended.
                    log(e.toString());
                }
            });
            helping.setDaemon(true);
            helping.start();
            Recorder told = new Recorder();
            client = builder(told).through(place).build();
            client.start();
            FakeDaemon.Connection connection = daemon.acceptOpen();
            told.expect("connected");
            awaitLog("cannot connect to " + socket + ": ", "refused attrd: No such file");
            connection.close();
            daemon.acceptOpen();
        }
    }

    /** What otamgr-root does for {@code attrd}. */
    private void handOver(AFUNIXServerSocket helper, boolean isThere) throws IOException {
        try (AFUNIXSocket asked = helper.accept()) {
            assertArrayEquals(
                    "attrd\0\0".getBytes(StandardCharsets.US_ASCII),
                    asked.getInputStream().readNBytes(7));
            if (isThere) {
                // Closing it here would shut it down for both.
                AFUNIXSocket made = AFUNIXSocket.connectTo(AFUNIXSocketAddress.of(socket));
                asked.setOutboundFileDescriptors(made.getFileDescriptor());
                asked.getOutputStream().write("attrd\n".getBytes(StandardCharsets.US_ASCII));
            } else {
                asked.getOutputStream().write("refused attrd: No such file\n".getBytes(StandardCharsets.US_ASCII));
            }
        }
    }

    @Test
    @DisplayName("opens with its name and ranges before anything else and tells who is at the other end")
    void opens() throws Exception {
        client = builder(recorder).build();
        client.start();
        FakeDaemon.Connection connection = daemon.accept();
        Incoming.Request open = connection.request();
        assertEquals(
                new Message.Open("IPC.OTAMGR", List.of(new ListenRange(STATE, PATH), new ListenRange(65012, 65012))),
                open.message());
        assertEquals(1, open.id());
        assertTrue(recorder.events.isEmpty(), "connected before the daemon agreed");
        connection.answer(open, new Message.OpenReply(0));
        recorder.expect("connected");
        assertEquals(ProcessHandle.current().pid(), recorder.peer.pid());
        assertEquals(Files.getAttribute(directory, "unix:uid"), (int) recorder.peer.uid());
    }

    @Test
    @DisplayName("uses junixsocket's native library in place and unpacks nothing")
    void nativeLibraryInPlace() throws Exception {
        connect(recorder);
        String library = System.getProperty(NativeLibrary.PROPERTY);
        List<String> mapped = Files.readAllLines(Path.of("/proc/self/maps"));
        assertTrue(mapped.stream().anyMatch(line -> line.endsWith(library)), library + " is not mapped");
        assertEquals(
                List.of(),
                mapped.stream().filter(line -> line.contains("libtmp")).toList());
        // The folder is everybody's: only what came after this process began can be its own.
        Instant began = ProcessHandle.current().info().startInstant().orElseThrow();
        try (var files = Files.list(Path.of(System.getProperty("java.io.tmpdir")))) {
            assertEquals(
                    List.of(),
                    files.map(Path::toFile)
                            .filter(file -> file.getName().startsWith("libtmp")
                                    && Instant.ofEpochMilli(file.lastModified()).isAfter(began))
                            .toList());
        }
        assertEquals(null, NativeLibrary.problem());
    }

    @Test
    @DisplayName("says what to do when the native library would be unpacked")
    void nativeLibraryWarning() {
        String library = System.getProperty(NativeLibrary.PROPERTY);
        try {
            System.clearProperty(NativeLibrary.PROPERTY);
            assertTrue(NativeLibrary.problem().contains("-D" + NativeLibrary.PROPERTY + "="));
            System.setProperty(NativeLibrary.PROPERTY, "/nowhere/lib.so");
            assertTrue(NativeLibrary.problem().contains("no readable file"));
            System.setProperty(NativeLibrary.PROPERTY, "lib.so");
            assertTrue(NativeLibrary.problem().contains("no absolute path"));
        } finally {
            System.setProperty(NativeLibrary.PROPERTY, library);
        }
    }

    @Test
    @DisplayName("connects when the daemon appears after it")
    void daemonAbsentAtStart() throws Exception {
        daemon.close();
        Files.deleteIfExists(socket);
        client = builder(recorder).build();
        client.start();
        assertInstanceOf(NotConnectedException.class, failure(client.get(STATE)));
        awaitLog("cannot connect to " + socket);
        daemon = new FakeDaemon(socket);
        daemon.acceptOpen();
        recorder.expect("connected");
    }

    /** The log has a thread of its own, so what was said before something happened may be read only after it. */
    private void awaitLog(String start) throws InterruptedException {
        awaitLog(start, "");
    }

    private void awaitLog(String start, String part) throws InterruptedException {
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(FakeDaemon.PATIENCE_SECONDS);
        while (System.nanoTime() - until < 0) {
            synchronized (log) {
                for (String line : log) {
                    if (line.startsWith(start) && line.contains(part)) {
                        return;
                    }
                }
            }
            Thread.sleep(5);
        }
        throw new AssertionError("not logged: " + start + "…" + part);
    }

    @Test
    @DisplayName("logs an absent daemon once, not at every try")
    void quietWhileAbsent() throws Exception {
        daemon.close();
        Files.deleteIfExists(socket);
        client = builder(recorder)
                .backoff(Duration.ofMillis(1), Duration.ofMillis(2))
                .build();
        client.start();
        awaitLog("cannot connect");
        // Time for dozens of tries; on a slow machine for fewer, which fails nothing.
        Thread.sleep(100);
        synchronized (log) {
            assertEquals(1, log.size(), log.toString());
        }
        daemon = new FakeDaemon(socket);
        daemon.acceptOpen();
        recorder.expect("connected");
    }

    @Test
    @DisplayName("comes back after the daemon went away, and tells both")
    void reconnects() throws Exception {
        FakeDaemon.Connection first = connect(recorder);
        CompletableFuture<byte[]> outstanding = client.get(STATE);
        first.request();
        first.close();
        assertInstanceOf(NotConnectedException.class, failure(outstanding));
        recorder.expect("disconnected: attrd closed the connection");
        FakeDaemon.Connection second = daemon.acceptOpen();
        recorder.expect("connected");
        CompletableFuture<byte[]> get = client.get(STATE);
        second.answer(second.request(), new Message.GetValue(ONE));
        assertArrayEquals(ONE, result(get));
    }

    @Test
    @DisplayName("slows down when it is thrown out right after every OPEN")
    void evicted() throws Exception {
        client = builder(recorder)
                .backoff(Duration.ofMillis(100), Duration.ofMillis(400))
                .build();
        long start = System.nanoTime();
        client.start();
        for (int i = 0; i < 6; i++) {
            daemon.acceptOpen().close();
            recorder.expect("connected");
            recorder.expect("disconnected: attrd closed the connection");
        }
        long millis = (System.nanoTime() - start) / 1_000_000;
        // Five waits, each at least half of 100, 200, 400, 400, 400.
        assertTrue(millis >= 750, "6 connections within " + millis + " ms");
    }

    @Test
    @DisplayName("tries again when its OPEN is refused or not answered, and is not connected until then")
    void openRefused() throws Exception {
        client = builder(recorder).build();
        client.start();
        FakeDaemon.Connection refusing = daemon.accept();
        refusing.answer(refusing.request(), new Message.OpenReply(AttributeStatus.FORBIDDEN.code()));
        refusing.awaitEnd();
        refusing.close();
        FakeDaemon.Connection silent = daemon.accept();
        silent.request();
        assertInstanceOf(NotConnectedException.class, failure(client.get(STATE)));
        silent.awaitEnd();
        silent.close();
        daemon.acceptOpen();
        recorder.expect("connected");
        awaitLog("attrd did not accept this client: OPEN was refused with FORBIDDEN (10)");
        awaitLog("attrd did not accept this client: OPEN was not answered within 1000 ms");
    }

    // ---- asking ----

    @Test
    @DisplayName("gets values, inline and as a transaction")
    void gets() throws Exception {
        FakeDaemon.Connection connection = connect(recorder);
        CompletableFuture<byte[]> small = client.get(STATE);
        Incoming.Request request = connection.request();
        assertEquals(STATE, ((Message.Get) request.message()).attributeId());
        connection.answer(request, new Message.GetValue(ONE));
        assertArrayEquals(ONE, result(small));

        byte[] value = value(20_000);
        CompletableFuture<byte[]> large = client.get(PATH);
        request = connection.request();
        int operation = ((Message.Get) request.message()).operationId();
        connection.answer(request, new Message.GetLater(operation));
        transfer(connection, Opcode.GET_REPLY, operation, PATH, value);
        assertArrayEquals(value, result(large));
    }

    @Test
    @DisplayName("fails a get with the status of the daemon")
    void getRefused() throws Exception {
        FakeDaemon.Connection connection = connect(recorder);
        CompletableFuture<byte[]> get = client.get(99999);
        connection.answer(connection.request(), new Message.GetFailed(12, 1));
        AttributeException failure = failure(get);
        assertEquals(AttributeStatus.ATTR_ID_NOT_FOUND, failure.status());
        assertEquals("get of attribute 99999 failed: ATTR_ID_NOT_FOUND (12)", failure.getMessage());
    }

    @Test
    @DisplayName("sets values of every size and waits for their end")
    void sets() throws Exception {
        FakeDaemon.Connection connection = connect(recorder);
        for (int size : new int[] {0, 1, 3968, 3969, 65534}) {
            byte[] value = value(size);
            CompletableFuture<Void> set = client.set(PATH, value);
            byte[] wanted = value.clone();
            Arrays.fill(value, (byte) 0);
            assertArrayEquals(wanted, collect(connection, Opcode.SET, 0), "value was not copied");
            assertFalse(set.isDone());
            connection.tell(new Message.SetReply(0, lastSetOperation(size)));
            result(set);
        }
        assertThrows(IllegalArgumentException.class, () -> client.set(PATH, new byte[65535]));
        CompletableFuture<Void> refused = client.set(PATH, ONE);
        connection.answer(connection.request(), new Message.Ack(0, 1));
        connection.tell(new Message.SetReply(10, 6));
        assertEquals(AttributeStatus.FORBIDDEN, failure(refused).status());
    }

    /** Operations are numbered in order, and this test makes nothing but sets. */
    private static int lastSetOperation(int size) {
        return List.of(0, 1, 3968, 3969, 65534).indexOf(size) + 1;
    }

    @Test
    @DisplayName("handles messages split at any byte and glued together in any number")
    void splitAndGlued() throws Exception {
        FakeDaemon.Connection connection = connect(recorder);
        ByteArrayOutputStream glued = new ByteArrayOutputStream();
        for (int i = 1; i <= 200; i++) {
            glued.write(daemon.codec.encode(
                    0x8000 | i, new Message.Packet(Opcode.NOTIFY, 0, 0, STATE, 1, 0, new byte[] {(byte) i})));
        }
        byte[] all = glued.toByteArray();
        connection.send(all);
        for (int i = 1; i <= 200; i++) {
            recorder.expect("notified " + STATE + "=" + HexFormat.of().toHexDigits((byte) i));
            assertEquals(0, daemon.codec.ack(connection.answerTo(i)).status());
        }
        for (int at = 0; at < 38 * 10; at++) {
            connection.send(new byte[] {all[at]});
        }
        for (int i = 1; i <= 10; i++) {
            recorder.expect("notified " + STATE + "=" + HexFormat.of().toHexDigits((byte) i));
            assertEquals(0, daemon.codec.ack(connection.answerTo(i)).status());
        }
    }

    @Test
    @DisplayName("talks to a daemon on a host of the other byte order")
    void otherByteOrder() throws Exception {
        daemon.close();
        ByteOrder other =
                ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
        daemon = new FakeDaemon(socket, other);
        client = builder(recorder).byteOrder(other).build();
        client.start();
        FakeDaemon.Connection connection = daemon.accept();
        Incoming.Request open = connection.request();
        assertEquals(
                new ListenRange(STATE, PATH),
                ((Message.Open) open.message()).ranges().get(0));
        connection.answer(open, new Message.OpenReply(0));
        recorder.expect("connected");
        transfer(connection, Opcode.NOTIFY, 0, PATH, ONE);
        recorder.expect("notified 51612=01");
    }

    // ---- answering ----

    @Test
    @DisplayName("accepts a notification before its OPEN is answered")
    void notifiedBeforeOpen() throws Exception {
        client = builder(recorder).build();
        client.start();
        FakeDaemon.Connection connection = daemon.accept();
        Incoming.Request open = connection.request();
        transfer(connection, Opcode.NOTIFY, 0, STATE, ONE);
        connection.answer(open, new Message.OpenReply(0));
        recorder.expect("notified 51611=01");
        recorder.expect("connected");
    }

    @Test
    @DisplayName("acknowledges, reassembles and answers while a handler is slow")
    void slowHandler() throws Exception {
        recorder.holdNotified = new CountDownLatch(1);
        FakeDaemon.Connection connection = connect(new Recorder() {
            @Override
            public void notified(int attributeId, byte[] value) {
                recorder.notified(attributeId, value);
            }

            @Override
            public Optional<byte[]> read(int attributeId) {
                return Optional.of("/tmp\0".getBytes(StandardCharsets.UTF_8));
            }
        });
        transfer(connection, Opcode.NOTIFY, 0, STATE, ONE);
        recorder.expect("notified 51611=01");
        // The handler sits in that call now.
        transfer(connection, Opcode.NOTIFY, 0, PATH, value(30_000));
        connection.ask(7, new Message.Get(PREFIX, 1));
        Message.GetValue answer =
                assertInstanceOf(Message.GetValue.class, daemon.codec.getReply(connection.answerTo(7)));
        assertArrayEquals("/tmp\0".getBytes(StandardCharsets.UTF_8), answer.value());
        assertTrue(recorder.events.isEmpty());
        recorder.holdNotified.countDown();
        recorder.expect("notified 51612=30000 bytes");
    }

    @Test
    @DisplayName("answers every get of an own attribute: with the value, in pieces if large, or NOT_IMPLEMENTED")
    void answersGets() throws Exception {
        byte[] large = value(10_000);
        FakeDaemon.Connection connection = connect(new Recorder() {
            @Override
            public Optional<byte[]> read(int attributeId) {
                switch (attributeId) {
                    case 1:
                        return Optional.of(large);
                    case 2:
                        return Optional.of(new byte[65535]);
                    case 3:
                        throw new IllegalStateException("broken handler");
                    case 4:
                        return null;
                    default:
                        return Optional.empty();
                }
            }
        });
        connection.ask(1, new Message.Get(1, 0x77));
        assertEquals(new Message.GetLater(0x77), daemon.codec.getReply(connection.answerTo(1)));
        assertArrayEquals(large, collect(connection, Opcode.GET_REPLY, 0x77));
        for (int attribute = 2; attribute <= 5; attribute++) {
            connection.ask(attribute, new Message.Get(attribute, 0x77));
            assertEquals(new Message.GetFailed(16, 0x77), daemon.codec.getReply(connection.answerTo(attribute)));
        }
        awaitLog("attribute handler failed: java.lang.IllegalStateException: broken handler");
    }

    @Test
    @DisplayName("does not depend on its log")
    void brokenLog() throws Exception {
        client = builder(recorder)
                .log(line -> {
                    throw new IllegalStateException("disk full");
                })
                .build();
        client.start();
        for (int i = 0; i < 3; i++) {
            daemon.acceptOpen().close();
            recorder.expect("connected");
            recorder.expect("disconnected: attrd closed the connection");
        }
    }

    @Test
    @DisplayName("acknowledges a set of an own attribute and then tells how the handler took it")
    void answersSets() throws Exception {
        FakeDaemon.Connection connection = connect(new Recorder() {
            @Override
            public AttributeStatus written(int attributeId, byte[] value) {
                if (attributeId == 3) {
                    throw new IllegalStateException("broken handler");
                }
                return value.length == 1 ? AttributeStatus.OK : AttributeStatus.SET_REJECT_BUSY;
            }
        });
        int operation = 10;
        for (int[] attributeAndStatus : new int[][] {{1, 0}, {2, 15}, {3, 1}}) {
            byte[] value = new byte[attributeAndStatus[0]];
            transfer(connection, Opcode.SET, ++operation, attributeAndStatus[0], value);
            Incoming.Unsolicited reply =
                    assertInstanceOf(Incoming.Unsolicited.class, daemon.codec.classify(connection.next()));
            assertEquals(new Message.SetReply(attributeAndStatus[1], operation), reply.message());
        }
    }

    @Test
    @DisplayName("answers for a handler that does not come to an end before the daemon gives up")
    void answersForStuckHandler() throws Exception {
        AtomicLong clock = new AtomicLong();
        CountDownLatch stuck = new CountDownLatch(1);
        CountDownLatch inRead = new CountDownLatch(1);
        CountDownLatch inWritten = new CountDownLatch(1);
        client = builder(new AttributeHandler() {
                    @Override
                    public Optional<byte[]> read(int attributeId) {
                        await(inRead);
                        return Optional.of(ONE);
                    }

                    @Override
                    public AttributeStatus written(int attributeId, byte[] value) {
                        await(inWritten);
                        return AttributeStatus.OK;
                    }

                    private void await(CountDownLatch in) {
                        in.countDown();
                        try {
                            stuck.await();
                        } catch (InterruptedException e) {
                            Thread.currentThread().interrupt();
                        }
                    }
                })
                .nanoClock(clock::get)
                .build();
        client.start();
        FakeDaemon.Connection connection = daemon.acceptOpen();
        connection.ask(1, new Message.Get(PREFIX, 5));
        transfer(connection, Opcode.SET, 6, PREFIX, ONE);
        assertTrue(inRead.await(FakeDaemon.PATIENCE_SECONDS, TimeUnit.SECONDS));
        assertTrue(inWritten.await(FakeDaemon.PATIENCE_SECONDS, TimeUnit.SECONDS));
        clock.addAndGet(4_499_999_999L);
        client.clockMoved();
        connection.ask(200, new Message.Packet(Opcode.NOTIFY, 0, 0, STATE, 1, 0, ONE));
        assertEquals(0, daemon.codec.ack(connection.answerTo(200)).status(), "answered too early");
        clock.addAndGet(1);
        client.clockMoved();
        assertEquals(new Message.GetFailed(16, 5), daemon.codec.getReply(connection.answerTo(1)));
        assertEquals(new Incoming.Unsolicited(new Message.SetReply(14, 6)), daemon.codec.classify(connection.next()));
        stuck.countDown();
        connection.ask(201, new Message.Packet(Opcode.NOTIFY, 0, 0, STATE, 1, 0, ONE));
        assertEquals(0, daemon.codec.ack(connection.answerTo(201)).status(), "answered twice");
    }

    @Test
    @DisplayName("refuses a malformed notification with BAD_TLV and stays connected")
    void badTlv() throws Exception {
        FakeDaemon.Connection connection = connect(recorder);
        // the value is missing
        connection.send(HexFormat.of()
                .parseHex("08800000" + "23000000" + "001b" + "900001" + "a0000000" + "a0000000" + "b0000000c99b"
                        + "a0000001" + "a0000000"));
        assertEquals(new Message.Ack(4, 0), daemon.codec.ack(connection.answerTo(8)));
        transfer(connection, Opcode.NOTIFY, 0, STATE, ONE);
        recorder.expect("notified 51611=01");
    }

    @Test
    @DisplayName("refuses further values with NO_SPACE while its handler is far behind, and recovers")
    void handlerFarBehind() throws Exception {
        recorder.holdNotified = new CountDownLatch(1);
        FakeDaemon.Connection connection = connect(recorder);
        byte[] value = value(65_000);
        Message.Ack refusal = null;
        int taken = 0;
        for (int i = 0; i < 100 && refusal == null; i++) {
            connection.ask(1, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, value.length, 0, new byte[1]));
            Message.Ack ack = daemon.codec.ack(connection.answerTo(1));
            if (ack.status() != 0) {
                refusal = ack;
            } else {
                // spoil that one, and send it as a whole
                connection.ask(2, new Message.Packet(Opcode.NOTIFY, ack.transactionId(), 0, PATH, 1, 0, new byte[1]));
                assertEquals(6, daemon.codec.ack(connection.answerTo(2)).status());
                transfer(connection, Opcode.NOTIFY, 0, PATH, value);
                taken++;
            }
        }
        assertEquals(new Message.Ack(5, 0), refusal);
        recorder.holdNotified.countDown();
        for (int i = 0; i < taken; i++) {
            recorder.expect("notified 51612=65000 bytes");
        }
        // Whoever needs the values that were refused has to get them.
        recorder.expect("missed");
        transfer(connection, Opcode.NOTIFY, 0, STATE, ONE);
        recorder.expect("notified 51611=01");
    }

    @Test
    @DisplayName("says that a value was missed whose sender fell silent in the middle of it")
    void silentInTheMiddle() throws Exception {
        FakeDaemon.Connection connection = connect(recorder);
        connection.ask(1, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 10, 0, new byte[1]));
        assertEquals(0, daemon.codec.ack(connection.answerTo(1)).status());
        recorder.expect("missed");
    }

    @Test
    @DisplayName("reads 10,000 notifications without a pause although neither its acks nor its log get anywhere")
    void withoutPause() throws Exception {
        BlockingQueue<Integer> seen = new LinkedBlockingQueue<>();
        CountDownLatch stalled = new CountDownLatch(1);
        client = builder(new AttributeHandler() {
                    @Override
                    public void notified(int attributeId, byte[] value) {
                        seen.add(Byte.toUnsignedInt(value[0]) << 8 | Byte.toUnsignedInt(value[1]));
                    }
                })
                .log(line -> {
                    try {
                        stalled.await();
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                })
                .build();
        client.start();
        // It reads no acks meanwhile, as the original does not while hubby goes on.
        FakeDaemon.Connection connection = daemon.acceptOpen();
        connection.stopReading();
        for (int i = 0; i < 10_000; i++) {
            connection.send(daemon.codec.encode(
                    0x8001 + i,
                    new Message.Packet(Opcode.NOTIFY, 0, 0, STATE, 2, 0, new byte[] {(byte) (i >> 8), (byte) i})));
        }
        for (int i = 0; i < 10_000; i++) {
            assertEquals(i, seen.poll(FakeDaemon.PATIENCE_SECONDS, TimeUnit.SECONDS));
        }
        stalled.countDown();
        connection.goOnReading();
    }

    @Test
    @DisplayName("answers, notifies and closes while its log stalls, and says later how many lines are missing")
    void stalledLog() throws Exception {
        CountDownLatch stalled = new CountDownLatch(1);
        client = builder(recorder)
                .log(line -> {
                    try {
                        stalled.await();
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                    log(line);
                })
                .build();
        client.start();
        FakeDaemon.Connection connection = daemon.acceptOpen();
        recorder.expect("connected");
        for (int i = 0; i < 1000; i++) {
            // Each is worth a line.
            connection.answer(new Incoming.Request(4711, new Message.Get(1, 1)), new Message.GetValue(ONE));
        }
        connection.ask(1, new Message.Get(PREFIX, 1));
        assertEquals(new Message.GetFailed(16, 1), daemon.codec.getReply(connection.answerTo(1)));
        transfer(connection, Opcode.NOTIFY, 0, STATE, ONE);
        recorder.expect("notified 51611=01");
        CompletableFuture<Void> closed = CompletableFuture.runAsync(client::close);
        connection.awaitEnd();
        connection.close();
        result(closed);
        stalled.countDown();
        awaitLog("the log was too slow, ");
    }

    // ---- in trouble ----

    @Test
    @DisplayName("keeps reading while its own writes are stuck")
    void blockedWrite() throws Exception {
        byte[] value = value(3000);
        FakeDaemon.Connection connection = connect(new Recorder() {
            @Override
            public void notified(int attributeId, byte[] notification) {
                recorder.notified(attributeId, notification);
            }

            @Override
            public Optional<byte[]> read(int attributeId) {
                return Optional.of(value);
            }
        });
        connection.stopReading();
        int gets = 250;
        for (int id = 1; id <= gets; id++) {
            connection.ask(id, new Message.Get(PREFIX, id));
        }
        // More than the socket holds is on its way back now; this must arrive all the same.
        connection.ask(1000, new Message.Packet(Opcode.NOTIFY, 0, 0, STATE, 1, 0, ONE));
        recorder.expect("notified 51611=01");
        connection.goOnReading();
        boolean acked = false;
        for (int answers = 0; answers < gets + 1; answers++) {
            Incoming.Response response =
                    assertInstanceOf(Incoming.Response.class, daemon.codec.classify(connection.next()));
            if (response.id() == 1000) {
                acked = true;
            } else {
                assertArrayEquals(value, ((Message.GetValue) daemon.codec.getReply(response.body())).value());
            }
        }
        assertTrue(acked);
    }

    @Test
    @DisplayName("survives a daemon that goes away while it writes")
    void brokenPipe() throws Exception {
        FakeDaemon.Connection connection = connect(recorder);
        for (int round = 0; round < 20; round++) {
            for (int i = 0; i < 50; i++) {
                client.set(PATH, value(3000));
            }
            connection.close();
            assertTrue(recorder.next().startsWith("disconnected: "));
            connection = daemon.acceptOpen();
            recorder.expect("connected");
        }
        CompletableFuture<byte[]> get = client.get(STATE);
        connection.answer(connection.request(), new Message.GetValue(ONE));
        assertArrayEquals(ONE, result(get));
    }

    @Test
    @DisplayName("gives up a stream that cannot be understood, in order, and connects anew")
    void framingLost() throws Exception {
        FakeDaemon.Connection connection = connect(recorder);
        CompletableFuture<byte[]> get = client.get(STATE);
        Incoming.Request request = connection.request();
        connection.send(HexFormat.of().parseHex("0180000004000000" + "0005900001"));
        assertInstanceOf(NotConnectedException.class, failure(get));
        connection.awaitEnd();
        // Its sending side is shut, but an answer that is already on its way does not hit a closed socket.
        connection.answer(request, new Message.GetValue(ONE));
        connection.answer(request, new Message.GetValue(ONE));
        connection.close();
        assertTrue(recorder.next().startsWith("disconnected: a message header says 4 bytes, expected 9 to 4096"));
        daemon.acceptOpen();
        recorder.expect("connected");
    }

    // ---- closing ----

    @Test
    @DisplayName("waits for the answers to its requests before it closes the socket")
    void closeWaits() throws Exception {
        FakeDaemon.Connection connection = connect(recorder);
        CompletableFuture<byte[]> get = client.get(STATE);
        CompletableFuture<Void> set = client.set(PATH, ONE);
        Incoming.Request getRequest = connection.request();
        Incoming.Request setRequest = connection.request();
        CompletableFuture<Void> closed = CompletableFuture.runAsync(client::close);
        int probes = awaitRefusal();
        connection.answer(getRequest, new Message.GetValue(ONE));
        assertArrayEquals(ONE, result(get));
        connection.answer(setRequest, new Message.Ack(0, 1));
        connection.tell(new Message.SetReply(0, ((Message.Packet) setRequest.message()).operationId()));
        result(set);
        for (int i = 0; i < probes; i++) {
            connection.assertOpen();
            connection.answer(connection.request(), new Message.GetValue(ONE));
        }
        connection.awaitEnd();
        assertFalse(closed.isDone(), "closed before the daemon had closed its side");
        connection.close();
        result(closed);
        recorder.expect("disconnected: closed by this side");
        assertEquals(0, daemon.waiting());
    }

    /** Waits until close() has begun and requests are refused; returns how many were not. */
    private int awaitRefusal() {
        int accepted = 0;
        while (!client.get(1).isCompletedExceptionally()) {
            accepted++;
            Thread.onSpinWait();
        }
        return accepted;
    }

    @Test
    @DisplayName("closes after its requests timed out if they are never answered")
    void closeAfterTimeout() throws Exception {
        AtomicLong clock = new AtomicLong();
        client = builder(recorder).nanoClock(clock::get).build();
        client.start();
        FakeDaemon.Connection connection = daemon.acceptOpen();
        recorder.expect("connected");
        CompletableFuture<byte[]> get = client.get(STATE);
        connection.request();
        CompletableFuture<Void> closed = CompletableFuture.runAsync(client::close);
        clock.addAndGet(4_999_999_999L);
        client.clockMoved();
        connection.ask(1, new Message.Packet(Opcode.NOTIFY, 0, 0, STATE, 1, 0, ONE));
        connection.answerTo(1);
        connection.assertOpen();
        clock.addAndGet(1);
        client.clockMoved();
        assertEquals(AttributeStatus.TIMEOUT, failure(get).status());
        connection.ask(2, new Message.Packet(Opcode.NOTIFY, 0, 0, STATE, 1, 0, ONE));
        connection.answerTo(2);
        connection.assertOpen();
        // The daemon's own time-out would have come by now.
        clock.addAndGet(1_000_000_000L);
        client.clockMoved();
        connection.awaitEnd();
        connection.close();
        result(closed);
    }

    @Test
    @DisplayName("closes in the end even if the daemon does not")
    void closeWithoutDaemonsHelp() throws Exception {
        AtomicLong clock = new AtomicLong();
        client = builder(recorder).nanoClock(clock::get).build();
        client.start();
        FakeDaemon.Connection connection = daemon.acceptOpen();
        recorder.expect("connected");
        CompletableFuture<Void> closed = CompletableFuture.runAsync(client::close);
        connection.awaitEnd();
        assertFalse(closed.isDone());
        clock.addAndGet(1_000_000_000L);
        client.clockMoved();
        result(closed);
        assertThrows(IOException.class, () -> {
            connection.send(ONE);
            connection.send(ONE);
        });
    }

    @Test
    @DisplayName("can be closed before it is started, twice, from a handler and while the daemon is absent")
    void closeAnytime() throws Exception {
        client = builder(recorder).build();
        client.close();
        client.close();
        assertThrows(IllegalStateException.class, client::start);
        assertInstanceOf(NotConnectedException.class, failure(client.get(STATE)));

        CountDownLatch closedByHandler = new CountDownLatch(1);
        client = builder(new AttributeHandler() {
                    @Override
                    public void connected(Peer peer) {
                        client.close();
                        closedByHandler.countDown();
                    }
                })
                .build();
        client.start();
        FakeDaemon.Connection connection = daemon.acceptOpen();
        connection.awaitEnd();
        connection.close();
        assertTrue(closedByHandler.await(FakeDaemon.PATIENCE_SECONDS, TimeUnit.SECONDS));

        daemon.close();
        Files.deleteIfExists(socket);
        client = builder(recorder)
                .backoff(Duration.ofHours(1), Duration.ofHours(1))
                .build();
        client.start();
        awaitLog("cannot connect");
        result(CompletableFuture.runAsync(client::close));
    }

    // ---- settings ----

    @Test
    @DisplayName("refuses settings that the daemon would refuse or misunderstand")
    void settings() {
        for (String name : List.of("", "x".repeat(32), "a\0b", "ü")) {
            assertThrows(IllegalArgumentException.class, () -> AttributeClient.builder(socket, name), name);
        }
        AttributeClient.Builder builder =
                AttributeClient.builder(socket, "x".repeat(31)).listen(10, 20);
        for (int[] range : new int[][] {{21, 20}, {20, 21}, {5, 10}, {12, 13}, {1, 100}}) {
            assertThrows(IllegalArgumentException.class, () -> builder.listen(range[0], range[1]));
        }
        for (int i = 0; i < 9; i++) {
            builder.listen(100 + i, 100 + i);
        }
        assertThrows(IllegalArgumentException.class, () -> builder.listen(200, 200));
        assertThrows(IllegalArgumentException.class, () -> builder.backoff(Duration.ZERO, Duration.ofSeconds(1)));
        assertThrows(
                IllegalArgumentException.class, () -> builder.backoff(Duration.ofSeconds(2), Duration.ofSeconds(1)));
    }
}
