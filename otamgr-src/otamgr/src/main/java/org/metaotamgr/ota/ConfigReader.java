// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
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

/**
 * Reads a configuration by hand from a JSON tree: data binding would load several hundred more classes on the device,
 * and would not say which key holds what kind of wrong value.
 */
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
        JsonNode root = parse(json);
        if (!root.isObject()) {
            throw new ConfigException(source + ": expected a JSON object, found " + describe(root));
        }
        warnAboutUnknownKeys(root, "", KEYS);
        OtamgrConfig defaults = OtamgrConfig.defaults();
        String prefix = folder(root, "updatePathPrefix", defaults.updatePathPrefix());
        List<String> allowed = allowedPrefixes(root, prefix);
        return new OtamgrConfig(
                socket(root, "attrdSocket", defaults.attrdSocket()),
                prefix,
                allowed,
                program(root, "sysupgrade", defaults.sysupgrade(), false),
                program(root, "otaSlot", defaults.otaSlot(), false),
                program(root, "reboot", defaults.reboot(), false),
                seconds(root, "", "rebootDelaySeconds", 0, MAX_REBOOT_DELAY_SECONDS, defaults.rebootDelay()),
                program(root, "factoryTest", defaults.factoryTest(), true),
                program(root, "pushLogs", defaults.pushLogs(), true),
                path(root, "", "rebootReason", defaults.rebootReason()),
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

    private void warnAboutUnknownKeys(JsonNode object, String parent, Set<String> known) {
        for (Map.Entry<String, JsonNode> entry : object.properties()) {
            if (!known.contains(entry.getKey())) {
                warnings.accept(source + ": the key \"" + parent + Printable.of(entry.getKey())
                        + "\" is unknown and ignored");
            }
        }
    }

    private Path socket(JsonNode root, String key, Path whenAbsent) throws ConfigException {
        Path socket = path(root, "", key, whenAbsent);
        if (socket.toString().getBytes(StandardCharsets.UTF_8).length > MAX_SOCKET_PATH) {
            throw wrong(key, "a path of at most " + MAX_SOCKET_PATH + " bytes (the limit of unix sockets)",
                    root.get(key));
        }
        return socket;
    }

    private Path path(JsonNode object, String parent, String key, Path whenAbsent) throws ConfigException {
        JsonNode node = object.get(key);
        if (node == null) {
            return whenAbsent;
        }
        if (!node.isTextual() || !node.textValue().startsWith("/")) {
            throw wrong(parent + key, "an absolute path", node);
        }
        return expressible(parent + key, node);
    }

    private Path expressible(String key, JsonNode node) throws ConfigException {
        try {
            return Path.of(node.textValue());
        } catch (InvalidPathException e) {
            throw wrong(key, "a path without NUL, of characters that the locale has", node);
        }
    }

    private String folder(JsonNode root, String key, String whenAbsent) throws ConfigException {
        JsonNode node = root.get(key);
        return node == null ? whenAbsent : folder(key, node);
    }

    private String folder(String key, JsonNode node) throws ConfigException {
        if (!node.isTextual()) {
            throw wrong(key, "an absolute path", node);
        }
        // Update paths are made from it, so it has to obey the same rules.
        Optional<String> problem = UpdatePath.problemOf(node.textValue());
        if (problem.isPresent()) {
            throw wrong(key, "an absolute path without . or .. or empty parts (" + problem.get() + ")", node);
        }
        expressible(key, node);
        return node.textValue();
    }

    private List<String> allowedPrefixes(JsonNode root, String updatePathPrefix) throws ConfigException {
        JsonNode node = root.get("allowedPrefixes");
        if (node == null) {
            return List.of(updatePathPrefix);
        }
        if (!node.isArray() || node.isEmpty()) {
            throw wrong("allowedPrefixes", "a list of at least one absolute path", node);
        }
        List<String> allowed = new ArrayList<>();
        for (int i = 0; i < node.size(); i++) {
            allowed.add(folder("allowedPrefixes[" + i + "]", node.get(i)));
        }
        if (allowed.stream().noneMatch(prefix -> (updatePathPrefix + "/").startsWith(prefix + "/"))) {
            throw wrong("allowedPrefixes", "a list which covers updatePathPrefix \"" + updatePathPrefix
                    + "\", because every update would be refused otherwise", node);
        }
        return allowed;
    }

    private List<String> program(JsonNode root, String key, List<String> whenAbsent, boolean mayBeEmpty)
            throws ConfigException {
        JsonNode node = root.get(key);
        if (node == null) {
            return whenAbsent;
        }
        if (!node.isArray()) {
            throw wrong(key, "a list of strings, a program and its arguments", node);
        }
        if (node.isEmpty() && !mayBeEmpty) {
            throw wrong(key, "a list of at least one string, a program and its arguments", node);
        }
        List<String> command = new ArrayList<>();
        for (int i = 0; i < node.size(); i++) {
            JsonNode element = node.get(i);
            if (!element.isTextual() || element.textValue().indexOf('\0') >= 0) {
                throw wrong(key + "[" + i + "]", "a string without NUL", element);
            }
            command.add(element.textValue());
        }
        if (!command.isEmpty() && !command.get(0).startsWith("/")) {
            throw wrong(key + "[0]", "the absolute path of a program", node.get(0));
        }
        return command;
    }

    private Duration seconds(JsonNode object, String parent, String key, int least, int most, Duration whenAbsent)
            throws ConfigException {
        return Duration.ofSeconds(
                number(object, parent, key, "whole number of seconds", least, most, (int) whenAbsent.toSeconds()));
    }

    private int number(JsonNode object, String parent, String key, String kind, int least, int most, int whenAbsent)
            throws ConfigException {
        JsonNode node = object.get(key);
        if (node == null) {
            return whenAbsent;
        }
        if (!node.isIntegralNumber() || !node.canConvertToInt() || node.intValue() < least || node.intValue() > most) {
            throw wrong(parent + key, "a " + kind + " from " + least + " to " + most, node);
        }
        return node.intValue();
    }

    /** An object inside of the configuration; an empty one if it is absent. */
    private JsonNode object(JsonNode root, String key, Set<String> known) throws ConfigException {
        JsonNode node = root.get(key);
        if (node == null) {
            return JsonNodeFactory.instance.objectNode();
        }
        if (!node.isObject()) {
            throw wrong(key, "an object", node);
        }
        warnAboutUnknownKeys(node, key + ".", known);
        return node;
    }

    private OtamgrConfig.Commit commit(JsonNode root, OtamgrConfig.Commit defaults) throws ConfigException {
        JsonNode commit = object(root, "commit", COMMIT_KEYS);
        JsonNode hubby = commit.get("requireHubbyConnected");
        if (hubby != null && !hubby.isBoolean()) {
            throw wrong("commit.requireHubbyConnected", "true or false", hubby);
        }
        return new OtamgrConfig.Commit(
                hubby == null ? defaults.requireHubbyConnected() : hubby.booleanValue(),
                path(commit, "commit.", "healthDirectory", defaults.healthDirectory()),
                seconds(commit, "commit.", "checkTimeoutSeconds", 1, MAX_CHECK_TIMEOUT_SECONDS,
                        defaults.checkTimeout()),
                seconds(commit, "commit.", "deadlineSeconds", 0, Integer.MAX_VALUE, defaults.deadline()));
    }

    private OtamgrConfig.Retry retry(JsonNode root, OtamgrConfig.Retry defaults) throws ConfigException {
        JsonNode retry = object(root, "retry", RETRY_KEYS);
        return new OtamgrConfig.Retry(
                path(retry, "retry.", "directory", defaults.directory()),
                number(retry, "retry.", "attempts", "whole number", 1, MAX_ATTEMPTS, defaults.attempts()),
                seconds(retry, "retry.", "backoffSeconds", 0, (int) FailedUpdates.LONGEST_WAIT.toSeconds(),
                        defaults.backoff()));
    }

    private ConfigException wrong(String key, String expected, JsonNode found) {
        return new ConfigException(source + ": " + key + ": expected " + expected + ", found " + describe(found)
                + "; correct it, or remove the key to use the default");
    }

    private static String describe(JsonNode node) {
        return switch (node.getNodeType()) {
            case MISSING -> "nothing";
            case NULL -> "null";
            case OBJECT -> "an object";
            case ARRAY -> node.isEmpty() ? "an empty list" : "the list " + Printable.of(node.toString());
            case STRING -> "the string " + Printable.of(node.toString());
            case NUMBER -> "the number " + Printable.of(node.toString());
            case BOOLEAN -> node.toString();
            case BINARY, POJO -> "a value that is not JSON";
        };
    }
}
