// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.io.IOException;
import java.util.Optional;

/**
 * Where a client keeps what it trusts. Whatever is read from it is verified again, so a store that lost or tore files costs
 * protection against rollback since the last refresh, and nothing else.
 */
public interface MetadataStore {
    /**
     * Reads a file.
     *
     * @param name its name, without a slash
     * @param limit its largest length in bytes
     * @return the file; empty if there is none, or none that can be read, or a longer one
     */
    Optional<byte[]> read(String name, int limit);

    /**
     * Writes a file: after a power cut it is the old one or the new one.
     *
     * @param name its name, without a slash
     * @param content the file
     * @throws IOException if it cannot be written; the old file is still there then
     */
    void write(String name, byte[] content) throws IOException;

    /**
     * Removes a file, if it is there.
     *
     * @param name its name, without a slash
     * @throws IOException if it cannot be removed
     */
    void remove(String name) throws IOException;
}
