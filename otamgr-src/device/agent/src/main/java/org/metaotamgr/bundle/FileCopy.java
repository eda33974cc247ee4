// SPDX-License-Identifier: MIT
package org.metaotamgr.bundle;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import java.util.function.Consumer;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.device.FreeRoom;

/** Copies a large file in pieces, so that a power cut costs little, and a cut copy can go on. */
public final class FileCopy {
    private static final int CHUNK = 256 * 1024;
    /** As much as a power cut may cost. */
    private static final long SYNC_EVERY = 8L << 20;

    private FileCopy() {}

    /** Judges what was copied. */
    @FunctionalInterface
    public interface Judge {
        /**
         * What is wrong with a copy.
         *
         * @param copy the whole of it
         * @return why it is not to be used, or nothing
         * @throws IOException if it cannot be read
         * @throws InterruptedException if the thread was interrupted
         */
        Optional<SourceException> problem(Path copy) throws IOException, InterruptedException;
    }

    /**
     * As {@link #copy}, until there is a copy that is good. What an earlier call began is copied anew if the whole is not.
     *
     * @param from the original
     * @param to the copy; gone if it is not good
     * @param length the length of the original
     * @param progress receives the progress; what it throws ends the copy, which is kept
     * @param judge judges the copy
     * @param again receives why it is copied anew
     * @throws IOException if it cannot be copied
     * @throws SourceException if it is not good, or the progress says so
     * @throws InterruptedException if the thread was interrupted; the copy is kept
     */
    public static void judged(
            Path from, Path to, long length, PullProgress progress, Judge judge, Consumer<SourceException> again)
            throws IOException, SourceException, InterruptedException {
        boolean resumed = Files.exists(to, LinkOption.NOFOLLOW_LINKS);
        copy(from, to, length, progress);
        Optional<SourceException> problem = judge.problem(to);
        if (problem.isPresent() && resumed) {
            // What a power cut left may be damaged although the original is not.
            again.accept(problem.get());
            Files.delete(to);
            copy(from, to, length, progress);
            problem = judge.problem(to);
        }
        if (problem.isPresent()) {
            Files.delete(to);
            throw problem.get();
        }
    }

    /**
     * Goes on with a copy, or begins it. What was copied is on the storage when this returns.
     *
     * @param from the original
     * @param to the copy; what it holds of an earlier call is kept
     * @param length the length of the original
     * @param progress receives the progress; what it throws ends the copy, which is kept
     * @throws IOException if it cannot be copied
     * @throws SourceException if the progress says so
     * @throws InterruptedException if the thread was interrupted; the copy is kept
     */
    public static void copy(Path from, Path to, long length, PullProgress progress)
            throws IOException, SourceException, InterruptedException {
        try (FileChannel in = FileChannel.open(from, StandardOpenOption.READ);
                FileChannel out = FileChannel.open(to, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            long done = Math.min(out.size(), length) / CHUNK * CHUNK;
            Optional<String> problem = FreeRoom.problem(to, length - out.size());
            if (problem.isPresent()) {
                throw new SourceException(SourceException.Reason.NO_SPACE, problem.get());
            }
            out.truncate(done);
            out.position(done);
            in.position(done);
            ByteBuffer chunk = ByteBuffer.allocate(CHUNK);
            long synced = done;
            while (done < length) {
                if (Thread.interrupted()) {
                    throw new InterruptedException();
                }
                progress.pulled(done);
                chunk.clear().limit((int) Math.min(CHUNK, length - done));
                if (in.read(chunk) < 0) {
                    throw new IOException("expected " + length + " bytes, found " + done);
                }
                chunk.flip();
                progress.fetched(chunk.remaining());
                while (chunk.hasRemaining()) {
                    done += out.write(chunk);
                }
                if (done - synced >= SYNC_EVERY) {
                    out.force(false);
                    synced = done;
                }
            }
            out.force(true);
            progress.pulled(done);
        }
    }
}
