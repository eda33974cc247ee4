// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

/** Where metadata comes from: a server, a folder, a stick. It is trusted with nothing. */
@FunctionalInterface
public interface Transport extends AutoCloseable {
    /**
     * Fetches a metadata file.
     *
     * @param name its name, for example {@code 3.root.json}; role names in it are percent-encoded, so it has no slash
     * @param limit its largest length in bytes; no more is read
     * @return the file
     * @throws TufException {@code NOT_FOUND} if the repository says that there is none, {@code MALFORMED} if it is longer,
     *     {@code UNREACHABLE} otherwise
     * @throws InterruptedException if the thread was interrupted
     */
    byte[] metadata(String name, int limit) throws TufException, InterruptedException;

    /** Lets go of what it holds. */
    @Override
    default void close() {}
}
