// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

/**
 * Attributes which a client wants to be notified about.
 *
 * @param first first attribute id, an unsigned 32-bit number
 * @param last last attribute id, included
 */
public record ListenRange(int first, int last) {
    /**
     * Whether an attribute is in this range.
     *
     * @param attributeId the attribute
     * @return true if it lies between first and last
     */
    public boolean contains(int attributeId) {
        return Integer.compareUnsigned(first, attributeId) <= 0 && Integer.compareUnsigned(attributeId, last) <= 0;
    }
}
