// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** Runs programs and waits for them. */
public final class Programs {
    private final ProcessRunner runner;

    /**
     * Makes one.
     *
     * @param runner starts the programs
     */
    public Programs(ProcessRunner runner) {
        this.runner = runner;
    }

    /**
     * How a program ended.
     *
     * @param exitStatus its exit status, 128 + signal if a signal ended it, or -1 if it could not be started or took too
     *     long
     * @param problem why there is no exit status, printable, else empty
     */
    public record Outcome(int exitStatus, String problem) {
        /**
         * Whether the program says that all went well.
         *
         * @return whether its exit status is 0
         */
        public boolean isSuccess() {
            return exitStatus == 0;
        }

        @Override
        public String toString() {
            return problem.isEmpty() ? "exit=" + exitStatus : "error=" + problem;
        }
    }

    /** Takes what a program writes; comes on two threads, one line at a time for each stream. */
    public interface Output {
        /**
         * A line of its standard output.
         *
         * @param line the line, shortened if it is long, not yet made printable
         */
        void stdout(String line);

        /**
         * A line of its standard error.
         *
         * @param line the line, shortened if it is long, not yet made printable
         */
        void stderr(String line);
    }

    /**
     * Runs a program until it ends or its time is over.
     *
     * @param command a program and its arguments; no shell is involved
     * @param environment variables to add to those of this process
     * @param timeout after this time it is killed, together with what it started
     * @param output told what it writes
     * @return how it ended
     * @throws InterruptedException if the thread was interrupted; the program is killed then
     */
    public Outcome run(List<String> command, Map<String, String> environment, Duration timeout, Output output)
            throws InterruptedException {
        CountDownLatch ended = new CountDownLatch(1);
        int[] status = new int[1];
        ProcessRunner.RunningProcess process;
        try {
            process = runner.start(command, environment, new ProcessRunner.ProcessListener() {
                @Override
                public void stdout(String line) {
                    output.stdout(line);
                }

                @Override
                public void stderr(String line) {
                    output.stderr(line);
                }

                @Override
                public void ended(int exitStatus) {
                    status[0] = exitStatus;
                    ended.countDown();
                }
            });
        } catch (IOException e) {
            return new Outcome(-1, "cannot be started: " + Printable.of(String.valueOf(e.getMessage())));
        }
        boolean inTime;
        try {
            inTime = ended.await(timeout.toMillis(), TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            process.killTree();
            throw e;
        }
        if (!inTime) {
            process.killTree();
            return new Outcome(-1, "did not end within " + timeout.toSeconds() + " s");
        }
        return new Outcome(status[0], "");
    }

    /**
     * Runs a program and keeps what it prints.
     *
     * @param command a program and its arguments
     * @param timeout after this time it is killed, together with what it started
     * @param lines gets the first 256 lines of its standard output
     * @param complaints takes each line of its standard error
     * @return how it ended
     * @throws InterruptedException if the thread was interrupted; the program is killed then
     */
    public Outcome run(List<String> command, Duration timeout, List<String> lines, Consumer<String> complaints)
            throws InterruptedException {
        List<String> kept = new ArrayList<>();
        Outcome outcome = run(command, Map.of(), timeout, new Output() {
            @Override
            public void stdout(String line) {
                synchronized (kept) {
                    if (kept.size() < 256) {
                        kept.add(line);
                    }
                }
            }

            @Override
            public void stderr(String line) {
                complaints.accept(line);
            }
        });
        synchronized (kept) {
            lines.addAll(kept);
        }
        return outcome;
    }
}
