// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.function.BiConsumer;
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
 *
 * @param directory the folder, which may be missing
 * @param timeout how long one check may take
 * @param programs runs the checks
 * @param log where to tell about it
 */
public record HealthDirectory(Path directory, Duration timeout, Programs programs, EventLog log)
        implements Agent.Health {
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_-]+");

    /**
     * The checks of the real device.
     *
     * @param directory the folder, usually {@code /etc/otamgr/health.d}
     * @param timeout how long one check may take
     * @param log where to tell about it
     * @return the checks
     */
    public static HealthDirectory real(Path directory, Duration timeout, EventLog log) {
        return new HealthDirectory(directory, timeout, new Programs(new SystemProcessRunner(log)), log);
    }

    @Override
    public Optional<String> problem(SlotStatus trial) throws InterruptedException {
        List<Path> checks;
        try {
            checks = find(directory, (name, reason) ->
                    log.warning("health_check_skipped:check=" + Printable.of(name) + ",reason=" + reason));
        } catch (IOException e) {
            return Optional.of(directory + " cannot be read: " + Printable.of(e.toString()));
        }
        for (Path check : checks) {
            String name = check.getFileName().toString();
            Programs.Outcome outcome = programs.run(List.of(check.toString()),
                    Map.of("OTA_SLOT", trial.running(), "OTA_TXN", trial.txn()), timeout, new Programs.Output() {
                        @Override
                        public void stdout(String line) {
                            log.info(name + ": " + Printable.of(line));
                        }

                        @Override
                        public void stderr(String line) {
                            log.info(name + ": " + Printable.of(line));
                        }
                    });
            if (!outcome.isSuccess()) {
                return Optional.of("health check " + name + ": " + outcome);
            }
            log.info("health_check_passed:check=" + name);
        }
        return Optional.empty();
    }

    /**
     * Finds the checks.
     *
     * @param directory the folder, which may be missing
     * @param skipped told the name of what is no check, and why
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
