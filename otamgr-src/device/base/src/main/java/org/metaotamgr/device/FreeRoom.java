// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Whether a file system has room for what is to come, and a little more. */
public final class FreeRoom {
    private static final long SPARE_BYTES = 1 << 20;

    private FreeRoom() {}

    /**
     * Compares what is needed with what is free.
     *
     * @param place a file or a folder on the file system
     * @param bytes how much is to come
     * @return what was expected and found if there is too little; empty if there is enough
     * @throws IOException if the file system does not tell
     */
    public static Optional<String> problem(Path place, long bytes) throws IOException {
        long needed = bytes + SPARE_BYTES;
        long free = Files.getFileStore(place).getUsableSpace();
        return needed > free
                ? Optional.of("expected " + needed + " free bytes in " + place + ", found " + free)
                : Optional.empty();
    }
}
