// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

/** What a request or an unsolicited message wants (attribute protocol, section 4). Responses carry no opcode. */
public enum Opcode {
    /** A client introduces itself. */
    OPEN(0),
    /** The daemon tells about a change. */
    NOTIFY(1),
    /** Change an attribute. */
    SET(2),
    /** Ask for the value of an attribute. */
    GET(3),
    /** How a SET ended; unsolicited. */
    SET_REPLY(4),
    /** The value for a GET that is too large for its response. */
    GET_REPLY(5);

    private static final Opcode[] BY_CODE = values();

    private final int code;

    Opcode(int code) {
        this.code = code;
    }

    /**
     * The number on the wire.
     *
     * @return 0 to 5
     */
    public int code() {
        return code;
    }

    /**
     * Whether values travel with this opcode in transaction packets.
     *
     * @return true for NOTIFY, SET and GET_REPLY
     */
    public boolean isTransaction() {
        return this == NOTIFY || this == SET || this == GET_REPLY;
    }

    /**
     * The opcode of a number.
     *
     * @param code any number
     * @return null if the protocol does not define it
     */
    static Opcode of(long code) {
        return code >= 0 && code < BY_CODE.length ? BY_CODE[(int) code] : null;
    }
}
