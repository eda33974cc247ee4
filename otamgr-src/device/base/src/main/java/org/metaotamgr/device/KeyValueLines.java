// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What the programs of the system print: {@code key=value} lines. */
public final class KeyValueLines {
    private KeyValueLines() {}

    /**
     * Reads them; lines without a key are ignored, and of two with the same key the last one counts.
     *
     * @param lines the lines
     * @return the values
     */
    public static Map<String, String> read(List<String> lines) {
        Map<String, String> values = new HashMap<>();
        for (String line : lines) {
            int equals = line.indexOf('=');
            if (equals > 0) {
                values.put(line.substring(0, equals), line.substring(equals + 1));
            }
        }
        return values;
    }
}
