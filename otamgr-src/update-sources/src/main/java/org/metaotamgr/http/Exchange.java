// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.HttpRetryException;
import java.net.HttpURLConnection;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * One request, made on a thread of its own: neither an interrupt nor another thread ends a read of {@link HttpURLConnection},
 * whose streams hold their lock while they wait. Whoever waits here can leave at any time: for an interrupt, when a request
 * takes too long although a byte comes now and then, and when a download crawls. The thread then ends with its read, at the
 * latest after the connection's own time-out.
 */
final class Exchange implements AutoCloseable {
    private static final int PIECE = 64 * 1024;
    /** A slower download would hold the device for days; rauc-hawkbit-updater gives up at the same rate. */
    private static final long LEAST_BYTES = 6000;
    private static final long LEAST_BYTES_NANOS = TimeUnit.SECONDS.toNanos(60);

    private final HttpURLConnection connection;
    private final Optional<byte[]> sent;
    private final Optional<Duration> deadline;
    private final long start = System.nanoTime();
    private final BlockingQueue<Event> events = new ArrayBlockingQueue<>(4);
    private final BlockingQueue<byte[]> free = new ArrayBlockingQueue<>(2);
    private final Thread thread = new Thread(this::run, "http");
    private long since = start;
    private long bytes;
    private Optional<Event.Broken> broken = Optional.empty();

    /** What the thread has to tell. */
    private sealed interface Event {
        record Head(int status) implements Event {
        }

        record Piece(byte[] buffer, int length) implements Event {
        }

        record End() implements Event {
        }

        record Broken(IOException problem) implements Event {
        }
    }

    /**
     * Begins it.
     *
     * @param connection set up, not connected
     * @param sent what to send with it
     * @param deadline how long all of it may take; empty for a download, which only has to go on
     */
    Exchange(HttpURLConnection connection, Optional<byte[]> sent, Optional<Duration> deadline) {
        this.connection = connection;
        this.sent = sent;
        this.deadline = deadline;
        free.add(new byte[PIECE]);
        free.add(new byte[PIECE]);
        thread.setDaemon(true);
        thread.start();
    }

    private void run() {
        try {
            try {
                int status = send();
                events.put(new Event.Head(status));
                if (status < 300) {
                    pass(connection.getInputStream());
                }
            } catch (IOException e) {
                events.put(new Event.Broken(e));
            } catch (RuntimeException e) {
                // The library trips over some answers that are none.
                events.put(new Event.Broken(new IOException("expected an answer of HTTP, found " + e, e)));
            }
        } catch (InterruptedException e) {
            // Nobody waits for it any more.
            return;
        } finally {
            connection.disconnect();
        }
    }

    private int send() throws IOException {
        try {
            if (sent.isPresent()) {
                connection.setDoOutput(true);
                // Without a fixed length the library sends a request again by itself when the connection breaks.
                connection.setFixedLengthStreamingMode(sent.get().length);
                try (var out = connection.getOutputStream()) {
                    out.write(sent.get());
                }
            }
            int status = connection.getResponseCode();
            if (status < 200) {
                throw new IOException("expected an answer of HTTP, found something else");
            }
            return status;
        } catch (HttpRetryException e) {
            // What the library says of 401 after a body of fixed length.
            return e.responseCode();
        }
    }

    private void pass(InputStream in) throws IOException, InterruptedException {
        while (true) {
            byte[] buffer = free.take();
            int read = in.read(buffer);
            if (read < 0) {
                events.put(new Event.End());
                return;
            }
            events.put(new Event.Piece(buffer, read));
        }
    }

    /**
     * Waits for the status.
     *
     * @throws IOException if none comes
     * @throws InterruptedException if the waiting thread was interrupted
     */
    int status() throws IOException, InterruptedException {
        if (next() instanceof Event.Head head) {
            return head.status();
        }
        throw new IOException("expected an answer of HTTP, found its end");
    }

    private Event next() throws IOException, InterruptedException {
        if (broken.isPresent()) {
            throw broken.get().problem();
        }
        Event event = null;
        while (event == null) {
            long now = System.nanoTime();
            long left;
            if (deadline.isPresent()) {
                left = deadline.get().toNanos() - (now - start);
                if (left <= 0) {
                    throw new IOException("the server did not answer completely within " + deadline.get().toSeconds()
                            + " s");
                }
            } else {
                left = LEAST_BYTES_NANOS - (now - since);
                if (left <= 0) {
                    if (bytes < LEAST_BYTES) {
                        throw new IOException("expected at least " + LEAST_BYTES + " bytes in 60 s, found " + bytes);
                    }
                    since = now;
                    bytes = 0;
                    continue;
                }
            }
            event = events.poll(left, TimeUnit.NANOSECONDS);
        }
        if (event instanceof Event.Broken) {
            // Whoever asks again hears it again.
            broken = Optional.of((Event.Broken) event);
            throw broken.get().problem();
        }
        return event;
    }

    /** The body, for the thread that waits. */
    InputStream body() {
        return new InputStream() {
            private Event.Piece piece = new Event.Piece(new byte[0], 0);
            private int at;
            private boolean isOver;

            @Override
            public int read() throws IOException {
                byte[] one = new byte[1];
                return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
            }

            @Override
            public int read(byte[] target, int offset, int length) throws IOException {
                if (length == 0) {
                    return 0;
                }
                if (at == piece.length() && !isOver) {
                    advance();
                }
                if (isOver) {
                    return -1;
                }
                int count = Math.min(length, piece.length() - at);
                System.arraycopy(piece.buffer(), at, target, offset, count);
                at += count;
                return count;
            }

            private void advance() throws IOException {
                if (piece.buffer().length > 0) {
                    free.add(piece.buffer());
                    piece = new Event.Piece(new byte[0], 0);
                    at = 0;
                }
                Event event;
                try {
                    event = next();
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    throw new InterruptedIOException("interrupted");
                }
                if (event instanceof Event.Piece got) {
                    piece = got;
                    at = 0;
                    bytes += got.length();
                } else {
                    isOver = true;
                }
            }
        };
    }

    @Override
    public void close() {
        thread.interrupt();
    }
}
