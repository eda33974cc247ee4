// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import java.util.List;

/**
 * The messages of the attribute protocol (sections 5 and 6). Statuses are kept as the number on the wire, because a
 * peer may send one which the protocol does not define; {@link AttributeStatus#of} names it. Ids of attributes are
 * unsigned 32-bit numbers in an int. Byte arrays are not copied.
 */
public sealed interface Message permits Message.Request, Message.Response, Message.SetReply {

    /** A message that must be answered. */
    sealed interface Request extends Message permits Open, Get, Packet {}

    /** An answer. Which one it is follows from the request of the same id. */
    sealed interface Response extends Message permits OpenReply, GetReply, Ack {}

    /** How a GET was answered. */
    sealed interface GetReply extends Response permits GetValue, GetLater, GetFailed {}

    /**
     * First message of a client.
     *
     * @param name who the client claims to be, in ASCII
     * @param ranges what it wants to be notified about
     */
    record Open(String name, List<ListenRange> ranges) implements Request {
        /** Copies the ranges. */
        public Open {
            ranges = List.copyOf(ranges);
        }
    }

    /**
     * Answer to OPEN.
     *
     * @param status 0 if the client is accepted
     */
    record OpenReply(int status) implements Response {}

    /**
     * Asks for a value.
     *
     * @param attributeId the attribute
     * @param operationId chosen by the asker, 1 to 65535; a large value comes under this id
     */
    record Get(int attributeId, int operationId) implements Request {}

    /**
     * The value itself.
     *
     * @param value at most {@link Protocol#MAX_CHUNK} bytes
     */
    record GetValue(byte[] value) implements GetReply {}

    /**
     * The value comes as a GET_REPLY transaction, before or after this.
     *
     * @param operationId the id of the GET, 1 to 65535
     */
    record GetLater(int operationId) implements GetReply {}

    /**
     * There is no value.
     *
     * @param status why, 1 to 255
     * @param operationId the id of the GET; some owners put another number, so nobody may rely on it
     */
    record GetFailed(int status, int operationId) implements GetReply {}

    /**
     * A piece of a value that is notified, set or replied.
     *
     * @param opcode NOTIFY, SET or GET_REPLY
     * @param transactionId 0 in the first packet, then what the receiver put into its ack
     * @param operationId 0 for NOTIFY, else the id of the SET or GET
     * @param attributeId the attribute
     * @param size length of the whole value, 0 to 65535 on the wire
     * @param position where this piece belongs in the value
     * @param chunk the piece
     */
    record Packet(
            Opcode opcode, int transactionId, int operationId, int attributeId, int size, int position, byte[] chunk)
            implements Request {}

    /**
     * Answer to one packet.
     *
     * @param status 0 if the packet was taken
     * @param transactionId what the receiver calls this transaction, 0 on error
     */
    record Ack(int status, int transactionId) implements Response {}

    /**
     * How a SET ended; unsolicited.
     *
     * @param status 0 if the owner took the value
     * @param operationId the id of the SET
     */
    record SetReply(int status, int operationId) implements Message {}
}
