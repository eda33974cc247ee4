// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import java.time.Duration;
import java.util.random.RandomGenerator;
import org.metaotamgr.device.Backoff;

/**
 * How long to wait before the next try to connect: a {@link Backoff}, spread.
 *
 * <p>Only a connection that lived longer than the longest wait counts as a success: somebody who is accepted and thrown
 * out at once, because another process opens with the same name, keeps slowing down.
 */
final class ReconnectWait {
    private final Duration longest;
    private final Backoff backoff;
    private final RandomGenerator random;

    ReconnectWait(Duration first, Duration longest, RandomGenerator random) {
        this.longest = longest;
        this.random = random;
        backoff = new Backoff(first, longest);
    }

    /** A connection was lost, or one could not be made (0). */
    void connectionLived(long nanos) {
        if (nanos >= longest.toNanos()) {
            backoff.reset();
        }
    }

    /** How long to wait now, in nanoseconds: between half of the current wait and all of it. */
    long next() {
        return Backoff.spread(backoff.next(), random::nextDouble).toNanos();
    }
}
