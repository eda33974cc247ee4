// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.device.DurableFile;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;

/**
 * Brings one large file into a folder of its own: {@value #PART}, which grows and survives power cuts, {@value #ORIGIN}, which
 * says of what it is a part, and in the end {@value #FILE}, of the right length and hash and on the storage.
 *
 * <p>A part is only continued while the server says, by a strong ETag or by the date of the file (RFC 9110, 13.1.5), that the
 * file is still the one that the part was taken from; otherwise it begins anew. Whatever the server says, the hash decides.
 */
public final class Download {
    static final String PART = "update.part";
    static final String ORIGIN = "update.origin";
    static final String FILE = "update.bundle";

    private static final int CHUNK = 256 * 1024;
    /** As much as a power cut may cost. */
    private static final long SYNC_EVERY = 8L << 20;
    /** What the file system needs beside the file. */
    private static final long SPARE_BYTES = 1 << 20;
    private static final int MAX_ORIGIN = 4096;
    private static final Pattern CONTENT_RANGE = Pattern.compile("bytes (\\d{1,18})-(\\d{1,18})/(\\d{1,18}|\\*)");

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
     * @param sha256 its hash, 64 lower case hex digits
     */
    public record Wanted(URI uri, long bytes, String sha256) {
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
     * @param progress told how far it is; what it throws ends it, and the part is kept
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
            if (Files.exists(file)) {
                // A power cut came right after the rename. What the storage made of it is judged below.
                files.rename(file, part);
            }
            boolean resumed = size(part) > 0;
            transfer(wanted, folder, progress);
            Optional<String> problem = problemOf(wanted, part);
            if (problem.isPresent() && resumed) {
                log.info("download_again:url=" + Http.text(wanted.uri()) + ",reason=" + problem.get());
                discard(folder);
                transfer(wanted, folder, progress);
                problem = problemOf(wanted, part);
            }
            if (problem.isPresent()) {
                discard(folder);
                throw new SourceException(Reason.VERIFICATION_FAILED, Http.text(wanted.uri()) + ": " + problem.get());
            }
            prove(part, folder, proof);
            files.rename(part, file);
            files.delete(folder.resolve(ORIGIN));
            files.syncFolder(folder);
            return file;
        } catch (IOException e) {
            throw new SourceException(Reason.DOWNLOAD_FAILED, folder + ": " + e);
        }
    }

    private void prove(Path part, Path folder, Proof proof) throws IOException, SourceException, InterruptedException {
        try {
            proof.check(part);
        } catch (SourceException e) {
            discard(folder);
            throw e;
        }
    }

    private Optional<String> problemOf(Wanted wanted, Path part) throws SourceException, IOException, InterruptedException {
        if (size(part) != wanted.bytes()) {
            return Optional.of("expected " + wanted.bytes() + " bytes, found " + size(part));
        }
        String found = hasher.sha256(part);
        return found.equals(wanted.sha256()) ? Optional.empty()
                : Optional.of("expected the SHA-256 " + wanted.sha256() + ", found " + found);
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
        if (size(part) == wanted.bytes()) {
            progress.pulled(wanted.bytes());
            return;
        }
        Optional<String> validator = origin(folder, wanted);
        if (validator.isEmpty() || size(part) > wanted.bytes()) {
            discard(folder);
            validator = Optional.empty();
        }
        long there = size(part);
        needRoom(folder, wanted.bytes() - there);
        Map<String, String> headers = new HashMap<>();
        if (there > 0) {
            headers.put("Range", "bytes=" + there + "-");
            headers.put("If-Range", validator.get());
        }
        Optional<String> origin = validator;
        Http.Request request = new Http.Request("GET", wanted.uri(), headers, Optional.empty(), Optional.empty(),
                Reason.DOWNLOAD_FAILED);
        boolean useless = http.exchange(request, response -> {
            switch (response.status()) {
                case HttpURLConnection.HTTP_PARTIAL -> {
                    if (there == 0 || !isRest(response, there, wanted.bytes())
                            || !validator(response).orElse(origin.get()).equals(origin.get())) {
                        return true;
                    }
                    log.info("download_resumed:url=" + Http.text(wanted.uri()) + ",bytes=" + there);
                    append(response, wanted, folder, there, progress);
                    return false;
                }
                case HttpURLConnection.HTTP_OK -> {
                    if (there > 0) {
                        log.info("download_anew:url=" + Http.text(wanted.uri())
                                + ",reason=the server has no ranges or another file now");
                    }
                    begin(response, wanted, folder);
                    append(response, wanted, folder, 0, progress);
                    return false;
                }
                case 416 -> {
                    return true;
                }
                default -> throw Http.problem(request, response);
            }
        });
        if (useless && there > 0) {
            log.info("download_anew:url=" + Http.text(wanted.uri()) + ",reason=the server cannot continue it");
            discard(folder);
            transfer(wanted, folder, progress);
        } else if (useless) {
            throw new SourceException(Reason.DOWNLOAD_FAILED, Http.text(wanted.uri())
                    + ": expected the whole file, found an answer for a part of it");
        }
    }

    private static boolean isRest(Http.Response response, long there, long total) {
        Matcher matcher = CONTENT_RANGE.matcher(response.header("Content-Range").orElse(""));
        return matcher.matches() && Long.parseLong(matcher.group(1)) == there
                && Long.parseLong(matcher.group(2)) == total - 1
                && (matcher.group(3).equals("*") || Long.parseLong(matcher.group(3)) == total);
    }

    /** The file begins: what was there is gone, and how to recognise this file is on the storage before it. */
    private void begin(Http.Response response, Wanted wanted, Path folder) throws IOException, SourceException {
        discard(folder);
        if (response.length() >= 0 && response.length() != wanted.bytes()) {
            throw new SourceException(Reason.VERIFICATION_FAILED, Http.text(wanted.uri()) + ": expected " + wanted.bytes()
                    + " bytes, found " + response.length());
        }
        needRoom(folder, wanted.bytes());
        Optional<String> validator = validator(response);
        if (validator.isPresent()) {
            new DurableFile(folder.resolve(ORIGIN), files)
                    .write((wanted.sha256() + "\n" + validator.get() + "\n").getBytes(StandardCharsets.UTF_8));
        }
    }

    /** What If-Range may say: a strong ETag, else a date that is old enough to name one version of the file. */
    private static Optional<String> validator(Http.Response response) {
        Optional<String> tag = response.header("ETag");
        if (tag.isPresent()) {
            return tag.filter(value -> value.matches("\"[!#-~]{0,200}\""));
        }
        Optional<String> modified = response.header("Last-Modified");
        try {
            ZonedDateTime changed = ZonedDateTime.parse(modified.orElse(""), DateTimeFormatter.RFC_1123_DATE_TIME);
            ZonedDateTime now = ZonedDateTime.parse(response.header("Date").orElse(""),
                    DateTimeFormatter.RFC_1123_DATE_TIME);
            return Duration.between(changed, now).toSeconds() >= 1 ? modified : Optional.empty();
        } catch (DateTimeParseException e) {
            return Optional.empty();
        }
    }

    private static Optional<String> origin(Path folder, Wanted wanted) throws IOException {
        try (InputStream in = Files.newInputStream(folder.resolve(ORIGIN))) {
            String[] lines = new String(in.readNBytes(MAX_ORIGIN), StandardCharsets.UTF_8).split("\n");
            return lines.length == 2 && lines[0].equals(wanted.sha256()) ? Optional.of(lines[1]) : Optional.empty();
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }

    private static void needRoom(Path folder, long bytes) throws IOException, SourceException {
        long free = Files.getFileStore(folder).getUsableSpace();
        if (bytes + SPARE_BYTES > free) {
            throw new SourceException(Reason.NO_SPACE, folder + ": expected " + (bytes + SPARE_BYTES)
                    + " free bytes, found " + free);
        }
    }

    private void append(Http.Response response, Wanted wanted, Path folder, long from, PullProgress progress)
            throws IOException, SourceException, InterruptedException {
        long done = from;
        try (FileChannel out = FileChannel.open(folder.resolve(PART), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            try {
                out.position(from);
                InputStream in = response.body();
                byte[] chunk = new byte[CHUNK];
                long synced = done;
                progress.pulled(done);
                // One byte more than there should be shows a file that is longer.
                for (int read = read(in, chunk, wanted.bytes() - done); read > 0;
                        read = read(in, chunk, wanted.bytes() - done)) {
                    if (read > wanted.bytes() - done) {
                        out.truncate(0);
                        throw new SourceException(Reason.VERIFICATION_FAILED, Http.text(wanted.uri()) + ": expected "
                                + wanted.bytes() + " bytes, found more");
                    }
                    ByteBuffer buffer = ByteBuffer.wrap(chunk, 0, read);
                    while (buffer.hasRemaining()) {
                        done += out.write(buffer);
                    }
                    if (done - synced >= SYNC_EVERY) {
                        out.force(false);
                        synced = done;
                    }
                    progress.pulled(done);
                }
            } finally {
                // What came before a break counts as well.
                out.force(true);
            }
        } catch (SourceException e) {
            if (e.reason() == Reason.VERIFICATION_FAILED) {
                discard(folder);
            }
            throw e;
        }
        if (done < wanted.bytes()) {
            throw new SourceException(Reason.DOWNLOAD_FAILED, Http.text(wanted.uri()) + ": expected " + wanted.bytes()
                    + " bytes, found " + done + " and the end of the connection; the rest is pulled next time");
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
