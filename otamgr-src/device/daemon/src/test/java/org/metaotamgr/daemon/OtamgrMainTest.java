// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Runs the program as a process of its own. */
@Timeout(120)
class OtamgrMainTest {
    @TempDir
    private Path folder;

    private record Result(int status, String out, String err) {}

    private ProcessBuilder otamgr(String... arguments) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-Xshare:auto",
                "-cp",
                System.getProperty("java.class.path"),
                OtamgrMain.class.getName()));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().remove("JOURNAL_STREAM");
        return builder;
    }

    private Result run(String... arguments) throws IOException, InterruptedException {
        Path out = folder.resolve("out");
        Path err = folder.resolve("err");
        Process process = otamgr(arguments)
                .redirectOutput(out.toFile())
                .redirectError(err.toFile())
                .start();
        assertTrue(process.waitFor(60, TimeUnit.SECONDS));
        return new Result(process.exitValue(), Files.readString(out), Files.readString(err));
    }

    @Test
    void helpIsPrinted() throws Exception {
        assertEquals(new Result(0, Arguments.USAGE, ""), run("--help"));
    }

    @Test
    void theVersionIsThatOfTheProject() throws Exception {
        Result result = run("--version");
        assertTrue(result.out().matches("otamgr \\d+\\.\\d+\\.\\d+\\S*\n"), result.out());
        assertEquals(0, result.status());
    }

    @Test
    void aWrongCommandLineIsRefused() throws Exception {
        Result result = run("--start");
        assertEquals(2, result.status());
        assertTrue(
                result.err()
                        .startsWith("otamgr: expected --config, --syslog-prefix, --help or --version, found "
                                + "--start\nusage: otamgr "),
                result.err());
    }

    @Test
    void aWrongConfigurationIsRefused() throws Exception {
        Path file = Files.writeString(folder.resolve("otamgr.json"), "{\"rebootDelaySeconds\":\"soon\"}");
        Result result = run("--config", file.toString());
        assertEquals(3, result.status());
        assertEquals(
                "config_error:" + file + ": rebootDelaySeconds: expected a whole number of seconds from 0 to "
                        + "3600, found the string \"soon\"; correct it, or remove the key to use the default\n",
                result.err());
    }

    @Test
    void aConfigurationThatWasNamedMustExist() throws Exception {
        Path file = folder.resolve("none.json");
        Result result = run("--config", file.toString());
        assertEquals(3, result.status());
        assertTrue(result.err().startsWith("config_error:" + file + ": cannot be read"), result.err());
    }

    @Test
    void aSignalEndsTheDaemonProperlyAndWarningsCameWithTheirSeverity() throws Exception {
        Path file = folder.resolve("otamgr.json");
        Files.writeString(
                file,
                "{\"attrdSocket\":\"" + folder.resolve("none")
                        + "\",\"otaSlot\":[\"/bin/sh\",\"-c\",\"echo state=committed\"],\"colour\":\"blue\",\"control\":\""
                        + folder.resolve("control") + "\",\"storage\":\"" + folder.resolve("storage") + "\"}");
        ProcessBuilder builder = otamgr("--config", file.toString());
        builder.environment().putAll(Map.of("JOURNAL_STREAM", "8:1234"));
        Process process =
                builder.redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
        // Ends the reading below if the line never comes.
        CompletableFuture.delayedExecutor(60, TimeUnit.SECONDS).execute(process::destroyForcibly);
        List<String> lines = new ArrayList<>();
        try (BufferedReader err = process.errorReader(StandardCharsets.UTF_8)) {
            for (String line = err.readLine(); line != null; line = err.readLine()) {
                lines.add(line);
                if (line.startsWith("<6>slot_status:state=committed")) {
                    // Process.destroy() would also close the stream that is being read.
                    process.toHandle().destroy();
                }
            }
        } finally {
            process.destroyForcibly();
        }
        assertTrue(process.waitFor(60, TimeUnit.SECONDS));
        assertEquals(0, process.exitValue(), lines.toString());
        assertEquals("<4>config:" + file + ": the key \"colour\" is unknown and ignored", lines.get(0));
        assertTrue(lines.get(1).startsWith("<6>otamgr_start:version="), lines.get(1));
        assertEquals("<6>otamgr_stop:", lines.get(lines.size() - 1));
    }
}
