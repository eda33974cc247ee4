// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.agent.FailedUpdates;
import org.metaotamgr.agent.RetryPolicy;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.Printable;

/** Reads configuration files. */
final class ConfigReader {
    private static final Set<String> KEYS = Set.of("attrdSocket", "updatePathPrefix", "allowedPrefixes", "reboot",
            "rebootDelaySeconds", "factoryTest", "pushLogs", "rebootReason", "commit", "attributes", "control");
    private static final Set<String> COMMIT_KEYS = Set.of("requireHubbyConnected", "healthDirectory",
            "checkTimeoutSeconds", "deadlineSeconds", "requireSource");
    private static final int MAX_REBOOT_DELAY_SECONDS = 3600;
    private static final int MAX_CHECK_TIMEOUT_SECONDS = 3600;
    /** What fits in sun_path with its NUL. */
    private static final int MAX_SOCKET_PATH = 107;

    private final String source;
    private final Consumer<String> warnings;
    private final ObjectNode tree = JsonNodeFactory.instance.objectNode();

    ConfigReader(String source, Consumer<String> warnings) {
        this.source = source;
        this.warnings = warnings;
    }

    /** Adds a file: what it says replaces what was said before. */
    void add(String name, byte[] json) throws ConfigException {
        JsonNode more = parse(name, json);
        // For its message, should it be none.
        ConfigObject.of(name, more, warnings);
        replace(tree, more);
    }

    private static void replace(ObjectNode before, JsonNode more) {
        for (Map.Entry<String, JsonNode> entry : more.properties()) {
            if (entry.getValue().isObject() && before.get(entry.getKey()) instanceof ObjectNode inner) {
                replace(inner, entry.getValue());
            } else {
                before.set(entry.getKey(), entry.getValue());
            }
        }
    }

    OtamgrConfig read() throws ConfigException {
        ConfigObject root = ConfigObject.of(source, tree, warnings).warnAboutOthersThan(keys());
        ConfigObject commit = root.object("commit").warnAboutOthersThan(COMMIT_KEYS);
        AgentConfig agent = AgentConfig.of(root);
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
                root.program("reboot", List.of("/sbin/reboot"), false),
                root.seconds("rebootDelaySeconds", 0, MAX_REBOOT_DELAY_SECONDS, Duration.ofSeconds(5)),
                root.program("factoryTest", List.of(), true),
                root.program("pushLogs", List.of(), true),
                root.path("rebootReason", Path.of("/afero_nv/reboot_reason")),
                commit(commit, attributes, isHubby),
                agent.retry(),
                attributes,
                socket(root, "control", Path.of("/run/otamgr/control")),
                agent);
    }

    private static Set<String> keys() {
        Set<String> keys = new HashSet<>(KEYS);
        keys.addAll(AgentConfig.KEYS);
        return keys;
    }

    private static JsonNode parse(String source, byte[] json) throws ConfigException {
        JsonMapper mapper = JsonMapper.builder()
                .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                .build();
        try {
            return mapper.readTree(json);
        } catch (JsonProcessingException e) {
            JsonLocation at = e.getLocation();
            String where = at == null ? "" : " (line " + at.getLineNr() + ", column " + at.getColumnNr() + ")";
            throw new ConfigException(
                    source + ": expected JSON, found: " + Printable.of(e.getOriginalMessage()) + where);
        } catch (IOException e) {
            throw new ConfigException(source + ": expected JSON, found: " + Printable.of(e.toString()));
        }
    }

    private static Path socket(ConfigObject root, String key, Path whenAbsent) throws ConfigException {
        Path socket = root.path(key, whenAbsent);
        if (socket.toString().getBytes(StandardCharsets.UTF_8).length > MAX_SOCKET_PATH) {
            throw root.wrong(key, "a path of at most " + MAX_SOCKET_PATH + " bytes (the limit of unix sockets)",
                    root.get(key));
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
            throw root.wrong("allowedPrefixes", "a list which covers updatePathPrefix \"" + updatePathPrefix
                    + "\", because every update would be refused otherwise", node);
        }
        return allowed;
    }

    private static OtamgrConfig.Commit commit(ConfigObject commit, boolean attributes, boolean isHubby)
            throws ConfigException {
        boolean requireHubby = commit.flag("requireHubbyConnected", attributes);
        if (requireHubby && !attributes) {
            throw commit.wrong("requireHubbyConnected", "false, because nothing is known of hubby with \"attributes\": "
                    + "false", commit.get("requireHubbyConnected"));
        }
        return new OtamgrConfig.Commit(
                requireHubby,
                commit.path("healthDirectory", Path.of("/etc/otamgr/health.d")),
                commit.seconds("checkTimeoutSeconds", 1, MAX_CHECK_TIMEOUT_SECONDS, Duration.ofSeconds(60)),
                commit.seconds("deadlineSeconds", 0, Integer.MAX_VALUE, Duration.ofSeconds(240)),
                attributes,
                commit.flag("requireSource", !isHubby));
    }
}
