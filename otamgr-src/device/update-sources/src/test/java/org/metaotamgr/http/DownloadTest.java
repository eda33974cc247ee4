// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.SystemProcessRunner;
import org.metaotamgr.testing.WebServer;
import org.metaotamgr.testing.Workshop;

/** A large file comes over links that break, or not at all; what is there in the end is the file that was promised. */
class DownloadTest {
    private static final int LENGTH = 1_500_000;
    private static final byte[] CONTENT = Workshop.random(LENGTH, 1);

    @TempDir
    private Path folder;

    private WebServer server;
    private Workshop workshop;

    @BeforeEach
    void start() throws IOException {
        server = new WebServer();
        server.put("file", CONTENT);
        workshop = new Workshop(folder);
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private Download download() {
        return download(Workshop.http(server.uri()));
    }

    private Download download(HttpConfig config) {
        return new Download(
                new Http(config, Optional.empty()),
                Hasher.ofProgram(new Programs(new SystemProcessRunner(workshop.eventLog))),
                new FileOperations.Real(),
                workshop.eventLog);
    }

    private static String sha256(byte[] content) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    }

    private Download.Wanted wanted() throws Exception {
        return new Download.Wanted(server.uri("file"), LENGTH, sha256(CONTENT));
    }

    private Path bring() throws Exception {
        return download().bring(wanted(), folder, bytes -> {}, file -> {});
    }

    private SourceException fails() {
        return assertThrows(SourceException.class, this::bring);
    }

    private List<String> files() throws IOException {
        try (var all = Files.list(folder)) {
            return all.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    private long part() throws IOException {
        return Files.size(folder.resolve(Download.PART));
    }

    @Test
    void aFileComesWholeAndNothingElseStays() throws Exception {
        List<Long> told = new ArrayList<>();
        Path file = download().bring(wanted(), folder, told::add, one -> {});
        assertArrayEquals(CONTENT, Files.readAllBytes(file));
        assertEquals(List.of("update.bundle"), files());
        assertEquals(0, told.get(0));
        assertEquals(LENGTH, told.get(told.size() - 1));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 4095, 4096, 65_536, 262_143, 262_144, 262_145, 524_288, 1_000_001, LENGTH - 1})
    void cutAtAnyByteItGoesOnThere(int cut) throws Exception {
        server.cutAfter = cut;
        SourceException broken = fails();
        assertEquals(Reason.DOWNLOAD_FAILED, broken.reason());
        assertTrue(broken.reason().isTransient());
        assertEquals(cut, part());
        assertEquals(List.of("update.origin", "update.part"), files());
        server.cutAfter = -1;
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
        assertEquals("GET /file bytes=" + cut + "-", server.asked.get(server.asked.size() - 1));
        assertEquals(List.of("download_resumed:url=" + server.uri("file") + ",bytes=" + cut), workshop.log);
    }

    @Test
    void cutAgainAndAgainNothingIsLoadedTwice() throws Exception {
        server.cutAfter = 100_000;
        for (int tries = 0; tries < 14; tries++) {
            fails();
        }
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
        assertEquals(15, server.asked.size());
        assertEquals("GET /file bytes=1400000-", server.asked.get(14));
    }

    @Test
    void aServerWithoutRangesBeginsAnew() throws Exception {
        server.cutAfter = 700_000;
        fails();
        server.cutAfter = -1;
        server.ignoresRanges = true;
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
    }

    @Test
    void aFileThatChangedMeanwhileIsNeverMixed() throws Exception {
        byte[] other = Workshop.random(LENGTH, 2);
        server.put("file", other);
        server.cutAfter = 700_000;
        fails();
        server.cutAfter = -1;
        server.put("file", CONTENT);
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
        // The rest of the new one did not fit to the part of the old one, as the hash showed.
        assertEquals(List.of("GET /file", "GET /file bytes=700000-", "GET /file"), server.asked);
    }

    /** What a server of a group, a cache or a simple server says of the version of a file, each time anew. */
    @ParameterizedTest
    @ValueSource(strings = {"\"n\"", "W/\"1\"", "W/\"n\"", "none", "date", "unquoted-n"})
    void whateverAServerSaysOfVersionsThePartGrows(String tag) throws Exception {
        int[] count = new int[1];
        server.handle("file", exchange -> {
            count[0]++;
            if (tag.equals("date")) {
                exchange.getResponseHeaders().set("Last-Modified", "Mon, 02 Feb 2026 10:00:0" + count[0] % 10 + " GMT");
            } else if (!tag.equals("none")) {
                exchange.getResponseHeaders().set("ETag", tag.replace("n", Integer.toString(count[0])));
            }
            String range = exchange.getRequestHeaders().getFirst("Range");
            int from = range == null ? 0 : Integer.parseInt(range.replaceAll("[^0-9]", ""));
            // RFC 9110, 13.1.5: another validator than the one it has now means the whole file.
            from = exchange.getRequestHeaders().containsKey("If-Range") ? 0 : from;
            exchange.getResponseHeaders().set("Content-Range", "bytes " + from + "-" + (LENGTH - 1) + "/" + LENGTH);
            exchange.sendResponseHeaders(range == null ? 200 : 206, LENGTH - from);
            exchange.getResponseBody().write(CONTENT, from, Math.min(400_000, LENGTH - from));
        });
        for (int tries = 0; tries < 3; tries++) {
            fails();
        }
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
        assertEquals(4, count[0]);
    }

    /** Answers with a part of the file. */
    private void part(com.sun.net.httpserver.HttpExchange exchange, int from, int to, String range) throws IOException {
        exchange.getResponseHeaders().set("Content-Range", range);
        exchange.sendResponseHeaders(206, to - from);
        exchange.getResponseBody().write(CONTENT, from, to - from);
    }

    private static int asked(com.sun.net.httpserver.HttpExchange exchange) {
        String range = exchange.getRequestHeaders().getFirst("Range");
        return range == null ? 0 : Integer.parseInt(range.replaceAll("[^0-9]", ""));
    }

    @Test
    void aServerThatGivesLessAtATimeIsAskedForTheRestAtOnce() throws Exception {
        server.handle("file", exchange -> {
            int from = asked(exchange);
            int to = Math.min(from + 500_000, LENGTH);
            part(exchange, from, to, "bytes " + from + "-" + (to - 1) + "/" + LENGTH);
        });
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
        assertEquals(List.of("GET /file", "GET /file bytes=500000-", "GET /file bytes=1000000-"), server.asked);
    }

    @Test
    void aServerThatGivesAFewBytesAtATimeIsAskedAgainLater() throws Exception {
        server.handle("file", exchange -> {
            int from = asked(exchange);
            part(exchange, from, from + 10, "bytes " + from + "-" + (from + 9) + "/*");
        });
        assertTrue(fails().reason().isTransient());
        assertEquals(1, server.asked.size());
        assertEquals(10, part());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 524_288, 699_999})
    void aPartThatBeginsEarlierThanAskedIsUsedFromTheRightByte(int earlier) throws Exception {
        server.cutAfter = 700_000;
        fails();
        server.handle(
                "file",
                exchange -> part(exchange, earlier, LENGTH, "bytes " + earlier + "-" + (LENGTH - 1) + "/" + LENGTH));
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
        assertEquals(2, server.asked.size());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "bytes 700001-1499999/1500000",
                "bytes 700000-1499999/1600000",
                "bytes 700000-699999/1500000",
                "bytes 700000-1500000/1500000",
                "items 700000-1499999/1500000",
                "",
                "bytes */1500000",
                "bytes -5-10/1500000"
            })
    void aPartThatDoesNotFitCostsNothingThatIsThere(String range) throws Exception {
        server.cutAfter = 700_000;
        fails();
        server.handle("file", exchange -> part(exchange, 700_000, LENGTH, range));
        SourceException useless = fails();
        assertEquals(Reason.WRONG_ANSWER, useless.reason());
        assertEquals(700_000, part());
        server.cutAfter = -1;
        server.repair("file");
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
        assertEquals("GET /file bytes=700000-", server.asked.get(server.asked.size() - 1));
    }

    @Test
    void withoutAnyValidatorItGoesOn() throws Exception {
        server.hasTags = false;
        server.cutAfter = 700_000;
        fails();
        server.cutAfter = -1;
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
        assertEquals("GET /file bytes=700000-", server.asked.get(1));
    }

    @Test
    void aServerWithoutRangesThatBreaksEarlierCostsNothingThatIsThere() throws Exception {
        server.cutAfter = 700_000;
        fails();
        server.ignoresRanges = true;
        server.cutAfter = 300_000;
        fails();
        assertEquals(700_000, part());
        server.cutAfter = 900_000;
        fails();
        assertEquals(900_000, part());
    }

    // ---- answers of somebody else ----

    private void page(int status, boolean isLengthKnown, String... headers) {
        server.handle("file", exchange -> {
            byte[] page = "<html>please log in</html>".getBytes(java.nio.charset.StandardCharsets.UTF_8);
            for (int i = 0; i < headers.length; i += 2) {
                exchange.getResponseHeaders().set(headers[i], headers[i + 1]);
            }
            exchange.sendResponseHeaders(status, isLengthKnown ? page.length : 0);
            exchange.getResponseBody().write(page);
        });
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "portal",
                "chunked",
                "empty",
                "compressed",
                "redirect",
                "not found",
                "gone",
                "forbidden",
                "longer"
            })
    void aPageOfSomebodyElseCostsNothing(String kind) throws Exception {
        server.cutAfter = 600_000;
        fails();
        server.cutAfter = -1;
        switch (kind) {
            case "portal" -> page(200, true);
            case "chunked" -> page(200, false);
            case "empty" -> server.fail("file", 200);
            case "compressed" -> page(200, false, "Content-Encoding", "gzip");
            case "redirect" -> {
                server.fail("file", 302, "Location", "/login?from=/file");
                server.put("login", "<html>please log in</html>");
            }
            case "not found" -> page(404, true);
            case "gone" -> page(410, true);
            case "forbidden" -> page(403, true);
            default -> server.put("file", new byte[LENGTH + 1]);
        }
        SourceException wrong = fails();
        assertTrue(wrong.reason().isTransient() || wrong.reason().isCounted(), wrong.reason() + " is not tried again");
        assertEquals(600_000, part());
        server.repair("file");
        server.put("file", CONTENT);
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
        assertEquals("GET /file bytes=600000-", server.asked.get(server.asked.size() - 1));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "/My File",
                "/file[1]",
                "/file?sig=a|b",
                "HTTP://localhost:PORT/file",
                "?x=1",
                "//localhost:PORT/file",
                "./My%20File",
                "/a/../file",
                "file#top"
            })
    void aRedirectThatEverybodyElseFollowsIsFollowed(String location) throws Exception {
        for (String path : List.of("My%20File", "file%5B1%5D")) {
            server.put(path, CONTENT);
        }
        server.handle("start", exchange -> {
            if (exchange.getRequestURI().getQuery() != null) {
                exchange.sendResponseHeaders(200, LENGTH);
                exchange.getResponseBody().write(CONTENT);
                return;
            }
            exchange.getResponseHeaders()
                    .set("Location", location.replace("PORT", "" + server.uri().getPort()));
            exchange.sendResponseHeaders(302, -1);
        });
        assertArrayEquals(
                CONTENT,
                Files.readAllBytes(download()
                        .bring(
                                new Download.Wanted(server.uri("start"), LENGTH, sha256(CONTENT)),
                                folder,
                                bytes -> {},
                                file -> {})));
    }

    @Test
    void withoutAHashTheProofDecidesAndAWrongBitIsWorthAnotherTry() throws Exception {
        Download.Wanted wanted = new Download.Wanted(server.uri("file"), LENGTH, Optional.empty(), "sha1:x");
        SourceException damaged =
                assertThrows(SourceException.class, () -> download().bring(wanted, folder, bytes -> {}, file -> {
                    throw new SourceException(Reason.BAD_BUNDLE, "not signed");
                }));
        assertTrue(damaged.reason().isCounted(), damaged.reason().toString());
        assertEquals(List.of(), files());
        server.cutAfter = 600_000;
        assertThrows(SourceException.class, () -> download().bring(wanted, folder, bytes -> {}, file -> {}));
        server.cutAfter = -1;
        assertArrayEquals(CONTENT, Files.readAllBytes(download().bring(wanted, folder, bytes -> {}, file -> {})));
        assertEquals("GET /file bytes=600000-", server.asked.get(server.asked.size() - 1));
    }

    @Test
    void progressGoesOnWhereItWas() throws Exception {
        server.cutAfter = 700_000;
        fails();
        server.cutAfter = -1;
        List<Long> told = new ArrayList<>();
        download().bring(wanted(), folder, told::add, file -> {});
        assertEquals(700_000, told.get(0));
        assertEquals(told.stream().sorted().toList(), told);
    }

    @Test
    void aServerThatCrawlsIsGivenUpAndSoIsOneThatNeverEnds() throws Exception {
        server.handle("file", exchange -> {
            exchange.sendResponseHeaders(200, LENGTH);
            for (int i = 0; i < 100; i++) {
                exchange.getResponseBody().write(CONTENT, i * 1000, 1000);
                exchange.getResponseBody().flush();
                sleep(100);
            }
        });
        SourceException slow = assertThrows(SourceException.class, () -> paced(
                        new Exchange.Pace(100_000, Duration.ofSeconds(1), Duration.ofMinutes(1)))
                .bring(wanted(), folder, bytes -> {}, file -> {}));
        assertEquals(Reason.DOWNLOAD_FAILED, slow.reason());
        assertTrue(slow.getMessage().contains("expected at least 100000 bytes in 1 s"), slow.getMessage());
        long kept = part();
        assertTrue(kept > 1000);
        SourceException endless = assertThrows(
                SourceException.class, () -> paced(new Exchange.Pace(100, Duration.ofSeconds(1), Duration.ofSeconds(2)))
                        .bring(wanted(), folder, bytes -> {}, file -> {}));
        assertTrue(endless.getMessage().contains("expected the end within 2 s"), endless.getMessage());
        assertTrue(part() >= kept);
    }

    private Download paced(Exchange.Pace pace) {
        return new Download(
                new Http(Workshop.http(server.uri()), Optional.empty(), pace),
                Hasher.ofProgram(new Programs(new SystemProcessRunner(workshop.eventLog))),
                new FileOperations.Real(),
                workshop.eventLog);
    }

    @Test
    void aPartOfAnotherUpdateIsNotContinued() throws Exception {
        server.cutAfter = 700_000;
        fails();
        server.cutAfter = -1;
        byte[] next = Workshop.random(LENGTH, 3);
        server.put("file", next);
        Path file = download()
                .bring(new Download.Wanted(server.uri("file"), LENGTH, sha256(next)), folder, bytes -> {}, one -> {});
        assertArrayEquals(next, Files.readAllBytes(file));
        assertEquals("GET /file", server.asked.get(1));
    }

    @Test
    void aPartThatAPowerCutDamagedIsLoadedAgain() throws Exception {
        server.cutAfter = 700_000;
        fails();
        server.cutAfter = -1;
        byte[] part = Files.readAllBytes(folder.resolve(Download.PART));
        Arrays.fill(part, 690_000, 700_000, (byte) 0);
        Files.write(folder.resolve(Download.PART), part);
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
        assertEquals(List.of("update.bundle"), files());
    }

    @Test
    void aCompletePartAfterAPowerCutIsNotLoadedAgain() throws Exception {
        bring();
        server.close();
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
    }

    @Test
    void aWrongHashIsRefusedAndRemoved() throws Exception {
        server.put("file", Workshop.random(LENGTH, 9));
        SourceException wrong = fails();
        assertEquals(Reason.VERIFICATION_FAILED, wrong.reason());
        assertTrue(wrong.getMessage().contains(sha256(CONTENT)), wrong.getMessage());
        assertEquals(List.of(), files());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, LENGTH - 1, LENGTH + 1, 2 * LENGTH})
    void aWrongLengthIsRefusedBeforeAnythingIsLoaded(int length) throws Exception {
        server.put("file", Workshop.random(length, 1));
        SourceException wrong = fails();
        assertEquals(Reason.WRONG_ANSWER, wrong.reason());
        assertTrue(wrong.getMessage().contains("expected " + LENGTH + " bytes, found " + length), wrong.getMessage());
        assertEquals(List.of(), files());
    }

    @Test
    void aServerThatSendsMoreThanItSaidFillsNoStorage() throws Exception {
        server.handle("file", exchange -> {
            exchange.sendResponseHeaders(200, 0);
            try {
                for (int i = 0; i < 100; i++) {
                    exchange.getResponseBody().write(CONTENT);
                }
            } catch (IOException e) {
                // The client has gone.
                return;
            }
        });
        assertEquals(Reason.WRONG_ANSWER, fails().reason());
        assertEquals(List.of(), files());
    }

    @Test
    void whatTheProofRefusesIsRemoved() throws Exception {
        SourceException refused =
                assertThrows(SourceException.class, () -> download().bring(wanted(), folder, bytes -> {}, file -> {
                    throw new SourceException(Reason.BAD_BUNDLE, "not signed");
                }));
        assertEquals(Reason.BAD_BUNDLE, refused.reason());
        assertEquals(List.of(), files());
    }

    @ParameterizedTest
    @CsvSource({
        "401,DOWNLOAD_FAILED",
        "403,DOWNLOAD_FAILED",
        "404,NOT_FOUND",
        "410,NOT_FOUND",
        "408,DOWNLOAD_FAILED",
        "429,DOWNLOAD_FAILED",
        "500,DOWNLOAD_FAILED",
        "502,DOWNLOAD_FAILED",
        "503,DOWNLOAD_FAILED",
        "204,DOWNLOAD_FAILED"
    })
    void aRefusalKeepsThePart(int status, Reason reason) throws Exception {
        server.cutAfter = 700_000;
        fails();
        List<String> before = Workshop.snapshot(folder);
        server.fail("file", status, "Retry-After", "120");
        SourceException refused = fails();
        assertEquals(reason, refused.reason());
        assertEquals(Optional.of(Duration.ofSeconds(120)), refused.retryAfter());
        assertTrue(refused.getMessage().contains("HTTP status " + status), refused.getMessage());
        assertEquals(before, Workshop.snapshot(folder));
    }

    @Test
    void aServerThatFallsSilentIsGivenUp() throws Exception {
        server.handle("file", exchange -> {
            exchange.getResponseHeaders().set("ETag", "\"1\"");
            exchange.sendResponseHeaders(200, LENGTH);
            exchange.getResponseBody().write(CONTENT, 0, 10_000);
            exchange.getResponseBody().flush();
            sleep(60_000);
        });
        long start = System.nanoTime();
        SourceException silent = fails();
        // The read time-out is 2 s; the least rate would only notice after 60 s.
        assertTrue(Duration.ofNanos(System.nanoTime() - start).toSeconds() < 30);
        assertEquals(Reason.DOWNLOAD_FAILED, silent.reason());
        assertEquals(10_000, part());
    }

    @Test
    void whatTheCallerThrowsEndsThePullAndKeepsThePart() throws Exception {
        SourceException stop = assertThrows(SourceException.class, () -> download()
                .bring(
                        wanted(),
                        folder,
                        bytes -> {
                            if (bytes > 500_000) {
                                throw new SourceException(Reason.DEFERRED, "the link costs money now");
                            }
                        },
                        file -> {}));
        assertEquals(Reason.DEFERRED, stop.reason());
        assertTrue(part() > 500_000);
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
    }

    @Test
    void anInterruptEndsAPullAtOnceAndKeepsThePart() throws Exception {
        server.handle("file", exchange -> {
            exchange.getResponseHeaders().set("ETag", "\"1\"");
            exchange.sendResponseHeaders(200, LENGTH);
            exchange.getResponseBody().write(CONTENT, 0, 300_000);
            exchange.getResponseBody().flush();
            sleep(60_000);
        });
        HttpConfig patient = new HttpConfig(
                server.uri(),
                Path.of("/nowhere"),
                Optional.empty(),
                Optional.empty(),
                Duration.ofSeconds(5),
                Duration.ofSeconds(60),
                Duration.ofSeconds(60));
        AtomicReference<Throwable> end = new AtomicReference<>();
        Thread thread = new Thread(() -> {
            try {
                download(patient).bring(wanted(), folder, bytes -> {}, file -> {});
            } catch (Exception e) {
                end.set(e);
            }
        });
        thread.start();
        // An empty part is none.
        for (int i = 0; i < 500 && folder.resolve(Download.PART).toFile().length() == 0; i++) {
            Thread.sleep(10);
        }
        thread.interrupt();
        thread.join(5000);
        assertFalse(thread.isAlive());
        assertEquals(InterruptedException.class, end.get().getClass(), String.valueOf(end.get()));
        assertEquals(List.of("update.origin", "update.part"), files());
    }

    @Test
    void whatDoesNotFitIsNotBegun() throws Exception {
        SourceException full = assertThrows(SourceException.class, () -> download()
                .bring(
                        new Download.Wanted(server.uri("file"), 1L << 60, sha256(CONTENT)),
                        folder,
                        bytes -> {},
                        file -> {}));
        assertEquals(Reason.NO_SPACE, full.reason());
        assertEquals(List.of(), server.asked);
        assertEquals(List.of(), files());
    }

    private static void sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            // The server is closed.
            Thread.currentThread().interrupt();
        }
    }
}
