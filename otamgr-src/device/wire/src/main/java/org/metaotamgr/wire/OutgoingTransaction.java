// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import java.util.Arrays;

/**
 * A value on its way to the peer, packet by packet: the next one may be sent when the one before it was acknowledged
 * (attribute protocol, section 6).
 */
final class OutgoingTransaction {
    private final Opcode opcode;
    private final int operationId;
    private final int attributeId;
    private final byte[] value;
    private int transactionId;
    private int acknowledged;
    private int sent;

    OutgoingTransaction(Opcode opcode, int operationId, int attributeId, byte[] value) {
        if (value.length > Protocol.MAX_VALUE) {
            throw new IllegalArgumentException("the value of attribute " + Integer.toUnsignedString(attributeId)
                    + " has " + value.length + " bytes, at most " + Protocol.MAX_VALUE + " can be sent");
        }
        this.opcode = opcode;
        this.operationId = operationId;
        this.attributeId = attributeId;
        this.value = value;
    }

    /** The packet to send now. */
    Message.Packet packet() {
        sent = Math.min(value.length, acknowledged + Protocol.MAX_CHUNK);
        return new Message.Packet(
                opcode,
                transactionId,
                operationId,
                attributeId,
                value.length,
                acknowledged,
                Arrays.copyOfRange(value, acknowledged, sent));
    }

    /**
     * The packet was taken.
     *
     * @return true if it was the last one
     */
    boolean acknowledged(Message.Ack ack) {
        if (acknowledged == 0) {
            transactionId = ack.transactionId();
        }
        acknowledged = sent;
        return acknowledged == value.length;
    }
}
