// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.metaotamgr.device.ConfigException;

/**
 * The part of the configuration that is the agent's.
 *
 * @param storage the folder of the agent, which survives updates
 * @param sysupgrade the program that writes an image into the inactive slot
 * @param otaSlot the program that knows the slots
 * @param otaVerify the program that checks signatures
 * @param retry what happens to updates that failed
 * @param callbacks the product's handler
 * @param source the object {@code source} of the configuration; its key {@code type} names the kind
 * @param polling when and how a source that has to be asked is asked
 * @param fetching how updates come to the device
 */
public record AgentConfig(
        Path storage,
        List<String> sysupgrade,
        List<String> otaSlot,
        List<String> otaVerify,
        RetryPolicy retry,
        Callbacks.Config callbacks,
        ConfigObject source,
        Polling polling,
        Fetching fetching) {
    /** The kind of source that is none to be asked: hubby brings updates by itself. */
    public static final String HUBBY = "hubby";
    /** The keys of the outermost object that are read here. */
    public static final Set<String> KEYS = Set.of(
            "storage", "sysupgrade", "otaSlot", "otaVerify", "retry", "callback", "source", "polling", RootHelper.KEY);

    private static final Set<String> RETRY_KEYS = Set.of("directory", "attempts", "backoffSeconds");
    private static final Set<String> CALLBACK_KEYS =
            Set.of("program", "timeoutSeconds", "vetoExitStatus", "vetoSeconds", "reasons");
    private static final int MAX_ATTEMPTS = 100;
    private static final int MAX_TIMEOUT_SECONDS = 3600;
    private static final int MAX_VETO_SECONDS = 7 * 86400;

    /**
     * Reads it. A key that is absent has its default.
     *
     * @param root the outermost object
     * @return the configuration
     * @throws ConfigException if a value is unusable
     */
    public static AgentConfig of(ConfigObject root) throws ConfigException {
        Path storage = root.path("storage", Path.of("/data/otamgr"));
        Optional<RootHelper> helper = RootHelper.of(root);
        ConfigObject when = root.object("polling");
        Polling polling = Polling.of(when);
        boolean isLater = polling.automatic() != Polling.Automatic.INSTALL
                || !polling.windows().isEmpty();
        return new AgentConfig(
                storage,
                root.program("sysupgrade", RootHelper.program(helper, "sysupgrade", "/sbin/sysupgrade"), false),
                root.program("otaSlot", RootHelper.program(helper, "ota-slot", "/sbin/ota-slot"), false),
                root.program("otaVerify", List.of("/sbin/ota-verify"), false),
                retry(root.object("retry").warnAboutOthersThan(RETRY_KEYS), storage),
                callbacks(root.object("callback").warnAboutOthersThan(CALLBACK_KEYS)),
                root.object("source"),
                polling,
                Fetching.of(when, isLater));
    }

    private static RetryPolicy retry(ConfigObject retry, Path storage) throws ConfigException {
        return new RetryPolicy(
                retry.path("directory", storage),
                retry.number("attempts", "whole number", 1, MAX_ATTEMPTS, 3),
                retry.seconds(
                        "backoffSeconds", 0, (int) FailedUpdates.LONGEST_WAIT.toSeconds(), Duration.ofSeconds(600)));
    }

    private static Callbacks.Config callbacks(ConfigObject callback) throws ConfigException {
        Callbacks.Config none = Callbacks.Config.none();
        int veto = callback.number("vetoExitStatus", "exit status", 0, 255, 0);
        return new Callbacks.Config(
                callback.program("program", List.of(), true),
                callback.seconds("timeoutSeconds", 1, MAX_TIMEOUT_SECONDS, none.timeout()),
                veto == 0 ? OptionalInt.empty() : OptionalInt.of(veto),
                callback.seconds("vetoSeconds", 1, MAX_VETO_SECONDS, none.vetoWait()),
                callback.flag("reasons", none.reasons()));
    }

    /**
     * The kind of source.
     *
     * @return {@value #HUBBY}, or the name of an {@link UpdateSourceProvider}
     * @throws ConfigException if it is no string
     */
    public String sourceType() throws ConfigException {
        return source.string("type", HUBBY);
    }
}
