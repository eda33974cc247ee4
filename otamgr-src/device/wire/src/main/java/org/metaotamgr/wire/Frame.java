// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * One message as it travels: header and uninterpreted body (attribute protocol, section 2). The header is in the byte
 * order of the host, which is why every encoder and decoder here is told one.
 *
 * @param sequence the sequence number, see {@link Sequence}
 * @param padding the last 16 bits of the header; sent as 0, ignored when received
 * @param body the bytes after the header, at least one; not copied
 */
public record Frame(int sequence, int padding, byte[] body) {

    /**
     * The bytes of the message.
     *
     * @param order the byte order of the host
     * @return header and body, 9 to 4096 bytes
     * @throws IllegalArgumentException if the body is empty or the message would be larger than
     *     {@link Protocol#MAX_MESSAGE}
     */
    public byte[] encode(ByteOrder order) {
        int length = Protocol.HEADER_SIZE + body.length;
        if (length < Protocol.MIN_MESSAGE || length > Protocol.MAX_MESSAGE) {
            throw new IllegalArgumentException("a message has " + Protocol.MIN_MESSAGE + " to " + Protocol.MAX_MESSAGE
                    + " bytes with its header, this one would have " + length);
        }
        byte[] bytes = new byte[length];
        ByteBuffer.wrap(bytes)
                .order(order)
                .putInt(sequence)
                .putShort((short) length)
                .putShort((short) padding)
                .put(body);
        return bytes;
    }
}
