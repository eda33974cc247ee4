// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.Random;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("The wait before the next try to connect")
class ReconnectWaitTest {
    private final ReconnectWait backoff =
            new ReconnectWait(Duration.ofMillis(100), Duration.ofMillis(1000), new Random(1));

    private void expectAround(long millis) {
        long next = backoff.next();
        assertTrue(
                next > millis * 500_000 && next <= millis * 1_000_000, next + " ns instead of about " + millis + " ms");
    }

    @Test
    @DisplayName("doubles up to the longest and is never shorter than half of that")
    void doubles() {
        for (long millis : new long[] {100, 200, 400, 800, 1000, 1000, 1000}) {
            expectAround(millis);
        }
    }

    @Test
    @DisplayName("starts again only after a connection that lived as long as the longest wait")
    void resets() {
        expectAround(100);
        backoff.connectionLived(Duration.ofMillis(999).toNanos());
        expectAround(200);
        backoff.connectionLived(Duration.ofMillis(1000).toNanos());
        expectAround(100);
    }

    @Test
    @DisplayName("is spread at random")
    void spread() {
        assertEquals(
                20,
                java.util.stream.LongStream.generate(backoff::next)
                        .limit(20)
                        .distinct()
                        .count());
    }
}
