// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("The simulators on the command line")
@Timeout(120)
class SimulatorMainTest {
    private static final String LIBRARY = "org.newsclub.net.unix.library.override";

    @TempDir
    Path directory;

    private Process start(String... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-D" + LIBRARY + "=" + System.getProperty(LIBRARY),
                "-cp",
                System.getProperty("java.class.path"),
                "org.metaotamgr.simulator.SimulatorMain"));
        command.addAll(List.of(arguments));
        return new ProcessBuilder(command).redirectErrorStream(true).start();
    }

    private void expect(int status, String output, String... arguments) throws Exception {
        Process process = start(arguments);
        String found = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(status, process.waitFor(), found);
        assertTrue(found.contains(output), found);
    }

    private static void awaitLine(BufferedReader from, String text) throws IOException {
        List<String> seen = new ArrayList<>();
        for (String line = from.readLine(); line != null; line = from.readLine()) {
            if (line.contains(text)) {
                return;
            }
            seen.add(line);
        }
        throw new AssertionError("ended without \"" + text + "\": " + seen);
    }

    @Test
    @DisplayName("play attrd and hubby in one process and attrc in another")
    void platform() throws Exception {
        String socket = directory.resolve("IPC.ATTRD").toString();
        Process platform = start(
                "platform",
                "--socket",
                socket,
                "--state",
                "2",
                "--control",
                "--reboot-reason",
                directory.resolve("none").toString());
        try (BufferedReader out = platform.inputReader();
                OutputStream in = platform.getOutputStream()) {
            awaitLine(out, "hubby: hubby state is 2");
            expect(0, "02\n", "attrc", "--socket", socket, "get", "51611");
            expect(0, "", "command", "--socket", socket, "0a");
            awaitLine(out, "hubby: command 0a000000");
            expect(0, "0a000000\n", "attrc", "get", "65012", "--socket", socket);
            expect(1, "set of 51611 ended with status 10 FORBIDDEN", "attrc", "set", "51611", "01", "--socket", socket);
            in.write("drop IPC.HUBBY\n".getBytes(StandardCharsets.UTF_8));
            in.flush();
            awaitLine(out, "attrd: 1 clients dropped");
            awaitLine(out, "hubby: hubby state is 2");
            in.write("quit\n".getBytes(StandardCharsets.UTF_8));
            in.flush();
            assertEquals(0, platform.waitFor());
        } finally {
            platform.destroyForcibly();
        }
    }

    @Test
    @DisplayName("explain themselves")
    void usage() throws Exception {
        expect(0, "attrc    [options] set ID HEX", "attrd", "--help");
        expect(2, "what to simulate is missing; --help explains the usage");
        expect(2, "\"fly\" is none of attrd, hubby, platform, attrc, command", "fly");
        expect(2, "--fragment needs a number from 1 to 2147483647, not 0", "attrd", "--fragment", "0");
        expect(2, "\"0g\" is not hexadecimal", "command", "0g");
        expect(2, "unknown option --nothing", "hubby", "--nothing");
        expect(
                1,
                "",
                "attrc",
                "get",
                "51611",
                "--socket",
                directory.resolve("absent").toString());
    }
}
