// SPDX-License-Identifier: MIT
package org.metaotamgr.bundle;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.metaotamgr.agent.Original;
import org.metaotamgr.agent.SourceException;

/**
 * A bundle in a file, for example on a stick.
 *
 * @param file the file
 */
public record FileOriginal(Path file) implements Original {
    private static final int CHUNK = 256 * 1024;

    @Override
    public void fetch(long offset, long length, Taker taker) throws IOException, SourceException, InterruptedException {
        try (FileChannel in = FileChannel.open(file, StandardOpenOption.READ)) {
            ByteBuffer chunk = ByteBuffer.allocate((int) Math.min(CHUNK, length));
            for (long at = offset; at < offset + length; at += chunk.position()) {
                if (Thread.interrupted()) {
                    throw new InterruptedException();
                }
                chunk.clear().limit((int) Math.min(chunk.capacity(), offset + length - at));
                if (in.read(chunk, at) < 0) {
                    throw new IOException(file + ": expected " + (offset + length - at) + " bytes at " + at
                            + ", found the end of the file");
                }
                taker.take(chunk.array(), chunk.position());
            }
        }
    }
}
