// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Cuts a byte stream into messages. Where the bytes were split or glued on their way does not matter. Not thread-safe.
 */
public final class MessageReader {
    private final ByteOrder order;
    private byte[] buffer = new byte[2 * Protocol.MAX_MESSAGE];
    private int start;
    private int end;

    /**
     * A reader at the start of a stream.
     *
     * @param order the byte order of the host
     */
    public MessageReader(ByteOrder order) {
        this.order = order;
    }

    /**
     * Takes the next bytes of the stream.
     *
     * @param bytes holds them; copied
     * @param offset where they start
     * @param length how many they are, 0 allowed
     */
    public void append(byte[] bytes, int offset, int length) {
        if (buffer.length - end < length) {
            int held = end - start;
            byte[] target = held + length <= buffer.length ? buffer : new byte[held + length];
            System.arraycopy(buffer, start, target, 0, held);
            buffer = target;
            start = 0;
            end = held;
        }
        System.arraycopy(bytes, offset, buffer, end, length);
        end += length;
    }

    /**
     * The next complete message.
     *
     * @return the message, or null if more bytes are needed
     * @throws FramingLostException if the header is impossible; from then on every call throws
     */
    public Frame next() throws FramingLostException {
        if (end - start < Protocol.HEADER_SIZE) {
            return null;
        }
        ByteBuffer header = ByteBuffer.wrap(buffer, start, Protocol.HEADER_SIZE).order(order);
        int sequence = header.getInt();
        int length = Short.toUnsignedInt(header.getShort());
        int padding = Short.toUnsignedInt(header.getShort());
        if (length < Protocol.MIN_MESSAGE || length > Protocol.MAX_MESSAGE) {
            // start stays where it is: the same impossible header is found again by every later call
            throw new FramingLostException(length);
        }
        if (end - start < length) {
            return null;
        }
        byte[] body = Arrays.copyOfRange(buffer, start + Protocol.HEADER_SIZE, start + length);
        start += length;
        if (start == end) {
            start = 0;
            end = 0;
        }
        return new Frame(sequence, padding, body);
    }

    /**
     * How many bytes of an incomplete message are waiting for their rest.
     *
     * @return 0 if the stream is between two messages
     */
    public int held() {
        return end - start;
    }
}
