// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.net.Socket;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** "OTA service", section 7, line by line. */
@DisplayName("The REST interface checks what the real service is documented to check")
class RestContractTest {

    private static final String P = Service.P;
    private static final String DT = Service.DT;

    @TempDir
    Path folder;

    private Service service;

    @BeforeEach
    void start() throws Exception {
        service = new Service(Service.settings(folder));
    }

    @AfterEach
    void stop() throws Exception {
        service.close();
    }

    private static void assertError(int status, Service.Answer answer) throws Exception {
        assertEquals(status, answer.status(), answer.text());
        JsonNode error = answer.json();
        for (String name :
                new String[] {"timestamp", "status", "error", "error_description", "message", "trace", "service_name"
                }) {
            assertTrue(error.has(name), name + " is in " + error);
        }
        assertEquals(status, error.path("status").asInt());
    }

    @Test
    @DisplayName("a token needs the form, the client, the grant and the password; everything else is 401 or 415")
    void token() throws Exception {
        String good = Service.form(Service.CREDENTIALS.username(), Service.CREDENTIALS.userpw());
        Service.Answer answer = service.login(Service.CREDENTIALS.authString(), good);
        assertEquals(200, answer.status());
        assertEquals("bearer", answer.json().path("token_type").asText());
        assertEquals(16086, answer.json().path("expires_in").asInt());
        assertError(401, service.login("d3Jvbmc6d3Jvbmc=", good));
        assertError(
                401,
                service.login(Service.CREDENTIALS.authString(), Service.form(Service.CREDENTIALS.username(), "wrong")));
        assertError(
                401,
                service.login(Service.CREDENTIALS.authString(), Service.form("nobody", Service.CREDENTIALS.userpw())));
        assertError(
                401, service.login(Service.CREDENTIALS.authString(), good.replace("=password", "=client_credentials")));
        assertError(
                415,
                service.send(service.request("/oauth/token")
                        .header("Authorization", "Basic " + Service.CREDENTIALS.authString())
                        .header("Content-Type", "application/json")
                        .POST(HttpRequest.BodyPublishers.ofString("{}"))));
    }

    @Test
    @DisplayName("every call needs a known token before anything else is looked at, and nothing is stored without one")
    void bearer() throws Exception {
        assertError(401, service.send(service.request("/v1/ota/partners/unknown/pool")));
        assertError(401, service.send(service.request(P + "/pool").header("Authorization", "Bearer wrong")));
        assertError(
                401,
                service.send(service.request(P + "/binaries")
                        .header("Authorization", "Bearer wrong")
                        .header("Content-Type", "application/octet-stream")
                        .POST(HttpRequest.BodyPublishers.ofByteArray(new byte[100]))));
        try (var stored = Files.list(folder.resolve("service/temporary"))) {
            assertEquals(0, stored.count());
        }
        service.token();
        service.simulator.expireTokens();
        assertError(401, service.get(P + "/pool"));
    }

    @Test
    @DisplayName("an unknown partner is 404, one of somebody else is 403, an unknown path 404, a wrong method 405")
    void pathsAndMethods() throws Exception {
        assertError(404, service.get("/v1/ota/partners/unknown/pool"));
        assertError(403, service.get("/v1/ota/partners/" + Credentials.FOREIGN_PARTNER + "/pool"));
        assertError(404, service.get("/v1/nothing"));
        assertError(404, service.get(P + "/deviceTypes/unknown/firmwareImages"));
        assertError(405, service.json("DELETE", P + "/pool", ""));
        assertError(400, service.get(P + "/pool/types/5/names/%ff/versions/1/exists"));
    }

    @Test
    @DisplayName("bodies need their content type, must be JSON, and have limits")
    void bodies() throws Exception {
        assertError(
                415,
                service.send(service.request(P + "/pool")
                        .header("Authorization", "Bearer " + service.token())
                        .header("Content_Type", "application/json")
                        .POST(HttpRequest.BodyPublishers.ofString("{}"))));
        assertEquals(
                201,
                service.send(service.request(P + "/pool")
                                .header("Authorization", "Bearer " + service.token())
                                .header("Content-Type", "application/json; charset=utf-8")
                                .POST(HttpRequest.BodyPublishers.ofString(
                                        "{\"name\":\"n\",\"version\":\"1\",\"type\":5,\"url\":\"\"}")))
                        .status());
        assertError(
                415,
                service.send(service.request(P + "/binaries")
                        .header("Authorization", "Bearer " + service.token())
                        .header("Content-Type", "text/plain")
                        .POST(HttpRequest.BodyPublishers.ofString("x"))));
        assertError(400, service.json("POST", P + "/pool", "{"));
        assertError(400, service.json("POST", P + "/pool", "[]"));
        assertError(400, service.json("POST", P + "/pool", "{\"version\":\"1\",\"type\":5}"));
        assertError(400, service.json("POST", P + "/pool", "{\"name\":\"n\",\"version\":1,\"type\":5}"));
        assertError(400, service.json("POST", P + "/pool", "{\"name\":\"n\",\"version\":\"2\",\"type\":\"5\"}"));
        assertError(
                400,
                service.json(
                        "POST", P + "/pool", "{\"name\":\"" + "n".repeat(36) + "\",\"version\":\"2\",\"type\":5}"));
        assertError(
                400,
                service.json(
                        "POST",
                        P + "/pool",
                        "{\"name\":\"n\",\"version\":\"2\",\"type\":5,\"description\":\"" + "d".repeat(501) + "\"}"));
        assertError(
                400,
                service.json(
                        "POST",
                        P + "/pool",
                        "{\"name\":\"n\",\"version\":\"2\",\"type\":5,\"tags\":[\"" + "t".repeat(36) + "\"]}"));
        assertEquals(
                201,
                service.json("POST", P + "/pool", "{\"name\":\"" + "ü".repeat(35) + "\",\"version\":\"2\",\"type\":5}")
                        .status());
    }

    @Test
    @DisplayName("exists decodes names once, as UTF-8: blanks, plus, percent and umlauts are found, nothing similar is")
    void exists() throws Exception {
        for (String name : new String[] {"a b", "a+b", "a%25b", "äöü 漢字", "100%"}) {
            service.create(name, "1.0 x");
        }
        for (String path :
                new String[] {"a%20b", "a+b", "a%2Bb", "a%2525b", "%C3%A4%C3%B6%C3%BC%20%E6%BC%A2%E5%AD%97", "100%25"
                }) {
            JsonNode answer = service.get(P + "/pool/types/5/names/" + path + "/versions/1.0%20x/exists")
                    .json();
            assertEquals("{\"value\":true}", answer.toString(), path);
        }
        for (String path : new String[] {"a%25b", "A%20b", "a"}) {
            assertEquals(
                    "{\"value\":false}",
                    service.get(P + "/pool/types/5/names/" + path + "/versions/1.0%20x/exists")
                            .json()
                            .toString(),
                    path);
        }
        ObjectNode record = service.create("except", "1");
        assertEquals(
                "{\"value\":false}",
                service.get(P + "/pool/types/5/names/except/versions/1/exists?excludeFirmwareImageId="
                                + record.path("id").asText())
                        .json()
                        .toString());
    }

    @Test
    @DisplayName(
            "ids and version numbers are strings chosen by the service, rising, beyond what floating point can hold; a second such record is 409")
    void creation() throws Exception {
        ObjectNode first = (ObjectNode) service.json(
                        "POST",
                        P + "/pool",
                        "{\"name\":\"n\",\"version\":\"1\",\"type\":5,\"url\":\"\",\"id\":\"1\",\"versionNumber\":\"1\"}")
                .json();
        ObjectNode second = service.create("n", "2");
        assertTrue(
                first.path("id").isTextual()
                        && first.path("versionNumber").isTextual()
                        && first.path("type").isInt(),
                first.toString());
        assertNotEquals("1", first.path("versionNumber").asText());
        BigInteger number = new BigInteger(first.path("versionNumber").asText());
        assertTrue(number.compareTo(BigInteger.TWO.pow(53)) > 0);
        assertEquals(
                number.add(BigInteger.ONE),
                new BigInteger(second.path("versionNumber").asText()));
        assertFalse(first.has("description"), "what has no value is absent");
        assertEquals(first.path("createdTimestamp"), first.path("updatedTimestamp"));
        assertTrue(first.path("createdTimestamp").isIntegralNumber());
        assertError(409, service.json("POST", P + "/pool", "{\"name\":\"n\",\"version\":\"1\",\"type\":5}"));
    }

    @Test
    @DisplayName("an update sets the URL, moves the time on, and cannot change what the service has chosen")
    void update() throws Exception {
        ObjectNode record = service.create("n", "1");
        String path = P + "/pool/types/5/versionNumbers/"
                + record.path("versionNumber").asText();
        ObjectNode wanted = record.deepCopy();
        wanted.put("url", "https://example.org/x")
                .put("id", "7")
                .put("versionNumber", "7")
                .put("partnerId", "7")
                .put("createdTimestamp", 7)
                .put("type", 7);
        assertEquals(204, service.json("PUT", path, wanted.toString()).status());
        JsonNode now = service.get(P + "/pool/types/5").json().path("content").get(0);
        for (String name : new String[] {"id", "versionNumber", "partnerId", "createdTimestamp", "type"}) {
            assertEquals(record.path(name), now.path(name), name);
        }
        assertEquals("https://example.org/x", now.path("url").asText());
        assertTrue(now.path("updatedTimestamp").asLong()
                > now.path("createdTimestamp").asLong());
        assertError(404, service.json("PUT", P + "/pool/types/5/versionNumbers/12", wanted.toString()));
    }

    @Test
    @DisplayName(
            "a binary is answered with the SHA-256 of its bytes, whole or in chunks or as multipart; an empty one is refused")
    void binaries() throws Exception {
        byte[] bytes = new byte[300_000];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (i * 31 >> 3);
        }
        String expected =
                HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        assertEquals(expected, service.upload(bytes).json().path("value").asText());
        assertEquals(
                expected,
                service.send(service.request(P + "/binaries")
                                .header("Authorization", "Bearer " + service.token())
                                .header("Content-Type", "application/octet-stream")
                                .POST(HttpRequest.BodyPublishers.fromPublisher(
                                        HttpRequest.BodyPublishers.ofByteArray(bytes))))
                        .json()
                        .path("value")
                        .asText(),
                "chunked");
        ByteArrayOutputStream form = new ByteArrayOutputStream();
        form.writeBytes(
                "--XX\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nfile\r\n--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"
                        .getBytes(StandardCharsets.UTF_8));
        form.writeBytes(bytes);
        form.writeBytes("\r\n--XX--\r\n".getBytes(StandardCharsets.UTF_8));
        assertEquals(
                expected,
                service.send(service.request(P + "/binaries")
                                .header("Authorization", "Bearer " + service.token())
                                .header("Content-Type", "multipart/form-data; boundary=XX")
                                .POST(HttpRequest.BodyPublishers.ofByteArray(form.toByteArray())))
                        .json()
                        .path("value")
                        .asText());
        assertError(400, service.upload(new byte[0]));
    }

    @Test
    @DisplayName("an upload that is lost on the way stores nothing")
    void lostUpload() throws Exception {
        try (Socket socket = new Socket("127.0.0.1", service.simulator.uri().getPort())) {
            socket.getOutputStream()
                    .write(("POST " + P + "/binaries HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + service.token()
                                    + "\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\nabc")
                            .getBytes(StandardCharsets.US_ASCII));
            socket.shutdownOutput();
            assertEquals(-1, socket.getInputStream().read(), "no answer");
        }
        try (var stored = Files.list(folder.resolve("service/temporary"))) {
            assertEquals(0, stored.count());
        }
    }

    @Test
    @DisplayName("moving to the repository needs an uploaded hash and gives the same absolute URL each time")
    void move() throws Exception {
        assertError(
                404, service.json("POST", P + "/binaries/moveToRepository", "{\"value\":\"" + "0".repeat(64) + "\"}"));
        assertError(404, service.json("POST", P + "/binaries/moveToRepository", "{\"value\":\"../../lock\"}"));
        String body = "{\"value\":\""
                + service.upload(new byte[10]).json().path("value").asText() + "\"}";
        String url = service.json("POST", P + "/binaries/moveToRepository", body)
                .json()
                .path("value")
                .asText();
        assertTrue(url.startsWith("http://"), url);
        assertEquals(
                url,
                service.json("POST", P + "/binaries/moveToRepository", body)
                        .json()
                        .path("value")
                        .asText());
    }

    @Test
    @DisplayName(
            "an association has its own id and the device type; the same version twice is 409, a changed record is flagged, an unknown one 404")
    void association() throws Exception {
        ObjectNode image = service.image("1", new byte[] {1});
        JsonNode pool = service.get(P + "/pool/types/5").json().path("content").get(0);
        assertNotEquals(pool.path("id"), image.path("id"));
        assertEquals(Service.DEVICE_TYPE, image.path("deviceTypeId").asText());
        assertError(409, service.json("POST", DT + "/firmwareImages", pool.toString()));
        assertFalse(service.simulator.state().contains("\"modified\":true"));
        ObjectNode changed = service.create("n", "2");
        assertEquals(
                201,
                service.json(
                                "POST",
                                DT + "/firmwareImages",
                                changed.put("url", "http://elsewhere/").toString())
                        .status());
        assertTrue(service.simulator.state().contains("\"modified\":true"), "the difference is flagged");
        assertTrue(service.simulator.state().contains("\"undeliverable\":true"), "no URL was ever set");
        assertError(
                404,
                service.json(
                        "POST",
                        DT + "/firmwareImages",
                        changed.put("versionNumber", "5").toString()));
        changed.remove("versionNumber");
        assertError(400, service.json("POST", DT + "/firmwareImages", changed.toString()));
    }

    @Test
    @DisplayName(
            "a single image that is not associated is 404 with a JSON body; dissociation makes it so again and keeps the pool record")
    void dissociation() throws Exception {
        ObjectNode image = service.image("1", new byte[] {1});
        String path = DT + "/firmwareImages/types/5/versionNumbers/"
                + image.path("versionNumber").asText();
        assertEquals(image, service.get(path).json());
        JsonNode associations = service.get(P + "/pool/types/5/versionNumbers/"
                        + image.path("versionNumber").asText() + "/associations")
                .json();
        assertEquals(
                image.path("id").asText(),
                associations.get(0).path("firmwareImageId").asText());
        assertEquals(204, service.json("DELETE", path, "").status());
        assertError(404, service.get(path));
        assertError(404, service.json("DELETE", path, ""));
        assertEquals(1, service.get(P + "/pool").json().path("totalElements").asInt());
    }

    @Test
    @DisplayName("lists have pages from 0, fifty elements unless asked, all seven fields, and nothing after the end")
    void pages() throws Exception {
        for (int i = 0; i < 123; i++) {
            service.create("n" + i % 2, "1." + i);
        }
        JsonNode page = service.get(P + "/pool").json();
        for (String name :
                new String[] {"number", "size", "totalPages", "numberOfElements", "totalElements", "content", "sort"}) {
            assertTrue(page.has(name), name);
        }
        assertEquals(
                "0 50 3 50 123",
                page.path("number") + " " + page.path("size") + " " + page.path("totalPages") + " "
                        + page.path("numberOfElements") + " " + page.path("totalElements"));
        Set<String> ids = new HashSet<>();
        for (int number = 0; number < 3; number++) {
            service.get(P + "/pool/types/5?page=" + number)
                    .json()
                    .path("content")
                    .forEach(record -> ids.add(record.path("id").asText()));
        }
        assertEquals(123, ids.size());
        JsonNode past = service.get(P + "/pool?page=3").json();
        assertEquals(0, past.path("content").size());
        assertEquals(123, past.path("totalElements").asInt());
        assertEquals(
                "1.122",
                service.get(P + "/pool?size=1&sort=versionNumber,desc")
                        .json()
                        .path("content")
                        .get(0)
                        .path("version")
                        .asText());
        assertEquals(
                0, service.get(DT + "/firmwareImages").json().path("totalPages").asInt());
        assertError(400, service.get(P + "/pool?page=-1"));
        assertError(400, service.get(P + "/pool?sort=id,sideways"));
    }

    @Test
    @DisplayName("tags filter lists and are listed; types can be made, renamed and read")
    void tagsAndTypes() throws Exception {
        service.json("POST", P + "/pool", "{\"name\":\"n\",\"version\":\"1\",\"type\":5,\"tags\":[\"beta\",\"eu\"]}");
        service.json("POST", P + "/pool", "{\"name\":\"n\",\"version\":\"2\",\"type\":5,\"tags\":[\"beta\"]}");
        assertEquals(
                2,
                service.get(P + "/pool?tags=beta").json().path("totalElements").asInt());
        assertEquals(
                1,
                service.get(P + "/pool?tags=beta,eu")
                        .json()
                        .path("totalElements")
                        .asInt());
        assertEquals("[\"beta\",\"eu\"]", service.get(P + "/tags").json().toString());
        assertEquals(
                201,
                service.json("POST", P + "/types", "{\"name\":\"mcu\",\"type\":101}")
                        .status());
        assertError(409, service.json("POST", P + "/types", "{\"name\":\"mcu\",\"type\":101}"));
        assertError(400, service.json("POST", P + "/types", "{\"name\":\"mcu\",\"type\":7}"));
        assertEquals(
                204,
                service.json("PUT", P + "/types/101", "{\"name\":\"other\"}").status());
        assertEquals("other", service.get(P + "/types/101").json().path("name").asText());
        assertEquals(
                2005,
                service.get(P + "/types")
                        .json()
                        .get(0)
                        .path("versionAttributeId")
                        .asInt());
    }

    @Test
    @DisplayName(
            "a push wants an image and a device of this device type, is answered with 202 and nothing, and is never a downgrade")
    void push() throws Exception {
        ObjectNode older = service.image("1", new byte[] {1});
        ObjectNode newer = service.image("2", new byte[] {2});
        String poolId = service.get(P + "/pool/types/5")
                .json()
                .path("content")
                .get(0)
                .path("id")
                .asText();
        Service.Answer accepted = service.push(newer, "device-00001");
        assertEquals(202, accepted.status());
        assertEquals("", accepted.text());
        assertError(404, service.push(newer, "unknown"));
        assertError(404, service.push(newer, "stranger"));
        assertError(
                404, service.json("PUT", DT + "/firmwareImages/" + poolId + "/push", "{\"value\":\"device-00001\"}"));
        assertError(
                400,
                service.json("PUT", DT + "/firmwareImages/" + newer.path("id").asText() + "/push", "{}"));
        assertEquals(
                200,
                service.send(service.request("/hubby/device-00001/installed")
                                .POST(HttpRequest.BodyPublishers.ofString("versionNumber="
                                        + newer.path("versionNumber").asText())))
                        .status());
        for (ObjectNode image : new ObjectNode[] {older, newer}) {
            assertEquals(202, service.push(image, "device-00001").status());
            assertEquals(
                    "refused, not newer",
                    service.deviceOnPage("device-00001").path("outcome").asText());
            assertEquals(
                    404,
                    service.send(service.request("/hubby/device-00001/update.properties"))
                            .status(),
                    "never delivered");
        }
    }

    @Test
    @DisplayName("a strict service answers a downgrade with 409")
    void strict(@TempDir Path other) throws Exception {
        try (Service strict = new Service(Service.settings(other).withStrictPush())) {
            ObjectNode image = strict.image("1", new byte[] {1});
            strict.send(strict.request("/hubby/device-00001/installed")
                    .POST(HttpRequest.BodyPublishers.ofString(
                            "versionNumber=" + image.path("versionNumber").asText())));
            assertError(409, strict.push(image, "device-00001"));
        }
    }

    @Test
    @DisplayName(
            "a device tells its version in attribute 2005, little-endian, and that it is updating while a push is open")
    void devices() throws Exception {
        JsonNode me = service.get("/v1/users/me").json();
        String account = me.path("accountAccess")
                .get(0)
                .path("account")
                .path("accountId")
                .asText();
        String path = "/v1/accounts/" + account + "/devices/device-00001?expansions=state,attributes";
        JsonNode before = service.get(path).json();
        assertEquals(
                "0000000000000000",
                before.path("attributes").get(0).path("data").asText());
        assertFalse(before.path("updating").asBoolean());
        ObjectNode image = service.image("1", new byte[] {1});
        service.push(image, "device-00001");
        assertTrue(service.get(path).json().path("updating").asBoolean());
        service.send(service.request("/hubby/device-00001/installed")
                .POST(HttpRequest.BodyPublishers.ofString("version=1\nslot=b\n")));
        JsonNode after = service.get(path).json();
        assertFalse(after.path("updating").asBoolean());
        byte[] data = HexFormat.of()
                .parseHex(after.path("attributes").get(0).path("data").asText());
        BigInteger number = BigInteger.ZERO;
        for (int i = data.length - 1; i >= 0; i--) {
            number = number.shiftLeft(8).or(BigInteger.valueOf(data[i] & 0xff));
        }
        assertEquals(image.path("versionNumber").asText(), number.toString());
        assertEquals(
                3, service.get("/v1/accounts/" + account + "/devices").json().size());
        assertError(404, service.get("/v1/accounts/" + account + "/devices/unknown"));
    }

    @Test
    @DisplayName("the request log has no secret: headers and the form are masked")
    void privacy() throws Exception {
        service.get(P + "/pool");
        String log = service.simulator.requests().stream()
                .map(request -> request + " " + request.headers() + " " + request.body())
                .toList()
                .toString();
        assertTrue(log.contains("Bearer ***") && log.contains("Basic ***"), log);
        for (String secret : new String[] {
            service.token(),
            Service.CREDENTIALS.userpw(),
            "placeholder+pw",
            Service.CREDENTIALS.authString(),
            Service.CREDENTIALS.clientSecret()
        }) {
            assertFalse(log.contains(secret), "a secret is in the log");
            assertFalse(service.simulator.state().contains(secret), "a secret is on the page");
        }
    }
}
