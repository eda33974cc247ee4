// SPDX-License-Identifier: MIT
package org.metaotamgr.system.update;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The watcher and the init script of the recipe, run by busybox, with a small program in place of the daemon. */
@Timeout(180)
class SupervisionTest {
    @TempDir
    private Path temporary;

    private Path folder;
    private Path bin;
    private final List<Process> started = new ArrayList<>();

    @BeforeEach
    void makePrograms() throws IOException {
        folder = temporary.toRealPath();
        bin = Files.createDirectory(folder.resolve("bin"));
        // Passes for the daemon: its command line has the name of the main class in it.
        program(
                "otamgr",
                """
                echo $$ >>'%1$s/starts'
                echo "up as $$" >&2
                exec busybox ash -c '
                    trap "echo $$ >>%1$s/stops; exit 0" TERM
                    while [ ! -e %1$s/end ]; do sleep 0.05; done
                    exit 3' org.metaotamgr.daemon.OtamgrMain
                """
                        .formatted(folder));
        program(
                "logger",
                "shift 2\nif [ \"${1-}\" = -- ]; then shift; echo \"$*\"; else cat; fi >>'" + folder + "/syslog'\n");
    }

    private void program(String name, String body) throws IOException {
        Path file = bin.resolve(name);
        Files.writeString(file, "#!/bin/sh\n" + body);
        assertTrue(file.toFile().setExecutable(true));
    }

    @AfterEach
    void endEverything() throws Exception {
        Files.writeString(folder.resolve("end"), "");
        for (Process process : started) {
            process.toHandle().destroy();
        }
        for (Process process : started) {
            assertTrue(process.waitFor(60, TimeUnit.SECONDS));
        }
        for (String pid : lines("starts")) {
            awaitEnd(pid);
        }
    }

    private ProcessBuilder prepared(List<String> command) {
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(
                        folder.resolve("output").toFile()));
        builder.environment().put("OTAMGR_LOGGER", bin.resolve("logger").toString());
        builder.environment().put("OTAMGR_DAEMON", bin.resolve("otamgr").toString());
        builder.environment().put("OTAMGR_RUN", folder.toString());
        builder.environment().put("OTAMGR_RESTART_SECONDS", "1");
        builder.environment()
                .put("OTAMGR_WATCHER", bin.resolve("otamgr-watcher").toString());
        return builder;
    }

    private Process watcher() throws IOException {
        Process process = prepared(List.of(
                        "busybox",
                        "ash",
                        Installation.RECIPE.resolve("otamgr-watcher").toString()))
                .start();
        started.add(process);
        return process;
    }

    private List<String> lines(String name) {
        try {
            return Files.exists(folder.resolve(name)) ? Files.readAllLines(folder.resolve(name)) : List.of();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private String awaitStart(int number) throws InterruptedException {
        Board.await(() -> lines("starts").size() >= number, "start " + number + " of the daemon");
        String pid = lines("starts").get(number - 1);
        // The program sets its trap a moment after it wrote down its process id.
        Board.await(() -> command(pid).contains("org.metaotamgr.daemon.OtamgrMain") && catchesTerm(pid), "the daemon");
        return pid;
    }

    private static String command(String pid) {
        try {
            return Files.readString(Path.of("/proc/" + pid + "/cmdline"));
        } catch (IOException e) {
            return "";
        }
    }

    private static boolean catchesTerm(String pid) {
        try {
            return Files.readAllLines(Path.of("/proc/" + pid + "/status")).stream()
                    .filter(line -> line.startsWith("SigCgt:"))
                    .anyMatch(line -> (Long.parseUnsignedLong(line.substring(7).strip(), 16) & 1L << 14) != 0);
        } catch (IOException e) {
            return false;
        }
    }

    private static void awaitEnd(String pid) throws InterruptedException {
        Board.await(
                () -> ProcessHandle.of(Long.parseLong(pid))
                        .map(handle -> !handle.isAlive())
                        .orElse(true),
                "the end of " + pid);
    }

    private static void kill(String pid) {
        ProcessHandle.of(Long.parseLong(pid)).orElseThrow().destroyForcibly();
    }

    @Test
    void aDaemonThatEndsIsStartedAgain() throws Exception {
        watcher();
        String first = awaitStart(1);
        kill(first);
        String second = awaitStart(2);
        assertFalse(first.equals(second));
        assertEquals(List.of(second), lines("otamgr.pid"));
        Board.await(
                () -> lines("syslog").contains("otamgr ended with status 137, starting it again in 1 s"),
                "a line in syslog");
        Board.await(
                () -> lines("syslog").contains("up as " + first)
                        && lines("syslog").contains("up as " + second),
                "the lines of the daemon in syslog");
    }

    @Test
    void theSignalEndsDaemonAndWatcher() throws Exception {
        Process watcher = watcher();
        String daemon = awaitStart(1);
        assertEquals(List.of(Long.toString(watcher.pid())), lines("otamgr-watcher.pid"));
        watcher.toHandle().destroy();
        assertTrue(watcher.waitFor(60, TimeUnit.SECONDS));
        assertEquals(0, watcher.exitValue());
        assertEquals(List.of(daemon), lines("stops"));
        assertEquals(1, lines("starts").size());
        assertFalse(Files.exists(folder.resolve("otamgr-watcher.pid")));
        assertFalse(Files.exists(folder.resolve("otamgr.pid")));
        assertEquals(List.of(), lines("output"));
    }

    @Test
    void theSignalEndsAWatcherThatWaits() throws Exception {
        program("otamgr", "echo $$ >>'" + folder + "/starts'\n");
        ProcessBuilder builder = prepared(List.of(
                "busybox", "ash", Installation.RECIPE.resolve("otamgr-watcher").toString()));
        builder.environment().put("OTAMGR_RESTART_SECONDS", "1000");
        Process watcher = builder.start();
        started.add(watcher);
        Board.await(
                () -> lines("syslog").contains("otamgr ended with status 0, starting it again in 1000 s"), "the pause");
        watcher.toHandle().destroy();
        assertTrue(watcher.waitFor(60, TimeUnit.SECONDS));
        assertEquals(0, watcher.exitValue());
    }

    @Test
    void withoutALoggerTheLinesGoToStandardError() throws Exception {
        ProcessBuilder builder = prepared(List.of(
                "busybox", "ash", Installation.RECIPE.resolve("otamgr-watcher").toString()));
        builder.environment().put("OTAMGR_LOGGER", "/nonexistent/logger");
        started.add(builder.start());
        String daemon = awaitStart(1);
        Board.await(() -> lines("output").contains("up as " + daemon), "the line of the daemon");
    }

    @Test
    void aDaemonLeftBehindIsEndedFirst() throws Exception {
        Process first = watcher();
        String left = awaitStart(1);
        first.toHandle().destroyForcibly();
        assertTrue(first.waitFor(60, TimeUnit.SECONDS));
        watcher();
        String second = awaitStart(2);
        awaitEnd(left);
        assertEquals(List.of(left), lines("stops"));
        assertEquals(List.of(second), lines("otamgr.pid"));
    }

    @Test
    void aProcessIdThatBelongsToSomebodyElseIsLeftAlone() throws Exception {
        Process other = new ProcessBuilder("sleep", "1000").start();
        started.add(other);
        Files.writeString(folder.resolve("otamgr.pid"), other.pid() + "\n");
        watcher();
        awaitStart(1);
        assertTrue(other.isAlive());
    }

    private int init(String action) throws Exception {
        Process process = prepared(List.of(
                        "busybox",
                        "ash",
                        Installation.RECIPE.resolve("otamgr.init").toString(),
                        action))
                .start();
        assertTrue(process.waitFor(90, TimeUnit.SECONDS));
        return process.exitValue();
    }

    @Test
    void theInitScriptStartsStopsAndTells() throws Exception {
        Files.copy(Installation.RECIPE.resolve("otamgr-watcher"), bin.resolve("otamgr-watcher"));
        assertTrue(bin.resolve("otamgr-watcher").toFile().setExecutable(true));

        assertEquals(3, init("status"));
        assertEquals(0, init("stop"));
        assertEquals(0, init("start"));
        awaitStart(1);
        assertEquals(0, init("status"));
        assertEquals(0, init("start"));
        assertEquals(0, init("restart"));
        awaitStart(2);
        assertEquals(0, init("status"));
        assertEquals(0, init("stop"));
        assertEquals(3, init("status"));
        assertEquals(2, init("nonsense"));
        assertEquals(2, lines("starts").size());
        assertEquals(lines("starts"), lines("stops"));
    }

    @Test
    void aStalePidFileDoesNotKeepTheWatcherAway() throws Exception {
        Files.copy(Installation.RECIPE.resolve("otamgr-watcher"), bin.resolve("otamgr-watcher"));
        assertTrue(bin.resolve("otamgr-watcher").toFile().setExecutable(true));
        Process other = new ProcessBuilder("sleep", "1000").start();
        started.add(other);
        Files.writeString(folder.resolve("otamgr-watcher.pid"), other.pid() + "\n");
        assertEquals(3, init("status"));
        assertEquals(0, init("start"));
        awaitStart(1);
        assertEquals(0, init("stop"));
        assertTrue(other.isAlive());
    }
}
