// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class SystemProcessRunnerTest {
    private static final class Listener implements ProcessRunner.ProcessListener {
        final List<String> stdout = new CopyOnWriteArrayList<>();
        final List<String> stderr = new CopyOnWriteArrayList<>();
        final CompletableFuture<Integer> end = new CompletableFuture<>();
        final CompletableFuture<String> firstLine = new CompletableFuture<>();

        @Override
        public void stdout(String line) {
            stdout.add(line);
            firstLine.complete(line);
        }

        @Override
        public void stderr(String line) {
            stderr.add(line);
        }

        @Override
        public void ended(int exitStatus) {
            end.complete(exitStatus);
        }
    }

    private final SystemProcessRunner runner = new SystemProcessRunner((severity, line) -> {});
    private final Listener listener = new Listener();

    private int end() throws Exception {
        return listener.end.get(30, TimeUnit.SECONDS);
    }

    @Test
    void linesStatusAndEnvironmentArePassedOn() throws Exception {
        runner.start(
                List.of("/bin/sh", "-c", "echo \"$WHO\"; echo oops >&2; exit 13"), Map.of("WHO", "it is me"), listener);
        assertEquals(13, end());
        assertEquals(List.of("it is me"), listener.stdout);
        assertEquals(List.of("oops"), listener.stderr);
    }

    @Test
    void argumentsAreNotTouched() throws Exception {
        List<String> command = List.of("/bin/sh", "-c", "printf '%s\\n' \"$@\"", "sh", "a b", "$(id)", "'\"", "*", "");
        runner.start(command, Map.of(), listener);
        assertEquals(0, end());
        assertEquals(List.of("a b", "$(id)", "'\"", "*"), listener.stdout);
    }

    @Test
    void theDeviceForTheProgressIsTheSameStream() throws Exception {
        runner.start(
                List.of("/bin/sh", "-c", "echo write 40 x > \"$SYSUPGRADE_PROGRESS\""),
                Map.of("SYSUPGRADE_PROGRESS", "/dev/stdout"),
                listener);
        assertEquals(0, end());
        assertEquals(List.of("write 40 x"), listener.stdout);
    }

    @Test
    void everyLineComesBeforeTheEnd() throws Exception {
        CompletableFuture<Integer> linesAtEnd = new CompletableFuture<>();
        runner.start(
                List.of("/bin/sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done"),
                Map.of(),
                new ProcessRunner.ProcessListener() {
                    private final List<String> lines = new CopyOnWriteArrayList<>();

                    @Override
                    public void stdout(String line) {
                        lines.add(line);
                    }

                    @Override
                    public void stderr(String line) {
                        lines.add(line);
                    }

                    @Override
                    public void ended(int exitStatus) {
                        linesAtEnd.complete(lines.size());
                    }
                });
        assertEquals(2000, linesAtEnd.get(30, TimeUnit.SECONDS));
    }

    @Test
    void theStandardInputIsEmpty() throws Exception {
        runner.start(List.of("/bin/cat"), Map.of(), listener);
        assertEquals(0, end());
    }

    @Test
    void aMissingProgramIsAnError() {
        IOException e = assertThrows(
                IOException.class, () -> runner.start(List.of("/nonexistent/sysupgrade"), Map.of(), listener));
        assertTrue(e.getMessage().contains("/nonexistent/sysupgrade"), e.getMessage());
    }

    @Test
    void aKilledProgramHasTheStatusOfTheSignal() throws Exception {
        ProcessRunner.RunningProcess process =
                runner.start(List.of("/bin/sh", "-c", "echo up; exec sleep 1000"), Map.of(), listener);
        assertEquals("up", listener.firstLine.get(30, TimeUnit.SECONDS));
        process.kill();
        assertEquals(137, end());
    }

    @Test
    void aTreeIsKilledToItsLastLeaf() throws Exception {
        ProcessRunner.RunningProcess process = runner.start(
                List.of("/bin/sh", "-c", "sh -c 'sh -c \"echo \\$\\$ leaf; sleep 1000; :\"; :' & echo $! child; wait"),
                Map.of(),
                listener);
        while (listener.stdout.size() < 2) {
            assertTrue(ProcessHandle.of(process.pid()).isPresent());
            Thread.onSpinWait();
        }
        List<ProcessHandle> tree =
                ProcessHandle.of(process.pid()).orElseThrow().descendants().toList();
        assertTrue(tree.size() >= 2, tree.toString());
        process.killTree();
        assertEquals(137, end());
        for (ProcessHandle handle : tree) {
            handle.onExit().get(30, TimeUnit.SECONDS);
        }
    }

    @Test
    void somethingLeftBehindThatKeepsTheOutputOpenDoesNotHideTheEnd() throws Exception {
        runner.start(List.of("/bin/sh", "-c", "sleep 1000 & echo $!; exit 3"), Map.of(), listener);
        assertEquals(3, end());
        ProcessHandle.of(Long.parseLong(listener.stdout.get(0))).ifPresent(ProcessHandle::destroyForcibly);
    }

    @Test
    void aListenerThatFailsDoesNotBlockTheProgram() throws Exception {
        CompletableFuture<Integer> end = new CompletableFuture<>();
        runner.start(
                List.of(
                        "/bin/sh",
                        "-c",
                        "i=0; while [ $i -lt 5000 ]; do echo 0123456789012345678901234567890;" + " i=$((i+1)); done"),
                Map.of(),
                new ProcessRunner.ProcessListener() {
                    @Override
                    public void stdout(String line) {
                        throw new IllegalStateException("a fault");
                    }

                    @Override
                    public void stderr(String line) {}

                    @Override
                    public void ended(int exitStatus) {
                        end.complete(exitStatus);
                    }
                });
        assertEquals(0, end.get(30, TimeUnit.SECONDS));
    }
}
