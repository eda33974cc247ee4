// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

/** Where log lines go. */
public interface Log {
    /**
     * Takes a line.
     *
     * @param source who says it: attrd, hubby
     * @param line without line end
     */
    void line(String source, String line);
}
