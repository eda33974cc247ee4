// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;

/** Reads lines from a program that may write anything, in bounded memory. */
public final class BoundedLines {
    /** Longest line that is passed on, in bytes; the rest of a longer one is dropped. */
    public static final int MAX_LENGTH = 1024;

    private BoundedLines() {}

    /**
     * Reads to the end.
     *
     * @param in where to read from
     * @param lines takes each line that is not empty, without its end ({@code \n} or {@code \r})
     * @throws IOException if reading fails
     */
    public static void read(InputStream in, Consumer<String> lines) throws IOException {
        byte[] line = new byte[MAX_LENGTH];
        int length = 0;
        byte[] chunk = new byte[MAX_LENGTH];
        for (int read = in.read(chunk); read >= 0; read = in.read(chunk)) {
            for (int i = 0; i < read; i++) {
                if (chunk[i] == '\n' || chunk[i] == '\r') {
                    tell(line, length, lines);
                    length = 0;
                } else if (length < MAX_LENGTH) {
                    line[length++] = chunk[i];
                }
            }
        }
        tell(line, length, lines);
    }

    private static void tell(byte[] line, int length, Consumer<String> lines) {
        if (length > 0) {
            lines.accept(new String(line, 0, length, StandardCharsets.UTF_8));
        }
    }
}
