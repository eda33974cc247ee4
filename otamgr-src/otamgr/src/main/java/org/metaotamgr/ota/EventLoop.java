// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.time.Duration;

/**
 * Runs tasks one after the other. The parts of the daemon change their state in such tasks only, so none of them needs
 * a lock.
 */
interface EventLoop {
    /** Runs a task after those that were handed over before. Called from any thread. */
    void execute(Runnable task);

    /** Runs a task after a time. Called from any thread. */
    void schedule(Duration delay, Runnable task);
}
