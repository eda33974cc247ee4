// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

/** Counts 1, 2, … up to a largest value and then starts again at 1. Not thread-safe. */
public final class IdCounter {
    /** Largest operation id and transaction id. */
    public static final int MAX_16_BIT = 0xFFFF;

    private final int max;
    private int last;

    /**
     * A counter whose first id is 1.
     *
     * @param max the largest id, for example {@link #MAX_16_BIT} or {@link Sequence#MAX_ID}
     */
    public IdCounter(int max) {
        this.max = max;
    }

    /**
     * Takes the next id.
     *
     * @return 1 to max
     */
    public int next() {
        last = last == max ? 1 : last + 1;
        return last;
    }
}
