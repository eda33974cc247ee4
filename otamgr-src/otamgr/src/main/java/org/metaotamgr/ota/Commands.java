// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.ProcessRunner;

/** Runs programs which should end soon, and gives up on those that do not. */
final class Commands {
    private static final int MAX_LINES = 64;

    private final EventLoop loop;
    private final ProcessRunner runner;
    private final EventLog log;

    Commands(EventLoop loop, ProcessRunner runner, EventLog log) {
        this.loop = loop;
        this.runner = runner;
        this.log = log;
    }

    /**
     * How a program ended.
     *
     * @param exitStatus its exit status, or -1 if it could not be started or took too long
     * @param problem why there is no exit status, else empty
     * @param output the first lines of its standard output
     */
    record Outcome(int exitStatus, String problem, List<String> output) {
        /** Whether the program says that all went well. */
        boolean isSuccess() {
            return exitStatus == 0;
        }

        @Override
        public String toString() {
            return problem.isEmpty() ? "exit=" + exitStatus : "error=" + problem;
        }
    }

    /**
     * Runs a program. What it writes to its standard error is logged.
     *
     * @param command a program and its arguments
     * @param timeout after this time it is killed
     * @param then told on the event loop, exactly once, and never before this method returns
     */
    void run(List<String> command, Duration timeout, Consumer<Outcome> then) {
        Run run = new Run(command.get(0), then);
        try {
            ProcessRunner.RunningProcess process = runner.start(command, Map.of(), run);
            loop.schedule(timeout, () -> {
                if (run.finish(new Outcome(-1, "did not end within " + timeout.toSeconds() + " s", List.of()))) {
                    process.kill();
                }
            });
        } catch (IOException e) {
            String problem = "cannot be started: " + Printable.of(e.getMessage());
            loop.execute(() -> run.finish(new Outcome(-1, problem, List.of())));
        }
    }

    private final class Run implements ProcessRunner.ProcessListener {
        private final String name;
        private final Consumer<Outcome> then;
        private final List<String> output = new ArrayList<>();
        private boolean finished;

        Run(String program, Consumer<Outcome> then) {
            this.name = program.substring(program.lastIndexOf('/') + 1);
            this.then = then;
        }

        @Override
        public void stdout(String line) {
            synchronized (output) {
                if (output.size() < MAX_LINES) {
                    output.add(line);
                }
            }
        }

        @Override
        public void stderr(String line) {
            log.info(messageOf(name, line));
        }

        @Override
        public void ended(int exitStatus) {
            List<String> lines;
            synchronized (output) {
                lines = List.copyOf(output);
            }
            loop.execute(() -> finish(new Outcome(exitStatus, "", lines)));
        }

        /** Called on the event loop only. */
        private boolean finish(Outcome outcome) {
            if (finished) {
                return false;
            }
            finished = true;
            then.accept(outcome);
            return true;
        }
    }

    /** A line of a program as log line, with the name of the program unless it names itself. */
    static String messageOf(String name, String line) {
        String printable = Printable.of(line);
        return printable.startsWith(name + ":") ? printable : name + ": " + printable;
    }
}
