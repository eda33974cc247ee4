// SPDX-License-Identifier: MIT
package org.metaotamgr.system.update;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The launcher of the recipe with the jars under their names on the device. */
@Timeout(180)
class LauncherTest {
    @TempDir
    private Path folder;

    private Board board;
    private Installation installation;

    @BeforeEach
    void install() throws Exception {
        board = new Board(folder.toRealPath());
        installation = new Installation(board.folder());
    }

    @AfterEach
    void closeBoard() throws Exception {
        board.close();
    }

    @Test
    void theDaemonRunsAnUpdateWhosePathIsNotAscii() throws Exception {
        board.startAttrd();
        board.startHubby(1);
        Daemon daemon =
                board.start(installation.launcher("--config", board.config("").toString()));
        daemon.awaitLog("attribute_client:connected to attrd");
        // Made by a shell, as the locale of this Java may not know these characters either.
        assertEquals(
                0,
                new ProcessBuilder(
                                "sh",
                                "-c",
                                "name=$(printf '\\303\\274bung-\\347\\214\\253')\n"
                                        + "echo image >\"$name.img\" && echo header >\"$name.hdr\"")
                        .directory(board.downloads().toFile())
                        .start()
                        .waitFor());
        String update = board.downloads() + "/\u00fcbung-\u732b";
        board.offer(update);
        Board.Run run = board.awaitRun(1);
        assertEquals(update + ".img", run.image());
        daemon.awaitLog("ota_notification:path=" + update);
        run.end(0);
        board.awaitLines("reboots", 1);
        // Neither Java nor junixsocket have anything to complain about.
        assertTrue(
                daemon.log().stream().allMatch(line -> line.matches("[a-z0-9_]+:.*")),
                () -> String.join("\n", daemon.log()));
        assertEquals(0, daemon.stop());
    }

    @Test
    void theSignalReachesJavaAsTheLauncherIsGone() throws Exception {
        Daemon daemon =
                board.start(installation.launcher("--config", board.config("").toString()));
        daemon.awaitLog("slot_status:state=committed");
        assertTrue(
                Files.readString(Path.of("/proc/" + daemon.pid() + "/cmdline")).contains("OtamgrMain"));
        assertEquals(0, daemon.stop());
    }

    @Test
    void argumentsArePassedOn() throws Exception {
        Daemon daemon = board.start(installation.launcher("--config", "/nonexistent/with space"));
        assertEquals(3, daemon.waitFor());
        daemon.awaitLog("config_error:/nonexistent/with space: cannot be read");
    }

    @Test
    void theDefaultsFileDecides() throws Exception {
        Path defaults = Files.writeString(board.folder().resolve("defaults"), "OTAMGR_JAVA=/nonexistent/java\n");
        ProcessBuilder launcher = installation.launcher("--version");
        launcher.environment().put("OTAMGR_DEFAULTS", defaults.toString());
        Daemon daemon = board.start(launcher);
        assertEquals(127, daemon.waitFor());
        daemon.awaitLog(
                "otamgr: expected a Java runtime at /nonexistent/java, found none; set OTAMGR_JAVA in " + defaults);
    }

    @Test
    void theBoundsAreThoseOfTheLauncher() throws Exception {
        ProcessBuilder launcher = installation.launcher("--version");
        launcher.environment().put("OTAMGR_JAVA_OPTIONS", "-XX:+PrintFlagsFinal -Dx=y");
        Daemon daemon = board.start(launcher);
        assertEquals(0, daemon.waitFor());
        List<String> flags = daemon.log().stream()
                .map(line -> line.strip().replaceAll("\\s+", " "))
                .toList();
        for (String flag : List.of(
                "size_t MaxHeapSize = 16777216",
                "bool UseSerialGC = true",
                "bool TieredCompilation = true",
                "intx TieredStopAtLevel = 1",
                "bool UsePerfData = false",
                "bool ExitOnOutOfMemoryError = true")) {
            assertTrue(flags.stream().anyMatch(line -> line.startsWith(flag)), flag);
        }
    }

    @Test
    void theTestsForPtestRunnerPass() throws Exception {
        Path programs = Files.createDirectory(board.folder().resolve("programs"));
        Files.createSymbolicLink(programs.resolve("otamgr"), Installation.RECIPE.resolve("otamgr.sh"));
        Path control = programs.resolve("otamgr-control");
        assertEquals(
                0,
                new ProcessBuilder(
                                "cc",
                                "-o",
                                control.toString(),
                                Installation.RECIPE.resolve("otamgr-control.c").toString())
                        .inheritIO()
                        .start()
                        .waitFor());
        ProcessBuilder tests = installation.launcher();
        tests.command("busybox", "ash", Installation.RECIPE.resolve("run-ptest").toString());
        tests.environment().put("PATH", programs + ":" + System.getenv("PATH"));
        tests.environment().put("OTAMGR_CONTROL", control.toString());
        Daemon run = board.start(tests);
        assertEquals(0, run.waitFor(), () -> String.join("\n", run.log()));
        assertEquals(
                8, run.log().stream().filter(line -> line.startsWith("PASS: ")).count());
    }
}
