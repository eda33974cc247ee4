// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import java.io.IOException;

/**
 * A header carries an impossible length, so nobody knows where the next message starts. The only way on is a new
 * connection (attribute protocol, section 11).
 */
public final class FramingLostException extends IOException {
    private static final long serialVersionUID = 1L;

    FramingLostException(int length) {
        super("a message header says " + length + " bytes, expected " + Protocol.MIN_MESSAGE + " to "
                + Protocol.MAX_MESSAGE + ": the rest of the stream cannot be understood, connect anew");
    }
}
