// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.URI;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("The connection of an upload")
class UploadConnectionTest {

    private static final int SIZE = 20_000_000;
    private static final Rest.Timeouts PATIENCE = new Rest.Timeouts(Duration.ofSeconds(5), Duration.ofSeconds(5), 0);

    @TempDir
    Path temporary;

    private final ProxySelector usual = ProxySelector.getDefault();
    private ServerSocket server;
    private byte[] image;
    private Path file;

    /** The other end, byte by byte, because a real server would not misbehave. */
    private interface Service {
        void serve(InputStream in, OutputStream out, Socket socket) throws Exception;
    }

    @BeforeEach
    void start() throws IOException {
        server = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
        image = new byte[SIZE];
        new Random(7).nextBytes(image);
        file = Files.write(temporary.resolve("image"), image);
    }

    @AfterEach
    void stop() throws IOException {
        ProxySelector.setDefault(usual);
        server.close();
    }

    private CompletableFuture<Void> serve(Service service) {
        CompletableFuture<Void> done = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            try (Socket socket = server.accept()) {
                service.serve(socket.getInputStream(), socket.getOutputStream(), socket);
                done.complete(null);
            } catch (Exception e) {
                done.completeExceptionally(e);
            }
        });
        thread.setDaemon(true);
        thread.start();
        return done;
    }

    private static String head(InputStream in) throws IOException {
        ByteArrayOutputStream head = new ByteArrayOutputStream();
        while (!head.toString(StandardCharsets.ISO_8859_1).endsWith("\r\n\r\n")) {
            head.write(in.read());
        }
        return head.toString(StandardCharsets.ISO_8859_1);
    }

    private static void say(OutputStream out, String text) throws IOException {
        out.write(text.getBytes(StandardCharsets.ISO_8859_1));
        out.flush();
    }

    private URI uri(String path) {
        return URI.create("http://127.0.0.1:" + server.getLocalPort() + path);
    }

    private UploadConnection.Reply post(URI uri) throws IOException {
        try (UploadConnection connection = new UploadConnection(uri, PATIENCE, Optional.empty())) {
            return connection.post(Map.of("Accept", "application/json"), new UploadBody(file, SIZE));
        }
    }

    @ParameterizedTest
    @DisplayName("understands every way in which HTTP/1.1 ends a body, and answers before the final one")
    @ValueSource(
            strings = {
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
                "HTTP/1.0 200\r\n\r\nhello",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhello"
            })
    void answers(String answer) throws Exception {
        CompletableFuture<Void> served = serve((in, out, socket) -> {
            String head = head(in);
            assertTrue(
                    head.startsWith("POST /a%2Bb HTTP/1.1\r\nHost: 127.0.0.1:" + server.getLocalPort() + "\r\n"), head);
            assertTrue(
                    head.contains("\r\nContent-Length: " + SIZE + "\r\n")
                            && head.contains("\r\nAccept: application/json\r\n"),
                    head);
            assertArrayEquals(image, in.readNBytes(SIZE));
            say(out, answer);
        });
        UploadConnection.Reply reply = post(uri("/a%2Bb"));
        assertEquals(200, reply.status());
        assertEquals("hello", new String(reply.body(), StandardCharsets.UTF_8));
        served.get(5, TimeUnit.SECONDS);
    }

    @ParameterizedTest
    @DisplayName("takes nothing for an answer that is none, ends early or is endless")
    @ValueSource(
            strings = {
                "",
                "SMTP ready\r\n\r\n",
                "HTTP/1.1 200 OK\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"
            })
    void wrongAnswers(String answer) {
        serve((in, out, socket) -> {
            head(in);
            in.readNBytes(SIZE);
            say(out, answer);
        });
        assertThrows(IOException.class, () -> post(uri("/")));
    }

    @ParameterizedTest(name = "after {0} bytes")
    @DisplayName("hears why the service does not take more, also when that hangs up at once")
    @ValueSource(ints = {0, 1_000_000})
    void refusedEarly(int taken) throws Exception {
        serve((in, out, socket) -> {
            head(in);
            in.readNBytes(taken);
            say(out, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        });
        UploadConnection.Reply reply = post(uri("/"));
        assertEquals(413, reply.status());
        assertEquals("no", new String(reply.body(), StandardCharsets.UTF_8));
    }

    @ParameterizedTest(name = "TLS {0}")
    @DisplayName(
            "that stands still in the middle of the body, or of the TLS handshake, ends at once when it is closed by another thread")
    @CsvSource({"false", "true"})
    void closedWhileItStandsStill(boolean secure) throws Exception {
        CountDownLatch end = new CountDownLatch(1);
        serve((in, out, socket) -> {
            if (!secure) {
                head(in);
            }
            end.await();
        });
        URI target = secure ? URI.create(uri("/").toString().replace("http:", "https:")) : uri("/");
        UploadConnection connection = new UploadConnection(target, PATIENCE, Optional.empty());
        UploadBody body = new UploadBody(file, SIZE);
        CompletableFuture<UploadConnection.Reply> sending = CompletableFuture.supplyAsync(() -> {
            try {
                return connection.post(Map.of(), body);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        long before = -1;
        while (!secure && (body.sent() == 0 || body.sent() != before)) {
            before = body.sent();
            Thread.sleep(100);
        }
        assertTrue(body.sent() < SIZE);
        assertTimeoutPreemptively(Duration.ofSeconds(2), connection::close);
        assertThrows(ExecutionException.class, () -> sending.get(3, TimeUnit.SECONDS));
        end.countDown();
    }

    @Test
    @DisplayName("waits for the answer as long as it was told, and not longer")
    void noAnswer() {
        CountDownLatch end = new CountDownLatch(1);
        serve((in, out, socket) -> {
            head(in);
            in.readNBytes(SIZE);
            end.await();
        });
        try (UploadConnection connection = new UploadConnection(
                uri("/"), new Rest.Timeouts(Duration.ofSeconds(1), Duration.ofSeconds(1), 0), Optional.empty())) {
            assertThrows(HttpTimeoutException.class, () -> connection.post(Map.of(), new UploadBody(file, SIZE)));
        }
        end.countDown();
    }

    @Test
    @DisplayName("tells a host that is not there, or does not listen, from one that breaks off")
    void nobody() throws Exception {
        assertThrows(ConnectException.class, () -> post(URI.create("http://nobody.invalid/")));
        URI gone = uri("/");
        server.close();
        assertThrows(ConnectException.class, () -> post(gone));
    }

    @Test
    @DisplayName("tells a file that became shorter from a connection that broke")
    void shorter() throws Exception {
        serve((in, out, socket) -> in.readAllBytes());
        UploadBody body = new UploadBody(file, SIZE + 1);
        try (UploadConnection connection = new UploadConnection(uri("/"), PATIENCE, Optional.empty())) {
            assertThrows(IOException.class, () -> connection.post(Map.of(), body));
        }
        assertNotNull(body.failure());
    }

    private void throughProxy() {
        SocketAddress proxy = new InetSocketAddress(InetAddress.getLoopbackAddress(), server.getLocalPort());
        ProxySelector.setDefault(new ProxySelector() {
            @Override
            public List<Proxy> select(URI uri) {
                return List.of(new Proxy(Proxy.Type.HTTP, proxy));
            }

            @Override
            public void connectFailed(URI uri, SocketAddress address, IOException problem) {
                throw new UncheckedIOException(problem);
            }
        });
    }

    @Test
    @DisplayName(
            "goes through the proxy that Java is told to use: whole address for HTTP, a tunnel for HTTPS that names no secret")
    void proxy() throws Exception {
        throughProxy();
        CompletableFuture<Void> plain = serve((in, out, socket) -> {
            String head = head(in);
            assertTrue(head.startsWith("POST http://service.invalid/x HTTP/1.1\r\nHost: service.invalid\r\n"), head);
            in.readNBytes(SIZE);
            say(out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        assertEquals(200, post(URI.create("http://service.invalid/x")).status());
        plain.get(5, TimeUnit.SECONDS);
        CompletableFuture<Void> tunnel = serve((in, out, socket) -> {
            String head = head(in);
            assertTrue(head.startsWith("CONNECT service.invalid:443 HTTP/1.1\r\n"), head);
            assertTrue(!head.contains("Authorization"), head);
            say(out, "HTTP/1.1 200 Connection established\r\n\r\n");
            assertEquals(22, in.read(), "a TLS handshake");
        });
        try (UploadConnection connection =
                new UploadConnection(URI.create("https://service.invalid/x"), PATIENCE, Optional.empty())) {
            assertThrows(
                    IOException.class,
                    () -> connection.post(Map.of("Authorization", "Bearer placeholder"), new UploadBody(file, SIZE)));
        }
        tunnel.get(5, TimeUnit.SECONDS);
        serve((in, out, socket) -> {
            head(in);
            say(out, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
        });
        assertThrows(ConnectException.class, () -> post(URI.create("https://service.invalid/x")));
    }
}
