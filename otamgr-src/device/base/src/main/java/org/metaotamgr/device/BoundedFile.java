// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads a small file whole; one that is larger than it can rightly be is not taken. */
public final class BoundedFile {
    private BoundedFile() {}

    /**
     * Reads it.
     *
     * @param file the file
     * @param limit the most bytes that it may have
     * @return its content
     * @throws IOException if it cannot be read, or is larger
     */
    public static byte[] read(Path file, int limit) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            byte[] content = in.readNBytes(limit + 1);
            if (content.length > limit) {
                throw new IOException("expected at most " + limit + " bytes, found more");
            }
            return content;
        }
    }
}
