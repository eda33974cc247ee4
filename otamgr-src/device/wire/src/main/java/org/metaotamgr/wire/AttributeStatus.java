// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

/** Status codes of the attribute daemon (attribute protocol, section 7). */
public enum AttributeStatus {
    /** Success. */
    OK(0),
    /** Failure without a more precise code; also stands for codes which the protocol does not define. */
    UNSPECIFIED(1),
    /** OPEN asked for more than {@value Protocol#MAX_RANGES} listen ranges. */
    TOO_MANY_RANGES(2),
    /** The client which owns the attribute is not connected. */
    OWNER_NOT_AVAILABLE(3),
    /** The message could not be parsed. */
    BAD_TLV(4),
    /** The receiver has no room for the value. */
    NO_SPACE(5),
    /** A transaction packet contradicts the packets before it. */
    BAD_DATA(6),
    /** The receiver has too many transactions open. */
    TOO_MANY_TRANSACTIONS(7),
    /** The transaction is unknown or timed out. */
    TRANSACTION_NOT_FOUND(8),
    /** A parameter has a value which is not allowed. */
    BAD_PARAM(9),
    /** The attribute may not be accessed by this client, for example a SET of an attribute that is not writable. */
    FORBIDDEN(10),
    /** The client has not sent OPEN. */
    NOT_OPEN(11),
    /** No such attribute. */
    ATTR_ID_NOT_FOUND(12),
    /** There is no connection to the daemon; local only, never sent. */
    NO_DAEMON(13),
    /** No answer in time. */
    TIMEOUT(14),
    /** The owner is busy and rejects the SET. */
    SET_REJECT_BUSY(15),
    /** The owner does not serve the attribute. */
    NOT_IMPLEMENTED(16),
    /** Internal to the original implementation, never sent. */
    INT_NO_STATUS(17);

    // values() copies its array on every call.
    private static final AttributeStatus[] BY_CODE = values();

    private final int code;

    AttributeStatus(int code) {
        this.code = code;
    }

    /**
     * The number which stands for this status on the wire.
     *
     * @return 0 to 17
     */
    public int code() {
        return code;
    }

    /**
     * The status of a number from the wire.
     *
     * @param code any number
     * @return the status, or {@link #UNSPECIFIED} if the protocol does not define the number
     */
    public static AttributeStatus of(int code) {
        return code >= 0 && code < BY_CODE.length ? BY_CODE[code] : UNSPECIFIED;
    }
}
