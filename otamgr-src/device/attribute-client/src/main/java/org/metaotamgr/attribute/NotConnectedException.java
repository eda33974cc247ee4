// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import org.metaotamgr.wire.AttributeStatus;

/** There is no open connection to the daemon, or it was lost before the answer came. Its status is NO_DAEMON. */
public final class NotConnectedException extends AttributeException {
    private static final long serialVersionUID = 1L;

    NotConnectedException(String message) {
        super(AttributeStatus.NO_DAEMON, message);
    }
}
