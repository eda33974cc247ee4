// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * The fields of a JSON object, read strictly: whoever reads says what is expected, and the error says what was found. Unknown
 * keys are ignored, so that an older version reads what a newer one wrote.
 *
 * @param node an object
 */
public record JsonFields(JsonNode node) {
    /**
     * Reads a text that is one object.
     *
     * @param text JSON in UTF-8
     * @return its fields
     * @throws IOException if it is anything else
     */
    public static JsonFields of(byte[] text) throws IOException {
        JsonNode root = BoundedJson.tree(text);
        if (!root.isObject()) {
            throw new IOException("expected an object, found " + shown(root));
        }
        return new JsonFields(root);
    }

    /**
     * The objects of a list.
     *
     * @param key the key of the list, which has to be there
     * @return the objects
     * @throws IOException if there is no list, or something else in it
     */
    public List<JsonFields> objects(String key) throws IOException {
        List<JsonFields> objects = new ArrayList<>();
        for (JsonNode one : list(key)) {
            if (!one.isObject()) {
                throw new IOException("expected objects in the list \"" + key + "\", found " + shown(one));
            }
            objects.add(new JsonFields(one));
        }
        return objects;
    }

    /**
     * The strings of a list, as they are.
     *
     * @param key the key of the list, which has to be there
     * @return the strings, not made printable
     * @throws IOException if there is no list, or something else in it
     */
    public List<String> texts(String key) throws IOException {
        List<String> texts = new ArrayList<>();
        for (JsonNode one : list(key)) {
            if (!one.isTextual()) {
                throw new IOException("expected strings in the list \"" + key + "\", found " + shown(one));
            }
            texts.add(one.textValue());
        }
        return texts;
    }

    private JsonNode list(String key) throws IOException {
        JsonNode list = node.get(key);
        if (list == null || !list.isArray()) {
            throw new IOException("expected an object with the list \"" + key + "\", found none");
        }
        return list;
    }

    /**
     * An object inside of this one.
     *
     * @param key its key
     * @return the object, or empty if there is none of that name
     * @throws IOException if it is something else
     */
    public Optional<JsonFields> object(String key) throws IOException {
        JsonNode object = node.get(key);
        if (object == null) {
            return Optional.empty();
        }
        if (!object.isObject()) {
            throw new IOException("expected that \"" + key + "\" is an object, found " + shown(object));
        }
        return Optional.of(new JsonFields(object));
    }

    /**
     * A string, made printable.
     *
     * @param key its key
     * @return the string, in one line
     * @throws IOException if there is none
     */
    public String line(String key) throws IOException {
        JsonNode text = node.get(key);
        if (text == null || !text.isTextual()) {
            throw new IOException("expected that \"" + key + "\" is a string, found " + shown(text));
        }
        return Printable.of(text.textValue());
    }

    /**
     * A string that may be absent.
     *
     * @param key its key
     * @return the string, in one line, or empty
     * @throws IOException if it is something else
     */
    public Optional<String> optionalLine(String key) throws IOException {
        return node.has(key) ? Optional.of(line(key)) : Optional.empty();
    }

    /**
     * A string of a certain form.
     *
     * @param key its key
     * @param pattern what all of it has to match
     * @return the string
     * @throws IOException if it does not
     */
    public String word(String key, Pattern pattern) throws IOException {
        String word = line(key);
        if (!pattern.matcher(word).matches()) {
            throw new IOException("expected that \"" + key + "\" matches " + pattern + ", found " + word);
        }
        return word;
    }

    /**
     * A whole number.
     *
     * @param key its key
     * @param least the least that is allowed
     * @param most the most that is allowed
     * @return the number
     * @throws IOException if it is no such number
     */
    public long number(String key, long least, long most) throws IOException {
        JsonNode number = node.get(key);
        if (number == null
                || !number.isIntegralNumber()
                || !number.canConvertToLong()
                || number.longValue() < least
                || number.longValue() > most) {
            throw new IOException("expected that \"" + key + "\" is a number from " + least + " to " + most + ", found "
                    + shown(number));
        }
        return number.longValue();
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

    private static String shown(JsonNode node) {
        return node == null ? "nothing" : Printable.of(node.toString());
    }
}
