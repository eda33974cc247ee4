// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;

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
    void tasksRunInOrderAndTimersAfterTheirTime() throws Exception {
        try (SystemEventLoop loop = new SystemEventLoop(log)) {
            List<String> order = new CopyOnWriteArrayList<>();
            CompletableFuture<Void> done = new CompletableFuture<>();
            loop.schedule(Duration.ofMillis(50), () -> {
                order.add("timer");
                done.complete(null);
            });
            loop.execute(() -> order.add("first"));
            loop.execute(() -> order.add("second"));
            done.get(30, TimeUnit.SECONDS);
            assertEquals(List.of("first", "second", "timer"), order);
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
