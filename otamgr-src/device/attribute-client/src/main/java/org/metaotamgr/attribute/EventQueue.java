// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.Consumer;

/** A thread that runs what it is given, one after the other, and survives whatever that throws. */
final class EventQueue implements Runnable {
    /** What an event costs beside its value, roughly. */
    static final int OVERHEAD = 128;

    /** Something to run, and how much memory it holds while it waits. */
    interface Event {
        void run();

        /** Bytes. */
        default int size() {
            return OVERHEAD;
        }
    }

    private final Deque<Event> events = new ArrayDeque<>();
    private final Thread thread;
    private final Consumer<String> log;
    private long bytes;
    private boolean started;
    private boolean stopped;

    EventQueue(String name, Consumer<String> log) {
        this.log = log;
        thread = new Thread(this, name);
        thread.setDaemon(true);
    }

    /** The thread is started when there is something to do for the first time. */
    synchronized void add(Event event) {
        if (stopped) {
            return;
        }
        events.add(event);
        bytes += event.size();
        if (!started) {
            started = true;
            thread.start();
        }
        notifyAll();
    }

    /** Bytes held by waiting events. */
    synchronized long bytes() {
        return bytes;
    }

    /** Takes no more events; those that wait are still run. */
    synchronized void stop() {
        stopped = true;
        notifyAll();
    }

    /** Waits until the last event has run; returns at once when called by an event. */
    void join(long millis) throws InterruptedException {
        synchronized (this) {
            if (!started) {
                return;
            }
        }
        if (Thread.currentThread() != thread) {
            thread.join(millis);
        }
    }

    @Override
    public void run() {
        for (Event event = next(); event != null; event = next()) {
            try {
                event.run();
            } catch (RuntimeException | Error e) {
                // A handler's mistake must not end the connection to the daemon.
                log.accept("attribute handler failed: " + e);
            }
        }
    }

    private synchronized Event next() {
        boolean interrupted = false;
        while (events.isEmpty() && !stopped) {
            try {
                wait();
            } catch (InterruptedException e) {
                // Nobody but stop() ends this thread; a handler may have left the flag set.
                interrupted = true;
            }
        }
        if (interrupted) {
            log.accept("attribute event thread was interrupted, going on");
        }
        Event event = events.poll();
        if (event != null) {
            bytes -= event.size();
        }
        return event;
    }
}
