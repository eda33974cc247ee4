// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

/**
 * A command cannot go on. The message is for people: what was expected, what was found, what to do. There is never a cause,
 * because causes quote what was being read, and that may hold a secret.
 */
class OtaException extends Exception {

    private static final long serialVersionUID = 1;

    private final ExitStatus status;

    OtaException(ExitStatus status, String message) {
        super(message);
        this.status = status;
    }

    ExitStatus status() {
        return status;
    }

    /** A call may or may not have had its effect: the connection broke or the service failed after it was sent. */
    static final class Unclear extends OtaException {
        private static final long serialVersionUID = 1;

        Unclear(ExitStatus status, String message) {
            super(status, message);
        }
    }
}
