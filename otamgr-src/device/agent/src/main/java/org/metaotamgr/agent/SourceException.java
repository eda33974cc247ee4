// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Duration;
import java.util.Optional;
import org.metaotamgr.device.Printable;

/** An update, or the news about updates, cannot be had. The message says what was expected and found, in one line. */
public final class SourceException extends Exception {
    private static final long serialVersionUID = 1L;

    /** Why, with the exit code that the command line gives for it. */
    public enum Reason {
        /** The server or folder does not answer, or not completely; check only. */
        FETCH_FAILED(ExitCode.FETCH_FAILED, true),
        /** The server knows this device or its credentials no more; check only. */
        NOT_ALLOWED(ExitCode.CHECK_IN_FAILED, false),
        /** What the server says cannot be understood; check only. */
        MALFORMED(ExitCode.CHECK_IN_FAILED, false),
        /** The list of updates is not signed by a key of the device, or is older than one seen before. */
        NOT_TRUSTED(ExitCode.SECURITY_ERROR, false),
        /** The list of updates is past its date; only judged by a device whose clock can be trusted. */
        EXPIRED(ExitCode.EXPIRED, false),
        /** The list of updates, or the target, is not where it should be. */
        NOT_FOUND(ExitCode.NOT_FOUND, false),
        /** There is no bundle where bundles are looked for. */
        NO_CONTENT(ExitCode.NO_CONTENT, false),
        /** The manifest of a bundle is not signed by a key of the device, or is none. */
        BAD_BUNDLE(ExitCode.BAD_BUNDLE, false),
        /** It is for another board. */
        FOREIGN(ExitCode.NO_MATCHING_TARGET, false),
        /** It is older than the device allows. */
        DOWNGRADE(ExitCode.DOWNGRADE_REFUSED, false),
        /** It could not be pulled to its end; the part is kept. */
        DOWNLOAD_FAILED(ExitCode.DOWNLOAD_FAILED, true),
        /**
         * What came is another thing than the update, such as the page of a portal: it says nothing of the update. The part
         * is kept.
         */
        WRONG_ANSWER(ExitCode.DOWNLOAD_FAILED, true),
        /** There is no room for it. */
        NO_SPACE(ExitCode.NO_SPACE, true),
        /** What was pulled has not the hash that was promised; it was removed. */
        VERIFICATION_FAILED(ExitCode.VERIFICATION_FAILED, false),
        /** It came as it was promised, but what was signed is something else: whoever published it has to do that again. */
        DAMAGED(ExitCode.VERIFICATION_FAILED, false),
        /** Whoever offered it has withdrawn it. */
        WITHDRAWN(ExitCode.CANCELLED, false),
        /** Not now: outside of the window, over a link that costs money, or a callback said so. */
        DEFERRED(ExitCode.DEFERRED, true);

        private final ExitCode exitCode;
        private final boolean isTransient;

        Reason(ExitCode exitCode, boolean isTransient) {
            this.exitCode = exitCode;
            this.isTransient = isTransient;
        }

        /**
         * What the command line says.
         *
         * @return the exit code
         */
        public ExitCode exitCode() {
            return exitCode;
        }

        /**
         * Whether the same request may work later, although nobody changes anything at the server.
         *
         * @return whether the agent tries it again with back-off, before the next regular check
         */
        public boolean isTransient() {
            return isTransient;
        }

        /**
         * Whether a pull that failed so is worth a bounded number of further tries, because somebody on the way may have
         * answered instead of the server, or changed a bit.
         *
         * @return whether the agent counts how often it happens, and gives up in the end
         */
        public boolean isCounted() {
            return this == WRONG_ANSWER || this == NOT_FOUND || this == VERIFICATION_FAILED;
        }
    }

    private final Reason reason;
    private final transient Optional<Duration> retryAfter;

    /**
     * Makes one.
     *
     * @param reason why
     * @param message what was expected and found, and what to do; made printable here
     */
    public SourceException(Reason reason, String message) {
        this(reason, message, Optional.empty());
    }

    /**
     * Makes one for a server that says when to come back (HTTP {@code Retry-After}).
     *
     * @param reason why
     * @param message what was expected and found, and what to do; made printable here
     * @param retryAfter the earliest time for another try; the agent takes the longer of this and its own back-off
     */
    public SourceException(Reason reason, String message, Optional<Duration> retryAfter) {
        super(Printable.of(message));
        this.reason = reason;
        this.retryAfter = retryAfter;
    }

    /**
     * Why.
     *
     * @return the reason
     */
    public Reason reason() {
        return reason;
    }

    /**
     * When to come back.
     *
     * @return the earliest time for another try, or empty
     */
    public Optional<Duration> retryAfter() {
        return retryAfter;
    }
}
