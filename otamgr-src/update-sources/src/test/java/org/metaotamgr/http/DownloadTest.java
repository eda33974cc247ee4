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
        return new Download(new Http(config, Optional.empty()),
                Hasher.ofProgram(new Programs(new SystemProcessRunner(workshop.eventLog))), new FileOperations.Real(),
                workshop.eventLog);
    }

    private static String sha256(byte[] content) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    }

    private Download.Wanted wanted() throws Exception {
        return new Download.Wanted(server.uri("file"), LENGTH, sha256(CONTENT));
    }

    private Path bring() throws Exception {
        return download().bring(wanted(), folder, bytes -> { }, file -> { });
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
        Path file = download().bring(wanted(), folder, told::add, one -> { });
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
        // Asked for the rest of the old one, the server sent the new one.
        assertEquals("GET /file bytes=700000-", server.asked.get(1));
        assertEquals(2, server.asked.size());
    }

    @Test
    void aServerThatContinuesAnotherFileIsNotBelieved() throws Exception {
        server.cutAfter = 700_000;
        fails();
        server.cutAfter = -1;
        server.tagSuffix = "x";
        server.handle("file", exchange -> {
            server.repair("file");
            exchange.getResponseHeaders().set("ETag", "\"other\"");
            exchange.getResponseHeaders().set("Content-Range", "bytes 700000-" + (LENGTH - 1) + "/" + LENGTH);
            exchange.sendResponseHeaders(206, LENGTH - 700_000);
            exchange.getResponseBody().write(CONTENT, 700_000, LENGTH - 700_000);
        });
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
        assertEquals("GET /file", server.asked.get(server.asked.size() - 1));
    }

    @Test
    void withoutAnyValidatorItBeginsAnew() throws Exception {
        server.hasTags = false;
        server.cutAfter = 700_000;
        fails();
        assertEquals(List.of("update.part"), files());
        server.cutAfter = -1;
        assertArrayEquals(CONTENT, Files.readAllBytes(bring()));
        assertEquals("GET /file", server.asked.get(1));
    }

    @Test
    void aPartOfAnotherUpdateIsNotContinued() throws Exception {
        server.cutAfter = 700_000;
        fails();
        server.cutAfter = -1;
        byte[] next = Workshop.random(LENGTH, 3);
        server.put("file", next);
        Path file = download().bring(new Download.Wanted(server.uri("file"), LENGTH, sha256(next)), folder, bytes -> { },
                one -> { });
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
        assertEquals(Reason.VERIFICATION_FAILED, wrong.reason());
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
        assertEquals(Reason.VERIFICATION_FAILED, fails().reason());
        assertEquals(List.of(), files());
    }

    @Test
    void whatTheProofRefusesIsRemoved() throws Exception {
        SourceException refused = assertThrows(SourceException.class, () -> download().bring(wanted(), folder, bytes -> { },
                file -> {
                    throw new SourceException(Reason.BAD_BUNDLE, "not signed");
                }));
        assertEquals(Reason.BAD_BUNDLE, refused.reason());
        assertEquals(List.of(), files());
    }

    @ParameterizedTest
    @CsvSource({"401,DOWNLOAD_FAILED", "403,DOWNLOAD_FAILED", "404,NOT_FOUND", "410,NOT_FOUND", "408,DOWNLOAD_FAILED",
        "429,DOWNLOAD_FAILED", "500,DOWNLOAD_FAILED", "502,DOWNLOAD_FAILED", "503,DOWNLOAD_FAILED", "204,DOWNLOAD_FAILED"})
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
        SourceException stop = assertThrows(SourceException.class, () -> download().bring(wanted(), folder, bytes -> {
            if (bytes > 500_000) {
                throw new SourceException(Reason.DEFERRED, "the link costs money now");
            }
        }, file -> { }));
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
        HttpConfig patient = new HttpConfig(server.uri(), Path.of("/nowhere"), Optional.empty(), Optional.empty(),
                Duration.ofSeconds(5), Duration.ofSeconds(60), Duration.ofSeconds(60));
        AtomicReference<Throwable> end = new AtomicReference<>();
        Thread thread = new Thread(() -> {
            try {
                download(patient).bring(wanted(), folder, bytes -> { }, file -> { });
            } catch (Exception e) {
                end.set(e);
            }
        });
        thread.start();
        for (int i = 0; i < 500 && !Files.exists(folder.resolve(Download.PART)); i++) {
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
        SourceException full = assertThrows(SourceException.class, () -> download().bring(
                new Download.Wanted(server.uri("file"), 1L << 60, sha256(CONTENT)), folder, bytes -> { }, file -> { }));
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
