// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

/** What {@link MessageCodec#classify} makes of a received message. */
public sealed interface Incoming {

    /**
     * A request that has to be answered.
     *
     * @param id the sequence id for the answer
     * @param message what is asked
     */
    record Request(int id, Message.Request message) implements Incoming {}

    /**
     * A request of a known kind with a body that breaks the rules; the stream goes on.
     *
     * @param id the sequence id for the answer
     * @param opcode what was asked
     * @param answer what the peer has to be told: BAD_TLV in the form that fits the request
     * @param reason for the log
     */
    record BadRequest(int id, Opcode opcode, Message.Response answer, String reason) implements Incoming {}

    /**
     * An answer to an own request. What the body means is known to whoever sent the request.
     *
     * @param id the sequence id of that request
     * @param body still encoded
     */
    record Response(int id, byte[] body) implements Incoming {}

    /**
     * The end of a SET.
     *
     * @param message how it ended
     */
    record Unsolicited(Message.SetReply message) implements Incoming {}

    /**
     * Nothing that could be answered or acted upon: an unknown opcode, an opcode that does not go with this kind of
     * message, or a body too broken to find its opcode.
     *
     * @param reason for the log
     */
    record Ignored(String reason) implements Incoming {}
}
