// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.metaotamgr.device.ProcessRunner;

/** Programs which do what a test says, instead of running. */
final class FakePrograms implements ProcessRunner {
    /** One start of a program. */
    final class Start implements RunningProcess {
        final List<String> command;
        final Map<String, String> environment;
        private final ProcessListener listener;
        private volatile boolean running = true;
        private volatile boolean killed;
        private volatile boolean treeKilled;

        private Start(List<String> command, Map<String, String> environment, ProcessListener listener) {
            this.command = List.copyOf(command);
            this.environment = Map.copyOf(environment);
            this.listener = listener;
        }

        boolean isRunning() {
            return running;
        }

        boolean wasKilled() {
            return killed;
        }

        boolean wasTreeKilled() {
            return treeKilled;
        }

        void prints(String line) {
            listener.stdout(line);
        }

        void complains(String line) {
            listener.stderr(line);
        }

        void ends(int status) {
            if (!running) {
                throw new IllegalStateException(command + " has ended already");
            }
            loop.settle();
            running = false;
            listener.ended(status);
            loop.settle();
        }

        @Override
        public long pid() {
            return 4711;
        }

        @Override
        public void kill() {
            killed = true;
            if (running) {
                // By the daemon, which does not wait for itself.
                running = false;
                listener.ended(137);
            }
        }

        @Override
        public void killTree() {
            treeKilled = true;
            kill();
        }
    }

    private final ManualTime loop;
    private final List<String> events;
    private final List<Start> starts = new CopyOnWriteArrayList<>();
    private final Set<String> missing = ConcurrentHashMap.newKeySet();

    /**
     * Makes programs.
     *
     * @param events gets {@code exec <name>} for each start
     */
    FakePrograms(ManualTime loop, List<String> events) {
        this.loop = loop;
        this.events = events;
    }

    void isMissing(String program) {
        missing.add(program);
    }

    void isBack(String program) {
        missing.remove(program);
    }

    @Override
    public RunningProcess start(List<String> command, Map<String, String> environment, ProcessListener listener)
            throws IOException {
        if (missing.contains(command.get(0))) {
            throw new IOException("Cannot run program \"" + command.get(0) + "\": error=2, No such file or directory");
        }
        Start start = new Start(command, environment, listener);
        starts.add(start);
        events.add("exec " + String.join(" ", command));
        return start;
    }

    /** All starts of a program, oldest first; its arguments must begin with the given ones. */
    List<Start> all(String... command) {
        loop.settle();
        return starts.stream()
                .filter(start -> start.command.size() >= command.length
                        && start.command.subList(0, command.length).equals(List.of(command)))
                .toList();
    }

    /** The newest start of a program, which must be running. */
    Start running(String... command) {
        List<Start> all = all(command);
        if (all.isEmpty() || !all.get(all.size() - 1).isRunning()) {
            throw new AssertionError("expected that " + List.of(command) + " runs, found the starts " + events);
        }
        return all.get(all.size() - 1);
    }

    boolean isRunning(String... command) {
        return all(command).stream().anyMatch(Start::isRunning);
    }
}
