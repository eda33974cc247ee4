// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import java.time.Duration;

/** Sizes and time-outs of the attribute protocol (sections 2, 6 and 8). */
public final class Protocol {
    /** Bytes of the header in front of every message. */
    public static final int HEADER_SIZE = 8;
    /** Smallest message, header included: a header without a body is malformed. */
    public static final int MIN_MESSAGE = 9;
    /** Largest message, header included. */
    public static final int MAX_MESSAGE = 4096;
    /** Largest piece of a value in one message, both in a transaction packet and in an inline GET reply. */
    public static final int MAX_CHUNK = 3968;
    /** Largest value of an attribute in bytes. */
    public static final int MAX_VALUE = 65534;
    /** Most listen ranges in one OPEN. */
    public static final int MAX_RANGES = 10;
    /** Longest client name in bytes. */
    public static final int MAX_NAME = 31;
    /** How long a client waits for the answer to OPEN. */
    public static final Duration OPEN_TIMEOUT = Duration.ofMillis(1000);
    /** How long a client waits for the answer to GET; holds for every attribute of the update service. */
    public static final Duration GET_TIMEOUT = Duration.ofSeconds(5);
    /** How long a client waits for the SET_REPLY to a SET. */
    public static final Duration SET_TIMEOUT = Duration.ofSeconds(5);
    /** How long a sender waits for the ack of a packet, and a receiver for the next packet of a transaction. */
    public static final Duration PACKET_TIMEOUT = Duration.ofSeconds(4);

    private Protocol() {}
}
