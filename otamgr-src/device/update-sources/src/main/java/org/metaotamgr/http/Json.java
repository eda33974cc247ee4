// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.metaotamgr.device.BoundedJson;
import org.metaotamgr.device.Printable;

/**
 * A JSON tree from outside, read strictly by {@link BoundedJson}: bounded depth and size, no key twice, nothing
 * behind it. What is missing or of another kind ends in a {@link MalformedException} that names it.
 *
 * @param where what it is part of, for messages
 * @param node the tree
 */
public record Json(String where, JsonNode node) {
    /** How much of what was found is worth repeating. */
    private static final int MAX_FOUND = 200;

    private static final ObjectMapper MAPPER = new ObjectMapper();

    /** It is not what was expected; the message says what, in one line. */
    public static final class MalformedException extends Exception {
        private static final long serialVersionUID = 1L;

        /**
         * Makes one.
         *
         * @param message what was expected and found
         */
        public MalformedException(String message) {
            super(Printable.of(message));
        }
    }

    /**
     * Reads an object.
     *
     * @param where what it is, for messages
     * @param content the text
     * @return the object
     * @throws MalformedException if it is none
     */
    public static Json object(String where, byte[] content) throws MalformedException {
        try {
            JsonNode node = BoundedJson.tree(content);
            if (node == null || !node.isObject()) {
                throw new MalformedException(where + ": expected a JSON object, found something else");
            }
            return new Json(where, node);
        } catch (JacksonException e) {
            throw new MalformedException(where + ": expected JSON, found: " + e.getOriginalMessage());
        } catch (IOException e) {
            throw new MalformedException(where + ": expected JSON in UTF-8, found: " + e.getMessage());
        }
    }

    /**
     * Writes JSON.
     *
     * @param node a tree
     * @return its text, in UTF-8
     */
    public static byte[] bytes(JsonNode node) {
        try {
            return MAPPER.writeValueAsBytes(node);
        } catch (IOException e) {
            throw new IllegalStateException("a tree can be written", e);
        }
    }

    /**
     * An object for writing.
     *
     * @return a new, empty object
     */
    public static ObjectNode newObject() {
        return MAPPER.createObjectNode();
    }

    /**
     * Whether a key is there, and not null.
     *
     * @param key the key
     * @return whether it is
     */
    public boolean has(String key) {
        return node.hasNonNull(key);
    }

    /**
     * What is wrong.
     *
     * @param key the key
     * @param expected what was expected
     * @return the exception, to be thrown
     */
    public MalformedException wrong(String key, String expected) {
        JsonNode found = node.get(key);
        return new MalformedException(where + ": expected " + expected + " as " + key + ", found "
                + (found == null ? "nothing" : found.isContainerNode() ? "something else" : excerpt(found.asText())));
    }

    private static String excerpt(String text) {
        return text.length() <= MAX_FOUND ? text : text.substring(0, MAX_FOUND) + "...";
    }

    /**
     * A text.
     *
     * @param key its key
     * @return the text
     * @throws MalformedException if it is none
     */
    public String string(String key) throws MalformedException {
        JsonNode value = node.get(key);
        if (value == null || !value.isTextual()) {
            throw wrong(key, "a string");
        }
        return value.textValue();
    }

    /**
     * A number.
     *
     * @param key its key
     * @param least the least one
     * @return the number
     * @throws MalformedException if it is none
     */
    public long number(String key, long least) throws MalformedException {
        JsonNode value = node.get(key);
        if (value == null || !value.isIntegralNumber() || !value.canConvertToLong() || value.longValue() < least) {
            throw wrong(key, "a whole number of at least " + least);
        }
        return value.longValue();
    }

    /**
     * An object inside.
     *
     * @param key its key
     * @return the object; an empty one if it is missing
     * @throws MalformedException if it is something else
     */
    public Json object(String key) throws MalformedException {
        if (!has(key)) {
            return new Json(where + " " + key, newObject());
        }
        JsonNode value = node.get(key);
        if (!value.isObject()) {
            throw wrong(key, "an object");
        }
        return new Json(where + " " + key, value);
    }

    /**
     * A list of objects.
     *
     * @param key its key
     * @param most the largest number of elements
     * @return the objects; none if it is missing
     * @throws MalformedException if it is something else
     */
    public List<Json> objects(String key, int most) throws MalformedException {
        if (!has(key)) {
            return List.of();
        }
        JsonNode list = node.get(key);
        if (!list.isArray() || list.size() > most) {
            throw new MalformedException(
                    where + ": expected a list of at most " + most + " objects as " + key + ", found something else");
        }
        List<Json> objects = new ArrayList<>();
        for (JsonNode element : list) {
            if (!element.isObject()) {
                throw wrong(key, "a list of objects");
            }
            objects.add(new Json(where + " " + key + "[" + objects.size() + "]", element));
        }
        return objects;
    }

    /**
     * A list of texts.
     *
     * @param key its key
     * @param most the largest number of elements
     * @return the texts; none if it is missing
     * @throws MalformedException if it is something else
     */
    public List<String> strings(String key, int most) throws MalformedException {
        if (!has(key)) {
            return List.of();
        }
        JsonNode list = node.get(key);
        List<String> strings = new ArrayList<>();
        if (list.isArray() && list.size() <= most) {
            for (JsonNode element : list) {
                if (element.isTextual()) {
                    strings.add(element.textValue());
                }
            }
        }
        if (!list.isArray() || strings.size() != list.size()) {
            throw wrong(key, "a list of at most " + most + " strings");
        }
        return strings;
    }

    /**
     * Refuses keys that nobody reads, except those that begin with {@code x-}: a new key may be a restriction.
     *
     * @param known all keys that are read
     * @throws MalformedException if there is another one
     */
    public void refuseOthersThan(Set<String> known) throws MalformedException {
        for (Iterator<String> keys = node.fieldNames(); keys.hasNext(); ) {
            String key = keys.next();
            if (!known.contains(key) && !key.startsWith("x-")) {
                throw new MalformedException(where + ": expected the keys " + new TreeSet<>(known)
                        + " and such that begin with x-, found " + key + "; this device may be too old for it");
            }
        }
    }
}
