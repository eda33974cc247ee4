// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import org.metaotamgr.wire.AttributeStatus;

/** A get or set which did not succeed. */
public class AttributeException extends Exception {
    private static final long serialVersionUID = 1L;

    private final AttributeStatus status;

    AttributeException(AttributeStatus status, String message) {
        super(message);
        this.status = status;
    }

    /**
     * Why it failed.
     *
     * @return never {@link AttributeStatus#OK}
     */
    public AttributeStatus status() {
        return status;
    }
}
