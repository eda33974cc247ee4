// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.List;
import org.metaotamgr.simulator.HubbyDownload;

/** A service for a test, and a client that says exactly what it is told to. */
final class Service implements AutoCloseable {

    static final String PARTNER = "11111111-2222-4333-8444-555555555555";
    static final String DEVICE_TYPE = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
    static final String OTHER_DEVICE_TYPE = "aaaaaaaa-bbbb-4ccc-8ddd-ffffffffffff";
    static final Credentials CREDENTIALS = new Credentials(
            PARTNER,
            "placeholder-secret",
            "dev+test@example.org",
            "placeholder pw &1",
            List.of(DEVICE_TYPE, OTHER_DEVICE_TYPE));
    static final String P = "/v1/ota/partners/" + PARTNER;
    static final String DT = P + "/deviceTypes/" + DEVICE_TYPE;

    final OtaServiceSimulator simulator;
    private final ObjectMapper json = new ObjectMapper();
    private final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private String token;

    Service(Settings settings) throws IOException {
        simulator = OtaServiceSimulator.start(settings);
        simulator.addDevices(DEVICE_TYPE, List.of("device-00001", "device-00002"));
        simulator.addDevices(OTHER_DEVICE_TYPE, List.of("stranger"));
    }

    static Settings settings(Path folder) {
        return Settings.of(folder.resolve("service"), CREDENTIALS);
    }

    record Answer(int status, HttpResponse<byte[]> response) {
        String text() {
            return new String(response.body(), StandardCharsets.UTF_8);
        }

        JsonNode json() throws IOException {
            return new ObjectMapper().readTree(text());
        }

        String header(String name) {
            return response.headers().firstValue(name).orElse("");
        }
    }

    HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(simulator.uri() + path)).timeout(Duration.ofSeconds(30));
    }

    Answer send(HttpRequest.Builder request) throws IOException, InterruptedException {
        HttpResponse<byte[]> response = client.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        return new Answer(response.statusCode(), response);
    }

    Answer login(String authString, String form) throws IOException, InterruptedException {
        return send(request("/oauth/token")
                .header("Authorization", "Basic " + authString)
                .header("Content-Type", "application/x-www-form-urlencoded")
                .POST(HttpRequest.BodyPublishers.ofString(form)));
    }

    static String form(String username, String password) {
        return "username=" + URLEncoder.encode(username, StandardCharsets.UTF_8) + "&password="
                + URLEncoder.encode(password, StandardCharsets.UTF_8) + "&grant_type=password";
    }

    String token() throws IOException, InterruptedException {
        if (token == null) {
            token = login(CREDENTIALS.authString(), form(CREDENTIALS.username(), CREDENTIALS.userpw()))
                    .json()
                    .path("access_token")
                    .asText();
        }
        return token;
    }

    void forgetToken() {
        token = null;
    }

    /** hubby of a device, that takes the service's own word for its key. */
    HubbyDownload hubby(String device) throws IOException, InterruptedException, GeneralSecurityException {
        return new HubbyDownload(
                simulator.uri(), device, send(request("/hubby/public-key.pem")).text(), Duration.ofSeconds(30), 4);
    }

    Answer get(String path) throws IOException, InterruptedException {
        return send(request(path).header("Authorization", "Bearer " + token()));
    }

    Answer json(String method, String path, String body) throws IOException, InterruptedException {
        return send(request(path)
                .header("Authorization", "Bearer " + token())
                .header("Content-Type", "application/json")
                .method(method, HttpRequest.BodyPublishers.ofString(body)));
    }

    Answer upload(byte[] bytes) throws IOException, InterruptedException {
        return send(request(P + "/binaries")
                .header("Authorization", "Bearer " + token())
                .header("Content-Type", "application/octet-stream")
                .POST(HttpRequest.BodyPublishers.ofByteArray(bytes)));
    }

    ObjectNode create(String name, String version) throws IOException, InterruptedException {
        return (ObjectNode) json(
                        "POST",
                        P + "/pool",
                        json.createObjectNode()
                                .put("name", name)
                                .put("version", version)
                                .put("type", 5)
                                .put("url", "")
                                .toString())
                .json();
    }

    /** Everything up to an image that can be pushed. */
    ObjectNode image(String version, byte[] bytes) throws IOException, InterruptedException {
        ObjectNode record = create("board", version);
        String sha256 = upload(bytes).json().path("value").asText();
        String url = json(
                        "POST",
                        P + "/binaries/moveToRepository",
                        json.createObjectNode().put("value", sha256).toString())
                .json()
                .path("value")
                .asText();
        record.put("url", url);
        json(
                "PUT",
                P + "/pool/types/5/versionNumbers/"
                        + record.path("versionNumber").asText(),
                record.toString());
        for (JsonNode pool : get(P + "/pool/types/5?size=1000").json().path("content")) {
            if (pool.path("id").equals(record.path("id"))) {
                return (ObjectNode)
                        json("POST", DT + "/firmwareImages", pool.toString()).json();
            }
        }
        throw new AssertionError("the record is not in the pool");
    }

    Answer push(ObjectNode image, String device) throws IOException, InterruptedException {
        return json(
                "PUT",
                DT + "/firmwareImages/" + image.path("id").asText() + "/push",
                json.createObjectNode().put("value", device).toString());
    }

    JsonNode deviceOnPage(String device) throws IOException {
        for (JsonNode row : json.readTree(simulator.state()).path("devices")) {
            if (row.path("deviceId").asText().equals(device)) {
                return row;
            }
        }
        throw new AssertionError(device + " is not on the page");
    }

    @Override
    public void close() throws IOException {
        simulator.close();
    }
}
