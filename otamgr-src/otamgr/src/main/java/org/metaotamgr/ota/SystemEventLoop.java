// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.time.Duration;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;

/** An event loop with a thread of its own. */
final class SystemEventLoop implements EventLoop, AutoCloseable {
    private final ScheduledThreadPoolExecutor executor;
    private final EventLog log;

    SystemEventLoop(EventLog log) {
        this.log = log;
        // What comes after close() has nobody left to matter to.
        this.executor = new ScheduledThreadPoolExecutor(1, task -> {
            Thread thread = new Thread(task, "otamgr-events");
            thread.setDaemon(true);
            return thread;
        }, new ThreadPoolExecutor.DiscardPolicy());
    }

    @Override
    public void execute(Runnable task) {
        executor.execute(guarded(task));
    }

    @Override
    public void schedule(Duration delay, Runnable task) {
        executor.schedule(guarded(task), delay.toNanos(), TimeUnit.NANOSECONDS);
    }

    /** The executor would swallow what a task throws. */
    private Runnable guarded(Runnable task) {
        return () -> {
            try {
                task.run();
            } catch (RuntimeException e) {
                StackTraceElement[] trace = e.getStackTrace();
                log.error("internal_error:exception=" + Printable.of(e.toString())
                        + (trace.length == 0 ? "" : ",at=" + trace[0]));
            }
        };
    }

    /** Drops the tasks that wait, and lets a running one end. */
    @Override
    public void close() {
        executor.shutdownNow();
    }
}
