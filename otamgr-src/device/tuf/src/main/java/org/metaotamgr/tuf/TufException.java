// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

/** Metadata or a target cannot be trusted, or cannot be had. Nothing that was trusted before is lost by it. */
public final class TufException extends Exception {
    private static final long serialVersionUID = 1L;

    /** Why. */
    public enum Reason {
        /** It is no metadata of the kind that was expected. */
        MALFORMED,
        /** Too few keys have signed it, or it is not what metadata above it names. */
        NOT_TRUSTED,
        /** It is older than what this client has trusted. */
        ROLLBACK,
        /** It has expired. */
        EXPIRED,
        /** The repository has no such file. */
        NOT_FOUND,
        /** The repository cannot be reached, or did not answer to the end. */
        UNREACHABLE,
        /** What is trusted could not be stored. */
        STORAGE
    }

    private final Reason reason;

    /**
     * Makes one.
     *
     * @param reason why
     * @param message what was expected and found, in one line
     */
    public TufException(Reason reason, String message) {
        super(message);
        this.reason = reason;
    }

    /**
     * Makes one.
     *
     * @param reason why
     * @param message what was expected and found, in one line
     * @param cause what it comes from
     */
    public TufException(Reason reason, String message, Throwable cause) {
        super(message, cause);
        this.reason = reason;
    }

    /**
     * Why.
     *
     * @return the reason
     */
    public Reason reason() {
        return reason;
    }
}
