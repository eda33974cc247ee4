// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/** Runs programs and waits for them. */
public final class Programs {
    private static final int MAX_LINES = 256;

    private final ProcessRunner runner;
    private final Waiting waiting;

    /**
     * Makes one.
     *
     * @param runner starts the programs
     */
    public Programs(ProcessRunner runner) {
        this(runner, new Waiting.Real());
    }

    /**
     * Makes one.
     *
     * @param runner starts the programs
     * @param waiting waits for their ends
     */
    public Programs(ProcessRunner runner, Waiting waiting) {
        this.runner = runner;
        this.waiting = waiting;
    }

    /**
     * A line that a program wrote as a log line, with the name of the program unless it names itself.
     *
     * @param name the program's name
     * @param line what it wrote
     * @return a printable line
     */
    public static String messageOf(String name, String line) {
        String printable = Printable.of(line);
        return printable.startsWith(name + ":") ? printable : name + ": " + printable;
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
         * It was started.
         *
         * @param pid its process id
         */
        default void started(long pid) {}

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

        /** It has ended, and no line follows. */
        default void ended() {}
    }

    /** Gives a program what it reads from its standard input. */
    @FunctionalInterface
    public interface Input {
        /**
         * Called once, on the thread that waits for the program.
         *
         * @param in its standard input, to be closed here
         * @throws InterruptedException if the thread was interrupted; the input is closed
         */
        void feed(OutputStream in) throws InterruptedException;
    }

    /** What happens to a program when whoever waits for it goes away. */
    public enum Orphan {
        /** It is killed, together with what it started. */
        KILLED,
        /** It goes on. */
        LEFT_ALONE
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
        return run(command, environment, timeout, output, () -> false, Orphan.KILLED);
    }

    /**
     * Runs a program until it ends, its time is over, or nobody wants it any more.
     *
     * @param command a program and its arguments; no shell is involved
     * @param environment variables to add to those of this process
     * @param timeout after this time it is killed, together with what it started
     * @param output told what it writes
     * @param unwanted whether it is to be killed before; looked at when something changes
     * @param orphan what happens to it if the thread is interrupted
     * @return how it ended
     * @throws InterruptedException if the thread was interrupted
     */
    public Outcome run(
            List<String> command,
            Map<String, String> environment,
            Duration timeout,
            Output output,
            BooleanSupplier unwanted,
            Orphan orphan)
            throws InterruptedException {
        return run(runner::start, command, environment, timeout, output, process -> {}, unwanted, orphan);
    }

    /**
     * Runs a program and gives it what it reads. If the thread is interrupted, the program sees the end of its input, and goes on.
     *
     * @param command a program and its arguments; no shell is involved
     * @param environment variables to add to those of this process
     * @param timeout after this time without further input it is killed, together with what it started
     * @param output told what it writes
     * @param input gives it what it reads
     * @return how it ended
     * @throws InterruptedException if the thread was interrupted
     */
    public Outcome runFed(
            List<String> command, Map<String, String> environment, Duration timeout, Output output, Input input)
            throws InterruptedException {
        return run(
                runner::startWithInput,
                command,
                environment,
                timeout,
                output,
                process -> input.feed(process.input()),
                () -> false,
                Orphan.LEFT_ALONE);
    }

    private interface Start {
        ProcessRunner.RunningProcess start(
                List<String> command, Map<String, String> environment, ProcessRunner.ProcessListener listener)
                throws IOException;
    }

    private interface Companion {
        void accompany(ProcessRunner.RunningProcess process) throws InterruptedException;
    }

    private Outcome run(
            Start start,
            List<String> command,
            Map<String, String> environment,
            Duration timeout,
            Output output,
            Companion companion,
            BooleanSupplier unwanted,
            Orphan orphan)
            throws InterruptedException {
        AtomicReference<Integer> status = new AtomicReference<>();
        ProcessRunner.RunningProcess process;
        try {
            process = start.start(command, environment, new ProcessRunner.ProcessListener() {
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
                    status.set(exitStatus);
                    output.ended();
                    waiting.changed();
                }
            });
        } catch (IOException e) {
            return new Outcome(-1, "cannot be started: " + Printable.of(String.valueOf(e.getMessage())));
        }
        output.started(process.pid());
        boolean isOver;
        try {
            companion.accompany(process);
            isOver = waiting.await(() -> status.get() != null || unwanted.getAsBoolean(), timeout);
        } catch (InterruptedException e) {
            if (orphan == Orphan.KILLED) {
                process.killTree();
            }
            throw e;
        }
        if (status.get() != null) {
            return new Outcome(status.get(), "");
        }
        process.killTree();
        return new Outcome(-1, isOver ? "was ended" : "did not end within " + timeout.toSeconds() + " s");
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
                    if (kept.size() < MAX_LINES) {
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
