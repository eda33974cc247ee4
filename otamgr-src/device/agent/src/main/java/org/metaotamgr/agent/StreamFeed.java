// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.ProgressLine;
import org.metaotamgr.device.Timeouts;

/**
 * Gives sysupgrade the frames that it asks for while it writes them. What has been handed on is in the slot, or will be asked for
 * again; nothing of it is kept here. A connection that breaks is made again, and goes on at the byte where it ended.
 */
final class StreamFeed implements Programs.Input, AutoCloseable {
    private static final String PHASE = "fetch";
    private static final Pattern SPAN = Pattern.compile("([0-9]{1,15}) ([1-9][0-9]{0,14})");
    /** What a try has to bring, so that it was worth it. */
    private static final int LEAST_GAIN = 64 * 1024;
    /** Between tries that brought less than that. */
    private static final List<Duration> PAUSES =
            List.of(Duration.ofSeconds(1), Duration.ofSeconds(10), Duration.ofSeconds(30));

    /** No span: sysupgrade has ended. */
    private static final Needs.Span END = new Needs.Span(0, 0);

    /** Waits. */
    @FunctionalInterface
    interface Pause {
        void of(Duration time) throws InterruptedException;
    }

    private final Original original;
    private final PullProgress progress;
    private final Pause pause;
    private final BlockingQueue<Needs.Span> asked = new LinkedBlockingQueue<>();
    private Optional<SourceException> problem = Optional.empty();
    private Optional<String> onlyWhole = Optional.empty();
    private long fetched;
    private boolean isClosed;

    StreamFeed(Original original, PullProgress progress) {
        this(original, progress, time -> TimeUnit.MILLISECONDS.sleep(time.toMillis()));
    }

    StreamFeed(Original original, PullProgress progress, Pause pause) {
        this.original = original;
        this.progress = progress;
        this.pause = pause;
    }

    @Override
    public void close() {
        original.close();
    }

    /** Takes a line of the progress if it asks for something; comes on another thread. */
    boolean asks(ProgressLine line) {
        Matcher span = SPAN.matcher(line.message());
        if (!line.phase().equals(PHASE) || !span.matches()) {
            return false;
        }
        asked.add(new Needs.Span(Long.parseLong(span.group(1)), Long.parseLong(span.group(2))));
        return true;
    }

    /** Nothing will be asked for any more; comes on another thread. */
    void ended() {
        asked.add(END);
    }

    /** Why it ended before everything was handed on, if that was not sysupgrade's doing. */
    Optional<SourceException> problem() {
        return problem;
    }

    /** Why pieces cannot be had from there. */
    Optional<String> onlyWhole() {
        return onlyWhole;
    }

    long fetched() {
        return fetched;
    }

    @Override
    public void feed(OutputStream in) throws InterruptedException {
        try (in) {
            Needs.Span span = next();
            while (!span.equals(END)) {
                hand(span, in);
                span = next();
            }
        } catch (Original.OnlyWholeException e) {
            onlyWhole = Optional.of(e.getMessage());
        } catch (SourceException e) {
            if (!isClosed) {
                problem = Optional.of(e);
            }
        } catch (IOException e) {
            if (!isClosed) {
                problem = Optional.of(new SourceException(
                        SourceException.Reason.DOWNLOAD_FAILED,
                        "fetching what is written: " + Printable.of(e.toString())));
            }
        }
    }

    /** Each step of sysupgrade has a limit of its own; should it hang, whoever waits for it ends it. */
    private Needs.Span next() throws InterruptedException {
        Needs.Span span = asked.poll(Timeouts.SYSUPGRADE.toSeconds(), TimeUnit.SECONDS);
        return span == null ? END : span;
    }

    private void hand(Needs.Span span, OutputStream in)
            throws Original.OnlyWholeException, IOException, SourceException, InterruptedException {
        long[] at = {span.offset()};
        int failures = 0;
        while (at[0] < span.end()) {
            long before = at[0];
            try {
                original.fetch(before, span.end() - before, (bytes, count) -> {
                    if (count > span.end() - at[0]) {
                        throw new IOException("expected " + span + ", found more");
                    }
                    write(in, bytes, count);
                    at[0] += count;
                    fetched += count;
                    progress.fetched(count);
                    progress.pulled(fetched);
                });
            } catch (SourceException e) {
                failures = at[0] - before >= LEAST_GAIN ? 0 : failures;
                if (isClosed
                        || e.reason() != SourceException.Reason.DOWNLOAD_FAILED
                        || e.retryAfter().isPresent()
                        || failures == PAUSES.size()) {
                    throw e;
                }
                pause.of(PAUSES.get(failures));
                failures++;
            }
        }
    }

    private void write(OutputStream in, byte[] bytes, int count) throws IOException {
        try {
            in.write(bytes, 0, count);
            in.flush();
        } catch (IOException e) {
            // sysupgrade has ended, and says why.
            isClosed = true;
            throw e;
        }
    }
}
