// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.io.IOException;
import java.io.OutputStream;
import java.util.List;
import java.util.Map;

/** Starts programs. */
public interface ProcessRunner {
    /**
     * Starts a program. Its standard input is empty.
     *
     * @param command a program and its arguments
     * @param environment variables to add to those of the daemon
     * @param listener told what the program writes, and when it ends
     * @return the running program
     * @throws IOException if it cannot be started; the listener hears nothing then
     */
    RunningProcess start(List<String> command, Map<String, String> environment, ProcessListener listener)
            throws IOException;

    /**
     * Starts a program that is given something on its standard input. The default is that this cannot be done.
     *
     * @param command a program and its arguments
     * @param environment variables to add to those of the daemon
     * @param listener told what the program writes, and when it ends
     * @return the running program
     * @throws IOException if it cannot be started; the listener hears nothing then
     */
    default RunningProcess startWithInput(
            List<String> command, Map<String, String> environment, ProcessListener listener) throws IOException {
        throw new IOException("expected a program that is given nothing, found " + command);
    }

    /** Told what a program does; on threads of the runner, where slowness slows the program down. */
    interface ProcessListener {
        /** The program wrote a line to its standard output. Long lines come shortened. */
        void stdout(String line);

        /** The program wrote a line to its standard error. Long lines come shortened. */
        void stderr(String line);

        /** The program ended, and its lines were all told; 128 + signal if a signal ended it. Comes exactly once. */
        void ended(int exitStatus);
    }

    /** A program that was started. */
    interface RunningProcess {
        /** Its process id. */
        long pid();

        /** Its standard input, if it was started with one. */
        default OutputStream input() {
            return OutputStream.nullOutputStream();
        }

        /** Ends it at once. What it started itself goes on. */
        void kill();

        /**
         * Ends it at once, and what it started itself, as far as their parents still live: what detached itself before
         * goes on.
         */
        void killTree();
    }
}
