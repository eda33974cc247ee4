// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("A conversation")
class ConversationTest {
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final int PATH = 51612;

    private final MessageCodec codec = new MessageCodec(ORDER);
    private long now = 1_000_000_000_000L;

    /** One end, and what happened there. */
    private class End implements Conversation.Listener {
        final List<byte[]> sent = new ArrayList<>();
        final List<String> log = new ArrayList<>();
        final List<String> events = new ArrayList<>();
        final List<byte[]> values = new ArrayList<>();
        final Conversation conversation;
        Message.Get lastWanted;
        int lastRequest;
        boolean full;
        int lost;

        End(boolean client) {
            conversation = client
                    ? Conversation.client(ORDER, () -> now, new Conversation.Ids(), sent::add, this)
                    : Conversation.daemon(4, ORDER, () -> now, new Conversation.Ids(), sent::add, this);
        }

        /** The messages sent since the last call. */
        List<Frame> take() {
            List<Frame> frames = new ArrayList<>();
            for (byte[] message : sent) {
                frames.add(frame(message));
            }
            sent.clear();
            return frames;
        }

        Frame takeOne() {
            List<Frame> frames = take();
            assertEquals(1, frames.size());
            return frames.get(0);
        }

        void receive(int sequence, Message message) throws FramingLostException {
            byte[] bytes = codec.encode(sequence, message);
            conversation.received(bytes, 0, bytes.length);
        }

        @Override
        public void opened(int requestId, Message.Open open) {
            events.add("opened " + open.name());
            conversation.replyOpen(requestId, AttributeStatus.OK);
        }

        @Override
        public void wanted(int requestId, Message.Get get) {
            lastRequest = requestId;
            lastWanted = get;
            events.add("wanted " + get.attributeId());
        }

        @Override
        public void arrived(Opcode opcode, int operationId, int attributeId, byte[] value) {
            events.add(opcode + " " + attributeId + " op " + operationId);
            values.add(value);
        }

        @Override
        public boolean hasRoom(int size) {
            return !full;
        }

        @Override
        public void lost() {
            lost++;
        }

        @Override
        public void log(String line) {
            log.add(line);
        }
    }

    private static final class Outcome implements Conversation.Result {
        final List<Integer> statuses = new ArrayList<>();
        byte[] value;

        @Override
        public void ended(int status, byte[] endValue) {
            statuses.add(status);
            value = endValue;
        }
    }

    private final End client = new End(true);
    private final End daemon = new End(false);

    private static Frame frame(byte[] bytes) {
        MessageReader reader = new MessageReader(ORDER);
        reader.append(bytes, 0, bytes.length);
        try {
            return reader.next();
        } catch (FramingLostException e) {
            throw new AssertionError(e);
        }
    }

    private void pass(long millis) {
        now += millis * 1_000_000;
        client.conversation.expire();
        daemon.conversation.expire();
    }

    /** Carries messages between the two ends until none is left. */
    private void settle() throws FramingLostException {
        while (!client.sent.isEmpty() || !daemon.sent.isEmpty()) {
            for (byte[] message : takeBytes(client)) {
                daemon.conversation.received(message, 0, message.length);
            }
            for (byte[] message : takeBytes(daemon)) {
                client.conversation.received(message, 0, message.length);
            }
        }
    }

    private static List<byte[]> takeBytes(End end) {
        List<byte[]> messages = List.copyOf(end.sent);
        end.sent.clear();
        return messages;
    }

    private Message.Packet packet(Frame frame) {
        Incoming.Request request = assertInstanceOf(Incoming.Request.class, codec.classify(frame));
        return assertInstanceOf(Message.Packet.class, request.message());
    }

    private Message.Ack ack(Frame frame) throws MalformedMessageException {
        assertEquals(Sequence.Kind.RESPONSE, Sequence.kind(frame.sequence()));
        return codec.ack(frame.body());
    }

    private static byte[] value(int size) {
        byte[] value = new byte[size];
        new Random(size).nextBytes(value);
        return value;
    }

    @Test
    @DisplayName("numbers requests 1 to 32767 and starts again, without reusing the id of one that is outstanding")
    void sequenceIds() throws Exception {
        Outcome slow = new Outcome();
        client.conversation.get(1, slow);
        assertEquals(0x8001, client.takeOne().sequence());
        int last = 1;
        for (int i = 0; i < 0x8000; i++) {
            client.conversation.get(2, new Outcome());
            last = Sequence.id(client.takeOne().sequence());
            client.receive(last, new Message.GetFailed(3, 0));
        }
        // 1 is still outstanding: 2..32767, then 2, 3
        assertEquals(3, last);
        client.receive(1, new Message.GetValue(new byte[] {9}));
        assertEquals(List.of(0), slow.statuses);
    }

    @Test
    @DisplayName("answers under the id of the request, the daemon with its number for the connection on top")
    void answerSequence() throws Exception {
        client.receive(0x00558003, new Message.Get(51618, 7));
        client.conversation.replyGet(client.lastRequest, client.lastWanted, new byte[1]);
        assertEquals(3, client.takeOne().sequence());
        daemon.receive(0x8002, new Message.Get(51618, 7));
        daemon.conversation.refuseGet(daemon.lastRequest, daemon.lastWanted, 3);
        Frame refusal = daemon.takeOne();
        assertEquals(0x00040002, refusal.sequence());
        assertEquals(new Message.GetFailed(3, 7), codec.getReply(refusal.body()));
    }

    @Test
    @DisplayName("carries values of every size in both directions")
    void valuesBothWays() throws Exception {
        for (int size : new int[] {0, 1, 3968, 3969, 7936, 9000, 65534}) {
            byte[] value = value(size);
            Outcome set = new Outcome();
            client.conversation.set(PATH, value, set);
            settle();
            assertArrayEquals(value, daemon.values.get(daemon.values.size() - 1), "set of " + size);
            assertEquals(List.of(), set.statuses, "a set has not ended before its SET_REPLY");
            int operation =
                    Integer.parseInt(daemon.events.get(daemon.events.size() - 1).replaceAll(".* ", ""));
            daemon.conversation.replySet(operation, 0);
            settle();
            assertEquals(List.of(0), set.statuses);

            daemon.conversation.notifyPeer(PATH, value);
            settle();
            assertArrayEquals(value, client.values.get(client.values.size() - 1), "notification of " + size);

            for (End asker : List.of(client, daemon)) {
                End owner = asker == client ? daemon : client;
                Outcome get = new Outcome();
                asker.conversation.get(PATH, get);
                settle();
                owner.conversation.replyGet(owner.lastRequest, owner.lastWanted, value);
                settle();
                assertEquals(List.of(0), get.statuses);
                assertArrayEquals(value, get.value, "get of " + size);
            }
            assertTrue(client.conversation.isSettled() && daemon.conversation.isSettled());
        }
        assertEquals(List.of(), client.log);
        assertEquals(List.of(), daemon.log);
    }

    @Test
    @DisplayName("sends chunks of 3968 bytes, the next only after the ack of the one before, under the receiver's id")
    void chunks() throws Exception {
        client.conversation.set(PATH, value(3968 + 5), new Outcome());
        Frame first = client.takeOne();
        assertEquals(4005, Protocol.HEADER_SIZE + first.body().length);
        assertEquals(0, packet(first).transactionId());
        pass(3999);
        assertEquals(List.of(), client.take());
        client.receive(1, new Message.Ack(0, 0xABCD));
        Message.Packet second = packet(client.takeOne());
        assertEquals(0xABCD, second.transactionId());
        assertEquals(3968, second.position());
        assertEquals(5, second.chunk().length);
    }

    @Test
    @DisplayName("refuses to send a value larger than 65534 bytes")
    void tooLarge() {
        assertThrows(
                IllegalArgumentException.class, () -> client.conversation.set(PATH, new byte[65535], new Outcome()));
        assertTrue(client.conversation.isSettled());
    }

    @Test
    @DisplayName("drops a value whose sender is silent for 4 s and answers its next packet with TRANSACTION_NOT_FOUND")
    void receiverTimeout() throws Exception {
        client.receive(0x8001, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 10, 0, new byte[4]));
        int id = ack(client.takeOne()).transactionId();
        pass(3999);
        assertFalse(client.conversation.isSettled());
        client.receive(0x8002, new Message.Packet(Opcode.NOTIFY, id, 0, PATH, 10, 4, new byte[4]));
        assertEquals(new Message.Ack(0, id), ack(client.takeOne()));
        assertEquals(4_000_000_000L, client.conversation.nanosToDeadline());
        pass(4000);
        assertTrue(client.conversation.isSettled());
        client.receive(0x8003, new Message.Packet(Opcode.NOTIFY, id, 0, PATH, 10, 8, new byte[2]));
        assertEquals(new Message.Ack(8, 0), ack(client.takeOne()));
        assertEquals(List.of(), client.values);
    }

    @Test
    @DisplayName("drops a late value even if nobody looked at the clock in between")
    void receiverTimeoutWithoutTimer() throws Exception {
        client.receive(0x8001, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 10, 0, new byte[4]));
        int id = ack(client.takeOne()).transactionId();
        now += 4_000_000_000L;
        client.receive(0x8002, new Message.Packet(Opcode.NOTIFY, id, 0, PATH, 10, 4, new byte[6]));
        assertEquals(new Message.Ack(8, 0), ack(client.takeOne()));
    }

    @Test
    @DisplayName("gives up a value after 4 s without an ack and accepts a late ack silently")
    void senderTimeout() throws Exception {
        Outcome set = new Outcome();
        client.conversation.set(PATH, value(5000), set);
        client.take();
        pass(3999);
        assertEquals(List.of(), set.statuses);
        pass(1);
        assertEquals(List.of(AttributeStatus.TIMEOUT.code()), set.statuses);
        pass(999);
        assertFalse(client.conversation.isSettled(), "an answer may still come");
        int lines = client.log.size();
        client.receive(1, new Message.Ack(0, 5));
        assertEquals(lines, client.log.size());
        assertEquals(List.of(), client.take(), "an abandoned value goes on");
        assertTrue(client.conversation.isSettled());
    }

    @Test
    @DisplayName("refuses packets that contradict each other with BAD_DATA and forgets what it had")
    void badData() throws Exception {
        Message.Packet[] wrong = {
            new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 9, 4, new byte[1]),
            new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 1, 0, new byte[3]),
            new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 65535, 0, new byte[1]),
            new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 5, 0, new byte[0]),
        };
        for (Message.Packet packet : wrong) {
            client.receive(0x8001, packet);
            assertEquals(new Message.Ack(6, 0), ack(client.takeOne()), packet.toString());
        }
        for (int mistake = 0; mistake < 5; mistake++) {
            client.receive(0x8001, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 10, 0, new byte[4]));
            int id = ack(client.takeOne()).transactionId();
            client.receive(
                    0x8002,
                    new Message.Packet(
                            mistake == 0 ? Opcode.SET : Opcode.NOTIFY,
                            id,
                            0,
                            mistake == 1 ? PATH + 1 : PATH,
                            mistake == 2 ? 11 : 10,
                            4,
                            new byte[mistake == 3 ? 7 : mistake == 4 ? 0 : 4]));
            assertEquals(new Message.Ack(6, 0), ack(client.takeOne()), "mistake " + mistake);
            client.receive(0x8003, new Message.Packet(Opcode.NOTIFY, id, 0, PATH, 10, 4, new byte[4]));
            assertEquals(new Message.Ack(8, 0), ack(client.takeOne()), "mistake " + mistake);
        }
        assertEquals(List.of(), client.values);
        assertTrue(client.conversation.isSettled());
    }

    @Test
    @DisplayName("keeps at most 16 values half arrived and refuses more with TOO_MANY_TRANSACTIONS")
    void tooManyTransactions() throws Exception {
        for (int i = 0; i < 16; i++) {
            client.receive(0x8001 + i, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 10, 0, new byte[4]));
            assertEquals(0, ack(client.takeOne()).status());
        }
        client.receive(0x8050, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 10, 0, new byte[4]));
        assertEquals(new Message.Ack(7, 0), ack(client.takeOne()));
        assertEquals(1, client.lost, "somebody has to ask for it");
        pass(4000);
        assertEquals(17, client.lost, "and for those whose sender fell silent");
        client.receive(0x8051, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 4, 0, new byte[4]));
        assertEquals(0, ack(client.takeOne()).status());
    }

    @Test
    @DisplayName("takes a value that comes in one packet although 16 others are half arrived: it needs no place")
    void wholeValueNeedsNoPlace() throws Exception {
        for (int i = 0; i < 16; i++) {
            client.receive(0x8001 + i, new Message.Packet(Opcode.NOTIFY, 0, 0, 51611, 2, 0, new byte[1]));
        }
        client.take();
        byte[] path = {'/', 't', 'm', 'p', '/', 'a', 0};
        client.receive(0x8100, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, path.length, 0, path));
        client.receive(0x8101, new Message.Packet(Opcode.NOTIFY, 0, 0, 65012, 0, 0, new byte[0]));
        for (Frame answer : client.take()) {
            assertEquals(0, ack(answer).status());
        }
        assertArrayEquals(path, client.values.get(0));
        assertEquals(List.of("NOTIFY 51612 op 0", "NOTIFY 65012 op 0"), client.events);
        client.receive(0x8102, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 2, 0, new byte[1]));
        assertEquals(7, ack(client.takeOne()).status());
    }

    @Test
    @DisplayName("reassembles values that arrive interleaved")
    void interleaved() throws Exception {
        byte[] a = value(6000);
        byte[] b = value(5000);
        daemon.conversation.notifyPeer(1, a);
        daemon.conversation.notifyPeer(2, b);
        settle();
        assertEquals(2, client.values.size());
        assertArrayEquals(a, client.values.get(client.events.indexOf("NOTIFY 1 op 0")));
        assertArrayEquals(b, client.values.get(client.events.indexOf("NOTIFY 2 op 0")));
    }

    @Test
    @DisplayName("acknowledges a notification before its listener hears of it")
    void ackFirst() throws Exception {
        List<Integer> sentWhenHeard = new ArrayList<>();
        End careful = new End(true) {
            @Override
            public void arrived(Opcode opcode, int operationId, int attributeId, byte[] value) {
                sentWhenHeard.add(sent.size());
            }
        };
        careful.receive(0x8001, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 1, 0, new byte[1]));
        assertEquals(List.of(1), sentWhenHeard);
    }

    @Test
    @DisplayName("refuses a value there is no room for with NO_SPACE, without a trace")
    void noRoom() throws Exception {
        client.full = true;
        client.receive(0x8001, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 10, 0, new byte[4]));
        assertEquals(new Message.Ack(5, 0), ack(client.takeOne()));
        assertTrue(client.conversation.isSettled());
    }

    @Test
    @DisplayName("takes the value of a GET before or after the response that announces it")
    void largeGetInAnyOrder() throws Exception {
        for (boolean valueFirst : new boolean[] {true, false}) {
            Outcome get = new Outcome();
            client.conversation.get(PATH, get);
            Frame request = client.takeOne();
            int operation = ((Message.Get) ((Incoming.Request) codec.classify(request)).message()).operationId();
            Message announced = new Message.GetLater(operation);
            if (!valueFirst) {
                client.receive(Sequence.id(request.sequence()), announced);
            }
            client.receive(0x8001, new Message.Packet(Opcode.GET_REPLY, 0, operation, PATH, 8, 0, new byte[4]));
            int id = ack(client.takeOne()).transactionId();
            client.receive(0x8002, new Message.Packet(Opcode.GET_REPLY, id, operation, PATH, 8, 4, new byte[4]));
            assertEquals(List.of(0), get.statuses);
            assertEquals(8, get.value.length);
            if (valueFirst) {
                assertFalse(client.conversation.isSettled());
                client.receive(Sequence.id(request.sequence()), announced);
            }
            assertEquals(List.of(0), get.statuses);
            assertTrue(client.conversation.isSettled());
            client.take();
        }
    }

    @Test
    @DisplayName("waits for a large value as long as its packets keep coming, and no longer")
    void largeGetTimeout() throws Exception {
        Outcome get = new Outcome();
        client.conversation.get(PATH, get);
        client.take();
        client.receive(1, new Message.GetLater(1));
        pass(4900);
        client.receive(0x8001, new Message.Packet(Opcode.GET_REPLY, 0, 1, PATH, 12, 0, new byte[4]));
        int id = ack(client.takeOne()).transactionId();
        pass(3900);
        client.receive(0x8002, new Message.Packet(Opcode.GET_REPLY, id, 1, PATH, 12, 4, new byte[4]));
        pass(3999);
        assertEquals(List.of(), get.statuses);
        pass(1);
        assertEquals(List.of(AttributeStatus.TIMEOUT.code()), get.statuses);
        assertTrue(client.conversation.isSettled());
    }

    @Test
    @DisplayName("ends a GET that is not answered within 5 s, an OPEN within 1 s, a SET without its end within 5 s")
    void requestTimeouts() throws Exception {
        Outcome open = new Outcome();
        Outcome get = new Outcome();
        Outcome set = new Outcome();
        client.conversation.open(new Message.Open("IPC.OTAMGR", List.of()), open);
        client.conversation.get(PATH, get);
        client.conversation.set(PATH, new byte[1], set);
        client.receive(3, new Message.Ack(0, 1));
        pass(999);
        assertEquals(List.of(), open.statuses);
        pass(1);
        assertEquals(List.of(14), open.statuses);
        pass(3999);
        assertEquals(List.of(), get.statuses);
        assertEquals(List.of(), set.statuses);
        pass(1);
        assertEquals(List.of(14), get.statuses);
        assertEquals(List.of(14), set.statuses);
        pass(999);
        assertFalse(client.conversation.isSettled(), "the daemon's own time-out may be on its way");
        client.receive(Sequence.UNSOLICITED, new Message.SetReply(14, 2));
        assertFalse(client.conversation.isSettled(), "the daemon's own time-out may be on its way");
        pass(1);
        assertTrue(client.conversation.isSettled());
        assertEquals(List.of(14), set.statuses);
    }

    @Test
    @DisplayName("passes on the status of a SET that was refused, whether in the ack or in the SET_REPLY")
    void refusedSets() throws Exception {
        Outcome badAck = new Outcome();
        client.conversation.set(PATH, value(5000), badAck);
        client.receive(1, new Message.Ack(7, 0));
        assertEquals(List.of(7), badAck.statuses);
        Outcome forbidden = new Outcome();
        client.conversation.set(PATH, new byte[1], forbidden);
        client.receive(Sequence.UNSOLICITED, new Message.SetReply(10, 2));
        client.receive(2, new Message.Ack(0, 1));
        assertEquals(List.of(10), forbidden.statuses);
        assertTrue(client.conversation.isSettled());
    }

    @Test
    @DisplayName("ends a request with UNSPECIFIED if its answer is malformed, and goes on")
    void malformedAnswers() throws Exception {
        Outcome get = new Outcome();
        client.conversation.get(PATH, get);
        client.receive(1, new Message.OpenReply(0));
        assertEquals(List.of(1), get.statuses);
        Outcome next = new Outcome();
        client.conversation.get(PATH, next);
        client.receive(2, new Message.GetValue(new byte[] {5}));
        assertEquals(List.of(0), next.statuses);
        assertTrue(client.conversation.isSettled());
    }

    @Test
    @DisplayName("ignores answers and SET_REPLYs that nobody waits for")
    void unknownAnswers() throws Exception {
        client.receive(99, new Message.Ack(0, 1));
        client.receive(Sequence.UNSOLICITED, new Message.SetReply(0, 99));
        client.receive(0x8001, new Message.Packet(Opcode.GET_REPLY, 0, 99, PATH, 1, 0, new byte[1]));
        assertEquals(0, ack(client.takeOne()).status());
        assertEquals(3, client.log.size());
        assertEquals(List.of(), client.events);
    }

    @Test
    @DisplayName("keeps the unanswered requests of a client below what the original daemon reads at once")
    void window() throws Exception {
        List<Outcome> outcomes = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            Outcome outcome = new Outcome();
            outcomes.add(outcome);
            client.conversation.get(i, outcome);
        }
        int unanswered = 0;
        int ended = 0;
        while (ended < 1000) {
            for (Frame frame : client.take()) {
                unanswered += Protocol.HEADER_SIZE + frame.body().length;
            }
            assertTrue(unanswered > 0 && unanswered <= 3072, unanswered + " bytes unanswered");
            client.receive(ended + 1, new Message.GetFailed(12, 0));
            unanswered -= 23;
            ended++;
        }
        for (Outcome outcome : outcomes) {
            assertEquals(List.of(12), outcome.statuses);
        }
        client.conversation.get(1, new Outcome());
        client.conversation.set(PATH, value(3968), new Outcome());
        assertEquals(1, client.take().size(), "a full packet does not go beside another request");
        client.receive(1001, new Message.GetFailed(12, 0));
        assertEquals(1, client.take().size(), "but it goes alone");
    }

    @Test
    @DisplayName("lets a daemon notify without waiting")
    void daemonDoesNotWait() {
        for (int i = 0; i < 1000; i++) {
            daemon.conversation.notifyPeer(PATH, new byte[1]);
        }
        assertEquals(1000, daemon.sent.size());
    }

    @Test
    @DisplayName("does not answer messages that go the wrong way")
    void wrongWay() throws Exception {
        client.receive(0x8001, new Message.Open("IPC.OTAMGR", List.of()));
        daemon.receive(0x8001, new Message.Packet(Opcode.NOTIFY, 0, 0, PATH, 1, 0, new byte[1]));
        assertEquals(List.of(), client.take());
        assertEquals(List.of(), daemon.take());
        assertEquals(List.of(), client.events);
        assertEquals(List.of(), daemon.events);
        assertEquals("message ignored: OPEN sent to a client", client.log.get(0));
        assertEquals("message ignored: NOTIFY sent to a daemon", daemon.log.get(0));
    }

    @Test
    @DisplayName("refuses malformed requests with BAD_TLV in the form of their answer and stays usable")
    void malformedRequests() throws Exception {
        byte[] get = new Frame(
                        0x8005, 0, ParameterBlock.encode(List.of(Parameter.u8(3), Parameter.u16(7), Parameter.u16(77))))
                .encode(ORDER);
        daemon.conversation.received(get, 0, get.length);
        assertEquals(
                new Message.GetFailed(4, 77), codec.getReply(daemon.takeOne().body()));
        byte[] open = new Frame(0x8006, 0, ParameterBlock.encode(List.of(Parameter.u8(0)))).encode(ORDER);
        daemon.conversation.received(open, 0, open.length);
        assertEquals(new Message.OpenReply(4), codec.openReply(daemon.takeOne().body()));
        byte[] ranges = new Frame(
                        0x8007,
                        0,
                        ParameterBlock.encode(List.of(
                                Parameter.u8(0),
                                Parameter.blob(new byte[] {'x'}),
                                Parameter.u16(2),
                                Parameter.blob(new byte[8]))))
                .encode(ORDER);
        daemon.conversation.received(ranges, 0, ranges.length);
        assertEquals(new Message.OpenReply(4), codec.openReply(daemon.takeOne().body()));
        assertEquals(List.of(), daemon.events);
        daemon.receive(0x8008, new Message.Open("IPC.OTAMGR", List.of(new ListenRange(1, 2))));
        assertEquals(List.of("opened IPC.OTAMGR"), daemon.events);
    }

    @Test
    @DisplayName("that is abandoned ends every request, those still to come included, exactly once")
    void abandoned() {
        List<Outcome> outcomes = new ArrayList<>();
        for (int i = 0; i < 500; i++) {
            Outcome outcome = new Outcome();
            outcomes.add(outcome);
            if (i % 2 == 0) {
                client.conversation.get(i, outcome);
            } else {
                client.conversation.set(i, value(i * 10), outcome);
            }
        }
        client.conversation.abandon(AttributeStatus.NO_DAEMON);
        Outcome late = new Outcome();
        client.conversation.get(1, late);
        outcomes.add(late);
        pass(60_000);
        for (Outcome outcome : outcomes) {
            assertEquals(List.of(13), outcome.statuses);
        }
        assertTrue(client.conversation.isSettled());
        assertEquals(Long.MAX_VALUE, client.conversation.nanosToDeadline());
    }

    @Test
    @DisplayName("gives every operation in flight an id of its own, never 0")
    void operationIds() {
        IdCounter counter = new IdCounter(IdCounter.MAX_16_BIT);
        int first = counter.next();
        assertEquals(1, first);
        int last = first;
        for (int i = 1; i < 65535; i++) {
            last = counter.next();
            assertNotEquals(0, last);
        }
        assertEquals(65535, last);
        assertEquals(1, counter.next());
    }
}
