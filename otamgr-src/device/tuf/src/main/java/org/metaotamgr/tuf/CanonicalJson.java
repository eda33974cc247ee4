// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The bytes that a signature is over: OLPC's canonical form of JSON. Members in the order of their names' code points, no blanks,
 * in texts only quotation mark and backslash escaped, no fractions.
 */
final class CanonicalJson {
    private CanonicalJson() {}

    /**
     * Encodes a tree that {@link StrictJson} has read, so its depth is bounded.
     *
     * @param node the tree
     * @return its canonical form, in UTF-8
     */
    static byte[] encode(JsonNode node) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        encode(node, out);
        return out.toByteArray();
    }

    private static void encode(JsonNode node, ByteArrayOutputStream out) {
        switch (node.getNodeType()) {
            case OBJECT -> {
                List<Map.Entry<String, JsonNode>> members = new ArrayList<>(node.properties());
                members.sort((one, other) -> compareCodePoints(one.getKey(), other.getKey()));
                char separator = '{';
                for (Map.Entry<String, JsonNode> member : members) {
                    out.write(separator);
                    text(member.getKey(), out);
                    out.write(':');
                    encode(member.getValue(), out);
                    separator = ',';
                }
                if (separator == '{') {
                    out.write('{');
                }
                out.write('}');
            }
            case ARRAY -> {
                out.write('[');
                boolean first = true;
                for (JsonNode element : node) {
                    if (!first) {
                        out.write(',');
                    }
                    encode(element, out);
                    first = false;
                }
                out.write(']');
            }
            case STRING -> text(node.textValue(), out);
            default -> out.writeBytes(node.asText().getBytes(StandardCharsets.US_ASCII));
        }
    }

    private static void text(String text, ByteArrayOutputStream out) {
        String escaped = text.replace("\\", "\\\\").replace("\"", "\\\"");
        out.write('"');
        out.writeBytes(escaped.getBytes(StandardCharsets.UTF_8));
        out.write('"');
    }

    /** Java compares UTF-16 units, which puts characters beyond the first plane before some of the first. */
    private static int compareCodePoints(String one, String other) {
        int at = 0;
        while (at < one.length() && at < other.length()) {
            int left = one.codePointAt(at);
            int right = other.codePointAt(at);
            if (left != right) {
                return Integer.compare(left, right);
            }
            at += Character.charCount(left);
        }
        return Integer.compare(one.length(), other.length());
    }
}
