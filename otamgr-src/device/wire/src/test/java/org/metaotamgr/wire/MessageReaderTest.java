// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.metaotamgr.wire.Vectors.Vector;

@DisplayName("A stream of messages")
class MessageReaderTest {
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;

    private static byte[] everything;
    private static List<byte[]> messages;

    /** All whole messages of the recordings, one after the other. */
    @BeforeAll
    static void join() throws IOException {
        ByteArrayOutputStream joined = new ByteArrayOutputStream();
        messages = new ArrayList<>();
        for (Vector vector : Vectors.read(Vectors.folder())) {
            if (!vector.isMalformed()) {
                joined.write(vector.bytes());
                messages.add(vector.bytes());
            }
        }
        everything = joined.toByteArray();
    }

    private static List<byte[]> drain(MessageReader reader) throws FramingLostException {
        List<byte[]> found = new ArrayList<>();
        for (Frame frame = reader.next(); frame != null; frame = reader.next()) {
            found.add(frame.encode(ORDER));
        }
        return found;
    }

    private static void assertAll(List<byte[]> found, String how) {
        assertEquals(messages.size(), found.size(), how);
        for (int i = 0; i < found.size(); i++) {
            assertArrayEquals(messages.get(i), found.get(i), how + ", message " + i);
        }
    }

    @Test
    @DisplayName("that arrives byte by byte yields every message in order")
    void byteByByte() throws FramingLostException {
        MessageReader reader = new MessageReader(ORDER);
        List<byte[]> found = new ArrayList<>();
        for (int i = 0; i < everything.length; i++) {
            reader.append(everything, i, 1);
            found.addAll(drain(reader));
        }
        assertAll(found, "byte by byte");
        assertEquals(0, reader.held());
    }

    @Test
    @DisplayName("that arrives in one piece yields every message in order")
    void onePiece() throws FramingLostException {
        MessageReader reader = new MessageReader(ORDER);
        reader.append(everything, 0, everything.length);
        assertAll(drain(reader), "one piece");
    }

    @Test
    @DisplayName("that is split once, at any byte, yields every message in order")
    void splitAnywhere() throws FramingLostException {
        // The first of two reads decides what the second starts with; the rest of the stream adds nothing.
        int from = 0;
        for (int i = 0; i + 1 < messages.size(); i++) {
            byte[] first = messages.get(i);
            byte[] second = messages.get(i + 1);
            int length = first.length + second.length;
            for (int split = 0; split <= length; split++) {
                MessageReader reader = new MessageReader(ORDER);
                reader.append(everything, from, split);
                List<byte[]> found = drain(reader);
                reader.append(everything, from + split, length - split);
                found.addAll(drain(reader));
                assertEquals(2, found.size(), "messages " + i + " split at " + split);
                assertArrayEquals(first, found.get(0));
                assertArrayEquals(second, found.get(1));
            }
            from += first.length;
        }
    }

    @Test
    @DisplayName("that is cut into random chunks yields every message in order")
    void randomChunks() throws FramingLostException {
        Random random = new Random(20260101);
        for (int run = 0; run < 200; run++) {
            MessageReader reader = new MessageReader(ORDER);
            List<byte[]> found = new ArrayList<>();
            int longest = 1 + random.nextInt(run % 2 == 0 ? 40 : 10_000);
            for (int at = 0; at < everything.length; ) {
                int chunk = Math.min(everything.length - at, random.nextInt(longest + 1));
                reader.append(everything, at, chunk);
                at += chunk;
                if (random.nextBoolean()) {
                    found.addAll(drain(reader));
                }
            }
            found.addAll(drain(reader));
            assertAll(found, "run " + run);
        }
    }

    @Test
    @DisplayName("is lost for good at an impossible length, but not the messages before it")
    void framingLost() throws FramingLostException {
        for (int length : new int[] {0, 1, 8, 4097, 65535}) {
            MessageReader reader = new MessageReader(ORDER);
            reader.append(messages.get(0), 0, messages.get(0).length);
            byte[] header = {1, 0, 0, 0, (byte) length, (byte) (length >> 8), 0, 0};
            reader.append(header, 0, header.length);
            assertArrayEquals(messages.get(0), reader.next().encode(ORDER));
            FramingLostException lost = assertThrows(FramingLostException.class, reader::next);
            assertTrue(lost.getMessage().contains("says " + length + " bytes, expected 9 to 4096"), lost.getMessage());
            reader.append(messages.get(0), 0, messages.get(0).length);
            assertThrows(FramingLostException.class, reader::next);
        }
    }

    @Test
    @DisplayName("may carry the smallest and the largest message")
    void sizeLimits() throws FramingLostException {
        MessageReader reader = new MessageReader(ORDER);
        for (int size : new int[] {1, Protocol.MAX_MESSAGE - Protocol.HEADER_SIZE}) {
            byte[] bytes = new Frame(5, 0, new byte[size]).encode(ORDER);
            reader.append(bytes, 0, bytes.length - 1);
            assertNull(reader.next());
            assertEquals(bytes.length - 1, reader.held());
            reader.append(bytes, bytes.length - 1, 1);
            assertEquals(size, reader.next().body().length);
        }
        assertThrows(IllegalArgumentException.class, () -> new Frame(1, 0, new byte[0]).encode(ORDER));
        assertThrows(IllegalArgumentException.class, () -> new Frame(1, 0, new byte[4089]).encode(ORDER));
    }

    @Test
    @DisplayName("of a big-endian host has its header and listen ranges, and only those, the other way round")
    void bigEndian() throws Exception {
        MessageCodec codec = new MessageCodec(ByteOrder.BIG_ENDIAN);
        Message.Open open =
                new Message.Open("IPC.OTAMGR", List.of(new ListenRange(51611, 51612), new ListenRange(65012, 65012)));
        byte[] bytes = codec.encode(Sequence.request(1), open);
        assertEquals(
                "00008001" + "002f" + "0000" + "0027" + "900000" + "000a" + "4950432e4f54414d4752" + "a0000002" + "0010"
                        + "0000c99b" + "0000c99c" + "0000fdf4" + "0000fdf4",
                HexFormat.of().formatHex(bytes));
        MessageReader reader = new MessageReader(ByteOrder.BIG_ENDIAN);
        reader.append(bytes, 0, bytes.length);
        assertEquals(new Incoming.Request(1, open), codec.classify(reader.next()));
    }
}
