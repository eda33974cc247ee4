// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.util.Map;
import java.util.Optional;
import org.metaotamgr.agent.Original;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;

/**
 * A bundle on a web server, piece by piece on one connection. A server without ranges gives the whole, or says so; one that
 * gives less than was asked for, or begins earlier, is asked for the rest. Which bytes are right is up to whoever knows
 * their hashes: nothing that a server says of versions counts here.
 */
public final class HttpOriginal implements Original {
    private static final int OK = 200;
    private static final int PARTIAL = 206;
    private static final int NO_SUCH_RANGE = 416;
    private static final int CHUNK = 64 * 1024;
    /** A server that gives less at a time is asked again later, and not at once. */
    private static final int LEAST_GAIN = 64 * 1024;

    private final Http http;
    private final URI uri;
    private final long bytes;
    private final Http.Line line = new Http.Line();

    /**
     * Makes one; nothing is asked yet.
     *
     * @param http asks the server
     * @param uri where the bundle is
     * @param bytes its length
     */
    public HttpOriginal(Http http, URI uri, long bytes) {
        this.http = http;
        this.uri = uri;
        this.bytes = bytes;
    }

    @Override
    public void fetch(long offset, long length, Taker taker)
            throws OnlyWholeException, IOException, SourceException, InterruptedException {
        long end = offset + length;
        for (long at = offset; at < end; ) {
            long next = ask(at, end, taker);
            if (next == at || next < end && next - at < LEAST_GAIN) {
                throw new SourceException(
                        Reason.DOWNLOAD_FAILED,
                        Http.text(uri) + ": expected the bytes " + at + " to " + (end - 1) + ", found " + (next - at)
                                + " of them; the rest is pulled next time");
            }
            at = next;
        }
    }

    /** Asks once; returns up to where the bytes came. */
    private long ask(long from, long end, Taker taker)
            throws OnlyWholeException, SourceException, InterruptedException {
        Http.Request request = new Http.Request(
                "GET",
                uri,
                Map.of("Range", "bytes=" + from + "-" + (end - 1)),
                Optional.empty(),
                Optional.empty(),
                Reason.DOWNLOAD_FAILED);
        String[] onlyWhole = {""};
        long reached = http.exchange(
                request,
                response -> {
                    switch (response.status()) {
                        case PARTIAL -> {
                            Optional<ContentRange> range = ContentRange.of(
                                    response.header("Content-Range").orElse(""), bytes);
                            if (range.isPresent()
                                    && range.get().first() <= from
                                    && range.get().last() >= from
                                    && (response.length() < 0
                                            || response.length() == range.get().length())) {
                                return take(response.body(), range.get(), from, end, taker);
                            }
                            onlyWhole[0] = "the server gives other ranges than it is asked for";
                        }
                        case OK -> {
                            if (response.length() >= 0 && response.length() != bytes) {
                                throw new SourceException(
                                        Reason.WRONG_ANSWER,
                                        Http.text(uri) + ": expected " + bytes + " bytes, found " + response.length()
                                                + "; that is not the file, perhaps the page of a portal or proxy");
                            }
                            onlyWhole[0] = "the server has no ranges";
                        }
                        case NO_SUCH_RANGE -> onlyWhole[0] = "the server does not have this range";
                        default -> throw Http.problem(request, response);
                    }
                    return from;
                },
                Optional.of(line));
        if (!onlyWhole[0].isEmpty()) {
            throw new OnlyWholeException(onlyWhole[0]);
        }
        return reached;
    }

    /** Hands on what is wanted of an answer, and reads it to its end if that is near; returns up to where the bytes came. */
    private static long take(InputStream in, ContentRange range, long from, long end, Taker taker)
            throws IOException, SourceException, InterruptedException {
        byte[] chunk = new byte[CHUNK];
        long at = range.first();
        // One byte more shows the end of the answer.
        while (at <= range.last() + 1) {
            if (Thread.interrupted()) {
                throw new InterruptedException();
            }
            int read = in.read(chunk);
            if (read < 0) {
                break;
            }
            int before = (int) Math.min(read, Math.max(0, from - at));
            int behind = (int) Math.min(read, Math.max(0, at + read - end));
            if (read - before - behind > 0) {
                byte[] wanted = before == 0 ? chunk : java.util.Arrays.copyOfRange(chunk, before, read);
                taker.take(wanted, read - before - behind);
            }
            at += read;
            if (at >= end && range.last() >= end + CHUNK) {
                break;
            }
        }
        return Math.max(from, Math.min(at, end));
    }

    /** Lets go of the connection. */
    @Override
    public void close() {
        line.close();
    }
}
