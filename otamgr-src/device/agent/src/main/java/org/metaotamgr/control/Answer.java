// SPDX-License-Identifier: MIT
package org.metaotamgr.control;

/** Takes what a command has to say, while it runs. Lines are printable and have no end. */
public interface Answer {
    /**
     * A line for standard output.
     *
     * @param line the line
     */
    void out(String line);

    /**
     * A line for standard error.
     *
     * @param line the line
     */
    void err(String line);

    /**
     * How far the command is.
     *
     * @param line a line that may replace the last such line on a terminal
     */
    void progress(String line);

    /**
     * Whether somebody still waits for the end.
     *
     * @return false once whoever gave the command has gone away
     */
    boolean isWanted();
}
