// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.http.HttpRequest;
import java.nio.file.Path;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The requests that the original tools made, sent again. */
@DisplayName("The service answers what the original tools ask as they expect")
class RecordedRequestsTest {

    @TempDir
    Path folder;

    @Test
    @DisplayName(
            "every recorded request of release 1.4 gets the status it got, in order, and the answers hold what the tools read")
    void replay() throws Exception {
        JsonNode recorded =
                new ObjectMapper().readTree(RecordedRequestsTest.class.getResourceAsStream("original-requests.json"));
        byte[] image = new byte[25600];
        int requests = 0;
        try (Service service = new Service(Service.settings(folder))) {
            for (JsonNode recording : recorded.path("recordings")) {
                for (JsonNode request : recording.path("requests")) {
                    Service.Answer answer = send(
                            service,
                            request,
                            image,
                            recording.path("what").asText().contains("wrong password"));
                    assertEquals(
                            request.path("status").asInt(),
                            answer.status(),
                            recording.path("what").asText() + ": "
                                    + request.path("path").asText());
                    if (request.path("path").asText().endsWith("moveToRepository")) {
                        String url = answer.json().path("value").asText();
                        assertTrue(url.startsWith(service.simulator.uri() + "/"), url);
                    }
                    if (answer.status() >= 400) {
                        assertTrue(
                                answer.json().path("status").isInt()
                                        && answer.json().path("error").isTextual()
                                        && answer.json().path("trace").isTextual(),
                                "the tools print status, error and trace: " + answer.text());
                    }
                    requests++;
                }
            }
        }
        assertTrue(requests > 25, requests + " requests");
    }

    private static Service.Answer send(Service service, JsonNode request, byte[] image, boolean wrongPassword)
            throws Exception {
        HttpRequest.Builder builder = service.request(request.path("path").asText());
        request.path("headers").properties().forEach(header -> {
            if (!header.getKey().equals("Authorization")) {
                builder.header(header.getKey(), header.getValue().asText());
            }
        });
        boolean login = request.path("path").asText().equals("/oauth/token");
        builder.header(
                "Authorization", login ? "Basic " + Service.CREDENTIALS.authString() : "Bearer " + service.token());
        HttpRequest.BodyPublisher body = HttpRequest.BodyPublishers.noBody();
        if (login) {
            body = HttpRequest.BodyPublishers.ofString(Service.form(
                    Service.CREDENTIALS.username(), wrongPassword ? "wrong" : Service.CREDENTIALS.userpw()));
        } else if (request.has("bodyLength")) {
            for (int i = 0; i < image.length; i++) {
                image[i] = (byte) i;
            }
            assertEquals(request.path("bodyLength").asInt(), image.length);
            body = HttpRequest.BodyPublishers.ofByteArray(image);
        } else if (request.has("body")) {
            body = HttpRequest.BodyPublishers.ofString(request.path("body").toString());
        }
        return service.send(builder.method(request.path("method").asText(), body));
    }
}
