// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.device.ProgressLine;

/** What sysupgrade asks for while it writes, what it gets, and what a source does wrong meanwhile. */
class StreamFeedTest {
    private static final int SIZE = 1_000_000;

    private final byte[] file = new byte[SIZE];
    private final List<Long> pauses = new ArrayList<>();
    private final ByteArrayOutputStream in = new ByteArrayOutputStream();

    StreamFeedTest() {
        new Random(1).nextBytes(file);
    }

    /** Gives at most so many bytes at each call, and then breaks. */
    private Original breaksAfter(int... counts) {
        int[] call = {0};
        return (offset, length, taker) -> {
            int count = (int) Math.min(length, counts[Math.min(call[0]++, counts.length - 1)]);
            taker.take(Arrays.copyOfRange(file, (int) offset, (int) offset + count), count);
            if (count < length) {
                throw new SourceException(Reason.DOWNLOAD_FAILED, "it broke");
            }
        };
    }

    private StreamFeed fed(Original original) throws Exception {
        return fed(original, in, bytes -> {});
    }

    private StreamFeed fed(Original original, OutputStream to, PullProgress progress) throws Exception {
        StreamFeed feed = new StreamFeed(original, progress, time -> pauses.add(time.toSeconds()));
        assertTrue(feed.asks(ProgressLine.parse("fetch 0 100 200000").orElseThrow()));
        assertTrue(feed.asks(ProgressLine.parse("fetch 0 500000 300000").orElseThrow()));
        feed.ended();
        feed.feed(to);
        return feed;
    }

    private byte[] expected() {
        byte[] all = Arrays.copyOf(Arrays.copyOfRange(file, 100, 200_100), 500_000);
        System.arraycopy(file, 500_000, all, 200_000, 300_000);
        return all;
    }

    @Test
    void whatIsAskedForComesInOrder() throws Exception {
        StreamFeed feed = fed(breaksAfter(SIZE));
        assertArrayEquals(expected(), in.toByteArray());
        assertEquals(500_000, feed.fetched());
        assertEquals(Optional.empty(), feed.problem());
    }

    @Test
    void otherLinesAreNotForUs() {
        StreamFeed feed = new StreamFeed(breaksAfter(1), bytes -> {});
        for (String line : List.of("write 3 of 5", "fetch 0 1", "fetch 0 -1 5", "fetch 0 1 0", "fetch 0 1 2 3")) {
            assertFalse(feed.asks(ProgressLine.parse(line).orElseThrow()), line);
        }
    }

    @Test
    void aBreakIsGoneOnWithAtItsByte() throws Exception {
        fed(breaksAfter(70_000, 0, 0, 90_000, 5, 300_000, 299_999, SIZE));
        assertArrayEquals(expected(), in.toByteArray());
        assertEquals(List.of(1L, 10L, 30L, 1L, 10L, 1L), pauses);
    }

    @Test
    void aSourceThatGivesNextToNothingIsGivenUp() throws Exception {
        StreamFeed feed = fed(breaksAfter(1));
        assertEquals(Reason.DOWNLOAD_FAILED, feed.problem().orElseThrow().reason());
        assertEquals(List.of(1L, 10L, 30L), pauses);
        assertEquals(4, feed.fetched());
    }

    @Test
    void aServerThatNamesATimeIsNotAskedBefore() throws Exception {
        StreamFeed feed = fed((offset, length, taker) -> {
            throw new SourceException(Reason.DOWNLOAD_FAILED, "busy", Optional.of(Duration.ofSeconds(77)));
        });
        assertEquals(
                Optional.of(Duration.ofSeconds(77)),
                feed.problem().orElseThrow().retryAfter());
        assertEquals(List.of(), pauses);
    }

    @Test
    void whatHasNoPiecesIsTold() throws Exception {
        StreamFeed feed = fed((offset, length, taker) -> {
            throw new Original.OnlyWholeException("no ranges");
        });
        assertEquals(Optional.of("no ranges"), feed.onlyWhole());
    }

    @Test
    void aStickThatIsPulledOutIsAProblemOfTheSource() throws Exception {
        StreamFeed feed = fed((offset, length, taker) -> {
            throw new IOException("Input/output error");
        });
        assertEquals(Reason.DOWNLOAD_FAILED, feed.problem().orElseThrow().reason());
    }

    @Test
    void aSysupgradeThatHasEndedSaysItselfWhy() throws Exception {
        OutputStream closed = new OutputStream() {
            @Override
            public void write(int one) throws IOException {
                throw new IOException("Broken pipe");
            }
        };
        // A source may take a failure of whoever takes its bytes for one of its own.
        StreamFeed feed = fed(
                (offset, length, taker) -> {
                    try {
                        taker.take(file, 1000);
                    } catch (IOException e) {
                        throw new SourceException(Reason.DOWNLOAD_FAILED, e.toString());
                    }
                },
                closed,
                bytes -> {});
        assertEquals(Optional.empty(), feed.problem());
        assertEquals(List.of(), pauses);
    }

    @Test
    void whoeverWatchesMayEndIt() throws Exception {
        StreamFeed feed = fed(breaksAfter(SIZE), in, bytes -> {
            throw new SourceException(Reason.DEFERRED, "the link costs money");
        });
        assertEquals(Reason.DEFERRED, feed.problem().orElseThrow().reason());
    }

    @Test
    void aSourceThatGivesMoreIsRefused() throws Exception {
        StreamFeed feed = fed((offset, length, taker) -> taker.take(file, (int) length + 1));
        assertEquals(Reason.DOWNLOAD_FAILED, feed.problem().orElseThrow().reason());
        assertEquals(0, in.size());
    }

    // ---- limits ----

    @Test
    void theLimitHoldsAndAnIdleTimeIsNotMadeUpFor() {
        long[] now = {0};
        long[] slept = {0};
        PullProgress limited = new Fetching(Fetching.Streaming.ALWAYS, 1000)
                .limited(bytes -> {}, () -> now[0], nanos -> {
                    slept[0] += nanos;
                    now[0] += nanos;
                });
        for (int i = 0; i < 10; i++) {
            limited.fetched(500);
        }
        assertEquals(Duration.ofSeconds(5).toNanos(), slept[0]);
        now[0] += Duration.ofHours(1).toNanos();
        limited.fetched(1000);
        assertEquals(Duration.ofSeconds(6).toNanos(), slept[0]);
    }

    @Test
    void aPauseThatIsInterruptedEndsThePull() {
        PullProgress limited = new Fetching(Fetching.Streaming.ALWAYS, 1000).limited(bytes -> {}, () -> 0, nanos -> {
            throw new InterruptedException();
        });
        limited.fetched(1);
        assertTrue(Thread.interrupted());
    }

    @Test
    void withoutALimitNothingIsBetween() {
        PullProgress progress = bytes -> {};
        assertEquals(progress, Fetching.DEFAULT.limited(progress));
    }
}
