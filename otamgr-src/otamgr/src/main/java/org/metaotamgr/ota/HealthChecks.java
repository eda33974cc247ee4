// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

import org.metaotamgr.agent.HealthDirectory;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.ProcessRunner;
import org.metaotamgr.device.SlotStatus;

/**
 * Runs the checks that {@link HealthDirectory} finds, one at a time: exit status 0 means healthy. The first one that does
 * not pass ends the round.
 */
final class HealthChecks {
    /** Lines of output that are logged for each run of a check. */
    static final int MAX_LINES = 20;

    /**
     * Why the system is not healthy.
     *
     * @param check the name of the check
     * @param reason what it said last, in one line
     */
    record Failure(String check, String reason) {
    }

    private final EventLoop loop;
    private final ProcessRunner runner;
    private final Path directory;
    private final Duration timeout;
    private final EventLog log;
    private final Set<String> skipped = new HashSet<>();
    private Optional<Run> running = Optional.empty();
    private boolean stopped;

    HealthChecks(EventLoop loop, ProcessRunner runner, OtamgrConfig.Commit config, EventLog log) {
        this.loop = loop;
        this.runner = runner;
        this.directory = config.healthDirectory();
        this.timeout = config.checkTimeout();
        this.log = log;
    }

    /**
     * Runs all checks. A round must not be started while another one runs.
     *
     * @param trial the slot and the update that the checks are told about
     * @param then told the first failure, or nothing if all checks passed; on the event loop, and never before this
     *     method returns; not at all after {@link #stop}
     */
    void run(SlotStatus trial, Consumer<Optional<Failure>> then) {
        Map<String, String> environment = Map.of("OTA_SLOT", trial.running(), "OTA_TXN", trial.txn());
        Deque<Path> checks;
        try {
            checks = new ArrayDeque<>(HealthDirectory.find(directory, this::skip));
        } catch (IOException e) {
            Failure failure = new Failure(directory.toString(), "cannot be read: " + Printable.of(e.toString()));
            loop.execute(() -> then.accept(Optional.of(failure)));
            return;
        }
        loop.execute(() -> next(checks, environment, then));
    }

    /** Ends the check that runs, and tells which one that was. None is started any more. */
    Optional<Failure> stop() {
        stopped = true;
        Optional<Run> stopped = running;
        stopped.ifPresent(run -> {
            running = Optional.empty();
            run.process.killTree();
        });
        return stopped.map(run -> new Failure(run.name, run.withLastLine("had not ended yet")));
    }

    private void skip(String name, String reason) {
        if (skipped.add(name)) {
            log.warning("health_check_skipped:check=" + Printable.of(name) + ",reason=" + reason);
        }
    }

    private void next(Deque<Path> checks, Map<String, String> environment, Consumer<Optional<Failure>> then) {
        if (stopped) {
            return;
        }
        Path check = checks.poll();
        if (check == null) {
            then.accept(Optional.empty());
            return;
        }
        Run run = new Run(check, failure -> {
            if (failure.isPresent()) {
                then.accept(failure);
            } else {
                next(checks, environment, then);
            }
        });
        run.start(environment);
    }

    /** One run of one check. */
    private final class Run implements ProcessRunner.ProcessListener {
        private final Path file;
        private final String name;
        private final Consumer<Optional<Failure>> then;
        private ProcessRunner.RunningProcess process;
        private int lines;
        private String lastLine = "";

        Run(Path file, Consumer<Optional<Failure>> then) {
            this.file = file;
            this.name = file.getFileName().toString();
            this.then = then;
        }

        void start(Map<String, String> environment) {
            try {
                process = runner.start(List.of(file.toString()), environment, this);
            } catch (IOException e) {
                then.accept(Optional.of(new Failure(name, "cannot be started: " + Printable.of(e.getMessage()))));
                return;
            }
            running = Optional.of(this);
            loop.schedule(timeout, () -> {
                if (isRunning()) {
                    end(Optional.of(withLastLine("did not end within " + timeout.toSeconds() + " s")));
                    process.killTree();
                }
            });
        }

        private boolean isRunning() {
            return running.isPresent() && running.get() == this;
        }

        @Override
        public void stdout(String line) {
            line(line);
        }

        @Override
        public void stderr(String line) {
            line(line);
        }

        /** Comes on two threads. */
        private synchronized void line(String line) {
            if (line.isBlank()) {
                return;
            }
            lastLine = Printable.of(line.strip());
            lines++;
            if (lines <= MAX_LINES) {
                log.info(Commands.messageOf(name, line));
            } else if (lines == MAX_LINES + 1) {
                log.info(Commands.messageOf(name, "(more lines are not logged)"));
            }
        }

        private synchronized String withLastLine(String problem) {
            return lastLine.isEmpty() ? problem : problem + ": " + lastLine;
        }

        @Override
        public void ended(int exitStatus) {
            loop.execute(() -> {
                if (isRunning()) {
                    end(exitStatus == 0 ? Optional.empty() : Optional.of(withLastLine("exit status " + exitStatus)));
                }
            });
        }

        private void end(Optional<String> problem) {
            running = Optional.empty();
            if (problem.isEmpty()) {
                log.info("health_check_passed:check=" + name);
            }
            then.accept(problem.map(reason -> new Failure(name, reason)));
        }
    }
}
