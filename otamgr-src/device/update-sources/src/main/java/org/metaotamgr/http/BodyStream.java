// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.IOException;
import java.io.InputStream;

/** A body of which some bytes come at a time. */
abstract class BodyStream extends InputStream {
    /**
     * Takes the next bytes.
     *
     * @param target receives them
     * @param offset where
     * @param length how many at the most, at least one
     * @return how many came; negative at the end
     * @throws IOException if they cannot be had
     */
    abstract int take(byte[] target, int offset, int length) throws IOException;

    @Override
    public final int read() throws IOException {
        byte[] one = new byte[1];
        return take(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public final int read(byte[] target, int offset, int length) throws IOException {
        return length == 0 ? 0 : take(target, offset, length);
    }
}
