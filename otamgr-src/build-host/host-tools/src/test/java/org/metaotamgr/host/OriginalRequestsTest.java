// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.cloudsimulator.RecordedRequest;

/**
 * The launchers against recordings of the scripts they replace. What may differ is all listed here: reads that check
 * something first, members of a body that the documentation does not have, and a record that is sent unchanged.
 */
@DisplayName("The launchers make the requests of the original tools, in their order")
class OriginalRequestsTest {

    /** Reads that the originals do not make: the pool before and after an upload, the images before a push. */
    private static final Map<String, List<String>> ADDED_READS = Map.of(
            "upload an image", List.of("pool-type", "pool-type"),
            "deploy to a device", List.of("images-type"),
            "deploy an unknown image", List.of("images-type"));

    /** Where the original went on to a call that fails, the launcher has found out by its read. */
    private static final Set<String> REFUSED_BEFORE = Set.of("deploy an unknown image");

    /** What the record file shows by itself is not asked of the service. */
    private static final Set<String> REFUSED_HERE = Set.of("upload without a record");

    @TempDir
    Path temporary;

    @Test
    @DisplayName(
            "for every documented example: same calls, same paths, same headers, same bodies, and the same record file byte for byte")
    void sameRequests() throws Exception {
        JsonNode recorded = new ObjectMapper()
                .readTree(
                        Files.readString(
                                Path.of(
                                        "../../test-equipment/service-simulator/src/test/resources/org/metaotamgr/cloudsimulator/original-requests.json")));
        try (Workshop shop = new Workshop(temporary)) {
            shop.conf.remove("imageFiles");
            shop.conf.putObject("imageFiles").put("a", "hub_update.bin");
            shop.writeConf();
            ObjectNode other = shop.conf.deepCopy();
            Files.writeString(
                    shop.folder.resolve("other.json"),
                    other.put("name", "A+B 50% off").put("version", "2.0").toString());
            ObjectNode wrong = shop.conf.deepCopy();
            Files.writeString(
                    shop.folder.resolve("wrong.json"), wrong.put("userpw", "no").toString());
            byte[] image = new byte[25600];
            for (int i = 0; i < image.length; i++) {
                image[i] = (byte) i;
            }
            Files.write(shop.folder.resolve("hub_update.bin"), image);
            for (JsonNode recording : recorded.path("recordings")) {
                compare(shop, recording);
            }
        }
    }

    private static void compare(Workshop shop, JsonNode recording) throws Exception {
        String what = recording.path("what").asText();
        List<String> arguments =
                new ArrayList<>(List.of("--as=" + recording.path("tool").asText()));
        recording.path("arguments").forEach(argument -> arguments.add(argument.asText()));
        shop.service.forgetRequests();
        Workshop.Result result = shop.run(arguments.toArray(String[]::new));
        // Doing again what is done was success there and is here; every failure of theirs is one of ours, with a status
        // of its own.
        assertEquals(recording.path("exit").asInt() == 0, result.exit() == 0, what + ": " + result);
        if (result.exit() == 0 && arguments.contains("--uploadOTAImage")) {
            assertTrue(result.out().endsWith("Done!\n"), what + ": " + result);
        }
        if (result.exit() == 0 && arguments.contains("-i")) {
            assertTrue(result.out().endsWith("Request accepted for processing\n"), what + ": " + result);
        }
        List<RecordedRequest> sent = new ArrayList<>(shop.service.requests());
        for (String added : ADDED_READS.getOrDefault(what, List.of())) {
            RecordedRequest read = sent.stream()
                    .filter(request ->
                            request.route().equals(added) && request.method().equals("GET"))
                    .findFirst()
                    .orElseThrow(() -> new AssertionError(what + ": " + added + " is missing in " + sent));
            sent.remove(read);
        }
        List<JsonNode> expected = new ArrayList<>();
        recording.path("requests").forEach(expected::add);
        if (REFUSED_HERE.contains(what)) {
            expected.clear();
        }
        if (REFUSED_BEFORE.contains(what)) {
            expected.remove(expected.size() - 1);
        }
        // %2B and + are the same in a path; the first cannot be taken for a blank.
        assertEquals(
                expected.stream()
                        .map(request -> request.path("method").asText() + " "
                                + request.path("path").asText().replace("+", "%2B") + " -> "
                                + request.path("status").asInt())
                        .toList(),
                sent.stream().map(RecordedRequest::toString).toList(),
                what);
        for (int i = 0; i < sent.size(); i++) {
            compare(what, expected.get(i), sent.get(i));
        }
        if (recording.has("recordFile")) {
            recordFile(shop, recording.path("recordFile").asText());
        }
    }

    private static void compare(String what, JsonNode expected, RecordedRequest sent) throws Exception {
        String call = what + ": " + sent;
        Map<String, String> headers = new HashMap<>();
        expected.path("headers")
                .properties()
                .forEach(
                        header -> headers.put(header.getKey(), header.getValue().asText()));
        // A misspelt header beside the right one; and Accept is sent with each call, not with nearly each.
        headers.remove("Content_Type");
        headers.put("Accept", "application/json");
        if (sent.path().endsWith("/push") || sent.route().equals("update")) {
            assertTrue(sent.headers().get("Accept").contains("json"));
        }
        Map<String, String> sentHeaders = new HashMap<>(sent.headers());
        sentHeaders.remove("Content-Length");
        assertEquals(headers, sentHeaders, call);
        switch (sent.route()) {
            case "update" -> {
                // The original sends its whole record; documented are these.
                JsonNode body = new ObjectMapper().readTree(sent.body());
                body.properties().forEach(member -> {
                    assertTrue(
                            Set.of("name", "version", "description", "tags", "url")
                                    .contains(member.getKey()),
                            call);
                    if (!member.getKey().equals("url")) {
                        assertEquals(expected.path("body").path(member.getKey()), member.getValue(), call);
                    }
                });
                assertEquals(5, body.size(), call);
                assertTrue(body.path("url").asText().startsWith("http://"), call);
            }
            case "associate" -> {
                // The original sends the record it has changed itself; the service's own has a later time of change.
                ObjectNode body = (ObjectNode) new ObjectMapper().readTree(sent.body());
                ObjectNode theirs = expected.path("body").deepCopy();
                assertNotEquals(body.path("createdTimestamp"), body.path("updatedTimestamp"), call);
                for (String changing : List.of("createdTimestamp", "updatedTimestamp", "url")) {
                    assertTrue(body.remove(changing) != null && theirs.remove(changing) != null, call);
                }
                assertEquals(theirs, body, call);
            }
            default -> {
                if (expected.path("body").isObject()) {
                    assertEquals(expected.path("body"), new ObjectMapper().readTree(sent.body()), call);
                }
            }
        }
        if (expected.has("bodyLength")) {
            assertEquals(expected.path("bodyLength").asText(), sent.headers().get("Content-Length"), call);
        }
    }

    /** The times are those of another day. */
    private static void recordFile(Workshop shop, String expected) throws Exception {
        String written = Files.readString(shop.folder.resolve("full_ota_record.json"));
        assertEquals(expected.replaceAll("[0-9]{13}(?=,)", "TIME"), written.replaceAll("[0-9]{13}(?=,)", "TIME"));
        assertEquals(
                expected, PythonJson.write(new ObjectMapper().readTree(expected)), "byte for byte with the same times");
    }

    @Test
    @DisplayName("the list has the layout of the original, character for character")
    void sameList() throws Exception {
        JsonNode recorded = new ObjectMapper()
                .readTree(
                        Files.readString(
                                Path.of(
                                        "../../test-equipment/service-simulator/src/test/resources/org/metaotamgr/cloudsimulator/original-requests.json")));
        try (Workshop shop = new Workshop(temporary)) {
            shop.good("record", "create", "-n", "2", "--debug", "-s");
            shop.good("image", "upload", "-n", "2", "--debug", "-s");
            String expected = "";
            for (JsonNode recording : recorded.path("recordings")) {
                expected = recording.path("what").asText().equals("list images")
                        ? recording.path("stdout").asText()
                        : expected;
            }
            assertEquals(
                    expected.replace("Got access_token: ***\n", ""),
                    shop.good("--as=partner-ota-hub-deploy", "-l").out());
        }
    }
}
