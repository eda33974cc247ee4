// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.URI;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * One request, made on a thread of its own: an interrupt ends neither the search for an address nor the read of a socket.
 * Whoever waits here can leave at any time: for an interrupt, when a request takes too long although a byte comes now and
 * then, and when a download crawls. Closing the connection then ends the thread.
 */
final class Exchange implements AutoCloseable {
    private static final int PIECE = 64 * 1024;
    /** Less work than another connection, which for TLS is some tenths of a second on a small device. */
    private static final int LEFT_OVER = 64 * 1024;

    private static final Duration LEFT_OVER_TIME = Duration.ofSeconds(2);

    /**
     * How slow a download may be.
     *
     * @param bytes at least so many of the body
     * @param window in each such time
     * @param longest how long all of it may take; the part is kept, and the rest is asked for again
     */
    record Pace(long bytes, Duration window, Duration longest) {
        /** 100 bytes per second: even slower links move, but a day is enough to ask again. */
        static final Pace USUAL = new Pace(30_000, Duration.ofMinutes(5), Duration.ofHours(24));
    }

    private final Connection connection;
    private final Call call;
    private final Optional<Duration> deadline;
    private final Pace pace;
    private final long start = System.nanoTime();
    private final BlockingQueue<Event> events = new ArrayBlockingQueue<>(4);
    private final BlockingQueue<byte[]> free = new ArrayBlockingQueue<>(2);
    private final Thread thread = new Thread(this::run, "http");
    private long since = start;
    private long bytes;
    private Optional<Event.Broken> broken = Optional.empty();
    /** Whether the answer was read to its end, and the connection is good for another one. */
    private volatile boolean isWhole;

    private boolean isOver;
    private boolean isKept;

    /** What the thread has to tell. */
    private sealed interface Event {
        record Head(AnswerReader.Head head) implements Event {}

        record Piece(byte[] buffer, int length) implements Event {}

        record End() implements Event {}

        record Broken(IOException problem) implements Event {}
    }

    /**
     * What to say.
     *
     * @param method the method
     * @param headers what to say beside it
     * @param uri to what
     * @param body what to send with it
     * @param isLast whether nothing else will be asked on the connection
     */
    record Call(String method, URI uri, Map<String, String> headers, Optional<byte[]> body, boolean isLast) {}

    /**
     * Begins it.
     *
     * @param connection not connected yet, or one that an exchange has left; closed with this unless it is kept
     * @param call what to say
     * @param deadline how long all of it may take; empty for a download, which only has to go on
     * @param pace how slow a download may be
     */
    Exchange(Connection connection, Call call, Optional<Duration> deadline, Pace pace) {
        this.connection = connection;
        this.call = call;
        this.deadline = deadline;
        this.pace = pace;
        free.add(new byte[PIECE]);
        free.add(new byte[PIECE]);
        thread.setDaemon(true);
        thread.start();
    }

    private void run() {
        try {
            try {
                Connection.Opened answer =
                        connection.ask(call.method(), call.uri(), call.headers(), call.body(), call.isLast());
                events.put(new Event.Head(answer.head()));
                if (Http.hasBody(answer.head().status()) || !call.isLast()) {
                    pass(answer);
                }
            } catch (IOException e) {
                events.put(new Event.Broken(e));
            } catch (RuntimeException e) {
                // Whatever a server makes a library trip over is an answer that cannot be read.
                events.put(new Event.Broken(new IOException("expected an answer of HTTP, found " + e, e)));
            }
        } catch (InterruptedException e) {
            // Nobody waits for it any more.
            return;
        } finally {
            if (!isWhole) {
                connection.close();
            }
        }
    }

    private void pass(Connection.Opened answer) throws IOException, InterruptedException {
        long passed = 0;
        while (true) {
            byte[] buffer = free.take();
            int read = answer.body().read(buffer);
            passed += Math.max(read, 0);
            if (read < 0) {
                long length = answer.head().length();
                isWhole = !call.isLast() && answer.head().keeps() && (length < 0 || length == passed);
                events.put(new Event.End());
                return;
            }
            events.put(new Event.Piece(buffer, read));
        }
    }

    /**
     * Waits for the status and the headers.
     *
     * @throws IOException if none come
     * @throws InterruptedException if the waiting thread was interrupted
     */
    AnswerReader.Head head() throws IOException, InterruptedException {
        if (next() instanceof Event.Head event) {
            return event.head();
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
                    throw new IOException("the server did not answer completely within "
                            + deadline.get().toSeconds() + " s");
                }
            } else {
                if (now - start >= pace.longest().toNanos()) {
                    throw new IOException("expected the end within "
                            + pace.longest().toSeconds() + " s, found none; the rest is asked for anew");
                }
                left = pace.window().toNanos() - (now - since);
                if (left <= 0) {
                    if (bytes < pace.bytes()) {
                        throw new IOException("expected at least " + pace.bytes() + " bytes in "
                                + pace.window().toSeconds() + " s, found " + bytes);
                    }
                    since = now;
                    bytes = 0;
                    continue;
                }
                left = Math.min(left, pace.longest().toNanos() - (now - start));
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
        return new BodyStream() {
            private Event.Piece piece = new Event.Piece(new byte[0], 0);
            private int at;

            @Override
            int take(byte[] target, int offset, int length) throws IOException {
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

    /**
     * Leaves the connection for another exchange, if it is good for one. What nobody has read of the answer, as the page of a server
     * that has not found a file, is passed over where it is short and comes soon.
     *
     * @return whether it is
     * @throws InterruptedException if the waiting thread was interrupted
     */
    boolean keep() throws InterruptedException {
        long until = System.nanoTime() + LEFT_OVER_TIME.toNanos();
        for (int passed = 0; !isOver && passed <= LEFT_OVER; ) {
            Event event = events.poll(until - System.nanoTime(), TimeUnit.NANOSECONDS);
            if (event instanceof Event.Piece piece) {
                passed += piece.length();
                free.add(piece.buffer());
            } else if (event instanceof Event.End) {
                isOver = true;
            } else {
                break;
            }
        }
        isKept = isOver && isWhole;
        return isKept;
    }

    @Override
    public void close() {
        if (!isKept) {
            thread.interrupt();
            connection.close();
        }
    }
}
