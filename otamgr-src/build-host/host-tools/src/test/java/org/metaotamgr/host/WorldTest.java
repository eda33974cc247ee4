// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/** Networks and terminals as they are. */
class WorldTest {

    @TempDir
    Path temporary;

    /** A proxy that says no, and what it was asked. */
    private static final class Refuser implements AutoCloseable {
        final List<String> asked = Collections.synchronizedList(new ArrayList<>());
        private final ServerSocket socket = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());

        Refuser(int status) throws IOException {
            Thread thread = new Thread(() -> {
                while (!socket.isClosed()) {
                    try (Socket client = socket.accept()) {
                        StringBuilder head = new StringBuilder();
                        while (head.indexOf("\r\n\r\n") < 0) {
                            head.append((char) client.getInputStream().read());
                        }
                        asked.add(head.toString());
                        client.getOutputStream()
                                .write(("HTTP/1.1 " + status + " x\r\nProxy-Authenticate: Basic realm=\"corp\"\r\n"
                                                + "Content-Length: 0\r\nConnection: close\r\n\r\n")
                                        .getBytes(StandardCharsets.US_ASCII));
                    } catch (IOException e) {
                        continue;
                    }
                }
            });
            thread.setDaemon(true);
            thread.start();
        }

        String address() {
            return "127.0.0.1:" + socket.getLocalPort();
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }

    @ParameterizedTest
    @CsvSource({
        "407,https://ota.example.com",
        "403,https://ota.example.com",
        "502,https://ota.example.com",
        "407,http://localhost:1"
    })
    @DisplayName("a proxy that says no is named, with what to do")
    void proxyThatSaysNo(int status, String url) throws Exception {
        try (Workshop workshop = new Workshop(temporary);
                Refuser proxy = new Refuser(status)) {
            workshop.environment.put(
                    url.startsWith("https") ? "https_proxy" : "http_proxy", "http://" + proxy.address());
            Workshop.Result result = workshop.run("status", "-n", "1", "--url", url, "--retries", "1");
            assertEquals(ExitStatus.NETWORK.code(), result.exit(), result.toString());
            assertTrue(
                    result.err().contains("the proxy " + proxy.address())
                            && result.err().contains("HTTP " + status),
                    result.toString());
            assertEquals(status == 502 ? 2 : 1, proxy.asked.size(), "what may pass is tried again");
        }
    }

    @Test
    @DisplayName("the user of a proxy is told to the proxy, and shown to nobody")
    void userOfProxy() throws Exception {
        // In a process of its own: Java reads once what proxies may be told.
        try (Workshop workshop = new Workshop(temporary);
                Refuser proxy = new Refuser(407)) {
            ProcessBuilder builder = new ProcessBuilder(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "-cp",
                    System.getProperty("java.class.path"),
                    Ota.class.getName(),
                    "status",
                    "-n",
                    "1",
                    "--url",
                    "https://ota.example.com",
                    "--trace");
            builder.environment().put("https_proxy", "http://us%40er:pass%3Aword@" + proxy.address());
            Process process = builder.directory(workshop.folder.toFile())
                    .redirectErrorStream(true)
                    .start();
            String result = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertEquals(ExitStatus.NETWORK.code(), process.waitFor(), result);
            String header = "Proxy-Authorization: Basic "
                    + java.util.Base64.getEncoder().encodeToString("us@er:pass:word".getBytes(StandardCharsets.UTF_8));
            assertTrue(proxy.asked.get(0).contains(header), proxy.asked.toString());
            assertFalse(result.contains("pass:word") || result.contains("pass%3Aword"), result);
            assertFalse(proxy.asked.toString().contains("Bearer"), proxy.asked.toString());
        }
    }

    @Test
    @DisplayName("the environment, its exceptions and --proxy none are obeyed")
    void environmentOfProxies() throws Exception {
        try (Workshop workshop = new Workshop(temporary);
                Refuser proxy = new Refuser(407)) {
            workshop.environment.put("http_proxy", proxy.address());
            assertEquals(ExitStatus.NETWORK.code(), workshop.run("status").exit());
            workshop.good("status", "--proxy", "none");
            workshop.environment.put("no_proxy", "127.0.0.0/8");
            workshop.good("status");
            assertEquals(
                    ExitStatus.NETWORK.code(),
                    workshop.run("status", "--proxy", proxy.address()).exit());
            assertEquals(
                    ExitStatus.USAGE.code(),
                    workshop.run("status", "--proxy", "socks5://x").exit());
            assertEquals(2, proxy.asked.size());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "--json"})
    @DisplayName("what a service says can neither move the cursor nor hide text")
    void controlCharacters(String json) throws Exception {
        String evil = "\u001b[31mred\u009b2J\u202eabc\u0007\r\u0000\u200bend";
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.createContext("/", exchange -> {
            boolean isToken = exchange.getRequestURI().getPath().equals("/oauth/token");
            String text = isToken
                    ? "{\"access_token\":\"placeholder\",\"expires_in\":600}"
                    : exchange.getRequestURI().getPath().contains("firmwareImages")
                            ? "{\"content\":[{\"id\":5,\"name\":" + quoted(evil) + ",\"version\":" + quoted(evil)
                                    + ",\"versionNumber\":7,\"type\":5}],\"totalPages\":1}"
                            : "{\"error\":" + quoted(evil) + ",\"message\":" + quoted(evil) + "}";
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(isToken || text.contains("content") ? 200 : 500, bytes.length);
            exchange.getResponseBody().write(bytes);
            exchange.close();
        });
        server.start();
        try (Workshop workshop = new Workshop(temporary)) {
            for (String[] command : new String[][] {
                {"image", "list"}, {"image", "pool"}, {"status", "-n", "1"}, {"deploy", "-i", evil, "-d", evil}, {evil}
            }) {
                List<String> words = new ArrayList<>(List.of(command));
                if (!command[0].equals(evil)) {
                    words.addAll(List.of(
                            "--url", "http://127.0.0.1:" + server.getAddress().getPort(), "--retries", "0"));
                    if (!json.isEmpty()) {
                        words.add(json);
                    }
                }
                Workshop.Result result = workshop.run(words.toArray(new String[0]));
                (result.out() + result.err())
                        .codePoints()
                        .filter(one -> one != '\n')
                        .forEach(one -> assertTrue(
                                !Character.isISOControl(one) && Character.getType(one) != Character.FORMAT,
                                () -> words + ": " + Integer.toHexString(one)));
            }
        } finally {
            server.stop(0);
        }
    }

    /** As JSON allows it: control characters of ASCII escaped, all others as they are. */
    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        text.chars().forEach(one -> quoted.append(one < ' ' ? String.format("\\u%04x", one) : Character.toString(one)));
        return quoted.append('"').toString();
    }

    @ParameterizedTest
    @ValueSource(strings = {"image list", "image list --json", "--help", "generate-completion"})
    @DisplayName("a result that standard output did not take is a failure")
    void fullOutput(String command) throws Exception {
        try (Workshop workshop = new Workshop(temporary);
                PrintStream full = new PrintStream(new FileOutputStream("/dev/full"), true)) {
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            int exit = Ota.run(workshop.context(full, new PrintStream(err, true)), command.split(" "));
            assertEquals(ExitStatus.LOCAL.code(), exit);
            assertTrue(
                    err.toString(StandardCharsets.UTF_8).contains("standard output: expected that it takes the result"),
                    err.toString(StandardCharsets.UTF_8));
        }
    }

    @Test
    @DisplayName("the help of every command can be formatted: percent signs and all")
    void helpOfEveryCommand() throws Exception {
        // picocli tells what it cannot format on the standard error of the process.
        PrintStream usual = System.err;
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        System.setErr(new PrintStream(said, true));
        try (Workshop workshop = new Workshop(temporary)) {
            List<List<String>> commands = new ArrayList<>();
            collect(Ota.commandLine(), List.of(), commands);
            for (List<String> words : commands) {
                List<String> all = new ArrayList<>(words);
                all.add("--help");
                Workshop.Result result = workshop.run(all.toArray(new String[0]));
                assertEquals(0, result.exit(), result.toString());
                assertTrue(result.out().length() > 100 && result.err().isEmpty(), result.toString());
                assertTrue(
                        words.isEmpty()
                                || words.contains("help")
                                || words.contains("generate-completion")
                                || result.out().contains("example: ota " + words.get(0)),
                        result.toString());
            }
            for (String other : List.of(PartnerUploader.NAME, PartnerDeploy.NAME)) {
                workshop.run("--as=" + other, "--help");
            }
            assertTrue(commands.size() > 10, commands.toString());
        } finally {
            System.setErr(usual);
        }
        assertEquals("", said.toString(StandardCharsets.UTF_8));
    }

    @Test
    @DisplayName("a mistyped command or option is asked about")
    void nearestWord() throws Exception {
        try (Workshop workshop = new Workshop(temporary)) {
            assertTrue(
                    workshop.run("statsu").err().contains("; did you mean "),
                    workshop.run("statsu").toString());
            Workshop.Result option = workshop.run("image", "list", "--jsno");
            assertTrue(option.err().contains("; did you mean --json?"), option.toString());
        }
    }

    private static void collect(CommandLine line, List<String> words, List<List<String>> found) {
        found.add(words);
        line.getSubcommands().forEach((name, command) -> {
            List<String> longer = new ArrayList<>(words);
            longer.add(name);
            if (!name.equals("help")) {
                collect(command, longer, found);
            }
        });
    }

    @Test
    @DisplayName("a journal on a full disk has no half lines")
    void journalOnAFullDisk() throws Exception {
        Path main = Files.writeString(temporary.resolve("x"), "");
        String program = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        Process process = new ProcessBuilder(
                        "sh",
                        "-c",
                        "ulimit -f 8; exec \"$@\"",
                        "sh",
                        program,
                        "-XX:-UsePerfData",
                        "-cp",
                        System.getProperty("java.class.path"),
                        JournalWriter.class.getName(),
                        main.resolveSibling("journal").toString())
                .redirectErrorStream(true)
                .start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), said);
        assertTrue(said.contains("the journal cannot be written"), said);
        try (DeployJournal journal = DeployJournal.open(temporary.resolve("journal"), "image 1")) {
            assertEquals(
                    Integer.parseInt(said.lines().reduce((one, last) -> last).orElseThrow()),
                    journal.known().size());
        }
    }

    /** Writes until it cannot any more, and once more; prints how many entries it was told are there. */
    public static final class JournalWriter {
        private JournalWriter() {}

        public static void main(String[] arguments) throws Exception {
            int written = 0;
            try (DeployJournal journal = DeployJournal.open(Path.of(arguments[0]), "image 1")) {
                for (int tries = 0, failures = 0; failures < 3; tries++) {
                    try {
                        journal.ended(
                                "device-" + tries,
                                DeployJournal.Entry.ACCEPTED,
                                "x".repeat(failures == 0 ? 100 : 1000));
                        written++;
                    } catch (OtaException e) {
                        System.out.println(e.getMessage());
                        failures++;
                    }
                }
            }
            System.out.println(written);
        }
    }
}
