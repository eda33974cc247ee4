// SPDX-License-Identifier: MIT
package org.metaotamgr.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;

@Timeout(60)
class ControlServerTest {
    @TempDir
    private Path folder;

    private Path socket;
    private final List<String> log = new CopyOnWriteArrayList<>();
    private final CountDownLatch gone = new CountDownLatch(1);
    private ControlServer server;

    @BeforeEach
    void aServer() throws IOException {
        socket = folder.resolve("run/control");
        server = ControlServer.start(
                socket,
                (arguments, answer) -> {
                    if (arguments.contains("wait")) {
                        while (answer.isWanted()) {
                            answer.progress("waiting");
                            Thread.sleep(10);
                        }
                        gone.countDown();
                        return 0;
                    }
                    if (arguments.contains("break")) {
                        throw new IllegalStateException("broken");
                    }
                    answer.progress("half");
                    answer.err("careful");
                    answer.out("heard " + arguments);
                    return 42;
                },
                (severity, line) -> log.add(line));
    }

    @AfterEach
    void closed() {
        server.close();
        assertFalse(Files.exists(socket));
    }

    private List<String> ask(byte[] request) throws IOException {
        try (AFUNIXSocket client = AFUNIXSocket.newInstance()) {
            client.connect(AFUNIXSocketAddress.of(socket));
            client.getOutputStream().write(request);
            return new ArrayList<>(new String(client.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
                    .lines()
                    .toList());
        }
    }

    private List<String> ask(String request) throws IOException {
        return ask(request.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void aCommandIsAnsweredLineByLineAndEndsWithItsExitCode() throws IOException {
        assertEquals(
                List.of("p half", "e careful", "o heard [pull, ü \"x\"]", "x 42"),
                ask("{\"arguments\":[\"pull\",\"ü \\\"x\\\"\"]}\n"));
    }

    @Test
    void nobodyElseMayOpenTheSocket() throws IOException {
        assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(socket)));
    }

    @Test
    void anotherUserIsRefusedAlsoWhereTheSocketIsOpen() throws Exception {
        assumeTrue("root".equals(System.getProperty("user.name")), "only root can be another user");
        for (Path above : List.of(folder, socket.getParent())) {
            Files.setPosixFilePermissions(above, PosixFilePermissions.fromString("rwxr-xr-x"));
        }
        Files.setPosixFilePermissions(socket, PosixFilePermissions.fromString("rw-rw-rw-"));
        Process client = new ProcessBuilder(
                        "setpriv",
                        "--reuid=65534",
                        "--clear-groups",
                        "/usr/bin/python3",
                        "-c",
                        """
                import socket, sys
                link = socket.socket(socket.AF_UNIX)
                link.connect(sys.argv[1])
                link.sendall(b'{"arguments":["install"]}\\n')
                answer = b""
                while block := link.recv(4096):
                    answer += block
                print(answer.decode(), end="")
                """,
                        socket.toString())
                .redirectErrorStream(true)
                .start();
        String answer = new String(client.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(answer.contains("65534") && answer.endsWith("\nx 1\n"), answer);
        assertTrue(log.stream().anyMatch(line -> line.equals("control_refused:uid=65534")), log.toString());
        assertFalse(log.stream().anyMatch(line -> line.startsWith("control:command")), log.toString());
    }

    @Test
    void whatIsNoRequestIsRefusedAndTheServerGoesOn() throws IOException {
        for (String request : List.of(
                "\n",
                "{}\n",
                "[\"x\"]\n",
                "{\"arguments\":[1]}\n",
                "{\"arguments\":\"x\"}\n",
                "\u0000\n",
                "x".repeat(20000) + "\n",
                "{\"arguments\":" + "[".repeat(5000) + "\n")) {
            List<String> answer = ask(request);
            assertEquals("x 2", answer.get(answer.size() - 1), request);
        }
        assertEquals("x 42", ask("{\"arguments\":[]}\n").get(3));
    }

    @Test
    void whatFailsInsideIsSaidAndTheServerGoesOn() throws IOException {
        assertEquals(
                List.of("e an internal error: java.lang.IllegalStateException: broken", "x 1"),
                ask("{\"arguments\":[\"break\"]}\n"));
        assertTrue(log.stream().anyMatch(line -> line.startsWith("internal_error:")));
        assertEquals("x 42", ask("{\"arguments\":[]}\n").get(3));
    }

    @Test
    void aCommandHearsThatNobodyWaitsForItAnyMore() throws Exception {
        try (AFUNIXSocket client = AFUNIXSocket.newInstance()) {
            client.connect(AFUNIXSocketAddress.of(socket));
            client.getOutputStream().write("{\"arguments\":[\"wait\"]}\n".getBytes(StandardCharsets.UTF_8));
            client.getInputStream().read();
        }
        assertTrue(gone.await(20, TimeUnit.SECONDS));
    }

    @Test
    void whatAnEarlierDaemonLeftIsReplaced() throws IOException {
        server.close();
        Files.writeString(socket, "stale");
        server = ControlServer.start(socket, (arguments, answer) -> 7, (severity, line) -> log.add(line));
        assertEquals(List.of("x 7"), ask("{\"arguments\":[]}\n"));
    }
}
