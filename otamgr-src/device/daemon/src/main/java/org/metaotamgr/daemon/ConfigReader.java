// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.agent.RootHelper;
import org.metaotamgr.device.ConfigException;

/** Makes the configuration of what the files say. */
final class ConfigReader {
    private static final Set<String> KEYS = Set.of(
            "attrdSocket",
            "updatePathPrefix",
            "allowedPrefixes",
            "reboot",
            "rebootDelaySeconds",
            "factoryTest",
            "pushLogs",
            "rebootReason",
            "commit",
            "attributes",
            "control");
    private static final Set<String> COMMIT_KEYS = Set.of(
            "requireHubbyConnected",
            "hubbyStableSeconds",
            "healthDirectory",
            "checkTimeoutSeconds",
            "deadlineSeconds",
            "requireSource");
    private static final int MAX_REBOOT_DELAY_SECONDS = 3600;
    private static final int MAX_CHECK_TIMEOUT_SECONDS = 3600;
    private static final int MAX_STABLE_SECONDS = 3600;
    /** What fits in sun_path with its NUL. */
    private static final int MAX_SOCKET_PATH = 107;

    private ConfigReader() {}

    static OtamgrConfig read(ConfigObject root) throws ConfigException {
        root.warnAboutOthersThan(keys());
        ConfigObject commit = root.object("commit").warnAboutOthersThan(COMMIT_KEYS);
        AgentConfig agent = AgentConfig.of(root);
        Optional<RootHelper> helper = RootHelper.of(root);
        boolean isHubby = agent.sourceType().equals(AgentConfig.HUBBY);
        // Other sources are for products that have no attribute daemon.
        boolean attributes = root.flag("attributes", isHubby);
        String prefix = folder(root, "updatePathPrefix", "/tmp");
        List<String> allowed = allowedPrefixes(root, prefix);
        return new OtamgrConfig(
                socket(root, "attrdSocket", Path.of("/var/run/IPC.ATTRD")),
                prefix,
                allowed,
                agent.sysupgrade(),
                agent.otaSlot(),
                root.program("reboot", RootHelper.program(helper, "reboot", "/sbin/reboot"), false),
                root.seconds("rebootDelaySeconds", 0, MAX_REBOOT_DELAY_SECONDS, Duration.ofSeconds(5)),
                root.program("factoryTest", List.of(), true),
                root.program("pushLogs", List.of(), true),
                root.path("rebootReason", Path.of("/afero_nv/reboot_reason")),
                commit(commit, attributes, isHubby),
                agent.retry(),
                attributes,
                socket(root, "control", Path.of("/run/otamgr/control")),
                helper,
                agent);
    }

    private static Set<String> keys() {
        Set<String> keys = new HashSet<>(KEYS);
        keys.addAll(AgentConfig.KEYS);
        return keys;
    }

    private static Path socket(ConfigObject root, String key, Path whenAbsent) throws ConfigException {
        Path socket = root.path(key, whenAbsent);
        if (socket.toString().getBytes(StandardCharsets.UTF_8).length > MAX_SOCKET_PATH) {
            throw root.wrong(
                    key, "a path of at most " + MAX_SOCKET_PATH + " bytes (the limit of unix sockets)", root.get(key));
        }
        return socket;
    }

    private static String folder(ConfigObject root, String key, String whenAbsent) throws ConfigException {
        JsonNode node = root.get(key);
        return node == null ? whenAbsent : folder(root, key, node);
    }

    private static String folder(ConfigObject root, String key, JsonNode node) throws ConfigException {
        if (!node.isTextual()) {
            throw root.wrong(key, "an absolute path", node);
        }
        // Update paths are made from it, so it has to obey the same rules.
        Optional<String> problem = UpdatePath.problemOf(node.textValue());
        if (problem.isPresent()) {
            throw root.wrong(key, "an absolute path without . or .. or empty parts (" + problem.get() + ")", node);
        }
        root.expressible(key, node);
        return node.textValue();
    }

    private static List<String> allowedPrefixes(ConfigObject root, String updatePathPrefix) throws ConfigException {
        JsonNode node = root.get("allowedPrefixes");
        if (node == null) {
            return List.of(updatePathPrefix);
        }
        if (!node.isArray() || node.isEmpty()) {
            throw root.wrong("allowedPrefixes", "a list of at least one absolute path", node);
        }
        List<String> allowed = new ArrayList<>();
        for (int i = 0; i < node.size(); i++) {
            allowed.add(folder(root, "allowedPrefixes[" + i + "]", node.get(i)));
        }
        if (allowed.stream().noneMatch(prefix -> (updatePathPrefix + "/").startsWith(prefix + "/"))) {
            throw root.wrong(
                    "allowedPrefixes",
                    "a list which covers updatePathPrefix \"" + updatePathPrefix
                            + "\", because every update would be refused otherwise",
                    node);
        }
        return allowed;
    }

    private static OtamgrConfig.Commit commit(ConfigObject commit, boolean attributes, boolean isHubby)
            throws ConfigException {
        boolean requireHubby = commit.flag("requireHubbyConnected", attributes);
        if (requireHubby && !attributes) {
            throw commit.wrong(
                    "requireHubbyConnected",
                    "false, because nothing is known of hubby with \"attributes\": " + "false",
                    commit.get("requireHubbyConnected"));
        }
        return new OtamgrConfig.Commit(
                requireHubby,
                commit.seconds("hubbyStableSeconds", 0, MAX_STABLE_SECONDS, Duration.ofSeconds(20)),
                commit.path("healthDirectory", Path.of("/etc/otamgr/health.d")),
                commit.seconds("checkTimeoutSeconds", 1, MAX_CHECK_TIMEOUT_SECONDS, Duration.ofSeconds(60)),
                commit.seconds("deadlineSeconds", 0, Integer.MAX_VALUE, Duration.ofSeconds(240)),
                attributes,
                commit.flag("requireSource", !isHubby));
    }
}
