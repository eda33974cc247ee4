// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Says which bytes of a bundle this device lacks: those of blocks that neither of its slots has. */
@FunctionalInterface
public interface Needs {
    /**
     * A piece of a file.
     *
     * @param offset its first byte
     * @param length its length in bytes, at least 1
     */
    record Span(long offset, long length) {
        /**
         * Where it ends.
         *
         * @return the first byte behind it
         */
        public long end() {
            return offset + length;
        }
    }

    /**
     * What is still to be fetched.
     *
     * @param bundle a bundle of format 2 of its full length, with zeros where nothing has been fetched; what comes before its
     *     frames has to be there
     * @return ascending pieces, none of which touches the next; none if nothing is lacking; empty if that cannot be said, and
     *     the whole is to be fetched
     * @throws SourceException if the bundle is nothing for this device
     * @throws InterruptedException if the thread was interrupted
     */
    Optional<List<Span>> of(Path bundle) throws SourceException, InterruptedException;
}
