// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Writes JSON as the original tools do ("OTA service", section 3): sorted keys, four blanks, ASCII only, no final newline. */
final class PythonJson {

    private PythonJson() {}

    static String write(JsonNode node) {
        StringBuilder text = new StringBuilder();
        write(node, "\n", text);
        return text.toString();
    }

    private static void write(JsonNode node, String lineStart, StringBuilder text) {
        String inner = lineStart + "    ";
        if (node.isObject()) {
            Map<String, JsonNode> sorted = new TreeMap<>();
            node.properties().forEach(field -> sorted.put(field.getKey(), field.getValue()));
            List<Runnable> members = new ArrayList<>();
            sorted.forEach((key, value) -> members.add(() -> {
                string(key, text);
                text.append(": ");
                write(value, inner, text);
            }));
            group('{', '}', members, lineStart, text);
        } else if (node.isArray()) {
            List<Runnable> members = new ArrayList<>();
            node.forEach(value -> members.add(() -> write(value, inner, text)));
            group('[', ']', members, lineStart, text);
        } else if (node.isTextual()) {
            string(node.textValue(), text);
        } else {
            text.append(node);
        }
    }

    private static void group(char open, char close, List<Runnable> members, String lineStart, StringBuilder text) {
        text.append(open);
        String separator = "";
        for (Runnable member : members) {
            text.append(separator).append(lineStart).append("    ");
            member.run();
            separator = ",";
        }
        text.append(members.isEmpty() ? "" : lineStart).append(close);
    }

    private static void string(String value, StringBuilder text) {
        text.append('"');
        for (char c : value.toCharArray()) {
            switch (c) {
                case '"' -> text.append("\\\"");
                case '\\' -> text.append("\\\\");
                case '\n' -> text.append("\\n");
                case '\r' -> text.append("\\r");
                case '\t' -> text.append("\\t");
                case '\f' -> text.append("\\f");
                case '\b' -> text.append("\\b");
                default -> text.append(c < ' ' || c > '~' ? String.format("\\u%04x", (int) c) : Character.toString(c));
            }
        }
        text.append('"');
    }
}
