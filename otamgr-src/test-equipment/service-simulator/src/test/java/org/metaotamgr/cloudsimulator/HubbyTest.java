// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.StringReader;
import java.net.http.HttpRequest;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.simulator.HubbyDownload;
import org.metaotamgr.simulator.UpdateDescription;

@DisplayName("The device side")
class HubbyTest {

    private static final byte[] IMAGE = new byte[3_000_001];

    @TempDir
    Path folder;

    private Service service;
    private ObjectNode image;

    @BeforeEach
    void start() throws Exception {
        new Random(5).nextBytes(IMAGE);
        service = new Service(Service.settings(folder));
        image = service.image("1.0.7", IMAGE);
    }

    @AfterEach
    void stop() throws Exception {
        service.close();
    }

    private HubbyDownload hubby() throws Exception {
        return service.hubby("device-00001");
    }

    private Service.Answer range(String range, String condition) throws Exception {
        HttpRequest.Builder request = service.request(
                        "/hubby/device-00001/image-" + image.path("id").asText() + ".img")
                .header("Range", range);
        return service.send(condition.isEmpty() ? request : request.header("If-Range", condition));
    }

    @Test
    @DisplayName("nothing is offered before a push, then a description that names image, header and both hashes")
    void description() throws Exception {
        assertEquals(
                404,
                service.send(service.request("/hubby/device-00001/update.properties"))
                        .status());
        assertTrue(hubby().poll().isEmpty());
        service.push(image, "device-00001");
        Properties lines = new Properties();
        lines.load(new StringReader(service.send(service.request("/hubby/device-00001/update.properties"))
                .text()));
        assertEquals("1.0.7", lines.getProperty("version"));
        assertEquals("image-" + image.path("id").asText() + ".img", lines.getProperty("image"));
        assertEquals("image-" + image.path("id").asText() + ".hdr", lines.getProperty("header"));
        assertTrue(lines.getProperty("imageSha256").matches("[0-9a-f]{64}")
                && lines.getProperty("headerSha256").matches("[0-9a-f]{64}"));
        assertEquals("3000001", lines.getProperty("imageSize"));
        assertEquals(
                404,
                service.send(service.request("/hubby/device-00002/update.properties"))
                        .status(),
                "another device gets nothing");
        assertEquals(
                404,
                service.send(service.request("/hubby/nobody/update.properties")).status());
    }

    @Test
    @DisplayName("a version with characters outside ASCII is read by java.util.Properties as it was given")
    void unusualVersion() throws Exception {
        ObjectNode unusual = service.image("1.0 ü\\#=", new byte[] {9});
        service.push(unusual, "device-00001");
        assertEquals("1.0 ü\\#=", hubby().poll().orElseThrow().version());
    }

    @Test
    @DisplayName("ranges are served with 206, impossible ones refused with 416, and those for other bytes ignored")
    void ranges() throws Exception {
        service.push(image, "device-00001");
        Service.Answer whole = service.send(
                service.request("/hubby/device-00001/image-" + image.path("id").asText() + ".img"));
        assertArrayEquals(IMAGE, whole.response().body());
        Service.Answer part = range("bytes=1000-1999", whole.header("ETag"));
        assertEquals(206, part.status());
        assertArrayEquals(Arrays.copyOfRange(IMAGE, 1000, 2000), part.response().body());
        assertEquals("bytes 1000-1999/3000001", part.header("Content-Range"));
        assertArrayEquals(
                Arrays.copyOfRange(IMAGE, 3_000_000, 3_000_001),
                range("bytes=3000000-", "").response().body());
        assertEquals(416, range("bytes=3000001-", "").status());
        assertEquals(200, range("bytes=5-9", "\"other\"").status());
        assertEquals(200, range("bytes=5-9,11-12", "").status());
        Service.Answer head = service.send(
                service.request("/hubby/device-00001/image-" + image.path("id").asText() + ".img")
                        .method("HEAD", HttpRequest.BodyPublishers.noBody()));
        assertEquals("3000001", head.header("Content-Length"));
    }

    @Test
    @DisplayName(
            "a download that is cut three times goes on each time where it was, and ends with the image, the header and a signature that holds")
    void resume() throws Exception {
        service.push(image, "device-00001");
        service.simulator.addFault("cut=40:download@2-4");
        HubbyDownload hubby = hubby();
        HubbyDownload.Update update = hubby.download(hubby.poll().orElseThrow(), folder.resolve("ota_type_5"));
        assertArrayEquals(IMAGE, Files.readAllBytes(update.image()));
        assertEquals(folder.resolve("ota_type_5.hdr"), update.header());
        assertTrue(Files.readString(update.header()).startsWith("header=simulated, not Afero's format\n"));
        try (var files = Files.list(folder)) {
            assertEquals(
                    0, files.filter(file -> file.toString().contains(".part")).count());
        }
        assertEquals(
                "downloading",
                service.deviceOnPage("device-00001").path("outcome").asText());
        assertEquals(100, service.deviceOnPage("device-00001").path("percent").asInt());
    }

    @Test
    @DisplayName("a download that breaks too often says at which byte, and the next one goes on from there")
    void goingOn() throws Exception {
        service.push(image, "device-00001");
        service.simulator.addFault("cut=10:download@2-5");
        HubbyDownload hubby = hubby();
        UpdateDescription offer = hubby.poll().orElseThrow();
        IOException problem =
                assertThrows(IOException.class, () -> hubby.download(offer, folder.resolve("ota_type_5")));
        assertTrue(
                problem.getMessage().contains("broke 4 times")
                        && !problem.getMessage().endsWith("byte 0"),
                problem.getMessage());
        assertFalse(Files.exists(folder.resolve("ota_type_5.img")));
        assertArrayEquals(
                IMAGE,
                Files.readAllBytes(
                        hubby.download(offer, folder.resolve("ota_type_5")).image()));
    }

    @Test
    @DisplayName("an image or a header that is not what was offered or signed is thrown away")
    void wrong() throws Exception {
        service.push(image, "device-00001");
        HubbyDownload hubby = hubby();
        UpdateDescription good = hubby.poll().orElseThrow();
        service.simulator.addFault("wrong-sha:poll@1");
        UpdateDescription wrong = hubby.poll().orElseThrow();
        assertThrows(IOException.class, () -> hubby.download(wrong, folder.resolve("ota_type_5")));
        UpdateDescription wrongHeader =
                new UpdateDescription(good.version(), good.image(), good.header(), good.imageSha256(), "0".repeat(64));
        assertThrows(IOException.class, () -> hubby.download(wrongHeader, folder.resolve("ota_type_5")));
        Files.createDirectories(folder.resolve("other"));
        HubbyDownload otherKey = new HubbyDownload(
                service.simulator.uri(),
                "device-00001",
                UpdateHeader.keyIn(folder.resolve("other")).publicKeyPem(),
                Duration.ofSeconds(30),
                1);
        IOException problem =
                assertThrows(IOException.class, () -> otherKey.download(good, folder.resolve("ota_type_5")));
        assertTrue(problem.getMessage().contains("signature"), problem.getMessage());
        // A half download with other bytes in it, as after a disk fault: the hash decides.
        Files.write(
                folder.resolve("ota_type_5.img.part-" + good.imageSha256().substring(0, 16)), new byte[IMAGE.length]);
        problem = assertThrows(IOException.class, () -> hubby.download(good, folder.resolve("ota_type_5")));
        assertTrue(problem.getMessage().contains("thrown away"), problem.getMessage());
        assertFalse(Files.exists(folder.resolve("ota_type_5.img")));
        assertArrayEquals(
                IMAGE,
                Files.readAllBytes(
                        hubby.download(good, folder.resolve("ota_type_5")).image()));
    }

    @Test
    @DisplayName(
            "reports show on the page; the version that was pushed ends the update, another one does not, a failure does")
    void reports() throws Exception {
        service.push(image, "device-00001");
        HubbyDownload hubby = hubby();
        hubby.report("write", 42, "slot b");
        assertEquals(
                "installing",
                service.deviceOnPage("device-00001").path("outcome").asText());
        assertEquals(
                "write: slot b",
                service.deviceOnPage("device-00001").path("phase").asText());
        assertEquals(42, service.deviceOnPage("device-00001").path("percent").asInt());
        hubby.installed("1.0.6", "a");
        assertEquals(
                "installing",
                service.deviceOnPage("device-00001").path("outcome").asText());
        hubby.installed("1.0.7", "b");
        assertEquals(
                "installed",
                service.deviceOnPage("device-00001").path("outcome").asText());
        assertEquals("b", service.deviceOnPage("device-00001").path("slot").asText());
        assertEquals(
                image.path("versionNumber").asText(),
                service.deviceOnPage("device-00001").path("versionNumber").asText());
        assertTrue(hubby.poll().isEmpty());
        service.push(image, "device-00002");
        assertEquals(
                204,
                service.send(service.request("/hubby/device-00002/report")
                                .header("Content-Type", "application/json")
                                .POST(HttpRequest.BodyPublishers.ofString(
                                        "{\"phase\":\"rolled-back\",\"message\":\"tries used up\"}")))
                        .status());
        assertEquals(
                "failed", service.deviceOnPage("device-00002").path("outcome").asText());
        assertEquals(
                404,
                service.send(service.request("/hubby/device-00002/update.properties"))
                        .status());
        assertEquals(
                400,
                service.send(service.request("/hubby/device-00002/report")
                                .POST(HttpRequest.BodyPublishers.ofString("phase=Write!")))
                        .status());
        assertEquals(
                400,
                service.send(service.request("/hubby/device-00002/installed")
                                .POST(HttpRequest.BodyPublishers.ofString("slot=a")))
                        .status());
    }

    @Test
    @DisplayName("devices without a hubby install by themselves when the service is told so")
    void installAfter(@TempDir Path other) throws Exception {
        try (Service alone = new Service(Service.settings(other).withInstallAfter(Duration.ofMillis(1)))) {
            ObjectNode pushed = alone.image("1", new byte[] {1});
            alone.push(pushed, "device-00001");
            long end = System.nanoTime() + Duration.ofSeconds(30).toNanos();
            long revision = 0;
            while (!alone.deviceOnPage("device-00001").path("outcome").asText().equals("installed")) {
                assertTrue(System.nanoTime() < end, "installed within 30 s");
                // Answered when something changes.
                revision = alone.send(alone.request("/simulator/state?after=" + revision))
                        .json()
                        .path("revision")
                        .asLong();
            }
        }
    }
}
