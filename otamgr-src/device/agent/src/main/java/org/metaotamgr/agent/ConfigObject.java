// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.Printable;

/**
 * An object of a configuration, read by hand from a JSON tree: data binding would load several hundred more classes on
 * the device, and would not say which key holds what kind of wrong value. What is wrong ends in a
 * {@link ConfigException} that names the file, the key, what was expected and what was found.
 */
public final class ConfigObject {
    private final String source;
    private final String parent;
    private final JsonNode object;
    private final Consumer<String> warnings;

    private ConfigObject(String source, String parent, JsonNode object, Consumer<String> warnings) {
        this.source = source;
        this.parent = parent;
        this.object = object;
        this.warnings = warnings;
    }

    /**
     * The outermost object.
     *
     * @param source the name of the file, for messages
     * @param root the JSON tree
     * @param warnings takes one line for each key that is unknown
     * @return the object
     * @throws ConfigException if the tree is no object
     */
    public static ConfigObject of(String source, JsonNode root, Consumer<String> warnings) throws ConfigException {
        if (!root.isObject()) {
            throw new ConfigException(source + ": expected a JSON object, found " + describe(root));
        }
        return new ConfigObject(source, "", root, warnings);
    }

    /**
     * Warns about keys that nobody reads.
     *
     * @param known all keys of this object
     * @return this
     */
    public ConfigObject warnAboutOthersThan(Set<String> known) {
        for (Map.Entry<String, JsonNode> entry : object.properties()) {
            if (!known.contains(entry.getKey())) {
                warnings.accept(
                        source + ": the key \"" + parent + Printable.of(entry.getKey()) + "\" is unknown and ignored");
            }
        }
        return this;
    }

    /**
     * Whether a key is there.
     *
     * @param key the key
     * @return whether it is
     */
    public boolean has(String key) {
        return object.has(key);
    }

    /**
     * The value of a key as it is, for values of several kinds.
     *
     * @param key the key
     * @return the value, or null if the key is absent
     */
    public JsonNode get(String key) {
        return object.get(key);
    }

    /**
     * An object inside of this one.
     *
     * @param key the key
     * @return the object; an empty one if it is absent
     * @throws ConfigException if it is something else
     */
    public ConfigObject object(String key) throws ConfigException {
        JsonNode node = object.get(key);
        if (node == null) {
            return new ConfigObject(source, parent + key + ".", JsonNodeFactory.instance.objectNode(), warnings);
        }
        if (!node.isObject()) {
            throw wrong(key, "an object", node);
        }
        return new ConfigObject(source, parent + key + ".", node, warnings);
    }

    /**
     * A path.
     *
     * @param key the key
     * @param whenAbsent what an absent key means
     * @return an absolute path
     * @throws ConfigException if it is anything else
     */
    public Path path(String key, Path whenAbsent) throws ConfigException {
        JsonNode node = object.get(key);
        if (node == null) {
            return whenAbsent;
        }
        if (!node.isTextual() || !node.textValue().startsWith("/")) {
            throw wrong(key, "an absolute path", node);
        }
        return expressible(key, node);
    }

    /**
     * The path that a text node names.
     *
     * @param key the key, for the message
     * @param node a text
     * @return the path
     * @throws ConfigException if this system cannot express it
     */
    public Path expressible(String key, JsonNode node) throws ConfigException {
        try {
            return Path.of(node.textValue());
        } catch (InvalidPathException e) {
            throw wrong(key, "a path without NUL, of characters that the locale has", node);
        }
    }

    /**
     * Paths.
     *
     * @param key the key
     * @param whenAbsent what an absent key means
     * @return absolute paths, perhaps none
     * @throws ConfigException if it is anything else
     */
    public List<Path> paths(String key, List<Path> whenAbsent) throws ConfigException {
        JsonNode node = object.get(key);
        if (node == null) {
            return whenAbsent;
        }
        if (!node.isArray()) {
            throw wrong(key, "a list of absolute paths", node);
        }
        List<Path> paths = new ArrayList<>();
        for (int i = 0; i < node.size(); i++) {
            JsonNode element = node.get(i);
            if (!element.isTextual() || !element.textValue().startsWith("/")) {
                throw wrong(key + "[" + i + "]", "an absolute path", element);
            }
            paths.add(expressible(key + "[" + i + "]", element));
        }
        return paths;
    }

    /**
     * Texts.
     *
     * @param key the key
     * @param whenAbsent what an absent key means
     * @return texts without NUL, perhaps none
     * @throws ConfigException if it is anything else
     */
    public List<String> strings(String key, List<String> whenAbsent) throws ConfigException {
        JsonNode node = object.get(key);
        if (node == null) {
            return whenAbsent;
        }
        if (!node.isArray()) {
            throw wrong(key, "a list of strings", node);
        }
        List<String> strings = new ArrayList<>();
        for (int i = 0; i < node.size(); i++) {
            JsonNode element = node.get(i);
            if (!element.isTextual() || element.textValue().indexOf('\0') >= 0) {
                throw wrong(key + "[" + i + "]", "a string without NUL", element);
            }
            strings.add(element.textValue());
        }
        return strings;
    }

    /**
     * A text.
     *
     * @param key the key
     * @param whenAbsent what an absent key means
     * @return a text without NUL
     * @throws ConfigException if it is anything else
     */
    public String string(String key, String whenAbsent) throws ConfigException {
        JsonNode node = object.get(key);
        if (node == null) {
            return whenAbsent;
        }
        if (!node.isTextual() || node.textValue().indexOf('\0') >= 0) {
            throw wrong(key, "a string without NUL", node);
        }
        return node.textValue();
    }

    /**
     * A program and its arguments.
     *
     * @param key the key
     * @param whenAbsent what an absent key means
     * @param mayBeEmpty whether an empty list is allowed, for no program
     * @return the absolute path of a program, and its arguments; or nothing
     * @throws ConfigException if it is anything else
     */
    public List<String> program(String key, List<String> whenAbsent, boolean mayBeEmpty) throws ConfigException {
        JsonNode node = object.get(key);
        if (node == null) {
            return whenAbsent;
        }
        if (!node.isArray()) {
            throw wrong(key, "a list of strings, a program and its arguments", node);
        }
        if (node.isEmpty() && !mayBeEmpty) {
            throw wrong(key, "a list of at least one string, a program and its arguments", node);
        }
        List<String> command = strings(key, whenAbsent);
        if (!command.isEmpty() && !command.get(0).startsWith("/")) {
            throw wrong(key + "[0]", "the absolute path of a program", node.get(0));
        }
        return command;
    }

    /**
     * A time.
     *
     * @param key the key
     * @param least the least number of seconds
     * @param most the largest number of seconds
     * @param whenAbsent what an absent key means
     * @return the time
     * @throws ConfigException if it is anything else
     */
    public Duration seconds(String key, int least, int most, Duration whenAbsent) throws ConfigException {
        return Duration.ofSeconds(number(key, "whole number of seconds", least, most, (int) whenAbsent.toSeconds()));
    }

    /**
     * A number.
     *
     * @param key the key
     * @param kind what it counts, for the message
     * @param least the least one
     * @param most the largest one
     * @param whenAbsent what an absent key means
     * @return the number
     * @throws ConfigException if it is anything else
     */
    public int number(String key, String kind, int least, int most, int whenAbsent) throws ConfigException {
        JsonNode node = object.get(key);
        if (node == null) {
            return whenAbsent;
        }
        if (!node.isIntegralNumber() || !node.canConvertToInt() || node.intValue() < least || node.intValue() > most) {
            throw wrong(key, "a " + kind + " from " + least + " to " + most, node);
        }
        return node.intValue();
    }

    /**
     * Yes or no.
     *
     * @param key the key
     * @param whenAbsent what an absent key means
     * @return the value
     * @throws ConfigException if it is anything else
     */
    public boolean flag(String key, boolean whenAbsent) throws ConfigException {
        JsonNode node = object.get(key);
        if (node == null) {
            return whenAbsent;
        }
        if (!node.isBoolean()) {
            throw wrong(key, "true or false", node);
        }
        return node.booleanValue();
    }

    /**
     * What to throw for a value that is wrong in another way.
     *
     * @param key the key
     * @param expected what was expected
     * @param found the value
     * @return the exception, to be thrown
     */
    public ConfigException wrong(String key, String expected, JsonNode found) {
        return new ConfigException(source + ": " + parent + key + ": expected " + expected + ", found "
                + describe(found) + "; correct it, or remove the key to use the default");
    }

    /**
     * What to throw for a key that has no default.
     *
     * @param key the key
     * @param expected what was expected
     * @return the exception, to be thrown
     */
    public ConfigException missing(String key, String expected) {
        return new ConfigException(source + ": " + parent + key + ": expected " + expected + ", found nothing; add it");
    }

    /** Two are equal if they hold the same. */
    @Override
    public boolean equals(Object other) {
        return other instanceof ConfigObject that && object.equals(that.object) && parent.equals(that.parent);
    }

    @Override
    public int hashCode() {
        return object.hashCode();
    }

    @Override
    public String toString() {
        return parent + object;
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
