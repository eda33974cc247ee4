// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.Duration;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.agent.Agent;
import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.ExitCode;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.MeteredLink;
import org.metaotamgr.agent.Original;
import org.metaotamgr.agent.Polling;
import org.metaotamgr.agent.PollingLoop;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.Result;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.bundle.PullInParts;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.SystemProcessRunner;
import org.metaotamgr.testing.BlockBundle;
import org.metaotamgr.testing.Parts;
import org.metaotamgr.testing.Workshop;

/** Bundles that are streamed into a slot, which is a file here, by the agent and the real content engine, from real sockets. */
class StreamTest {
    /** What only the new system has. */
    private static final int NEW = 1_500_000;

    @TempDir
    private static Path bundles;

    private static BlockBundle bundle;
    private static String sha256;

    @TempDir
    private Path folder;

    private Workshop workshop;
    private Parts parts;
    private PartServer server;
    private String polling = "";
    private final AtomicLong fetched = new AtomicLong();

    @BeforeAll
    static void makeBundle() throws Exception {
        Workshop workshop = new Workshop(bundles);
        workshop.makeKey("release");
        bundle = new BlockBundle(workshop, "release", NEW);
        sha256 = HexFormat.of()
                .formatHex(java.security.MessageDigest.getInstance("SHA-256").digest(bundle.content));
    }

    @BeforeEach
    void start() throws Exception {
        workshop = new Workshop(folder);
        parts = new Parts(new Workshop(bundles), folder, "release");
        parts.slot(bundle.oldImage, bundle.newImage.length);
        server = new PartServer(bundle.content);
        slots("running=a committed=a state=committed");
        Path program = Files.writeString(folder.resolve("ota-slot"), "#!/bin/sh\ncat " + folder + "/slots\n");
        Files.setPosixFilePermissions(program, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    @AfterEach
    void stop() throws IOException {
        server.close();
    }

    private void slots(String values) throws IOException {
        Files.writeString(folder.resolve("slots"), values.replace(' ', '\n') + "\n");
    }

    /** One target on the server. */
    private final class Source implements UpdateSource {
        private final Http http = new Http(Workshop.http(server.uri()), Optional.empty(), PartServer.PACE);
        private final SourceContext context;

        Source() throws Exception {
            context = workshop.context(Clock.systemUTC(), new Workshop(bundles).verifier("release"), parts.needs());
        }

        @Override
        public String name() {
            return "test";
        }

        @Override
        public CheckResult check(InstalledSystem installed) {
            return new CheckResult.Offers(List.of(target()), Optional.empty());
        }

        @Override
        public boolean looksForRoom() {
            return true;
        }

        private PullInParts parts(Path storage, Original original, PullProgress progress) {
            return new PullInParts(
                    target(),
                    storage,
                    original,
                    part -> BundleProof.checkBeginning(part, target(), context.verifier()),
                    context,
                    progress);
        }

        @Override
        public Optional<Path> beginning(Target target, Path storage, PullProgress progress)
                throws SourceException, InterruptedException {
            try (Original original = original(target)) {
                return parts(storage, original, progress).bringBeginning(Optional.of(bundle.manifest));
            }
        }

        @Override
        public Original original(Target target) {
            return new HttpOriginal(http, server.uri().resolve("b"), bundle.content.length);
        }

        @Override
        public Path pull(Target target, Path storage, PullProgress progress)
                throws SourceException, InterruptedException {
            try (Original original = original(target)) {
                Optional<Path> inParts = parts(storage, original, progress).bring(Optional.of(bundle.manifest));
                if (inParts.isPresent()) {
                    return inParts.get();
                }
            }
            return new Download(
                            http,
                            Hasher.ofProgram(new Programs(new SystemProcessRunner(workshop.eventLog))),
                            context.files(),
                            context.log())
                    .bring(
                            new Download.Wanted(server.uri().resolve("b"), bundle.content.length, sha256),
                            storage,
                            progress,
                            file -> BundleProof.check(file, target, context.verifier(), false));
        }
    }

    private static Target target() {
        return new Target(
                "qemuarm64-2.0",
                "2.0",
                Optional.of("qemuarm64"),
                bundle.content.length,
                sha256,
                Optional.empty(),
                Map.of());
    }

    /** Another agent each time, as after a restart. */
    private Agent agent() throws Exception {
        String installer = parts.installer(folder.resolve("slots")).get(0);
        AgentConfig config = AgentConfig.of(Workshop.config("{'storage': '" + folder + "/data', 'sysupgrade': ['"
                + installer + "'], 'otaSlot': ['" + folder + "/ota-slot'], 'polling': {" + polling + "}}"));
        return new Agent(new Source(), AgentDevice.real(config, () -> 7, workshop.eventLog));
    }

    private Result pull() throws Exception {
        return agent().pull(target(), bytes -> {});
    }

    private Result install() throws Exception {
        return agent().install(target(), line -> {}, new PullProgress() {
            @Override
            public void pulled(long bytes) {}

            @Override
            public void fetched(long bytes) {
                fetched.addAndGet(bytes);
            }
        });
    }

    private void assertPulled() throws Exception {
        Result pulled = pull();
        assertEquals(ExitCode.OK, pulled.code(), pulled.message());
    }

    private void assertInstalls() throws Exception {
        Result installed = install();
        assertEquals(ExitCode.NEEDS_REBOOT, installed.code(), installed.message() + workshop.log);
        assertArrayEquals(bundle.newImage, Arrays.copyOf(parts.slot(), bundle.newImage.length));
    }

    private Path stored() {
        return folder.resolve("data/updates").resolve(target().id());
    }

    /** How much room the files take; those with holes take less than they are long. */
    private long room() throws Exception {
        return Long.parseLong(workshop.run("du", "-sk", stored().toString()).split("\\s")[0]) * 1024;
    }

    private void assertNotBootable() throws IOException {
        assertArrayEquals(new byte[4096], Arrays.copyOf(parts.slot(), 4096));
    }

    // ---- what is right ----

    @Test
    void framesGoIntoTheSlotAndNowhereElse() throws Exception {
        assertPulled();
        assertTrue(server.sent.get() < 128 * 1024, "sent " + server.sent);
        long before = room();
        assertInstalls();
        assertEquals(before, room());
        assertTrue(before < 200_000, "room " + before);
        assertTrue(server.sent.get() < NEW + 200_000, "sent " + server.sent + " of " + bundle.content.length);
        assertEquals(2, server.connections.get(), "one for the beginning, one for all frames: " + server.ranges);
    }

    @Test
    void imagesBesideTheRootFileSystemComeBeforeTheStream() throws Exception {
        byte[] app = Workshop.random(100_000, 9);
        Path image = Files.write(bundles.resolve("app.img"), app);
        BlockBundle without = bundle;
        String shaWithout = sha256;
        try {
            bundle = new BlockBundle(new Workshop(bundles), "release", NEW, "--image", "app=" + image + ",optional");
            sha256 = HexFormat.of()
                    .formatHex(
                            java.security.MessageDigest.getInstance("SHA-256").digest(bundle.content));
            server.close();
            server = new PartServer(bundle.content);
            Source source = new Source();
            Path storage = Files.createDirectories(folder.resolve("images"));
            Path file =
                    source.beginning(target(), storage, bytes -> {}).orElseThrow(() -> new AssertionError("streams"));
            byte[] found = Files.readAllBytes(file);
            int end = end(bundle.content);
            assertEquals(
                    -1,
                    java.util.Arrays.mismatch(
                            bundle.content,
                            end - app.length,
                            bundle.content.length,
                            found,
                            end - app.length,
                            found.length));
            assertTrue(server.sent.get() < app.length + 200_000, "sent " + server.sent);
        } finally {
            bundle = without;
            sha256 = shaWithout;
        }
    }

    /** Where the zeros begin that end the archive. */
    private static int end(byte[] content) {
        int end = content.length;
        while (content[end - 1] == 0) {
            end--;
        }
        return end;
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 70_000, 500_000, 1_000_000, 1_400_000})
    void aBreakOfTheConnectionCostsNothingThatCame(long cut) throws Exception {
        assertPulled();
        server.cutsOnce = true;
        server.cutAfter.set(cut);
        assertInstalls();
        assertTrue(server.sent.get() < NEW + 200_000, "sent " + server.sent);
    }

    @Test
    void aDaemonThatWasKilledGoesOnFromTheSlot() throws Exception {
        assertPulled();
        Thread[] first = {null};
        Result[] result = {null};
        AtomicLong before = new AtomicLong();
        Agent agent = agent();
        first[0] = new Thread(() -> {
            try {
                result[0] = agent.install(target(), line -> {}, new PullProgress() {
                    @Override
                    public void pulled(long bytes) {
                        if (bytes > 900_000) {
                            Thread.currentThread().interrupt();
                        }
                    }

                    @Override
                    public void fetched(long bytes) {
                        before.addAndGet(bytes);
                    }
                });
            } catch (InterruptedException e) {
                // As the engine's thread ends.
                return;
            }
        });
        first[0].start();
        first[0].join();
        assertEquals(null, result[0]);
        // It ends by itself; until then it holds its lock, which this one does not have.
        while (workshop.run("sh", "-c", "pgrep -f " + folder + "/device/[i]nstaller || :")
                        .strip()
                        .length()
                > 0) {
            Thread.sleep(10);
        }
        assertNotBootable();
        assertInstalls();
        assertTrue(
                before.get() + fetched.get() < NEW + 200_000 + 256 * 1024,
                "fetched " + before + " and " + fetched + ", new " + NEW);
    }

    @Test
    void withAWindowItIsPulledNowAndInstalledThen() throws Exception {
        polling = "'windows': ['02:00-04:00']";
        assertPulled();
        long sent = server.sent.get();
        assertTrue(sent > NEW, "sent " + sent);
        assertInstalls();
        assertEquals(sent, server.sent.get());
    }

    @ParameterizedTest
    @ValueSource(strings = {"'automatic': 'pull'", "'automatic': 'off'", "'streaming': 'never'"})
    void whatIsInstalledLaterOrNeverStreamedIsStored(String keys) throws Exception {
        polling = keys;
        assertPulled();
        assertTrue(Files.exists(stored().resolve("update.blocks")));
    }

    @Test
    void whatWasBegunToBeStoredIsStreamedWithoutItsFrames() throws Exception {
        polling = "'streaming': 'never'";
        server.cutAfter.set(700_000);
        assertEquals(ExitCode.DOWNLOAD_FAILED, pull().code());
        server.cutAfter.set(-1);
        polling = "";
        assertPulled();
        assertTrue(room() < 200_000, "room " + room());
        assertInstalls();
    }

    @Test
    void noFasterThanTheLimit() throws Exception {
        polling = "'downloadKilobytesPerSecond': 500";
        long began = System.nanoTime();
        assertPulled();
        assertInstalls();
        double seconds = (System.nanoTime() - began) / 1e9;
        assertTrue(seconds > NEW / 500_000.0, "took " + seconds + " s");
    }

    private void linkIs(String name) throws IOException {
        Files.writeString(
                folder.resolve("route"),
                "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n" + name
                        + "\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n");
    }

    /** Polls until the update is armed: atEachStep runs for each piece that came, between after a round that came to nothing. */
    private void poll(long meteredBytes, Executable atEachStep, Executable between) throws Exception {
        List<String> told = new ArrayList<>();
        new PollingLoop(
                        agent(),
                        new Polling(
                                Polling.Automatic.INSTALL,
                                Duration.ofSeconds(300),
                                0,
                                Duration.ofSeconds(30),
                                Duration.ofSeconds(100),
                                List.of(),
                                false,
                                List.of("wwan"),
                                meteredBytes),
                        new PollingLoop.Time() {
                            private int rounds;

                            @Override
                            public LocalDateTime now() {
                                return LocalDateTime.of(2026, 3, 2, 12, 0);
                            }

                            @Override
                            public void pause(Duration time) throws InterruptedException {
                                if (rounds++ > 0) {
                                    assertDoesNotThrow(between);
                                }
                                if (rounds > 3) {
                                    throw new InterruptedException("long enough");
                                }
                            }
                        },
                        new MeteredLink(List.of("wwan"), folder),
                        () -> 0,
                        new PollingLoop.Listener() {
                            @Override
                            public void answered() {}

                            @Override
                            public void armed(Result result) {
                                told.add("armed");
                            }

                            @Override
                            public boolean mayTake() {
                                assertDoesNotThrow(atEachStep);
                                return true;
                            }
                        },
                        workshop.eventLog)
                .run();
        assertEquals(List.of("armed"), told, workshop.log.toString());
        assertArrayEquals(bundle.newImage, Arrays.copyOf(parts.slot(), bundle.newImage.length));
    }

    @Test
    void overALinkThatCostsMoneyNothingIsStreamedThatIsTooMuch() throws Exception {
        linkIs("wwan0");
        byte[] before = parts.slot();
        poll(1_000_000, () -> {}, () -> {
            assertTrue(workshop.log.toString().contains("bytes are more than the 1 MB"), workshop.log.toString());
            assertTrue(server.sent.get() < 128 * 1024, "sent " + server.sent);
            assertArrayEquals(before, parts.slot());
            linkIs("eth0");
        });
    }

    @Test
    void overALinkThatCostsMoneyWhatIsNoMoreIsStreamed() throws Exception {
        linkIs("wwan0");
        poll(2_000_000, () -> {}, () -> fail("a round came to nothing: " + workshop.log));
    }

    @Test
    void aLinkThatBeginsToCostMoneyEndsTheStreamAndTheRestComesOverAnother() throws Exception {
        linkIs("eth0");
        boolean[] isOver = {false};
        poll(
                0,
                () -> {
                    if (!isOver[0] && server.sent.get() > 900_000) {
                        linkIs("wwan0");
                    }
                },
                () -> {
                    assertTrue(workshop.log.toString().contains("the link costs money"), workshop.log.toString());
                    assertNotBootable();
                    assertTrue(server.sent.get() < NEW, "sent " + server.sent);
                    isOver[0] = true;
                    linkIs("eth0");
                });
        assertTrue(isOver[0], "the link was never looked at");
        assertTrue(server.sent.get() < NEW + 200_000 + 256 * 1024, "sent " + server.sent);
    }

    // ---- what is wrong ----

    @Test
    void aByteThatChangesOnTheWayIsRefusedAndTheSlotCannotBeStarted() throws Exception {
        assertPulled();
        server.kind = PartServer.Kind.CHANGED;
        server.rightFirst.set(2);
        Result changed = install();
        assertEquals(ExitCode.VERIFICATION_FAILED, changed.code(), changed.message());
        assertEquals(Reason.VERIFICATION_FAILED, changed.problem().orElseThrow().reason());
        assertNotBootable();
        server.kind = PartServer.Kind.RIGHT;
        assertInstalls();
    }

    @Test
    void aServerThatIsWrongForGoodIsGivenUp() throws Exception {
        assertPulled();
        server.kind = PartServer.Kind.CHANGED;
        for (int tries = 0; tries < 7; tries++) {
            assertTrue(install().problem().isPresent());
        }
        Result last = install();
        assertEquals(ExitCode.VERIFICATION_FAILED, last.code());
        assertTrue(last.problem().isEmpty());
        assertFalse(Files.exists(stored()));
    }

    // ---- servers and proxies: the table in docs/source-repository.md ----

    @ParameterizedTest
    @EnumSource(
            value = PartServer.Kind.class,
            names = {"OLD", "CLOSES", "CHUNKED", "WITHOUT_LENGTH", "SHORT", "EARLIER", "OPEN_END", "REDIRECT", "WEAK"})
    void serversThatGiveRangesInTheirWayAreGoodEnough(PartServer.Kind kind) throws Exception {
        server.kind = kind;
        assertPulled();
        assertInstalls();
        assertTrue(fetched.get() < NEW + 200_000, "fetched " + fetched);
    }

    @ParameterizedTest
    @EnumSource(
            value = PartServer.Kind.class,
            names = {"NO_RANGES", "MULTIPART", "NO_SUCH_RANGE", "OTHER_TOTAL", "ELSEWHERE"})
    void withoutRangesItIsPulledWhole(PartServer.Kind kind) throws Exception {
        server.kind = kind;
        server.rightFirst.set(3);
        assertPulled();
        // It turns out late, behind a proxy that changed.
        Result late = install();
        assertEquals(ExitCode.NOT_PULLED, late.code(), late.message());
        assertPulled();
        assertTrue(Files.exists(stored().resolve("update.bundle")), workshop.log.toString());
        assertInstalls();
    }

    @ParameterizedTest
    @EnumSource(
            value = PartServer.Kind.class,
            names = {"GZIP", "PORTAL", "BUSY"})
    void whatSaysNothingOfTheBundleEndsTheTryAndTheNextOneGoesOn(PartServer.Kind kind) throws Exception {
        assertPulled();
        server.kind = kind;
        server.rightFirst.set(3);
        Result ended = install();
        assertEquals(
                kind == PartServer.Kind.BUSY ? Reason.DOWNLOAD_FAILED : Reason.WRONG_ANSWER,
                ended.problem().orElseThrow().reason(),
                ended.message());
        server.kind = PartServer.Kind.RIGHT;
        assertInstalls();
        assertTrue(fetched.get() < NEW + 200_000 + 256 * 1024, "fetched " + fetched);
    }

    @Test
    void anAnswer410EndsTheTryAndTheNextOneGoesOnIfTheBundleComesBack() throws Exception {
        assertPulled();
        server.kind = PartServer.Kind.GONE;
        server.rightFirst.set(3);
        Result ended = install();
        assertEquals(Reason.NOT_FOUND, ended.problem().orElseThrow().reason());
        assertTrue(ended.message().contains("410 (gone)"), ended.message());
        assertNotBootable();
        assertTrue(fetched.get() > 0, "nothing came before");
        server.kind = PartServer.Kind.RIGHT;
        assertInstalls();
        assertTrue(fetched.get() < NEW + 200_000 + 256 * 1024, "fetched " + fetched);
    }

    @ParameterizedTest
    @EnumSource(
            value = PartServer.Kind.class,
            names = {"TINY", "SILENT", "STALLS", "CRAWLS"})
    void aServerThatForOnceGivesNextToNothingIsAskedAgainAndTheStreamGoesOn(PartServer.Kind kind) throws Exception {
        assertPulled();
        server.kind = kind;
        server.rightFirst.set(3);
        server.shows.set(1);
        assertInstalls();
        assertTrue(server.shows.get() <= 0, "the server was never wrong");
        assertTrue(fetched.get() < NEW + 200_000, "fetched " + fetched);
    }

    @Test
    void aServerThatGivesNextToNothingForGoodEndsTheTryAndTheNextOneGoesOn() throws Exception {
        assertPulled();
        int before = server.ranges.size();
        server.kind = PartServer.Kind.TINY;
        Result ended = install();
        assertEquals(Reason.DOWNLOAD_FAILED, ended.problem().orElseThrow().reason());
        assertEquals(4, server.ranges.size() - before, "asked once, and three times again: " + server.ranges);
        server.kind = PartServer.Kind.RIGHT;
        assertInstalls();
        assertTrue(fetched.get() < NEW + 200_000 + 256 * 1024, "fetched " + fetched);
    }
}
