// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.testing.WebServer;
import org.metaotamgr.testing.Workshop;

/** Servers are proven, waited for with an end, and told no secrets that are not theirs. */
class HttpTest {
    private static final String SECRET = "5ecret-T0ken";

    @TempDir
    private static Path folder;

    private static Workshop workshop;

    @BeforeAll
    static void makeCertificates() throws Exception {
        workshop = new Workshop(folder);
        workshop.makeCertificate("server", "localhost");
        workshop.makeCertificate("other", "localhost");
        workshop.makeCertificate("elsewhere", "updates.example.com");
        workshop.makeCertificate("device", "device-1");
    }

    private static HttpConfig config(URI base, String authority, boolean isKnown) {
        return new HttpConfig(
                base,
                folder.resolve(authority + ".crt"),
                isKnown ? Optional.of(folder.resolve("device.crt")) : Optional.empty(),
                isKnown ? Optional.of(folder.resolve("device.key")) : Optional.empty(),
                Duration.ofSeconds(5),
                Duration.ofSeconds(2),
                Duration.ofSeconds(4));
    }

    private static WebServer secure(String name, boolean needsClient) throws Exception {
        return new WebServer(Optional.of(workshop.serverTls(name, "device")), needsClient);
    }

    private static Http http(HttpConfig config) {
        return new Http(config, Optional.of("Bearer " + SECRET));
    }

    private static byte[] get(Http http, URI uri) throws Exception {
        return http.get(uri, Map.of(), 1000);
    }

    private static SourceException fails(Http http, URI uri) {
        SourceException problem = assertThrows(SourceException.class, () -> get(http, uri));
        assertFalse(problem.getMessage().contains(SECRET), problem.getMessage());
        return problem;
    }

    // ---- TLS ----

    @Test
    void aServerOfAKnownAuthorityIsBelieved() throws Exception {
        try (WebServer server = secure("server", false)) {
            server.put("file", "hello");
            assertEquals(
                    "hello",
                    new String(
                            get(http(config(server.uri(), "server", false)), server.uri("file")),
                            StandardCharsets.UTF_8));
        }
    }

    @Test
    void aServerOfAnotherAuthorityIsNot() throws Exception {
        try (WebServer server = secure("other", false)) {
            server.put("file", "hello");
            SourceException problem = fails(http(config(server.uri(), "server", false)), server.uri("file"));
            assertEquals(Reason.FETCH_FAILED, problem.reason());
            assertTrue(problem.getMessage().contains("no secure connection"), problem.getMessage());
            assertEquals(List.of(), server.asked);
        }
    }

    @Test
    void aServerWithACertificateForAnotherNameIsNot() throws Exception {
        try (WebServer server = secure("elsewhere", false)) {
            server.put("file", "hello");
            assertEquals(
                    Reason.FETCH_FAILED,
                    fails(http(config(server.uri(), "elsewhere", false)), server.uri("file"))
                            .reason());
            assertEquals(List.of(), server.asked);
        }
    }

    @Test
    void aDeviceShowsItsCertificateWhereItIsAskedFor() throws Exception {
        try (WebServer server = secure("server", true)) {
            server.put("file", "hello");
            assertArrayEquals(
                    "hello".getBytes(StandardCharsets.UTF_8),
                    get(http(config(server.uri(), "server", true)), server.uri("file")));
            assertEquals(
                    Reason.FETCH_FAILED,
                    fails(http(config(server.uri(), "server", false)), server.uri("file"))
                            .reason());
        }
    }

    @Test
    void filesThatAreNoCertificatesAreNamed() throws Exception {
        try (WebServer server = secure("server", false)) {
            SourceException missing = fails(http(config(server.uri(), "nothing", false)), server.uri("file"));
            assertTrue(
                    missing.getMessage().contains("nothing.crt: expected a file in PEM, found none"),
                    missing.getMessage());
            Files.writeString(folder.resolve("text.crt"), "hello");
            SourceException text = fails(http(config(server.uri(), "text", false)), server.uri("file"));
            assertTrue(text.getMessage().contains("text.crt: expected certificates in PEM"), text.getMessage());
        }
    }

    /** Files of all kinds as people have them, made by openssl; run once. */
    private static Path manyFiles() throws Exception {
        Path many = folder.resolve("many");
        if (!Files.exists(many.resolve("done"))) {
            Files.createDirectories(many);
            Files.writeString(
                    many.resolve("make"),
                    """
                    set -eu
                    openssl ecparam -name prime256v1 -genkey -noout -out key-ec-sec1.pem
                    openssl ecparam -name prime256v1 -genkey -out key-ec-params.pem
                    openssl pkcs8 -topk8 -nocrypt -in key-ec-sec1.pem -out key-ec-pkcs8.pem
                    openssl genpkey -algorithm ed25519 -out key-ed25519.pem
                    openssl genrsa -traditional -out key-rsa-pkcs1.pem 2048
                    openssl pkcs8 -topk8 -nocrypt -in key-rsa-pkcs1.pem -out key-rsa-pkcs8.pem
                    openssl ecparam -name secp384r1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out key-p384.pem
                    openssl pkcs8 -topk8 -in key-ec-sec1.pem -passout pass:x -out key-ec-encrypted.pem
                    { printf 'Bag Attributes\\n    localKeyID: 01 02\\n'; cat key-ec-pkcs8.pem; } >key-ec-bag.pem
                    sed 's/$/\\r/' key-ec-pkcs8.pem >key-ec-crlf.pem
                    { printf '\\357\\273\\277'; cat key-ec-pkcs8.pem; } >key-ec-bom.pem
                    for key in ec-pkcs8 rsa-pkcs8 ed25519 p384; do
                        openssl req -x509 -new -key "key-$key.pem" -subj /CN=client -days 3650 -out "client-$key.crt"
                    done
                    cp client-rsa-pkcs8.crt ca-plain.pem
                    sed 's/$/\\r/' ca-plain.pem >ca-crlf.pem
                    { printf '\\357\\273\\277'; cat ca-plain.pem; } >ca-bom.pem
                    openssl x509 -in ca-plain.pem -text >ca-text.pem
                    { printf '##\\n## Bundle\\n##\\n\\nFirst Root\\n==========\\n'; cat ca-plain.pem; printf '\\nSecond\\n'; cat client-ec-pkcs8.crt; } >ca-curl.pem
                    { cat ca-plain.pem; printf '\\n# comment at the end\\n\\n'; } >ca-comment.pem
                    { printf '%s' "$(cat ca-plain.pem)"; cat client-ec-pkcs8.crt; } >ca-glued.pem
                    openssl x509 -in ca-plain.pem -outform DER -out ca-der.pem
                    openssl x509 -in ca-plain.pem -trustout -addtrust serverAuth -out bad-ca-trusted.pem
                    : >bad-ca-empty.pem
                    head -n 5 ca-plain.pem >bad-ca-cut.pem
                    cat key-rsa-pkcs8.pem ca-plain.pem >ca-key-in-front.pem
                    openssl crl2pkcs7 -nocrl -certfile ca-plain.pem -out ca-pkcs7.pem
                    cat ca-plain.pem ca-plain.pem >ca-twice.pem
                    : >done
                    """);
            new Workshop(many).run("sh", "make");
        }
        return many;
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "ca-plain",
                "ca-crlf",
                "ca-bom",
                "ca-text",
                "ca-curl",
                "ca-comment",
                "ca-glued",
                "ca-der",
                "ca-key-in-front",
                "ca-pkcs7",
                "ca-twice"
            })
    void authoritiesAreReadAsPeopleHaveThem(String file) throws Exception {
        Tls.anonymous(manyFiles().resolve(file + ".pem"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"bad-ca-trusted", "bad-ca-empty", "bad-ca-cut", "key-ed25519", "missing"})
    void whatIsNoAuthorityIsNamed(String file) throws Exception {
        Path path = manyFiles().resolve(file + ".pem");
        IOException refused = assertThrows(IOException.class, () -> Tls.anonymous(path));
        assertTrue(refused.getMessage().startsWith(path + ": expected"), refused.getMessage());
    }

    @ParameterizedTest
    @CsvSource({
        "ec-pkcs8,ec-pkcs8",
        "ec-pkcs8,ec-bag",
        "ec-pkcs8,ec-crlf",
        "ec-pkcs8,ec-bom",
        "rsa-pkcs8,rsa-pkcs8",
        "ed25519,ed25519",
        "p384,p384"
    })
    void keysAreReadAsPeopleHaveThem(String certificate, String key) throws Exception {
        Path many = manyFiles();
        Tls.withCertificate(
                many.resolve("ca-plain.pem"),
                many.resolve("client-" + certificate + ".crt"),
                many.resolve("key-" + key + ".pem"));
    }

    /** What a message advises is done here, word for word but for the names of the files. */
    @ParameterizedTest
    @ValueSource(strings = {"ec-sec1", "ec-params", "rsa-pkcs1", "ec-encrypted"})
    void whatIsAdvisedForAnotherKeyWorks(String key) throws Exception {
        Path many = manyFiles();
        Path old = many.resolve("key-" + key + ".pem");
        String certificate = "client-" + key.substring(0, key.indexOf('-')) + "-pkcs8.crt";
        IOException refused = assertThrows(
                IOException.class,
                () -> Tls.withCertificate(many.resolve("ca-plain.pem"), many.resolve(certificate), old));
        String advice = refused.getMessage().substring(refused.getMessage().indexOf("openssl "));
        Path converted = many.resolve("converted-" + key + ".pem");
        String command = advice.replace("OLD", old.toString()).replace("NEW", converted.toString());
        new Workshop(many).run("sh", "-c", command + (key.contains("encrypted") ? " -passin pass:x" : ""));
        if (!key.equals("ec-params")) {
            Tls.withCertificate(many.resolve("ca-plain.pem"), many.resolve(certificate), converted);
        }
    }

    // ---- redirects ----

    @Test
    void redirectsAreFollowedWithAnEnd() throws Exception {
        try (WebServer server = new WebServer()) {
            server.put("file", "hello");
            server.fail("moved", 302, "Location", "/file");
            server.fail("loop", 307, "Location", "/loop");
            Http http = http(Workshop.http(server.uri()));
            assertEquals(5, get(http, server.uri("moved")).length);
            SourceException loop = fails(http, server.uri("loop"));
            assertEquals(Reason.FETCH_FAILED, loop.reason());
            assertTrue(loop.getMessage().contains("at most 5 redirects"), loop.getMessage());
            assertEquals(2 + 6, server.asked.size());
        }
    }

    @Test
    void aRedirectFromHttpsToHttpIsNotFollowed() throws Exception {
        try (WebServer secure = secure("server", false);
                WebServer plain = new WebServer()) {
            plain.put("file", "hello");
            secure.fail("file", 301, "Location", plain.uri("file").toString());
            SourceException problem = fails(http(config(secure.uri(), "server", false)), secure.uri("file"));
            assertTrue(problem.getMessage().contains("redirect to https"), problem.getMessage());
            assertEquals(List.of(), plain.asked);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "file:///etc/passwd", "ftp://localhost/file", "https://", "jar:file:/x!/y", "\u0001"})
    void aRedirectToNowhereIsNotFollowed(String location) throws Exception {
        try (WebServer server = new WebServer()) {
            server.handle("file", exchange -> {
                exchange.getResponseHeaders().set("Location", location.equals("\u0001") ? "%zz" : location);
                exchange.sendResponseHeaders(302, -1);
            });
            assertEquals(
                    Reason.FETCH_FAILED,
                    fails(http(Workshop.http(server.uri())), server.uri("file")).reason());
        }
    }

    @Test
    void theTokenGoesToTheConfiguredServerOnly() throws Exception {
        try (WebServer own = new WebServer();
                WebServer other = new WebServer()) {
            own.fail("file", 302, "Location", other.uri("file").toString());
            other.put("file", "hello");
            get(http(Workshop.http(own.uri())), own.uri("file"));
            assertEquals("Bearer " + SECRET, own.headers.get(0).getFirst("Authorization"));
            assertFalse(other.headers.get(0).containsKey("Authorization"));
        }
    }

    // ---- answers ----

    @ParameterizedTest
    @CsvSource({
        "400,MALFORMED",
        "401,NOT_ALLOWED",
        "403,NOT_ALLOWED",
        "404,NOT_FOUND",
        "410,NOT_FOUND",
        "418,MALFORMED",
        "408,FETCH_FAILED",
        "429,FETCH_FAILED",
        "500,FETCH_FAILED",
        "503,FETCH_FAILED",
        "204,MALFORMED"
    })
    void aStatusHasItsReason(int status, Reason reason) throws Exception {
        try (WebServer server = new WebServer()) {
            server.fail("file", status);
            assertEquals(
                    reason,
                    fails(http(Workshop.http(server.uri())), server.uri("file")).reason());
        }
    }

    @ParameterizedTest
    @CsvSource({"401,NOT_ALLOWED", "429,FETCH_FAILED", "500,FETCH_FAILED"})
    void aPostThatIsRefusedHasItsReasonAndIsSentOnce(int status, Reason reason) throws Exception {
        try (WebServer server = new WebServer()) {
            server.fail("feedback", status);
            Http http = http(Workshop.http(server.uri()));
            SourceException problem = assertThrows(
                    SourceException.class, () -> http.send("POST", server.uri("feedback"), new byte[] {'{', '}'}));
            assertEquals(reason, problem.reason());
            assertEquals(1, server.asked.size());
        }
    }

    @Test
    void everyRequestHasAConnectionOfItsOwn() throws Exception {
        AtomicInteger connections = new AtomicInteger();
        try (ServerSocket socket = new ServerSocket(0)) {
            // It would take more requests on a connection, and says nothing of its end.
            Thread thread = new Thread(() -> {
                while (!socket.isClosed()) {
                    try (Socket client = socket.accept()) {
                        connections.incrementAndGet();
                        InputStream in = client.getInputStream();
                        for (int read = in.read(); read >= 0; read = in.read()) {
                            if (read == '}') {
                                client.getOutputStream()
                                        .write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                                                .getBytes(StandardCharsets.US_ASCII));
                            }
                        }
                    } catch (IOException e) {
                        return;
                    }
                }
            });
            thread.start();
            URI uri = URI.create("http://localhost:" + socket.getLocalPort() + "/");
            Http http = http(Workshop.http(uri));
            for (int i = 0; i < 1000; i++) {
                assertEquals(200, http.send("POST", uri, new byte[] {'{', '}'}));
            }
        }
        assertEquals(1000, connections.get());
    }

    /** Small files are asked for one after the other on one connection, whatever the server says of one that it has not found. */
    @ParameterizedTest
    @CsvSource({
        // The answer to the first request, its body in bytes, whether the rest of it comes, and the connections of two
        // requests.
        "404,0,true,1",
        "404,150,true,1",
        "404,60000,true,1",
        "404,1000000,true,2",
        "404,150,false,2",
        "403,150,true,1",
        "500,150,true,1",
        "200,900,true,1",
        "200,2000,true,1",
        "200,1000000,true,2"
    })
    void filesComeOnOneConnection(int status, int bytes, boolean isWhole, int expected) throws Exception {
        AtomicInteger taken = new AtomicInteger();
        AtomicInteger requests = new AtomicInteger();
        try (Connections server = new Connections(client -> {
            taken.incrementAndGet();
            InputStream in = client.getInputStream();
            OutputStream out = client.getOutputStream();
            while (!Connections.head(in).isEmpty()) {
                boolean isFirst = requests.incrementAndGet() == 1;
                int length = isFirst ? bytes : 5;
                out.write(("HTTP/1.1 " + (isFirst ? status : 200) + " x\r\nContent-Length: " + length + "\r\n\r\n")
                        .getBytes(StandardCharsets.US_ASCII));
                out.write(new byte[isFirst && !isWhole ? length - 1 : length]);
            }
        })) {
            Http http = http(Workshop.http(URI.create("http://127.0.0.1:" + server.port() + "/")));
            try (Http.Sequence files = http.new Sequence()) {
                URI uri = URI.create("http://127.0.0.1:" + server.port() + "/1.json");
                long start = System.nanoTime();
                if (status == 200 && bytes <= 1000) {
                    assertEquals(bytes, files.get(uri, Map.of(), 1000).length);
                } else {
                    Reason reason = assertThrows(SourceException.class, () -> files.get(uri, Map.of(), 1000))
                            .reason();
                    assertEquals(
                            switch (status) {
                                case 404 -> Reason.NOT_FOUND;
                                case 403 -> Reason.NOT_ALLOWED;
                                case 200 -> Reason.MALFORMED;
                                default -> Reason.FETCH_FAILED;
                            },
                            reason);
                }
                long seconds = Duration.ofNanos(System.nanoTime() - start).toSeconds();
                assertTrue(seconds < 4, "expected that nobody waits for the page of an error, found " + seconds + " s");
                assertEquals(5, files.get(uri, Map.of(), 1000).length);
            }
        }
        assertEquals(2, requests.get());
        assertEquals(expected, taken.get());
    }

    @Test
    void aPostWhoseAnswerIsLostIsNotRepeatedByTheLibrary() throws Exception {
        AtomicInteger posts = new AtomicInteger();
        try (ServerSocket socket = new ServerSocket(0)) {
            Thread thread = new Thread(() -> {
                while (!socket.isClosed()) {
                    try (Socket client = socket.accept()) {
                        InputStream in = client.getInputStream();
                        in.readNBytes(20);
                        posts.incrementAndGet();
                    } catch (IOException e) {
                        return;
                    }
                }
            });
            thread.start();
            URI uri = URI.create("http://localhost:" + socket.getLocalPort() + "/");
            SourceException problem = assertThrows(
                    SourceException.class, () -> http(Workshop.http(uri)).send("POST", uri, new byte[] {'{', '}'}));
            assertEquals(Reason.FETCH_FAILED, problem.reason());
        }
        assertEquals(1, posts.get());
    }

    @Test
    void retryAfterIsTakenInBothFormsAndBounded() {
        assertEquals(Optional.of(Duration.ofSeconds(120)), Http.retryAfter("120"));
        assertEquals(Optional.of(Duration.ofDays(1)), Http.retryAfter("999999999"));
        assertEquals(Optional.empty(), Http.retryAfter("0"));
        assertEquals(Optional.empty(), Http.retryAfter("-5"));
        assertEquals(Optional.empty(), Http.retryAfter("soon"));
        assertEquals(Optional.empty(), Http.retryAfter("Wed, 21 Oct 2015 07:28:00 GMT"));
        Duration wait = Http.retryAfter(DateTimeFormatter.RFC_1123_DATE_TIME.format(
                        ZonedDateTime.now(ZoneOffset.UTC).plusSeconds(100)))
                .orElseThrow();
        assertTrue(wait.toSeconds() > 80 && wait.toSeconds() <= 100, wait.toString());
    }

    /** A server on a bare socket, as Java's writes a date of its own. It answers each request alike. */
    private static URI answering(ServerSocket socket, String answer) {
        new Thread(() -> {
                    while (!socket.isClosed()) {
                        try (Socket client = socket.accept()) {
                            for (int read = client.getInputStream().read(), ends = 0; read >= 0 && ends < 2; ) {
                                ends = read == '\n' ? ends + 1 : read == '\r' ? ends : 0;
                                read = ends < 2 ? client.getInputStream().read() : read;
                            }
                            client.getOutputStream().write(answer.getBytes(StandardCharsets.ISO_8859_1));
                        } catch (IOException e) {
                            continue;
                        }
                    }
                })
                .start();
        return URI.create("http://localhost:" + socket.getLocalPort() + "/");
    }

    @ParameterizedTest
    @ValueSource(longs = {-5 * 3600, 0, 5 * 3600, 57L * 365 * 86400})
    void aDateIsTakenFromTheServersOwnClock(long secondsAhead) throws Exception {
        ZonedDateTime theirs = ZonedDateTime.now(ZoneOffset.UTC).plusSeconds(secondsAhead);
        try (ServerSocket socket = new ServerSocket(0)) {
            URI uri = answering(
                    socket,
                    "HTTP/1.1 503 x\r\nDate: " + DateTimeFormatter.RFC_1123_DATE_TIME.format(theirs)
                            + "\r\nRetry-After: " + DateTimeFormatter.RFC_1123_DATE_TIME.format(theirs.plusSeconds(60))
                            + "\r\nContent-Length: 0\r\n\r\n");
            assertEquals(
                    Optional.of(Duration.ofSeconds(60)),
                    fails(http(Workshop.http(uri)), uri).retryAfter());
        }
    }

    // ---- proxies ----

    private static HttpConfig through(String proxy, URI base) throws Exception {
        HttpConfig direct = Workshop.http(base);
        return new HttpConfig(
                base,
                direct.caFile(),
                Optional.empty(),
                Optional.empty(),
                direct.connectTimeout(),
                direct.readTimeout(),
                direct.requestTimeout(),
                org.metaotamgr.device.Proxies.of(proxy, List.of()));
    }

    @ParameterizedTest
    @CsvSource({"https,407", "http,407", "https,403", "https,502"})
    void aProxyThatSaysNoIsNamed(String scheme, int status) throws Exception {
        try (ServerSocket socket = new ServerSocket(0)) {
            answering(
                    socket,
                    "HTTP/1.1 " + status
                            + " x\r\nProxy-Authenticate: Basic realm=\"corp\"\r\nContent-Length: 0\r\n\r\n");
            URI uri = URI.create(scheme + "://updates.example.com/file");
            SourceException refused = fails(http(through("http://127.0.0.1:" + socket.getLocalPort(), uri)), uri);
            assertEquals(Reason.FETCH_FAILED, refused.reason());
            assertTrue(
                    refused.getMessage().contains("the proxy 127.0.0.1:" + socket.getLocalPort())
                            && refused.getMessage().contains("HTTP status " + status),
                    refused.getMessage());
        }
    }

    @Test
    void aProxyIsToldWhereToAndWhoAsksAndNotTheToken() throws Exception {
        try (WebServer proxy = new WebServer()) {
            proxy.put("file", "hello");
            URI uri = URI.create("http://updates.example.com:8080/file");
            HttpConfig config = through(
                    "http://us%40er:p%3Aw@localhost:" + proxy.uri().getPort(), URI.create("http://other.example.com/"));
            assertEquals(5, get(http(config), uri).length);
            assertEquals(
                    "Basic "
                            + java.util.Base64.getEncoder()
                                    .encodeToString("us@er:p:w".getBytes(StandardCharsets.UTF_8)),
                    proxy.headers.get(0).getFirst("Proxy-Authorization"));
            assertEquals("updates.example.com:8080", proxy.headers.get(0).getFirst("Host"));
            assertFalse(proxy.headers.get(0).containsKey("Authorization"));
        }
    }

    @Test
    void aTunnelThroughAProxyEndsAtTheServerThatIsProven() throws Exception {
        try (WebServer server = secure("server", false);
                ServerSocket proxy = new ServerSocket(0)) {
            server.put("file", "hello");
            new Thread(() -> tunnel(proxy, server.uri().getPort())).start();
            HttpConfig direct = config(server.uri(), "server", false);
            HttpConfig config = new HttpConfig(
                    server.uri(),
                    direct.caFile(),
                    Optional.empty(),
                    Optional.empty(),
                    direct.connectTimeout(),
                    direct.readTimeout(),
                    direct.requestTimeout(),
                    org.metaotamgr.device.Proxies.of("127.0.0.1:" + proxy.getLocalPort(), List.of()));
            assertEquals(5, get(http(config), server.uri("file")).length);
        }
    }

    private static void tunnel(ServerSocket proxy, int port) {
        try (Socket client = proxy.accept();
                Socket server = new Socket("localhost", port)) {
            StringBuilder head = new StringBuilder();
            while (head.indexOf("\r\n\r\n") < 0) {
                head.append((char) client.getInputStream().read());
            }
            client.getOutputStream()
                    .write((head.toString().startsWith("CONNECT localhost:" + port + " HTTP/1.1\r\n")
                                    ? "HTTP/1.1 200 OK\r\n\r\n"
                                    : "HTTP/1.1 400 x\r\n\r\n")
                            .getBytes(StandardCharsets.US_ASCII));
            Thread back = new Thread(() -> {
                try {
                    server.getInputStream().transferTo(client.getOutputStream());
                } catch (IOException e) {
                    return;
                }
            });
            back.start();
            client.getInputStream().transferTo(server.getOutputStream());
        } catch (IOException e) {
            return;
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "https_proxy=http://p:3128; https://h.example.com/; p:3128",
                "HTTPS_PROXY=p:3128; https://h/; p:3128",
                "https_proxy=http://p:3128; http://h/; ",
                "http_proxy=http://p:3128/; http://h/; p:3128",
                "HTTP_PROXY=http://p:3128; http://h/; ",
                "all_proxy=http://p:3128; http://h/; p:3128",
                "https_proxy=http://[::1]:80; https://h/; [::1]:80",
                "https_proxy=http://p:1,no_proxy=other example.com; https://h.example.com/; ",
                "https_proxy=http://p:1,no_proxy=.example.com; https://h.example.com/; ",
                "https_proxy=http://p:1,no_proxy=ample.com; https://h.example.com/; p:1",
                "https_proxy=http://p:1,NO_PROXY=*; https://h/; ",
                "https_proxy=http://p:1,no_proxy=h:444; https://h/; p:1",
                "https_proxy=http://p:1,no_proxy=h:443; https://h/; ",
                "https_proxy=http://p:1,no_proxy=10.0.0.0/8; https://10.1.2.3/; ",
                "https_proxy=http://p:1,no_proxy=10.0.0.0/8; https://11.1.2.3/; p:1",
                "https_proxy=http://p:1,no_proxy=::1; https://[::1]/; ",
                "https_proxy=http://user:pw@p:1; https://h/; p:1"
            })
    void theEnvironmentMeansWhatItMeansToCurl(String variables, String url, String expected) throws Exception {
        java.util.Map<String, String> environment = new java.util.HashMap<>();
        for (String one : variables.split(",")) {
            environment.put(one.substring(0, one.indexOf('=')), one.substring(one.indexOf('=') + 1));
        }
        URI uri = URI.create(url);
        HttpConfig config = HttpConfig.of(Workshop.config("{'url': '" + url + "', 'plainHttp': true}"), environment);
        assertEquals(
                Optional.ofNullable(expected).orElse(""),
                config.proxies()
                        .forServer(Urls.isSecure(uri), Urls.host(uri), Urls.port(uri))
                        .map(Object::toString)
                        .orElse(""));
        assertEquals(
                Optional.empty(),
                HttpConfig.of(
                                Workshop.config("{'url': '" + url + "', 'plainHttp': true, 'proxy': 'none'}"),
                                environment)
                        .proxies()
                        .forServer(true, "h", 443));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "socks5://p:1",
                "http://",
                "http://p:99999",
                "ftp://u:5ecret-T0ken@p",
                "http://u:5ecret-T0ken%zz@p"
            })
    void aProxyThatIsNoneIsRefusedWithoutItsPassword(String proxy) {
        ConfigException problem = assertThrows(
                ConfigException.class,
                () -> HttpConfig.of(Workshop.config("{'url': 'https://h', 'proxy': '" + proxy + "'}"), Map.of()));
        assertFalse(problem.getMessage().contains(SECRET), problem.getMessage());
    }

    @Test
    void aFileThatIsTooLargeIsNotReadToItsEnd() throws Exception {
        try (WebServer server = new WebServer()) {
            server.put("file", new byte[1_000_000]);
            assertEquals(
                    Reason.MALFORMED,
                    fails(http(Workshop.http(server.uri())), server.uri("file")).reason());
        }
    }

    @Test
    void aFileThatEndsEarlyIsNotTaken() throws Exception {
        try (WebServer server = new WebServer()) {
            server.put("file", new byte[900]);
            server.cutAfter = 500;
            SourceException problem = fails(http(Workshop.http(server.uri())), server.uri("file"));
            assertEquals(Reason.FETCH_FAILED, problem.reason());
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "SSH-2.0-OpenSSH_9.2\r\n",
                "HTTP/1.1 999999999999 x\r\n\r\n",
                "HTTP/1.1 abc\r\n\r\n",
                "\0\0\0\0"
            })
    void whatIsNoHttpIsAFailureAndNoCrash(String answer) throws Exception {
        try (ServerSocket socket = new ServerSocket(0)) {
            new Thread(() -> {
                        while (!socket.isClosed()) {
                            try (Socket client = socket.accept();
                                    OutputStream out = client.getOutputStream()) {
                                out.write(answer.getBytes(StandardCharsets.ISO_8859_1));
                                out.flush();
                                client.getInputStream().readNBytes(50);
                            } catch (IOException e) {
                                continue;
                            }
                        }
                    })
                    .start();
            URI uri = URI.create("http://localhost:" + socket.getLocalPort() + "/");
            assertEquals(
                    Reason.FETCH_FAILED, fails(http(Workshop.http(uri)), uri).reason());
        }
    }

    // ---- waiting ----

    @Test
    void aServerThatNeverAnswersIsGivenUp() throws Exception {
        try (ServerSocket silent = new ServerSocket(0)) {
            URI uri = URI.create("http://localhost:" + silent.getLocalPort() + "/");
            assertEquals(
                    Reason.FETCH_FAILED, fails(http(Workshop.http(uri)), uri).reason());
        }
    }

    @Test
    void aServerThatAnswersByteByByteIsGivenUp() throws Exception {
        try (WebServer server = new WebServer()) {
            server.handle("file", exchange -> {
                exchange.sendResponseHeaders(200, 900);
                try {
                    for (int i = 0; i < 900; i++) {
                        exchange.getResponseBody().write(1);
                        exchange.getResponseBody().flush();
                        Thread.sleep(500);
                    }
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            });
            SourceException problem = fails(http(Workshop.http(server.uri())), server.uri("file"));
            assertEquals(Reason.FETCH_FAILED, problem.reason());
            assertTrue(problem.getMessage().contains("completely within 4 s"), problem.getMessage());
        }
    }

    @Test
    void anInterruptEndsARequestThatWaits() throws Exception {
        try (ServerSocket silent = new ServerSocket(0)) {
            URI uri = URI.create("http://localhost:" + silent.getLocalPort() + "/");
            HttpConfig patient = new HttpConfig(
                    uri,
                    Path.of("/nowhere"),
                    Optional.empty(),
                    Optional.empty(),
                    Duration.ofSeconds(60),
                    Duration.ofSeconds(60),
                    Duration.ofSeconds(60));
            AtomicReference<Throwable> end = new AtomicReference<>();
            Thread thread = new Thread(() -> {
                try {
                    get(http(patient), uri);
                } catch (Exception e) {
                    end.set(e);
                }
            });
            thread.start();
            silent.accept();
            thread.interrupt();
            thread.join(5000);
            assertEquals(InterruptedException.class, end.get().getClass());
        }
    }

    // ---- configuration ----

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{}",
                "{'url': ''}",
                "{'url': 'http://example.com'}",
                "{'url': 'ftp://example.com', 'plainHttp': true}",
                "{'url': 'https://'}",
                "{'url': 'https://user:pw@example.com'}",
                "{'url': 'https://example.com/?q=1'}",
                "{'url': 'https://example.com/#x'}",
                "{'url': 'nonsense'}",
                "{'url': 'https://exa mple.com'}",
                "{'url': 'https://example.com', 'clientCertificate': '/etc/x.crt'}",
                "{'url': 'https://example.com', 'readTimeoutSeconds': 0}"
            })
    void aConfigurationThatCannotBeMeantIsRefused(String json) {
        ConfigException problem = assertThrows(ConfigException.class, () -> HttpConfig.of(Workshop.config(json)));
        assertTrue(problem.getMessage().contains("expected"), problem.getMessage());
    }

    @Test
    void aSecretComesFromItsFileAndIsInNoMessage() throws Exception {
        Path file = Files.writeString(folder.resolve("token"), SECRET + "\n");
        assertEquals(Optional.of(SECRET), HttpConfig.secret(Workshop.config("{'tokenFile': '" + file + "'}"), "token"));
        assertEquals(Optional.empty(), HttpConfig.secret(Workshop.config("{}"), "token"));
        Files.writeString(file, SECRET + " and more");
        ConfigException problem = assertThrows(
                ConfigException.class,
                () -> HttpConfig.secret(Workshop.config("{'tokenFile': '" + file + "'}"), "token"));
        assertFalse(problem.getMessage().contains(SECRET), problem.getMessage());
        ConfigException unreadable = assertThrows(
                ConfigException.class, () -> HttpConfig.secret(Workshop.config("{'tokenFile': '/nowhere'}"), "token"));
        assertTrue(unreadable.getMessage().contains("the user " + System.getProperty("user.name")));
    }
}
