// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/** Starts real programs, from argument lists. */
public final class SystemProcessRunner implements ProcessRunner {
    /** How long to wait for the last lines when something that the program left behind keeps its output open. */
    private static final Duration LAST_LINES = Duration.ofSeconds(2);

    private final EventLog log;

    public SystemProcessRunner(EventLog log) {
        this.log = log;
    }

    @Override
    public RunningProcess start(List<String> command, Map<String, String> environment, ProcessListener listener)
            throws IOException {
        return start(new ProcessBuilder(command).redirectInput(new File("/dev/null")), environment, listener);
    }

    @Override
    public RunningProcess startWithInput(
            List<String> command, Map<String, String> environment, ProcessListener listener) throws IOException {
        return start(new ProcessBuilder(command), environment, listener);
    }

    private RunningProcess start(ProcessBuilder builder, Map<String, String> environment, ProcessListener listener)
            throws IOException {
        builder.environment().putAll(environment);
        Process process = builder.start();
        String name = builder.command().get(0) + "[" + process.pid() + "]";
        AtomicBoolean ended = new AtomicBoolean();
        Thread stdout = reader(name + " stdout", process.getInputStream(), listener::stdout, ended);
        Thread stderr = reader(name + " stderr", process.getErrorStream(), listener::stderr, ended);
        startDaemon(name, () -> {
            int status = waitFor(process);
            join(stdout);
            join(stderr);
            ended.set(true);
            listener.ended(status);
        });
        return new Started(process);
    }

    private Thread reader(String name, InputStream in, Consumer<String> lines, AtomicBoolean ended) {
        return startDaemon(name, () -> {
            try (in) {
                BoundedLines.read(in, line -> {
                    if (!ended.get()) {
                        tell(name, lines, line);
                    }
                });
            } catch (IOException e) {
                // Killing a process closes its streams under the reader.
                if (!ended.get()) {
                    log.warning("process_output:from=" + name + ",error=" + Printable.of(e.toString()));
                }
            }
        });
    }

    /** A reader that stopped would block the program as soon as its pipe is full. */
    private void tell(String name, Consumer<String> lines, String line) {
        try {
            lines.accept(line);
        } catch (RuntimeException e) {
            log.error("process_output:from=" + name + ",error=" + Printable.of(e.toString()));
        }
    }

    private static Thread startDaemon(String name, Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private static int waitFor(Process process) {
        while (true) {
            try {
                return process.waitFor();
            } catch (InterruptedException e) {
                // Nobody interrupts this thread to end it, and the end of the process must not get lost.
                continue;
            }
        }
    }

    private static void join(Thread reader) {
        try {
            reader.join(LAST_LINES.toMillis());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private record Started(Process process) implements RunningProcess {
        @Override
        public long pid() {
            return process.pid();
        }

        @Override
        public OutputStream input() {
            return process.getOutputStream();
        }

        @Override
        public void kill() {
            process.destroyForcibly();
        }

        @Override
        public void killTree() {
            killTree(process.toHandle());
        }

        /** The children first have to be known: once their parent is gone, nothing tells whose they were. */
        private static void killTree(ProcessHandle handle) {
            List<ProcessHandle> children = handle.children().toList();
            handle.destroyForcibly();
            children.forEach(Started::killTree);
        }
    }
}
