// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("The service's state is on disk")
class StateOnDiskTest {

    @TempDir
    Path folder;

    private static JsonNode without(String state, String... names) throws Exception {
        ObjectNode node = (ObjectNode) new ObjectMapper().readTree(state);
        node.remove(java.util.List.of(names));
        return node;
    }

    @Test
    @DisplayName(
            "records, images, pushes and devices are the same after a restart, tokens are not, and numbers go on rising")
    void restart() throws Exception {
        JsonNode before;
        ObjectNode image;
        try (Service service = new Service(Service.settings(folder))) {
            image = service.image("1", new byte[] {1, 2, 3});
            service.push(image, "device-00001");
            before = without(service.simulator.state(), "revision", "requests", "now");
        }
        try (Service service = new Service(Service.settings(folder))) {
            assertEquals(before, without(service.simulator.state(), "revision", "requests", "now"));
            assertEquals(
                    200,
                    service.send(service.request("/hubby/device-00001/update.properties"))
                            .status(),
                    "the push is still open");
            ObjectNode next = service.create("board", "2");
            assertEquals(
                    new BigInteger(image.path("versionNumber").asText())
                            .add(BigInteger.ONE)
                            .toString(),
                    next.path("versionNumber").asText());
        }
    }

    @Test
    @DisplayName(
            "a last line that was cut off by a kill is forgotten; a broken line in the middle is refused by its number")
    void torn() throws Exception {
        try (Service service = new Service(Service.settings(folder))) {
            service.create("board", "1");
        }
        Path file = folder.resolve("service/state.jsonl");
        Files.writeString(file, "{\"table\":\"pool\",\"key\":\"99\",\"val", StandardOpenOption.APPEND);
        try (Service service = new Service(Service.settings(folder))) {
            assertEquals(
                    1,
                    service.get(Service.P + "/pool")
                            .json()
                            .path("totalElements")
                            .asInt());
            service.create("board", "2");
        }
        try (Service service = new Service(Service.settings(folder))) {
            assertEquals(
                    2,
                    service.get(Service.P + "/pool")
                            .json()
                            .path("totalElements")
                            .asInt());
        }
        Files.writeString(file, "oops\n" + Files.readString(file));
        IOException problem = assertThrows(IOException.class, () -> new Service(Service.settings(folder)));
        assertTrue(problem.getMessage().contains("line 1"), problem.getMessage());
    }

    @Test
    @DisplayName("a file with far more changes than entries is written anew, with the same state")
    void compaction() throws Exception {
        try (Service service = new Service(Service.settings(folder))) {
            ObjectNode record = service.create("board", "1");
            for (int i = 0; i < 1100; i++) {
                service.json(
                        "PUT",
                        Service.P + "/pool/types/5/versionNumbers/"
                                + record.path("versionNumber").asText(),
                        record.put("url", "http://x/" + i).toString());
            }
        }
        Path file = folder.resolve("service/state.jsonl");
        long before = Files.readAllLines(file).size();
        try (Service service = new Service(Service.settings(folder))) {
            assertEquals(
                    "http://x/1099",
                    service.get(Service.P + "/pool")
                            .json()
                            .path("content")
                            .get(0)
                            .path("url")
                            .asText());
        }
        assertTrue(before > 1100 && Files.readAllLines(file).size() < 20, before + " lines before");
    }

    /** Changes a store until the disk is full, and goes on; prints the keys whose change it was told is done. */
    public static final class Writer {
        private Writer() {}

        public static void main(String[] arguments) throws Exception {
            try (Store store = new Store(Path.of(arguments[0]))) {
                Store.Table<String> table = store.table("pool", String.class);
                for (int tries = 0, failures = 0; failures < 50; tries++) {
                    try {
                        table.put("key-" + tries, "x".repeat(failures == 0 ? 500 : tries % 90));
                        System.out.println("key-" + tries);
                    } catch (java.io.UncheckedIOException e) {
                        failures++;
                    }
                }
            }
        }
    }

    @Test
    @DisplayName("a full disk costs the changes that were refused and nothing else; the service starts again")
    void fullDisk() throws Exception {
        String program = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        Process process = new ProcessBuilder(
                        "sh",
                        "-c",
                        "ulimit -f 16; exec \"$@\"",
                        "sh",
                        program,
                        "-XX:-UsePerfData",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Writer.class.getName(),
                        folder.toString())
                .redirectErrorStream(true)
                .start();
        java.util.List<String> told = new String(
                        process.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8)
                .lines()
                .toList();
        assertEquals(0, process.waitFor(), told.toString());
        assertTrue(told.size() > 10, told.toString());
        try (Store store = new Store(folder)) {
            Store.Table<String> table = store.table("pool", String.class);
            assertEquals(told.size(), table.size());
            told.forEach(key -> assertTrue(table.get(key) != null, key));
        }
    }

    @Test
    @DisplayName("two services do not share a folder")
    void locked() throws Exception {
        try (Service service = new Service(Service.settings(folder))) {
            IOException problem = assertThrows(IOException.class, () -> new Service(Service.settings(folder)));
            assertTrue(problem.getMessage().contains("another service"), problem.getMessage());
            assertEquals(200, service.get(Service.P + "/pool").status());
        }
    }

    @Test
    @DisplayName("a service started by hand makes its own account, keeps it, and lets nobody else read it")
    void developerConfig() throws Exception {
        Credentials first = DeveloperConfig.in(folder.resolve("own"));
        Credentials second = DeveloperConfig.in(folder.resolve("own"));
        assertEquals(first, second);
        assertEquals(
                "[OWNER_READ, OWNER_WRITE]",
                new java.util.TreeSet<>(Files.getPosixFilePermissions(folder.resolve("own/partner-ota-conf.json")))
                        .toString());
        assertTrue(
                !first.toString().contains(first.userpw()) && !first.toString().contains(first.clientSecret()),
                first.toString());
        Files.writeString(folder.resolve("own/partner-ota-conf.json"), "{\"userpw\": topsecret}");
        IOException problem = assertThrows(IOException.class, () -> DeveloperConfig.in(folder.resolve("own")));
        assertTrue(!problem.getMessage().contains("topsecret") && problem.getCause() == null, problem.getMessage());
    }
}
