// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.device.JsonFields;

/** Whatever a server answers, it is refused in bounded time and memory; tried in a JVM with as little as on a device. */
class HostileAnswersTest {
    private static final Duration LONGEST = Duration.ofSeconds(3);
    /** Answers that are right, and bring a text that is no JSON. */
    private static final List<String> GOOD = List.of("redirother", "redircrlf");

    /** Answers that everybody takes, and JSON whose content is up to who reads it. */
    private static final List<String> TAKEN = List.of("json-same", "both", "chunkspace", "bareheader");

    /** Asks for each answer twice, so that what is left of the first is seen; prints one line each. */
    public static final class Client {
        private Client() {}

        public static void main(String[] arguments) throws Exception {
            URI server = URI.create(arguments[0]);
            HttpConfig config = new HttpConfig(
                    server,
                    Path.of("/nowhere"),
                    Optional.empty(),
                    Optional.empty(),
                    Duration.ofSeconds(2),
                    Duration.ofSeconds(2),
                    LONGEST);
            Http http = new Http(config, Optional.of("Bearer SECRET"));
            for (String name : HostileServer.ANSWERS) {
                for (int round = 1; round <= 2; round++) {
                    long start = System.nanoTime();
                    String result;
                    try {
                        result = "taken: "
                                + JsonFields.of("answer", http.get(server.resolve(name), Map.of(), 1 << 20))
                                        .node()
                                        .size();
                    } catch (SourceException e) {
                        result = "refused: " + e.reason() + " " + e.getMessage();
                    } catch (JsonFields.MalformedException e) {
                        result = "refused: JSON " + e.getMessage();
                    }
                    System.out.println(name + "\t" + (System.nanoTime() - start) / 1_000_000 + " ms\t" + result);
                }
            }
        }
    }

    @Test
    void eachIsRefusedInBoundedTimeAndMemory() throws Exception {
        try (HostileServer server = new HostileServer()) {
            List<String> command = new ArrayList<>(List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "-Xmx16m",
                    "-Xss256k",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    "-XX:+ExitOnOutOfMemoryError",
                    "-cp",
                    System.getProperty("java.class.path"),
                    Client.class.getName(),
                    server.uri().toString()));
            Process process =
                    new ProcessBuilder(command).redirectErrorStream(true).start();
            List<String> lines = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
                    .lines()
                    .toList();
            assertTrue(process.waitFor(1, TimeUnit.MINUTES));
            lines.forEach(System.out::println);
            assertEquals(0, process.exitValue(), lines.isEmpty() ? "" : lines.get(lines.size() - 1));
            assertEquals(2 * HostileServer.ANSWERS.size(), lines.size());
            for (String line : lines) {
                String[] words = line.split("\t");
                assertTrue(Integer.parseInt(words[1].replace(" ms", "")) < LONGEST.toMillis() + 2000, line);
                assertTrue(words[2].startsWith("refused:") != TAKEN.contains(words[0]), line);
                assertTrue(line.chars().allMatch(one -> one == '\t' || one >= ' '), line);
                assertEquals(
                        GOOD.contains(words[0]),
                        words[2].startsWith("refused: JSON answer: expected JSON, found: Unrecognized token"),
                        line);
            }
        }
    }
}
