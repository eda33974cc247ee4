// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.PriorityQueue;
import java.util.Queue;

/** An event loop whose time only passes when a test says so. */
final class ManualLoop implements EventLoop {
    private record Timer(Duration at, long number, Runnable task) {
    }

    private final Queue<Runnable> ready = new ArrayDeque<>();
    private final PriorityQueue<Timer> timers =
            new PriorityQueue<>(Comparator.comparing(Timer::at).thenComparing(Timer::number));
    private Duration now = Duration.ZERO;
    private long count;

    @Override
    public void execute(Runnable task) {
        ready.add(task);
    }

    @Override
    public void schedule(Duration delay, Runnable task) {
        timers.add(new Timer(now.plus(delay), count++, task));
    }

    /** Runs what is ready, and what that makes ready. */
    void settle() {
        for (Runnable task = ready.poll(); task != null; task = ready.poll()) {
            task.run();
        }
    }

    /** The time that has passed. */
    Duration now() {
        return now;
    }

    /** Lets time pass. */
    void pass(Duration time) {
        Duration until = now.plus(time);
        settle();
        while (!timers.isEmpty() && timers.peek().at().compareTo(until) <= 0) {
            Timer timer = timers.poll();
            now = timer.at();
            timer.task().run();
            settle();
        }
        now = until;
    }
}
