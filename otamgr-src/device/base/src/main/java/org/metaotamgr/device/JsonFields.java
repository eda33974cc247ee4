// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * The fields of a JSON object that a program wrote, ours or a server: whoever reads says what is expected, and what is missing or of
 * another kind ends in a {@link MalformedException} that says what was found. Read by {@link BoundedJson}: bounded depth and size, no
 * key twice, nothing behind it. Unknown keys are ignored, so that an older version reads what a newer one wrote, unless
 * {@link #refuseOthersThan} is asked.
 *
 * @param where what it is part of, for messages
 * @param node an object
 */
public record JsonFields(String where, JsonNode node) {
    /** How much of what was found is worth repeating. */
    private static final int MAX_FOUND = 200;

    private static final ObjectMapper MAPPER = new ObjectMapper();

    /** It is not what was expected; the message says what, in one line. */
    public static final class MalformedException extends IOException {
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
     * Reads a text that is one object.
     *
     * @param where what it is, for messages
     * @param text JSON in UTF-8
     * @return its fields
     * @throws MalformedException if it is anything else
     */
    public static JsonFields of(String where, byte[] text) throws MalformedException {
        try {
            JsonNode node = BoundedJson.tree(text);
            if (node == null || !node.isObject()) {
                throw new MalformedException(where + ": expected a JSON object, found something else");
            }
            return new JsonFields(where, node);
        } catch (JacksonException e) {
            throw new MalformedException(where + ": expected JSON, found: " + e.getOriginalMessage());
        } catch (MalformedException e) {
            throw e;
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
     * A text, as it is.
     *
     * @param key its key
     * @return the text, not made printable
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
     * A text, made printable.
     *
     * @param key its key
     * @return the text, in one line
     * @throws MalformedException if it is none
     */
    public String line(String key) throws MalformedException {
        return Printable.of(string(key));
    }

    /**
     * A text that may be absent.
     *
     * @param key its key
     * @return the text, in one line, or empty
     * @throws MalformedException if it is something else
     */
    public Optional<String> optionalLine(String key) throws MalformedException {
        return node.has(key) ? Optional.of(line(key)) : Optional.empty();
    }

    /**
     * A text of a certain form.
     *
     * @param key its key
     * @param pattern what all of it has to match
     * @return the text
     * @throws MalformedException if it does not
     */
    public String word(String key, Pattern pattern) throws MalformedException {
        String word = line(key);
        if (!pattern.matcher(word).matches()) {
            throw wrong(key, "what matches " + pattern);
        }
        return word;
    }

    /**
     * A whole number.
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
     * A whole number.
     *
     * @param key its key
     * @param least the least one
     * @param most the largest one
     * @return the number
     * @throws MalformedException if it is none
     */
    public long number(String key, long least, long most) throws MalformedException {
        long number = number(key, least);
        if (number > most) {
            throw wrong(key, "a whole number from " + least + " to " + most);
        }
        return number;
    }

    /**
     * A truth value; absent means false.
     *
     * @param key its key
     * @return the value
     */
    public boolean flag(String key) {
        return node.path(key).asBoolean();
    }

    /**
     * An object inside.
     *
     * @param key its key
     * @return the object; an empty one if it is missing
     * @throws MalformedException if it is something else
     */
    public JsonFields object(String key) throws MalformedException {
        return optionalObject(key).orElseGet(() -> new JsonFields(where + " " + key, newObject()));
    }

    /**
     * An object inside that may be missing.
     *
     * @param key its key
     * @return the object, or empty
     * @throws MalformedException if it is something else
     */
    public Optional<JsonFields> optionalObject(String key) throws MalformedException {
        if (!has(key)) {
            return Optional.empty();
        }
        JsonNode value = node.get(key);
        if (!value.isObject()) {
            throw wrong(key, "an object");
        }
        return Optional.of(new JsonFields(where + " " + key, value));
    }

    /**
     * A list of objects that has to be there.
     *
     * @param key its key
     * @return the objects
     * @throws MalformedException if it is something else
     */
    public List<JsonFields> objects(String key) throws MalformedException {
        return objects(key, list(key));
    }

    /**
     * A list of objects.
     *
     * @param key its key
     * @param most the largest number of elements
     * @return the objects; none if it is missing
     * @throws MalformedException if it is something else
     */
    public List<JsonFields> objects(String key, int most) throws MalformedException {
        return objects(key, list(key, most, "objects"));
    }

    private List<JsonFields> objects(String key, JsonNode list) throws MalformedException {
        List<JsonFields> objects = new ArrayList<>();
        for (JsonNode element : list) {
            if (!element.isObject()) {
                throw wrong(key, "a list of objects");
            }
            objects.add(new JsonFields(where + " " + key + "[" + objects.size() + "]", element));
        }
        return objects;
    }

    /**
     * A list of texts, as they are, that has to be there.
     *
     * @param key its key
     * @return the texts, not made printable
     * @throws MalformedException if it is something else
     */
    public List<String> strings(String key) throws MalformedException {
        return strings(key, list(key));
    }

    /**
     * A list of texts, as they are.
     *
     * @param key its key
     * @param most the largest number of elements
     * @return the texts, not made printable; none if it is missing
     * @throws MalformedException if it is something else
     */
    public List<String> strings(String key, int most) throws MalformedException {
        return strings(key, list(key, most, "strings"));
    }

    private List<String> strings(String key, JsonNode list) throws MalformedException {
        List<String> strings = new ArrayList<>();
        for (JsonNode element : list) {
            if (!element.isTextual()) {
                throw wrong(key, "a list of strings");
            }
            strings.add(element.textValue());
        }
        return strings;
    }

    private JsonNode list(String key, int most, String kind) throws MalformedException {
        JsonNode list = has(key) ? node.get(key) : MAPPER.createArrayNode();
        if (!list.isArray() || list.size() > most) {
            throw wrong(key, "a list of at most " + most + " " + kind);
        }
        return list;
    }

    private JsonNode list(String key) throws MalformedException {
        JsonNode list = node.get(key);
        if (list == null || !list.isArray()) {
            throw wrong(key, "a list");
        }
        return list;
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
