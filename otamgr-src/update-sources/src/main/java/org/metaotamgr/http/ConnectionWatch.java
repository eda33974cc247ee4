// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Cuts a connection when the thread that uses it is interrupted, when a request takes too long although a byte comes now and
 * then, and when a download crawls. Reading from a socket ends for none of these by itself.
 */
final class ConnectionWatch implements AutoCloseable {
    private static final long PERIOD_MILLIS = 100;
    /** A slower download would hold the device for days; curl and rauc-hawkbit-updater give up at a similar rate. */
    private static final long LEAST_BYTES = 6000;
    private static final long LEAST_BYTES_NANOS = TimeUnit.SECONDS.toNanos(60);
    private static final String INTERRUPTED = "interrupted";

    private final HttpURLConnection connection;
    private final Optional<Duration> deadline;
    private final Thread user = Thread.currentThread();
    private final AtomicLong bytes = new AtomicLong();
    private final AtomicReference<String> cut = new AtomicReference<>();
    private final Thread thread = new Thread(this::watch, "http watch");

    ConnectionWatch(HttpURLConnection connection, Optional<Duration> deadline) {
        this.connection = connection;
        this.deadline = deadline;
        thread.setDaemon(true);
        thread.start();
    }

    private void watch() {
        long start = System.nanoTime();
        long since = start;
        long then = 0;
        try {
            while (true) {
                Thread.sleep(PERIOD_MILLIS);
                long now = System.nanoTime();
                if (user.isInterrupted()) {
                    cut(INTERRUPTED);
                } else if (deadline.isPresent() && now - start > deadline.get().toNanos()) {
                    cut("the server did not answer completely within " + deadline.get().toSeconds() + " s");
                } else if (deadline.isEmpty() && now - since > LEAST_BYTES_NANOS) {
                    if (bytes.get() - then < LEAST_BYTES) {
                        cut("expected at least " + LEAST_BYTES + " bytes in 60 s, found " + (bytes.get() - then));
                    }
                    since = now;
                    then = bytes.get();
                }
            }
        } catch (InterruptedException e) {
            // The request is over.
            return;
        }
    }

    /** Again and again: before it is connected there is nothing to cut. */
    private void cut(String why) {
        cut.compareAndSet(null, why);
        connection.disconnect();
    }

    InputStream counted(InputStream in) {
        return new FilterInputStream(in) {
            @Override
            public int read() throws IOException {
                int read = super.read();
                bytes.addAndGet(read < 0 ? 0 : 1);
                return read;
            }

            @Override
            public int read(byte[] buffer, int offset, int length) throws IOException {
                int read = super.read(buffer, offset, length);
                bytes.addAndGet(Math.max(read, 0));
                return read;
            }
        };
    }

    /** Why it was cut, if it was. */
    Optional<String> reason() {
        return Optional.ofNullable(cut.get());
    }

    void throwInterrupt() throws InterruptedException {
        if (INTERRUPTED.equals(cut.get()) || Thread.currentThread().isInterrupted()) {
            Thread.interrupted();
            throw new InterruptedException();
        }
    }

    @Override
    public void close() {
        thread.interrupt();
    }
}
