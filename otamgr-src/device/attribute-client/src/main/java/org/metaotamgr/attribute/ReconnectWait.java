// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import java.time.Duration;
import java.util.random.RandomGenerator;

/**
 * How long to wait before the next try to connect. Each wait is twice the one before, up to a longest, and shortened by
 * a random part of up to a half, so that clients which lost the daemon together do not come back together.
 *
 * <p>Only a connection that lived longer than the longest wait counts as a success: somebody who is accepted and thrown
 * out at once, because another process opens with the same name, keeps slowing down.
 */
final class ReconnectWait {
    private final long firstNanos;
    private final long longestNanos;
    private final RandomGenerator random;
    private long nextNanos;

    ReconnectWait(Duration first, Duration longest, RandomGenerator random) {
        firstNanos = first.toNanos();
        longestNanos = longest.toNanos();
        this.random = random;
        nextNanos = firstNanos;
    }

    /** A connection was lost, or one could not be made (0). */
    void connectionLived(long nanos) {
        if (nanos >= longestNanos) {
            nextNanos = firstNanos;
        }
    }

    /** How long to wait now, in nanoseconds: between half of the current wait and all of it. */
    long next() {
        long wait = nextNanos;
        nextNanos = Math.min(longestNanos, wait > Long.MAX_VALUE / 2 ? longestNanos : wait * 2);
        return wait - (long) (wait * 0.5 * random.nextDouble());
    }
}
