// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;
import java.util.regex.Pattern;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.SlotStatus;
import org.metaotamgr.device.SystemProcessRunner;

/**
 * The health checks of a system on trial: the programs of a folder, in the order of their names, one at a time. Exit
 * status 0 means healthy, and the first one that does not pass ends the round. As with run-parts, a name consists of
 * letters, digits, hyphens and underscores, so that what editors and package managers leave behind is no check.
 */
public final class HealthDirectory implements Agent.Health {
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_-]+");
    /** More than anybody has. */
    private static final int MAX_CHECKS = 100;

    private final Path directory;
    private final Optional<RootHelper> helper;
    private final Duration timeout;
    private final Programs programs;
    private final LongSupplier clock;
    private final EventLog log;
    private final Set<String> skipped = new HashSet<>();

    /**
     * Makes it.
     *
     * @param directory the folder, which may be missing
     * @param helper runs them as root if the daemon is somebody else
     * @param timeout how long one check may take
     * @param programs runs the checks
     * @param clock nanoseconds that pass
     * @param log where to tell about it
     */
    public HealthDirectory(
            Path directory,
            Optional<RootHelper> helper,
            Duration timeout,
            Programs programs,
            LongSupplier clock,
            EventLog log) {
        this.directory = directory;
        this.helper = helper;
        this.timeout = timeout;
        this.programs = programs;
        this.clock = clock;
        this.log = log;
    }

    /**
     * The checks of the real device.
     *
     * @param directory the folder, usually {@code /etc/otamgr/health.d}
     * @param timeout how long one check may take
     * @param log where to tell about it
     * @return the checks
     */
    public static HealthDirectory real(Path directory, Duration timeout, EventLog log) {
        return real(directory, Optional.empty(), timeout, log);
    }

    /**
     * The checks of the real device.
     *
     * @param directory the folder, usually {@code /etc/otamgr/health.d}
     * @param helper runs them as root if the daemon is somebody else
     * @param timeout how long one check may take
     * @param log where to tell about it
     * @return the checks
     */
    public static HealthDirectory real(Path directory, Optional<RootHelper> helper, Duration timeout, EventLog log) {
        return new HealthDirectory(
                directory, helper, timeout, new Programs(new SystemProcessRunner(log)), System::nanoTime, log);
    }

    /** Lines of output that are logged for each run of a check. */
    static final int MAX_LINES = 20;

    /**
     * Why the system is not healthy.
     *
     * @param check the name of the check, or what else is missing
     * @param reason what it said last, in one line
     */
    public record Failure(String check, String reason) {}

    @Override
    public Optional<String> problem(SlotStatus trial) throws InterruptedException {
        return firstFailure(trial, timeout.multipliedBy(MAX_CHECKS), () -> false)
                .map(failure -> "health check " + failure.check() + ": " + failure.reason());
    }

    /**
     * Runs the checks until one does not pass.
     *
     * @param trial the slot and the update that they are told about
     * @param longest how long all of them may take; whatever runs then is ended
     * @param unwanted whether nobody wants to know any more; the check that runs is ended
     * @return the first failure, or empty if all passed
     * @throws InterruptedException if the thread was interrupted
     */
    public Optional<Failure> firstFailure(SlotStatus trial, Duration longest, BooleanSupplier unwanted)
            throws InterruptedException {
        List<Path> checks;
        try {
            checks = find(directory, this::skip);
        } catch (IOException e) {
            return Optional.of(new Failure(directory.toString(), "cannot be read: " + Printable.of(e.toString())));
        }
        long end = clock.getAsLong() + longest.toNanos();
        for (Path check : checks) {
            String name = check.getFileName().toString();
            Duration left = Duration.ofNanos(Math.max(0, end - clock.getAsLong()));
            boolean isCutOff = left.compareTo(timeout) < 0;
            Said said = new Said(name);
            Programs.Outcome outcome = programs.run(
                    helper.map(one -> one.asked("health", name)).orElse(List.of(check.toString())),
                    Map.of("OTA_SLOT", trial.running(), "OTA_TXN", trial.txn()),
                    isCutOff ? left : timeout,
                    said,
                    unwanted,
                    Programs.Orphan.KILLED);
            if (!outcome.isSuccess()) {
                boolean isUnfinished =
                        outcome.exitStatus() < 0 && outcome.problem().startsWith("did not end");
                return Optional.of(new Failure(
                        name,
                        said.after(
                                isUnfinished && isCutOff
                                        ? "had not ended yet"
                                        : outcome.problem().isEmpty()
                                                ? "exit status " + outcome.exitStatus()
                                                : outcome.problem())));
            }
            log.info("health_check_passed:check=" + name);
        }
        return Optional.empty();
    }

    /** Looked at in each round, said once. */
    private void skip(String name, String reason) {
        if (skipped.add(name)) {
            log.warning("health_check_skipped:check=" + Printable.of(name) + ",reason=" + reason);
        }
    }

    /** What a check writes. Lines come on two threads. */
    private final class Said implements Programs.Output {
        private final String name;
        private int lines;
        private String lastOut = "";
        private String lastErr = "";

        Said(String name) {
            this.name = name;
        }

        @Override
        public synchronized void stdout(String line) {
            if (log(line)) {
                lastOut = Printable.of(line.strip());
            }
        }

        @Override
        public synchronized void stderr(String line) {
            if (log(line)) {
                lastErr = Printable.of(line.strip());
            }
        }

        private boolean log(String line) {
            if (line.isBlank()) {
                return false;
            }
            lines++;
            if (lines <= MAX_LINES) {
                log.info(Programs.messageOf(name, line));
            } else if (lines == MAX_LINES + 1) {
                log.info(Programs.messageOf(name, "(more lines are not logged)"));
            }
            return true;
        }

        /** With the reason: the last word on standard error, which is where reasons belong, else on standard output. */
        synchronized String after(String problem) {
            String last = lastErr.isEmpty() ? lastOut : lastErr;
            return last.isEmpty() ? problem : problem + ": " + last;
        }
    }

    /**
     * Finds the checks.
     *
     * @param directory the folder, which may be missing
     * @param skipped receives the name of what is no check, and why
     * @return the checks, in their order
     * @throws IOException if the folder cannot be read
     */
    public static List<Path> find(Path directory, BiConsumer<String, String> skipped) throws IOException {
        List<Path> checks = new ArrayList<>();
        if (Files.notExists(directory)) {
            return checks;
        }
        TreeSet<String> names = new TreeSet<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
            entries.forEach(entry -> names.add(entry.getFileName().toString()));
        }
        for (String name : names) {
            Path file = directory.resolve(name);
            if (!NAME.matcher(name).matches()) {
                skipped.accept(name, "the name is not made of letters, digits, - and _ only");
            } else if (!Files.isRegularFile(file)) {
                skipped.accept(name, "it is not a file");
            } else if (!Files.isExecutable(file)) {
                skipped.accept(name, "it is not executable");
            } else {
                checks.add(file);
            }
        }
        return checks;
    }
}
