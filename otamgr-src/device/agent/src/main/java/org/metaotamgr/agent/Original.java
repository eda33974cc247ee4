// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;

/** A bundle where it lies, on a server or a stick, from which pieces can be fetched. */
@FunctionalInterface
public interface Original extends AutoCloseable {
    /** Only the whole of it can be had. */
    final class OnlyWholeException extends Exception {
        private static final long serialVersionUID = 1L;

        /**
         * Makes one.
         *
         * @param reason why, in one line
         */
        public OnlyWholeException(String reason) {
            super(reason);
        }
    }

    /** Takes what comes. */
    @FunctionalInterface
    interface Taker {
        /**
         * Takes bytes of the file, which follow those of the call before.
         *
         * @param bytes where they are, from the first on
         * @param count how many there are
         * @throws IOException if they cannot be kept
         * @throws SourceException if nobody wants them any more
         */
        void take(byte[] bytes, int count) throws IOException, SourceException;
    }

    /**
     * Fetches a piece, from its beginning to its end. What came before a failure was taken.
     *
     * @param offset where it begins
     * @param length its length in bytes
     * @param taker takes it
     * @throws OnlyWholeException if pieces cannot be had
     * @throws IOException if reading or keeping fails
     * @throws SourceException if it cannot be had, or if the taker says so
     * @throws InterruptedException if the thread was interrupted
     */
    void fetch(long offset, long length, Taker taker)
            throws OnlyWholeException, IOException, SourceException, InterruptedException;

    /** Lets go of what it holds. The default is that it holds nothing. */
    @Override
    default void close() {}
}
