// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class SystemEventLoopTest {
    private final RecordingLog log = new RecordingLog();

    @Test
    void aTaskThatFailsIsLoggedAndTheNextOnesRun() throws Exception {
        try (SystemEventLoop loop = new SystemEventLoop(log)) {
            loop.execute(() -> {
                throw new IllegalStateException("a fault");
            });
            CompletableFuture<String> next = new CompletableFuture<>();
            loop.execute(() -> next.complete("ran"));
            assertEquals("ran", next.get(30, TimeUnit.SECONDS));
            assertTrue(log.lines().get(0).startsWith(
                    "internal_error:exception=java.lang.IllegalStateException: a fault,at="), log.lines().toString());
        }
    }

    @Test
    void tasksRunInOrder() throws Exception {
        try (SystemEventLoop loop = new SystemEventLoop(log)) {
            List<Integer> order = new CopyOnWriteArrayList<>();
            List<Integer> expected = IntStream.range(0, 1000).boxed().toList();
            expected.forEach(number -> loop.execute(() -> order.add(number)));
            CompletableFuture<Void> done = new CompletableFuture<>();
            loop.execute(() -> done.complete(null));
            done.get(30, TimeUnit.SECONDS);
            assertEquals(expected, order);
        }
    }

    @Test
    void aTimerDoesNotComeBeforeItsTime() throws Exception {
        try (SystemEventLoop loop = new SystemEventLoop(log)) {
            CompletableFuture<Long> end = new CompletableFuture<>();
            long start = System.nanoTime();
            loop.schedule(Duration.ofMillis(50), () -> end.complete(System.nanoTime()));
            assertTrue(end.get(30, TimeUnit.SECONDS) - start >= Duration.ofMillis(50).toNanos());
        }
    }

    @Test
    void tasksAfterTheEndAreDropped() {
        SystemEventLoop loop = new SystemEventLoop(log);
        loop.close();
        loop.execute(() -> log.info("ran"));
        loop.schedule(Duration.ZERO, () -> log.info("ran"));
        assertEquals(List.of(), log.lines());
    }
}
