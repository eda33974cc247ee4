// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.PrintStream;
import java.util.ArrayDeque;
import java.util.Deque;
import org.metaotamgr.device.EventLog;

/**
 * Logs to a stream, usually standard error: one line for each event, in order. A thread of its own writes them, so that
 * whoever reads the stream and stops doing so stops nothing else; what waits then is bounded, and lines that find no
 * place are counted.
 */
final class StandardErrorLog implements EventLog {
    static final int MAX_CHARACTERS = 128 * 1024;

    private final PrintStream out;
    private final boolean syslogPrefix;
    private final Deque<String> waiting = new ArrayDeque<>();
    private int characters;
    private long dropped;
    private boolean writing;
    private boolean started;

    /**
     * Makes a log.
     *
     * @param out where the lines go
     * @param syslogPrefix whether each line begins with its severity, as in {@code <6>}, which the journal reads
     */
    StandardErrorLog(PrintStream out, boolean syslogPrefix) {
        this.out = out;
        this.syslogPrefix = syslogPrefix;
    }

    @Override
    public synchronized void log(Severity severity, String line) {
        if (characters > MAX_CHARACTERS) {
            dropped++;
            return;
        }
        if (dropped > 0) {
            add(Severity.WARNING, "log_dropped:lines=" + dropped + ",meaning=whoever reads the log was too slow");
            dropped = 0;
        }
        add(severity, line);
        if (!started) {
            started = true;
            Thread writer = new Thread(this::write, "otamgr-log");
            writer.setDaemon(true);
            writer.start();
        }
        notifyAll();
    }

    private void add(Severity severity, String line) {
        String text = (syslogPrefix ? "<" + severity.syslog() + ">" : "") + line + "\n";
        waiting.add(text);
        characters += text.length();
    }

    private void write() {
        while (true) {
            // One call for each line, so that it does not mix with what others write there.
            out.print(next());
            out.flush();
        }
    }

    private synchronized String next() {
        writing = false;
        notifyAll();
        while (waiting.isEmpty()) {
            try {
                wait();
            } catch (InterruptedException e) {
                // Nobody interrupts this thread to end it, and what is logged later must not get lost.
                continue;
            }
        }
        String line = waiting.poll();
        characters -= line.length();
        writing = true;
        return line;
    }

    /** Waits until everything is written, if somebody reads it. */
    synchronized void flush(long millis) {
        long until = System.nanoTime() + millis * 1_000_000;
        try {
            while (!waiting.isEmpty() || writing) {
                long left = (until - System.nanoTime()) / 1_000_000;
                if (left <= 0) {
                    return;
                }
                wait(left);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
