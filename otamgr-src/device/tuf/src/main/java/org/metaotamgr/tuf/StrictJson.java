// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.math.BigInteger;
import java.util.ArrayDeque;
import java.util.Deque;
import org.metaotamgr.tuf.TufException.Reason;

/**
 * Reads JSON from anybody into a tree of bounded size: a small text can ask for a thousand times its length in objects, so what
 * counts is not the text but the values in it. No name twice, no fractions, nothing behind the end.
 */
final class StrictJson {
    private static final int MAX_DEPTH = 32;
    /** For each value that a tree holds; in a heap of 16 MB there is room for about 100,000. */
    private static final int BYTES_FOR_A_VALUE = 16;

    private static final int FEWEST_VALUES = 1024;
    private static final JsonFactory FACTORY = JsonFactory.builder()
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxNestingDepth(MAX_DEPTH)
                    .maxNumberLength(20)
                    .build())
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build();

    private StrictJson() {}

    /**
     * Reads an object.
     *
     * @param name what it is, for messages
     * @param content the text
     * @return the object
     * @throws TufException if it is none
     */
    static ObjectNode object(String name, byte[] content) throws TufException {
        try (JsonParser parser = FACTORY.createParser(content)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw malformed(name, "a JSON object", "something else");
            }
            ObjectNode root = JsonNodeFactory.instance.objectNode();
            fill(name, parser, root, FEWEST_VALUES + content.length / BYTES_FOR_A_VALUE);
            if (parser.nextToken() != null) {
                throw malformed(name, "one JSON object", "more behind it");
            }
            return root;
        } catch (IOException e) {
            throw malformed(
                    name,
                    "JSON",
                    String.valueOf(e.getMessage()).lines().findFirst().orElse("something else"));
        }
    }

    /** Without recursion: the depth is that of a stack on the heap. */
    private static void fill(String name, JsonParser parser, ObjectNode root, int limit)
            throws IOException, TufException {
        Deque<JsonNode> open = new ArrayDeque<>();
        open.push(root);
        int values = 0;
        while (!open.isEmpty()) {
            JsonToken token = parser.nextToken();
            if (token == JsonToken.FIELD_NAME) {
                continue;
            }
            if (token == JsonToken.END_OBJECT || token == JsonToken.END_ARRAY) {
                open.pop();
                continue;
            }
            if (++values > limit) {
                throw malformed(
                        name,
                        "at most " + limit + " values in "
                                + parser.currentLocation().getByteOffset() + " bytes",
                        "more");
            }
            JsonNode value = value(name, parser, token);
            if (open.peek() instanceof ObjectNode object) {
                object.set(parser.currentName(), value);
            } else {
                ((ArrayNode) open.peek()).add(value);
            }
            if (value.isContainerNode()) {
                open.push(value);
            }
        }
    }

    private static JsonNode value(String name, JsonParser parser, JsonToken token) throws IOException, TufException {
        JsonNodeFactory make = JsonNodeFactory.instance;
        if (token == null) {
            throw malformed(name, "JSON", "its end in the middle");
        }
        return switch (token) {
            case START_OBJECT -> make.objectNode();
            case START_ARRAY -> make.arrayNode();
            case VALUE_STRING -> make.textNode(parser.getText());
            case VALUE_TRUE -> make.booleanNode(true);
            case VALUE_FALSE -> make.booleanNode(false);
            case VALUE_NULL -> make.nullNode();
            case VALUE_NUMBER_INT -> integer(make, parser.getBigIntegerValue());
            default -> throw malformed(name, "whole numbers", parser.getText());
        };
    }

    private static JsonNode integer(JsonNodeFactory make, BigInteger value) {
        return value.bitLength() < Long.SIZE ? make.numberNode(value.longValue()) : make.numberNode(value);
    }

    /** What is wrong with metadata. */
    static TufException malformed(String name, String expected, String found) {
        return new TufException(Reason.MALFORMED, name + ": expected " + expected + ", found " + Text.printable(found));
    }
}
