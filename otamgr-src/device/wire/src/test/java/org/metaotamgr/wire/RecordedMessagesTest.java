// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.DynamicContainer.dynamicContainer;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.metaotamgr.wire.Vectors.Vector;

@DisplayName("Messages recorded from the original programs")
class RecordedMessagesTest {
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final HexFormat HEX = HexFormat.of();
    private static final Set<String> CHECKED = Set.of(
            "seqNum",
            "clientId",
            "seqId",
            "kind",
            "len",
            "pad",
            "tlvLen",
            "params",
            "opcode",
            "opcodeName",
            "status",
            "statusName",
            "inReplyTo",
            "transOrOpId",
            "opId",
            "transId",
            "attrId",
            "size",
            "pos",
            "chunk",
            "value",
            "clientName",
            "numRanges",
            "ranges",
            "malformed");

    private final MessageCodec codec = new MessageCodec(ORDER);

    @TestFactory
    @DisplayName("decode to their fields and encode back to their bytes; the malformed ones are rejected")
    List<DynamicNode> everyVector() throws IOException {
        List<Vector> vectors = Vectors.read(Vectors.folder());
        Map<Vector, Vector> answers = answers(vectors);
        Map<String, List<DynamicNode>> byFile = new LinkedHashMap<>();
        for (Vector vector : vectors) {
            byFile.computeIfAbsent(vector.file().getFileName().toString(), file -> new ArrayList<>())
                    .add(dynamicTest(
                            vector.name(),
                            // surefire does not print the names of dynamic tests
                            () -> assertAll(vector.name(), () -> check(vector, answers.get(vector)))));
        }
        List<DynamicNode> nodes = new ArrayList<>();
        byFile.forEach((file, tests) -> nodes.add(dynamicContainer(file, tests)));
        return nodes;
    }

    @Test
    @DisplayName("carry no field that this test does not know")
    void everyFieldIsChecked() throws IOException {
        Set<String> unknown = new TreeSet<>();
        for (Vector vector : Vectors.read(Vectors.OWN)) {
            vector.decoded().fieldNames().forEachRemaining(name -> {
                if (!CHECKED.contains(name)) {
                    unknown.add(name);
                }
            });
        }
        assertEquals(Set.of(), unknown);
    }

    /** The recorded answer to each request: the one named after it, or the next with its id in the other direction. */
    private static Map<Vector, Vector> answers(List<Vector> vectors) {
        Map<Vector, Vector> answers = new HashMap<>();
        for (int i = 0; i < vectors.size(); i++) {
            Vector request = vectors.get(i);
            for (Vector later : vectors.subList(i + 1, vectors.size())) {
                boolean sameId = !request.isMalformed()
                        && later.file().equals(request.file())
                        && later.connection().equals(request.connection())
                        && later.decoded()
                                .path("seqId")
                                .equals(request.decoded().path("seqId"));
                boolean sameWay = later.direction().equals(request.direction());
                if (later.name().equals(request.name() + "_answer")
                        || sameId && !sameWay && isKind(request, "request") && isKind(later, "response")) {
                    answers.put(request, later);
                    break;
                }
                if (sameId && sameWay && isKind(later, "request")) {
                    // the id is used again: no answer to the first was recorded
                    break;
                }
            }
        }
        return answers;
    }

    private static boolean isKind(Vector vector, String kind) {
        return vector.decoded().path("kind").asText().equals(kind);
    }

    private void check(Vector vector, Vector answer) throws Exception {
        if (vector.isMalformed()) {
            rejectsAndGoesOn(vector);
            return;
        }
        MessageReader reader = new MessageReader(ORDER);
        reader.append(vector.bytes(), 0, vector.bytes().length);
        Frame frame = reader.next();
        assertNotNull(frame, "the bytes are not a whole message");
        assertNull(reader.next());
        assertEquals(0, reader.held(), "bytes left over");

        JsonNode decoded = vector.decoded();
        assertEquals(decoded.required("seqNum").asText(), String.format("0x%08x", frame.sequence()));
        assertEquals(decoded.required("clientId").asInt(), frame.sequence() >>> 16);
        assertEquals(decoded.required("seqId").asInt(), Sequence.id(frame.sequence()));
        assertEquals(
                decoded.required("kind").asText(),
                Sequence.kind(frame.sequence()).name().toLowerCase(Locale.ROOT));
        assertEquals(decoded.required("len").asInt(), Protocol.HEADER_SIZE + frame.body().length);
        assertEquals(decoded.required("pad").asInt(), frame.padding());

        int blockSize = decoded.required("tlvLen").asInt();
        byte[] block = Arrays.copyOf(frame.body(), blockSize);
        byte[] behind = Arrays.copyOfRange(frame.body(), blockSize, frame.body().length);
        List<Parameter> parameters = ParameterBlock.decode(block);
        checkParameters(decoded.required("params"), parameters);

        byte[] encodedBlock = ParameterBlock.encode(parameters);
        byte[] body = Arrays.copyOf(encodedBlock, encodedBlock.length + behind.length);
        System.arraycopy(behind, 0, body, encodedBlock.length, behind.length);
        assertArrayEquals(
                vector.bytes(),
                new Frame(frame.sequence(), frame.padding(), body).encode(ORDER),
                "does not encode back to its bytes");

        Incoming incoming = codec.classify(frame);
        if (incoming instanceof Incoming.BadRequest bad) {
            assertEquals(decoded.required("opcodeName").asText(), bad.opcode().name());
            boolean understood = decoded.has("attrId") || decoded.has("clientName");
            assertFalse(
                    understood && answer == null, "refused, but no answer is recorded that says so: " + bad.reason());
            if (answer != null) {
                assertEquals(
                        AttributeStatus.BAD_TLV.code(),
                        answer.decoded().required("status").asInt(),
                        bad.reason());
            }
        } else {
            Message message = message(vector, incoming);
            checkFields(decoded, message);
            if (frame.padding() == 0 && plain(message, parameters) && behind.length == 0) {
                assertArrayEquals(vector.bytes(), codec.encode(frame.sequence(), message));
            }
        }
        if (answer != null) {
            answersLikeTheRecording(vector, incoming, answer);
        }
    }

    /** Whether nothing about the message is an oddity that a decoded message does not keep. */
    private static boolean plain(Message message, List<Parameter> parameters) {
        for (Parameter parameter : parameters) {
            if (parameter instanceof Parameter.Blob blob && blob.text()) {
                return false;
            }
        }
        return !(message instanceof Message.Packet) || parameters.size() == 7;
    }

    private static void checkParameters(JsonNode expected, List<Parameter> found) {
        assertEquals(expected.size(), found.size(), "number of parameters");
        for (int i = 0; i < found.size(); i++) {
            String type = expected.get(i).required("type").asText();
            JsonNode value = expected.get(i).required("value");
            if (found.get(i) instanceof Parameter.Int number) {
                assertEquals(type, number.type().name().toLowerCase(Locale.ROOT));
                assertEquals(value.asLong(), number.value());
            } else if (found.get(i) instanceof Parameter.Blob blob) {
                assertEquals(type, blob.text() ? "str" : "blob");
                assertEquals(value.asText(), HEX.formatHex(blob.bytes()));
            }
        }
    }

    private Message message(Vector vector, Incoming incoming) throws MalformedMessageException {
        if (incoming instanceof Incoming.Request request) {
            return request.message();
        }
        if (incoming instanceof Incoming.Unsolicited unsolicited) {
            return unsolicited.message();
        }
        if (incoming instanceof Incoming.Response response) {
            String repliesTo = vector.decoded().path("inReplyTo").path("opcode").asText();
            switch (repliesTo) {
                case "OPEN":
                    return codec.openReply(response.body());
                case "GET":
                    return codec.getReply(response.body());
                default:
                    return codec.ack(response.body());
            }
        }
        return fail("ignored: " + ((Incoming.Ignored) incoming).reason());
    }

    private void checkFields(JsonNode decoded, Message message) {
        int status = -1;
        int operationId = -1;
        int transactionId = -1;
        int attributeId = -1;
        if (message instanceof Message.Open open) {
            opcode(decoded, Opcode.OPEN);
            assertEquals(decoded.required("clientName").asText(), open.name());
            assertEquals(decoded.required("numRanges").asInt(), open.ranges().size());
            JsonNode ranges = decoded.path("ranges");
            assertEquals(ranges.size(), open.ranges().size());
            for (int i = 0; i < ranges.size(); i++) {
                assertEquals(
                        ranges.get(i).get(0).asLong(),
                        Integer.toUnsignedLong(open.ranges().get(i).first()));
                assertEquals(
                        ranges.get(i).get(1).asLong(),
                        Integer.toUnsignedLong(open.ranges().get(i).last()));
            }
        } else if (message instanceof Message.OpenReply reply) {
            status = reply.status();
        } else if (message instanceof Message.Get get) {
            opcode(decoded, Opcode.GET);
            attributeId = get.attributeId();
            operationId = get.operationId();
        } else if (message instanceof Message.GetValue reply) {
            status = 0;
            operationId = 0;
            assertEquals(decoded.required("value").asText(), HEX.formatHex(reply.value()));
        } else if (message instanceof Message.GetLater reply) {
            status = 0;
            operationId = reply.operationId();
        } else if (message instanceof Message.GetFailed reply) {
            status = reply.status();
            operationId = reply.operationId();
        } else if (message instanceof Message.SetReply reply) {
            opcode(decoded, Opcode.SET_REPLY);
            status = reply.status();
            operationId = reply.operationId();
        } else if (message instanceof Message.Ack ack) {
            status = ack.status();
            transactionId = ack.transactionId();
            if (decoded.has("transOrOpId")) {
                assertEquals(decoded.get("transOrOpId").asInt(), transactionId);
            }
        } else if (message instanceof Message.Packet packet) {
            opcode(decoded, packet.opcode());
            if (!decoded.has("transId")) {
                // A packet which the recording's own decoder did not understand; its parameters were checked.
                return;
            }
            transactionId = packet.transactionId();
            operationId = packet.operationId();
            attributeId = packet.attributeId();
            assertEquals(decoded.required("size").asInt(), packet.size());
            assertEquals(decoded.required("pos").asInt(), packet.position());
            assertEquals(decoded.required("chunk").asInt(), packet.chunk().length);
        }
        field(decoded, "status", status);
        field(decoded, "opId", operationId);
        field(decoded, "attrId", attributeId);
        if (!decoded.has("transOrOpId")) {
            field(decoded, "transId", transactionId);
        }
        if (decoded.has("statusName")) {
            assertEquals(
                    decoded.get("statusName").asText(),
                    AttributeStatus.of(status).name());
        }
    }

    private static void opcode(JsonNode decoded, Opcode opcode) {
        assertEquals(decoded.required("opcode").asInt(), opcode.code());
        assertEquals(decoded.required("opcodeName").asText(), opcode.name());
    }

    /** The recording has the field exactly if the message has it, with the same value. */
    private static void field(JsonNode decoded, String name, int value) {
        assertEquals(decoded.has(name), value != -1, name);
        if (value != -1) {
            assertEquals(decoded.get(name).asInt(), value, name);
        }
    }

    /**
     * What this implementation answers without anybody's help must be what the original answered. Left out are packets
     * that continue a transaction and requests that somebody has to serve.
     */
    private void answersLikeTheRecording(Vector vector, Incoming incoming, Vector answer) throws Exception {
        boolean continues = incoming instanceof Incoming.Request request
                && request.message() instanceof Message.Packet packet
                && packet.transactionId() != 0;
        boolean served = incoming instanceof Incoming.Request request && !(request.message() instanceof Message.Packet);
        int recorded = answer.decoded().required("status").asInt();
        if (served || continues && recorded != AttributeStatus.TRANSACTION_NOT_FOUND.code()) {
            return;
        }
        Talk talk = new Talk(vector.toClient());
        talk.receive(vector.bytes());
        assertEquals(1, talk.sent.size(), "number of answers");
        byte[] ours = talk.sent.get(0);
        if (recorded != 0) {
            // byte for byte, but for the daemon's number of the connection
            byte[] theirs = answer.bytes().clone();
            theirs[2] = ours[2];
            theirs[3] = ours[3];
            assertArrayEquals(theirs, ours);
        } else {
            Message.Ack ack = codec.ack(Arrays.copyOfRange(ours, Protocol.HEADER_SIZE, ours.length));
            assertEquals(0, ack.status());
            assertFalse(ack.transactionId() == 0);
        }
    }

    private void rejectsAndGoesOn(Vector vector) throws Exception {
        Talk talk = new Talk(vector.toClient());
        boolean whole;
        try {
            talk.receive(vector.bytes());
            MessageReader reader = new MessageReader(ORDER);
            reader.append(vector.bytes(), 0, vector.bytes().length);
            whole = reader.next() != null && reader.held() == 0;
        } catch (FramingLostException e) {
            // Nobody can know where the next message starts: it has to come over a new connection.
            assertEquals(List.of(), talk.heard);
            talk = new Talk(vector.toClient());
            whole = true;
        }
        assertEquals(List.of(), talk.heard, "acted upon a malformed message");
        assertEquals(0, talk.sent.size(), "answered a malformed message");
        if (whole) {
            talk.receive(new MessageCodec(ORDER).encode(Sequence.request(77), new Message.Get(51618, 5)));
            assertEquals(List.of("wanted 51618"), talk.heard, "lost the next message");
        }
    }

    @Test
    @DisplayName("of the original otamgr are answered byte for byte as it answered them")
    void repeatsTheRecordedOtamgr() throws Exception {
        Talk talk = new Talk(true);
        Map<Integer, byte[]> recorded = new HashMap<>();
        Map<Integer, byte[]> ours = new HashMap<>();
        int fed = 0;
        for (Vector vector : Vectors.read(Vectors.OWN)) {
            if (!vector.connection().equals("otamgr#2")) {
                continue;
            }
            String kind = vector.decoded().required("kind").asText();
            if (vector.toClient() && kind.equals("request")) {
                talk.receive(vector.bytes());
                fed++;
            } else if (!vector.toClient() && kind.equals("response")) {
                recorded.put(vector.decoded().required("seqId").asInt(), vector.bytes());
            }
        }
        for (byte[] answer : talk.sent) {
            MessageReader reader = new MessageReader(ORDER);
            reader.append(answer, 0, answer.length);
            ours.put(Sequence.id(reader.next().sequence()), answer);
        }
        assertEquals(fed, ours.size());
        assertTrue(recorded.size() >= 10, "the recording is smaller than expected");
        recorded.forEach((id, bytes) -> assertArrayEquals(bytes, ours.get(id), "answer " + id));
    }

    @Test
    @DisplayName("with a parameter too many in a transaction packet are accepted, in any other message refused")
    void extraParameters() {
        List<Parameter> packet = new ArrayList<>(List.of(
                Parameter.u8(1),
                Parameter.u16(0),
                Parameter.u16(0),
                Parameter.u32(51611),
                Parameter.u16(1),
                Parameter.u16(0),
                Parameter.blob(new byte[] {1})));
        packet.add(Parameter.u8(7));
        assertInstanceOf(Incoming.Request.class, codec.classify(new Frame(0x8001, 0, ParameterBlock.encode(packet))));

        List<Parameter> get = List.of(Parameter.u8(3), Parameter.u32(51611), Parameter.u16(9), Parameter.u8(7));
        Incoming refused = codec.classify(new Frame(0x8001, 0, ParameterBlock.encode(get)));
        assertEquals(
                new Message.GetFailed(4, 9),
                assertInstanceOf(Incoming.BadRequest.class, refused).answer());
    }

    /** One end of a conversation that answers 51618 like the original otamgr, and remembers what it heard and sent. */
    private static final class Talk implements Conversation.Listener {
        final List<byte[]> sent = new ArrayList<>();
        final List<String> heard = new ArrayList<>();
        private final Conversation conversation;

        Talk(boolean client) {
            conversation = client
                    ? Conversation.client(ORDER, () -> 0, new Conversation.Ids(), sent::add, this)
                    : Conversation.daemon(1, ORDER, () -> 0, new Conversation.Ids(), sent::add, this);
        }

        void receive(byte[] bytes) throws FramingLostException {
            conversation.received(bytes, 0, bytes.length);
        }

        @Override
        public void opened(int requestId, Message.Open open) {
            heard.add("opened " + open.name());
        }

        @Override
        public void wanted(int requestId, Message.Get get) {
            heard.add("wanted " + get.attributeId());
            if (get.attributeId() == 51618) {
                conversation.replyGet(requestId, get, HEX.parseHex("2f746d7000"));
            }
        }

        @Override
        public void arrived(Opcode opcode, int operationId, int attributeId, byte[] value) {
            heard.add(opcode + " " + attributeId);
        }

        @Override
        public void log(String line) {}
    }
}
