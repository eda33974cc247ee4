// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.wire.AttributeStatus;
import org.metaotamgr.wire.Frame;
import org.metaotamgr.wire.Incoming;
import org.metaotamgr.wire.ListenRange;
import org.metaotamgr.wire.Message;
import org.metaotamgr.wire.MessageCodec;
import org.metaotamgr.wire.MessageReader;
import org.metaotamgr.wire.Opcode;
import org.metaotamgr.wire.Sequence;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;

@DisplayName("The attrd simulator")
@Timeout(120)
class AttrdTest {
    @TempDir
    Path directory;

    private final LogRecorder log = new LogRecorder();
    private final AtomicLong clock = new AtomicLong();
    private final List<AutoCloseable> open = new ArrayList<>();
    private Path socket;
    private Path rebootReason;
    private Attrd attrd;

    @BeforeEach
    void start() throws IOException {
        socket = directory.resolve("IPC.ATTRD");
        rebootReason = directory.resolve("reboot_reason");
        attrd = new Attrd(socket, new Attrd.Options().rebootReason(rebootReason).nanoClock(clock::get), log);
        attrd.start();
    }

    @AfterEach
    void close() throws Exception {
        for (AutoCloseable closeable : open) {
            closeable.close();
        }
        attrd.close();
    }

    /** Owns its attributes, remembers what it is told. */
    private static class Own implements SimulatedClient.Owner {
        final BlockingQueue<String> told = new LinkedBlockingQueue<>();

        @Override
        public byte[] read(int attributeId) {
            return attributeId == Attribute.HUBBY_ASR_STATE ? null : new byte[] {7};
        }

        @Override
        public AttributeStatus written(int attributeId, byte[] value) {
            return value.length == 4 ? AttributeStatus.OK : AttributeStatus.BAD_PARAM;
        }

        @Override
        public void notified(int attributeId, byte[] value) {
            told.add(attributeId + "=" + Hex.of(value));
        }

        void expect(String what) throws InterruptedException {
            assertEquals(what, told.poll(LogRecorder.PATIENCE_SECONDS, TimeUnit.SECONDS));
        }
    }

    private SimulatedClient client(String name, Own own, ListenRange... ranges) throws IOException {
        SimulatedClient client = new SimulatedClient(socket, name, List.of(ranges), own, log);
        open.add(0, client);
        return client;
    }

    private static void assertRefused(AttributeStatus status, Executable action) {
        assertEquals(
                status,
                assertThrows(SimulatedClient.RefusedException.class, action).status());
    }

    /** A client that says what a well-behaved one would not. */
    private final class Raw implements AutoCloseable {
        private final MessageCodec codec = new MessageCodec(ByteOrder.nativeOrder());
        private final MessageReader reader = new MessageReader(ByteOrder.nativeOrder());
        private final AFUNIXSocket connection = AFUNIXSocket.newInstance();

        Raw() throws IOException {
            connection.connect(AFUNIXSocketAddress.of(socket));
            open.add(0, this);
        }

        void send(int sequence, Message message) throws IOException {
            connection.getOutputStream().write(codec.encode(sequence, message));
        }

        void open(String name, ListenRange... ranges) throws IOException {
            send(0x8001, new Message.Open(name, List.of(ranges)));
        }

        /** The next message; null at the end of the stream. */
        Frame next() throws IOException {
            byte[] buffer = new byte[4096];
            Frame frame = reader.next();
            while (frame == null) {
                int count = connection.getInputStream().read(buffer);
                if (count < 0) {
                    return null;
                }
                reader.append(buffer, 0, count);
                frame = reader.next();
            }
            return frame;
        }

        byte[] answer(int id) throws IOException {
            Frame frame = next();
            assertNotNull(frame, "attrd closed the connection");
            assertEquals(id, Sequence.id(frame.sequence()));
            assertEquals(Sequence.Kind.RESPONSE, Sequence.kind(frame.sequence()));
            return frame.body();
        }

        @Override
        public void close() throws IOException {
            connection.close();
        }
    }

    @Test
    @DisplayName("gives every connection a number and puts it into its responses only")
    void clientIds() throws Exception {
        for (int id = 1; id <= 3; id++) {
            Raw raw = new Raw();
            raw.open("IPC.NOBODY");
            Frame reply = raw.next();
            assertEquals(id << 16 | 1, reply.sequence());
        }
    }

    @Test
    @DisplayName("accepts names of up to 31 bytes and up to 10 ranges")
    void openLimits() throws Exception {
        Object[][] cases = {
            {"x".repeat(31), 10, AttributeStatus.OK},
            {"x".repeat(32), 0, AttributeStatus.UNSPECIFIED},
            {"IPC.NOBODY", 11, AttributeStatus.TOO_MANY_RANGES},
        };
        for (Object[] one : cases) {
            Raw raw = new Raw();
            ListenRange[] ranges = new ListenRange[(int) one[1]];
            for (int i = 0; i < ranges.length; i++) {
                ranges[i] = new ListenRange(i, i);
            }
            raw.open((String) one[0], ranges);
            assertEquals(
                    ((AttributeStatus) one[2]).code(),
                    raw.codec.openReply(raw.answer(1)).status(),
                    one[0].toString());
        }
    }

    @Test
    @DisplayName("evicts an earlier client of the same name, but lets any number be IPC.ATTRC or unknown")
    void eviction() throws Exception {
        SimulatedClient first = client(Attribute.HUBBY, new Own());
        SimulatedClient second = client(Attribute.HUBBY, new Own());
        assertTrue(!first.awaitDisconnect(60_000));
        assertTrue(second.isConnected());
        for (String name : new String[] {Attribute.ATTRC, "IPC.NOBODY"}) {
            SimulatedClient one = client(name, new Own());
            SimulatedClient other = client(name, new Own());
            one.get(Attribute.HUBBY_STATE);
            other.get(Attribute.HUBBY_STATE);
        }
    }

    @Test
    @DisplayName("lets ATTRC.<owner> act as an owner that is not connected")
    void actingAsOwner() throws Exception {
        SimulatedClient acting = client("ATTRC.HUBBY", new Own());
        acting.set(Attribute.HUBBY_STATE, new byte[] {2});
        acting.close();
        client(Attribute.HUBBY, new Own());
        assertRefused(AttributeStatus.FORBIDDEN, () -> client("ATTRC.HUBBY", new Own()));
    }

    @Test
    @DisplayName("closes a connection that sends OPEN twice")
    void openTwice() throws Exception {
        Raw raw = new Raw();
        raw.open("IPC.NOBODY");
        raw.answer(1);
        raw.send(0x8002, new Message.Open("IPC.NOBODY", List.of()));
        assertEquals(null, raw.next());
    }

    @Test
    @DisplayName("forwards a get to the owner under an id of its own")
    void forwardsGets() throws Exception {
        Raw owner = new Raw();
        owner.open(Attribute.OTAMGR);
        owner.answer(1);
        Raw asker = new Raw();
        asker.open("IPC.NOBODY");
        asker.answer(1);
        asker.send(0x8055, new Message.Get(Attribute.OTAMGR_OTA_UPD_PATH_PREFIX, 0x4444));
        Incoming.Request forwarded = assertInstanceOf(Incoming.Request.class, owner.codec.classify(owner.next()));
        Message.Get get = assertInstanceOf(Message.Get.class, forwarded.message());
        assertEquals(Attribute.OTAMGR_OTA_UPD_PATH_PREFIX, get.attributeId());
        assertNotEquals(0x4444, get.operationId());
        owner.send(forwarded.id(), new Message.GetFailed(16, 1));
        assertEquals(new Message.GetFailed(16, 0x4444), asker.codec.getReply(asker.answer(0x55)));
    }

    @Test
    @DisplayName(
            "answers for an owner that is absent, goes away, or sends nonsense, and for attributes it does not know")
    void getErrors() throws Exception {
        SimulatedClient asker = client(Attribute.ATTRC, new Own());
        assertRefused(AttributeStatus.ATTR_ID_NOT_FOUND, () -> asker.get(99999));
        assertRefused(AttributeStatus.OWNER_NOT_AVAILABLE, () -> asker.get(Attribute.HUBBY_STATE));
        Raw edge = new Raw();
        edge.open("IPC.EDGED");
        edge.answer(1);
        edge.send(0x8002, new Message.Get(Attribute.OTAMGR_OTA_UPD_PATH_PREFIX, 9));
        assertEquals(new Message.GetFailed(10, 9), edge.codec.getReply(edge.answer(2)));

        Raw owner = new Raw();
        owner.open(Attribute.HUBBY);
        owner.answer(1);
        Raw raw = new Raw();
        raw.open("IPC.NOBODY");
        raw.answer(1);
        raw.send(0x8002, new Message.Get(Attribute.HUBBY_STATE, 5));
        int id = Sequence.id(owner.next().sequence());
        owner.send(id, new Message.OpenReply(0));
        assertEquals(new Message.GetFailed(1, 5), raw.codec.getReply(raw.answer(2)));
        raw.send(0x8003, new Message.Get(Attribute.HUBBY_STATE, 6));
        owner.next();
        owner.close();
        assertEquals(new Message.GetFailed(3, 6), raw.codec.getReply(raw.answer(3)));
    }

    @Test
    @DisplayName("tells the asker TIMEOUT after 5 s of silence of the owner")
    void getTimeout() throws Exception {
        Raw owner = new Raw();
        owner.open(Attribute.HUBBY);
        owner.answer(1);
        Raw raw = new Raw();
        raw.open("IPC.NOBODY");
        raw.answer(1);
        raw.send(0x8002, new Message.Get(Attribute.HUBBY_STATE, 5));
        owner.next();
        clock.addAndGet(4_999_999_999L);
        attrd.clockMoved();
        raw.send(0x8003, new Message.Get(Attribute.ATTRD_DEBUG_LEVEL, 6));
        raw.answer(3);
        clock.addAndGet(1);
        attrd.clockMoved();
        assertEquals(new Message.GetFailed(14, 5), raw.codec.getReply(raw.answer(2)));
    }

    @Test
    @DisplayName("routes a set as the protocol says: own, writable, forbidden, unknown, owner absent, not open")
    void sets() throws Exception {
        Own listener = new Own();
        client(Attribute.OTAMGR, listener, new ListenRange(51611, 51612), new ListenRange(65012, 65012));
        SimulatedClient attrc = client(Attribute.ATTRC, new Own());
        assertRefused(AttributeStatus.OWNER_NOT_AVAILABLE, () -> attrc.set(Attribute.HUBBY_COMMAND, new byte[4]));
        SimulatedClient hubby = client(Attribute.HUBBY, new Own());
        hubby.set(Attribute.HUBBY_STATE, new byte[] {1});
        listener.expect("51611=01");
        hubby.set(Attribute.HUBBY_ASR_STATE, new byte[] {4});
        attrc.set(Attribute.HUBBY_COMMAND, new byte[] {1, 0, 0, 0});
        listener.expect("65012=01000000");
        assertRefused(AttributeStatus.BAD_PARAM, () -> attrc.set(Attribute.HUBBY_COMMAND, new byte[1]));
        assertRefused(AttributeStatus.FORBIDDEN, () -> attrc.set(Attribute.HUBBY_OTA_UPGRADE_PATH, new byte[1]));
        assertRefused(AttributeStatus.ATTR_ID_NOT_FOUND, () -> attrc.set(99999, new byte[1]));
        Raw unopened = new Raw();
        unopened.send(0x8001, new Message.Packet(Opcode.SET, 0, 3, Attribute.HUBBY_STATE, 1, 0, new byte[1]));
        assertEquals(0, unopened.codec.ack(unopened.answer(1)).status());
        assertEquals(new Incoming.Unsolicited(new Message.SetReply(11, 3)), unopened.codec.classify(unopened.next()));
        hubby.set(Attribute.HUBBY_OTA_UPGRADE_PATH, "/tmp/x\0".getBytes(StandardCharsets.UTF_8));
        listener.expect("51612=2f746d702f7800");
        log.await("client_set_own_attribute:attrId=51612,name=HUBBY_OTA_UPGRADE_PATH,owner=IPC.HUBBY,"
                + "value[7]=2f746d702f7800");
    }

    @Test
    @DisplayName("answers for itself: log level, revision, reboot reason with the time it was written")
    void ownAttributes() throws Exception {
        SimulatedClient attrc = client(Attribute.ATTRC, new Own());
        assertArrayEquals(new byte[] {1}, attrc.get(Attribute.ATTRD_DEBUG_LEVEL));
        attrc.set(Attribute.ATTRD_DEBUG_LEVEL, new byte[] {3});
        assertArrayEquals(new byte[] {3}, attrc.get(Attribute.ATTRD_DEBUG_LEVEL));
        assertRefused(AttributeStatus.BAD_PARAM, () -> attrc.set(Attribute.ATTRD_DEBUG_LEVEL, new byte[0]));
        assertArrayEquals("simulator\0".getBytes(StandardCharsets.UTF_8), attrc.get(Attribute.ATTRD_REVISION));
        assertRefused(AttributeStatus.FORBIDDEN, () -> attrc.set(Attribute.ATTRD_REVISION, new byte[1]));
        assertArrayEquals(new byte[1], attrc.get(Attribute.ATTRD_REBOOT_REASON));
        Files.writeString(rebootReason, "full_ota");
        Files.setLastModifiedTime(
                rebootReason,
                FileTime.from(LocalDateTime.of(2026, 11, 2, 1, 13, 5)
                        .atZone(ZoneId.systemDefault())
                        .toInstant()));
        assertEquals(
                "Mon Nov  2 01:13:05 2026:full_ota",
                new String(attrc.get(Attribute.ATTRD_REBOOT_REASON), StandardCharsets.UTF_8));
    }

    @Test
    @DisplayName("drops a client that does not read when too much is waiting for it")
    void overrun() throws Exception {
        Raw lazy = new Raw();
        lazy.open(Attribute.OTAMGR, new ListenRange(51611, 51611));
        lazy.answer(1);
        SimulatedClient hubby = client(Attribute.HUBBY, new Own());
        while (log.count("gone: it does not read") == 0) {
            hubby.set(Attribute.HUBBY_STATE, new byte[3000]);
        }
        assertRefused(AttributeStatus.OWNER_NOT_AVAILABLE, () -> hubby.get(Attribute.OTAMGR_OTA_UPD_PATH_PREFIX));
    }

    @Test
    @DisplayName("drops clients on command")
    void dropOnCommand() throws Exception {
        SimulatedClient hubby = client(Attribute.HUBBY, new Own());
        assertEquals(0, attrd.drop(Attribute.OTAMGR));
        assertEquals(1, attrd.drop(Attribute.HUBBY));
        assertTrue(!hubby.awaitDisconnect(60_000));
        client(Attribute.ATTRC, new Own());
        client(Attribute.ATTRC, new Own());
        assertEquals(2, attrd.drop("all"));
    }

    @Test
    @DisplayName("notices what would have killed the original: a client that asks and closes at once")
    void writesIntoClosedSockets() throws Exception {
        client(Attribute.HUBBY, new Own()).close();
        assertEquals(0, attrd.writesIntoClosedSockets());
        // Whether attrd gets to see the close before it answers is a matter of luck, with the original too.
        while (attrd.writesIntoClosedSockets() == 0) {
            try (Raw rude = new Raw()) {
                rude.open("IPC.NOBODY");
            }
        }
        log.await("WRITE INTO A CLOSED SOCKET");
    }

    @Test
    @DisplayName("removes a socket that is left over and leaves its own")
    void socketFile() throws Exception {
        attrd.close();
        assertTrue(Files.exists(socket));
        assertThrows(IOException.class, () -> client(Attribute.ATTRC, new Own()));
        attrd = new Attrd(socket, new Attrd.Options(), log);
        attrd.start();
        client(Attribute.ATTRC, new Own());
    }
}
