// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.ConfigFiles;
import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.agent.RetryPolicy;
import org.metaotamgr.agent.RootHelper;
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
 * @param rootHelper does what needs root, if the daemon is not root
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
        Optional<RootHelper> rootHelper,
        AgentConfig agent) {

    /**
     * What a trial needs to be committed.
     *
     * @param requireHubbyConnected whether hubby has to be connected to the cloud; needs the attribute
     *     daemon, too
     * @param hubbyStable how long hubby has to be connected without a break
     * @param healthDirectory the folder of the health checks, all of which have to pass
     * @param checkTimeout how long one health check may take
     * @param deadline the time since power-on at which otamgr gives up a trial that is not healthy, or zero to leave
     *     that to the trial guard
     * @param requireAttributes whether the attribute daemon has to have accepted otamgr
     * @param requireSource whether the source of updates has to have answered
     */
    public record Commit(
            boolean requireHubbyConnected,
            Duration hubbyStable,
            Path healthDirectory,
            Duration checkTimeout,
            Duration deadline,
            boolean requireAttributes,
            boolean requireSource) {}

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
            return of(new ConfigFiles("defaults", warning -> {}).read());
        } catch (ConfigException e) {
            throw new IllegalStateException("defaults are valid", e);
        }
    }

    /**
     * Makes the configuration of what the files say.
     *
     * @param root the outermost object, see {@link org.metaotamgr.agent.ConfigFiles}
     * @return the configuration
     * @throws ConfigException if a value is unusable
     */
    public static OtamgrConfig of(ConfigObject root) throws ConfigException {
        return ConfigReader.read(root);
    }
}
