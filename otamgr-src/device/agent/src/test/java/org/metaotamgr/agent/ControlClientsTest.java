// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.control.AgentCommands;
import org.metaotamgr.control.Answer;
import org.metaotamgr.control.ControlServer;
import org.metaotamgr.device.ProgressLine;

/** docs/reference/control.md: the daemon's socket keeps it, and the clients of that page work. */
@Timeout(180)
class ControlClientsTest {
    @TempDir
    private Path folder;

    private Path clients;
    private TestDevice board;
    private AgentDevice device;
    private ControlServer server;

    private record Call(int status, String out, String err) {}

    @BeforeEach
    void aDaemonsSocket() throws Exception {
        Path up = Path.of("").toAbsolutePath();
        while (!Files.isDirectory(up.resolve("docs/reference/clients"))) {
            up = up.getParent();
        }
        clients = up.resolve("docs/reference/clients");
        board = new TestDevice(folder);
        device = board.open();
        AgentCommands.Host host = new AgentCommands.Host() {
            @Override
            public Result finalise(Answer answer) {
                answer.progress("waiting 1 %");
                return device.finalisation().last();
            }

            @Override
            public void armedByCommand() {}
        };
        server = ControlServer.start(socket(), new AgentCommands(device, Optional.empty(), host), board.eventLog());
    }

    @AfterEach
    void closed() {
        server.close();
    }

    private Path socket() {
        return folder.resolve("run/control");
    }

    private Call call(String... words) throws Exception {
        Path out = folder.resolve("out");
        Path err = folder.resolve("err");
        ProcessBuilder builder = new ProcessBuilder(words);
        builder.environment()
                .put("OTAMGR_CONTROL", folder.resolve("otamgr-control").toString());
        Process process =
                builder.redirectOutput(out.toFile()).redirectError(err.toFile()).start();
        int status = process.waitFor();
        return new Call(
                status, Files.readString(out, StandardCharsets.UTF_8), Files.readString(err, StandardCharsets.UTF_8));
    }

    private void compiled(Path source, Path program) throws Exception {
        Call compiler = call(
                "cc",
                "-std=c11",
                "-D_GNU_SOURCE",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-o",
                program.toString(),
                source.toString());
        assertEquals(0, compiler.status(), compiler.err());
    }

    @Test
    void theSocketKeepsEveryPromiseOfTheConformanceTest() throws Exception {
        Call tested = call("python3", clients.resolve("conformance.py").toString(), socket().toString());
        assertEquals(0, tested.status(), tested.out() + tested.err());
        assertTrue(tested.out().contains(" passed, 0 failed"), tested.out());
    }

    @Test
    void theClientsInPythonJavaCAndShellShowTheSame() throws Exception {
        Path c = folder.resolve("client");
        compiled(clients.resolve("client.c"), c);
        compiled(
                clients.resolve("../../../recipes-ota/otamgr/files/otamgr-control.c"),
                folder.resolve("otamgr-control"));
        List<List<String>> all = List.of(
                List.of("python3", clients.resolve("client.py").toString()),
                List.of("java", clients.resolve("Client.java").toString()),
                List.of(c.toString()),
                List.of("sh", clients.resolve("client.sh").toString()));
        for (List<String> client : all) {
            Call status = ask(client, "status");
            assertEquals(0, status.status(), client + status.err());
            assertTrue(status.out().contains("slot       a runs and is committed\n"), client + status.out());
            Call json = ask(client, "status", "--json");
            assertTrue(json.out().startsWith("{\"slot\":{\"state\":\"committed\""), client + json.out());
            Call run = ask(client, "run");
            assertEquals(ExitCode.NOTHING_PENDING.status(), run.status(), client + run.err());
            assertTrue(run.err().contains("waiting 1 %"), client + run.err());
            Call typo = ask(client, "instal");
            assertEquals(2, typo.status(), client + typo.err());
            assertTrue(typo.err().contains("did you mean install?"), client + typo.err());
        }
    }

    private Call ask(List<String> client, String... words) throws Exception {
        List<String> all = new ArrayList<>(client);
        all.add(socket().toString());
        all.addAll(List.of(words));
        return call(all.toArray(String[]::new));
    }

    @Test
    void everyCommandHasHelpWithAnExampleAndDoesNothing() throws Exception {
        List<String> client = List.of("python3", clients.resolve("client.py").toString());
        for (String command : List.of("check", "pull", "install", "run", "status", "list", "rollback", "watch")) {
            Call help = ask(client, command, "--help");
            assertEquals(0, help.status(), command + help.err());
            assertTrue(help.out().startsWith("usage: otamgr " + command), help.out());
            assertTrue(help.out().contains("example: otamgr " + command), help.out());
        }
        assertEquals(List.of(), board.sysupgradeRuns());
        Call typo = ask(client, "status", "--jsn");
        assertTrue(typo.err().contains("did you mean --json?"), typo.err());
    }

    @Test
    void whoeverWatchesSeesEachStepAndTheProgressAndTwoMay() throws Exception {
        List<String> client = List.of("python3", clients.resolve("client.py").toString());
        Path program = folder.resolve("otamgr-control");
        compiled(clients.resolve("../../../recipes-ota/otamgr/files/otamgr-control.c"), program);
        List<Process> watching = new ArrayList<>();
        List<BufferedReader> seen = new ArrayList<>();
        try {
            for (List<String> words : List.of(
                    List.of("python3", client.get(1), socket().toString(), "watch", "--json"),
                    List.of(program.toString(), socket().toString(), "watch"))) {
                watching.add(new ProcessBuilder(words).start());
                seen.add(watching.get(watching.size() - 1).inputReader(StandardCharsets.UTF_8));
            }
            assertEquals("{\"event\":\"watching\"}", seen.get(0).readLine());
            assertEquals("watching", seen.get(1).readLine());
            Call third = ask(client, "watch");
            assertEquals(ExitCode.IN_PROGRESS.status(), third.status(), third.err());
            assertTrue(third.err().contains("two watch already"), third.err());

            Callbacks callbacks = device.callbacks();
            Optional<String> target = Optional.of("system-2.0");
            callbacks.call(Callbacks.Message.DOWNLOAD_POST, target, Optional.of(new Callbacks.Result.Pulled(17)));
            callbacks.watched("system-2.0", line -> {}).accept(new ProgressLine("write", 12, "writing"));
            callbacks.call(
                    Callbacks.Message.INSTALL_POST, target, Optional.of(new Callbacks.Result.Failed("no \"room\"")));
            for (String line : List.of(
                    "{\"event\":\"download-post\",\"target\":\"system-2.0\",\"result\":\"OK\",\"fetchedBytes\":17}",
                    "{\"event\":\"progress\",\"target\":\"system-2.0\",\"phase\":\"write\",\"percent\":12}",
                    "{\"event\":\"install-post\",\"target\":\"system-2.0\",\"result\":\"FAILED\",\"reason\":\"no \\\"room\\\"\"}")) {
                assertEquals(line, seen.get(0).readLine());
            }
            assertEquals("download-post  system-2.0  OK  17", seen.get(1).readLine());
            assertEquals("progress  system-2.0  write  12", seen.get(1).readLine());
        } finally {
            watching.forEach(Process::destroyForcibly);
        }
    }

    @Test
    void statusSaysInASentenceWhereTheDeviceStands() throws Exception {
        List<String> client = List.of("python3", clients.resolve("client.py").toString());
        board.slot("b", "a", "b", "t-1", "");
        assertTrue(ask(client, "status")
                .out()
                .contains("slot       b runs on trial; it is committed once it is healthy, else a runs again\n"));
        board.slot("a", "a", "b", "t-1", "");
        assertTrue(ask(client, "status")
                .out()
                .contains("slot       a runs; b is armed: the next reboot starts its trial\n"));
        assertTrue(ask(client, "status").out().contains("floor      0.9  (nothing older is installed)\n"));
        Files.writeString(folder.resolve("etc/manifest"), "version=1.0\nx-support-until=2031-12-31\n");
        assertTrue(ask(client, "status").out().contains("supported  until 2031-12-31\n"));
        assertTrue(
                ask(client, "status", "--json").out().contains("\"nextCheck\":\"\",\"supportedUntil\":\"2031-12-31\""));
        Files.writeString(folder.resolve("etc/manifest"), "version=1.0\nx-support-until=for ever\n");
        assertFalse(ask(client, "status").out().contains("supported"));
        Files.delete(folder.resolve("slot"));
        Call unknown = ask(client, "status");
        assertEquals(ExitCode.UNKNOWN.status(), unknown.status());
        assertTrue(unknown.out().contains("try: ota-doctor\n"), unknown.out());
    }
}
