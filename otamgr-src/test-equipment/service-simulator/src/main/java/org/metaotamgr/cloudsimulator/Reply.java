// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongConsumer;

/** What a call is answered with: a short body, or a part of a file. */
record Reply(int status, Map<String, String> headers, byte[] body, Optional<FilePart> file) {

    /**
     * Bytes {@code from} (inclusive) to {@code to} (exclusive) of a file.
     *
     * @param sent is told the offset in the file up to which bytes are sent
     */
    record FilePart(Path path, long from, long to, LongConsumer sent) {}

    private static final byte[] NOTHING = {};

    static Reply empty(int status) {
        return new Reply(status, Map.of(), NOTHING, Optional.empty());
    }

    static Reply json(int status, JsonNode value) {
        return new Reply(
                status,
                Map.of("Content-Type", "application/json"),
                value.toString().getBytes(StandardCharsets.UTF_8),
                Optional.empty());
    }

    static Reply value(String value) {
        return json(200, JsonNodeFactory.instance.objectNode().put("value", value));
    }

    static Reply text(String type, String text) {
        return new Reply(
                200,
                Map.of("Content-Type", type + "; charset=utf-8"),
                text.getBytes(StandardCharsets.UTF_8),
                Optional.empty());
    }

    static Reply html(int status) {
        String text = "<html><head><title>" + status + "</title></head><body><center><h1>" + status
                + "</h1></center></body></html>\n";
        return new Reply(
                status, Map.of("Content-Type", "text/html"), text.getBytes(StandardCharsets.UTF_8), Optional.empty());
    }

    /** The error object of the gateway, with the members that the OTA service adds. */
    static Reply error(ApiException problem, String path, long now) {
        ObjectNode node = JsonNodeFactory.instance.objectNode();
        node.put("timestamp", now);
        node.put("status", problem.status());
        node.put("error", problem.code());
        node.put("error_description", problem.getMessage());
        node.put("message", problem.getMessage());
        node.put("path", path);
        // The original tools print the part before the first "at" and fail without this member.
        node.put(
                "trace",
                "org.metaotamgr.cloudsimulator.SimulatedError: " + problem.getMessage()
                        + "\n\tat org.metaotamgr.cloudsimulator.Simulated(Simulated.java)");
        node.put("service_name", "ClientApi");
        node.put("region", "simulator");
        return json(problem.status(), node);
    }
}
