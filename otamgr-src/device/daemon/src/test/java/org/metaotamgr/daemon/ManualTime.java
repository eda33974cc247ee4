// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.metaotamgr.device.Waiting;

/**
 * Time that only passes when a test says so. Threads run under it; the test goes on when each of them waits for time to
 * pass, or for something that only the test can bring about.
 */
final class ManualTime implements Waiting {
    /** Far beyond what anything here takes, so that only a failure ever waits so long. */
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(30);

    private static final class Waiter {
        final Duration until;
        /** The change up to which the condition was looked at; -1 while it is looked at. */
        long seen = -1;

        Waiter(Duration until) {
            this.until = until;
        }
    }

    private final List<Waiter> waiters = new ArrayList<>();
    private int threads;
    private long changes;
    private Duration now = Duration.ZERO;
    private Throwable died;

    /** What a thread does under this time. */
    interface Body {
        void run() throws InterruptedException;
    }

    /** Starts a thread, and waits until it waits. */
    void start(Body body) {
        synchronized (this) {
            threads++;
        }
        Thread thread = new Thread(() -> {
            try {
                body.run();
            } catch (InterruptedException | RuntimeException | Error e) {
                synchronized (this) {
                    died = e;
                }
            } finally {
                synchronized (this) {
                    threads--;
                    notifyAll();
                }
            }
        });
        thread.setDaemon(true);
        thread.start();
        settle();
    }

    @Override
    public boolean await(BooleanSupplier condition, Duration longest) throws InterruptedException {
        Waiter waiter;
        synchronized (this) {
            waiter = new Waiter(now.plus(longest));
            waiters.add(waiter);
        }
        try {
            while (true) {
                long seen;
                synchronized (this) {
                    seen = changes;
                    waiter.seen = -1;
                }
                if (condition.getAsBoolean()) {
                    return true;
                }
                synchronized (this) {
                    if (now.compareTo(waiter.until) >= 0) {
                        return false;
                    }
                    waiter.seen = seen;
                    notifyAll();
                    while (changes == seen && now.compareTo(waiter.until) < 0) {
                        wait();
                    }
                }
            }
        } finally {
            synchronized (this) {
                waiters.remove(waiter);
            }
        }
    }

    @Override
    public synchronized void changed() {
        changes++;
        notifyAll();
    }

    /** Waits until every thread waits. */
    synchronized void settle() {
        long giveUp = System.nanoTime() + PATIENCE_NANOS;
        while (!isSettled()) {
            long left = giveUp - System.nanoTime();
            if (left <= 0) {
                throw new AssertionError("a thread does not come to rest");
            }
            try {
                wait(Math.max(1, left / 1_000_000));
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }
        if (died != null) {
            throw new AssertionError("a thread has ended", died);
        }
    }

    private boolean isSettled() {
        return waiters.size() == threads
                && waiters.stream().allMatch(waiter -> waiter.seen == changes && now.compareTo(waiter.until) < 0);
    }

    /** The time that has passed. */
    synchronized Duration now() {
        return now;
    }

    /** Lets time pass. */
    void pass(Duration time) {
        settle();
        Duration target = now().plus(time);
        while (true) {
            synchronized (this) {
                Duration next = waiters.stream()
                        .map(waiter -> waiter.until)
                        .min(Duration::compareTo)
                        .orElse(target);
                now = next.compareTo(target) < 0 ? next : target;
                changes++;
                notifyAll();
            }
            settle();
            synchronized (this) {
                if (now.equals(target)) {
                    return;
                }
            }
        }
    }
}
