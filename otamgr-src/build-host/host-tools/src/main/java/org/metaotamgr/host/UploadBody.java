// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** The bytes of an image on their way out, for one try: read as they are taken, and counted. */
final class UploadBody {

    /** Small enough to stay in the cache of the processor between reading and sending. */
    private static final int BLOCK = 64 * 1024;

    private final Path file;
    private final long size;
    private volatile long sent;
    private volatile long lastMove = System.nanoTime();
    private volatile IOException failure;

    UploadBody(Path file, long size) {
        this.file = file;
        this.size = size;
    }

    long size() {
        return size;
    }

    long sent() {
        return sent;
    }

    /** How long no byte has been taken, in nanoseconds. */
    long standstill() {
        return System.nanoTime() - lastMove;
    }

    /** Why the file could not be read, or null. */
    IOException failure() {
        return failure;
    }

    /** Writes all of it, once; {@link #failure} tells a file that cannot be read from a target that does not take more. */
    void writeTo(OutputStream target) throws IOException {
        byte[] block = new byte[BLOCK];
        try (InputStream in = open()) {
            for (long left = size; left > 0; ) {
                int length = read(in, block, (int) Math.min(block.length, left));
                target.write(block, 0, length);
                left -= length;
                sent = size - left;
                lastMove = System.nanoTime();
            }
            target.flush();
        }
    }

    private InputStream open() throws IOException {
        try {
            return Files.newInputStream(file);
        } catch (IOException e) {
            failure = e;
            throw e;
        }
    }

    private int read(InputStream in, byte[] block, int most) throws IOException {
        try {
            int length = in.read(block, 0, most);
            if (length < 0) {
                throw new EOFException("it became shorter while it was sent");
            }
            return length;
        } catch (IOException e) {
            failure = e;
            throw e;
        }
    }
}
