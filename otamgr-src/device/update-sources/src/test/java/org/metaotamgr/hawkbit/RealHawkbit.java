// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.metaotamgr.hawkbitsimulator.Assignment;

/** The management side of a hawkBit server that runs elsewhere, for one device with a name of its own. */
final class RealHawkbit {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final String LOGIN =
            "Basic " + Base64.getEncoder().encodeToString("admin:admin".getBytes(StandardCharsets.US_ASCII));

    private final HttpClient client = HttpClient.newHttpClient();
    private final URI server;
    private final String device;
    private final String token = "token-of-" + System.nanoTime();
    private final Map<String, Long> sets = new HashMap<>();

    RealHawkbit(URI server, String device) throws IOException, InterruptedException {
        this.server = URI.create(server.toString().replaceFirst("/*$", "/"));
        this.device = device;
        configure("authentication.targettoken.enabled", true);
        configure("user.confirmation.flow.enabled", false);
        newTarget(device);
    }

    private void newTarget(String name) throws IOException, InterruptedException {
        ArrayNode targets = MAPPER.createArrayNode();
        targets.addObject().put("controllerId", name).put("name", name).put("securityToken", token);
        send("POST", "targets", targets);
    }

    private void configure(String key, boolean value) throws IOException, InterruptedException {
        send("PUT", "system/configs/" + key, MAPPER.createObjectNode().put("value", value));
    }

    private JsonNode send(String method, String path, JsonNode body) throws IOException, InterruptedException {
        return send(
                method,
                path,
                "application/json",
                body == null
                        ? HttpRequest.BodyPublishers.noBody()
                        : HttpRequest.BodyPublishers.ofByteArray(MAPPER.writeValueAsBytes(body)));
    }

    private JsonNode send(String method, String path, String type, HttpRequest.BodyPublisher body)
            throws IOException, InterruptedException {
        HttpResponse<String> answer = client.send(
                HttpRequest.newBuilder(server.resolve("rest/v1/" + path))
                        .header("Authorization", LOGIN)
                        .header("Content-Type", type)
                        .method(method, body)
                        .build(),
                HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() >= 300) {
            throw new AssertionError(
                    method + " " + path + ": HTTP status " + answer.statusCode() + " " + answer.body());
        }
        return answer.body().isEmpty() ? MAPPER.nullNode() : MAPPER.readTree(answer.body());
    }

    URI uri() {
        return server;
    }

    String token() {
        return token;
    }

    String device() {
        return device;
    }

    private long set(Assignment assignment) throws IOException, InterruptedException {
        String key = assignment.version() + " " + assignment.content().hash("SHA-256");
        Long known = sets.get(key);
        if (known != null) {
            return known;
        }
        String name = device + "-" + sets.size();
        ArrayNode modules = MAPPER.createArrayNode();
        modules.addObject()
                .put("vendor", "otamgr")
                .put("name", name)
                .put("version", assignment.version())
                .put("type", "os");
        long module = send("POST", "softwaremodules", modules).get(0).get("id").asLong();
        String boundary = "------------part";
        ByteArrayOutputStream form = new ByteArrayOutputStream();
        form.write(
                ("--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"system.bundle\"\r\n"
                                + "Content-Type: application/octet-stream\r\n\r\n")
                        .getBytes(StandardCharsets.US_ASCII));
        try (var in = assignment.content().open()) {
            in.transferTo(form);
        }
        form.write(("\r\n--" + boundary + "--\r\n").getBytes(StandardCharsets.US_ASCII));
        send(
                "POST",
                "softwaremodules/" + module + "/artifacts",
                "multipart/form-data; boundary=" + boundary,
                HttpRequest.BodyPublishers.ofByteArray(form.toByteArray()));
        ArrayNode made = MAPPER.createArrayNode();
        made.addObject()
                .put("name", name)
                .put("version", assignment.version())
                .put("type", "os")
                .putArray("modules")
                .addObject()
                .put("id", module);
        long set = send("POST", "distributionsets", made).get(0).get("id").asLong();
        sets.put(key, set);
        return set;
    }

    /** The next assignment of it is another set with the same content. */
    void forget(Assignment assignment) {
        sets.put(assignment.version() + " " + assignment.content().hash("SHA-256") + " before", 0L);
        sets.remove(assignment.version() + " " + assignment.content().hash("SHA-256"));
    }

    long assign(Assignment assignment) throws IOException, InterruptedException {
        configure("user.confirmation.flow.enabled", assignment.needsConfirmation());
        ArrayNode body = MAPPER.createArrayNode();
        ObjectNode one = body.addObject().put("id", set(assignment));
        one.put(
                "type",
                switch (assignment.kind()) {
                    case FORCED -> "forced";
                    case SOFT -> "soft";
                    case DOWNLOAD_ONLY -> "downloadonly";
                });
        one.put("confirmationRequired", assignment.needsConfirmation());
        if (assignment.hasWindow()) {
            // Once a year, when nobody runs this; the last moment of it.
            one.putObject("maintenanceWindow")
                    .put("schedule", "0 0 3 29 2 ? *")
                    .put("duration", "00:00:01")
                    .put("timezone", "+00:00");
        }
        JsonNode answer = send("POST", "targets/" + device + "/assignedDS", body);
        if (answer.path("assignedActions").isEmpty()) {
            return -1;
        }
        return answer.get("assignedActions").get(0).get("id").asLong();
    }

    void cancel(long id) throws IOException, InterruptedException {
        send("DELETE", "targets/" + device + "/actions/" + id, null);
    }

    void forceQuit(long id) throws IOException, InterruptedException {
        cancel(id);
        send("DELETE", "targets/" + device + "/actions/" + id + "?force=true", null);
    }

    void confirm(long id) throws IOException, InterruptedException {
        send(
                "PUT",
                "targets/" + device + "/actions/" + id + "/confirmation",
                MAPPER.createObjectNode().put("confirmation", "confirmed"));
    }

    String status(long id) throws IOException, InterruptedException {
        return send("GET", "targets/" + device + "/actions/" + id, null)
                .path("status")
                .asText()
                .toUpperCase(Locale.ROOT);
    }

    List<String> history(long id) throws IOException, InterruptedException {
        List<String> lines = new ArrayList<>();
        send("GET", "targets/" + device + "/actions/" + id + "/status?limit=100&sort=id:ASC", null)
                .path("content")
                .forEach(entry -> {
                    List<String> messages = new ArrayList<>();
                    entry.path("messages").forEach(message -> messages.add(message.asText()));
                    lines.add(entry.path("type").asText() + ": " + String.join(" | ", messages));
                });
        return lines;
    }

    Map<String, String> attributes() throws IOException, InterruptedException {
        Map<String, String> found = new HashMap<>();
        send("GET", "targets/" + device + "/attributes", null)
                .properties()
                .forEach(entry -> found.put(entry.getKey(), entry.getValue().asText()));
        return found;
    }

    /** A roll-out to this device and others, in groups. */
    long rollout(Assignment assignment, List<String> others, int groups) throws IOException, InterruptedException {
        for (String other : others) {
            newTarget(other);
        }
        configure("user.confirmation.flow.enabled", false);
        ObjectNode body = MAPPER.createObjectNode()
                .put("name", "rollout of " + device)
                .put("distributionSetId", set(assignment))
                .put("targetFilterQuery", "controllerId==" + device + "*")
                .put("amountGroups", groups)
                .put("type", "forced");
        body.putObject("successCondition").put("condition", "THRESHOLD").put("expression", "50");
        body.putObject("successAction").put("action", "NEXTGROUP").put("expression", "");
        body.putObject("errorCondition").put("condition", "THRESHOLD").put("expression", "80");
        body.putObject("errorAction").put("action", "PAUSE").put("expression", "");
        long id = send("POST", "rollouts", body).get("id").asLong();
        waitFor(id, "ready");
        send("POST", "rollouts/" + id + "/start", null);
        waitFor(id, "running");
        return id;
    }

    String rolloutStatus(long id) throws IOException, InterruptedException {
        return send("GET", "rollouts/" + id, null).path("status").asText();
    }

    Map<String, Integer> rolloutTotals(long id) throws IOException, InterruptedException {
        Map<String, Integer> totals = new HashMap<>();
        send("GET", "rollouts/" + id + "?representation=full", null)
                .path("totalTargetsPerStatus")
                .properties()
                .forEach(entry -> totals.put(entry.getKey(), entry.getValue().asInt()));
        return totals;
    }

    /** hawkBit moves roll-outs on by a timer of its own. */
    void waitFor(long rollout, String status) throws IOException, InterruptedException {
        for (int tries = 0; !rolloutStatus(rollout).equals(status); tries++) {
            if (tries == 120) {
                throw new AssertionError("expected the roll-out to be " + status + ", found " + rolloutStatus(rollout));
            }
            Thread.sleep(1000);
        }
    }
}
