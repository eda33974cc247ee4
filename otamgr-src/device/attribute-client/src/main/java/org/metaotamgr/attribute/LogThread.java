// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/**
 * Writes log lines on a thread of its own, which ends when there is nothing to say: whoever logs holds locks or reads the
 * socket, and a log that stalls must stop neither. Lines beyond {@value #MAX_LINES} that wait are counted and dropped.
 */
final class LogThread implements Consumer<String> {
    static final int MAX_LINES = 256;

    private final Consumer<String> log;
    private final AtomicLong dropped = new AtomicLong();
    private final ThreadPoolExecutor executor;

    LogThread(Consumer<String> log) {
        this.log = log;
        executor = new ThreadPoolExecutor(
                1,
                1,
                1,
                TimeUnit.SECONDS,
                new ArrayBlockingQueue<>(MAX_LINES),
                task -> {
                    Thread thread = new Thread(task, "attribute-log");
                    thread.setDaemon(true);
                    return thread;
                },
                (task, full) -> dropped.incrementAndGet());
        executor.allowCoreThreadTimeOut(true);
    }

    @Override
    public void accept(String line) {
        executor.execute(() -> {
            write(line);
            long lost = dropped.getAndSet(0);
            if (lost > 0) {
                write("the log was too slow, " + lost + " lines are missing here");
            }
        });
    }

    private void write(String line) {
        try {
            log.accept(line);
        } catch (RuntimeException e) {
            // There is nowhere to tell; a log that cannot be written must not end the connection.
            return;
        }
    }
}
