// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Small parts")
class SmallPartsTest {

    @TempDir
    Path temporary;

    @Test
    @DisplayName("the record file is the example of the documentation, byte for byte")
    void documentedExample() throws Exception {
        String documented =
                """
                {
                    "createdTimestamp": 1572280052532,
                    "description": "OTA description",
                    "id": "11561",
                    "name": "Potenco-test",
                    "partnerId": "4f7de484-cf23-478d-90a7-412104d5620b",
                    "tags": [],
                    "type": 5,
                    "updatedTimestamp": 1572280052532,
                    "url": "",
                    "version": "1.0.2d",
                    "versionNumber": "7112"
                }""";
        JsonNode shuffled = new ObjectMapper()
                .readTree(
                        "{\"versionNumber\":\"7112\",\"url\":\"\",\"version\":\"1.0.2d\",\"type\":5,\"tags\":[],\"name\":\"Potenco-test\","
                                + "\"updatedTimestamp\":1572280052532,\"id\":\"11561\",\"description\":\"OTA description\",\"partnerId\":\"4f7de484-cf23-478d-90a7-412104d5620b\","
                                + "\"createdTimestamp\":1572280052532}");
        assertEquals(documented, PythonJson.write(shuffled));
    }

    @Test
    @DisplayName("unknown members of a record are kept, whatever they are; big numbers stay exact")
    void unknownMembers() throws Exception {
        String text =
                "{\n    \"a\": {\n        \"b\": [\n            1,\n            true,\n            null,\n            \"\\u00fc\\ud83d\\ude42\\\"\\\\\\n\\u007f\"\n        ]\n    },\n"
                        + "    \"empty\": {},\n    \"id\": 18446744073709551615,\n    \"versionNumber\": \"18446744073709551614\"\n}";
        OtaRecord record = OtaRecord.parse("test", text, ExitStatus.LOCAL);
        assertEquals(text, PythonJson.write(record.json()));
        assertEquals("18446744073709551614", record.versionNumber().toString());
        assertEquals("18446744073709551615", record.id());
        for (String bad : List.of(
                "{}",
                "[]",
                "{\"id\":\"x\",\"versionNumber\":\"1\"}",
                "{\"id\":\"1\",\"versionNumber\":1.5}",
                "{\"id\":\"1\",\"versionNumber\":\"-1\"}")) {
            assertThrows(OtaException.class, () -> OtaRecord.parse("test", bad, ExitStatus.LOCAL), bad);
        }
    }

    @ParameterizedTest
    @DisplayName("sizes and durations read well at every magnitude")
    @CsvSource({
        "0,0 B",
        "999,999 B",
        "1000,1.00 kB",
        "99949,99.9 kB",
        "123456,123 kB",
        "999600,1.00 MB",
        "1048576000,1.05 GB"
    })
    void sizes(long bytes, String text) {
        assertEquals(text, Progress.size(bytes));
        assertEquals("1:02:03", Progress.duration(3723));
        assertEquals("0:07", Progress.duration(7));
    }

    @Test
    @DisplayName("the progress line shows the way, the rate and the time left, and fits the terminal")
    void progress() throws Exception {
        try (Workshop shop = new Workshop(temporary)) {
            PrintStream nowhere = new PrintStream(PrintStream.nullOutputStream(), true, StandardCharsets.UTF_8);
            Progress progress = new Progress(shop.context(nowhere, nowhere), true, "x.bin", Progress.Unit.BYTES);
            assertEquals(
                    "x.bin [########........]  50 %  500 MB of 1.00 GB  50.0 MB/s  ETA 0:10",
                    progress.text(500_000_000, 1_000_000_000, 10_000, 100));
            assertEquals(
                    "x.bin  50 %  500 MB of 1.00 GB  50.0 MB/s  ETA 0:10",
                    progress.text(500_000_000, 1_000_000_000, 10_000, 60));
            assertTrue(progress.text(500_000_000, 1_000_000_000, 10_000, 20).length() <= 20);
            assertTrue(progress.text(0, 10, 0, 100).endsWith("ETA -:--"));
        }
    }

    @Test
    @DisplayName("a segment of a path is encoded as UTF-8, a blank as %20, and decodes to itself")
    void segments() {
        assertEquals("a%20b%2Bc%25%2F%3F%23%C3%A4-._~", ServiceUrl.segment("a b+c%/?#ä-._~"));
    }

    @Test
    @DisplayName(
            "values of the published sample are warned of here and refused for the real service, together with all other problems")
    void samples() throws Exception {
        try (Workshop shop = new Workshop(temporary)) {
            shop.conf.put("name", "Your name for this product").put("description", "<your text>");
            shop.writeConf();
            String warned = shop.good("record", "create", "-n", "1", "-s").err();
            assertTrue(
                    warned.contains("name: is still the value of the sample")
                            && warned.contains("description: is still"),
                    warned);
            shop.service.forgetRequests();
            shop.conf.put("username", "").remove("deviceTypeId");
            shop.conf.put("description", "d".repeat(501));
            shop.writeConf();
            Workshop.Result refused = shop.run("record", "create", "-n", "2", "-s", "--url", "https://api.afero.io");
            assertEquals(ExitStatus.CONFIGURATION.code(), refused.exit());
            for (String part : List.of(
                    "name: is still",
                    "username: is empty",
                    "deviceTypeId: is missing",
                    "description: expected at most 500 characters, found 501")) {
                assertTrue(refused.err().contains(part), refused.err());
            }
            assertEquals(List.of(), shop.routes());
        }
    }

    @Test
    @DisplayName("limits count characters: 35 umlauts or emoji are a name, 36 letters are not")
    void limits() throws Exception {
        try (Workshop shop = new Workshop(temporary)) {
            shop.conf.put("name", "🙂".repeat(35)).put("description", "ü".repeat(500));
            shop.conf.putArray("tags").add("t".repeat(35));
            shop.writeConf();
            shop.good("record", "create", "-n", "1", "-s");
            shop.conf.put("name", "n".repeat(36));
            shop.conf.putArray("tags").add("t".repeat(36)).add("a,b");
            shop.writeConf();
            String problems = shop.run("record", "create", "-n", "2", "-s").err();
            assertTrue(
                    problems.contains("name: expected at most 35")
                            && problems.contains("tags: expected at most 35")
                            && problems.contains("without commas"),
                    problems);
        }
    }

    @Test
    @DisplayName("an image is looked for beside the configuration, then in the current directory")
    void imageFile() throws Exception {
        try (Workshop shop = new Workshop(temporary)) {
            shop.good("record", "create", "-n", "1", "-s");
            Path beside = Files.createDirectories(shop.folder.resolve("conf"));
            Files.move(shop.folder.resolve("partner-ota-conf.json"), beside.resolve("c.json"));
            assertTrue(shop.good("image", "upload", "-n", "1", "-s", "-c", "conf/c.json")
                    .err()
                    .contains("image file: " + shop.folder.resolve("hub_update.bin")));
            Files.write(beside.resolve("hub_update.bin"), new byte[] {1});
            assertTrue(shop.good("image", "upload", "-n", "1", "-s", "-c", "conf/c.json")
                    .err()
                    .contains("image file: " + beside.resolve("hub_update.bin")));
        }
    }

    @Test
    @DisplayName("auth-string may carry the word Basic, which is warned of; anything but Base64 of a pair is refused")
    void authString() throws Exception {
        try (Workshop shop = new Workshop(temporary)) {
            shop.conf.put("auth-string", "Basic " + Workshop.CREDENTIALS.authString());
            shop.writeConf();
            assertTrue(shop.good("image", "list").err().contains("the word Basic"));
            for (String bad : List.of("!", "bm9jb2xvbg==", "OnNlY3JldA==")) {
                shop.conf.put("auth-string", bad);
                shop.writeConf();
                assertEquals(
                        ExitStatus.CONFIGURATION.code(),
                        shop.run("image", "list").exit(),
                        bad);
            }
        }
    }

    @Test
    @DisplayName("errors are JSON with --json, and completion is a script that bash accepts")
    void machines() throws Exception {
        try (Workshop shop = new Workshop(temporary)) {
            JsonNode error = shop.run("deploy", "-i", "1", "-d", "device-00001", "--json")
                    .json()
                    .path("error");
            assertEquals(
                    "conflict 5",
                    error.path("kind").asText() + " " + error.path("exitStatus").asInt());
            for (String[] command : new String[][] {
                {"image", "list"},
                {"image", "pool"},
                {"status"},
                {"status", "-n", "1", "-d", "device-00001"},
                {"record", "create", "-n", "1", "-s"},
                {"record", "recover", "-n", "1", "-s"},
                {"image", "upload", "-n", "1", "-s"},
                {"deploy", "-i", "49867", "-d", "device-00001"}
            }) {
                String[] withJson = java.util.Arrays.copyOf(command, command.length + 1);
                withJson[command.length] = "--json";
                assertTrue(shop.good(withJson).json().isObject());
            }
            String script = shop.good("generate-completion").out();
            assertTrue(script.contains("--image-id") && script.contains("dissociate"));
            Process bash =
                    new ProcessBuilder("bash", "-n").redirectErrorStream(true).start();
            bash.getOutputStream().write(script.getBytes(StandardCharsets.UTF_8));
            bash.getOutputStream().close();
            assertEquals("", new String(bash.getInputStream().readAllBytes(), StandardCharsets.UTF_8));
            assertTrue(bash.waitFor(30, TimeUnit.SECONDS));
            assertEquals(0, bash.exitValue());
        }
    }

    @Test
    @DisplayName("a secret is masked in what a defect of the tool prints, too")
    void defect() throws Exception {
        try (Workshop shop = new Workshop(temporary)) {
            java.io.ByteArrayOutputStream err = new java.io.ByteArrayOutputStream();
            ProcessContext context = shop.context(
                    new PrintStream(err, true, StandardCharsets.UTF_8),
                    new PrintStream(err, true, StandardCharsets.UTF_8));
            Secrets secrets = new Secrets();
            secrets.add("very secret");
            int exit = Runner.run(
                    new Step() {
                        @Override
                        public ExitStatus run(ProcessContext unused, Secrets alsoUnused) {
                            throw new IllegalStateException("it is very secret");
                        }

                        @Override
                        public boolean json() {
                            return true;
                        }
                    },
                    "ota",
                    context,
                    secrets);
            assertEquals(1, exit);
            String said = err.toString(StandardCharsets.UTF_8);
            assertTrue(said.contains("it is ***") && said.contains("\"defect\""), said);
            assertFalse(said.contains("very secret"), said);
        }
    }
}
