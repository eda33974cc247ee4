// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("An upload")
class UploadTest {

    @TempDir
    Path temporary;

    private Workshop shop;

    @BeforeEach
    void start() throws Exception {
        shop = new Workshop(temporary);
        shop.good("record", "create", "-n", "1", "-s");
    }

    @AfterEach
    void stop() throws Exception {
        shop.close();
    }

    private void assertOneImage(byte[] expected) throws Exception {
        JsonNode images =
                shop.good("image", "list", "--json", "--show-url").json().path("images");
        assertEquals(1, images.size());
        assertEquals(1, shop.records(), "one record");
        String url = images.get(0).path("url").asText();
        Path stored = temporary.resolve("service/repository").resolve(url.substring(url.lastIndexOf('/') + 1));
        assertEquals(
                -1,
                Files.mismatch(stored, Files.write(temporary.resolve("expected"), expected)),
                "the bytes of the file");
        assertFalse(shop.state().path("images").get(0).path("modified").asBoolean());
    }

    @ParameterizedTest(name = "{0} %")
    @DisplayName("whose connection breaks after any tenth of the body ends in success, with one record and all bytes")
    @ValueSource(ints = {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100})
    void cut(int percent) throws Exception {
        byte[] image = shop.image(4_000_000);
        shop.service.addFault("cut=" + percent + ":upload@1");
        shop.service.addFault("cut=" + (100 - percent) + ":upload@2");
        Workshop.Result result = shop.good("image", "upload", "-n", "1", "-s");
        assertTrue(result.err().contains("sending the image again"), result.err());
        assertEquals(3, shop.count("upload"));
        assertOneImage(image);
    }

    @Test
    @DisplayName("whose token is refused while a large body is on its way gets a new token and ends in success")
    void refusedWhileSending() throws Exception {
        byte[] image = shop.image(8_000_000);
        shop.service.addFault("expire-token:upload@1");
        shop.good("image", "upload", "-n", "1", "-s");
        assertOneImage(image);
    }

    @ParameterizedTest(name = "{0}")
    @DisplayName(
            "whose answer is lost at any step, after the step was done, ends in success without doing anything twice")
    @ValueSource(strings = {"token", "exists", "image", "pool-type", "upload", "move", "update", "associate"})
    void lostAnswer(String route) throws Exception {
        byte[] image = shop.image(50_000);
        shop.service.addFault("cut-reply:" + route + "@1");
        shop.good("image", "upload", "-n", "1", "-s");
        assertOneImage(image);
    }

    @ParameterizedTest(name = "{0}")
    @DisplayName("that was killed after any step is finished by the next run")
    @ValueSource(strings = {"image", "pool-type@1", "upload", "move", "update", "pool-type@2", "associate"})
    void killed(String step) throws Exception {
        byte[] image = shop.image(50_000);
        String route = step.replaceAll("@.*", "");
        shop.service.addFault("500:" + route + (step.endsWith("@2") ? "@2-9" : "@1-9"));
        assertEquals(
                ExitStatus.SERVICE.code(),
                shop.run("image", "upload", "-n", "1", "-s", "--retries", "0").exit());
        shop.service.clearFaults();
        shop.good("image", "upload", "-n", "1", "-s");
        assertOneImage(image);
    }

    @ParameterizedTest(name = "{0}")
    @DisplayName("of a record whose creation lost its answer finds the record")
    @ValueSource(strings = {"cut-reply:create@1", "cut=0:create@1"})
    void lostCreation(String fault) throws Exception {
        shop.service.addFault(fault);
        Workshop.Result result = shop.run("record", "create", "-n", "2", "-s");
        if (fault.startsWith("cut-reply")) {
            assertEquals(0, result.exit(), result::toString);
            assertEquals(2, shop.records());
            shop.good("image", "upload", "-n", "2", "-s");
        } else {
            // Not created: told so, and never sent twice without being asked.
            assertEquals(ExitStatus.NETWORK.code(), result.exit(), result::toString);
            assertTrue(result.err().contains("the record was not created"), result.err());
            assertEquals(1, shop.records());
        }
        assertEquals(2, shop.count("create"));
    }

    @Test
    @DisplayName("checks that the record is that of the command line and the configuration")
    void otherRecord() throws Exception {
        assertEquals(
                ExitStatus.CONFLICT.code(),
                shop.run("image", "upload", "-n", "2", "-s").exit());
        shop.conf.put("name", "other");
        shop.writeConf();
        Workshop.Result result = shop.run("image", "upload", "-n", "1", "-s");
        assertEquals(ExitStatus.CONFLICT.code(), result.exit());
        assertTrue(result.err().contains("name: expected other"), result.err());
        Files.writeString(shop.folder.resolve("full_ota_record.json"), "{ \"id\": ");
        assertEquals(
                ExitStatus.LOCAL.code(),
                shop.run("image", "upload", "-n", "1", "-s").exit());
    }

    @Test
    @DisplayName("reads a record file with hyphens when there is no other, and says so")
    void hyphens() throws Exception {
        Files.move(shop.folder.resolve("full_ota_record.json"), shop.folder.resolve("full-ota-record.json"));
        assertTrue(shop.good("image", "upload", "-n", "1", "-s").err().contains("underscores"));
    }

    @Test
    @DisplayName("of an image that somebody associated without a URL says how to get out of that")
    void withoutUrl() throws Exception {
        shop.seed(1);
        shop.conf.put("name", "seeded");
        shop.writeConf();
        shop.good("record", "recover", "-n", "1", "-s");
        Workshop.Result result = shop.run("image", "upload", "-n", "1", "-s");
        assertEquals(ExitStatus.CONFLICT.code(), result.exit());
        assertTrue(result.err().contains("ota image dissociate --version-number"), result.err());
    }
}
