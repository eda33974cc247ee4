// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;
import java.util.function.Consumer;

import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.RetryPolicy;
import org.metaotamgr.device.ConfigException;

/**
 * The configuration of the daemon. Programs are argument lists: the first element is the absolute path of a program,
 * what otamgr adds comes after the others, and no shell is involved.
 *
 * @param attrdSocket the socket of the attribute daemon
 * @param updatePathPrefix where hubby shall put downloads; the value of attribute 51618
 * @param allowedPrefixes folders in which an update may lie; {@code updatePathPrefix} is one of them or below one
 * @param sysupgrade the program that writes an image to the inactive slot
 * @param otaSlot the program that knows and commits slots
 * @param reboot the program that reboots
 * @param rebootDelay time between the decision to reboot and the reboot
 * @param factoryTest the program to run for the factory test command, or empty
 * @param pushLogs the program that saves logs before a reboot, or empty
 * @param rebootReason the file which keeps the reason of the last reboot
 * @param commit what a trial needs to be committed
 * @param retry what happens to updates that failed
 * @param attributes whether otamgr talks to the attribute daemon at all
 * @param control the socket for commands
 * @param agent what the agent does with sources of updates
 */
public record OtamgrConfig(
        Path attrdSocket,
        String updatePathPrefix,
        List<String> allowedPrefixes,
        List<String> sysupgrade,
        List<String> otaSlot,
        List<String> reboot,
        Duration rebootDelay,
        List<String> factoryTest,
        List<String> pushLogs,
        Path rebootReason,
        Commit commit,
        RetryPolicy retry,
        boolean attributes,
        Path control,
        AgentConfig agent) {

    /**
     * What a trial needs to be committed.
     *
     * @param requireHubbyConnected whether hubby has to be connected to the cloud; needs the attribute
     *     daemon, too
     * @param healthDirectory the folder of the health checks, all of which have to pass
     * @param checkTimeout how long one health check may take
     * @param deadline the time since power-on at which otamgr gives up a trial that is not healthy, or zero to leave
     *     that to the trial guard
     * @param requireAttributes whether the attribute daemon has to have accepted otamgr
     * @param requireSource whether the source of updates has to have answered
     */
    public record Commit(boolean requireHubbyConnected, Path healthDirectory, Duration checkTimeout,
            Duration deadline, boolean requireAttributes, boolean requireSource) {
    }

    /** Where the configuration is when nobody names another file. */
    public static final Path DEFAULT_FILE = Path.of("/etc/otamgr/otamgr.json");

    private static final int MAX_FILE_SIZE = 64 * 1024;

    /** Copies the lists. */
    public OtamgrConfig {
        allowedPrefixes = List.copyOf(allowedPrefixes);
        sysupgrade = List.copyOf(sysupgrade);
        otaSlot = List.copyOf(otaSlot);
        reboot = List.copyOf(reboot);
        factoryTest = List.copyOf(factoryTest);
        pushLogs = List.copyOf(pushLogs);
    }

    /**
     * What an empty file stands for.
     *
     * @return the defaults
     */
    public static OtamgrConfig defaults() {
        try {
            return new ConfigReader("defaults", warning -> { }).read();
        } catch (ConfigException e) {
            throw new IllegalStateException("defaults are valid", e);
        }
    }

    /**
     * Reads a configuration file: one JSON object, every key optional. Then the files {@code conf.d/*.json} beside it, in
     * the order of their names: what they say replaces what was said before, key by key.
     *
     * @param file the file, at most 64 KiB
     * @param warnings takes one line for each key that otamgr does not know
     * @return the configuration
     * @throws ConfigException if a file cannot be read, is not JSON, or holds an unusable value
     */
    public static OtamgrConfig load(Path file, Consumer<String> warnings) throws ConfigException {
        return load(Optional.of(file), file.resolveSibling("conf.d"), warnings);
    }

    /**
     * Reads the files in the usual place, where {@code otamgr.json} itself may be missing.
     *
     * @param warnings takes one line for each key that otamgr does not know
     * @return the configuration
     * @throws ConfigException as for {@link #load(Path, Consumer)}
     */
    public static OtamgrConfig loadUsual(Consumer<String> warnings) throws ConfigException {
        boolean isThere = Files.exists(DEFAULT_FILE);
        if (!isThere) {
            warnings.accept(DEFAULT_FILE + " does not exist, using the defaults");
        }
        return load(isThere ? Optional.of(DEFAULT_FILE) : Optional.empty(), DEFAULT_FILE.resolveSibling("conf.d"),
                warnings);
    }

    private static OtamgrConfig load(Optional<Path> file, Path more, Consumer<String> warnings) throws ConfigException {
        ConfigReader reader = new ConfigReader(file.map(Path::toString).orElse(more.toString()), warnings);
        if (file.isPresent()) {
            reader.add(file.get().toString(), content(file.get()));
        }
        TreeSet<Path> files = new TreeSet<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(more, "*.json")) {
            entries.forEach(files::add);
        } catch (NoSuchFileException | NotDirectoryException e) {
            // Most systems have none.
            return reader.read();
        } catch (IOException e) {
            throw new ConfigException(more + ": cannot be read (" + e + ")");
        }
        for (Path one : files) {
            reader.add(one.toString(), content(one));
        }
        return reader.read();
    }

    private static byte[] content(Path file) throws ConfigException {
        byte[] content;
        try (InputStream in = Files.newInputStream(file)) {
            content = in.readNBytes(MAX_FILE_SIZE + 1);
        } catch (IOException e) {
            throw new ConfigException(file + ": cannot be read (" + e + "); give the configuration with --config FILE");
        }
        if (content.length > MAX_FILE_SIZE) {
            throw new ConfigException(file + ": expected at most " + MAX_FILE_SIZE + " bytes, found more");
        }
        return content;
    }
}
