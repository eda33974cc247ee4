// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.metaotamgr.device.EventLog;

/** Keeps what was logged. */
final class RecordingLog implements EventLog {
    private final List<String> lines = new CopyOnWriteArrayList<>();

    @Override
    public void log(Severity severity, String line) {
        lines.add(line);
    }

    List<String> lines() {
        return List.copyOf(lines);
    }

    boolean has(String line) {
        return lines.contains(line);
    }

    long count(String prefix) {
        return lines.stream().filter(line -> line.startsWith(prefix)).count();
    }
}
