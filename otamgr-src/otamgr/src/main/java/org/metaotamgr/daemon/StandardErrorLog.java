// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.PrintStream;

import org.metaotamgr.device.EventLog;

/** Logs to a stream, usually standard error: one line for each event, written at once. */
final class StandardErrorLog implements EventLog {
    private final PrintStream out;
    private final boolean syslogPrefix;

    /**
     * Makes a log.
     *
     * @param out where the lines go
     * @param syslogPrefix whether each line begins with its severity, as in {@code <6>}, which the journal reads
     */
    StandardErrorLog(PrintStream out, boolean syslogPrefix) {
        this.out = out;
        this.syslogPrefix = syslogPrefix;
    }

    @Override
    public void log(Severity severity, String line) {
        String prefix = syslogPrefix ? "<" + severity.syslog() + ">" : "";
        // One call, so that lines of different threads do not mix.
        out.print(prefix + line + "\n");
        out.flush();
    }
}
