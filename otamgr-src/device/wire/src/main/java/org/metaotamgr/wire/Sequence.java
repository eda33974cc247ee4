// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

/** What the 32-bit sequence number of a message says (attribute protocol, section 2.2). */
public final class Sequence {
    /** Sequence number of a message which nobody asked for and nobody answers. */
    public static final int UNSOLICITED = 0;
    /** Largest sequence id; the ids of a side's own requests run from 1 to this and start again. */
    public static final int MAX_ID = 0x7FFF;

    private static final int REQUEST_BIT = 0x8000;

    /** What a received message is to its receiver. */
    public enum Kind {
        /** Carries an opcode and is never answered. */
        UNSOLICITED,
        /** Carries an opcode and has to be answered under the same id. */
        REQUEST,
        /** Answers the receiver's own request of that id; carries no opcode. */
        RESPONSE
    }

    private Sequence() {}

    /**
     * Classifies a received message. Only the low 16 bits count; the request bit without an id is unsolicited.
     *
     * @param sequence the sequence number as received
     * @return what the message is
     */
    public static Kind kind(int sequence) {
        if (id(sequence) == 0) {
            return Kind.UNSOLICITED;
        }
        return (sequence & REQUEST_BIT) != 0 ? Kind.REQUEST : Kind.RESPONSE;
    }

    /**
     * The id that ties a response to its request.
     *
     * @param sequence the sequence number as received
     * @return 1 to {@link #MAX_ID}, or 0 if the message is unsolicited
     */
    public static int id(int sequence) {
        return sequence & MAX_ID;
    }

    /**
     * The sequence number of a request.
     *
     * @param id 1 to {@link #MAX_ID}
     * @return what goes into the header
     */
    public static int request(int id) {
        return REQUEST_BIT | id;
    }

    /**
     * The sequence number of a response.
     *
     * @param id the id of the request it answers
     * @param clientId the daemon's number for the connection; clients put 0. Receivers ignore it
     * @return what goes into the header
     */
    public static int response(int id, int clientId) {
        return clientId << 16 | id;
    }
}
