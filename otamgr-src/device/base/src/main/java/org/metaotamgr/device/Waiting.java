// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.time.Duration;
import java.util.function.BooleanSupplier;

/** Waits for what other threads bring about, and for time to pass; a test lets it pass. */
public interface Waiting {
    /**
     * Waits.
     *
     * @param condition what is waited for; looked at after each {@link #changed()}
     * @param longest how long at most
     * @return whether the condition holds
     * @throws InterruptedException if the thread was interrupted
     */
    boolean await(BooleanSupplier condition, Duration longest) throws InterruptedException;

    /** A condition may hold now. Called from any thread, whatever locks it holds. */
    void changed();

    /** Waits in real time. */
    final class Real implements Waiting {
        private long changes;

        @Override
        public boolean await(BooleanSupplier condition, Duration longest) throws InterruptedException {
            long start = System.nanoTime();
            long nanos = longest.compareTo(Duration.ofDays(365)) > 0 ? Long.MAX_VALUE : longest.toNanos();
            while (true) {
                long seen = changes();
                // Not with the monitor held: a condition has locks of its own.
                if (condition.getAsBoolean()) {
                    return true;
                }
                synchronized (this) {
                    while (seen == changes) {
                        long left = nanos - (System.nanoTime() - start);
                        if (left <= 0) {
                            return false;
                        }
                        wait(Math.max(1, left / 1_000_000));
                    }
                }
            }
        }

        private synchronized long changes() {
            return changes;
        }

        @Override
        public synchronized void changed() {
            changes++;
            notifyAll();
        }
    }
}
