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
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.bundle.PullInParts;
import org.metaotamgr.testing.BlockBundle;
import org.metaotamgr.testing.Parts;
import org.metaotamgr.testing.Workshop;

/** Bundles of format 2 in parts, from real sockets, with the real content engine: what a device has is a file here. */
class PullInPartsTest {
    /** What only the new system has. */
    private static final int NEW = 700_000;

    @TempDir
    private static Path bundles;

    private static BlockBundle bundle;

    @TempDir
    private Path folder;

    /** What the server has, and what it makes of the old system. */
    private byte[] content;

    private byte[] newImage;
    private Workshop workshop;
    private Parts parts;
    private PartServer server;
    private Path storage;
    private final AtomicLong fetched = new AtomicLong();
    private final List<Long> progress = new ArrayList<>();

    @BeforeAll
    static void makeBundles() throws Exception {
        Workshop workshop = new Workshop(bundles);
        workshop.makeKey("release");
        workshop.makeKey("mallory");
        bundle = new BlockBundle(workshop, "release", NEW);
    }

    @BeforeEach
    void start() throws Exception {
        content = bundle.content;
        newImage = bundle.newImage;
        workshop = new Workshop(folder);
        parts = new Parts(new Workshop(bundles), folder, "release");
        parts.slot(bundle.oldImage, newImage.length);
        server = new PartServer(content);
        storage = Files.createDirectories(folder.resolve("storage"));
    }

    @AfterEach
    void stop() throws IOException {
        server.close();
    }

    private Target target() {
        return new Target(
                "qemuarm64-2.0",
                "2.0",
                Optional.of("qemuarm64"),
                content.length,
                "0".repeat(64),
                Optional.empty(),
                Map.of());
    }

    private SourceContext context() throws Exception {
        return workshop.context(Clock.systemUTC(), new Workshop(bundles).verifier("release"), parts.needs());
    }

    private Optional<Path> pull(Optional<String> manifest) throws Exception {
        Http http = new Http(Workshop.http(server.uri()), Optional.empty(), PartServer.PACE);
        SourceContext context = context();
        try (HttpOriginal original = new HttpOriginal(http, server.uri().resolve("b"), content.length)) {
            return new PullInParts(
                            target(),
                            storage,
                            original,
                            part -> BundleProof.checkBeginning(part, target(), context.verifier()),
                            context,
                            new PullProgress() {
                                @Override
                                public void pulled(long bytes) {
                                    progress.add(bytes);
                                }

                                @Override
                                public void fetched(long bytes) {
                                    fetched.addAndGet(bytes);
                                }
                            })
                    .bring(manifest);
        }
    }

    private Path pulled() throws Exception {
        return pull(Optional.of(bundle.manifest)).orElseThrow();
    }

    private Reason refused() {
        return assertThrows(SourceException.class, this::pulled).reason();
    }

    /** What is there makes the new system of the old one. */
    private void assertInstalls(Path file) throws Exception {
        assertEquals(content.length, Files.size(file));
        assertArrayEquals(newImage, Arrays.copyOf(parts.install(file), newImage.length));
    }

    // ---- what is right ----

    @Test
    void onlyWhatTheDeviceLacksIsFetched() throws Exception {
        Path file = pulled();
        // The new file is random, so it cannot be compressed; the rest is what the file system says of it, and the
        // index.
        assertTrue(server.sent.get() < NEW + 200_000, "sent " + server.sent + " of " + content.length);
        assertEquals(server.sent.get(), fetched.get());
        assertEquals(content.length, progress.get(progress.size() - 1));
        assertEquals(1, server.connections.get(), "one connection for all ranges: " + server.ranges);
        assertInstalls(file);
    }

    @Test
    void aDeviceThatHasEverythingFetchesWhatComesBeforeTheFrames() throws Exception {
        parts.slot(newImage, newImage.length);
        assertInstalls(pulled());
        assertTrue(server.sent.get() < 128 * 1024, "sent " + server.sent);
    }

    @Test
    void whatIsPulledOnceIsAskedForAgainOnlyWhereASlotChangedSince() throws Exception {
        Path file = pulled();
        long before = server.sent.get();
        assertEquals(file, pulled());
        assertEquals(before, server.sent.get());
        byte[] changed = bundle.oldImage.clone();
        int at = Parts.indexOf(bundle.oldImage, BlockBundle.shared(3), 100_000);
        Arrays.fill(changed, at, at + 4096, (byte) 7);
        parts.slot(changed, newImage.length);
        assertInstalls(pulled());
        assertTrue(server.sent.get() - before <= 3 * 4096, "sent " + (server.sent.get() - before));
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 5_000, 66_000, 150_000, 300_000, 400_001, 700_000})
    void aCutAtAnyMomentCostsLittle(long cut) throws Exception {
        pulled();
        long needed = server.sent.get();
        Files.delete(storage.resolve("update.blocks"));
        server.sent.set(0);
        server.cutAfter.set(cut);
        assertEquals(Reason.DOWNLOAD_FAILED, refused());
        server.cutAfter.set(-1);
        assertInstalls(pulled());
        assertTrue(server.sent.get() <= needed + 256 * 1024, "sent " + server.sent + ", needed " + needed);
    }

    @Test
    void withoutTheHashOfTheManifestTheBeginningIsComparedFirst() throws Exception {
        server.cutAfter.set(400_000);
        assertThrows(SourceException.class, () -> pull(Optional.empty()));
        server.cutAfter.set(-1);
        server.sent.set(0);
        int before = server.ranges.size();
        assertInstalls(pull(Optional.empty()).orElseThrow());
        assertEquals("0-65535", server.ranges.get(before));
        assertTrue(server.sent.get() < NEW - 100_000, "sent " + server.sent);
    }

    @Test
    void aPartOfAnotherBundleIsNotUsed() throws Exception {
        Files.write(storage.resolve("update.blocks.part"), Workshop.random(content.length, 9));
        assertEquals(Reason.VERIFICATION_FAILED, refused());
        assertInstalls(pulled());
    }

    /** The three changes of a system that were measured before, in small: what the server sends for them, and how often. */
    @ParameterizedTest
    @ValueSource(strings = {"byte", "grown", "new"})
    void aSmallChangeCostsLittle(String change) throws Exception {
        Workshop made = new Workshop(bundles);
        Path image = made.makeSystem("system-" + change, change);
        Path system = made.bundleOf("system-" + change, "release", "qemuarm64", "2.0");
        content = Files.readAllBytes(system);
        newImage = Files.readAllBytes(image);
        byte[] before = Files.readAllBytes(made.makeSystem("before", ""));
        server.close();
        server = new PartServer(content);
        parts.slot(before, newImage.length);
        Path file = pull(Optional.of(Parts.manifestHash(system))).orElseThrow();
        String figures = change + ": " + server.sent.get() + " of " + content.length + " bytes in "
                + server.ranges.size() + " requests on " + server.connections.get() + " connections";
        System.out.println("pull in parts: " + figures);
        assertTrue(server.sent.get() * 20 <= content.length, figures);
        assertEquals(1, server.connections.get(), figures);
        assertInstalls(file);
    }

    // ---- who pulls whole ----

    @ParameterizedTest
    @ValueSource(strings = {"update.whole", "update.part", "update.bundle"})
    void whoPullsWholeGoesOnSo(String name) throws Exception {
        Files.write(storage.resolve(name), new byte[1]);
        assertEquals(Optional.empty(), pull(Optional.of(bundle.manifest)));
        assertEquals(0, server.sent.get());
    }

    @Test
    void aDeviceThatCannotSayWhatItLacksPullsWhole() throws Exception {
        parts.cannotSay();
        assertEquals(Optional.empty(), pull(Optional.of(bundle.manifest)));
        assertFalse(Files.exists(storage.resolve("update.blocks.part")));
    }

    @Test
    void whatIsNoBundleOfFormat2IsPulledWhole() throws Exception {
        for (byte[] other : List.of(Workshop.random(content.length, 3), new byte[content.length])) {
            server.close();
            server = new PartServer(other);
            assertEquals(Optional.empty(), pull(Optional.empty()));
            assertEquals(Reason.VERIFICATION_FAILED, refused());
        }
    }

    @Test
    void aBundleThatTheDeviceRefusesIsNotFetched() throws Exception {
        parts.board("raspberrypi4");
        assertEquals(Reason.FOREIGN, refused());
        assertTrue(server.sent.get() < 128 * 1024, "sent " + server.sent);
    }

    // ---- servers and proxies: the table in docs/source-repository.md ----

    @ParameterizedTest
    @EnumSource(
            value = PartServer.Kind.class,
            names = {"OLD", "CLOSES", "CHUNKED", "WITHOUT_LENGTH", "SHORT", "EARLIER", "OPEN_END", "REDIRECT", "WEAK"})
    void serversThatGiveRangesInTheirWayAreGoodEnough(PartServer.Kind kind) throws Exception {
        server.kind = kind;
        assertInstalls(pulled());
        assertTrue(fetched.get() < NEW + 200_000, "fetched " + fetched);
    }

    @ParameterizedTest
    @EnumSource(
            value = PartServer.Kind.class,
            names = {"NO_RANGES", "MULTIPART", "NO_SUCH_RANGE", "OTHER_TOTAL", "ELSEWHERE"})
    void serversWithoutRangesAreAskedForTheWhole(PartServer.Kind kind) throws Exception {
        server.kind = kind;
        assertEquals(Optional.empty(), pull(Optional.of(bundle.manifest)));
        // Also when it turns out late, behind a proxy that changed.
        server.rightFirst.set(3);
        assertEquals(Optional.empty(), pull(Optional.of(bundle.manifest)));
        assertFalse(Files.exists(storage.resolve("update.blocks.part")));
        assertTrue(workshop.log.stream().anyMatch(line -> line.startsWith("pull_whole:")), workshop.log.toString());
    }

    @ParameterizedTest
    @EnumSource(
            value = PartServer.Kind.class,
            names = {"GZIP", "PORTAL", "TINY", "BUSY", "SILENT", "STALLS", "CRAWLS"})
    void whatSaysNothingOfTheBundleKeepsThePart(PartServer.Kind kind) throws Exception {
        server.kind = kind;
        server.rightFirst.set(3);
        Reason reason = refused();
        assertEquals(
                switch (kind) {
                    case GZIP, PORTAL -> Reason.WRONG_ANSWER;
                    default -> Reason.DOWNLOAD_FAILED;
                },
                reason);
        assertTrue(Files.exists(storage.resolve("update.blocks.part")));
        server.kind = PartServer.Kind.RIGHT;
        assertInstalls(pulled());
        assertTrue(server.sent.get() < NEW + 500_000, "sent " + server.sent);
    }

    @Test
    void anAnswer410KeepsThePartForTheTimeWhenTheBundleIsThereAgain() throws Exception {
        server.kind = PartServer.Kind.GONE;
        server.rightFirst.set(2);
        SourceException gone = assertThrows(SourceException.class, this::pulled);
        assertEquals(Reason.NOT_FOUND, gone.reason());
        assertTrue(gone.getMessage().contains("410 (gone)"), gone.getMessage());
        assertTrue(Files.exists(storage.resolve("update.blocks.part")));
        server.kind = PartServer.Kind.RIGHT;
        assertInstalls(pulled());
        assertTrue(server.sent.get() < NEW + 500_000, "sent " + server.sent);
    }

    @Test
    void aServerThatAsksForPatienceGetsIt() {
        server.kind = PartServer.Kind.BUSY;
        SourceException busy = assertThrows(SourceException.class, this::pulled);
        assertEquals(Optional.of(Duration.ofSeconds(77)), busy.retryAfter());
    }

    @Test
    void aFileThatChangesOnTheServerIsNoticedAndNothingOfItIsUsed() throws Exception {
        server.kind = PartServer.Kind.CHANGED;
        assertEquals(Reason.VERIFICATION_FAILED, refused());
        server.rightFirst.set(2);
        assertEquals(Reason.VERIFICATION_FAILED, refused());
        server.kind = PartServer.Kind.RIGHT;
        assertInstalls(pulled());
    }

    @Test
    void aServerThatSaysNothingIsGivenUp() throws Exception {
        try (HostileServer hostile = new HostileServer()) {
            Http http = new Http(Workshop.http(hostile.uri()), Optional.empty());
            for (String kind : List.of("silent", "slow", "endless", "redirloop", "chunkneg", "http09")) {
                HttpOriginal original = new HttpOriginal(http, hostile.uri().resolve(kind), content.length);
                assertThrows(Exception.class, () -> original.fetch(0, 65536, (bytes, count) -> {}), kind);
                original.close();
            }
        }
    }
}
