// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BackoffTest {
    @Test
    void itDoublesUpToItsLongestAndStartsAgain() {
        Backoff backoff = new Backoff(Duration.ofSeconds(5), Duration.ofSeconds(60));
        List<Long> waits = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            waits.add(backoff.next().toSeconds());
        }
        assertEquals(List.of(5L, 10L, 20L, 40L, 60L, 60L), waits);
        backoff.reset();
        assertEquals(5, backoff.next().toSeconds());
    }

    @ParameterizedTest
    @CsvSource({
        "0, 5, 60, 5",
        "1, 5, 60, 10",
        "3, 5, 60, 40",
        "4, 5, 60, 60",
        "99, 5, 60, 60",
        "2147483647, 1, 60, 60",
        "0, 90, 60, 60",
        "7, 0, 60, 0",
        "62, 1, 9223372036, 9223372036"
    })
    void theWaitAfterSoManyIsTheSame(int before, long first, long longest, long seconds) {
        assertEquals(
                Duration.ofSeconds(seconds),
                Backoff.doubled(Duration.ofSeconds(first), Duration.ofSeconds(longest), before));
    }

    @Test
    void whatIsSpreadIsBetweenHalfAndAll() {
        assertEquals(Duration.ofSeconds(10), Backoff.spread(Duration.ofSeconds(10), () -> 0));
        assertEquals(Duration.ofSeconds(6), Backoff.spread(Duration.ofSeconds(10), () -> 0.8));
        assertTrue(
                Backoff.spread(Duration.ofSeconds(10), () -> Math.nextDown(1.0)).compareTo(Duration.ofSeconds(5)) >= 0);
    }
}
