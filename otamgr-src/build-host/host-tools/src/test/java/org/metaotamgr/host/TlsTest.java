// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("TLS is verified")
class TlsTest {

    @TempDir
    Path temporary;

    private final AtomicInteger requests = new AtomicInteger();

    private SSLContext context(String name) throws Exception {
        Path file = temporary.resolve(name + ".p12");
        if (!Files.exists(file)) {
            Process keytool = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "keytool")
                                    .toString(),
                            "-genkeypair",
                            "-alias",
                            "x",
                            "-keyalg",
                            "EC",
                            "-dname",
                            "CN=" + name,
                            "-ext",
                            "san=dns:" + name + (name.equals("localhost") ? ",ip:127.0.0.1" : ""),
                            "-keystore",
                            file.toString(),
                            "-storetype",
                            "PKCS12",
                            "-storepass",
                            "changeit",
                            "-validity",
                            "2")
                    .redirectErrorStream(true)
                    .start();
            String said = new String(keytool.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertEquals(0, keytool.waitFor(), said);
        }
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream in = Files.newInputStream(file)) {
            store.load(in, "changeit".toCharArray());
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, "changeit".toCharArray());
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("x", store.getCertificate("x"));
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    private HttpsServer server(SSLContext context, String... protocols) throws Exception {
        HttpsServer server = HttpsServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setHttpsConfigurator(new HttpsConfigurator(context) {
            @Override
            public void configure(HttpsParameters parameters) {
                var wanted = context.getDefaultSSLParameters();
                if (protocols.length > 0) {
                    wanted.setProtocols(protocols);
                }
                parameters.setSSLParameters(wanted);
            }
        });
        server.createContext("/", exchange -> {
            requests.incrementAndGet();
            exchange.getRequestBody().readAllBytes();
            byte[] answer = (exchange.getRequestURI().getPath().equals("/oauth/token")
                            ? "{\"access_token\":\"over-tls\",\"expires_in\":1000}"
                            : "{\"content\":[],\"totalPages\":0}")
                    .getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
        return server;
    }

    private Workshop.Result list(HttpsServer server, Optional<SSLContext> trusted) throws Exception {
        try (Workshop shop = new Workshop(temporary)) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            ProcessContext plain = shop.context(
                    new PrintStream(out, true, StandardCharsets.UTF_8),
                    new PrintStream(err, true, StandardCharsets.UTF_8));
            ProcessContext process = new ProcessContext(
                    plain.environment(),
                    plain.folder(),
                    plain.in(),
                    plain.out(),
                    plain.err(),
                    false,
                    80,
                    plain.clock(),
                    plain.sleeper(),
                    trusted);
            int exit = Ota.run(
                    process,
                    "image",
                    "list",
                    "--url",
                    "https://localhost:" + server.getAddress().getPort());
            return new Workshop.Result(
                    exit, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
        }
    }

    @Test
    @DisplayName("a certificate that is trusted and fits the host is accepted, by TLS 1.2 and 1.3")
    void good() throws Exception {
        for (String protocol : new String[] {"TLSv1.2", "TLSv1.3"}) {
            HttpsServer server = server(context("localhost"), protocol);
            Workshop.Result result = list(server, Optional.of(context("localhost")));
            server.stop(0);
            assertEquals(0, result.exit(), result::toString);
        }
        assertEquals(4, requests.get());
    }

    @Test
    @DisplayName("an image arrives over TLS with all its bytes")
    void image() throws Exception {
        byte[] bytes = new byte[5_000_001];
        new Random(1).nextBytes(bytes);
        Path file = Files.write(temporary.resolve("image"), bytes);
        HttpsServer server = server(context("localhost"));
        server.createContext("/image", exchange -> {
            byte[] received = exchange.getRequestBody().readAllBytes();
            exchange.sendResponseHeaders(Arrays.equals(bytes, received) ? 200 : 400, -1);
            exchange.close();
        });
        int status;
        try (UploadConnection connection = connection(server, "/image", "localhost")) {
            status = connection
                    .post(Map.of(), new UploadBody(file, bytes.length))
                    .status();
        }
        server.stop(0);
        assertEquals(200, status);
    }

    private UploadConnection connection(HttpsServer server, String path, String trusted) throws Exception {
        return new UploadConnection(
                URI.create("https://localhost:" + server.getAddress().getPort() + path),
                new Rest.Timeouts(Duration.ofSeconds(5), Duration.ofSeconds(5), 0),
                Optional.of(context(trusted)));
    }

    @Test
    @DisplayName(
            "an image is not sent to whoever has a certificate that nobody vouches for, that is for another host, or an old TLS")
    void imageToNobody() throws Exception {
        Path file = Files.write(temporary.resolve("image"), new byte[1000]);
        HttpsServer unknown = server(context("localhost"));
        HttpsServer other = server(context("other.example"));
        HttpsServer old = server(context("localhost"), "TLSv1.1");
        try (UploadConnection toUnknown = connection(unknown, "/", "other.example");
                UploadConnection toOther = connection(other, "/", "other.example");
                UploadConnection toOld = connection(old, "/", "localhost")) {
            for (UploadConnection connection : List.of(toUnknown, toOther, toOld)) {
                assertThrows(
                        SSLException.class,
                        () -> connection.post(
                                Map.of("Authorization", "Bearer placeholder"), new UploadBody(file, 1000)));
            }
        }
        unknown.stop(0);
        other.stop(0);
        old.stop(0);
        assertEquals(0, requests.get());
    }

    @Test
    @DisplayName("an upload that stands still over TLS ends at once when it is given up")
    void standstill() throws Exception {
        Path file = Files.write(temporary.resolve("image"), new byte[30_000_000]);
        CountDownLatch end = new CountDownLatch(1);
        HttpsServer server = server(context("localhost"));
        server.createContext("/stall", exchange -> {
            try {
                end.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        UploadBody body = new UploadBody(file, 30_000_000);
        UploadConnection connection = connection(server, "/stall", "localhost");
        FutureTask<UploadConnection.Reply> sending = new FutureTask<>(() -> connection.post(Map.of(), body));
        Thread sender = new Thread(sending);
        sender.setDaemon(true);
        sender.start();
        while (body.sent() == 0 || body.standstill() < 300_000_000) {
            Thread.sleep(20);
        }
        assertTrue(body.sent() < 30_000_000);
        assertTimeoutPreemptively(Duration.ofSeconds(2), connection::close);
        assertThrows(ExecutionException.class, () -> sending.get(3, TimeUnit.SECONDS));
        end.countDown();
        server.stop(0);
    }

    @Test
    @DisplayName(
            "a certificate that nobody vouches for, or that is for another host, ends the command before anything is sent")
    void bad() throws Exception {
        HttpsServer unknown = server(context("localhost"));
        Workshop.Result result = list(unknown, Optional.empty());
        unknown.stop(0);
        assertEquals(ExitStatus.NETWORK.code(), result.exit(), result::toString);
        assertTrue(result.err().contains("TLS"), result.err());
        HttpsServer other = server(context("other.example"));
        Workshop.Result wrongHost = list(other, Optional.of(context("other.example")));
        other.stop(0);
        assertEquals(ExitStatus.NETWORK.code(), wrongHost.exit(), wrongHost::toString);
        assertEquals(0, requests.get());
    }
}
