// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Remembers log lines and lets tests wait for them. */
final class LogRecorder implements Log {
    static final int PATIENCE_SECONDS = 60;

    private final List<String> lines = new ArrayList<>();

    @Override
    public synchronized void line(String source, String line) {
        lines.add(source + ": " + line);
        notifyAll();
    }

    /** Waits for a line that contains a text. */
    synchronized String await(String text) throws InterruptedException {
        return await(text, 1);
    }

    /** Waits for the n-th line that contains a text. */
    synchronized String await(String text, int n) throws InterruptedException {
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (true) {
            int found = 0;
            for (String line : lines) {
                if (line.contains(text) && ++found == n) {
                    return line;
                }
            }
            long left = until - System.nanoTime();
            if (left <= 0) {
                throw new AssertionError("not logged " + n + " times: " + text + " in " + lines);
            }
            wait(left / 1_000_000 + 1);
        }
    }

    synchronized int count(String text) {
        int found = 0;
        for (String line : lines) {
            if (line.contains(text)) {
                found++;
            }
        }
        return found;
    }
}
