// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

/** Where events are logged; one line each. Called from any thread. */
@FunctionalInterface
public interface EventLog {
    /** How much an event matters, with the syslog severity it stands for. */
    enum Severity {
        /** Something does not work as it should. */
        ERROR(3),
        /** Something unusual which otamgr can live with. */
        WARNING(4),
        /** Normal operation. */
        INFO(6);

        private final int syslog;

        Severity(int syslog) {
            this.syslog = syslog;
        }

        /**
         * The number of this severity in syslog.
         *
         * @return 3, 4 or 6
         */
        public int syslog() {
            return syslog;
        }
    }

    /**
     * Logs one event.
     *
     * @param severity how much it matters
     * @param line {@code event:key=value,key=value}; whatever came from outside is made harmless by
     *     {@link Printable} before it gets here
     */
    void log(Severity severity, String line);

    /**
     * Logs normal operation.
     *
     * @param line as in {@link #log}
     */
    default void info(String line) {
        log(Severity.INFO, line);
    }

    /**
     * Logs something unusual.
     *
     * @param line as in {@link #log}
     */
    default void warning(String line) {
        log(Severity.WARNING, line);
    }

    /**
     * Logs something that does not work.
     *
     * @param line as in {@link #log}
     */
    default void error(String line) {
        log(Severity.ERROR, line);
    }

    /**
     * Logs an exception that nobody expected, and where it came from; whoever caught it goes on.
     *
     * @param exception the exception
     */
    default void internalError(RuntimeException exception) {
        StackTraceElement[] trace = exception.getStackTrace();
        error("internal_error:exception=" + Printable.of(exception.toString())
                + (trace.length == 0 ? "" : ",at=" + trace[0]));
    }
}
