// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.agent.FailedUpdates;
import org.metaotamgr.agent.RetryPolicy;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.Printable;

/** Reads a configuration file. */
final class ConfigReader {
    private static final Set<String> KEYS = Set.of("attrdSocket", "updatePathPrefix", "allowedPrefixes", "sysupgrade",
            "otaSlot", "reboot", "rebootDelaySeconds", "factoryTest", "pushLogs", "rebootReason", "commit", "retry");
    private static final Set<String> COMMIT_KEYS =
            Set.of("requireHubbyConnected", "healthDirectory", "checkTimeoutSeconds", "deadlineSeconds");
    private static final Set<String> RETRY_KEYS = Set.of("directory", "attempts", "backoffSeconds");
    private static final int MAX_REBOOT_DELAY_SECONDS = 3600;
    private static final int MAX_CHECK_TIMEOUT_SECONDS = 3600;
    private static final int MAX_ATTEMPTS = 100;
    /** What fits in sun_path with its NUL. */
    private static final int MAX_SOCKET_PATH = 107;

    private final String source;
    private final Consumer<String> warnings;

    ConfigReader(String source, Consumer<String> warnings) {
        this.source = source;
        this.warnings = warnings;
    }

    OtamgrConfig read(byte[] json) throws ConfigException {
        ConfigObject root = ConfigObject.of(source, parse(json), warnings).warnAboutOthersThan(KEYS);
        OtamgrConfig defaults = OtamgrConfig.defaults();
        String prefix = folder(root, "updatePathPrefix", defaults.updatePathPrefix());
        List<String> allowed = allowedPrefixes(root, prefix);
        return new OtamgrConfig(
                socket(root, "attrdSocket", defaults.attrdSocket()),
                prefix,
                allowed,
                root.program("sysupgrade", defaults.sysupgrade(), false),
                root.program("otaSlot", defaults.otaSlot(), false),
                root.program("reboot", defaults.reboot(), false),
                root.seconds("rebootDelaySeconds", 0, MAX_REBOOT_DELAY_SECONDS, defaults.rebootDelay()),
                root.program("factoryTest", defaults.factoryTest(), true),
                root.program("pushLogs", defaults.pushLogs(), true),
                root.path("rebootReason", defaults.rebootReason()),
                commit(root, defaults.commit()),
                retry(root, defaults.retry()));
    }

    private JsonNode parse(byte[] json) throws ConfigException {
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

    private static OtamgrConfig.Commit commit(ConfigObject root, OtamgrConfig.Commit defaults) throws ConfigException {
        ConfigObject commit = root.object("commit").warnAboutOthersThan(COMMIT_KEYS);
        return new OtamgrConfig.Commit(
                commit.flag("requireHubbyConnected", defaults.requireHubbyConnected()),
                commit.path("healthDirectory", defaults.healthDirectory()),
                commit.seconds("checkTimeoutSeconds", 1, MAX_CHECK_TIMEOUT_SECONDS, defaults.checkTimeout()),
                commit.seconds("deadlineSeconds", 0, Integer.MAX_VALUE, defaults.deadline()));
    }

    private static RetryPolicy retry(ConfigObject root, RetryPolicy defaults) throws ConfigException {
        ConfigObject retry = root.object("retry").warnAboutOthersThan(RETRY_KEYS);
        return new RetryPolicy(
                retry.path("directory", defaults.directory()),
                retry.number("attempts", "whole number", 1, MAX_ATTEMPTS, defaults.attempts()),
                retry.seconds("backoffSeconds", 0, (int) FailedUpdates.LONGEST_WAIT.toSeconds(), defaults.backoff()));
    }
}
