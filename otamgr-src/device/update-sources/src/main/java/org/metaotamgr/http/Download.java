// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.device.DurableFile;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.FreeRoom;

/**
 * Brings one large file into a folder of its own: {@value #PART}, which grows and survives power cuts, {@value #ORIGIN}, which
 * says of what it is a part, and in the end {@value #FILE}, of the right length and hash and on the storage.
 *
 * <p>Length and hash decide, and nothing that a server says of versions: tags and dates differ from one server of a group to
 * the next, and with them a part would never grow. An answer that cannot be the file, because it has another length, another
 * status or is compressed, says nothing of the file: what is there stays.
 */
public final class Download {
    static final String PART = "update.part";
    static final String ORIGIN = "update.origin";
    static final String FILE = "update.bundle";

    private static final int CHUNK = 256 * 1024;
    /** A server that gives less at a time is asked again later, and not at once. */
    private static final int LEAST_GAIN = 64 * 1024;
    /** As much as a power cut may cost. */
    private static final long SYNC_EVERY = 8L << 20;
    /** What the file system needs beside the file. */
    private static final int MAX_ORIGIN = 4096;

    private static final int OK = 200;
    private static final int PARTIAL = 206;
    private static final int NO_SUCH_RANGE = 416;

    private final Http http;
    private final Hasher hasher;
    private final FileOperations files;
    private final EventLog log;

    /**
     * Makes one.
     *
     * @param http asks the server
     * @param hasher hashes the file
     * @param files the steps of durable writes
     * @param log where to tell about it
     */
    public Download(Http http, Hasher hasher, FileOperations files, EventLog log) {
        this.http = http;
        this.hasher = hasher;
        this.files = files;
        this.log = log;
    }

    /**
     * What to bring.
     *
     * @param uri where it is
     * @param bytes its length, at least 1
     * @param sha256 its hash, 64 lower case hex digits; empty if only the proof can tell
     * @param id by what a part of it is known, in one line
     */
    public record Wanted(URI uri, long bytes, Optional<String> sha256, String id) {
        /**
         * A file whose hash is known.
         *
         * @param uri where it is
         * @param bytes its length, at least 1
         * @param sha256 its hash, 64 lower case hex digits
         */
        public Wanted(URI uri, long bytes, String sha256) {
            this(uri, bytes, Optional.of(sha256), sha256);
        }
    }

    /** Says more about a complete file than its hash, for example whether it is signed. */
    @FunctionalInterface
    public interface Proof {
        /**
         * Checks the file.
         *
         * @param file the file, of the right length and hash, not yet under its name
         * @throws SourceException if it is not the one; it is removed then
         * @throws InterruptedException if the thread was interrupted
         */
        void check(Path file) throws SourceException, InterruptedException;
    }

    /**
     * Brings it.
     *
     * @param wanted what
     * @param folder the folder; it exists, and nobody else uses it
     * @param progress receives the progress; what it throws ends it, and the part is kept
     * @param proof says more about it
     * @return the file
     * @throws SourceException if it cannot be had; what failed its proof is removed
     * @throws InterruptedException if the thread was interrupted; the part is kept
     */
    public Path bring(Wanted wanted, Path folder, PullProgress progress, Proof proof)
            throws SourceException, InterruptedException {
        Path part = folder.resolve(PART);
        Path file = folder.resolve(FILE);
        try {
            boolean wasComplete = Files.exists(file);
            if (wasComplete) {
                // A power cut came right after the rename. What the storage made of it is judged below.
                files.rename(file, part);
            }
            boolean isOf = isOf(folder, wanted);
            if (!isOf && !wasComplete || size(part) > wanted.bytes()) {
                discard(folder);
                isOf = false;
            }
            if (!isOf) {
                new DurableFile(folder.resolve(ORIGIN), files)
                        .write((wanted.id() + "\n").getBytes(StandardCharsets.UTF_8));
            }
            boolean resumed = size(part) > 0;
            transfer(wanted, folder, progress);
            Optional<String> problem = problemOf(wanted, part);
            if (problem.isPresent() && resumed) {
                log.info("download_again:url=" + Http.text(wanted.uri()) + ",reason=" + problem.get());
                files.delete(part);
                transfer(wanted, folder, progress);
                problem = problemOf(wanted, part);
            }
            if (problem.isPresent()) {
                discard(folder);
                throw new SourceException(Reason.VERIFICATION_FAILED, Http.text(wanted.uri()) + ": " + problem.get());
            }
            prove(wanted, part, folder, proof);
            files.rename(part, file);
            files.delete(folder.resolve(ORIGIN));
            files.syncFolder(folder);
            return file;
        } catch (IOException e) {
            throw new SourceException(Reason.DOWNLOAD_FAILED, folder + ": " + e);
        }
    }

    /**
     * How much of a file is there.
     *
     * @param folder its folder
     * @return the number of bytes; 0 if that cannot be found out
     */
    public static long there(Path folder) {
        try {
            return Math.max(size(folder.resolve(PART)), size(folder.resolve(FILE)));
        } catch (IOException e) {
            return 0;
        }
    }

    private void prove(Wanted wanted, Path part, Path folder, Proof proof)
            throws IOException, SourceException, InterruptedException {
        try {
            proof.check(part);
        } catch (SourceException e) {
            discard(folder);
            boolean isOfTransfer = e.reason() == Reason.BAD_BUNDLE || e.reason() == Reason.DAMAGED;
            // Without a hash a bit that was changed on the way looks like a bundle that was never right.
            throw wanted.sha256().isEmpty() && isOfTransfer
                    ? new SourceException(Reason.VERIFICATION_FAILED, e.getMessage())
                    : e;
        }
    }

    private Optional<String> problemOf(Wanted wanted, Path part)
            throws SourceException, IOException, InterruptedException {
        if (size(part) != wanted.bytes()) {
            return Optional.of("expected " + wanted.bytes() + " bytes, found " + size(part));
        }
        if (wanted.sha256().isEmpty()) {
            return Optional.empty();
        }
        String found = hasher.sha256(part);
        return found.equals(wanted.sha256().get())
                ? Optional.empty()
                : Optional.of("expected the SHA-256 " + wanted.sha256().get() + ", found " + found);
    }

    private void discard(Path folder) throws IOException {
        files.delete(folder.resolve(PART));
        files.delete(folder.resolve(ORIGIN));
    }

    private static long size(Path file) throws IOException {
        try {
            return Files.size(file);
        } catch (NoSuchFileException e) {
            return 0;
        }
    }

    /** Takes what the part lacks. */
    private void transfer(Wanted wanted, Path folder, PullProgress progress)
            throws IOException, SourceException, InterruptedException {
        Path part = folder.resolve(PART);
        progress.pulled(size(part));
        progress.needed(wanted.bytes() - size(part));
        try {
            while (size(part) < wanted.bytes()) {
                long there = size(part);
                needRoom(folder, wanted.bytes() - there);
                if (!ask(wanted, folder, there, progress)) {
                    log.info("download_whole:url=" + Http.text(wanted.uri()) + ",reason=the server cannot continue it");
                    if (there == 0 || !ask(wanted, folder, 0, progress)) {
                        throw new SourceException(
                                Reason.WRONG_ANSWER,
                                Http.text(wanted.uri())
                                        + ": expected the whole file, found an answer for a part of it");
                    }
                }
                long now = size(part);
                if (now < wanted.bytes() && now - there < LEAST_GAIN) {
                    throw new SourceException(
                            Reason.DOWNLOAD_FAILED,
                            Http.text(wanted.uri()) + ": expected " + wanted.bytes() + " bytes, found " + now
                                    + "; the rest is pulled next time");
                }
            }
        } finally {
            if (size(part) == 0) {
                discard(folder);
            }
        }
    }

    /** Asks once, from a byte on; returns whether the server could begin there. */
    private boolean ask(Wanted wanted, Path folder, long from, PullProgress progress)
            throws SourceException, InterruptedException {
        Map<String, String> headers = from > 0 ? Map.of("Range", "bytes=" + from + "-") : Map.of();
        Http.Request request = new Http.Request(
                "GET", wanted.uri(), headers, Optional.empty(), Optional.empty(), Reason.DOWNLOAD_FAILED);
        return http.exchange(request, response -> {
            switch (response.status()) {
                case PARTIAL -> {
                    Optional<ContentRange> range =
                            ContentRange.of(response.header("Content-Range").orElse(""), wanted.bytes());
                    if (range.isEmpty()
                            || range.get().first() > from
                            || response.length() >= 0
                                    && response.length() != range.get().length()) {
                        return false;
                    }
                    if (from > 0) {
                        log.info("download_resumed:url=" + Http.text(wanted.uri()) + ",bytes=" + from);
                    }
                    take(response.body(), wanted, folder, range.get(), true, progress);
                    return true;
                }
                case OK -> {
                    if (response.length() >= 0 && response.length() != wanted.bytes()) {
                        throw new SourceException(
                                Reason.WRONG_ANSWER,
                                Http.text(wanted.uri()) + ": expected "
                                        + wanted.bytes() + " bytes, found " + response.length()
                                        + "; that is not the file, perhaps the page of a portal or proxy");
                    }
                    if (from > 0) {
                        log.info("download_whole:url=" + Http.text(wanted.uri()) + ",reason=the server has no ranges");
                    }
                    take(
                            response.body(),
                            wanted,
                            folder,
                            new ContentRange(0, wanted.bytes() - 1),
                            response.length() >= 0,
                            progress);
                    return true;
                }
                case NO_SUCH_RANGE -> {
                    return false;
                }
                default -> throw Http.problem(request, response);
            }
        });
    }

    /** Whether what is in the folder is a part of this file. */
    private static boolean isOf(Path folder, Wanted wanted) throws IOException {
        try (InputStream in = Files.newInputStream(folder.resolve(ORIGIN))) {
            return new String(in.readNBytes(MAX_ORIGIN), StandardCharsets.UTF_8)
                    .lines()
                    .findFirst()
                    .filter(wanted.id()::equals)
                    .isPresent();
        } catch (NoSuchFileException e) {
            return false;
        }
    }

    private static void needRoom(Path folder, long bytes) throws IOException, SourceException {
        Optional<String> problem = FreeRoom.problem(folder, bytes);
        if (problem.isPresent()) {
            throw new SourceException(Reason.NO_SPACE, problem.get());
        }
    }

    /**
     * Puts bytes of the file in their place. Those that are there already are compared: what is the same stays as it is, and
     * where it begins to differ the part ends, as one of the two is wrong and the end will tell.
     *
     * @param isSure whether the server has said how much it is, and that is right; else a first piece that is small is not
     *     taken, as it may as well be a page of somebody else
     */
    private void take(
            InputStream in, Wanted wanted, Path folder, ContentRange range, boolean isSure, PullProgress progress)
            throws IOException, SourceException, InterruptedException {
        try (FileChannel out = FileChannel.open(
                folder.resolve(PART), StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            try {
                byte[] chunk = new byte[CHUNK];
                long before = out.size();
                long at = range.first();
                long synced = at;
                // One byte more than there should be shows an answer that is longer.
                for (int read = read(in, chunk, range.last() + 1 - at);
                        read > 0;
                        read = read(in, chunk, range.last() + 1 - at)) {
                    if (read > range.last() + 1 - at) {
                        // Only what was there before may be of the file.
                        out.truncate(Math.min(before, out.size()));
                        throw new SourceException(
                                Reason.WRONG_ANSWER,
                                Http.text(wanted.uri()) + ": expected " + wanted.bytes()
                                        + " bytes, found more; that is not the file");
                    }
                    if (!isSure && at == 0 && read < Math.min(CHUNK, wanted.bytes())) {
                        throw new SourceException(
                                Reason.WRONG_ANSWER,
                                Http.text(wanted.uri()) + ": expected " + wanted.bytes() + " bytes, found " + read
                                        + "; that may not be the file");
                    }
                    put(out, chunk, read, at);
                    progress.fetched(read);
                    at += read;
                    if (at - synced >= SYNC_EVERY) {
                        out.force(false);
                        synced = at;
                    }
                    progress.pulled(Math.max(at, out.size()));
                }
                if (at <= range.last()) {
                    throw new SourceException(
                            Reason.DOWNLOAD_FAILED,
                            Http.text(wanted.uri()) + ": expected "
                                    + wanted.bytes() + " bytes, found " + out.size()
                                    + " and the end of the connection; the rest is pulled next time");
                }
            } finally {
                // What came before a break counts as well.
                out.force(true);
            }
        }
    }

    private static void put(FileChannel out, byte[] chunk, int length, long at) throws IOException {
        int same = 0;
        if (at < out.size()) {
            byte[] there = new byte[(int) Math.min(length, out.size() - at)];
            ByteBuffer buffer = ByteBuffer.wrap(there);
            while (buffer.hasRemaining() && out.read(buffer, at + buffer.position()) > 0) {
                continue;
            }
            int differs = Arrays.mismatch(there, 0, buffer.position(), chunk, 0, buffer.position());
            same = differs < 0 ? buffer.position() : differs;
            if (differs >= 0) {
                out.truncate(at + differs);
            }
        }
        ByteBuffer rest = ByteBuffer.wrap(chunk, same, length - same);
        for (long place = at + same; rest.hasRemaining(); ) {
            place += out.write(rest, place);
        }
    }

    /** Fills a piece as far as bytes come, at most one byte beyond what is missing. */
    private static int read(InputStream in, byte[] chunk, long missing) throws IOException, InterruptedException {
        int most = (int) Math.min(chunk.length, missing + 1);
        int filled = 0;
        while (filled < most) {
            if (Thread.interrupted()) {
                throw new InterruptedException();
            }
            int read;
            try {
                read = in.read(chunk, filled, most - filled);
            } catch (IOException e) {
                if (filled > 0) {
                    // The next call fails as well, after these bytes are kept.
                    return filled;
                }
                throw e;
            }
            if (read < 0) {
                return filled;
            }
            filled += read;
        }
        return filled;
    }
}
