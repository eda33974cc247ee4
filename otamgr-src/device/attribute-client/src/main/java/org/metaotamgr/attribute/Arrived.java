// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;

/** Bytes that were read and wait to be understood; bounded. Its lock is held for a copy at most. */
final class Arrived {
    /** More than 10,000 notifications without a pause. */
    static final int MAX_BYTES = 1 << 20;

    private final Deque<byte[]> pieces = new ArrayDeque<>();
    private int bytes;
    private boolean closed;

    /**
     * Adds bytes; waits while there is no room.
     *
     * @return whether nothing waited before, so that whoever takes them has to be woken
     */
    synchronized boolean add(byte[] buffer, int count) throws InterruptedException {
        while (bytes > MAX_BYTES && !closed) {
            wait();
        }
        boolean isFirst = pieces.isEmpty();
        pieces.add(Arrays.copyOf(buffer, count));
        bytes += count;
        return isFirst;
    }

    /** The oldest bytes, or null. */
    synchronized byte[] poll() {
        byte[] piece = pieces.poll();
        if (piece != null) {
            bytes -= piece.length;
            notifyAll();
        }
        return piece;
    }

    /** Whoever waits for room is let go: nobody takes anything any more. */
    synchronized void close() {
        closed = true;
        notifyAll();
    }
}
